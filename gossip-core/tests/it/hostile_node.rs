//! Hostile and broken peers at the other end of a connection: nothing that one peer does or omits may cost
//! the others anything.

use alloc::collections::BTreeMap;
use core::time::Duration;

use gossip_core::internode::{
    Accept, ConnectionType, FrameKind, Framing, Header, Initiate, Params, VersionRange, wrap,
};
use gossip_core::{
    ApplicationState, Config, ConnectionId, Endpoint, Event, Input, MessagingVersion, Node, Output,
    Timestamp, Verb,
};

use crate::support::{Content, State, ack, ack2, builder, digest, endpoint, heartbeat, syn, written};

const A: &str = "10.0.0.1:7000";
const B: &str = "10.0.0.2:7000";

pub(crate) const VERSION: MessagingVersion = MessagingVersion::V12;

/// What a node wants of its driver, with bytes of its own.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Wanted {
    Connect(ConnectionId, Endpoint),
    Write(ConnectionId, Vec<u8>),
    Close(ConnectionId),
}

/// A node, and a driver that hands it whatever a test says.
#[derive(Debug)]
pub(crate) struct Played {
    pub(crate) node: Node,
    pub(crate) now: Timestamp,
    pub(crate) events: Vec<Event>,
    buffer: Vec<u8>,
}

impl Played {
    pub(crate) fn new(config: Config) -> Self {
        let node = Node::new(config, Timestamp::ZERO);
        let (now, events) = (Timestamp::ZERO, Vec::new());
        let mut played = Self { node, now, events, buffer: vec![0; Node::MIN_BUFFER] };
        played.input(Input::WallClock { unix_ms: 1_700_000_000_000 });
        played
    }

    pub(crate) fn input(&mut self, input: Input<'_>) {
        self.node.handle_input(self.now, input);
    }

    pub(crate) fn bytes(&mut self, connection: ConnectionId, bytes: &[u8]) {
        self.input(Input::Bytes { connection, bytes });
    }

    /// A peer dials, names itself, and sends this.
    pub(crate) fn accept(&mut self, from: &str, bytes: &[u8]) -> ConnectionId {
        let connection = self.node.accept(self.now).unwrap();
        self.bytes(connection, &[initiate(from), bytes.to_vec()].concat());
        connection
    }

    fn poll(&mut self) -> Option<Wanted> {
        loop {
            return match self.node.poll(&mut self.buffer) {
                Output::Event(event) => {
                    self.events.push(event);
                    continue;
                }
                Output::Connect { connection, to } => Some(Wanted::Connect(connection, to)),
                Output::Write { connection, bytes } => Some(Wanted::Write(connection, bytes.to_vec())),
                Output::Close { connection } => Some(Wanted::Close(connection)),
                _ => None,
            };
        }
    }

    pub(crate) fn wanted(&mut self) -> Vec<Wanted> {
        core::iter::from_fn(|| self.poll()).collect()
    }

    pub(crate) fn pass(&mut self, millis: u64) {
        self.now = self.now + Duration::from_millis(millis);
    }

    /// A dialled connection opens, and the other side accepts. What is written over it until then is lost.
    pub(crate) fn establish(&mut self, connection: ConnectionId) {
        self.input(Input::Opened { connection });
        let initiate = self.wanted();
        assert!(matches!(&initiate[..], [Wanted::Write(to, _)] if *to == connection), "{initiate:?}");
        self.bytes(connection, &Accept { max: 12, version: 12 }.to_bytes());
        self.input(Input::Writable { connection });
    }
}

/// To whom connections are dialled among these.
pub(crate) fn dialled(wanted: &[Wanted]) -> Vec<Endpoint> {
    let to = |wanted: &Wanted| match wanted {
        Wanted::Connect(_, to) => Some(*to),
        _ => None,
    };
    wanted.iter().filter_map(to).collect()
}

pub(crate) fn initiate(from: &str) -> Vec<u8> {
    let versions = VersionRange { min: 12, max: 12 };
    let initiate = Initiate::messaging(ConnectionType::Urgent, Framing::Crc, versions, endpoint(from));
    written(|out| initiate.encode(out))
}

fn message(verb: Verb, body: &[u8]) -> Vec<u8> {
    let header = header(verb, body.len());
    [written(|out| header.encode(VERSION, out)), body.to_vec()].concat()
}

pub(crate) fn header(verb: Verb, payload_size: usize) -> Header<'static> {
    let (created_at, expires_in) = (0, i64::from(i32::MAX));
    Header { id: 1, epoch: 0, created_at, expires_in, verb, flags: 0, params: Params::NONE, payload_size }
}

