//! Captured traffic of real nodes: every message of gossip in it decodes, and encodes to the same bytes.

use alloc::collections::{BTreeMap, BTreeSet};
use core::net::IpAddr;
use std::path::{Path, PathBuf};

use gossip_core::message::Message;
use gossip_core::{ApplicationState, Endpoint, Generation, MessagingVersion, Verb};

use crate::internode::{self, Captured, Decoded, Framing, Kind, Messaging};
use crate::pcap;
use crate::support::{Content, State, assert_versions_agree, decode, encode, endpoint, names, read, shared};

/// What is in a capture.
#[derive(Debug, PartialEq)]
struct Summary {
    file: &'static str,
    /// Attempts to reach a node that did not listen.
    silent: usize,
    unanswered: usize,
    streaming: usize,
    messaging: usize,
    version: MessagingVersion,
    framings: &'static [Framing],
    /// How many there are of each verb of gossip: SYN, ACK, ACK2, shutdown, echo request and response.
    gossip: [usize; 6],
    others: usize,
}

const FILES: [Summary; 6] = [
    Summary {
        file: "c40-2node-all.pcap",
        silent: 17,
        unanswered: 0,
        streaming: 1,
        messaging: 7,
        version: MessagingVersion::V12,
        framings: &[Framing::Lz4],
        gossip: [82, 82, 81, 1, 2, 2],
        others: 8,
    },
    Summary {
        file: "c40-2node-none.pcap",
        silent: 77,
        unanswered: 0,
        streaming: 2,
        messaging: 19,
        version: MessagingVersion::V12,
        framings: &[Framing::Crc],
        gossip: [268, 189, 186, 1, 6, 6],
        others: 14,
    },
    Summary {
        file: "c40-3node-dc.pcap",
        silent: 0,
        unanswered: 0,
        streaming: 3,
        messaging: 20,
        version: MessagingVersion::V12,
        framings: &[Framing::Lz4, Framing::Crc],
        gossip: [343, 316, 314, 2, 11, 11],
        others: 22,
    },
    Summary {
        file: "c40-member.pcap",
        silent: 41,
        unanswered: 0,
        streaming: 0,
        messaging: 13,
        version: MessagingVersion::V12,
        framings: &[Framing::Lz4, Framing::Crc],
        gossip: [83, 74, 71, 1, 4, 4],
        others: 4,
    },
    Summary {
        file: "c50-2node-compatNONE.pcap",
        silent: 19,
        unanswered: 0,
        streaming: 1,
        messaging: 7,
        version: MessagingVersion::V13,
        framings: &[Framing::Lz4],
        gossip: [84, 84, 83, 1, 2, 2],
        others: 8,
    },
    Summary {
        file: V14,
        silent: 0,
        unanswered: 0,
        streaming: 0,
        messaging: 4,
        version: MessagingVersion::V14,
        framings: &[Framing::Crc],
        gossip: [10, 10, 10, 1, 2, 2],
        // The question for the metadata id, and its answer.
        others: 2,
    },
];

/// A session of a gossip-only peer with a node of the trunk that became Cassandra 6.0.
pub(crate) const V14: &str = "v14-session.pcap";

/// Where a capture lies.
pub(crate) fn path_of(file: &str) -> PathBuf {
    let folder = if file == V14 { "fixtures/v14" } else { "transcripts" };
    shared().join(folder).join(file)
}

/// All messages of gossip in the capture `file`, in the order in which they were captured; `None` if there are no
/// captures here. Each names the identities of its sender and its receiver, and comes with its version and id.
pub(crate) fn replayable(file: &str) -> Vec<Captured> {
    let mut messages: Vec<Captured> =
        messaging(file).into_iter().flat_map(|connection| connection.messages).collect();
    messages.retain(|message| message.verb.is_gossip());
    messages.sort_by_key(|message| message.micros);
    messages
}

/// Whether `message` comes from a Cassandra node, and not from the peer that was tested against one.
pub(crate) fn is_from_cassandra(file: &str, message: &Captured) -> bool {
    let test_peers: &[&str] = match file {
        "c40-member.pcap" => &["127.0.0.5:7000", "127.0.0.6:7000"],
        V14 => &["127.0.0.182:7000"],
        _ => &[],
    };
    !test_peers.iter().any(|peer| endpoint(peer) == message.from)
}

