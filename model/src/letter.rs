//! A message under way.

use gossip_core::message::{Codec, EndpointState, Message};
use gossip_core::{Endpoint, MessagingVersion, Outgoing, Verb};

use crate::host::{number_of, permutations};

/// The version in which all messages are written: the one whose shutdown has no body, and so tells the least.
pub(crate) const VERSION: MessagingVersion = MessagingVersion::V12;

/// A message from one process to another.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Letter {
    /// The host that sent it.
    pub from: usize,
    /// How many processes that had had.
    pub from_boot: u8,
    /// The host that it goes to.
    pub to: usize,
    /// How many processes that had had when it was sent.
    pub to_boot: u8,
    pub(crate) outgoing: Outgoing,
    pub(crate) body: Box<[u8]>,
    /// What it says, once for each way in which the hosts can be named.
    faces: Box<[u64]>,
}

impl Letter {
    pub(crate) fn new(
        nodes: usize,
        (from, from_boot): (usize, u8),
        (to, to_boot): (usize, u8),
        outgoing: Outgoing,
        body: &[u8],
    ) -> Self {
        let message = decode(outgoing.verb, body);
        let faces = permutations(nodes).iter().map(|names| face(&message, names)).collect();
        Self { from, from_boot, to, to_boot, outgoing, body: body.into(), faces }
    }

    /// What kind of message it is.
    pub const fn verb(&self) -> Verb {
        self.outgoing.verb
    }

    pub(crate) fn message(&self) -> Message<'_> {
        decode(self.outgoing.verb, &self.body)
    }

    pub(crate) fn face(&self, naming: usize) -> u64 {
        self.faces[naming]
    }
}

fn decode(verb: Verb, body: &[u8]) -> Message<'_> {
    Message::decode(verb, body, Codec::new(VERSION))
        .expect("only gossip is sent")
        .expect("what a gossiper writes, a gossiper can read")
}

/// The order of what a message lists says nothing: it follows the addresses.
fn face(message: &Message<'_>, names: &[usize]) -> u64 {
    let name = |endpoint: Endpoint| names[number_of(endpoint)] as u64;
    let mut facts = Vec::new();
    let digests = |digests: &gossip_core::message::Digests<'_>, facts: &mut Vec<Vec<u64>>| {
        facts.extend(digests.iter().map(|digest| {
            vec![1, name(digest.endpoint), word(digest.generation.get()), word(digest.max_version.get())]
        }));
    };
    let state = |subject: u64, state: &EndpointState<'_>| {
        let heartbeat = state.heartbeat;
        let mut fact = vec![2, subject, word(heartbeat.generation.get()), word(heartbeat.version.get())];
        for (key, value) in state.values() {
            let text = text_hash(value.text.as_bytes());
            fact.extend([u64::from(key.number().cast_unsigned()), word(value.version.get()), text]);
        }
        fact
    };
    match message {
        Message::Syn(syn) => digests(&syn.digests, &mut facts),
        Message::Ack(ack) => {
            digests(&ack.requests, &mut facts);
            facts.extend(ack.states.iter().map(|(endpoint, what)| state(name(endpoint), &what)));
        }
        Message::Ack2(ack2) => {
            facts.extend(ack2.states.iter().map(|(endpoint, what)| state(name(endpoint), &what)));
        }
        Message::EchoRequest | Message::EchoResponse => {}
        Message::Shutdown(shutdown) => facts.extend(shutdown.state.iter().map(|what| state(0, what))),
    }
    facts.sort_unstable();
    facts.push(vec![message.verb().number()]);
    hash_facts(&facts)
}

fn word(number: i32) -> u64 {
    u64::from(number.cast_unsigned())
}

pub(crate) fn text_hash(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| mix(hash, u64::from(*byte)))
}

/// One of two numbers that says which they are.
pub(crate) const fn mix(hash: u64, word: u64) -> u64 {
    let mixed = (hash.rotate_left(5) ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed ^ (mixed >> 29)
}

pub(crate) fn hash_facts(facts: &[Vec<u64>]) -> u64 {
    facts
        .iter()
        .fold(1, |hash, fact| fact.iter().fold(mix(hash, fact.len() as u64), |hash, word| mix(hash, *word)))
}
