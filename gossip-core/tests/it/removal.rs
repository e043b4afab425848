//! Part I of the specification's scenarios, and `docs/protocol/pitfalls.md#dead-and-removed-nodes`: who is gone, for how long that is remembered, and what
//! does not bring them back.

use core::time::Duration;

use gossip_core::message::Codec;
use gossip_core::wire::Writer;
use gossip_core::{
    AbortCause, ApplicationState, AssassinateError, Config, ConfigBuilder, DownCause, Event, ForgetCause,
    Generation, LeaveError, Standing, StatusKind, Timestamp, Tombstone, Transport, Verb,
};

use crate::support::{
    Content, Driven, Sent, State, ack, ack2, builder, deliver, digest, endpoint, heartbeat, syn, talk,
};

const A: &str = "10.0.0.1:7000";
const B: &str = "10.0.0.2:7000";
const C: &str = "10.0.0.3:7000";
const D: &str = "10.0.0.4:7000";

/// What the wall clock reads at the start, in milliseconds since the Unix epoch.
const NOW: u64 = 1_700_000_000_000;
const DAY: u64 = 24 * 60 * 60 * 1_000;
const SECOND: Duration = Duration::from_secs(1);

const STATUS: ApplicationState = ApplicationState::STATUS_WITH_PORT;

fn member(generation: i32, version: i32) -> State {
    State::new(heartbeat(generation, version), &[(STATUS, "NORMAL,7", 2)])
}

fn with_status(generation: i32, version: i32, status: &str) -> State {
    State::new(heartbeat(generation, version), &[(STATUS, status, version)])
}

/// A node one second after the start; it may take ACKs, and knows no endpoint.
fn node(config: ConfigBuilder) -> Driven {
    let mut a = Driven::new(config.seed(endpoint(C)));
    a.gossiper.handle_wall_clock(a.now, NOW);
    a.round();
    a
}

fn unix_ms(driven: &Driven) -> u64 {
    NOW + u64::try_from(driven.now.saturating_since(gossip_core::Timestamp::ZERO).as_millis()).unwrap()
}

/// Gives it news of an endpoint, by way of C.
fn relay(a: &mut Driven, at: &str, state: State) {
    a.hand(C, &ack(&[], &[(at, state)]));
    a.sent();
}

/// Whether it asks for an endpoint that a peer lists so, and from which version.
fn asks(a: &mut Driven, at: &str, generation: i32, version: i32) -> Option<i32> {
    let answers = a.answers(C, &syn(&[digest(at, generation, version)]));
    let [Content::Ack { requests, .. }] = &answers[..] else { panic!("{answers:?}") };
    requests.first().map(|request| request.max_version.get())
}

fn listed(sent: &[Sent], at: &str) -> bool {
    sent.iter().any(|sent| match &sent.content {
        Content::Syn { digests, .. } => digests.iter().any(|digest| digest.endpoint == endpoint(at)),
        _ => false,
    })
}

fn forgotten(at: &str, generation: i32, cause: ForgetCause) -> Event {
    Event::Forgotten { endpoint: endpoint(at), generation: Generation::new(generation), cause }
}

fn tombstones(a: &Driven) -> Vec<(String, i32)> {
    a.gossiper.tombstones().map(|gone| (gone.endpoint.to_string(), gone.generation.get())).collect()
}

#[test]
fn i1_whose_time_is_over_is_forgotten() {
    for (late, is_known) in [(0, true), (1, false)] {
        let mut a = node(builder(A, 100));
        // The next check is a second from now.
        let expiry = unix_ms(&a) + 1_000 - late;
        a.learn(B, &with_status(100, 9, &format!("removed,5d5a,{expiry}")));
        assert_eq!(a.standing(B), Some(Standing::Unreachable));
        a.events();
        a.round();
        assert_eq!(a.standing(B).is_some(), is_known, "{late} ms too late");
        assert_eq!(a.gossiper.values(endpoint(B)).count(), usize::from(is_known));
        assert_eq!(a.gossiper.live_endpoints().count(), 0);
        let told: Vec<_> = (!is_known).then(|| forgotten(B, 100, ForgetCause::Expired)).into_iter().collect();
        assert_eq!(a.events(), told);
        assert_eq!(a.gossiper.stats().endpoints_forgotten, u64::from(!is_known));
    }
}

