//! What the benches share: gossipers with tables of a given size, and messages written by hand.

#![forbid(unsafe_code)]

use gossip_core::message::{Codec, Message};
use gossip_core::wire::Writer;
use gossip_core::{
    ApplicationState, Config, Endpoint, Generation, Gossiper, MessagingVersion, Session, Timestamp, Verb,
};

/// The version in which everything is written.
pub const CODEC: Codec = Codec::new(MessagingVersion::V12);

/// The most that a message may have, header aside.
pub const ROOM: usize = 65_515 - 59;

/// The `n`-th peer.
pub fn peer(n: u32) -> Endpoint {
    let [_, a, b, c] = n.to_be_bytes();
    Endpoint::v4([10, a, b, c], 7000)
}

/// A gossiper that knows `count` peers, each at generation 1 with a heartbeat of `heartbeat` and one value.
///
/// # Panics
///
/// If the peers could not be taught, which a change of the protocol's rules may bring about.
pub fn gossiper(count: u32, heartbeat: i32) -> Gossiper {
    let config = Config::builder("bench", Endpoint::v4([127, 0, 0, 1], 7000), Generation::new(1), [7; 32])
        .max_endpoints(count as usize + 1)
        .build()
        .expect("the numbers are in range");
    let mut gossiper = Gossiper::new(config, Timestamp::ZERO);
    let mut session = Session::default();
    let all: Vec<u32> = (0..count).collect();
    let mut buffer = vec![0; ROOM];
    // A state is taken only if it was asked for, and not all are asked for at once.
    for (round, chunk) in (1..).zip(all.chunks(500)) {
        let syn = syn(chunk, heartbeat);
        handle(&mut gossiper, &mut session, Verb::GOSSIP_DIGEST_SYN, &syn);
        drain(&mut gossiper, &mut buffer);
        let states = states(chunk, heartbeat, true);
        handle(&mut gossiper, &mut session, Verb::GOSSIP_DIGEST_ACK2, &states);
        drain(&mut gossiper, &mut buffer);
        while gossiper.poll_event().is_some() {}
        // A round puts them in order.
        gossiper.handle_timeout(Timestamp::from_millis(round * 1_000));
    }
    gossiper.handle_timeout(Timestamp::from_millis(1_000_000));
    drain(&mut gossiper, &mut buffer);
    assert_eq!(gossiper.endpoint_count(), count as usize + 1, "all peers are known");
    gossiper
}

/// Takes in a message from the first peer.
///
/// # Panics
///
/// If it cannot be decoded.
pub fn handle(gossiper: &mut Gossiper, session: &mut Session, verb: Verb, body: &[u8]) {
    let message = Message::decode(verb, body, CODEC).expect("a gossip verb").expect("a sound body");
    gossiper.handle_message(Timestamp::ZERO, peer(0), 1, session, &message);
}

/// Writes all that is due, and returns the size of the last body.
pub fn drain(gossiper: &mut Gossiper, buffer: &mut [u8]) -> usize {
    let mut size = 0;
    while let Some(to) = gossiper.next_peer() {
        loop {
            let mut out = Writer::new(buffer);
            if gossiper.encode(to, CODEC, &mut out).is_none() {
                break;
            }
            size = out.len();
        }
    }
    size
}

/// The body of a SYN that lists these peers at this heartbeat.
///
/// # Panics
///
/// If they are too many for a message.
pub fn syn(peers: &[u32], heartbeat: i32) -> Vec<u8> {
    syn_with(peers, |_| heartbeat)
}

/// The body of a SYN that lists these peers, each at a heartbeat of its own.
///
/// # Panics
///
/// If they are too many for a message.
pub fn syn_with(peers: &[u32], heartbeat: impl Fn(u32) -> i32) -> Vec<u8> {
    body(|out| {
        string(out, "bench");
        string(out, gossip_core::DEFAULT_PARTITIONER);
        int(out, i32::try_from(peers.len()).expect("a list that fits a message"));
        for n in peers {
            out.endpoint(peer(*n), CODEC.address_form()).expect("room");
            int(out, 1);
            int(out, heartbeat(*n));
        }
    })
}

/// The body of an ACK2 with these peers at this heartbeat, and one value each if asked for.
///
/// # Panics
///
/// If they are too many for a message.
pub fn states(peers: &[u32], heartbeat: i32, with_value: bool) -> Vec<u8> {
    body(|out| {
        int(out, i32::try_from(peers.len()).expect("a list that fits a message"));
        for n in peers {
            out.endpoint(peer(*n), CODEC.address_form()).expect("room");
            int(out, 1);
            int(out, heartbeat);
            int(out, i32::from(with_value));
            if with_value {
                int(out, ApplicationState::DC.number());
                string(out, "dc1");
                int(out, 1);
            }
        }
    })
}

/// The body that is written so.
pub fn body(write: impl FnOnce(&mut Writer<'_>)) -> Vec<u8> {
    let mut buffer = vec![0; 1 << 20];
    let mut out = Writer::new(&mut buffer);
    write(&mut out);
    out.written().to_vec()
}

/// Writes a text.
///
/// # Panics
///
/// If there is no room, or it is not ASCII.
pub fn string(out: &mut Writer<'_>, text: &str) {
    let text = gossip_core::wire::JavaStr::new(text.as_bytes()).expect("ASCII");
    out.string(text).expect("room");
}

/// Writes a number.
///
/// # Panics
///
/// If there is no room.
pub fn int(out: &mut Writer<'_>, value: i32) {
    out.i32(value).expect("room");
}
