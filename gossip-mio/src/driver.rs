//! What drives a node: sockets, and a poll of the application. All else is decided by the [`Node`](gossip_core::Node).

use std::fmt;
use std::io::{self, Read};
use std::mem;
use std::net::SocketAddr;
use std::ops::{Bound, Range, RangeBounds};
use std::sync::Arc;
use std::task::Waker;
use std::time::Duration;

use gossip_adapter::{
    ACCEPT_PAUSE, Builder, Burst, DATAGRAMS_PER_TURN, Engine, Events, Handle, READS_PER_TURN, Received,
    StartError, Taken, Transport, Written,
};
use gossip_core::{ConnectionId, Event, Input, Output, Timestamp};
use mio::net::{TcpListener, TcpStream, UdpSocket};
use mio::{Interest, Registry, Token};
use tracing::{debug, warn};

use crate::mark::Mio;
use crate::sockets::{Front, Sockets, Stage, Watched};

/// How many connections are accepted before other things have their turn.
const ACCEPTS_PER_TURN: usize = 16;

/// A node whose sockets are watched by a [`Poll`](mio::Poll) of the program's own, beside whatever else that watches.
///
/// It does all its work in [`Driver::turn`], a bounded amount at a time, and never blocks but in what was given to
/// [`Builder::persist_generation`](gossip_adapter::Builder::persist_generation). The program's loop is this:
///
/// ```
/// use std::sync::Arc;
///
/// use gossip_mio::{Builder, Driver};
/// use mio::{Poll, Token};
///
/// const WAKER: Token = Token(0);
/// const GOSSIP: Token = Token(1);
///
/// let mut poll = Poll::new()?;
/// let waker = gossip_mio::waker(Arc::new(mio::Waker::new(poll.registry(), WAKER)?));
/// let builder = Builder::new("my cluster").listen("127.0.0.1:0".parse()?);
/// let (mut driver, handle, _) = Driver::new(builder, poll.registry(), GOSSIP.., &waker)?;
/// let stopping = std::thread::spawn(move || handle.shutdown().wait());
///
/// let mut events = mio::Events::with_capacity(64);
/// loop {
///     let wait = driver.turn();
///     if driver.is_stopped() {
///         break;
///     }
///     poll.poll(&mut events, wait)?;
///     for event in &events {
///         if driver.on_event(event) {
///             continue;
///         }
///         assert_eq!(event.token(), WAKER, "this program watches nothing else");
///     }
/// }
/// stopping.join().expect("it does not panic")?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// When the node has stopped, the driver has closed its sockets; what is left of it can be dropped at any time. If it is
/// dropped before, the node is gone without a word to its peers.
pub struct Driver {
    first: Token,
    /// The first token after those of the driver.
    end: usize,
    /// Until the node has stopped.
    running: Option<Running>,
}

impl Driver {
    /// Opens the socket and prepares the node, to be watched by the poll of this registry.
    ///
    /// The `tokens` are the driver's: one, and one more for each connection that is open at the same time. `GOSSIP..` are all
    /// from `GOSSIP` on. Several drivers share a poll if each has tokens of its own: `Token(1)..Token(10_000)`. A connection for
    /// which no token is left is refused, as it is without file descriptors.
    ///
    /// `waker` is woken when a [`Handle`] wants something, on the thread of the caller. It must see to it that the poll
    /// returns. Since a poll can have only one [`mio::Waker`], that one is the program's, with a token of its own:
    /// [`waker`](crate::waker()) makes a [`Waker`] of it. When the poll has returned nothing more is to be done for it than for
    /// any event: the next turn does what the handle wants.
    ///
    /// # Errors
    ///
    /// [`StartError`] if the address cannot be listened on, there is no token, or something about the node cannot be.
    pub fn new<M>(
        builder: Builder<Mio, M>,
        registry: &Registry,
        tokens: impl RangeBounds<Token>,
        waker: &Waker,
    ) -> Result<(Self, Handle<M>, Events), StartError> {
        let Range { start, end } = numbers(&tokens);
        if start >= end {
            let error =
                io::Error::new(io::ErrorKind::InvalidInput, "there is no token for the listening socket");
            return Err(StartError::Drive(error));
        }
        let first = Token(start);
        let registry = Arc::new(registry.try_clone().map_err(StartError::Drive)?);
        let address = builder.listen_on()?;
        let bind = |error| StartError::Bind { address, error };
        let (front, listening) = match builder.chosen_transport() {
            Transport::Datagram => {
                let socket = UdpSocket::bind(address).map_err(bind)?;
                #[cfg(unix)]
                gossip_adapter::prepare_packets(&socket);
                let listening = socket.local_addr().map_err(bind)?;
                (watch(&registry, socket, first).map(Front::Packets)?, listening)
            }
            _ => {
                let listener = TcpListener::bind(address).map_err(bind)?;
                let listening = listener.local_addr().map_err(bind)?;
                (watch(&registry, listener, first).map(Front::Connections)?, listening)
            }
        };
        let (engine, handle, events) = Engine::new(builder.prepare(listening)?);
        engine.register(waker);
        let mut running = Running {
            is_drained: false,
            sockets: Sockets::new(registry, start..end),
            front,
            is_front_ready: false,
            accept_after: None,
            engine,
            burst: Burst::new(),
        };
        running.engine.begin();
        Ok((Self { first, end, running: Some(running) }, handle, events))
    }