fn frame(kind: FrameKind, payload: &[u8]) -> Vec<u8> {
    const MARGIN: usize = 32;
    let end = MARGIN + payload.len();
    let mut buffer = vec![0; end + MARGIN];
    buffer[MARGIN..end].copy_from_slice(payload);
    let range = wrap(Framing::Crc, kind, &mut buffer, MARGIN..end).unwrap();
    buffer[range].to_vec()
}

pub(crate) fn frame_of(content: &Content) -> Vec<u8> {
    frame(FrameKind::SelfContained, &message(content.verb(), &content.body(VERSION)))
}

/// Several nodes whose connections carry everything at once.
struct Net {
    nodes: Vec<Played>,
    dead: Vec<bool>,
    pipes: BTreeMap<(usize, ConnectionId), (usize, ConnectionId)>,
}

impl Net {
    /// Carries what there is to carry, and asserts that who says that nothing is left means it.
    fn settle(&mut self) {
        loop {
            let mut is_busy = false;
            for at in 0..self.nodes.len() {
                while let Some(wanted) = self.nodes[at].poll().filter(|_| !self.dead[at]) {
                    is_busy = true;
                    self.carry(at, wanted);
                }
                let more = self.nodes[at].poll().filter(|_| !self.dead[at]);
                assert_eq!(more, None, "nothing was left, and nothing has come since");
            }
            if !is_busy {
                return;
            }
        }
    }

    fn carry(&mut self, at: usize, wanted: Wanted) {
        match wanted {
            Wanted::Connect(connection, to) => {
                let who = self.nodes.iter().position(|other| other.node.gossiper().local_endpoint() == to);
                let Some(who) = who.filter(|who| !self.dead[*who]) else { return };
                let now = self.nodes[who].now;
                let id = self.nodes[who].node.accept(now).unwrap();
                self.pipes.insert((at, connection), (who, id));
                self.pipes.insert((who, id), (at, connection));
                self.nodes[at].input(Input::Opened { connection });
            }
            Wanted::Write(connection, bytes) => {
                let (who, id) = self.pipes[&(at, connection)];
                if !self.dead[who] {
                    self.nodes[who].bytes(id, &bytes);
                }
                self.nodes[at].input(Input::Writable { connection });
            }
            Wanted::Close(connection) => {
                let Some((who, id)) = self.pipes.remove(&(at, connection)) else { return };
                self.pipes.remove(&(who, id));
                self.nodes[who].input(Input::Closed { connection: id });
            }
        }
    }
}

#[test]
fn handshakes_that_never_end_are_bounded() {
    let mut a =
        Played::new(builder(A, 100).change_limits(|limits| limits.max_handshakes = 2).build().unwrap());
    let accept = |a: &mut Played| {
        a.pass(1);
        let accepted = a.node.accept(a.now).unwrap();
        (accepted, a.wanted())
    };
    let (first, second) = (accept(&mut a).0, accept(&mut a).0);
    a.bytes(first, &initiate(B));
    a.wanted();
    let (third, wanted) = accept(&mut a);
    assert_eq!(wanted, [], "a connection that has named its endpoint makes room");
    let (_, wanted) = accept(&mut a);
    assert_eq!(wanted, [Wanted::Close(second)], "the oldest gives way");
    a.input(Input::Closed { connection: third });
    assert_eq!(accept(&mut a).1, [], "a closed connection makes room, once");
    assert_eq!(accept(&mut a).1.len(), 1);
    let stats = a.node.stats();
    assert_eq!((stats.connections_displaced, stats.connections_refused), (2, 0));
}

#[test]
fn timeout_means_that_nothing_is_left() {
    let nodes = [builder(A, 1), builder(B, 1).seed(endpoint(A))];
    let nodes: Vec<_> = nodes.into_iter().map(|config| Played::new(config.build().unwrap())).collect();
    let mut net = Net { nodes, dead: vec![false; 2], pipes: BTreeMap::new() };
    for round in 0..80 {
        net.dead[1] = round >= 10;
        for node in &mut net.nodes {
            node.pass(1_000);
            node.input(Input::Timeout);
        }
        net.settle();
    }
    // That it died was seen, and with it connections were closed and dialled again.
    assert_eq!(net.nodes[0].node.gossiper().live_endpoints().count(), 0);
    assert!(net.nodes[0].node.stats().timeouts > 0);
}

#[test]
fn nobody_is_answered_under_an_address_that_is_none_or_ours() {
    for from in ["0.0.0.0:7000", "10.0.0.9:0", A] {
        let mut a = Played::new(builder(A, 1).build().unwrap());
        let connection = a.accept(from, &frame_of(&syn(&[digest(B, 1, 1), digest(from, 1, 1)])));
        let wanted = a.wanted();
        assert_eq!(dialled(&wanted), [], "{from}");
        assert!(wanted.contains(&Wanted::Close(connection)), "{from}: {wanted:?}");
        assert_eq!((a.node.stats().syns_received, a.node.stats().connections_failed), (0, 1), "{from}");
    }
}

