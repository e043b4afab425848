//! Scenarios F1 to F18 of the specification: SYN, ACK, ACK2, and to whom the first of them goes.

use core::time::Duration;

use gossip_core::{ApplicationState, Event, MetadataId, Standing};

use crate::support::{
    Content, Driven, Sent, State, ack, ack2, builder, digest, endpoint, heartbeat, java, syn, talk,
};

const A: &str = "10.0.0.1:7000";
const B: &str = "10.0.0.2:7000";
const C: &str = "10.0.0.3:7000";
const D: &str = "10.0.0.4:7000";

/// An endpoint that knows C so.
fn knowing(state: &State) -> Driven {
    let mut driven = Driven::new(builder(B, 200));
    driven.learn(C, state);
    driven.sent();
    driven
}

#[test]
fn f1_convergence_takes_one_exchange_each_way() {
    let mut a = Driven::new(
        builder(A, 100)
            .state(ApplicationState::DC, "dc1")
            .state(ApplicationState::RACK, "r1")
            .seed(endpoint(B)),
    );
    let mut b = Driven::new(builder(B, 200).state(ApplicationState::DC, "dc2"));
    a.advance(Duration::from_secs(1));
    b.advance(Duration::from_secs(7));
    let syns = a.advance(Duration::from_secs(1));
    let [Sent { to, content: first, .. }] = &syns[..] else { panic!("{syns:?}") };
    assert_eq!((*to, first), (endpoint(B), &syn(&[digest(A, 100, 5)])));
    assert_eq!(b.heartbeat(B), Some(heartbeat(200, 9)));

    let answer = b.answers(A, first);
    assert_eq!(
        answer,
        [ack(&[digest(A, 100, 0)], &[])],
        "it says nothing of itself, because it was not asked"
    );
    let full =
        State::new(heartbeat(100, 5), &[(ApplicationState::DC, "dc1", 1), (ApplicationState::RACK, "r1", 2)]);
    let last = a.answers(B, &answer[0]);
    assert_eq!(last, [ack2(&[(A, full)])]);
    b.hand(A, &last[0]);
    assert_eq!(b.heartbeat(A), Some(heartbeat(100, 5)));
    assert_eq!(a.heartbeat(B), None);

    talk(&mut a, &mut b);
    assert_eq!(b.standing(A), Some(Standing::Live));
    let syns = b.round();
    // Deviation: what an ACK2 brought to a process this young, without a host id, is requested once more.
    assert_eq!(syns[0].content, syn(&[digest(B, 200, 10), digest(A, 100, 0)]));
    a.hand(B, &syns[0].content);
    talk(&mut a, &mut b);
    assert_eq!(a.value(B, ApplicationState::DC), Some(("dc2".to_owned(), 1)));
    assert_eq!(a.standing(B), Some(Standing::Live));
}

#[test]
fn f2_in_sync_both_answers_are_empty_and_sent() {
    let state = State::new(heartbeat(100, 5), &[(ApplicationState::LOAD, "1", 4)]);
    let mut b = knowing(&state);
    let answer = b.answers(A, &syn(&[digest(C, 100, 5)]));
    assert_eq!(answer, [ack(&[], &[])]);
    assert_eq!(knowing(&state).answers(A, &answer[0]), [ack2(&[])]);
}

