//! What of TCP a captured packet carries.

use core::net::{IpAddr, SocketAddr};

use etherparse::{EtherType, LaxNetSlice, LaxSlicedPacket, TransportSlice};
use pcap_file::DataLink;

/// A segment of TCP.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Segment<'a> {
    pub(crate) from: SocketAddr,
    pub(crate) to: SocketAddr,
    pub(crate) sequence: u32,
    /// Up to where the sender has what the other end sends.
    pub(crate) acknowledged: Option<u32>,
    pub(crate) syn: bool,
    pub(crate) fin: bool,
    pub(crate) rst: bool,
    pub(crate) payload: &'a [u8],
}

/// What is in a packet.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Packet<'a> {
    Tcp(Segment<'a>),
    /// A part of a packet that IP had to cut. They are not put together.
    Fragment,
    /// Anything else.
    Other,
    /// The link type is not one of those that are understood.
    UnknownLink,
}

/// The number of Linux' "cooked" headers in front of packets of any interface, first and second version.
const SLL_HEADER: usize = 16;
const SLL2_HEADER: usize = 20;
/// The size of what BSD writes in front of packets on loopback.
const NULL_HEADER: usize = 4;
/// What some systems write instead of [`DataLink::RAW`].
const RAW_BSD: u32 = 12;
const RAW_OPENBSD: u32 = 14;

/// Takes a packet apart; what was cut off its end is missing from the payload.
pub(crate) fn parse(link: DataLink, bytes: &[u8]) -> Packet<'_> {
    let from_ether_type = |ether_type: Option<&[u8; 2]>, header: usize| {
        let (ether_type, rest) = (u16::from_be_bytes(*ether_type?), bytes.get(header..)?);
        Some(LaxSlicedPacket::from_ether_type(EtherType(ether_type), rest))
    };
    let from_ip = |header: usize| LaxSlicedPacket::from_ip(bytes.get(header..)?).ok();
    let sliced = match link {
        DataLink::ETHERNET => LaxSlicedPacket::from_ethernet(bytes).ok(),
        DataLink::LINUX_SLL => {
            from_ether_type(bytes.get(14..).and_then(|rest| rest.first_chunk()), SLL_HEADER)
        }
        DataLink::LINUX_SLL2 => from_ether_type(bytes.first_chunk(), SLL2_HEADER),
        DataLink::NULL | DataLink::LOOP => from_ip(NULL_HEADER),
        DataLink::RAW | DataLink::IPV4 | DataLink::IPV6 => from_ip(0),
        DataLink::Unknown(RAW_BSD | RAW_OPENBSD) => from_ip(0),
        _ => return Packet::UnknownLink,
    };
    sliced.as_ref().map_or(Packet::Other, segment)
}

fn segment<'a>(sliced: &LaxSlicedPacket<'a>) -> Packet<'a> {
    let (source, destination, is_fragment): (IpAddr, IpAddr, bool) = match &sliced.net {
        Some(LaxNetSlice::Ipv4(ip)) => {
            let header = ip.header();
            (header.source_addr().into(), header.destination_addr().into(), ip.is_payload_fragmented())
        }
        Some(LaxNetSlice::Ipv6(ip)) => {
            let header = ip.header();
            (header.source_addr().into(), header.destination_addr().into(), ip.is_payload_fragmented())
        }
        _ => return Packet::Other,
    };
    match &sliced.transport {
        _ if is_fragment => Packet::Fragment,
        Some(TransportSlice::Tcp(tcp)) => Packet::Tcp(Segment {
            from: SocketAddr::new(source, tcp.source_port()),
            to: SocketAddr::new(destination, tcp.destination_port()),
            sequence: tcp.sequence_number(),
            acknowledged: tcp.ack().then(|| tcp.acknowledgment_number()),
            syn: tcp.syn(),
            fin: tcp.fin(),
            rst: tcp.rst(),
            payload: tcp.payload(),
        }),
        _ => Packet::Other,
    }
}

#[cfg(test)]
mod tests {
    use etherparse::PacketBuilder;

    use super::*;

    const V4: [[u8; 4]; 2] = [[10, 0, 0, 1], [10, 0, 0, 2]];
    const V6: [[u8; 16]; 2] = [[1; 16], [2; 16]];

