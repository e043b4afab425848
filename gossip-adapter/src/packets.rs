//! Many packets with one call of the system.
//!
//! A list of a thousand endpoints takes fourteen packets, all to the same peer. To send and receive them one by one costs more than all that a
//! node does with them. Linux cuts a long buffer into packets itself (`UDP_SEGMENT`, since 4.18), and gives several packets of one
//! sender as one (`UDP_GRO`, since 5.0). Elsewhere, and where a device refuses, packets are sent and received one by one.

use std::io;
use std::mem;
use std::net::SocketAddr;
use std::ops::Range;

/// How many bytes are collected before they are sent, and how many packets: systems take at least 64.
const MAX_BYTES: usize = 32 * 1024;
const MAX_PACKETS: usize = 48;

/// After the system has refused to cut packets, it is asked again after so many bursts.
const REFUSED: u32 = 256;

/// For how many bytes of packets a socket is to have room, if the system allows it. Where hundreds of nodes ask at once, the usual room for
/// a hundred packets is soon full, and the rest is lost.
#[cfg(unix)]
const RECEIVE_BUFFER: usize = 1024 * 1024;

/// What one call has received: packets of one size behind each other. The last may be shorter.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Received {
    length: usize,
    size: usize,
}

impl Received {
    /// One packet of so many bytes.
    pub const fn one(length: usize) -> Self {
        Self { length, size: length }
    }

    /// Packets of `size` bytes, `length` bytes in all.
    pub const fn many(length: usize, size: usize) -> Self {
        Self { length, size }
    }
}

/// The packets that were received, and have not been handled yet: where they lie in the buffer.
#[derive(Debug, Default)]
pub(crate) struct Unhandled {
    bytes: Range<usize>,
    size: usize,
    has_empty: bool,
}

impl Unhandled {
    pub(crate) fn of(received: Received, buffer: usize) -> Self {
        let length = received.length.min(buffer);
        Self { bytes: 0..length, size: received.size, has_empty: length == 0 }
    }

    /// Where the next packet lies.
    pub(crate) fn next(&mut self) -> Option<Range<usize>> {
        let Range { start, end } = self.bytes;
        if start == end {
            return mem::take(&mut self.has_empty).then_some(start..end);
        }
        let next = if self.size == 0 { end } else { end.min(start + self.size) };
        self.bytes.start = next;
        Some(start..next)
    }
}

/// Packets to one address that are sent together. A driver adds the packets of [`Output::Datagram`](gossip_core::Output), and sends them at
/// any other output.
#[derive(Debug, Default)]
pub struct Burst {
    to: Option<SocketAddr>,
    bytes: Vec<u8>,
    /// That of the first packet, and of all but the last.
    size: usize,
    count: usize,
    /// For how many bursts the system is not to be asked to cut them.
    refused: u32,
}

/// Packets that could not be sent.
pub type Unsent = (SocketAddr, io::Error);

impl Burst {
    /// None.
    pub const fn new() -> Self {
        Self { to: None, bytes: Vec::new(), size: 0, count: 0, refused: 0 }
    }

    /// Adds a packet, after those that are here were sent if it cannot go with them.
    ///
    /// # Errors
    ///
    /// What came of those that were sent.
    pub fn add(
        &mut self,
        to: SocketAddr,
        packet: &[u8],
        send: impl FnMut(&[u8], usize, SocketAddr) -> io::Result<()>,
    ) -> Result<(), Unsent> {
        let sent = if self.takes(to, packet.len()) { Ok(()) } else { self.send(send) };
        if self.to.is_none() {
            (self.to, self.size) = (Some(to), packet.len());
        }
        self.bytes.extend_from_slice(packet);
        self.count += 1;
        sent
    }

    /// Whether such a packet can be sent with those that are here: to the same address, none longer than the first, and none shorter but the
    /// last.
    fn takes(&self, to: SocketAddr, length: usize) -> bool {
        self.to.is_none()
            || self.to == Some(to)
                && self.size > 0
                && self.bytes.len() == self.size * self.count
                && (1..=self.size).contains(&length)
                && self.count < MAX_PACKETS
                && self.bytes.len() + length <= MAX_BYTES
    }

