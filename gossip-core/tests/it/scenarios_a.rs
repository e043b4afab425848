//! Part A of the specification's scenarios, under their numbers. A3 to A6 stand with the files they are about
//! (`fixtures.rs`); A8, A12 and A14 next to the code that keeps them.

use gossip_core::message::{Codec, Digest, EndpointState, Message, Value};
use gossip_core::wire::{DecodeError, Full, JavaStr, Reader, Writer};
use gossip_core::{ApplicationState, MessagingVersion, MetadataId, Verb, Version};

use crate::support::{
    Content, State, assert_versions_agree, decode, digest, encode, endpoint, heartbeat, hex, java, written,
};

#[test]
fn a1_a_digest_survives_the_round_trip() {
    for version in MessagingVersion::ALL {
        let codec = Codec::new(version);
        let expected = digest("127.0.0.1:7000", 0, 123);
        let bytes = written(|out| expected.encode(codec, out));
        assert_eq!(bytes.len(), if version >= MessagingVersion::V12 { 15 } else { 13 });
        let mut reader = Reader::new(&bytes);
        assert_eq!(Digest::decode(&mut reader, codec.address_form()), Ok(expected));
        assert_eq!(reader.finish(), Ok(()));
    }
}

/// Nothing here predicts a size: what is written is all there is. So a buffer of just that size must do, and one
/// that is any smaller must be left without a part of it.
#[test]
fn a2_exactly_the_room_of_an_encoding_is_needed() {
    let state = State::new(
        heartbeat(1_700_000_000, 9),
        &[(ApplicationState::DC, "dc1", 3), (ApplicationState::LOAD, "224279.0", 8)],
    );
    let at = endpoint("127.0.0.1:7000");
    let digests = vec![digest("127.0.0.1:7000", 1_700_000_000, 9), digest("[2001:db8::1]:7000", 1, 2)];
    let messages = [
        Content::Syn {
            cluster: java("c"),
            partitioner: java("p"),
            metadata_id: MetadataId::new(300),
            digests: digests.clone(),
        },
        Content::Ack { requests: digests, states: vec![(at, state.clone())] },
        Content::Ack2 { states: vec![(at, state.clone())] },
        Content::Shutdown { state: Some(state) },
    ];
    for version in MessagingVersion::ALL {
        for content in &messages {
            let body = content.body(version);
            let message = decode(content.verb(), &body, version).unwrap();
            for size in 0..=body.len() {
                let mut buffer = vec![0; size];
                let mut writer = Writer::new(&mut buffer);
                let result = message.encode(Codec::new(version), &mut writer);
                let (expected, left): (_, &[u8]) =
                    if size == body.len() { (Ok(()), &body) } else { (Err(Full), &[]) };
                assert_eq!((result, writer.written()), (expected, left), "{size} of {}", body.len());
            }
        }
    }
}

#[test]
fn a7_nul_and_high_bytes_of_tokens() {
    let raw = hex("00000008 ffffffffffffffff 00000000");
    let text = java(&raw.iter().map(|byte| char::from(*byte)).collect::<String>());
    let text = JavaStr::new(&text).unwrap();
    let expected = hex("001f c080c080c080 08 c3bfc3bfc3bfc3bfc3bfc3bfc3bfc3bf c080c080c080c080 00000001");
    assert_eq!(text.len(), 31);
    let value = Value { text, version: Version::new(1) };
    assert_eq!(written(|out| value.encode(out)), expected);
    let decoded = Value::decode(&mut Reader::new(&expected)).unwrap();
    assert_eq!(decoded, value);
    assert_eq!(decoded.text.to_latin1(), Some(raw));
}

/// Deviation: where Cassandra loses the whole message over a number beyond its table, a number without a name is
/// kept like any other and passed on as it came.
#[test]
fn a9_unknown_ordinals_are_kept() {
    let unknown = [25, 31, 1_000, i32::MAX, -1, i32::MIN];
    let values: Vec<_> =
        unknown.iter().zip(40..).map(|(number, version)| (key(*number), "x", version)).collect();
    let content =
        Content::Ack2 { states: vec![(endpoint("127.0.0.1:7000"), State::new(heartbeat(100, 5), &values))] };
    for version in MessagingVersion::ALL {
        let body = content.body(version);
        let message = decode(content.verb(), &body, version).unwrap();
        assert_eq!(Content::of(&message), content);
        assert_eq!(encode(&message, version), body);
        assert_versions_agree(&message, version);
        let Message::Ack2(ack2) = message else { panic!("{message:?}") };
        let (_, state) = ack2.states.iter().next().unwrap();
        assert_eq!(state.max_version(), Version::new(45));
        for (key, text, _) in &values {
            assert_eq!(state.value(*key).unwrap().text, *text);
        }
    }
    assert_eq!(key(25).to_string(), "X5");
}

