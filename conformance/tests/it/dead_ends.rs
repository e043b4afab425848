//! Addresses without an answer.

use std::io::{self, Read};
use std::iter;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::time::Duration;

use gossip_adapter::Transport;
use socket2::{Domain, Socket, Type};

/// The longest segment on connections that are soon full, in bytes: as on an Ethernet.
const SHORT_SEGMENT: u32 = 1_400;

/// An address that takes what is sent to it and never says anything, for as long as this lives.
pub(crate) struct DeadEnd {
    pub(crate) address: SocketAddr,
    _open: Open,
}

enum Open {
    Streams { _listener: TcpListener, _queued: Vec<TcpStream> },
    Packets { _socket: UdpSocket },
}

impl DeadEnd {
    /// Dials to it come to no end; packets are never read.
    pub(crate) fn new(transport: Transport) -> Self {
        if transport == Transport::Datagram {
            let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
            let address = socket.local_addr().expect("it is bound");
            return Self { address, _open: Open::Packets { _socket: socket } };
        }
        let (listener, address) = listen(1, None);
        let mut queued = Vec::new();
        // Once the queue of connections is full, the system answers no more dials.
        let end = loop {
            match TcpStream::connect_timeout(&address, Duration::from_millis(200)) {
                Ok(stream) => queued.push(stream),
                Err(error) => break error,
            }
        };
        assert_eq!(end.kind(), io::ErrorKind::TimedOut);
        Self { address, _open: Open::Streams { _listener: listener, _queued: queued } }
    }
}

/// An address at which all is accepted, and nothing said.
pub(crate) struct Mute {
    pub(crate) address: SocketAddr,
    front: Front,
}

enum Front {
    Streams { listener: TcpListener, accepted: Vec<TcpStream> },
    Packets(UdpSocket),
}

impl Mute {
    pub(crate) fn new(transport: Transport) -> Self {
        if transport == Transport::Datagram {
            let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
            socket.set_nonblocking(true).expect("it is open");
            let address = socket.local_addr().expect("it is bound");
            return Self { address, front: Front::Packets(socket) };
        }
        // The system accepts in our place.
        let (listener, address) = listen(1_024, None);
        listener.set_nonblocking(true).expect("it is open");
        Self { address, front: Front::Streams { listener, accepted: Vec::new() } }
    }

    /// How many connections their diallers have not closed yet.
    pub(crate) fn open_connections(&mut self) -> usize {
        let Front::Streams { listener, accepted } = &mut self.front else { return 0 };
        while let Ok((stream, _)) = listener.accept() {
            stream.set_nonblocking(true).expect("it is open");
            accepted.push(stream);
        }
        accepted.retain_mut(|stream| {
            // What was said all the time is read only now.
            let mut buffer = [0; 1 << 16];
            loop {
                match stream.read(&mut buffer) {
                    Ok(count) if count > 0 => {}
                    end => return end.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock),
                }
            }
        });
        accepted.len()
    }

    /// The lengths of the packets that have come since the last call.
    pub(crate) fn packets(&self) -> Vec<usize> {
        let Front::Packets(socket) = &self.front else { return Vec::new() };
        let mut buffer = [0; 1 << 16];
        iter::from_fn(|| socket.recv(&mut buffer).ok()).collect()
    }
}

/// A listener with a short queue, and with connections that take only a little before they are read from.
pub(crate) fn listen(backlog: i32, receive_buffer: Option<usize>) -> (TcpListener, SocketAddr) {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    if let Some(size) = receive_buffer {
        socket.set_recv_buffer_size(size).expect("a size of a buffer");
        // The system sizes the buffer of the sender by the longest segment. On the loopback interface, segments are so long that it holds
        // megabytes.
        socket.set_tcp_mss(SHORT_SEGMENT).expect("the length of a segment");
    }
    socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()).expect("a free port");
    socket.listen(backlog).expect("it is bound");
    let listener = TcpListener::from(socket);
    let address = listener.local_addr().expect("it listens");
    (listener, address)
}