#[test]
fn an_answer_that_waits_is_about_the_same_endpoints_after_their_rows_moved() {
    // It learns of them in no order. So its next round moves the rows.
    let mut b = Driven::new(builder(B, 200));
    let names: Vec<String> = (0..40).map(|n| format!("10.0.1.{}:7000", 10 + n * 17 % 40)).collect();
    let known = |at: &str| 10 + i32::from(at.as_bytes()[8]) + i32::from(at.as_bytes()[7]) * 10;
    for at in &names {
        b.learn(at, &State::new(heartbeat(100, known(at)), &[]));
        b.sent();
    }
    let (newer, older) = names.split_at(20);
    let newer_there = newer.iter().map(|at| digest(at, 100, known(at) + 5));
    let older_there = older.iter().map(|at| digest(at, 100, known(at) - 5));
    b.hand(A, &syn(&newer_there.chain(older_there).collect::<Vec<_>>()));
    b.now = b.gossiper.poll_timeout().unwrap();
    b.gossiper.handle_timeout(b.now);

    let answer = b.sent().into_iter().find_map(|sent| match sent.content {
        Content::Ack { requests, states } if sent.to == endpoint(A) => Some((requests, states)),
        _ => None,
    });
    let (mut requests, mut states) = answer.unwrap();
    requests.sort_unstable_by_key(|digest| digest.endpoint);
    states.sort_unstable_by_key(|(endpoint, _)| *endpoint);
    let mut expected: Vec<_> = newer.iter().map(|at| digest(at, 100, known(at))).collect();
    expected.sort_unstable_by_key(|digest| digest.endpoint);
    assert_eq!(requests, expected);
    let mut expected: Vec<_> =
        older.iter().map(|at| (endpoint(at), State::new(heartbeat(100, known(at)), &[]))).collect();
    expected.sort_unstable_by_key(|(endpoint, _)| *endpoint);
    assert_eq!(states, expected);
    let listed: Vec<_> = b.gossiper.endpoints().skip(1).collect();
    assert!(listed.is_sorted(), "rows lie by address now");
}

#[test]
fn f3_sender_behind_gets_what_is_newer() {
    let mut b = knowing(&State::new(
        heartbeat(100, 6),
        &[(ApplicationState::LOAD, "23.0", 7), (ApplicationState::DC, "dc1", 2)],
    ));
    let newer = State::new(heartbeat(100, 6), &[(ApplicationState::LOAD, "23.0", 7)]);
    assert_eq!(b.answers(A, &syn(&[digest(C, 100, 3)])), [ack(&[], &[(C, newer)])]);
}

#[test]
fn f4_sender_ahead_is_asked_from_where_we_are() {
    let mut b = knowing(&State::new(heartbeat(100, 6), &[(ApplicationState::LOAD, "23.0", 7)]));
    assert_eq!(b.answers(A, &syn(&[digest(C, 100, 9)])), [ack(&[digest(C, 100, 7)], &[])]);
}

#[test]
fn f5_new_generation_at_the_sender_is_asked_for_from_the_start() {
    let mut b = knowing(&State::new(heartbeat(100, 900), &[]));
    assert_eq!(b.answers(A, &syn(&[digest(C, 150, 1)])), [ack(&[digest(C, 150, 0)], &[])]);
}

#[test]
fn f6_old_generation_at_the_sender_gets_everything() {
    // Even what has version 0, which no request would bring.
    let state = State::new(
        heartbeat(100, 3),
        &[
            (ApplicationState::LOAD, "1", 2),
            (ApplicationState::DC, "dc1", 1),
            (ApplicationState::RACK, "r", 0),
        ],
    );
    let mut b = knowing(&state);
    assert_eq!(b.answers(A, &syn(&[digest(C, 50, 900)])), [ack(&[], &[(C, state)])]);
}

#[test]
fn f7_nothing_is_said_of_a_saved_endpoint() {
    let mut b = Driven::new(builder(B, 200).saved_endpoint(endpoint(C)));
    assert_eq!(b.heartbeat(C), Some(heartbeat(0, -1)));
    for known in [digest(C, 0, -1), digest(C, -5, 0)] {
        assert_eq!(b.answers(A, &syn(&[known])), [ack(&[], &[])], "{known:?}");
    }
}

#[test]
fn f8_value_newer_than_the_heartbeat_brings_the_old_one_along() {
    let state = State::new(heartbeat(100, 5), &[(ApplicationState::LOAD, "23.0", 8)]);
    let mut b = knowing(&state);
    assert_eq!(b.answers(A, &syn(&[digest(C, 100, 6)])), [ack(&[], &[(C, state)])]);
}

