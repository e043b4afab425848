//! What goes out: lists in a SYN, parts of answers, and what is withheld.

use core::time::Duration;

use super::*;
use crate::message::Message;
use crate::metadata::MetadataId;
use crate::time::Timestamp;
use crate::version::{HeartbeatState, Known, MessagingVersion};

const LOCAL: Endpoint = Endpoint::v4([10, 0, 0, 1], 7000);
const PEER: Endpoint = Endpoint::v4([10, 0, 0, 2], 7000);
const V12: Codec = Codec::new(MessagingVersion::V12);
const V14: Codec = Codec::new(MessagingVersion::V14);

/// The length of a digest of an IPv4 endpoint.
const DIGEST: usize = 15;
const GENERATION: Generation = Generation::new(5);

const STATUS: ApplicationState = ApplicationState::STATUS_WITH_PORT;

fn other(n: u8) -> Endpoint {
    Endpoint::v4([10, 0, 1, n], 7000)
}

fn at(seconds: u64) -> Timestamp {
    Timestamp::ZERO + Duration::from_secs(seconds)
}

/// The part with all that it may see.
struct Rig {
    exchange: Exchange,
    table: EndpointTable,
    config: Config,
    clock: Clock,
    metadata: Metadata,
    journal: Journal,
}

impl Rig {
    /// It knows so many others, of version 3.
    fn new(config: Config, others: u8) -> Self {
        let settings = crate::phi::Settings {
            window: 10,
            initial: Duration::from_secs(2),
            max: Duration::from_secs(2),
            pace: None,
        };
        let mut rig = Self {
            exchange: Exchange::new(&config, 1),
            table: EndpointTable::new(1, 10_000, settings),
            clock: Clock::new(at(100)),
            metadata: Metadata::of(&config),
            journal: Journal::new(16),
            config,
        };
        rig.insert(LOCAL, 3);
        (1..=others).for_each(|n| _ = rig.insert(other(n), 3));
        rig
    }

    fn ours(others: u8) -> Self {
        Self::new(Config::builder("c", LOCAL, GENERATION, [3; 32]).build().unwrap(), others)
    }

    fn in_packets(others: u8) -> Self {
        let config = Config::builder("c", LOCAL, GENERATION, [3; 32]).transport(Transport::Datagram);
        Self::new(config.build().unwrap(), others)
    }

    fn gossip_only(others: u8) -> Self {
        let config = Config::gossip_only("c", LOCAL, GENERATION, [3; 32], Uuid::from_bytes([1; 16]));
        Self::new(config.build().unwrap(), others)
    }

    fn insert(&mut self, endpoint: Endpoint, version: i32) -> Slot {
        let heartbeat = HeartbeatState { generation: GENERATION, version: Version::new(version) };
        let slot = self.table.insert(endpoint, heartbeat).unwrap();
        self.table.sort();
        self.exchange.reserve(&self.table);
        slot
    }

    fn slot(&self, n: u8) -> Slot {
        self.table.find(other(n)).unwrap()
    }

    fn set(&mut self, n: u8, key: ApplicationState, text: &str, version: i32) {
        let slot = self.slot(n);
        self.table.reserve_values(slot, 1, text.len());
        _ = self.table.set_value(slot, key, JavaStr::from_checked(text.as_bytes()), Version::new(version));
    }