/// Each of them could be a member that came to know us a moment ago; none of them can be reached.
#[test]
fn strangers_who_cannot_be_reached_starve_nobody() {
    let mut a = Played::new(builder(A, 1).build().unwrap());
    for n in 0..40 {
        let echo = frame(FrameKind::SelfContained, &message(Verb::ECHO_REQ, &[]));
        a.accept(&format!("10.9.0.{n}:7000"), &[frame_of(&syn(&[digest(A, 1, 1)])), echo].concat());
        a.wanted();
    }
    assert_eq!(a.node.stats().exchanges_dropped, 0);
    // Another peer, which can be.
    let friend = "10.0.0.3:7000";
    a.accept(friend, &frame_of(&syn(&[digest(friend, 1, 1)])));
    let wanted = a.wanted();
    let dial = |wanted: &[Wanted], whom: &str| {
        let found = wanted.iter().find_map(|wanted| match wanted {
            Wanted::Connect(connection, to) if *to == endpoint(whom) => Some(*connection),
            _ => None,
        });
        found.unwrap_or_else(|| panic!("{whom} is not dialled: {wanted:?}"))
    };
    let connection = dial(&wanted, friend);
    a.establish(connection);
    assert!(matches!(&a.wanted()[..], [Wanted::Write(to, _)] if *to == connection), "the ACK");
    a.node.set_seeds(&[endpoint(B)]);
    a.pass(1_000);
    a.input(Input::Timeout);
    let connection = dial(&a.wanted(), B);
    a.establish(connection);
    assert!(matches!(&a.wanted()[..], [Wanted::Write(to, _)] if *to == connection), "the SYN to the seed");
}

#[test]
fn unfinished_messages_of_all_connections_are_bounded_together() {
    const LIMIT: usize = 2 << 20;
    let mut a =
        Played::new(builder(A, 1).change_limits(|limits| limits.max_inbound_bytes = LIMIT).build().unwrap());
    let begin = {
        let mut payload = written(|out| header(Verb::GOSSIP_DIGEST_ACK2, 1 << 20).encode(VERSION, out));
        payload.resize(100_000, 0);
        frame(FrameKind::Piece, &payload)
    };
    let mut open: Vec<_> = (0..12).map(|n| a.accept(&format!("10.9.0.{n}:7000"), &begin)).collect();
    a.wanted();
    assert_eq!(a.node.stats().connections_failed, 0);
    // One goes on and on; it is the one to lose its connection, and no other.
    let more = frame(FrameKind::Piece, &vec![0; 100_000]);
    let greedy = open.remove(5);
    let mut given = 100_000;
    let mut wanted = Vec::new();
    while wanted.is_empty() {
        a.bytes(greedy, &more);
        given += 100_000;
        assert!(given < LIMIT, "all of it would be kept");
        wanted = a.wanted();
    }
    assert_eq!(wanted, [Wanted::Close(greedy)]);
    assert!(given + 11 * 100_000 > LIMIT / 2, "memory is taken ahead of need, but not for so much");
    assert_eq!(a.node.stats().connections_failed, 1);
    // What it held is free again.
    for connection in open.iter().take(2) {
        a.bytes(*connection, &more);
    }
    assert_eq!(a.wanted(), []);
}

#[test]
fn what_cannot_be_read_costs_only_itself() {
    let mut a = Played::new(builder(A, 1).build().unwrap());
    let twice = ApplicationState::new(1_000);
    let state = State::new(heartbeat(1, 1), &[(twice, "old", 1), (twice, "new", 2)]);
    let bad = frame_of(&ack2(&[(B, state)]));
    a.accept(B, &[bad, frame_of(&syn(&[digest(B, 1, 1)]))].concat());
    assert_eq!((a.node.stats().malformed, a.node.stats().syns_received), (1, 1));
    assert_eq!(a.node.stats().connections_failed, 0);
}

/// A node with some 900 KB of values, and room for one copy of them.
fn with_large_values(max_dials: usize) -> Played {
    let config = builder(A, 1)
        .change_limits(|limits| (limits.max_large_bytes, limits.max_dials) = (1 << 20, max_dials));
    let config =
        (0..30).fold(config, |config, n| config.state(ApplicationState::new(1_000 + n), &"x".repeat(30_000)));
    Played::new(config.build().unwrap())
}

/// Peers that accept whenever they are dialled, and take all that they are sent.
#[derive(Default)]
struct Takers {
    dialled: BTreeMap<ConnectionId, (Endpoint, bool)>,
    taken: BTreeMap<Endpoint, Vec<u8>>,
}

