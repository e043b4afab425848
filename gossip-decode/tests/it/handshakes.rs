//! How connections are opened, and what they are for.

use gossip_core::MessagingVersion;
use gossip_core::Verb;
use gossip_core::internode::{ConnectionType, Framing};
use gossip_decode::{Options, Record, Shape};

use crate::support::{
    Decoded, Talk, accept, decode, decode_packets, decode_shape, echo, hex, initiate, message, usual_initiate,
};

/// What was skipped: what it is, and how many bytes came from either end.
fn passed(decoded: &Decoded) -> (&str, u64, u64) {
    let mut passed = decoded.records.iter().filter_map(|record| match record {
        Record::Passed(passed) => Some((passed.what, passed.sent, passed.received)),
        _ => None,
    });
    let first = passed.next().expect("nothing was skipped");
    assert_eq!(passed.next(), None);
    first
}

#[test]
fn every_kind_and_framing_is_named() {
    for (connection, kind) in [
        (ConnectionType::Urgent, "urgent"),
        (ConnectionType::Small, "small"),
        (ConnectionType::Large, "large"),
    ] {
        for (framing, name) in
            [(Framing::Crc, "crc"), (Framing::Lz4, "lz4"), (Framing::Unprotected, "unprotected")]
        {
            let decoded = Talk::greeted(&initiate(connection, framing, 12, 13), &accept(13, 14)).decode();
            decoded.assert_whole();
            let [handshake] = &decoded.handshakes()[..] else { panic!("{decoded:?}") };
            assert_eq!((handshake.connection_type, handshake.framing), (Some(kind), Some(name)));
            assert_eq!((handshake.request, handshake.min, handshake.max), (Some(12), Some(12), Some(13)));
            let answer = handshake.answer.unwrap();
            assert_eq!((answer.version, answer.max, handshake.legacy), (13, 14, false));
        }
    }
}

#[test]
fn streaming_is_named_and_skipped() {
    // The streaming bit, no type, no framing.
    let streaming = hex("ca552dfa 0c0c0c08 06 7f000001 1b58 00000000");
    let sum = gossip_core::wire::crc32(&streaming[..15]).to_be_bytes();
    let streaming = [&streaming[..15], &sum].concat();
    let mut talk = Talk::greeted(&streaming, &accept(12, 12));
    talk.dial(&[0x5a; 1_000]);
    talk.answer(&[0xa5; 300]);
    talk.dial(&[0; 11]);
    talk.close();
    let decoded = talk.decode();
    decoded.assert_whole();
    assert_eq!(passed(&decoded), ("streaming", 1_011, 300));
    assert_eq!(decoded.handshakes()[0].connection_type, Some("streaming"));
    assert_eq!((decoded.summary.streaming_connections, decoded.summary.passed_bytes), (1, 1_311));

    // Its acceptor may be the first to speak, and bytes may be missing.
    let mut talk = Talk::greeted(&streaming, &accept(12, 12));
    talk.answer(&[0xa5; 300]);
    talk.dial(&[0; 11]);
    talk.dial(&[0; 11]);
    talk.packets.remove(6);
    let decoded = talk.decode();
    assert_eq!((passed(&decoded), decoded.damages().len()), (("streaming", 11, 300), 0));
}

#[test]
fn tls_is_named_and_skipped() {
    let mut talk = Talk::greeted(&hex("160301 0005 0100000100"), &hex("160303 0002 0200"));
    talk.dial(&hex("170303 0002 abcd"));
    let decoded = talk.decode();
    decoded.assert_whole();
    assert_eq!(passed(&decoded), ("tls", 17, 7));
    assert_eq!((decoded.summary.encrypted_connections, decoded.handshakes().len()), (1, 0));
    // From the middle on it begins with other records.
    let decoded = decode_packets(&talk.packets[5..]);
    assert_eq!(passed(&decoded), ("tls", 7, 0));
}

#[test]
fn whoever_is_not_answered_is_told_so() {
    let mut talk = Talk::new("10.0.0.1:50000", "10.0.0.2:7000");
    talk.open();
    talk.dial(&usual_initiate());
    talk.close();
    let decoded = talk.decode();
    decoded.assert_whole();
    assert!(decoded.handshakes()[0].answer.is_none());
}

#[test]
fn an_acceptor_without_its_dialler_is_not_waited_for_for_ever() {
    let mut talk = Talk::new("10.0.0.1:50000", "10.0.0.2:7000");
    talk.open();
    for _ in 0..10 {
        talk.answer(&[0x5a; 40_000]);
    }
    talk.packets.retain(|packet| packet.bytes[34..36] == 7_000_u16.to_be_bytes());
    let decoded = talk.decode();
    assert_eq!(decoded.summary.undecoded_bytes, 400_000);
    assert_eq!(decoded.notes(), ["what the acceptor sends here could not be recognised"]);
    assert_eq!(decoded.damages().len(), 0);
}

