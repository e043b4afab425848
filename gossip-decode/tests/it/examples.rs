//! The worked examples of the specification, as a user would paste them.

use gossip_core::MessagingVersion;
use gossip_decode::{Body, Digest, Options, Record, Shape, State, StateValue, Unrecognised};

use crate::support::{Decoded, decode, decode_shape, hex, try_decode};

/// `docs/protocol/gossip-messages.md#syn`, up to the end of the partitioner.
const SYN_HEAD: &str = "
    00 0c 54 65 73 74 20 43 6c 75 73 74 65 72 00 2b
    6f 72 67 2e 61 70 61 63 68 65 2e 63 61 73 73 61
    6e 64 72 61 2e 64 68 74 2e 4d 75 72 6d 75 72 33
    50 61 72 74 69 74 69 6f 6e 65 72";
const DIGESTS_V12: &str = "
    00 00 00 02 06 0a 00 00 01 1b 58 65 53 f1 00 00
    00 00 2a 06 0a 00 00 02 1b 58 65 53 f1 64 00 00
    00 07";
const DIGESTS_V11: &str = "
    00 00 00 02 04 0a 00 00 01 65 53 f1 00 00 00 00
    2a 04 0a 00 00 02 65 53 f1 64 00 00 00 07";
/// `docs/protocol/gossip-messages.md#endpoint-state`: a state of 95 bytes.
const STATE: &str = "
    5e 9b 1b 0b 00 00 01 21 00 00 00 04 00 00 00 01
    00 08 32 32 34 32 37 39 2e 30 00 00 01 1d 00 00
    00 03 00 03 44 43 31 00 00 00 10 00 00 00 04 00
    05 72 61 63 6b 31 00 00 00 12 00 00 00 11 00 1b
    4e 4f 52 4d 41 4c 2c 2d 34 33 31 39 33 37 32 33
    31 32 32 33 30 34 37 31 34 31 36 00 00 00 33";
/// `docs/protocol/gossip-messages.md#shutdown`: a body of 119 bytes.
const SHUTDOWN: &str = "
    5e 9b 1b 0b 00 00 01 21 00 00 00 04 00 00 00 00
    00 0d 73 68 75 74 64 6f 77 6e 2c 74 72 75 65 00
    00 0a 25 00 00 00 0c 00 24 39 33 65 32 66 30 65
    62 2d 65 37 31 62 2d 34 64 30 64 2d 39 34 30 66
    2d 62 64 36 64 64 39 34 35 33 65 33 30 00 00 00
    02 00 00 00 0e 00 05 66 61 6c 73 65 00 00 0a 26
    00 00 00 11 00 0d 73 68 75 74 64 6f 77 6e 2c 74
    72 75 65 00 00 0a 24";

fn digest(endpoint: &str, generation: i32, max_version: i32) -> Digest {
    Digest { endpoint: endpoint.parse().unwrap(), generation, max_version }
}

fn digests() -> Vec<Digest> {
    vec![digest("10.0.0.1:7000", 1_700_000_000, 42), digest("10.0.0.2:7000", 1_700_000_100, 7)]
}

fn syn(metadata_id: Option<i32>, digests: Vec<Digest>) -> Body {
    Body::Syn {
        cluster: "Test Cluster".into(),
        partitioner: "org.apache.cassandra.dht.Murmur3Partitioner".into(),
        metadata_id,
        digests,
    }
}

fn value(key: i32, name: &str, version: i32, value: &str) -> StateValue {
    let (name, value) = (name.to_owned(), Some(value.to_owned()));
    StateValue { key, name, version, value, tokens: None, bytes: None }
}

fn state(endpoint: Option<&str>) -> State {
    State {
        endpoint: endpoint.map(|endpoint| endpoint.parse().unwrap()),
        generation: 1_587_223_307,
        heartbeat: 289,
        named_as: "5.0".into(),
        states: vec![
            value(1, "LOAD", 285, "224279.0"),
            value(3, "DC", 16, "DC1"),
            value(4, "RACK", 18, "rack1"),
            value(17, "STATUS_WITH_PORT", 51, "NORMAL,-4319372312230471416"),
        ],
        replaced: 0,
    }
}

/// The only body, with its kind and version.
fn body(decoded: &Decoded) -> (&'static str, u32, &Body) {
    decoded.assert_whole();
    let [Record::Body(loose)] = &decoded.records[..] else { panic!("{decoded:?}") };
    (loose.kind, loose.version, &loose.body)
}

