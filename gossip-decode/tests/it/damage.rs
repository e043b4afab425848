//! Damaged frames and messages (`docs/protocol/framing.md#errors-in-frames`): where, what should be there, and what is decoded all the same.

use gossip_core::internode::{ConnectionType, FrameKind, Framing};
use gossip_core::{MessagingVersion, Verb};
use gossip_decode::{Options, Record, Shape};

use crate::support::{
    Decoded, Talk, accept, decode, decode_shape, echo, frame, frame_of, hex, initiate, message,
    usual_initiate,
};

const V12: MessagingVersion = MessagingVersion::V12;

/// A SYN of 63 bytes without digests.
fn syn() -> Vec<u8> {
    let names = [&b"\0\x0cTest Cluster\0\x2b"[..], b"org.apache.cassandra.dht.Murmur3Partitioner"].concat();
    [names, vec![0; 4]].concat()
}

fn connection(frames: &[Vec<u8>]) -> Decoded {
    let bytes = [usual_initiate(), frames.concat()].concat();
    decode_shape(&bytes, Shape::Connection, &Options::default())
}

#[test]
fn a_damaged_header_costs_its_frame() {
    for at in 0..6 {
        let mut bad = echo(2);
        bad[at] ^= 0x10;
        let decoded = connection(&[echo(1), bad, echo(3)]);
        let (offset, expected, _) = decoded.damage();
        assert!(offset == 40 && expected.starts_with("a frame header with the checksum"), "{at}: {expected}");
        assert_eq!(decoded.ids(), [1, 3]);
        assert_eq!(decoded.summary.undecoded_bytes, 21);
        assert_eq!(decoded.notes(), ["decoding resumes here; skipped 21 bytes"]);
    }
}

#[test]
fn a_damaged_payload_costs_its_frame() {
    for framing in [Framing::Crc, Framing::Lz4] {
        let framed = |id| frame(framing, &message(V12, Verb::ECHO_REQ, id, b""));
        let header = framing.header_len() as u64;
        for at in 0..11 {
            let mut bad = framed(2);
            bad[framing.header_len() + at] ^= 1;
            let bytes =
                [initiate(ConnectionType::Urgent, framing, 12, 12), framed(1), bad, framed(3)].concat();
            let decoded = decode(&bytes);
            let (offset, expected, _) = decoded.damage();
            assert_eq!(offset, 19 + framed(1).len() as u64 + header + 11, "at the checksum");
            assert!(expected.starts_with("the payload's checksum "));
            assert_eq!((decoded.ids(), decoded.summary.undecoded_bytes), (vec![1, 3], 11));
        }
    }
}

#[test]
fn a_damaged_message_costs_itself() {
    let mut bad = syn();
    bad[20] = 0xff;
    let good = message(V12, Verb::ECHO_REQ, 1, b"");
    let payload = [&good[..], &message(V12, Verb::GOSSIP_DIGEST_SYN, 2, &bad), &good].concat();
    let decoded = connection(&[frame(Framing::Crc, &payload)]);
    let [damage] = &decoded.damages()[..] else { panic!("{decoded:?}") };
    // Handshake, header of the frame, the first message, the header of the second, 20 bytes of its body.
    assert_eq!(damage.place.offset, 19 + 6 + 11 + 11 + 20);
    assert_eq!(damage.within.as_deref(), Some("GOSSIP_DIGEST_SYN id 2, byte 20 of the 63 of its body"));
    assert_eq!(
        (damage.expected.as_str(), damage.found.as_str()),
        ("the partitioner in modified UTF-8", "0xff")
    );
    let bodies: Vec<_> = decoded.messages().iter().map(|message| message.body.is_some()).collect();
    assert_eq!((bodies, decoded.summary.undecoded_bytes), (vec![true, false, true], 63));
}

