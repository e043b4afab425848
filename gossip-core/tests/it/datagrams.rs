//! Packets: their size, who is answered how much before it has proven its address, what large clusters do within small packets.

use alloc::collections::BTreeMap;
use core::time::Duration;

use gossip_core::datagram::{BODIES, ClusterId, Cookie, DatagramMessages, Header};
use gossip_core::message::{Codec, Message};
use gossip_core::{
    ApplicationState, ConfigBuilder, ConfigError, Endpoint, Event, Generation, HeartbeatState, Input, Node,
    Output, SetStateError, Standing, Timestamp, Transport, Verb, Version,
};
use gossip_sim::{Cluster, seconds};
use proptest::prelude::*;

use crate::support::{Content, State, ack, ack2, builder, digest, endpoint, heartbeat, syn, written};

const A: &str = "10.0.0.1:7000";
const B: &str = "10.0.0.2:7000";

/// A node, and a peer whose packets are written by hand.
pub(crate) struct Played {
    pub(crate) node: Node,
    pub(crate) events: Vec<Event>,
    now: Timestamp,
    buffer: Vec<u8>,
}

/// A packet that a node wants sent.
#[derive(Clone, Debug)]
pub(crate) struct Sent {
    to: Endpoint,
    pub(crate) bytes: Vec<u8>,
}

impl Sent {
    fn header(&self) -> Header {
        Header::decode(&self.bytes).unwrap().0
    }

    fn contents(&self) -> Vec<Content> {
        let (_, rest) = Header::decode(&self.bytes).unwrap();
        let decode = |raw: gossip_core::datagram::RawMessage<'_>| {
            Content::of(&Message::decode(raw.verb, raw.body, Codec::new(BODIES)).unwrap().unwrap())
        };
        DatagramMessages::new(rest).map(|raw| decode(raw.unwrap())).collect()
    }
}

pub(crate) fn datagrams(at: &str) -> ConfigBuilder {
    builder(at, 1).transport(Transport::Datagram)
}

impl Played {
    pub(crate) fn new(config: ConfigBuilder) -> Self {
        let node = Node::new(config.build().unwrap(), Timestamp::ZERO);
        let mut played =
            Self { node, events: Vec::new(), now: Timestamp::ZERO, buffer: vec![0; Node::MIN_BUFFER] };
        played.node.handle_input(played.now, Input::WallClock { unix_ms: 1_700_000_000_000 });
        played
    }

    pub(crate) fn receive(&mut self, bytes: &[u8]) -> Vec<Sent> {
        self.node.handle_input(self.now, Input::Datagram { bytes });
        self.sent()
    }

    /// Receives packets that one call of the system has given: nothing is sent before all are handled.
    fn receive_together(&mut self, packets: &[Vec<u8>]) -> Vec<Sent> {
        for bytes in packets {
            self.node.handle_input(self.now, Input::Datagram { bytes });
        }
        self.sent()
    }

    pub(crate) fn round(&mut self) -> Vec<Sent> {
        self.now = self.now + Duration::from_secs(1);
        self.node.handle_input(self.now, Input::Timeout);
        self.sent()
    }

    fn sent(&mut self) -> Vec<Sent> {
        let mut sent = Vec::new();
        loop {
            match self.node.poll(&mut self.buffer) {
                Output::Datagram { to, bytes } => sent.push(Sent { to, bytes: bytes.to_vec() }),
                Output::Event(event) => self.events.push(event),
                Output::Timeout(_) => return sent,
                other => panic!("a node that gossips in packets wants {other:?}"),
            }
        }
    }
}

/// A packet as one from `from`, who repeats this cookie.
pub(crate) fn packet(from: &str, repeated: Cookie, contents: &[Content]) -> Vec<u8> {
    packet_of("c", from, repeated, contents)
}

