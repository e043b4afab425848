//! A gossip-only member leaves no trace in a Cassandra cluster (`docs/protocol/gossip-only-member.md#leave-in-silence`): whatever is done to it, it sends no message of the verb
//! GOSSIP_SHUTDOWN, publishes no status and no tokens, and sends no `shutdown` of an endpoint without tokens. While it stays away from
//! an upgrade it asks for the identifier of the cluster's metadata, seldom, and sends nothing else.

use alloc::collections::BTreeMap;
use core::time::Duration;

use gossip_core::internode::{
    Accept, ConnectionType, FrameKind, Framing, Header, Inbound, InboundEvent, InboundLimits, Initiate,
    Params, Scratch, VersionRange, wrap,
};
use gossip_core::message::{Digest, PeerLog};
use gossip_core::{
    ApplicationState, CASSANDRA_PARTITIONER, Config, ConnectionId, EnableError, Endpoint, Event, Generation,
    Input, MessagingVersion, MetadataId, Node, Output, Timestamp, Uuid, Verb, Version, encode_tokens,
};
use proptest::prelude::*;
use proptest::sample::select;

use crate::support::{CLUSTER, Content, State, decode, digest, endpoint, heartbeat, java, written};

const US: &str = "10.0.0.9:7000";
/// Real nodes, with tokens.
const REAL: [&str; 2] = ["10.0.0.1:7000", "10.0.0.2:7000"];
/// Others without.
const GOSSIP_ONLY: [&str; 2] = ["10.0.0.3:7000", "10.0.0.4:7000"];

/// What the wall clock reads at the start, in milliseconds since the Unix epoch.
const NOW: u64 = 1_700_000_000_000;
const OUR_GENERATION: i32 = 1_000;
const STATUSES: [&str; 5] =
    ["shutdown,true", "NORMAL,-5", "LEFT,-5,1800000000000", "hibernate,true", "BOOT,-5"];

/// What happens next.
#[derive(Clone, Debug)]
enum Step {
    Pass(u32),
    WallClock(u64),
    /// A message of a real node, or of one without tokens.
    Message(usize, Content),
    /// The answer to the echo that a peer was sent last.
    Answer(usize),
    /// The answer to the question for the identifier that a peer was sent last: 0, or another.
    Tell(usize, bool),
    Shutdown,
    Abandon,
    Leave,
    Disable,
    Enable,
    Set(i32),
    Assassinate(usize),
    Close,
}

fn peer(at: usize) -> Endpoint {
    endpoint([REAL[0], REAL[1], GOSSIP_ONLY[0], GOSSIP_ONLY[1]][at])
}

fn is_real(who: Endpoint) -> bool {
    REAL.iter().any(|real| endpoint(real) == who)
}

/// A state of one of them as others may tell it: real nodes never without their tokens.
fn state(at: usize) -> impl Strategy<Value = (Endpoint, State)> {
    let version = prop_oneof![6 => 1..200_i32, 1 => Just(i32::MAX)];
    let status = prop::option::of((select(&STATUSES[..]), any::<bool>(), 1..90_i32));
    // Now and then it is upgraded.
    let release = prop_oneof![20 => Just("5.0.2"), 1 => Just("6.0.0")];
    (500..503_i32, version, status, release).prop_map(move |(generation, version, status, release)| {
        let host_id = Uuid::from_bytes([u8::try_from(at).unwrap() + 1; 16]).to_string();
        let mut state = State::new(
            heartbeat(generation, version),
            &[
                (ApplicationState::HOST_ID, &host_id, 1),
                (ApplicationState::RELEASE_VERSION, release, 2),
                (ApplicationState::SCHEMA, "59adb24e-f3cd-3e02-97f0-5b395827453f", 3),
            ],
        );
        if let Some((text, with_port, version)) = status {
            let key = if with_port { ApplicationState::STATUS_WITH_PORT } else { ApplicationState::STATUS };
            state.values.push((key, java(text), Version::new(version)));
        }
        if is_real(peer(at)) {
            state.values.push((ApplicationState::TOKENS, java(&encode_tokens(&[-5])), Version::new(4)));
        } else if version % 2 == 0 {
            // As a node of 6.0 has it before it joins.
            state.values.push((ApplicationState::TOKENS, java(&encode_tokens(&[])), Version::new(4)));
        }
        (peer(at), state)
    })
}

