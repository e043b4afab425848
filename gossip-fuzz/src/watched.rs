//! A node under watch: what is asserted here holds for any input.

use core::time::Duration;
use std::collections::BTreeMap;

use arbitrary::Arbitrary;
use gossip_core::message::Message;
use gossip_core::{
    ApplicationState, Config, ConfigBuilder, ConnectionId, DEFAULT_PARTITIONER, Datagrams, Detector,
    Endpoint, Event, Generation, GossipOnly, Input, KeyRing, Limits, Membership, Node, Output, SealKey,
    Standing, Timeouts, Timestamp, Transport, Version,
};

use crate::content::{CLUSTER, HOST_ID, Key, LOCAL, Text, Who};

const STATUS: ApplicationState = ApplicationState::STATUS;
const TOKENS: ApplicationState = ApplicationState::TOKENS;

/// How many endpoints a node here keeps, itself included.
const MAX_ENDPOINTS: usize = 12;

/// How many values it keeps of each, and how many bytes of them.
const MAX_STATES: usize = 12;
const MAX_STATE_BYTES: usize = 8_192;

/// How many events may wait, and how many connections there may be.
const MAX_EVENTS: usize = 64;
pub(crate) const MAX_CONNECTIONS: usize = 12;

/// How many endpoints it remembers that are gone.
const MAX_TOMBSTONES: usize = 4;

/// How much a node may want before it says that nothing is left. All events, and for each connection that it closes, dials and
/// writes to; packets have a limit of their own, which is below this.
const MAX_OUTPUTS: usize = MAX_EVENTS + 8 * MAX_CONNECTIONS + 64;

/// What receivers add to the values of an endpoint that stopped.
const INVENTED: usize = 3;

/// A second, in nanoseconds.
pub(crate) const SECOND: u64 = 1_000_000_000;

/// How a node is set up, beside what all here have in common.
#[derive(Arbitrary, Clone, Copy, Debug, Default)]
pub(crate) struct Tuning {
    flags: u8,
    saved: Option<Who>,
    tombstone: Option<Who>,
}

/// Every endpoint but the driven node is another host.
fn host_id(local: Endpoint) -> &'static str {
    if local == LOCAL { HOST_ID } else { "00000000-0000-0000-0000-000000000003" }
}

