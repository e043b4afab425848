//! The sockets and the timer of async-io, on which smol stands.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::Arc;
use std::time::Instant;

use async_io::{Async, Timer};
use futures_lite::future::yield_now;
use gossip_adapter::Reactor;
#[cfg(any(target_os = "linux", target_os = "android"))]
use gossip_adapter::{Received, receive_packets, send_packets};

pub(crate) enum Sockets {}

impl Reactor for Sockets {
    type Listener = Async<TcpListener>;
    type Stream = Async<TcpStream>;
    type Packets = Async<UdpSocket>;

    async fn listen(at: SocketAddr) -> io::Result<Async<TcpListener>> {
        Async::<TcpListener>::bind(at)
    }

    fn listens_at(listener: &Async<TcpListener>) -> io::Result<SocketAddr> {
        listener.get_ref().local_addr()
    }

    async fn accept(listener: &Async<TcpListener>) -> io::Result<(Async<TcpStream>, SocketAddr)> {
        listener.accept().await
    }

    async fn connect(to: SocketAddr) -> io::Result<Async<TcpStream>> {
        Async::<TcpStream>::connect(to).await
    }

    fn set_nodelay(stream: &Async<TcpStream>) -> io::Result<()> {
        stream.get_ref().set_nodelay(true)
    }

    async fn readable(stream: Arc<Async<TcpStream>>) {
        let _ = stream.readable().await;
    }

    async fn writable(stream: Arc<Async<TcpStream>>) {
        let _ = stream.writable().await;
    }

    fn read(stream: &Async<TcpStream>, into: &mut [u8]) -> io::Result<usize> {
        stream.get_ref().read(into)
    }

    fn write(stream: &Async<TcpStream>, bytes: &[u8]) -> io::Result<usize> {
        stream.get_ref().write(bytes)
    }

    async fn bind(at: SocketAddr) -> io::Result<Async<UdpSocket>> {
        let socket = Async::<UdpSocket>::bind(at)?;
        #[cfg(unix)]
        gossip_adapter::prepare_packets(socket.get_ref());
        Ok(socket)
    }

    fn bound_at(socket: &Async<UdpSocket>) -> io::Result<SocketAddr> {
        socket.get_ref().local_addr()
    }

    async fn packets_ready(socket: &Async<UdpSocket>) {
        // A mere wait reports what comes after it began. It would miss the packets that came while something else was done.
        let _ = socket.peek_from(&mut [0]).await;
    }

    fn receive(socket: &Async<UdpSocket>, into: &mut [u8]) -> io::Result<usize> {
        socket.get_ref().recv_from(into).map(|(count, _)| count)
    }

    fn send(socket: &Async<UdpSocket>, bytes: &[u8], to: SocketAddr) -> io::Result<usize> {
        socket.get_ref().send_to(bytes, to)
    }

    #[cfg(any(target_os = "linux", target_os = "android"))]
    fn receive_many(socket: &Async<UdpSocket>, into: &mut [u8]) -> io::Result<Received> {
        receive_packets(socket.get_ref(), into)
    }

    #[cfg(any(target_os = "linux", target_os = "android"))]
    fn send_many(socket: &Async<UdpSocket>, bytes: &[u8], size: usize, to: SocketAddr) -> io::Result<()> {
        send_packets(socket.get_ref(), bytes, size, to)
    }

    async fn sleep_until(until: Instant) {
        Timer::at(until).await;
    }

    async fn yield_now() {
        yield_now().await;
    }

    async fn blocking<T: Send + 'static>(run: impl FnOnce() -> T + Send + 'static) -> Option<T> {
        Some(blocking::unblock(run).await)
    }
}
