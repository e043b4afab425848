//! Connections of before 4.0 (`docs/protocol/before-4-0.md`, `docs/protocol/before-4-0.md#mixed-clusters`).

use gossip_decode::{Body, Options, Record, Shape};
use twox_hash::XxHash32;

use crate::support::{Decoded, Talk, decode, decode_packets, decode_shape, hex};

/// SYN, id 7, from 10.0.0.1, of 118 bytes.
const SYN: &str = "
    ca 55 2d fa 00 00 00 07 cf e5 68 00 04 0a 00 00
    01 00 00 00 0e 00 00 00 00 00 00 00 59 00 0c 54
    65 73 74 20 43 6c 75 73 74 65 72 00 2b 6f 72 67
    2e 61 70 61 63 68 65 2e 63 61 73 73 61 6e 64 72
    61 2e 64 68 74 2e 4d 75 72 6d 75 72 33 50 61 72
    74 69 74 69 6f 6e 65 72 00 00 00 02 04 0a 00 00
    01 65 53 f1 00 00 00 00 2a 04 0a 00 00 02 65 53
    f1 64 00 00 00 07";
const ECHO: &str = "ca552dfa 00000008 cfe56800 04 0a000001 0000001f 00000000 00000000";
const ECHO_REPLY: &str = "ca552dfa 00000008 cfe56803 04 0a000002 00000004 00000000 00000000";
const IDENTITY: &str = "0000000b 04 0a000001";

/// A connection that asks for version 11, plain or compressed.
fn talk(flags: u8) -> Talk {
    let mut talk = Talk::new("10.0.0.1:50000", "10.0.0.2:7000");
    talk.open();
    talk.dial(&[&hex("ca552dfa 00000b")[..], &[flags]].concat());
    talk.answer(&hex("0000000b"));
    talk.dial(&hex(IDENTITY));
    talk
}

/// Bytes as a compressed connection carries them, in blocks of at most `most` bytes of contents.
fn blocks(bytes: &[u8], most: usize) -> Vec<u8> {
    let mut out = Vec::new();
    for contents in bytes.chunks(most) {
        let mut block = vec![0; lz4_flex::block::get_maximum_output_size(contents.len())];
        let size = lz4_flex::block::compress_into(contents, &mut block).unwrap();
        block.truncate(size);
        let (token, block) = if block.len() < contents.len() { (0x24, &block[..]) } else { (0x14, contents) };
        out.extend(b"LZ4Block");
        out.push(token);
        for number in [block.len(), contents.len()] {
            out.extend(u32::try_from(number).unwrap().to_le_bytes());
        }
        out.extend((XxHash32::oneshot(0x9747_b28c, contents) & 0x0fff_ffff).to_le_bytes());
        out.extend(block);
    }
    out
}

fn assert_messages(decoded: &Decoded, compressed: bool) {
    let [handshake] = &decoded.handshakes()[..] else { panic!("{decoded:?}") };
    assert!(handshake.legacy);
    assert_eq!(handshake.connection_type, Some("messaging"));
    assert_eq!(handshake.framing, Some(if compressed { "lz4_block" } else { "none" }));
    assert_eq!((handshake.request, handshake.max), (Some(11), Some(11)));
    assert_eq!(handshake.answer.map(|answer| answer.version), Some(11));
    assert_eq!(handshake.place.from.unwrap().to_string(), "10.0.0.1:7000");
    let [syn, echo] = &decoded.messages()[..] else { panic!("{decoded:#?}") };
    assert_eq!((syn.id, syn.version, syn.verb_name), (7, 11, Some("GOSSIP_DIGEST_SYN")));
    assert_eq!((syn.length, syn.size, syn.expires_in), (89, 118, None));
    let Some(Body::Syn { cluster, digests, metadata_id: None, .. }) = &syn.body else { panic!("{syn:?}") };
    assert_eq!(
        (cluster.as_str(), digests[1].endpoint.to_string().as_str()),
        ("Test Cluster", "10.0.0.2:7000")
    );
    assert_eq!((echo.id, echo.verb, &echo.body), (8, 31, &Some(Body::Empty {})));
}

#[test]
fn messages_of_a_plain_connection() {
    let mut talk = talk(0);
    talk.dial(&hex(SYN));
    talk.dial(&hex(ECHO));
    talk.close();
    let decoded = talk.decode();
    decoded.assert_whole();
    assert_messages(&decoded, false);
    assert_eq!(decoded.messages()[0].place.offset, 17);

    // Byte by byte.
    let mut slow = self::talk(0);
    for byte in [hex(SYN), hex(ECHO)].concat() {
        slow.dial(&[byte]);
    }
    assert_messages(&slow.decode(), false);
}

