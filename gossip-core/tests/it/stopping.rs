//! Scenarios H11, K5 to K9 and K18 of the specification, and `docs/protocol/pitfalls.md#shutdown-and-liveness`: clean stops, and who
//! believes it.

use core::time::Duration;

use gossip_core::{
    ApplicationState, DownCause, Event, Generation, MessagingVersion, RaiseCause, Session, SetStateError,
    Standing, Verb, Version,
};

use crate::support::{
    Content, Driven, Sent, State, ack, ack2, builder, deliver, digest, endpoint, heartbeat, syn, talk,
};

const A: &str = "10.0.0.1:7000";
const B: &str = "10.0.0.2:7000";
const C: &str = "10.0.0.3:7000";

const MAX: i32 = i32::MAX;
const VERSIONS: [MessagingVersion; 2] = [MessagingVersion::V12, MessagingVersion::V13];
const EMPTY: Content = Content::Shutdown { state: None };
const REQUEST: Content = Content::Echo { verb: Verb::ECHO_REQ };

/// A (of generation 100) and B (of generation 200), who find each other live.
fn pair(version: MessagingVersion) -> (Driven, Driven) {
    let mut a = Driven::new(builder(A, 100).seed(endpoint(B)));
    let mut b = Driven::new(
        builder(B, 200)
            .state(ApplicationState::STATUS_WITH_PORT, "NORMAL,1")
            .state(ApplicationState::RPC_READY, "true"),
    );
    (a.version, b.version) = (version, version);
    let syns = a.round();
    deliver(&mut b, endpoint(A), &syns);
    talk(&mut a, &mut b);
    let syns = b.round();
    deliver(&mut a, endpoint(B), &syns);
    talk(&mut a, &mut b);
    assert_eq!((a.standing(B), b.standing(A)), (Some(Standing::Live), Some(Standing::Live)));
    a.events();
    b.events();
    (a, b)
}

fn down(at: &str, generation: i32) -> Event {
    let generation = Generation::new(generation);
    Event::Down { endpoint: endpoint(at), generation, cause: DownCause::Shutdown }
}

fn downs(driven: &mut Driven) -> Vec<Event> {
    driven
        .events()
        .into_iter()
        .filter(|event| matches!(event, Event::Down { .. } | Event::Up { .. }))
        .collect()
}

fn shutdowns(sent: &[Sent]) -> Vec<&Sent> {
    sent.iter().filter(|sent| matches!(sent.content, Content::Shutdown { .. })).collect()
}

#[test]
fn h11_answer_that_was_held_back_does_not_bring_a_stopped_node_back() {
    for version in VERSIONS {
        let (mut a, mut b) = pair(version);
        let syns = a.round();
        deliver(&mut b, endpoint(A), &syns);
        b.round();
        let held = b.sent();
        deliver(&mut b, endpoint(A), &a.round());
        let held: Vec<Sent> = held.into_iter().chain(b.sent()).collect();
        b.gossiper.shutdown(b.now);
        deliver(&mut a, endpoint(B), &b.sent());
        assert_eq!(downs(&mut a), [down(B, 200)]);
        assert!(held.iter().any(|sent| matches!(sent.content, Content::Ack { .. })), "{held:?}");
        deliver(&mut a, endpoint(B), &held);
        talk(&mut a, &mut b);
        for _ in 0..5 {
            let (from_a, from_b) = (a.round(), b.advance(Duration::from_millis(300)));
            assert!(!from_a.iter().any(|sent| sent.content == REQUEST), "{from_a:?}");
            deliver(&mut b, endpoint(A), &from_a);
            deliver(&mut a, endpoint(B), &from_b);
            talk(&mut a, &mut b);
        }
        assert_eq!((downs(&mut a), a.standing(B)), (vec![], Some(Standing::Unreachable)));
        assert_eq!(a.heartbeat(B), Some(heartbeat(200, MAX)));
    }
}