#[test]
fn a10_duplicates_keep_the_later_one() {
    for (twice, other) in [(1, 3), (63, 64), (0, 1_000), (30, i32::MIN)] {
        let values = [(key(twice), "old", 90), (key(other), "x", 7), (key(twice), "new", 5)];
        let bytes = State::new(heartbeat(100, 2), &values).bytes();
        let state = EndpointState::decode(&mut Reader::new(&bytes)).unwrap();
        assert_duplicate_is_gone(&state, twice, other);
        assert_eq!(written(|out| state.encode(out)), bytes, "what is passed on is what came");

        let body = [&hex("00000001 06 7f000001 1b58")[..], &bytes].concat();
        let message = decode(Verb::GOSSIP_DIGEST_ACK2, &body, MessagingVersion::V12).unwrap();
        let Message::Ack2(ack2) = message else { panic!("{message:?}") };
        let (_, state) = ack2.states.iter().next().unwrap();
        assert_duplicate_is_gone(&state, twice, other);
    }
}

/// Keys that no release of Cassandra has cost its nodes the message in any case.
#[test]
fn a10_duplicates_of_keys_that_cassandra_has_not_are_refused() {
    for twice in [64, 1_000, -1] {
        let values = [(key(twice), "old", 90), (key(1), "x", 7), (key(twice), "new", 5)];
        let bytes = State::new(heartbeat(100, 2), &values).bytes();
        let decoded = EndpointState::decode(&mut Reader::new(&bytes));
        assert_eq!(decoded, Err(DecodeError::DuplicateKey { key: twice }));
    }
}

#[test]
fn a11_a_trailing_byte_spoils_only_its_own_message() {
    let content =
        Content::Ack2 { states: vec![(endpoint("127.0.0.1:7000"), State::new(heartbeat(100, 5), &[]))] };
    for version in MessagingVersion::ALL {
        let body = content.body(version);
        let longer = [&body[..], &[0]].concat();
        assert_eq!(decode(content.verb(), &longer, version), Err(DecodeError::Trailing { bytes: 1 }));
        assert_eq!(Content::of(&decode(content.verb(), &body, version).unwrap()), content);
    }
}

#[test]
fn a13_only_from_version_13_on_a_shutdown_has_a_body() {
    let values = [(ApplicationState::STATUS_WITH_PORT, "shutdown,true", 7)];
    let content = Content::Shutdown { state: Some(State::new(heartbeat(100, 5), &values)) };
    let body = content.body(MessagingVersion::V13);
    let message = decode(Verb::GOSSIP_SHUTDOWN, &body, MessagingVersion::V13).unwrap();
    for version in MessagingVersion::ALL {
        let encoded = encode(&message, version);
        let decoded = Content::of(&decode(Verb::GOSSIP_SHUTDOWN, &encoded, version).unwrap());
        if version >= MessagingVersion::V13 {
            assert_eq!((&encoded, &decoded), (&body, &content));
        } else {
            assert_eq!((encoded.as_slice(), decoded), (&[][..], Content::Shutdown { state: None }));
            let refused = decode(Verb::GOSSIP_SHUTDOWN, &body, version);
            assert_eq!(refused, Err(DecodeError::Trailing { bytes: body.len() }));
        }
    }
    let refused = decode(Verb::GOSSIP_SHUTDOWN, &[], MessagingVersion::V13);
    assert!(matches!(refused, Err(DecodeError::Truncated { .. })), "{refused:?}");
}

const fn key(number: i32) -> ApplicationState {
    ApplicationState::new(number)
}

fn assert_duplicate_is_gone(state: &EndpointState<'_>, twice: i32, other: i32) {
    let left: Vec<_> = state.values().map(|(key, value)| (key.number(), value.text.to_text())).collect();
    assert_eq!(left, [(other, "x".into()), (twice, "new".into())]);
    assert_eq!(state.value(key(twice)).unwrap().version, Version::new(5));
    assert_eq!(state.len(), 3);
    // The version of what was replaced counts no more, although it is the greatest.
    assert_eq!(state.max_version(), Version::new(7));
}
