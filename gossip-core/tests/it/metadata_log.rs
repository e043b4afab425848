//! Values of an endpoint that are from the metadata's log of Cassandra 6.0, and not from itself (`docs/protocol/cassandra-6.md`): under a version
//! that is known already.

use core::time::Duration;

use gossip_core::{
    ApplicationState, CASSANDRA_PARTITIONER, Config, ConfigBuilder, DownCause, Endpoint, Event, Generation,
    GossipOnly, MessagingVersion, MetadataId, Session, Standing, StatusKind, Uuid, Version, encode_tokens,
};

use crate::support::{CLUSTER, Content, Driven, State, ack, ack2, digest, endpoint, heartbeat, java};

const US: &str = "10.0.0.9:7000";
const A: &str = "10.0.0.1:7000";
const B: &str = "10.0.0.2:7000";
const C: &str = "10.0.0.3:7000";
const ID: MetadataId = MetadataId::new(7);
const STATUS: ApplicationState = ApplicationState::STATUS_WITH_PORT;
const LEFT: &str = "LEFT,-5,1900000000000";

fn config() -> ConfigBuilder<GossipOnly> {
    Config::gossip_only(CLUSTER, endpoint(US), Generation::new(1_000), [7; 32], Uuid::from_bytes([0x42; 16]))
        .seed(endpoint(A))
        .change_detector(|detector| detector.probe_after = Some(Duration::MAX))
}

/// A member whose tokens have version 5, and its status version 6.
fn member(status: &str) -> State {
    State::new(
        heartbeat(500, 40),
        &[
            (ApplicationState::HOST_ID, "93e2f0eb-e71b-4d0d-940f-bd6dd9453e30", 2),
            (ApplicationState::RELEASE_VERSION, "5.0.2", 3),
            (ApplicationState::TOKENS, &encode_tokens(&[-5]), 5),
            (STATUS, status, 6),
        ],
    )
}

/// A gossip-only member that knows A and B, both live, and B with this status.
fn guest(status: &str) -> Driven {
    let mut us = Driven::of(config().build().unwrap());
    us.gossiper.handle_wall_clock(us.now, 1_700_000_000_000);
    us.advance(Duration::ZERO);
    us.hand(A, &ack(&[], &[(A, member("NORMAL,-5")), (B, member(status))]));
    let sent = us.sent();
    us.answer_echoes(&sent);
    us.events();
    us
}

fn syn(id: MetadataId, listed: &[gossip_core::message::Digest]) -> Content {
    let (cluster, partitioner) = (java(CLUSTER), java(CASSANDRA_PARTITIONER));
    Content::Syn { cluster, partitioner, metadata_id: id, digests: listed.to_vec() }
}

/// `from` sends a SYN over a connection of version 14, which carries this identifier.
fn identify(us: &mut Driven, from: &str, id: MetadataId, listed: &[gossip_core::message::Digest]) {
    let mut session = Session::default().in_version(MessagingVersion::V14);
    us.version = MessagingVersion::V14;
    us.hand_over(&mut session, 1, endpoint(from), &syn(id, listed));
    us.version = MessagingVersion::V12;
    us.sent();
}

/// The cluster has a log: its seed says so.
fn with_log(us: &mut Driven) {
    identify(us, A, ID, &[digest(A, 500, 40)]);
    assert_eq!(us.gossiper.metadata_id().0, ID);
    us.events();
}

/// B's heartbeats do not come any more, and it is found down.
fn silence(us: &mut Driven) {
    us.advance(Duration::from_mins(2));
    assert_eq!(us.standing(B), Some(Standing::Unreachable));
    us.events();
}

/// A tells a value of B under the version of its status.
fn tells(us: &mut Driven, status: &str) -> Vec<Event> {
    let told = State::new(heartbeat(500, 40), &[(STATUS, status, 6)]);
    us.hand(A, &ack2(&[(B, told)]));
    us.events()
}

fn changed() -> Event {
    Event::StateChanged { endpoint: endpoint(B), key: STATUS, version: Version::new(6) }
}

#[test]
fn of_an_endpoint_that_is_down_what_the_log_says_counts() {
    let mut us = guest("NORMAL,-5");
    with_log(&mut us);
    silence(&mut us);
    let events = tells(&mut us, LEFT);
    assert!(events.contains(&changed()), "{events:?}");
    assert!(events.iter().any(|event| matches!(event, Event::Left { .. })), "{events:?}");
    assert_eq!(us.value(B, STATUS), Some((LEFT.to_owned(), 6)));
    // It is told once.
    assert_eq!(tells(&mut us, LEFT), []);
}

