//! What holds for all bodies, not only for hand-written ones.

use alloc::collections::BTreeMap;

use gossip_core::message::{Codec, Digest, EndpointState, Message, Value};
use gossip_core::wire::{JavaStr, Reader};
use gossip_core::{
    ApplicationState, Endpoint, Generation, HeartbeatState, MessagingVersion, MetadataId, Verb, Version,
};
use proptest::prelude::*;
use proptest::sample::{Index, select};

use crate::support::{Content, State, assert_versions_agree, decode, encode, hex, java};

proptest! {
    // Without files of past failures: a failure that stays interesting becomes a test with a name.
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_encoded_decodes_to_the_same((version, content) in contents()) {
        let body = content.body(version);
        let message = decode(content.verb(), &body, version).unwrap();
        prop_assert_eq!(Content::of(&message), content);
        prop_assert_eq!(encode(&message, version), body);
    }

    #[test]
    fn content_survives_every_version((version, content) in contents()) {
        let body = content.body(version);
        assert_versions_agree(&decode(content.verb(), &body, version).unwrap(), version);
    }

    #[test]
    fn no_prefix_decodes((version, content) in contents(), end in any::<Index>()) {
        let body = content.body(version);
        if !body.is_empty() {
            let cut = &body[..end.index(body.len())];
            prop_assert!(decode(content.verb(), cut, version).is_err());
        }
    }

    #[test]
    fn arbitrary_bytes_do_no_harm(
        version in versions(),
        verb in verbs(),
        body in prop::collection::vec(prop_oneof![20 => Just(0), 2 => 0..20_u8, 1 => any::<u8>()], 0..50),
    ) {
        assert_harmless(version, verb, &body);
    }

    #[test]
    fn damaged_bodies_do_no_harm(
        (version, content) in contents(),
        damages in prop::collection::vec((any::<Index>(), damage()), 1..5),
    ) {
        let mut body = content.body(version);
        for (at, damage) in damages {
            damage.apply(&mut body, at);
        }
        for other in MessagingVersion::ALL {
            assert_harmless(other, content.verb(), &body);
        }
    }

    #[test]
    fn of_several_values_under_a_key_the_last_counts(
        entries in prop::collection::vec((select(vec![0, 1, 63, 64, 1_000, -1]), text(), number()), 0..12),
    ) {
        let values: Vec<_> = entries
            .into_iter()
            .map(|(key, text, version)| (ApplicationState::new(key), text, Version::new(version)))
            .collect();
        let written = State { heartbeat: HeartbeatState::EMPTY, values };
        let mut expected = written.clone();
        expected.values.clear();
        for (at, entry) in written.values.iter().enumerate() {
            if written.values[at + 1..].iter().all(|later| later.0 != entry.0) {
                expected.values.push(entry.clone());
            }
        }
        let body = Content::Ack2 { states: vec![(Endpoint::v4([10, 0, 0, 1], 7000), written.clone())] }
            .body(MessagingVersion::V12);
        assert_harmless(MessagingVersion::V12, Verb::GOSSIP_DIGEST_ACK2, &body);
        let bytes = written.bytes();
        let uncommon = |key: ApplicationState| !(0..64).contains(&key.number());
        let decoded = EndpointState::decode(&mut Reader::new(&bytes));
        let is_refused = written.values.iter().enumerate().any(|(at, entry)| {
            uncommon(entry.0) && written.values[at + 1..].iter().any(|later| later.0 == entry.0)
        });
        prop_assert_eq!(decoded.ok().map(|state| State::of(&state)), (!is_refused).then_some(expected));
    }

    #[test]
    fn loose_values_states_and_digests_do_no_harm(
        version in versions(),
        bytes in prop::collection::vec(prop_oneof![2 => 0..20_u8, 1 => any::<u8>()], 0..100),
    ) {
        let codec = Codec::new(version);
        let _ = Value::decode(&mut Reader::new(&bytes));
        let _ = Digest::decode(&mut Reader::new(&bytes), codec.address_form());
        if let Ok(state) = EndpointState::decode(&mut Reader::new(&bytes)) {
            look_at(&state);
        }
    }
}