    fn writing(&mut self) -> Writing<'_> {
        let Self { exchange, table, config, clock, metadata, journal } = self;
        Writing { exchange, table, config, clock, metadata, journal }
    }

    /// The next message to PEER, of at most `room` bytes.
    fn message(&mut self, codec: Codec, room: usize) -> Option<(Verb, Vec<u8>)> {
        let mut buffer = vec![0; room];
        let mut out = Writer::new(&mut buffer);
        let outgoing = self.writing().encode(PEER, codec, &mut out)?;
        Some((outgoing.verb, out.written().to_vec()))
    }

    /// The digests of the next message to PEER, which is a SYN with room for so many.
    fn part_of_syn(&mut self, codec: Codec, digests: usize) -> Option<Vec<Digest>> {
        let mut head = [0; 200];
        let mut out = Writer::new(&mut head);
        self.writing().encode_syn_head(codec, &mut out).unwrap();
        let room = out.len() + 4 + digests * DIGEST;
        let (verb, body) = self.message(codec, room)?;
        assert_eq!(verb, Verb::GOSSIP_DIGEST_SYN);
        let Message::Syn(syn) = Message::decode(verb, &body, codec).unwrap().unwrap() else { panic!() };
        Some(syn.digests.iter().collect())
    }

    /// A new SYN with room for so many digests, and its answer.
    fn syn(&mut self, codec: Codec, digests: usize) -> Vec<Digest> {
        self.exchange.syn(PEER, 1, &mut self.journal);
        let syn = self.part_of_syn(codec, digests).unwrap();
        assert!(self.exchange.take_awaited(PEER));
        self.metadata.note_ack(PEER);
        syn
    }

    /// The states that the next messages to PEER tell, by message, and their values' versions.
    fn told(&mut self, verb: Verb, room: usize) -> Vec<Vec<(Endpoint, Vec<i32>)>> {
        let mut messages = Vec::new();
        while let Some((written, body)) = self.message(V12, room) {
            assert_eq!(written, verb);
            assert!(body.len() <= room && messages.len() < 1_000);
            let states = match Message::decode(verb, &body, V12).unwrap().unwrap() {
                Message::Ack(ack) => ack.states,
                Message::Ack2(ack2) => ack2.states,
                other => panic!("{other:?}"),
            };
            let versions = states.iter().map(|(endpoint, state)| {
                (endpoint, state.values().map(|(_, value)| value.version.get()).collect())
            });
            messages.push(versions.collect());
        }
        messages
    }

    /// Notes an ACK, or an ACK2, that tells all of these.
    fn owe(&mut self, is_ack: bool, limit: Option<u32>, others: impl IntoIterator<Item = u8>) {
        let list = self.exchange.outbox.take_list().unwrap();
        for n in others {
            let entry = Entry::new(self.slot(n), Known::new(GENERATION, Version::ZERO));
            self.exchange.outbox.list_mut(list).give(entry);
        }
        if is_ack {
            self.exchange.outbox.ack(PEER, list, limit).unwrap();
        } else {
            self.exchange.outbox.ack2(PEER, list).unwrap();
        }
    }
}

fn endpoints(digests: &[Digest]) -> Vec<Endpoint> {
    digests.iter().map(|digest| digest.endpoint).collect()
}

/// Our own digest, then those of [`other`]s.
fn us_and(others: impl IntoIterator<Item = u8>) -> Vec<Endpoint> {
    [LOCAL].into_iter().chain(others.into_iter().map(other)).collect()
}

#[test]
fn a_syn_lists_all_in_their_order_from_a_start_that_moves_on() {
    let mut rig = Rig::ours(40);
    for time in 0..50 {
        // Of 41, it goes on by an eighth and one.
        let start = 6 * time % 41;
        assert_eq!(rig.exchange.rotation, start);
        let start = u8::try_from(start).unwrap().max(1);
        assert_eq!(endpoints(&rig.syn(V12, 41)), us_and((start..=40).chain(1..start)), "SYN {time}");
        assert_eq!((rig.exchange.coverage.listed, rig.exchange.coverage.of), (41, 41));
    }
    // Three more digests find room, and there is none.
    assert_eq!(rig.syn(V12, 44).len(), 41);
}

#[test]
fn a_syn_without_room_for_all_goes_on_where_the_last_one_ended() {
    let mut rig = Rig::ours(40);
    for (ends, rotation) in [([11, 10, 10, 11], 1), ([10, 10, 10, 11], 1)] {
        // The last one passes our own place, which takes no room.
        for (others, listed) in [1..=10, 11..=20, 21..=30, 31..=40].into_iter().zip(ends) {
            assert_eq!(endpoints(&rig.syn(V12, 11)), us_and(others));
            assert_eq!((rig.exchange.coverage.listed, rig.exchange.coverage.of), (listed, 41));
        }
        assert_eq!(rig.exchange.rotation, rotation);
    }
}

