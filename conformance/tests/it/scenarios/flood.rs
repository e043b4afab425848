//! Peers that send as fast as they can.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{SystemTime, UNIX_EPOCH};

use gossip_adapter::{ApplicationState, Endpoint, Transport};

use super::garbage::{frame, initiate};
use crate::adapters::BUSY_INTERVAL;
use crate::lab::Lab;
use crate::member::{DEADLINE, Member, all_live, endpoints, eventually};
use crate::stream::Stream;

/// How many rounds a node does under the flood: more than others wait before they take a silent node for dead.
const ROUNDS: u64 = 25;

/// How many peers flood the node.
const FLOODS: u64 = 2;

/// How many packets of a flood are on their way at the most: a socket's buffer has room for them, and for those of the cluster.
const PACKETS_IN_FLIGHT: u64 = 64;

/// Two peers that send valid messages as fast as they can keep a node neither from its rounds nor from its commands, no node takes
/// the node for dead, and the application's own tasks go on.
pub(crate) fn a_flooded_node_keeps_its_rounds(lab: &Lab) {
    let spec = || {
        let mut spec = lab.spec();
        spec.interval = lab.interval.max(BUSY_INTERVAL);
        spec
    };
    let flooded_spec = spec();
    let ticks = flooded_spec.ticks.clone();
    let flooded = lab.start(flooded_spec);
    let seed = flooded.listen_address();
    let mut members = vec![flooded, lab.start(spec().seed(seed)), lab.start(spec().seed(seed))];
    all_live(&members);
    members.iter_mut().for_each(Member::forget_events);

    let _floods = [1, 2].map(|number| Flood::begin(&members[0], lab, number));

    let flood = |member: &Member| {
        let counters = member.counters();
        counters.ack2s_received + counters.packets_malformed
    };
    let before = flood(&members[0]);
    eventually("the flood has begun", || flood(&members[0]) > before + 1_000);
    let (rounds, began) = (members[0].counters().rounds, ticks.load(Ordering::Relaxed));
    eventually("rounds go on", || members[0].counters().rounds >= rounds + ROUNDS);
    if members[0].has_a_runtime() {
        let ticks = ticks.load(Ordering::Relaxed) - began;
        assert!(ticks >= ROUNDS, "the application's task had {ticks} turns in {ROUNDS} rounds");
    }
    let everybody = endpoints(&members);
    members[0].set_state(ApplicationState::DC, "flooded").wait().unwrap();
    for member in &mut members {
        eventually("its values are read", || member.reads(everybody[0], ApplicationState::DC, "flooded"));
        member.assert_up(&everybody);
    }
}

/// A thread that floods a node until this is dropped.
struct Flood {
    over: Arc<AtomicBool>,
}

impl Flood {
    fn begin(flooded: &Member, lab: &Lab, number: u16) -> Self {
        let (transport, is_secured) = (lab.transport, lab.is_secured());
        let over = Arc::new(AtomicBool::new(false));
        let (is_over, target, handle) = (over.clone(), flooded.listen_address(), flooded.common());
        thread::spawn(move || match transport {
            Transport::Datagram => {
                let taken = move || handle.stats().wait().map_or(0, |stats| stats.packets_malformed / FLOODS);
                flood_with_packets(target, taken, &is_over);
            }
            _ => {
                let stream = Stream::dial(target, is_secured).unwrap();
                flood_with_frames(stream, Endpoint::v4([127, 0, 0, 1], number), &is_over);
            }
        });
        Self { over }
    }
}

impl Drop for Flood {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
    }
}

/// Completes the handshake and sends valid ACK2s without states.
fn flood_with_frames(mut stream: Stream, stranger: Endpoint, over: &AtomicBool) {
    stream.socket().set_read_timeout(Some(DEADLINE)).unwrap();
    stream.write_all(&initiate(stranger)).unwrap();
    assert!(stream.read(&mut [0; 64]).unwrap() > 0, "the handshake is accepted");
    let created = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis();
    let created = u32::try_from(created & u128::from(u32::MAX)).unwrap();
    let frames = frame(&empty_ack2(created)).repeat(2_000);
    while !over.load(Ordering::Relaxed) && stream.write_all(&frames).is_ok() {}
}

/// Sends packets that are soon dropped, as many as the node takes.
fn flood_with_packets(target: SocketAddr, taken: impl Fn() -> u64, over: &AtomicBool) {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let begun = taken();
    let mut sent = 0;
    while !over.load(Ordering::Relaxed) {
        if sent < taken() - begun + PACKETS_IN_FLIGHT / 2 {
            for _ in 0..PACKETS_IN_FLIGHT / 2 {
                socket.send_to(&[0; 20], target).unwrap();
            }
            sent += PACKETS_IN_FLIGHT / 2;
        }
    }
}

/// An ACK2 of messaging version 13: id, creation, expiry (10 s later), verb, flags, parameters, length, and an empty map.
fn empty_ack2(created: u32) -> Vec<u8> {
    let mut message = vec![1];
    message.extend(created.to_be_bytes());
    message.extend([0xa7, 0x10, 16, 0, 0, 4]);
    message.extend([0; 4]);
    message
}