#[test]
fn messages_of_a_compressed_connection() {
    for most in [40, 100, 16_384] {
        let mut talk = talk(4);
        let stream = blocks(&[hex(SYN), hex(ECHO)].concat(), most);
        for piece in stream.chunks(50) {
            talk.dial(piece);
        }
        // The writer marks the end of the stream.
        talk.dial(&[&b"LZ4Block\x14"[..], &[0; 12]].concat());
        talk.close();
        let decoded = talk.decode();
        decoded.assert_whole();
        assert_messages(&decoded, true);
        let echo = decoded.messages()[1].place;
        assert_eq!(echo.uncompressed_offset, Some(118));
        assert_eq!(decoded.summary.frames, (147_u64).div_ceil(most as u64) + 1);
    }
}

#[test]
fn answers_and_other_messages_are_told() {
    let mut talk = talk(0);
    let internal = ECHO_REPLY.replace("00000004", "00000017");
    // A failure, as its parameters tell it; a request that is not decoded, of 1,000 bytes.
    let failure =
        "ca552dfa 00000009 cfe56803 04 0a000002 00000004 00000001 0004 4641494c 00000001 01 00000000";
    let request = "ca552dfa 0000000a cfe56803 04 0a000002 00000003 00000000 000003e8";
    for text in [ECHO_REPLY, &internal, failure, request] {
        talk.dial(&hex(text));
    }
    talk.dial(&[0xca; 600]);
    talk.dial(&[0xca; 400]);
    talk.dial(&hex(ECHO));
    let decoded = talk.decode();
    decoded.assert_whole();
    let messages = decoded.messages();
    let verbs: Vec<_> = messages.iter().map(|message| (message.verb, message.length)).collect();
    assert_eq!(verbs, [(4, 0), (23, 0), (4, 0), (3, 1_000), (31, 0)]);
    assert_eq!(messages[0].body, Some(Body::Empty {}));
    assert_eq!(messages[0].place.from.unwrap().to_string(), "10.0.0.2:7000", "each message names its sender");
    let [param] = &messages[2].params[..] else { panic!("{:?}", messages[2]) };
    assert_eq!((param.name.as_deref(), param.value.as_str()), (Some("FAIL"), "01"));
    assert_eq!((messages[3].verb_name, &messages[3].body), (Some("READ_REQ"), &None));
}

#[test]
fn streaming_of_before_4_0_is_skipped() {
    let mut talk = Talk::new("10.0.0.1:50000", "10.0.0.2:7000");
    talk.open();
    talk.dial(&hex("ca552dfa 00000b08"));
    talk.dial(&[1; 100]);
    talk.answer(&[2; 50]);
    let decoded = talk.decode();
    decoded.assert_whole();
    assert_eq!(decoded.handshakes()[0].connection_type, Some("streaming"));
    let Some(Record::Passed(passed)) = decoded.records.last() else { panic!("{decoded:?}") };
    assert_eq!((passed.what, passed.sent, passed.received), ("streaming", 100, 50));
}

#[test]
fn a_4_x_node_dials_a_3_x_node() {
    // It is refused first: eight bytes are read, and four answered.
    let first = Talk::greeted(&hex("ca552dfa 0c0a0c11 06 7f000001 1b58 d66821b5"), &hex("0000000b"));
    let mut closed = first.clone();
    closed.close();
    let decoded = closed.decode();
    decoded.assert_whole();
    assert_eq!(decoded.handshakes()[0].answer.map(|answer| answer.version), Some(11));
    assert!(!decoded.handshakes()[0].legacy, "the dialler's is not");

    // Then it asks for 11, and says its own version with its address.
    let mut second = Talk::new("10.0.0.1:50001", "10.0.0.2:7000");
    second.open();
    second.dial(&hex("ca552dfa 00000b11"));
    second.answer(&hex("0000000b"));
    second.dial(&hex("0000000c 04 0a000001"));
    second.dial(&hex(ECHO));
    let decoded = second.decode();
    decoded.assert_whole();
    let [handshake] = &decoded.handshakes()[..] else { panic!("{decoded:?}") };
    assert_eq!((handshake.legacy, handshake.request, handshake.max), (true, Some(11), Some(12)));
    assert_eq!((decoded.ids(), decoded.messages()[0].version), (vec![8], 11));

    // What goes on after a refusal is none of it.
    let mut open = first;
    open.dial(b"more");
    assert!(open.decode().damage().1.contains("refuses"));
}

#[test]
fn a_3_x_node_dials_a_4_x_node() {
    let mut talk = Talk::new("10.0.0.1:50000", "10.0.0.2:7000");
    talk.open();
    talk.dial(&hex("ca552dfa 00000b00"));
    talk.answer(&hex("0000000c"));
    talk.dial(&hex(IDENTITY));
    talk.dial(&hex(SYN));
    let decoded = talk.decode();
    decoded.assert_whole();
    assert_eq!(decoded.handshakes()[0].answer.map(|answer| answer.version), Some(12));
    assert_eq!(decoded.messages()[0].version, 11);
}

