//! The configuration of a node.

mod error;
mod groups;
mod kind;

use alloc::borrow::ToOwned;
use alloc::string::String;
use alloc::vec::Vec;
use core::marker::PhantomData;
use core::time::Duration;

pub use self::error::{ConfigError, SetStateError};
pub use self::groups::{Datagrams, Detector, Limits, Membership, Setting, Timeouts};
use self::groups::{ResolvedDetector, ResolvedMembership};
use self::kind::Cassandra;
pub use self::kind::{GossipOnly, Member};
use crate::application_state::ApplicationState;
use crate::budgets::Budgets;
use crate::endpoint::Endpoint;
use crate::internode::VersionRange;
use crate::metadata::MetadataId;
use crate::network::Network;
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

/// The configuration of a node. A `Config` that exists is valid.
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
    pub(crate) detector: ResolvedDetector,
    pub(crate) limits: Limits,
    pub(crate) budgets: Budgets,
    pub(crate) timeouts: Timeouts,
    pub(crate) membership: ResolvedMembership,
    pub(crate) datagrams: Datagrams,
    pub(crate) tombstones: Vec<Tombstone>,
    /// Where peers may have their addresses; empty for everywhere.
    pub(crate) allowed: Vec<Network>,
    /// The identifier of the cluster's metadata, as it was given by hand.
    pub(crate) metadata_id: Option<MetadataId>,
    /// The same, as an earlier process knew it.
    pub(crate) saved_metadata_id: Option<MetadataId>,
    /// The node behaves like one of Cassandra 6.0, and this is its identifier.
    pub(crate) metadata_service: Option<MetadataId>,
    pub(crate) is_seed: bool,
    pub(crate) compression: bool,
    #[cfg(feature = "seal")]
    pub(crate) keys: Option<crate::KeyRing>,
    #[cfg(feature = "tls")]
    pub(crate) tls: Option<crate::Tls>,
}

impl Config {
    /// The time between two rounds.
    pub const fn interval(&self) -> Duration {
        self.interval
    }

    /// The failure detector; its durations are all known.
    pub fn detector(&self) -> Detector {
        self.detector.into()
    }

    /// Limits of memory and of work.
    pub const fn limits(&self) -> Limits {
        self.limits
    }

    /// Timeouts of connections and messages.
    pub const fn timeouts(&self) -> Timeouts {
        self.timeouts
    }

    /// How the node joins and leaves, and when it forgets other endpoints. Its durations are known; `None` is never.
    pub fn membership(&self) -> Membership {
        self.membership.into()
    }

    /// Packets of [`Transport::Datagram`].
    pub const fn datagrams(&self) -> Datagrams {
        self.datagrams
    }

    /// In how many messages a SYN may list everybody.
    pub(crate) const fn syn_messages(&self) -> u16 {
        match self.transport {
            Transport::Internode => 1,
            Transport::Datagram => self.datagrams.max_per_syn,
        }
    }

    /// Whether the node is in a cluster of Cassandra's, or behaves as one of its nodes.
    pub(crate) const fn is_in_cassandra(&self) -> bool {
        self.is_gossip_only || self.membership.only_asks || self.metadata_service.is_some()
    }

    /// Which messaging versions the node negotiates.
    pub(crate) const fn versions(&self) -> VersionRange {
        if self.is_in_cassandra() { VersionRange::SUPPORTED } else { VersionRange::WITHOUT_METADATA }
    }

    /// Whether the node is a guest in a cluster of Cassandra, whose metadata may have an identifier.
    pub(crate) fn follows_metadata_id(&self) -> bool {
        (self.is_gossip_only || self.membership.only_asks)
            && self.partitioner != DEFAULT_PARTITIONER.as_bytes()
            && self.transport == Transport::Internode
    }