fn packet_of(cluster: &str, from: &str, repeated: Cookie, contents: &[Content]) -> Vec<u8> {
    let header = Header {
        cluster: ClusterId::new(cluster.as_bytes(), b"org.gossip.NoPartitioner"),
        sender: endpoint(from),
        generation: Generation::new(1),
        given: Cookie::NONE,
        repeated,
        seal: None,
    };
    let mut bytes = written(|out| header.encode(out));
    for content in contents {
        let body = content.body(BODIES);
        bytes.push(u8::try_from(content.verb().number()).unwrap());
        bytes.extend(1_u32.to_be_bytes());
        bytes.extend(u16::try_from(body.len()).unwrap().to_be_bytes());
        bytes.extend(body);
    }
    bytes
}

/// The same packet from a process that gives this cookie.
fn giving(cookie: Cookie, packet: &[u8]) -> Vec<u8> {
    let (header, messages) = Header::decode(packet).unwrap();
    let mut bytes = written(|out| Header { given: cookie, ..header }.encode(out));
    bytes.extend(messages);
    bytes
}

/// Hands packets to whom they are for until there are none.
pub(crate) fn deliver(nodes: &mut [Played], mut sent: Vec<Sent>) -> usize {
    let mut count = 0;
    while !sent.is_empty() {
        count += sent.len();
        assert!(count < 100_000, "they never stop");
        let mut next = Vec::new();
        for Sent { to, bytes } in sent {
            let node = nodes.iter_mut().find(|node| node.node.gossiper().local_endpoint() == to);
            next.extend(node.map_or_else(Vec::new, |node| node.receive(&bytes)));
        }
        sent = next;
    }
    count
}

/// By the address that a packet names. Nothing is sent to any other, and each packet is counted.
#[test]
fn only_allowed_addresses_are_heard_and_answered() {
    const OUTSIDE: &str = "10.9.9.9:7000";
    let networks = |text: &str| [text.parse().unwrap()];
    let [allowed] = networks("10.0.0.0/24");
    let mut a = Played::new(datagrams(A).allow(allowed));
    let question = |from: &str| packet(from, Cookie::NONE, &[syn(&[digest(from, 1, 1)])]);
    let to = |sent: Vec<Sent>| sent.into_iter().map(|sent| sent.to).collect::<Vec<_>>();
    assert_eq!(to(a.receive(&question(OUTSIDE))), []);
    assert_eq!((a.node.stats().not_allowed, a.node.stats().syns_received), (1, 0));
    assert_eq!(to(a.receive(&question(B))), [endpoint(B)]);
    assert_eq!(a.node.stats().not_allowed, 1);
    // A seed outside of the list is refused when a packet would go there.
    a.node.set_seeds(&[endpoint(OUTSIDE), endpoint(B)]);
    let mut all = Vec::new();
    for _ in 0..20 {
        all.extend(to(a.round()));
    }
    assert!(all.contains(&endpoint(B)) && !all.contains(&endpoint(OUTSIDE)), "{all:?}");
    assert!(a.node.stats().not_allowed > 1, "{:?}", a.node.stats());
    // A new list takes effect at once.
    a.node.set_allowed(a.now, &networks("10.9.9.0/24"));
    assert_eq!(to(a.receive(&question(OUTSIDE))), [endpoint(OUTSIDE)]);
    let before = a.node.stats().not_allowed;
    assert_eq!(to(a.receive(&question(B))), []);
    assert_eq!(a.node.stats().not_allowed, before + 1);
}

#[test]
fn two_nodes_meet_within_a_few_rounds() {
    let mut nodes = [Played::new(datagrams(A)), Played::new(datagrams(B).seed(endpoint(A)))];
    for _ in 0..4 {
        for at in 0..2 {
            let sent = nodes[at].round();
            deliver(&mut nodes, sent);
        }
    }
    for (node, other) in [(0, B), (1, A)] {
        assert_eq!(nodes[node].node.gossiper().standing(endpoint(other)), Some(Standing::Live));
    }
}