#[test]
fn the_parts_of_a_syn_list_each_endpoint_once_and_end_with_the_last() {
    let mut rig = Rig::in_packets(40);
    for (allowed, parts) in [(16, 4), (4, 4), (2, 2)] {
        (rig.exchange.rotation, rig.exchange.coverage) = (0, Coverage { listed: 1, of: 1 });
        rig.exchange.syn(PEER, allowed, &mut rig.journal);
        let mut listed = Vec::new();
        for part in 0..parts {
            let begin = 10 * part + 1;
            let digests = rig.part_of_syn(V12, 11).unwrap();
            assert_eq!(endpoints(&digests), us_and(begin..begin + 10), "part {part} of {parts}");
            listed.extend(digests);
        }
        assert!(rig.part_of_syn(V12, 11).is_none() && !rig.exchange.is_due(PEER));
        assert!((0..parts).all(|_| rig.exchange.take_awaited(PEER)), "each part has its answer");
        let (rotation, listed) = if parts == 4 { (6, 41) } else { (21, 21) };
        assert_eq!((rig.exchange.rotation, rig.exchange.coverage.listed), (rotation, listed));
    }
}

#[test]
fn news_is_listed_first_and_once_where_not_all_are_listed() {
    let mut rig = Rig::ours(40);
    let slots = [35, 30, 12].map(|n| rig.slot(n));
    slots.into_iter().for_each(|slot| rig.exchange.note_news(slot));
    rig.exchange.note_news(Slot::FIRST);
    assert_eq!(endpoints(&rig.syn(V12, 41)), us_and(1..=40), "all are listed, in their order");
    rig.exchange.rotation = 0;
    assert_eq!(endpoints(&rig.syn(V12, 11)), us_and(1..=10));
    let first = [12, 30, 35];
    for rest in
        [&[11, 13, 14, 15, 16, 17, 18][..], &[19, 20, 21, 22, 23, 24, 25], &[26, 27, 28, 29, 31, 32, 33]]
    {
        assert_eq!(endpoints(&rig.syn(V12, 11)), us_and(first.into_iter().chain(rest.iter().copied())));
    }
}

#[test]
fn news_is_listed_first_for_twice_as_many_rounds_as_it_takes_to_reach_all() {
    let mut rig = Rig::ours(40);
    rig.syn(V12, 11);
    let slot = rig.slot(40);
    rig.exchange.note_news(slot);
    for round in 0..20 {
        let is_first = rig.syn(V12, 11)[1].endpoint == other(40);
        // 41 endpoints are fewer than 2 to the power of 6.
        assert_eq!(is_first, round <= 12, "round {round}");
        rig.exchange.begin_round(at(100), &mut rig.journal);
        rig.exchange.rotation = 0;
    }
}

#[test]
fn news_of_many_takes_three_quarters_of_the_room_and_goes_on_in_the_next_part() {
    let mut rig = Rig::ours(40);
    rig.syn(V12, 11);
    for n in 1..=40 {
        let slot = rig.slot(n);
        rig.exchange.note_news(slot);
    }
    assert_eq!(endpoints(&rig.syn(V12, 21)), us_and((26..=40).rev().chain(11..=15)));

    let mut rig = Rig::in_packets(40);
    rig.syn(V12, 11);
    for n in 1..=40 {
        let slot = rig.slot(n);
        rig.exchange.note_news(slot);
    }
    rig.exchange.syn(PEER, 16, &mut rig.journal);
    let mut listed = Vec::new();
    while let Some(part) = rig.part_of_syn(V12, 21) {
        assert_eq!(part[0].endpoint, LOCAL);
        listed.extend(part.into_iter().skip(1).map(|digest| digest.endpoint));
    }
    // What came in the order before may come once more as news, and no news in the order.
    let parts = [(26..=40, 11..=15), (11..=25, 1..=5)].map(|(news, rest)| news.rev().chain(rest));
    let expected = us_and(parts.into_iter().flatten().chain((1..=10).rev()));
    assert_eq!(listed, expected[1..]);
}

#[test]
fn an_endpoint_of_cassandra_that_stopped_without_tokens_is_not_listed() {
    for (mut rig, is_listed) in [(Rig::ours(40), true), (Rig::gossip_only(40), false)] {
        rig.syn(V12, 11);
        let (stopped, running) = (rig.slot(20), rig.slot(30));
        for n in [13, 20] {
            let slot = rig.slot(n);
            rig.table.set_heartbeat(slot, Version::SHUTDOWN);
        }
        assert!(rig.syn(V12, 11).iter().any(|digest| digest.endpoint == other(13)) == is_listed);
        rig.exchange.note_news(running);
        rig.exchange.note_news(stopped);
        rig.exchange.rotation = 1;
        let first: &[u8] = if is_listed { &[20, 30, 1, 2, 3] } else { &[30, 1, 2, 3, 4] };
        assert_eq!(endpoints(&rig.syn(V12, 11))[..6], us_and(first.iter().copied()));
        rig.exchange.coverage = Coverage { listed: 1, of: 1 };
        let all = rig.syn(V12, 41);
        assert_eq!(all.len(), if is_listed { 41 } else { 39 });
    }
}

