//! The worked byte examples of `docs/protocol/gossip-messages.md`, each in both directions.

use gossip_core::message::{Codec, EndpointState, MAX_STATES, Message, Value};
use gossip_core::wire::{DecodeError, JavaStr, Reader};
use gossip_core::{ApplicationState, MessagingVersion, MetadataId, Verb, Version};

use crate::support::{
    Content, State, assert_versions_agree, decode, digest, encode, endpoint, heartbeat, hex, java, written,
};

const V10_V11: [MessagingVersion; 2] = [MessagingVersion::V10, MessagingVersion::V11];
const V12_TO_V14: [MessagingVersion; 3] =
    [MessagingVersion::V12, MessagingVersion::V13, MessagingVersion::V14];

/// `docs/protocol/gossip-messages.md#syn`, up to the end of the partitioner: the part that all versions share.
const SYN_HEAD: &str = "
    00 0c 54 65 73 74 20 43 6c 75 73 74 65 72 00 2b
    6f 72 67 2e 61 70 61 63 68 65 2e 63 61 73 73 61
    6e 64 72 61 2e 64 68 74 2e 4d 75 72 6d 75 72 33
    50 61 72 74 69 74 69 6f 6e 65 72";

/// `docs/protocol/gossip-messages.md#endpoint-state`, a state of 95 bytes.
const STATE: &str = "
    5e 9b 1b 0b 00 00 01 21 00 00 00 04 00 00 00 01
    00 08 32 32 34 32 37 39 2e 30 00 00 01 1d 00 00
    00 03 00 03 44 43 31 00 00 00 10 00 00 00 04 00
    05 72 61 63 6b 31 00 00 00 12 00 00 00 11 00 1b
    4e 4f 52 4d 41 4c 2c 2d 34 33 31 39 33 37 32 33
    31 32 32 33 30 34 37 31 34 31 36 00 00 00 33";

#[test]
fn a_state_ends_with_the_last_of_the_values_that_it_announces() {
    let state = State::new(heartbeat(1, 2), &[(ApplicationState::DC, "a", 1)]);
    let mut bytes = state.bytes();
    bytes.push(9);
    let mut reader = Reader::new(&bytes);
    assert_eq!(State::of(&EndpointState::decode(&mut reader).unwrap()), state);
    assert_eq!(reader.rest(), [9]);
    // As many as the bytes cannot hold are not looked at.
    bytes[11] = 2;
    let error = EndpointState::decode(&mut Reader::new(&bytes)).unwrap_err();
    assert!(matches!(error, DecodeError::Count { count: 2, .. }), "{error:?}");
}

#[test]
fn strings() {
    for (text, bytes) in [
        ("a\0b", "00 04 61 c0 80 62"),
        ("é", "00 02 c3 a9"),
        ("€", "00 03 e2 82 ac"),
        ("\u{1f600}", "00 06 ed a0 bd ed b8 80"),
        ("\u{ff}\u{80}", "00 04 c3 bf c2 80"),
        ("", "00 00"),
    ] {
        let bytes = hex(bytes);
        let mut reader = Reader::new(&bytes);
        let string = reader.string("it").unwrap();
        assert!(reader.is_empty());
        assert_eq!(string.to_text(), text);
        assert_eq!(string.as_bytes(), java(text));
        assert_eq!(written(|out| out.string(string)), bytes, "{text:?}");
        assert_no_prefix_decodes(&bytes, |reader| reader.string("it").map(drop));
    }
}

#[test]
fn addresses() {
    for (versions, bytes, at) in [
        (&V12_TO_V14[..], "06 0a000001 1b58", "10.0.0.1:7000"),
        (&V12_TO_V14, "12 20010db8000000000000000000000001 1b58", "[2001:db8::1]:7000"),
        (&V10_V11, "04 0a000001", "10.0.0.1:7000"),
    ] {
        let bytes = hex(bytes);
        for version in versions {
            let form = Codec::new(*version).address_form();
            let mut reader = Reader::new(&bytes);
            assert_eq!(reader.endpoint(form), Ok(endpoint(at)));
            assert!(reader.is_empty());
            assert_eq!(written(|out| out.endpoint(endpoint(at), form)), bytes);
            assert_no_prefix_decodes(&bytes, |reader| reader.endpoint(form).map(drop));
        }
    }
}

