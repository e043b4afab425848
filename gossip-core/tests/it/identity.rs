//! Who has which address and which host id, and for how long: addresses taken over, moved members, copies, former addresses, and
//! clusters that come back as a whole; limits and clocks that are reported.

use core::time::Duration;

use gossip_core::{
    ApplicationState, ClockSuspect, ConfigBuilder, DialFailure, Event, ForgetCause, Generation, Input, Limit,
    Node, Output, RaiseCause, SavedEndpoint, Standing, Timestamp, Uuid, Verb,
};

use crate::support::{
    Content, Driven, State, ack, ack2, builder, deliver, digest, endpoint, heartbeat, syn, talk,
};

const A: &str = "10.0.0.1:7000";
const B: &str = "10.0.0.2:7000";
const C: &str = "10.0.0.3:7000";
const D: &str = "10.0.0.4:7000";

const SECOND: Duration = Duration::from_secs(1);
const STATUS: ApplicationState = ApplicationState::STATUS_WITH_PORT;
const HOST_ID: ApplicationState = ApplicationState::HOST_ID;
const OURS: &str = "11111111-1111-1111-1111-111111111111";
const THEIRS: &str = "22222222-2222-2222-2222-222222222222";

/// A node that asks B before it joins.
fn asking() -> ConfigBuilder {
    builder(A, 100)
        .seed(endpoint(B))
        .change_membership(|membership| membership.shadow_round = true)
        .state(HOST_ID, OURS)
}

fn state(generation: i32, version: i32, status: &str, host_id: &str) -> State {
    State::new(heartbeat(generation, version), &[(STATUS, status, 2), (HOST_ID, host_id, 1)])
}

/// Answers of B in which `at` has a state that `version` gives for each second, until the shadow round is over.
fn answers(a: &mut Driven, at: &str, answer: impl Fn(i32) -> State) -> (i32, Vec<Event>) {
    for second in 0..40 {
        let sent = a.advance(SECOND * u32::from(second > 0));
        let asks = |sent: &crate::support::Sent| {
            sent.to == endpoint(B) && sent.content.verb() == Verb::GOSSIP_DIGEST_SYN
        };
        if sent.iter().any(asks) {
            let b = State::new(
                heartbeat(200, second + 9),
                &[(HOST_ID, "33333333-3333-3333-3333-333333333333", 1)],
            );
            a.hand(B, &ack(&[], &[(at, answer(second)), (B, b)]));
        }
        let told: Vec<_> = a.events().into_iter().filter(is_of_the_shadow_round).collect();
        if !told.is_empty() {
            return (second, told);
        }
    }
    panic!("no event came");
}

fn is_of_the_shadow_round(event: &Event) -> bool {
    matches!(
        event,
        Event::ShadowRoundDone
            | Event::ShadowRoundFailed
            | Event::AddressConflict { .. }
            | Event::IdentityInUse { .. }
            | Event::GenerationRaised { .. }
            | Event::Stopped
    )
}

#[test]
fn the_address_of_a_member_is_taken_over_only_if_asked_for_and_it_is_not_live() {
    let generation = Generation::new(500);
    let refused = [Event::AddressConflict { generation }, Event::Stopped];
    // Without `replace`, a new member takes no place of another.
    for status in ["NORMAL,7", "shutdown,true", "hibernate,true"] {
        let (second, told) = answers(&mut Driven::new(asking()), A, |_| state(500, 9, status, THEIRS));
        assert_eq!((second, &told[..]), (0, &refused[..]), "{status}");
    }
    let joined = [
        Event::GenerationRaised {
            old: Generation::new(100),
            new: Generation::new(501),
            cause: RaiseCause::KnownGreater,
        },
        Event::ShadowRoundDone,
    ];
    // One that announced its stop is replaced at once; one that is silent, when its heartbeat has stood still for ten seconds.
    let (second, told) = answers(
        &mut Driven::new(asking().change_membership(|membership| membership.replace = true)),
        A,
        |_| state(500, 9, "shutdown,true", THEIRS),
    );
    assert_eq!((second, &told[..]), (0, &joined[..]));
    // The last heartbeat of a dead node may come late.
    let late = |second: i32| state(500, 9 + second.min(1), "NORMAL,7", THEIRS);
    let (second, told) = answers(
        &mut Driven::new(asking().change_membership(|membership| membership.replace = true)),
        A,
        late,
    );
    assert!((10..=12).contains(&second), "{second}");
    assert_eq!(told, joined);
    // A live member is never replaced.
    let grows = |second: i32| state(500, 9 + second, "NORMAL,7", THEIRS);
    let (second, told) = answers(
        &mut Driven::new(asking().change_membership(|membership| membership.replace = true)),
        A,
        grows,
    );
    assert!(second < 6, "{second}");
    assert_eq!(told, [Event::IdentityInUse { endpoint: endpoint(A), generation }, Event::Stopped]);
}