#[test]
#[ignore = "wants captures of real nodes: .ci/run captures"]
fn every_capture_has_its_summary() {
    let of_releases: Vec<_> = FILES.iter().map(|summary| summary.file).filter(|file| *file != V14).collect();
    assert_eq!(names(&shared().join("transcripts"), ".pcap"), of_releases);
}

#[test]
#[ignore = "wants captures of real nodes: .ci/run captures"]
fn captures_hold_what_their_summary_says() {
    for expected in FILES {
        let connections = connections(expected.file);
        let mut found = Summary {
            silent: 0,
            unanswered: 0,
            streaming: 0,
            messaging: 0,
            gossip: [0; 6],
            others: 0,
            ..expected
        };
        let mut framings = BTreeSet::new();
        for connection in connections {
            match connection {
                Decoded::Silent => found.silent += 1,
                Decoded::Unanswered => found.unanswered += 1,
                Decoded::Streaming => found.streaming += 1,
                Decoded::Messaging(connection) => {
                    found.messaging += 1;
                    assert_eq!(connection.version, expected.version, "{}", expected.file);
                    framings.insert(connection.framing);
                    for message in connection.messages {
                        match GOSSIP.iter().position(|verb| *verb == message.verb) {
                            Some(which) => found.gossip[which] += 1,
                            None => found.others += 1,
                        }
                    }
                }
            }
        }
        assert_eq!(framings, expected.framings.iter().copied().collect(), "{}", expected.file);
        assert_eq!(found, expected);
    }
}

/// No capture ends inside a frame or a message: there is nothing that could be left over with good reason.
#[test]
#[ignore = "wants captures of real nodes: .ci/run captures"]
fn no_byte_is_left_undecoded() {
    for summary in FILES {
        let connections = messaging(summary.file);
        for connection in connections {
            assert_eq!(connection.unfinished, 0, "{}: {connection:?}", summary.file);
            assert!(connection.compressed <= connection.frames);
            assert!(connection.framing == Framing::Lz4 || connection.compressed == 0);
        }
    }
}

#[test]
#[ignore = "wants captures of real nodes: .ci/run captures"]
fn messages_decode_and_encode_to_the_same_bytes() {
    for summary in FILES {
        let messages = replayable(summary.file);
        for captured in &messages {
            let at =
                format!("{}, id {} from {} at {}", summary.file, captured.id, captured.from, captured.micros);
            let message = decode(captured.verb, &captured.payload, captured.version)
                .unwrap_or_else(|error| panic!("{at}: {error}"));
            assert_eq!(message.verb(), captured.verb, "{at}");
            if is_from_cassandra(summary.file, captured) {
                assert_eq!(encode(&message, captured.version), captured.payload, "{at}");
                assert_eq!(Content::of(&message).body(captured.version), captured.payload, "{at}");
                assert_versions_agree(&message, captured.version);
            }
        }
    }
}

#[test]
#[ignore = "wants captures of real nodes: .ci/run captures"]
fn cassandra_fills_headers_as_specified() {
    for summary in FILES {
        let messages = replayable(summary.file);
        let mut asked = BTreeSet::new();
        for captured in &messages {
            assert_eq!((captured.flags, captured.parameters), (0, 0), "{captured:?}");
            assert!(captured.kind == Kind::Urgent || captured.payload.len() > 65_000, "{captured:?}");
            if captured.verb == Verb::ECHO_REQ {
                asked.insert((captured.from, captured.to, captured.id));
            }
            if !is_from_cassandra(summary.file, captured) {
                continue;
            }
            match captured.verb {
                Verb::ECHO_RSP => {
                    assert!(captured.expires_in <= 10_000, "{captured:?}");
                    assert!(asked.contains(&(captured.to, captured.from, captured.id)), "{captured:?}");
                }
                Verb::ECHO_REQ | Verb::GOSSIP_SHUTDOWN => assert_eq!(captured.expires_in, 10_000),
                _ => assert_eq!(captured.expires_in, 300_000),
            }
            // What is sent to an unreachable peer waits for a connection; nothing is sent before it was made.
            let sent = u32::try_from((captured.micros / 1_000) & 0xffff_ffff).unwrap();
            let waited = sent.wrapping_sub(captured.created_at).cast_signed();
            assert!((-5..120_000).contains(&waited), "{waited} ms: {captured:?}");
        }
    }
}

