//! Capture files, put together by hand.

/// The first captured packet's time, in seconds since the Unix epoch.
const START: u64 = 1_700_000_000;

/// Link types, each with what comes before the packets of IP: Ethernet, BSD's loopback, raw IP, Linux' cooked headers, and one
/// that is not read here.
const LINKS: [(u16, Front); 7] = [
    (1, Front::EtherTypeAt(12, 14)),
    (0, Front::Bytes(4)),
    (108, Front::Bytes(4)),
    (101, Front::Bytes(0)),
    (113, Front::EtherTypeAt(14, 16)),
    (276, Front::EtherTypeAt(0, 20)),
    (147, Front::Bytes(0)),
];

#[derive(Clone, Copy)]
enum Front {
    /// Where the type of what follows stands, and how long all of it is.
    EtherTypeAt(usize, usize),
    Bytes(usize),
}

/// What kind of network the packets are from.
#[derive(arbitrary::Arbitrary, Clone, Copy, Debug)]
pub(crate) struct Network {
    link: u8,
    is_v6: bool,
}

impl Network {
    fn link(self) -> (u16, Front) {
        LINKS[usize::from(self.link) % LINKS.len()]
    }

    /// Whether packets of it can be read.
    pub(crate) fn is_known(self) -> bool {
        self.link().0 != 147
    }

    /// A packet with a segment of TCP. No checksum is right; captures of packets that the network card is to finish look so.
    pub(crate) fn packet(self, segment: &Segment<'_>) -> Vec<u8> {
        let mut packet = match self.link().1 {
            Front::EtherTypeAt(at, length) => {
                let ether_type: [u8; 2] = if self.is_v6 { [0x86, 0xdd] } else { [0x08, 0x00] };
                let mut front = vec![0; length];
                front[at..at + 2].copy_from_slice(&ether_type);
                front
            }
            Front::Bytes(length) => vec![0; length],
        };
        let length = |header: usize| {
            u16::try_from(header + TCP_HEADER + segment.payload.len())
                .expect("packets are short")
                .to_be_bytes()
        };
        let [from, to] = if segment.from == 0 { [1, 2] } else { [2, 1] };
        if self.is_v6 {
            packet.extend([0x60, 0, 0, 0]);
            packet.extend(length(0));
            packet.extend([TCP, 64]);
            packet.extend([[from; 16], [to; 16]].concat());
        } else {
            packet.extend([0x45, 0]);
            packet.extend(length(20));
            packet.extend([0, 0, 0, 0, 64, TCP, 0, 0]);
            packet.extend([10, 0, 0, from, 10, 0, 0, to]);
        }
        let ports = [segment.port, 7000_u16];
        packet.extend(ports[segment.from].to_be_bytes());
        packet.extend(ports[1 - segment.from].to_be_bytes());
        packet.extend(segment.sequence.to_be_bytes());
        packet.extend(segment.acknowledged.unwrap_or_default().to_be_bytes());
        let ack = if segment.acknowledged.is_some() { ACK } else { 0 };
        packet.extend([0x50, segment.flags | ack, 0xff, 0xff, 0, 0, 0, 0]);
        packet.extend(segment.payload);
        packet
    }
}

const TCP: u8 = 6;
const TCP_HEADER: usize = 20;
pub(crate) const FIN: u8 = 1;
pub(crate) const SYN: u8 = 2;
pub(crate) const RST: u8 = 4;
const ACK: u8 = 16;

/// A segment between the dialler, end 0, and the acceptor.
pub(crate) struct Segment<'a> {
    pub(crate) from: usize,
    /// The dialler's.
    pub(crate) port: u16,
    pub(crate) sequence: u32,
    pub(crate) acknowledged: Option<u32>,
    pub(crate) flags: u8,
    pub(crate) payload: &'a [u8],
}

/// A captured packet: after how many microseconds, its bytes, and how many there were on the network.
pub(crate) struct Packet {
    pub(crate) after: u64,
    pub(crate) bytes: Vec<u8>,
    pub(crate) length: usize,
}

/// What a capture file looks like.
#[derive(arbitrary::Arbitrary, Clone, Copy, Debug)]
pub(crate) enum Format {
    Pcap { is_big: bool, has_nanos: bool },
    PcapNg { is_big: bool },
}

impl Format {
    pub(crate) fn file(self, network: Network, packets: &[Packet]) -> Vec<u8> {
        match self {
            Self::Pcap { is_big, has_nanos } => {
                let out = &mut File { is_big, bytes: Vec::new() };
                out.u32(if has_nanos { 0xa1b2_3c4d } else { 0xa1b2_c3d4 });
                out.u16(2);
                out.u16(4);
                for number in [0, 0, 1 << 18, network.link().0.into()] {
                    out.u32(number);
                }
                for packet in packets {
                    let fraction = packet.after % 1_000_000 * if has_nanos { 1_000 } else { 1 };
                    for number in [START + packet.after / 1_000_000, fraction, packet.bytes.len() as u64] {
                        out.u32(number.try_into().expect("seconds and lengths are small"));
                    }
                    out.u32(packet.length.try_into().expect("packets are short"));
                    out.bytes.extend(&packet.bytes);
                }
                core::mem::take(&mut out.bytes)
            }
            Self::PcapNg { is_big } => {
                let out = &mut File { is_big, bytes: Vec::new() };
                out.block(0x0a0d_0d0a, |out| {
                    out.u32(0x1a2b_3c4d);
                    out.u16(1);
                    out.u16(0);
                    out.bytes.extend([0xff; 8]);
                });
                out.block(1, |out| {
                    out.u16(network.link().0);
                    out.u16(0);
                    out.u32(0);
                });
                for packet in packets {
                    let micros = START * 1_000_000 + packet.after;
                    out.block(6, |out| {
                        out.u32(0);
                        out.u32((micros >> 32).try_into().expect("half of it"));
                        out.u32((micros & 0xffff_ffff).try_into().expect("half of it"));
                        out.u32(packet.bytes.len().try_into().expect("packets are short"));
                        out.u32(packet.length.try_into().expect("packets are short"));
                        out.bytes.extend(&packet.bytes);
                    });
                }
                core::mem::take(&mut out.bytes)
            }
        }
    }
}

struct File {
    is_big: bool,
    bytes: Vec<u8>,
}

impl File {
    fn u16(&mut self, number: u16) {
        self.bytes.extend(if self.is_big { number.to_be_bytes() } else { number.to_le_bytes() });
    }

    fn u32(&mut self, number: u32) {
        self.bytes.extend(if self.is_big { number.to_be_bytes() } else { number.to_le_bytes() });
    }

    /// A block of pcapng, with its length before and behind.
    fn block(&mut self, kind: u32, body: impl FnOnce(&mut Self)) {
        let mut inner = Self { is_big: self.is_big, bytes: Vec::new() };
        body(&mut inner);
        inner.bytes.resize(inner.bytes.len().next_multiple_of(4), 0);
        let length = u32::try_from(inner.bytes.len() + 12).expect("blocks are short");
        self.u32(kind);
        self.u32(length);
        self.bytes.append(&mut inner.bytes);
        self.u32(length);
    }
}