#[test]
fn a_copy_of_a_live_member_is_refused_at_its_start() {
    let generation = Generation::new(500);
    let grows = |second: i32| state(500, 9 + second, "NORMAL,7", OURS);
    let (_, told) = answers(&mut Driven::new(asking()), C, grows);
    assert_eq!(told, [Event::IdentityInUse { endpoint: endpoint(C), generation }, Event::Stopped]);
    // The one that answers is live.
    let mut a = Driven::new(asking());
    a.advance(Duration::ZERO);
    a.hand(B, &ack(&[], &[(B, state(500, 9, "NORMAL,7", OURS))]));
    assert_eq!(a.events(), [Event::IdentityInUse { endpoint: endpoint(B), generation }, Event::Stopped]);
    // Nor does another option help.
    let (_, told) = answers(
        &mut Driven::new(asking().change_membership(|membership| membership.replace = true)),
        C,
        grows,
    );
    assert_eq!(told.last(), Some(&Event::Stopped));
}

#[test]
fn a_member_that_moved_joins_at_its_new_address() {
    let (second, told) = answers(&mut Driven::new(asking()), C, |_| state(90, 9, "shutdown,true", OURS));
    assert_eq!((second, &told[..]), (0, &[Event::ShadowRoundDone][..]));
    let (second, told) = answers(&mut Driven::new(asking()), C, |_| state(90, 9, "NORMAL,7", OURS));
    assert_eq!((second >= 10, &told[..]), (true, &[Event::ShadowRoundDone][..]));
}

/// Without an option: each shows by its host id that it belongs to the cluster.
#[test]
fn two_members_that_come_back_with_each_others_addresses_are_both_let_in() {
    let mut a = Driven::new(asking());
    for _ in 0..=12 {
        a.advance(SECOND);
        let others = [(A, state(500, 9, "NORMAL,7", THEIRS)), (C, state(90, 9, "NORMAL,7", OURS))];
        a.hand(
            B,
            &ack(
                &[],
                &[others, [(B, State::new(heartbeat(200, 9), &[])), (D, state(1, 1, "NORMAL,7", THEIRS))]]
                    .concat(),
            ),
        );
    }
    let told = a.events();
    assert!(told.contains(&Event::ShadowRoundDone), "{told:?}");
    assert_eq!(a.gossiper.generation(), Generation::new(501), "above the one that had the address before");

    // The second of them finds that no endpoint has its host id any more. What it saved shows that it is a member.
    let mut second = Driven::new(asking().saved_endpoint(endpoint(C)));
    let (_, told) = answers(&mut second, A, |_| state(500, 9, "NORMAL,7", THEIRS));
    assert_eq!(told.last(), Some(&Event::ShadowRoundDone));
    let mut second = Driven::new(asking().saved_endpoint(endpoint(C)));
    let (_, told) = answers(&mut second, A, |second| state(500, 9 + second, "NORMAL,7", THEIRS));
    assert_eq!(told.last(), Some(&Event::Stopped), "unless the other is live");
}

#[test]
fn a_former_member_that_hears_only_from_others_that_ask_goes_on_as_a_seed_would() {
    let known = |config: ConfigBuilder| config.saved_endpoint(endpoint(C)).saved_endpoint(endpoint(D));
    let mut a = Driven::new(known(asking()));
    let mut told = Vec::new();
    for second in 0..=31 {
        let sent = a.advance(SECOND * u32::from(second > 0));
        // B, the seed, does not come back.
        for at in [C, D] {
            if sent.iter().any(|sent| sent.to == endpoint(at)) {
                a.hand(at, &ack(&[], &[]));
            }
        }
        told.extend(a.events());
    }
    told.retain(|event| !matches!(event, Event::SeedsSilent { .. }));
    assert_eq!(told, [Event::BeganAlone, Event::ShadowRoundDone]);
    // It answers the others from then on.
    let answer = a.answers(C, &syn(&[]));
    assert!(matches!(&answer[..], [Content::Ack { states, .. }] if !states.is_empty()), "{answer:?}");

    // A node that was no member, or hears from no peer, or from unknown peers alone, does not.
    for (config, peer) in [(asking(), C), (known(asking()), "10.0.0.9:7000")] {
        let mut a = Driven::new(config);
        for second in 0..=61 {
            a.advance(SECOND * u32::from(second > 0));
            a.hand(peer, &ack(&[], &[]));
        }
        let told = a.events();
        assert!(told.contains(&Event::ShadowRoundFailed), "{told:?}");
    }
}

