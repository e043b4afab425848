//! The model with Cassandra's rules, in the scenarios that Cassandra's own behaviour defines. The letters are those of
//! `gossip-core/tests/SCENARIOS.md`; the real state machine passes the same ones there.

use std::collections::BTreeMap;
use std::time::Duration;

use gossip_core::Endpoint;
use gossip_reference::state::{
    HOST_ID, INTERNAL_ADDRESS_AND_PORT, INTERNAL_IP, NATIVE_ADDRESS_AND_PORT, RELEASE_VERSION, RPC_ADDRESS,
    RPC_READY, STATUS, STATUS_WITH_PORT, STOPPED, State, TOKENS,
};
use gossip_reference::{
    Arrivals, Deviations, Digest, Message, Node, Outcome, PHI_FACTOR, Settings, Standing, States,
    generation_at_start, may_start,
};

const CLUSTER: &str = "Test Cluster";
const PARTITIONER: &str = "org.apache.cassandra.dht.Murmur3Partitioner";
const UNIX_MS: u64 = 1_700_000_000_000;
const LOAD: i32 = 1;
const DC: i32 = 3;

fn endpoint(last: u8) -> Endpoint {
    Endpoint::v4([127, 0, 0, last], 7000)
}

const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn settings() -> Settings {
    Settings::cassandra(CLUSTER, PARTITIONER)
}

/// Endpoint A, generation 100, heartbeat 5, at second 1,000.
fn node() -> Node {
    node_with(settings())
}

fn node_with(settings: Settings) -> Node {
    Node::new(settings, endpoint(1), State::bare(100, 5), seconds(1_000), UNIX_MS)
}

fn at(node: &mut Node, second: u64) {
    node.set_time(seconds(second), UNIX_MS + (second - 1_000) * 1_000);
}

fn digest(last: u8, generation: i32, version: i32) -> Digest {
    Digest { endpoint: endpoint(last), generation, version }
}

fn syn(digests: &[Digest]) -> Message {
    Message::Syn { cluster: CLUSTER.into(), partitioner: PARTITIONER.into(), digests: digests.to_vec() }
}

fn states(states: &[(u8, State)]) -> States {
    states.iter().map(|(last, state)| (endpoint(*last), state.clone())).collect()
}

fn ack(requests: &[Digest], sent: &[(u8, State)]) -> Message {
    Message::Ack { requests: requests.to_vec(), states: states(sent) }
}

fn ack2(sent: &[(u8, State)]) -> Message {
    Message::Ack2 { states: states(sent) }
}

fn normal(generation: i32, heartbeat: i32) -> State {
    State::bare(generation, heartbeat).with(TOKENS, "t", 1).with(STATUS_WITH_PORT, "NORMAL,7", 2)
}

/// Teaches a node an endpoint, and lets it answer its echo.
fn meet(node: &mut Node, last: u8, state: State) {
    node.receive(endpoint(last), &ack2(&[(last, state)]));
    node.receive(endpoint(last), &Message::EchoResponse);
    assert_eq!(node.standing(endpoint(last)), Standing::Live);
}

/// Teaches a node an endpoint whose address alone is known to be down.
fn meet_down(node: &mut Node, last: u8) {
    node.add_saved(endpoint(last));
}

fn echoes(answers: &[(Endpoint, Message)]) -> Vec<Endpoint> {
    answers.iter().filter(|(_, message)| *message == Message::EchoRequest).map(|(to, _)| *to).collect()
}

#[test]
fn f1_two_nodes_exchange_what_a_syn_lists() {
    let mut a = node();
    let mut b = Node::new(settings(), endpoint(2), State::bare(200, 9), seconds(1_000), UNIX_MS);
    let answers = b.receive(endpoint(1), &a.syn());
    assert_eq!(
        answers,
        [(endpoint(1), ack(&[digest(1, 100, 0)], &[]))],
        "the receiver does not offer itself"
    );
    a.sent(endpoint(2), &a.syn());
    let answers = a.receive(endpoint(2), &answers[0].1);
    assert_eq!(answers, [(endpoint(2), ack2(&[(1, State::bare(100, 5))]))]);
    let answers = b.receive(endpoint(1), &answers[0].1);
    assert_eq!(echoes(&answers), [endpoint(1)]);
    assert_eq!(b.state(endpoint(1)), Some(&State::bare(100, 5)));
}

