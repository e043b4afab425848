//! Captures of real nodes, as they are and damaged.

use std::collections::BTreeSet;
use std::fs;

use gossip_decode::{Body, Options, Record};

use crate::support::{Decoded, decode_capture, decode_pieces};
use gossip_testing::shared;

/// What is in a capture: connections, those of them for streaming, attempts without an answer, messages of gossip, others.
const FILES: [(&str, [u64; 5]); 7] = [
    ("c40-2node-all.pcap", [8, 1, 17, 250, 8]),
    ("c40-2node-none.pcap", [21, 2, 77, 656, 14]),
    ("c40-3node-dc.pcap", [23, 3, 0, 997, 22]),
    ("c40-member.pcap", [13, 0, 41, 237, 4]),
    ("c50-2node-compatNONE.pcap", [8, 1, 19, 256, 8]),
    // Of the trunk that became 6.0. The first holds questions alone: the other directions were not captured.
    ("v14-plain.pcap", [9, 0, 0, 10, 5]),
    ("v14-session.pcap", [4, 0, 0, 35, 2]),
];

/// All captures, by name.
fn captures() -> Vec<(&'static str, Vec<u8>, [u64; 5])> {
    let shared = shared();
    let folder = |name: &str| if name.starts_with("v14") { "fixtures/v14" } else { "transcripts" };
    let read = |name| fs::read(shared.join(folder(name)).join(name)).unwrap();
    FILES.into_iter().map(|(name, counts)| (name, read(name), counts)).collect()
}

#[test]
#[ignore = "wants captures of real nodes: .ci/run captures"]
fn everything_is_decoded() {
    for (name, file, counts) in captures() {
        let (decoded, _) = decode_capture(&file, Options::default());
        decoded.assert_whole();
        let summary = &decoded.summary;
        let found = [
            summary.connections,
            summary.streaming_connections,
            summary.silent_connections,
            summary.gossip_messages,
            summary.messages - summary.gossip_messages,
        ];
        assert_eq!(found, counts, "{name}");
        assert_eq!(summary.handshakes, summary.connections);
        assert!(decoded.notes().is_empty(), "{name}: {:?}", decoded.notes());
        for message in decoded.messages() {
            // The dialler of the plain session took versions up to 12, up to 13, and up to 14.
            let version = match (name, message.place.connection) {
                ("v14-plain.pcap", Some(1)) => 12,
                ("v14-plain.pcap", Some(2)) | ("c50-2node-compatNONE.pcap", _) => 13,
                ("v14-plain.pcap" | "v14-session.pcap", _) => 14,
                _ => 12,
            };
            assert_eq!((message.version, message.version_assumed), (version, false), "{name}");
            let others = [3, 28, 63, 88, 808, 813];
            assert!(message.body.is_some() || others.contains(&message.verb), "{name}: {message:?}");
        }
    }
}

#[test]
#[ignore = "wants captures of real nodes: .ci/run captures"]
fn an_ack_of_75_kb_comes_over_a_large_connection() {
    for (name, file, _) in captures() {
        if name != "c40-member.pcap" {
            continue;
        }
        let (decoded, _) = decode_capture(&file, Options::default());
        let is_large = |message: &&&gossip_decode::Message| {
            message.connection_type == Some("large") && message.verb == 15
        };
        let messages = decoded.messages();
        let [ack] = messages.iter().filter(is_large).collect::<Vec<_>>()[..] else { panic!("not one ACK") };
        assert_eq!((ack.length, ack.size, ack.place.connection), (75_008, 75_023, Some(13)));
        let Some(Body::Ack { requests, endpoints }) = &ack.body else { panic!("{ack:?}") };
        assert_eq!((requests.len(), endpoints.len()), (5_000, 0));
        let pieces = decoded.records.iter().filter_map(|record| match record {
            Record::Frame(frame) if frame.place.connection == Some(13) => Some((frame.kind, frame.length)),
            _ => None,
        });
        assert_eq!(pieces.collect::<Vec<_>>(), [("piece", 8_780), ("piece", 8_766), ("piece", 2_550)]);
    }
}

#[test]
#[ignore = "wants captures of real nodes: .ci/run captures"]
fn pieces_of_the_file_make_no_difference() {
    for (name, file, _) in captures() {
        let expected = decode_capture(&file, Options::default()).0.records;
        for size in [1_500, 65_536] {
            let (decoded, _) = decode_pieces(file.chunks(size), Options::default());
            assert!(decoded.records == expected, "{name} in pieces of {size}");
        }
    }
}

