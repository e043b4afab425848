//! What is kept, in which order it is reported, and what is refused and counted: scenarios G3, G4 and G12 of the specification,
//! limits, direct probes, and a counter for each reason.

use core::time::Duration;

use gossip_core::{
    ApplicationState, ConfigBuilder, DownCause, Event, Generation, MetadataId, Standing, StatusKind,
    Tombstone, Verb,
};

use crate::support::{Content, Driven, State, ack, ack2, builder, digest, endpoint, heartbeat, syn};

const A: &str = "10.0.0.1:7000";
const B: &str = "10.0.0.2:7000";
const C: &str = "10.0.0.3:7000";
const D: &str = "10.0.0.4:7000";

const STATUS: ApplicationState = ApplicationState::STATUS;
const WITH_PORT: ApplicationState = ApplicationState::STATUS_WITH_PORT;
const LOAD: ApplicationState = ApplicationState::LOAD;

fn node(config: ConfigBuilder) -> Driven {
    let mut a = Driven::new(config.seed(endpoint(C)));
    a.round();
    a
}

fn relay(a: &mut Driven, at: &str, state: &State) {
    a.hand(C, &ack(&[], &[(at, state.clone())]));
    a.sent();
}

fn state(generation: i32, version: i32) -> State {
    State::new(heartbeat(generation, version), &[])
}

/// The events of B: which values, in which order.
fn changes(a: &mut Driven) -> Vec<ApplicationState> {
    a.events()
        .into_iter()
        .filter_map(|event| match event {
            Event::StateChanged { key, .. } => Some(key),
            _ => None,
        })
        .collect()
}

/// Deviation: both of a pair are kept and reported, and the newer of the two says what the status is. Cassandra is silent of
/// the one without port as soon as there is the other, and tells of two here.
#[test]
fn g3_of_a_legacy_pair_the_newer_counts() {
    let mut a = node(builder(A, 100));
    a.learn(B, &State::new(heartbeat(200, 2), &[(STATUS, "BOOT,7", 1)]));
    assert_eq!(changes(&mut a), [STATUS]);
    let status = |a: &Driven| a.gossiper.endpoint_info(endpoint(B)).unwrap().status;
    assert_eq!(status(&a), StatusKind::Boot);
    let both = [(STATUS, "NORMAL,7", 4), (WITH_PORT, "NORMAL,7", 3)];
    relay(&mut a, B, &State::new(heartbeat(200, 5), &both));
    let mut told = changes(&mut a);
    told.sort_unstable();
    assert_eq!((told, status(&a)), (vec![STATUS, WITH_PORT], StatusKind::Normal));
    relay(&mut a, B, &State::new(heartbeat(200, 9), &[(STATUS, "MOVING,7", 8)]));
    assert_eq!((changes(&mut a), status(&a)), (vec![STATUS], StatusKind::Moving));
}

/// Deviation: the order of a message is kept. No event comes before all of the message is applied, so that what
/// is reported of one endpoint finds all others as they are; Cassandra tells between, and so has to put those who join last.
#[test]
fn g4_all_of_a_message_is_applied_before_any_of_it_is_told() {
    let entries = [
        (D, State::new(heartbeat(300, 3), &[(WITH_PORT, "BOOT_REPLACE,10.0.0.2:7000", 2)])),
        (B, State::new(heartbeat(200, 3), &[(WITH_PORT, "NORMAL,7", 2)])),
        ("10.0.0.5:7000", State::new(heartbeat(100, 3), &[(WITH_PORT, "BOOT,9", 2)])),
    ];
    let orders = [[0, 1, 2], [2, 1, 0], [1, 2, 0]];
    for order in orders {
        let mut a = node(builder(A, 100));
        let digests: Vec<_> = [(D, 300), (B, 200), ("10.0.0.5:7000", 100)]
            .map(|(at, generation)| digest(at, generation, 3))
            .to_vec();
        a.answers(C, &syn(&digests));
        a.events();
        let message: Vec<_> = order.iter().map(|at| entries[*at].clone()).collect();
        a.hand(C, &ack2(&message));
        let joined: Vec<_> = a
            .events()
            .into_iter()
            .filter_map(|event| match event {
                Event::Joined { endpoint, .. } => {
                    assert_eq!(a.gossiper.endpoint_count(), 4, "all are there before the first is reported");
                    Some(endpoint)
                }
                _ => None,
            })
            .collect();
        assert_eq!(joined, order.map(|at| endpoint(entries[at].0)));
    }
}