#[test]
fn f9_other_cluster_or_partitioner_gets_no_answer() {
    let mut b = knowing(&State::new(heartbeat(100, 5), &[]));
    b.events();
    let Content::Syn { cluster, partitioner, .. } = syn(&[]) else { unreachable!() };
    let with = |cluster: &[u8], partitioner: &[u8], digests| Content::Syn {
        cluster: cluster.to_vec(),
        partitioner: partitioner.to_vec(),
        metadata_id: MetadataId::NONE,
        digests,
    };
    for digests in [vec![digest(C, 100, 1)], vec![]] {
        assert_eq!(b.answers(A, &with(&java("C"), &partitioner, digests.clone())), []);
        assert_eq!(b.answers(A, &with(&cluster, &java("ByteOrderedPartitioner"), digests)), []);
    }
    assert_eq!((b.gossiper.stats().foreign_cluster, b.gossiper.stats().foreign_partitioner), (2, 2));
    let from = endpoint(A);
    assert_eq!(
        b.events(),
        [Event::ForeignCluster { from }, Event::ForeignPartitioner { from }],
        "reported once"
    );
    assert_eq!(b.gossiper.foreign_cluster().map(|(_, name)| name).as_deref(), Some("C"));
    assert_eq!(
        b.gossiper.foreign_partitioner().map(|(_, name)| name).as_deref(),
        Some("ByteOrderedPartitioner")
    );
}

#[test]
fn f10_who_takes_no_part_does_not_answer() {
    let mut b = knowing(&State::new(heartbeat(100, 5), &[]));
    b.gossiper.disable(b.now).unwrap();
    b.advance(Duration::from_secs(2));
    assert!(!b.gossiper.is_enabled());
    assert_eq!(b.answers(A, &syn(&[digest(C, 100, 1)])), []);
    assert_eq!(b.answers(A, &syn(&[])), []);
}

#[test]
fn f16_ack_before_the_first_syn_is_ignored() {
    let mut b = knowing(&State::new(heartbeat(100, 5), &[]));
    let answer = ack(&[digest(C, 100, 0)], &[(C, State::new(heartbeat(100, 9), &[]))]);
    assert_eq!(b.answers(A, &answer), []);
    assert_eq!(b.heartbeat(C), Some(heartbeat(100, 5)));
    let counted = |b: &Driven| {
        let stats = b.gossiper.stats();
        (stats.acks_received, stats.stray_acks, stats.ack2s_received)
    };
    let before = counted(&b);
    b.hand(A, &answer);
    b.hand(A, &ack2(&[]));
    assert_eq!(counted(&b), (before.0 + 1, before.1 + 1, before.2 + 1));
    b = Driven::new(builder(B, 200).seed(endpoint(A)));
    b.round();
    assert_eq!(b.answers(A, &answer), [ack2(&[])], "afterwards it counts");
}

/// Else it may answer an earlier process, and hold what that one lacked.
#[test]
fn only_the_answer_to_a_syn_is_taken_for_all_of_an_endpoint_that_has_restarted() {
    let mut b = knowing(&State::new(heartbeat(100, 5), &[]));
    b.gossiper.set_seeds(&[endpoint(A)]);
    let syns = b
        .round()
        .iter()
        .filter(|sent| sent.to == endpoint(A) && matches!(sent.content, Content::Syn { .. }))
        .count();
    assert_eq!(syns, 1);
    let restarted = |generation| ack(&[], &[(C, State::new(heartbeat(generation, 1), &[]))]);
    b.hand(A, &restarted(101));
    assert_eq!(b.heartbeat(C), Some(heartbeat(101, 1)));
    let before = b.gossiper.stats().unrequested_states;
    b.hand(A, &restarted(102));
    assert_eq!(b.heartbeat(C), Some(heartbeat(101, 1)), "there was one SYN");
    assert_eq!(b.gossiper.stats().unrequested_states, before + 1);
}