#[test]
fn a_failed_shadow_round_names_the_peers_that_ask_too() {
    let mut a = Driven::new(asking().seed(endpoint(C)));
    for second in 0..=61 {
        a.advance(SECOND * u32::from(second > 0));
        a.hand(C, &ack(&[], &[]));
    }
    let told = a.events();
    let failed = told.iter().position(|event| *event == Event::ShadowRoundFailed).unwrap();
    assert_eq!(told[failed - 1], Event::PeerAsks { peer: endpoint(C) });
}

#[test]
fn why_a_seed_could_not_be_reached_is_told() {
    let mut node = Node::new(asking().build().unwrap(), Timestamp::ZERO);
    let mut buffer = vec![0; Node::MIN_BUFFER];
    let mut told = Vec::new();
    for second in 0..=11 {
        node.handle_input(Timestamp::from_millis(second * 1_000), Input::Timeout);
        loop {
            match node.poll(&mut buffer) {
                Output::Connect { connection, .. } => {
                    node.explain_failure(connection, DialFailure::Refused);
                    node.handle_input(Timestamp::from_millis(second * 1_000), Input::Failed { connection });
                }
                Output::Event(event) => told.push(event),
                Output::Timeout(_) => break,
                _ => {}
            }
        }
    }
    let failed = Event::DialFailed { endpoint: endpoint(B), failure: DialFailure::Refused, times: 2 };
    assert!(matches!(&told[..], [first, Event::SeedsSilent { .. }] if *first == failed), "{told:?}");
}

#[test]
fn a_host_id_that_two_have_is_told_once_an_hour() {
    let mut a = Driven::new(builder(A, 100).state(HOST_ID, OURS));
    a.learn_live(B, &state(200, 5, "NORMAL,7", THEIRS));
    a.learn_live(C, &state(300, 5, "NORMAL,7", THEIRS));
    // One of them may have died just before.
    a.round();
    assert!(!a.events().iter().any(|event| matches!(event, Event::SharedHostId { .. })));
    let beat = |a: &mut Driven, version: i32, of: &[(&str, i32)]| {
        let states: Vec<_> = of
            .iter()
            .map(|(at, generation)| (*at, State::new(heartbeat(*generation, version), &[])))
            .collect();
        a.round();
        a.hand(B, &ack2(&states));
    };
    for version in 10..20 {
        beat(&mut a, version, &[(C, 300)]);
    }
    assert!(!a.events().iter().any(|event| matches!(event, Event::SharedHostId { .. })), "B is silent");
    for version in 20..22 {
        beat(&mut a, version, &[(B, 200), (C, 300)]);
    }
    let shared = Event::SharedHostId { endpoint: endpoint(C), host_id: THEIRS.parse::<Uuid>().unwrap() };
    assert_eq!(a.events().iter().filter(|event| **event == shared).count(), 1);
    a.hand(B, &ack2(&[(C, State::new(heartbeat(300, 7), &[(HOST_ID, THEIRS, 6)]))]));
    a.round();
    assert!(!a.events().contains(&shared));
    // Also where it is the node's own.
    a.learn_live(D, &state(400, 5, "NORMAL,7", OURS));
    for version in 30..40 {
        beat(&mut a, version, &[(B, 200), (C, 300), (D, 400)]);
    }
    assert!(
        a.events()
            .iter()
            .any(|event| matches!(event, Event::SharedHostId { endpoint: at, .. } if *at == endpoint(D)))
    );
}

#[test]
fn a_host_id_that_changes_is_told() {
    let mut a = Driven::new(builder(A, 100));
    a.learn_live(B, &state(200, 5, "NORMAL,7", THEIRS));
    a.events();
    a.learn(B, &state(300, 5, "NORMAL,7", OURS));
    let changed = Event::HostIdChanged { endpoint: endpoint(B), old: THEIRS.parse().unwrap() };
    assert!(a.events().contains(&changed));
    a.learn(B, &state(400, 5, "NORMAL,7", OURS));
    assert!(!a.events().iter().any(|event| matches!(event, Event::HostIdChanged { .. })));
}