#[test]
fn k5_peers_of_a_node_that_stops_know_at_once() {
    for version in VERSIONS {
        let (mut a, mut b) = pair(version);
        b.gossiper.shutdown(b.now);
        let sent = b.sent();
        assert_eq!(shutdowns(&sent).len(), 1);
        deliver(&mut a, endpoint(B), &sent);
        assert_eq!(downs(&mut a), [down(B, 200)], "{version:?}");
        assert_eq!(a.standing(B), Some(Standing::Unreachable));
        assert_eq!(a.heartbeat(B), Some(heartbeat(200, MAX)));
        let text = |key| a.value(B, key).unwrap().0;
        assert_eq!(text(ApplicationState::STATUS_WITH_PORT), "shutdown,true");
        assert_eq!(text(ApplicationState::RPC_READY), "false");
        // A node that never published the value without port does not need it; a receiver that gets no state invents it.
        let old = a.value(B, ApplicationState::STATUS).map(|(text, _)| text);
        assert_eq!(old.is_some(), version == MessagingVersion::V12);
        assert!(old.is_none_or(|text| text == "shutdown,true"));
        deliver(&mut a, endpoint(B), &sent);
        assert_eq!(downs(&mut a), [], "the second time it is no news");
    }
}

#[test]
fn a_node_that_is_no_member_becomes_none_by_stopping() {
    let minute = Duration::from_mins(1);
    for version in VERSIONS {
        let mut a = Driven::new(
            builder(A, 100).change_membership(|membership| membership.fat_client_timeout = Some(minute / 2)),
        );
        a.version = version;
        let state = State::new(heartbeat(200, 9), &[(ApplicationState::DC, "dc1", 1)]);
        a.learn_live(B, &state);
        a.events();
        let own_words = State::new(
            heartbeat(200, 10),
            &[(ApplicationState::DC, "dc1", 1), (ApplicationState::STATUS_WITH_PORT, "shutdown,true", 10)],
        );
        a.hand(B, &Content::Shutdown { state: (version == MessagingVersion::V13).then_some(own_words) });
        assert_eq!(downs(&mut a), [down(B, 200)]);
        assert_eq!(a.heartbeat(B), Some(heartbeat(200, MAX)));
        assert_eq!(a.value(B, ApplicationState::STATUS_WITH_PORT), None);
        // Others hear of it by its heartbeat, and neither asks whether it can be reached.
        let mut c = Driven::new(builder(C, 300));
        c.learn_live(B, &state);
        c.events();
        let sent = c.answers(A, &ack2(&[(B, State::new(heartbeat(200, MAX), &[]))]));
        assert_eq!(downs(&mut c), [down(B, 200)]);
        assert!(!sent.contains(&REQUEST), "{sent:?}");
        let mut newcomer = Driven::new(builder(C, 300));
        newcomer.learn(B, &State { heartbeat: heartbeat(200, MAX), ..state });
        assert_eq!((newcomer.standing(B), newcomer.sent()), (Some(Standing::Unreachable), vec![]));
        a.advance(minute);
        assert_eq!(a.standing(B), None, "it is forgotten");
    }
}

#[test]
fn k6_shutdown_of_a_stranger_is_ignored() {
    for state in
        [None, Some(State::new(heartbeat(0, 5), &[(ApplicationState::STATUS_WITH_PORT, "shutdown,true", 4)]))]
    {
        let mut a = Driven::new(builder(A, 100).saved_endpoint(endpoint(B)));
        a.version = if state.is_some() { MessagingVersion::V13 } else { MessagingVersion::V12 };
        let shutdown = Content::Shutdown { state };
        a.hand(B, &shutdown);
        a.hand(C, &shutdown);
        assert_eq!((a.heartbeat(B), a.heartbeat(C)), (Some(heartbeat(0, -1)), None));
        assert_eq!(a.gossiper.values(endpoint(B)).count(), 0);
        assert_eq!((a.events(), a.gossiper.stats().stale_shutdowns), (vec![], 2));
    }
    // Known, but without values.
    let mut a = Driven::new(builder(A, 100));
    a.learn_live(B, &State::new(heartbeat(200, 5), &[]));
    a.hand(B, &EMPTY);
    assert_eq!((a.standing(B), a.heartbeat(B)), (Some(Standing::Live), Some(heartbeat(200, 5))));
}