#[test]
fn f17_ack_asks_for_an_endpoint_that_is_unknown() {
    let mut b = knowing(&State::new(heartbeat(100, 5), &[]));
    let answer = b.answers(A, &ack(&[digest(D, 100, 0), digest(C, 100, 0)], &[]));
    assert_eq!(answer, [ack2(&[(C, State::new(heartbeat(100, 5), &[]))])]);
}

#[test]
fn f18_heartbeat_grows_by_one_a_round_and_a_value() {
    let mut b = Driven::new(builder(B, 200));
    b.advance(Duration::from_secs(6));
    assert_eq!(b.heartbeat(B), Some(heartbeat(200, 7)), "the first round is at once");
    b.gossiper.set_state(b.now, ApplicationState::LOAD, "1").unwrap();
    b.gossiper.set_state(b.now, ApplicationState::LOAD, "2").unwrap();
    b.advance(Duration::from_secs(5));
    assert_eq!(b.heartbeat(B), Some(heartbeat(200, 14)));
    assert_eq!(b.value(B, ApplicationState::LOAD), Some(("2".to_owned(), 9)));
}

/// Who gets how many SYNs in so many rounds.
struct Rounds {
    driven: Driven,
    rounds: u32,
}

impl Rounds {
    /// `live` and `unreachable` say how many there are of each; the dead are unreachable and have left. No endpoint is convicted:
    /// the rounds are too short.
    fn new(live: u8, unreachable: u8, dead: u8, seeds: &[&str]) -> Self {
        let mut config = builder(A, 1)
            .interval(Duration::from_millis(1))
            .change_detector(|detector| detector.initial_arrival_interval = Some(Duration::from_hours(1)));
        for seed in seeds {
            config = config.seed(endpoint(seed));
        }
        for n in 0..unreachable {
            config = config.saved_endpoint(endpoint(&unreachable_at(n)));
        }
        let mut driven = Driven::new(config);
        for n in 0..live {
            driven.learn_live(&live_at(n), &State::new(heartbeat(100, 1), &[]));
        }
        for n in 0..dead {
            let left = [(ApplicationState::STATUS_WITH_PORT, "LEFT,1,2000000000000", 2)];
            driven.learn(&dead_at(n), &State::new(heartbeat(100, 1), &left));
            assert_eq!(driven.standing(&dead_at(n)), Some(Standing::Unreachable));
        }
        driven.sent();
        Self { driven, rounds: 20_000 }
    }

    /// For each of `of` the share of the rounds in which it gets a SYN; asserts that no other gets one.
    fn shares<const N: usize>(mut self, of: [&str; N]) -> [f64; N] {
        let of = of.map(endpoint);
        let mut counts = [0_u32; N];
        for _ in 0..self.rounds {
            for sent in self.driven.round() {
                assert!(matches!(sent.content, Content::Syn { .. }));
                let at = of.iter().position(|at| *at == sent.to).unwrap_or_else(|| panic!("{}", sent.to));
                counts[at] += 1;
            }
        }
        counts.map(|count| f64::from(count) / f64::from(self.rounds))
    }
}

fn live_at(n: u8) -> String {
    format!("10.0.1.{n}:7000")
}

fn unreachable_at(n: u8) -> String {
    format!("10.0.2.{n}:7000")
}

fn dead_at(n: u8) -> String {
    format!("10.0.3.{n}:7000")
}

/// Asserts that a share is `expected` but for 3 % of it.
fn assert_share(share: f64, expected: f64) {
    assert!((share - expected).abs() <= 0.03 * expected, "{share} is not {expected}");
}

const LIVE: &str = "10.0.1.0:7000";
const UNREACHABLE: &str = "10.0.2.0:7000";

#[test]
fn f11_one_of_the_live_each_round() {
    let shares = Rounds::new(2, 0, 0, &[]).shares([LIVE, "10.0.1.1:7000"]);
    assert!((shares[0] + shares[1] - 1.0).abs() < 1e-9, "{shares:?}");
    assert_share(shares[0], 0.5);
}

