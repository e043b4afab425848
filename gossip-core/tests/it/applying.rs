//! Scenarios G1 to G10 of the specification: what is taken over from others, and its events.

use core::time::Duration;

use gossip_core::{ApplicationState, DownCause, Endpoint, Event, Generation, Standing, Verb, Version};

use crate::support::{Content, Driven, Sent, State, ack, ack2, builder, digest, endpoint, heartbeat, syn};

const A: &str = "10.0.0.1:7000";
const B: &str = "10.0.0.2:7000";
const C: &str = "10.0.0.3:7000";

const YEAR: i32 = 31_536_000;

fn node() -> Driven {
    let mut driven = Driven::new(builder(A, 100).seed(endpoint(B)));
    // Without a SYN of its own it takes no ACK.
    driven.round();
    driven
}

fn changed(at: &str, key: ApplicationState, version: i32) -> Event {
    Event::StateChanged { endpoint: endpoint(at), key, version: Version::new(version) }
}

/// To whom echo requests go.
fn echoes(sent: &[Sent]) -> Vec<Endpoint> {
    let echo = Content::Echo { verb: Verb::ECHO_REQ };
    sent.iter().filter(|sent| sent.content == echo).map(|sent| sent.to).collect()
}

#[test]
fn g1_far_future_generation_is_ignored() {
    let mut a = node();
    let now = 1_800_000_000;
    a.gossiper.handle_wall_clock(a.now, u64::try_from(now).unwrap() * 1_000);
    a.learn(C, &State::new(heartbeat(1, 1), &[]));
    a.sent();

    a.hand(B, &ack(&[], &[(C, State::new(heartbeat(1 + YEAR + 1, 1), &[]))]));
    assert_eq!(
        a.heartbeat(C),
        Some(heartbeat(1 + YEAR + 1, 1)),
        "far from the old one, and not ahead of now"
    );
    // Ten years ahead do not fit the wire; what does not count is one second more than a year.
    a.hand(B, &ack(&[], &[(C, State::new(heartbeat(now + YEAR + 1, 9), &[]))]));
    a.hand(B, &ack(&[], &[(C, State::new(heartbeat(i32::MAX, 9), &[]))]));
    assert_eq!(a.heartbeat(C), Some(heartbeat(1 + YEAR + 1, 1)));
    assert_eq!(a.gossiper.stats().future_generations, 2);
    a.sent();
    let answer = a.answers(B, &syn(&[digest(C, now + YEAR + 1, 9)]));
    assert_eq!(answer, [ack(&[], &[])], "it is not requested");
    a.learn(C, &State::new(heartbeat(now + YEAR, 9), &[]));
    assert_eq!(a.heartbeat(C), Some(heartbeat(now + YEAR, 9)), "a year ahead is the most");
}

/// Deviation: Cassandra looks only at endpoints that it knows.
#[test]
fn g1_far_future_generation_is_ignored_on_first_contact_too() {
    let mut a = node();
    a.gossiper.handle_wall_clock(a.now, 1_800_000_000_000);
    a.learn(C, &State::new(heartbeat(1_800_000_000 + YEAR + 1, 1), &[]));
    assert_eq!(a.heartbeat(C), None);
    assert_eq!(a.gossiper.stats().future_generations, 2, "the digest and the state");
    // The wall clock goes on by itself.
    a.advance(Duration::from_secs(2));
    a.learn(C, &State::new(heartbeat(1_800_000_000 + YEAR + 1, 1), &[]));
    assert_eq!(a.heartbeat(C), Some(heartbeat(1_800_000_000 + YEAR + 1, 1)));
}