impl Takers {
    /// Does once what the node wants now; says whether that was anything.
    fn turn(&mut self, node: &mut Played, version: impl Fn(Endpoint) -> u32) -> bool {
        let wanted = node.wanted();
        let is_busy = !wanted.is_empty();
        for wanted in wanted {
            match wanted {
                Wanted::Connect(connection, to) => {
                    self.dialled.insert(connection, (to, false));
                    node.input(Input::Opened { connection });
                }
                Wanted::Write(connection, bytes) => {
                    // The answers to those who dialled us are of no interest.
                    let Some((to, is_established)) = self.dialled.get_mut(&connection) else { continue };
                    if *is_established {
                        self.taken.entry(*to).or_default().extend(bytes);
                    } else {
                        *is_established = true;
                        let version = version(*to);
                        node.bytes(connection, &Accept { max: version, version }.to_bytes());
                    }
                    node.input(Input::Writable { connection });
                }
                Wanted::Close(_) => panic!("{wanted:?}"),
            }
        }
        is_busy
    }
}

#[test]
fn large_messages_wait_for_each_other() {
    let mut a = with_large_values(64);
    // Three who want to know everything at the same time; there is room for the answer in one version. The first and the last share
    // theirs.
    let peers = ["10.0.0.3:7000", "10.0.0.4:7000", "10.0.0.5:7000"].map(endpoint);
    for peer in peers {
        a.accept(&peer.to_string(), &frame_of(&syn(&[])));
    }
    let mut takers = Takers::default();
    let mut turns = 0;
    while takers.turn(&mut a, |to| if to == peers[1] { 13 } else { 12 }) {
        turns += 1;
        assert!(turns < 1_000);
    }
    for peer in peers {
        let bytes = takers.taken.get(&peer).map_or(0, Vec::len);
        assert!(bytes > 30 * 30_000, "{peer} was sent {bytes} bytes");
    }
    assert_eq!((a.node.stats().snapshots, a.node.stats().messages_dropped), (3, 0));
}

#[test]
fn a_hundred_that_ask_for_everything_in_the_same_interval_are_sent_one_copy() {
    let mut a = with_large_values(200);
    for last in 1..=100 {
        a.accept(&format!("10.0.1.{last}:7000"), &frame_of(&syn(&[])));
    }
    let mut takers = Takers::default();
    // How many have been sent something when the first has been sent more than the first piece.
    let mut at_once = None;
    while takers.turn(&mut a, |_| 12) {
        if at_once.is_none() && takers.taken.values().any(|bytes| bytes.len() > 40_000) {
            at_once = Some(takers.taken.len());
        }
    }
    assert_eq!(at_once, Some(100), "no peer waits for the others");
    assert_eq!((a.node.stats().snapshots, a.node.stats().answers_shared), (100, 99));
    assert_eq!((a.node.stats().messages_dropped, takers.taken.len()), (0, 100));
    // All but the header of the message, with its id, is the same.
    let first = takers.taken.values().next().unwrap();
    assert!(first.len() > 30 * 30_000);
    assert!(takers.taken.values().all(|bytes| bytes[40_200..] == first[40_200..]));
    // The next one gets the state of that time.
    a.pass(1_100);
    a.input(Input::Timeout);
    a.accept("10.0.2.1:7000", &frame_of(&syn(&[])));
    while takers.turn(&mut a, |_| 12) {}
    assert_eq!((a.node.stats().snapshots, a.node.stats().answers_shared), (101, 99));
    assert!(takers.taken[&endpoint("10.0.2.1:7000")].len() > 30 * 30_000);
}

#[test]
fn nobody_is_dialled_for_a_ping_that_is_owed_no_more() {
    let mut a = Played::new(builder(A, 1).build().unwrap());
    a.accept(
        B,
        &frame(FrameKind::SelfContained, &message(Verb::PING_REQ, &[ConnectionType::Small.number()])),
    );
    let wanted = a.wanted();
    let connection = wanted
        .iter()
        .find_map(|wanted| match wanted {
            Wanted::Connect(connection, to) if *to == endpoint(B) => Some(*connection),
            _ => None,
        })
        .unwrap();
    a.pass(1_000);
    // The connection is ready, and breaks before the driver has asked what to write.
    a.establish(connection);
    a.input(Input::Closed { connection });
    a.pass(1_000);
    assert_eq!(a.wanted(), []);
    assert_eq!(a.wanted(), [], "also not a moment later");

    // The answer itself goes out, once.
    a.accept(
        B,
        &frame(FrameKind::SelfContained, &message(Verb::PING_REQ, &[ConnectionType::Small.number()])),
    );
    let connection = a.wanted().iter().find_map(|wanted| match wanted {
        Wanted::Connect(connection, _) => Some(*connection),
        _ => None,
    });
    let connection = connection.unwrap();
    a.establish(connection);
    a.input(Input::Writable { connection });
    assert!(matches!(&a.wanted()[..], [Wanted::Write(to, _)] if *to == connection));
    a.input(Input::Writable { connection });
    assert_eq!(a.wanted(), []);
}

