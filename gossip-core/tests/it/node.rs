//! A whole node, driven by hand: scenarios B10, C9, C17, D7, D10 to D16, E1 and K17 of the specification, and what goes out
//! compressed or too large for one frame.

use core::time::Duration;

use gossip_core::internode::{
    Accept, ConnectionKind, ConnectionType, FrameHeader, FrameKind, Framing, Header, Inbound, InboundEvent,
    InboundLimits, Initiate, MAX_HEADER, Params, Scratch, VersionRange, wrap,
};
use gossip_core::{
    ApplicationState, Config, ConfigBuilder, ConnectionId, Endpoint, Event, Generation, Input,
    MAX_URGENT_MESSAGE, MessagingVersion, Node, Output, Timestamp, Uuid, Verb, encode_tokens,
};

use crate::support::{CLUSTER, Content, State, ack, decode, digest, endpoint, heartbeat, syn, written};

const A: &str = "10.0.0.1:7000";
const B: &str = "10.0.0.2:7000";

/// What the wall clock reads at the start, in milliseconds since the Unix epoch.
const NOW: u64 = 1_700_000_000_000;
const SECOND: Duration = Duration::from_secs(1);
const V12: MessagingVersion = MessagingVersion::V12;

fn builder(seeds: &[&str]) -> ConfigBuilder {
    let config = Config::builder(CLUSTER, endpoint(A), Generation::new(100), [7; 32]);
    seeds.iter().fold(config, |config, seed| config.seed(endpoint(seed)))
}

/// A node under virtual time, and what it has asked of its driver.
struct Driver {
    node: Node,
    now: Timestamp,
    buffer: Vec<u8>,
    /// Connections that were dialled and closed since the last look.
    dialled: Vec<(ConnectionId, Endpoint)>,
    closed: Vec<ConnectionId>,
    writes: Vec<(ConnectionId, Vec<u8>)>,
    events: Vec<Event>,
}

/// The far end of a connection that the node dialled.
struct FarEnd {
    connection: ConnectionId,
    inbound: Inbound,
    scratch: Scratch,
    initiate: Option<Initiate>,
}

/// A message that arrived there.
#[derive(Debug)]
struct Arrived {
    id: u64,
    verb: Verb,
    created_at: u32,
    body: Vec<u8>,
}

impl Arrived {
    fn content(&self) -> Content {
        Content::of(&decode(self.verb, &self.body, V12).unwrap())
    }
}

impl Driver {
    fn new(config: ConfigBuilder) -> Self {
        Self::of(config.build().unwrap())
    }

    fn of(config: Config) -> Self {
        let mut driver = Self {
            node: Node::new(config, Timestamp::ZERO),
            now: Timestamp::ZERO,
            buffer: vec![0; Node::MIN_BUFFER],
            dialled: Vec::new(),
            closed: Vec::new(),
            writes: Vec::new(),
            events: Vec::new(),
        };
        driver.input(Input::WallClock { unix_ms: NOW });
        driver
    }

    fn input(&mut self, input: Input<'_>) {
        self.node.handle_input(self.now, input);
        loop {
            match self.node.poll(&mut self.buffer) {
                Output::Connect { connection, to } => self.dialled.push((connection, to)),
                Output::Write { connection, bytes } => self.writes.push((connection, bytes.to_vec())),
                Output::Close { connection } => self.closed.push(connection),
                Output::Event(event) => self.events.push(event),
                Output::Timeout(_) => return,
                output => panic!("{output:?}"),
            }
        }
    }

    /// Lets time pass in steps of half a second.
    fn advance(&mut self, duration: Duration) {
        let end = self.now + duration;
        while self.now < end {
            self.now = end.min(self.now + Duration::from_millis(500));
            self.input(Input::Timeout);
        }
    }

    /// The bytes that were written to a connection since the last look.
    fn written_to(&mut self, connection: ConnectionId) -> Vec<u8> {
        let (mine, others) =
            core::mem::take(&mut self.writes).into_iter().partition(|(to, _)| *to == connection);
        self.writes = others;
        mine.into_iter().flat_map(|(_, bytes)| bytes).collect()
    }