#[test]
fn an_answer_is_at_most_three_times_as_long_as_the_question_of_a_stranger() {
    let mut a = Played::new(datagrams(A));
    // Hundreds of endpoints with values, of which a stranger says that it knows only the names.
    let name = |n: usize| format!("10.1.{}.{}:7000", n / 200, n % 200 + 1);
    let cookie = {
        let sent = a.receive(&packet(B, Cookie::NONE, &[syn(&[digest(B, 1, 1)])]));
        sent[0].header().given
    };
    for batch in 0..40 {
        let endpoints: Vec<_> = (batch * 8..batch * 8 + 8).map(name).collect();
        let digests: Vec<_> = endpoints.iter().map(|at| digest(at, 1, 5)).collect();
        a.receive(&packet(B, cookie, &[syn(&digests)]));
        let state = State::new(heartbeat(1, 5), &[(ApplicationState::DC, &"x".repeat(60), 4)]);
        let states: Vec<_> = endpoints.iter().map(|at| (at.as_str(), state.clone())).collect();
        a.receive(&packet(B, cookie, &[ack2(&states)]));
    }
    assert_eq!(a.node.gossiper().endpoint_count(), 321, "the node itself and the endpoints that B listed");
    a.sent();

    let digests: Vec<_> = (0..10).map(|n| digest(&name(n), 1, 0)).collect();
    let question = packet("10.0.0.9:7000", Cookie::NONE, &[syn(&digests)]);
    let answers = a.receive(&question);
    let total: usize = answers.iter().map(|sent| sent.bytes.len()).sum();
    assert!(total > question.len() && total <= 3 * question.len(), "{total} for {}", question.len());
    // A node that repeats the cookie gets everything.
    let cookie = answers[0].header().given;
    let digests: Vec<_> = (0..40).map(|n| digest(&name(n), 1, 0)).collect();
    let answers = a.receive(&packet("10.0.0.9:7000", cookie, &[syn(&digests)]));
    let told: usize = answers.iter().flat_map(Sent::contents).map(|content| content.endpoints().len()).sum();
    assert_eq!(told, 40);
    assert!(answers.len() > 1 && answers.iter().all(|sent| sent.bytes.len() <= 1_400));

    // The question for everything is answered by a cookie alone.
    let question = packet("10.0.0.8:7000", Cookie::NONE, &[syn(&[])]);
    let answers = a.receive(&question);
    assert!(
        matches!(&answers[..], [only] if only.contents().is_empty() && only.bytes.len() <= question.len())
    );
    let everything = a.receive(&packet("10.0.0.8:7000", answers[0].header().given, &[syn(&[])]));
    let told: usize =
        everything.iter().flat_map(Sent::contents).map(|content| content.endpoints().len()).sum();
    assert_eq!(told, 321);
    assert!(everything.iter().all(|sent| sent.bytes.len() <= 1_400));
}

/// The later process has asked for everything, and would take the part that the earlier one lacked for that.
#[test]
fn an_answer_is_for_the_process_that_asked() {
    let mut a = Played::new(datagrams(A));
    let sent = a.receive(&packet(B, Cookie::NONE, &[syn(&[digest(B, 1, 5)])]));
    let cookie = sent[0].header().given;
    // What a process gives may be any number.
    let (earlier, later) = (Cookie::NONE, cookie);
    let question = giving(earlier, &packet(B, cookie, &[ack(&[digest(A, 1, 0)], &[])]));
    let nothing = packet(B, cookie, &[]);
    for (last, answers) in [(earlier, 1), (later, 0)] {
        a.node.handle_input(a.now, Input::Datagram { bytes: &question });
        let sent = a.receive(&giving(last, &nothing));
        let contents: Vec<_> = sent.iter().flat_map(Sent::contents).collect();
        let acks = contents.iter().filter(|content| content.verb() == Verb::GOSSIP_DIGEST_ACK2);
        assert_eq!(acks.count(), answers, "{contents:?}");
    }
}

