//! What others say of the node itself: where it is newer than what the node knows, some node is wrong, and which it is
//! decides what follows.

use core::time::Duration;

use gossip_core::{ApplicationState, Event, Generation, RaiseCause, Version};

use crate::support::{Content, Driven, State, ack, ack2, builder, digest, endpoint, heartbeat, syn};

const A: &str = "10.0.0.1:7000";
const B: &str = "10.0.0.2:7000";

const HOST_ID: &str = "93e2f0eb-e71b-4d0d-940f-bd6dd9453e30";
const DAY: i32 = 24 * 60 * 60;
const YEAR: i32 = 365 * DAY;

fn node() -> Driven {
    let config = builder(A, 100).state(ApplicationState::HOST_ID, HOST_ID).seed(endpoint(B));
    let mut driven = Driven::new(config);
    driven.round();
    driven
}

/// What a peer knows of us, under this host id.
fn claim(generation: i32, host_id: &str) -> State {
    State::new(heartbeat(generation, 9), &[(ApplicationState::HOST_ID, host_id, 4)])
}

/// Lets B claim it by a digest, as far as that is asked for.
fn hear(a: &mut Driven, state: &State) {
    let known = digest(A, state.heartbeat.generation.get(), state.heartbeat.version.get());
    let answer = a.answers(B, &syn(&[known]));
    let [Content::Ack { requests, states }] = &answer[..] else { panic!("{answer:?}") };
    assert!(states.is_empty());
    if requests.is_empty() {
        return;
    }
    assert_eq!(*requests, [digest(A, state.heartbeat.generation.get(), 0)], "first of all we ask what it is");
    a.hand(B, &ack2(&[(A, state.clone())]));
}

fn raised(old: i32, new: i32) -> Event {
    Event::GenerationRaised {
        old: Generation::new(old),
        new: Generation::new(new),
        cause: RaiseCause::KnownGreater,
    }
}

fn not_raised(generation: i32) -> Event {
    Event::GenerationNotRaised { generation: Generation::new(generation) }
}

/// All that happened but for the silence of the seed.
fn told(a: &mut Driven) -> Vec<Event> {
    let mut events = a.events();
    events.retain(|event| !matches!(event, Event::SeedsSilent { .. }));
    events
}

#[test]
fn a_forgotten_generation_is_jumped_over() {
    let mut a = node();
    let values: Vec<_> = a.gossiper.snapshot()[0].states.clone();
    let before = a.heartbeat(A).unwrap();
    hear(&mut a, &claim(500, HOST_ID));
    assert_eq!(told(&mut a), [raised(100, 501)]);
    assert_eq!(a.heartbeat(A), Some(heartbeat(501, before.version.get())));
    assert_eq!(a.gossiper.snapshot()[0].states, values, "no other node writes our values");
    // A peer that knew the forgotten generation requests everything.
    let syns = a.round();
    let Content::Syn { digests, .. } = &syns[0].content else { panic!("{syns:?}") };
    assert_eq!(digests[0].generation, Generation::new(501));
}

#[test]
fn it_jumps_once_in_ten_minutes() {
    let mut a = node();
    hear(&mut a, &claim(500, HOST_ID));
    a.advance(Duration::from_secs(599));
    told(&mut a);
    hear(&mut a, &claim(600, HOST_ID));
    assert_eq!((told(&mut a), a.gossiper.generation()), (vec![], Generation::new(501)));
    a.advance(Duration::from_secs(1));
    hear(&mut a, &claim(600, HOST_ID));
    assert_eq!(told(&mut a), [raised(501, 601)]);
}

#[test]
fn an_answer_that_says_so_unasked_counts_as_well() {
    let mut a = node();
    a.hand(B, &ack(&[], &[(A, claim(500, HOST_ID))]));
    assert_eq!(told(&mut a), [raised(100, 501)]);
}

#[test]
fn a_state_without_host_id_is_taken_for_our_own() {
    let mut a = node();
    hear(&mut a, &State::new(heartbeat(500, 9), &[]));
    assert_eq!(told(&mut a), [raised(100, 501)]);
}