/// What chance hardly ever finds.
#[test]
fn bodies_that_can_be_written_in_several_ways_do_no_harm() {
    for (version, verb, body, shortest) in [
        (
            MessagingVersion::V13,
            Verb::GOSSIP_SHUTDOWN,
            "00000065 000000c9 80000000",
            "00000065 000000c9 00000000",
        ),
        (MessagingVersion::V14, Verb::GOSSIP_DIGEST_SYN, "0000 0000 8005 00000000", "0000 0000 05 00000000"),
    ] {
        let (body, shortest) = (hex(body), hex(shortest));
        let message = decode(verb, &body, version).unwrap();
        assert!(!has_one_form(version, &message, &body));
        assert_eq!(encode(&message, version), shortest);
        assert_harmless(version, verb, &body);
        assert!(has_one_form(version, &message, &shortest));
        assert_harmless(version, verb, &shortest);
    }
}

/// Asserts that `body` is refused, or else is a message like any other, which encodes to the same bytes.
fn assert_harmless(version: MessagingVersion, verb: Verb, body: &[u8]) {
    let Ok(message) = decode(verb, body, version) else { return };
    let content = Content::of(&message);
    match message {
        Message::Ack(ack) => ack.states.iter().for_each(|(_, state)| look_at(&state)),
        Message::Ack2(ack2) => ack2.states.iter().for_each(|(_, state)| look_at(&state)),
        Message::Shutdown(shutdown) => shutdown.state.iter().for_each(look_at),
        Message::Syn(_) | Message::EchoRequest | Message::EchoResponse => {}
    }
    let encoded = encode(&message, version);
    if has_one_form(version, &message, body) {
        assert_eq!(encoded, body, "{message:?}");
    }
    assert_eq!(Content::of(&decode(verb, &encoded, version).unwrap()), content);
}

/// Whether `body` is the only way to write `message`. There are two things that decoding does not keep, and no
/// receiver can tell: a negative number of values in a shutdown's state, taken for none as Cassandra does (states in
/// a map are copied as they came), and a metadata id in a longer form than it needs.
fn has_one_form(version: MessagingVersion, message: &Message<'_>, body: &[u8]) -> bool {
    match message {
        Message::Shutdown(shutdown) if shutdown.state.is_some() => body[8] < 0x80,
        Message::Syn(syn) if version >= MessagingVersion::V14 => {
            // Two lengths, the two strings.
            let id = &body[4 + syn.cluster.len() + syn.partitioner.len()..];
            let extra = id[0].leading_ones();
            extra == 0 || i64::from(syn.metadata_id.get()).cast_unsigned() >> (7 * extra) != 0
        }
        _ => true,
    }
}

/// Uses everything that a state offers, and checks it against the list of its values.
fn look_at(state: &EndpointState<'_>) {
    let mut values: BTreeMap<ApplicationState, Value<'_>> = BTreeMap::new();
    for (key, value) in state.values() {
        assert_eq!(values.insert(key, value), None, "{key} twice");
        assert_eq!(JavaStr::new(value.text.as_bytes()), Ok(value.text));
        assert!(value.text.as_str().is_none_or(|text| text == value.text.to_text()));
        assert!(value.text.to_latin1().is_none_or(|bytes| bytes.len() == value.text.units().count()));
    }
    assert!(values.len() <= state.len() && values.is_empty() == state.is_empty());
    for (key, value) in &values {
        assert_eq!(state.value(*key), Some(*value));
    }
    let versions = values.values().map(|value| value.version).chain([state.heartbeat.version]);
    assert_eq!(Some(state.max_version()), versions.max());
}

fn versions() -> impl Strategy<Value = MessagingVersion> {
    select(&MessagingVersion::ALL[..])
}

fn verbs() -> impl Strategy<Value = Verb> {
    select(vec![
        Verb::GOSSIP_DIGEST_SYN,
        Verb::GOSSIP_DIGEST_ACK,
        Verb::GOSSIP_DIGEST_ACK2,
        Verb::GOSSIP_SHUTDOWN,
        Verb::ECHO_REQ,
        Verb::ECHO_RSP,
    ])
}

/// Messages that a given version can carry whole.
fn contents() -> impl Strategy<Value = (MessagingVersion, Content)> {
    versions().prop_flat_map(|version| (Just(version), content(version)))
}