#[test]
fn bodies_say_at_which_byte_what_was_expected() {
    let at = |verb, body: &[u8], version| {
        let options = Options { version: Some(version), ..Options::default() };
        let decoded = decode_shape(&message(version, verb, 5, body), Shape::Messages, &options);
        let (offset, expected, found) = decoded.damage();
        let header = message(version, verb, 5, b"").len() as u64;
        (offset - header, expected.to_owned(), found.to_owned())
    };
    let said = |offset, expected: &str, found: &str| (offset, expected.to_owned(), found.to_owned());
    let digest = "06 0a000001 1b58 6553f100 0000002a";
    let v12 = |verb, text: &str| at(verb, &hex(text), V12);
    assert_eq!(
        v12(
            Verb::GOSSIP_DIGEST_ACK2,
            "00000001 06 0a000001 1b58 6553f100 00000008 00000002 00000001 0001 41 000000"
        ),
        said(19, "the number of values that the 10 bytes after it can hold", "2")
    );
    assert_eq!(
        v12(Verb::GOSSIP_DIGEST_ACK2, "00000001 05 0a000001 1b58 6553f100 00000008 00000000"),
        said(4, "an address of a length that this version has (6 or 18; 4 or 16 before 4.0)", "length 5")
    );
    assert_eq!(
        v12(Verb::GOSSIP_DIGEST_ACK, &format!("00000001 {digest} 00000000 ff")),
        said(23, "the end", "1 byte more")
    );
    assert_eq!(
        v12(Verb::GOSSIP_DIGEST_ACK, &format!("00000001 {digest} 0000")),
        said(19, "the number of endpoint states", "the end after 2 bytes")
    );
    assert_eq!(
        v12(Verb::GOSSIP_DIGEST_ACK, "ffffffff"),
        said(0, "the number of digests that the 0 bytes after it can hold", "-1")
    );
    assert_eq!(v12(Verb::GOSSIP_SHUTDOWN, "00"), said(0, "the end", "1 byte more"));
    assert_eq!(v12(Verb::ECHO_REQ, "01"), said(0, "the end", "1 byte more"));
    assert_eq!(v12(Verb::PING_REQ, ""), said(0, "the type of a connection", "the end"));
    assert_eq!(v12(Verb::PING_RSP, "00"), said(0, "the end", "1 byte more"));
    assert_eq!(v12(Verb::SCHEMA_VERSION_RSP, "00"), said(0, "the UUID of a schema", "the end after 1 byte"));
    assert_eq!(v12(Verb::FAILURE_RSP, "80"), said(0, "the reason of a failure", "the end after 1 byte"));
    assert_eq!(at(Verb::GOSSIP_SHUTDOWN, b"", MessagingVersion::V13), said(0, "a generation", "the end"));
    // A key that no release has, twice.
    assert_eq!(
        v12(
            Verb::GOSSIP_DIGEST_ACK2,
            "00000001 06 0a000001 1b58 6553f100 00000008 00000002 000003e8 0000 00000001 000003e8 0000 00000002"
        ),
        said(33, "a key that was not there before", "1000 again")
    );
}

#[test]
fn a_frame_that_ends_inside_a_message_keeps_those_before() {
    let payload =
        [message(V12, Verb::ECHO_REQ, 1, b""), message(V12, Verb::GOSSIP_DIGEST_SYN, 2, &syn())].concat();
    let short = frame(Framing::Crc, &payload[..40]);
    let decoded = connection(&[short, echo(3)]);
    assert_eq!(decoded.ids(), [1, 3]);
    assert_eq!(
        decoded.damage(),
        (19 + 6 + 22, "the body of GOSSIP_DIGEST_SYN id 2, 63 bytes", "the end after 18 bytes")
    );
    assert_eq!(decoded.summary.undecoded_bytes, 29);
    let decoded = connection(&[frame(Framing::Crc, &payload[..15]), echo(3)]);
    assert_eq!(
        decoded.damage(),
        (19 + 6 + 12, "the creation time, in the header of a message", "the end after 3 bytes")
    );
}

#[test]
fn a_block_that_does_not_decompress_costs_its_frame() {
    let payload = message(V12, Verb::GOSSIP_DIGEST_SYN, 2, &[syn(), syn()].concat());
    let mut bad = frame(Framing::Lz4, &payload);
    let (front, sum) = bad.split_at_mut(8).1.split_at_mut_checked(block_len(&payload)).unwrap();
    front.fill(0);
    let new = gossip_core::wire::crc32(front).to_le_bytes();
    sum.copy_from_slice(&new);
    let good = frame(Framing::Lz4, &message(V12, Verb::ECHO_REQ, 3, b""));
    let bytes = [initiate(ConnectionType::Urgent, Framing::Lz4, 12, 12), bad, good].concat();
    let decoded = decode(&bytes);
    let (offset, expected, _) = decoded.damage();
    assert_eq!(
        (offset, expected),
        (27, format!("an LZ4 block that decompresses to {} bytes", payload.len()).as_str())
    );
    assert_eq!(decoded.ids(), [3]);
}