#[test]
fn another_host_id_is_a_conflict_and_no_reason_to_jump() {
    let mut a = node();
    let other = claim(500, "c4b2302a-861d-4eb5-aa0d-aa7cc330a2e0");
    hear(&mut a, &other);
    let conflict = Event::AddressConflict { generation: Generation::new(500) };
    assert_eq!(told(&mut a), [conflict]);
    a.advance(Duration::from_secs(599));
    hear(&mut a, &other);
    assert_eq!(told(&mut a), [], "reported once in ten minutes");
    a.advance(Duration::from_secs(1));
    hear(&mut a, &other);
    assert_eq!((told(&mut a), a.gossiper.generation()), (vec![conflict], Generation::new(100)));
}

#[test]
fn a_removed_node_stops() {
    for status in ["LEFT,1,2000000000000", "removing,x", "removed,x,2000000000000", "hibernate,true"] {
        for key in [ApplicationState::STATUS_WITH_PORT, ApplicationState::STATUS] {
            let mut a = node();
            a.learn_live(B, &State::new(heartbeat(300, 1), &[]));
            told(&mut a);
            hear(
                &mut a,
                &State::new(heartbeat(101, 9), &[(ApplicationState::HOST_ID, HOST_ID, 4), (key, status, 8)]),
            );
            let removed = Event::Removed { generation: Generation::new(101) };
            assert_eq!(told(&mut a), [removed, Event::Stopped], "{status}");
            assert_eq!((a.gossiper.generation(), a.gossiper.poll_timeout()), (Generation::new(100), None));
            assert_eq!(a.answers(B, &syn(&[digest(A, 101, 9)])), []);
        }
    }
}

#[test]
fn a_version_above_our_own_raises_the_generation_by_one() {
    let mut a = node();
    let own = a.gossiper.max_version(endpoint(A)).unwrap().get();
    // Not above: nothing happens.
    a.hand(B, &ack(&[], &[(A, State::new(heartbeat(100, own), &[]))]));
    assert_eq!(told(&mut a), []);
    let answer = a.answers(B, &syn(&[digest(A, 100, own + 1)]));
    let Content::Ack { requests, .. } = &answer.last().unwrap() else { panic!("{answer:?}") };
    assert_eq!(*requests, [digest(A, 100, own)]);
    let value = [(ApplicationState::STATUS_WITH_PORT, "shutdown,true", own + 1)];
    a.hand(B, &ack2(&[(A, State::new(heartbeat(100, 1), &value))]));
    assert_eq!(told(&mut a), [raised(100, 101)]);
    assert_eq!(a.value(A, ApplicationState::STATUS_WITH_PORT), None);
    // What is said of the generation before is the past.
    a.hand(B, &ack2(&[(A, State::new(heartbeat(100, i32::MAX), &value))]));
    assert_eq!(told(&mut a), []);
}

#[test]
fn the_last_generation_is_not_raised() {
    let mut a = node();
    for _ in 0..3 {
        hear(&mut a, &claim(i32::MAX, HOST_ID));
    }
    assert_eq!((told(&mut a), a.gossiper.generation()), (vec![not_raised(100)], Generation::new(100)));
}

#[test]
fn nobody_jumps_to_where_peers_would_not_follow() {
    const NOW: i32 = 1_800_000_000;
    let with_clock = || {
        let mut a = node();
        a.gossiper.handle_wall_clock(a.now, u64::from(NOW.cast_unsigned()) * 1_000);
        a
    };
    // Beyond a year it is not even asked for.
    let mut a = with_clock();
    hear(&mut a, &claim(NOW + YEAR + 1, HOST_ID));
    a.hand(B, &ack(&[], &[(A, claim(NOW + YEAR + 1, HOST_ID))]));
    assert_eq!((told(&mut a), a.gossiper.generation()), (vec![], Generation::new(100)));
    // Not within its last day: peers' clocks may be behind. If others do not believe us then, that is reported.
    let mut a = with_clock();
    hear(&mut a, &claim(NOW + YEAR - DAY, HOST_ID));
    assert_eq!((told(&mut a), a.gossiper.generation()), (vec![not_raised(100)], Generation::new(100)));
    let mut a = with_clock();
    hear(&mut a, &claim(NOW + YEAR - DAY - 1, HOST_ID));
    assert_eq!(told(&mut a), [raised(100, NOW + YEAR - DAY)]);
}

#[test]
fn versions_go_on_after_a_jump() {
    let mut a = node();
    a.advance(Duration::from_secs(10));
    let before = a.gossiper.max_version(endpoint(A)).unwrap();
    hear(&mut a, &claim(500, HOST_ID));
    let set = a.gossiper.set_state(a.now, ApplicationState::LOAD, "1").unwrap();
    assert_eq!(set, Version::new(before.get() + 1));
}