#[test]
fn nothing_is_wanted_of_a_connection_that_is_gone() {
    let mut a = Played::new(builder(A, 1).seed(endpoint(B)).build().unwrap());
    // Not the beginning of a handshake of our own.
    a.input(Input::Timeout);
    let Some(Wanted::Connect(connection, _)) = a.poll() else { panic!("the seed is dialled") };
    a.input(Input::Opened { connection });
    a.input(Input::Closed { connection });
    let wanted = a.wanted();
    assert!(!wanted.iter().any(|wanted| matches!(wanted, Wanted::Write(..))), "{wanted:?}");
    // Neither the answer to that of a peer, nor that its connection be closed.
    let connection = a.accept(B, &[]);
    a.input(Input::Closed { connection });
    let refused = a.accept(A, &[]);
    a.input(Input::Closed { connection: refused });
    assert_eq!(a.wanted(), []);
}

#[test]
fn a_node_that_is_given_only_messages_keeps_its_rounds() {
    let mut a = Played::new(builder(A, 1).seed(endpoint(B)).build().unwrap());
    let empty = frame_of(&ack2(&[]));
    let connection = a.accept("10.9.0.1:7000", &empty);
    let silent = a.node.accept(a.now).unwrap();
    let mut closed = Vec::new();
    for _ in 0..600 {
        a.pass(100);
        a.bytes(connection, &empty);
        closed.extend(a.wanted());
    }
    assert_eq!(a.node.stats().rounds, 61, "a minute of rounds, and no timeout was ever given");
    assert!(closed.contains(&Wanted::Close(silent)), "what takes too long ends as well");
}

#[test]
fn a_node_that_is_only_dialled_keeps_its_rounds() {
    let mut a = Played::new(builder(A, 1).change_limits(|limits| limits.max_handshakes = 4).build().unwrap());
    for _ in 0..600 {
        a.pass(100);
        let _ = a.node.accept(a.now);
        a.wanted();
    }
    assert_eq!(a.node.stats().rounds, 61);
}

/// As many addresses as one likes.
fn address(net: u8, n: usize) -> String {
    format!("10.{net}.{}.{}:7000", n / 250, n % 250 + 1)
}

/// A minute, in seconds.
fn minute(a: &mut Played) {
    for _ in 0..60 {
        a.pass(1_000);
        a.input(Input::Timeout);
        a.wanted();
    }
}

#[test]
fn finished_messages_of_many_peers_leave_the_room_to_unfinished_ones() {
    let mut a = Played::new(builder(A, 1).build().unwrap());
    // What a SYN of a cluster of 3,000 is long; it comes in two reads, whole and right.
    let digests: Vec<_> = (0..3_000).map(|n| digest(&address(1, n), 1, 1)).collect();
    let frame = frame_of(&syn(&digests));
    for n in 0..2_000 {
        let connection = a.accept(&address(2, n), &[]);
        for part in frame.chunks(40_000) {
            a.bytes(connection, part);
            a.wanted();
        }
    }
    assert_eq!((a.node.stats().connections_failed, a.node.stats().syns_received), (0, 2_000));
}

/// The first part of a message that will never be whole, or a further part of it.
fn unfinished(size: usize, is_first: bool) -> Vec<u8> {
    let mut payload = Vec::new();
    if is_first {
        payload = written(|out| header(Verb::GOSSIP_DIGEST_ACK2, (16 << 20) - 100).encode(VERSION, out));
    }
    payload.resize(size, 0);
    frame(FrameKind::Piece, &payload)
}