impl Tuning {
    const fn has(self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    pub(crate) fn config(
        self,
        transport: Transport,
        local: Endpoint,
        generation: Generation,
    ) -> ConfigBuilder {
        let config = Config::builder(CLUSTER, local, generation, entropy(local, generation));
        let mut config = self
            .tuned(config)
            .transport(transport)
            .state(ApplicationState::HOST_ID, host_id(local))
            .state(ApplicationState::STATUS_WITH_PORT, "NORMAL,1");
        if transport == Transport::Datagram && self.has(64) {
            config = config.keys(ring(0));
        }
        config
    }

    /// One that takes part as a gossip-only member of a Cassandra cluster.
    pub(crate) fn gossip_only(self, local: Endpoint, generation: Generation) -> ConfigBuilder<GossipOnly> {
        let host_id = host_id(local).parse().expect("it is a UUID");
        let config = Config::gossip_only(CLUSTER, local, generation, entropy(local, generation), host_id);
        self.tuned(config).partitioner(DEFAULT_PARTITIONER)
    }

    fn tuned<M>(self, config: ConfigBuilder<M>) -> ConfigBuilder<M> {
        config
            .limits(Limits {
                max_endpoints: MAX_ENDPOINTS,
                max_states: MAX_STATES,
                max_state_bytes: MAX_STATE_BYTES,
                max_pending_events: MAX_EVENTS,
                max_pending_acks: 2,
                max_connections: MAX_CONNECTIONS,
                max_dials: 4,
                max_handshakes: 3,
                max_tombstones: MAX_TOMBSTONES,
                ..Limits::default()
            })
            .datagrams(Datagrams { max_size: self.max_datagram_size(), max_per_syn: 2, max_rate: 1 << 14 })
            .membership(Membership { shadow_round: self.has(2), ..Membership::default() })
            .detector(Detector { probe_convicts: self.has(8), ..Detector::default() })
            .timeouts(Timeouts { cross_node_timeout: self.has(16), ..Timeouts::default() })
            .compression(self.has(4))
    }

    pub(crate) const fn is_gossip_only(self) -> bool {
        self.has(128)
    }

    pub(crate) const fn is_sealed(self) -> bool {
        self.has(64)
    }

    pub(crate) const fn max_datagram_size(self) -> usize {
        if self.has(1) { 512 } else { 1_400 }
    }

    /// The endpoints that it knew before, its tombstones, and after how long others are forgotten: two nodes of which one has forgotten the other do not
    /// agree before that begins anew.
    pub(crate) fn with_the_past<M>(self, mut config: ConfigBuilder<M>) -> ConfigBuilder<M> {
        if self.has(32) {
            let timeout = Duration::from_secs(30);
            config = config.change_membership(|membership| {
                membership.fat_client_timeout = Some(timeout);
                membership.failed_bootstrap_timeout = Some(timeout * 2);
                membership.dead_endpoint_ttl = Some(timeout * 4);
            });
        }
        if let Some(saved) = self.saved.and_then(Who::reachable) {
            config = config.saved_endpoint(saved);
        }
        if let Some(gone) = self.tombstone {
            config = config.tombstone(gossip_core::Tombstone {
                endpoint: gone.endpoint(),
                generation: Generation::new(crate::content::START),
                until_unix_ms: u64::MAX,
            });
        }
        config
    }
}

/// No two processes have the same.
fn entropy(local: Endpoint, generation: Generation) -> [u8; 32] {
    let mut entropy = [0; 32];
    entropy[..4].copy_from_slice(&generation.get().to_be_bytes());
    entropy[4..6].copy_from_slice(&local.port().to_be_bytes());
    if let core::net::IpAddr::V4(ip) = local.ip() {
        entropy[6..10].copy_from_slice(&ip.octets());
    }
    entropy
}

/// One or two keys, of which the first seals.
pub(crate) fn ring(n: u8) -> KeyRing {
    let keys: &[u8] = match n % 4 {
        0 => &[1],
        1 => &[1, 2],
        2 => &[2, 1],
        _ => &[2],
    };
    KeyRing::new(keys.iter().map(|byte| SealKey::new([*byte; 32]))).expect("there are keys, each once")
}

/// What an application asks of its node.
#[derive(Arbitrary, Clone, Debug)]
pub(crate) enum Command<'a> {
    Set { key: Key, text: Text<'a> },
    Shutdown,
    Abandon,
    Leave,
    Disable,
    Enable,
    Assassinate { whom: Who },
    Seeds { whom: Vec<Who> },
    Keys { ring: u8 },
}

/// What a node wants of its driver, in memory of its own.
#[derive(Clone, Debug)]
pub(crate) enum Wanted {
    Connect(ConnectionId, Endpoint),
    Write(ConnectionId, Vec<u8>),
    Close(ConnectionId),
    Packet(Endpoint, Vec<u8>),
}

/// A node, its time, and what was seen of it so far.
pub(crate) struct Watched {
    pub(crate) node: Node,
    /// What its driver takes for the time; it may go back.
    pub(crate) now: Timestamp,
    buffer: Vec<u8>,
    /// How far everybody was known when that was looked at last.
    views: BTreeMap<Endpoint, (Generation, Version)>,
    /// The greatest generation that it had: what its driver has stored.
    pub(crate) stored: Generation,
    is_stopped: bool,
    /// The greatest time that it was given.
    latest: Timestamp,
    was_timeout: bool,
    /// Whether it is a gossip-only member of a Cassandra cluster.
    is_gossip_only: bool,
}

impl Watched {
    pub(crate) fn new(config: Config, now: Timestamp) -> Self {
        let node = Node::new(config, now);
        let stored = node.gossiper().generation();
        Self {
            node,
            now,
            buffer: vec![0; Node::MIN_BUFFER],
            views: BTreeMap::new(),
            stored,
            is_stopped: false,
            latest: now,
            was_timeout: false,
            is_gossip_only: false,
        }
    }