    /// The only connection that was dialled since the last look.
    fn take_dialled(&mut self) -> (ConnectionId, Endpoint) {
        let dialled = core::mem::take(&mut self.dialled);
        let [only] = dialled[..] else { panic!("{dialled:?}") };
        only
    }

    /// Takes the connection that was dialled, up to the end of the handshake.
    fn connect(&mut self) -> FarEnd {
        let (connection, _) = self.take_dialled();
        self.connect_over(connection)
    }

    fn connect_over(&mut self, connection: ConnectionId) -> FarEnd {
        self.input(Input::Opened { connection });
        let limits = InboundLimits { wanted: |_| true, ..InboundLimits::default() };
        let versions = VersionRange { min: 12, max: 12 };
        let mut far_end = FarEnd {
            connection,
            inbound: Inbound::new(versions, limits),
            scratch: Scratch::new(),
            initiate: None,
        };
        assert!(far_end.take(&self.written_to(connection)).is_empty());
        self.input(Input::Writable { connection });
        self.input(Input::Bytes { connection, bytes: &Accept { max: 12, version: 12 }.to_bytes() });
        far_end
    }

    /// What arrives at the far end, which takes all that it is given.
    fn arrived(&mut self, far_end: &mut FarEnd) -> Vec<Arrived> {
        let mut arrived = Vec::new();
        loop {
            let bytes = self.written_to(far_end.connection);
            if bytes.is_empty() {
                return arrived;
            }
            arrived.extend(far_end.take(&bytes));
            self.input(Input::Writable { connection: far_end.connection });
        }
    }

    /// A peer dials the node, and completes the handshake.
    fn accepted_from(&mut self, from: &str) -> ConnectionId {
        let connection = self.node.accept(self.now).unwrap();
        self.input(Input::Bytes { connection, bytes: &initiate(from) });
        let accept = Accept::decode(&self.written_to(connection)).unwrap().unwrap().0;
        // Guests speak version 14 as well.
        assert!(accept.version == 12 && [13, 14].contains(&accept.max), "{accept:?}");
        self.input(Input::Writable { connection });
        connection
    }

    fn receive(&mut self, connection: ConnectionId, messages: &[Vec<u8>]) {
        let bytes = frame(&messages.concat());
        self.input(Input::Bytes { connection, bytes: &bytes });
    }

    fn stats(&self) -> gossip_core::Stats {
        *self.node.stats()
    }

    fn unix_ms(&self) -> u64 {
        NOW + u64::try_from(self.now.saturating_since(Timestamp::ZERO).as_millis()).unwrap()
    }
}

impl FarEnd {
    fn take(&mut self, bytes: &[u8]) -> Vec<Arrived> {
        let mut arrived = Vec::new();
        let mut input = bytes;
        while let Some(event) = self.inbound.next(&mut input, &mut self.scratch) {
            match event {
                InboundEvent::Initiated { initiate, .. } => self.initiate = Some(initiate),
                InboundEvent::Message { header, payload } => arrived.push(Arrived {
                    id: header.id,
                    verb: header.verb,
                    created_at: header.created_at,
                    body: payload.to_vec(),
                }),
                event => panic!("{event:?}"),
            }
        }
        arrived
    }

    fn kind(&self) -> ConnectionKind {
        self.initiate.unwrap().kind
    }
}

fn initiate(from: &str) -> Vec<u8> {
    let versions = VersionRange { min: 12, max: 12 };
    written(|out| {
        Initiate::messaging(ConnectionType::Urgent, Framing::Crc, versions, endpoint(from)).encode(out)
    })
}

fn header(id: u64, verb: Verb, payload_size: usize, created_ms: u64, expires_in: i64) -> Vec<u8> {
    let created_at = u32::try_from(created_ms & 0xffff_ffff).unwrap();
    let params = Params::NONE;
    let header = Header { id, epoch: 0, created_at, expires_in, verb, flags: 0, params, payload_size };
    assert!(header.encoded_len(V12) <= MAX_HEADER);
    written(|out| header.encode(V12, out))
}

fn message(id: u64, content: &Content) -> Vec<u8> {
    let body = content.body(V12);
    [header(id, content.verb(), body.len(), NOW, 300_000), body].concat()
}

fn raw(id: u64, verb: Verb, body: &[u8]) -> Vec<u8> {
    [&header(id, verb, body.len(), NOW, 300_000), body].concat()
}