    /// Does what is to be done now, and says how long the poll may wait at most: until something happens, if `None`. To be
    /// called before each poll, whatever the last one has reported.
    pub fn turn(&mut self) -> Option<Duration> {
        let running = self.running.as_mut()?;
        running.turn();
        if running.engine.is_stopped() {
            self.running = None;
            return None;
        }
        running.wait()
    }

    /// Takes in an event of the poll, for the next turn; says whether it was of the driver's sockets. It may also be of one
    /// that is closed by now.
    pub fn on_event(&mut self, event: &mio::event::Event) -> bool {
        let Some(number) = event.token().0.checked_sub(self.first.0).filter(|_| event.token().0 < self.end)
        else {
            return false;
        };
        if let Some(running) = &mut self.running {
            match number.checked_sub(1) {
                None => running.is_front_ready = true,
                Some(place) => running.sockets.on_event(place, event),
            }
        }
        true
    }

    /// Whether the node has stopped. It needs no turn any more, and its port is free.
    pub const fn is_stopped(&self) -> bool {
        self.running.is_none()
    }
}

impl fmt::Debug for Driver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Driver").field("is_stopped", &self.is_stopped()).finish_non_exhaustive()
    }
}

/// The numbers of tokens.
fn numbers(tokens: &impl RangeBounds<Token>) -> Range<usize> {
    let start = match tokens.start_bound() {
        Bound::Included(first) => first.0,
        Bound::Excluded(before) => before.0.saturating_add(1),
        Bound::Unbounded => 0,
    };
    let end = match tokens.end_bound() {
        Bound::Included(last) => last.0.saturating_add(1),
        Bound::Excluded(end) => end.0,
        Bound::Unbounded => usize::MAX,
    };
    start..end
}

fn watch<S: mio::event::Source>(
    registry: &Arc<Registry>,
    source: S,
    token: Token,
) -> Result<Watched<S>, StartError> {
    Watched::new(registry, source, token, Interest::READABLE).map_err(StartError::Drive)
}

/// A node that has not stopped. The poll tells once what is ready: what could not be done in one turn is remembered here.
struct Running {
    /// Whether the node had nothing more to do when it was asked last.
    is_drained: bool,
    sockets: Sockets,
    front: Front,
    /// Until no connection waits there any more.
    is_front_ready: bool,
    accept_after: Option<Timestamp>,
    /// Packets that wait for more to the same address.
    burst: Burst,
    /// Dropped after the sockets, so that the program that waits for the end finds the port free.
    engine: Engine,
}

impl Running {
    fn turn(&mut self) {
        self.engine.run_commands();
        self.engine.begin_slice();
        if matches!(self.front, Front::Closed(_)) {
            self.accept_after.take_if(|after| *after <= self.engine.slice_began());
        }
        self.drain();
        // Nothing more is taken in before all has gone out that is due.
        if self.may_go_on() && self.is_front_ready {
            match self.front {
                Front::Connections(_) => self.accept(),
                Front::Packets(_) => self.receive(),
                Front::Closed(_) => {}
            }
        }
        while self.may_go_on()
            && let Some(connection) = self.sockets.next_ready()
        {
            self.on_ready(connection);
            self.drain();
        }
        // No peer counts as late whose bytes were there already, if there were not too many.
        if self.engine.is_due() {
            self.engine.on_timeout();
            self.drain();
        }
    }

