//! A node: the protocol, and Cassandra's connections under it. The one type that adapters drive.

mod connections;
mod frames;

use core::ops::Range;
use core::time::Duration;

use self::connections::{Accepted, Action, Connections, Dialled, Gone, Path, Side};
use self::frames::Framer;
use crate::application_state::ApplicationState;
use crate::config::{Config, SetStateError};
use crate::endpoint::Endpoint;
use crate::gossiper::{AssassinateError, Gossiper, LeaveError, Outgoing};
use crate::internode::{ConnectionType, CrossNodeTimeout, Framing, InboundEvent, OutboundEvent, Scratch};
use crate::io::{ConnectionId, Input, Output};
use crate::log;
use crate::message::{Codec, Message};
use crate::rng::{Purpose, Rng};
use crate::stats::Stats;
use crate::time::Timestamp;
use crate::verb::Verb;
use crate::version::{MessagingVersion, Version};
use crate::wire::Writer;

/// The largest message that goes over the connection for gossip, in bytes, header included (`internode.md` §2).
pub const MAX_URGENT_MESSAGE: usize = 65_515;

/// How often connections are looked at for what takes too long.
const HOUSEKEEPING: Duration = Duration::from_secs(1);

/// A node of a cluster, without sockets, clock or thread: tell it what happened by [`Node::handle_input`], then ask it what to
/// do by [`Node::poll`] until it has nothing more.
///
/// ```
/// use gossip_core::{Config, Endpoint, Generation, Input, Node, Output, Timestamp};
///
/// let local = Endpoint::v4([10, 0, 0, 1], 7000);
/// let seed = Endpoint::v4([10, 0, 0, 2], 7000);
/// let config = Config::builder("my cluster", local, Generation::new(1), [7; 32]).seed(seed).build()?;
/// let mut node = Node::new(config, Timestamp::ZERO);
/// let mut buffer = vec![0; Node::MIN_BUFFER];
///
/// node.handle_input(Timestamp::from_millis(1_000), Input::Timeout);
/// let Output::Connect { to, .. } = node.poll(&mut buffer) else { panic!("the first round dials the seed") };
/// assert_eq!(to, seed);
/// let Output::Timeout(Some(_)) = node.poll(&mut buffer) else { panic!("then there is nothing to do but wait") };
/// # Ok::<(), gossip_core::ConfigError>(())
/// ```
#[derive(Debug)]
pub struct Node {
    gossiper: Gossiper,
    connections: Connections,
    framer: Framer,
    scratch: Scratch,
    now: Timestamp,
    next_housekeeping: Timestamp,
    cross_node_timeout: CrossNodeTimeout,
}

impl Node {
    /// The least size of the buffer that [`Node::poll`] is lent, in bytes.
    pub const MIN_BUFFER: usize = frames::MIN_BUFFER;

    /// A node that begins to gossip now.
    pub fn new(config: Config, now: Timestamp) -> Self {
        let cross_node_timeout =
            if config.cross_node_timeout { CrossNodeTimeout::Enabled } else { CrossNodeTimeout::Disabled };
        let hash_key = Rng::new(&config.entropy, Purpose::HashKey).next_u64();
        Self {
            connections: Connections::new(&config, hash_key),
            framer: Framer::new(if config.compression { Framing::Lz4 } else { Framing::Crc }),
            gossiper: Gossiper::new(config, now),
            scratch: Scratch::new(),
            now,
            next_housekeeping: now + HOUSEKEEPING,
            cross_node_timeout,
        }
    }

    /// Takes in what happened. Nothing that comes over a connection makes this fail.
    pub fn handle_input(&mut self, now: Timestamp, input: Input<'_>) {
        self.now = self.now.max(now);
        self.take_in(input);
        self.count_connections();
    }

    fn take_in(&mut self, input: Input<'_>) {
        match input {
            Input::Timeout => self.on_timeout(),
            Input::WallClock { unix_ms } => self.gossiper.handle_wall_clock(self.now, unix_ms),
            Input::Opened { connection } => self.connections.on_opened(self.now, connection),
            Input::Failed { connection } | Input::Closed { connection } => {
                let gone = self.connections.on_gone(self.now, connection);
                self.on_gone(gone);
            }
            Input::Writable { connection } => {
                self.connections.on_writable(self.now, connection);
                self.resume(connection);
            }
            Input::Bytes { connection, bytes } => self.on_bytes(connection, bytes),
        }
    }