    /// Sends what is here. `send` is given the packets, the size of each but the last, and the address. It may refuse more than one packet.
    ///
    /// # Errors
    ///
    /// That of the first packet which could not be sent.
    pub fn send(
        &mut self,
        mut send: impl FnMut(&[u8], usize, SocketAddr) -> io::Result<()>,
    ) -> Result<(), Unsent> {
        let Some(to) = self.to.take() else { return Ok(()) };
        let count = mem::take(&mut self.count);
        let mut sent = None;
        if count == 1 || self.refused == 0 {
            match send(&self.bytes, self.size, to) {
                Err(error) if count > 1 && is_refusal(&error) => self.refused = REFUSED,
                result => sent = Some(result),
            }
        } else {
            self.refused -= 1;
        }
        let sent = sent.unwrap_or_else(|| {
            let results = self.bytes.chunks(self.size).map(|packet| send(packet, packet.len(), to));
            // All are tried.
            results.fold(Ok(()), Result::and)
        });
        self.bytes.clear();
        sent.map_err(|error| (to, error))
    }
}

/// Whether the system, or a device, does not cut packets.
fn is_refusal(error: &io::Error) -> bool {
    !matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted | io::ErrorKind::OutOfMemory
    )
}

/// Has a socket keep more packets, and give several at once. It is as well without.
#[cfg(unix)]
pub fn prepare_packets(socket: &impl std::os::fd::AsFd) {
    use nix::sys::socket::{getsockopt, setsockopt, sockopt};
    if getsockopt(socket, sockopt::RcvBuf).is_ok_and(|size| size < RECEIVE_BUFFER) {
        // The system gives less if its limit is lower.
        let _ = setsockopt(socket, sockopt::RcvBuf, &RECEIVE_BUFFER);
    }
    #[cfg(any(target_os = "linux", target_os = "android"))]
    let _ = setsockopt(socket, sockopt::UdpGroSegment, &true);
}

/// Sends packets of `size` bytes, the last of which may be shorter.
///
/// # Errors
///
/// Those of the system, which may refuse more than one packet.
#[cfg(any(target_os = "linux", target_os = "android"))]
pub fn send_packets(
    socket: &impl std::os::fd::AsFd,
    bytes: &[u8],
    size: usize,
    to: SocketAddr,
) -> io::Result<()> {
    use std::os::fd::AsRawFd;

    use nix::sys::socket::{ControlMessage, MsgFlags, SockaddrStorage, sendmsg};
    let size = u16::try_from(size).map_err(|_| io::ErrorKind::InvalidInput)?;
    let cut = [ControlMessage::UdpGsoSegments(&size)];
    let cut = if bytes.len() > usize::from(size) { &cut[..] } else { &[] };
    let to = SockaddrStorage::from(to);
    let socket = socket.as_fd().as_raw_fd();
    sendmsg(socket, &[io::IoSlice::new(bytes)], cut, MsgFlags::empty(), Some(&to))?;
    Ok(())
}

