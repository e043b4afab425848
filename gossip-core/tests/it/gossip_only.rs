//! A gossip-only member of a Cassandra cluster (`docs/protocol/gossip-only-member.md`): what it publishes, what it follows, what it withholds, and how it
//! leaves and comes back.

use core::time::Duration;

use gossip_core::{
    ApplicationState, AssassinateError, CASSANDRA_PARTITIONER, Config, ConfigBuilder, EnableError, Event,
    ForgetCause, Generation, GossipOnly, Gossiper, LeaveError, MessagingVersion, MetadataId, Pad, RaiseCause,
    SetStateError, Standing, Timestamp, UpgradeSign, Uuid, Verb, encode_tokens,
};

use crate::support::{CLUSTER, Content, Driven, Sent, State, ack, ack2, digest, endpoint, heartbeat, java};

const US: &str = "10.0.0.9:7000";
const A: &str = "10.0.0.1:7000";
const B: &str = "10.0.0.2:7000";
const C: &str = "10.0.0.3:7000";
const D: &str = "10.0.0.4:7000";

const SECOND: Duration = Duration::from_secs(1);
const STATUS: ApplicationState = ApplicationState::STATUS_WITH_PORT;
const RELEASE: ApplicationState = ApplicationState::RELEASE_VERSION;
const SCHEMA: ApplicationState = ApplicationState::SCHEMA;
const HOST_ID: Uuid = Uuid::from_bytes([0x42; 16]);

const EMPTY_SCHEMA: &str = "59adb24e-f3cd-3e02-97f0-5b395827453f";
const OTHER_SCHEMA: &str = "edd41673-edd5-38b8-9485-b8dd05832e03";

fn config() -> ConfigBuilder<GossipOnly> {
    Config::gossip_only(CLUSTER, endpoint(US), Generation::new(1_000), [7; 32], HOST_ID)
        .seed(endpoint(A))
        .change_detector(|detector| detector.probe_after = Some(Duration::MAX))
}

fn syn(digests: &[gossip_core::message::Digest]) -> Content {
    let (cluster, partitioner) = (java(CLUSTER), java(CASSANDRA_PARTITIONER));
    Content::Syn { cluster, partitioner, metadata_id: MetadataId::NONE, digests: digests.to_vec() }
}

/// A real node, as far as gossip shows it.
fn member(release: &str, schema: &str) -> State {
    State::new(
        heartbeat(500, 40),
        &[
            (ApplicationState::NET_VERSION, "12", 1),
            (ApplicationState::HOST_ID, "93e2f0eb-e71b-4d0d-940f-bd6dd9453e30", 2),
            (RELEASE, release, 3),
            (SCHEMA, schema, 4),
            (ApplicationState::TOKENS, &encode_tokens(&[-5]), 5),
            (STATUS, "NORMAL,-5", 6),
        ],
    )
}

/// A gossip-only member that asked A, knows `members`, and takes part.
fn joined(members: &[(&str, State)]) -> Driven {
    let mut us = Driven::of(config().build().unwrap());
    us.gossiper.handle_wall_clock(Timestamp::ZERO, 1_700_000_000_000);
    let asked = us.advance(Duration::ZERO);
    assert!(asked.iter().any(|sent| sent.to == endpoint(A) && sent.content == syn(&[])), "{asked:?}");
    us.hand(A, &ack(&[], members));
    let sent = us.sent();
    us.answer_echoes(&sent);
    us
}

fn texts(us: &Driven) -> Vec<(i32, String)> {
    let values = us.gossiper.values(endpoint(US));
    values.map(|(key, text, _)| (key.number(), text.to_text().into_owned())).collect()
}

/// What we tell of ourselves when A asks for everything.
fn told_to(us: &mut Driven, peer: &str) -> State {
    let mut answers = us.answers(peer, &ack(&[digest(US, 1_000, 0)], &[]));
    let Some(Content::Ack2 { states }) = answers.pop() else { panic!("no ACK2") };
    let state = states.into_iter().find(|(of, _)| *of == endpoint(US));
    state.expect("we are listed").1
}