#[test]
fn an_answer_in_parts_or_with_its_handshake_in_parts() {
    let (initiate, answer) = (usual_initiate(), accept(12, 12));
    let mut talk = Talk::new("10.0.0.1:50000", "10.0.0.2:7000");
    talk.open();
    for byte in &initiate {
        talk.dial(&[*byte]);
    }
    for byte in &answer {
        talk.answer(&[*byte]);
    }
    for byte in echo(5) {
        talk.dial(&[byte]);
    }
    let decoded = talk.decode();
    decoded.assert_whole();
    assert_eq!(decoded.ids(), [5]);
}

#[test]
fn a_version_that_the_dialler_does_not_take_is_noted() {
    let mut talk = Talk::greeted(&initiate(ConnectionType::Urgent, Framing::Crc, 13, 13), &accept(12, 12));
    talk.close();
    let decoded = talk.decode();
    decoded.assert_whole();
    assert_eq!(decoded.handshakes()[0].answer.unwrap().version, 12);
    // Version 15 is not known.
    let mut talk = Talk::greeted(&initiate(ConnectionType::Urgent, Framing::Crc, 12, 15), &accept(15, 15));
    let body = message(MessagingVersion::V14, Verb::ECHO_REQ, 1, b"");
    talk.dial(&crate::support::frame(Framing::Crc, &body));
    let decoded = talk.decode();
    assert_eq!((decoded.ids(), decoded.damages().len()), (vec![1], 0));
    assert!(decoded.notes()[0].contains("version 15 is not known"));
}

#[test]
fn damaged_handshakes_say_what_should_be_there() {
    let good = usual_initiate();
    for (at, change, offset, expected) in [
        (0, 1, 0, "a handshake, which begins with ca552dfa, or TLS"),
        (7, 0x04, 7, "framing 0, 1 or 2"),
        (8, 1, 8, "an address of 6 or 18 bytes"),
        (10, 1, 15, "the handshake's checksum"),
        (18, 1, 15, "the handshake's checksum"),
    ] {
        let mut bad = good.clone();
        bad[at] ^= change;
        if at == 7 {
            let sum = gossip_core::wire::crc32(&bad[..15]).to_be_bytes();
            bad[15..].copy_from_slice(&sum);
        }
        let mut talk = Talk::new("10.0.0.1:50000", "10.0.0.2:7000");
        talk.open();
        talk.dial(&bad);
        talk.close();
        let decoded = talk.decode();
        let (found_at, found_expected, _) = decoded.damage();
        assert_eq!(
            (found_at, found_expected.starts_with(expected)),
            (offset, true),
            "{at}: {found_expected}"
        );
        assert_eq!(decoded.summary.undecoded_bytes, 19, "{at}");
    }
    for cut in 1..19 {
        let decoded = decode_shape(&good[..cut], Shape::Connection, &Options::default());
        assert_eq!(decoded.damage().0, cut as u64, "{cut}");
    }
}

#[test]
fn damaged_answers_say_what_should_be_there() {
    let mut answer = accept(12, 12);
    answer[11] ^= 1;
    let mut talk = Talk::greeted(&usual_initiate(), &answer);
    talk.dial(&echo(1));
    let decoded = talk.decode();
    assert_eq!(decoded.damage().0, 8);
    assert!(decoded.damage().1.starts_with("the answer's checksum 26f5673a"));
    assert_eq!(decoded.ids(), [1], "there is one version that it can be");
    assert_eq!(decoded.summary.undecoded_bytes, 12);

    let mut talk = Talk::usual();
    talk.answer(b"more");
    let decoded = talk.decode();
    assert_eq!(decoded.damage(), (12, "nothing from the acceptor after its answer", "4 bytes"));

    let mut talk = Talk::greeted(&usual_initiate(), &accept(12, 12)[..7]);
    talk.close();
    let decoded = talk.decode();
    assert_eq!(decoded.damage(), (7, "a whole answer to the handshake", "the end after 7 bytes"));
}

#[test]
fn answers_that_were_given_as_such() {
    let decoded = decode(&hex("0000000d 0000000c 1b954e8a"));
    decoded.assert_whole();
    let answer = decoded.handshakes()[0].answer.unwrap();
    assert_eq!((answer.max, answer.version), (13, 12));
    let as_answer = |text| decode_shape(&hex(text), Shape::Answer, &Options::default());
    assert!(as_answer("0000000b").handshakes()[0].legacy);
    assert!(as_answer("0000000c").handshakes()[0].legacy, "a newer acceptor answers an old dialler so");
    assert_eq!(as_answer("0000000d 0000000c 1b954e8b").damage().0, 8);
    assert_eq!(as_answer("0000000d 0000").damage().0, 6);
    assert_eq!(as_answer("0000000d 0000000c 1b954e8a ff").damage(), (12, "the end", "1 byte more"));
    assert_eq!(as_answer("00010000").damage().0, 0);
}
