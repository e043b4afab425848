//! Compressed frames that are short, and grow (`docs/protocol/framing.md`): what they grow to counts, not what was sent.

use gossip_core::internode::{ConnectionType, Framing, Initiate, MAX_FRAME_PAYLOAD, VersionRange};
use gossip_core::wire::{crc24, crc32};
use gossip_core::{ConnectionId, Verb};

use crate::hostile_node::{Played, VERSION, Wanted, frame_of, header};
use crate::support::{builder, digest, endpoint, syn, written};

const A: &str = "10.0.0.1:7000";
const B: &str = "10.0.0.2:7000";

/// A length as LZ4 continues it after its first four bits.
fn rest_of_length(rest: usize, block: &mut Vec<u8>) {
    block.resize(block.len() + rest / 255, 255);
    block.push(u8::try_from(rest % 255).unwrap());
}

/// A block that grows to `front` and zeros behind it, `len` bytes in all. Each of its bytes stands for 255 of them.
fn block(front: &[u8], len: usize) -> Vec<u8> {
    let literals = [front, &[0]].concat();
    let mut block = vec![0xff];
    rest_of_length(literals.len() - 15, &mut block);
    block.extend(&literals);
    // The byte before, again and again; five bytes end each block.
    block.extend([1, 0]);
    rest_of_length(len - literals.len() - 5 - 4 - 15, &mut block);
    block.extend([0x50, 0, 0, 0, 0, 0]);
    block
}

/// A frame that is a piece of a message.
fn piece(block: &[u8], announced: usize) -> Vec<u8> {
    let bits = block.len() as u64 | (announced as u64) << 17;
    let header = &bits.to_le_bytes()[..5];
    let crc = &crc24(header).to_le_bytes()[..3];
    [header, crc, block, &crc32(block).to_le_bytes()].concat()
}

/// The front of a message that never comes as a whole.
fn front() -> Vec<u8> {
    written(|out| header(Verb::GOSSIP_DIGEST_ACK2, (16 << 20) - 100).encode(VERSION, out))
}

/// A peer dials, wants its frames compressed, and sends this; what the node wants to close then.
fn send(a: &mut Played, n: usize, frame: &[u8]) -> (ConnectionId, Vec<ConnectionId>) {
    let from = endpoint(&format!("10.9.{}.{}:7000", n / 250, n % 250 + 1));
    let versions = VersionRange { min: 12, max: 12 };
    let initiate = Initiate::messaging(ConnectionType::Urgent, Framing::Lz4, versions, from);
    let connection = a.node.accept(a.now).unwrap();
    a.bytes(connection, &[written(|out| initiate.encode(out)), frame.to_vec()].concat());
    let close = |wanted| match wanted {
        Wanted::Close(id) => Some(id),
        _ => None,
    };
    (connection, a.wanted().into_iter().filter_map(close).collect())
}

#[test]
fn a_frame_that_grows_beyond_what_it_announces_ends_its_connection() {
    // A kilobyte grows to 256 KiB, twice what any frame may hold.
    let bomb = block(&front(), 1 << 18);
    assert!(bomb.len() < 1_200, "{}", bomb.len());
    for (turn, announced) in [100, 32_768, MAX_FRAME_PAYLOAD].into_iter().enumerate() {
        let mut a = Played::new(builder(A, 1).build().unwrap());
        let (connection, closed) = send(&mut a, turn, &piece(&bomb, announced));
        assert_eq!(closed, [connection], "{announced}");
        assert_eq!(a.node.stats().connections_failed, 1, "{announced}");
    }
    // The same that keeps what it announces is a good frame.
    let mut a = Played::new(builder(A, 1).build().unwrap());
    let good = piece(&block(&front(), MAX_FRAME_PAYLOAD), MAX_FRAME_PAYLOAD);
    assert_eq!(send(&mut a, 0, &good).1, []);
    assert_eq!(a.node.stats().connections_failed, 0);
}

#[test]
fn frames_that_grow_are_bounded_together_by_what_they_grow_to() {
    const LIMIT: usize = 2 << 20;
    const PEERS: usize = 100;
    let mut a =
        Played::new(builder(A, 1).change_limits(|limits| limits.max_inbound_bytes = LIMIT).build().unwrap());
    let bomb = piece(&block(&front(), MAX_FRAME_PAYLOAD), MAX_FRAME_PAYLOAD);
    assert!(PEERS * bomb.len() < LIMIT / 20, "all that is sent is but a small part of the limit");
    let mut open = Vec::new();
    for n in 0..PEERS {
        let (connection, closed) = send(&mut a, n, &bomb);
        open.push(connection);
        open.retain(|connection| !closed.contains(connection));
        assert!(open.len() * MAX_FRAME_PAYLOAD <= LIMIT, "{} hold more than the limit", open.len());
    }
    assert!(open.len() > 1, "what fits is kept");
    assert_eq!(a.node.stats().connections_failed, (PEERS - open.len()) as u64);
    // A peer that sends no bombs is heard.
    a.accept(B, &frame_of(&syn(&[digest(B, 1, 1)])));
    assert_eq!(a.node.stats().syns_received, 1);
}