/// Receives a packet, or several of one sender and size.
///
/// # Errors
///
/// Those of the system.
#[cfg(any(target_os = "linux", target_os = "android"))]
pub fn receive_packets(socket: &impl std::os::fd::AsFd, into: &mut [u8]) -> io::Result<Received> {
    use std::os::fd::AsRawFd;

    use nix::sys::socket::{ControlMessageOwned, MsgFlags, recvmsg};
    /// Room for the size, in a place where the system may write what it says of a message.
    #[repr(align(16))]
    struct Said([u8; 64]);
    let mut said = Said([0; 64]);
    let mut into = [io::IoSliceMut::new(into)];
    let socket = socket.as_fd().as_raw_fd();
    let message = recvmsg::<()>(socket, &mut into, Some(&mut said.0), MsgFlags::empty())?;
    let size = message.cmsgs().ok().into_iter().flatten().find_map(|said| match said {
        ControlMessageOwned::UdpGroSegments(size) => usize::try_from(size).ok(),
        _ => None,
    });
    Ok(size.map_or(Received::one(message.bytes), |size| Received::many(message.bytes, size)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(port: u16) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], port))
    }

    /// What is sent for packets of these addresses and sizes: for each call the address, the sizes, and the bytes.
    fn sent(packets: &[(u16, usize)]) -> Vec<(u16, usize, usize)> {
        let mut burst = Burst::new();
        let mut sent = Vec::new();
        let mut note = |bytes: &[u8], size, to: SocketAddr| {
            sent.push((to.port(), size, bytes.len()));
            Ok(())
        };
        for (port, length) in packets {
            burst.add(address(*port), &vec![7; *length], &mut note).expect("all is sent");
        }
        burst.send(&mut note).expect("all is sent");
        burst.send(&mut note).expect("nothing is left");
        sent
    }

    #[test]
    fn packets_of_one_size_to_one_address_are_sent_together() {
        assert_eq!(sent(&[(1, 100), (1, 100), (1, 40)]), [(1, 100, 240)]);
        assert_eq!(sent(&[(1, 100), (2, 100), (1, 100)]), [(1, 100, 100), (2, 100, 100), (1, 100, 100)]);
        assert_eq!(sent(&[(1, 100), (1, 101)]), [(1, 100, 100), (1, 101, 101)]);
        assert_eq!(sent(&[(1, 100), (1, 40), (1, 40)]), [(1, 100, 140), (1, 40, 40)]);
        assert_eq!(sent(&[(1, 0), (1, 0), (1, 5)]), [(1, 0, 0), (1, 0, 0), (1, 5, 5)]);
        assert_eq!(sent(&[]), []);
    }

    #[test]
    fn a_burst_has_a_bound() {
        let calls = sent(&[(1, 1_400); 100]);
        assert!(calls.iter().all(|(_, _, length)| *length <= MAX_BYTES), "{calls:?}");
        assert_eq!(calls.iter().map(|(_, _, length)| length).sum::<usize>(), 140_000);
        assert_eq!(sent(&[(1, 10); 100]), [(1, 10, 480), (1, 10, 480), (1, 10, 40)]);
    }

    #[test]
    fn where_the_system_cuts_no_packets_they_are_sent_one_by_one() {
        let mut burst = Burst::new();
        let (mut refused, mut singles) = (0, 0);
        let mut send = |bytes: &[u8], size: usize, _| {
            if bytes.len() > size {
                refused += 1;
                return Err(io::ErrorKind::InvalidInput.into());
            }
            singles += 1;
            Ok(())
        };
        for _ in 0..20 {
            for length in [100, 100, 40] {
                burst.add(address(1), &vec![7; length], &mut send).expect("all is sent");
            }
            burst.send(&mut send).expect("all is sent");
        }
        assert_eq!((refused, singles), (1, 60));
    }

    #[test]
    fn a_full_socket_loses_a_burst_and_says_so() {
        let mut burst = Burst::new();
        let mut calls = 0;
        let mut full = |_: &[u8], _, _| {
            calls += 1;
            Err(io::Error::from(io::ErrorKind::WouldBlock))
        };
        for _ in 0..2 {
            burst.add(address(1), b"packet", &mut full).expect("nothing was sent yet");
        }
        let (to, error) = burst.send(&mut full).expect_err("the socket is full");
        assert_eq!((to, error.kind(), calls), (address(1), io::ErrorKind::WouldBlock, 1));
    }

    #[test]
    fn what_was_received_is_handled_packet_by_packet() {
        let handled = |received| {
            let mut unhandled = Unhandled::of(received, 1_000);
            std::iter::from_fn(move || unhandled.next()).collect::<Vec<_>>()
        };
        assert_eq!(handled(Received::many(250, 100)), [0..100, 100..200, 200..250]);
        assert_eq!(handled(Received::one(250)), vec![0..250]);
        assert_eq!(handled(Received::one(0)), vec![0..0]);
        assert_eq!(handled(Received::many(250, 0)), vec![0..250]);
        assert_eq!(handled(Received::many(2_000, 600)), [0..600, 600..1_000]);
        assert_eq!(Unhandled::default().next(), None);
    }

    #[cfg(any(target_os = "linux", target_os = "android"))]
    #[test]
    fn packets_that_the_system_cuts_arrive_as_they_were() -> io::Result<()> {
        let (from, to) = (std::net::UdpSocket::bind(address(0))?, std::net::UdpSocket::bind(address(0))?);
        prepare_packets(&to);
        let bytes: Vec<u8> = (0..=255).cycle().take(1_350).collect();
        let mut burst = Burst::new();
        for packet in bytes.chunks(400) {
            burst
                .add(to.local_addr()?, packet, |bytes, size, to| send_packets(&from, bytes, size, to))
                .map_err(|(_, error)| error)?;
        }
        burst.send(|bytes, size, to| send_packets(&from, bytes, size, to)).map_err(|(_, error)| error)?;
        let (mut buffer, mut packets) = (vec![0; 65_536], Vec::new());
        while packets.len() < 4 {
            let mut unhandled = Unhandled::of(receive_packets(&to, &mut buffer)?, buffer.len());
            packets.extend(std::iter::from_fn(|| unhandled.next()).map(|at| buffer[at].to_vec()));
        }
        assert_eq!(packets, bytes.chunks(400).map(<[u8]>::to_vec).collect::<Vec<_>>());
        Ok(())
    }
}