fn states() -> impl Strategy<Value = Vec<(Endpoint, State)>> {
    // What others say of us: of an earlier process, or of an earlier release of ours.
    let own =
        (990..1_010_i32, 1..2_000_i32, select(&STATUSES[..])).prop_map(|(generation, version, status)| {
            let host_id = Uuid::from_bytes([0x42; 16]).to_string();
            let values = [
                (ApplicationState::HOST_ID, &host_id[..], 1),
                (ApplicationState::STATUS_WITH_PORT, status, version),
            ];
            (endpoint(US), State::new(heartbeat(generation, version), &values))
        });
    let one = prop_oneof![2 => state(0), 2 => state(1), 3 => state(2), 3 => state(3), 1 => own];
    prop::collection::vec(one, 1..4).prop_map(|states| {
        // Each once, as in a map.
        states.into_iter().collect::<BTreeMap<_, _>>().into_iter().collect()
    })
}

fn digests() -> impl Strategy<Value = Vec<Digest>> {
    let known = select(vec![REAL[0], REAL[1], GOSSIP_ONLY[0], GOSSIP_ONLY[1], US]);
    let one = (known, 499..503_i32, prop_oneof![Just(0), 1..200_i32, Just(i32::MAX)]);
    let one = one.prop_map(|(who, generation, version)| {
        digest(who, if who == US { OUR_GENERATION } else { generation }, version)
    });
    prop::collection::vec(one, 0..5)
}

fn content() -> impl Strategy<Value = Content> {
    prop_oneof![
        3 => digests().prop_map(|digests| Content::Syn {
            cluster: java(CLUSTER),
            partitioner: java(CASSANDRA_PARTITIONER),
            metadata_id: MetadataId::NONE,
            digests,
        }),
        3 => (digests(), states()).prop_map(|(requests, states)| Content::Ack { requests, states }),
        1 => states().prop_map(|states| Content::Ack { requests: Vec::new(), states }),
        4 => states().prop_map(|states| Content::Ack2 { states }),
        1 => Just(Content::Echo { verb: Verb::ECHO_REQ }),
        1 => state(2).prop_map(|(_, state)| Content::Shutdown { state: Some(state) }),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (1..3_000_u32).prop_map(Step::Pass),
        1 => (10_000..100_000_u32).prop_map(Step::Pass),
        1 => (0..1_000_000_u64).prop_map(Step::WallClock),
        12 => (0..4_usize, content()).prop_map(|(from, content)| Step::Message(from, content)),
        4 => (0..4_usize).prop_map(Step::Answer),
        2 => (0..2_usize, any::<bool>()).prop_map(|(from, is_initialised)| Step::Tell(from, is_initialised)),
        1 => select(vec![Step::Shutdown, Step::Abandon, Step::Leave, Step::Close]),
        1 => select(vec![Step::Disable, Step::Enable, Step::Enable]),
        1 => (-1..40_i32).prop_map(Step::Set),
        1 => (0..4_usize).prop_map(Step::Assassinate),
    ]
}

/// The far end of a connection that the node dialled.
struct FarEnd {
    to: Endpoint,
    inbound: Inbound,
    scratch: Scratch,
}

struct World {
    node: Node,
    version: MessagingVersion,
    now: Timestamp,
    buffer: Vec<u8>,
    accepted: BTreeMap<usize, ConnectionId>,
    dialled: BTreeMap<ConnectionId, FarEnd>,
    echoes: BTreeMap<Endpoint, u64>,
    /// The questions for the identifier.
    questions: BTreeMap<Endpoint, u64>,
    /// Whether it has stopped, or is disabled.
    is_silent: bool,
    /// Since when it stays away from an upgrade, and how often it was asked meanwhile to take part.
    away: Option<(Timestamp, u64)>,
    /// How often it has dialled since.
    dials: u64,
    sent: usize,
}