#[test]
fn an_endpoint_that_a_syn_requests_is_listed_once_from_version_0() {
    let mut rig = Rig::ours(10);
    let (known, later) = (rig.clock.now(), Generation::new(6));
    rig.exchange.want(other(3), later, known);
    rig.exchange.want(other(200), later, known);
    let syn = rig.syn(V12, 20);
    assert_eq!(endpoints(&syn), us_and([3, 200, 1, 2, 4, 5, 6, 7, 8, 9, 10]));
    let versions: Vec<_> = syn.iter().map(|digest| (digest.generation, digest.max_version.get())).collect();
    assert_eq!(versions[..4], [(GENERATION, 3), (later, 0), (later, 0), (GENERATION, 3)]);
}

#[test]
fn an_endpoint_that_another_message_requests_is_listed_as_known() {
    let mut rig = Rig::ours(40);
    rig.syn(V12, 11);
    let (now, slot) = (rig.clock.now(), rig.slot(1));
    assert!(rig.exchange.asked.ask(other(13), Generation::new(6), PEER, now));
    rig.exchange.note_news(slot);
    assert_eq!(endpoints(&rig.syn(V12, 11)), us_and([1].into_iter().chain(11..=19)));
}

/// A gossip-only member of a cluster whose metadata has an identifier. Those from 3 on leave or are down.
fn with_doubtful() -> Rig {
    let mut rig = Rig::gossip_only(10);
    rig.metadata.learn(PEER, MetadataId::new(7));
    let (unreachable, live) = (Standing::Unreachable, Standing::Live);
    for (n, status, standing) in [
        (1, "NORMAL,1", live),
        (2, "LEFT,1,2", live),
        (3, "LEAVING,1", live),
        (4, "NORMAL,1", unreachable),
        (5, "LEFT,1,2", unreachable),
        (6, "LEAVING,1", unreachable),
        (7, "NORMAL,1", unreachable),
        (8, "LEAVING,1", live),
    ] {
        rig.set(n, STATUS, status, 2);
        let slot = rig.slot(n);
        rig.table.set_standing(slot, standing);
    }
    // One was saved, and another has stopped without tokens.
    let (saved, stopped) = (rig.slot(7), rig.slot(8));
    rig.table.set_generation(saved, Generation::SAVED);
    rig.table.set_heartbeat(stopped, Version::SHUTDOWN);
    rig
}

fn from_version_0(digests: &[Digest]) -> Vec<Endpoint> {
    let mut wanted = digests.to_vec();
    wanted.retain(|digest| digest.max_version == Version::ZERO);
    wanted.sort_unstable_by_key(|digest| digest.endpoint);
    endpoints(&wanted)
}

/// It has a host id. The others have none, of which the node knows for a second.
fn with_unidentified(others: u8) -> Rig {
    let mut rig = Rig::ours(others);
    rig.table.reserve_values(Slot::FIRST, 1, 1);
    _ = rig.table.set_value(
        Slot::FIRST,
        ApplicationState::HOST_ID,
        JavaStr::from_checked(b"h"),
        Version::new(1),
    );
    rig.exchange.note_unidentified(at(99), Duration::from_secs(1));
    rig
}

#[test]
fn endpoints_without_a_host_id_are_requested_unless_they_have_stopped_or_left() {
    let mut rig = with_unidentified(7);
    rig.set(2, ApplicationState::HOST_ID, "h", 1);
    for (n, status) in [(3, "LEFT,1,2"), (4, "shutdown,true"), (5, "hibernate,true"), (6, "NORMAL,1")] {
        rig.set(n, STATUS, status, 2);
    }
    let saved = rig.slot(7);
    rig.table.set_generation(saved, Generation::SAVED);
    assert_eq!(from_version_0(&rig.syn(V12, 20)), [1, 5, 6].map(other));
}

