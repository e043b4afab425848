//! The one task of a node on an asynchronous runtime: sockets and a timer. All else is decided by the
//! [`Node`](gossip_core::Node).

use std::collections::HashMap;
use std::fmt;
use std::future::{pending, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use futures_util::StreamExt;
use futures_util::future::{AbortHandle, abortable};
use futures_util::stream::FuturesUnordered;
use gossip_core::{ConnectionId, Event, Input, Output, Transport};
use tracing::{debug, warn};

use crate::builder::{Builder, StartError};
use crate::engine::{Engine, Taken};
use crate::events::Events;
use crate::handle::Handle;
use crate::packets::Burst;
use crate::reactor::Reactor;
use crate::socket::{ACCEPT_PAUSE, DATAGRAMS_PER_TURN, READS_PER_TURN, Unwritten, Written};

/// Drives a node on an asynchronous runtime, as one task: spawn what [`Driver::run`] gives.
#[must_use = "nothing happens before it runs"]
pub struct Driver<R: Reactor> {
    front: Front<R>,
    accept_after: Option<Instant>,
    sockets: HashMap<ConnectionId, Socket<R>>,
    waits: FuturesUnordered<Wait<R>>,
    /// Which of those that may be ready is asked first next time.
    first: u8,
    /// Packets that wait for more to the same address.
    burst: Burst,
    timer: Timer,
    /// Dropped after the sockets, so that the program that waits for the end finds the port free.
    engine: Engine,
}

/// The listening socket, or the one for packets.
enum Front<R: Reactor> {
    Connections(R::Listener),
    /// None: the node accepts no connections now. It had listened at this address.
    Closed(SocketAddr),
    Packets(R::Packets),
}

/// The wait for the time at which the node wants to be woken. It is kept while that stays the same, as it does in most turns.
struct Timer {
    until: Option<Instant>,
    wait: Pin<Box<dyn Future<Output = ()> + Send>>,
}

/// What is to be done next.
enum Turn<R: Reactor> {
    Arrival(Arrival<R>),
    Ready(Option<(ConnectionId, Ready<R>)>),
    Commands,
    Timeout,
}

/// What came to the front.
enum Arrival<R: Reactor> {
    Connection(io::Result<(R::Stream, SocketAddr)>),
    Packets,
    /// It is time to try to listen again.
    Retry,
}

/// A connection, and what of the last write it has not taken yet.
struct Socket<R: Reactor> {
    stream: Option<Arc<R::Stream>>,
    unwritten: Unwritten,
    /// Ends the wait for a dial or for something to read.
    reading: Option<AbortHandle>,
    /// Ends the wait for room to write.
    writing: Option<AbortHandle>,
}

/// Something that a connection is waited for; `None` if it was closed meanwhile.
type Wait<R> = Pin<Box<dyn Future<Output = Option<(ConnectionId, Ready<R>)>> + Send>>;

enum Ready<R: Reactor> {
    Dialled(io::Result<R::Stream>),
    Readable,
    Writable,
}

impl<R: Reactor> Driver<R> {
    /// Opens the socket and prepares the node. Others can reach it when [`Driver::run`] is polled.
    ///
    /// # Errors
    ///
    /// [`StartError`] if the address cannot be listened at, or something about the node cannot be.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, the socket is closed, and nothing was started.
    pub async fn open<T, M>(builder: Builder<T, M>) -> Result<(Self, Handle<M>, Events), StartError> {
        let address = builder.listen_on()?;
        let bind = |error| StartError::Bind { address, error };
        let (front, listening) = match builder.chosen_transport() {
            Transport::Datagram => {
                let socket = R::bind(address).await.map_err(bind)?;
                let listening = R::bound_at(&socket).map_err(bind)?;
                (Front::Packets(socket), listening)
            }
            _ => {
                let listener = R::listen(address).await.map_err(bind)?;
                let listening = R::listens_at(&listener).map_err(bind)?;
                (Front::Connections(listener), listening)
            }
        };
        let (engine, handle, events) = Engine::new(builder.prepare(listening)?);
        let driver = Self {
            front,
            accept_after: None,
            sockets: HashMap::new(),
            waits: FuturesUnordered::new(),
            first: 0,
            burst: Burst::new(),
            timer: Timer::new(),
            engine,
        };
        Ok((driver, handle, events))
    }

    /// Drives the node until it has stopped.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, the sockets are closed. The node is gone without a word to its peers, and its handles return
    /// [`Stopped`](crate::Stopped) and [`End::Dropped`](crate::End::Dropped).
    pub async fn run(mut self) {
        self.engine.begin();
        self.drain().await;
        while !self.engine.is_stopped() {
            match self.next().await {
                Turn::Arrival(Arrival::Connection(accepted)) => self.on_accepted(accepted),
                Turn::Arrival(Arrival::Packets) => self.receive().await,
                Turn::Arrival(Arrival::Retry) => self.accept_after = None,
                Turn::Ready(Some((connection, ready))) => self.on_ready(connection, ready),
                Turn::Ready(None) => {}
                Turn::Commands => self.engine.run_commands(),
                Turn::Timeout => self.engine.on_timeout(),
            }
            self.give_way().await;
            self.drain().await;
        }
    }

    /// Waits for whatever comes first. What is there already comes before the timer, so that no peer counts as late whose bytes were
    /// there; [`Driver::give_way`] sees to it that the timer does not wait for long. Of what may be there, each is asked first in
    /// turn, so that none of it waits for the others for ever.
    async fn next(&mut self) -> Turn<R> {
        let Self { front, accept_after, waits, engine, first, timer, .. } = self;
        timer.set::<R>(engine.deadline_instant());
        let mut arrival = pin!(front.arrival(*accept_after));
        *first = (*first + 1) % 3;
        let mut was_suspended = false;
        let turn = poll_fn(|context| {
            for place in 0..3 {
                let turn = match (*first + place) % 3 {
                    0 => arrival.as_mut().poll(context).map(Turn::Arrival),
                    1 => match waits.poll_next_unpin(context) {
                        Poll::Ready(Some(ready)) => Poll::Ready(Turn::Ready(ready)),
                        // Nothing is waited for.
                        Poll::Ready(None) | Poll::Pending => Poll::Pending,
                    },
                    _ => engine.poll_filled(context).map(|()| Turn::Commands),
                };
                if turn.is_ready() {
                    return turn;
                }
            }
            let turn = timer.poll(context).map(|()| Turn::Timeout);
            was_suspended |= turn.is_pending();
            turn
        })
        .await;
        if was_suspended {
            engine.begin_slice();
        }
        turn
    }

    /// At the end of a slice of time, the timer has its turn, whatever else is ready, and then other tasks: they would wait for as
    /// long as something is always ready, since no runtime suspends a task by itself.
    async fn give_way(&mut self) {
        if !self.engine.is_slice_over() {
            return;
        }
        self.send_burst();
        if self.engine.is_due() {
            self.engine.on_timeout();
        }
        R::yield_now().await;
        self.engine.begin_slice();
    }

    /// Does all that the node wants done, and learns until when to wait.
    async fn drain(&mut self) {
        loop {
            match self.engine.poll() {
                Output::Connect { connection, to } => self.dial(connection, SocketAddr::from(to)),
                Output::Write { connection, bytes } => {
                    let socket = self.sockets.get_mut(&connection);
                    let gone = || Err(io::ErrorKind::NotConnected.into());
                    let written = socket.map_or_else(gone, |socket| socket.write(bytes));
                    self.after_write(connection, written);
                }
                Output::Close { connection } => {
                    self.sockets.remove(&connection);
                }
                Output::Datagram { to, bytes } => {
                    let front = &self.front;
                    let sent =
                        self.burst.add(to.into(), bytes, |bytes, size, to| front.send(bytes, size, to));
                    self.engine.after_burst(sent);
                }
                Output::Event(event) => {
                    self.send_burst();
                    self.on_event(event).await;
                }
                Output::Timeout(deadline) => {
                    self.send_burst();
                    self.engine.settle(deadline);
                    self.follow_listening().await;
                    return;
                }
                _ => {}
            }
            self.give_way().await;
        }
    }

    /// Closes the listening socket while the node accepts no connections, and opens it again afterwards: a peer that dials is
    /// then refused by the system, as if no process were here.
    async fn follow_listening(&mut self) {
        match &self.front {
            Front::Connections(listener) if !self.engine.is_listening() => {
                if let Ok(address) = R::listens_at(listener) {
                    self.front = Front::Closed(address);
                }
            }
            Front::Closed(address) if self.engine.is_listening() && self.accept_after.is_none() => {
                match R::listen(*address).await {
                    Ok(listener) => self.front = Front::Connections(listener),
                    Err(error) => {
                        warn!(%error, %address, "cannot listen again (it is tried once more soon)");
                        self.accept_after = Some(Instant::now() + ACCEPT_PAUSE);
                    }
                }
            }
            _ => {}
        }
    }

    /// Sends the packets that were waiting for more to the same address.
    fn send_burst(&mut self) {
        let sent = self.burst.send(|bytes, size, to| self.front.send(bytes, size, to));
        self.engine.after_burst(sent);
    }

    async fn on_event(&mut self, event: Event) {
        if let Some(to_store) = self.engine.to_store(&event) {
            match R::blocking(|| to_store.run()).await {
                Some(stored) => self.engine.stored(stored),
                None => warn!(?event, "the raised generation was not stored: the runtime ends"),
            }
        }
        self.engine.tell(event);
    }

    /// Takes the packets that are there. What is to be sent goes out once all are handled that one call has given: those are of one sender,
    /// and parts of one message have one answer then.
    async fn receive(&mut self) {
        self.accept_after = None;
        for _ in 0..DATAGRAMS_PER_TURN {
            let Front::Packets(socket) = &self.front else { return };
            match self.engine.receive(|buffer| R::receive_many(socket, buffer)) {
                Ok(true) => {
                    self.drain().await;
                    if self.engine.is_stopped() {
                        return;
                    }
                }
                Ok(false) => return,
                Err(error) => return self.front_failed(&error),
            }
        }
    }

    /// Nothing is taken from the front for a moment; all else goes on.
    fn front_failed(&mut self, error: &io::Error) {
        self.accept_after = Some(Instant::now() + self.engine.front_failed(error));
    }

    fn on_accepted(&mut self, accepted: io::Result<(R::Stream, SocketAddr)>) {
        self.accept_after = None;
        match accepted {
            Ok((stream, from)) => {
                if let Some(connection) = self.engine.accept(from) {
                    self.open_socket(connection, stream);
                }
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => self.front_failed(&error),
        }
    }

    fn dial(&mut self, connection: ConnectionId, to: SocketAddr) {
        let (dialled, abort) = wait(async move { (connection, Ready::Dialled(R::connect(to).await)) });
        self.waits.push(dialled);
        self.sockets.entry(connection).or_insert_with(Socket::new).reading = Some(abort);
    }

    fn on_ready(&mut self, connection: ConnectionId, ready: Ready<R>) {
        match ready {
            Ready::Dialled(Ok(stream)) => {
                self.open_socket(connection, stream);
                self.engine.input(Input::Opened { connection });
            }
            Ready::Dialled(Err(error)) => {
                self.sockets.remove(&connection);
                self.engine.dial_failed(connection, &error);
            }
            Ready::Readable => self.read(connection),
            Ready::Writable => {
                let Some(socket) = self.sockets.get_mut(&connection) else { return };
                let written = socket.resume();
                self.after_write(connection, written);
            }
        }
    }

    fn open_socket(&mut self, connection: ConnectionId, stream: R::Stream) {
        // Heartbeats are small, and each is awaited.
        if let Err(error) = R::set_nodelay(&stream) {
            debug!(%error, %connection, "TCP_NODELAY could not be set");
        }
        let stream = Arc::new(stream);
        self.sockets.entry(connection).or_insert_with(Socket::new).stream = Some(stream);
        self.await_reading(connection);
    }

    fn read(&mut self, connection: ConnectionId) {
        for _ in 0..READS_PER_TURN {
            let socket = self.sockets.get(&connection);
            let Some(stream) = socket.and_then(|socket| socket.stream.as_ref()) else { return };
            match self.engine.read(connection, |buffer| R::read(stream, buffer)) {
                Taken::Full if !self.engine.is_slice_over() => {}
                Taken::Full | Taken::Some | Taken::Nothing => break,
                Taken::Over(error) => return self.lost(connection, error),
            }
        }
        self.await_reading(connection);
    }

    fn await_reading(&mut self, connection: ConnectionId) {
        if let Some(socket) = self.sockets.get_mut(&connection)
            && let Some(stream) = socket.stream.clone()
        {
            let (readable, abort) = wait(async move {
                R::readable(stream).await;
                (connection, Ready::Readable)
            });
            socket.reading = Some(abort);
            self.waits.push(readable);
        }
    }

    fn after_write(&mut self, connection: ConnectionId, written: io::Result<Written>) {
        match written {
            Ok(Written::All) => self.engine.input(Input::Writable { connection }),
            Ok(Written::Part) => {
                if let Some(socket) = self.sockets.get_mut(&connection)
                    && let Some(stream) = socket.stream.clone()
                {
                    let (writable, abort) = wait(async move {
                        R::writable(stream).await;
                        (connection, Ready::Writable)
                    });
                    socket.writing = Some(abort);
                    self.waits.push(writable);
                }
            }
            Err(error) => self.lost(connection, Some(error)),
        }
    }

    fn lost(&mut self, connection: ConnectionId, error: Option<io::Error>) {
        self.sockets.remove(&connection);
        self.engine.lost(connection, error);
    }
}

impl<R: Reactor> fmt::Debug for Driver<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Driver")
            .field("engine", &self.engine)
            .field("sockets", &self.sockets.len())
            .finish_non_exhaustive()
    }
}