#[test]
fn a_host_id_that_changes_within_a_process_is_told() {
    let mut a = Driven::new(builder(A, 100));
    a.learn_live(B, &state(200, 5, "NORMAL,7", THEIRS));
    let mut told = |key, text: &str, version| {
        a.events();
        a.hand(B, &ack2(&[(B, State::new(heartbeat(200, version), &[(key, text, version)]))]));
        a.events()
            .into_iter()
            .filter(|event| matches!(event, Event::HostIdChanged { .. }))
            .collect::<Vec<_>>()
    };
    assert_eq!(told(ApplicationState::LOAD, "1", 20), []);
    let changed = Event::HostIdChanged { endpoint: endpoint(B), old: THEIRS.parse().unwrap() };
    assert_eq!(told(ApplicationState::HOST_ID, OURS, 21), [changed]);
    assert_eq!(told(ApplicationState::LOAD, "2", 22), []);
    assert_eq!(told(ApplicationState::HOST_ID, OURS, 23), []);
}

fn saved(at: &str, host_id: &str, heard_unix_ms: u64) -> SavedEndpoint {
    SavedEndpoint {
        host_id: Some(host_id.parse().unwrap()),
        heard_unix_ms: Some(heard_unix_ms),
        ..SavedEndpoint::new(endpoint(at))
    }
}

#[test]
fn a_former_address_is_forgotten_once_its_host_is_live_elsewhere() {
    let mut a = Driven::new(builder(A, 100).saved(saved(B, THEIRS, 1)).saved_endpoint(endpoint(D)));
    a.learn(C, &state(300, 5, "NORMAL,7", THEIRS));
    let sent = a.round();
    assert_eq!(a.standing(B), Some(Standing::Unreachable), "that it is known is no proof");
    assert_eq!(a.answer_echoes(&sent), [endpoint(C)]);
    a.round();
    assert_eq!((a.standing(B), a.standing(D)), (None, Some(Standing::Unreachable)));
    let forgotten =
        Event::Forgotten { endpoint: endpoint(B), generation: Generation::SAVED, cause: ForgetCause::Moved };
    let host_id = THEIRS.parse::<Uuid>().unwrap();
    let replaced = Event::Replaced { endpoint: endpoint(B), host_id };
    let events = a.events();
    assert!(events.contains(&forgotten) && events.contains(&replaced), "{events:?}");
    assert_eq!(a.gossiper.tombstones().count(), 0, "another may come there at any time");
    // So is one that was heard of in this run, and is silent now.
    a.learn_live(D, &state(250, 5, "NORMAL,7", OURS));
    a.advance(SECOND * 60);
    a.learn_live(B, &state(400, 5, "NORMAL,7", OURS));
    a.round();
    assert_eq!(a.standing(D), None);
}

#[test]
fn a_saved_address_is_forgotten_after_the_time_of_tombstones() {
    let day = 24 * 60 * 60 * 1_000_u64;
    let now = 1_800_000_000_000;
    let config = builder(A, 100).saved(saved(B, THEIRS, now - 9 * day)).saved(saved(C, OURS, now - 11 * day));
    let mut a = Driven::new(config.saved_endpoint(endpoint(D)));
    a.gossiper.handle_wall_clock(a.now, now);
    a.advance(SECOND * 61);
    assert_eq!([B, C, D].map(|at| a.standing(at).is_some()), [true, false, true]);
}

#[test]
fn saved_addresses_give_way_to_endpoints_that_are_there() {
    let config = builder(A, 100)
        .change_limits(|limits| limits.max_endpoints = 3)
        .saved(saved(B, THEIRS, 5))
        .saved(saved(C, OURS, 9));
    let mut a = Driven::new(config);
    a.learn_live(D, &state(300, 5, "NORMAL,7", THEIRS));
    assert_eq!(
        [B, C, D].map(|at| a.standing(at).is_some()),
        [false, true, true],
        "the one that was silent longest"
    );
    assert_eq!(a.gossiper.stats().table_full, 0);
}

