//! The baseline: a loop that receives and sends as many bytes, on the same runtime, and does nothing else.
//!
//! A request begins with two numbers: its own size and the size of its answer, in bytes. A request whose answer has size 0 is not answered.

use std::error::Error;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::thread;

use mio::{Events, Interest, Poll, Token};

use crate::adapters::Adapter;

/// The size of the two numbers.
pub(crate) const HEAD: usize = 8;

/// More than any message has.
const ROOM: usize = 1 << 17;

const ANY: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0);

/// A request of `size` bytes whose answer has `answer` bytes.
pub(crate) fn request(size: usize, answer: usize) -> Vec<u8> {
    let mut bytes = vec![7; size.max(HEAD)];
    let word = |number: usize| u32::try_from(number).expect("a message").to_be_bytes();
    bytes[..4].copy_from_slice(&word(size.max(HEAD)));
    bytes[4..HEAD].copy_from_slice(&word(answer));
    bytes
}

/// Size of a request, and of its answer.
fn head(bytes: &[u8]) -> Option<(usize, usize)> {
    let ([s0, s1, s2, s3], rest) = bytes.split_first_chunk()?;
    let size = u32::from_be_bytes([*s0, *s1, *s2, *s3]) as usize;
    Some((size, u32::from_be_bytes(*rest.first_chunk()?) as usize))
}

/// Removes complete requests from the front of the bytes that were read, and returns the size of their answers.
fn take_requests(read: &mut Vec<u8>) -> usize {
    let (mut taken, mut answers) = (0, 0);
    while let Some((size, answer)) = head(&read[taken..]).filter(|(size, _)| read.len() - taken >= *size) {
        taken += size;
        answers += answer;
    }
    read.drain(..taken);
    answers
}

/// Is such a loop, in a thread of its own; gives the address at which it listens.
pub(crate) fn start(adapter: Adapter, is_datagram: bool) -> Result<SocketAddr, Box<dyn Error>> {
    let (send, address) = std::sync::mpsc::channel();
    thread::spawn(move || {
        let done = match (adapter, is_datagram) {
            (Adapter::Tokio, _) => {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
                runtime.and_then(|runtime| match is_datagram {
                    true => runtime.block_on(tokio_packets(|address| _ = send.send(address))),
                    false => runtime.block_on(tokio_stream(|address| _ = send.send(address))),
                })
            }
            (Adapter::Smol, true) => smol::block_on(smol_packets(|address| _ = send.send(address))),
            (Adapter::Smol, false) => smol::block_on(smol_stream(|address| _ = send.send(address))),
            (Adapter::AsyncStd, true) => {
                async_std::task::block_on(async_std_packets(|address| _ = send.send(address)))
            }
            (Adapter::AsyncStd, false) => {
                async_std::task::block_on(async_std_stream(|address| _ = send.send(address)))
            }
            (Adapter::Mio, true) => mio_packets(|address| _ = send.send(address)),
            (Adapter::Mio, false) => mio_stream(|address| _ = send.send(address)),
        };
        if let Err(error) = done {
            eprintln!("the bare loop has ended: {error}");
        }
    });
    Ok(address.recv()?)
}

