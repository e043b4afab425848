//! The connections of a node: which side dialled, how far each is, and how long it may stay so.

pub(super) mod large;
mod overdue;
mod room;
#[cfg(feature = "tls")]
mod secured;
#[cfg(test)]
mod tests;

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::hash::BuildHasher;
use core::net::IpAddr;
use core::time::Duration;

use foldhash::fast::FixedState;
use hashbrown::HashTable;

use self::large::{Kept, Large};
#[cfg(feature = "tls")]
pub(super) use self::secured::Last;
use crate::config::Config;
use crate::dial::DialFailure;
use crate::endpoint::Endpoint;
use crate::gossiper::Session;
use crate::internode::{
    Accept, ConnectionType, Framing, Inbound, InboundLimits, Initiate, Outbound, OutboundEvent, VersionRange,
};
use crate::io::{ConnectionId, OpenConnections};
use crate::node::sources::{SourceId, Sources};
use crate::time::{Peak, Timestamp};
use crate::version::MessagingVersion;

/// The low bits of a connection's id are its place, the others count up.
const PLACE_BITS: u32 = 24;

/// How many times as long as for one step of it a peer may take for a message.
const MAX_WAITS: u32 = 10;

/// To how many dials that are in progress their number falls where they take too long.
const MIN_DIALS: usize = 8;

/// How many peers dials are remembered of.
const MAX_PEERS: usize = 8_192;

/// All connections, and the peers to which they are dialled.
#[derive(Debug)]
pub(super) struct Connections {
    places: Vec<Option<Connection>>,
    /// When each is closed unless something happens, by its place: apart from the rest, since all of them are looked at each second.
    deadlines: Vec<Timestamp>,
    free_places: Vec<u32>,
    opened: u64,
    /// How many of them the driver knows of. A dial that ends before the driver hears of it does not count.
    told: u64,
    dials: usize,
    /// How many dials may be in progress now: fewer after some that took too long.
    dial_room: usize,
    /// The peer that found no dial free. Another peer whose last dial failed leaves it the last dial.
    denied: Option<Endpoint>,
    /// How long dials take that are answered.
    dial_time: Peak,
    /// How long answers of the exchange take, which the same machines give.
    answer_wait: Duration,
    /// Whether a dial has taken too long since the last look at all connections.
    has_slow_dial: bool,
    /// When all connections were looked at last for what takes too long.
    looked: Timestamp,
    /// How many of these are to peers that the node has not met.
    stranger_dials: usize,
    /// Accepted connections over which no whole handshake has come.
    handshakes: usize,
    peers: Vec<Option<Peer>>,
    free_peers: Vec<u32>,
    /// Whether there may be peers without a connection, which are to be forgotten in time.
    has_loose_peers: bool,
    index: HashTable<u32>,
    hash: FixedState,
    actions: VecDeque<Action>,
    /// Peers and connection types over which an answer to a ping may go out.
    pings: VecDeque<(PeerId, ConnectionType)>,
    /// Peers to which the next piece of a large message may go out.
    larges: VecDeque<PeerId>,
    /// Peers whose large message waits until there is room for it.
    deferred: VecDeque<Endpoint>,
    /// What became of peers whose connections gave way to others.
    displaced: Vec<Gone>,
    /// How many connections gave way to others.
    displacements: u64,
    /// What accepted connections take for messages that have not arrived whole, or keep for the next ones.
    inbound_bytes: usize,
    /// The sizes of all large messages that are being sent, or kept for the next peer that asks. What is shared counts once.
    large_bytes: usize,
    /// The last answer that holds everything.
    kept: Option<Kept>,
    pub(super) sources: Sources,
    limits: Limits,
}

#[derive(Clone, Copy, Debug)]
struct Limits {
    framing: Framing,
    max_large_bytes: usize,
    /// For how long an answer is shared.
    shared_for: Duration,
    max_inbound_bytes: usize,
    local: Endpoint,
    versions: VersionRange,
    max_connections: usize,
    max_dials: usize,
    max_handshakes: usize,
    connect_timeout: Duration,
    handshake_timeout: Duration,
    idle_timeout: Duration,
    /// How long a peer that could not be reached is left alone.
    retry: Duration,
    /// A connection that was not used for an exchange for this time may be closed, if there are many.
    unused: Duration,
    /// How many peers may wait for room to be sent a large message.
    max_deferred: usize,
    /// How many unused connections are closed at one look.
    max_closed: usize,
}