#[test]
fn a_sender_that_does_not_repeat_its_cookie_changes_nothing() {
    let mut a = Played::new(datagrams(A));
    let sent = a.receive(&packet(B, Cookie::NONE, &[syn(&[digest(B, 1, 5)])]));
    let cookie = sent[0].header().given;
    let state = State::new(heartbeat(1, 5), &[(ApplicationState::DC, "dc1", 4)]);
    for content in [ack(&[], &[(B, state.clone())]), ack2(&[(B, state.clone())])] {
        assert_eq!(a.receive(&packet(B, Cookie::NONE, &[content])).len(), 0);
    }
    assert_eq!(a.node.stats().unproven, 2);
    assert_eq!(a.node.gossiper().endpoint_count(), 1);
    // A cookie is for one address.
    a.receive(&packet("10.0.0.3:7000", cookie, &[ack2(&[(B, state.clone())])]));
    assert_eq!(a.node.stats().unproven, 3);
    a.receive(&packet(B, cookie, &[ack2(&[(B, state)])]));
    assert_eq!(a.node.gossiper().heartbeat(endpoint(B)), Some(heartbeat(1, 5)));
}

/// Meets B, of generation 1, and gives its cookie.
fn meet(a: &mut Played) -> Cookie {
    let sent = a.receive(&packet(B, Cookie::NONE, &[syn(&[digest(B, 1, 5)])]));
    let cookie = sent[0].header().given;
    let state = State::new(heartbeat(1, 5), &[(ApplicationState::STATUS_WITH_PORT, "NORMAL,1", 4)]);
    a.receive(&packet(B, cookie, &[ack2(&[(B, state)])]));
    cookie
}

/// A node that knows 60 endpoints under version 5, and the cookie that B has to repeat.
fn knows_sixty() -> (Played, Cookie) {
    let mut a = Played::new(datagrams(A));
    let cookie = meet(&mut a);
    for batch in sixty().chunks(20) {
        let digests: Vec<_> = batch.iter().map(|at| digest(at, 1, 5)).collect();
        a.receive(&packet(B, cookie, &[syn(&digests)]));
        let state = || State::new(heartbeat(1, 5), &[]);
        let states: Vec<_> = batch.iter().map(|at| (at.as_str(), state())).collect();
        a.receive(&packet(B, cookie, &[ack2(&states)]));
    }
    assert_eq!(a.node.gossiper().endpoint_count(), 62);
    (a, cookie)
}

fn sixty() -> Vec<String> {
    (1..=60).map(|n| format!("10.2.0.{n}:7000")).collect()
}

/// The endpoints that these ACKs request, and those whose states they hold. An endpoint is listed as often as it is named.
fn asked_and_told(sent: &[Sent]) -> (Vec<Endpoint>, Vec<Endpoint>) {
    let (mut asked, mut told) = (Vec::new(), Vec::new());
    for content in sent.iter().flat_map(Sent::contents) {
        if let Content::Ack { requests, states } = content {
            asked.extend(requests.iter().map(|request| request.endpoint));
            told.extend(states.iter().map(|(endpoint, _)| *endpoint));
        }
    }
    asked.sort();
    told.sort();
    (asked, told)
}

fn acks(sent: &[Sent]) -> usize {
    sent.iter().flat_map(Sent::contents).filter(|content| content.verb() == Verb::GOSSIP_DIGEST_ACK).count()
}

/// Three parts of a SYN, each of which lists its sender first: of each other two endpoints, one is known better and one less well.
fn three_parts(cookie: Cookie) -> Vec<Vec<u8>> {
    let digests = |batch: &[String]| {
        let versions = [4, 6].into_iter().cycle();
        let others = batch.iter().zip(versions).map(|(at, version)| digest(at, 1, version));
        [digest(B, 1, 7)].into_iter().chain(others).collect::<Vec<_>>()
    };
    sixty().chunks(20).map(|batch| packet(B, cookie, &[syn(&digests(batch))])).collect()
}

