//! The sockets and the timer of tokio.

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use gossip_adapter::Reactor;
#[cfg(any(target_os = "linux", target_os = "android"))]
use gossip_adapter::{Received, read_bytes, receive_packets, send_packets};
#[cfg(any(target_os = "linux", target_os = "android"))]
use tokio::io::Interest;
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::task::{spawn_blocking, yield_now};
use tokio::time::sleep_until;

/// One task alone waits for each socket, so that the polling functions of the runtime serve: what they wait with is less than a future.
pub(crate) enum Sockets {}

impl Reactor for Sockets {
    type Listener = TcpListener;
    type Stream = TcpStream;
    type Packets = UdpSocket;

    async fn listen(at: SocketAddr) -> io::Result<TcpListener> {
        TcpListener::bind(at).await
    }

    fn listens_at(listener: &TcpListener) -> io::Result<SocketAddr> {
        listener.local_addr()
    }

    async fn accept(listener: &TcpListener) -> io::Result<(TcpStream, SocketAddr)> {
        poll_fn(|context| listener.poll_accept(context)).await
    }

    async fn connect(to: SocketAddr) -> io::Result<TcpStream> {
        TcpStream::connect(to).await
    }

    fn set_nodelay(stream: &TcpStream) -> io::Result<()> {
        stream.set_nodelay(true)
    }

    async fn readable(stream: Arc<TcpStream>) {
        let _ = poll_fn(|context| stream.poll_read_ready(context)).await;
    }

    async fn writable(stream: Arc<TcpStream>) {
        let _ = poll_fn(|context| stream.poll_write_ready(context)).await;
    }

    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    fn read(stream: &TcpStream, into: &mut [u8]) -> io::Result<usize> {
        stream.try_read(into)
    }

    /// A read that does not fill the buffer has emptied the socket, and epoll reports later bytes. The readiness is cleared then, so that the
    /// driver does not read again for nothing.
    #[cfg(any(target_os = "linux", target_os = "android"))]
    fn read(stream: &TcpStream, into: &mut [u8]) -> io::Result<usize> {
        let mut count = 0;
        let read = stream.try_io(Interest::READABLE, || {
            count = read_bytes(stream, into)?;
            if count > 0 && count < into.len() { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(count) }
        });
        if count > 0 { Ok(count) } else { read }
    }

    fn write(stream: &TcpStream, bytes: &[u8]) -> io::Result<usize> {
        stream.try_write(bytes)
    }

    async fn bind(at: SocketAddr) -> io::Result<UdpSocket> {
        let socket = UdpSocket::bind(at).await?;
        #[cfg(unix)]
        gossip_adapter::prepare_packets(&socket);
        Ok(socket)
    }

    fn bound_at(socket: &UdpSocket) -> io::Result<SocketAddr> {
        socket.local_addr()
    }

    async fn packets_ready(socket: &UdpSocket) {
        let _ = poll_fn(|context| socket.poll_recv_ready(context)).await;
    }

    fn receive(socket: &UdpSocket, into: &mut [u8]) -> io::Result<usize> {
        socket.try_recv_from(into).map(|(count, _)| count)
    }

    fn send(socket: &UdpSocket, bytes: &[u8], to: SocketAddr) -> io::Result<usize> {
        socket.try_send_to(bytes, to)
    }

    #[cfg(any(target_os = "linux", target_os = "android"))]
    fn receive_many(socket: &UdpSocket, into: &mut [u8]) -> io::Result<Received> {
        socket.try_io(Interest::READABLE, || receive_packets(socket, into))
    }

    #[cfg(any(target_os = "linux", target_os = "android"))]
    fn send_many(socket: &UdpSocket, bytes: &[u8], size: usize, to: SocketAddr) -> io::Result<()> {
        socket.try_io(Interest::WRITABLE, || send_packets(socket, bytes, size, to))
    }

    async fn sleep_until(until: Instant) {
        sleep_until(until.into()).await;
    }

    async fn yield_now() {
        yield_now().await;
    }

    async fn blocking<T: Send + 'static>(run: impl FnOnce() -> T + Send + 'static) -> Option<T> {
        spawn_blocking(run).await.ok()
    }
}