fn b_live(version: MessagingVersion) -> Driven {
    let mut a = Driven::new(builder(A, 100).seed(endpoint(C)));
    a.version = version;
    a.round();
    a.learn_live(B, &State::new(heartbeat(200, 9), &[(ApplicationState::STATUS_WITH_PORT, "NORMAL,1", 5)]));
    a.events();
    a
}

fn body(generation: i32, status: &str) -> Content {
    let values =
        [(ApplicationState::STATUS_WITH_PORT, status, 12), (ApplicationState::RPC_READY, "false", 11)];
    Content::Shutdown { state: Some(State::new(heartbeat(generation, 10), &values)) }
}

#[test]
fn k7_shutdown_that_says_normal_is_refused() {
    let mut a = b_live(MessagingVersion::V13);
    a.hand(B, &body(200, "NORMAL,1"));
    assert_eq!((a.events(), a.standing(B)), (vec![], Some(Standing::Live)));
    assert_eq!(a.heartbeat(B), Some(heartbeat(200, 9)));
    assert_eq!(a.gossiper.values(endpoint(B)).count(), 1);
    assert_eq!(a.gossiper.stats().malformed, 1);
    // Nor does one without a status count.
    a.hand(B, &Content::Shutdown { state: Some(State::new(heartbeat(200, 10), &[])) });
    assert_eq!((a.events(), a.gossiper.stats().malformed), (vec![], 2));
    a.hand(B, &body(200, "shutdown,true"));
    assert_eq!(a.heartbeat(B), Some(heartbeat(200, MAX)));
    assert_eq!(a.value(B, ApplicationState::STATUS_WITH_PORT), Some(("shutdown,true".to_owned(), 12)));
    assert_eq!(downs(&mut a), [down(B, 200)]);
}

/// `docs/protocol/pitfalls.md#shutdown-and-liveness`: Cassandra replaces whatever it has.
#[test]
fn shutdown_with_a_body_of_another_generation_is_ignored() {
    for generation in [199, 201] {
        let mut a = b_live(MessagingVersion::V13);
        a.hand(B, &body(generation, "shutdown,true"));
        assert_eq!((a.events(), a.standing(B)), (vec![], Some(Standing::Live)));
        assert_eq!((a.heartbeat(B), a.gossiper.stats().stale_shutdowns), (Some(heartbeat(200, 9)), 1));
    }
}

#[test]
fn k8_restart_after_a_shutdown_is_live_after_the_echo() {
    for version in VERSIONS {
        let (mut a, mut b) = pair(version);
        b.gossiper.shutdown(b.now);
        deliver(&mut a, endpoint(B), &b.sent());
        a.events();
        let restarted = State::new(heartbeat(201, 2), &[(ApplicationState::STATUS_WITH_PORT, "NORMAL,1", 1)]);
        a.learn(B, &restarted);
        assert_eq!(a.heartbeat(B), Some(heartbeat(201, 2)));
        assert_eq!(a.gossiper.values(endpoint(B)).count(), 1);
        assert_eq!(a.standing(B), Some(Standing::Unverified));
        let sent = a.sent();
        assert_eq!(a.answer_echoes(&sent), [endpoint(B)]);
        assert_eq!(downs(&mut a), [Event::Up { endpoint: endpoint(B), generation: Generation::new(201) }]);
    }
}

#[test]
fn k9_silent_states_announce_nothing() {
    for status in
        ["BOOT,1", "BOOT_REPLACE,10.0.0.9", "hibernate,true", "LEFT,1,2", "removing,x", "removed,x,2"]
    {
        let (_, mut b) = pair(MessagingVersion::V12);
        b.gossiper.set_state(b.now, ApplicationState::STATUS_WITH_PORT, status).unwrap();
        b.events();
        b.gossiper.shutdown(b.now);
        assert_eq!(b.sent(), [], "{status}");
        assert_eq!(b.events(), [Event::Stopped], "{status}");
        assert_eq!(b.value(B, ApplicationState::STATUS_WITH_PORT).unwrap().0, status);
        assert_eq!(b.gossiper.poll_timeout(), None);
    }
}