#[test]
fn it_publishes_what_real_nodes_expect_and_neither_status_nor_tokens() {
    let mut us = joined(&[(A, member("4.0.14", EMPTY_SCHEMA))]);
    let published = texts(&us);
    let expected = [
        (1, "0.0"),
        (2, EMPTY_SCHEMA),
        (3, "datacenter1"),
        (4, "rack1"),
        (5, "4.0.14"),
        (8, "0.0.0.0"),
        (11, "13"),
        (12, "42424242-4242-4242-4242-424242424242"),
        (14, "false"),
        (15, "10.0.0.9:7000"),
        (16, "0.0.0.0:0"),
    ];
    assert_eq!(published, expected.map(|(key, text)| (key, text.to_owned())));
    us.round();
    let told = told_to(&mut us, A);
    assert_eq!(told.values.len(), expected.len());
}

#[test]
fn an_ipv6_member_serves_clients_nowhere_either() {
    let local = endpoint("[2001:db8::9]:7000");
    let config = Config::gossip_only(CLUSTER, local, Generation::new(1_000), [7; 32], HOST_ID);
    let us = Driven::of(config.seed(endpoint(A)).build().unwrap());
    let text = |key| us.gossiper.value(local, key).unwrap().0.to_text().into_owned();
    assert_eq!(text(ApplicationState::NATIVE_ADDRESS_AND_PORT), "[::]:0");
    assert_eq!(text(ApplicationState::RPC_ADDRESS), "0.0.0.0");
}

#[test]
fn what_it_may_publish_is_pads() {
    let data_center = |config: ConfigBuilder<GossipOnly>| {
        config.data_center("dc7").rack("r7").pad(Pad::new(21).unwrap(), "x")
    };
    let us = Driven::of(data_center(config()).build().unwrap());
    for (key, text) in [(3, "dc7"), (4, "r7"), (21, "x")] {
        assert!(texts(&us).contains(&(key, text.to_owned())), "{key}");
    }
    let mut us = joined(&[(A, member("4.0.14", EMPTY_SCHEMA))]);
    for number in (-1..21).chain(29..40).chain([1_000]) {
        let key = ApplicationState::new(number);
        assert_eq!(Pad::new(number), None);
        assert_eq!(us.gossiper.set_state(us.now, key, "x"), Err(SetStateError::NotPad { key }));
    }
    for number in 21..=28 {
        assert!(us.gossiper.set_state(us.now, Pad::new(number).unwrap().state(), "x").is_ok());
    }
    assert_eq!(us.gossiper.leave(us.now), Err(LeaveError::NotMember));
    assert_eq!(us.gossiper.assassinate(us.now, endpoint(A)), Err(AssassinateError::GossipOnly));
}

#[test]
fn release_is_the_lowest_of_the_members() {
    let release = |us: &Driven| us.value(US, RELEASE).map(|(text, _)| text);
    let mut us = joined(&[
        (A, member("4.1.7", EMPTY_SCHEMA)),
        (B, member("4.0.14", EMPTY_SCHEMA)),
        (C, member("abc", EMPTY_SCHEMA)),
        // Other gossip-only members do not count, nor does who has left.
        (D, State::new(heartbeat(500, 9), &[(RELEASE, "3.11.17", 1)])),
        (
            "10.0.0.5:7000",
            State::new(heartbeat(500, 9), &[(RELEASE, "3.0.31", 1), (STATUS, "LEFT,-5,1800000000000", 2)]),
        ),
    ]);
    assert_eq!(release(&us).as_deref(), Some("4.0.14"));
    let version = us.value(US, RELEASE);
    us.round();
    assert_eq!(us.value(US, RELEASE), version, "what has not changed keeps its version");
    // B is upgraded.
    let upgraded = State { heartbeat: heartbeat(600, 40), ..member("5.0.2", EMPTY_SCHEMA) };
    us.learn_by(B, &upgraded, syn);
    us.round();
    assert_eq!(release(&us).as_deref(), Some("4.1.7"));
    // A nonsensical release counts for no endpoint.
    let long = format!("4.0.0-{}", "x".repeat(100));
    us.learn_by(A, &State { heartbeat: heartbeat(600, 40), ..member(&long, EMPTY_SCHEMA) }, syn);
    us.round();
    assert_eq!(release(&us).as_deref(), Some("5.0.2"));
}