/// A node that forgets as Cassandra does, and a D that was live for twenty heartbeats and is silent from now on.
fn with_silent_d(config: ConfigBuilder, values: &[(ApplicationState, &str, i32)]) -> Driven {
    let mut a = node(config);
    a.learn_live(D, &State::new(heartbeat(100, 5), values));
    for version in 6..=25 {
        a.advance(SECOND);
        relay(&mut a, D, State::new(heartbeat(100, version), &[]));
    }
    a.events();
    a
}

fn as_cassandra(failed_bootstrap: u64) -> ConfigBuilder {
    builder(A, 100).change_membership(|membership| {
        membership.fat_client_timeout = Some(Duration::from_secs(30));
        membership.failed_bootstrap_timeout = Some(Duration::from_secs(failed_bootstrap));
    })
}

/// Deviation: the generation is refused, not the address; `docs/protocol/pitfalls.md#dead-and-removed-nodes`.
#[test]
fn i2_an_evicted_endpoint_is_refused_for_a_minute() {
    let evicted = || {
        let mut a = with_silent_d(as_cassandra(60), &[(ApplicationState::DC, "dc1", 3)]);
        a.advance(Duration::from_secs(31));
        assert_eq!(a.standing(D), None);
        a
    };
    let mut a = evicted();
    a.advance(Duration::from_millis(59_999));
    assert_eq!(asks(&mut a, D, 100, 90), None, "who is gone is not asked for");
    relay(&mut a, D, State::new(heartbeat(100, 90), &[]));
    assert_eq!((a.standing(D), a.gossiper.stats().quarantined), (None, 1));
    a.advance(Duration::from_millis(2));
    assert_eq!(asks(&mut a, D, 100, 25), None, "nothing newer than what was known");
    assert_eq!(asks(&mut a, D, 99, 90), None, "an older process");
    assert_eq!(asks(&mut a, D, 100, 26), Some(0), "a live endpoint, from the start");
    relay(&mut a, D, State::new(heartbeat(100, 26), &[]));
    assert_eq!((a.standing(D), a.heartbeat(D)), (Some(Standing::Unverified), Some(heartbeat(100, 26))));

    // A process that was started since is taken at once.
    let mut a = evicted();
    assert_eq!(asks(&mut a, D, 101, 1), Some(0));
    relay(&mut a, D, State::new(heartbeat(101, 1), &[]));
    assert_eq!(a.heartbeat(D), Some(heartbeat(101, 1)));
}

/// An endpoint whose last value is newer than its last heartbeat is listed with that value. That is no sign of life.
#[test]
fn what_was_known_of_the_evicted_counts_with_its_values() {
    let mut a = with_silent_d(as_cassandra(60), &[]);
    relay(&mut a, D, State::new(heartbeat(100, 25), &[(ApplicationState::LOAD, "1", 40)]));
    a.advance(Duration::from_secs(31));
    assert_eq!(a.standing(D), None);
    a.advance(Duration::from_secs(61));
    assert_eq!(asks(&mut a, D, 100, 40), None);
    assert_eq!(asks(&mut a, D, 100, 41), Some(0));
}

#[test]
fn i4_fat_client_is_forgotten_after_30_s_and_a_failed_join_after_60_or_300() {
    let dc = (ApplicationState::DC, "dc1", 3);
    let boot = (STATUS, "BOOT,7", 4);
    let replace = (STATUS, "BOOT_REPLACE,10.0.0.9:7000", 4);
    for (values, failed_bootstrap, seconds) in [
        (&[dc][..], 60, 30),
        (&[dc], 300, 30),
        (&[dc, boot], 60, 60),
        (&[dc, boot], 300, 300),
        (&[dc, replace], 300, 300),
    ] {
        let mut a = with_silent_d(as_cassandra(failed_bootstrap), values);
        a.advance(Duration::from_secs(seconds));
        assert_eq!(a.standing(D), Some(Standing::Unreachable), "{values:?}");
        a.events();
        a.advance(SECOND);
        assert_eq!((a.standing(D), a.gossiper.endpoint_count()), (None, 1));
        assert_eq!(a.events(), [forgotten(D, 100, ForgetCause::Silent)]);
        assert_eq!(asks(&mut a, D, 100, 90), None, "it is quarantined");
        assert_eq!(tombstones(&a), [], "that does not outlive a restart");
    }
}