    /// One that takes part as a gossip-only member of a Cassandra cluster, and is to leave no trace there.
    pub(crate) fn gossip_only(config: Config, now: Timestamp) -> Self {
        Self { is_gossip_only: true, ..Self::new(config, now) }
    }

    /// Asserts of a message that was written that a gossip-only member may send it (`docs/protocol/gossip-only-member.md#leave-in-silence`).
    pub(crate) fn check_trace(&self, message: &Message<'_>) {
        if !self.is_gossip_only {
            return;
        }
        let states = match message {
            Message::Shutdown(_) => panic!("a gossip-only member announces its shutdown"),
            Message::Ack(ack) => &ack.states,
            Message::Ack2(ack2) => &ack2.states,
            _ => return,
        };
        let gossiper = self.node.gossiper();
        for (of, state) in states.iter() {
            let says_so = state.values().any(|(key, value)| {
                key.is_status() && value.text.as_str().is_some_and(|text| text.starts_with("shutdown,"))
            });
            // A large message is sent in pieces: it may know a later process by now, or nothing any more.
            if gossiper.heartbeat(of).is_none_or(|known| known.generation != state.heartbeat.generation) {
                continue;
            }
            let has_tokens = gossiper.value(of, TOKENS).is_some();
            assert!(has_tokens || !says_so, "{of} has no tokens, and is reported to be shut down");
            assert!(has_tokens || state.heartbeat.version != Version::SHUTDOWN, "{of} is sent with its mark");
        }
    }

    pub(crate) const fn is_gossip_only(&self) -> bool {
        self.is_gossip_only
    }

    pub(crate) fn local(&self) -> Endpoint {
        self.node.gossiper().local_endpoint()
    }

    pub(crate) const fn is_stopped(&self) -> bool {
        self.is_stopped
    }

    /// Whether its driver may go on with `endpoint`: it stands as live.
    pub(crate) fn finds_live(&self, endpoint: Endpoint) -> bool {
        self.node.gossiper().standing(endpoint) == Some(Standing::Live)
    }

    pub(crate) fn input(&mut self, input: Input<'_>) {
        self.latest = self.latest.max(self.now);
        self.was_timeout = matches!(input, Input::Timeout);
        self.node.handle_input(self.now, input);
    }

    pub(crate) fn pass(&mut self, nanos: u64) {
        self.now = Timestamp::from_nanos(self.now.as_nanos().saturating_add(nanos));
    }

    pub(crate) fn accept(&mut self) -> Option<ConnectionId> {
        self.latest = self.latest.max(self.now);
        self.was_timeout = false;
        self.node.accept(self.now)
    }

    pub(crate) fn command(&mut self, command: &Command<'_>) {
        self.latest = self.latest.max(self.now);
        self.was_timeout = false;
        let now = self.now;
        match command {
            Command::Set { key, text } => {
                let (key, text) = (key.key(), text.text());
                if let Ok(version) = self.node.set_state(now, key, &text) {
                    let (stored, found) =
                        self.node.gossiper().value(self.local(), key).expect("it was just set");
                    assert_eq!((stored.to_text(), found), (text.into(), version));
                }
            }
            Command::Shutdown => self.node.shutdown(now),
            Command::Abandon => self.node.abandon(now),
            // Refusals are as good.
            Command::Leave => drop(self.node.leave(now)),
            // Either may be refused, which is for the operator to know.
            Command::Disable => drop(self.node.disable(now)),
            Command::Enable => drop(self.node.enable(now)),
            Command::Assassinate { whom } => drop(self.node.assassinate(now, whom.endpoint())),
            Command::Seeds { whom } => {
                let seeds: Vec<Endpoint> = whom.iter().copied().filter_map(Who::reachable).collect();
                self.node.set_seeds(&seeds);
                assert!(!self.node.gossiper().seeds().contains(&self.local()));
            }
            Command::Keys { ring: n } => drop(self.node.set_keys(ring(*n))),
        }
    }