#[test]
fn schema_is_what_most_members_have() {
    let schema = |us: &Driven| us.value(US, SCHEMA).map(|(text, _)| text);
    let us = joined(&[(A, member("4.0.14", EMPTY_SCHEMA)), (B, member("4.0.14", OTHER_SCHEMA))]);
    assert_eq!(schema(&us).as_deref(), Some(EMPTY_SCHEMA), "the smaller of two that are as frequent");
    let us = joined(&[(A, member("4.1.7", EMPTY_SCHEMA)), (B, member("4.0.14", OTHER_SCHEMA))]);
    assert_eq!(schema(&us).as_deref(), Some(OTHER_SCHEMA), "that of the lower release");
    let us = joined(&[(A, member("4.0.14", "no uuid")), (B, member("4.0.14", "no uuid"))]);
    assert_eq!(schema(&us), None);
    let mut us = joined(&[
        (A, member("4.0.14", EMPTY_SCHEMA)),
        (B, member("4.0.14", OTHER_SCHEMA)),
        (C, member("4.0.14", EMPTY_SCHEMA)),
    ]);
    assert_eq!(schema(&us).as_deref(), Some(EMPTY_SCHEMA));
    for (at, expected) in [(A, OTHER_SCHEMA), (C, OTHER_SCHEMA)] {
        us.learn_by(at, &State { heartbeat: heartbeat(600, 40), ..member("4.0.14", OTHER_SCHEMA) }, syn);
        us.round();
        assert_eq!(schema(&us).as_deref(), Some(expected));
    }
}

#[test]
fn a_schema_that_nobody_publishes_any_more_is_given_up() {
    let schema = |us: &Driven| us.value(US, SCHEMA).map(|(text, _)| text);
    let all = [A, B, C, D];
    let mut us = joined(&all.map(|at| (at, member("4.0.14", OTHER_SCHEMA))));
    assert_eq!(schema(&us).as_deref(), Some(OTHER_SCHEMA));
    // Two are upgraded and two are not, and all have another schema now.
    let third = "11111111-1111-3111-8111-111111111111";
    for (at, release, new) in
        [(A, "4.1.7", third), (B, "4.1.7", third), (C, "4.0.14", EMPTY_SCHEMA), (D, "4.0.14", EMPTY_SCHEMA)]
    {
        us.learn_by(at, &State { heartbeat: heartbeat(600, 40), ..member(release, new) }, syn);
    }
    us.round();
    assert_eq!(schema(&us).as_deref(), Some(EMPTY_SCHEMA), "that of the lower release");
}