impl Timer {
    fn new() -> Self {
        Self { until: None, wait: Box::pin(pending()) }
    }

    fn set<R: Reactor>(&mut self, until: Option<Instant>) {
        if self.until != until {
            self.until = until;
            self.wait = match until {
                Some(until) => Box::pin(R::sleep_until(until)),
                None => Box::pin(pending()),
            };
        }
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let polled = self.wait.as_mut().poll(context);
        if polled.is_ready() {
            *self = Self::new();
        }
        polled
    }
}

impl<R: Reactor> Front<R> {
    async fn arrival(&self, accept_after: Option<Instant>) -> Arrival<R> {
        if let Some(after) = accept_after {
            R::sleep_until(after).await;
        }
        match self {
            Self::Connections(listener) => Arrival::Connection(R::accept(listener).await),
            Self::Closed(_) if accept_after.is_none() => pending().await,
            Self::Closed(_) => Arrival::Retry,
            Self::Packets(socket) => {
                R::packets_ready(socket).await;
                Arrival::Packets
            }
        }
    }

    /// Sends packets now or never.
    fn send(&self, bytes: &[u8], size: usize, to: SocketAddr) -> io::Result<()> {
        let Self::Packets(socket) = self else { return Ok(()) };
        R::send_many(socket, bytes, size, to)
    }
}

impl<R: Reactor> Socket<R> {
    const fn new() -> Self {
        Self { stream: None, unwritten: Unwritten::new(), reading: None, writing: None }
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<Written> {
        let stream = self.stream.as_ref().ok_or(io::ErrorKind::NotConnected)?;
        self.unwritten.write(bytes, |bytes| R::write(stream, bytes))
    }

    fn resume(&mut self) -> io::Result<Written> {
        let stream = self.stream.as_ref().ok_or(io::ErrorKind::NotConnected)?;
        self.unwritten.resume(|bytes| R::write(stream, bytes))
    }
}

impl<R: Reactor> Drop for Socket<R> {
    fn drop(&mut self) {
        for abort in [&self.reading, &self.writing].into_iter().flatten() {
            abort.abort();
        }
    }
}

/// A wait, and what ends it: a socket that is still waited for would stay open.
fn wait<R: Reactor>(
    ready: impl Future<Output = (ConnectionId, Ready<R>)> + Send + 'static,
) -> (Wait<R>, AbortHandle) {
    let (ready, abort) = abortable(ready);
    (Box::pin(async move { ready.await.ok() }), abort)
}
