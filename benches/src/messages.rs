//! Messages, written by hand.

use std::cell::RefCell;

use gossip_core::message::Codec;
use gossip_core::wire::{JavaStr, Writer};
use gossip_core::{ApplicationState, DEFAULT_PARTITIONER, Endpoint, MessagingVersion};

use crate::order::Chance;

/// The version in which everything is written.
pub const CODEC: Codec = Codec::new(MessagingVersion::V12);

/// The most that a message may have, header aside.
pub const ROOM: usize = 65_515 - 59;

/// The name of the cluster.
pub const CLUSTER: &str = "bench";

/// The size of a digest, in bytes.
pub const DIGEST: usize = 15;

/// The size of a state that is a heartbeat alone, in bytes.
pub const HEARTBEAT: usize = 19;

/// How many addresses there are for each peer: a thousand lie in a network of 16 bits, and not side by side.
const SPREAD: u32 = 64;

/// The `n`-th peer, in the order of their addresses.
pub fn peer(n: u32) -> Endpoint {
    let [_, a, b, c] = (n * SPREAD + Chance::new(n.into()).below(SPREAD)).to_be_bytes();
    Endpoint::v4([10, a, b, c], 7000)
}

/// What a message says of one endpoint.
#[derive(Clone, Copy, Debug)]
pub struct Item {
    /// Which peer.
    pub peer: u32,
    /// Its heartbeat, or the greatest version that is known of it.
    pub version: i32,
    /// Under which version it has a new value, if it has.
    pub value: Option<i32>,
}

/// The body of a SYN.
///
/// # Panics
///
/// If there are too many for a message.
pub fn syn(items: &[Item]) -> Vec<u8> {
    body(|out| {
        string(out, CLUSTER);
        string(out, DEFAULT_PARTITIONER);
        digests(out, items);
    })
}

/// Where the digests of a SYN begin.
pub fn syn_head() -> usize {
    syn(&[]).len()
}

/// The body of an ACK.
///
/// # Panics
///
/// If there are too many for a message.
pub fn ack(requests: &[Item], states: &[Item]) -> Vec<u8> {
    body(|out| {
        digests(out, requests);
        state_map(out, states);
    })
}

/// The body of an ACK2.
///
/// # Panics
///
/// If there are too many for a message.
pub fn ack2(states: &[Item]) -> Vec<u8> {
    body(|out| state_map(out, states))
}

/// The twelve values that an ordinary node publishes, with versions from 1 on.
pub fn ordinary_states(n: u32) -> Vec<(ApplicationState, String)> {
    let ip = peer(n).ip();
    let token = i64::from(n).wrapping_mul(0x5851_f42d_4c95_7f2d);
    let tokens = gossip_core::encode_tokens(&[token]);
    vec![
        (ApplicationState::NET_VERSION, "12".into()),
        (ApplicationState::HOST_ID, format!("00000000-0000-4000-8000-{n:012x}")),
        (ApplicationState::NATIVE_ADDRESS_AND_PORT, format!("{ip}:9042")),
        (ApplicationState::LOAD, "224279.0".into()),
        (ApplicationState::RELEASE_VERSION, "4.1.7".into()),
        (ApplicationState::SSTABLE_VERSIONS, "big-nb".into()),
        (ApplicationState::INTERNAL_ADDRESS_AND_PORT, format!("{ip}:7000")),
        (ApplicationState::DC, "dc1".into()),
        (ApplicationState::RACK, "rack1".into()),
        (ApplicationState::SCHEMA, "59adb24e-f3cd-3e02-97f0-5b395827453f".into()),
        (ApplicationState::TOKENS, tokens),
        (ApplicationState::STATUS_WITH_PORT, format!("NORMAL,{token}")),
    ]
}

/// The body of an ACK2 with all that these peers publish, at one heartbeat.
///
/// # Panics
///
/// If there are too many for a message.
pub fn full_states(
    peers: &[u32],
    heartbeat: i32,
    states: impl Fn(u32) -> Vec<(ApplicationState, String)>,
) -> Vec<u8> {
    // Values may be long.
    body(|out| {
        int(out, count(peers.len()));
        for n in peers {
            let states = states(*n);
            head(out, *n, heartbeat, states.len());
            for (version, (key, text)) in (1..).zip(&states) {
                int(out, key.number());
                let mut encoded = Vec::new();
                gossip_core::wire::encode_str(text, &mut encoded);
                out.string(JavaStr::new(&encoded).expect("just encoded")).expect("room");
                int(out, version);
            }
        }
    })
}

fn digests(out: &mut Writer<'_>, items: &[Item]) {
    int(out, count(items.len()));
    for item in items {
        out.endpoint(peer(item.peer), CODEC.address_form()).expect("room");
        int(out, 1);
        int(out, item.version);
    }
}

fn state_map(out: &mut Writer<'_>, items: &[Item]) {
    int(out, count(items.len()));
    for item in items {
        head(out, item.peer, item.version, usize::from(item.value.is_some()));
        if let Some(version) = item.value {
            int(out, ApplicationState::LOAD.number());
            string(out, "224279.0");
            int(out, version);
        }
    }
}

fn head(out: &mut Writer<'_>, n: u32, heartbeat: i32, values: usize) {
    out.endpoint(peer(n), CODEC.address_form()).expect("room");
    int(out, 1);
    int(out, heartbeat);
    int(out, count(values));
}

fn count(len: usize) -> i32 {
    i32::try_from(len).expect("a list that fits a message")
}

thread_local! {
    /// More room than any message has that is measured. It is cleared once: to clear it for each message would take longer than what is
    /// written, and hundreds of times as long under callgrind.
    static BUFFER: RefCell<Vec<u8>> = RefCell::new(vec![0; 1 << 20]);
}

/// The body that is written so.
pub fn body(write: impl FnOnce(&mut Writer<'_>)) -> Vec<u8> {
    BUFFER.with_borrow_mut(|buffer| {
        let mut out = Writer::new(buffer);
        write(&mut out);
        out.written().to_vec()
    })
}

/// Writes a text.
///
/// # Panics
///
/// If there is no room, or it is not ASCII.
pub fn string(out: &mut Writer<'_>, text: &str) {
    let text = JavaStr::new(text.as_bytes()).expect("ASCII");
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
