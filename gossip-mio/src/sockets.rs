//! Sockets that a poll watches.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::net::SocketAddr;
use std::ops::Range;
use std::sync::Arc;

use gossip_adapter::{Unwritten, Written};
use gossip_core::ConnectionId;
use mio::event::{Event, Source};
use mio::net::{TcpListener, TcpStream, UdpSocket};
use mio::{Interest, Registry, Token};
use tracing::debug;

/// The listening socket: TCP listener or UDP socket.
pub(crate) enum Front {
    Connections(Watched<TcpListener>),
    /// None: the node accepts no connections now. It had listened at this address.
    Closed(SocketAddr),
    Packets(Watched<UdpSocket>),
}

impl Front {
    /// Sends packets of this size, the last of which may be shorter, now or never.
    pub(crate) fn send(&self, bytes: &[u8], size: usize, to: SocketAddr) -> io::Result<()> {
        let Self::Packets(socket) = self else { return Ok(()) };
        let socket = &socket.source;
        #[cfg(any(target_os = "linux", target_os = "android"))]
        return socket.try_io(|| gossip_adapter::send_packets(socket, bytes, size, to));
        #[cfg(not(any(target_os = "linux", target_os = "android")))]
        if bytes.len() <= size {
            socket.send_to(bytes, to).map(drop)
        } else {
            bytes.chunks(size).try_for_each(|packet| socket.send_to(packet, to).map(drop))
        }
    }
}

/// The sockets of all connections, and which of them are to be looked at.
pub(crate) struct Sockets {
    registry: Arc<Registry>,
    /// The numbers of the tokens: the first is that of the listening socket.
    tokens: Range<usize>,
    by_connection: HashMap<ConnectionId, Socket>,
    /// Whose the tokens after the first are. Those of closed connections are used again.
    owners: Vec<Option<ConnectionId>>,
    free: Vec<usize>,
    ready: VecDeque<ConnectionId>,
}

impl Sockets {
    pub(crate) fn new(registry: Arc<Registry>, tokens: Range<usize>) -> Self {
        Self {
            registry,
            tokens,
            by_connection: HashMap::new(),
            owners: Vec::new(),
            free: Vec::new(),
            ready: VecDeque::new(),
        }
    }

    pub(crate) fn insert(
        &mut self,
        connection: ConnectionId,
        stream: TcpStream,
        stage: Stage,
    ) -> io::Result<()> {
        let place = self.free.last().copied().unwrap_or(self.owners.len());
        let token = self.tokens.start.checked_add(1 + place).filter(|token| self.tokens.contains(token));
        let token = token.ok_or(io::ErrorKind::QuotaExceeded)?;
        let interest = Interest::READABLE | Interest::WRITABLE;
        let stream = Watched::new(&self.registry, stream, Token(token), interest)?;
        if self.free.pop().is_none() {
            self.owners.push(None);
        }
        self.owners[place] = Some(connection);
        self.by_connection.insert(connection, Socket::new(stream, stage, place));
        Ok(())
    }

    /// Registers a listening socket with the poll, in the place of the one before.
    pub(crate) fn watch_front(&self, listener: TcpListener) -> io::Result<Watched<TcpListener>> {
        Watched::new(&self.registry, listener, Token(self.tokens.start), Interest::READABLE)
    }

    pub(crate) fn get_mut(&mut self, connection: ConnectionId) -> Option<&mut Socket> {
        self.by_connection.get_mut(&connection)
    }

    pub(crate) fn remove(&mut self, connection: ConnectionId) {
        if let Some(socket) = self.by_connection.remove(&connection) {
            self.owners[socket.place] = None;
            self.free.push(socket.place);
        }
    }

    /// The poll reports the token so many after the first. It may be free by now, or belong to another connection.
    pub(crate) fn on_event(&mut self, place: usize, event: &Event) {
        let Some(connection) = self.owners.get(place).copied().flatten() else { return };
        if let Some(socket) = self.by_connection.get_mut(&connection) {
            // An error shows when the socket is read or written to.
            socket.is_readable |= event.is_readable() || event.is_read_closed() || event.is_error();
            socket.is_writable |= event.is_writable() || event.is_write_closed() || event.is_error();
            self.look_at(connection);
        }
    }

    /// Puts a connection in the line of those to be looked at.
    pub(crate) fn look_at(&mut self, connection: ConnectionId) {
        if let Some(socket) = self.by_connection.get_mut(&connection)
            && !socket.is_in_line
        {
            socket.is_in_line = true;
            self.ready.push_back(connection);
        }
    }

    /// How many are to be looked at; they may be gone.
    pub(crate) fn ready_len(&self) -> usize {
        self.ready.len()
    }

    /// Who is to be looked at next.
    pub(crate) fn next_ready(&mut self) -> Option<ConnectionId> {
        let connection = self.ready.pop_front()?;
        if let Some(socket) = self.by_connection.get_mut(&connection) {
            socket.is_in_line = false;
        }
        Some(connection)
    }
}

/// How far a connection has come.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Stage {
    Dialled,
    Open,
}

/// A connection, what of the last write it has not taken yet, and what the poll has reported of it, which it does but once.
pub(crate) struct Socket {
    pub(crate) stream: Watched<TcpStream>,
    pub(crate) stage: Stage,
    pub(crate) unwritten: Unwritten,
    /// Until there is nothing left to read.
    pub(crate) is_readable: bool,
    pub(crate) is_writable: bool,
    is_in_line: bool,
    place: usize,
}