#[test]
fn i5_fat_client_that_speaks_again_is_kept() {
    let mut a = with_silent_d(as_cassandra(60), &[(ApplicationState::DC, "dc1", 3)]);
    for version in 26..=30 {
        a.advance(Duration::from_secs(30));
        relay(&mut a, D, State::new(heartbeat(100, version), &[]));
        assert_eq!(a.heartbeat(D), Some(heartbeat(100, version)));
    }
    a.advance(Duration::from_secs(31));
    assert_eq!(a.standing(D), None);
}

#[test]
fn nobody_is_forgotten_for_silence_unless_that_is_wished() {
    let mut a = with_silent_d(builder(A, 100), &[(ApplicationState::DC, "dc1", 3)]);
    a.advance(Duration::from_hours(24));
    assert_eq!((a.standing(D), a.gossiper.stats().endpoints_forgotten), (Some(Standing::Unreachable), 0));
    // Nor are members, even where others are.
    for status in ["NORMAL,7", "LEAVING,7", "MOVING,8", "shutdown,true", "hibernate,true"] {
        let mut a = node(as_cassandra(60));
        a.learn(D, &State::new(heartbeat(100, 5), &[(STATUS, status, 4)]));
        a.advance(Duration::from_hours(1));
        assert_eq!(a.standing(D), Some(Standing::Unreachable), "{status}");
    }
}

#[test]
fn i6_an_endpoint_that_left_is_out_at_once_and_in_gossip_until_its_time() {
    let mut a = node(builder(A, 100));
    a.learn_live(B, &member(100, 5));
    a.events();
    let expiry = unix_ms(&a) + 3 * DAY;
    relay(&mut a, B, with_status(100, 9, &format!("LEFT,7,{expiry}")));
    assert_eq!(a.standing(B), Some(Standing::Unreachable));
    assert_eq!(a.gossiper.endpoint_info(endpoint(B)).unwrap().status, StatusKind::Left);
    let generation = Generation::new(100);
    let events = a.events();
    assert!(events.contains(&Event::Left { endpoint: endpoint(B), generation }), "{events:?}");
    assert!(events.contains(&Event::Down { endpoint: endpoint(B), generation, cause: DownCause::Status }));
    assert_eq!(tombstones(&a), [(B.to_owned(), 100)]);
    // It is listed as before.
    assert!(listed(&a.round(), B));
    let passed = unix_ms(&a) + 1_000;
    a.gossiper.handle_wall_clock(a.now, expiry - 1_000);
    a.round();
    assert!(a.standing(B).is_some() && passed < expiry);
    a.round();
    assert_eq!(a.standing(B), None);
    assert!(!listed(&a.round(), B));
    assert_eq!(tombstones(&a), [(B.to_owned(), 100)], "longer than it was in gossip");
}

#[test]
fn endpoints_removed_between_the_messages_of_a_syn_do_no_harm() {
    let mut continued = 0;
    for entropy in 0..40 {
        let seeds = [C, D].map(endpoint);
        let config = Config::builder("c", endpoint(A), Generation::new(100), [entropy; 32])
            .transport(Transport::Datagram)
            .change_datagrams(|datagrams| datagrams.max_per_syn = 4);
        let mut a = Driven::new(seeds.into_iter().fold(config, ConfigBuilder::seed));
        a.gossiper.handle_wall_clock(a.now, NOW);
        let left = with_status(100, 9, &format!("LEFT,7,{}", unix_ms(&a) + 20_000));
        for n in 0..60 {
            let at = format!("10.0.1.{n}:7000");
            a.learn(&at, &left);
        }
        assert_eq!(a.gossiper.endpoints().count(), 61);
        // Where the list begins moves on with every SYN.
        while a.now < Timestamp::ZERO + 15 * SECOND {
            a.round();
        }
        a.now = a.gossiper.poll_timeout().unwrap();
        a.gossiper.handle_timeout(a.now);
        let to = a.gossiper.next_peer().expect("a round without anybody live goes to a seed");
        let encode = |a: &mut Driven| {
            let mut buffer = [0; 300];
            let mut out = Writer::new(&mut buffer);
            a.gossiper.encode(to, Codec::new(a.version), &mut out).map(|outgoing| outgoing.verb)
        };
        assert_eq!(encode(&mut a), Some(Verb::GOSSIP_DIGEST_SYN));
        // Nothing goes out meanwhile, as when a socket has no room.
        while a.gossiper.endpoints().count() > 1 {
            a.now = a.gossiper.poll_timeout().unwrap();
            a.gossiper.handle_timeout(a.now);
        }
        while let Some(verb) = encode(&mut a) {
            continued += u32::from(verb == Verb::GOSSIP_DIGEST_SYN);
        }
    }
    assert!(continued > 10, "{continued} were continued");
}