#[test]
fn of_an_endpoint_that_is_down_the_same_value_is_no_news() {
    let mut us = guest("NORMAL,-5");
    with_log(&mut us);
    silence(&mut us);
    assert_eq!(tells(&mut us, "NORMAL,-5"), []);
}

#[test]
fn of_an_endpoint_that_leaves_what_the_log_says_counts_while_it_is_up() {
    let mut us = guest("LEAVING,-5");
    with_log(&mut us);
    assert_eq!(us.standing(B), Some(Standing::Live));
    assert!(tells(&mut us, LEFT).contains(&changed()));
}

#[test]
fn of_an_endpoint_that_is_up_and_stays_only_what_it_says_itself_counts() {
    let mut us = guest("NORMAL,-5");
    with_log(&mut us);
    assert_eq!(us.standing(B), Some(Standing::Live));
    assert_eq!(tells(&mut us, LEFT), []);
    assert_eq!(us.value(B, STATUS), Some(("NORMAL,-5".to_owned(), 6)));
}

#[test]
fn of_an_endpoint_that_has_left_nothing_else_is_believed() {
    let mut us = guest("NORMAL,-5");
    with_log(&mut us);
    silence(&mut us);
    tells(&mut us, LEFT);
    assert_eq!(tells(&mut us, "NORMAL,-5"), []);
    assert_eq!(us.value(B, STATUS), Some((LEFT.to_owned(), 6)));
}

#[test]
fn where_there_is_no_log_a_value_is_known_by_its_version() {
    let mut us = guest("LEAVING,-5");
    assert_eq!(tells(&mut us, LEFT), []);
    silence(&mut us);
    assert_eq!(tells(&mut us, LEFT), []);
    assert_eq!(us.value(B, STATUS), Some(("LEAVING,-5".to_owned(), 6)));
}

/// The identifier is believed of a seed, and of a member. A SYN without digests is of a node that takes no part yet.
#[test]
fn the_identifier_of_the_cluster_is_taken_from_those_who_are_trusted_and_take_part() {
    let identified = |from: &str, id, listed: &[_]| {
        let mut us = guest("NORMAL,-5");
        identify(&mut us, from, id, listed);
        us.gossiper.metadata_id().0
    };
    let own = |at: &str| [digest(at, 500, 40)];
    assert_eq!(identified(A, ID, &own(A)), ID, "a seed");
    assert_eq!(identified(B, ID, &own(B)), ID, "a member");
    assert_eq!(identified(C, ID, &own(C)), MetadataId::NONE, "a stranger");
    assert_eq!(identified(A, ID, &[]), MetadataId::NONE, "a seed that only asks");
    // A seed that is not known yet.
    let mut us = Driven::of(config().seed(endpoint(C)).build().unwrap());
    us.advance(Duration::ZERO);
    us.hand(A, &ack(&[], &[(A, member("NORMAL,-5"))]));
    identify(&mut us, C, ID, &own(C));
    assert_eq!(us.gossiper.metadata_id().0, ID);
}

/// A SYN of version 13 or before carries no identifier, which is not the same as one that says that there is none.
#[test]
fn a_syn_that_carries_no_identifier_says_nothing_of_it() {
    let given = MetadataId::new(3);
    let mut us = Driven::of(config().metadata_id(given).build().unwrap());
    us.advance(Duration::ZERO);
    us.hand(A, &ack(&[], &[(A, member("NORMAL,-5"))]));
    assert_eq!(us.gossiper.metadata_id().0, given);
    us.hand(A, &syn(MetadataId::NONE, &[digest(A, 500, 40)]));
    assert_eq!(us.gossiper.metadata_id().0, given);
}

/// A node that behaves like one of Cassandra 6.0, and knows B, which is up.
fn node_of_6() -> Driven {
    let config = Config::builder(CLUSTER, endpoint(US), Generation::new(1_000), [7; 32])
        .partitioner(CASSANDRA_PARTITIONER)
        .state(STATUS, "NORMAL,9")
        .metadata_service(ID);
    let mut us = Driven::new(config);
    let by = |digests: &[gossip_core::message::Digest]| syn(ID, digests);
    us.version = MessagingVersion::V14;
    us.learn_by(B, &member("NORMAL,-5"), by);
    let sent = us.sent();
    us.answer_echoes(&sent);
    assert_eq!(us.standing(B), Some(Standing::Live));
    us.events();
    us
}