#[test]
fn version_10_is_told_from_11() {
    let decoded = decode(&[hex("ca552dfa 00000a00 0000000a 04 0a000001"), hex(ECHO)].concat());
    decoded.assert_whole();
    assert_eq!((decoded.messages()[0].version, decoded.messages()[0].version_assumed), (10, false));
}

#[test]
fn messages_that_were_given_as_such() {
    let decoded = decode(&[hex(SYN), hex(ECHO), hex(ECHO_REPLY)].concat());
    decoded.assert_whole();
    assert_eq!((decoded.ids(), decoded.handshakes().len()), (vec![7, 8, 8], 0));
    assert_eq!((decoded.messages()[0].version, decoded.messages()[0].version_assumed), (11, true));
    let known = Options { version: Some(gossip_core::MessagingVersion::V10), ..Options::default() };
    let decoded = decode_shape(&hex(SYN), Shape::Messages, &known);
    assert_eq!((decoded.messages()[0].version, decoded.messages()[0].version_assumed), (10, false));
}

#[test]
fn captures_that_begin_inside_find_the_next_message() {
    for (flags, stream) in [
        (0, [hex(SYN), hex(ECHO)].concat()),
        (4, [blocks(&hex(SYN), 16_384), blocks(&hex(ECHO), 16_384)].concat()),
    ] {
        let mut talk = talk(flags);
        talk.dial(&stream[..30]);
        talk.dial(&stream[30..]);
        talk.dial(&if flags == 0 { hex(ECHO) } else { blocks(&hex(ECHO), 100) });
        // From the start of a message, and from the middle of one on.
        for (start, ids) in [(6, vec![7, 8, 8]), (7, vec![8, 8])] {
            let decoded = decode_packets(&talk.packets[start..]);
            assert_eq!((decoded.ids(), decoded.damages().len()), (ids, 0), "{flags} {start} {decoded:#?}");
            assert!(
                decoded.messages().iter().all(|message| message.version_assumed && message.version == 11)
            );
        }
        // With a part missing.
        talk.packets.remove(7);
        let decoded = talk.decode();
        assert_eq!(decoded.ids(), [8], "{flags}");
        assert_eq!(decoded.damages().len(), 1);
    }
}

#[test]
fn damage_is_told_and_the_next_message_found() {
    let good = [hex("ca552dfa 00000b00"), hex(IDENTITY), hex(SYN), hex(ECHO)].concat();
    // Address, verb, count of parameters, size, and the first byte of the next message.
    for (at, offset, expected) in [
        (17 + 12, 17 + 12, "an address"),
        (17 + 17, 17 + 17, "a verb"),
        (17 + 21, 17 + 21, "a count of parameters"),
        (17 + 25, 17 + 25, "the payload size"),
        (17 + 118, 17 + 118, "a message of before 4.0"),
    ] {
        let mut bad = good.clone();
        bad[at] = 0xff;
        let decoded = decode_shape(&bad, Shape::Connection, &Options::default());
        let (found_at, found_expected, _) = decoded.damage();
        assert!(found_at == offset && found_expected.starts_with(expected), "{at}: {:?}", decoded.damage());
        assert_eq!(decoded.ids(), if at < 17 + 118 { [8] } else { [7] }, "{at}");
    }
    // In the body, and at the end.
    let mut bad = good.clone();
    bad[17 + 29] = 0xff;
    let decoded = decode(&bad);
    assert_eq!((decoded.ids(), decoded.summary.damages), (vec![7, 8], 1));
    assert_eq!((decoded.damage().0, decoded.summary.undecoded_bytes), (17 + 29, 89));
    for cut in [10, 12, 16, 18, 100, good.len() - 1] {
        let decoded = decode_shape(&good[..cut], Shape::Connection, &Options::default());
        assert_eq!(decoded.damage().0, cut as u64, "{:?}", decoded.damage());
    }
}

#[test]
fn damaged_blocks_are_told_and_the_next_one_found() {
    let head = [hex("ca552dfa 00000b04"), hex(IDENTITY)].concat();
    let bytes = [&head[..], &blocks(&hex(SYN), 200), &blocks(&hex(ECHO), 200)].concat();
    let decoded = decode(&bytes);
    decoded.assert_whole();
    assert_eq!(decoded.ids(), [7, 8]);
    for (at, offset) in [(17, 17), (17 + 8, 17 + 8), (17 + 17, 17 + 17), (17 + 40, 17 + 17)] {
        let mut bad = bytes.clone();
        bad[at] ^= 0x40;
        let decoded = decode_shape(&bad, Shape::Connection, &Options::default());
        assert_eq!(
            (decoded.damages()[0].place.offset, decoded.ids()),
            (offset, vec![8]),
            "{at} {decoded:#?}"
        );
    }
}