/// Unknown peers take all the memory for unfinished messages, and dial again when they are cut off.
#[test]
fn strangers_with_unfinished_messages_cut_no_peer_off() {
    const LIMIT: usize = 2 << 20;
    // One SYN is short, and one is longer than what any of the strangers holds. Each comes in two reads.
    for digests in [2, 2_000] {
        let mut a = Played::new(
            builder(A, 1).change_limits(|limits| limits.max_inbound_bytes = LIMIT).build().unwrap(),
        );
        let digests: Vec<_> = (0..digests).map(|n| digest(&address(1, n), 1, 1)).collect();
        let syn = frame_of(&syn(&digests));
        let first = unfinished(70_000, true);
        let mut strangers = 0;
        let mut open = Vec::new();
        for minute in 0..10 {
            // In ever smaller parts, until there is no room for the next.
            for (size, most) in [(20_000, 200), (5_000, 200), (1_000, 100), (200, 50), (60, 50)] {
                let failed = a.node.stats().connections_failed;
                for _ in 0..most {
                    if a.node.stats().connections_failed > failed {
                        break;
                    }
                    strangers += 1;
                    let connection = a.accept(&address(9, strangers), &first[..size]);
                    a.bytes(connection, &first[size..=size]);
                    open.push(connection);
                    let wanted = a.wanted();
                    open.retain(|connection| !wanted.contains(&Wanted::Close(*connection)));
                }
            }
            for _ in 0..6 {
                a.pass(10_000);
                a.input(Input::Timeout);
                let wanted = a.wanted();
                open.retain(|connection| !wanted.contains(&Wanted::Close(*connection)));
                open.iter().for_each(|connection| a.bytes(*connection, &[0]));
            }
            let heard = a.node.stats().syns_received;
            let connection = a.accept(B, &syn[..syn.len() / 2]);
            a.bytes(connection, &syn[syn.len() / 2..]);
            let wanted = a.wanted();
            assert_eq!(a.node.stats().syns_received, heard + 1, "minute {minute}, {strangers} strangers");
            assert!(!wanted.contains(&Wanted::Close(connection)), "minute {minute}");
            open.retain(|connection| !wanted.contains(&Wanted::Close(*connection)));
            a.input(Input::Closed { connection });
        }
    }
}

/// However slowly the bytes of it come, and whatever comes between them.
#[test]
fn an_unfinished_message_comes_to_an_end() {
    let small = frame_of(&ack2(&[]));
    let part = unfinished(100, false);
    let ways: [(Vec<u8>, Vec<u8>); 3] = [
        // A frame, byte by byte.
        (frame(FrameKind::SelfContained, &vec![0; 60_000])[..10].to_vec(), vec![0]),
        // A large message, in pieces.
        (unfinished(100, true), part),
        // The same, and between its pieces messages that are finished.
        (unfinished(100, true), small),
    ];
    for (way, (first, next)) in ways.into_iter().enumerate() {
        let mut a = Played::new(builder(A, 1).build().unwrap());
        let connection = a.accept("10.9.0.1:7000", &first);
        let mut seconds = 0;
        let mut is_closed = false;
        while !is_closed {
            a.pass(1_000);
            a.input(Input::Timeout);
            is_closed = a.wanted().contains(&Wanted::Close(connection));
            seconds += 1;
            if !is_closed && seconds % 20 == 0 {
                a.bytes(connection, &next);
            }
            assert!(seconds <= 310, "way {way}: it may take ten times as long as one step of it");
        }
        assert!(seconds >= 290, "way {way}: it ended after {seconds} s");
        assert_eq!((a.node.stats().timeouts, a.node.stats().connections_failed), (1, 0), "way {way}");
    }
}

#[test]
fn strangers_leave_dials_to_seeds_and_the_proven() {
    for strangers in [0, 40, 64, 200] {
        let mut a = Played::new(builder(A, 1).seed(endpoint(B)).build().unwrap());
        let echo = frame(FrameKind::SelfContained, &message(Verb::ECHO_REQ, &[]));
        let open: Vec<_> = (0..strangers).map(|n| a.accept(&address(9, n), &echo)).collect();
        let mut dials = 0;
        // Two minutes, in tenths of a second.
        for _ in 0..1_200 {
            for connection in &open {
                a.bytes(*connection, &echo);
            }
            a.input(Input::Timeout);
            for wanted in a.wanted() {
                // A dial to the seed is refused at once, as while it restarts; others hang.
                if let Wanted::Connect(connection, to) = wanted
                    && to == endpoint(B)
                {
                    dials += 1;
                    a.input(Input::Failed { connection });
                }
            }
            a.wanted();
            a.pass(100);
        }
        assert!(dials >= 115, "{dials} dials to the seed with {strangers} strangers");
    }
}

#[test]
fn a_newcomer_is_dialled_among_strangers_who_never_answer() {
    let mut a = Played::new(builder(A, 1).build().unwrap());
    let echo = frame(FrameKind::SelfContained, &message(Verb::ECHO_REQ, &[]));
    let open: Vec<_> = (0..200).map(|n| a.accept(&address(9, n), &echo)).collect();
    let newcomer = a.accept(B, &[]);
    let mut dialled_after = None;
    for tick in 0..300 {
        for connection in &open {
            a.bytes(*connection, &echo);
        }
        if tick >= 100 && tick % 10 == 0 {
            a.bytes(newcomer, &echo);
        }
        a.input(Input::Timeout);
        if dialled(&a.wanted()).contains(&endpoint(B)) {
            dialled_after.get_or_insert(tick - 100);
        }
        a.pass(100);
    }
    assert!(dialled_after.is_some_and(|ticks| ticks <= 50), "within five seconds: {dialled_after:?}");
}