fn frame(payload: &[u8]) -> Vec<u8> {
    let mut buffer = vec![0; payload.len() + 10];
    buffer[6..6 + payload.len()].copy_from_slice(payload);
    let range = wrap(Framing::Crc, FrameKind::SelfContained, &mut buffer, 6..6 + payload.len()).unwrap();
    buffer[range].to_vec()
}

const ECHO: Content = Content::Echo { verb: Verb::ECHO_REQ };

fn echoes(arrived: &[Arrived]) -> Vec<u64> {
    arrived.iter().filter(|arrived| arrived.verb == Verb::ECHO_RSP).map(|arrived| arrived.id).collect()
}

/// We send none: whatever fails is asked for again.
#[test]
fn an_abandoned_node_does_nothing_that_was_due() {
    let config = builder(&[B]).build().unwrap();
    let mut node = Node::new(config, Timestamp::ZERO);
    let now = Timestamp::ZERO + SECOND;
    node.handle_input(now, Input::Timeout);
    // A dial of the seed is due.
    node.abandon(now);
    let mut buffer = vec![0; Node::MIN_BUFFER];
    assert!(matches!(node.poll(&mut buffer), Output::Event(Event::Stopped)));
    assert!(matches!(node.poll(&mut buffer), Output::Timeout(None)));
    assert!(node.accept(now).is_none());
}

#[test]
fn b10_failure_response_is_skipped() {
    let mut a = Driver::new(builder(&[]));
    let from_b = a.accepted_from(B);
    let reason = written(|out| out.uvint(3));
    assert_eq!(reason, [3], "of an incompatible schema");
    a.receive(from_b, &[raw(1, Verb::FAILURE_RSP, &reason), message(2, &ECHO)]);
    assert_eq!((a.stats().skipped, a.stats().malformed), (1, 0));
    let mut far_end = a.connect();
    assert_eq!(echoes(&a.arrived(&mut far_end)), [2], "the next is taken");
    assert_eq!(a.closed, []);
}

/// The numbers are those of our versions: 12 is the first that we speak.
#[test]
fn c9_dialler_of_an_older_protocol_gets_no_usable_answer() {
    let mut a = Driver::new(builder(&[]));
    let connection = a.node.accept(a.now).unwrap();
    // The flags of a handshake of version 10: the version in the second byte.
    let old = [&[0xca, 0x55, 0x2d, 0xfa][..], &[0, 0, 10, 0]].concat();
    a.input(Input::Bytes { connection, bytes: &old });
    a.input(Input::Bytes { connection, bytes: &[0; 32] });
    assert_eq!(a.written_to(connection), []);
    assert_eq!((&a.closed[..], a.stats().connections_failed), (&[connection][..], 1));
}

/// There is nothing here that could reject a peer for who it is; being rejected ends the dial, and what was due.
#[test]
fn c17_peer_that_rejects_us_is_left_alone_for_a_while() {
    let mut a = Driver::new(builder(&[B]));
    a.advance(SECOND);
    let (connection, to) = a.take_dialled();
    assert_eq!(to, endpoint(B));
    a.input(Input::Opened { connection });
    assert!(!a.written_to(connection).is_empty());
    a.input(Input::Closed { connection });
    assert_eq!((a.stats().messages_dropped, a.stats().messages_sent), (1, 0));
    assert_eq!((&a.dialled[..], &a.writes[..]), (&[][..], &[][..]));
    a.advance(SECOND);
    assert_eq!(a.take_dialled().1, endpoint(B), "the next round tries again");
}

/// A node of which the own state takes so many values of 30,000 bytes.
fn large(values: i32, config: ConfigBuilder) -> ConfigBuilder {
    (0..values).fold(config, |config, n| config.state(ApplicationState::new(1_000 + n), &"x".repeat(30_000)))
}

/// The pieces of whatever is written to a connection, and the message that they make.
fn in_pieces(a: &mut Driver, far_end: &mut FarEnd) -> (Vec<(FrameKind, usize)>, Vec<Arrived>) {
    let (mut pieces, mut arrived) = (Vec::new(), Vec::new());
    loop {
        let bytes = a.written_to(far_end.connection);
        let Some(header) = FrameHeader::decode(Framing::Crc, &bytes).unwrap() else {
            return (pieces, arrived);
        };
        assert_eq!(bytes.len(), 6 + header.len + 4, "one frame at a time");
        pieces.push((header.kind, header.len));
        arrived.extend(far_end.take(&bytes));
        a.input(Input::Writable { connection: far_end.connection });
    }
}

