//! Reads the TCP connections out of a capture.

use alloc::collections::BTreeMap;
use core::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::fs::File;
use std::path::Path;

use pcap_file::DataLink;
use pcap_file::pcap::PcapReader;

/// Where the acceptors of all captures listen: it tells the ends of a connection apart whose start was missed.
const ACCEPTOR_PORT: u16 = 7000;

/// A TCP connection. A second one between the same two ports is another.
#[derive(Debug)]
pub(crate) struct Connection {
    /// Who dialled.
    pub(crate) from: SocketAddr,
    /// Who accepted.
    pub(crate) to: SocketAddr,
    /// What the dialler sent.
    pub(crate) sent: Stream,
    /// What the acceptor sent.
    pub(crate) received: Stream,
}

/// One direction of a connection.
#[derive(Debug, Default)]
pub(crate) struct Stream {
    /// Capture time in microseconds, and bytes; in the order of the stream, without repetitions.
    pub(crate) segments: Vec<(u64, Vec<u8>)>,
    /// Whether the start of the direction is in the capture, and no byte after it is missing.
    pub(crate) is_whole: bool,
    /// Whether the sender closed it in order.
    pub(crate) is_finished: bool,
}

/// Reads all connections in `file`, in the order of their first packets.
///
/// # Panics
///
/// If the file is not a capture of IPv4 over Ethernet (the link type of loopback) or holds a malformed packet.
pub(crate) fn connections(file: &Path) -> Vec<Connection> {
    let mut reader = PcapReader::new(File::open(file).unwrap()).unwrap();
    assert_eq!(reader.header().datalink, DataLink::ETHERNET, "{}", file.display());
    let mut open: BTreeMap<(SocketAddr, SocketAddr), Halves> = BTreeMap::new();
    let mut order = 0;
    let mut closed = Vec::new();
    while let Some(packet) = reader.next_packet() {
        let packet = packet.unwrap();
        assert_eq!(packet.data.len(), usize::try_from(packet.orig_len).unwrap(), "a packet was cut");
        let micros = u64::try_from(packet.timestamp.as_micros()).unwrap();
        let Some(packet) = parse(&packet.data) else { continue };
        let is_dial = packet.flags & (SYN | ACK) == SYN;
        let (ends, dialler_sends) = match packet.to.port() {
            ACCEPTOR_PORT => ((packet.from, packet.to), true),
            _ => ((packet.to, packet.from), false),
        };
        // A dial with another number than the last one is not a repetition: the port is used again.
        if is_dial && open.get(&ends).is_some_and(|halves| halves.dialler.start != Some(packet.sequence)) {
            closed.extend(open.remove(&ends).map(|halves| (ends, halves)));
        }
        let halves = open.entry(ends).or_insert_with(|| {
            order += 1;
            Halves { order, ..Halves::default() }
        });
        let half = if dialler_sends { &mut halves.dialler } else { &mut halves.acceptor };
        half.add(micros, packet);
    }
    closed.extend(open);
    closed.sort_by_key(|(_, halves)| halves.order);
    closed
        .into_iter()
        .map(|((from, to), halves)| Connection {
            from,
            to,
            sent: halves.dialler.stream(),
            received: halves.acceptor.stream(),
        })
        .collect()
}

const FIN: u8 = 0x01;
const SYN: u8 = 0x02;
const ACK: u8 = 0x10;

#[derive(Default)]
struct Halves {
    order: usize,
    dialler: Half,
    acceptor: Half,
}

/// The packets of one direction, as they were captured.
#[derive(Default)]
struct Half {
    /// The sequence number of the SYN, which stands one before the first byte.
    start: Option<u32>,
    data: Vec<(u32, u64, Vec<u8>)>,
    is_finished: bool,
}

impl Half {
    fn add(&mut self, micros: u64, packet: Packet<'_>) {
        if packet.flags & SYN != 0 {
            self.start = Some(packet.sequence);
        } else if !packet.payload.is_empty() {
            self.data.push((packet.sequence, micros, packet.payload.to_vec()));
        }
        self.is_finished |= packet.flags & FIN != 0;
    }

