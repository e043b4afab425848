//! What happened, told in small values; what changed is read from the node.

use core::fmt;
use core::time::Duration;

use crate::application_state::ApplicationState;
use crate::dial::DialFailure;
use crate::endpoint::Endpoint;
use crate::limit::Limit;
use crate::metadata::MetadataId;
use crate::tls_fault::TlsFault;
use crate::uuid::Uuid;
use crate::version::{Generation, Version};

/// How many assassinations may wait at the same time, and so how many outcomes of them are never lost.
pub(crate) const MAX_OUTCOMES: usize = 8;

/// Something that happened. Names whom it concerns; a changed value is read with
/// [`Gossiper::value`](crate::Gossiper::value).
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Deserialize, serde::Serialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
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
    /// for a minute with a gossip-only member that they dropped for its silence (`docs/protocol/gossip-only-member.md#times`); [`Event::Accepted`] follows then.
    Ignored {
        /// Who.
        by: Endpoint,
        /// For how much longer at most, if it is for that: it ignores us from when it dropped us on, and had done so when it asked first.
        at_most: Duration,
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
    /// A live endpoint from which nothing came for a while did not answer an echo either. If others relay newer heartbeats of it, the
    /// way between us and it may be broken.
    ProbeFailed {
        /// Who.
        endpoint: Endpoint,
        /// How long nothing came from it.
        silence: Duration,
        /// Whether others have relayed a newer heartbeat of it during this silence.
        is_relayed: bool,
    },
    /// The shadow round is over: nobody speaks against our joining.
    ShadowRoundDone,
    /// Nobody answered in the shadow round. The node has stopped.
    ShadowRoundFailed,
    /// A peer that was asked in the shadow round said that it asks as well. Told before [`Event::SeedsSilent`] and
    /// [`Event::ShadowRoundFailed`].
    PeerAsks {
        /// Which peer.
        peer: Endpoint,
    },
    /// The node was a member before, and hears from nobody but known peers that ask before they join, as it does. It goes on as a seed
    /// would, so that a cluster that was stopped as a whole comes back. [`Event::ShadowRoundDone`] follows.
    BeganAlone,
    /// The shadow round showed that another node with this node's identity is live: at our address under another host id, or at another
    /// address (`endpoint`) under our host id. The node has stopped.
    IdentityInUse {
        /// The address of the other.
        endpoint: Endpoint,
        /// The generation of the other.
        generation: Generation,
    },
    /// A value of an endpoint is new or changed; also one of the node's own.
    StateChanged {
        /// Whose.
        endpoint: Endpoint,
        /// Which.
        key: ApplicationState,
        /// Under which version.
        version: Version,
    },
    /// The node raised its own generation. It must be stored before anything else is taken from the node, or a restart may go back below it.
    GenerationRaised {
        /// The generation so far.
        old: Generation,
        /// The generation now.
        new: Generation,
        /// Why.
        cause: RaiseCause,
    },
    /// Others know a greater generation of the node, or a greater version of this one, and it could not raise its own above that:
    /// there is none, or it would be so far ahead of the clock that peers refuse it. What this node says does not reach those
    /// who know it so.
    GenerationNotRaised {
        /// The generation now.
        generation: Generation,
    },
    /// Others know this address under another host id. In the shadow round: another member has it, or had it, which a node may
    /// replace only if that was asked for ([`Membership::replace`](crate::Membership::replace)); the node has stopped. While the
    /// node runs: of a greater generation than its own, so that another process has used the address since this one started, or its
    /// clock is ahead.
    AddressConflict {
        /// The generation under which the other is known.
        generation: Generation,
    },
    /// The node, a gossip-only member, has left its Cassandra cluster in silence, since that is being upgraded to 6.0 (`docs/protocol/cassandra-6.md`):
    /// nodes that start then count everybody who is in gossip. It is disabled, or has stopped if it was just asking before it joins.
    Withdrawn {
        /// Whose state or connection showed it.
        by: Endpoint,
        /// What showed it.
        sign: UpgradeSign,
    },
    /// The identifier of the cluster's metadata is another than before, or known for the first time: to be kept across restarts, and given to
    /// [`ConfigBuilder::saved_metadata_id`](crate::ConfigBuilder::saved_metadata_id). Only guests in clusters of Cassandra 6.0 have one.
    MetadataIdChanged {
        /// Who told it.
        by: Endpoint,
        /// The one before.
        old: MetadataId,
        /// The one that SYNs of this node carry from now on.
        new: MetadataId,
    },
    /// The identifier of the cluster's metadata that was given is not the one that a node told before this one joined. The node has stopped.
    MetadataIdRefused {
        /// Who told it.
        by: Endpoint,
        /// The one that was given ([`ConfigBuilder::metadata_id`](crate::ConfigBuilder::metadata_id)).
        given: MetadataId,
        /// The one that the cluster has.
        theirs: MetadataId,
    },
    /// A member of the Cassandra cluster has the host id of this node, which is to be a gossip-only member. The node has stopped.
    HostIdOfMember {
        /// Who.
        endpoint: Endpoint,
    },
    /// A member of the Cassandra cluster has the IP address of this node, a gossip-only member, with another port.
    SharedAddress {
        /// Who.
        with: Endpoint,
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
    /// A packet was dropped before its messages were read: under the keys of the two nodes they cannot talk to each other. Told once in 60
    /// intervals of a sender and a reason, and of few senders in all. The sender is who the packet says it is, which nothing proves.
    PacketRefused {
        /// From whom.
        from: Endpoint,
        /// Why.
        refusal: PacketRefusal,
    },
    /// A seed, or an endpoint that is known from an earlier run, could not be reached or did not answer: what became of the last attempt.
    /// Told before [`Event::SeedsSilent`] and [`Event::ShadowRoundFailed`]; to a node that only asks at once.
    DialFailed {
        /// Which endpoint.
        endpoint: Endpoint,
        /// Why.
        failure: DialFailure,
        /// How often in a row for this reason; of a peer that is silent, how many questions it was asked.
        times: u32,
    },
    /// A connection with TLS failed, or a plain one was refused. Told at most once an hour for each peer and fault.
    TlsFailed {
        /// The other side, as far as it is known: the endpoint that was dialled, or that which a dialler says it is.
        peer: Option<Endpoint>,
        /// Whether this node dialled.
        is_dialled: bool,
        /// Why.
        fault: TlsFault,
    },
    /// A limit was reached that is otherwise only counted. Told at most once an hour for each limit.
    LimitReached {
        /// Which limit.
        limit: Limit,
        /// How often it was reached since it was told last.
        count: u64,
    },
    /// The generation of an endpoint is more than a year ahead of the wall clock, and was refused. Told at most once an hour for each
    /// endpoint.
    FutureGeneration {
        /// Whose generation.
        endpoint: Endpoint,
        /// The generation.
        generation: Generation,
        /// How far it is ahead of the wall clock.
        ahead: Duration,
        /// Whose clock is the odd one.
        suspect: ClockSuspect,
    },
    /// A peer answers this node, and neither it nor another peer has taken this node's state since the node started.
    NotTaken {
        /// Who answered last.
        by: Endpoint,
    },
    /// The host of an endpoint is live at another address, under a greater generation: a pod that was started again, for instance. The former
    /// endpoint is forgotten, which [`Event::Forgotten`] tells next.
    Replaced {
        /// The former address.
        endpoint: Endpoint,
        /// The host id, by which its new address is found.
        host_id: Uuid,
    },
    /// Several live endpoints have one host id; the newest of them is named. Told at most once an hour for each.
    SharedHostId {
        /// The one with the greatest generation.
        endpoint: Endpoint,
        /// The host id.
        host_id: Uuid,
    },
    /// An endpoint came back under another host id than before: another host has its address now.
    HostIdChanged {
        /// Which endpoint.
        endpoint: Endpoint,
        /// The host id that it had before.
        old: Uuid,
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

impl Event {
    /// Whether it tells of who belongs to the cluster and who is up, or of the node's own part in it.
    pub(crate) const fn is_of_membership(&self) -> bool {
        !matches!(
            self,
            Self::StateChanged { .. }
                | Self::ForeignCluster { .. }
                | Self::ForeignPartitioner { .. }
                | Self::PacketRefused { .. }
                | Self::Ignored { .. }
                | Self::Accepted { .. }
                | Self::ProbeFailed { .. }
                | Self::PeerAsks { .. }
                | Self::DialFailed { .. }
                | Self::TlsFailed { .. }
                | Self::LimitReached { .. }
                | Self::FutureGeneration { .. }
                | Self::NotTaken { .. }
        )
    }
}

/// Why an endpoint was not assassinated.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Deserialize, serde::Serialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
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
            | Self::Replaced { endpoint, .. }
            | Self::Assassinated { endpoint, .. }
            | Self::AssassinationAborted { endpoint, .. }
            | Self::ProbeFailed { endpoint, .. }
            | Self::HostIdOfMember { endpoint }
            | Self::SharedAddress { with: endpoint }
            | Self::StateChanged { endpoint, .. }
            | Self::DialFailed { endpoint, .. }
            | Self::FutureGeneration { endpoint, .. }
            | Self::SharedHostId { endpoint, .. }
            | Self::HostIdChanged { endpoint, .. }
            | Self::IdentityInUse { endpoint, .. } => Some(endpoint),
            Self::Ignored { by, .. }
            | Self::Accepted { by }
            | Self::NotTaken { by }
            | Self::MetadataIdChanged { by, .. }
            | Self::MetadataIdRefused { by, .. }
            | Self::Withdrawn { by, .. } => Some(by),
            Self::PeerAsks { peer } => Some(peer),
            Self::TlsFailed { peer, .. } => peer,
            Self::ForeignCluster { from }
            | Self::ForeignPartitioner { from }
            | Self::PacketRefused { from, .. } => Some(from),
            // Each is named, so that none that is added is forgotten here.
            Self::ShadowRoundDone
            | Self::ShadowRoundFailed
            | Self::BeganAlone
            | Self::LimitReached { .. }
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

/// Why a node raised its own generation. If both happen before the application asks for events, it is told of one raise with the second
/// cause: it has asked for the first itself.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Deserialize, serde::Serialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum RaiseCause {
    /// Gossip was enabled again, which takes a greater generation than before.
    Enabled,
    /// Others knew a greater generation of this node, or a greater version of this one.
    KnownGreater,
}

/// Why a packet was dropped before its messages were read.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[cfg_attr(feature = "serde", derive(serde::Deserialize, serde::Serialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum PacketRefusal {
    /// This node has keys, and the packet is not sealed.
    NotSealed,
    /// The packet is sealed, and this node has no key.
    Sealed,
    /// No key of this node opens the packet, or the packet was changed on its way.
    OtherKey,
    /// The packet is sealed, and of another cluster or partitioner, whose names cannot be read.
    OtherCluster,
}

impl fmt::Display for PacketRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotSealed => "its packets are not sealed, and this node has keys",
            Self::Sealed => "its packets are sealed, and this node has no key",
            Self::OtherKey => "no key of this node opens its packets",
            Self::OtherCluster => "its packets are sealed, and of another cluster or partitioner",
        })
    }
}