    /// Says what to do next. To be called until it is [`Output::Timeout`]; a driver that stops before that is late with
    /// what is left, and nothing worse.
    ///
    /// # Panics
    ///
    /// If `buffer` is shorter than [`Node::MIN_BUFFER`].
    pub fn poll<'b>(&mut self, buffer: &'b mut [u8]) -> Output<'b> {
        assert!(buffer.len() >= Self::MIN_BUFFER, "the lent buffer is shorter than Node::MIN_BUFFER");
        let output = self.next_output(buffer);
        self.count_connections();
        output
    }

    fn next_output<'b>(&mut self, buffer: &'b mut [u8]) -> Output<'b> {
        if let Some(event) = self.gossiper.poll_event() {
            return Output::Event(event);
        }
        if self.gossiper.is_stopped() {
            return Output::Timeout(None);
        }
        // Whatever is served may first close or dial connections: those come out before anything else.
        loop {
            if let Some(action) = self.connections.next_action() {
                match action {
                    Action::Connect(connection, to) => return Output::Connect { connection, to },
                    Action::Close(connection) => return Output::Close { connection },
                    Action::Accept(connection, accept) => {
                        let bytes = &mut buffer[..accept.len()];
                        bytes.copy_from_slice(&accept);
                        return Output::Write { connection, bytes };
                    }
                    Action::Initiate(connection) => {
                        let mut out = Writer::new(buffer);
                        let initiate = self.connections.outbound(connection);
                        if initiate.is_some_and(|outbound| outbound.initiate_bytes(&mut out).is_ok()) {
                            let len = out.len();
                            return Output::Write { connection, bytes: &buffer[..len] };
                        }
                    }
                }
                continue;
            }
            let served = if let Some(peer) = self.gossiper.next_peer() {
                self.serve(peer, buffer)
            } else if let Some(peer) = self.connections.next_large() {
                self.serve_large(peer, buffer)
            } else if let Some(ping) = self.connections.next_ping(self.now) {
                self.serve_ping(ping, buffer)
            } else {
                let round = self.gossiper.poll_timeout().unwrap_or(self.next_housekeeping);
                return Output::Timeout(Some(round.min(self.next_housekeeping)));
            };
            if let Some((connection, frame)) = served {
                self.gossiper.stats_mut().bytes_sent += frame.len() as u64;
                return Output::Write { connection, bytes: &buffer[frame] };
            }
        }
    }

    /// Takes a connection that was accepted on the listening socket, and names it. `None` if there are too many: drop it.
    pub fn accept(&mut self, now: Timestamp) -> Option<ConnectionId> {
        self.now = self.now.max(now);
        let accepted = if self.gossiper.is_stopped() { None } else { self.connections.accept(self.now) };
        if accepted.is_none() {
            self.gossiper.stats_mut().connections_refused += 1;
        }
        self.count_connections();
        accepted
    }

    /// Publishes a value of the node's own, under a fresh version.
    ///
    /// # Errors
    ///
    /// [`SetStateError`] if it could never be sent, or nothing is sent any more.
    pub fn set_state(
        &mut self,
        now: Timestamp,
        key: ApplicationState,
        value: &str,
    ) -> Result<Version, SetStateError> {
        self.now = self.now.max(now);
        self.gossiper.set_state(self.now, key, value)
    }

    /// Announces to all live members that the node stops, goes on for a while, and is done then:
    /// [`Event::Stopped`](crate::Event::Stopped).
    pub fn shutdown(&mut self, now: Timestamp) {
        self.now = self.now.max(now);
        self.gossiper.shutdown(self.now);
    }

    /// Leaves the cluster for good; see [`Gossiper::leave`].
    ///
    /// # Errors
    ///
    /// [`LeaveError`] if it is no member, or takes no part in gossip now.
    pub fn leave(&mut self, now: Timestamp) -> Result<(), LeaveError> {
        self.now = self.now.max(now);
        self.gossiper.leave(self.now)
    }

    /// Declares an endpoint as left; see [`Gossiper::assassinate`].
    ///
    /// # Errors
    ///
    /// [`AssassinateError`] if that cannot be begun.
    pub fn assassinate(&mut self, now: Timestamp, endpoint: Endpoint) -> Result<(), AssassinateError> {
        self.now = self.now.max(now);
        self.gossiper.assassinate(self.now, endpoint)
    }

    /// Announces a shutdown, and takes no part until [`Node::enable`].
    pub fn disable(&mut self, now: Timestamp) {
        self.now = self.now.max(now);
        self.gossiper.disable(self.now);
    }

    /// Takes part again after [`Node::disable`].
    pub fn enable(&mut self, now: Timestamp) {
        self.now = self.now.max(now);
        self.gossiper.enable(self.now);
    }

    /// Replaces the seeds; see [`Gossiper::set_seeds`].
    pub fn set_seeds(&mut self, seeds: &[Endpoint]) -> bool {
        self.gossiper.set_seeds(seeds)
    }

    /// What is known, and where everybody stands.
    pub const fn gossiper(&self) -> &Gossiper {
        &self.gossiper
    }

    /// The counters.
    pub const fn stats(&self) -> &Stats {
        self.gossiper.stats()
    }

    const fn count_connections(&mut self) {
        self.gossiper.stats_mut().connections = self.connections.opened();
    }

    fn on_timeout(&mut self) {
        self.gossiper.handle_timeout(self.now);
        if self.now < self.next_housekeeping {
            return;
        }
        self.next_housekeeping = self.now + HOUSEKEEPING;
        while let Some(overdue) = self.connections.next_overdue(self.now) {
            self.gossiper.stats_mut().timeouts += 1;
            log::debug!(connection = %overdue, "a connection took too long");
            let gone = self.connections.close(self.now, overdue);
            self.on_gone(gone);
        }
        self.connections.forget_peers(self.now);
    }

    /// A peer that was not reached has to do without what was due to it; one whose connection broke gets it over another.
    fn on_gone(&mut self, gone: Gone) {
        match gone {
            Gone::Other => {}
            Gone::Unreached(peer) => self.gossiper.forget(peer),
            Gone::Lost(peer) => self.gossiper.resume(peer),
        }
    }

    /// There may be room on a connection.
    fn resume(&mut self, connection: ConnectionId) {
        if let Some(peer) = self.connections.usable(connection) {
            self.gossiper.resume(peer);
        }
    }

    fn on_bytes(&mut self, id: ConnectionId, bytes: &[u8]) {
        self.gossiper.stats_mut().bytes_received += bytes.len() as u64;
        let Some(connection) = self.connections.get_mut(id) else { return };
        match &mut connection.side {
            Side::Accepted(_) => self.on_inbound_bytes(id, bytes),
            Side::Dialled(dialled) => match Dialled::take(dialled, bytes) {
                None => {}
                Some(OutboundEvent::Established { version, .. }) => {
                    self.connections.on_established(self.now, id, version);
                    self.resume(id);
                }
                Some(OutboundEvent::Failed(_error)) => {
                    log::debug!(connection = %id, error = %_error, "a dialled connection is of no use");
                    self.fail(id);
                }
            },
        }
    }

    fn fail(&mut self, id: ConnectionId) {
        self.gossiper.stats_mut().connections_failed += 1;
        let gone = self.connections.close(self.now, id);
        self.on_gone(gone);
    }

    fn on_inbound_bytes(&mut self, id: ConnectionId, bytes: &[u8]) {
        let Self { gossiper, connections, scratch, now, .. } = self;
        let now = *now;
        let unix_ms = gossiper.unix_ms().unwrap_or(0);
        let local = gossiper.local_endpoint();
        let mut pings = PingQueue::default();
        let mut answer = None;
        let mut failed = false;
        {
            let Some(Side::Accepted(accepted)) = connections.get_mut(id).map(|found| &mut found.side) else {
                return;
            };
            let Accepted { machine, session, growths, .. } = &mut **accepted;
            let mut peer = machine.peer();
            let mut version = machine.version();
            let mut input = bytes;
            while let Some(event) = machine.next(&mut input, scratch) {
                match event {
                    InboundEvent::Initiated { initiate, accept, incompatible } => {
                        answer = Some((accept, initiate.from));
                        // Nobody can be answered under an address that is none, and we need not talk to ourselves.
                        failed |= incompatible || initiate.from.is_unspecified() || initiate.from == local;
                        peer = Some(initiate.from);
                        version = machine.version();
                        *session = gossiper.open_session(initiate.from);
                        if failed {
                            break;
                        }
                    }
                    InboundEvent::Message { header, payload } => {
                        let (Some(from), Some(version)) = (peer, version) else { continue };
                        if header.is_expired(unix_ms, self.cross_node_timeout) {
                            gossiper.stats_mut().expired += 1;
                        } else if header.verb == Verb::PING_REQ {
                            if let Some(kind) =
                                payload.first().and_then(|kind| ConnectionType::from_number(*kind))
                            {
                                pings.push(from, kind, header.id);
                            }
                        } else {
                            match Message::decode(header.verb, payload, Codec::new(version)) {
                                Some(Ok(message)) => {
                                    gossiper.handle_message(now, from, header.id, session, &message);
                                }
                                Some(Err(_error)) => {
                                    gossiper.stats_mut().malformed += 1;
                                    log::debug!(%from, verb = %header.verb, error = %_error, "a message is malformed");
                                }
                                None => gossiper.stats_mut().skipped += 1,
                            }
                        }
                    }
                    InboundEvent::Skipped { .. } => gossiper.stats_mut().skipped += 1,
                    InboundEvent::FrameDropped { .. } | InboundEvent::MessageDropped { .. } => {
                        gossiper.stats_mut().corrupt_frames += 1;
                    }
                    InboundEvent::Failed(_error) => {
                        failed = true;
                        log::debug!(peer = ?peer, error = %_error, "an accepted connection is of no use");
                    }
                }
            }
            gossiper.stats_mut().buffers_grown += machine.buffer_growths() - *growths;
            *growths = machine.buffer_growths();
        }
        // What is held of unfinished messages counts together; whoever goes beyond the limit is the one to go.
        if !connections.heard(now, id) {
            failed = true;
        }
        if let Some((accept, from)) = answer {
            connections.answer_initiate(id, accept);
            connections.forgive(now, from);
        }
        for (from, kind, ping) in pings.iter() {
            connections.owe_ping(now, from, kind, ping);
        }
        if failed {
            self.fail(id);
        }
    }

    /// Writes what is due to `peer` into one frame, if one of its connections takes it now.
    fn serve(&mut self, peer: Endpoint, buffer: &mut [u8]) -> Option<(ConnectionId, Range<usize>)> {
        if self.gossiper.take_reset(peer) {
            self.connections.close_all_to(self.now, peer);
        }
        if self.gossiper.is_due(peer) {
            match self.connections.path(self.now, peer, ConnectionType::Urgent) {
                Path::Busy => {}
                Path::Closed => self.gossiper.forget(peer),
                Path::Ready(connection, version) => {
                    let Self { gossiper, framer, .. } = self;
                    let unix_ms = gossiper.unix_ms();
                    let frame = framer.frame(version, unix_ms, buffer, |frame| frame.fill(gossiper, peer));
                    if let Some(frame) = frame {
                        self.connections.written(self.now, connection);
                        // There may be a large message for the peer as well.
                        self.gossiper.resume(peer);
                        return Some((connection, frame));
                    }
                }
            }
        }
        self.serve_large(peer, buffer)
    }

    fn serve_ping(
        &mut self,
        (connection, version, id): (ConnectionId, MessagingVersion, u64),
        buffer: &mut [u8],
    ) -> Option<(ConnectionId, Range<usize>)> {
        let pong = Outgoing { verb: Verb::PING_RSP, id };
        let frame =
            self.framer.frame(version, self.gossiper.unix_ms(), buffer, |frame| frame.append(pong))?;
        self.connections.written(self.now, connection);
        Some((connection, frame))
    }

    /// Writes the next piece of a message to `peer` that is too large for the ordinary connection.
    fn serve_large(&mut self, peer: Endpoint, buffer: &mut [u8]) -> Option<(ConnectionId, Range<usize>)> {
        if !self.connections.has_large(peer) && !self.gossiper.is_large_due(peer) {
            return None;
        }
        match self.connections.path(self.now, peer, ConnectionType::Large) {
            Path::Busy => None,
            Path::Closed => {
                self.gossiper.forget_large(peer);
                None
            }
            Path::Ready(connection, version) => {
                if !self.connections.has_large(peer) {
                    let room = self.connections.large_room();
                    let written = self.gossiper.encode_large(peer, Codec::new(version), room);
                    let Ok((outgoing, body)) = written else {
                        // It waits for others to be done, unless it is too large by itself.
                        if written.is_err_and(|needed| !self.connections.defer_large(peer, needed)) {
                            self.gossiper.forget_large(peer);
                        }
                        return None;
                    };
                    let message = frames::large_message(outgoing, &body, version, self.gossiper.unix_ms());
                    self.connections.begin_large(peer, message);
                }
                let len = self
                    .connections
                    .next_piece(peer, |kind, piece| self.framer.piece(kind, piece, buffer))?;
                self.connections.written(self.now, connection);
                Some((connection, 0..len))
            }
        }
    }
}

/// The pings of one input that are to be answered: one of each type is enough.
#[derive(Debug, Default)]
struct PingQueue {
    pings: [Option<(Endpoint, ConnectionType, u64)>; 3],
}

impl PingQueue {
    fn push(&mut self, from: Endpoint, kind: ConnectionType, id: u64) {
        self.pings[usize::from(kind.number() - 1)] = Some((from, kind, id));
    }

    fn iter(&self) -> impl Iterator<Item = (Endpoint, ConnectionType, u64)> + '_ {
        self.pings.iter().flatten().copied()
    }
}