#[test]
fn f12_the_unreachable_are_tried_by_their_share() {
    let shares = Rounds::new(1, 3, 0, &[]).shares([LIVE, UNREACHABLE, "10.0.2.1:7000", "10.0.2.2:7000"]);
    assert!(
        (shares[0] - 1.0).abs() < 1e-9 && (shares[1..].iter().sum::<f64>() - 1.0).abs() < 1e-9,
        "{shares:?}"
    );
    shares[1..].iter().for_each(|share| assert_share(*share, 1.0 / 3.0));

    let mut rounds = Rounds::new(9, 1, 0, &[]);
    rounds.rounds *= 3;
    let live: Vec<String> = (0..9).map(live_at).collect();
    let mut of = [UNREACHABLE; 10];
    live.iter().enumerate().for_each(|(n, at)| of[n] = at);
    let shares = rounds.shares(of);
    assert_share(shares[9], 0.1);
    shares[..9].iter().for_each(|share| assert_share(*share, 1.0 / 9.0));
}

#[test]
fn f13_nobody_tries_an_endpoint_that_left() {
    assert_eq!(Rounds::new(1, 0, 1, &[]).shares([LIVE]).map(|share| share.to_bits()), [1_f64.to_bits()]);
    // Deviation: it does not count for the probability either, which would be 1 instead of 1/2.
    let shares = Rounds::new(1, 1, 1, &[]).shares([LIVE, UNREACHABLE]);
    assert_share(shares[1], 0.5);
}

#[test]
fn f14_seeds_are_told_by_their_share() {
    // The live one is the only seed.
    assert_eq!(Rounds::new(1, 0, 0, &[LIVE]).shares([LIVE]).map(f64::to_bits), [1_f64.to_bits()]);
    // One live that is no seed.
    assert_eq!(Rounds::new(1, 0, 0, &[B]).shares([LIVE, B]).map(f64::to_bits), [1_f64.to_bits(); 2]);
    // No endpoint is live.
    assert_eq!(Rounds::new(0, 0, 0, &[B]).shares([B]).map(f64::to_bits), [1_f64.to_bits()]);
    let shares = Rounds::new(0, 0, 0, &[B, C]).shares([B, C]);
    assert_share(shares[0], 0.5);
    assert!((shares[0] + shares[1] - 1.0).abs() < 1e-9, "{shares:?}");
    // Fewer live than seeds, though the live one is a seed: another seed is drawn every time, in half of them the same.
    let shares = Rounds::new(1, 0, 0, &[LIVE, B]).shares([LIVE, B]);
    assert!((shares[0] - 1.0).abs() < 1e-9, "{shares:?}");
    assert_share(shares[1], 0.5);
    // One seed, three live and one unreachable: a quarter, and the dead one does not count (Deviation).
    let mut rounds = Rounds::new(3, 1, 1, &[B]);
    rounds.rounds *= 2;
    let shares = rounds.shares([LIVE, "10.0.1.1:7000", "10.0.1.2:7000", UNREACHABLE, B]);
    assert_share(shares[3], 0.25);
    assert_share(shares[4], 0.25);
    // A live seed is the target in a third of the rounds; in the others it is drawn with a chance of a third.
    let shares = Rounds::new(3, 0, 0, &[LIVE]).shares([LIVE, "10.0.1.1:7000", "10.0.1.2:7000"]);
    assert_share(shares[0], 1.0 / 3.0 + 2.0 / 3.0 / 3.0);
    assert_share(shares[1], 1.0 / 3.0);
}

#[test]
fn f15_a_single_node_talks_to_nobody() {
    let mut rounds = Rounds::new(0, 0, 0, &[A]);
    rounds.rounds = 1_000;
    assert_eq!(rounds.shares([]), [] as [f64; 0]);
}