impl World {
    fn new(version: MessagingVersion) -> Self {
        let (local, host_id) = (endpoint(US), Uuid::from_bytes([0x42; 16]));
        let config = Config::gossip_only(CLUSTER, local, Generation::new(OUR_GENERATION), [7; 32], host_id)
            .seed(endpoint(REAL[0]))
            .build();
        let mut world = Self {
            node: Node::new(config.unwrap(), Timestamp::ZERO),
            version,
            now: Timestamp::ZERO,
            buffer: vec![0; Node::MIN_BUFFER],
            accepted: BTreeMap::new(),
            dialled: BTreeMap::new(),
            echoes: BTreeMap::new(),
            questions: BTreeMap::new(),
            is_silent: false,
            away: None,
            dials: 0,
            sent: 0,
        };
        world.input(Input::WallClock { unix_ms: NOW });
        world.input(Input::Timeout);
        // Its seed answers, so that it takes part, unless it tells that an upgrade goes on.
        world.tell(0, false);
        world.input(Input::Timeout);
        let member = |at: usize| {
            let host_id = Uuid::from_bytes([u8::try_from(at).unwrap() + 1; 16]).to_string();
            let values = [
                (ApplicationState::HOST_ID, &host_id[..], 1),
                (ApplicationState::TOKENS, &encode_tokens(&[-5]), 4),
                (ApplicationState::STATUS_WITH_PORT, "NORMAL,-5", 5),
            ];
            (peer(at), State::new(heartbeat(500, 9), &values))
        };
        world.receive(0, &Content::Ack { requests: Vec::new(), states: vec![member(0), member(1)] });
        assert_eq!(world.node.gossiper().is_enabled(), version != MessagingVersion::V14);
        world
    }

    fn input(&mut self, input: Input<'_>) {
        self.node.handle_input(self.now, input);
        self.drain();
    }

    fn drain(&mut self) {
        let mut buffer = core::mem::take(&mut self.buffer);
        loop {
            match self.node.poll(&mut buffer) {
                Output::Connect { connection, to } => {
                    assert!(!self.is_silent, "it dials {to}");
                    self.check_dial(to);
                    let max = u8::try_from(self.version.number()).unwrap();
                    let limits = InboundLimits { wanted: |_| true, ..InboundLimits::default() };
                    let inbound = Inbound::new(VersionRange { min: 12, max }, limits);
                    self.dialled.insert(connection, FarEnd { to, inbound, scratch: Scratch::new() });
                    self.node.handle_input(self.now, Input::Opened { connection });
                }
                Output::Write { connection, bytes } => {
                    assert!(!self.is_silent, "it writes to {connection}");
                    let bytes = bytes.to_vec();
                    self.on_write(connection, &bytes);
                }
                Output::Close { connection } => {
                    self.dialled.remove(&connection);
                    self.accepted.retain(|_, accepted| *accepted != connection);
                }
                Output::Event(Event::Stopped) => self.is_silent = true,
                Output::Event(Event::Withdrawn { .. }) => (self.away, self.dials) = (Some((self.now, 0)), 0),
                Output::Event(Event::Returned { .. }) => self.away = None,
                Output::Event(_) => {}
                Output::Timeout(_) => break,
                output => panic!("{output:?}"),
            }
        }
        self.buffer = buffer;
        self.check_own_values();
    }