#[test]
fn states_that_a_receiver_cannot_decode_are_withheld() {
    let custom = |release: &str| {
        let mut state = member(release, EMPTY_SCHEMA);
        let long = "x".repeat(32_768);
        for (number, text) in [(28, "a"), (29, "b"), (30, "c"), (31, "d"), (27, &long)] {
            state.values.push((ApplicationState::new(number), java(text), gossip_core::Version::new(number)));
        }
        state
    };
    // D publishes states of all kinds; what does A hear of it?
    for (release, expected) in
        [("4.0.14", &[28][..]), ("4.1.7", &[28, 29]), ("5.0.2", &[28, 29, 30]), ("", &[28])]
    {
        let mut us = joined(&[(A, member(release, EMPTY_SCHEMA)), (D, custom("5.0.2"))]);
        us.buffer = vec![0; 1 << 20];
        let answers = us.answers(A, &syn(&[digest(A, 500, 40), digest(D, 500, 0)]));
        let Some(Content::Ack { states, .. }) = answers.last() else { panic!("{answers:?}") };
        let [(of, state)] = &states[..] else { panic!("{states:?}") };
        assert_eq!(*of, endpoint(D));
        let pads: Vec<i32> =
            state.values.iter().map(|(key, ..)| key.number()).filter(|key| *key > 20).collect();
        assert_eq!(pads, expected, "{release}");
        assert_eq!(us.gossiper.stats().values_withheld, 5 - expected.len() as u64, "{release}");
        // The heartbeat is that of the whole: nothing of it is asked for again.
        assert_eq!(state.heartbeat, heartbeat(500, 40));
    }
}

/// Nothing is due to anybody, whatever comes in.
fn assert_silent(us: &mut Driven) {
    assert_eq!(us.sent(), []);
    for verb in [Verb::ECHO_REQ, Verb::ECHO_RSP] {
        us.hand(A, &Content::Echo { verb });
    }
    us.hand(A, &syn(&[]));
    us.hand(A, &syn(&[digest(US, 1_000, 0), digest(B, 500, 9)]));
    us.hand(A, &ack(&[digest(US, 1_000, 0)], &[]));
    us.gossiper.handle_wall_clock(us.now, 1_700_000_000_000);
    assert_eq!(us.sent(), []);
    assert_eq!(us.advance(90 * SECOND), []);
}

#[test]
fn it_leaves_in_silence() {
    for version in [MessagingVersion::V12, MessagingVersion::V13] {
        for stop in [Gossiper::shutdown, Gossiper::abandon] {
            let mut us = joined(&[(A, member("5.0.2", EMPTY_SCHEMA))]);
            us.version = version;
            us.round();
            let before = texts(&us);
            // What was due before goes no more.
            us.hand(A, &syn(&[digest(US, 1_000, 0)]));
            us.events();
            stop(&mut us.gossiper, us.now);
            assert_eq!(us.events(), [Event::Stopped], "at once: no peer has to hear of it");
            assert_eq!(texts(&us), before, "nothing is published");
            assert_silent(&mut us);
            assert!(us.gossiper.enable(us.now).is_err());
            assert_silent(&mut us);
        }
    }
}

#[test]
fn a_disabled_member_is_silent_and_comes_back_in_a_later_generation() {
    let mut us = joined(&[(A, member("5.0.2", EMPTY_SCHEMA))]);
    us.round();
    let before = texts(&us);
    us.hand(A, &syn(&[digest(US, 1_000, 0)]));
    us.gossiper.disable(us.now).unwrap();
    assert!(!us.gossiper.is_enabled());
    assert_eq!(texts(&us), before, "nothing is published");
    assert_silent(&mut us);
    us.gossiper.enable(us.now).unwrap();
    assert_eq!(us.gossiper.generation(), Generation::new(1_001));
    let sent = us.round();
    assert!(sent.iter().any(|sent| sent.to == endpoint(A)), "{sent:?}");
    assert_eq!(texts(&us), before);
}

/// What 4.0.14 kept of a gossip-only member that had announced its leave, in version 12 (`docs/protocol/gossip-only-member.md#times`).
fn marked(heartbeat_version: i32) -> State {
    State::new(
        heartbeat(1_695_376_230, heartbeat_version),
        &[
            (ApplicationState::STATUS, "shutdown,true", 67),
            (ApplicationState::LOAD, "0.0", 9),
            (SCHEMA, EMPTY_SCHEMA, 12),
            (ApplicationState::DC, "dc1", 7),
            (RELEASE, "4.0.14", 5),
            (ApplicationState::NET_VERSION, "12", 1),
            (ApplicationState::HOST_ID, "05a09d00-30dc-3e59-b107-2da0ef436711", 2),
            (ApplicationState::RPC_READY, "false", 68),
            (STATUS, "shutdown,true", 66),
        ],
    )
}

