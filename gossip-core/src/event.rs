//! Events: small values that report what happened. The changed state itself is read from the node.

use core::fmt;
use core::net::IpAddr;
use core::time::Duration;

use crate::application_state::ApplicationState;
use crate::dial::DialFailure;
use crate::endpoint::Endpoint;
use crate::limit::Limit;
use crate::metadata::MetadataId;
use crate::tls_fault::TlsFault;
use crate::uuid::Uuid;
use crate::version::{Generation, Version};

/// The most assassinations that may be pending. The outcomes of so many are never lost.
pub(crate) const MAX_OUTCOMES: usize = 8;

/// Something that happened. It names the endpoint that it concerns; a changed value is read with
/// [`Gossiper::value`](crate::Gossiper::value).
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Deserialize, serde::Serialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum Event {
    /// An endpoint became known.
    Joined {
        /// The endpoint.
        endpoint: Endpoint,
        /// Its generation.
        generation: Generation,
    },
    /// A known endpoint came back with a greater generation. It is not live until it proves itself, even if it was
    /// live before: [`Event::Up`] follows.
    Restarted {
        /// The endpoint.
        endpoint: Endpoint,
        /// The generation known before.
        old: Generation,
        /// The generation now.
        new: Generation,
    },
    /// An endpoint proved that it can be reached.
    Up {
        /// The endpoint.
        endpoint: Endpoint,
        /// Its generation.
        generation: Generation,
    },
    /// A live endpoint is down.
    Down {
        /// The endpoint.
        endpoint: Endpoint,
        /// Its generation.
        generation: Generation,
        /// Why.
        cause: DownCause,
    },
    /// An endpoint has left the cluster, or was removed from it.
    Left {
        /// The endpoint.
        endpoint: Endpoint,
        /// The last of its generations that counts as gone.
        generation: Generation,
    },
    /// A peer has requested the whole state of this node again, some intervals after it was sent: it ignores us. Cassandra's nodes do so
    /// for a minute with a gossip-only member that they forgot for its silence (`docs/protocol/gossip-only-member.md#times`); [`Event::Accepted`] follows then.
    Ignored {
        /// The endpoint.
        by: Endpoint,
        /// The longest time that this lasts, if that is the cause. It began when the peer forgot us, before its first request.
        at_most: Duration,
    },
    /// A peer that ignored this node accepts it now.
    Accepted {
        /// The endpoint.
        by: Endpoint,
    },
    /// An endpoint was forgotten. The generations that are still refused are among
    /// [`Gossiper::tombstones`](crate::Gossiper::tombstones).
    Forgotten {
        /// The endpoint.
        endpoint: Endpoint,
        /// Its generation.
        generation: Generation,
        /// Why.
        cause: ForgetCause,
    },
    /// An endpoint was declared as left, at the request of the operator.
    Assassinated {
        /// The endpoint.
        endpoint: Endpoint,
        /// The generation under which it is gone.
        generation: Generation,
    },
    /// An assassination was aborted.
    AssassinationAborted {
        /// The endpoint.
        endpoint: Endpoint,
        /// Why.
        cause: AbortCause,
    },
    /// A live endpoint was silent for a while, and did not answer an echo either. If others relay newer heartbeats of it, the network
    /// between us and it may be broken.
    ProbeFailed {
        /// The endpoint.
        endpoint: Endpoint,
        /// How long it was silent.
        silence: Duration,
        /// Whether others have relayed a newer heartbeat of it during this silence.
        is_relayed: bool,
    },
    /// The shadow round is over, and nothing prevents joining.
    ShadowRoundDone,
    /// No peer answered in the shadow round. The node has stopped.
    ShadowRoundFailed,
    /// A peer that was asked in the shadow round is in its own shadow round. Comes before [`Event::SeedsSilent`] and
    /// [`Event::ShadowRoundFailed`].
    PeerAsks {
        /// Which peer.
        peer: Endpoint,
    },
    /// The node was a member before, and hears only from known peers that are in their own shadow round. It goes on as a seed
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
        /// The endpoint.
        endpoint: Endpoint,
        /// Which.
        key: ApplicationState,
        /// Under which version.
        version: Version,
    },
    /// The node raised its own generation. Store it before you poll the node again, or a restart may go back below it.
    GenerationRaised {
        /// The generation so far.
        old: Generation,
        /// The generation now.
        new: Generation,
        /// Why.
        cause: RaiseCause,
    },
    /// Others know a greater generation of the node, or a greater version of this one, and it cannot raise its own above that:
    /// there is none, or it would be so far ahead of the clock that peers refuse it. These peers ignore the state of this node.
    GenerationNotRaised {
        /// The generation now.
        generation: Generation,
    },
    /// Others know this address under another host id. In the shadow round: another member has or had it, which a node may
    /// replace only with [`Membership::replace`](crate::Membership::replace); the node has stopped. While the
    /// node runs: of a greater generation than its own, so that another process has used the address since this one started, or its
    /// clock is ahead.
    AddressConflict {
        /// The generation under which the other is known.
        generation: Generation,
    },
    /// The node, a gossip-only member, has left its Cassandra cluster in silence, since that is being upgraded to 6.0 (`docs/protocol/cassandra-6.md`):
    /// nodes that start then count every endpoint in gossip. The node is disabled, and asks now and then whether it may come back:
    /// [`Event::Returned`].
    Withdrawn {
        /// The endpoint whose state or connection showed it.
        by: Endpoint,
        /// What showed it.
        sign: UpgradeSign,
    },
    /// The node, a gossip-only member that left for an upgrade ([`Event::Withdrawn`]), takes part again under a greater generation: the
    /// cluster's metadata service is initialised.
    Returned {
        /// The node that sent the identifier of the cluster's metadata.
        by: Endpoint,
    },
    /// The identifier of the cluster's metadata has changed, or is known for the first time. Keep it across restarts, and give it to
    /// [`ConfigBuilder::saved_metadata_id`](crate::ConfigBuilder::saved_metadata_id). Only guests in clusters of Cassandra 6.0 have one.
    MetadataIdChanged {
        /// The node that sent it.
        by: Endpoint,
        /// The one before.
        old: MetadataId,
        /// The one that SYNs of this node carry from now on.
        new: MetadataId,
    },
    /// The configured identifier of the cluster's metadata is not the one that a node sent before this one joined. The node has stopped.
    MetadataIdRefused {
        /// The node that sent it.
        by: Endpoint,
        /// The configured one ([`ConfigBuilder::metadata_id`](crate::ConfigBuilder::metadata_id)).
        given: MetadataId,
        /// The one that the cluster has.
        theirs: MetadataId,
    },
    /// A member of the Cassandra cluster has the host id of this node, which is to be a gossip-only member. The node has stopped.
    HostIdOfMember {
        /// The endpoint.
        endpoint: Endpoint,
    },
    /// A member of the Cassandra cluster has the IP address of this node, a gossip-only member, with another port.
    SharedAddress {
        /// The endpoint.
        with: Endpoint,
    },
    /// Others know that this node was removed from the cluster; it has stopped gossiping.
    Removed {
        /// The generation under which it was removed.
        generation: Generation,
    },
    /// A SYN of another cluster was rejected without an answer. Its name: [`Gossiper::foreign_cluster`](crate::Gossiper::foreign_cluster).
    ForeignCluster {
        /// The sender.
        from: Endpoint,
    },
    /// A SYN under another partitioner was rejected without an answer. Its name:
    /// [`Gossiper::foreign_partitioner`](crate::Gossiper::foreign_partitioner).
    ForeignPartitioner {
        /// The sender.
        from: Endpoint,
    },
    /// A packet was dropped before its messages were read: the keys of the two nodes do not match. Reported once in 60 intervals for
    /// each sender and reason, and for few senders in all. The packet names its sender, and nothing proves that name.
    PacketRefused {
        /// The sender.
        from: Endpoint,
        /// Why.
        refusal: PacketRefusal,
    },
    /// A seed, or an endpoint that is known from an earlier run, could not be reached or did not answer: the outcome of the last attempt.
    /// Comes before [`Event::SeedsSilent`] and [`Event::ShadowRoundFailed`]; in a node that only asks, at once.
    DialFailed {
        /// Which endpoint.
        endpoint: Endpoint,
        /// Why.
        failure: DialFailure,
        /// How often in a row for this reason; for a silent peer, the number of requests.
        times: u32,
    },
    /// A connection with TLS failed, or a plain one was refused. Reported at most once an hour for each peer and fault.
    TlsFailed {
        /// The other side, as far as it is known: the dialled endpoint, or the one that a dialler names.
        peer: Option<Endpoint>,
        /// Whether this node dialled.
        is_dialled: bool,
        /// Why.
        fault: TlsFault,
    },
    /// A limit was reached. Every case is counted; this is reported at most once an hour for each limit.
    LimitReached {
        /// Which limit.
        limit: Limit,
        /// How often it was reached since the last report.
        count: u64,
    },
    /// Connections of an address are refused or closed, or endpoints that it announces are not taken. Every case is counted; this is reported at
    /// most once a minute, of the address that was refused most often.
    AddressRefused {
        /// The address; of IPv6 the first one of its network of 64 bits.
        address: IpAddr,
        /// Why it was refused the last time.
        reason: AddressRefusal,
        /// How often it was refused since the last report.
        count: u64,
        /// How often other addresses were.
        others: u64,
    },
    /// The generation of an endpoint is more than a year ahead of the wall clock, and was refused. Reported at most once an hour for
    /// each endpoint.
    FutureGeneration {
        /// The endpoint.
        endpoint: Endpoint,
        /// The generation.
        generation: Generation,
        /// How far it is ahead of the wall clock.
        ahead: Duration,
        /// The clock that is probably wrong.
        suspect: ClockSuspect,
    },
    /// A peer answers this node, but no peer has accepted this node's state since its start.
    NotTaken {
        /// The peer that answered last.
        by: Endpoint,
    },
    /// The host of an endpoint is live at another address, under a greater generation: a pod that was started again, for instance. The former
    /// endpoint is forgotten; [`Event::Forgotten`] follows.
    Replaced {
        /// The former address.
        endpoint: Endpoint,
        /// The host id, by which its new address is found.
        host_id: Uuid,
    },
    /// Several live endpoints have one host id; the newest of them is named. Reported at most once an hour for each.
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
    /// No seed has answered since the start or since the last such event, and no endpoint is live.
    SeedsSilent {
        /// How long for.
        waited: Duration,
    },
    /// Rounds were so late that no endpoint is convicted for a while.
    LocalPause {
        /// The time between two rounds.
        pause: Duration,
    },
    /// The queue was full, and events were lost. The state can be read from the node.
    Lost {
        /// How many.
        count: u32,
    },
    /// The node has announced its shutdown and stopped gossiping. Drop it.
    Stopped,
}