/// Whose clock is wrong where a generation is far in the future.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Deserialize, serde::Serialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum ClockSuspect {
    /// That of the endpoint: the generations of others agree with our clock.
    Theirs,
    /// Probably ours: several endpoints are in its future, and nobody agrees with it. Several wrong clocks of others would look the same.
    Ours,
    /// Either: nobody else is known who could tell.
    Either,
}

/// What shows that a Cassandra cluster is being upgraded to 6.0.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Deserialize, serde::Serialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum UpgradeSign {
    /// A member publishes a release of 6.0 or later, or 5.1, as builds before 6.0 call themselves.
    Release,
    /// A member, or a seed, speaks messaging version 14.
    Version,
}

impl fmt::Display for UpgradeSign {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Release => "its release is 6.0 or later",
            Self::Version => "it speaks messaging version 14",
        })
    }
}

/// Why nothing is known any more of an endpoint.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Deserialize, serde::Serialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum ForgetCause {
    /// It had left, and the time for which that was to be remembered is over.
    Expired,
    /// It was silent, and no member.
    Silent,
    /// It was silent for longer than dead members are kept.
    Reaped,
    /// Its host is live at another address.
    Moved,
    /// It was known from an earlier run alone, and nothing was heard of it for too long, or its place was needed.
    Unheard,
}

impl fmt::Display for ForgetCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Expired => "its time after leaving is over",
            Self::Silent => "it was silent, and no member",
            Self::Reaped => "it was dead for longer than members are kept",
            Self::Moved => "its host is live at another address",
            Self::Unheard => "it was known from an earlier run alone, and was not heard of",
        })
    }
}

/// Why an endpoint is no longer live.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Deserialize, serde::Serialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
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