#[test]
fn f2_nodes_in_sync_answer_all_the_same() {
    let mut node = node();
    assert_eq!(node.receive(endpoint(2), &syn(&[digest(1, 100, 5)])), [(endpoint(2), ack(&[], &[]))]);
    assert_eq!(node.receive(endpoint(2), &ack(&[], &[])), [(endpoint(2), ack2(&[]))]);
}

#[test]
fn f3_to_f7_each_digest_gets_what_its_case_says() {
    let mut node = node();
    let known = State::bare(100, 6).with(LOAD, "1", 7).with(DC, "dc", 2);
    node.receive(endpoint(3), &ack2(&[(3, known.clone())]));
    node.add_saved(endpoint(4));
    let answer = |digest: Digest| node.examine(&[digest]);
    let none = (Vec::new(), States::new());
    assert_eq!(
        answer(digest(3, 100, 3)),
        (Vec::new(), states(&[(3, State::bare(100, 6).with(LOAD, "1", 7))])),
        "F3"
    );
    assert_eq!(answer(digest(3, 100, 9)), (vec![digest(3, 100, 7)], States::new()), "F4");
    assert_eq!(answer(digest(3, 150, 1)), (vec![digest(3, 150, 0)], States::new()), "F5");
    assert_eq!(answer(digest(3, 50, 900)), (Vec::new(), states(&[(3, known)])), "F6");
    assert_eq!(answer(digest(4, 0, -1)), none, "F7");
    assert_eq!(answer(digest(4, -5, 0)), none, "F7, an earlier generation");
}

#[test]
fn f8_an_old_heartbeat_travels_with_a_newer_value() {
    let state = State::bare(100, 5).with(LOAD, "1", 8);
    assert_eq!(state.above(6), Some(state.clone()));
    assert_eq!(state.above(8), None);
}

#[test]
fn f9_f10_there_are_syns_without_an_answer() {
    let mut node = node();
    let foreign = |cluster: &str, partitioner: &str| Message::Syn {
        cluster: cluster.into(),
        partitioner: partitioner.into(),
        digests: vec![digest(2, 1, 1)],
    };
    assert_eq!(node.receive(endpoint(2), &foreign("test cluster", PARTITIONER)), []);
    assert_eq!(node.receive(endpoint(2), &foreign(CLUSTER, "other")), []);
    assert_eq!(node.receive(endpoint(2), &foreign(CLUSTER, PARTITIONER)).len(), 1);
}

#[test]
fn f11_one_live_endpoint_is_chosen_a_round() {
    let mut node = node();
    meet(&mut node, 2, normal(100, 1));
    meet(&mut node, 3, normal(100, 1));
    assert_eq!(node.targets(|| 0.0), [endpoint(2)]);
    assert_eq!(node.targets(|| 0.49), [endpoint(2)]);
    assert_eq!(node.targets(|| 0.5), [endpoint(3)]);
    assert_eq!(node.targets(|| 0.99), [endpoint(3)]);
}

#[test]
fn f12_unreachable_endpoints_are_tried_by_their_share() {
    let mut node = node();
    meet(&mut node, 2, normal(100, 1));
    for last in 3..=5 {
        meet_down(&mut node, last);
    }
    assert_eq!(node.targets(|| 0.99).len(), 2, "3 of 1 live: each round");
    let mut node = self::node();
    for last in 2..=10 {
        meet(&mut node, last, normal(100, 1));
    }
    meet_down(&mut node, 11);
    assert_eq!(node.targets(|| 0.09).len(), 2);
    assert_eq!(node.targets(|| 0.11).len(), 1, "1 of 9 live: a tenth of the rounds");
}

#[test]
fn f13_endpoints_that_left_are_never_tried() {
    let mut node = node();
    let left = State::bare(100, 1).with(STATUS_WITH_PORT, "hibernate,true", 2);
    node.receive(endpoint(2), &ack2(&[(2, left)]));
    assert_eq!(node.standing(endpoint(2)), Standing::Unreachable);
    assert_eq!(node.targets(|| 0.0), []);
}