    #[test]
    fn every_link_type_leads_to_the_segment() {
        let [source, destination] = V4;
        let tcp = PacketBuilder::ipv4(source, destination, 64).tcp(49_152, 7000, 7, 8).ack(9);
        let mut ip = Vec::new();
        tcp.write(&mut ip, b"hello").unwrap();
        let ether = |ether_type: u16| [&[0; 12][..], &ether_type.to_be_bytes()].concat();
        let vlan = |outer: u16| [&ether(outer)[..], &[0, 5, 0x08, 0]].concat();
        let two_vlans = [&ether(0x88a8)[..], &[0, 5, 0x81, 0, 0, 6, 0x08, 0]].concat();
        let sll = [&[0; 14][..], &[0x08, 0]].concat();
        let sll2 = [&[0x08, 0][..], &[0; 18]].concat();
        for (link, head) in [
            (DataLink::ETHERNET, ether(0x0800)),
            (DataLink::ETHERNET, vlan(0x8100)),
            (DataLink::ETHERNET, two_vlans),
            (DataLink::LINUX_SLL, sll),
            (DataLink::LINUX_SLL2, sll2),
            (DataLink::NULL, vec![2, 0, 0, 0]),
            (DataLink::LOOP, vec![0, 0, 0, 2]),
            (DataLink::RAW, vec![]),
            (DataLink::IPV4, vec![]),
            (DataLink::Unknown(12), vec![]),
            (DataLink::Unknown(14), vec![]),
        ] {
            // A frame may be padded: only the length in the header tells where the packet ends.
            let bytes = [&head[..], &ip, &[0; 6]].concat();
            let expected = Segment {
                from: SocketAddr::new(source.into(), 49_152),
                to: SocketAddr::new(destination.into(), 7000),
                sequence: 7,
                acknowledged: Some(9),
                syn: false,
                fin: false,
                rst: false,
                payload: b"hello",
            };
            assert_eq!(parse(link, &bytes), Packet::Tcp(expected), "{link:?} {}", head.len());
            for cut in 0..head.len() + 40 {
                assert_eq!(parse(link, &bytes[..cut]), Packet::Other, "{link:?} cut at {cut}");
            }
        }
    }

    #[test]
    fn ipv6_and_its_extensions_are_read() {
        let [source, destination] = V6;
        let mut ip = Vec::new();
        PacketBuilder::ipv6(source, destination, 64).tcp(1, 7000, 7, 8).syn().write(&mut ip, b"").unwrap();
        let Packet::Tcp(segment) = parse(DataLink::IPV6, &ip) else { panic!("no segment") };
        assert!(segment.syn && !segment.fin && segment.acknowledged.is_none());
        assert_eq!(segment.to, SocketAddr::new(destination.into(), 7000));
        // Destination options, eight bytes of padding, between the headers.
        let mut extended = ip.clone();
        extended.splice(40..40, [6, 0, 1, 4, 0, 0, 0, 0]);
        extended[6] = 60;
        extended[5] += 8;
        assert_eq!(parse(DataLink::RAW, &extended), parse(DataLink::RAW, &ip));
    }

    #[test]
    fn what_is_no_whole_segment_is_none() {
        let [source, destination] = V4;
        let mut ip = Vec::new();
        let tcp = PacketBuilder::ipv4(source, destination, 64).tcp(1, 7000, 7, 8).fin();
        tcp.write(&mut ip, b"hello").unwrap();
        // What a capture cut off is missing at the end.
        let Packet::Tcp(segment) = parse(DataLink::RAW, &ip[..43]) else { panic!("no segment") };
        assert_eq!(segment.payload, b"hel");
        // Segments that the network card is to cut have no length yet.
        let mut long = ip.clone();
        (long[2], long[3]) = (0, 0);
        let Packet::Tcp(segment) = parse(DataLink::RAW, &long) else { panic!("no segment") };
        assert_eq!(segment.payload, b"hello");
        let mut fragment = ip.clone();
        fragment[6] = 0x20;
        assert_eq!(parse(DataLink::RAW, &fragment), Packet::Fragment);
        let mut udp = ip.clone();
        udp[9] = 17;
        assert_eq!(parse(DataLink::RAW, &udp), Packet::Other);
        assert_eq!(parse(DataLink::IEEE802_11, &ip), Packet::UnknownLink);
    }
}