    /// The longest value that can be sent, in encoded bytes.
    pub(crate) const fn max_value(&self) -> usize {
        longest_value(self.transport, self.datagrams.max_size)
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
    /// (Cassandra's word is fat client). It publishes what real nodes expect of such a one (`docs/protocol/gossip-only-member.md`), never a status
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
/// Settings that are numbers, times and switches are in groups: [`Detector`], [`Limits`], [`Timeouts`], [`Membership`],
/// [`Datagrams`]. Times whose default is a number of intervals scale with [`ConfigBuilder::interval`] unless they are set.
///
/// ```
/// # use core::time::Duration;
/// # use gossip_core::{Config, Detector, Endpoint, Generation, Limits};
/// # let local = Endpoint::v4([127, 0, 0, 1], 7000);
/// let config = Config::builder("my cluster", local, Generation::new(1_700_000_000), [7; 32])
///     .interval(Duration::from_millis(200))
///     .detector(Detector { phi_convict_threshold: 12.0, ..Detector::default() })
///     .limits(Limits { max_connections: 512, ..Limits::default() })
///     .build()?;
/// # Ok::<(), gossip_core::ConfigError>(())
/// ```
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
    kind: PhantomData<fn() -> M>,
    transport: Transport,
    interval: Duration,
    detector: Detector,
    limits: Limits,
    budgets: Budgets,
    timeouts: Timeouts,
    membership: Membership,
    datagrams: Datagrams,
    tombstones: Vec<Tombstone>,
    allowed: Vec<Network>,
    metadata_id: Option<MetadataId>,
    saved_metadata_id: Option<MetadataId>,
    metadata_service: Option<MetadataId>,
    compression: bool,
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

macro_rules! changers {
    ($($(#[$doc:meta])* $name:ident: $group:ident, $type:ty;)*) => {
        $($(#[$doc])* pub fn $name(mut self, change: impl FnOnce(&mut $type)) -> Self {
            change(&mut self.$group);
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

    /// Encrypts all packets, and takes only those that are encrypted under one of these keys. Needs
    /// [`Transport::Datagram`]: with connections it is an error. Default: packets are not encrypted.
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
            kind: PhantomData,
            transport: Transport::Internode,
            interval: Duration::from_secs(1),
            detector: Detector::default(),
            limits: Limits::default(),
            budgets: Budgets::USUAL,
            timeouts: Timeouts::default(),
            membership: Membership::default(),
            datagrams: Datagrams::default(),
            tombstones: Vec::new(),
            allowed: Vec::new(),
            metadata_id: None,
            saved_metadata_id: None,
            metadata_service: None,
            compression: false,
            #[cfg(feature = "seal")]
            keys: None,
            #[cfg(feature = "tls")]
            tls: None,
        }
    }

    /// Uses TLS on connections. Needs [`Transport::Internode`]: packets are encrypted with keys instead. Default: all connections are
    /// plain.
    #[cfg(feature = "tls")]
    pub fn tls(mut self, tls: crate::Tls) -> Self {
        self.tls = Some(tls);
        self
    }

    setters! {
        /// The time between two rounds: shorter finds changes and deaths sooner, at more traffic. Default 1 s; 1 ms to 1 h.
        interval: Duration;
        /// The failure detector.
        detector: Detector;
        /// Limits of memory and of work.
        limits: Limits;
        /// Timeouts of connections and messages.
        timeouts: Timeouts;
        /// How the node joins and leaves, and when it forgets other endpoints.
        membership: Membership;
        /// Packets of [`Transport::Datagram`].
        datagrams: Datagrams;
        /// The identifier of the cluster's metadata, from Cassandra 6.0 on. A node of 6.0 is asked for it, and what it says counts more: so this
        /// is used only if no node says it. If a node says another one before ours joins, ours stops, with
        /// [`Event::MetadataIdRefused`](crate::Event::MetadataIdRefused).
        metadata_id: MetadataId;
        /// The identifier of the cluster's metadata that an earlier process learned ([`Event::MetadataIdChanged`](crate::Event::MetadataIdChanged)). It
        /// counts only where no node tells any, and none is given.
        saved_metadata_id: MetadataId;
        /// Lets the node behave like one of Cassandra 6.0 whose metadata service is initialised under this identifier: it speaks messaging version
        /// 14, answers no SYN that carries another one, and tells it to those who ask. For tests and simulations. Default: it does not.
        metadata_service: MetadataId;
        /// Whether frames that we send are compressed (LZ4). Off by default.
        compression: bool;
    }

    changers! {
        /// Changes some settings of the failure detector, and leaves the others as they are.
        change_detector: detector, Detector;
        /// Changes some limits, and leaves the others as they are.
        change_limits: limits, Limits;
        /// Changes some timeouts, and leaves the others as they are.
        change_timeouts: timeouts, Timeouts;
        /// Changes some settings of the membership, and leaves the others as they are.
        change_membership: membership, Membership;
        /// Changes some settings of packets, and leaves the others as they are.
        change_datagrams: datagrams, Datagrams;
    }

    /// Lowers some budgets, and leaves the others as they are: to one at least. None is raised. For simulations.
    #[cfg(feature = "buggify")]
    pub fn change_budgets(mut self, change: impl FnOnce(&mut Budgets)) -> Self {
        change(&mut self.budgets);
        self
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

    /// Adds an endpoint known from an earlier run (`docs/protocol/life-cycle.md#start`): it is tried now and then until it is heard of.
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

    /// Adds a network that peers may have their addresses in. Connections from other addresses are refused, and so are packets that name
    /// other senders; endpoints with other addresses are known only from what peers report, and are not dialled. That holds for seeds, too. Default: peers may
    /// have any address.
    pub fn allow(mut self, network: Network) -> Self {
        self.allowed.push(network);
        self
    }

    /// Checks all of it.
    ///
    /// # Errors
    ///
    /// [`ConfigError`]: the first thing that is wrong.
    pub fn build(mut self) -> Result<Config, ConfigError> {
        let interval = self.interval;
        let is_gossip_only = self.cassandra.is_some();
        groups::check_interval(interval)?;
        let detector = self.detector.resolve(interval, self.transport)?;
        self.limits.check()?;
        self.timeouts.check()?;
        let membership = self.membership.resolve(interval, is_gossip_only);
        self.datagrams.check()?;
        for (field, text) in [("cluster", &self.cluster), ("partitioner", &self.partitioner)] {
            let length = encoded_len(text);
            if text.is_empty() || length > MAX_NAME {
                return Err(ConfigError::Name { field, length });
            }
        }
        if self.transport == Transport::Datagram {
            let names = encoded_len(&self.cluster) + encoded_len(&self.partitioner);
            let needed = 2 * (names + SYN_OVERHEAD);
            if self.datagrams.max_size < needed {
                return Err(ConfigError::OutOfRange {
                    field: "datagrams.max_size",
                    value: self.datagrams.max_size,
                    min: needed,
                    max: groups::MAX_DATAGRAM_SIZE,
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
            let limit = longest_value(self.transport, self.datagrams.max_size);
            check_value(*key, value, limit).map_err(ConfigError::State)?;
            states.push((*key, encoded(value)));
        }
        if states.len() > self.limits.max_states {
            return Err(ConfigError::TooManyStates { count: states.len(), max: self.limits.max_states });
        }
        if self.generation.get() <= 0 {
            return Err(ConfigError::Generation { generation: self.generation });
        }
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
            detector,
            limits: self.limits,
            budgets: self.budgets.within_bounds(),
            timeouts: self.timeouts,
            membership,
            datagrams: self.datagrams,
            tombstones: self.tombstones,
            allowed: self.allowed,
            metadata_id: self.metadata_id,
            saved_metadata_id: self.saved_metadata_id,
            metadata_service: self.metadata_service,
            is_seed,
            compression: self.compression,
            #[cfg(feature = "seal")]
            keys: self.keys,
            #[cfg(feature = "tls")]
            tls: self.tls,
        })
    }
}

/// The longest cluster or partitioner name, in encoded bytes: a SYN must have room for digests beside them.
const MAX_NAME: usize = 1_024;

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
        assert_eq!(config.detector.echo_timeout, Duration::from_secs(2));
        assert_eq!(config.detector.max_arrival_interval, Duration::from_millis(400));
        let detector = Detector { echo_timeout: Some(Duration::from_secs(7)), ..Detector::default() };
        let config = builder().detector(detector).build().unwrap();
        assert_eq!(config.detector.echo_timeout, Duration::from_secs(7));
        assert_eq!(config.detector.max_arrival_interval, Duration::from_secs(2));
    }

    #[test]
    fn what_cannot_work_is_refused() {
        assert!(matches!(
            builder().change_detector(|detector| detector.arrival_window = 0).build(),
            Err(ConfigError::OutOfRange { field: "detector.arrival_window", value: 0, min: 1, max: 1_000 })
        ));
        assert!(matches!(
            builder().interval(Duration::ZERO).build(),
            Err(ConfigError::DurationOutOfRange { .. })
        ));
        assert!(matches!(
            builder().change_detector(|detector| detector.phi_convict_threshold = f64::NAN).build(),
            Err(ConfigError::Threshold { .. })
        ));
        for threshold in [-8.0, 0.0, 0.9, 1_000.1] {
            let refused =
                builder().change_detector(|detector| detector.phi_convict_threshold = threshold).build();
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
    fn an_error_names_the_setting_by_group_and_name() {
        let zero = Duration::ZERO;
        for (builder, setting, least) in [
            (builder().interval(zero), "interval", "from 1ms"),
            (
                builder().change_detector(|it| it.echo_timeout = Some(zero)),
                "detector.echo_timeout",
                "least 1s",
            ),
            (builder().limits(Limits { max_dials: 0, ..Limits::default() }), "limits.max_dials", "from 1"),
            (builder().change_limits(|it| it.max_large_bytes = 9), "limits.max_large_bytes", "least 1048576"),
            (builder().change_timeouts(|it| it.idle = zero), "timeouts.idle", "least 1ms"),
            (builder().change_datagrams(|it| it.max_rate = 1), "datagrams.max_rate", "from 16384"),
        ] {
            let error = builder.build().unwrap_err();
            assert_eq!(error.setting(), Some(setting));
            let text = alloc::string::ToString::to_string(&error);
            assert!(text.starts_with(setting) && text.contains(least), "{text}");
        }
    }

    #[test]
    fn a_configuration_says_what_holds() {
        let config = builder().interval(Duration::from_millis(100)).transport(Transport::Datagram);
        let config = config.change_limits(|limits| limits.max_dials = 3).build().unwrap();
        assert_eq!(config.limits(), Limits { max_dials: 3, ..Limits::default() });
        assert_eq!(config.detector().max_arrival_interval, Some(Duration::from_millis(800)));
        assert_eq!(config.membership().quarantine, Some(Duration::from_secs(6)));
        assert_eq!(config.membership().dead_endpoint_ttl, None, "never");
        let again = builder().interval(config.interval()).detector(config.detector());
        let again = again.membership(config.membership()).build().unwrap();
        assert_eq!(again.detector(), config.detector());
        assert_eq!(again.membership(), config.membership());
    }

    #[test]
    fn every_setting_is_documented_with_its_default() {
        for setting in [
            Detector::SETTINGS,
            Limits::SETTINGS,
            Timeouts::SETTINGS,
            Membership::SETTINGS,
            Datagrams::SETTINGS,
        ]
        .concat()
        {
            assert!(setting.lines.concat().contains("efault"), "{setting:?}");
        }
        assert_eq!(Timeouts::SETTINGS[0].name, "connect");
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