/// The two loops of an async runtime, whose sockets have the same functions in each of them.
macro_rules! loops {
    ($packets:ident, $UdpSocket:ty, $stream:ident, $TcpListener:ty, $Read:path, $Write:path) => {
        async fn $packets(listening: impl FnOnce(SocketAddr)) -> io::Result<()> {
            let socket = <$UdpSocket>::bind(ANY).await?;
            listening(socket.local_addr()?);
            let (mut buffer, answer) = (vec![0; ROOM], vec![7; ROOM]);
            loop {
                let (size, from) = socket.recv_from(&mut buffer).await?;
                let (_, wanted) = head(&buffer[..size]).unwrap_or_default();
                if wanted > 0 {
                    socket.send_to(&answer[..wanted], from).await?;
                }
            }
        }

        async fn $stream(listening: impl FnOnce(SocketAddr)) -> io::Result<()> {
            use $Read as _;
            use $Write as _;
            let listener = <$TcpListener>::bind(ANY).await?;
            listening(listener.local_addr()?);
            let (mut stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            let (mut buffer, mut read, answer) = (vec![0; ROOM], Vec::new(), vec![7; ROOM]);
            loop {
                let size = stream.read(&mut buffer).await?;
                if size == 0 {
                    return Ok(());
                }
                read.extend_from_slice(&buffer[..size]);
                let wanted = take_requests(&mut read);
                stream.write_all(&answer[..wanted]).await?;
            }
        }
    };
}

loops!(
    tokio_packets,
    tokio::net::UdpSocket,
    tokio_stream,
    tokio::net::TcpListener,
    tokio::io::AsyncReadExt,
    tokio::io::AsyncWriteExt
);
loops!(
    smol_packets,
    smol::net::UdpSocket,
    smol_stream,
    smol::net::TcpListener,
    smol::io::AsyncReadExt,
    smol::io::AsyncWriteExt
);
loops!(
    async_std_packets,
    async_std::net::UdpSocket,
    async_std_stream,
    async_std::net::TcpListener,
    async_std::io::ReadExt,
    async_std::io::WriteExt
);

fn mio_packets(listening: impl FnOnce(SocketAddr)) -> io::Result<()> {
    let (mut poll, mut events) = (Poll::new()?, Events::with_capacity(8));
    let mut socket = mio::net::UdpSocket::bind(ANY)?;
    listening(socket.local_addr()?);
    poll.registry().register(&mut socket, Token(0), Interest::READABLE)?;
    let (mut buffer, answer) = (vec![0; ROOM], vec![7; ROOM]);
    loop {
        poll.poll(&mut events, None)?;
        loop {
            match socket.recv_from(&mut buffer) {
                Ok((size, from)) => {
                    let (_, wanted) = head(&buffer[..size]).unwrap_or_default();
                    if wanted > 0 {
                        socket.send_to(&answer[..wanted], from)?;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
    }
}

fn mio_stream(listening: impl FnOnce(SocketAddr)) -> io::Result<()> {
    let listener = std::net::TcpListener::bind(ANY)?;
    listening(listener.local_addr()?);
    let (stream, _) = listener.accept()?;
    stream.set_nonblocking(true)?;
    stream.set_nodelay(true)?;
    let (mut poll, mut events) = (Poll::new()?, Events::with_capacity(8));
    let mut stream = mio::net::TcpStream::from_std(stream);
    poll.registry().register(&mut stream, Token(0), Interest::READABLE | Interest::WRITABLE)?;
    let (mut buffer, mut read, answer) = (vec![0; ROOM], Vec::new(), vec![7; ROOM]);
    let mut owed = 0;
    loop {
        poll.poll(&mut events, None)?;
        loop {
            match stream.read(&mut buffer) {
                Ok(0) => return Ok(()),
                Ok(size) => read.extend_from_slice(&buffer[..size]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
            owed += take_requests(&mut read);
            while owed > 0 {
                match stream.write(&answer[..owed]) {
                    Ok(size) => owed -= size,
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                    Err(error) => return Err(error),
                }
            }
        }
    }
}

/// The other end of it: sends requests and waits for their answers.
pub(crate) enum Client {
    Packets(UdpSocket),
    Stream(TcpStream),
}

impl Client {
    pub(crate) fn connect(is_datagram: bool, to: SocketAddr) -> io::Result<Self> {
        if is_datagram {
            let socket = UdpSocket::bind(ANY)?;
            socket.connect(to)?;
            return Ok(Self::Packets(socket));
        }
        let stream = TcpStream::connect(to)?;
        stream.set_nodelay(true)?;
        Ok(Self::Stream(stream))
    }

    /// Sends requests that are answered by so many bytes each, then ones that are not answered.
    pub(crate) fn exchange(
        &mut self,
        answered: &[Vec<u8>],
        answer: usize,
        unanswered: &[Vec<u8>],
        buffer: &mut [u8],
    ) -> io::Result<()> {
        match self {
            Self::Packets(socket) => {
                for request in answered {
                    socket.send(request)?;
                }
                for _ in answered {
                    socket.recv(buffer)?;
                }
                for request in unanswered {
                    socket.send(request)?;
                }
            }
            Self::Stream(stream) => {
                for request in answered {
                    stream.write_all(request)?;
                    stream.read_exact(&mut buffer[..answer])?;
                }
                for request in unanswered {
                    stream.write_all(request)?;
                }
            }
        }
        Ok(())
    }
}
