//! What a node is told when it is made.

mod error;
mod membership;

use alloc::borrow::ToOwned;
use alloc::string::String;
use alloc::vec::Vec;
use core::marker::PhantomData;
use core::time::Duration;

pub use self::error::{ConfigError, SetStateError};
use self::membership::Cassandra;
pub use self::membership::{GossipOnly, Member};
use crate::application_state::ApplicationState;
use crate::endpoint::Endpoint;
use crate::internode::VersionRange;
use crate::metadata::MetadataId;
use crate::quarantine::Tombstone;
use crate::saved::SavedEndpoint;
use crate::uuid::Uuid;
use crate::version::Generation;
use crate::wire::{MAX_CASSANDRA_LEN, encode_str, encoded_len};

/// The partitioner of clusters that are not Cassandra's. No real node has it, so none ever takes us for one of its own.
pub const DEFAULT_PARTITIONER: &str = "org.gossip.NoPartitioner";

/// The partitioner that nearly all Cassandra clusters have.
pub const CASSANDRA_PARTITIONER: &str = "org.apache.cassandra.dht.Murmur3Partitioner";

/// For how many peers there is always a place, however few are known: strangers ask for things, too.
pub(crate) const MIN_PEERS: usize = 256;

/// How messages travel.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum Transport {
    /// Cassandra's connections, over TCP.
    #[default]
    Internode,
    /// Our own packets of bounded size, over UDP: for clusters that are not Cassandra's.
    Datagram,
}

/// What a node is told when it is made. One that exists is valid.
#[derive(Clone)]
pub struct Config {
    pub(crate) cluster: Vec<u8>,
    pub(crate) partitioner: Vec<u8>,
    pub(crate) local: Endpoint,
    pub(crate) generation: Generation,
    pub(crate) entropy: [u8; 32],
    pub(crate) seeds: Vec<Endpoint>,
    pub(crate) saved: Vec<SavedEndpoint>,
    pub(crate) states: Vec<(ApplicationState, Vec<u8>)>,
    /// Whether the node is a gossip-only member of a Cassandra cluster.
    pub(crate) is_gossip_only: bool,
    pub(crate) transport: Transport,
    pub(crate) interval: Duration,
    pub(crate) phi_convict_threshold: f64,
    pub(crate) arrival_window: u16,
    pub(crate) initial_arrival_interval: Duration,
    pub(crate) max_arrival_interval: Duration,
    pub(crate) max_local_pause: Duration,
    pub(crate) echo_timeout: Duration,
    pub(crate) shutdown_announce: Duration,
    pub(crate) leaving_delay: Duration,
    pub(crate) ring_delay: Duration,
    pub(crate) quarantine: Duration,
    pub(crate) fat_client_timeout: Option<Duration>,
    pub(crate) failed_bootstrap_timeout: Option<Duration>,
    pub(crate) dead_endpoint_ttl: Option<Duration>,
    pub(crate) tombstone_ttl: Duration,
    pub(crate) tombstones: Vec<Tombstone>,
    pub(crate) max_tombstones: usize,
    pub(crate) probe_after: Duration,
    pub(crate) probe_convicts: bool,
    pub(crate) shadow_round: bool,
    pub(crate) only_asks: bool,
    /// The identifier of the cluster's metadata, as it was given by hand.
    pub(crate) metadata_id: Option<MetadataId>,
    /// The same, as an earlier process knew it.
    pub(crate) saved_metadata_id: Option<MetadataId>,
    /// The node behaves like one of Cassandra 6.0, and this is its identifier.
    pub(crate) metadata_service: Option<MetadataId>,
    pub(crate) replace: bool,
    pub(crate) is_seed: bool,
    pub(crate) compression: bool,
    pub(crate) max_large_bytes: usize,
    pub(crate) max_endpoints: usize,
    pub(crate) max_states: usize,
    pub(crate) max_state_bytes: usize,
    pub(crate) max_pending_acks: usize,
    pub(crate) max_pending_peers: usize,
    pub(crate) max_pending_events: usize,
    pub(crate) max_connections: usize,
    pub(crate) max_dials: usize,
    pub(crate) max_handshakes: usize,
    pub(crate) max_message: usize,
    pub(crate) max_inbound_bytes: usize,
    pub(crate) connect_timeout: Duration,
    pub(crate) handshake_timeout: Duration,
    pub(crate) idle_timeout: Duration,
    pub(crate) cross_node_timeout: bool,
    pub(crate) max_datagram_size: usize,
    pub(crate) max_syn_datagrams: u16,
    pub(crate) max_datagram_rate: u32,
    #[cfg(feature = "seal")]
    pub(crate) keys: Option<crate::KeyRing>,
    #[cfg(feature = "tls")]
    pub(crate) tls: Option<crate::Tls>,
}