/// Names a peer to which something is or was dialled.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct PeerId(u32);

#[derive(Debug)]
struct Peer {
    endpoint: Endpoint,
    connections: [Option<ConnectionId>; 3],
    /// The id of a ping that is to be answered over a connection of that type.
    pings: [Option<u64>; 3],
    retry_at: Timestamp,
    /// How many dials failed since one did not.
    failures: u8,
    is_stranger: bool,
    large: Option<Large>,
    /// Whether it is dialled without TLS next, because it did not answer to TLS.
    #[cfg(feature = "tls")]
    prefers_plain: bool,
}

#[derive(Debug)]
pub(super) struct Connection {
    pub(super) id: ConnectionId,
    opened: Timestamp,
    /// When something last came over it, or went.
    heard: Timestamp,
    /// Of an accepted one: who says it is the dialler, and of which type it is.
    owner: Option<(Endpoint, ConnectionType)>,
    #[cfg(feature = "tls")]
    pub(super) guard: super::secure::Guard,
    /// Which address it comes from, if that is known; of a dial to a peer that the node has not met, which the name of that peer came from.
    pub(super) source: Option<IpAddr>,
    /// Of an accepted one: where its address is counted.
    pub(super) counted: Option<SourceId>,
    pub(super) side: Side,
}

#[derive(Debug)]
pub(super) enum Side {
    Accepted(Box<Accepted>),
    Dialled(Dialled),
}

/// A connection that brings messages.
#[derive(Debug)]
pub(super) struct Accepted {
    pub(super) machine: Inbound,
    pub(super) session: Session,
    /// How often its buffers had grown when that was counted last.
    pub(super) growths: u64,
    /// How many bytes its buffers took when that was counted last.
    capacity: usize,
    /// Since when it holds a part of a message, and nothing was finished.
    unfinished_since: Option<Timestamp>,
    /// Whether its handshake has come.
    is_greeted: bool,
}