#[test]
fn bodies_that_say_themselves_what_they_are() {
    let ack = format!("00000001 06 0a000002 1b58 6553f164 00000000 00000001 06 0a000001 1b58 {STATE}");
    let ack_body = Body::Ack {
        requests: vec![digest("10.0.0.2:7000", 1_700_000_100, 0)],
        endpoints: vec![state(Some("10.0.0.1:7000"))],
    };
    for (text, expected) in [
        (format!("{SYN_HEAD}{DIGESTS_V12}"), ("syn", 12, syn(None, digests()))),
        (format!("{SYN_HEAD}{DIGESTS_V11}"), ("syn", 11, syn(None, digests()))),
        (format!("{SYN_HEAD} 00000000"), ("syn", 12, syn(None, vec![]))),
        (format!("{SYN_HEAD} e134d82e 00000000"), ("syn", 14, syn(Some(20_240_430), vec![]))),
        (ack, ("ack", 12, ack_body)),
        (STATE.to_owned(), ("state", 12, Body::State(state(None)))),
    ] {
        let decoded = decode(&hex(&text));
        let (kind, version, found) = body(&decoded);
        assert_eq!((kind, version, found), (expected.0, expected.1, &expected.2), "{text}");
    }
}

#[test]
fn bodies_that_somebody_names() {
    let as_shape = |shape, version, text: &str| {
        let options = Options { version, ..Options::default() };
        let decoded = decode_shape(&hex(text), shape, &options);
        let (_, version, found) = body(&decoded);
        (version, found.clone())
    };
    let heartbeat = |text: &str| State {
        endpoint: Some(text.parse().unwrap()),
        generation: 1_700_000_100,
        heartbeat: 8,
        named_as: "5.0".into(),
        states: vec![],
        replaced: 0,
    };
    let ack2 = "00000001 06 0a000002 1b58 6553f164 00000008 00000000";
    let endpoints = vec![heartbeat("10.0.0.2:7000")];
    assert_eq!(as_shape(Shape::Ack2, None, ack2), (12, Body::Ack2 { endpoints }));
    let empty = Body::Ack { requests: vec![], endpoints: vec![] };
    assert_eq!(as_shape(Shape::Ack, None, "00000000 00000000"), (12, empty));
    assert_eq!(as_shape(Shape::Ack2, None, "00000000"), (12, Body::Ack2 { endpoints: vec![] }));
    assert_eq!(as_shape(Shape::Shutdown, None, ""), (12, Body::Empty {}));
    let (version, Body::State(shutdown)) = as_shape(Shape::Shutdown, None, SHUTDOWN) else {
        panic!("no state")
    };
    assert_eq!(
        (version, shutdown.states[1].value.as_deref()),
        (13, Some("93e2f0eb-e71b-4d0d-940f-bd6dd9453e30"))
    );
    // Before 4.0 addresses have no port: everybody has the one that is looked at.
    let old = Options { version: Some(MessagingVersion::V10), ports: vec![7010], ..Options::default() };
    let decoded = decode_shape(&hex(&format!("{SYN_HEAD}{DIGESTS_V11}")), Shape::Syn, &old);
    let (_, 10, Body::Syn { digests, .. }) = body(&decoded) else { panic!("{decoded:?}") };
    assert_eq!(digests[0].endpoint.to_string(), "10.0.0.1:7010");
}

#[test]
fn what_says_too_little_is_not_guessed() {
    for (text, expected) in [
        ("00000001 06 0a000002 1b58 6553f164 00000008 00000000", vec![Shape::Ack, Shape::Ack2]),
        ("00000000", vec![Shape::Ack2, Shape::Answer]),
        ("00000000 00000000", vec![Shape::Syn, Shape::Ack]),
        ("0000000c", vec![Shape::Answer]),
        ("00000001 00000002 00000000", vec![Shape::State]),
    ] {
        let error = try_decode(&hex(text), None, &Options::default()).unwrap_err();
        assert_eq!(error, Unrecognised::Ambiguous { candidates: expected }, "{text}");
    }
    let error = try_decode(&hex("deadbeef"), None, &Options::default()).unwrap_err();
    let Unrecognised::Nothing { nearest: Some((_, damage)) } = error else { panic!("{error}") };
    assert_eq!(damage.place.offset, 4);
    let error = try_decode(b"", None, &Options::default()).unwrap_err();
    assert_eq!(error.to_string(), "there are no bytes");
}

