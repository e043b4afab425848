//! What peers do that lie, stall, repeat themselves or name endpoints that do not exist, and what honest nodes must not suffer from it.

use core::time::Duration;
use std::time::Instant;

use gossip_core::message::Digest;
use gossip_core::{ApplicationState, Event, Generation, Standing, Transport};

use crate::support::{
    Content, Driven, Sent, State, ack, ack2, builder, deliver, digest, endpoint, heartbeat, java, syn, talk,
};

const A: &str = "10.0.0.1:7000";
const B: &str = "10.0.0.2:7000";
const C: &str = "10.0.0.3:7000";
const D: &str = "10.0.0.4:7000";
/// A newcomer.
const V: &str = "10.0.0.9:7000";
/// Peers that mean harm.
const M: &str = "10.6.6.6:7000";
const N: &str = "10.6.6.7:7000";

const OURS: &str = "11111111-1111-1111-1111-111111111111";
const THEIRS: &str = "22222222-2222-2222-2222-222222222222";
const HOST_ID: ApplicationState = ApplicationState::HOST_ID;
const STATUS: ApplicationState = ApplicationState::STATUS_WITH_PORT;
const SECOND: Duration = Duration::from_secs(1);

/// An endpoint that does not exist.
fn invented(n: u32) -> String {
    format!("10.{}.{}.{}:7000", 100 + n / 62_500, n / 250 % 250, n % 250 + 1)
}

/// Whether it asks for V in one of these messages.
fn asks_for_v(answers: &[Content]) -> bool {
    answers.iter().any(|content| {
        matches!(content, Content::Ack { requests, .. }
            if requests.iter().any(|request| request.endpoint == endpoint(V)))
    })
}

/// Lets V come to A while `attack` does what it does each tenth of a second. V and D gossip with A once a second, and answer. How
/// many seconds it takes until A knows V.
fn seconds_until_v_is_known(
    speakers: &[(&str, u64)],
    mut attack: impl FnMut(&mut Driven, u64),
) -> Option<u64> {
    let mut a = Driven::new(builder(A, 100));
    let state = |version| State::new(heartbeat(5, version), &[(ApplicationState::DC, "dc1", 1)]);
    // For so long the attack alone goes on.
    for tick in 0..300 {
        let version = 10 + i32::try_from(tick).unwrap();
        attack(&mut a, tick);
        if tick >= 50 {
            for (who, phase) in speakers {
                if tick % 10 == *phase && asks_for_v(&a.answers(who, &syn(&[digest(V, 5, version)]))) {
                    a.hand(who, &ack2(&[(V, state(version))]));
                }
            }
        }
        if a.standing(V).is_some() {
            return Some((tick - 50) / 10);
        }
        a.advance(Duration::from_millis(100));
    }
    None
}

#[test]
fn a_peer_that_never_answers_keeps_nobody_unknown() {
    let claim = |a: &mut Driven, from: &str| {
        a.hand(from, &syn(&[digest(V, 5, 1_000_000)]));
        a.sent();
    };
    for speakers in [&[(V, 3), (D, 7)][..], &[(D, 7)], &[(V, 3)]] {
        let quick = seconds_until_v_is_known(speakers, |_, _| {}).unwrap();
        assert_eq!(quick, 0);
        // It repeats itself more often than its time lasts.
        let slow = seconds_until_v_is_known(speakers, |a, tick| {
            if tick % 9 == 0 {
                claim(a, M);
            }
        });
        assert!(slow.is_some_and(|slow| slow <= 2), "{speakers:?}: {slow:?}");
        // Two take turns, ten times a second each.
        let slow = seconds_until_v_is_known(speakers, |a, _| {
            claim(a, M);
            claim(a, N);
        });
        assert!(slow.is_some_and(|slow| slow <= 4), "{speakers:?}: {slow:?}");
    }
}

