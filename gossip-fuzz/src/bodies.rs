//! The bodies of messages.

use gossip_core::message::{Codec, Message};
use gossip_core::wire::Writer;
use gossip_core::{MessagingVersion, Verb};

use crate::content::{Letter, Said};
use crate::{script, show};

const VERBS: [Verb; 6] = [
    Verb::GOSSIP_DIGEST_SYN,
    Verb::GOSSIP_DIGEST_ACK,
    Verb::GOSSIP_DIGEST_ACK2,
    Verb::GOSSIP_SHUTDOWN,
    Verb::ECHO_REQ,
    Verb::ECHO_RSP,
];

/// Any bytes, as the body of any gossip message of any version: decoding never panics, and what decodes can be encoded and
/// decoded again to the same.
///
/// The first byte chooses the verb, the second the version.
pub fn message_decode(data: &[u8]) {
    let [verb, version, body @ ..] = data else { return };
    let verb = VERBS[usize::from(*verb) % VERBS.len()];
    let version = MessagingVersion::ALL[usize::from(*version) % MessagingVersion::ALL.len()];
    let codec = Codec::new(version);
    let Some(Ok(message)) = Message::decode(verb, body, codec) else { return };
    let said = Said::of(&message);

    // Longer forms of numbers than needed may shrink, nothing ever grows.
    let mut buffer = vec![0; body.len()];
    let mut out = Writer::new(&mut buffer);
    message.encode(codec, &mut out).expect("what was decoded fits where it came from");
    let again = Message::decode(verb, out.written(), codec).expect("the verb is one of gossip");
    assert_eq!(Said::of(&again.expect("what was encoded decodes")), said);
}

/// Anything that a message can say, through every version: it decodes to what was said, and is encoded to the same bytes.
pub fn message_roundtrip(data: &[u8]) {
    let Some(letter) = script::<Letter<'_>>(data) else { return };
    let said = letter.said();
    let mut room = vec![0; 2 * said.body(MessagingVersion::V14).len() + 16];
    for version in MessagingVersion::ALL {
        let said = said.through(version);
        let codec = Codec::new(version);
        let body = said.body(version);
        let message = Message::decode(said.verb(), &body, codec).expect("the verb is one of gossip");
        let message = message.expect("what was put together decodes");
        assert_eq!(Said::of(&message), said, "{version:?}");
        let mut out = Writer::new(&mut room[..body.len()]);
        message.encode(codec, &mut out).expect("it takes as much room as it took");
        assert_eq!(out.written(), body, "{version:?}");
        // Without its last byte it is nothing.
        if let Some((_, cut)) = body.split_last() {
            assert!(Message::decode(said.verb(), cut, codec).is_none_or(|decoded| decoded.is_err()));
            let mut out = Writer::new(&mut room[..cut.len()]);
            assert!(message.encode(codec, &mut out).is_err() && out.is_empty());
        }
        // On its way through another version it loses what that cannot carry, and nothing else.
        for other in MessagingVersion::ALL {
            let lacks_a_body =
                matches!(said, Said::Shutdown { state: None }) && other >= MessagingVersion::V13;
            let mut out = Writer::new(&mut room);
            message.encode(Codec::new(other), &mut out).expect("an address grows by a port");
            let there = Message::decode(said.verb(), out.written(), Codec::new(other));
            match there.expect("the verb is one of gossip") {
                Ok(there) => assert_eq!(Said::of(&there), said.through(other), "{version:?} to {other:?}"),
                Err(error) => assert!(lacks_a_body, "{version:?} to {other:?}: {error}"),
            }
        }
    }
}

/// How an input of [`message_roundtrip`] reads.
pub(crate) fn show_roundtrip(data: &[u8]) -> String {
    show::<Letter<'_>>(data)
}