/// Everything that it says of D to peers that know nothing of it, or an older heartbeat.
fn told_of_d(us: &mut Driven) -> Vec<Content> {
    let is_d = |endpoint_: &gossip_core::Endpoint| *endpoint_ == endpoint(D);
    us.buffer = vec![0; 1 << 20];
    let mut sent = us.answers(B, &syn(&[]));
    sent.extend(us.answers(B, &syn(&[digest(D, 1_695_376_230, 3)])));
    sent.extend(us.answers(B, &ack(&[digest(D, 1_695_376_230, 0)], &[])));
    for _ in 0..40 {
        sent.extend(us.round().into_iter().map(|sent| sent.content));
        us.hand(A, &ack2(&[(A, State::new(heartbeat(500, 100), &[]))]));
    }
    assert!(sent.iter().any(|content| content.endpoints().contains(&endpoint(A))), "others are sent");
    sent.retain(|content| content.endpoints().iter().any(is_d));
    sent
}

#[test]
fn a_mark_of_shutdown_without_tokens_is_neither_kept_nor_told() {
    let mut alive = marked(60);
    alive.values.retain(|(key, ..)| !key.is_status());
    for version in [MessagingVersion::V12, MessagingVersion::V13] {
        for heartbeat_version in [70, i32::MAX] {
            for way in ["shadow reply", "asked", "news", "message"] {
                let mut us = match way {
                    "shadow reply" => joined(&[
                        (A, member("4.0.14", EMPTY_SCHEMA)),
                        (B, member("4.0.14", EMPTY_SCHEMA)),
                        (D, marked(heartbeat_version)),
                    ]),
                    _ => joined(&[(A, member("4.0.14", EMPTY_SCHEMA)), (B, member("4.0.14", EMPTY_SCHEMA))]),
                };
                us.version = version;
                let of_shadow = way == "shadow reply";
                if matches!(way, "news" | "message") {
                    us.learn_by(D, &alive, syn);
                    let sent = us.sent();
                    us.answer_echoes(&sent);
                    assert_eq!(us.standing(D), Some(Standing::Live));
                }
                match way {
                    "asked" => us.learn_by(D, &marked(heartbeat_version), syn),
                    "news" => us.hand(A, &ack2(&[(D, marked(heartbeat_version))])),
                    "message" => {
                        let state = (version == MessagingVersion::V13).then(|| marked(heartbeat_version));
                        us.hand(D, &Content::Shutdown { state });
                    }
                    _ => {}
                }
                let case = format!("{version:?} {heartbeat_version} {way}");
                assert_eq!(us.standing(D), Some(Standing::Unreachable), "{case}");
                for key in [STATUS, ApplicationState::STATUS] {
                    assert_eq!(us.value(D, key), None, "{case}");
                }
                if !of_shadow && way != "asked" {
                    let told = us.events();
                    let down = |event: &Event| matches!(event, Event::Down { endpoint: gone, .. } if *gone == endpoint(D));
                    assert_eq!(told.iter().filter(|event| down(event)).count(), 1, "{case}: {told:?}");
                }
                assert_eq!(told_of_d(&mut us), [], "{case}");
                assert_eq!(us.standing(D), None, "{case}: it is forgotten like others without tokens");
            }
        }
    }
}

