//! What comes from strangers, and from those who only look like peers.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream, UdpSocket};
use std::time::Duration;

use gossip_adapter::{ApplicationState, Stats};
use gossip_core::internode::{ConnectionType, FrameKind, Framing, Initiate, VersionRange, wrap};
use gossip_core::wire::Writer;

use crate::adapters::BUSY_INTERVAL;
use crate::lab::Lab;
use crate::member::{DEADLINE, Member, all_live, endpoints, eventually};
use crate::proxy::Network;
use crate::random::Random;
use crate::stream::Stream;

/// How long a node waits for a stranger to say who it is. Its peers have to say it within that time too, through a proxy and on a busy
/// machine.
const PATIENCE: Duration = Duration::from_secs(2);

/// Connections that bring anything but messages of gossip disturb no node.
pub(crate) fn garbage_streams(lab: &Lab) {
    let mut network = Network::new(lab);
    let spec = || {
        let mut spec = lab.spec().tune(|config| {
            config
                .change_timeouts(|timeouts| timeouts.handshake = PATIENCE)
                .change_limits(|limits| limits.max_handshakes = 8)
        });
        spec.interval = lab.interval.max(BUSY_INTERVAL);
        spec
    };
    let seed = network.start(lab, spec());
    let front = crate::proxy::address(seed.endpoint());
    let mut members =
        vec![seed, network.start(lab, spec().seed(front)), network.start(lab, spec().seed(front))];
    all_live(&members);
    // What a peer really sends is known once it has hung up.
    let ended = members.pop().expect("there are three");
    ended.shutdown().wait().unwrap();
    let endpoint = members[0].endpoint();
    let is_real = |bytes: &[u8]| bytes.len() > Initiate::MAX_SIZE;
    eventually("a connection is captured", || {
        network.captured().iter().any(|captured| captured.to == endpoint && is_real(&captured.bytes))
    });
    let real =
        network.captured().into_iter().find(|captured| captured.to == endpoint && is_real(&captured.bytes));
    let real = real.expect("it was there").bytes;
    members.push(network.start(lab, spec().seed(front)));
    all_live(&members);
    members.iter_mut().for_each(Member::forget_events);

    let target = members[0].listen_address();
    let throw = |bytes: &[u8]| throw(lab, target, bytes);
    let mut random = Random::new(8);
    let handshake = initiate(ended.endpoint());
    let huge = [handshake.as_slice(), &frame(&huge_message())].concat();
    // The greatest length that a header of a frame can have, with a checksum that is none.
    let corrupt = [handshake.as_slice(), &[0xff; 6]].concat();
    // The checksum of the payload is wrong. It is dropped, and the connection goes on.
    let mut damaged = [handshake.as_slice(), &frame(&[0; 100])].concat();
    *damaged.last_mut().expect("it is not empty") ^= 1;
    for _ in 0..30 {
        let count = 1 + random.below(5_000);
        throw(&random.bytes(count));
        let count = random.below(handshake.len());
        throw(&handshake[..count]);
        let count = random.below(real.len());
        throw(&real[..count]);
        throw(&random.turn_a_bit(&real, handshake.len()));
        throw(&[handshake.as_slice(), &frame(&random.bytes(1_000))].concat());
        throw(&huge);
        throw(&corrupt);
    }
    // Some gave way unread, while too many others were in their handshake: what was not counted is thrown again, by itself.
    eventually("garbage is counted", || {
        let Stats { connections_failed, corrupt_frames, .. } = members[0].counters();
        if connections_failed == 0 {
            throw(&random.bytes(100));
        }
        if corrupt_frames == 0 {
            throw(&damaged);
        }
        connections_failed > 0 && corrupt_frames > 0
    });
    // Of too many strangers who say nothing the first give way. One that is not followed by another is closed after a while.
    let mut strangers = Vec::new();
    eventually("too many strangers give way", || {
        let is_displaced = members[0].counters().connections_displaced > 0;
        if !is_displaced {
            strangers.truncate(64);
            strangers.splice(0..0, (0..16).filter_map(|_| TcpStream::connect(target).ok()));
        }
        is_displaced
    });
    strangers.clear();
    let timeouts = members[0].counters().timeouts;
    strangers.extend(TcpStream::connect(target));
    eventually("a stranger who says nothing is closed", || members[0].counters().timeouts > timeouts);
    drop(strangers);
    assert_undisturbed(&mut members);
}

