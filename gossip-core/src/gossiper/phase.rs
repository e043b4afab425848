//! What a node is doing, and how it came to its end: what others wait for is read here, and not only reported.

use crate::endpoint::Endpoint;
use crate::metadata::MetadataId;
use crate::version::Generation;

/// What a node is doing.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Deserialize, serde::Serialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum Phase {
    /// The node is in its shadow round: it asks its seeds before it takes part.
    Asking,
    /// The node takes part in gossip.
    Running,
    /// The node has announced that it leaves the cluster for good. It still takes part.
    Leaving,
    /// The node has announced that it has left. It stops soon.
    Left,
    /// The node has announced its shutdown, and stops soon.
    Stopping,
    /// The node has announced a shutdown because gossip was disabled. It is [`Phase::Disabled`] soon.
    Disabling,
    /// Gossip is disabled. A node that only asks is here once it has its answer, and a gossip-only member while its Cassandra cluster is
    /// upgraded to 6.0.
    Disabled,
    /// The node has stopped. [`Gossiper::end`](crate::Gossiper::end) says why.
    Stopped,
}

/// Why a node has stopped.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Deserialize, serde::Serialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum End {
    /// The application asked for it, or let the node go.
    Asked,
    /// The node has left the cluster for good, as the application asked.
    Left,
    /// Others know that this node was removed from the cluster. A program that keeps its host id across restarts should remember it,
    /// and not join again by itself.
    Removed {
        /// The generation under which it was removed.
        generation: Generation,
    },
    /// Before it joined, the node heard that another host id uses its address.
    Conflict {
        /// The generation of the other process.
        generation: Generation,
    },
    /// Before it joined, the node saw that another node is live that has its address, or its host id at another address.
    InUse {
        /// The address of the other.
        endpoint: Endpoint,
        /// The generation of the other.
        generation: Generation,
    },
    /// No peer answered in the shadow round.
    Unanswered,
    /// The node was to be a gossip-only member, and a member of the Cassandra cluster has its host id.
    HostIdOfMember {
        /// Who.
        endpoint: Endpoint,
    },
    /// The given identifier of the cluster's metadata differs from the one that a node sent before this one joined.
    MetadataIdRefused {
        /// The node that sent it.
        by: Endpoint,
        /// The one that was given.
        given: MetadataId,
        /// The one that the cluster has.
        theirs: MetadataId,
    },
    /// The node is gone without having stopped: its driver panicked, or the runtime of its driver ended. Adapters tell it of a node
    /// that said nothing itself; [`Gossiper::end`](crate::Gossiper::end) never does.
    Dropped,
}