#[test]
fn g2_unchanged_value_is_told_once() {
    let mut a = node();
    a.learn(C, &State::new(heartbeat(100, 8), &[(ApplicationState::TOKENS, "t", 7)]));
    let generation = Generation::new(100);
    assert_eq!(
        a.events(),
        [Event::Joined { endpoint: endpoint(C), generation }, changed(C, ApplicationState::TOKENS, 7)]
    );
    a.hand(B, &ack(&[], &[(C, State::new(heartbeat(100, 9), &[(ApplicationState::TOKENS, "t", 7)]))]));
    assert_eq!(a.heartbeat(C), Some(heartbeat(100, 9)));
    assert_eq!(a.events(), []);
    // Nor does an older one count, whatever the heartbeat.
    a.hand(B, &ack(&[], &[(C, State::new(heartbeat(100, 10), &[(ApplicationState::TOKENS, "old", 6)]))]));
    assert_eq!(a.value(C, ApplicationState::TOKENS), Some(("t".to_owned(), 7)));
    assert_eq!(a.events(), []);
}

#[test]
fn g5_status_is_never_seen_without_what_came_with_it() {
    let mut a = node();
    let values = [(ApplicationState::STATUS_WITH_PORT, "NORMAL,1", 8), (ApplicationState::TOKENS, "t", 7)];
    a.learn(C, &State::new(heartbeat(100, 8), &values));
    // At the first event, all values are there.
    while let Some(event) = a.gossiper.poll_event() {
        assert_eq!(a.gossiper.values(endpoint(C)).count(), 2, "{event:?}");
    }
}

#[test]
fn g6_status_is_told_first() {
    for status in [ApplicationState::STATUS_WITH_PORT, ApplicationState::STATUS] {
        let mut a = node();
        let values =
            [(ApplicationState::TOKENS, "t", 7), (ApplicationState::DC, "d", 3), (status, "NORMAL,1", 8)];
        a.learn(C, &State::new(heartbeat(100, 8), &values));
        let told = [
            changed(C, status, 8),
            changed(C, ApplicationState::TOKENS, 7),
            changed(C, ApplicationState::DC, 3),
        ];
        assert_eq!(a.events()[1..], told);
        let values = [(ApplicationState::TOKENS, "u", 17), (status, "MOVING,1", 18)];
        a.hand(B, &ack(&[], &[(C, State::new(heartbeat(100, 18), &values))]));
        assert_eq!(a.events(), [changed(C, status, 18), changed(C, ApplicationState::TOKENS, 17)]);
    }
}

#[test]
fn g7_own_state_from_others_is_ignored() {
    let mut a = Driven::new(builder(A, 100).state(ApplicationState::LOAD, "1").seed(endpoint(B)));
    a.advance(Duration::from_secs(4));
    for state in [
        State::new(heartbeat(100, 6), &[(ApplicationState::LOAD, "9", 6), (ApplicationState::DC, "x", 5)]),
        State::new(heartbeat(99, 900), &[(ApplicationState::LOAD, "9", 800)]),
    ] {
        a.hand(B, &ack(&[], &[(A, state.clone())]));
        a.hand(B, &ack2(&[(A, state)]));
    }
    assert_eq!(a.heartbeat(A), Some(heartbeat(100, 6)));
    assert_eq!(a.gossiper.values(endpoint(A)).count(), 1);
    assert_eq!(a.value(A, ApplicationState::LOAD), Some(("1".to_owned(), 1)));
    assert_eq!(a.events(), []);
    assert_eq!(echoes(&a.sent()), []);
}

#[test]
fn g8_smaller_generation_is_ignored() {
    let mut a = node();
    a.learn(C, &State::new(heartbeat(100, 8), &[(ApplicationState::LOAD, "1", 7)]));
    // The echo that is due to it now is given up, so that there is room for another.
    a.advance(Duration::from_secs(11));
    a.events();
    let state = State::new(heartbeat(99, 900), &[(ApplicationState::LOAD, "9", 800)]);
    a.hand(B, &ack(&[], &[(C, state.clone())]));
    a.hand(B, &ack2(&[(C, state)]));
    assert_eq!(a.heartbeat(C), Some(heartbeat(100, 8)));
    assert_eq!(a.value(C, ApplicationState::LOAD), Some(("1".to_owned(), 7)));
    assert_eq!(a.events(), []);
    assert_eq!(echoes(&a.sent()), []);
    assert_eq!(a.gossiper.stats().old_generations, 2);
}