#[test]
fn invented_endpoints_take_no_places_from_those_that_exist() {
    for attackers in [&[M][..], &[M, N]] {
        for speakers in [&[(V, 3), (D, 7)][..], &[(D, 7)]] {
            let mut n = 0;
            let slow = seconds_until_v_is_known(speakers, |a, _| {
                for attacker in attackers {
                    let fakes: Vec<_> = (0..512)
                        .map(|_| {
                            n = (n + 1) % 4_096;
                            digest(&invented(n), 5, 9)
                        })
                        .collect();
                    a.hand(attacker, &syn(&fakes));
                    a.sent();
                }
            });
            assert!(slow.is_some_and(|slow| slow <= 1), "{attackers:?} {speakers:?}: {slow:?}");
        }
    }
}

/// A peer has no state of an endpoint that it knows by address alone, such as those saved from an earlier run.
#[test]
fn nobody_is_asked_for_whom_the_peer_has_never_heard_of() {
    let mut a = Driven::new(builder(A, 100));
    let saved: Vec<_> = (0..600).map(|n| digest(&invented(n), 0, 0)).collect();
    assert_eq!(a.answers(B, &syn(&saved)), [ack(&[], &[])]);
    let mut unknown: Vec<_> = (0..600).map(|n| digest(&invented(n), 1, 9)).collect();
    unknown.push(digest(B, 7, 9));
    let answers = a.answers(B, &syn(&unknown));
    let [Content::Ack { requests, .. }] = &answers[..] else { panic!("{answers:?}") };
    assert_eq!(requests.len(), 512);
    assert_eq!(requests[0], digest(B, 7, 0), "who speaks for itself comes first");
}

/// It asks, and so does not answer.
#[test]
fn a_stray_ack_does_not_end_the_shadow_round() {
    let conflict =
        ack(&[], &[(A, State::new(heartbeat(500, 9), &[(STATUS, "NORMAL,7", 2), (HOST_ID, THEIRS, 1)]))]);
    let late = State::new(heartbeat(3, 9), &[(ApplicationState::LOAD, "1.0", 8)]);
    let whole = State::new(heartbeat(3, 9), &[(HOST_ID, THEIRS, 1)]);
    for stray in [
        (D, ack(&[digest(V, 3, 7)], &[])),
        (B, ack(&[digest(A, 99, 4)], &[])),
        (B, ack(&[digest(A, 99, 4)], &[(V, whole.clone())])),
        (D, ack(&[], &[(V, late.clone())])),
        (D, ack(&[], &[(D, late)])),
        (D, ack(&[], &[])),
    ] {
        let mut a = Driven::new(
            builder(A, 100)
                .change_membership(|membership| membership.shadow_round = true)
                .state(HOST_ID, OURS)
                .seed(endpoint(B)),
        );
        a.hand(B, &ack(&[], &[(B, whole.clone())]));
        assert!(!a.gossiper.is_enabled(), "nothing was asked yet");
        a.advance(Duration::ZERO);
        a.hand(stray.0, &stray.1);
        assert_eq!(a.events(), [], "{stray:?}");
        a.hand(B, &conflict);
        let conflict = Event::AddressConflict { generation: Generation::new(500) };
        assert_eq!(a.events(), [conflict, Event::Stopped], "{stray:?}");
    }
    // A seed that was asked under another of its addresses.
    let mut a = Driven::new(
        builder(A, 100)
            .change_membership(|membership| membership.shadow_round = true)
            .state(HOST_ID, OURS)
            .seed(endpoint(B)),
    );
    a.advance(Duration::ZERO);
    a.hand(D, &ack(&[], &[(D, whole)]));
    assert!(a.gossiper.is_enabled());
    assert_eq!(a.gossiper.stats().stray_acks, 0);
}

fn raised(a: &mut Driven) -> usize {
    a.events().iter().filter(|event| matches!(event, Event::GenerationRaised { .. })).count()
}

#[test]
fn unasked_claims_do_not_restart_us() {
    let mut a = Driven::new(builder(A, 100));
    for _ in 0..600 {
        a.hand(M, &ack2(&[(A, State::new(heartbeat(100, 1_000_000_000), &[]))]));
        a.advance(SECOND);
    }
    assert_eq!((raised(&mut a), a.gossiper.generation()), (0, Generation::new(100)));
    assert_eq!(a.gossiper.stats().unrequested_states, 600);
}