/// Deviation: nothing is taken away from what another node says of itself.
#[test]
fn g12_legacy_values_are_kept_and_relayed() {
    let all = [
        (STATUS, "NORMAL,7", 1),
        (WITH_PORT, "NORMAL,7", 2),
        (ApplicationState::INTERNAL_IP, "10.0.0.2", 3),
        (ApplicationState::INTERNAL_ADDRESS_AND_PORT, "10.0.0.2:7000", 4),
        (ApplicationState::RPC_ADDRESS, "10.0.0.2", 5),
        (ApplicationState::NATIVE_ADDRESS_AND_PORT, "10.0.0.2:9042", 6),
        (ApplicationState::RELEASE_VERSION, "4.1.0", 7),
    ];
    let numbers: Vec<i32> = all[..6].iter().map(|(key, ..)| key.number()).collect();
    assert_eq!(numbers, [0, 17, 7, 15, 8, 16]);
    for kept in [&all[..], &all[..1]] {
        let mut a = node(builder(A, 100).state(ApplicationState::RELEASE_VERSION, "5.0.0"));
        a.learn(B, &State::new(heartbeat(200, 9), kept));
        assert_eq!(a.gossiper.values(endpoint(B)).count(), kept.len());
        let answers = a.answers(C, &syn(&[digest(B, 200, 0)]));
        let [Content::Ack { states, .. }] = &answers[..] else { panic!("{answers:?}") };
        assert_eq!(states[0].1.values.len(), kept.len());
    }
}

#[test]
fn a_full_table_asks_and_takes_no_more() {
    let mut a = node(builder(A, 100).change_limits(|limits| limits.max_endpoints = 3));
    for at in [B, C, D, "10.0.0.5:7000"] {
        a.learn(at, &state(200, 5));
    }
    assert_eq!((a.gossiper.endpoint_count(), a.gossiper.stats().table_full), (3, 2));
    assert_eq!((a.standing(B).is_some(), a.standing(D)), (true, None));
    // What is known goes on.
    relay(&mut a, B, &state(200, 6));
    assert_eq!(a.heartbeat(B), Some(heartbeat(200, 6)));
}

#[test]
fn endpoints_have_so_many_values_and_bytes() {
    let values = [(ApplicationState::DC, "dc1", 1), (ApplicationState::RACK, "rack1", 2), (LOAD, "1.0", 3)];
    let mut a = node(builder(A, 100).change_limits(|limits| limits.max_states = 2));
    a.learn(B, &State::new(heartbeat(200, 5), &values));
    assert_eq!((a.gossiper.values(endpoint(B)).count(), a.gossiper.stats().values_refused), (2, 1));
    relay(&mut a, B, &State::new(heartbeat(200, 9), &[(ApplicationState::DC, "dc2", 8)]));
    assert_eq!(a.value(B, ApplicationState::DC), Some(("dc2".to_owned(), 8)), "no more, but another");

    let mut a = node(builder(A, 100).change_limits(|limits| limits.max_state_bytes = 8));
    a.learn(B, &State::new(heartbeat(200, 5), &values));
    assert_eq!((a.gossiper.values(endpoint(B)).count(), a.gossiper.stats().values_refused), (2, 1));
    relay(&mut a, B, &State::new(heartbeat(200, 9), &[(ApplicationState::DC, "dc22", 8)]));
    assert_eq!(a.value(B, ApplicationState::DC), Some(("dc1".to_owned(), 1)));
    assert_eq!(a.gossiper.stats().values_refused, 2);
}