/// What a message is: verb, id, version, epoch, flags, size of its body.
type Facts = (&'static str, i64, u32, Option<i64>, u64, usize);

fn facts(decoded: &Decoded) -> Vec<Facts> {
    let facts = decoded.messages().into_iter().map(|message| {
        (
            message.verb_name.unwrap(),
            message.id,
            message.version,
            message.epoch,
            message.flags,
            message.length,
        )
    });
    facts.collect()
}

#[test]
fn messages_with_their_headers() {
    let shutdown = format!("05 cfe56800 a710 1d 00 00 77 {SHUTDOWN}");
    let syn = format!("02 cfe56800 c493e0 0e 00 00 5d {SYN_HEAD}{DIGESTS_V12}");
    for (text, expected) in [
        ("01 cfe56800 a710 1f 00 00 00", ("ECHO_REQ", 1, 12, None, 0, 0)),
        ("01 cfe56803 a70d 5b 00 00 00", ("ECHO_RSP", 1, 12, None, 0, 0)),
        ("04 cfe56800 a710 25 00 00 01 01", ("PING_REQ", 4, 12, None, 0, 1)),
        ("05 cfe56800 a710 1d 00 00 00", ("GOSSIP_SHUTDOWN", 5, 12, None, 0, 0)),
        (&shutdown, ("GOSSIP_SHUTDOWN", 5, 13, None, 0, 119)),
        ("06 cfe56800 a710 63 00 00 01 00", ("FAILURE_RSP", 6, 12, None, 0, 1)),
        ("09 cfe56800 a710 1f 01 01 06 01 01 00", ("ECHO_REQ", 9, 12, None, 1, 0)),
        ("01 05 cfe56800 a710 1f 00 00 00", ("ECHO_REQ", 1, 14, Some(5), 0, 0)),
        (&syn, ("GOSSIP_DIGEST_SYN", 2, 12, None, 0, 93)),
    ] {
        let decoded = decode(&hex(text));
        decoded.assert_whole();
        assert_eq!(facts(&decoded), [expected], "{text}");
        assert!(decoded.messages()[0].body.is_some(), "{text}");
        assert_eq!(decoded.messages()[0].size, hex(text).len());
    }
    let decoded = decode(&hex("04 cfe56800 a710 25 00 00 01 01"));
    let ping = Body::Ping { connection_type_number: 1, connection_type: Some("urgent") };
    assert_eq!(decoded.messages()[0].body, Some(ping));
    let decoded = decode(&hex("09 cfe56800 a710 1f 01 01 06 01 01 00"));
    assert_eq!(decoded.messages()[0].flag_names, ["CALL_BACK_ON_FAILURE"]);
    assert_eq!(decoded.messages()[0].params[0].name.as_deref(), Some("TRACE_TYPE"));
    let decoded = decode(&hex("07 cfe56800 a710 50 00 00 10 59adb24ef3cd3e0297f05b395827453f"));
    let schema = Body::SchemaVersion { schema: "59adb24e-f3cd-3e02-97f0-5b395827453f".into() };
    assert_eq!(decoded.messages()[0].body, Some(schema));
}

#[test]
fn the_worked_session() {
    let initiate = "ca 55 2d fa 0c 0a 0c 11 06 7f 00 00 01 1b 58 d6 68 21 b5";
    let frame = "0b 00 02 94 08 11 01 cf e5 68 00 a7 10 1f 00 00 00 2d ec b9 7b";
    let decoded = decode(&hex(&format!("{initiate} {frame}")));
    decoded.assert_whole();
    let [handshake] = &decoded.handshakes()[..] else { panic!("{decoded:?}") };
    assert_eq!((handshake.connection_type, handshake.framing), (Some("urgent"), Some("crc")));
    assert_eq!((handshake.request, handshake.min, handshake.max), (Some(12), Some(10), Some(12)));
    assert_eq!(facts(&decoded), [("ECHO_REQ", 1, 12, None, 0, 0)]);
    assert!(!decoded.messages()[0].version_assumed, "12 is the only version that can be agreed on");
    // With the answer where it came.
    let session = format!("{initiate} 0000000d 0000000d 6c927e1c {frame}");
    let decoded =
        decode(&hex(&session.replace("0c 0a 0c 11", "0d 0c 0c 11").replace("d6 68 21 b5", "1a f8 8e 32")));
    decoded.assert_whole();
    assert_eq!(decoded.handshakes()[0].answer.map(|answer| answer.version), Some(13));
    assert_eq!((decoded.messages()[0].version, decoded.messages()[0].version_assumed), (13, false));
    // The other framings, without a handshake.
    let stored = "0b 00 00 00 04 b3 3f 91 01 cf e5 68 00 a7 10 1f 00 00 00 2d ec b9 7b";
    for (text, framing) in [(frame, "crc"), (&frame[..50], "unprotected"), (stored, "lz4")] {
        let decoded = decode(&hex(text));
        decoded.assert_whole();
        let [Record::Frame(frame), Record::Message(_)] = &decoded.records[..] else { panic!("{decoded:?}") };
        assert_eq!((frame.framing, frame.length, frame.uncompressed_length), (framing, 11, None));
    }
}

#[test]
fn frames_of_the_specification() {
    let syn = format!("69 00 02 51 94 a2 02 cfe56800 c493e0 0e 00 00 5d {SYN_HEAD}{DIGESTS_V12} 5b a7 3d f6");
    let decoded = decode(&hex(&syn));
    decoded.assert_whole();
    assert_eq!(facts(&decoded), [("GOSSIP_DIGEST_SYN", 2, 12, None, 0, 93)]);
    let compressed = "
        cd 00 00 02 04 fe c8 68 f5 60 03 cf e5 68 00 c4
        93 e0 0e 00 00 80 f3 00 0c 54 65 73 74 20 43 6c
        75 73 74 65 72 00 2b 6f 72 67 2e 61 70 61 63 68
        65 2e 63 61 73 73 61 6e 64 72 61 2e 64 68 74 2e
        4d 75 72 6d 75 72 33 50 61 72 74 69 74 69 6f 6e
        65 72 00 00 00 0c 06 0a 00 00 01 1b 58 65 53 f1
        00 00 00 00 01 06 0a 00 00 02 1b 58 65 53 f1 00
        00 00 00 02 06 0a 00 00 03 1e 00 65 03 06 0a 00
        00 04 1e 00 65 04 06 0a 00 00 05 0f 00 65 05 06
        0a 00 00 06 0f 00 65 06 06 0a 00 00 07 0f 00 65
        07 06 0a 00 00 08 0f 00 65 08 06 0a 00 00 09 0f
        00 65 09 06 0a 00 00 0a 0f 00 65 0a 06 0a 00 00
        0b 0f 00 f0 01 0b 06 0a 00 00 0c 1b 58 65 53 f1
        00 00 00 00 0c 76 27 d4 e6";
    let decoded = decode(&hex(compressed));
    decoded.assert_whole();
    let [Record::Frame(frame), Record::Message(message)] = &decoded.records[..] else {
        panic!("{decoded:?}")
    };
    assert_eq!((frame.length, frame.uncompressed_length, frame.checksum), (205, Some(256), "ok"));
    let Some(Body::Syn { digests, .. }) = &message.body else { panic!("{message:?}") };
    assert_eq!((digests.len(), digests[11]), (12, digest("10.0.0.12:7000", 1_700_000_000, 12)));
}

#[test]
fn every_handshake_of_the_specification() {
    for (text, kind, framing, max) in [
        ("ca552dfa 0c0a0c05 06 7f000001 1b58 2e991e64", "urgent", "lz4", 12),
        ("ca552dfa 0c0c0c11 06 7f000001 1b58 db7651f2", "urgent", "crc", 12),
        ("ca552dfa 0d0c0c11 06 7f000001 1b58 1af88e32", "urgent", "crc", 13),
        ("ca552dfa 0c0c0c13 06 7f000001 1b58 9953568f", "large", "crc", 12),
        ("ca552dfa 0c0c0c02 06 7f000001 1b58 2942673a", "small", "unprotected", 12),
        ("ca552dfa 0c0c0c11 12 20010db8000000000000000000000001 1b58 52d4742a", "urgent", "crc", 12),
    ] {
        let decoded = decode(&hex(text));
        decoded.assert_whole();
        let [handshake] = &decoded.handshakes()[..] else { panic!("{decoded:?}") };
        assert_eq!((handshake.connection_type, handshake.framing), (Some(kind), Some(framing)), "{text}");
        assert_eq!((handshake.max, handshake.answer), (Some(max), None));
    }
}

#[test]
fn what_is_damaged_is_recognised_all_the_same() {
    // A message of gossip that ends too early; frames with a bit changed in the header.
    let decoded = decode(&hex("02 cfe56800 c493e0 0e 00 00 5d 000c 5465"));
    assert_eq!(decoded.damage().0, 12);
    for (text, expected) in [
        (
            "0b 00 02 94 08 12 01 cfe56800 a710 1f 00 00 00 2decb97b",
            "a frame header with the checksum 940811",
        ),
        (
            "0b 00 00 00 04 b3 3f 92 01 cfe56800 a710 1f 00 00 00 2decb97b",
            "a frame header with the checksum b33f91",
        ),
    ] {
        let decoded = decode(&hex(text));
        assert_eq!((decoded.damage().0, decoded.damage().1), (0, expected));
    }
    // A number where none is expected any more.
    let decoded = decode(&hex("01 cfe56800 a710 1f 00 00 00 00"));
    assert_eq!((decoded.damage().0, decoded.ids()), (12, vec![1]));
}
