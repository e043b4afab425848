//! What holds whatever the bytes are.

use gossip_core::MessagingVersion;
use gossip_core::internode::Framing;
use gossip_decode::{Options, Record, Shape, Summary};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};

use crate::support::{
    Decoded, Packet, START_US, Talk, decode_capture, decode_packets, echo, hex, pcap, try_decode,
    usual_initiate,
};

proptest! {
    // Without files of past failures: a failure that stays interesting becomes a test with a name.
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_are_decoded_or_refused(
        bytes in vec(any::<u8>(), 0..300),
        shape in select(shapes()),
        options in options(),
    ) {
        if let Ok(decoded) = try_decode(&bytes, shape, &options) {
            assert_all_counted(&decoded, bytes.len());
        }
    }

    #[test]
    fn connections_with_any_bytes_changed(
        changes in vec((any::<Index>(), any::<u8>()), 0..8),
        end in any::<Index>(),
        options in options(),
        legacy in any::<bool>(),
    ) {
        let mut bytes = if legacy { legacy_connection() } else { connection() };
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        bytes.truncate(end.index(bytes.len()) + 1);
        if let Ok(decoded) = try_decode(&bytes, None, &options) {
            assert_all_counted(&decoded, bytes.len());
        }
        try_decode(&bytes, Some(Shape::Connection), &options).unwrap();
    }

    #[test]
    fn any_file_is_read_to_some_end(
        head in select(vec!["d4c3b2a1", "a1b2c3d4", "4d3cb2a1", "0a0d0d0a1c0000004d3c2b1a01000000", ""]),
        bytes in vec(any::<u8>(), 0..400),
    ) {
        let file = [hex(head), bytes].concat();
        decode_capture(&file, Options::default());
    }

    #[test]
    fn captures_with_any_bytes_changed(changes in vec((any::<Index>(), any::<u8>()), 1..20)) {
        let mut file = pcap(&talk().packets);
        for (at, byte) in changes {
            let at = at.index(file.len());
            file[at] = byte;
        }
        decode_capture(&file, Options::default());
    }

    /// Whatever packets are lost, repeated or out of order: nothing is decoded that was not sent.
    #[test]
    fn packets_lost_repeated_and_out_of_order(picks in vec(any::<Index>(), 0..40)) {
        let whole = talk();
        let sent = whole.decode().ids();
        let packets: Vec<Packet> = picks
            .iter()
            .enumerate()
            .map(|(at, pick)| Packet {
                unix_us: START_US + at as u64 * 100_000,
                ..whole.packets[pick.index(whole.packets.len())].clone()
            })
            .collect();
        let decoded = decode_packets(&packets);
        for message in decoded.messages() {
            assert!(sent.contains(&message.id), "{message:?}");
            assert!(message.body.is_some());
        }
    }

    #[test]
    fn packets_out_of_order_are_put_in_order(order in Just((5..13).collect::<Vec<_>>()).prop_shuffle()) {
        let whole = talk();
        let mut packets = whole.packets[..5].to_vec();
        packets.extend(order.iter().map(|at| whole.packets[*at].clone()));
        let decoded = decode_packets(&packets);
        prop_assert_eq!(decoded.ids(), whole.decode().ids());
        decoded.assert_whole();
    }
}

/// Every byte that was given is decoded, skipped or counted as not decoded, and damage is reported where it is counted.
fn assert_all_counted(decoded: &Decoded, given: usize) {
    let Summary { bytes, undecoded_bytes, passed_bytes, damages, .. } = decoded.summary;
    assert_eq!(bytes, given as u64);
    assert!(passed_bytes <= bytes);
    let is_noted = decoded.records.iter().any(|record| matches!(record, Record::Note(_)));
    assert!(undecoded_bytes == 0 || damages > 0 || is_noted, "{decoded:?}");
}

fn shapes() -> Vec<Option<Shape>> {
    Shape::ALL.into_iter().map(Some).chain([None]).collect()
}

prop_compose! {
    fn options()(
        version in select(MessagingVersion::ALL.map(Some).into_iter().chain([None, None]).collect::<Vec<_>>()),
        framing in select(Framing::ALL.map(Some).into_iter().chain([None, None]).collect::<Vec<_>>()),
    ) -> Options {
        Options { version, framing, ..Options::default() }
    }
}

fn connection() -> Vec<u8> {
    [usual_initiate(), echo(1), echo(2), echo(3)].concat()
}

fn legacy_connection() -> Vec<u8> {
    let echo = "ca552dfa 00000008 cfe56800 04 0a000001 0000001f 00000000 00000000";
    hex(&format!("ca552dfa 00000b00 0000000b 04 0a000001 {echo} {echo}"))
}

fn talk() -> Talk {
    let mut talk = Talk::usual();
    for id in 1..=8 {
        talk.dial(&echo(id));
    }
    talk
}
