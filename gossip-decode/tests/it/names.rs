//! States have the names of the release that their endpoint publishes.

use gossip_core::wire::encode_str;
use gossip_core::{ApplicationState, Verb};
use gossip_core::{MessagingVersion, encode_tokens};
use gossip_decode::{Body, Options, State, StateNames};

use crate::support::{Decoded, Talk, decode_capture, frame, message, pcap};
use gossip_core::internode::Framing;

/// The state of an endpoint: its values, each under the version 1.
fn state(values: &[(i32, &str)]) -> Vec<u8> {
    let mut bytes = [7_i32, 8, i32::try_from(values.len()).unwrap()].map(i32::to_be_bytes).concat();
    for (key, text) in values {
        let mut encoded = Vec::new();
        encode_str(text, &mut encoded);
        bytes.extend(key.to_be_bytes());
        bytes.extend(u16::try_from(encoded.len()).unwrap().to_be_bytes());
        bytes.extend(encoded);
        bytes.extend(1_i32.to_be_bytes());
    }
    bytes
}

/// An ACK2 about 10.0.0.`last`.
fn ack2(last: u8, values: &[(i32, &str)]) -> Vec<u8> {
    let body = [&[0, 0, 0, 1, 6, 10, 0, 0, last, 0x1b, 0x58][..], &state(values)].concat();
    frame(Framing::Crc, &message(MessagingVersion::V12, Verb::GOSSIP_DIGEST_ACK2, 1, &body))
}

fn decode(frames: &[Vec<u8>], names: StateNames) -> Decoded {
    let mut talk = Talk::usual();
    for frame in frames {
        talk.dial(frame);
    }
    let options = Options { names, ..Options::default() };
    let (decoded, _) = decode_capture(&pcap(&talk.packets), options);
    decoded.assert_whole();
    decoded
}

fn states(decoded: &Decoded) -> Vec<&State> {
    let state = |message: &gossip_decode::Message| match &message.body {
        Some(Body::Ack2 { .. }) => {}
        other => panic!("{other:?}"),
    };
    decoded.messages().iter().for_each(|message| state(message));
    let states = decoded.messages().into_iter().flat_map(|message| match &message.body {
        Some(Body::Ack2 { endpoints }) => endpoints.as_slice(),
        _ => &[],
    });
    states.collect()
}

/// What each message names the state 19, and as whose.
fn names_of_19(decoded: &Decoded) -> Vec<(String, String)> {
    let name = |state: &&State| {
        let value = state.states.iter().find(|value| value.key == 19).unwrap();
        (value.name.clone(), state.named_as.clone())
    };
    states(decoded).iter().map(name).collect()
}

#[test]
fn the_release_in_the_message_counts_and_then_the_last_one_known() {
    let frames = [
        ack2(1, &[(19, "x")]),
        ack2(1, &[(19, "x"), (5, "4.0.14"), (11, "12")]),
        ack2(2, &[(19, "x")]),
        ack2(1, &[(19, "x")]),
        ack2(1, &[(5, "4.1.7"), (19, "x")]),
        ack2(1, &[(19, "x")]),
        ack2(2, &[(19, "x"), (5, "4.0.0.670")]),
        ack2(2, &[(19, "x"), (5, "no release")]),
        ack2(3, &[(19, "x"), (5, "3.11.17")]),
        ack2(4, &[(19, "x"), (11, "512")]),
    ];
    let named = |name: &str, release: &str| (name.to_owned(), release.to_owned());
    assert_eq!(
        names_of_19(&decode(&frames, StateNames::default())),
        [
            named("DISK_USAGE", "5.0"),
            named("X1", "4.0"),
            named("DISK_USAGE", "5.0"),
            named("X1", "4.0"),
            named("DISK_USAGE", "4.1"),
            named("DISK_USAGE", "4.1"),
            named("JMX_PORT", "DSE"),
            named("JMX_PORT", "DSE"),
            named("X5", "3"),
            named("JMX_PORT", "DSE"),
        ]
    );
}