#[test]
fn f14_f15_seeds_are_chosen_by_the_rule_for_seeds() {
    let mut node = node();
    node.set_seeds([endpoint(1), endpoint(2)]);
    assert_eq!(node.targets(|| 0.99), [endpoint(2)], "nobody is live: a seed, each round");
    meet(&mut node, 2, normal(100, 1));
    assert_eq!(node.targets(|| 0.5), [endpoint(2)], "the live target was the seed");
    node.set_seeds([endpoint(3)]);
    assert_eq!(
        node.targets(|| 0.99),
        [endpoint(2), endpoint(3)],
        "one seed of one known endpoint: each round"
    );
    let mut alone = self::node();
    alone.set_seeds([endpoint(1)]);
    assert_eq!(alone.targets(|| 0.0), [], "its own only seed");
}

#[test]
fn f16_an_ack_before_the_first_syn_is_ignored() {
    let mut node = node();
    let late = ack(&[digest(1, 100, 0)], &[(2, State::bare(7, 7))]);
    assert_eq!(node.receive(endpoint(2), &late), []);
    assert_eq!(node.state(endpoint(2)), None);
}

#[test]
fn f17_an_unknown_endpoint_that_is_requested_is_left_out() {
    let mut node = node();
    let answers = node.receive(endpoint(2), &ack(&[digest(9, 1, 0)], &[]));
    assert_eq!(answers, [(endpoint(2), ack2(&[]))]);
}

#[test]
fn f18_a_heartbeat_grows_by_one_a_round_and_a_value() {
    let mut node = node();
    for _ in 0..3 {
        node.beat();
    }
    node.publish(LOAD, "1");
    node.beat();
    assert_eq!(node.state(endpoint(1)).map(|own| own.heartbeat), Some(10));
}

#[test]
fn g1_a_generation_over_a_year_ahead_is_ignored() {
    let now = i32::try_from(UNIX_MS / 1_000).expect("it fits");
    let year = 365 * 24 * 60 * 60;
    let mut node = node();
    node.receive(endpoint(2), &ack2(&[(2, State::bare(1, 1))]));
    node.receive(endpoint(2), &ack2(&[(2, State::bare(now + year, 1))]));
    assert_eq!(node.state(endpoint(2)).map(|state| state.generation), Some(now + year));
    node.receive(endpoint(2), &ack2(&[(2, State::bare(now + year + 1, 1))]));
    assert_eq!(node.state(endpoint(2)).map(|state| state.generation), Some(now + year));
    node.receive(endpoint(3), &ack2(&[(3, State::bare(i32::MAX, 1))]));
    assert!(node.state(endpoint(3)).is_some(), "a first contact is not checked");
}

#[test]
fn g7_g8_own_states_and_smaller_generations_are_ignored() {
    let mut node = node();
    node.receive(endpoint(2), &ack2(&[(1, State::bare(900, 9)), (2, State::bare(50, 9))]));
    assert_eq!(node.state(endpoint(1)), Some(&State::bare(100, 5)));
    let answers = node.receive(endpoint(2), &ack2(&[(2, State::bare(49, 99))]));
    assert_eq!(answers, []);
    assert_eq!(node.state(endpoint(2)), Some(&State::bare(50, 9)));
}

#[test]
fn g9_a_greater_generation_replaces_everything() {
    let mut node = node();
    meet(&mut node, 2, normal(100, 900).with(LOAD, "1", 800));
    let answers = node.receive(endpoint(2), &ack2(&[(2, normal(200, 3))]));
    assert_eq!(echoes(&answers), [endpoint(2)]);
    assert_eq!(node.state(endpoint(2)), Some(&normal(200, 3)));
    assert_eq!(node.standing(endpoint(2)), Standing::Unverified, "until it answers");
    node.receive(endpoint(2), &Message::EchoResponse);
    assert_eq!(node.standing(endpoint(2)), Standing::Live);
}

#[test]
fn g10_an_endpoint_that_is_new_and_has_left_is_not_asked() {
    let mut node = node();
    let left = State::bare(100, 1).with(STATUS_WITH_PORT, "LEFT,7,1800000000000", 2);
    assert_eq!(node.receive(endpoint(3), &ack2(&[(2, left)])), []);
    assert!(!node.live().contains(&endpoint(2)));
}