#[test]
fn claims_that_go_on_restart_us_ever_more_seldom() {
    let mut a = Driven::new(builder(A, 100));
    let mut counts = [0; 3];
    for count in &mut counts {
        for _ in 0..600 {
            let generation = a.gossiper.generation().get();
            a.answers(M, &syn(&[digest(A, generation, 1_000_000_000)]));
            a.hand(M, &ack2(&[(A, State::new(heartbeat(generation, 1_000_000_000), &[]))]));
            a.advance(SECOND);
            // Raises that were not polled yet are reported as one.
            *count += raised(&mut a);
        }
    }
    assert!(counts[0] >= 1 && counts[0] <= 7, "{counts:?}");
    assert!(counts[1] <= 1 && counts[2] <= 1, "{counts:?}");
    assert_eq!(a.gossiper.stats().own_claims, 1_800, "each claim is counted, whether it is answered or not");
    // After hours of calm the next is answered at once.
    a.now = a.now + Duration::from_hours(8);
    a.advance(SECOND);
    a.events();
    let generation = a.gossiper.generation().get();
    a.answers(M, &syn(&[digest(A, generation, 1_000_000_000)]));
    a.hand(M, &ack2(&[(A, State::new(heartbeat(generation, 1_000_000_000), &[]))]));
    assert_eq!(raised(&mut a), 1);
}

fn foreign(n: i32) -> Content {
    let Content::Syn { partitioner, metadata_id, digests, .. } = syn(&[digest(B, 1, n)]) else { panic!() };
    Content::Syn { cluster: java("other"), partitioner, metadata_id, digests }
}

#[test]
fn foreign_clusters_are_told_of_now_and_then_however_many_send() {
    let told = |events: &[Event]| {
        events.iter().filter(|event| matches!(event, Event::ForeignCluster { .. })).count()
    };
    for (senders, at_most) in [(1, 10), (2, 20), (250, 80)] {
        let mut a = Driven::new(builder(A, 100));
        let mut count = 0;
        for n in 0..600 {
            for sender in 0..senders {
                a.hand(&invented(sender), &foreign(n));
            }
            let events = a.events();
            if let Some(Event::ForeignCluster { from }) = events.last() {
                assert_eq!(a.gossiper.foreign_cluster(), Some((*from, "other".to_owned())));
            }
            count += told(&events);
            a.advance(SECOND);
        }
        assert!(count >= 10 && count <= at_most, "{senders} senders: reported {count} times");
        assert_eq!(a.gossiper.stats().foreign_cluster, 600 * u64::from(senders), "all are counted");
    }
}

/// The events are not taken out meanwhile.
#[test]
fn whatever_peers_send_leaves_room_for_changes_of_membership() {
    let mut a = Driven::new(builder(A, 100).change_limits(|limits| limits.max_pending_events = 32));
    for n in 0..5_000 {
        for from in [B, D] {
            a.hand(from, &foreign(n));
        }
        if n % 100 == 0 {
            a.advance(SECOND * 60);
        }
    }
    a.learn_live(V, &State::new(heartbeat(5, 5), &[]));
    let events = a.events();
    assert!(events.iter().any(|event| matches!(event, Event::Joined { .. })), "{events:?}");
    assert!(events.iter().any(|event| matches!(event, Event::Up { .. })), "{events:?}");
}