#[test]
fn i7_crashed_member_is_known_and_tried_for_ever() {
    // Ten days of rounds, one a minute.
    let mut a = node(builder(A, 100).interval(Duration::from_mins(1)));
    a.learn_live(B, &member(100, 5));
    a.advance(Duration::from_hours(240));
    assert_eq!(a.standing(B), Some(Standing::Unreachable));
    let sent = a.advance(Duration::from_mins(20));
    assert!(listed(&sent, B));
    assert!(sent.iter().filter(|sent| sent.to == endpoint(B)).count() >= 10, "it is retried");
}

#[test]
fn i8_an_unknown_endpoint_is_assassinated_at_once() {
    let mut a = node(builder(A, 100));
    a.gossiper.assassinate(a.now, endpoint(B)).unwrap();
    let now = unix_ms(&a);
    let generation = i32::try_from(now / 1_000).unwrap() + 60;
    assert_eq!(a.heartbeat(B), Some(heartbeat(generation, 9_999)));
    let left = format!("LEFT,0,{}", now + 3 * DAY);
    assert_eq!(a.value(B, STATUS), Some((left.clone(), 9_999)));
    assert_eq!(a.value(B, ApplicationState::STATUS), Some((left, 9_999)));
    assert_eq!(a.standing(B), Some(Standing::Unreachable));
    let told = Event::Assassinated { endpoint: endpoint(B), generation: Generation::new(generation) };
    assert!(a.events().contains(&told));
    assert_eq!(tombstones(&a), [(B.to_owned(), generation)]);
    assert_eq!(a.gossiper.assassinate(a.now, endpoint(A)), Err(AssassinateError::Oneself));
}

/// The seed S, which shall hear of it, and A, which is asked to do it.
fn seed_and_operator(seed_knows: Option<&State>) -> (Driven, Driven) {
    let mut a = Driven::new(builder(A, 100).seed(endpoint(C)).saved_endpoint(endpoint(B)));
    let mut seed = Driven::new(builder(C, 100).saved_endpoint(endpoint(B)));
    for node in [&mut a, &mut seed] {
        node.gossiper.handle_wall_clock(node.now, NOW);
    }
    meet(&mut a, &mut seed);
    if let Some(state) = seed_knows {
        seed.learn_live(B, state);
        meet(&mut a, &mut seed);
        assert_eq!(a.heartbeat(B), Some(state.heartbeat));
    }
    (a, seed)
}

/// Three rounds of both, with all that they say to each other.
fn meet(a: &mut Driven, b: &mut Driven) {
    for _ in 0..3 {
        let (from_a, from_b) = (a.round(), b.round());
        deliver(b, a.local(), &from_a);
        deliver(a, b.local(), &from_b);
        talk(a, b);
    }
}

