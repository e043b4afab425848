//! Packets of our own, written by hand.

use gossip_core::datagram::{BODIES, ClusterId, Cookie, DatagramMessages, Header};
use gossip_core::message::{Codec, Message};
use gossip_core::{DEFAULT_PARTITIONER, Endpoint, Generation};

use crate::content::{CLUSTER, Said};
use crate::handshake::written;

/// A packet that is not sealed.
pub(crate) fn packet(sender: Endpoint, generation: Generation, repeated: Cookie, said: &[Said]) -> Vec<u8> {
    let cluster = ClusterId::new(CLUSTER.as_bytes(), DEFAULT_PARTITIONER.as_bytes());
    let header = Header { cluster, sender, generation, given: Cookie::NONE, repeated, seal: None };
    let mut packet = written(|out| header.encode(out));
    for (id, said) in (1_u32..).zip(said) {
        let body = said.through(BODIES).body(BODIES);
        // What is too long for a packet is cut, as any packet may be.
        let length = u16::try_from(body.len()).unwrap_or(u16::MAX);
        packet.push(u8::try_from(said.verb().number()).expect("verbs of gossip are small"));
        packet.extend(id.to_be_bytes());
        packet.extend(length.to_be_bytes());
        packet.extend(&body[..usize::from(length)]);
    }
    packet
}

/// Asserts that what a node has sent can be read, as far as it is not sealed; gives the header, and the ids of echoes that ask.
pub(crate) fn read(packet: &[u8]) -> (Header, Vec<u64>) {
    let (header, rest) = Header::decode(packet).expect("what a node sends has a header");
    let mut echoes = Vec::new();
    if header.seal.is_none() {
        for message in DatagramMessages::new(rest) {
            let message = message.expect("what a node sends is whole");
            let decoded = Message::decode(message.verb, message.body, Codec::new(BODIES));
            match decoded.expect("a node sends nothing but gossip") {
                Ok(Message::EchoRequest) => echoes.push(message.id),
                decoded => drop(Said::of(&decoded.expect("what a node sends can be read"))),
            }
        }
    }
    (header, echoes)
}