/// Who is remembered as gone must not be decided by a peer that names endpoints that do not exist, for whatever time.
#[test]
fn invented_endpoints_displace_no_tombstone() {
    const NOW: u64 = 1_700_000_000_000;
    let left = |expiry: &str| State::new(heartbeat(5, 5), &[(STATUS, &format!("LEFT,1,{expiry}"), 4)]);
    let mut a = Driven::new(builder(A, 100));
    a.gossiper.handle_wall_clock(a.now, NOW);
    a.learn_live(V, &State::new(heartbeat(5, 3), &[(STATUS, "NORMAL,1", 2)]));
    a.hand(V, &ack2(&[(V, left("1700000005000"))]));
    a.advance(SECOND * 10);
    assert_eq!(a.standing(V), None);
    for n in 0..1_100 {
        a.learn(&invented(n), &left("9000000000000000000"));
        a.sent();
        a.advance(Duration::from_millis(20));
    }
    let tombstones: Vec<_> = a.gossiper.tombstones().collect();
    assert_eq!(tombstones.len(), 1_024);
    assert!(tombstones.iter().any(|tombstone| tombstone.endpoint == endpoint(V)));
    let month = 30 * 24 * 60 * 60 * 1_000;
    assert!(tombstones.iter().all(|tombstone| tombstone.until_unix_ms < NOW + month));
    a.learn(V, &State::new(heartbeat(5, 5), &[(STATUS, "NORMAL,1", 4)]));
    assert_eq!(a.standing(V), None, "it does not come back");
}

#[test]
fn an_answer_to_an_earlier_process_leaves_no_hole() {
    let mut a = Driven::new(builder(A, 100).seed(endpoint(B)));
    let asked = a.answers(B, &syn(&[digest(B, 200, 9)]));
    assert_eq!(asked, [ack(&[digest(B, 200, 0)], &[])]);
    // What B owed to the process before, which lacked no more than a heartbeat.
    a.hand(B, &ack2(&[(B, State::new(heartbeat(200, 9), &[]))]));
    a.sent();
    let syns = a.round();
    let Some(Sent { content, .. }) = syns.iter().find(|sent| sent.to == endpoint(B)) else {
        panic!("{syns:?}")
    };
    assert_eq!(content, &syn(&[digest(A, 100, 1), digest(B, 200, 0)]), "all of it is asked for");
    a.hand(
        B,
        &ack(
            &[digest(A, 100, 0)],
            &[(B, State::new(heartbeat(200, 10), &[(ApplicationState::DC, "dc1", 1)]))],
        ),
    );
    assert_eq!(a.value(B, ApplicationState::DC), Some(("dc1".to_owned(), 1)));
    a.sent();
    let syns = a.round();
    let Some(Sent { content, .. }) = syns.iter().find(|sent| sent.to == endpoint(B)) else {
        panic!("{syns:?}")
    };
    assert_eq!(content, &syn(&[digest(A, 100, 2), digest(B, 200, 10)]), "once is enough");
    let later = a.advance(SECOND * 60);
    assert!(!later.iter().any(|sent| lists(sent, digest(B, 200, 0))));
}

/// Else an answer that was cut would end the doubt. So would one of a peer that lacks as much.
#[test]
fn an_answer_that_holds_less_than_is_known_ends_no_doubt() {
    let mut a = Driven::new(builder(A, 100).seed(endpoint(B)));
    a.hand(B, &syn(&[digest(B, 200, 60)]));
    a.sent();
    let values = |from: i32, to: i32| -> Vec<(ApplicationState, &str, i32)> {
        (from..=to).map(|version| (ApplicationState::new(1_000 + version), "x", version)).collect()
    };
    a.hand(B, &ack2(&[(B, State::new(heartbeat(200, 60), &values(50, 60)))]));
    let asks = |a: &mut Driven, version| {
        a.sent();
        let sent: Vec<_> = (0..15).flat_map(|_| a.round()).collect();
        sent.iter().any(|sent| sent.to == endpoint(B) && lists(sent, digest(B, 200, version)))
    };
    assert!(asks(&mut a, 0));
    a.hand(B, &ack(&[], &[(B, State::new(heartbeat(200, 30), &values(1, 30)))]));
    assert!(asks(&mut a, 30), "what lies between is still missing");
    a.hand(B, &ack(&[], &[(B, State::new(heartbeat(200, 61), &values(31, 60)))]));
    assert!(!asks(&mut a, 0) && !asks(&mut a, 30));
    assert_eq!(a.value(B, ApplicationState::new(1_040)), Some(("x".to_owned(), 40)));
}