#[test]
fn i9_seed_hears_who_was_assassinated() {
    let crashed = member(200, 5);
    let stopped = State::new(heartbeat(200, i32::MAX), &[(STATUS, "shutdown,true", 9)]);
    // No node knows the last since they were restarted; Cassandra complains that it has no tokens.
    for (known, generation, token) in [(Some(&crashed), 201, "7"), (None, 1, "0")] {
        let (mut a, mut seed) = seed_and_operator(known);
        a.gossiper.assassinate(a.now, endpoint(B)).unwrap();
        assert_eq!(tombstones(&a), [], "it has 30 s to show a sign of life");
        for _ in 0..11 {
            meet(&mut a, &mut seed);
        }
        assert_eq!(a.heartbeat(B).unwrap().generation, Generation::new(generation));
        let (text, _) = seed.value(B, STATUS).unwrap();
        assert!(text.starts_with(&format!("LEFT,{token},")), "{text}");
        assert_eq!(seed.heartbeat(B).unwrap().generation, Generation::new(generation));
        assert_eq!(seed.standing(B), Some(Standing::Unreachable));
        assert_eq!(tombstones(&seed), [(B.to_owned(), generation)]);
    }
    let mut a = node(builder(A, 100));
    a.learn(B, &stopped);
    a.gossiper.assassinate(a.now, endpoint(B)).unwrap();
    a.advance(Duration::from_secs(31));
    assert_eq!(a.heartbeat(B), Some(heartbeat(201, 9_999)));
    assert!(a.value(B, STATUS).unwrap().0.starts_with("LEFT,"));
}

#[test]
fn i11_an_endpoint_that_shows_a_sign_of_life_is_not_assassinated() {
    let mut a = node(builder(A, 100));
    a.learn_live(B, &member(200, 5));
    a.gossiper.assassinate(a.now, endpoint(B)).unwrap();
    for state in [State::new(heartbeat(200, 6), &[]), member(201, 1)] {
        a.advance(Duration::from_secs(29));
        relay(&mut a, B, state);
        a.events();
        // Its time is over with the thirtieth second.
        a.advance(SECOND);
        let aborted = Event::AssassinationAborted { endpoint: endpoint(B), cause: AbortCause::Alive };
        assert!(a.events().contains(&aborted));
        assert_eq!(a.value(B, STATUS).unwrap().0, "NORMAL,7");
        a.gossiper.assassinate(a.now, endpoint(B)).unwrap();
    }
    for n in 0..7 {
        let at = format!("10.0.1.{n}:7000");
        a.learn(&at, &member(200, 5));
        assert_eq!(a.gossiper.assassinate(a.now, endpoint(&at)), Ok(()));
    }
    a.learn(D, &member(200, 5));
    assert_eq!(a.gossiper.assassinate(a.now, endpoint(D)), Err(AssassinateError::TooMany));
    assert_eq!(a.gossiper.assassinate(a.now, endpoint(B)), Ok(()), "that is under way already");
}

/// Each that was begun has an end that is reported, whatever comes between.
#[test]
fn every_assassination_ends_with_an_event() {
    let outcomes = |a: &mut Driven| -> Vec<Event> {
        let is_outcome =
            |event: &Event| matches!(event, Event::Assassinated { .. } | Event::AssassinationAborted { .. });
        a.events().into_iter().filter(is_outcome).collect()
    };
    let begun = |config: ConfigBuilder, generation| {
        let mut a = node(config);
        a.learn(B, &State::new(heartbeat(generation, 5), &[]));
        assert_eq!(a.gossiper.assassinate(a.now, endpoint(B)), Ok(()));
        a
    };
    let aborted = |cause| Event::AssassinationAborted { endpoint: endpoint(B), cause };
    let assassinated =
        |generation| Event::Assassinated { endpoint: endpoint(B), generation: Generation::new(generation) };

    // It is forgotten for its silence meanwhile: others may bring it back.
    let mut a = begun(
        builder(A, 100).change_membership(|membership| membership.fat_client_timeout = Some(SECOND * 10)),
        200,
    );
    a.advance(SECOND * 20);
    assert_eq!(a.standing(B), None);
    a.advance(SECOND * 15);
    assert_eq!(outcomes(&mut a), [assassinated(201)]);
    assert_eq!(tombstones(&a), [(B.to_owned(), 201)]);

    // Another node was quicker.
    let mut a = begun(builder(A, 100), 200);
    relay(&mut a, B, State::new(heartbeat(201, 9_999), &[(STATUS, "LEFT,7,1700200000000", 9_999)]));
    a.advance(SECOND * 31);
    assert_eq!(outcomes(&mut a), [assassinated(201)]);

    // There is no later generation to declare it under.
    let mut a = Driven::new(builder(A, 100));
    a.learn(B, &State::new(heartbeat(i32::MAX, 5), &[]));
    assert_eq!(a.gossiper.assassinate(a.now, endpoint(B)), Ok(()));
    a.advance(SECOND * 31);
    assert_eq!(outcomes(&mut a), [aborted(AbortCause::LastGeneration)]);

    // While gossip is disabled no sign of life can come.
    let mut a = begun(builder(A, 100), 200);
    a.gossiper.disable(a.now).unwrap();
    a.advance(SECOND * 5);
    assert_eq!(outcomes(&mut a), [aborted(AbortCause::Stopped)]);
    a.now = a.now + SECOND * 60;
    a.gossiper.enable(a.now).unwrap();
    a.advance(SECOND * 5);
    assert_eq!(outcomes(&mut a), []);

    let mut a = begun(builder(A, 100), 200);
    a.gossiper.abandon(a.now);
    assert_eq!(outcomes(&mut a), [aborted(AbortCause::Stopped)]);
}