#[test]
fn parts_of_a_syn_that_come_together_have_one_answer() {
    let ((mut a, cookie), (mut twin, _)) = (knows_sixty(), knows_sixty());
    let one_by_one: Vec<_> = three_parts(cookie).iter().flat_map(|part| twin.receive(part)).collect();
    let together = a.receive_together(&three_parts(cookie));
    assert_eq!((acks(&one_by_one), acks(&together)), (3, 1));
    let (asked, told) = asked_and_told(&together);
    assert_eq!((asked.len(), told.len()), (31, 30), "each once, and the sender once");
    let (mut asked_singly, told_singly) = asked_and_told(&one_by_one);
    asked_singly.dedup();
    assert_eq!((asked, told), (asked_singly, told_singly));
}

#[test]
fn a_part_of_a_syn_that_comes_again_is_answered_once() {
    let (mut a, cookie) = knows_sixty();
    let part = three_parts(cookie).swap_remove(0);
    let (asked, told) = asked_and_told(&a.receive_together(&[part.clone(), part]));
    assert_eq!((asked.len(), told.len()), (11, 10));
}

#[test]
fn parts_of_an_ack_that_come_together_have_one_answer() {
    let (mut a, cookie) = knows_sixty();
    let asks = |batch: &[String]| batch.iter().map(|at| digest(at, 1, 2)).collect::<Vec<_>>();
    let parts: Vec<_> =
        sixty().chunks(20).map(|batch| packet(B, cookie, &[ack(&asks(batch), &[])])).collect();
    let sent = a.receive_together(&[&parts[..], &parts[..1]].concat());
    let [Content::Ack2 { states }] = &sent.iter().flat_map(Sent::contents).collect::<Vec<_>>()[..] else {
        panic!("{sent:?}")
    };
    let mut told: Vec<_> = states.iter().map(|(endpoint, _)| *endpoint).collect();
    told.sort();
    told.dedup();
    assert_eq!((told.len(), states.len()), (60, 60), "each once");
}

#[test]
fn a_stranger_has_an_answer_to_its_last_packet_alone() {
    let (mut a, _) = knows_sixty();
    let sent = a.receive_together(&three_parts(Cookie::NONE));
    let (asked, told) = asked_and_told(&sent);
    assert_eq!(
        (sent.len(), asked.len()),
        (1, 11),
        "it could not be limited to thrice the question otherwise"
    );
    assert!(told.len() <= 10);
}

#[test]
fn a_shutdown_ends_the_process_that_the_packet_names() {
    let mut a = Played::new(datagrams(A));
    let cookie = meet(&mut a);
    let mut old = packet(B, cookie, &[Content::Shutdown { state: None }]);
    old[19..23].copy_from_slice(&0_i32.to_be_bytes());
    a.receive(&old);
    assert_eq!(a.node.stats().stale_shutdowns, 1);
    assert_eq!(a.node.gossiper().heartbeat(endpoint(B)), Some(heartbeat(1, 5)));
    a.receive(&packet(B, Cookie::NONE, &[Content::Shutdown { state: None }]));
    assert_eq!(a.node.gossiper().heartbeat(endpoint(B)), Some(heartbeat(1, 5)), "anybody could say so");
    a.receive(&packet(B, cookie, &[Content::Shutdown { state: None }]));
    let stopped = HeartbeatState { generation: Generation::new(1), version: Version::SHUTDOWN };
    assert_eq!(a.node.gossiper().heartbeat(endpoint(B)), Some(stopped));
}