#[test]
fn g9_greater_generation_replaces_everything() {
    let mut a = node();
    let values = [(ApplicationState::LOAD, "1", 7), (ApplicationState::DC, "dc1", 2)];
    a.learn_live(C, &State::new(heartbeat(100, 8), &values));
    a.events();
    a.hand(B, &ack(&[], &[(C, State::new(heartbeat(200, 3), &[(ApplicationState::LOAD, "2", 1)]))]));
    let (old, new) = (Generation::new(100), Generation::new(200));
    assert_eq!(
        a.events(),
        [Event::Restarted { endpoint: endpoint(C), old, new }, changed(C, ApplicationState::LOAD, 1)]
    );
    assert_eq!((a.heartbeat(C), a.gossiper.stats().generations_learned), (Some(heartbeat(200, 3)), 1));
    assert_eq!(a.value(C, ApplicationState::DC), None, "of the process before");
    assert_eq!(a.standing(C), Some(Standing::Unverified));
    assert!(a.gossiper.take_reset(endpoint(C)), "its connections lead nowhere");
    let sent = a.sent();
    assert_eq!(a.answer_echoes(&sent), [endpoint(C)]);
    assert_eq!(a.standing(C), Some(Standing::Live));
    assert_eq!(a.events(), [Event::Up { endpoint: endpoint(C), generation: new }]);
}

#[test]
fn g10_endpoint_that_has_left_is_known_and_never_live() {
    let mut a = node();
    let left = [(ApplicationState::STATUS_WITH_PORT, "LEFT,1,2000000000000", 7)];
    a.learn(C, &State::new(heartbeat(100, 8), &left));
    let generation = Generation::new(100);
    assert_eq!(
        a.events(),
        [
            Event::Joined { endpoint: endpoint(C), generation },
            changed(C, ApplicationState::STATUS_WITH_PORT, 7),
            Event::Left { endpoint: endpoint(C), generation }
        ]
    );
    a.hand(B, &ack(&[], &[(C, State::new(heartbeat(100, 9), &[]))]));
    assert_eq!(a.standing(C), Some(Standing::Unreachable));
    let sent = a.advance(Duration::from_secs(20));
    assert_eq!(echoes(&sent), []);
}

#[test]
fn an_endpoint_that_leaves_is_down_at_once() {
    let mut a = node();
    a.learn_live(C, &State::new(heartbeat(100, 8), &[(ApplicationState::STATUS_WITH_PORT, "LEAVING,1", 7)]));
    a.events();
    let left = [(ApplicationState::STATUS_WITH_PORT, "LEFT,1,2000000000000", 9)];
    a.hand(B, &ack(&[], &[(C, State::new(heartbeat(100, 10), &left))]));
    let generation = Generation::new(100);
    assert_eq!(
        a.events(),
        [
            changed(C, ApplicationState::STATUS_WITH_PORT, 9),
            Event::Down { endpoint: endpoint(C), generation, cause: DownCause::Status },
            Event::Left { endpoint: endpoint(C), generation }
        ]
    );
    assert_eq!(a.standing(C), Some(Standing::Unreachable));
}

#[test]
fn values_that_take_memory_are_counted() {
    let mut a = node();
    let grown = |a: &Driven| a.gossiper.stats().values_grown;
    let before = grown(&a);
    let values = [(ApplicationState::TOKENS, "t", 7), (ApplicationState::LOAD, "1234", 8)];
    a.learn(C, &State::new(heartbeat(100, 8), &values));
    assert_eq!(grown(&a), before + 2);
    let mut set = |text: &str, version: i32| {
        let state = State::new(heartbeat(100, version), &[(ApplicationState::LOAD, text, version)]);
        a.hand(B, &ack(&[], &[(C, state)]));
        grown(&a) - before
    };
    assert_eq!(set("12", 9), 2, "there is room for it");
    assert_eq!(set("12345", 10), 3);
}