    /// Puts the packets into the order of the stream, up to the first byte that is missing.
    fn stream(self) -> Stream {
        let is_finished = self.is_finished;
        let Some((first, ..)) = self.data.first() else {
            return Stream { segments: vec![], is_whole: self.start.is_some(), is_finished };
        };
        // Positions are relative to a first byte, since sequence numbers wrap around. Where the start was missed, the
        // least of those captured stands for it.
        let base = self.start.map_or(*first, |start| start.wrapping_add(1));
        let mut data: Vec<(i64, u64, Vec<u8>)> = self
            .data
            .into_iter()
            .map(|(sequence, micros, bytes)| {
                (i64::from(sequence.wrapping_sub(base).cast_signed()), micros, bytes)
            })
            .collect();
        // Stable: of the copies of a segment the one captured first stays first.
        data.sort_by_key(|(position, ..)| *position);
        let mut next = if self.start.is_some() { 0 } else { data[0].0 };
        let mut arrived = 0;
        let mut segments = Vec::new();
        let mut is_whole = self.start.is_some();
        for (position, micros, bytes) in data {
            let Ok(known) = usize::try_from(next - position) else {
                is_whole = false;
                break;
            };
            let Some(fresh) = bytes.get(known..).filter(|fresh| !fresh.is_empty()) else { continue };
            next += i64::try_from(fresh.len()).unwrap();
            // What overtook its predecessor could be read only after that.
            arrived = micros.max(arrived);
            segments.push((arrived, fresh.to_vec()));
        }
        Stream { segments, is_whole, is_finished }
    }
}

/// A TCP packet.
#[derive(Clone, Copy)]
struct Packet<'a> {
    from: SocketAddr,
    to: SocketAddr,
    sequence: u32,
    flags: u8,
    payload: &'a [u8],
}

/// Takes the TCP packet out of an Ethernet frame; `None` if the frame holds something else.
fn parse(frame: &[u8]) -> Option<Packet<'_>> {
    let ip = frame.get(14..).filter(|_| be16(frame, 12) == 0x0800)?;
    assert_eq!(ip[0] >> 4, 4, "the version of IP");
    if ip[9] != 6 {
        return None;
    }
    assert_eq!(be16(ip, 6) & 0x3fff, 0, "a fragment");
    // The frame may be padded: only the length in the header tells where the packet ends.
    let ip = ip.get(..usize::from(be16(ip, 2))).expect("a packet longer than its frame");
    let tcp = ip.get(usize::from(ip[0] & 0x0f) * 4..).expect("a whole IP header");
    let address = |at: usize| {
        let octets: [u8; 4] = ip[at..at + 4].try_into().unwrap();
        IpAddr::V4(Ipv4Addr::from(octets))
    };
    Some(Packet {
        from: SocketAddr::new(address(12), be16(tcp, 0)),
        to: SocketAddr::new(address(16), be16(tcp, 2)),
        sequence: u32::from(be16(tcp, 4)) << 16 | u32::from(be16(tcp, 6)),
        flags: tcp[13],
        payload: tcp.get(usize::from(tcp[12] >> 4) * 4..).expect("a whole TCP header"),
    })
}

fn be16(bytes: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([bytes[at], bytes[at + 1]])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_are_put_in_order_and_repetitions_dropped() {
        let start = u32::MAX - 2;
        let packet = |sequence: u32, flags, payload| Packet {
            from: SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 1),
            to: SocketAddr::new(Ipv4Addr::LOCALHOST.into(), ACCEPTOR_PORT),
            sequence: start.wrapping_add(sequence),
            flags,
            payload,
        };
        let mut half = Half::default();
        half.add(1, packet(0, SYN, b""));
        half.add(2, packet(3, ACK, b"cdef"));
        half.add(3, packet(1, ACK, b"abc"));
        half.add(4, packet(1, ACK, b"abc"));
        half.add(5, packet(7, ACK | FIN, b"g"));
        let stream = half.stream();
        assert!(stream.is_whole && stream.is_finished);
        assert_eq!(stream.segments, [(3, b"abc".to_vec()), (3, b"def".to_vec()), (5, b"g".to_vec())]);
    }

    #[test]
    fn a_missing_start_or_middle_is_noticed() {
        let packet = |sequence: u32, payload| Packet {
            from: SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 1),
            to: SocketAddr::new(Ipv4Addr::LOCALHOST.into(), ACCEPTOR_PORT),
            sequence,
            flags: ACK,
            payload,
        };
        let mut half = Half::default();
        half.add(1, packet(12, b"cd"));
        half.add(2, packet(10, b"ab"));
        half.add(3, packet(15, b"f"));
        let stream = half.stream();
        assert!(!stream.is_whole && !stream.is_finished);
        assert_eq!(stream.segments, [(2, b"ab".to_vec()), (2, b"cd".to_vec())]);
    }
}
