//! Packets that were changed on their way, or are replayed.

use arbitrary::Arbitrary;
use gossip_core::datagram::{DatagramMessages, Header};
use gossip_core::wire::Writer;
use gossip_core::{Endpoint, Generation, Input, Stats, Timestamp, Transport};

use crate::content::{LOCAL, START};
use crate::watched::{SECOND, Tuning, Wanted, Watched, ring};
use crate::{script, show};

const OTHER: Endpoint = Endpoint::v4([10, 0, 0, 2], 7000);

#[derive(Arbitrary, Debug)]
struct Road<'a> {
    rounds: u8,
    /// The keys of the receiver, and of the sender, which may have another first.
    rings: (u8, u8),
    steps: Vec<Step<'a>>,
}

/// What happens to a packet that the sender sent.
#[derive(Arbitrary, Debug)]
enum Step<'a> {
    Deliver {
        which: u8,
    },
    Change {
        which: u8,
        at: u16,
        bits: u8,
    },
    Cut {
        which: u8,
        length: u16,
    },
    Extend {
        which: u8,
        with: &'a [u8],
    },
    /// The header of one before the messages of another.
    Splice {
        front: u8,
        back: u8,
    },
    Any {
        bytes: &'a [u8],
    },
}

/// Sealed packets of an honest node on their way to another: whatever was changed is dropped and changes nothing, and what was not
/// counts once. Any bytes as a packet: what can be read is written the same again.
pub fn datagram_open(data: &[u8]) {
    assert_header_holds(data);
    let Some(road) = script::<Road<'_>>(data) else { return };
    let (receiver_ring, sender_ring) = road.rings;
    let mut receiver = node(LOCAL, OTHER, receiver_ring);
    let mut sender = node(OTHER, LOCAL, sender_ring);
    let mut sent = Vec::new();
    for _ in 0..=road.rounds % 4 {
        for node in [&mut receiver, &mut sender] {
            node.pass(SECOND);
            node.input(Input::Timeout);
        }
        // What the receiver says arrives; what the sender says waits.
        for packet in packets(&mut receiver) {
            sender.input(Input::Datagram { bytes: &packet });
        }
        sent.extend(packets(&mut sender));
    }
    let sealing = ring(sender_ring).ids().next();
    let has_the_key = ring(receiver_ring).ids().any(|key| Some(key) == sealing);
    let mut delivered = Vec::new();
    for step in &road.steps {
        let Some(packet) = changed(step, &sent) else { continue };
        assert_header_holds(&packet);
        let is_genuine = sent.contains(&packet);
        let (before, count) = (*receiver.node.stats(), receiver.node.gossiper().endpoint_count());
        receiver.input(Input::Datagram { bytes: &packet });
        let after = *receiver.node.stats();
        if is_genuine && has_the_key && !delivered.contains(&packet) {
            assert!(dropped(&after) == dropped(&before) || after.replayed > before.replayed);
            delivered.push(packet);
        } else {
            assert_eq!(dropped(&after), dropped(&before) + 1, "{step:?}");
            assert_eq!(taken(&after), taken(&before), "{step:?}");
            assert_eq!(receiver.node.gossiper().endpoint_count(), count);
        }
        // If it answers, the answer goes to the sender of the packet.
        for packet in packets(&mut receiver) {
            sender.input(Input::Datagram { bytes: &packet });
        }
        sent.extend(packets(&mut sender));
    }
}

fn node(local: Endpoint, seed: Endpoint, keys: u8) -> Watched {
    let config = Tuning::default().config(Transport::Datagram, local, Generation::new(START));
    let config = config.seed(seed).keys(ring(keys)).build().expect("it is valid");
    let mut node = Watched::new(config, Timestamp::ZERO);
    node.input(Input::WallClock { unix_ms: u64::from(START.unsigned_abs()) * 1_000 });
    node
}

fn packets(node: &mut Watched) -> Vec<Vec<u8>> {
    let packet = |wanted| match wanted {
        Wanted::Packet(_, bytes) => bytes,
        other => panic!("a node over packets wants {other:?}"),
    };
    node.drain().into_iter().map(packet).collect()
}

/// The packet that arrives.
fn changed(step: &Step<'_>, sent: &[Vec<u8>]) -> Option<Vec<u8>> {
    let one = |which: u8| usize::from(which).checked_rem(sent.len()).map(|at| sent[at].clone());
    match *step {
        Step::Deliver { which } => one(which),
        Step::Change { which, at, bits } => {
            let mut packet = one(which)?;
            let at = usize::from(at).checked_rem(packet.len())?;
            packet[at] ^= bits;
            Some(packet)
        }
        Step::Cut { which, length } => {
            let mut packet = one(which)?;
            packet.truncate(usize::from(length) % (packet.len() + 1));
            Some(packet)
        }
        Step::Extend { which, with } => Some([&one(which)?, with].concat()),
        Step::Splice { front, back } => {
            let (front, back) = (one(front)?, one(back)?);
            let behind = |packet: &[u8]| Header::decode(packet).ok().map(|(_, rest)| rest.len());
            let (head, tail) = (front.len() - behind(&front)?, back.len() - behind(&back)?);
            Some([&front[..head], &back[tail..]].concat())
        }
        Step::Any { bytes } => Some(bytes.to_vec()),
    }
}

/// How many packets were dropped, for whatever reason.
const fn dropped(stats: &Stats) -> u64 {
    stats.packets_malformed
        + stats.unspecified
        + stats.foreign_cluster
        + stats.foreign_partitioner
        + stats.unsealed
        + stats.forged
        + stats.replayed
}

/// How many messages got through.
const fn taken(stats: &Stats) -> u64 {
    stats.acks_received + stats.ack2s_received + stats.late_echoes + stats.stale_shutdowns + stats.malformed
}

fn assert_header_holds(bytes: &[u8]) {
    let Ok((header, rest)) = Header::decode(bytes) else { return };
    let mut buffer = vec![0; bytes.len()];
    let mut out = Writer::new(&mut buffer);
    header.encode(&mut out).expect("it takes as much room as it took");
    let front = &bytes[..bytes.len() - rest.len()];
    // An IPv4 address that is mapped into IPv6 is written as what it is.
    assert!(out.written() == front || out.len() < front.len());
    let bodies: usize = DatagramMessages::new(rest).flatten().map(|message| message.body.len()).sum();
    assert!(bodies <= rest.len());
}

/// How an input of [`datagram_open`] reads.
pub(crate) fn show_datagram_open(data: &[u8]) -> String {
    show::<Road<'_>>(data)
}