fn content(version: MessagingVersion) -> impl Strategy<Value = Content> {
    let has_id = version >= MessagingVersion::V14;
    let has_state = version >= MessagingVersion::V13;
    let digests = move || prop::collection::vec(digest(version), 0..8);
    let states = move || prop::collection::vec((address(version), state()), 0..5);
    // Every length of the variable-length integer is as likely.
    let id = (any::<i32>(), 0..32_u32)
        .prop_map(move |(id, shift)| MetadataId::new(if has_id { id >> shift } else { 0 }));
    prop_oneof![
        (text(), text(), id, digests()).prop_map(|(cluster, partitioner, metadata_id, digests)| {
            Content::Syn { cluster, partitioner, metadata_id, digests }
        }),
        (digests(), states()).prop_map(|(requests, states)| Content::Ack { requests, states }),
        states().prop_map(|states| Content::Ack2 { states }),
        state().prop_map(move |state| Content::Shutdown { state: has_state.then_some(state) }),
    ]
}

fn digest(version: MessagingVersion) -> impl Strategy<Value = Digest> {
    (address(version), number(), number()).prop_map(|(endpoint, generation, max_version)| Digest {
        endpoint,
        generation: Generation::new(generation),
        max_version: Version::new(max_version),
    })
}

/// An endpoint, with the one port that everybody has where addresses carry none.
fn address(version: MessagingVersion) -> impl Strategy<Value = Endpoint> {
    let port = prop_oneof![Just(7000), any::<u16>()]
        .prop_map(move |port| if version < MessagingVersion::V12 { 7000 } else { port });
    prop_oneof![
        (any::<[u8; 4]>(), port.clone()).prop_map(|(octets, port)| Endpoint::v4(octets, port)),
        (any::<[u8; 16]>(), port).prop_map(|(octets, port)| Endpoint::v6(octets, port)),
    ]
}

/// A state of different keys in any order.
fn state() -> impl Strategy<Value = State> {
    let key = prop_oneof![3 => 0..31, 1 => 50..80, 1 => any::<i32>()];
    let values = prop::collection::btree_map(key, (text(), number()), 0..6)
        .prop_map(|values| values.into_iter().collect::<Vec<_>>())
        .prop_shuffle();
    (number(), number(), values).prop_map(|(generation, version, values)| State {
        heartbeat: HeartbeatState { generation: Generation::new(generation), version: Version::new(version) },
        values: values
            .into_iter()
            .map(|(key, (text, version))| (ApplicationState::new(key), text, Version::new(version)))
            .collect(),
    })
}

/// Text in modified UTF-8; now and then one that only Java can hold.
fn text() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        "[a-z0-9.,:-]{0,20}".prop_map(|text| java(&text)),
        prop::collection::vec(any::<char>(), 0..10).prop_map(|text| java(&String::from_iter(text))),
        prop::collection::vec(any::<u8>(), 0..20)
            .prop_map(|bytes| java(&bytes.into_iter().map(char::from).collect::<String>())),
        // Overlong, and half of a surrogate pair.
        select(vec![vec![0xc1, 0x81], vec![0xe0, 0x81, 0x81], vec![0x61, 0xed, 0xa0, 0xbd]]),
    ]
}

fn number() -> impl Strategy<Value = i32> {
    prop_oneof![Just(-1), Just(0), Just(i32::MAX), Just(i32::MIN), 1..10_000, any::<i32>()]
}

/// What can happen to a body.
#[derive(Clone, Copy, Debug)]
enum Damage {
    Set(u8),
    Insert(u8),
    Remove,
    Cut,
}

fn damage() -> impl Strategy<Value = Damage> {
    let byte = || prop_oneof![Just(0), Just(1), Just(0xff), any::<u8>()];
    prop_oneof![
        6 => byte().prop_map(Damage::Set),
        2 => byte().prop_map(Damage::Insert),
        2 => Just(Damage::Remove),
        1 => Just(Damage::Cut),
    ]
}

impl Damage {
    fn apply(self, body: &mut Vec<u8>, at: Index) {
        let at = at.index(body.len() + 1);
        match self {
            Self::Set(byte) => {
                if let Some(place) = body.get_mut(at) {
                    *place = byte;
                }
            }
            Self::Insert(byte) => body.insert(at, byte),
            Self::Remove if at < body.len() => drop(body.remove(at)),
            Self::Remove => {}
            Self::Cut => body.truncate(at),
        }
    }
}