#[test]
fn a_node_of_6_0_finds_down_who_has_left_by_its_log() {
    let mut us = node_of_6();
    us.gossiper.merge_from_log(us.now, endpoint(B), STATUS, "NORMAL,-5");
    assert_eq!((us.events(), us.standing(B)), (Vec::new(), Some(Standing::Live)));
    us.gossiper.merge_from_log(us.now, endpoint(B), STATUS, LEFT);
    let events = us.events();
    let down =
        Event::Down { endpoint: endpoint(B), generation: Generation::new(500), cause: DownCause::Status };
    assert!(events.contains(&down), "{events:?}");
    assert_eq!(us.value(B, STATUS), Some((LEFT.to_owned(), 6)), "under the version that it had");
    // What it says of us is ours to say.
    let own = us.value(US, STATUS);
    us.gossiper.merge_from_log(us.now, endpoint(US), STATUS, LEFT);
    assert_eq!(us.value(US, STATUS), own);
}

#[test]
fn values_of_the_log_that_take_memory_are_counted() {
    let mut us = node_of_6();
    let grown = us.gossiper.stats().values_grown;
    us.gossiper.merge_from_log(us.now, endpoint(C), ApplicationState::DC, "dc1");
    assert_eq!(us.gossiper.stats().values_grown, grown + 1);
    us.gossiper.merge_from_log(us.now, endpoint(C), ApplicationState::DC, "dc2");
    assert_eq!(us.gossiper.stats().values_grown, grown + 1, "it lies where the other lay");
    assert_eq!(us.value(C, ApplicationState::DC), Some(("dc2".to_owned(), 0)));
}

#[test]
fn who_has_no_log_writes_no_values_of_others() {
    let mut us = guest("NORMAL,-5");
    us.gossiper.merge_from_log(us.now, endpoint(B), STATUS, LEFT);
    let info = us.gossiper.endpoint_info(endpoint(B)).unwrap();
    assert_eq!((info.status, info.standing), (StatusKind::Normal, Standing::Live));
}

#[test]
fn a_syn_with_another_identifier_is_counted_and_not_answered() {
    let mut us = node_of_6();
    let other = Endpoint::from(C.parse::<core::net::SocketAddr>().unwrap());
    let mut session = Session::default().in_version(MessagingVersion::V14);
    us.hand_over(&mut session, 1, other, &syn(MetadataId::new(8), &[digest(C, 5, 5)]));
    us.hand_over(&mut session, 2, other, &syn(MetadataId::new(8), &[digest(C, 5, 6)]));
    assert_eq!(us.gossiper.stats().foreign_metadata, 2);
    assert!(us.sent().iter().all(|sent| sent.to != other));
}

/// Others may have learned more of it than digests tell.
#[test]
fn who_begins_to_leave_is_asked_for_in_full_by_the_next_syn() {
    let mut us = guest("NORMAL,-5");
    us.learn_by(C, &member("NORMAL,-5"), |listed| syn(MetadataId::NONE, listed));
    with_log(&mut us);
    // How many SYNs of a round ask for all of C. Each is answered.
    let asks = |us: &mut Driven| {
        let sent = us.round();
        let syns = sent.iter().filter_map(|sent| match &sent.content {
            Content::Syn { digests, .. } => Some((sent.to, digests.contains(&digest(C, 500, 0)))),
            _ => None,
        });
        let syns: Vec<_> = syns.collect();
        for (to, _) in &syns {
            us.hand(&to.to_string(), &ack(&[], &[]));
        }
        assert!(!syns.is_empty());
        syns.iter().filter(|(_, asks)| *asks).count()
    };
    assert!((0..4).all(|_| asks(&mut us) == 0), "it stays");
    let leaving = State::new(heartbeat(500, 41), &[(STATUS, "LEAVING,-5", 41)]);
    us.hand(A, &ack2(&[(C, leaving)]));
    assert_eq!(asks(&mut us), 1);
    assert!((0..4).all(|_| asks(&mut us) == 0), "once in a while");
}

/// Only in a cluster of our own is more done for those who know few than Cassandra does.
#[test]
fn a_node_of_6_0_sends_no_syn_in_answer_to_one_that_lists_few() {
    let mut us = node_of_6();
    for n in 10..40 {
        us.learn_by(&format!("10.0.0.{n}:7000"), &member("NORMAL,-5"), |digests| syn(ID, digests));
    }
    us.sent();
    us.hand(B, &syn(ID, &[digest(B, 500, 40)]));
    let sent = us.sent();
    assert!(sent.iter().any(|sent| matches!(sent.content, Content::Ack { .. })));
    assert!(!sent.iter().any(|sent| matches!(sent.content, Content::Syn { .. })), "{sent:?}");
}