#[test]
fn a_limit_that_is_reached_is_told_once_an_hour() {
    let mut a = Driven::new(builder(A, 100).change_limits(|limits| limits.max_endpoints = 2));
    a.learn_live(B, &state(200, 5, "NORMAL,7", THEIRS));
    for number in 3..=4 {
        a.learn(&format!("10.0.0.{number}:7000"), &state(300, 5, "NORMAL,7", OURS));
    }
    let told = |a: &mut Driven| {
        let mut told = a.events();
        told.retain(|event| matches!(event, Event::LimitReached { limit: Limit::Endpoints, .. }));
        told
    };
    a.round();
    assert_eq!(told(&mut a), [Event::LimitReached { limit: Limit::Endpoints, count: 2 }]);
    a.learn(C, &state(300, 5, "NORMAL,7", OURS));
    a.round();
    assert_eq!(told(&mut a), []);
    a.advance(Duration::from_hours(1));
    assert_eq!(told(&mut a), [Event::LimitReached { limit: Limit::Endpoints, count: 1 }]);
}

#[test]
fn a_generation_of_the_future_is_told_with_whose_clock_is_odd() {
    let year = 365 * 24 * 60 * 60;
    let now = 1_800_000_000;
    let told = |a: &mut Driven| {
        let mut told = a.events();
        told.retain(|event| matches!(event, Event::FutureGeneration { .. }));
        told
    };
    let event = |at: &str, generation: i32, suspect| {
        let ahead = Duration::from_secs(u64::try_from(generation - now).unwrap());
        Event::FutureGeneration {
            endpoint: endpoint(at),
            generation: Generation::new(generation),
            ahead,
            suspect,
        }
    };
    let mut a = Driven::new(builder(A, 100));
    a.gossiper.handle_wall_clock(a.now, u64::try_from(now).unwrap() * 1_000);
    a.learn(B, &state(now - 5, 5, "NORMAL,7", THEIRS));
    for _ in 0..3 {
        a.hand(C, &syn(&[digest(C, now + 2 * year, 9)]));
    }
    assert_eq!(told(&mut a), [event(C, now + 2 * year, ClockSuspect::Theirs)]);
    // With only one other, the wrong clock is unknown; with two, it is the clock here.
    let mut a = Driven::new(builder(A, 100));
    a.gossiper.handle_wall_clock(a.now, u64::try_from(now).unwrap() * 1_000);
    a.hand(C, &syn(&[digest(C, now + 2 * year, 9)]));
    a.hand(D, &syn(&[digest(D, now + 2 * year + 1, 9)]));
    let expected =
        [event(C, now + 2 * year, ClockSuspect::Either), event(D, now + 2 * year + 1, ClockSuspect::Ours)];
    assert_eq!(told(&mut a), expected);
}

#[test]
fn a_node_whose_state_nobody_takes_is_told() {
    let mut a = Driven::new(builder(A, 100).seed(endpoint(B)));
    let refused = |a: &mut Driven| {
        for _ in 0..25 {
            a.round();
            a.hand(B, &ack(&[], &[]));
        }
        a.events().into_iter().filter(|event| matches!(event, Event::NotTaken { .. })).collect::<Vec<_>>()
    };
    assert_eq!(refused(&mut a), [Event::NotTaken { by: endpoint(B) }]);
    assert_eq!(refused(&mut a), [], "once an hour");
    let mut a = Driven::new(builder(A, 100).seed(endpoint(B)));
    let mut b = Driven::new(builder(B, 100));
    let sent = a.round();
    deliver(&mut b, endpoint(A), &sent);
    talk(&mut a, &mut b);
    assert_eq!(refused(&mut a), [], "it was taken once");
}

/// Says that others hear an endpoint only if they do.
#[test]
fn the_last_other_node_is_not_said_to_be_heard_by_others() {
    let mut a = Driven::new(builder(A, 100));
    a.learn_live(B, &state(200, 5, "NORMAL,7", THEIRS));
    for version in 6..15 {
        a.round();
        a.hand(B, &ack2(&[(B, State::new(heartbeat(200, version), &[]))]));
    }
    a.advance(SECOND * 40);
    let failed: Vec<_> =
        a.events().into_iter().filter(|event| matches!(event, Event::ProbeFailed { .. })).collect();
    assert!(
        failed.iter().all(|event| matches!(event, Event::ProbeFailed { is_relayed: false, .. })),
        "{failed:?}"
    );
}

#[test]
fn a_generation_beyond_what_anybody_takes_is_not_kept() {
    let now = 1_800_000_000_u64;
    let at = |clock: u64, stored: i32| Generation::at_start(clock, Some(Generation::new(stored))).get();
    assert_eq!(at(now, 1_900_000_000), 1_800_000_000, "three years ahead");
    assert_eq!(at(now, 1_800_000_000 + 364 * 86_400), 1_800_000_000 + 364 * 86_400 + 1);
    // A clock that is not set says nothing.
    assert_eq!(at(0, 1_800_000_000), 1_800_000_001);
}