#[test]
fn endpoints_without_a_host_id_that_find_no_room_in_a_syn_are_requested_by_the_next() {
    let mut rig = with_unidentified(40);
    for (second, requested) in [(0, 1..=10), (1, 11..=20), (3, 21..=30), (7, 31..=40)] {
        rig.clock.advance(at(100 + second));
        let syn = rig.syn(V12, 11);
        assert_eq!((endpoints(&syn), syn.len()), (us_and(requested.clone()), 11));
        assert_eq!(from_version_0(&syn), requested.map(other).collect::<Vec<_>>());
    }
    // With room for others, these are listed as they are known.
    rig.clock.advance(at(115));
    for n in 1..=35 {
        rig.set(n, ApplicationState::HOST_ID, "h", 1);
    }
    let syn = rig.syn(V12, 41);
    assert_eq!((syn.len(), from_version_0(&syn)), (41, (36..=40).map(other).collect()));
}

#[test]
fn all_of_an_endpoint_that_leaves_or_is_down_is_requested_every_ten_intervals() {
    let mut rig = with_doubtful();
    let doubtful = [3, 4, 6].map(other);
    let listed = |digests: &[Digest]| {
        let mut listed = endpoints(digests);
        listed.sort_unstable();
        listed
    };
    for (ms, is_asked) in
        [(0, true), (0, false), (9_999, false), (10_000, true), (10_001, false), (20_000, true)]
    {
        rig.clock.advance(at(100) + Duration::from_millis(ms));
        let syn = rig.syn(V14, 20);
        assert_eq!(from_version_0(&syn), if is_asked { &doubtful[..] } else { &[] }, "{ms} ms");
        assert_eq!(listed(&syn), us_and([1, 2, 3, 4, 5, 6, 7, 9, 10]), "each once, but who has stopped");
    }
    let now = rig.clock.now();
    rig.exchange.doubt(now);
    assert_eq!(from_version_0(&rig.syn(V14, 20)), doubtful, "another is down");
}

#[test]
fn all_of_an_endpoint_is_requested_neither_of_itself_nor_twice() {
    let mut rig = with_doubtful();
    let slot = rig.insert(PEER, 3);
    rig.table.set_standing(slot, Standing::Unreachable);
    let now = rig.clock.now();
    assert!(rig.exchange.asked.ask(other(4), GENERATION, other(1), now));
    let syn = rig.syn(V14, 20);
    assert_eq!(from_version_0(&syn), [3, 6].map(other));
    for endpoint in [PEER, other(4)] {
        assert!(
            syn.iter().any(|digest| digest.endpoint == endpoint && digest.max_version == Version::new(3))
        );
    }
}

/// Such a receiver cannot be asked for what it knows of itself, and does not answer if it is down.
#[test]
fn a_syn_to_an_endpoint_that_leaves_or_is_down_asks_only_if_no_other_is_asked_for_as_long_again() {
    let mut rig = with_doubtful();
    let slot = rig.insert(PEER, 3);
    let asked = [3, 4, 6].map(other).to_vec();
    let mut requests = |standing, second: u64| {
        rig.table.set_standing(slot, standing);
        rig.clock.advance(at(100 + second));
        from_version_0(&rig.syn(V14, 20))
    };
    let (live, unreachable) = (Standing::Live, Standing::Unreachable);
    assert_eq!(requests(live, 0), asked);
    assert_eq!(requests(live, 9), [], "no endpoint is asked again before ten intervals are over");
    assert_eq!(requests(unreachable, 10), [], "the next SYN may go to another endpoint");
    assert_eq!(requests(unreachable, 19), []);
    assert_eq!(requests(unreachable, 20), asked, "there was no other");
    assert_eq!(requests(live, 29), []);
    assert_eq!(requests(live, 30), asked);
    // A new doubt waits for another receiver as well.
    rig.clock.advance(at(131));
    rig.exchange.doubt(at(131));
    rig.table.set_standing(slot, unreachable);
    assert_eq!(from_version_0(&rig.syn(V14, 20)), []);
    rig.table.set_standing(slot, live);
    assert_eq!(from_version_0(&rig.syn(V14, 20)), asked);
}

#[test]
fn nothing_is_doubtful_without_a_log_of_metadata_or_in_a_cluster_of_ours() {
    let mut rig = with_doubtful();
    rig.metadata = Metadata::of(&rig.config);
    assert!(from_version_0(&rig.syn(V12, 20)).is_empty());
    let mut ours = with_doubtful();
    ours.config = Rig::ours(0).config;
    assert!(from_version_0(&ours.syn(V12, 20)).is_empty());
}