#[test]
fn the_shutdown_of_a_member_with_tokens_is_kept_and_told() {
    for version in [MessagingVersion::V12, MessagingVersion::V13] {
        let mut us = joined(&[(A, member("4.0.14", EMPTY_SCHEMA)), (B, member("4.0.14", EMPTY_SCHEMA))]);
        us.version = version;
        let mut stopped = State { heartbeat: heartbeat(500, i32::MAX), ..member("4.0.14", EMPTY_SCHEMA) };
        for (key, text, _) in &mut stopped.values {
            if *key == STATUS {
                *text = java("shutdown,true");
            }
        }
        us.learn_by(D, &stopped, syn);
        assert_eq!(us.value(D, STATUS).unwrap().0, "shutdown,true");
        let answers = us.answers(B, &syn(&[digest(D, 500, 3)]));
        let Some(Content::Ack { states, .. }) = answers.last() else { panic!("{answers:?}") };
        assert!(states[0].1.values.iter().any(|(key, text, _)| *key == STATUS && text == b"shutdown,true"));
        us.advance(200 * SECOND);
        assert_eq!(us.standing(D), Some(Standing::Unreachable), "a member stays");
    }
}

#[test]
fn who_is_silent_and_has_no_tokens_is_forgotten_as_in_cassandra() {
    let host_id = (ApplicationState::HOST_ID, "22222222-2222-2222-2222-222222222222", 1);
    let gossip_only = State::new(heartbeat(500, 9), &[host_id, (RELEASE, "4.0.14", 2)]);
    // The status of an endpoint without tokens is made up by receivers of its stop.
    let stopped = State::new(heartbeat(500, i32::MAX), &[host_id, (STATUS, "shutdown,true", 2)]);
    let joining = |release: &str| {
        State::new(heartbeat(500, 9), &[host_id, (RELEASE, release, 2), (STATUS, "BOOT,-9", 3)])
    };
    for (state, release, seconds) in [
        (gossip_only, "4.0.14", 30),
        (stopped, "4.0.14", 30),
        (joining("4.1.7"), "4.1.7", 60),
        (joining("5.0.2"), "5.0.2", 300),
    ] {
        let mut us = joined(&[(A, member(release, EMPTY_SCHEMA)), (D, state)]);
        us.gossiper.handle_wall_clock(us.now, 1_700_000_000_000);
        us.advance(Duration::from_secs(seconds - 1));
        assert!(us.standing(D).is_some(), "{release}");
        us.advance(3 * SECOND);
        assert_eq!(us.standing(D), None, "{release}");
        let forgotten = |event: &Event| matches!(event, Event::Forgotten { endpoint: gone, cause: ForgetCause::Silent, .. } if *gone == endpoint(D));
        assert!(us.events().iter().any(forgotten));
        assert!(us.standing(A).is_some(), "members stay, however long they are silent");
    }
}

#[test]
fn who_ignores_us_is_told_and_who_takes_us_back_as_well() {
    let mut us = joined(&[(A, member("4.0.14", EMPTY_SCHEMA))]);
    us.events();
    let everything = ack(&[digest(US, 1_000, 0)], &[]);
    for second in 0..4 {
        us.round();
        us.hand(A, &everything);
        // A question of another node, asked once, is no sign of anything.
        us.hand(B, &everything);
        us.sent();
        // It dropped us before it asked first, and does not ignore us for longer than a minute after that.
        let ignored = Event::Ignored { by: endpoint(A), at_most: 57 * SECOND };
        assert_eq!(us.events().contains(&ignored), second == 3, "{second}");
    }
    us.hand(A, &Content::Echo { verb: Verb::ECHO_REQ });
    assert_eq!(us.events(), [Event::Accepted { by: endpoint(A) }]);
    us.hand(A, &Content::Echo { verb: Verb::ECHO_REQ });
    assert_eq!(us.events(), []);
}