#[test]
fn k18_everybody_live_is_told_once_and_rounds_go_on_for_two_seconds() {
    let mut a =
        Driven::new(builder(A, 100).state(ApplicationState::STATUS_WITH_PORT, "NORMAL,1").seed(endpoint(C)));
    for n in 2..5 {
        a.learn_live(&format!("10.0.0.{n}:7000"), &State::new(heartbeat(200, 9), &[]));
    }
    a.learn("10.0.0.9:7000", &State::new(heartbeat(200, 9), &[]));
    a.sent();
    a.events();
    a.advance(Duration::from_millis(500));
    let before = a.heartbeat(A).unwrap().version;
    a.gossiper.shutdown(a.now);
    let sent = a.sent();
    let mut told: Vec<_> = shutdowns(&sent).iter().map(|sent| sent.to.to_string()).collect();
    told.sort_unstable();
    assert_eq!(told, ["10.0.0.2:7000", "10.0.0.3:7000", "10.0.0.4:7000"], "and none that is not live");
    assert_eq!(a.value(A, ApplicationState::STATUS_WITH_PORT), Some(("shutdown,true".to_owned(), 3)));
    assert_eq!(a.heartbeat(A).unwrap().version, before, "the heartbeat is not touched");
    assert_eq!(
        a.gossiper.set_state(a.now, ApplicationState::LOAD, "1"),
        Err(SetStateError::Stopped),
        "nothing is published any more"
    );
    a.events();
    a.gossiper.shutdown(a.now);
    assert_eq!(a.sent(), [], "asked twice it announces nothing again");

    let sent = a.advance(Duration::from_millis(1_999));
    assert!(shutdowns(&sent).is_empty());
    assert!(sent.iter().any(|sent| matches!(sent.content, Content::Syn { .. })));
    assert_eq!(a.gossiper.stats().rounds, 3);
    assert_eq!(a.answers(C, &syn(&[digest(A, 100, 1)])).len(), 1, "it takes part still");
    assert_eq!(a.events(), []);
    assert_eq!(a.advance(Duration::from_millis(1)), []);
    assert_eq!(a.events(), [Event::Stopped]);
    assert_eq!(a.answers(C, &syn(&[digest(A, 100, 1)])), []);
    assert_eq!(a.gossiper.poll_timeout(), None);
}

/// `docs/protocol/pitfalls.md#shutdown-and-liveness`.
#[test]
fn no_echo_is_answered_once_the_shutdown_is_announced() {
    let (_, mut b) = pair(MessagingVersion::V12);
    b.gossiper.shutdown(b.now);
    b.sent();
    assert_eq!(b.answers(A, &REQUEST), []);
}

/// `docs/protocol/pitfalls.md#shutdown-and-liveness`: only a greater generation is.
#[test]
fn a_stopped_endpoint_is_not_live_again_in_the_same_generation() {
    let mut a = b_live(MessagingVersion::V12);
    a.hand(B, &EMPTY);
    a.events();
    let alive = [(ApplicationState::STATUS_WITH_PORT, "NORMAL,1", 50), (ApplicationState::LOAD, "9", 51)];
    for state in [State::new(heartbeat(200, 60), &[]), State::new(heartbeat(200, 60), &alive)] {
        a.hand(C, &ack(&[], &[(B, state.clone())]));
        a.hand(B, &ack2(&[(B, state)]));
    }
    assert_eq!((downs(&mut a), a.standing(B)), (vec![], Some(Standing::Unreachable)));
    assert_eq!(a.value(B, ApplicationState::STATUS_WITH_PORT).unwrap().0, "shutdown,true");
    assert_eq!(a.heartbeat(B), Some(heartbeat(200, MAX)));
    assert!(!a.advance(Duration::from_secs(30)).iter().any(|sent| sent.content == REQUEST));
}