/// A connection that takes messages.
#[derive(Debug)]
pub(super) struct Dialled {
    pub(super) peer: PeerId,
    kind: ConnectionType,
    pub(super) machine: Outbound,
    stage: Stage,
    is_writable: bool,
    /// Whether the node had not met the peer when it was dialled.
    is_stranger: bool,
    /// When it was last used for more than an echo or a ping; at first, when it was dialled.
    used: Timestamp,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Stage {
    Dialling,
    Handshaking,
    Established(MessagingVersion),
}

impl Dialled {
    pub(super) fn take(&mut self, bytes: &[u8]) -> Option<OutboundEvent> {
        self.machine.handle_bytes(bytes)
    }
}

/// What the driver is to do next.
#[derive(Clone, Copy, Debug)]
pub(super) enum Action {
    Connect(ConnectionId, Endpoint),
    Initiate(ConnectionId),
    Accept(ConnectionId, [u8; Accept::SIZE]),
    Close(ConnectionId),
    /// Writes what TLS has to say.
    #[cfg(feature = "tls")]
    Flush(ConnectionId),
    /// Writes the last of a connection that is closed then.
    #[cfg(feature = "tls")]
    Last(ConnectionId, Last),
}

impl Action {
    const fn connection(self) -> ConnectionId {
        match self {
            Self::Connect(id, _) | Self::Initiate(id) | Self::Accept(id, _) | Self::Close(id) => id,
            #[cfg(feature = "tls")]
            Self::Flush(id) | Self::Last(id, _) => id,
        }
    }
}

/// What can be done with the connection to a peer.
#[derive(Clone, Copy, Debug)]
pub(super) enum Path {
    /// Write to it.
    Ready(ConnectionId, MessagingVersion),
    /// Wait: it is being dialled, or still has something to write.
    Busy,
    /// There is none, and none may be dialled now.
    Closed,
}

/// Why a connection is not accepted.
#[derive(Clone, Copy, Debug)]
pub(super) enum NotAccepted {
    /// There are too many.
    Full,
    /// Its address may have none now.
    OfAddress,
}

/// What became of a connection that is gone.
#[derive(Clone, Copy, Debug)]
pub(super) enum Gone {
    /// It brought messages, or was of a type that takes no gossip.
    Other,
    /// The peer was never reached.
    Unreached(Endpoint),
    /// The peer was connected.
    Lost(Endpoint),
}

impl Connections {
    pub(super) fn new(config: &Config, hash_key: u64) -> Self {
        Self {
            places: Vec::new(),
            deadlines: Vec::new(),
            free_places: Vec::new(),
            opened: 0,
            told: 0,
            dials: 0,
            dial_room: config.limits.max_dials,
            denied: None,
            dial_time: Peak::ZERO,
            answer_wait: Duration::ZERO,
            has_slow_dial: false,
            looked: Timestamp::ZERO,
            stranger_dials: 0,
            handshakes: 0,
            peers: Vec::new(),
            free_peers: Vec::new(),
            has_loose_peers: false,
            index: HashTable::new(),
            hash: FixedState::with_seed(hash_key),
            actions: VecDeque::new(),
            pings: VecDeque::new(),
            larges: VecDeque::new(),
            deferred: VecDeque::with_capacity(config.budgets.max_deferred),
            displaced: Vec::with_capacity(config.budgets.max_deferred),
            displacements: 0,
            inbound_bytes: 0,
            large_bytes: 0,
            kept: None,
            sources: Sources::new(config),
            limits: Limits {
                framing: if config.compression { Framing::Lz4 } else { Framing::Crc },
                max_large_bytes: config.limits.max_large_bytes,
                shared_for: config.interval,
                max_inbound_bytes: config.limits.max_inbound_bytes,
                local: config.local,
                versions: config.versions(),
                max_connections: config.limits.max_connections,
                max_dials: config.limits.max_dials,
                max_handshakes: config.limits.max_handshakes,
                connect_timeout: config.timeouts.connect,
                handshake_timeout: config.timeouts.handshake,
                idle_timeout: config.timeouts.idle,
                retry: config.interval / 2,
                unused: config.interval * room::UNUSED_ROUNDS,
                max_deferred: config.budgets.max_deferred,
                max_closed: config.budgets.max_closed,
            },
        }
    }

    /// A connection that a peer dialled to us. It takes messages of up to `max_message` bytes.
    ///
    /// # Errors
    ///
    /// There are too many and no other gives way, or its address may have none.
    pub(super) fn accept(
        &mut self,
        now: Timestamp,
        source: Option<IpAddr>,
        max_message: usize,
        is_met: impl Fn(Endpoint) -> bool,
    ) -> Result<ConnectionId, NotAccepted> {
        let counted = self.sources.open(now, source).map_err(|_| NotAccepted::OfAddress)?;
        let Some(id) = self.accept_counted(now, max_message, is_met) else {
            self.sources.close(counted);
            return Err(NotAccepted::Full);
        };
        if let Some(connection) = self.get_mut(id) {
            (connection.source, connection.counted) = (source, counted);
        }
        Ok(id)
    }

    fn accept_counted(
        &mut self,
        now: Timestamp,
        max_message: usize,
        is_met: impl Fn(Endpoint) -> bool,
    ) -> Option<ConnectionId> {
        if !self.make_place_for_accepted(now, is_met) {
            return None;
        }
        let limits = InboundLimits { max_message, ..InboundLimits::default() };
        let machine = Inbound::new(self.limits.versions, limits);
        let accepted = Accepted {
            machine,
            session: Session::default(),
            growths: 0,
            capacity: 0,
            unfinished_since: None,
            is_greeted: false,
        };
        let id = self.open(now, now + self.limits.handshake_timeout, Side::Accepted(Box::new(accepted)))?;
        self.handshakes += 1;
        Some(id)
    }