#[test]
fn g12_older_values_of_pairs_are_dropped_where_all_are_recent() {
    let pairs = State::bare(100, 1)
        .with(STATUS, "NORMAL,7", 2)
        .with(STATUS_WITH_PORT, "NORMAL,7", 3)
        .with(INTERNAL_IP, "127.0.0.2", 4)
        .with(INTERNAL_ADDRESS_AND_PORT, "127.0.0.2:7000", 5)
        .with(RPC_ADDRESS, "127.0.0.2", 6)
        .with(NATIVE_ADDRESS_AND_PORT, "127.0.0.2:9042", 7);
    let mut node = node();
    node.receive(endpoint(2), &ack2(&[(2, pairs.clone())]));
    assert_eq!(node.state(endpoint(2)).map(|state| state.values.len()), Some(6), "we have no release");
    let own = State::bare(100, 5).with(RELEASE_VERSION, "5.0.2", 1);
    let mut node = Node::new(settings(), endpoint(1), own, seconds(1_000), UNIX_MS);
    node.receive(endpoint(2), &ack2(&[(2, pairs.clone())]));
    let keys = |node: &Node| -> Vec<i32> {
        node.state(endpoint(2)).map(|state| state.values.keys().copied().collect()).unwrap_or_default()
    };
    assert_eq!(keys(&node), [INTERNAL_ADDRESS_AND_PORT, NATIVE_ADDRESS_AND_PORT, STATUS_WITH_PORT]);
    let legacy = State::bare(100, 1).with(STATUS, "NORMAL,7", 2);
    let own = State::bare(100, 5).with(RELEASE_VERSION, "5.0.2", 1);
    let mut node = Node::new(settings(), endpoint(1), own, seconds(1_000), UNIX_MS);
    node.receive(endpoint(2), &ack2(&[(2, legacy)]));
    assert_eq!(keys(&node), [STATUS], "without its successor it stays");
}

#[test]
fn h1_intervals_of_111_ms_give_the_phi_of_cassandras_test() {
    let settings = Settings { window: 4, ..settings() };
    let millis = Duration::from_millis;
    let mut arrivals = Arrivals::first(&settings, millis(111));
    for at in [222, 333, 444, 555] {
        arrivals.report(&settings, millis(at));
    }
    assert!((arrivals.unscaled(millis(666)) - 1.0).abs() < 0.01);
    assert!((arrivals.unscaled(millis(3_000)) - 22.03).abs() < 0.01);
}

/// Lets rounds pass, one a second, until an endpoint is no longer live.
fn convicted_after(node: &mut Node, last: u8, from: u64) -> u64 {
    for second in from + 1..from + 100 {
        at(node, second);
        node.check();
        if node.standing(endpoint(last)) != Standing::Live {
            return second - from;
        }
    }
    panic!("it is still live");
}

#[test]
fn h3_h4_silence_convicts_after_18_42_mean_intervals() {
    let mut node = node();
    meet(&mut node, 2, normal(100, 10));
    assert_eq!(convicted_after(&mut node, 2, 1_000), 37, "after one report: 36.84 s");
    for (threshold, expected) in [(8.0, 19), (12.0, 28)] {
        let mut node = node_with(Settings { threshold, ..settings() });
        meet(&mut node, 2, normal(100, 10));
        for second in 1_001..=2_500 {
            at(&mut node, second);
            node.receive(endpoint(2), &ack2(&[(2, normal(100, i32::try_from(second).expect("small")))]));
            node.check();
        }
        assert_eq!(convicted_after(&mut node, 2, 2_500), expected);
    }
}

#[test]
fn h5_a_long_gap_is_not_recorded() {
    let mut arrivals = Arrivals::first(&settings(), seconds(1));
    arrivals.report(&settings(), seconds(2));
    let mean = arrivals.mean();
    arrivals.report(&settings(), seconds(5));
    assert!((arrivals.mean() - mean).abs() < 1e-12);
    arrivals.report(&settings(), seconds(6));
    assert!((arrivals.mean() - 4.0 / 3.0).abs() < 1e-12, "the next interval counts from the latest arrival");
}

