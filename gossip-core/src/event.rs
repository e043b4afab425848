//! What happened, told in small values; what changed is read from the node.

use core::fmt;
use core::time::Duration;

use crate::application_state::ApplicationState;
use crate::endpoint::Endpoint;
use crate::version::{Generation, Version};

/// Something that happened. Names whom it concerns; a changed value is read with
/// [`Gossiper::value`](crate::Gossiper::value).
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Event {
    /// An endpoint became known.
    Joined {
        /// Who.
        endpoint: Endpoint,
        /// Of which generation.
        generation: Generation,
    },
    /// A known endpoint came back with a greater generation. It is not live until it proves itself, even if it was
    /// live before: [`Event::Up`] follows.
    Restarted {
        /// Who.
        endpoint: Endpoint,
        /// The generation known before.
        old: Generation,
        /// The generation now.
        new: Generation,
    },
    /// An endpoint proved that it can be reached.
    Up {
        /// Who.
        endpoint: Endpoint,
        /// Of which generation.
        generation: Generation,
    },
    /// An endpoint that was live is so no longer.
    Down {
        /// Who.
        endpoint: Endpoint,
        /// Of which generation.
        generation: Generation,
        /// Why.
        cause: DownCause,
    },
    /// An endpoint has left the cluster, or was removed from it.
    Left {
        /// Who.
        endpoint: Endpoint,
        /// The last of its generations that counts as gone.
        generation: Generation,
    },
    /// A peer has asked for everything of this node again, some intervals after it was told: it ignores us. Cassandra's nodes do so
    /// for a minute with a gossip-only member that they dropped for its silence (`internode.md` D.2); [`Event::Accepted`] follows then.
    Ignored {
        /// Who.
        by: Endpoint,
    },
    /// A peer that ignored this node knows it now.
    Accepted {
        /// Who.
        by: Endpoint,
    },
    /// Nothing is known any more of an endpoint. What of it is still refused is among
    /// [`Gossiper::tombstones`](crate::Gossiper::tombstones).
    Forgotten {
        /// Who.
        endpoint: Endpoint,
        /// Of which generation.
        generation: Generation,
        /// Why.
        cause: ForgetCause,
    },
    /// An endpoint was declared as left, as its operator wished.
    Assassinated {
        /// Who.
        endpoint: Endpoint,
        /// The generation under which it is gone.
        generation: Generation,
    },
    /// An endpoint that was to be assassinated was not.
    AssassinationAborted {
        /// Who.
        endpoint: Endpoint,
        /// Why.
        cause: AbortCause,
    },
    /// A live endpoint from which nothing came for a while did not answer an echo either, though others relay its
    /// heartbeats: the way between us and it may be broken.
    ProbeFailed {
        /// Who.
        endpoint: Endpoint,
        /// How long nothing came from it.
        silence: Duration,
    },
    /// The shadow round is over: nobody speaks against our joining.
    ShadowRoundDone,
    /// Nobody answered in the shadow round. The node has stopped.
    ShadowRoundFailed,
    /// A value of another endpoint is new or changed.
    StateChanged {
        /// Whose.
        endpoint: Endpoint,
        /// Which.
        key: ApplicationState,
        /// Under which version.
        version: Version,
    },
    /// The node raised its own generation, because others knew a greater one, or a greater version of this one.
    /// It must be stored before anything else is taken from the node, or a restart may go back below it.
    GenerationRaised {
        /// The generation so far.
        old: Generation,
        /// The generation now.
        new: Generation,
    },
    /// Others know a greater generation of the node, or a greater version of this one, and it could not raise its own above that:
    /// there is none, or it would be so far ahead of the clock that peers refuse it. What this node says does not reach those
    /// who know it so.
    GenerationNotRaised {
        /// The generation now.
        generation: Generation,
    },
    /// Others know this address under another host id, of a greater generation: two processes use it.
    AddressConflict {
        /// The generation of the other process.
        generation: Generation,
    },
    /// Others know that this node was removed from the cluster; it has stopped gossiping.
    Removed {
        /// The generation under which it was removed.
        generation: Generation,
    },
    /// A SYN of another cluster came, and was not answered. Its name: [`Gossiper::foreign_cluster`](crate::Gossiper::foreign_cluster).
    ForeignCluster {
        /// From whom.
        from: Endpoint,
    },
    /// A SYN under another partitioner came, and was not answered. Its name:
    /// [`Gossiper::foreign_partitioner`](crate::Gossiper::foreign_partitioner).
    ForeignPartitioner {
        /// From whom.
        from: Endpoint,
    },
    /// No seed has answered since the start or since the last such event, and nobody is live.
    SeedsSilent {
        /// How long for.
        waited: Duration,
    },
    /// Rounds were late by so much that nobody is convicted for a while.
    LocalPause {
        /// The time between two rounds.
        pause: Duration,
    },
    /// So many events found no room; what they said can be read from the node.
    Lost {
        /// How many.
        count: u32,
    },
    /// The node has announced its shutdown and stopped gossiping; it wants to be dropped.
    Stopped,
}