    /// How many connections gave way to others so far.
    pub(super) const fn displacements(&self) -> u64 {
        self.displacements
    }

    /// How many connections the driver had so far.
    pub(super) const fn told(&self) -> u64 {
        self.told
    }

    /// How many are accepted and how many dialled now, those included that are not established yet.
    pub(super) fn open_now(&self) -> OpenConnections {
        let mut open = OpenConnections::default();
        for connection in self.places.iter().flatten() {
            match connection.side {
                Side::Accepted(_) => open.accepted += 1,
                Side::Dialled(_) => open.dialled += 1,
            }
        }
        open
    }

    pub(super) fn get_mut(&mut self, id: ConnectionId) -> Option<&mut Connection> {
        self.places.get_mut(place(id))?.as_mut().filter(|connection| connection.id == id)
    }

    pub(super) fn next_action(&mut self) -> Option<Action> {
        let action = self.actions.pop_front();
        self.told += u64::from(matches!(action, Some(Action::Connect(..))));
        action
    }

    /// The driver has not the connection any more: what it was to do with it is not to be done.
    pub(super) fn forget_actions(&mut self, id: ConnectionId) {
        self.actions.retain(|action| action.connection() != id);
    }

    /// The Initiate with which a dialled connection opens.
    pub(super) fn outbound(&mut self, id: ConnectionId) -> Option<&Outbound> {
        match &self.get_mut(id)?.side {
            Side::Dialled(dialled) => Some(&dialled.machine),
            Side::Accepted(_) => None,
        }
    }

    pub(super) fn answer_initiate(&mut self, id: ConnectionId, accept: [u8; Accept::SIZE]) {
        self.actions.push_back(Action::Accept(id, accept));
    }

    /// The way to `to`; dials it if there is none. Strangers, which the node has not met, leave a part of the dials to others.
    pub(super) fn path(
        &mut self,
        now: Timestamp,
        to: Endpoint,
        kind: ConnectionType,
        is_stranger: impl Fn() -> bool,
    ) -> Path {
        if !self.sources.may_dial(to.ip()) {
            return Path::Closed;
        }
        // Nothing is remembered of a peer that cannot be dialled anyway.
        let Some(peer) = self.find(to).or_else(|| {
            let is_stranger = is_stranger();
            let has_room = self.make_room_for_dial(now, to, !is_stranger);
            has_room.then(|| self.add_peer(to, is_stranger)).flatten()
        }) else {
            self.note_denied(to, !is_stranger());
            return Path::Closed;
        };
        let Some(known) = self.peers[peer.0 as usize].as_ref() else { return Path::Closed };
        if let Some(id) = known.connections[index(kind)] {
            let ready = self.get_mut(id).and_then(|connection| match &connection.side {
                Side::Dialled(Dialled { stage: Stage::Established(version), is_writable: true, .. }) => {
                    Some(*version)
                }
                _ => None,
            });
            return ready.map_or(Path::Busy, |version| Path::Ready(id, version));
        }
        if now < known.retry_at {
            return Path::Closed;
        }
        let (is_stranger, has_failed) = (is_stranger(), known.failures > 0);
        let may_dial = (!is_stranger || self.sources.may_dial_stranger(now))
            && !(has_failed && self.leaves_dial(to))
            && self.make_room_for_dial(now, to, !is_stranger);
        let id = may_dial.then(|| self.dial(now, peer, to, kind, is_stranger)).flatten();
        self.note_denied(to, id.is_none() && !is_stranger);
        if id.is_none() { Path::Closed } else { Path::Busy }
    }

    /// Takes a connection for one that has something to write, until the driver says that it has not. `is_exchange` says that it is more
    /// than echoes and pings.
    pub(super) fn written(&mut self, now: Timestamp, id: ConnectionId, is_exchange: bool) {
        let stalled = now + self.limits.handshake_timeout;
        if let Some(Connection { side: Side::Dialled(dialled), heard, .. }) = self.get_mut(id) {
            dialled.is_writable = false;
            if is_exchange {
                dialled.used = now;
            }
            *heard = now;
            self.deadlines[place(id)] = stalled;
        }
    }