impl Config {
    /// In how many messages a SYN may list everybody.
    pub(crate) const fn syn_messages(&self) -> u16 {
        match self.transport {
            Transport::Internode => 1,
            Transport::Datagram => self.max_syn_datagrams,
        }
    }

    /// Which messaging versions the node negotiates.
    pub(crate) const fn versions(&self) -> VersionRange {
        if self.is_gossip_only || self.only_asks || self.metadata_service.is_some() {
            VersionRange::SUPPORTED
        } else {
            VersionRange::WITHOUT_METADATA
        }
    }

    /// Whether the node is a guest in a cluster of Cassandra, whose metadata may have an identifier.
    pub(crate) fn follows_metadata_id(&self) -> bool {
        (self.is_gossip_only || self.only_asks)
            && self.partitioner != DEFAULT_PARTITIONER.as_bytes()
            && self.transport == Transport::Internode
    }

    /// The longest value that can be sent, in encoded bytes.
    pub(crate) const fn max_value(&self) -> usize {
        longest_value(self.transport, self.max_datagram_size)
    }

    /// Starts a configuration with what has no default.
    ///
    /// * `cluster`: who has another name is not talked to.
    /// * `local`: the address and port under which peers reach the node.
    /// * `generation`: greater at each start; see [`Generation::at_start`].
    /// * `entropy`: from the operating system, or fixed where a run is to be repeated.
    pub fn builder(
        cluster: &str,
        local: Endpoint,
        generation: Generation,
        entropy: [u8; 32],
    ) -> ConfigBuilder {
        ConfigBuilder::new(cluster, DEFAULT_PARTITIONER, local, generation, entropy)
    }

    /// Starts the configuration of a gossip-only member of a Cassandra cluster: one that hears and is heard, and is no part of the ring
    /// (Cassandra's word is fat client). It publishes what real nodes expect of such a one (`internode.md`, Appendix D), never a status
    /// nor tokens: release and schema follow those of the members. Its types have no way to publish anything else but
    /// [`Pad`](crate::Pad)s.
    ///
    /// As [`Config::builder`], with Cassandra's usual partitioner; `host_id` is to be the same at each start.
    pub fn gossip_only(
        cluster: &str,
        local: Endpoint,
        generation: Generation,
        entropy: [u8; 32],
        host_id: Uuid,
    ) -> ConfigBuilder<GossipOnly> {
        let builder = ConfigBuilder::new(cluster, CASSANDRA_PARTITIONER, local, generation, entropy);
        ConfigBuilder { cassandra: Some(Cassandra::new(local, host_id)), ..builder }
    }
}

/// Collects a [`Config`].
///
/// Times that the protocol measures in rounds (those whose default is given as so many intervals) scale with
/// [`ConfigBuilder::interval`] unless they are set.
#[derive(Clone)]
#[must_use]
pub struct ConfigBuilder<M = Member> {
    cluster: String,
    partitioner: String,
    local: Endpoint,
    generation: Generation,
    entropy: [u8; 32],
    seeds: Vec<Endpoint>,
    saved: Vec<SavedEndpoint>,
    states: Vec<(ApplicationState, String)>,
    cassandra: Option<Cassandra>,
    membership: PhantomData<fn() -> M>,
    transport: Transport,
    interval: Duration,
    phi_convict_threshold: f64,
    arrival_window: u16,
    initial_arrival_interval: Option<Duration>,
    max_arrival_interval: Option<Duration>,
    max_local_pause: Option<Duration>,
    echo_timeout: Option<Duration>,
    shutdown_announce: Option<Duration>,
    leaving_delay: Option<Duration>,
    ring_delay: Option<Duration>,
    quarantine: Option<Duration>,
    fat_client_timeout: Option<Duration>,
    failed_bootstrap_timeout: Option<Duration>,
    dead_endpoint_ttl: Option<Duration>,
    tombstone_ttl: Duration,
    tombstones: Vec<Tombstone>,
    max_tombstones: usize,
    probe_after: Option<Duration>,
    probe_convicts: bool,
    shadow_round: bool,
    only_asks: bool,
    metadata_id: Option<MetadataId>,
    saved_metadata_id: Option<MetadataId>,
    metadata_service: Option<MetadataId>,
    replace: bool,
    compression: bool,
    max_large_bytes: usize,
    max_endpoints: usize,
    max_states: usize,
    max_state_bytes: usize,
    max_pending_acks: usize,
    max_pending_peers: usize,
    max_pending_events: usize,
    max_connections: usize,
    max_dials: usize,
    max_handshakes: usize,
    max_message: usize,
    max_inbound_bytes: usize,
    connect_timeout: Duration,
    handshake_timeout: Duration,
    idle_timeout: Duration,
    cross_node_timeout: bool,
    max_datagram_size: usize,
    max_syn_datagrams: u16,
    max_datagram_rate: u32,
    #[cfg(feature = "seal")]
    keys: Option<crate::KeyRing>,
    #[cfg(feature = "tls")]
    tls: Option<crate::Tls>,
}

