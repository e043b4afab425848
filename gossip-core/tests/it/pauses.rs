//! Our own pauses: after a process was stopped, or a machine was moved, no endpoint is convicted for the silence meanwhile.

use core::time::Duration;

use gossip_core::{ApplicationState, DownCause, Event, Standing, Verb};

use crate::support::{Content, Driven, State, ack2, builder, endpoint, heartbeat};

const A: &str = "10.0.0.1:7000";
const D: &str = "10.0.0.4:7000";
const V: &str = "10.0.0.9:7000";
const SECOND: Duration = Duration::from_secs(1);

/// The process is stopped for so long, then goes on: the round is what is due first.
fn pause(a: &mut Driven, seconds: u32) -> Vec<Event> {
    a.now = a.now + SECOND * seconds;
    a.gossiper.handle_timeout(a.now);
    a.sent();
    a.events()
}

fn bare(version: i32) -> State {
    State::new(heartbeat(5, version), &[(ApplicationState::DC, "dc1", 1)])
}

fn member(version: i32) -> State {
    State::new(heartbeat(5, version), &[(ApplicationState::STATUS_WITH_PORT, "NORMAL,1", 2)])
}

#[test]
fn after_our_own_pause_nobody_is_forgotten_for_silence() {
    let mut a = Driven::new(builder(A, 100).change_membership(|membership| {
        membership.fat_client_timeout = Some(SECOND * 30);
        membership.dead_endpoint_ttl = Some(SECOND * 35);
    }));
    a.learn_live(V, &bare(5));
    for version in 6..26 {
        a.hand(V, &ack2(&[(V, bare(version))]));
        a.advance(SECOND);
    }
    a.events();
    let events = pause(&mut a, 40);
    assert!(matches!(events[..], [Event::LocalPause { .. }]), "{events:?}");
    for version in 60..70 {
        a.hand(V, &ack2(&[(V, bare(version))]));
        a.advance(SECOND);
    }
    assert_eq!(a.standing(V), Some(Standing::Live));
    // Its own silence counts as ever.
    (0..40).for_each(|_| drop(a.advance(SECOND)));
    assert_eq!(a.standing(V), None);
}

#[test]
fn after_our_own_pause_a_probe_has_its_time() {
    for seconds in [8, 20, 600] {
        let mut a = Driven::new(builder(A, 100).change_detector(|detector| {
            detector.probe_after = Some(SECOND * 15);
            detector.probe_convicts = true;
        }));
        a.learn_live(V, &member(5));
        a.events();
        let is_probe = |content: &Content| *content == Content::Echo { verb: Verb::ECHO_REQ };
        // V is heard of through D alone, until it is asked directly.
        let probed = (6..60).any(|version| {
            a.hand(D, &ack2(&[(V, member(version))]));
            a.advance(SECOND).iter().any(|sent| is_probe(&sent.content) && sent.to == endpoint(V))
        });
        assert!(probed);
        a.events();
        let events = pause(&mut a, seconds);
        assert!(matches!(events[..], [Event::LocalPause { .. }]), "{events:?}");
        assert_eq!(a.standing(V), Some(Standing::Live), "the answer waits in the socket");
        let failed = (60..80).any(|version| {
            a.hand(D, &ack2(&[(V, member(version))]));
            a.advance(SECOND);
            a.events().iter().any(|event| matches!(event, Event::Down { cause: DownCause::Probe, .. }))
        });
        assert!(failed, "who does not answer then has failed");
    }
}

#[test]
fn an_echo_that_waited_for_us_counts() {
    let mut a = Driven::new(builder(A, 100));
    a.advance(SECOND);
    a.learn(V, &member(9));
    let asked = a.sent();
    assert_ne!(a.standing(V), Some(Standing::Live));
    // Stopped before the answer was read; it is read before any round.
    a.now = a.now + SECOND * 60;
    a.answer_echoes(&asked);
    assert_eq!(a.standing(V), Some(Standing::Live));
}

#[test]
fn our_own_pause_brings_no_assassination_nearer() {
    let mut a = Driven::new(
        builder(A, 100).change_membership(|membership| membership.ring_delay = Some(SECOND * 30)),
    );
    a.learn_live(V, &member(5));
    a.advance(SECOND);
    a.gossiper.assassinate(a.now, endpoint(V)).unwrap();
    a.events();
    let events = pause(&mut a, 60);
    assert!(!events.iter().any(|event| matches!(event, Event::Assassinated { .. })), "{events:?}");
    a.hand(V, &ack2(&[(V, member(60))]));
    (0..40).for_each(|_| drop(a.advance(SECOND)));
    let events = a.events();
    assert!(events.iter().any(|event| matches!(event, Event::AssassinationAborted { .. })), "{events:?}");
}

#[test]
fn our_own_pause_does_not_end_the_shadow_round() {
    let mut a = Driven::new(
        builder(A, 100).change_membership(|membership| membership.shadow_round = true).seed(endpoint(D)),
    );
    (0..10).for_each(|_| drop(a.advance(SECOND)));
    a.events();
    let events = pause(&mut a, 120);
    assert!(!events.contains(&Event::ShadowRoundFailed), "{events:?}");
    let asked = (0..10).any(|_| a.advance(SECOND).iter().any(|sent| sent.to == endpoint(D)));
    assert!(asked, "it goes on to ask");
}

/// Found by a seed of the simulation: a process was held up, and its application called it now and then. It asked for minutes.
#[test]
fn our_own_pause_counts_once_however_often_something_comes_before_the_next_round() {
    let mut a = Driven::new(
        builder(A, 100).change_membership(|membership| membership.shadow_round = true).seed(endpoint(D)),
    );
    (0..10).for_each(|_| drop(a.advance(SECOND)));
    for _ in 0..6 {
        a.now = a.now + SECOND * 10;
        a.gossiper.handle_wall_clock(a.now, 1_800_000_000_000);
    }
    let failed = (1..=600).find(|_| {
        a.advance(SECOND);
        a.events().contains(&Event::ShadowRoundFailed)
    });
    assert!(failed.is_some_and(|seconds| (45..=55).contains(&seconds)), "{failed:?}");
}

#[test]
fn who_pauses_while_leaving_is_heard_saying_so() {
    let mut a = Driven::new(builder(A, 100).state(ApplicationState::STATUS_WITH_PORT, "NORMAL,1"));
    a.learn_live(V, &member(5));
    (0..3).for_each(|_| drop(a.advance(SECOND)));
    a.gossiper.leave(a.now).unwrap();
    a.advance(SECOND);
    pause(&mut a, 60);
    let status = |a: &Driven| a.value(A, ApplicationState::STATUS_WITH_PORT).unwrap().0;
    assert_eq!(status(&a), "LEAVING,1");
    (0..8).for_each(|_| drop(a.advance(SECOND)));
    assert!(status(&a).starts_with("LEFT,1,"), "{}", status(&a));
}