/// Others from 1 to `count`, each with a value of so many bytes, of version 4.
fn with_values(mut rig: Rig, count: u8, bytes: usize) -> Rig {
    for n in 1..=count {
        rig.set(n, ApplicationState::DC, &"x".repeat(bytes), 4);
    }
    rig
}

#[test]
fn over_packets_states_follow_until_all_are_told_and_over_connections_the_rest_waits() {
    for (is_ack, verb) in [(true, Verb::GOSSIP_DIGEST_ACK), (false, Verb::GOSSIP_DIGEST_ACK2)] {
        let each: Vec<_> = (1..=5).map(|n| vec![(other(n), vec![4])]).collect();
        let mut rig = with_values(Rig::in_packets(5), 5, 250);
        let lists = rig.exchange.outbox.clone();
        rig.owe(is_ack, None, 1..=5);
        assert_eq!(rig.told(verb, 400), each);
        assert!(!rig.exchange.is_due(PEER));
        // The list is free again: as many as there were.
        let free = |mut outbox: super::super::outbox::Outbox| (0..).map_while(|_| outbox.take_list()).count();
        assert_eq!(free(rig.exchange.outbox.clone()), free(lists));

        let mut rig = with_values(Rig::ours(5), 5, 250);
        rig.owe(is_ack, None, 1..=5);
        assert_eq!(rig.told(verb, 400), each[..1]);
        assert!(!rig.exchange.is_due(PEER));
    }
}

#[test]
fn over_connections_heartbeats_that_find_no_room_wait_for_the_next_exchange() {
    for (is_ack, verb) in [(true, Verb::GOSSIP_DIGEST_ACK), (false, Verb::GOSSIP_DIGEST_ACK2)] {
        for (mut rig, is_all) in [(Rig::ours(60), false), (Rig::in_packets(60), true)] {
            rig.owe(is_ack, None, 1..=60);
            let told = rig.told(verb, 400);
            let first: Vec<_> = told.iter().flatten().map(|(endpoint, _)| *endpoint).collect();
            assert_eq!(
                first,
                (1..=60).map(other).take(if is_all { 60 } else { told[0].len() }).collect::<Vec<_>>()
            );
            assert_eq!(told.len() > 1, is_all);
        }
    }
}

#[test]
fn an_answer_without_anything_to_say_is_sent_once() {
    for mut rig in [Rig::ours(5), Rig::in_packets(5)] {
        for (is_ack, verb) in [(true, Verb::GOSSIP_DIGEST_ACK), (false, Verb::GOSSIP_DIGEST_ACK2)] {
            rig.owe(is_ack, None, []);
            assert_eq!(rig.told(verb, 400), [[]]);
        }
    }
}

#[test]
fn an_answer_to_a_peer_that_has_not_proven_its_address_is_one_message() {
    let mut rig = with_values(Rig::in_packets(5), 5, 250);
    rig.owe(true, Some(350), 1..=5);
    assert_eq!(rig.told(Verb::GOSSIP_DIGEST_ACK, 1_400), [[(other(1), vec![4])]]);
    // Not even an empty one fits.
    rig.owe(true, Some(3), 1..=5);
    assert!(rig.message(V12, 1_400).is_none());
    assert_eq!(rig.journal.stats.messages_dropped, 1);
}

#[test]
fn requests_follow_until_all_are_made() {
    let mut rig = Rig::in_packets(40);
    let list = rig.exchange.outbox.take_list().unwrap();
    let unknown = crate::digest::Unknown { endpoint: other(100), generation: GENERATION };
    (100..120).for_each(|n| {
        let pending = rig.exchange.outbox.list_mut(list);
        pending.unknown.push(crate::digest::Unknown { endpoint: other(n), ..unknown });
    });
    rig.exchange.outbox.ack(PEER, list, None).unwrap();
    let mut requested = Vec::new();
    while let Some((verb, body)) = rig.message(V12, 128) {
        let Message::Ack(ack) = Message::decode(verb, &body, V12).unwrap().unwrap() else { panic!() };
        assert!(!ack.requests.is_empty());
        requested.extend(ack.requests.iter().map(|request| request.endpoint));
    }
    assert_eq!(requested, (100..120).map(other).collect::<Vec<_>>());
}