    fn on_write(&mut self, connection: ConnectionId, bytes: &[u8]) {
        let Some(far_end) = self.dialled.get_mut(&connection) else {
            assert_eq!(bytes.len(), Accept::SIZE, "an acceptor sends nothing but its answer");
            return;
        };
        let (mut input, mut accept, mut sent) = (bytes, None, Vec::new());
        let to = far_end.to;
        while let Some(event) = far_end.inbound.next(&mut input, &mut far_end.scratch) {
            match event {
                InboundEvent::Initiated { accept: answer, .. } => accept = Some(answer),
                InboundEvent::Message { header, payload } if header.verb.is_gossip() => {
                    assert_eq!(self.away, None, "{} goes out during an upgrade", header.verb);
                    if header.verb == Verb::ECHO_REQ {
                        self.echoes.insert(to, header.id);
                    }
                    sent.push(Content::of(&decode(header.verb, payload, self.version).unwrap()));
                }
                InboundEvent::Message { header, .. } => {
                    assert_ne!(header.verb, Verb::GOSSIP_SHUTDOWN);
                    let is_question = header.verb == Verb::TCM_FETCH_PEER_LOG_REQ;
                    assert!(is_question || self.away.is_none(), "{} goes out during an upgrade", header.verb);
                    if is_question {
                        self.questions.insert(to, header.id);
                    }
                }
                event => panic!("{event:?}"),
            }
        }
        for content in &sent {
            self.check(content);
        }
        self.node.handle_input(self.now, Input::Writable { connection });
        if let Some(bytes) = accept {
            self.node.handle_input(self.now, Input::Bytes { connection, bytes: &bytes });
        }
    }

    /// While it stays away it dials two members at the most, after a minute, and whenever it is asked to take part.
    fn check_dial(&mut self, to: Endpoint) {
        let Some((since, told)) = self.away else { return };
        assert!(is_real(to), "it dials {to}");
        self.dials += 1;
        let minutes = self.now.saturating_since(since).as_secs() / 60;
        assert!(self.dials <= 2 * (minutes + told), "{} dials in {minutes} minutes", self.dials);
    }

    /// What none of its messages may hold.
    fn check(&mut self, content: &Content) {
        self.sent += 1;
        let states = match content {
            Content::Shutdown { .. } => panic!("it announces a shutdown"),
            Content::Syn { digests, .. } => {
                let untold =
                    |digest: &&Digest| !is_real(digest.endpoint) && digest.max_version == Version::SHUTDOWN;
                assert_eq!(digests.iter().find(untold), None, "a mark, in a digest");
                return;
            }
            Content::Ack { states, .. } | Content::Ack2 { states } => states,
            Content::Echo { .. } => return,
        };
        for (of, state) in states {
            let is_mark = |(key, text, _): &&(ApplicationState, Vec<u8>, Version)| {
                key.is_status() && text.starts_with(b"shutdown")
            };
            if !is_real(*of) {
                assert_eq!(state.values.iter().find(is_mark), None, "a mark of {of}");
                assert_ne!(state.heartbeat.version, Version::SHUTDOWN, "{of}");
            }
            if *of == endpoint(US) {
                for (key, text, _) in &state.values {
                    assert!(!key.is_status() && *key != ApplicationState::TOKENS, "{key}");
                    if *key == ApplicationState::NATIVE_ADDRESS_AND_PORT {
                        assert_eq!(text, b"0.0.0.0:0");
                    }
                }
            }
        }
    }

    fn check_own_values(&self) {
        let gossiper = self.node.gossiper();
        for key in [ApplicationState::STATUS, ApplicationState::STATUS_WITH_PORT, ApplicationState::TOKENS] {
            assert!(gossiper.value(endpoint(US), key).is_none(), "it has a {key}");
        }
    }

    fn receive(&mut self, from: usize, content: &Content) {
        self.receive_under(1, from, content);
    }

    fn receive_under(&mut self, id: u64, from: usize, content: &Content) {
        self.receive_body(id, from, content.verb(), &content.body(self.version));
    }

    /// Answers the question for the identifier that `from` was sent last.
    fn tell(&mut self, from: usize, is_initialised: bool) {
        if let Some(id) = self.questions.remove(&peer(from)) {
            let told = if is_initialised { MetadataId::new(7) } else { MetadataId::NONE };
            let body = written(|out| PeerLog::empty(told).encode(out));
            self.receive_body(id, from, Verb::TCM_FETCH_PEER_LOG_RSP, &body);
        }
    }

