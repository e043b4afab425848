//! What every driver keeps beside its sockets, and does in the same way whatever they are.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use gossip_core::{Clock, ConnectionId, Event, Generation, Input, Node, Output, Timestamp};
use tracing::{debug, warn};

use crate::builder::{PersistGeneration, Prepared};
use crate::events::Events;
use crate::handle::Handle;
use crate::mailbox::Mailbox;
use crate::packets::{Received, Unhandled, Unsent};
use crate::socket::{READ_BUFFER, TIME_SLICE, dial_failure};
use crate::troubles::{Trouble, Troubles};

/// A node with its clock, its buffers and its mailbox: what a driver needs beside sockets and a timer.
///
/// A driver is a loop around it:
///
/// 1. [`Engine::begin`], once.
/// 2. [`Engine::poll`] until the node has nothing more to do; events go to [`Engine::tell`], the answer
///    [`Output::Timeout`] goes to [`Engine::settle`].
/// 3. Wait for a socket, for the mailbox ([`Engine::poll_filled`]) and for [`Engine::deadline`]. Then say what happened, and
///    begin again at 2.
///
/// After each read and each output the driver looks whether [`Engine::is_slice_over`]. If it is, the timer has its turn, and
/// then other tasks of the same thread.
///
/// Drop the sockets before the engine: the program that waits for the end of the node then finds the port free.
pub struct Engine {
    node: Node,
    clock: Clock,
    /// When the node wants [`Input::Timeout`], as it said when it had nothing more to do.
    deadline: Option<Timestamp>,
    /// Since when this task has not been suspended.
    began: Timestamp,
    front_troubles: Troubles,
    send_troubles: Troubles,
    persist: Option<PersistGeneration>,
    read_buffer: Box<[u8]>,
    write_buffer: Box<[u8]>,
    is_stopped: bool,
    /// Dropped last, since it reports the end.
    mailbox: Mailbox,
}

/// What a read of a connection gave.
#[derive(Debug)]
#[must_use]
pub enum Taken {
    /// As many bytes as one read can give: there may be more.
    Full,
    /// Some bytes. There may be more, which an edge-triggered poll does not report again.
    Some,
    /// Nothing now.
    Nothing,
    /// The peer has hung up, or the connection broke.
    Over(Option<io::Error>),
}

impl Engine {
    /// Takes over what is prepared. The node's clock starts now.
    pub fn new<M>(prepared: Prepared<M>) -> (Self, Handle<M>, Events) {
        let Prepared { node, mailbox, persist, handle, events } = prepared;
        let engine = Self {
            node,
            clock: Clock::start(),
            deadline: None,
            began: Timestamp::ZERO,
            front_troubles: Troubles::new(),
            send_troubles: Troubles::new(),
            persist,
            read_buffer: vec![0; READ_BUFFER].into(),
            write_buffer: vec![0; Node::MIN_BUFFER].into(),
            is_stopped: false,
            mailbox,
        };
        (engine, handle, events)
    }

    /// Tells the node the time of day, before anything else.
    pub fn begin(&mut self) {
        self.input(Input::WallClock { unix_ms: Clock::unix_millis() });
    }

    /// The time by the node's clock.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Tells the node what has happened.
    pub fn input(&mut self, input: Input<'_>) {
        self.node.handle_input(self.clock.now(), input);
    }