#[test]
fn another_cluster_is_told_by_name() {
    let mut a = Played::new(datagrams(A));
    let theirs = match syn(&[]) {
        Content::Syn { partitioner, metadata_id, digests, .. } => {
            Content::Syn { cluster: b"d".to_vec(), partitioner, metadata_id, digests }
        }
        other => other,
    };
    assert!(a.receive(&packet_of("d", B, Cookie::NONE, &[theirs])).is_empty());
    assert_eq!(a.node.stats().foreign_cluster, 1);
    assert_eq!(a.node.gossiper().foreign_cluster(), Some((endpoint(B), "d".into())));
    let echo = packet_of("d", B, Cookie::NONE, &[Content::Echo { verb: Verb::ECHO_REQ }]);
    assert!(a.receive(&echo).is_empty());
    assert_eq!(a.node.stats().foreign_cluster, 2);
    // The node itself, and no one.
    assert!(a.receive(&packet(A, Cookie::NONE, &[Content::Echo { verb: Verb::ECHO_REQ }])).is_empty());
    assert!(
        a.receive(&packet("0.0.0.0:7000", Cookie::NONE, &[Content::Echo { verb: Verb::ECHO_REQ }]))
            .is_empty()
    );
    assert_eq!(a.node.stats().unspecified, 2);
}

#[test]
fn a_value_that_fits_no_packet_is_refused_when_it_is_set() {
    let refused = datagrams(A).state(ApplicationState::DC, &"x".repeat(2_000)).build();
    assert!(matches!(refused, Err(ConfigError::State(SetStateError::TooLong { length: 2_000, .. }))));
    let mut nodes = [Played::new(datagrams(A)), Played::new(datagrams(B).seed(endpoint(A)))];
    let Err(SetStateError::TooLong { limit, .. }) =
        nodes[0].node.set_state(Timestamp::ZERO, ApplicationState::DC, &"x".repeat(2_000))
    else {
        panic!("it was taken");
    };
    assert!((1_200..1_400).contains(&limit), "{limit}");
    // Whatever is just not refused arrives.
    let longest = "y".repeat(limit);
    nodes[0].node.set_state(Timestamp::ZERO, ApplicationState::DC, &longest).unwrap();
    for _ in 0..6 {
        for at in 0..2 {
            let sent = nodes[at].round();
            deliver(&mut nodes, sent);
        }
    }
    let value = nodes[1].node.gossiper().value(endpoint(A), ApplicationState::DC);
    assert!(value.is_some_and(|(text, _)| text.to_text() == longest));
    assert_eq!(nodes[0].node.stats().values_unsendable, 0);

    let names = datagrams(A)
        .partitioner(&"p".repeat(400))
        .change_datagrams(|datagrams| datagrams.max_size = 600)
        .build();
    assert!(
        matches!(names, Err(ConfigError::OutOfRange { field: "datagrams.max_size", value: 600, min, .. }) if min > 800)
    );
}

#[test]
fn a_newcomer_learns_everything_before_it_takes_part() {
    let mut cluster = Cluster::new(200).seed(4).datagrams().configure(|host, config| {
        config
            .change_membership(|membership| membership.shadow_round = host == 199)
            .state(ApplicationState::SCHEMA, &"s".repeat(300))
    });
    cluster = cluster.seeds(1);
    let mut cluster = cluster.start_only(0..199);
    cluster.run_until(|view| view.running().count() == 199 && view.all_live(), seconds(120));
    cluster.restart(199);
    cluster.run_for(Duration::from_millis(400));
    let newcomer = cluster.gossiper(199);
    assert_eq!(newcomer.endpoint_count(), 200, "a tenth of a megabyte of states");
    assert!(
        newcomer.endpoints().all(|endpoint| newcomer.value(endpoint, ApplicationState::SCHEMA).is_some())
    );
    assert!(cluster.events(199).iter().any(|(_, event)| *event == Event::ShadowRoundDone));
    cluster.run_until(|view| view.all_live(), seconds(30));
}