/// Such an ACK holds what the earlier process lacked. If the new process knows a cut state, it would never request what lies between.
#[test]
fn an_ack_that_requests_another_generation_of_us_is_ignored_and_the_answer_still_awaited() {
    let mut a = Driven::new(builder(A, 100).seed(endpoint(B)));
    a.learn(D, &State::new(heartbeat(200, 5), &[(STATUS, "NORMAL,7", 5)]));
    a.sent();
    a.round();
    let newer = |version| [(D, State::new(heartbeat(200, version), &[]))];
    let before = a.gossiper.stats().stray_acks;
    assert_eq!(a.answers(B, &ack(&[digest(A, 90, 0)], &newer(12))), [], "not even its request is answered");
    assert_eq!(a.heartbeat(D), Some(heartbeat(200, 5)));
    assert_eq!(a.gossiper.stats().stray_acks, before + 1);
    assert_eq!(a.answers(B, &ack(&[digest(A, 100, 0)], &newer(13))).len(), 1);
    assert_eq!(a.heartbeat(D), Some(heartbeat(200, 13)));
}

/// Whether it is a SYN that lists this digest.
fn lists(sent: &Sent, digest: Digest) -> bool {
    matches!(&sent.content, Content::Syn { digests, .. } if digests.contains(&digest))
}

/// Found by a seed of the simulation: a peer that paused answers an earlier process late. The missing host id shows it, if nodes have host ids.
#[test]
fn what_comes_later_than_an_answer_takes_is_requested_once_more_if_there_are_host_ids() {
    for (age, host_id, is_doubted) in [
        (SECOND * 9, None, true),
        (SECOND * 10, None, false),
        (SECOND * 10, Some("a"), true),
        (SECOND * 1_000, Some("a"), true),
    ] {
        let config = builder(A, 100).seed(endpoint(B));
        let config =
            host_id.into_iter().fold(config, |config, id| config.state(ApplicationState::HOST_ID, id));
        let mut a = Driven::new(config);
        a.advance(age);
        a.hand(B, &syn(&[digest(B, 200, 9)]));
        a.sent();
        a.hand(B, &ack2(&[(B, State::new(heartbeat(200, 9), &[]))]));
        assert_eq!(a.heartbeat(B), Some(heartbeat(200, 9)));
        a.sent();
        let later = a.advance(SECOND * 20);
        assert_eq!(later.iter().any(|sent| lists(sent, digest(B, 200, 0))), is_doubted, "{age:?}");
    }
}

/// Found by seeds of the simulation. A peer told of an endpoint of which it knew only a part. All nodes learned that part, and took it for the
/// complete state.
#[test]
fn an_endpoint_without_a_host_id_is_asked_for_again_and_again_until_it_has_one() {
    let config = builder(A, 100).seed(endpoint(B)).state(ApplicationState::HOST_ID, "a");
    let mut a = Driven::new(config);
    a.advance(SECOND * 100);
    let peer = State::new(heartbeat(200, 9), &[(ApplicationState::HOST_ID, "b", 1)]);
    a.learn(B, &peer);
    a.learn(C, &State::new(heartbeat(300, 9), &[(ApplicationState::LOAD, "1", 8)]));
    a.sent();
    let is_asked = |sent: &Sent| lists(sent, digest(C, 300, 0));
    let mut asked = Vec::new();
    for second in 1..200 {
        a.hand(B, &ack2(&[(B, State::new(heartbeat(200, 9 + second), &[]))]));
        let sent = a.round();
        let syns = sent.iter().filter(|sent| is_asked(sent) && sent.to == endpoint(B));
        asked.extend(syns.map(|_| second));
    }
    // Others may have gone to C itself, which does not answer.
    assert_eq!(asked[..6], [1, 2, 4, 8, 16, 32]);
    assert!(asked[6..].iter().all(|second| second % 64 == 0), "{asked:?}");
    let whole = [
        (ApplicationState::HOST_ID, "c", 1),
        (ApplicationState::DC, "dc1", 2),
        (ApplicationState::LOAD, "1", 8),
    ];
    a.hand(B, &ack(&[], &[(C, State::new(heartbeat(300, 9), &whole))]));
    assert_eq!(a.value(C, ApplicationState::DC), Some(("dc1".to_owned(), 2)));
    let later: Vec<_> = (0..200).flat_map(|_| a.round()).collect();
    assert!(!later.iter().any(is_asked), "it is known as a whole");
}

