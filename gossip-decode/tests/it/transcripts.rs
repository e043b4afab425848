//! Captures of real nodes, as they are and damaged.

use std::collections::BTreeSet;
use std::fs;

use gossip_decode::{Body, Options, Record};

use crate::shared::shared;
use crate::support::{Decoded, decode_capture, decode_pieces};

/// What is in a capture: connections, those of them for streaming, attempts that nobody heard, messages of gossip, others.
const FILES: [(&str, [u64; 5]); 5] = [
    ("c40-2node-all.pcap", [8, 1, 17, 250, 8]),
    ("c40-2node-none.pcap", [21, 2, 77, 656, 14]),
    ("c40-3node-dc.pcap", [23, 3, 0, 997, 22]),
    ("c40-member.pcap", [13, 0, 41, 237, 4]),
    ("c50-2node-compatNONE.pcap", [8, 1, 19, 256, 8]),
];

/// All captures, by name.
fn captures() -> Vec<(&'static str, Vec<u8>, [u64; 5])> {
    let folder = shared().join("transcripts");
    FILES.into_iter().map(|(name, counts)| (name, fs::read(folder.join(name)).unwrap(), counts)).collect()
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
        let version = if name.starts_with("c50") { 13 } else { 12 };
        for message in decoded.messages() {
            assert_eq!((message.version, message.version_assumed), (version, false));
            assert!(message.body.is_some() || [3, 28, 63, 88].contains(&message.verb), "{name}: {message:?}");
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
            // Later there are attempts to reach nobody more than anything else.
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