#[test]
fn h6_a_pause_of_the_node_itself_convicts_nobody_for_five_seconds() {
    let mut node = node();
    meet(&mut node, 2, normal(100, 10));
    at(&mut node, 1_001);
    node.check();
    at(&mut node, 1_100);
    node.check();
    assert_eq!(node.standing(endpoint(2)), Standing::Live);
    at(&mut node, 1_104);
    node.check();
    assert_eq!(node.standing(endpoint(2)), Standing::Live);
    at(&mut node, 1_105);
    node.check();
    assert_eq!(node.standing(endpoint(2)), Standing::Unreachable);
}

#[test]
fn h9_h10_an_endpoint_is_live_once_it_answers_in_time() {
    let mut node = node();
    let answers = node.receive(endpoint(2), &ack2(&[(2, normal(100, 1))]));
    assert_eq!(echoes(&answers), [endpoint(2)]);
    assert_eq!(node.standing(endpoint(2)), Standing::Unverified);
    at(&mut node, 1_011);
    node.receive(endpoint(2), &Message::EchoResponse);
    assert_eq!(node.standing(endpoint(2)), Standing::Unverified, "too late");
    let answers = node.receive(endpoint(3), &ack2(&[(2, normal(100, 1))]));
    assert_eq!(echoes(&answers), [endpoint(2)], "any state of it asks again, if it brings nothing new");
    node.receive(endpoint(2), &Message::EchoResponse);
    assert_eq!(node.standing(endpoint(2)), Standing::Live);
}

#[test]
fn h14_a_restart_clears_the_arrivals_of_an_endpoint_that_was_down() {
    let mut node = node();
    meet(&mut node, 2, normal(100, 10));
    at(&mut node, 1_001);
    node.receive(endpoint(2), &ack2(&[(2, normal(101, 1))]));
    let mean = |node: &Node| node.arrivals(endpoint(2)).map(Arrivals::mean);
    assert_eq!(mean(&node), Some(1.5), "it was alive: one more interval");
    at(&mut node, 1_002);
    node.receive(endpoint(2), &ack2(&[(2, normal(102, 1))]));
    assert_eq!(mean(&node), Some(2.0), "it was not: a new window");
}

#[test]
fn i1_i6_an_endpoint_that_left_is_forgotten_when_its_time_is_over() {
    let mut node = node();
    meet(&mut node, 2, normal(100, 1));
    let left = normal(100, 5).with(STATUS_WITH_PORT, &format!("LEFT,7,{}", UNIX_MS + 90_000), 4);
    node.receive(endpoint(2), &ack2(&[(2, left)]));
    assert!(!node.is_ring_member(endpoint(2)) && !node.live().contains(&endpoint(2)));
    for second in 1_001..=1_090 {
        at(&mut node, second);
        node.check();
        assert!(node.digests().iter().any(|digest| digest.endpoint == endpoint(2)), "still in gossip");
    }
    at(&mut node, 1_091);
    node.check();
    assert_eq!(node.state(endpoint(2)), None);
}

#[test]
fn i2_i3_an_evicted_endpoint_is_refused_for_a_minute_and_a_replaced_one_for_two() {
    for (is_replaced, last_refused) in [(false, 1_091), (true, 1_120)] {
        let mut node = node();
        let fat = State::bare(100, 1).with(DC, "dc", 1);
        node.receive(endpoint(2), &ack2(&[(2, fat.clone())]));
        if is_replaced {
            node.replaced(endpoint(2));
        } else {
            at(&mut node, 1_031);
            node.check();
        }
        assert_eq!(node.state(endpoint(2)), None);
        at(&mut node, last_refused);
        let (requests, _) = node.examine(&[digest(2, 200, 3)]);
        assert_eq!(requests.len(), 1, "it is requested all the same");
        node.receive(endpoint(2), &ack2(&[(2, State::bare(200, 3))]));
        assert_eq!(node.state(endpoint(2)), None, "a later process is refused as well");
        at(&mut node, last_refused + 1);
        node.receive(endpoint(2), &ack2(&[(2, fat)]));
        assert!(node.state(endpoint(2)).is_some());
    }
}