const _: () = assert!(size_of::<Event>() <= 48);

impl Event {
    /// Whether it is about membership and liveness, or about the node's own part in the cluster.
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
                | Self::AddressRefused { .. }
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
    /// The declaring node stopped, or gossip was disabled there, before the time was over.
    Stopped,
    /// Its generation is the greatest there is: it cannot be declared under a later one.
    LastGeneration,
    /// It was forgotten meanwhile, and the table has no room for it.
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
    /// The endpoint that the event concerns, or that caused it; `None` for the node itself.
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
            | Self::Withdrawn { by, .. }
            | Self::Returned { by } => Some(by),
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
            | Self::AddressRefused { .. }
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

/// Why a node raised its own generation. If both happen before the application reads events, it gets one event with the second
/// cause: the application requested the first itself.
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

/// Why an address is refused.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[cfg_attr(feature = "serde", derive(serde::Deserialize, serde::Serialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum AddressRefusal {
    /// It is not on the list of allowed addresses.
    NotAllowed,
    /// It has `max_address_connections`.
    Connections,
    /// It opened more connections than `max_address_handshakes`.
    Handshakes,
    /// There was no place for another connection, and it had the most.
    Displaced,
    /// It sent more messages than `max_address_messages`.
    Messages,
    /// It sent more bytes than `max_address_bytes`.
    Bytes,
    /// It announced more new endpoints than `max_address_endpoints`.
    Endpoints,
}