macro_rules! setters {
    ($($(#[$doc:meta])* $name:ident: $type:ty;)*) => {
        $($(#[$doc])* pub fn $name(mut self, $name: $type) -> Self {
            self.$name = $name.into();
            self
        })*
    };
}

impl ConfigBuilder {
    /// How messages travel. All nodes of a cluster take the same way. Default [`Transport::Internode`].
    pub const fn transport(mut self, transport: Transport) -> Self {
        self.transport = transport;
        self
    }

    /// Adds a value that is published from the start. Versions are given out in the order of the calls.
    pub fn state(mut self, key: ApplicationState, value: &str) -> Self {
        self.states.push((key, value.to_owned()));
        self
    }

    /// Seals all packets, and takes only such as are sealed under one of these keys. Needs [`Transport::Datagram`]; nothing else is
    /// sealed, and so refused. Default: packets go as they are.
    #[cfg(feature = "seal")]
    pub fn keys(mut self, keys: crate::KeyRing) -> Self {
        self.keys = Some(keys);
        self
    }
}

impl<M> ConfigBuilder<M> {
    fn new(
        cluster: &str,
        partitioner: &str,
        local: Endpoint,
        generation: Generation,
        entropy: [u8; 32],
    ) -> Self {
        Self {
            cluster: cluster.to_owned(),
            partitioner: partitioner.to_owned(),
            local,
            generation,
            entropy,
            seeds: Vec::new(),
            saved: Vec::new(),
            states: Vec::new(),
            cassandra: None,
            membership: PhantomData,
            transport: Transport::Internode,
            interval: Duration::from_secs(1),
            phi_convict_threshold: 8.0,
            arrival_window: 64,
            initial_arrival_interval: None,
            max_arrival_interval: None,
            max_local_pause: None,
            echo_timeout: None,
            shutdown_announce: None,
            leaving_delay: None,
            ring_delay: None,
            quarantine: None,
            fat_client_timeout: None,
            failed_bootstrap_timeout: None,
            dead_endpoint_ttl: None,
            tombstone_ttl: Duration::from_hours(240),
            tombstones: Vec::new(),
            max_tombstones: 1_024,
            probe_after: None,
            probe_convicts: false,
            shadow_round: false,
            only_asks: false,
            metadata_id: None,
            saved_metadata_id: None,
            metadata_service: None,
            replace: false,
            compression: false,
            max_large_bytes: 64 << 20,
            max_endpoints: 20_000,
            max_states: 64,
            max_state_bytes: 1 << 20,
            max_pending_acks: 8,
            max_pending_peers: 8_192,
            max_pending_events: 4_096,
            max_connections: 4_096,
            max_dials: 64,
            max_handshakes: 256,
            max_message: 16 << 20,
            max_inbound_bytes: 64 << 20,
            connect_timeout: Duration::from_secs(2),
            handshake_timeout: Duration::from_secs(30),
            idle_timeout: Duration::from_hours(1),
            cross_node_timeout: false,
            max_datagram_size: 1_400,
            max_syn_datagrams: 16,
            max_datagram_rate: 1 << 20,
            #[cfg(feature = "seal")]
            keys: None,
            #[cfg(feature = "tls")]
            tls: None,
        }
    }

    /// Uses TLS on connections. Needs [`Transport::Internode`]: packets are sealed with keys instead. Default: all connections are
    /// plain.
    #[cfg(feature = "tls")]
    pub fn tls(mut self, tls: crate::Tls) -> Self {
        self.tls = Some(tls);
        self
    }

    setters! {
        /// The time between two rounds: shorter finds changes and deaths sooner, at more traffic. Default 1 s; 1 ms to 1 h.
        interval: Duration;
        /// The phi above which a silent endpoint is convicted: greater is slower, and errs less. At one heartbeat a second 8
        /// means 18.4 s of silence, 12 means 27.6 s. Default 8; 0 to 1,000.
        phi_convict_threshold: f64;
        /// How many intervals the detector remembers of each endpoint, 4 bytes each: more follows changes slower. Default 64; 1 to 1,000.
        arrival_window: u16;
        /// The interval that is taken for the first heartbeat of an endpoint: greater forgives a slow start. Default 2 intervals;
        /// 1 µs to 1 h.
        initial_arrival_interval: Duration;
        /// Longer intervals between heartbeats are not counted into the mean. Default 2 intervals, as in Cassandra; 8 over
        /// [`Transport::Datagram`], where packets get lost and long intervals are no outages. 1 µs to 1 h.
        max_arrival_interval: Duration;
        /// When rounds come later than this, the node itself was paused: nobody is convicted then, and for as long again.
        /// Default 5 intervals;
        /// at least 2.
        max_local_pause: Duration;
        /// How long the answer to an echo counts; within it the echo is repeated each round. Default 10 intervals; at least 1.
        echo_timeout: Duration;
        /// How long a node goes on after it has announced its shutdown. Default 2 intervals.
        shutdown_announce: Duration;
        /// How long a node that leaves says LEAVING, and then LEFT, before it is silent. Default 5 intervals.
        leaving_delay: Duration;
        /// How long an endpoint that is to be assassinated has to show a sign of life. Default 30 intervals.
        ring_delay: Duration;
        /// How long news of an endpoint that was forgotten for its silence is refused. Default 60 intervals.
        quarantine: Duration;
        /// Endpoints that are no members (they published none of NORMAL, LEAVING, MOVING or shutdown) are forgotten after so long a silence.
        /// Cassandra takes 30 intervals, and so does a gossip-only member of its clusters. Default: never.
        fat_client_timeout: Duration;
        /// As [`ConfigBuilder::fat_client_timeout`], for endpoints that are joining. Cassandra takes 60 intervals in 4.x, 300 in 5.0, and a
        /// gossip-only member does as the members of its cluster. Default: never.
        failed_bootstrap_timeout: Duration;
        /// Members that crashed are forgotten after so long a silence, and refused from then on. Default: never.
        dead_endpoint_ttl: Duration;
        /// How long it is remembered that an endpoint has left, once its state is forgotten. Longer than any node may be away.
        /// Default 10 days.
        tombstone_ttl: Duration;
        /// How many endpoints that are gone are remembered, some 50 bytes each. Default 1,024; at least 1.
        max_tombstones: usize;
        /// A live endpoint from which nothing came for so long is asked directly whether it can be reached. Default 10 intervals.
        probe_after: Duration;
        /// Whether an endpoint that does not answer a direct probe is convicted. Off by default: it is only told.
        probe_convicts: bool;
        /// Whether the node asks for the state of the cluster before it takes part (`gossip-semantics.md` §10), and stays out if somebody
        /// else uses its address. Off by default; a gossip-only member of a Cassandra cluster always asks.
        shadow_round: bool;
        /// Whether the node only asks for the state of the cluster, by a shadow round, and never takes part: nobody learns of it. When the
        /// answer is there ([`Event::ShadowRoundDone`](crate::Event::ShadowRoundDone)) it can be read, and nothing more happens. Off by
        /// default.
        only_asks: bool;
        /// The identifier of the cluster's metadata, from Cassandra 6.0 on. A node of 6.0 is asked for it, and what it says counts more: so this
        /// is only for where nobody says it. If a node says another one before ours joins, ours stops, with
        /// [`Event::MetadataIdRefused`](crate::Event::MetadataIdRefused).
        metadata_id: MetadataId;
        /// The identifier of the cluster's metadata that an earlier process learned ([`Event::MetadataIdChanged`](crate::Event::MetadataIdChanged)). It
        /// counts only where no node tells any, and none is given.
        saved_metadata_id: MetadataId;
        /// Lets the node behave like one of Cassandra 6.0 whose metadata service is initialised under this identifier: it speaks messaging version
        /// 14, answers no SYN that carries another one, and tells it to those who ask. For tests and simulations. Default: it does not.
        metadata_service: MetadataId;
        /// Whether the node may take the address of a member with another host id, if the shadow round shows that this member is not
        /// live. A node whose host id is known at another address, where it is not live, or that has saved endpoints, has moved and may do so without. Off by
        /// default: the node stops, with [`Event::AddressConflict`](crate::Event::AddressConflict).
        replace: bool;
        /// Whether frames that we send are compressed (LZ4). Off by default.
        compression: bool;
        /// How many bytes of messages that are too large for the ordinary connections may wait to be sent. Default 64 MiB; at least
        /// 1 MiB.
        max_large_bytes: usize;
        /// How many endpoints are kept, oneself included: about 1 KiB each with ordinary values,
        /// [`ConfigBuilder::max_state_bytes`] at the most. Others are not learned, and counted. Default 20,000; at
        /// least 1.
        max_endpoints: usize;
        /// How many values one endpoint may have. Default 64; 1 to 253.
        max_states: usize;
        /// How many encoded bytes the values of one endpoint may take together. Default 1 MiB; at least 1.
        max_state_bytes: usize;
        /// How many exchanges may wait for peers that are slow or not connected yet, some 52 KiB each at most. Further SYNs are dropped, and
        /// counted. Default 8; at least 2.
        max_pending_acks: usize;
        /// To how many peers something may be due at the same time, 160 bytes each; memory is taken for no more than are known. Where all
        /// places are taken, what is due to somebody who does not take it is dropped, and counted. Default 8,192; at least 256.
        max_pending_peers: usize;
        /// How many events may wait to be taken, 48 bytes each. What finds no room is counted, and told by
        /// [`Event::Lost`](crate::Event::Lost). Default 4,096; at least 16.
        max_pending_events: usize;
        /// How many connections may be open, dialled and accepted together. Default 4,096; at least 2.
        max_connections: usize;
        /// How many dials may be in progress. Messages that would need another are dropped, and counted. Default 64; at least 1.
        max_dials: usize;
        /// How many accepted connections may be in their handshake. When there are more, the oldest of them is closed, and counted.
        /// Default 256; at least 1.
        max_handshakes: usize;
        /// The greatest message that is taken in, in bytes; a peer that sends a greater one loses its connection. In the shadow round
        /// `max_inbound_bytes` is the limit, if that is greater: the whole cluster comes in one message then. Default 16 MiB; at least
        /// 65,536.
        max_message: usize;
        /// How many bytes all connections together may hold of messages and frames that have not arrived whole. Beyond it, the connection
        /// is closed that holds the most, or for the longest. Default 64 MiB; at least 1 MiB.
        max_inbound_bytes: usize;
        /// How long a dial may take. Default 2 s.
        connect_timeout: Duration;
        /// How long a handshake may take once connected, on either side. Default 30 s.
        handshake_timeout: Duration;
        /// A connection over which nothing came or went for so long is closed. Default 1 h.
        idle_timeout: Duration;
        /// Whether the clock of the sender decides if a message has expired, as in Cassandra. A sender whose clock is 10 s behind is then
        /// never found live (`pitfalls.md` §1.3).
        ///
        /// Deviation: off by default.
        cross_node_timeout: bool;
        /// The greatest packet that is sent over [`Transport::Datagram`], in bytes, without the headers of UDP and IP; the same on all
        /// nodes of a cluster, since a value that one of them can send must fit the packets of all. Default 1,400; 512 to 65,507, and
        /// large enough for the names of cluster and partitioner in half of it.
        max_datagram_size: usize;
        /// Over how many packets a SYN may spread. Where they do not list everybody, those with news come first, the rest comes in
        /// turn, and failures take as many times longer to detect ([`Gossiper::digest_rotation`](crate::Gossiper::digest_rotation)).
        /// Default 16, about 1,300 endpoints; 1 to 1,024.
        max_syn_datagrams: u16;
        /// How many bytes of packets are sent in a second at the most; what is due waits for the next. A cluster of 1,000 nodes needs some 100
        /// KiB/s of each. Default 1 MiB/s; 16 KiB/s to 4 GiB/s.
        max_datagram_rate: u32;
    }

    /// Class name of the partitioner: who has another is not talked to. Default [`DEFAULT_PARTITIONER`]; of a gossip-only member
    /// [`CASSANDRA_PARTITIONER`].
    pub fn partitioner(mut self, class_name: &str) -> Self {
        class_name.clone_into(&mut self.partitioner);
        self
    }

    /// Adds an endpoint through which others are found. The node itself is left out.
    pub fn seed(mut self, endpoint: Endpoint) -> Self {
        self.seeds.push(endpoint);
        self
    }

    /// Adds an endpoint known from an earlier run (`gossip-semantics.md` §3.3): it is tried now and then until it is heard of.
    pub fn saved_endpoint(self, endpoint: Endpoint) -> Self {
        self.saved(SavedEndpoint::new(endpoint))
    }

    /// As [`ConfigBuilder::saved_endpoint`], with what else was saved of it. A former address is forgotten by that.
    pub fn saved(mut self, saved: SavedEndpoint) -> Self {
        self.saved.push(saved);
        self
    }

    /// Adds an endpoint that was removed before the node was restarted; see [`Gossiper::tombstones`](crate::Gossiper::tombstones).
    pub fn tombstone(mut self, tombstone: Tombstone) -> Self {
        self.tombstones.push(tombstone);
        self
    }

    /// Checks all of it.
    ///
    /// # Errors
    ///
    /// [`ConfigError`]: the first thing that is wrong.
    pub fn build(mut self) -> Result<Config, ConfigError> {
        let interval = self.interval;
        let intervals = |set: Option<Duration>, count: u32| set.unwrap_or(interval.saturating_mul(count));
        let hour = Duration::from_hours(1);
        in_range("interval", interval, Duration::from_millis(1), hour)?;
        let initial_arrival_interval = intervals(self.initial_arrival_interval, 2);
        // A window's intervals are kept in 32 bits of microseconds.
        let greatest =
            Duration::from_hours(1).saturating_mul(2).min(Duration::from_micros(u64::from(u32::MAX)));
        // At 20 % loss among 1,000 nodes many are longer than 2: were they dropped, the few short ones would convict the living.
        let longest = if self.transport == Transport::Datagram { 8 } else { 2 };
        let max_arrival_interval =
            self.max_arrival_interval.unwrap_or_else(|| interval.saturating_mul(longest).min(greatest));
        in_range("initial_arrival_interval", initial_arrival_interval, Duration::from_micros(1), greatest)?;
        in_range("max_arrival_interval", max_arrival_interval, Duration::from_micros(1), greatest)?;
        let max_local_pause = intervals(self.max_local_pause, 5);
        in_range("max_local_pause", max_local_pause, interval.saturating_mul(2), Duration::MAX)?;
        let least = Duration::from_millis(1);
        in_range("echo_timeout", intervals(self.echo_timeout, 10), interval, Duration::MAX)?;
        in_range("connect_timeout", self.connect_timeout, least, Duration::MAX)?;
        in_range("handshake_timeout", self.handshake_timeout, least, Duration::MAX)?;
        in_range("idle_timeout", self.idle_timeout, least, Duration::MAX)?;
        if !(1.0..=1_000.0).contains(&self.phi_convict_threshold) {
            return Err(ConfigError::Threshold { value: self.phi_convict_threshold });
        }
        for (field, value, min, max) in [
            ("arrival_window", usize::from(self.arrival_window), 1, 1_000),
            ("max_endpoints", self.max_endpoints, 1, u32::MAX as usize),
            // A receiver may add three when the endpoint stops.
            ("max_states", self.max_states, 1, crate::message::MAX_STATES - 3),
            ("max_state_bytes", self.max_state_bytes, 1, usize::MAX),
            ("max_pending_acks", self.max_pending_acks, 2, 65_535),
            ("max_pending_peers", self.max_pending_peers, MIN_PEERS, 1 << 24),
            ("max_pending_events", self.max_pending_events, 16, 1 << 24),
            ("max_tombstones", self.max_tombstones, 1, 1 << 24),
            ("max_large_bytes", self.max_large_bytes, 1 << 20, usize::MAX),
            ("max_connections", self.max_connections, 2, 1 << 24),
            ("max_dials", self.max_dials, 1, 1 << 24),
            ("max_handshakes", self.max_handshakes, 1, 1 << 24),
            ("max_inbound_bytes", self.max_inbound_bytes, 1 << 20, usize::MAX),
            ("max_message", self.max_message, 1 << 16, 1 << 30),
            ("max_datagram_size", self.max_datagram_size, 512, 65_507),
            ("max_syn_datagrams", usize::from(self.max_syn_datagrams), 1, 1_024),
            ("max_datagram_rate", self.max_datagram_rate as usize, 1 << 14, u32::MAX as usize),
        ] {
            if !(min..=max).contains(&value) {
                return Err(ConfigError::OutOfRange { field, value, min, max });
            }
        }
        for (field, text) in [("cluster", &self.cluster), ("partitioner", &self.partitioner)] {
            let length = encoded_len(text);
            if text.is_empty() || length > MAX_NAME {
                return Err(ConfigError::Name { field, length });
            }
        }
        if self.transport == Transport::Datagram {
            let names = encoded_len(&self.cluster) + encoded_len(&self.partitioner);
            let needed = 2 * (names + SYN_OVERHEAD);
            if self.max_datagram_size < needed {
                return Err(ConfigError::OutOfRange {
                    field: "max_datagram_size",
                    value: self.max_datagram_size,
                    min: needed,
                    max: 65_507,
                });
            }
        }
        #[cfg(feature = "seal")]
        if self.keys.is_some() && self.transport != Transport::Datagram {
            return Err(ConfigError::NothingToSeal);
        }
        #[cfg(feature = "tls")]
        if self.tls.is_some() && self.transport != Transport::Internode {
            return Err(ConfigError::NoConnections);
        }
        if self.local.is_unspecified() {
            return Err(ConfigError::UnspecifiedAddress { endpoint: self.local });
        }
        let own = self.cassandra.as_ref().map_or_else(Vec::new, Cassandra::states);
        let mut states = Vec::with_capacity(own.len() + self.states.len());
        for (key, value) in own.iter().chain(&self.states) {
            let limit = longest_value(self.transport, self.max_datagram_size);
            check_value(*key, value, limit).map_err(ConfigError::State)?;
            states.push((*key, encoded(value)));
        }
        if states.len() > self.max_states {
            return Err(ConfigError::OutOfRange {
                field: "the number of states",
                value: states.len(),
                min: 0,
                max: self.max_states,
            });
        }
        if self.generation.get() <= 0 {
            return Err(ConfigError::Generation { generation: self.generation });
        }
        let is_gossip_only = self.cassandra.is_some();
        // `gossip-semantics.md` §1.
        let fat_client_timeout = is_gossip_only.then(|| interval.saturating_mul(30));
        let is_seed = self.seeds.contains(&self.local);
        self.seeds.retain(|seed| *seed != self.local);
        self.seeds.sort_unstable();
        self.seeds.dedup();
        self.saved.retain(|saved| saved.endpoint != self.local);
        self.saved.sort_unstable_by_key(|saved| saved.endpoint);
        self.saved.dedup_by_key(|saved| saved.endpoint);
        Ok(Config {
            cluster: encoded(&self.cluster),
            partitioner: encoded(&self.partitioner),
            local: self.local,
            generation: self.generation,
            entropy: self.entropy,
            seeds: self.seeds,
            saved: self.saved,
            states,
            is_gossip_only,
            transport: self.transport,
            interval,
            phi_convict_threshold: self.phi_convict_threshold,
            arrival_window: self.arrival_window,
            initial_arrival_interval,
            max_arrival_interval,
            max_local_pause,
            echo_timeout: intervals(self.echo_timeout, 10),
            shutdown_announce: intervals(self.shutdown_announce, 2),
            leaving_delay: intervals(self.leaving_delay, 5),
            ring_delay: intervals(self.ring_delay, 30),
            quarantine: intervals(self.quarantine, 60),
            fat_client_timeout: self.fat_client_timeout.or(fat_client_timeout),
            failed_bootstrap_timeout: self.failed_bootstrap_timeout,
            dead_endpoint_ttl: self.dead_endpoint_ttl,
            tombstone_ttl: self.tombstone_ttl,
            tombstones: self.tombstones,
            max_tombstones: self.max_tombstones,
            probe_after: intervals(self.probe_after, 10),
            probe_convicts: self.probe_convicts,
            shadow_round: self.shadow_round || self.only_asks || is_gossip_only,
            only_asks: self.only_asks,
            metadata_id: self.metadata_id,
            saved_metadata_id: self.saved_metadata_id,
            metadata_service: self.metadata_service,
            replace: self.replace,
            is_seed,
            compression: self.compression,
            max_large_bytes: self.max_large_bytes,
            max_endpoints: self.max_endpoints,
            max_states: self.max_states,
            max_state_bytes: self.max_state_bytes,
            max_pending_acks: self.max_pending_acks,
            max_pending_peers: self.max_pending_peers,
            max_pending_events: self.max_pending_events,
            max_connections: self.max_connections,
            max_dials: self.max_dials,
            max_handshakes: self.max_handshakes,
            max_message: self.max_message,
            max_inbound_bytes: self.max_inbound_bytes,
            connect_timeout: self.connect_timeout,
            handshake_timeout: self.handshake_timeout,
            idle_timeout: self.idle_timeout,
            cross_node_timeout: self.cross_node_timeout,
            max_datagram_size: self.max_datagram_size,
            max_syn_datagrams: self.max_syn_datagrams,
            max_datagram_rate: self.max_datagram_rate,
            #[cfg(feature = "seal")]
            keys: self.keys,
            #[cfg(feature = "tls")]
            tls: self.tls,
        })
    }
}

/// The longest cluster or partitioner name, in encoded bytes: a SYN must have room for digests beside them.
const MAX_NAME: usize = 1_024;

fn in_range(field: &'static str, value: Duration, min: Duration, max: Duration) -> Result<(), ConfigError> {
    if (min..=max).contains(&value) {
        Ok(())
    } else {
        Err(ConfigError::DurationOutOfRange { field, value, min, max })
    }
}

pub(crate) fn encoded(text: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(encoded_len(text));
    encode_str(text, &mut bytes);
    bytes
}

/// What a SYN takes beside names and digests: the packet's own bytes, its head, lengths, our own digest.
const SYN_OVERHEAD: usize = crate::datagram::OVERHEAD + 8 + 27;

/// The longest value that a message has room for, in encoded bytes.
const fn longest_value(transport: Transport, max_datagram_size: usize) -> usize {
    match transport {
        Transport::Internode => MAX_CASSANDRA_LEN,
        // The numbers of requests and states, an IPv6 address, heartbeat and number of values, and what belongs to a value.
        Transport::Datagram => max_datagram_size - crate::datagram::OVERHEAD - 8 - 19 - 12 - 10,
    }
}

/// Whether a value could be published at all.
pub(crate) fn check_value(key: ApplicationState, value: &str, limit: usize) -> Result<(), SetStateError> {
    let length = encoded_len(value);
    if length > limit {
        return Err(SetStateError::TooLong { key, length, limit });
    }
    if key.number() < 0 {
        return Err(SetStateError::NegativeKey { key });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn builder() -> ConfigBuilder {
        Config::builder("c", Endpoint::v4([10, 0, 0, 1], 7000), Generation::new(1), [0; 32])
    }

    #[test]
    fn times_scale_with_the_interval() {
        let config = builder().interval(Duration::from_millis(200)).build().unwrap();
        assert_eq!(config.echo_timeout, Duration::from_secs(2));
        assert_eq!(config.max_arrival_interval, Duration::from_millis(400));
        let config = builder().echo_timeout(Duration::from_secs(7)).build().unwrap();
        assert_eq!(config.echo_timeout, Duration::from_secs(7));
        assert_eq!(config.max_arrival_interval, Duration::from_secs(2));
    }

    #[test]
    fn what_cannot_work_is_refused() {
        assert!(matches!(
            builder().arrival_window(0).build(),
            Err(ConfigError::OutOfRange { field: "arrival_window", value: 0, min: 1, max: 1_000 })
        ));
        assert!(matches!(
            builder().interval(Duration::ZERO).build(),
            Err(ConfigError::DurationOutOfRange { .. })
        ));
        assert!(matches!(
            builder().phi_convict_threshold(f64::NAN).build(),
            Err(ConfigError::Threshold { .. })
        ));
        for threshold in [-8.0, 0.0, 0.9, 1_000.1] {
            let refused = builder().phi_convict_threshold(threshold).build();
            assert!(matches!(refused, Err(ConfigError::Threshold { .. })), "{threshold}");
        }
        assert!(matches!(
            builder().partitioner("").build(),
            Err(ConfigError::Name { field: "partitioner", .. })
        ));
        let unspecified = Config::builder("c", Endpoint::v4([0; 4], 7000), Generation::new(1), [0; 32]);
        assert!(matches!(unspecified.build(), Err(ConfigError::UnspecifiedAddress { .. })));
        let long = "x".repeat(32_768);
        let refused = builder().state(ApplicationState::DC, &long).build();
        assert!(matches!(refused, Err(ConfigError::State(SetStateError::TooLong { length: 32_768, .. }))));
    }

    #[test]
    fn oneself_is_no_seed() {
        let local = Endpoint::v4([10, 0, 0, 1], 7000);
        let other = Endpoint::v4([10, 0, 0, 2], 7000);
        let config = builder().seed(local).seed(other).seed(other).saved_endpoint(local).build().unwrap();
        assert_eq!(config.seeds, [other]);
        assert!(config.saved.is_empty());
    }
}