    fn receive_body(&mut self, id: u64, from: usize, verb: Verb, body: &[u8]) {
        let Some(connection) = self.accepted.get(&from).copied().or_else(|| self.accept(from)) else {
            return;
        };
        let created_ms = NOW + u64::try_from(self.now.saturating_since(Timestamp::ZERO).as_millis()).unwrap();
        let header = Header {
            id,
            epoch: 0,
            created_at: u32::try_from(created_ms & 0xffff_ffff).unwrap(),
            expires_in: 300_000,
            verb,
            flags: 0,
            params: Params::NONE,
            payload_size: body.len(),
        };
        let message = [&written(|out| header.encode(self.version, out))[..], body].concat();
        let mut bytes = [&[0; 6][..], &message, &[0; 4]].concat();
        let range = wrap(Framing::Crc, FrameKind::SelfContained, &mut bytes, 6..6 + message.len()).unwrap();
        let bytes = bytes[range].to_vec();
        self.input(Input::Bytes { connection, bytes: &bytes });
    }

    fn accept(&mut self, from: usize) -> Option<ConnectionId> {
        let is_listening = self.node.is_listening();
        let accepted = self.node.accept(self.now);
        assert!(accepted.is_none() || !self.is_silent, "it accepts {}", peer(from));
        assert_eq!(accepted.is_some(), is_listening);
        let connection = accepted?;
        let max = u8::try_from(self.version.number()).unwrap();
        let versions = VersionRange { min: 12, max };
        let initiate = Initiate::messaging(ConnectionType::Urgent, Framing::Crc, versions, peer(from));
        self.accepted.insert(from, connection);
        self.input(Input::Bytes { connection, bytes: &written(|out| initiate.encode(out)) });
        Some(connection)
    }

    fn step(&mut self, step: &Step) {
        let now = self.now;
        match step {
            Step::Pass(millis) => {
                let end = now + Duration::from_millis(u64::from(*millis));
                while self.now < end {
                    self.now = end.min(self.now + Duration::from_millis(500));
                    self.input(Input::Timeout);
                }
            }
            Step::WallClock(ms) => self.input(Input::WallClock { unix_ms: NOW + ms }),
            Step::Message(from, content) => self.receive(*from, content),
            Step::Answer(from) => {
                if let Some(id) = self.echoes.remove(&peer(*from)) {
                    self.receive_under(id, *from, &Content::Echo { verb: Verb::ECHO_RSP });
                }
            }
            Step::Tell(from, is_initialised) => self.tell(*from, *is_initialised),
            Step::Shutdown => {
                self.node.shutdown(now);
                self.is_silent = true;
            }
            Step::Abandon => {
                self.node.abandon(now);
                self.is_silent = true;
            }
            Step::Leave => assert!(self.node.leave(now).is_err()),
            Step::Disable => {
                if self.node.disable(now).is_ok() {
                    (self.is_silent, self.away) = (true, None);
                }
            }
            Step::Enable => {
                // Refusals are as good.
                let refused = self.node.enable(now).err();
                if matches!(refused, Some(EnableError::Upgrading { .. })) {
                    if self.away.is_none() {
                        self.dials = 0;
                    }
                    self.away.get_or_insert((now, 0)).1 += 1;
                    self.is_silent = false;
                } else {
                    self.is_silent = !self.node.gossiper().is_enabled();
                }
            }
            Step::Set(key) => {
                let set = self.node.set_state(now, ApplicationState::new(*key), "shutdown,true");
                assert!(set.is_err() || (21..=28).contains(key), "{key}");
            }
            Step::Assassinate(whom) => assert!(self.node.assassinate(now, peer(*whom)).is_err()),
            Step::Close => {
                for connection in core::mem::take(&mut self.accepted).into_values() {
                    self.input(Input::Closed { connection });
                }
            }
        }
        self.drain();
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn a_gossip_only_member_says_no_shutdown_whatever_happens_to_it(
        version in select(vec![MessagingVersion::V12, MessagingVersion::V13, MessagingVersion::V14]),
        steps in prop::collection::vec(step(), 1..60),
    ) {
        let mut world = World::new(version);
        for step in &steps {
            world.step(step);
        }
        // Whatever it was, it ends so.
        world.step(&Step::Shutdown);
        for from in 0..4 {
            world.receive(from, &Content::Echo { verb: Verb::ECHO_REQ });
        }
        world.step(&Step::Pass(100_000));
        prop_assert!(world.sent > 0);
    }
}