#[test]
fn a_node_that_publishes_its_host_id_late_requests_the_endpoints_that_it_knows_without_one() {
    let mut a = Driven::new(builder(A, 100).seed(endpoint(B)));
    a.advance(SECOND * 100);
    a.learn(C, &State::new(heartbeat(300, 9), &[(ApplicationState::LOAD, "1", 8)]));
    a.sent();
    let is_asked =
        |a: &mut Driven| (0..3).flat_map(|_| a.round()).any(|sent| lists(&sent, digest(C, 300, 0)));
    assert!(!is_asked(&mut a), "perhaps no endpoint has one");
    a.gossiper.set_state(a.now, ApplicationState::HOST_ID, "a").unwrap();
    assert!(is_asked(&mut a));
}

/// Where many are known, it would take long until a peer chooses it.
#[test]
fn a_newcomer_is_sent_a_syn_at_once_where_many_are_known_and_it_does_not_stop() {
    let newcomer = |version| State::new(heartbeat(9, version), &[(STATUS, "NORMAL,1", 2)]);
    let mut a = Driven::new(builder(A, 100));
    let is_told = |a: &mut Driven| {
        a.sent().iter().any(|sent| sent.to == endpoint(V) && matches!(sent.content, Content::Syn { .. }))
    };
    a.learn(V, &newcomer(3));
    assert!(!is_told(&mut a), "it is soon chosen");
    for (version, is_told_at_once) in [(3, true), (i32::MAX, false)] {
        let mut a = Driven::new(builder(A, 100));
        for n in 0..15 {
            a.learn(&invented(n), &State::new(heartbeat(5, 5), &[(STATUS, "NORMAL,1", 4)]));
        }
        a.sent();
        a.learn(V, &newcomer(version));
        assert_eq!(is_told(&mut a), is_told_at_once);
    }
}

#[test]
fn a_late_answer_to_an_earlier_process_is_not_taken_for_the_whole() {
    let mut a = Driven::new(builder(A, 100).seed(endpoint(B)));
    a.learn(V, &State::new(heartbeat(1, 9), &[(ApplicationState::DC, "dc1", 1)]));
    a.sent();
    assert!(a.round().iter().any(|sent| sent.to == endpoint(B)), "the SYN");
    // The answer to it has no states.
    a.hand(B, &ack(&[digest(A, 100, 0)], &[]));
    a.sent();
    // What B still owed to the process before, which knew a part of V already.
    a.hand(B, &ack(&[], &[(V, State::new(heartbeat(2, 50), &[(ApplicationState::LOAD, "1.0", 45)]))]));
    assert_eq!(a.heartbeat(V), Some(heartbeat(1, 9)));
    let answers = a.answers(B, &syn(&[digest(V, 2, 60)]));
    let asked = answers.iter().find_map(|content| match content {
        Content::Ack { requests, .. } => requests.first().copied(),
        _ => None,
    });
    assert_eq!(asked, Some(digest(V, 2, 0)), "all of it is asked for");
}

/// An answer requests of us what its sender lacks, under the generation that asked.
#[test]
fn an_answer_counts_as_ours_by_the_generation_that_it_requests_of_us() {
    let later = State::new(heartbeat(2, 50), &[(ApplicationState::LOAD, "1.0", 45)]);
    for (requests, is_ours) in [
        ([digest(D, 77, 0), digest(A, 100, 0)], true),
        ([digest(D, 100, 0), digest(A, 99, 0)], false),
        ([digest(A, 99, 0), digest(D, 100, 0)], false),
    ] {
        let mut a = Driven::new(builder(A, 100).seed(endpoint(B)));
        a.learn(V, &State::new(heartbeat(1, 9), &[(ApplicationState::DC, "dc1", 1)]));
        a.sent();
        a.round();
        a.hand(B, &ack(&requests, &[(V, later.clone())]));
        assert_eq!(a.heartbeat(V), Some(if is_ours { heartbeat(2, 50) } else { heartbeat(1, 9) }));
    }
}