impl Socket {
    const fn new(stream: Watched<TcpStream>, stage: Stage, place: usize) -> Self {
        Self {
            stream,
            stage,
            unwritten: Unwritten::new(),
            is_readable: false,
            is_writable: false,
            is_in_line: false,
            place,
        }
    }

    /// What has become of the dial.
    pub(crate) fn dialled(&self) -> io::Result<Stage> {
        if let Some(error) = self.stream.source.take_error()? {
            return Err(error);
        }
        match self.stream.source.peer_addr() {
            Ok(_) => Ok(Stage::Open),
            Err(error) if error.kind() == io::ErrorKind::NotConnected => Ok(Stage::Dialled),
            Err(error) => Err(error),
        }
    }

    pub(crate) fn write(&mut self, bytes: &[u8]) -> io::Result<Written> {
        self.unwritten.write(bytes, |bytes| io::Write::write(&mut self.stream.source, bytes))
    }

    pub(crate) fn resume(&mut self) -> io::Result<Written> {
        self.unwritten.resume(|bytes| io::Write::write(&mut self.stream.source, bytes))
    }
}

/// A source that is registered for as long as it lives.
pub(crate) struct Watched<S: Source> {
    pub(crate) source: S,
    registry: Arc<Registry>,
}

impl<S: Source> Watched<S> {
    pub(crate) fn new(
        registry: &Arc<Registry>,
        mut source: S,
        token: Token,
        interest: Interest,
    ) -> io::Result<Self> {
        registry.register(&mut source, token, interest)?;
        Ok(Self { source, registry: registry.clone() })
    }
}

impl<S: Source> Drop for Watched<S> {
    fn drop(&mut self) {
        if let Err(error) = self.registry.deregister(&mut self.source) {
            debug!(%error, "a socket could not be deregistered");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gossip_core::{Config, Endpoint, Generation, Node, Timestamp};
    use mio::{Events, Poll};
    use std::io::Read;
    use std::net::Ipv4Addr;
    use std::thread;
    use std::time::Duration;

    const FIRST: Token = Token(7);

    #[test]
    fn what_a_full_connection_does_not_take_is_written_when_it_has_room() {
        let mut poll = Poll::new().unwrap();
        let mut sockets = Sockets::new(Arc::new(poll.registry().try_clone().unwrap()), FIRST.0..usize::MAX);
        let [connection, _] = connections();
        let (stream, mut other_end) = pair();
        sockets.insert(connection, stream, Stage::Open).unwrap();
        let socket = sockets.get_mut(connection).unwrap();
        // More than any system buffers.
        let bytes = vec![0xa5; 64 << 20];
        assert_eq!(socket.write(&bytes).unwrap(), Written::Part);
        let reading = thread::spawn(move || io::copy(&mut (&mut other_end).take(64 << 20), &mut io::sink()));
        let mut events = Events::with_capacity(16);
        let mut written = Written::Part;
        while written == Written::Part {
            poll.poll(&mut events, Some(Duration::from_secs(60))).unwrap();
            assert!(!events.is_empty(), "the poll reports room");
            for event in &events {
                sockets.on_event(event.token().0 - FIRST.0 - 1, event);
            }
            assert_eq!(sockets.ready_len(), 1);
            assert_eq!(sockets.next_ready(), Some(connection));
            written = sockets.get_mut(connection).unwrap().resume().unwrap();
        }
        assert_eq!(reading.join().unwrap().unwrap(), 64 << 20);
    }

    #[test]
    fn places_of_closed_connections_are_used_again() {
        let poll = Poll::new().unwrap();
        let mut sockets = Sockets::new(Arc::new(poll.registry().try_clone().unwrap()), FIRST.0..usize::MAX);
        let [first, second] = connections();
        for _ in 0..10 {
            sockets.insert(first, pair().0, Stage::Open).unwrap();
            sockets.look_at(first);
            sockets.look_at(first);
            assert_eq!(sockets.ready_len(), 1);
            sockets.remove(first);
            sockets.insert(second, pair().0, Stage::Open).unwrap();
            assert_eq!(sockets.next_ready(), Some(first), "it may be gone");
            assert!(sockets.get_mut(first).is_none());
            assert!(!sockets.get_mut(second).unwrap().is_readable);
            sockets.remove(second);
        }
        assert_eq!(sockets.owners, [None]);
    }

    fn pair() -> (TcpStream, std::net::TcpStream) {
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port is free");
        let address = listener.local_addr().expect("it listens");
        let stream = std::net::TcpStream::connect(address).expect("it listens");
        stream.set_nonblocking(true).expect("it can be");
        (TcpStream::from_std(stream), listener.accept().expect("a peer has dialled").0)
    }

    /// Names as a node gives them.
    fn connections() -> [ConnectionId; 2] {
        let local = Endpoint::v4([127, 0, 0, 1], 7_000);
        let config = Config::builder("a", local, Generation::new(1), [0; 32]).build();
        let mut node = Node::new(config.expect("all is in its range"), Timestamp::ZERO);
        [(); 2].map(|()| node.accept(Timestamp::ZERO).expect("there are few"))
    }
}