#[test]
fn a_status_of_shutdown_that_is_relayed_counts_like_the_announcement() {
    let mut a = b_live(MessagingVersion::V12);
    let stopped =
        State::new(heartbeat(200, MAX), &[(ApplicationState::STATUS_WITH_PORT, "shutdown,true", 12)]);
    a.hand(C, &ack(&[], &[(B, stopped.clone())]));
    assert_eq!(downs(&mut a), [down(B, 200)]);
    assert_eq!(a.standing(B), Some(Standing::Unreachable));
    // And for one that becomes known as stopped.
    let mut a = Driven::new(builder(A, 100));
    a.learn(B, &stopped);
    assert_eq!((a.standing(B), a.heartbeat(B)), (Some(Standing::Unreachable), Some(heartbeat(200, MAX))));
    assert_eq!(a.value(B, ApplicationState::RPC_READY), Some(("false".to_owned(), MAX - 3)));
    assert!(!a.advance(Duration::from_secs(3)).iter().any(|sent| sent.content == REQUEST));
}

/// Its last values may still be on their way under the heartbeats that it had.
#[test]
fn a_relayed_status_of_shutdown_leaves_the_heartbeat_of_a_member_as_it_is() {
    let mut a = b_live(MessagingVersion::V12);
    let values = [(ApplicationState::STATUS_WITH_PORT, "shutdown,true", 12)];
    a.hand(C, &ack(&[], &[(B, State::new(heartbeat(200, 12), &values))]));
    assert_eq!(downs(&mut a), [down(B, 200)]);
    assert_eq!(a.heartbeat(B), Some(heartbeat(200, 12)));
}

/// `docs/protocol/pitfalls.md#shutdown-and-liveness`: the connection that it comes on belongs to the process before.
#[test]
fn late_shutdown_of_the_process_before_does_not_stop_the_restarted_one() {
    let mut a = b_live(MessagingVersion::V12);
    let mut before = a.gossiper.open_session(endpoint(B));
    a.hand(C, &ack(&[], &[(B, State::new(heartbeat(300, 2), &[(ApplicationState::DC, "dc1", 1)]))]));
    let sent = a.sent();
    assert_eq!(a.answer_echoes(&sent), [endpoint(B)]);
    a.events();
    a.hand_over(&mut before, 1, endpoint(B), &EMPTY);
    assert_eq!((a.events(), a.standing(B)), (vec![], Some(Standing::Live)));
    assert_eq!((a.heartbeat(B), a.gossiper.stats().stale_shutdowns), (Some(heartbeat(300, 2)), 1));

    let mut after = a.gossiper.open_session(endpoint(B));
    a.hand_over(&mut after, 1, endpoint(B), &EMPTY);
    assert_eq!(downs(&mut a), [down(B, 300)]);
}

/// A connection may be older than what is known of the process: what it says of itself tells which it is.
#[test]
fn a_connection_learns_its_generation_from_what_comes_over_it() {
    let mut a = Driven::new(builder(A, 100));
    let mut session = a.gossiper.open_session(endpoint(B));
    a.hand_over(&mut session, 1, endpoint(B), &syn(&[digest(B, 200, 5)]));
    a.sent();
    let state = State::new(heartbeat(200, 5), &[(ApplicationState::DC, "dc1", 1)]);
    a.hand_over(&mut session, 2, endpoint(B), &ack2(&[(B, state)]));
    a.hand_over(&mut session, 3, endpoint(B), &EMPTY);
    assert_eq!(a.heartbeat(B), Some(heartbeat(200, MAX)));
}

/// A peer may tell of any process of any endpoint, with values or without.
#[test]
fn hearsay_does_not_tell_a_connection_which_process_it_belongs_to() {
    let status = [(ApplicationState::STATUS_WITH_PORT, "NORMAL,1", 5)];
    for values in [&[][..], &[(ApplicationState::LOAD, "1.0", 20)]] {
        let news = |at| ack2(&[(at, State::new(heartbeat(200, 20), values))]);
        let mut a = b_live(MessagingVersion::V12);
        a.learn(C, &State::new(heartbeat(200, 9), &status));
        let mut session = Session::default();
        a.hand_over(&mut session, 1, endpoint(B), &news(C));
        assert_eq!(a.heartbeat(C), Some(heartbeat(200, 20)));
        a.hand_over(&mut session, 2, endpoint(B), &EMPTY);
        assert_eq!((downs(&mut a), a.gossiper.stats().stale_shutdowns), (vec![], 1));
        a.hand_over(&mut session, 3, endpoint(B), &news(B));
        a.hand_over(&mut session, 4, endpoint(B), &EMPTY);
        assert_eq!(downs(&mut a), [down(B, 200)]);
    }
}