#[test]
fn a_value_that_fits_no_packet_is_counted_and_disturbs_no_other_message() {
    for (is_ack, verb) in [(true, Verb::GOSSIP_DIGEST_ACK), (false, Verb::GOSSIP_DIGEST_ACK2)] {
        let mut rig = with_values(Rig::in_packets(2), 1, 250);
        rig.set(2, ApplicationState::DC, &"x".repeat(500), 4);
        rig.owe(is_ack, None, [1, 2]);
        assert_eq!(rig.message(V12, 400).unwrap().0, verb);
        assert!(rig.exchange.is_body_due(PEER, V12), "the other state is yet to be told");
        assert_eq!(rig.journal.stats.values_unsendable, 0);
        // Behind it something else is due.
        assert_eq!(endpoints(&rig.syn(V12, 20)), us_and([1, 2]));
        assert_eq!(rig.journal.stats.values_unsendable, 1);
    }
}

#[test]
fn a_state_that_fits_no_ordinary_message_has_one_of_its_own_of_just_its_size() {
    let mut rig = with_values(Rig::ours(2), 2, 500);
    rig.owe(false, None, [1, 2]);
    assert_eq!(rig.told(Verb::GOSSIP_DIGEST_ACK2, 400), [[]]);
    assert!(rig.exchange.is_large_due(PEER));
    assert!(rig.writing().audience(PEER, V12, Phase::Running).is_none(), "it is for one peer");
    let size = rig.writing().encode_due_large(PEER, V12, 100).unwrap_err();
    assert_eq!(rig.writing().encode_due_large(PEER, V12, size - 1).unwrap_err(), size);
    let (outgoing, body) = rig.writing().encode_due_large(PEER, V12, size).unwrap();
    assert_eq!((outgoing.verb, body.len()), (Verb::GOSSIP_DIGEST_ACK2, size));
    assert!(!rig.exchange.is_large_due(PEER));
    assert_eq!(rig.writing().encode_due_large(PEER, V12, size).unwrap_err(), 0);
}

#[test]
fn an_answer_that_holds_everything_is_shared_by_peers_that_can_take_the_same() {
    let mut rig = with_values(Rig::gossip_only(3), 3, 500);
    (1..=3).for_each(|n| rig.set(n, ApplicationState::HOST_ID, "h", 1));
    // Older releases cannot decode it.
    rig.set(1, ApplicationState::new(29), "later", 5);
    rig.exchange.shadow_reply(PEER, &mut rig.journal);
    assert!(rig.message(V12, 400).is_none());
    let audience = |rig: &mut Rig, codec, phase| rig.writing().audience(PEER, codec, phase);
    let running = audience(&mut rig, V12, Phase::Running).unwrap();
    assert_eq!(audience(&mut rig, V12, Phase::Running), Some(running.clone()));
    assert_ne!(audience(&mut rig, V12, Phase::Leaving), Some(running.clone()));
    assert_ne!(audience(&mut rig, V14, Phase::Running), Some(running));
    assert_eq!(rig.journal.stats.values_withheld, 0, "nothing was written");
    assert_eq!(rig.writing().share_large(PEER, 3).verb, Verb::GOSSIP_DIGEST_ACK);
    assert_eq!(rig.journal.stats.values_withheld, 3);
    assert!(!rig.exchange.is_large_due(PEER) && audience(&mut rig, V12, Phase::Running).is_none());

    rig.exchange.shadow_reply(PEER, &mut rig.journal);
    assert!(rig.message(V12, 400).is_none());
    let size = rig.writing().encode_due_large(PEER, V12, 0).unwrap_err();
    let (_, body) = rig.writing().encode_due_large(PEER, V12, size).unwrap();
    assert_eq!(rig.journal.stats.values_withheld, 4);
    assert_eq!(body.len() + 4 + 4 + 2 + "later".len(), size, "all but the value that is withheld");
}

/// Nor is one whose host id is not known told to a node that runs: what is known of it may be a part. A node that starts has to hear of it.
#[test]
fn an_endpoint_of_cassandra_that_stopped_without_tokens_is_in_no_answer() {
    for (mut rig, to_starting, expected) in [
        (Rig::ours(3), us_and([1, 2, 3]), us_and([1, 2, 3])),
        (Rig::gossip_only(3), us_and([2, 3]), us_and([2])),
    ] {
        let slot = rig.slot(1);
        rig.table.set_heartbeat(slot, Version::SHUTDOWN);
        (1..=2).for_each(|n| rig.set(n, ApplicationState::HOST_ID, "h", 1));
        rig.exchange.shadow_reply(PEER, &mut rig.journal);
        let told = rig.told(Verb::GOSSIP_DIGEST_ACK, 400);
        let told: Vec<_> = told.iter().flatten().map(|(endpoint, _)| *endpoint).collect();
        assert_eq!(told, to_starting);
        rig.owe(false, None, [1, 2, 3]);
        let told = rig.told(Verb::GOSSIP_DIGEST_ACK2, 400);
        let mut told: Vec<_> = told.iter().flatten().map(|(endpoint, _)| *endpoint).collect();
        told.sort_unstable();
        assert_eq!(told, expected[1..]);
    }
}

