//! The one task of a node: sockets, a timer, a clock. All else is decided by the [`Node`].

use std::collections::HashMap;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;

use futures_util::StreamExt;
use futures_util::future::{AbortHandle, abortable};
use futures_util::stream::FuturesUnordered;
use gossip_adapter::{
    ACCEPT_PAUSE, DATAGRAMS_PER_TURN, Events, Handle, Mailbox, PersistGeneration, Prepared, READ_BUFFER,
    READS_PER_TURN, TIME_SLICE, Trouble, Troubles, Unwritten, Written, dial_failure,
};
use gossip_core::{Clock, ConnectionId, Event, Input, Node, Output, Timestamp};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::task::yield_now;
use tokio::time::{Instant, sleep_until};
use tracing::{debug, warn};

pub(crate) struct Driver {
    node: Node,
    clock: Clock,
    /// When the node wants [`Input::Timeout`], as it said when it had nothing more to do.
    deadline: Option<Timestamp>,
    /// Since when this task has not been suspended.
    began: Timestamp,
    front: Front,
    accept_after: Option<Instant>,
    front_troubles: Troubles,
    send_troubles: Troubles,
    persist: Option<PersistGeneration>,
    sockets: HashMap<ConnectionId, Socket>,
    waits: FuturesUnordered<Wait>,
    read_buffer: Box<[u8]>,
    write_buffer: Box<[u8]>,
    is_stopped: bool,
    /// Dropped after the sockets, so that whoever waits for the end finds the port free.
    mailbox: Mailbox,
}

/// The socket that anybody may reach.
pub(crate) enum Front {
    Connections(TcpListener),
    /// None: the node accepts no connections now. It had listened at this address.
    Closed(SocketAddr),
    Packets(UdpSocket),
}

/// What is to be done next.
enum Turn {
    Arrival(Arrival),
    Ready(Option<(ConnectionId, Ready)>),
    Commands,
    Timeout,
}

/// What came to the front.
enum Arrival {
    Connection(io::Result<(TcpStream, SocketAddr)>),
    Packets,
    /// It is time to try to listen again.
    Retry,
}

/// A connection, and what of the last write it has not taken yet.
struct Socket {
    stream: Option<Arc<TcpStream>>,
    unwritten: Unwritten,
    /// Ends the wait for a dial or for something to read.
    reading: Option<AbortHandle>,
    /// Ends the wait for room to write.
    writing: Option<AbortHandle>,
}

/// Something that a connection is waited for; `None` if it was closed meanwhile.
type Wait = Pin<Box<dyn Future<Output = Option<(ConnectionId, Ready)>> + Send>>;

enum Ready {
    Dialled(io::Result<TcpStream>),
    Readable,
    Writable,
}

impl Driver {
    pub(crate) fn new<M>(prepared: Prepared<M>, front: Front) -> (Self, Handle<M>, Events) {
        let Prepared { node, mailbox, persist, handle, events } = prepared;
        let driver = Self {
            node,
            clock: Clock::start(),
            deadline: None,
            began: Timestamp::ZERO,
            front,
            accept_after: None,
            front_troubles: Troubles::new(),
            send_troubles: Troubles::new(),
            persist,
            sockets: HashMap::new(),
            waits: FuturesUnordered::new(),
            read_buffer: vec![0; READ_BUFFER].into(),
            write_buffer: vec![0; Node::MIN_BUFFER].into(),
            is_stopped: false,
            mailbox,
        };
        (driver, handle, events)
    }

    pub(crate) async fn run(mut self) {
        self.input(Input::WallClock { unix_ms: Clock::unix_millis() });
        self.drain().await;
        while !self.is_stopped {
            let (turn, was_suspended) = told_if_suspended(self.next()).await;
            if was_suspended {
                self.began = self.clock.now();
            }
            match turn {
                Turn::Arrival(Arrival::Connection(accepted)) => self.on_accepted(accepted),
                Turn::Arrival(Arrival::Packets) => self.receive().await,
                Turn::Arrival(Arrival::Retry) => self.accept_after = None,
                Turn::Ready(Some((connection, ready))) => self.on_ready(connection, ready),
                Turn::Ready(None) => {}
                Turn::Commands => self.mailbox.run(&mut self.node, self.clock.now()),
                Turn::Timeout => self.on_timeout(),
            }
            self.give_way().await;
            self.drain().await;
        }
    }