/// Where each packet lies in a pcap file.
fn packets(file: &[u8]) -> Vec<&[u8]> {
    let mut packets = Vec::new();
    let mut rest = &file[24..];
    while !rest.is_empty() {
        let len = u32::from_le_bytes(rest[8..12].try_into().unwrap()) as usize;
        let (packet, after) = rest.split_at(16 + len);
        packets.push(packet);
        rest = after;
    }
    packets
}

fn decode_some(file: &[u8], packets: &[&[u8]]) -> Decoded {
    decode_capture(&[&file[..24], &packets.concat()].concat(), Options::default()).0
}

/// Each message: id, verb, when it was made, the size of its body, and whether that was decoded.
fn facts(decoded: &Decoded) -> BTreeSet<(i64, u64, u32, usize, bool)> {
    let messages = decoded.messages().into_iter();
    messages.map(|it| (it.id, it.verb, it.created_at, it.length, it.body.is_some())).collect()
}

#[test]
#[ignore = "wants captures of real nodes: .ci/run captures"]
fn from_any_packet_on_nothing_is_damaged() {
    for (name, file, _) in captures() {
        let all = packets(&file);
        let known = facts(&decode_some(&file, &all));
        for start in (0..all.len()).step_by(97) {
            let decoded = decode_some(&file, &all[start..]);
            assert_eq!(decoded.summary.damages, 0, "{name} from {start}: {:?}", decoded.damages());
            let messages = facts(&decoded);
            assert!(messages.is_subset(&known), "{name} from {start}");
            // Later most connections are attempts without an answer.
            assert!(start > all.len() / 2 || messages.len() * 3 > known.len(), "{name} from {start}");
        }
    }
}

#[test]
#[ignore = "wants captures of real nodes: .ci/run captures"]
fn with_packets_lost_the_others_are_decoded() {
    for (name, file, _) in captures() {
        let all = packets(&file);
        let whole = decode_some(&file, &all).summary;
        for (every, offset) in [(50, 7), (50, 23), (200, 90)] {
            let kept: Vec<&[u8]> =
                all.iter().enumerate().filter(|(at, _)| at % every != offset).map(|(_, it)| *it).collect();
            let decoded = decode_some(&file, &kept);
            for damage in decoded.damages() {
                assert_eq!(damage.found, "nothing: missing in the capture", "{name} {every} {offset}");
            }
            let (left, there) = (decoded.summary.gossip_messages, whole.gossip_messages);
            assert!(left * 100 >= there * 80 && left <= there, "{name} {every} {offset}: {left} of {there}");
        }
    }
}

#[test]
#[ignore = "wants captures of real nodes: .ci/run captures"]
fn every_record_is_a_line_of_json() {
    for (_, file, _) in captures() {
        let (decoded, _) = decode_capture(&file, Options::default());
        for record in &decoded.records {
            let line = serde_json::to_string(record).unwrap();
            let value: serde_json::Value = serde_json::from_str(&line).unwrap();
            assert!(value["type"].is_string() && !line.contains('\n'));
            if value["type"] == "message" {
                for field in ["verb", "verb_name", "id", "version", "from", "to", "body", "offset", "unix_us"]
                {
                    assert!(value.get(field).is_some(), "{field}: {line}");
                }
            }
        }
    }
}

/// What a node of 6.0 was asked, and what it said, with the identifier of its cluster in each SYN.
#[test]
#[ignore = "wants captures of real nodes: .ci/run captures"]
fn a_session_with_6_0_tells_identifiers_and_epochs() {
    for (name, file, _) in captures() {
        if name != "v14-session.pcap" {
            continue;
        }
        let (decoded, _) = decode_capture(&file, Options::default());
        let messages = decoded.messages();
        let bodies: Vec<_> = messages.iter().filter_map(|message| message.body.as_ref()).collect();
        assert_eq!(bodies[0], &Body::PeerLogRequest { epoch: 1 << 62 });
        let answer = Body::PeerLog {
            serialization_version: 4,
            metadata_id: Some(2_130_713_575),
            base_state: false,
            entries: Some(0),
            rest_bytes: 0,
        };
        assert_eq!(bodies[1], &answer);
        for message in &messages {
            if let Some(Body::Syn { metadata_id, .. }) = &message.body {
                assert_eq!(*metadata_id, Some(2_130_713_575));
            }
            let is_node = message.place.from == Some("127.0.0.143:7000".parse().unwrap());
            assert_eq!(message.epoch, Some(if is_node { 3 } else { 0 }));
        }
    }
}