/// However often they speak.
#[test]
fn strangers_that_speak_all_the_time_do_not_take_the_place_of_a_newcomer() {
    let mut a =
        Played::new(builder(A, 1).change_limits(|limits| limits.max_connections = 64).build().unwrap());
    let empty = frame_of(&ack2(&[]));
    let mut open: Vec<_> = (0..48).map(|n| a.accept(&address(9, n), &[])).collect();
    a.wanted();
    a.pass(100);
    let newcomer = a.accept(B, &[]);
    for n in 48..90 {
        a.pass(100);
        open.iter().for_each(|connection| a.bytes(*connection, &empty));
        open.push(a.accept(&address(9, n), &[]));
        let wanted = a.wanted();
        assert!(!wanted.contains(&Wanted::Close(newcomer)), "after {n} strangers");
        open.retain(|connection| !wanted.contains(&Wanted::Close(*connection)));
    }
    assert_eq!(open.len(), 47);
}

#[test]
fn strangers_who_accept_and_say_nothing_leave_places_to_dial() {
    let mut a = Played::new(
        builder(A, 1).change_limits(|limits| limits.max_connections = 64).seed(endpoint(B)).build().unwrap(),
    );
    let echo = frame(FrameKind::SelfContained, &message(Verb::ECHO_REQ, &[]));
    let mut to_seed = 0;
    for n in 0..600 {
        a.accept(&address(9, n), &echo);
        a.input(Input::Timeout);
        while let Some(wanted) = a.poll() {
            match wanted {
                Wanted::Connect(connection, to) if to == endpoint(B) => {
                    to_seed += 1;
                    a.input(Input::Failed { connection });
                }
                // It is accepted, and nothing comes of it.
                Wanted::Connect(connection, _) => a.input(Input::Opened { connection }),
                Wanted::Write(connection, _) => {
                    a.bytes(connection, &Accept { max: 12, version: 12 }.to_bytes());
                    a.input(Input::Writable { connection });
                }
                Wanted::Close(_) => {}
            }
        }
        a.pass(200);
    }
    assert!(to_seed >= 110, "{to_seed} dials to the seed in two minutes");
}

#[test]
fn idle_connections_of_one_peer_leave_places_to_others() {
    let mut a = Played::new(builder(A, 1).build().unwrap());
    let mut open = 0_i64;
    for _ in 0..4_000 {
        let connection = a.node.accept(a.now).unwrap();
        a.bytes(connection, &initiate(B));
        let closed = a.wanted().iter().filter(|wanted| matches!(wanted, Wanted::Close(_))).count();
        open += 1 - i64::try_from(closed).unwrap();
    }
    assert_eq!(open, 8, "one peer has so many");
    assert_eq!(a.node.stats().connections_refused, 0);
}

#[test]
fn idle_connections_of_many_peers_give_way() {
    let mut a = Played::new(builder(A, 1).build().unwrap());
    for n in 0..3_072 {
        a.accept(&address(9, n), &[]);
        a.wanted();
    }
    let heard = a.node.stats().syns_received;
    let syn = frame_of(&syn(&[digest(B, 1, 1)]));
    for _ in 0..59 {
        minute(&mut a);
        let connection = a.accept(B, &syn);
        a.wanted();
        a.input(Input::Closed { connection });
    }
    assert_eq!(
        a.node.stats().syns_received - heard,
        59,
        "no peer is refused while others leave their share idle"
    );
}

#[test]
fn connections_that_never_say_whose_they_are_give_way() {
    let mut a = Played::new(builder(A, 1).build().unwrap());
    for _ in 0..256 {
        a.node.accept(a.now).unwrap();
    }
    a.pass(10);
    a.accept(B, &frame_of(&syn(&[digest(B, 1, 1)])));
    assert_eq!(a.node.stats().syns_received, 1);
    assert_eq!(a.node.stats().connections_displaced, 1);
}