/// Of each reason to refuse something there is a counter, and nothing else counts with it.
#[test]
fn every_refusal_is_counted_by_its_reason() {
    let gone = Tombstone {
        endpoint: endpoint("10.0.0.9:7000"),
        generation: Generation::new(500),
        until_unix_ms: 2_000_000_000_000,
    };
    let mut a = node(builder(A, 100).tombstone(gone).change_limits(|limits| {
        limits.max_pending_events = 16;
        limits.max_pending_acks = 2;
    }));
    a.gossiper.handle_wall_clock(a.now, 1_700_000_000_000);
    a.learn_live(B, &State::new(heartbeat(200, 5), &[(LOAD, "1", 2)]));
    a.events();
    let mut before = *a.gossiper.stats();
    let mut refused = |a: &mut Driven, what: &str| {
        let now = *a.gossiper.stats();
        let counters: Vec<(&str, u64)> = [
            ("while_disabled", now.while_disabled - before.while_disabled),
            ("foreign_cluster", now.foreign_cluster - before.foreign_cluster),
            ("foreign_partitioner", now.foreign_partitioner - before.foreign_partitioner),
            ("old_generations", now.old_generations - before.old_generations),
            ("future_generations", now.future_generations - before.future_generations),
            ("unrequested_states", now.unrequested_states - before.unrequested_states),
            ("own_claims", now.own_claims - before.own_claims),
            ("stale_shutdowns", now.stale_shutdowns - before.stale_shutdowns),
            ("late_echoes", now.late_echoes - before.late_echoes),
            ("quarantined", now.quarantined - before.quarantined),
            ("exchanges_dropped", now.exchanges_dropped - before.exchanges_dropped),
            ("messages_dropped", now.messages_dropped - before.messages_dropped),
            ("events_lost", now.events_lost - before.events_lost),
        ]
        .into_iter()
        .filter(|(_, count)| *count > 0)
        .collect();
        before = now;
        assert_eq!(counters, [(what, 1)]);
    };
    let named = |cluster: &[u8], partitioner: &[u8]| Content::Syn {
        cluster: cluster.to_vec(),
        partitioner: partitioner.to_vec(),
        metadata_id: MetadataId::NONE,
        digests: vec![],
    };
    let Content::Syn { cluster, partitioner, .. } = syn(&[]) else { unreachable!() };
    a.hand(C, &named(b"other", &partitioner));
    refused(&mut a, "foreign_cluster");
    a.hand(C, &named(&cluster, b"other"));
    refused(&mut a, "foreign_partitioner");
    relay(&mut a, B, &state(199, 9));
    refused(&mut a, "old_generations");
    relay(&mut a, B, &state(1_731_536_002, 9));
    refused(&mut a, "future_generations");
    relay(&mut a, D, &state(200, 9));
    refused(&mut a, "unrequested_states");
    a.answers(C, &syn(&[digest(A, 100, 1_000_000)]));
    a.hand(C, &ack2(&[(A, state(100, 1_000_000))]));
    a.sent();
    refused(&mut a, "own_claims");
    relay(&mut a, "10.0.0.9:7000", &state(500, 9));
    refused(&mut a, "quarantined");
    a.hand(D, &Content::Shutdown { state: None });
    refused(&mut a, "stale_shutdowns");
    a.hand_under(77, endpoint(B), &Content::Echo { verb: Verb::ECHO_RSP });
    refused(&mut a, "late_echoes");
    for at in [B, C, D] {
        a.hand(at, &syn(&[digest(B, 200, 5)]));
    }
    refused(&mut a, "exchanges_dropped");
    a.gossiper.forget(endpoint(B));
    refused(&mut a, "messages_dropped");
    a.sent();
    a.events();
    // Of sixteen places twelve are for values; so many others there are not in one message.
    let values: Vec<_> = (0..13).map(|n| (ApplicationState::new(1_000 + n), "x", 10 + n)).collect();
    relay(&mut a, B, &State::new(heartbeat(200, 30), &values));
    refused(&mut a, "events_lost");
    assert_eq!(a.events().last(), Some(&Event::Lost { count: 1 }));
    a.gossiper.disable(a.now).unwrap();
    a.sent();
    a.advance(Duration::from_secs(2));
    a.hand(C, &syn(&[]));
    refused(&mut a, "while_disabled");
}

/// `docs/protocol/pitfalls.md#shutdown-and-liveness`: others relay its heartbeats, so that silence never convicts it.
#[test]
fn an_endpoint_live_by_hearsay_only_is_asked_directly() {
    for convicts in [false, true] {
        let config = builder(A, 100).change_detector(|detector| {
            detector.probe_after = Some(Duration::from_secs(10));
            detector.probe_convicts = convicts;
        });
        let mut a = node(config);
        a.learn_live(B, &state(200, 5));
        a.events();
        let mut probes = Vec::new();
        for version in 6..=27 {
            let sent = a.advance(Duration::from_secs(1));
            probes.extend(
                sent.into_iter()
                    .filter(|sent| sent.content == Content::Echo { verb: Verb::ECHO_REQ })
                    .map(|sent| (version, sent.id)),
            );
            relay(&mut a, B, &state(200, version));
        }
        // From the eleventh second on, under one id, for ten seconds.
        assert_eq!((probes[0].0, probes.iter().filter(|probe| probe.1 == probes[0].1).count()), (16, 10));
        assert_eq!(a.gossiper.stats().probes_failed, 1);
        let silence = Duration::from_secs(21);
        let mut expected = vec![Event::ProbeFailed { endpoint: endpoint(B), silence, is_relayed: true }];
        if convicts {
            let generation = Generation::new(200);
            expected.push(Event::Down { endpoint: endpoint(B), generation, cause: DownCause::Probe });
        }
        let mut told = a.events();
        told.retain(|event| matches!(event, Event::ProbeFailed { .. } | Event::Down { .. }));
        assert_eq!(told, expected);
        let standing = if convicts { Standing::Unreachable } else { Standing::Live };
        assert_eq!(a.standing(B), Some(standing));
    }
}

#[test]
fn a_peer_that_speaks_or_answers_is_not_suspected() {
    let mut a = node(
        builder(A, 100).change_detector(|detector| detector.probe_after = Some(Duration::from_secs(10))),
    );
    a.learn_live(B, &state(200, 5));
    a.sent();
    for version in 6..30 {
        let sent = a.advance(Duration::from_secs(1));
        a.answer_echoes(&sent);
        relay(&mut a, B, &state(200, version));
    }
    let stats = *a.gossiper.stats();
    assert_eq!((stats.probes_sent, stats.probes_failed), (2, 0));
    for _ in 0..30 {
        a.advance(Duration::from_secs(1));
        a.hand(B, &syn(&[digest(B, 200, 29)]));
        a.sent();
    }
    assert_eq!(a.gossiper.stats().probes_sent, 2, "what comes from it is proof enough");
}