/// Where a SYN has no room for everybody, it comes first.
#[test]
fn an_assassination_is_news() {
    let mut a = node(builder(A, 100).seed(endpoint(D)));
    a.buffer.truncate(1_000);
    for n in 1..=200 {
        a.learn(&format!("10.2.0.{n}:7000"), &State::new(heartbeat(200, 5), &[]));
        a.sent();
    }
    a.learn(B, &State::new(heartbeat(200, 5), &[]));
    // What was learned is no news any more.
    a.advance(SECOND * 25);
    for known in [true, false] {
        let at = if known { B } else { "10.9.9.9:7000" };
        a.gossiper.assassinate(a.now, endpoint(at)).unwrap();
        a.advance(if known { SECOND * 31 } else { Duration::ZERO });
        let mut listed = 0;
        for _ in 0..4 {
            let sent = a.round();
            let is_listed = sent.iter().any(|sent| {
                matches!(&sent.content, Content::Syn { digests, .. }
                    if digests.len() < 100 && digests.iter().any(|digest| digest.endpoint == endpoint(at)))
            });
            listed += usize::from(is_listed);
        }
        assert_eq!(listed, 4, "{at}");
        a.advance(SECOND * 25);
    }
}

/// `docs/protocol/pitfalls.md#dead-and-removed-nodes`: nothing waits meanwhile.
#[test]
fn rounds_and_messages_go_on_while_an_assassination_waits() {
    let mut a = node(builder(A, 100));
    a.learn(B, &member(200, 5));
    a.gossiper.assassinate(a.now, endpoint(B)).unwrap();
    let rounds = a.gossiper.stats().rounds;
    a.advance(Duration::from_secs(10));
    assert_eq!(a.gossiper.stats().rounds, rounds + 10);
    assert_eq!(a.answers(D, &syn(&[digest(B, 200, 5)])), [ack(&[], &[])]);
}

/// The victim hears that it is gone.
#[test]
fn an_assassinated_node_that_lives_stops() {
    let mut b = node(builder(B, 200));
    let left = with_status(201, 9_999, "LEFT,7,1800000000000");
    assert_eq!(b.answers(C, &syn(&[digest(B, 201, 9_999)])), [ack(&[digest(B, 201, 0)], &[])]);
    b.hand(C, &ack2(&[(B, left)]));
    assert_eq!(b.events(), [Event::Removed { generation: Generation::new(201) }, Event::Stopped]);
}

/// Deviation: a seed is an address. Cassandra takes it out until the list is read again; here a later process at that
/// address is found, and the last seed is never lost.
#[test]
fn i12_seed_that_has_left_stays_a_seed() {
    let mut a = node(builder(A, 100).seed(endpoint(B)));
    a.learn(B, &with_status(100, 9, &format!("LEFT,7,{}", NOW + 3 * DAY)));
    assert_eq!(a.gossiper.seeds(), [endpoint(B), endpoint(C)]);
    assert_eq!(a.gossiper.endpoint_info(endpoint(B)).map(|info| info.is_seed), Some(true));
    let sent = a.advance(Duration::from_secs(20));
    assert!(sent.iter().any(|sent| sent.to == endpoint(B)), "it is tried while no endpoint is live");
    assert!(a.gossiper.set_seeds(&[endpoint(C)]));
    assert_eq!(a.gossiper.seeds(), [endpoint(C)]);
}