    /// A dialled connection is open: its handshake begins.
    /// Its handshake may take `patience` at most, if that is given.
    pub(super) fn on_opened(&mut self, now: Timestamp, id: ConnectionId, patience: Option<Duration>) {
        // Deviation: Cassandra waits for an answer without limit once it is connected.
        let limit = self.limits.handshake_timeout;
        let deadline = now + patience.map_or(limit, |patience| patience.min(limit));
        if let Some(Connection { side: Side::Dialled(dialled), opened, .. }) = self.get_mut(id)
            && dialled.stage == Stage::Dialling
        {
            dialled.stage = Stage::Handshaking;
            let (is_stranger, took) = (dialled.is_stranger, now.saturating_since(*opened));
            self.dial_time.note(took);
            self.dials -= 1;
            self.stranger_dials -= usize::from(is_stranger);
            self.dial_room = (self.dial_room + 1).min(self.limits.max_dials);
            self.deadlines[place(id)] = deadline;
            self.actions.push_back(Action::Initiate(id));
        }
    }

    /// What the handshake of a dialled connection would have failed for if it ended now; `None` if it is none that is open and has no
    /// whole answer.
    pub(super) fn unanswered(&mut self, id: ConnectionId) -> Option<DialFailure> {
        match &self.get_mut(id)?.side {
            Side::Dialled(dialled) if dialled.stage == Stage::Handshaking => {
                Some(DialFailure::of_reply(dialled.machine.reply()))
            }
            _ => None,
        }
    }

    /// The handshake of a dialled connection is done.
    pub(super) fn on_established(&mut self, now: Timestamp, id: ConnectionId, version: MessagingVersion) {
        let idle = now + self.limits.idle_timeout;
        if let Some(Connection { side: Side::Dialled(dialled), .. }) = self.get_mut(id) {
            dialled.stage = Stage::Established(version);
            let peer = dialled.peer;
            self.deadlines[place(id)] = idle;
            if let Some(known) = self.peers[peer.0 as usize].as_mut() {
                known.failures = 0;
            }
        }
    }

    /// All that was to be written is written.
    pub(super) fn on_writable(&mut self, now: Timestamp, id: ConnectionId) {
        let idle = now + self.limits.idle_timeout;
        #[cfg(feature = "tls")]
        if self.has_more(id) {
            return;
        }
        if let Some(Connection { side: Side::Dialled(dialled), .. }) = self.get_mut(id) {
            dialled.is_writable = true;
            if matches!(dialled.stage, Stage::Established(_)) {
                self.deadlines[place(id)] = idle;
            }
        }
    }

    /// A peer has dialled us, and so runs: it may be dialled at once, whatever failed before.
    pub(super) fn forgive(&mut self, now: Timestamp, peer: Endpoint) {
        if let Some(known) = self.find(peer).and_then(|peer| self.peers[peer.0 as usize].as_mut()) {
            known.retry_at = known.retry_at.min(now);
        }
    }

    /// The peer that gossip may be sent to now over this connection. Pings are noted as ready.
    pub(super) fn usable(&mut self, id: ConnectionId) -> Option<Endpoint> {
        let (peer, kind) = match &self.get_mut(id)?.side {
            Side::Dialled(dialled)
                if dialled.is_writable && matches!(dialled.stage, Stage::Established(_)) =>
            {
                (dialled.peer, dialled.kind)
            }
            _ => return None,
        };
        let known = self.peers[peer.0 as usize].as_ref()?;
        if known.pings[index(kind)].is_some() {
            self.pings.push_back((peer, kind));
        }
        if kind == ConnectionType::Large && known.large.is_some() && !self.larges.contains(&peer) {
            self.larges.push_back(peer);
        }
        (kind != ConnectionType::Small).then_some(known.endpoint)
    }