/// In packets an answer has several parts, and the first may hold requests alone.
#[test]
fn in_packets_an_answer_goes_on_after_a_part_without_states() {
    let mut a = Driven::new(builder(A, 100).seed(endpoint(B)).transport(Transport::Datagram));
    a.learn(V, &State::new(heartbeat(1, 9), &[(ApplicationState::DC, "dc1", 1)]));
    a.sent();
    a.round();
    a.hand(B, &ack(&[digest(A, 100, 0)], &[]));
    a.hand(B, &ack(&[], &[(V, State::new(heartbeat(2, 50), &[(ApplicationState::LOAD, "1.0", 45)]))]));
    assert_eq!(a.heartbeat(V), Some(heartbeat(2, 50)));
}

/// Each of them is answered, and needs a place among those whom something is due to.
#[test]
fn strangers_do_not_take_the_place_of_a_peer_whose_answer_is_awaited() {
    let mut a = Driven::new(builder(A, 100).seed(endpoint(B)));
    a.learn(V, &State::new(heartbeat(1, 9), &[(ApplicationState::DC, "dc1", 1)]));
    a.sent();
    assert!(a.round().iter().any(|sent| sent.to == endpoint(B)), "the SYN");
    for n in 0..1_000 {
        assert_eq!(a.answers(&invented(n), &syn(&[])).len(), 1);
    }
    // As the answer to our SYN it is a whole, though it does not say so.
    a.hand(B, &ack(&[], &[(V, State::new(heartbeat(2, 50), &[(ApplicationState::LOAD, "1.0", 45)]))]));
    assert_eq!(a.heartbeat(V), Some(heartbeat(2, 50)));
}

/// What one digest costs the receiver does not grow with how often it is said.
#[test]
fn a_digest_counts_once_in_a_message() {
    let mut a = Driven::new(builder(A, 100).state(ApplicationState::DC, &"x".repeat(1_000)));
    a.learn(V, &State::new(heartbeat(5, 9), &[(ApplicationState::DC, "dc1", 1)]));
    a.sent();
    let many: Vec<_> = (0..60).flat_map(|_| [digest(A, 100, 0), digest(V, 5, 3), digest(D, 4, 4)]).collect();
    let answers = a.answers(B, &syn(&many));
    let [Content::Ack { requests, states }] = &answers[..] else { panic!("{answers:?}") };
    assert_eq!(*requests, [digest(D, 4, 0)]);
    let mut told: Vec<_> = states.iter().map(|(at, _)| *at).collect();
    told.sort_unstable();
    assert_eq!(told, [endpoint(A), endpoint(V)]);
    a.advance(SECOND * 11);
    let answers = a.answers(B, &syn(&[digest(A, 100, 0), digest(V, 5, 99), digest(V, 5, 0)]));
    let [Content::Ack { requests, states }] = &answers[..] else { panic!("{answers:?}") };
    assert_eq!((requests.len(), states.len()), (1, 1), "the first that is said of an endpoint counts");

    let requests: Vec<_> = (0..60).map(|_| digest(A, 100, 0)).collect();
    let answers = a.answers(B, &ack(&requests, &[]));
    let [Content::Ack2 { states }] = &answers[..] else { panic!("{answers:?}") };
    assert_eq!(states.len(), 1);
}