#[test]
#[ignore = "wants captures of real nodes: .ci/run captures"]
fn an_ack_too_large_for_its_usual_connection_comes_over_another() {
    let connections = messaging("c40-member.pcap");
    let large: Vec<&Messaging> = connections.iter().filter(|connection| connection.in_pieces > 0).collect();
    let node = endpoint("127.0.0.11:7000");
    let connection = large.iter().find(|connection| connection.messages[0].from == node).unwrap();
    assert_eq!((connection.kind, connection.framing), (Kind::Large, Framing::Lz4));
    assert_eq!((connection.frames, connection.compressed), (3, 3));
    let [captured] = &connection.messages[..] else { panic!("{connection:?}") };
    assert_eq!((captured.verb, captured.to), (Verb::GOSSIP_DIGEST_ACK, endpoint("127.0.0.5:7000")));
    assert!(captured.payload.len() > 70_000);
    let message = decode(captured.verb, &captured.payload, captured.version).unwrap();
    let Message::Ack(ack) = message else { panic!("{message:?}") };
    assert_eq!((ack.requests.len(), ack.states.len()), (5_000, 0));
}

#[test]
#[ignore = "wants captures of real nodes: .ci/run captures"]
fn from_version_13_on_a_shutdown_says_so_in_its_state() {
    let mut shutdowns = Vec::new();
    for summary in FILES {
        let messages = replayable(summary.file);
        for captured in messages {
            if captured.verb == Verb::GOSSIP_SHUTDOWN {
                assert_eq!(captured.payload.is_empty(), captured.version < MessagingVersion::V13);
                shutdowns.push(captured);
            }
        }
    }
    // That of the peer of version 14 is not Cassandra's.
    let with_state: Vec<_> = shutdowns
        .iter()
        .filter(|captured| !captured.payload.is_empty() && captured.version == MessagingVersion::V13)
        .collect();
    let [captured] = &with_state[..] else { panic!("{with_state:?}") };
    assert_eq!(captured.from, endpoint("127.0.0.2:7000"));
    let message = decode(captured.verb, &captured.payload, captured.version).unwrap();
    let Message::Shutdown(shutdown) = message else { panic!("{message:?}") };
    let state = shutdown.state.unwrap();
    assert_eq!(state.heartbeat.generation, Generation::new(1_795_371_716));
    for (key, version) in [(ApplicationState::STATUS_WITH_PORT, 78), (ApplicationState::STATUS, 80)] {
        let value = state.value(key).unwrap();
        assert_eq!((value.text.to_text().as_ref(), value.version.get()), ("shutdown,true", version));
    }
}

#[test]
#[ignore = "wants captures of real nodes: .ci/run captures"]
fn what_nodetool_printed_was_gossiped() {
    let folder = shared().join("transcripts");
    let mut unsaid = Vec::new();
    for summary in FILES.into_iter().filter(|summary| summary.file != V14) {
        let gossiped = gossiped(summary.file);
        let prefix = format!("{}.gossipinfo-", summary.file.strip_suffix(".pcap").unwrap());
        let mut texts = names(&folder, ".txt");
        texts.retain(|name| name.starts_with(&prefix));
        assert!(!texts.is_empty(), "{}", summary.file);
        for text in texts {
            for (ip, mut printed) in printed(&folder.join(&text)) {
                let at = Endpoint::new(ip, 7000);
                let generation = Generation::new(printed.remove("generation").unwrap().parse().unwrap());
                let values = gossiped.get(&(at, generation));
                let values = values.unwrap_or_else(|| panic!("{text}: no state of {at}, {generation}"));
                assert!(printed.contains_key("HOST_ID"), "{text}: {at}");
                // No node gossips a heartbeat as a value, and none prints tokens.
                printed.retain(|key, _| key != "heartbeat" && key != "TOKENS");
                printed.retain(|key, value| !values.contains(&(key.clone(), value.clone())));
                unsaid.extend(printed.into_iter().map(|(key, value)| format!("{text} {ip} {key}:{value}")));
            }
        }
    }
    assert_eq!(unsaid, UNSAID);
}