#[test]
fn a_node_that_only_asks_learns_everything_and_leaves_no_trace() {
    let cluster = Cluster::new(101).seed(4).datagrams().seeds(1).configure(|host, config| {
        config
            .change_membership(|membership| membership.only_asks = host == 100)
            .state(ApplicationState::SCHEMA, &"s".repeat(300))
    });
    let mut cluster = cluster.start_only(0..100);
    cluster.run_until(|view| view.running().count() == 100 && view.all_live(), seconds(120));
    cluster.restart(100);
    cluster.run_for(seconds(4));
    let asker = cluster.gossiper(100);
    let done = cluster.events(100).iter().any(|(_, event)| *event == Event::ShadowRoundDone);
    assert!(done && asker.endpoint_count() == 101);
    let endpoint = cluster.endpoint(100);
    cluster.run_for(seconds(10));
    assert!(cluster.view().running().take(100).all(|(_, gossiper)| gossiper.heartbeat(endpoint).is_none()));
}

#[test]
fn the_shadow_round_finds_that_the_address_is_taken() {
    let id = |config: ConfigBuilder, id: &str| config.state(ApplicationState::HOST_ID, id);
    let first = Played::new(id(datagrams(B), "one").seed(endpoint(A)));
    let mut nodes = [Played::new(datagrams(A)), first];
    for _ in 0..4 {
        for at in 0..2 {
            let sent = nodes[at].round();
            deliver(&mut nodes, sent);
        }
    }
    let [seed, _] = nodes;
    let usurper = Played::new(
        id(datagrams(B), "two")
            .seed(endpoint(A))
            .change_membership(|membership| membership.shadow_round = true),
    );
    let mut nodes = [seed, usurper];
    let sent = nodes[1].round();
    deliver(&mut nodes, sent);
    assert!(
        matches!(nodes[1].node.poll(&mut vec![0; Node::MIN_BUFFER]), Output::Timeout(None)),
        "it has stopped"
    );
}

#[test]
fn the_rest_of_an_answer_decides_nothing_if_it_comes_first() {
    // What is known of the asking node fills a packet, so the rest comes in another.
    let of = |config: ConfigBuilder, id: &str| {
        config.state(ApplicationState::HOST_ID, id).state(ApplicationState::SCHEMA, &"s".repeat(700))
    };
    let mut nodes =
        [Played::new(of(datagrams(A), "seed")), Played::new(of(datagrams(B), "one").seed(endpoint(A)))];
    for _ in 0..4 {
        for at in 0..2 {
            let sent = nodes[at].round();
            deliver(&mut nodes, sent);
        }
    }
    let [mut seed, _] = nodes;
    let asks_first = of(datagrams(B), "two").seed(endpoint(A));
    let mut usurper = Played::new(asks_first.change_membership(|membership| membership.shadow_round = true));
    let mut parts = 0;
    let mut sent = usurper.round();
    while !sent.is_empty() {
        let answers: Vec<_> = sent.iter().flat_map(|sent| seed.receive(&sent.bytes)).collect();
        parts = parts.max(answers.len());
        sent = answers.iter().rev().flat_map(|sent| usurper.receive(&sent.bytes)).collect();
    }
    assert_eq!(parts, 2);
    let told = |is_it: fn(&Event) -> bool| usurper.events.iter().any(is_it);
    assert!(told(|event| matches!(event, Event::AddressConflict { .. })), "{:?}", usurper.events);
    assert!(!told(|event| *event == Event::ShadowRoundDone));
}

#[test]
fn no_more_bytes_are_sent_than_the_ceiling_allows() {
    let mut cluster = Cluster::new(60).seed(9).datagrams().configure(|_, config| {
        config
            .change_datagrams(|datagrams| datagrams.max_rate = 1 << 14)
            .state(ApplicationState::SCHEMA, &"s".repeat(500))
    });
    cluster = cluster.seeds(2);
    let mut cluster = cluster.start();
    cluster.run_until(|view| view.all_live(), seconds(200));
    cluster.run_rounds(100);
    let lifetime = cluster.now().as_nanos() / 1_000_000_000 + 1;
    for (host, gossiper) in cluster.view().running() {
        let sent = gossiper.stats().bytes_sent;
        assert!(sent <= (1 << 14) * (lifetime + 1), "host {host} sent {sent} bytes in {lifetime} s");
    }
    assert!(cluster.view().running().any(|(_, gossiper)| gossiper.stats().throttled > 0));
    let convicted = (0..60)
        .flat_map(|host| cluster.events(host))
        .filter(|(_, event)| matches!(event, Event::Down { .. }));
    assert_eq!(convicted.count(), 0);
}