    /// Something came over an accepted connection; perhaps it finished something. Says whether all together hold more than they may.
    pub(super) fn heard(&mut self, now: Timestamp, id: ConnectionId, has_finished: bool) -> bool {
        let Limits { handshake_timeout, idle_timeout, max_inbound_bytes, .. } = self.limits;
        let keeps = self.inbound_bytes <= max_inbound_bytes / 4;
        let (mut before, mut after, mut greeted, mut deadline) = (0, 0, None, None);
        if let Some(connection) = self.get_mut(id) {
            let (buffered, capacity) = connection.held(keeps);
            let Connection { side: Side::Accepted(accepted), heard, .. } = connection else {
                return false;
            };
            *heard = now;
            if buffered == 0 {
                accepted.unfinished_since = None;
            } else if has_finished || accepted.unfinished_since.is_none() {
                accepted.unfinished_since = Some(now);
            }
            if accepted.machine.version().is_some() {
                // A peer that has begun a message must continue it, and finish it in time.
                deadline = Some(accepted.unfinished_since.map_or(now + idle_timeout, |since| {
                    (now + handshake_timeout).min(since + handshake_timeout * MAX_WAITS)
                }));
            }
            if let Some(initiate) = accepted.machine.initiate()
                && !accepted.is_greeted
            {
                greeted = Some((initiate.from, initiate.kind));
                accepted.is_greeted = true;
            }
            before = accepted.capacity;
            after = capacity;
            accepted.capacity = after;
        }
        if let Some(deadline) = deadline {
            self.deadlines[place(id)] = deadline;
        }
        self.inbound_bytes = self.inbound_bytes - before + after;
        if let Some((from, kind)) = greeted {
            self.handshakes -= 1;
            self.greet(now, id, from, kind);
        }
        self.inbound_bytes > max_inbound_bytes
    }

    /// Notes that a ping is to be answered over a connection of a type; dials it if there is none. A later ping takes the
    /// place of an earlier one.
    pub(super) fn owe_ping(
        &mut self,
        now: Timestamp,
        to: Endpoint,
        (kind, id): (ConnectionType, u64),
        is_stranger: impl Fn() -> bool,
    ) {
        let path = self.path(now, to, kind, is_stranger);
        let Some(peer) = self.find(to) else { return };
        let Some(known) = self.peers[peer.0 as usize].as_mut() else { return };
        match path {
            Path::Closed => {}
            Path::Busy => known.pings[index(kind)] = Some(id),
            Path::Ready(..) => {
                if known.pings[index(kind)].replace(id).is_none() {
                    self.pings.push_back((peer, kind));
                }
            }
        }
    }

    /// A ping that can be answered now.
    pub(super) fn next_ping(&mut self, now: Timestamp) -> Option<(ConnectionId, MessagingVersion, u64)> {
        loop {
            let (peer, kind) = self.pings.pop_front()?;
            let known = self.peers[peer.0 as usize].as_ref();
            let Some((endpoint, is_stranger)) = known
                .filter(|known| known.pings[index(kind)].is_some())
                .map(|known| (known.endpoint, known.is_stranger))
            else {
                continue;
            };
            if let Path::Ready(connection, version) = self.path(now, endpoint, kind, || is_stranger)
                && let Some(known) = self.peers[peer.0 as usize].as_mut()
                && let Some(id) = known.pings[index(kind)].take()
            {
                return Some((connection, version, id));
            }
        }
    }

    /// Closes a connection of ours and tells the driver.
    pub(super) fn close(&mut self, now: Timestamp, id: ConnectionId) -> Gone {
        #[cfg(feature = "tls")]
        self.say_goodbye(id);
        let gone = self.on_gone(now, id);
        self.actions.push_back(Action::Close(id));
        gone
    }

    /// Closes all connections. The driver never hears of those that it does not know yet.
    pub(super) fn close_all(&mut self, now: Timestamp) {
        for at in 0..self.places.len() {
            let Some(id) = self.places[at].as_ref().map(|connection| connection.id) else { continue };
            let is_new =
                |action: &Action| matches!(action, Action::Connect(connection, _) if *connection == id);
            let is_untold = self.actions.iter().any(is_new);
            self.forget_actions(id);
            self.on_gone(now, id);
            if !is_untold {
                self.actions.push_back(Action::Close(id));
            }
        }
        self.pings.clear();
        self.larges.clear();
        self.deferred.clear();
    }