#[test]
fn digests() {
    for (versions, bytes, expected) in [
        (
            &V12_TO_V14[..],
            "06 0a 00 00 01 1b 58 65 53 f1 00 00 00 00 2a",
            digest("10.0.0.1:7000", 1_700_000_000, 42),
        ),
        (&V10_V11, "04 0a 00 00 01 65 53 f1 00 00 00 00 2a", digest("10.0.0.1:7000", 1_700_000_000, 42)),
        (
            &V12_TO_V14,
            "12 20 01 0d b8 00 00 00 00 00 00 00 00 00 00 00 01 1b 58 65 53 f1 00 00 00 00 2a",
            digest("[2001:db8::1]:7000", 1_700_000_000, 42),
        ),
        (&V12_TO_V14, "06 0a 00 00 03 1b 58 00 00 00 00 ff ff ff ff", digest("10.0.0.3:7000", 0, -1)),
    ] {
        let bytes = hex(bytes);
        for version in versions {
            // An ACK with one request and no states holds the digest between two counts.
            let body = [&[0, 0, 0, 1][..], &bytes, &[0; 4]].concat();
            let content = Content::Ack { requests: vec![expected], states: vec![] };
            assert_golden(*version, &body, &content);
            assert_eq!(written(|out| expected.encode(Codec::new(*version), out)), bytes);
        }
    }
}

#[test]
fn a_value() {
    let bytes = hex("00 08 32 32 34 32 37 39 2e 30 00 00 01 1d");
    let mut reader = Reader::new(&bytes);
    let value = Value::decode(&mut reader).unwrap();
    assert!(reader.is_empty());
    assert_eq!(value.text, "224279.0");
    assert_eq!(value.version, Version::new(285));
    assert_eq!(written(|out| value.encode(out)), bytes);
    assert_no_prefix_decodes(&bytes, |reader| Value::decode(reader).map(drop));
}

#[test]
fn a_state() {
    let bytes = hex(STATE);
    assert_eq!(bytes.len(), 95);
    let mut reader = Reader::new(&bytes);
    let state = EndpointState::decode(&mut reader).unwrap();
    assert!(reader.is_empty());
    assert_eq!(State::of(&state), example_state());
    assert_eq!(state.len(), 4);
    assert_eq!(state.max_version(), Version::new(289));
    assert_eq!(state.value(ApplicationState::RACK).unwrap().text, "rack1");
    assert_eq!(state.value(ApplicationState::TOKENS), None);
    assert_eq!(written(|out| state.encode(out)), bytes);
    assert_no_prefix_decodes(&bytes, |reader| EndpointState::decode(reader).map(drop));
}

#[test]
fn syn() {
    let with_ports = hex(&format!(
        "{SYN_HEAD} 00 00 00 02
         06 0a 00 00 01 1b 58 65 53 f1 00 00 00 00 2a
         06 0a 00 00 02 1b 58 65 53 f1 64 00 00 00 07"
    ));
    assert_eq!(with_ports.len(), 93);
    let without_ports = hex(&format!(
        "{SYN_HEAD} 00 00 00 02
         04 0a 00 00 01 65 53 f1 00 00 00 00 2a
         04 0a 00 00 02 65 53 f1 64 00 00 00 07"
    ));
    assert_eq!(without_ports.len(), 89);
    let content = example_syn(
        MetadataId::NONE,
        vec![digest("10.0.0.1:7000", 1_700_000_000, 42), digest("10.0.0.2:7000", 1_700_000_100, 7)],
    );
    for version in V10_V11 {
        assert_golden(version, &without_ports, &content);
    }
    for version in [MessagingVersion::V12, MessagingVersion::V13] {
        assert_golden(version, &with_ports, &content);
    }
}

#[test]
fn shadow_syn() {
    let body = hex(&format!("{SYN_HEAD} 00 00 00 00"));
    assert_eq!(body.len(), 63);
    for version in
        [MessagingVersion::V10, MessagingVersion::V11, MessagingVersion::V12, MessagingVersion::V13]
    {
        assert_golden(version, &body, &example_syn(MetadataId::NONE, vec![]));
    }
    let body = hex(&format!("{SYN_HEAD} e1 34 d8 2e 00 00 00 00"));
    assert_eq!(body.len(), 67);
    assert_golden(MessagingVersion::V14, &body, &example_syn(MetadataId::new(20_240_430), vec![]));
}

#[test]
fn ack() {
    let body = hex(&format!(
        "00 00 00 01 06 0a 00 00 02 1b 58 65 53 f1 64 00 00 00 00
         00 00 00 01 06 0a 00 00 01 1b 58 {STATE}"
    ));
    assert_eq!(body.len(), 125);
    let content = Content::Ack {
        requests: vec![digest("10.0.0.2:7000", 1_700_000_100, 0)],
        states: vec![(endpoint("10.0.0.1:7000"), example_state())],
    };
    for version in V12_TO_V14 {
        assert_golden(version, &body, &content);
    }
}

#[test]
fn empty_ack() {
    for version in MessagingVersion::ALL {
        assert_golden(version, &[0; 8], &Content::Ack { requests: vec![], states: vec![] });
    }
}