/// The size of the compressed payload of a frame of `payload`.
fn block_len(payload: &[u8]) -> usize {
    frame(Framing::Lz4, payload).len() - 12
}

#[test]
fn the_end_says_what_is_due() {
    let whole = [usual_initiate(), echo(1)].concat();
    for cut in 20..whole.len() {
        let decoded = decode_shape(&whole[..cut], Shape::Connection, &Options::default());
        let (offset, expected, _) = decoded.damage();
        assert_eq!(offset, cut as u64);
        assert_eq!(expected, if cut < 25 { "a frame header" } else { "a frame of 21 bytes" });
        assert_eq!(decoded.summary.undecoded_bytes, cut as u64 - 19);
    }
}

/// A message of 70,000 bytes in three pieces.
fn pieces(framing: Framing) -> Vec<Vec<u8>> {
    let name = vec![b'x'; 40_000];
    let name = [&40_000_u16.to_be_bytes()[..], &name].concat();
    let rest = [b'y'; 29_980];
    let partitioner = [&29_980_u16.to_be_bytes()[..], &rest].concat();
    let whole = message(V12, Verb::GOSSIP_DIGEST_SYN, 2, &[&name[..], &partitioner, &[0; 4]].concat());
    whole.chunks(32_768).map(|piece| frame_of(framing, FrameKind::Piece, piece)).collect()
}

#[test]
fn messages_in_pieces_are_put_together() {
    for framing in Framing::ALL {
        let pieces = pieces(framing);
        assert_eq!(pieces.len(), 3);
        let echo = |id| frame(framing, &message(V12, Verb::ECHO_REQ, id, b""));
        // Frames of whole messages may stand between.
        let frames = [echo(1), pieces[0].clone(), echo(3), pieces[1].clone(), pieces[2].clone(), echo(4)];
        let mut talk = Talk::greeted(&initiate(ConnectionType::Large, framing, 12, 12), &accept(12, 12));
        for frame in &frames {
            for part in frame.chunks(30_000) {
                talk.dial(part);
            }
        }
        let decoded = talk.decode();
        decoded.assert_whole();
        assert_eq!(decoded.ids(), [1, 3, 2, 4]);
        assert_eq!(
            (decoded.messages()[2].length, decoded.messages()[2].connection_type),
            (69_988, Some("large"))
        );
    }
}

#[test]
fn a_damaged_piece_costs_its_message() {
    let damaged = |which: usize| {
        let mut pieces = pieces(Framing::Crc);
        pieces[which][100] ^= 1;
        connection(
            &[&[echo(1)], &pieces[..], &[echo(3)], &self::pieces(Framing::Crc)[..], &[echo(4)]].concat(),
        )
    };
    for which in [1, 2] {
        let decoded = damaged(which);
        assert!(decoded.damage().1.starts_with("the payload's checksum"));
        assert_eq!(decoded.ids(), [1, 3, 2, 4], "{which}");
        assert_eq!(decoded.summary.undecoded_bytes, 70_001);
    }
    // Without the first one the end is unknown; after whole messages another may begin.
    let decoded = damaged(0);
    assert!(decoded.damage().1.starts_with("the payload's checksum"));
    assert_eq!((decoded.ids(), decoded.summary.undecoded_bytes), (vec![1, 3, 2, 4], 70_001));
}

#[test]
fn pieces_that_are_wrong_in_themselves() {
    let mut longer = pieces(Framing::Crc);
    longer[2] = frame_of(Framing::Crc, FrameKind::Piece, &[0; 5_000]);
    let decoded = connection(&[&longer[..], &[echo(3)]].concat());
    assert_eq!(decoded.damage().1, "pieces of 70001 bytes in all, as the message announces");
    assert_eq!((decoded.damage().2, decoded.ids()), ("70536 bytes", vec![3]));

    let empty = frame_of(Framing::Crc, FrameKind::Piece, b"");
    let decoded = connection(&[empty, echo(3)]);
    assert_eq!((decoded.damage().1, decoded.ids()), ("a piece of a message", vec![3]));

    let short = frame_of(Framing::Crc, FrameKind::Piece, &[1, 2, 3]);
    let decoded = connection(&[short, echo(3)]);
    assert_eq!(decoded.damage().1, "the creation time, in the first piece of a message");

    let mut unfinished = pieces(Framing::Crc);
    unfinished.pop();
    let decoded = connection(&unfinished);
    assert_eq!(decoded.damage().1, "a message of 70001 bytes in pieces");
    assert_eq!((decoded.damage().2, decoded.summary.undecoded_bytes), ("the end after 65536 bytes", 65_536));
}