    /// Asks what the node wants until nothing is left.
    pub(crate) fn drain(&mut self) -> Vec<Wanted> {
        let mut wanted = Vec::new();
        let mut buffer = core::mem::take(&mut self.buffer);
        let mut outputs = 0;
        let deadline = loop {
            outputs += 1;
            assert!(outputs <= MAX_OUTPUTS, "it goes on and on: {wanted:?}");
            match self.node.poll(&mut buffer) {
                Output::Connect { connection, to } => wanted.push(Wanted::Connect(connection, to)),
                Output::Write { connection, bytes } => wanted.push(Wanted::Write(connection, bytes.to_vec())),
                Output::Close { connection } => wanted.push(Wanted::Close(connection)),
                Output::Datagram { to, bytes } => wanted.push(Wanted::Packet(to, bytes.to_vec())),
                Output::Event(event) => self.on_event(event),
                Output::Timeout(deadline) => break deadline,
                other => panic!("a driver does not know what to do with {other:?}"),
            }
        };
        assert!(deadline.is_none() || !self.is_stopped, "a node that has stopped waits for nothing");
        if self.was_timeout {
            assert!(deadline.is_none_or(|deadline| deadline > self.latest), "its driver would never sleep");
        }
        let again = self.node.poll(&mut buffer);
        assert!(
            matches!(again, Output::Timeout(same) if same == deadline),
            "nothing was left, but {again:?}"
        );
        self.buffer = buffer;
        self.check_views();
        self.check_bounds();
        wanted
    }

    fn on_event(&mut self, event: Event) {
        assert!(!self.is_stopped, "{event:?} comes after the end");
        match event {
            Event::GenerationRaised { old, new, .. } => {
                assert!(old < new, "{old} to {new}");
                self.stored = self.stored.max(new);
            }
            // A forgotten endpoint may return through state that others still have.
            Event::Forgotten { endpoint, .. } => drop(self.views.remove(&endpoint)),
            // Lost events may be about any endpoint.
            Event::Lost { .. } => {
                let gossiper = self.node.gossiper();
                self.views.retain(|endpoint, _| gossiper.heartbeat(*endpoint).is_some());
            }
            Event::Stopped => self.is_stopped = true,
            _ => {}
        }
    }

    /// (generation, greatest version) of everybody known never goes back.
    fn check_views(&mut self) {
        let gossiper = self.node.gossiper();
        for endpoint in gossiper.endpoints() {
            let (Some(heartbeat), Some(max_version)) =
                (gossiper.heartbeat(endpoint), gossiper.max_version(endpoint))
            else {
                panic!("{endpoint} is listed, and not known");
            };
            let view = (heartbeat.generation, max_version);
            assert!(heartbeat.version <= max_version);
            if let Some(before) = self.views.insert(endpoint, view) {
                assert!(before <= view, "{endpoint} goes back from {before:?} to {view:?}");
            }
        }
        assert!(self.stored >= gossiper.generation(), "a generation that was never handed out to be stored");
    }

    fn check_bounds(&self) {
        let gossiper = self.node.gossiper();
        assert!(gossiper.endpoint_count() <= MAX_ENDPOINTS);
        assert_eq!(gossiper.endpoints().count(), gossiper.endpoint_count());
        assert!(gossiper.tombstones().count() <= MAX_TOMBSTONES);
        for endpoint in gossiper.endpoints() {
            let (mut count, mut bytes) = (0, 0);
            for (key, text, version) in gossiper.values(endpoint) {
                assert!(version <= gossiper.max_version(endpoint).expect("it is known"), "{endpoint}: {key}");
                count += 1;
                bytes += text.len();
            }
            assert!(count <= MAX_STATES + INVENTED, "{endpoint} has {count} values");
            assert!(bytes <= MAX_STATE_BYTES + 64, "{endpoint} has {bytes} bytes");
        }
        assert_eq!(gossiper.standing(self.local()), Some(Standing::Live));
        if self.is_gossip_only {
            let (keys, local) = ([STATUS, ApplicationState::STATUS_WITH_PORT, TOKENS], self.local());
            assert!(
                keys.iter().all(|key| gossiper.value(local, *key).is_none()),
                "it has a status or tokens"
            );
        }
    }
}