#[test]
fn names_that_are_given_count_before_any_release() {
    let mut names = StateNames::default();
    names.give(ApplicationState::new(19), "WORKLOAD");
    let decoded = decode(&[ack2(1, &[(19, "x"), (5, "4.0.0.670")])], names);
    assert_eq!(names_of_19(&decoded)[0].0, "WORKLOAD");
}

#[test]
fn a_shutdown_is_named_as_its_sender_is() {
    let state = state(&[(19, "x")]);
    let known = [&[0, 0, 0, 1, 6, 10, 0, 0, 1, 0x1b, 0x58][..], &self::state(&[(5, "4.0.14")])].concat();
    let mut talk = Talk::greeted(
        &crate::support::initiate(gossip_core::internode::ConnectionType::Urgent, Framing::Crc, 12, 13),
        &crate::support::accept(13, 13),
    );
    let v13 = MessagingVersion::V13;
    talk.dial(&frame(Framing::Crc, &message(v13, Verb::GOSSIP_DIGEST_ACK2, 1, &known)));
    talk.dial(&frame(Framing::Crc, &message(v13, Verb::GOSSIP_SHUTDOWN, 2, &state)));
    let decoded = talk.decode();
    let Some(Body::State(state)) = &decoded.messages()[1].body else { panic!("{decoded:?}") };
    assert_eq!((state.endpoint, state.states[0].name.as_str()), (None, "X1"));
}

#[test]
fn tokens_are_read_and_what_no_text_can_hold_is_kept() {
    let tokens = encode_tokens(&[-4_319_372_312_230_471_416, -1, i64::MAX]);
    let decoded = decode(&[ack2(1, &[(13, &tokens), (13, "no tokens"), (1, "5.0")])], StateNames::default());
    let [state] = states(&decoded)[..] else { panic!("{decoded:?}") };
    assert_eq!((state.states.len(), state.replaced), (2, 1), "of a key that comes twice the last counts");
    assert_eq!(state.states[0].value.as_deref(), Some("no tokens"));

    let decoded = decode(&[ack2(1, &[(13, &tokens)])], StateNames::default());
    let value = &states(&decoded)[0].states[0];
    let expected = ["-4319372312230471416", "-1", "9223372036854775807"].map(String::from);
    assert_eq!((value.tokens.as_deref(), &value.value), (Some(&expected[..]), &None));

    // A surrogate that stands alone.
    let mut bytes = ack2(1, &[(1, "\u{ffff}")]);
    let at = bytes.windows(3).position(|window| window == "\u{ffff}".as_bytes()).unwrap();
    bytes[at..at + 3].copy_from_slice(&[0xed, 0xa0, 0xbd]);
    let payload = bytes[6..bytes.len() - 4].to_vec();
    let decoded = decode(&[frame(Framing::Crc, &payload)], StateNames::default());
    let value = &states(&decoded)[0].states[0];
    assert_eq!((value.value.as_deref(), value.bytes.as_deref()), (Some("\u{fffd}"), Some("eda0bd")));
}

#[test]
fn the_partitioner_decides_how_tokens_read() {
    let partitioner = b"org.apache.cassandra.dht.RandomPartitioner";
    let syn = [&b"\0\x01c\0"[..], &[42], partitioner, &[0; 4]].concat();
    let syn = frame(Framing::Crc, &message(MessagingVersion::V12, Verb::GOSSIP_DIGEST_SYN, 1, &syn));
    let tokens: String = [0, 0, 0, 2, 0, 128, 0, 0, 0, 0].map(char::from).iter().collect();
    let mut talk = Talk::usual();
    talk.dial(&syn);
    talk.dial(&ack2(1, &[(13, &tokens)]));
    let decoded = talk.decode();
    decoded.assert_whole();
    let Some(Body::Ack2 { endpoints }) = &decoded.messages()[1].body else { panic!("{decoded:?}") };
    assert_eq!(endpoints[0].states[0].tokens.as_deref(), Some(&["128".to_owned()][..]));
}