    /// How long nothing is to be done.
    fn wait(&self) -> Option<Duration> {
        let is_ready = self.is_front_ready && self.accept_after.is_none();
        if self.sockets.ready_len() > 0 || is_ready || !self.is_drained {
            return Some(Duration::ZERO);
        }
        let next = self.engine.deadline().into_iter().chain(self.accept_after).min()?;
        Some(next.saturating_since(self.engine.now()))
    }

    /// Whether more may be taken in during this turn.
    fn may_go_on(&self) -> bool {
        self.is_drained && !self.engine.is_slice_over()
    }

    /// Does what the node wants done, and learns until when to wait. What is left at the end of the slice of time waits for the next
    /// turn.
    fn drain(&mut self) {
        self.is_drained = false;
        loop {
            match self.engine.poll() {
                Output::Connect { connection, to } => self.dial(connection, SocketAddr::from(to)),
                Output::Write { connection, bytes } => {
                    let socket = self.sockets.get_mut(connection);
                    let gone = || Err(io::ErrorKind::NotConnected.into());
                    let written = socket.map_or_else(gone, |socket| socket.write(bytes));
                    self.after_write(connection, written);
                }
                Output::Close { connection } => self.sockets.remove(connection),
                Output::Datagram { to, bytes } => {
                    let front = &self.front;
                    let sent =
                        self.burst.add(to.into(), bytes, |bytes, size, to| front.send(bytes, size, to));
                    self.engine.after_burst(sent);
                }
                Output::Event(event) => {
                    self.send_burst();
                    self.on_node_event(event);
                }
                Output::Timeout(deadline) => {
                    self.send_burst();
                    self.engine.settle(deadline);
                    self.is_drained = true;
                    self.follow_listening();
                    return;
                }
                _ => {}
            }
            if self.engine.is_slice_over() {
                self.send_burst();
                return;
            }
        }
    }

    /// Sends the packets that were waiting for more to the same address.
    fn send_burst(&mut self) {
        let sent = self.burst.send(|bytes, size, to| self.front.send(bytes, size, to));
        self.engine.after_burst(sent);
    }

    /// Closes the listening socket while the node accepts no connections, and opens it again afterwards: a peer that dials is
    /// then refused by the system, as if no process were here.
    fn follow_listening(&mut self) {
        match &self.front {
            Front::Connections(listener) if !self.engine.is_listening() => {
                if let Ok(address) = listener.source.local_addr() {
                    self.front = Front::Closed(address);
                    self.is_front_ready = false;
                }
            }
            Front::Closed(address) if self.engine.is_listening() && self.accept_after.is_none() => {
                match self.listen(*address) {
                    Ok(listener) => self.front = Front::Connections(listener),
                    Err(error) => {
                        warn!(%error, %address, "cannot listen again (it is tried once more soon)");
                        self.accept_after = Some(self.engine.now() + ACCEPT_PAUSE);
                    }
                }
            }
            _ => {}
        }
    }

    fn listen(&self, address: SocketAddr) -> io::Result<Watched<TcpListener>> {
        self.sockets.watch_front(TcpListener::bind(address)?)
    }

    fn on_node_event(&mut self, event: Event) {
        if let Some(to_store) = self.engine.to_store(&event) {
            self.engine.stored(to_store.run());
        }
        self.engine.tell(event);
    }

    /// Nothing is taken from the front for a moment; all else goes on.
    fn front_failed(&mut self, error: &io::Error) {
        self.accept_after = Some(self.engine.now() + self.engine.front_failed(error));
    }

    /// Takes the packets that are there. What is to be sent goes out once all are handled that one call has given: those are of one sender,
    /// and parts of one message have one answer then.
    fn receive(&mut self) {
        if self.is_front_to_wait() {
            return;
        }
        for _ in 0..DATAGRAMS_PER_TURN {
            let Front::Packets(socket) = &self.front else { return };
            match self.engine.receive(|buffer| receive_from(&socket.source, buffer)) {
                Ok(true) => {
                    self.drain();
                    if self.engine.is_stopped() || !self.may_go_on() {
                        return;
                    }
                }
                Ok(false) => {
                    self.is_front_ready = false;
                    return;
                }
                Err(error) => return self.front_failed(&error),
            }
        }
    }