/// There is room for one such message. The first that asks for it takes a piece every twenty seconds.
#[test]
fn a_slow_receiver_of_a_large_message_leaves_room_to_the_next() {
    const VALUES: usize = 21;
    let config = builder(A, 1).change_limits(|limits| limits.max_large_bytes = 1 << 20);
    let key = |n: usize| ApplicationState::new(2_000 + i32::try_from(n).unwrap());
    let config = (0..VALUES).fold(config, |config, n| config.state(key(n), &"x".repeat(30_000)));
    let mut a = Played::new(config.build().unwrap());
    let asks = frame_of(&syn(&[]));
    // Of each dialled connection: to whom, and how many bytes were written over it after the handshake.
    let mut sent = BTreeMap::<ConnectionId, (Endpoint, Option<usize>)>::new();
    a.accept("10.9.0.1:7000", &asks);
    for second in 0..120 {
        if second >= 5 && second % 5 == 0 {
            a.accept(B, &asks);
        }
        while let Some(wanted) = a.poll() {
            match wanted {
                Wanted::Connect(connection, to) => {
                    sent.insert(connection, (to, None));
                    a.input(Input::Opened { connection });
                }
                Wanted::Write(connection, bytes) => {
                    let Some((to, count)) = sent.get_mut(&connection) else { continue };
                    if let Some(count) = count {
                        *count += bytes.len();
                        if *to == endpoint(B) {
                            a.input(Input::Writable { connection });
                        }
                    } else {
                        *count = Some(0);
                        a.bytes(connection, &Accept { max: 12, version: 12 }.to_bytes());
                        a.input(Input::Writable { connection });
                    }
                }
                Wanted::Close(connection) => drop(sent.remove(&connection)),
            }
        }
        if second % 20 == 19 {
            let slow: Vec<_> =
                sent.iter().filter(|(_, (to, _))| *to != endpoint(B)).map(|(id, _)| *id).collect();
            slow.into_iter().for_each(|connection| a.input(Input::Writable { connection }));
        }
        a.pass(1_000);
        a.input(Input::Timeout);
    }
    let most = sent.values().filter(|(to, _)| *to == endpoint(B)).filter_map(|(_, count)| *count).max();
    assert!(most.is_some_and(|most| most > VALUES * 30_000), "the second was sent {most:?} bytes");
}

/// The whole cluster comes in one message then.
#[test]
fn the_answer_in_the_shadow_round_may_be_larger_than_other_messages() {
    let config = builder(A, 1)
        .change_membership(|membership| membership.shadow_round = true)
        .seed(endpoint(B))
        .change_limits(|limits| limits.max_message = 1 << 16);
    let mut a =
        Played::new(config.change_limits(|limits| limits.max_inbound_bytes = 1 << 20).build().unwrap());
    a.input(Input::Timeout);
    let Some(Wanted::Connect(connection, _)) = a.poll() else { panic!("the seed is dialled") };
    a.establish(connection);
    assert!(matches!(&a.wanted()[..], [Wanted::Write(..)]), "the question");
    let answer = |size: usize| {
        let host_id = "11111111-2222-3333-4444-555555555555";
        let text = "x".repeat(20_000);
        let padding = ApplicationState::new(2_000);
        let state =
            State::new(heartbeat(5, 9), &[(ApplicationState::HOST_ID, host_id, 1), (padding, &text, 2)]);
        let names: Vec<_> = (0..size / text.len()).map(|n| address(1, n)).collect();
        let states: Vec<_> = names.iter().map(|name| (name.as_str(), state.clone())).collect();
        let content = ack(&[], &[&[(B, state.clone())], &states[..]].concat());
        let message = message(content.verb(), &content.body(VERSION));
        message.chunks(32 << 10).map(|piece| frame(FrameKind::Piece, piece)).collect::<Vec<_>>()
    };
    // One that is larger than all that may be held is refused all the same.
    let too_large = a.accept(B, &answer(2 << 20)[0]);
    assert!(a.wanted().contains(&Wanted::Close(too_large)));
    assert_eq!(a.node.gossiper().phase(), gossip_core::Phase::Asking);
    let large = a.accept(B, &[]);
    for piece in answer(700 << 10) {
        a.bytes(large, &piece);
    }
    assert_eq!(a.node.gossiper().phase(), gossip_core::Phase::Running);
    assert_eq!(a.node.gossiper().endpoint_count(), 2 + (700 << 10) / 20_000);
    assert!(!a.wanted().contains(&Wanted::Close(large)));
    // Nothing else is ever so large.
    let later = a.accept(B, &answer(100 << 10)[0]);
    assert!(a.wanted().contains(&Wanted::Close(later)));
}

#[test]
fn our_own_pause_is_not_held_against_connections() {
    let mut a = Played::new(builder(A, 1).seed(endpoint(B)).build().unwrap());
    a.pass(1_000);
    a.input(Input::Timeout);
    let Some(Wanted::Connect(connection, _)) = a.poll() else { panic!("the seed is dialled") };
    let greeting = a.node.accept(a.now).unwrap();
    // The process is stopped for a minute; the answers wait in the sockets.
    a.pass(60_000);
    a.input(Input::Timeout);
    let wanted = a.wanted();
    assert!(!wanted.iter().any(|wanted| matches!(wanted, Wanted::Close(_))), "{wanted:?}");
    a.establish(connection);
    a.bytes(greeting, &[initiate("10.9.0.1:7000"), frame_of(&syn(&[digest(B, 1, 1)]))].concat());
    assert_eq!((a.node.stats().timeouts, a.node.stats().syns_received), (0, 1));
}