    /// Waits for whatever comes first. What is there already comes before the timer, so that nobody is late whose bytes were there;
    /// [`Driver::give_way`] sees to it that the timer does not wait for long.
    async fn next(&mut self) -> Turn {
        let timeout = self.deadline.and_then(|deadline| self.clock.instant(deadline)).map(Instant::from_std);
        let ready = async {
            tokio::select! {
                arrival = self.front.arrival(self.accept_after) => Turn::Arrival(arrival),
                Some(ready) = self.waits.next(), if !self.waits.is_empty() => Turn::Ready(ready),
                () = self.mailbox.filled() => Turn::Commands,
            }
        };
        tokio::select! {
            biased;
            turn = ready => turn,
            () = sleep(timeout) => Turn::Timeout,
        }
    }

    fn is_slice_over(&self) -> bool {
        self.clock.now().saturating_since(self.began) >= TIME_SLICE
    }

    /// At the end of a slice of time, the timer has its turn, whatever else is ready, and then other tasks: what waits for sockets
    /// takes no part in tokio's budget, so where something is always ready, this task would never be suspended.
    async fn give_way(&mut self) {
        if !self.is_slice_over() {
            return;
        }
        if self.deadline.is_some_and(|deadline| deadline <= self.clock.now()) {
            self.on_timeout();
        }
        yield_now().await;
        self.began = self.clock.now();
    }

    fn on_timeout(&mut self) {
        self.input(Input::WallClock { unix_ms: Clock::unix_millis() });
        self.input(Input::Timeout);
    }

    fn input(&mut self, input: Input<'_>) {
        self.node.handle_input(self.clock.now(), input);
    }