/// A process of ours that stopped in silence is known for 30 s from its last heartbeat on, and ignored from then on for 60 s.
#[test]
fn a_restart_within_30_s_is_up_at_once_and_until_90_s_told_how_long_it_waits() {
    let host_id = HOST_ID.to_string();
    let earlier = State::new(heartbeat(900, 30), &[(ApplicationState::HOST_ID, &host_id, 2)]);
    let mut us = Driven::of(config().build().unwrap());
    us.advance(Duration::ZERO);
    us.hand(A, &ack(&[], &[(US, earlier), (A, member("4.0.14", EMPTY_SCHEMA))]));
    let syns = us.round();
    let listed = |sent: &Sent| matches!(&sent.content, Content::Syn { digests, .. } if digests[0] == digest(US, 1_000, digests[0].max_version.get()));
    assert!(syns.iter().any(listed), "its greater generation is sent at once: {syns:?}");
    // A node that knows the earlier process sends an echo request.
    let echo = Content::Echo { verb: Verb::ECHO_REQ };
    let answers = us.answers(A, &echo);
    assert!(answers.contains(&Content::Echo { verb: Verb::ECHO_RSP }), "{answers:?}");
    us.advance(10 * SECOND);
    assert!(us.events().iter().all(|event| !matches!(event, Event::Ignored { .. })));

    // Later the answer does not know us, and the peer asks for everything again each time.
    let mut us = joined(&[(A, member("4.0.14", EMPTY_SCHEMA))]);
    let mut waits = Vec::new();
    for _ in 0..40 {
        us.round();
        us.hand(A, &ack(&[digest(US, 1_000, 0)], &[]));
        us.sent();
        waits.extend(us.events().into_iter().filter_map(|event| match event {
            Event::Ignored { at_most, .. } => Some(at_most),
            _ => None,
        }));
    }
    assert_eq!(waits, [57 * SECOND]);
    us.hand(A, &echo);
    assert_eq!(us.events(), [Event::Accepted { by: endpoint(A) }]);
}

#[test]
fn who_asks_once_in_a_while_ignores_nobody() {
    let mut us = joined(&[(A, member("4.0.14", EMPTY_SCHEMA))]);
    us.events();
    for _ in 0..3 {
        us.hand(A, &ack(&[digest(US, 1_000, 0)], &[]));
        us.advance(31 * SECOND);
        assert!(us.events().iter().all(|event| !matches!(event, Event::Ignored { .. })));
    }
}

#[test]
fn it_comes_back_above_its_earlier_process() {
    let mut us = Driven::of(config().build().unwrap());
    us.advance(Duration::ZERO);
    let host_id = HOST_ID.to_string();
    let earlier = State::new(heartbeat(1_700, 30), &[(ApplicationState::HOST_ID, &host_id, 2)]);
    us.hand(A, &ack(&[], &[(US, earlier), (A, member("4.0.14", EMPTY_SCHEMA))]));
    let raised = Event::GenerationRaised {
        old: Generation::new(1_000),
        new: Generation::new(1_701),
        cause: RaiseCause::KnownGreater,
    };
    assert!(us.events().contains(&raised));
    assert_eq!(us.gossiper.generation(), Generation::new(1_701));
    assert_eq!(us.standing(US), Some(Standing::Live));
}

/// What showed that the cluster is being upgraded, if the node has withdrawn.
fn withdrawn(us: &mut Driven) -> Vec<(gossip_core::Endpoint, UpgradeSign)> {
    let told = us.events().into_iter().filter_map(|event| match event {
        Event::Withdrawn { by, sign } => Some((by, sign)),
        _ => None,
    });
    told.collect()
}

