//! What an asynchronous runtime gives a driver: sockets that tell when they are ready, and a timer.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use crate::packets::Received;

/// The sockets and the timer of an asynchronous runtime. [`Driver`](crate::Driver) drives a node with them.
///
/// The functions that read, write, receive and send do not block: they fail with [`io::ErrorKind::WouldBlock`] if the socket is
/// not ready.
///
/// # Cancel safety
///
/// The driver drops the futures of [`accept`](Reactor::accept), [`packets_ready`](Reactor::packets_ready) and
/// [`sleep_until`](Reactor::sleep_until) whenever something else comes first. Nothing may be lost by that: what the socket has
/// for the driver has to be there when it is asked again.
pub trait Reactor: 'static {
    /// A socket that accepts connections.
    type Listener: Send + Sync;
    /// A connection.
    type Stream: Send + Sync + 'static;
    /// A socket for packets.
    type Packets: Send + Sync;

    /// Listens at an address.
    fn listen(at: SocketAddr) -> impl Future<Output = io::Result<Self::Listener>> + Send;

    /// The address that is listened at.
    ///
    /// # Errors
    ///
    /// Those of the system.
    fn listens_at(listener: &Self::Listener) -> io::Result<SocketAddr>;

    /// The next connection, and the address it comes from.
    fn accept(
        listener: &Self::Listener,
    ) -> impl Future<Output = io::Result<(Self::Stream, SocketAddr)>> + Send;

    /// Dials.
    fn connect(to: SocketAddr) -> impl Future<Output = io::Result<Self::Stream>> + Send + 'static;

    /// Has the system send small writes at once.
    ///
    /// # Errors
    ///
    /// Those of the system.
    fn set_nodelay(stream: &Self::Stream) -> io::Result<()>;

    /// Waits until there is something to read. An error shows when the connection is read.
    fn readable(stream: Arc<Self::Stream>) -> impl Future<Output = ()> + Send + 'static;

    /// Waits until there is room to write. An error shows when the connection is written to.
    fn writable(stream: Arc<Self::Stream>) -> impl Future<Output = ()> + Send + 'static;

    /// Reads what is there.
    ///
    /// # Errors
    ///
    /// Those of the system.
    fn read(stream: &Self::Stream, into: &mut [u8]) -> io::Result<usize>;

    /// Writes what there is room for.
    ///
    /// # Errors
    ///
    /// Those of the system.
    fn write(stream: &Self::Stream, bytes: &[u8]) -> io::Result<usize>;

    /// Opens a socket for packets.
    fn bind(at: SocketAddr) -> impl Future<Output = io::Result<Self::Packets>> + Send;

    /// The address of a socket for packets.
    ///
    /// # Errors
    ///
    /// Those of the system.
    fn bound_at(socket: &Self::Packets) -> io::Result<SocketAddr>;

    /// Waits until there is a packet. An error shows when one is received.
    fn packets_ready(socket: &Self::Packets) -> impl Future<Output = ()> + Send;

    /// Receives a packet that is there.
    ///
    /// # Errors
    ///
    /// Those of the system.
    fn receive(socket: &Self::Packets, into: &mut [u8]) -> io::Result<usize>;

    /// Sends a packet now or never.
    ///
    /// # Errors
    ///
    /// Those of the system.
    fn send(socket: &Self::Packets, bytes: &[u8], to: SocketAddr) -> io::Result<usize>;

    /// Receives a packet that is there, or several at once if the runtime can: [`receive_packets`](crate::receive_packets).
    ///
    /// # Errors
    ///
    /// Those of the system.
    fn receive_many(socket: &Self::Packets, into: &mut [u8]) -> io::Result<Received> {
        Self::receive(socket, into).map(Received::one)
    }

    /// Sends packets of `size` bytes now or never. The last may be shorter. If an error says that the system cannot send several at once,
    /// they come again one by one: [`send_packets`](crate::send_packets).
    ///
    /// # Errors
    ///
    /// Those of the system.
    fn send_many(socket: &Self::Packets, bytes: &[u8], size: usize, to: SocketAddr) -> io::Result<()> {
        // A packet without bytes is one, too.
        if bytes.len() <= size {
            return Self::send(socket, bytes, to).map(drop);
        }
        bytes.chunks(size).try_for_each(|packet| Self::send(socket, packet, to).map(drop))
    }

    /// Sleeps.
    fn sleep_until(until: Instant) -> impl Future<Output = ()> + Send;

    /// Lets other tasks of the same thread have their turn, and the runtime look at its sockets.
    fn yield_now() -> impl Future<Output = ()> + Send;

    /// Runs something that may block, where that is allowed. `None` if it does not come back, since the runtime ends.
    fn blocking<T: Send + 'static>(
        run: impl FnOnce() -> T + Send + 'static,
    ) -> impl Future<Output = Option<T>> + Send;
}