/// Packets that are cut, damaged or made up disturb no node.
pub(crate) fn garbage_packets(lab: &Lab) {
    let mut network = Network::new(lab);
    let mut members = network.cluster(lab, 3);
    let endpoint = members[0].endpoint();
    let is_real =
        |captured: &crate::proxy::Captured| captured.to == endpoint && captured.bytes.len() > HEADER;
    eventually("packets are captured", || network.captured().iter().filter(|one| is_real(one)).count() >= 8);
    let real: Vec<Vec<u8>> =
        network.captured().into_iter().filter(is_real).map(|captured| captured.bytes).collect();
    members.iter_mut().for_each(Member::forget_events);

    let stranger = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let target = members[0].listen_address();
    let mut random = Random::new(8);
    let mut throw = || {
        let count = random.below(2_000);
        stranger.send_to(&random.bytes(count), target).unwrap();
        let packet = &real[random.below(real.len())];
        stranger.send_to(&packet[..random.below(packet.len())], target).unwrap();
        // A packet that is not sealed is believed, so only what does not change its meaning is damaged: the header but for
        // the address in it.
        let header = random.turn_a_bit(&packet[..ADDRESS.start], 0);
        stranger.send_to(&[&header, &packet[ADDRESS.start..]].concat(), target).unwrap();
        let header = random.turn_a_bit(&packet[..HEADER], ADDRESS.end);
        stranger.send_to(&[&header, &packet[HEADER..]].concat(), target).unwrap();
        // As it was, once more.
        stranger.send_to(packet, target).unwrap();
    };
    (0..100).for_each(|_| throw());
    eventually("damaged packets are counted", || {
        // Where the socket is full, packets are lost.
        throw();
        let Stats { packets_malformed, foreign_cluster, unproven, .. } = members[0].counters();
        packets_malformed > 0 && foreign_cluster > 0 && unproven > 0
    });
    assert_undisturbed(&mut members);
}

/// A connection that does not finish its handshake is closed; other peers are served meanwhile.
pub(crate) fn stalled_handshake(lab: &Lab) {
    let node =
        lab.start(lab.spec().tune(|config| config.change_timeouts(|timeouts| timeouts.handshake = PATIENCE)));
    let handshake = initiate(node.endpoint());
    let stalled: Vec<TcpStream> = [0, 1, handshake.len() - 1]
        .into_iter()
        .map(|count| {
            let mut stream = TcpStream::connect(node.listen_address()).unwrap();
            stream.write_all(&handshake[..count]).unwrap();
            stream
        })
        .collect();
    let members = [lab.start(lab.spec().seed(node.listen_address())), node];
    all_live(&members);
    for mut stream in stalled {
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        // Closed, or reset because what was sent is not read any more.
        let end = stream.read(&mut [0]);
        assert!(
            end.as_ref().map_or_else(
                |error| error.kind() == std::io::ErrorKind::ConnectionReset,
                |count| *count == 0
            ),
            "{end:?}"
        );
    }
    assert!(members[1].counters().timeouts >= 3);
}

/// No node was taken for dead, and what is new still gets everywhere.
fn assert_undisturbed(members: &mut [Member]) {
    let everybody = endpoints(members);
    members[0].set_state(ApplicationState::DC, "undisturbed").wait().unwrap();
    for member in &mut *members {
        let reads = || member.reads(everybody[0], ApplicationState::DC, "undisturbed");
        eventually("the others go on", reads);
        member.assert_up(&everybody);
    }
    all_live(members);
}

/// Where the address of the sender stands in a packet, and where the messages begin if it is one of IPv4.
const ADDRESS: std::ops::Range<usize> = 12..19;
const HEADER: usize = ADDRESS.end + 4 + 8 + 8;

/// Sends bytes and hangs up, whatever the other side makes of it. Under TLS they are sent twice: as they are, and encrypted.
fn throw(lab: &Lab, target: SocketAddr, bytes: &[u8]) {
    let mut stream = TcpStream::connect(target).unwrap();
    // It may be closed in the middle.
    let _ = stream.write_all(bytes);
    drop(stream);
    if lab.is_secured() {
        // It may be closed before the end of the handshake of TLS.
        let _ = Stream::dial(target, true).and_then(|mut stream| stream.write_all(bytes));
    }
}

/// The first bytes of a connection from a node of that name.
pub(super) fn initiate(from: gossip_adapter::Endpoint) -> Vec<u8> {
    let mut buffer = [0; Initiate::MAX_SIZE];
    let mut out = Writer::new(&mut buffer);
    let initiate = Initiate::messaging(ConnectionType::Urgent, Framing::Crc, VersionRange::SUPPORTED, from);
    initiate.encode(&mut out).expect("there is room for the longest");
    out.written().to_vec()
}

/// A valid frame around that.
pub(super) fn frame(payload: &[u8]) -> Vec<u8> {
    let mut buffer = [&[0; 6], payload, &[0; 4]].concat();
    let frame = wrap(Framing::Crc, FrameKind::SelfContained, &mut buffer, 6..6 + payload.len());
    buffer[frame.expect("there is room")].to_vec()
}

/// A message that announces two thousand million bytes (a SYN of messaging version 13: id, creation, expiry, verb, flags,
/// parameters, length).
fn huge_message() -> Vec<u8> {
    let mut message = vec![1, 0, 0, 0, 0, 100, 14, 0, 0];
    message.extend([0xf0, 0x77, 0x35, 0x94, 0x00]);
    message.extend([0; 100]);
    message
}
