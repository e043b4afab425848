//! Seeds that do not answer: what is known of the reason, and how often they are asked.

use core::time::Duration;

use gossip_core::internode::Accept;
use gossip_core::{
    CASSANDRA_PARTITIONER, Config, DialFailure, Event, Generation, Input, MetadataId, Node, Output,
    Timestamp, Uuid,
};

use crate::support::{builder, endpoint};

const A: &str = "10.0.0.1:7000";
const B: &str = "10.0.0.2:7000";

/// What the other side does with a connection.
#[derive(Clone, Copy, Debug)]
enum Peer {
    Closes(&'static [u8]),
    TakesAndKeeps(&'static [u8]),
    Accepts,
    /// As a node of Cassandra 6.0.
    AcceptsVersion14,
    AcceptsAndDialsWithTls,
    Unreachable,
}

const CLIENT_HELLO: [u8; 8] = [0x16, 3, 1, 0, 0x72, 1, 0, 0];

struct Outcome {
    events: Vec<(Duration, Event)>,
    dials: usize,
    questions: Vec<Duration>,
}

impl Outcome {
    fn failures(&self) -> Vec<(DialFailure, u32)> {
        let failure = |event: &(Duration, Event)| match event.1 {
            Event::DialFailed { failure, times, .. } => Some((failure, times)),
            _ => None,
        };
        self.events.iter().filter_map(failure).collect()
    }

    fn failed_at(&self) -> Option<Duration> {
        let found = self.events.iter().find(|(_, event)| *event == Event::ShadowRoundFailed);
        found.map(|(at, _)| *at)
    }
}

/// Lets a node ask `peer` for `seconds`.
fn ask(config: Config, peer: Peer, seconds: u64) -> Outcome {
    let mut node = Node::new(config, Timestamp::ZERO);
    let mut buffer = vec![0; Node::MIN_BUFFER];
    let mut outcome = Outcome { events: Vec::new(), dials: 0, questions: Vec::new() };
    let mut greeted = Vec::new();
    for tick in 0..=seconds * 10 {
        let now = Timestamp::from_millis(tick * 100);
        let at = Duration::from_millis(tick * 100);
        node.handle_input(now, Input::Timeout);
        loop {
            match node.poll(&mut buffer) {
                Output::Connect { connection, .. } => {
                    outcome.dials += 1;
                    match peer {
                        Peer::Unreachable => {
                            node.explain_failure(connection, DialFailure::Refused);
                            node.handle_input(now, Input::Failed { connection });
                        }
                        _ => {
                            node.handle_input(now, Input::Opened { connection });
                            node.handle_input(now, Input::Writable { connection });
                        }
                    }
                }
                Output::Write { connection, .. } if greeted.contains(&connection) => {
                    outcome.questions.push(at);
                    if let Peer::AcceptsAndDialsWithTls = peer
                        && let Some(connection) = node.accept(now)
                    {
                        node.handle_input(now, Input::Bytes { connection, bytes: &CLIENT_HELLO });
                    }
                    node.handle_input(now, Input::Writable { connection });
                }
                Output::Write { connection, .. } => {
                    match peer {
                        Peer::Closes(bytes) | Peer::TakesAndKeeps(bytes) => {
                            node.handle_input(now, Input::Bytes { connection, bytes });
                        }
                        _ => {
                            greeted.push(connection);
                            let version = if let Peer::AcceptsVersion14 = peer { 14 } else { 12 };
                            let bytes = &Accept { max: version, version }.to_bytes();
                            node.handle_input(now, Input::Bytes { connection, bytes });
                        }
                    }
                    match peer {
                        Peer::Closes(_) => node.handle_input(now, Input::Closed { connection }),
                        _ => node.handle_input(now, Input::Writable { connection }),
                    }
                }
                Output::Event(event) => outcome.events.push((at, event)),
                Output::Timeout(_) => break,
                _ => {}
            }
        }
    }
    outcome
}

fn only_asks() -> Config {
    let interval = Duration::from_millis(500);
    builder(A, 100)
        .seed(endpoint(B))
        .interval(interval)
        .change_membership(|membership| membership.only_asks = true)
        .build()
        .unwrap()
}

fn gossip_only() -> Config {
    let host_id = Uuid::from_bytes([0x42; 16]);
    let config = Config::gossip_only("c", endpoint(A), Generation::new(1_000), [7; 32], host_id);
    config.seed(endpoint(B)).change_membership(|membership| membership.shadow_round = true).build().unwrap()
}

const ALERT: Peer = Peer::Closes(&[0x15, 3, 1, 0, 2, 2, 0x46]);
const CQL: Peer = Peer::Closes(&[0x85, 0, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 10]);
const CLOSES: Peer = Peer::Closes(&[]);
const HTTP: Peer = Peer::Closes(b"HTTP/1.1 400 Bad Request");
const MUTE: Peer = Peer::TakesAndKeeps(&[]);

#[test]
fn why_the_handshake_was_not_answered_is_told_within_seconds() {
    for (peer, expected) in [
        (CLOSES, (DialFailure::Closed, 3)),
        (ALERT, (DialFailure::Alert, 1)),
        (CQL, (DialFailure::Cql, 1)),
        (HTTP, (DialFailure::Handshake, 1)),
        (Peer::Closes(b"?"), (DialFailure::Handshake, 1)),
        (Peer::Closes(&[0, 0, 0, 11]), (DialFailure::Version, 1)),
        (MUTE, (DialFailure::NoAnswer, 2)),
        (Peer::TakesAndKeeps(&[0x15, 3, 3]), (DialFailure::Alert, 1)),
    ] {
        for (config, seconds) in [(only_asks(), 8), (gossip_only(), 13)] {
            let outcome = ask(config, peer, 70);
            assert_eq!(outcome.failures().last(), Some(&expected), "{peer:?}: {:?}", outcome.events);
            let failed = outcome.failed_at().unwrap();
            assert!(failed < Duration::from_secs(seconds), "{peer:?}: after {failed:?}");
            assert_eq!(outcome.dials, expected.1 as usize, "{peer:?}: it is left alone then");
        }
    }
}

#[test]
fn who_accepts_and_is_silent_is_asked_twice_and_then_rarely() {
    for (peer, failure) in
        [(Peer::Accepts, DialFailure::Silent), (Peer::AcceptsAndDialsWithTls, DialFailure::SilentAndTls)]
    {
        let asked = ask(only_asks(), peer, 70);
        assert_eq!(asked.questions.len(), 2, "{:?}", asked.questions);
        assert_eq!(asked.failures().last(), Some(&(failure, 2)));
        assert!(asked.failed_at().unwrap() < Duration::from_secs(8), "{:?}", asked.events);

        let member = ask(gossip_only(), peer, 70);
        assert_eq!(member.questions.len(), 4, "{:?}", member.questions);
        let told = member.events.iter().find(|(_, event)| matches!(event, Event::DialFailed { .. })).unwrap();
        assert!(told.0 <= Duration::from_secs(11), "{told:?}");
        assert_eq!(member.failures().last().unwrap().0, failure);
        assert!(member.failed_at().unwrap() > Duration::from_secs(60), "gossip may be enabled there");
    }
}

/// `docs/protocol/cassandra-6.md#initialised-in-compatibility-mode`.
#[test]
fn silence_in_a_version_without_identifier_is_told_where_one_is_known() {
    let id = MetadataId::new(5);
    let question = |id| {
        let config = builder(A, 100).seed(endpoint(B)).interval(Duration::from_millis(500)).metadata_id(id);
        let config = config.partitioner(CASSANDRA_PARTITIONER);
        config.change_membership(|membership| membership.only_asks = true).build().unwrap()
    };
    let member = |id| {
        let host_id = Uuid::from_bytes([0x42; 16]);
        let config = Config::gossip_only("c", endpoint(A), Generation::new(1_000), [7; 32], host_id);
        let config = config.seed(endpoint(B)).metadata_id(id);
        config.change_membership(|membership| membership.shadow_round = true).build().unwrap()
    };
    for config in [question as fn(MetadataId) -> Config, member] {
        let asked = ask(config(id), Peer::Accepts, 70);
        let last = asked.failures().last().copied();
        assert!(matches!(last, Some((DialFailure::SilentWithoutIdentifier, 2..))), "{last:?}");
        assert!(asked.questions.len() <= 4, "{:?}", asked.questions);
        let asked = ask(config(MetadataId::NONE), Peer::Accepts, 70);
        let last = asked.failures().last().copied();
        assert!(matches!(last, Some((DialFailure::Silent, 2..))), "none is known: {last:?}");
        // Where one is known, a node of 6.0 that is silent may be of a cluster with another.
        let asked = ask(config(id), Peer::AcceptsVersion14, 70);
        let last = asked.failures().last().copied();
        assert!(matches!(last, Some((DialFailure::Silent, 2..))), "{last:?}");
    }
}

/// A node of Cassandra 6.0 that does not tell its identifier will answer nothing: `docs/protocol/cassandra-6.md#how-to-learn-the-id`.
#[test]
fn a_node_that_does_not_tell_its_identifier_is_told_apart_from_one_that_is_silent() {
    let question = builder(A, 100).seed(endpoint(B)).partitioner(CASSANDRA_PARTITIONER);
    let question = question.change_membership(|membership| membership.only_asks = true).build().unwrap();
    for config in [question, gossip_only()] {
        let asked = ask(config, Peer::AcceptsVersion14, 70);
        let last = asked.failures().last().copied();
        assert!(matches!(last, Some((DialFailure::SilentOnIdentifier, 2..))), "{last:?}");
    }
    // A question under the partitioner of our own clusters is not for a node of 6.0.
    let last = ask(only_asks(), Peer::AcceptsVersion14, 70).failures().last().copied();
    assert!(matches!(last, Some((DialFailure::Silent, 2..))), "{last:?}");
}

#[test]
fn a_seed_that_is_not_there_yet_is_waited_for() {
    for config in [gossip_only(), only_asks()] {
        let outcome = ask(config, Peer::Unreachable, 25);
        assert_eq!(outcome.failed_at(), None);
        assert!(outcome.dials >= 5, "{}", outcome.dials);
    }
}

#[test]
fn a_node_of_our_own_cluster_goes_on_asking_a_seed_that_closes() {
    // A seed whose gossip is disabled for a while, or that has no place for a further connection.
    let own = builder(A, 100)
        .seed(endpoint(B))
        .change_membership(|membership| membership.shadow_round = true)
        .build()
        .unwrap();
    let outcome = ask(own, CLOSES, 70);
    assert!(outcome.failed_at().unwrap() > Duration::from_secs(60));
    assert!(outcome.dials > 10, "{}", outcome.dials);
}