/// How long it takes to learn of so many endpoints, and then to forget them all in one round.
#[expect(clippy::disallowed_methods, reason = "the protocol's time stands still while it works")]
fn learning_and_forgetting(count: u32) -> (Duration, Duration) {
    let mut a = Driven::new(
        builder(A, 100).change_membership(|membership| membership.fat_client_timeout = Some(SECOND * 90)),
    );
    let names: Vec<String> = (0..count).map(invented).collect();
    let mut learning = Duration::ZERO;
    for batch in names.chunks(500) {
        let digests: Vec<_> = batch.iter().map(|at| digest(at, 5, 9)).collect();
        let states = batch.iter().map(|at| (at.as_str(), State::new(heartbeat(5, 5), &[])));
        let (question, answer) = (syn(&digests), ack2(&states.collect::<Vec<_>>()));
        let start = Instant::now();
        a.hand(M, &question);
        a.sent();
        a.hand(M, &answer);
        learning += start.elapsed();
        a.sent();
        a.events();
        a.round();
    }
    for batch in names.chunks(2_000) {
        let fresh = State::new(heartbeat(5, 50), &[]);
        a.hand(M, &ack2(&batch.iter().map(|at| (at.as_str(), fresh.clone())).collect::<Vec<_>>()));
        a.events();
    }
    assert_eq!(a.gossiper.endpoint_count(), count as usize + 1);
    for _ in 0..100 {
        a.now = a.gossiper.poll_timeout().unwrap();
        let start = Instant::now();
        a.gossiper.handle_timeout(a.now);
        let forgetting = start.elapsed();
        if a.gossiper.endpoint_count() == 1 {
            return (learning, forgetting);
        }
        a.sent();
        a.events();
    }
    panic!("{} are still known", a.gossiper.endpoint_count());
}

/// If each that is forgotten cost a walk through all others, it would take many times as long as to learn of them, in every run.
/// Whatever else the machine does makes both longer; so one run in which it is shorter is enough.
#[test]
fn forgetting_many_at_once_takes_no_longer_than_learning_of_them() {
    let (mut learning, mut forgetting) = (Duration::MAX, Duration::MAX);
    let is_shorter = (0..10).any(|_| {
        let times = learning_and_forgetting(12_000);
        (learning, forgetting) = (learning.min(times.0), forgetting.min(times.1));
        forgetting < learning
    });
    assert!(is_shorter, "{forgetting:?} to forget, {learning:?} to learn");
}

#[test]
fn nobody_is_told_without_end_that_a_peer_ignores_us() {
    let mut a = Driven::new(builder(A, 100));
    let mut told = 0;
    for second in 0..600 {
        a.hand(M, &ack(&[digest(A, 100, 0)], &[]));
        if second % 5 == 4 {
            a.hand(M, &Content::Echo { verb: gossip_core::Verb::ECHO_REQ });
        }
        a.advance(SECOND);
        told += a.events().iter().filter(|event| matches!(event, Event::Ignored { .. })).count();
    }
    assert!((1..=20).contains(&told), "{told}");
}

/// A value that was set just before a stop is in the announcement of it, and reaches nodes that receive only that.
#[test]
fn a_stop_carries_what_was_said_last() {
    let key = ApplicationState::new(1_021);
    for status in [None, Some("NORMAL,1")] {
        let member = |at, generation| {
            let config = builder(at, generation);
            if let Some(status) = status { config.state(STATUS, status) } else { config }
        };
        let mut a = Driven::new(member(A, 100));
        let mut b = Driven::new(member(B, 200).seed(endpoint(A)));
        for driven in [&mut a, &mut b] {
            driven.version = gossip_core::MessagingVersion::V13;
        }
        a.gossiper.set_state(a.now, key, "old").unwrap();
        for _ in 0..10 {
            let (from_a, from_b) = (a.round(), b.round());
            deliver(&mut b, a.local(), &from_a);
            deliver(&mut a, b.local(), &from_b);
            talk(&mut a, &mut b);
        }
        assert_eq!(b.standing(A), Some(Standing::Live));
        a.gossiper.set_state(a.now, key, "new").unwrap();
        a.gossiper.shutdown(a.now);
        let sent = a.sent();
        deliver(&mut b, a.local(), &sent);
        assert_eq!(b.standing(A), Some(Standing::Unreachable));
        assert_eq!(b.value(A, key).unwrap().0, "new", "{status:?}");
        assert_eq!(b.value(A, STATUS).is_some(), status.is_some(), "a stop makes no member");
    }
}
