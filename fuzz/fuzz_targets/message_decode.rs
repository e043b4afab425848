//! Any bytes, as the body of any gossip message of any version: decoding never panics, and what decodes can be encoded
//! and decoded again to the same.

#![no_main]

use arbitrary::Arbitrary;
use gossip_core::message::{Codec, EndpointState, Message};
use gossip_core::wire::Writer;
use gossip_core::{MessagingVersion, Verb};
use libfuzzer_sys::fuzz_target;

#[derive(Arbitrary, Debug)]
struct Input<'a> {
    verb: u8,
    version: u8,
    body: &'a [u8],
}

const VERBS: [Verb; 6] = [
    Verb::GOSSIP_DIGEST_SYN,
    Verb::GOSSIP_DIGEST_ACK,
    Verb::GOSSIP_DIGEST_ACK2,
    Verb::GOSSIP_SHUTDOWN,
    Verb::ECHO_REQ,
    Verb::ECHO_RSP,
];

fuzz_target!(|input: Input<'_>| {
    let verb = VERBS[usize::from(input.verb) % VERBS.len()];
    let version = MessagingVersion::ALL[usize::from(input.version) % MessagingVersion::ALL.len()];
    let codec = Codec::new(version);
    let Some(Ok(message)) = Message::decode(verb, input.body, codec) else { return };
    look_at(&message);

    // Longer forms of numbers than needed may shrink, nothing ever grows.
    let mut buffer = vec![0; input.body.len()];
    let mut out = Writer::new(&mut buffer);
    message.encode(codec, &mut out).expect("what was decoded fits where it came from");
    let again = Message::decode(verb, out.written(), codec).expect("the verb is one of gossip");
    assert_eq!(facts(&again.expect("what was encoded decodes")), facts(&message));
});

/// Walks over all that a message holds.
fn look_at(message: &Message<'_>) {
    let states = match message {
        Message::Syn(syn) => return assert_eq!(syn.digests.iter().count(), syn.digests.len()),
        Message::Ack(ack) => {
            assert_eq!(ack.requests.iter().count(), ack.requests.len());
            ack.states
        }
        Message::Ack2(ack2) => ack2.states,
        _ => return,
    };
    assert_eq!(states.iter().count(), states.len());
    for (_, state) in states.iter() {
        look_at_state(&state);
    }
}

fn look_at_state(state: &EndpointState<'_>) {
    assert!(state.max_version() >= state.heartbeat.version);
    for (key, value) in state.values() {
        assert_eq!(state.value(key), Some(value), "each key is there once");
        let _ = (value.text.to_text(), value.text.to_latin1());
    }
}

fn facts(message: &Message<'_>) -> String {
    let states = |states: &gossip_core::message::StateMap<'_>| {
        states
            .iter()
            .map(|(endpoint, state)| {
                let values: Vec<_> = state.values().map(|(key, value)| (key, value.text.as_bytes(), value.version)).collect();
                format!("{endpoint} {:?} {values:?}", state.heartbeat)
            })
            .collect::<Vec<_>>()
    };
    match message {
        Message::Syn(syn) => format!(
            "{:?} {:?} {} {:?}",
            syn.cluster.as_bytes(),
            syn.partitioner.as_bytes(),
            syn.metadata_id,
            syn.digests.iter().collect::<Vec<_>>()
        ),
        Message::Ack(ack) => format!("{:?} {:?}", ack.requests.iter().collect::<Vec<_>>(), states(&ack.states)),
        Message::Ack2(ack2) => format!("{:?}", states(&ack2.states)),
        Message::Shutdown(shutdown) => match &shutdown.state {
            Some(state) => format!(
                "{:?} {:?}",
                state.heartbeat,
                state.values().map(|(key, value)| (key, value.text.as_bytes(), value.version)).collect::<Vec<_>>()
            ),
            None => String::new(),
        },
        other => format!("{other:?}"),
    }
}