    /// For the log: what `id` leads to, as far as that is known.
    pub(super) fn peer_of(&self, id: ConnectionId) -> Option<Endpoint> {
        match &self.places.get(place(id))?.as_ref().filter(|found| found.id == id)?.side {
            Side::Accepted(accepted) => accepted.machine.peer(),
            Side::Dialled(dialled) => {
                self.peers.get(dialled.peer.0 as usize)?.as_ref().map(|peer| peer.endpoint)
            }
        }
    }

    /// Closes all connections that we dialled to `to`.
    pub(super) fn close_all_to(&mut self, now: Timestamp, to: Endpoint) {
        let Some(peer) = self.find(to) else { return };
        let connections = self.peers[peer.0 as usize].as_ref().map(|known| known.connections);
        for id in connections.into_iter().flatten().flatten() {
            self.close(now, id);
        }
        // The peer is another process now, or will be: it may be dialled at once.
        if let Some(known) = self.peers[peer.0 as usize].as_mut() {
            known.retry_at = now;
            known.failures = 0;
        }
    }

    /// Forgets a connection that the driver has not any more.
    pub(super) fn on_gone(&mut self, now: Timestamp, id: ConnectionId) -> Gone {
        let Some(connection) =
            self.places.get_mut(place(id)).and_then(|found| found.take_if(|found| found.id == id))
        else {
            return Gone::Other;
        };
        // Places are numbered in 24 bits.
        self.free_places.push(u32::try_from(place(id)).unwrap_or(u32::MAX));
        let dialled = match connection.side {
            Side::Dialled(dialled) => dialled,
            Side::Accepted(accepted) => {
                self.inbound_bytes -= accepted.capacity;
                self.handshakes -= usize::from(!accepted.is_greeted);
                self.sources.close(connection.counted);
                return Gone::Other;
            }
        };
        if dialled.stage == Stage::Dialling {
            self.dials -= 1;
            self.stranger_dials -= usize::from(dialled.is_stranger);
        }
        let was_established = matches!(dialled.stage, Stage::Established(_));
        let failures = self.peers[dialled.peer.0 as usize].as_ref().map_or(0, |peer| peer.failures);
        let failures = if was_established { 0 } else { failures.saturating_add(1) };
        // A dial that took too long is a burden on machines that do not keep up; one that was refused is none, and the peer may be back at once.
        let took_too_long = dialled.stage == Stage::Dialling && self.deadlines[place(id)] <= now;
        let retry = self.pause_after(failures, dialled.is_stranger, took_too_long);
        // Not all that failed together are tried again together.
        let retry = self.spread(retry, id);
        let Some(peer) = self.peers[dialled.peer.0 as usize].as_mut() else { return Gone::Other };
        let mut unsent = None;
        peer.connections[index(dialled.kind)] = None;
        self.has_loose_peers = true;
        peer.pings[index(dialled.kind)] = None;
        if dialled.kind == ConnectionType::Large {
            unsent = peer.large.take();
        }
        peer.failures = failures;
        // A peer that accepts, and closes at once, is left alone for a while, too.
        peer.retry_at = if was_established { connection.opened } else { now } + retry;
        let gone = match (dialled.kind, was_established) {
            (ConnectionType::Urgent, true) => Gone::Lost(peer.endpoint),
            (ConnectionType::Urgent, false) => Gone::Unreached(peer.endpoint),
            _ => Gone::Other,
        };
        if let Some(unsent) = unsent {
            self.let_go(unsent.body());
        }
        gone
    }

    /// A pause that is up to a quarter longer or shorter than the given one.
    fn spread(&self, pause: Duration, id: ConnectionId) -> Duration {
        // A remainder of 128 at the most.
        let share = u32::try_from(self.hash.hash_one(id.number()) % 129).unwrap_or(0);
        pause / 256 * (192 + share)
    }