fn tombstone(generation: i32, until_unix_ms: u64) -> Tombstone {
    Tombstone { endpoint: endpoint(B), generation: Generation::new(generation), until_unix_ms }
}

#[test]
fn tombstone_refuses_its_generation_until_it_ends() {
    let until = NOW + 10_000;
    let restarted = || node(builder(A, 100).tombstone(tombstone(200, until)));
    let mut a = restarted();
    for generation in [199, 200] {
        assert_eq!(asks(&mut a, B, generation, 900), None);
        relay(&mut a, B, member(generation, 900));
    }
    assert_eq!((a.standing(B), a.gossiper.stats().quarantined), (None, 2));
    a.advance(Duration::from_millis(9_000));
    assert_eq!(asks(&mut a, B, 200, 900), None, "a second before the end");
    a.advance(SECOND);
    assert_eq!(asks(&mut a, B, 200, 900), Some(0));
    relay(&mut a, B, member(200, 900));
    assert_eq!(a.heartbeat(B), Some(heartbeat(200, 900)));
    assert_eq!(tombstones(&a), []);

    let mut a = restarted();
    assert_eq!(tombstones(&a), [(B.to_owned(), 200)]);
    assert_eq!(asks(&mut a, B, 201, 1), Some(0), "a later process is taken at once");
    relay(&mut a, B, member(201, 1));
    assert_eq!((a.heartbeat(B), tombstones(&a)), (Some(heartbeat(201, 1)), vec![]));
}

/// `docs/protocol/pitfalls.md#dead-and-removed-nodes`: a node that was away for long still has it as a member.
#[test]
fn a_node_that_was_away_does_not_bring_back_who_has_left() {
    let mut a = node(builder(A, 100));
    a.learn_live(B, &member(200, 5));
    let expiry = unix_ms(&a) + 3 * DAY;
    relay(&mut a, B, with_status(200, 9, &format!("LEFT,7,{expiry}")));
    let kept: Vec<Tombstone> = a.gossiper.tombstones().collect();
    assert_eq!(kept, [tombstone(200, expiry + 10 * DAY)]);

    // Restarted four days later, with or without having kept B among the endpoints it knows.
    for is_saved in [false, true] {
        let mut config = builder(A, 300).seed(endpoint(C)).tombstone(kept[0]);
        if is_saved {
            config = config.saved_endpoint(endpoint(B));
        }
        let mut a = Driven::new(config);
        let mut c = Driven::new(builder(C, 100));
        for node in [&mut a, &mut c] {
            node.gossiper.handle_wall_clock(node.now, NOW + 4 * DAY);
        }
        c.learn(B, &member(200, 5));
        for _ in 0..5 {
            meet(&mut a, &mut c);
        }
        assert_eq!(a.standing(C), Some(Standing::Live));
        assert_eq!(a.standing(B), None, "saved: {is_saved}");
        assert!(c.standing(B).is_some());
        // What was started anew comes in.
        c.learn(B, &member(500, 1));
        meet(&mut a, &mut c);
        assert_eq!(a.heartbeat(B).map(|heartbeat| heartbeat.generation), Some(Generation::new(500)));
    }
}

#[test]
fn crashed_members_are_reaped_if_that_is_wished_and_do_not_come_back() {
    let mut a = node(
        builder(A, 100)
            .change_membership(|membership| membership.dead_endpoint_ttl = Some(Duration::from_hours(1))),
    );
    a.learn_live(B, &member(200, 5));
    a.events();
    a.advance(Duration::from_hours(1));
    assert_eq!(a.standing(B), Some(Standing::Unreachable));
    a.events();
    a.advance(SECOND);
    assert_eq!(a.standing(B), None);
    assert_eq!(a.events(), [forgotten(B, 200, ForgetCause::Reaped)]);
    assert_eq!(a.gossiper.tombstones().collect::<Vec<_>>(), [tombstone(200, unix_ms(&a) + 10 * DAY)]);
    a.advance(Duration::from_hours(24));
    assert_eq!(asks(&mut a, B, 200, 900), None, "a heartbeat that others still have");
    assert_eq!(asks(&mut a, B, 201, 1), Some(0));
}