#[test]
fn over_packets_everything_is_told_once_first_what_is_known_of_the_asking_node() {
    let mut rig = with_values(Rig::in_packets(9), 9, 100);
    let large = rig.slot(7);
    rig.table.reserve_values(large, 4, 1_200);
    // It fits no packet whole.
    for (key, version) in [(20, 5), (21, 6), (22, 7)] {
        rig.set(7, ApplicationState::new(key), &"x".repeat(300), version);
    }
    let (gone, last) = (rig.slot(4), rig.slot(9));
    rig.table.remove(gone);
    rig.insert(PEER, 3);
    rig.table.remove(last);
    rig.exchange.shadow_reply(PEER, &mut rig.journal);
    let told = rig.told(Verb::GOSSIP_DIGEST_ACK, 400);
    let whole = |n| (other(n), vec![4]);
    let expected = [
        // What is known of the asking node, then the rest by rows, without the one that is free.
        vec![(PEER, vec![]), (LOCAL, vec![]), whole(1), whole(2)],
        vec![whole(3), whole(5), whole(6)],
        // Of the first the oldest value.
        vec![whole(7), whole(8)],
    ];
    assert_eq!(told, expected);
    assert!(!rig.exchange.is_due(PEER));
}

#[test]
fn over_packets_everything_is_told_once_even_if_the_asking_node_and_we_fit_no_packet_together() {
    let mut rig = Rig::in_packets(1);
    for endpoint in [PEER, LOCAL] {
        let slot = rig.table.find(endpoint).unwrap_or_else(|| rig.insert(endpoint, 3));
        rig.table.reserve_values(slot, 1, 250);
        let text = "x".repeat(250);
        _ = rig.table.set_value(slot, STATUS, JavaStr::from_checked(text.as_bytes()), Version::new(2));
    }
    rig.exchange.shadow_reply(PEER, &mut rig.journal);
    let told = rig.told(Verb::GOSSIP_DIGEST_ACK, 400);
    assert_eq!(told, [vec![(PEER, vec![2])], vec![(LOCAL, vec![2]), (other(1), vec![])]]);
    assert!(!rig.exchange.is_due(PEER));
}

#[test]
fn over_packets_no_part_of_everything_is_empty() {
    let mut rig = Rig::in_packets(1);
    rig.set(1, STATUS, &"x".repeat(1_200), 2);
    rig.exchange.shadow_reply(PEER, &mut rig.journal);
    assert_eq!(rig.told(Verb::GOSSIP_DIGEST_ACK, 400), [vec![(LOCAL, vec![])]]);
    assert!(!rig.exchange.is_due(PEER));
}

#[test]
fn no_syn_goes_out_each_round_to_a_node_that_will_not_answer_it() {
    let mut rig = Rig::gossip_only(3);
    rig.metadata.learn(other(1), MetadataId::new(7));
    for (is_question, seconds, is_sent) in
        [(false, 0, true), (false, 1, true), (false, 2, false), (true, 3, false), (false, 61, true)]
    {
        rig.clock.advance(at(100 + seconds));
        if is_question {
            rig.exchange.shadow_syn(PEER, &mut rig.journal);
        } else {
            rig.exchange.syn(PEER, 1, &mut rig.journal);
        }
        assert_eq!(rig.message(V12, 400).is_some(), is_sent, "at {seconds} s");
        assert!(!rig.exchange.is_due(PEER));
    }
    assert_eq!(rig.journal.stats.syns_withheld, 2);
}

#[test]
fn a_question_for_everything_names_the_cluster_and_no_endpoint() {
    let mut rig = Rig::ours(3);
    rig.exchange.shadow_syn(PEER, &mut rig.journal);
    assert_eq!(rig.part_of_syn(V12, 20).unwrap(), []);
    assert_eq!((rig.exchange.take_question(), rig.exchange.take_question()), (Some(PEER), None));
}