#[test]
fn heartbeat_only_ack2() {
    let body = hex("00 00 00 01 06 0a 00 00 02 1b 58 65 53 f1 64 00 00 00 08 00 00 00 00");
    assert_eq!(body.len(), 23);
    let state = State::new(heartbeat(1_700_000_100, 8), &[]);
    let content = Content::Ack2 { states: vec![(endpoint("10.0.0.2:7000"), state)] };
    for version in V12_TO_V14 {
        assert_golden(version, &body, &content);
    }
}

#[test]
fn empty_ack2() {
    for version in MessagingVersion::ALL {
        assert_golden(version, &[0; 4], &Content::Ack2 { states: vec![] });
    }
}

#[test]
fn echo() {
    for version in MessagingVersion::ALL {
        for verb in [Verb::ECHO_REQ, Verb::ECHO_RSP] {
            assert_golden(version, &[], &Content::Echo { verb });
        }
    }
}

#[test]
fn shutdown_without_body() {
    for version in [MessagingVersion::V10, MessagingVersion::V11, MessagingVersion::V12] {
        assert_golden(version, &[], &Content::Shutdown { state: None });
    }
}

#[test]
fn shutdown_with_body() {
    let body = hex("
        5e 9b 1b 0b 00 00 01 21 00 00 00 04 00 00 00 00
        00 0d 73 68 75 74 64 6f 77 6e 2c 74 72 75 65 00
        00 0a 25 00 00 00 0c 00 24 39 33 65 32 66 30 65
        62 2d 65 37 31 62 2d 34 64 30 64 2d 39 34 30 66
        2d 62 64 36 64 64 39 34 35 33 65 33 30 00 00 00
        02 00 00 00 0e 00 05 66 61 6c 73 65 00 00 0a 26
        00 00 00 11 00 0d 73 68 75 74 64 6f 77 6e 2c 74
        72 75 65 00 00 0a 24");
    assert_eq!(body.len(), 119);
    let state = State::new(
        heartbeat(1_587_223_307, 289),
        &[
            (ApplicationState::STATUS, "shutdown,true", 2597),
            (ApplicationState::HOST_ID, "93e2f0eb-e71b-4d0d-940f-bd6dd9453e30", 2),
            (ApplicationState::RPC_READY, "false", 2598),
            (ApplicationState::STATUS_WITH_PORT, "shutdown,true", 2596),
        ],
    );
    for version in [MessagingVersion::V13, MessagingVersion::V14] {
        assert_golden(version, &body, &Content::Shutdown { state: Some(state.clone()) });
    }
    let decoded = decode(Verb::GOSSIP_SHUTDOWN, &body, MessagingVersion::V13).unwrap();
    let Message::Shutdown(shutdown) = decoded else { panic!("{decoded:?}") };
    assert_eq!(shutdown.state.unwrap().max_version(), Version::new(2598));
}

#[test]
fn tokens() {
    let bytes = hex("
        00 48 c0 80 c0 80 c0 80 08 c3 84 0e c2 81 c3 84
        5c c3 98 59 08 c0 80 c0 80 c0 80 08 c3 bf c3 bf
        c3 bf c3 bf c3 bf c3 bf c3 bf c3 bf c0 80 c0 80
        c0 80 08 7f c3 bf c3 bf c3 bf c3 bf c3 bf c3 bf
        c3 bf c0 80 c0 80 c0 80 c0 80 00 00 00 32");
    assert_eq!(bytes.len(), 78);
    let mut raw = Vec::new();
    for token in [-4_319_372_312_230_471_416_i64, -1, i64::MAX] {
        raw.extend([0, 0, 0, 8]);
        raw.extend(token.to_be_bytes());
    }
    raw.extend([0; 4]);
    assert_eq!(raw.len(), 40);

    let mut reader = Reader::new(&bytes);
    let value = Value::decode(&mut reader).unwrap();
    assert!(reader.is_empty());
    assert_eq!(value.version, Version::new(50));
    assert_eq!(value.text.to_latin1().as_ref(), Some(&raw));

    let text = java(&raw.iter().map(|byte| char::from(*byte)).collect::<String>());
    assert_eq!(text.len(), 72);
    let value = Value { text: JavaStr::new(&text).unwrap(), version: Version::new(50) };
    assert_eq!(written(|out| value.encode(out)), bytes);
}

#[test]
fn nonsensical_counts_are_refused_before_they_size_anything() {
    for count in [-1, 1, 200_000_000, i32::MAX] {
        let body = count.to_be_bytes();
        assert!(matches!(
            decode(Verb::GOSSIP_DIGEST_ACK2, &body, MessagingVersion::V12),
            Err(DecodeError::Count { count: found, .. }) if found == count
        ));
        let body = [count.to_be_bytes(), [0; 4]].concat();
        assert!(matches!(
            decode(Verb::GOSSIP_DIGEST_ACK, &body, MessagingVersion::V12),
            Err(DecodeError::Count { count: found, .. }) if found == count
        ));
    }
    // Where Cassandra's loop runs zero times, there is nothing to refuse.
    let body = hex("00 00 00 65 00 00 00 c9 ff ff ff ff");
    let decoded = decode(Verb::GOSSIP_SHUTDOWN, &body, MessagingVersion::V13).unwrap();
    let empty = State::new(heartbeat(101, 201), &[]);
    assert_eq!(Content::of(&decoded), Content::Shutdown { state: Some(empty) });
}

#[test]
fn after_an_error_the_reader_stands_where_it_came_up() {
    let body =
        example_syn(MetadataId::NONE, vec![digest("10.0.0.1:7000", 1, 2), digest("10.0.0.2:7000", 1, 2)])
            .body(MessagingVersion::V12);
    let stopped_at = |body: &[u8]| {
        let mut reader = Reader::new(body);
        Message::take(Verb::GOSSIP_DIGEST_SYN, &mut reader, Codec::new(MessagingVersion::V12))
            .unwrap()
            .unwrap_err();
        body.len() - reader.len()
    };
    let changed = |at: usize, byte: u8| {
        let mut body = body.clone();
        body[at] = byte;
        body
    };
    // The partitioner, the number of digests, the address of the second.
    assert_eq!(stopped_at(&changed(20, 0xff)), 14);
    assert_eq!(stopped_at(&changed(59, 0x7f)), 59);
    assert_eq!(stopped_at(&changed(78, 5)), 78);
    // One byte too many; one too few, of the last version.
    assert_eq!(stopped_at(&[&body[..], &[0]].concat()), body.len());
    assert_eq!(stopped_at(&body[..body.len() - 1]), 59);
}

#[test]
fn a_state_holds_a_limited_number_of_values() {
    let state = |count: usize| {
        let key = |number: usize| ApplicationState::new(i32::try_from(number).unwrap());
        let values: Vec<_> = (0..count).map(|number| (key(number), "", 1)).collect();
        State::new(heartbeat(1, 1), &values).bytes()
    };
    let most = state(MAX_STATES);
    assert_eq!(EndpointState::decode(&mut Reader::new(&most)).unwrap().values().count(), MAX_STATES);
    let more = state(MAX_STATES + 1);
    let refused = EndpointState::decode(&mut Reader::new(&more));
    assert!(matches!(refused, Err(DecodeError::Count { count: 257, .. })), "{refused:?}");
}

fn example_state() -> State {
    State::new(
        heartbeat(1_587_223_307, 289),
        &[
            (ApplicationState::LOAD, "224279.0", 285),
            (ApplicationState::DC, "DC1", 16),
            (ApplicationState::RACK, "rack1", 18),
            (ApplicationState::STATUS_WITH_PORT, "NORMAL,-4319372312230471416", 51),
        ],
    )
}

fn example_syn(metadata_id: MetadataId, digests: Vec<gossip_core::message::Digest>) -> Content {
    let (cluster, partitioner) = ("Test Cluster", "org.apache.cassandra.dht.Murmur3Partitioner");
    Content::Syn { cluster: java(cluster), partitioner: java(partitioner), metadata_id, digests }
}

/// Asserts that `body` is exactly `content`, in both directions and with nothing to spare at its end.
fn assert_golden(version: MessagingVersion, body: &[u8], content: &Content) {
    let verb = content.verb();
    let message = decode(verb, body, version).unwrap();
    assert_eq!(message.verb(), verb);
    assert_eq!(Content::of(&message), *content, "{version:?}");
    assert_eq!(encode(&message, version), body, "{version:?}");
    assert_eq!(content.body(version), body, "{version:?}");
    for end in 0..body.len() {
        let cut = decode(verb, &body[..end], version);
        assert!(cut.is_err(), "{version:?}: {end} of {} bytes decode to {cut:?}", body.len());
    }
    let longer = [body, &[0]].concat();
    assert_eq!(decode(verb, &longer, version), Err(DecodeError::Trailing { bytes: 1 }), "{version:?}");
    assert_versions_agree(&message, version);
}

fn assert_no_prefix_decodes(bytes: &[u8], decode: impl Fn(&mut Reader<'_>) -> Result<(), DecodeError>) {
    for end in 0..bytes.len() {
        assert!(decode(&mut Reader::new(&bytes[..end])).is_err(), "{end} of {} bytes decode", bytes.len());
    }
}