#[test]
fn d7_large_message_goes_out_in_pieces_of_32_kib() {
    let mut a = Driver::new(large(2, builder(&[])).state(ApplicationState::LOAD, &"1".repeat(9_900)));
    let from_b = a.accepted_from(B);
    a.receive(from_b, &[message(1, &syn(&[]))]);
    let urgent = a.take_dialled().0;
    a.connect_over(urgent);
    let mut far_end = a.connect();
    let (pieces, arrived) = in_pieces(&mut a, &mut far_end);
    let total: usize = pieces.iter().map(|(_, len)| len).sum();
    assert!((65_516..98_304).contains(&total), "{total}");
    let expected = [32_768, 32_768, total - 65_536].map(|len| (FrameKind::Piece, len));
    assert_eq!(pieces, expected);
    let [only] = &arrived[..] else { panic!("{arrived:?}") };
    assert_eq!((only.verb, only.body.len() > 69_000), (Verb::GOSSIP_DIGEST_ACK, true));
    let Content::Ack { requests, states } = only.content() else { panic!("{only:?}") };
    assert_eq!((requests.len(), states.len(), states[0].1.values.len()), (0, 1, 3));
    assert_eq!(a.stats().snapshots, 1);
}

#[test]
fn d11_what_is_too_large_goes_over_the_large_connection_and_the_rest_over_the_urgent_one() {
    let mut a = Driver::new(large(3, builder(&[])));
    let from_b = a.accepted_from(B);
    a.receive(from_b, &[message(1, &syn(&[digest(A, 100, 3)]))]);
    let mut urgent = a.connect();
    assert_eq!(urgent.kind(), ConnectionKind::Messaging(ConnectionType::Urgent));
    let arrived = a.arrived(&mut urgent);
    assert_eq!(arrived.iter().map(|arrived| arrived.verb).collect::<Vec<_>>(), [Verb::GOSSIP_DIGEST_ACK]);
    assert!(arrived[0].body.len() <= MAX_URGENT_MESSAGE);

    a.receive(from_b, &[message(2, &syn(&[])), message(3, &ECHO)]);
    let mut large = a.connect();
    assert_eq!(large.kind(), ConnectionKind::Messaging(ConnectionType::Large));
    let (_, arrived) = in_pieces(&mut a, &mut large);
    assert_eq!(arrived.len(), 1);
    assert!(arrived[0].body.len() > MAX_URGENT_MESSAGE);
    assert_eq!(echoes(&a.arrived(&mut urgent)), [3], "nothing waits behind it");
}

#[test]
fn d10_body_that_cannot_be_read_costs_only_its_message() {
    let mut a = Driver::new(builder(&[]));
    let from_b = a.accepted_from(B);
    let mut messages: Vec<Vec<u8>> = (1..=5).map(|id| message(id, &ECHO)).collect();
    messages[3] = raw(4, Verb::GOSSIP_DIGEST_SYN, &[0, 1]);
    a.receive(from_b, &messages);
    assert_eq!(a.stats().malformed, 1);
    let mut far_end = a.connect();
    assert_eq!(echoes(&a.arrived(&mut far_end)), [1, 2, 3, 5]);
    a.receive(from_b, &[message(6, &ECHO)]);
    assert_eq!(echoes(&a.arrived(&mut far_end)), [6], "the connection is still there");
    assert_eq!(a.closed, []);
}