/// `docs/protocol/pitfalls.md#shutdown-and-liveness`: in Cassandra the third node learns of a huge heartbeat, and shows NORMAL.
#[test]
fn a_third_node_that_knew_more_learns_what_was_made_up() {
    let mut a = b_live(MessagingVersion::V12);
    a.hand(B, &EMPTY);
    let mut c = Driven::new(builder(C, 100).seed(endpoint(A)));
    c.round();
    c.learn_live(
        B,
        &State::new(heartbeat(200, 900), &[(ApplicationState::STATUS_WITH_PORT, "NORMAL,1", 890)]),
    );
    c.events();
    let answer = a.answers(C, &syn(&[digest(B, 200, 900)]));
    let made_up = State::new(
        heartbeat(200, MAX),
        &[
            (ApplicationState::STATUS, "shutdown,true", MAX - 1),
            (ApplicationState::RPC_READY, "false", MAX - 3),
            (ApplicationState::STATUS_WITH_PORT, "shutdown,true", MAX - 2),
        ],
    );
    let [Content::Ack { states, .. }] = &answer[..] else { panic!("{answer:?}") };
    let mut values = states[0].1.values.clone();
    values.sort_unstable_by_key(|(key, ..)| *key);
    assert_eq!((states[0].1.heartbeat, values), (made_up.heartbeat, made_up.values));
    c.hand(A, &answer[0]);
    assert_eq!(c.value(B, ApplicationState::STATUS_WITH_PORT).unwrap().0, "shutdown,true");
    assert_eq!((downs(&mut c), c.standing(B)), (vec![down(B, 200)], Some(Standing::Unreachable)));
}

#[test]
fn a_shutdown_in_ones_own_words_keeps_its_version() {
    let mut a = b_live(MessagingVersion::V12);
    let own = State::new(heartbeat(200, 10), &[(ApplicationState::STATUS_WITH_PORT, "shutdown,true", 12)]);
    a.hand(B, &ack2(&[(B, own)]));
    a.hand(B, &EMPTY);
    assert_eq!(a.value(B, ApplicationState::STATUS_WITH_PORT), Some(("shutdown,true".to_owned(), 12)));
    assert_eq!(a.value(B, ApplicationState::STATUS), None);
    assert_eq!(a.heartbeat(B), Some(heartbeat(200, MAX)));
    assert_eq!(downs(&mut a), [down(B, 200)]);
}

/// A false word about a running node: it hears of it, and takes a generation of which no peer has heard it.
#[test]
fn a_running_node_that_is_said_to_have_stopped_raises_its_generation() {
    let (mut a, mut b) = pair(MessagingVersion::V12);
    a.hand(B, &EMPTY);
    assert_eq!(a.standing(B), Some(Standing::Unreachable));
    a.events();
    let syns = a.round();
    deliver(&mut b, endpoint(A), &syns);
    talk(&mut a, &mut b);
    let (old, new) = (Generation::new(200), Generation::new(201));
    assert_eq!(b.events(), [Event::GenerationRaised { old, new, cause: RaiseCause::KnownGreater }]);
    assert_eq!(b.gossiper.generation(), new);
    assert!(b.gossiper.max_version(endpoint(B)).unwrap() < Version::new(100), "versions go on as they were");

    let syns = b.round();
    deliver(&mut a, endpoint(B), &syns);
    talk(&mut a, &mut b);
    assert_eq!(a.standing(B), Some(Standing::Live));
    assert_eq!(a.value(B, ApplicationState::STATUS_WITH_PORT).unwrap().0, "NORMAL,1");
    assert_eq!(b.events(), [], "once is enough");
}