    /// Does all that the node wants done, and learns until when to wait.
    async fn drain(&mut self) {
        loop {
            match self.node.poll(&mut self.write_buffer) {
                Output::Connect { connection, to } => {
                    let (dialled, abort) = wait(async move {
                        (connection, Ready::Dialled(TcpStream::connect(SocketAddr::from(to)).await))
                    });
                    self.waits.push(dialled);
                    self.sockets.entry(connection).or_insert_with(Socket::new).reading = Some(abort);
                }
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
                    let to = SocketAddr::from(to);
                    if let Err(error) = self.front.send(to, bytes) {
                        self.send_failed(to, &error);
                    }
                }
                Output::Event(event) => self.on_event(event).await,
                Output::Timeout(deadline) => {
                    self.mailbox.settle(&self.node);
                    self.deadline = deadline;
                    self.follow_listening().await;
                    return;
                }
                _ => {}
            }
            self.give_way().await;
        }
    }

    /// Closes the listening socket while the node accepts no connections, and opens it again afterwards: a peer that dials is
    /// then refused by the system, as if nobody were here.
    async fn follow_listening(&mut self) {
        match &self.front {
            Front::Connections(listener) if !self.node.is_listening() => {
                if let Ok(address) = listener.local_addr() {
                    self.front = Front::Closed(address);
                }
            }
            Front::Closed(address) if self.node.is_listening() && self.accept_after.is_none() => {
                match TcpListener::bind(*address).await {
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

    async fn on_event(&mut self, event: Event) {
        if let Event::GenerationRaised { new, .. } = event
            && let Some(mut persist) = self.persist.take()
        {
            let stored = tokio::task::spawn_blocking(move || {
                let result = persist(new);
                (persist, result)
            });
            match stored.await {
                Ok((persist, result)) => {
                    self.persist = Some(persist);
                    if let Err(error) = result {
                        warn!(%error, generation = %new, "the raised generation could not be stored");
                    }
                }
                Err(error) => warn!(%error, generation = %new, "the raised generation could not be stored"),
            }
        }
        self.is_stopped |= event == Event::Stopped;
        self.mailbox.publish(&self.node, event);
    }

    /// Nothing is taken from the front for a moment; all else goes on.
    fn front_failed(&mut self, error: &io::Error) {
        let Trouble { pause, to_tell } = self.front_troubles.failed(&mut self.node, error);
        self.accept_after = Some(Instant::now() + pause);
        match to_tell {
            Some(count) => {
                warn!(%error, count, "connections or packets could not be taken in (this is told once a minute)")
            }
            None => debug!(%error, "no connection or packet was taken in"),
        }
    }

    /// A packet is lost. Nothing waits for it, so there is nothing to be tried again.
    fn send_failed(&mut self, to: SocketAddr, error: &io::Error) {
        let is_full = matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted);
        let to_tell = if is_full { None } else { self.send_troubles.failed(&mut self.node, error).to_tell };
        match to_tell {
            Some(count) => {
                warn!(%error, %to, count, "packets could not be sent (this is told once a minute)")
            }
            None => debug!(%error, %to, "a packet is lost"),
        }
    }

    /// Takes the packets that are there. What is to be sent goes out after each: there is one of a kind for everybody.
    async fn receive(&mut self) {
        self.accept_after = None;
        for _ in 0..DATAGRAMS_PER_TURN {
            let Front::Packets(socket) = &self.front else { return };
            match socket.try_recv_from(&mut self.read_buffer) {
                Ok((count, _)) => {
                    let bytes = &self.read_buffer[..count];
                    self.node.handle_input(self.clock.now(), Input::Datagram { bytes });
                    self.drain().await;
                    if self.is_stopped {
                        return;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return self.front_failed(&error),
            }
        }
    }

    fn on_accepted(&mut self, accepted: io::Result<(TcpStream, SocketAddr)>) {
        self.accept_after = None;
        match accepted {
            Ok((stream, from)) => match self.node.accept(self.clock.now()) {
                Some(connection) => self.open(connection, stream),
                None => debug!(%from, "too many connections: one is refused"),
            },
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => self.front_failed(&error),
        }
    }

    fn on_ready(&mut self, connection: ConnectionId, ready: Ready) {
        match ready {
            Ready::Dialled(Ok(stream)) => {
                self.open(connection, stream);
                self.input(Input::Opened { connection });
            }
            Ready::Dialled(Err(error)) => {
                debug!(%error, %connection, "a dial failed");
                self.sockets.remove(&connection);
                self.node.explain_failure(connection, dial_failure(&error));
                self.input(Input::Failed { connection });
            }
            Ready::Readable => self.read(connection),
            Ready::Writable => {
                let Some(socket) = self.sockets.get_mut(&connection) else { return };
                let written = socket.resume();
                self.after_write(connection, written);
            }
        }
    }

    fn open(&mut self, connection: ConnectionId, stream: TcpStream) {
        // Heartbeats are small, and each is awaited.
        if let Err(error) = stream.set_nodelay(true) {
            debug!(%error, %connection, "TCP_NODELAY could not be set");
        }
        let stream = Arc::new(stream);
        self.sockets.entry(connection).or_insert_with(Socket::new).stream = Some(stream);
        self.await_reading(connection);
    }

    fn read(&mut self, connection: ConnectionId) {
        for _ in 0..READS_PER_TURN {
            let Some(stream) = self.sockets.get(&connection).and_then(|socket| socket.stream.clone()) else {
                return;
            };
            match stream.try_read(&mut self.read_buffer) {
                Ok(0) => return self.lost(connection, None),
                Ok(count) => {
                    let bytes = &self.read_buffer[..count];
                    self.node.handle_input(self.clock.now(), Input::Bytes { connection, bytes });
                    if count < READ_BUFFER || self.is_slice_over() {
                        break;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return self.lost(connection, Some(error)),
            }
        }
        self.await_reading(connection);
    }

    fn await_reading(&mut self, connection: ConnectionId) {
        if let Some(socket) = self.sockets.get_mut(&connection)
            && let Some(stream) = socket.stream.clone()
        {
            let (readable, abort) = wait(readable(connection, stream));
            socket.reading = Some(abort);
            self.waits.push(readable);
        }
    }

    fn after_write(&mut self, connection: ConnectionId, written: io::Result<Written>) {
        match written {
            Ok(Written::All) => self.input(Input::Writable { connection }),
            Ok(Written::Part) => {
                if let Some(socket) = self.sockets.get_mut(&connection)
                    && let Some(stream) = socket.stream.clone()
                {
                    let (writable, abort) = wait(writable(connection, stream));
                    socket.writing = Some(abort);
                    self.waits.push(writable);
                }
            }
            Err(error) => self.lost(connection, Some(error)),
        }
    }

    fn lost(&mut self, connection: ConnectionId, error: Option<io::Error>) {
        if let Some(error) = error {
            debug!(%error, %connection, "a connection broke");
        }
        self.sockets.remove(&connection);
        self.input(Input::Closed { connection });
    }
}

impl Front {
    pub(crate) fn local_addr(&self) -> io::Result<SocketAddr> {
        match self {
            Self::Connections(listener) => listener.local_addr(),
            Self::Closed(address) => Ok(*address),
            Self::Packets(socket) => socket.local_addr(),
        }
    }

    async fn arrival(&self, accept_after: Option<Instant>) -> Arrival {
        match self {
            Self::Connections(listener) => Arrival::Connection(accept(listener, accept_after).await),
            Self::Closed(_) => {
                sleep(accept_after).await;
                Arrival::Retry
            }
            Self::Packets(socket) => {
                if let Some(after) = accept_after {
                    sleep_until(after).await;
                }
                // An error shows when the socket is read.
                let _ = socket.readable().await;
                Arrival::Packets
            }
        }
    }

    /// Sends a packet now or never.
    fn send(&self, to: SocketAddr, bytes: &[u8]) -> io::Result<()> {
        let Self::Packets(socket) = self else { return Ok(()) };
        socket.try_send_to(bytes, to).map(drop)
    }
}

impl Socket {
    const fn new() -> Self {
        Self { stream: None, unwritten: Unwritten::new(), reading: None, writing: None }
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<Written> {
        let stream = self.stream.as_ref().ok_or(io::ErrorKind::NotConnected)?;
        self.unwritten.write(bytes, |bytes| stream.try_write(bytes))
    }

    fn resume(&mut self) -> io::Result<Written> {
        let stream = self.stream.as_ref().ok_or(io::ErrorKind::NotConnected)?;
        self.unwritten.resume(|bytes| stream.try_write(bytes))
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        for abort in [&self.reading, &self.writing].into_iter().flatten() {
            abort.abort();
        }
    }
}

/// A wait, and what ends it: a socket that is still waited for would stay open.
fn wait(ready: impl Future<Output = (ConnectionId, Ready)> + Send + 'static) -> (Wait, AbortHandle) {
    let (ready, abort) = abortable(ready);
    (Box::pin(async move { ready.await.ok() }), abort)
}

async fn readable(connection: ConnectionId, stream: Arc<TcpStream>) -> (ConnectionId, Ready) {
    // An error shows when the socket is read.
    let _ = stream.readable().await;
    (connection, Ready::Readable)
}

async fn writable(connection: ConnectionId, stream: Arc<TcpStream>) -> (ConnectionId, Ready) {
    // An error shows when the socket is written to.
    let _ = stream.writable().await;
    (connection, Ready::Writable)
}

async fn accept(listener: &TcpListener, after: Option<Instant>) -> io::Result<(TcpStream, SocketAddr)> {
    if let Some(after) = after {
        sleep_until(after).await;
    }
    listener.accept().await
}

async fn sleep(until: Option<Instant>) {
    match until {
        Some(until) => sleep_until(until).await,
        None => std::future::pending().await,
    }
}

/// What a future gives, and whether it was not ready at once.
async fn told_if_suspended<T>(future: impl Future<Output = T>) -> (T, bool) {
    let mut future = pin!(future);
    let mut was_suspended = false;
    poll_fn(|context| {
        let polled = future.as_mut().poll(context);
        let ready = polled.map(|output| (output, was_suspended));
        was_suspended = true;
        ready
    })
    .await
}