/// Deviation: intentions wait, not messages. What is due ten times is sent once, as it is then; nothing can expire in between.
#[test]
fn d12_what_waited_is_sent_once_and_fresh() {
    let mut a = Driver::new(builder(&[B]));
    a.advance(SECOND);
    let mut far_end = a.connect();
    let first = far_end.take(&a.written_to(far_end.connection));
    assert_eq!(first.len(), 1);
    // Nothing is taken off the connection for ten rounds.
    a.advance(Duration::from_secs(10));
    assert_eq!(a.written_to(far_end.connection), []);
    a.input(Input::Writable { connection: far_end.connection });
    let arrived = a.arrived(&mut far_end);
    let [only] = &arrived[..] else { panic!("{arrived:?}") };
    let Content::Syn { digests, .. } = only.content() else { panic!("{only:?}") };
    assert_eq!(digests, [digest(A, 100, 12)], "the heartbeat of the twelfth round");
    assert_eq!(u64::from(only.created_at), a.unix_ms() & 0xffff_ffff);
    assert_eq!(a.stats().messages_dropped, 0);
}

#[test]
fn d13_what_was_due_to_nobody_is_dropped_and_later_messages_get_through() {
    let mut a = Driver::new(builder(&[B]));
    for round in 1..=5 {
        a.advance(SECOND);
        let (connection, _) = a.take_dialled();
        a.input(Input::Failed { connection });
        assert_eq!(a.stats().messages_dropped, round, "nothing of it is kept");
    }
    a.advance(SECOND);
    let mut far_end = a.connect();
    let arrived = a.arrived(&mut far_end);
    assert_eq!(arrived.len(), 1, "and nothing of it comes late");
    assert_eq!(a.stats().messages_dropped, 5);
}

#[test]
fn d14_restarted_acceptor_is_dialled_anew() {
    let mut a = Driver::new(builder(&[B]));
    a.advance(SECOND);
    let mut before = a.connect();
    assert_eq!(a.arrived(&mut before).len(), 1);
    a.input(Input::Closed { connection: before.connection });
    assert_eq!(a.dialled, [], "nothing is due");
    a.advance(SECOND);
    let mut after = a.connect();
    assert_ne!(before.connection, after.connection);
    assert_eq!(a.arrived(&mut after).len(), 1);
}

/// The bounds are of another kind than Cassandra's: lists of exchanges, and bytes of large messages.
#[test]
fn d15_what_exceeds_the_limits_is_dropped_and_counted() {
    let mut a = Driver::new(large(40, builder(&[])).change_limits(|limits| {
        limits.max_large_bytes = 1 << 20;
        limits.max_state_bytes = 2 << 20;
    }));
    let from_b = a.accepted_from(B);
    a.receive(from_b, &[message(1, &syn(&[]))]);
    a.connect();
    a.connect();
    assert_eq!(a.writes, []);
    assert_eq!((a.stats().messages_dropped, a.stats().snapshots), (1, 0));

    let mut a = Driver::new(builder(&[]).change_limits(|limits| limits.max_pending_acks = 2));
    for n in 2..7 {
        let from = a.accepted_from(&format!("10.0.0.{n}:7000"));
        a.receive(from, &[message(1, &syn(&[digest(A, 100, 3)]))]);
    }
    // It is counted with the next round.
    a.advance(SECOND);
    // There are two lists. A peer without a connection loses its list to one that may read it.
    assert_eq!((a.stats().messages_displaced, a.stats().exchanges_dropped), (3, 0));
}

#[test]
fn d16_what_was_too_long_under_way_is_not_handled() {
    let echoes = |created: u64| -> Vec<Vec<u8>> {
        (1..=10).map(|id| header(id, Verb::ECHO_REQ, 0, created, 50)).collect()
    };
    let mut a = Driver::new(builder(&[]).change_timeouts(|timeouts| timeouts.cross_node_timeout = true));
    let from_b = a.accepted_from(B);
    a.receive(from_b, &echoes(NOW - 100));
    assert_eq!(a.stats().expired, 10);
    assert_eq!((&a.dialled[..], a.stats().messages_sent), (&[][..], 0), "none is answered");
    a.receive(from_b, &echoes(NOW - 49));
    assert_eq!((a.stats().expired, a.dialled.len()), (10, 1));
    // Deviation: the sender's clock does not decide unless that is wished.
    let mut a = Driver::new(builder(&[]));
    let from_b = a.accepted_from(B);
    a.receive(from_b, &echoes(NOW - 100));
    assert_eq!((a.stats().expired, a.dialled.len()), (0, 1));
}