#[test]
fn i4_i5_a_gossip_only_endpoint_is_forgotten_for_its_silence() {
    for (status, seconds) in [("", 30), ("BOOT,7", 60)] {
        let mut node = node();
        let mut state = State::bare(100, 1).with(DC, "dc", 1);
        if !status.is_empty() {
            state = state.with(STATUS_WITH_PORT, status, 2);
        }
        node.receive(endpoint(2), &ack2(&[(2, state)]));
        at(&mut node, 1_000 + seconds);
        node.check();
        assert!(node.state(endpoint(2)).is_some());
        at(&mut node, 1_001 + seconds);
        node.check();
        assert_eq!(node.state(endpoint(2)), None);
    }
}

#[test]
fn i7_a_member_that_crashed_stays() {
    let mut node = node();
    meet(&mut node, 2, normal(100, 1));
    convicted_after(&mut node, 2, 1_000);
    at(&mut node, 1_000 + 10 * 86_400);
    node.check();
    assert!(node.state(endpoint(2)).is_some());
    assert_eq!(node.targets(|| 0.0), [endpoint(2)]);
}

#[test]
fn i12_a_removed_seed_is_no_seed() {
    let mut node = node();
    node.set_seeds([endpoint(2)]);
    let left = State::bare(100, 1).with(STATUS_WITH_PORT, "LEFT,7,1800000000000", 2);
    node.receive(endpoint(2), &ack2(&[(2, left)]));
    assert_eq!(node.targets(|| 0.0), []);
}

/// A node in its shadow round, with seeds B and C.
fn asking(is_seed: bool) -> Node {
    let mut node = node();
    node.set_seeds([endpoint(2), endpoint(3)]);
    node.begin_shadow_round(is_seed);
    node
}

#[test]
fn j2_j3_an_answer_ends_the_shadow_round_unless_it_says_too_little_of_us() {
    let mut node = asking(false);
    node.receive(endpoint(2), &ack(&[], &[(1, State::bare(90, 3))]));
    assert_eq!(node.end_shadow_round(), None, "our entry lacks its host id");
    let gone = State::bare(90, 3).with(STATUS_WITH_PORT, "LEFT,7,1800000000000", 2);
    node.receive(endpoint(2), &ack(&[], &[(1, gone.clone())]));
    assert_eq!(node.end_shadow_round(), Some(Outcome::Learned(states(&[(1, gone.clone())]))));
    assert!(may_start(Some(&gone), true, "h", true));
    assert_eq!(node.states().len(), 1, "nothing of it is stored");
}

#[test]
fn j4_seeds_that_all_ask_go_on() {
    let mut node = asking(true);
    assert_eq!(node.receive(endpoint(2), &syn(&[])), [(endpoint(2), ack(&[], &[]))]);
    assert_eq!(node.receive(endpoint(2), &syn(&[digest(2, 1, 1)])), []);
    node.receive(endpoint(2), &ack(&[], &[]));
    assert_eq!(node.end_shadow_round(), None);
    node.receive(endpoint(3), &ack(&[], &[]));
    assert_eq!(node.end_shadow_round(), Some(Outcome::Learned(States::new())));
}

#[test]
fn j5_without_an_answer_a_seed_goes_on_and_another_node_fails() {
    for (is_seed, last, expected) in
        [(true, 31, Outcome::Learned(States::new())), (false, 61, Outcome::Failed)]
    {
        let mut node = asking(is_seed);
        node.add_saved(endpoint(9));
        let mut asked = BTreeMap::new();
        for second in 0..=last {
            assert_eq!(node.clone().end_shadow_round(), None, "at {second}");
            at(&mut node, 1_000 + second);
            let syns = node.shadow_check();
            if !syns.is_empty() {
                asked.insert(second, syns.len());
            }
        }
        assert_eq!(node.end_shadow_round(), Some(expected));
        assert!(asked.keys().all(|second| second % 5 == 0), "{asked:?}");
        assert_eq!(asked.get(&0), Some(&2), "seeds only");
        assert_eq!(asked.get(&5), Some(&3), "known peers too");
    }
}