/// Deviation: in Cassandra it never ends.
#[test]
fn status_of_left_without_a_time_ends_after_three_days() {
    let mut a = node(builder(A, 100).interval(Duration::from_mins(1)));
    a.learn(B, &with_status(200, 9, "LEFT,7"));
    a.advance(Duration::from_hours(72));
    assert!(a.standing(B).is_some());
    a.advance(Duration::from_mins(1));
    assert_eq!(a.standing(B), None);
    assert_eq!(tombstones(&a), [(B.to_owned(), 200)]);
}

/// The tombstone lasts for ten days after the end that the status claims, or after now.
#[test]
fn a_claimed_end_that_is_a_month_away_is_not_believed() {
    let month = 30 * DAY;
    for (ahead, believed) in [(month - 1, Some(month - 1)), (month, None), (month + 1, None)] {
        let mut a = node(builder(A, 100));
        let now = unix_ms(&a);
        a.learn(B, &with_status(200, 9, &format!("LEFT,7,{}", now + ahead)));
        let until: Vec<_> = a.gossiper.tombstones().map(|gone| gone.until_unix_ms).collect();
        assert_eq!(until, [now + believed.unwrap_or(0) + 10 * DAY], "{ahead}");
    }
}

/// `docs/protocol/life-cycle.md#status-transitions`, `docs/protocol/life-cycle.md#what-becomes-of-a-dead-node`, from both sides.
#[test]
fn a_member_leaves_and_others_know_it_as_gone() {
    let mut a = Driven::new(
        builder(A, 100)
            .seed(endpoint(B))
            .change_membership(|membership| membership.leaving_delay = Some(Duration::from_secs(5))),
    );
    let mut b = Driven::new(
        builder(B, 200)
            .state(STATUS, "NORMAL,7")
            .state(ApplicationState::STATUS, "NORMAL,7")
            .change_membership(|membership| membership.leaving_delay = Some(Duration::from_secs(5))),
    );
    for node in [&mut a, &mut b] {
        node.gossiper.handle_wall_clock(node.now, NOW);
    }
    meet(&mut a, &mut b);
    a.events();
    b.gossiper.leave(b.now).unwrap();
    assert_eq!(b.gossiper.leave(b.now), Err(LeaveError::NotRunning));
    assert_eq!(b.value(B, STATUS).unwrap().0, "LEAVING,7");
    meet(&mut a, &mut b);
    assert_eq!(a.value(B, STATUS).unwrap().0, "LEAVING,7");
    assert_eq!(a.standing(B), Some(Standing::Live), "it is a member still");
    meet(&mut a, &mut b);
    let left = format!("LEFT,7,{}", NOW + 7_000 + 3 * DAY);
    assert_eq!(b.value(B, STATUS).unwrap().0, left);
    assert_eq!(a.value(B, STATUS).unwrap().0, left);
    assert_eq!(a.value(B, ApplicationState::STATUS).unwrap().0, left);
    assert_eq!(a.standing(B), Some(Standing::Unreachable));
    b.events();
    assert!(b.gossiper.is_enabled(), "it goes on for another 5 s");
    let sent = b.advance(Duration::from_secs(5));
    assert!(!sent.iter().any(|sent| matches!(sent.content, Content::Shutdown { .. })), "LEFT says it all");
    assert_eq!((b.events(), b.gossiper.poll_timeout()), (vec![Event::Stopped], None));
    assert_eq!(tombstones(&a), [(B.to_owned(), 200)]);
    // Only a member can leave.
    assert_eq!(a.gossiper.leave(a.now), Err(LeaveError::NotMember));
}

#[test]
fn memory_of_the_gone_is_bounded() {
    let mut config = builder(A, 100).change_limits(|limits| limits.max_tombstones = 3);
    for n in 0..5_u16 {
        let gone = Tombstone {
            endpoint: gossip_core::Endpoint::v4([10, 0, 1, 1], n),
            generation: Generation::new(1),
            until_unix_ms: NOW + 10_000 + u64::from(n),
        };
        config = config.tombstone(gone);
    }
    let a = node(config);
    let ports: Vec<u16> = a.gossiper.tombstones().map(|gone| gone.endpoint.port()).collect();
    assert_eq!(ports, [2, 3, 4], "those that end last");
}