    /// Whether it is too soon after an error; else that is forgotten.
    fn is_front_to_wait(&mut self) -> bool {
        self.accept_after.take_if(|after| *after <= self.engine.now());
        self.accept_after.is_some()
    }

    fn accept(&mut self) {
        if self.is_front_to_wait() {
            return;
        }
        for _ in 0..ACCEPTS_PER_TURN {
            let Front::Connections(listener) = &self.front else { return };
            match listener.source.accept() {
                Ok((stream, from)) => {
                    self.on_accepted(stream, from);
                    if !self.may_go_on() {
                        return;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.is_front_ready = false;
                    return;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return self.front_failed(&error),
            }
        }
    }

    fn on_accepted(&mut self, stream: TcpStream, from: SocketAddr) {
        let Some(connection) = self.engine.accept(from) else { return };
        set_nodelay(connection, &stream);
        if let Err(error) = self.sockets.insert(connection, stream, Stage::Open) {
            self.lost(connection, Some(error));
        }
        self.drain();
    }

    fn dial(&mut self, connection: ConnectionId, to: SocketAddr) {
        let dialled = TcpStream::connect(to);
        let dialled = dialled.and_then(|stream| self.sockets.insert(connection, stream, Stage::Dialled));
        if let Err(error) = dialled {
            self.dial_failed(connection, &error);
        }
    }

    fn dial_failed(&mut self, connection: ConnectionId, error: &io::Error) {
        self.sockets.remove(connection);
        self.engine.dial_failed(connection, error);
    }

    fn on_ready(&mut self, connection: ConnectionId) {
        let Some(socket) = self.sockets.get_mut(connection) else { return };
        if mem::take(&mut socket.is_writable) {
            match socket.stage {
                Stage::Dialled => self.on_dialled(connection),
                Stage::Open if socket.unwritten.is_empty() => {}
                Stage::Open => {
                    let written = socket.resume();
                    self.after_write(connection, written);
                }
            }
        }
        self.read(connection);
    }

    fn on_dialled(&mut self, connection: ConnectionId) {
        let Some(socket) = self.sockets.get_mut(connection) else { return };
        match socket.dialled() {
            Ok(Stage::Dialled) => {}
            Ok(Stage::Open) => {
                socket.stage = Stage::Open;
                set_nodelay(connection, &socket.stream.source);
                self.engine.input(Input::Opened { connection });
            }
            Err(error) => self.dial_failed(connection, &error),
        }
    }

    fn read(&mut self, connection: ConnectionId) {
        for _ in 0..READS_PER_TURN {
            let Some(socket) = self.sockets.get_mut(connection) else { return };
            if socket.stage != Stage::Open || !socket.is_readable {
                return;
            }
            match self.engine.read(connection, |buffer| socket.stream.source.read(buffer)) {
                Taken::Full | Taken::Some if self.engine.is_slice_over() => break,
                Taken::Full | Taken::Some => {}
                Taken::Nothing => {
                    socket.is_readable = false;
                    return;
                }
                Taken::Over(error) => return self.lost(connection, error),
            }
        }
        // There may be more.
        self.sockets.look_at(connection);
    }

    fn after_write(&mut self, connection: ConnectionId, written: io::Result<Written>) {
        match written {
            Ok(Written::All) => self.engine.input(Input::Writable { connection }),
            // The poll tells when there is room.
            Ok(Written::Part) => {}
            Err(error) => self.lost(connection, Some(error)),
        }
    }

    fn lost(&mut self, connection: ConnectionId, error: Option<io::Error>) {
        self.sockets.remove(connection);
        self.engine.lost(connection, error);
    }
}

fn set_nodelay(connection: ConnectionId, stream: &TcpStream) {
    // Heartbeats are small, and each is awaited.
    if let Err(error) = stream.set_nodelay(true) {
        debug!(%error, %connection, "TCP_NODELAY could not be set");
    }
}

#[cfg(any(target_os = "linux", target_os = "android"))]
fn receive_from(socket: &UdpSocket, into: &mut [u8]) -> io::Result<Received> {
    socket.try_io(|| gossip_adapter::receive_packets(socket, into))
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn receive_from(socket: &UdpSocket, into: &mut [u8]) -> io::Result<Received> {
    socket.recv_from(into).map(|(length, _)| Received::one(length))
}