const _: () = assert!(size_of::<Event>() <= 48);

/// Why an endpoint was not assassinated.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum AbortCause {
    /// It has shown a sign of life.
    Alive,
    /// The node that was to declare it stopped, or gossip was disabled there, before its time was over.
    Stopped,
    /// Its generation is the greatest there is: it cannot be declared under a later one.
    LastGeneration,
    /// It was forgotten meanwhile, and there is no room to remember it anew.
    TableFull,
}

impl fmt::Display for AbortCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Alive => "it shows a sign of life",
            Self::Stopped => "this node stopped gossiping before the time was over",
            Self::LastGeneration => "its generation is the greatest there is",
            Self::TableFull => "it was forgotten meanwhile, and no more endpoints can be remembered",
        })
    }
}

impl Event {
    /// Whom the event concerns, or who caused it; `None` if that is the node itself.
    pub const fn endpoint(&self) -> Option<Endpoint> {
        match *self {
            Self::Joined { endpoint, .. }
            | Self::Restarted { endpoint, .. }
            | Self::Up { endpoint, .. }
            | Self::Down { endpoint, .. }
            | Self::Left { endpoint, .. }
            | Self::Forgotten { endpoint, .. }
            | Self::Assassinated { endpoint, .. }
            | Self::AssassinationAborted { endpoint, .. }
            | Self::ProbeFailed { endpoint, .. }
            | Self::StateChanged { endpoint, .. } => Some(endpoint),
            Self::Ignored { by } | Self::Accepted { by } => Some(by),
            Self::ForeignCluster { from } | Self::ForeignPartitioner { from } => Some(from),
            // Each is named, so that none that is added is forgotten here.
            Self::ShadowRoundDone
            | Self::ShadowRoundFailed
            | Self::GenerationRaised { .. }
            | Self::GenerationNotRaised { .. }
            | Self::AddressConflict { .. }
            | Self::Removed { .. }
            | Self::SeedsSilent { .. }
            | Self::LocalPause { .. }
            | Self::Lost { .. }
            | Self::Stopped => None,
        }
    }
}

/// Why nothing is known any more of an endpoint.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum ForgetCause {
    /// It had left, and the time for which that was to be remembered is over.
    Expired,
    /// It was silent, and no member.
    Silent,
    /// It was silent for longer than dead members are kept.
    Reaped,
}

impl fmt::Display for ForgetCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Expired => "its time after leaving is over",
            Self::Silent => "it was silent, and no member",
            Self::Reaped => "it was dead for longer than members are kept",
        })
    }
}

/// Why an endpoint is no longer live.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum DownCause {
    /// It was silent for too long.
    Convicted {
        /// Its suspicion level, on the scale of the threshold.
        phi: f32,
    },
    /// It said that it stops, or others know that it did.
    Shutdown,
    /// Its status says that it is gone.
    Status,
    /// It did not answer when asked directly.
    Probe,
}

impl fmt::Display for DownCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Convicted { phi } => write!(f, "convicted at phi {phi:.2}"),
            Self::Shutdown => f.write_str("shut down"),
            Self::Status => f.write_str("gone by its status"),
            Self::Probe => f.write_str("no answer to a direct probe"),
        }
    }
}