/// What was printed although no node sent it: values that a receiver of an empty shutdown makes up, and one that a
/// node set when it had no peer left.
const UNSAID: [&str; 7] = [
    "c40-2node-all.gossipinfo-node1-after-stop.txt 127.0.0.2 RPC_READY:78:false",
    "c40-2node-all.gossipinfo-node1-after-stop.txt 127.0.0.2 STATUS:77:shutdown,true",
    "c40-2node-all.gossipinfo-node1-after-stop.txt 127.0.0.2 STATUS_WITH_PORT:76:shutdown,true",
    "c40-3node-dc.gossipinfo-node2-while-node1-disablegossip.txt 127.0.0.1 RPC_READY:115:false",
    "c40-3node-dc.gossipinfo-node2-while-node1-disablegossip.txt 127.0.0.1 STATUS:114:shutdown,true",
    "c40-3node-dc.gossipinfo-node2-while-node1-disablegossip.txt 127.0.0.1 STATUS_WITH_PORT:113:shutdown,true",
    "c50-2node-compatNONE.gossipinfo-node1-after-stop.txt 127.0.0.1 LOAD:96:124062.0",
];

#[test]
#[ignore = "wants captures of real nodes: .ci/run captures"]
fn pings_name_the_connection_they_come_on() {
    for summary in FILES {
        let connections = messaging(summary.file);
        let mut requests = BTreeSet::new();
        let mut responses = BTreeSet::new();
        for captured in connections.iter().flat_map(|connection| &connection.messages) {
            match captured.verb {
                Verb::PING_REQ => {
                    let kind = match captured.kind {
                        Kind::Urgent => 1,
                        Kind::Small => 2,
                        Kind::Large => 3,
                    };
                    assert_eq!(captured.payload, [kind], "{captured:?}");
                    requests.insert((captured.from, captured.to, captured.id, captured.kind));
                }
                Verb::PING_RSP => {
                    assert!(captured.payload.is_empty(), "{captured:?}");
                    responses.insert((captured.to, captured.from, captured.id, captured.kind));
                }
                verb => {
                    assert!(verb.is_gossip() || [3, 28, 63, 88, 818, 819].contains(&verb.number()), "{verb}")
                }
            }
        }
        assert_eq!(requests, responses, "{}", summary.file);
    }
}

const GOSSIP: [Verb; 6] = [
    Verb::GOSSIP_DIGEST_SYN,
    Verb::GOSSIP_DIGEST_ACK,
    Verb::GOSSIP_DIGEST_ACK2,
    Verb::GOSSIP_SHUTDOWN,
    Verb::ECHO_REQ,
    Verb::ECHO_RSP,
];

/// All connections in a capture, decoded.
fn connections(file: &str) -> Vec<Decoded> {
    let path = path_of(file);
    let connections = pcap::connections(&path);
    // The reason why only the handshake can tell who dials.
    assert!(connections.iter().all(|connection| connection.from.ip() == IpAddr::from([127, 0, 0, 1])));
    connections.iter().map(internode::decode).collect()
}

fn messaging(file: &str) -> Vec<Messaging> {
    let messaging = connections(file).into_iter().filter_map(|connection| match connection {
        Decoded::Messaging(connection) => Some(connection),
        Decoded::Silent | Decoded::Unanswered | Decoded::Streaming => None,
    });
    messaging.collect()
}

/// Every value in a capture as `name` and `version:text`, by endpoint and generation.
fn gossiped(file: &str) -> BTreeMap<(Endpoint, Generation), BTreeSet<(String, String)>> {
    let mut gossiped: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
    for captured in replayable(file) {
        let message = decode(captured.verb, &captured.payload, captured.version).unwrap();
        let states: Vec<(Endpoint, State)> = match Content::of(&message) {
            Content::Ack { states, .. } | Content::Ack2 { states } => states,
            Content::Shutdown { state: Some(state) } => vec![(captured.from, state)],
            _ => vec![],
        };
        for (at, state) in states {
            let values = gossiped.entry((at, state.heartbeat.generation)).or_default();
            for (key, text, version) in state.values {
                let text = String::from_utf8_lossy(&text).into_owned();
                values.insert((key.to_string(), format!("{version}:{text}")));
            }
        }
    }
    gossiped
}

/// What `nodetool gossipinfo` printed: for each address its lines, split at the first colon.
fn printed(file: &Path) -> Vec<(IpAddr, BTreeMap<String, String>)> {
    let text = String::from_utf8(read(file)).unwrap();
    let mut endpoints: Vec<(IpAddr, BTreeMap<String, String>)> = Vec::new();
    for line in text.lines().filter(|line| !line.is_empty()) {
        if let Some(address) = line.strip_prefix('/') {
            endpoints.push((address.parse().unwrap(), BTreeMap::new()));
        } else {
            let (key, value) = line.trim_start().split_once(':').unwrap();
            endpoints.last_mut().unwrap().1.insert(key.to_owned(), value.to_owned());
        }
    }
    endpoints
}