/// Without the feature for it there is no TLS at all.
#[test]
fn e1_a_tls_hello_is_refused_and_plain_taken() {
    let mut a = Driver::new(builder(&[]));
    let connection = a.node.accept(a.now).unwrap();
    let hello = [&[0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3][..], &[0x5a; 64]].concat();
    a.input(Input::Bytes { connection, bytes: &hello });
    assert_eq!((&a.closed[..], a.stats().connections_failed), (&[connection][..], 1));
    assert_eq!(a.written_to(connection), []);
    a.accepted_from(B);
}

#[test]
fn k17_silent_acceptor_is_given_up_after_30_s_and_dialled_again() {
    let mut a = Driver::new(builder(&[B]));
    a.advance(SECOND);
    let (connection, _) = a.take_dialled();
    a.input(Input::Opened { connection });
    assert_eq!(a.written_to(connection).len(), 19, "an Initiate and nothing else");
    a.input(Input::Writable { connection });
    a.advance(Duration::from_millis(29_500));
    assert_eq!((&a.dialled[..], &a.closed[..], &a.writes[..]), (&[][..], &[][..], &[][..]));
    a.advance(Duration::from_millis(500));
    assert_eq!((&a.closed[..], a.stats().timeouts), (&[connection][..], 1));
    assert_eq!(a.stats().messages_dropped, 1, "of thirty rounds one SYN was waiting");
    a.advance(SECOND);
    let mut far_end = a.connect();
    assert_eq!(a.arrived(&mut far_end).len(), 1);
}

#[test]
fn frames_go_out_compressed_if_that_is_wished() {
    let mut a = Driver::new(large(3, builder(&[])).compression(true));
    let from_b = a.accepted_from(B);
    a.receive(from_b, &[message(1, &syn(&[digest(A, 50, 3)]))]);
    let mut urgent = a.connect();
    assert_eq!(urgent.initiate.unwrap().framing, Framing::Lz4);
    let bytes = a.written_to(urgent.connection);
    let frame = FrameHeader::decode(Framing::Lz4, &bytes).unwrap().unwrap();
    assert!(frame.decompressed.is_some_and(|len| len > 60_000), "{frame:?}");
    assert!(bytes.len() < 2_000, "{}", bytes.len());
    let arrived = urgent.take(&bytes);
    assert!(arrived.iter().any(|arrived| arrived.verb == Verb::GOSSIP_DIGEST_ACK));
    a.input(Input::Writable { connection: urgent.connection });
    // And what is large, in pieces.
    a.receive(from_b, &[message(2, &syn(&[]))]);
    let mut large = a.connect();
    let arrived = a.arrived(&mut large);
    assert_eq!(arrived.len(), 1);
    assert!(arrived[0].body.len() > 90_000);
}

/// Frames and their ends, counted by what was wrong with them.
#[test]
fn what_is_wrong_with_a_connection_is_counted() {
    let mut a = Driver::new(builder(&[]).change_limits(|limits| limits.max_connections = 3));
    let from_b = a.accepted_from(B);
    let mut damaged = frame(&message(1, &ECHO));
    *damaged.last_mut().unwrap() ^= 1;
    a.input(Input::Bytes { connection: from_b, bytes: &damaged });
    assert_eq!((a.stats().corrupt_frames, a.stats().connections_failed), (1, 0));
    a.receive(from_b, &[message(2, &ECHO)]);
    assert_eq!(a.take_dialled().1, endpoint(B), "the connection goes on");
    let mut damaged = frame(&message(3, &ECHO));
    damaged[0] = 0xab;
    a.input(Input::Bytes { connection: from_b, bytes: &damaged });
    assert_eq!((&a.closed[..], a.stats().connections_failed), (&[from_b][..], 1));
    // One connection is being dialled; two more are taken.
    assert!(a.node.accept(a.now).is_some() && a.node.accept(a.now).is_some());
    assert!(a.node.accept(a.now).is_some(), "one that says nothing gives way");
    assert_eq!((a.stats().connections_refused, a.stats().connections_displaced), (0, 1));
    a.advance(Duration::from_secs(2));
    assert_eq!(a.stats().timeouts, 0, "that the dial was taken may come next");
    a.advance(Duration::from_secs(1));
    assert_eq!(a.stats().timeouts, 1, "the dial");
    a.advance(Duration::from_secs(27));
    assert_eq!(a.stats().timeouts, 3, "no peer sent anything");
}