#[test]
fn j7_to_j9_addresses_in_use_and_generations() {
    let host = |status: &str| normal(1, 1).with(HOST_ID, "h", 1).with(STATUS_WITH_PORT, status, 3);
    assert!(may_start(None, true, "h", false));
    assert!(!may_start(Some(&host("hibernate,true")), true, "h", false));
    assert!(may_start(Some(&host("hibernate,true")), true, "h", true));
    assert!(!may_start(Some(&host("NORMAL,7")), true, "h", false));
    assert!(may_start(Some(&host("LEAVING,7")), true, "h", false));
    assert!(may_start(Some(&host("NORMAL,7")), false, "h", true));
    assert!(!may_start(Some(&host("NORMAL,7")), false, "other", true));
    assert_eq!(generation_at_start(Some(1_000), 1_700_000_000), 1_700_000_000);
    assert_eq!(generation_at_start(Some(1_800_000_000), 1_700_000_000), 1_800_000_001);
    assert_eq!(generation_at_start(None, 1_700_000_000), 1_700_000_000);
}

#[test]
fn j8_k6_a_shutdown_of_an_endpoint_without_values_is_ignored() {
    let mut node = node();
    node.add_saved(endpoint(2));
    node.receive(endpoint(2), &Message::Shutdown(None));
    assert_eq!(node.state(endpoint(2)), Some(&State::SAVED));
}

#[test]
fn k5_k8_an_endpoint_that_stops_is_down_at_once_until_it_restarts() {
    let mut node = node();
    meet(&mut node, 2, normal(100, 50));
    node.receive(endpoint(2), &Message::Shutdown(None));
    let state = node.state(endpoint(2)).cloned().unwrap_or_default();
    assert_eq!(state.heartbeat, STOPPED);
    assert_eq!(state.status(false), "shutdown,true");
    assert_eq!(state.values.get(&RPC_READY).map(|value| value.text.as_str()), Some("false"));
    assert_eq!(node.standing(endpoint(2)), Standing::Unreachable);
    node.receive(endpoint(2), &ack2(&[(2, normal(101, 3))]));
    node.receive(endpoint(2), &Message::EchoResponse);
    assert_eq!(node.standing(endpoint(2)), Standing::Live);
}

#[test]
fn k7_a_shutdown_whose_state_says_normal_is_rejected() {
    let mut node = node();
    meet(&mut node, 2, normal(100, 50));
    node.receive(endpoint(2), &Message::Shutdown(Some(normal(100, 51))));
    assert_eq!(node.state(endpoint(2)), Some(&normal(100, 50)));
    let stopped = normal(100, 51).with(STATUS_WITH_PORT, "shutdown,true", 52);
    node.receive(endpoint(2), &Message::Shutdown(Some(stopped)));
    assert_eq!(node.standing(endpoint(2)), Standing::Unreachable);
}

#[test]
fn k9_k18_a_member_tells_all_live_endpoints_and_another_node_nobody() {
    let mut node = node();
    for last in 2..=4 {
        meet(&mut node, last, normal(100, 1));
    }
    let mut joining = node.clone();
    joining.publish(STATUS_WITH_PORT, "BOOT,7");
    assert_eq!(joining.announce_stop(false), []);
    node.publish(STATUS_WITH_PORT, "NORMAL,7");
    let told: Vec<Endpoint> = node.announce_stop(false).into_iter().map(|(to, _)| to).collect();
    assert_eq!(told, [endpoint(2), endpoint(3), endpoint(4)]);
    assert_eq!(node.status(endpoint(1)), "shutdown,true");
}

#[test]
fn a_later_state_of_a_stopped_endpoint_is_not_newer_but_causes_an_echo_in_cassandra() {
    for (deviations, expected) in [(Deviations::NONE, 1), (Deviations::ALL, 0)] {
        let mut node = node_with(Settings { deviations, ..settings() });
        node.sent(endpoint(2), &ack(&[digest(2, 100, 0)], &[]));
        meet(&mut node, 2, normal(100, 50));
        node.receive(endpoint(2), &Message::Shutdown(None));
        let answers = node.receive(endpoint(3), &ack2(&[(2, normal(100, 60))]));
        assert_eq!(echoes(&answers).len(), expected);
        assert_eq!(node.status(endpoint(2)), "shutdown,true");
    }
}

#[test]
fn phi_is_scaled_so_that_it_compares_with_the_threshold() {
    let arrivals = Arrivals::first(&settings(), seconds(0));
    let phi = arrivals.phi(Duration::from_millis(36_841));
    assert!((phi - 36.841 / 2.0 * PHI_FACTOR).abs() < 1e-9 && phi > 8.0 - 1e-3);
}