    /// Asks the node what is to be done.
    pub fn poll(&mut self) -> Output<'_> {
        self.node.poll(&mut self.write_buffer)
    }

    /// The node has nothing more to do until then ([`Output::Timeout`]).
    pub fn settle(&mut self, deadline: Option<Timestamp>) {
        self.mailbox.settle(&self.node);
        self.deadline = deadline;
    }

    /// Until when to wait, as the node said last.
    pub const fn deadline(&self) -> Option<Timestamp> {
        self.deadline
    }

    /// As [`Engine::deadline`], by the system's clock; `None` also if that cannot tell so late a time.
    pub fn deadline_instant(&self) -> Option<Instant> {
        self.deadline.and_then(|deadline| self.clock.instant(deadline))
    }

    /// Whether the time that the node waits for has come.
    pub fn is_due(&self) -> bool {
        self.deadline.is_some_and(|deadline| deadline <= self.clock.now())
    }

    /// Tells the node that time has passed.
    pub fn on_timeout(&mut self) {
        self.input(Input::WallClock { unix_ms: Clock::unix_millis() });
        self.input(Input::Timeout);
    }

    /// A slice of time begins: the driver was suspended, or gave way to others.
    pub fn begin_slice(&mut self) {
        self.began = self.clock.now();
    }

    /// When the slice of time began.
    pub const fn slice_began(&self) -> Timestamp {
        self.began
    }

    /// Whether the driver has worked for [`TIME_SLICE`] without a pause.
    pub fn is_slice_over(&self) -> bool {
        self.clock.now().saturating_since(self.began) >= TIME_SLICE
    }

    /// Whether the node has stopped.
    pub const fn is_stopped(&self) -> bool {
        self.is_stopped
    }

    /// Whether the node accepts connections now.
    pub fn is_listening(&self) -> bool {
        self.node.is_listening()
    }

    /// As [`Mailbox::register`].
    pub fn register(&self, waker: &Waker) {
        self.mailbox.register(waker);
    }

    /// As [`Mailbox::poll_filled`].
    pub fn poll_filled(&mut self, context: &mut Context<'_>) -> Poll<()> {
        self.mailbox.poll_filled(context)
    }

    /// Carries out what the handles want.
    pub fn run_commands(&mut self) {
        self.mailbox.run(&mut self.node, self.clock.now());
    }

    /// What an event wants stored before it is passed on with [`Engine::tell`]. Storing may block: run it where that is allowed, and
    /// give back what came of it to [`Engine::stored`].
    #[must_use = "it is to be stored before the event is passed on"]
    pub fn to_store(&mut self, event: &Event) -> Option<ToStore> {
        let Event::GenerationRaised { new, .. } = *event else { return None };
        Some(ToStore { generation: new, persist: self.persist.take()? })
    }

    /// Takes in what came of [`Engine::to_store`].
    pub fn stored(&mut self, Stored { generation, persist, result }: Stored) {
        self.persist = Some(persist);
        match result {
            Ok(Ok(())) => {}
            Ok(Err(error)) => warn!(%error, %generation, "the raised generation could not be stored"),
            Err(Panicked) => warn!(%generation, "storing the raised generation panicked"),
        }
    }

    /// Tells an event to all who want to know it.
    pub fn tell(&mut self, event: Event) {
        self.is_stopped |= event == Event::Stopped;
        self.mailbox.publish(&self.node, event);
    }

    /// Lets the node name a connection that was accepted; `None` if it is to be closed again.
    #[must_use = "a connection without a name is to be closed"]
    pub fn accept(&mut self, from: SocketAddr) -> Option<ConnectionId> {
        let connection = self.node.accept_from(self.clock.now(), Some(from.ip()));
        if connection.is_none() {
            debug!(%from, "a connection is refused");
        }
        connection
    }

    /// A dial has failed.
    pub fn dial_failed(&mut self, connection: ConnectionId, error: &io::Error) {
        debug!(%error, %connection, "a dial failed");
        self.node.explain_failure(connection, dial_failure(error));
        self.input(Input::Failed { connection });
    }

    /// A connection is over, because the peer hung up or because it broke.
    pub fn lost(&mut self, connection: ConnectionId, error: Option<io::Error>) {
        if let Some(error) = error {
            debug!(%error, %connection, "a connection broke");
        }
        self.input(Input::Closed { connection });
    }

    /// Reads a connection once, and tells the node what came.
    pub fn read(
        &mut self,
        connection: ConnectionId,
        mut read: impl FnMut(&mut [u8]) -> io::Result<usize>,
    ) -> Taken {
        loop {
            return match read(&mut self.read_buffer) {
                Ok(0) => Taken::Over(None),
                Ok(count) => {
                    let bytes = &self.read_buffer[..count];
                    self.node.handle_input(self.clock.now(), Input::Bytes { connection, bytes });
                    if count < READ_BUFFER { Taken::Some } else { Taken::Full }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => Taken::Nothing,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => Taken::Over(Some(error)),
            };
        }
    }

    /// Receives packets once, and tells the node, which is to be polled after it. Says whether there were any.
    ///
    /// # Errors
    ///
    /// What [`Engine::front_failed`] takes.
    pub fn receive(
        &mut self,
        mut receive: impl FnMut(&mut [u8]) -> io::Result<Received>,
    ) -> io::Result<bool> {
        loop {
            return match receive(&mut self.read_buffer) {
                Ok(received) => {
                    let mut unhandled = Unhandled::of(received, self.read_buffer.len());
                    while let Some(place) = unhandled.next() {
                        let bytes = &self.read_buffer[place];
                        self.node.handle_input(self.clock.now(), Input::Datagram { bytes });
                    }
                    Ok(true)
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(false),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => Err(error),
            };
        }
    }

    /// Accepting or receiving has failed. Says for how long neither is to be tried again; all else goes on.
    #[must_use = "for so long nothing is to be accepted or received"]
    pub fn front_failed(&mut self, error: &io::Error) -> Duration {
        let Trouble { pause, to_tell } = self.front_troubles.failed(&mut self.node, error);
        match to_tell {
            Some(count) => {
                warn!(%error, count, "connections or packets could not be accepted (logged once a minute)");
            }
            None => debug!(%error, "no connection or packet was accepted"),
        }
        pause
    }

    /// What came of packets that were sent: see [`Engine::send_failed`].
    pub fn after_burst(&mut self, sent: Result<(), Unsent>) {
        if let Err((to, error)) = sent {
            self.send_failed(to, &error);
        }
    }

    /// A packet could not be sent, and is lost. Nothing waits for it, so there is nothing to be tried again.
    pub fn send_failed(&mut self, to: SocketAddr, error: &io::Error) {
        let is_full = matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted);
        let to_tell = if is_full { None } else { self.send_troubles.failed(&mut self.node, error).to_tell };
        match to_tell {
            Some(count) => {
                warn!(%error, %to, count, "packets could not be sent (logged once a minute)");
            }
            None => debug!(%error, %to, "a packet is lost"),
        }
    }
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine")
            .field("local", &self.node.gossiper().local_endpoint())
            .field("is_stopped", &self.is_stopped)
            .finish_non_exhaustive()
    }
}

/// A raised generation that is to be stored.
#[must_use = "the node is not to go on before it is stored"]
pub struct ToStore {
    generation: Generation,
    persist: PersistGeneration,
}

impl ToStore {
    /// Stores it. This may block. A panic of what stores it is caught.
    pub fn run(mut self) -> Stored {
        let result = catch_unwind(AssertUnwindSafe(|| (self.persist)(self.generation)));
        Stored { generation: self.generation, persist: self.persist, result: result.map_err(|_| Panicked) }
    }
}

impl fmt::Debug for ToStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ToStore").field("generation", &self.generation).finish_non_exhaustive()
    }
}

/// What came of storing a generation.
#[must_use = "it is to be given back to the engine"]
pub struct Stored {
    generation: Generation,
    persist: PersistGeneration,
    result: Result<io::Result<()>, Panicked>,
}

struct Panicked;

impl fmt::Debug for Stored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stored").field("generation", &self.generation).finish_non_exhaustive()
    }
}