/// A peer that asks for echoes is answered, and takes part in no exchange.
#[test]
fn a_connection_for_echoes_alone_is_closed_after_300_rounds_if_half_the_places_are_taken() {
    for (places, is_closed) in [(5, true), (6, false)] {
        let mut a = Driver::new(builder(&[B]).change_limits(|limits| limits.max_connections = places));
        a.advance(SECOND);
        let mut to_b = a.connect();
        let from_c = a.accepted_from("10.0.0.3:7000");
        a.receive(from_c, &[message(1, &ECHO)]);
        let mut to_c = a.connect();
        let mut exchanges = 0;
        for second in 0..310 {
            a.advance(SECOND);
            exchanges += a.arrived(&mut to_b).len();
            if second < 290 {
                assert_eq!(a.closed, [], "after {second} s");
                a.receive(from_c, &[message(2 + second, &ECHO)]);
            }
            a.arrived(&mut to_c);
        }
        assert!(exchanges >= 300, "{exchanges}");
        let closed: &[_] = if is_closed { &[to_c.connection] } else { &[] };
        assert_eq!(a.closed, closed, "three of {places} places are taken");
    }
}

/// Standard streams, sockets that listen, and 64 readers of the admin port take descriptors as well.
#[test]
fn by_default_connections_leave_an_eighth_of_1024_descriptors_to_others() {
    assert!(gossip_core::Limits::default().max_connections <= 1_024 - 128);
}

/// A real node that runs `describecluster` asks every live member for its schema (`docs/protocol/gossip-only-member.md`).
#[test]
fn questions_for_the_schema_are_answered_with_what_the_members_have() {
    const SCHEMA: &str = "59adb24e-f3cd-3e02-97f0-5b395827453f";
    let (local, host_id) = (endpoint(A), Uuid::from_bytes([7; 16]));
    let config =
        Config::gossip_only(CLUSTER, local, Generation::new(100), [7; 32], host_id).seed(endpoint(B));
    let mut driver = Driver::of(config.build().unwrap());
    driver.input(Input::Timeout);
    let mut to_b = driver.connect();
    let asked = driver.arrived(&mut to_b);
    assert!(matches!(&asked[..], [asked] if asked.verb == Verb::GOSSIP_DIGEST_SYN), "{asked:?}");
    let from_b = driver.accepted_from(B);
    // It knows none yet.
    driver.receive(from_b, &[raw(6, Verb::SCHEMA_VERSION_REQ, &[])]);
    let values = [
        (ApplicationState::SCHEMA, SCHEMA, 2),
        (ApplicationState::TOKENS, &encode_tokens(&[1]), 2),
        (ApplicationState::STATUS_WITH_PORT, "NORMAL,1", 3),
        (ApplicationState::HOST_ID, "22222222-2222-2222-2222-222222222222", 1),
    ];
    let answer = ack(&[], &[(B, State::new(heartbeat(200, 9), &values))]);
    driver.receive(from_b, &[message(1, &answer), raw(7, Verb::SCHEMA_VERSION_REQ, &[])]);
    let arrived = driver.arrived(&mut to_b);
    let answers: Vec<_> = arrived.iter().filter(|arrived| arrived.verb == Verb::SCHEMA_VERSION_RSP).collect();
    let [answer] = answers[..] else { panic!("{arrived:?}") };
    assert_eq!((answer.id, &answer.body[..]), (7, &SCHEMA.parse::<Uuid>().unwrap().to_bytes()[..]));
    // The start-up check of a real node.
    driver.receive(from_b, &[raw(8, Verb::PING_REQ, &[1])]);
    let arrived = driver.arrived(&mut to_b);
    assert!(arrived.iter().any(|arrived| (arrived.id, arrived.verb) == (8, Verb::PING_RSP)), "{arrived:?}");

    // A member of a cluster of ours has no schema, and says nothing.
    let mut driver = Driver::new(builder(&[B]));
    let from_b = driver.accepted_from(B);
    let skipped = driver.stats().skipped;
    driver.receive(from_b, &[raw(9, Verb::SCHEMA_VERSION_REQ, &[])]);
    assert_eq!(driver.stats().skipped, skipped + 1);
}