#[test]
fn a_stranger_is_not_flooded_because_somebody_named_it() {
    let mut a = Played::new(datagrams(A).change_datagrams(|datagrams| datagrams.max_size = 512));
    let cookie = meet(&mut a);
    for batch in 0..20_u8 {
        let names: Vec<_> = (1..=10).map(|n| format!("10.2.{batch}.{n}:7000")).collect();
        let digests: Vec<_> = names.iter().map(|at| digest(at, 1, 5)).collect();
        a.receive(&packet(B, cookie, &[syn(&digests)]));
        let states: Vec<_> = names.iter().map(|at| (at.as_str(), State::new(heartbeat(1, 5), &[]))).collect();
        a.receive(&packet(B, cookie, &[ack2(&states)]));
    }
    let mut per_peer = BTreeMap::<Endpoint, Vec<usize>>::new();
    for round in 0..50 {
        let mut syns = BTreeMap::<Endpoint, usize>::new();
        for sent in a.round() {
            assert!(sent.bytes.len() <= 512, "round {round}");
            let count =
                sent.contents().iter().filter(|content| content.verb() == Verb::GOSSIP_DIGEST_SYN).count();
            *syns.entry(sent.to).or_default() += count;
        }
        for (to, count) in syns {
            per_peer.entry(to).or_default().push(count);
        }
    }
    assert!(
        per_peer
            .iter()
            .filter(|(to, _)| **to != endpoint(B))
            .all(|(_, counts)| counts.iter().all(|count| *count <= 1))
    );
}

/// Two nodes that know each other, and a packet of each kind that came out of them.
fn captured() -> ([Played; 2], Vec<Vec<u8>>) {
    let mut nodes = [Played::new(datagrams(A)), Played::new(datagrams(B).seed(endpoint(A)))];
    let mut packets = Vec::new();
    for _ in 0..4 {
        for at in 0..2 {
            let mut sent = nodes[at].round();
            while !sent.is_empty() {
                packets.extend(sent.iter().map(|sent| sent.bytes.clone()));
                let mut next = Vec::new();
                for Sent { to, bytes } in sent {
                    let node = nodes.iter_mut().find(|node| node.node.gossiper().local_endpoint() == to);
                    next.extend(node.map_or_else(Vec::new, |node| node.receive(&bytes)));
                }
                sent = next;
            }
        }
    }
    (nodes, packets)
}

proptest! {
    #[test]
    fn arbitrary_packets_do_no_harm(packets in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..1_500), 1..20)) {
        let mut a = Played::new(datagrams(A));
        for packet in &packets {
            a.receive(packet);
        }
        prop_assert_eq!(a.node.stats().packets_received, packets.len() as u64);
        prop_assert_eq!(a.node.gossiper().endpoint_count(), 1);
    }

    #[test]
    fn damaged_packets_do_no_harm(which in any::<prop::sample::Index>(), flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4), cut in any::<prop::sample::Index>()) {
        let (mut nodes, packets) = captured();
        let mut packet = which.get(&packets).clone();
        for (at, bits) in flips {
            let at = at.index(packet.len());
            packet[at] ^= bits;
        }
        packet.truncate(cut.index(packet.len()) + 1);
        for node in &mut nodes {
            for sent in node.receive(&packet) {
                prop_assert!(sent.bytes.len() <= 1_400);
            }
        }
    }
}