    fn dial(
        &mut self,
        now: Timestamp,
        peer: PeerId,
        to: Endpoint,
        kind: ConnectionType,
        is_stranger: bool,
    ) -> Option<ConnectionId> {
        let initiate =
            Initiate::messaging(kind, self.limits.framing, self.limits.versions, self.limits.local);
        let machine = Outbound::new(initiate);
        let dialled = Dialled {
            peer,
            kind,
            machine,
            stage: Stage::Dialling,
            is_writable: false,
            is_stranger,
            used: now,
        };
        let source = if is_stranger { self.source_of(to) } else { None };
        let id = self.open(now, now + self.dial_timeout(), Side::Dialled(dialled))?;
        if let Some(connection) = self.get_mut(id) {
            connection.source = source;
        }
        self.dials += 1;
        self.stranger_dials += usize::from(is_stranger);
        if let Some(known) = self.peers[peer.0 as usize].as_mut() {
            known.is_stranger = is_stranger;
            known.connections[index(kind)] = Some(id);
        }
        self.actions.push_back(Action::Connect(id, to));
        Some(id)
    }

    fn open(&mut self, now: Timestamp, deadline: Timestamp, side: Side) -> Option<ConnectionId> {
        if self.used_places() >= self.limits.max_connections {
            return None;
        }
        let place = match self.free_places.pop() {
            Some(place) => place,
            None => {
                self.places.push(None);
                self.deadlines.push(deadline);
                // So that nothing has to be allocated when connections end, or open again.
                self.free_places.reserve(self.places.len());
                self.actions.reserve(self.places.len() * 4);
                self.pings.reserve(self.places.len() * 4);
                self.larges.reserve(self.places.len());
                u32::try_from(self.places.len() - 1).ok()?
            }
        };
        self.opened += 1;
        self.told += u64::from(matches!(side, Side::Accepted(_)));
        let id = ConnectionId::new(self.opened << PLACE_BITS | u64::from(place));
        self.deadlines[place as usize] = deadline;
        self.places[place as usize] = Some(Connection {
            id,
            opened: now,
            heard: now,
            owner: None,
            #[cfg(feature = "tls")]
            guard: super::secure::Guard::Plain,
            source: None,
            counted: None,
            side,
        });
        Some(id)
    }

    fn find(&self, endpoint: Endpoint) -> Option<PeerId> {
        let is_it =
            |at: &u32| self.peers[*at as usize].as_ref().is_some_and(|peer| peer.endpoint == endpoint);
        self.index.find(self.hash.hash_one(endpoint), is_it).map(|at| PeerId(*at))
    }

    fn add_peer(&mut self, endpoint: Endpoint, is_stranger: bool) -> Option<PeerId> {
        let used = self.peers.len() - self.free_peers.len();
        if is_stranger && used >= room::share_of_strangers(MAX_PEERS) {
            return None;
        }
        let at = match self.free_peers.pop() {
            Some(at) => at,
            None if self.peers.len() < MAX_PEERS => {
                self.peers.push(None);
                self.free_peers.reserve(self.peers.len());
                u32::try_from(self.peers.len() - 1).ok()?
            }
            None => return None,
        };
        self.has_loose_peers = true;
        self.peers[at as usize] = Some(Peer {
            endpoint,
            connections: [None; 3],
            pings: [None; 3],
            retry_at: Timestamp::ZERO,
            failures: 0,
            is_stranger,
            large: None,
            #[cfg(feature = "tls")]
            prefers_plain: false,
        });
        let Self { index, hash, peers, .. } = self;
        index.insert_unique(hash.hash_one(endpoint), at, |at| {
            peers[*at as usize].as_ref().map_or(0, |peer| hash.hash_one(peer.endpoint))
        });
        Some(PeerId(at))
    }
}

fn place(id: ConnectionId) -> usize {
    usize::try_from(id.number() & ((1 << PLACE_BITS) - 1)).unwrap_or(usize::MAX)
}

const fn index(kind: ConnectionType) -> usize {
    match kind {
        ConnectionType::Urgent => 0,
        ConnectionType::Small => 1,
        ConnectionType::Large => 2,
    }
}