#[test]
fn it_leaves_in_silence_when_a_member_runs_6_0() {
    for (release, net_version, sign) in [
        ("6.0.0", "12", Some(UpgradeSign::Release)),
        ("5.1.0-SNAPSHOT", "12", Some(UpgradeSign::Release)),
        ("4.1.7", "14", Some(UpgradeSign::Version)),
        ("5.0.2", "13", None),
        ("4.0.0.6816", "512", None),
    ] {
        let mut us = joined(&[(A, member("4.1.7", EMPTY_SCHEMA)), (B, member("4.1.7", EMPTY_SCHEMA))]);
        us.round();
        assert_eq!(withdrawn(&mut us), []);
        let mut upgraded = State { heartbeat: heartbeat(600, 40), ..member(release, EMPTY_SCHEMA) };
        upgraded.values[0].1 = java(net_version);
        us.learn_by(B, &upgraded, syn);
        us.round();
        let Some(sign) = sign else {
            assert_eq!(withdrawn(&mut us), [], "{release}");
            assert!(us.gossiper.is_enabled());
            continue;
        };
        assert_eq!(withdrawn(&mut us), [(endpoint(B), sign)], "{release}");
        assert!(!us.gossiper.is_enabled());
        assert_silent(&mut us);
        // Until a node tells an identifier it stays away, and says so.
        let refused = us.gossiper.enable(us.now);
        assert_eq!(refused, Err(EnableError::Upgrading { by: endpoint(B), sign }), "{release}");
        assert_silent(&mut us);
    }
}

#[test]
fn it_does_not_join_a_cluster_of_6_0() {
    let mut us = joined(&[(A, member("6.0.0", EMPTY_SCHEMA))]);
    assert_eq!(withdrawn(&mut us), [(endpoint(A), UpgradeSign::Release)]);
    assert_silent(&mut us);
    // Others without tokens, and those who have left, are no sign.
    let others =
        State::new(heartbeat(500, 9), &[(RELEASE, "6.0.0", 1), (ApplicationState::NET_VERSION, "14", 2)]);
    let mut left = member("6.0.0", EMPTY_SCHEMA);
    left.values.retain(|(key, ..)| *key != STATUS);
    left.values.push((STATUS, java("LEFT,-5,1800000000000"), gossip_core::Version::new(9)));
    let mut us = joined(&[(A, member("5.0.2", EMPTY_SCHEMA)), (C, others), (D, left)]);
    us.round();
    assert_eq!(withdrawn(&mut us), []);
}

#[test]
fn a_question_that_leaves_nothing_behind_goes_on_during_an_upgrade() {
    let mut us =
        Driven::of(config().change_membership(|membership| membership.only_asks = true).build().unwrap());
    us.advance(Duration::ZERO);
    us.hand(A, &ack(&[], &[(A, member("6.0.0", EMPTY_SCHEMA))]));
    assert!(us.events().contains(&Event::ShadowRoundDone));
    assert!(us.value(A, RELEASE).is_some());
}

#[test]
fn the_host_id_of_a_member_is_refused_and_its_address_warned_of() {
    let host_id = HOST_ID.to_string();
    let with_id = |state: State| {
        let mut state = state;
        state.values.retain(|(key, ..)| *key != ApplicationState::HOST_ID);
        state.values.push((ApplicationState::HOST_ID, java(&host_id), gossip_core::Version::new(7)));
        state
    };
    let mut us = joined(&[(A, member("4.0.14", EMPTY_SCHEMA)), (B, with_id(member("4.0.14", EMPTY_SCHEMA)))]);
    assert_eq!(us.events(), [Event::HostIdOfMember { endpoint: endpoint(B) }, Event::Stopped]);
    assert_silent(&mut us);
    // An earlier process of ours, at another address, is no member. Whether it is live shows within some rounds.
    let earlier = with_id(State::new(heartbeat(500, 9), &[]));
    let mut us = joined(&[(A, member("4.0.14", EMPTY_SCHEMA)), (B, earlier)]);
    let told = us.events();
    assert!(!told.contains(&Event::Stopped), "{told:?}");
    // A member of our address is warned of.
    let beside = "10.0.0.9:7001";
    let mut us = joined(&[(A, member("4.0.14", EMPTY_SCHEMA)), (beside, member("4.0.14", EMPTY_SCHEMA))]);
    assert!(us.gossiper.is_enabled());
    let told = us.events();
    assert!(told.contains(&Event::SharedAddress { with: endpoint(beside) }), "{told:?}");
}