#[test]
fn a_message_that_is_too_large_or_not_decoded_is_skipped() {
    let options = Options { max_message: 60_000, ..Options::default() };
    let bytes = [usual_initiate(), pieces(Framing::Crc).concat(), echo(3)].concat();
    let decoded = decode_shape(&bytes, Shape::Connection, &options);
    assert_eq!((decoded.ids(), decoded.damages().len()), (vec![2, 3], 0));
    assert!(decoded.notes()[0].contains("60000 are the most"));
    assert_eq!((decoded.messages()[0].body.is_none(), decoded.summary.undecoded_bytes), (true, 69_988));

    let large = message(V12, Verb::new(63), 7, &[0; 100_000]);
    let pieces: Vec<_> =
        large.chunks(32_768).map(|piece| frame_of(Framing::Crc, FrameKind::Piece, piece)).collect();
    let decoded = connection(&[&pieces[..], &[echo(3)]].concat());
    decoded.assert_whole();
    let told = decoded.messages()[0];
    assert_eq!((told.verb_name, told.length, told.size), (Some("READ_RSP"), 100_000, 100_013));
}

#[test]
fn a_gap_inside_a_message_in_pieces_costs_that_message() {
    let mut talk = Talk::usual();
    for piece in pieces(Framing::Crc).iter().chain(&pieces(Framing::Crc)) {
        talk.dial(piece);
    }
    talk.dial(&echo(3));
    for (lost, ids) in [(5, vec![2, 3]), (6, vec![2, 3]), (7, vec![2, 3])] {
        let mut talk = talk.clone();
        talk.packets.remove(lost);
        let decoded = talk.decode();
        assert_eq!(decoded.ids(), ids, "{lost}");
        assert!(decoded.damages().iter().all(|damage| damage.found.contains("missing")), "{decoded:?}");
    }
}

#[test]
fn what_is_nothing_of_cassandra_is_told_once() {
    let mut talk = Talk::greeted(b"GET / HTTP/1.1\r\n", b"");
    talk.dial(b"\r\n");
    let decoded = talk.decode();
    assert_eq!(
        decoded.damage(),
        (0, "a handshake, which begins with ca552dfa, or TLS", "47455420 (\"GET \")")
    );
    assert_eq!(decoded.summary.undecoded_bytes, 18);
}

#[test]
fn after_four_megabytes_without_a_frame_none_is_looked_for() {
    let mut talk = Talk::new("10.0.0.1:50000", "10.0.0.2:7000");
    for _ in 0..75 {
        talk.dial(&[0x5a; 60_000]);
    }
    talk.dial(&echo(1));
    let decoded = talk.decode();
    assert_eq!((decoded.messages().len(), decoded.damages().len()), (0, 0));
    assert_eq!(decoded.summary.undecoded_bytes, 75 * 60_000 + 21);
    assert!(decoded.notes()[0].contains("no frame is in the"), "{:?}", decoded.notes());
    assert_eq!(decoded.notes().len(), 1);
}

#[test]
fn compressed_payloads_tell_the_place_inside() {
    let mut bad = [syn(), syn()].concat();
    bad[20] = 0xff;
    let bytes = [
        initiate(ConnectionType::Urgent, Framing::Lz4, 12, 12),
        frame(Framing::Lz4, &message(V12, Verb::GOSSIP_DIGEST_SYN, 2, &bad)),
    ];
    let decoded = decode(&bytes.concat());
    let [damage] = &decoded.damages()[..] else { panic!("{decoded:?}") };
    assert_eq!((damage.place.offset, damage.place.uncompressed_offset), (27, Some(11 + 20)));
    assert!(
        decoded
            .records
            .iter()
            .any(|record| matches!(record, Record::Frame(frame) if frame.uncompressed_length.is_some()))
    );
}