impl fmt::Display for AddressRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotAllowed => "it is not on the list of allowed addresses",
            Self::Connections => "it has too many connections",
            Self::Handshakes => "it opens too many connections",
            Self::Displaced => "there was no place for another connection, and it had the most",
            Self::Messages => "it sends too many messages",
            Self::Bytes => "it sends too many bytes",
            Self::Endpoints => "it announces too many new endpoints",
        })
    }
}

/// Why a packet was dropped before its messages were read.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[cfg_attr(feature = "serde", derive(serde::Deserialize, serde::Serialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum PacketRefusal {
    /// This node has keys, and the packet is not encrypted.
    NotSealed,
    /// The packet is encrypted, and this node has no key.
    Sealed,
    /// No key of this node opens the packet, or the packet was changed on its way.
    OtherKey,
    /// The packet is encrypted, and of another cluster or partitioner, whose names cannot be read.
    OtherCluster,
}

impl fmt::Display for PacketRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotSealed => "its packets are not encrypted, and this node has keys",
            Self::Sealed => "its packets are encrypted, and this node has no key",
            Self::OtherKey => "no key of this node opens its packets",
            Self::OtherCluster => "its packets are encrypted, and of another cluster or partitioner",
        })
    }
}

/// The clock that is wrong, if a generation is far in the future.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Deserialize, serde::Serialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum ClockSuspect {
    /// That of the endpoint: the generations of others agree with our clock.
    Theirs,
    /// Probably ours: several endpoints are in its future, and none agrees with it. Several wrong clocks of others would look the same.
    Ours,
    /// Either: no third endpoint is known to decide.
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

/// Why an endpoint was forgotten.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Deserialize, serde::Serialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum ForgetCause {
    /// It had left, and its expiry has passed.
    Expired,
    /// It was silent, and no member.
    Silent,
    /// It was silent for longer than dead members are kept.
    Reaped,
    /// Its host is live at another address.
    Moved,
    /// It was known from an earlier run only, and was silent for too long, or its place was needed.
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
    /// It announced its stop, or others know that it stopped.
    Shutdown,
    /// Its status is one of departure.
    Status,
    /// It did not answer a direct probe.
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
