//! Who gives way when places, dials or memory run out: what one peer takes must not be missing to the others.

use core::cmp::Reverse;
use core::hash::BuildHasher;
use core::net::IpAddr;
use core::time::Duration;

use foldhash::fast::FixedState;

use super::{Accepted, Connection, Connections, Dialled, Gone, Side, Stage};
use crate::endpoint::Endpoint;
use crate::event::AddressRefusal;
use crate::internode::{ConnectionKind, ConnectionType};
use crate::io::ConnectionId;
use crate::node::sources::network_of;
use crate::time::Timestamp;

/// How many accepted connections of a type one peer may have. It needs one, and another while the first is not known to be broken.
const MAX_FROM_ONE: usize = 8;

/// The part of `max_dials` that peers may take that the node has not met, and of the peers that dials are remembered of.
pub(super) const fn share_of_strangers(all: usize) -> usize {
    if all < 4 { all } else { all / 4 * 3 }
}

/// One of how many places peers that the node has not met may take from those that it has, on either side.
const STRANGERS_PLACES: usize = 8;

/// For how long no other stranger's dial takes the place of one: part of `Timeouts::connect`.
const UNDISTURBED: u32 = 8;

/// How many times as long as others took a dial may take, beyond `Timeouts::connect`, and how many times that at the most.
const SLOWNESS: u32 = 2;
const MAX_SLOWNESS: u32 = 15;

/// How often the pause after dials that failed is doubled: for a stranger; and for others, whose dials took too long.
const MAX_DOUBLINGS: u8 = 4;
const MAX_DOUBLINGS_MET: u8 = 3;

/// After how many rounds without an exchange a connection may be closed.
pub(super) const UNUSED_ROUNDS: u32 = 300;

/// How many counters there are for the addresses that connections come from.
const CROWDS: usize = 256;

/// How many connections come from each address, or are dialled to names that do. Addresses share counters by a hash that no peer knows.
struct Crowds<'a> {
    counts: [u32; CROWDS],
    hash: &'a FixedState,
}

impl<'a> Crowds<'a> {
    fn of<'b>(hash: &'a FixedState, connections: impl Iterator<Item = &'b Connection>) -> Self {
        let mut crowds = Self { counts: [0; CROWDS], hash };
        for connection in connections {
            let at = crowds.place(connection.source);
            crowds.counts[at] += 1;
        }
        crowds
    }

    fn place(&self, source: Option<IpAddr>) -> usize {
        // Less than CROWDS.
        usize::try_from(self.hash.hash_one(source.map(network_of)) % CROWDS as u64).unwrap_or(0)
    }

    /// How many come from where `connection` does.
    fn size(&self, connection: &Connection) -> u32 {
        self.size_at(connection.source)
    }

    fn size_at(&self, source: Option<IpAddr>) -> u32 {
        self.counts[self.place(source)]
    }
}

impl Connection {
    /// The accepted side, if it is one.
    pub(super) fn accepted(&self) -> Option<&Accepted> {
        match &self.side {
            Side::Accepted(accepted) => Some(accepted),
            Side::Dialled(_) => None,
        }
    }

    pub(super) fn accepted_mut(&mut self) -> Option<&mut Accepted> {
        match &mut self.side {
            Side::Accepted(accepted) => Some(accepted),
            Side::Dialled(_) => None,
        }
    }

    /// How many bytes of something unfinished an accepted connection holds, and how much memory its buffers take. Those in which nothing
    /// lies are given back unless `keeps` says so.
    pub(super) fn held(&mut self, keeps: bool) -> (usize, usize) {
        #[cfg(feature = "tls")]
        let guard = &mut self.guard;
        let Side::Accepted(accepted) = &mut self.side else { return (0, 0) };
        let machine = &mut accepted.machine;
        if !keeps && machine.buffered() == 0 {
            machine.shrink();
        }
        let held = (machine.buffered(), machine.capacity());
        #[cfg(feature = "tls")]
        let held = {
            if let Some(layer) = guard.layer_mut().filter(|_| !keeps) {
                layer.shrink();
            }
            (held.0 + guard.buffered(), held.1 + guard.capacity())
        };
        held
    }

    fn dialled(&self) -> Option<&Dialled> {
        match &self.side {
            Side::Dialled(dialled) => Some(dialled),
            Side::Accepted(_) => None,
        }
    }

    fn is_dial_to_stranger(&self) -> bool {
        self.dialled().is_some_and(|dialled| dialled.is_stranger && dialled.stage == Stage::Dialling)
    }

    fn is_to_stranger(&self) -> bool {
        self.dialled().is_some_and(|dialled| dialled.is_stranger)
    }

    /// Whether it was dialled, and nothing is lost if it is closed now: all was written.
    fn may_go(&self) -> bool {
        self.dialled()
            .is_some_and(|dialled| dialled.is_writable && matches!(dialled.stage, Stage::Established(_)))
    }
}

impl Connections {
    /// Gets a place for another accepted connection: one that has not said who it is gives way to a handshake. If all places are taken, one
    /// of a peer that the node has not met gives way, where those have their share; else the one that was silent for the longest. Of
    /// several strangers it is the oldest of the address that has the most of them.
    pub(super) fn make_place_for_accepted(
        &mut self,
        now: Timestamp,
        is_met: impl Fn(Endpoint) -> bool,
    ) -> bool {
        if self.handshakes >= self.limits.max_handshakes {
            let is_new =
                |connection: &&Connection| connection.accepted().is_some_and(|accepted| !accepted.is_greeted);
            let crowds = Crowds::of(&self.hash, self.connections().filter(is_new));
            let oldest = self
                .connections()
                .filter(is_new)
                .min_by_key(|connection| (Reverse(crowds.size(connection)), connection.opened))
                .map(|connection| connection.id);
            let Some(oldest) = oldest else { return false };
            self.displace(now, oldest);
        }
        // A quarter of the places stays for dials: who only listens is not a member. Of the others, each side gives way to the other as long
        // as it has more than half of all places.
        if self.used_places() >= self.limits.max_connections.div_ceil(4) * 3 {
            let accepted = self.connections().filter(|connection| connection.accepted().is_some()).count();
            if accepted < self.limits.max_connections / 2
                && let Some((_, unused)) = self.least_used()
            {
                self.displace(now, unused);
                return true;
            }
            let accepted = || self.connections().filter(|connection| connection.accepted().is_some());
            let is_known = |connection: &Connection| connection.owner.is_some_and(|(from, _)| is_met(from));
            let crowds = Crowds::of(&self.hash, accepted().filter(|connection| !is_known(connection)));
            // Strangers have a share, or the handshake of one would end with the next that comes.
            let strangers = accepted().filter(|connection| !is_known(connection)).count();
            let has_share = strangers < self.limits.max_connections / STRANGERS_PLACES;
            let silent = accepted()
                .min_by_key(|connection| {
                    // How often strangers speak is up to them, and says nothing for them.
                    match is_known(connection) {
                        true => (!has_share, Reverse(0), connection.heard),
                        false => (has_share, Reverse(crowds.size(connection)), connection.opened),
                    }
                })
                .map(|connection| connection.id);
            let Some(silent) = silent else { return false };
            self.displace(now, silent);
        }
        true
    }

    /// A peer has named itself. If it has too many connections, the one that was silent for the longest gives way.
    pub(super) fn greet(&mut self, now: Timestamp, id: ConnectionId, from: Endpoint, kind: ConnectionKind) {
        let kind = match kind {
            ConnectionKind::Messaging(kind) => kind,
            ConnectionKind::Untyped | ConnectionKind::Streaming => ConnectionType::Urgent,
        };
        let owner = Some((from, kind));
        let Some(connection) = self.get_mut(id) else { return };
        connection.owner = owner;
        let theirs = |connection: &&Connection| connection.owner == owner && connection.id != id;
        if self.connections().filter(theirs).count() >= MAX_FROM_ONE {
            let silent = self.connections().filter(theirs).min_by_key(|connection| connection.heard);
            if let Some(silent) = silent.map(|connection| connection.id) {
                self.displace(now, silent);
            }
        }
    }

    /// What accepted connections hold is beyond the limit: memory of those that hold nothing unfinished is given back. If that is not
    /// enough, names the connection to close: the one that holds the most, or holds it the longest.
    pub(in crate::node) fn next_to_go(&mut self, now: Timestamp) -> Option<ConnectionId> {
        if self.inbound_bytes <= self.limits.max_inbound_bytes {
            return None;
        }
        let Self { places, inbound_bytes, .. } = self;
        for connection in places.iter_mut().flatten() {
            let (_, capacity) = connection.held(false);
            if let Some(accepted) = connection.accepted_mut() {
                *inbound_bytes = *inbound_bytes - accepted.capacity + capacity;
                accepted.capacity = capacity;
            }
        }
        if self.inbound_bytes <= self.limits.max_inbound_bytes {
            return None;
        }
        let burden = |connection: &Connection| {
            let accepted = connection.accepted()?;
            let age = accepted.unfinished_since.map_or(Duration::ZERO, |since| now.saturating_since(since));
            let bytes = u64::try_from(accepted.capacity).unwrap_or(u64::MAX);
            Some((bytes.saturating_mul(age.as_secs() + 1), connection.id))
        };
        self.connections().filter_map(burden).max().map(|(_, id)| id)
    }

    /// Whether `to`, whose last dial failed, may not take the last dial, because another peer found none free. This holds once for each time that
    /// a peer found none. Otherwise, if a dead peer were dialled first in each round, no other peer would be dialled.
    pub(super) fn leaves_dial(&mut self, to: Endpoint) -> bool {
        let leaves = self.dials + 1 == self.dial_room && self.denied.is_some_and(|denied| denied != to);
        if leaves {
            self.denied = None;
        }
        leaves
    }

    /// Notes whether a peer that the node has met, or a seed, found no dial free.
    pub(super) fn note_denied(&mut self, to: Endpoint, is_denied: bool) {
        if self.denied == Some(to) {
            self.denied = None;
        } else if is_denied && self.dials >= self.dial_room && self.denied.is_none() {
            self.denied = Some(to);
        }
    }

    /// From where a peer that calls itself `name` is connected. If several are, it is one that has this address, if there is one.
    pub(super) fn source_of(&self, name: Endpoint) -> Option<IpAddr> {
        self.connections()
            .filter(|connection| connection.owner.is_some_and(|(from, _)| from == name))
            .filter_map(|connection| connection.source)
            .max_by_key(|source| network_of(*source) == network_of(name.ip()))
    }

    /// Whether `to` may be dialled now. The dial of a peer that the node has not met gives way, if need be: the oldest of those to names that
    /// came from the address with the most of them. To another such peer it gives way after a while, or at once if that one's address
    /// has fewer dials. So names that one host makes up are not in the way of others.
    pub(super) fn make_room_for_dial(&mut self, now: Timestamp, to: Endpoint, is_met: bool) -> bool {
        let strangers = self.stranger_dials;
        let is_share_used = !is_met && strangers >= share_of_strangers(self.dial_room);
        if self.dials >= self.dial_room || is_share_used {
            let dials = || self.connections().filter(|connection| connection.is_dial_to_stranger());
            let crowds = Crowds::of(&self.hash, dials());
            let fair = if is_met { 0 } else { crowds.size_at(self.source_of(to)) + 1 };
            let undisturbed = self.undisturbed();
            let oldest = dials()
                .filter(|connection| {
                    crowds.size(connection) > fair || now.saturating_since(connection.opened) >= undisturbed
                })
                .min_by_key(|connection| (Reverse(crowds.size(connection)), connection.opened))
                .map(|connection| connection.id);
            let Some(oldest) = oldest else { return false };
            self.displace(now, oldest);
        }
        if self.used_places() >= self.limits.max_connections {
            let undisturbed = self.undisturbed();
            // A peer that the node has not met yet may be a member, too. Such peers have a share of the places, or none of them would ever be met.
            let strangers = self.connections().filter(|connection| connection.is_to_stranger()).count();
            let has_share = is_met || strangers < self.limits.max_connections.div_ceil(STRANGERS_PLACES);
            let idle = self
                .connections()
                .filter_map(|connection| {
                    let dialled = connection.dialled()?;
                    // What waits for a stranger's answer is left alone for a while.
                    let is_idle = connection.may_go();
                    let may_go = match dialled.is_stranger {
                        true => is_idle || now.saturating_since(connection.opened) >= undisturbed,
                        false => has_share && is_idle,
                    };
                    may_go.then_some((!dialled.is_stranger, !is_idle, dialled.used, connection.id))
                })
                .min();
            let Some((.., idle)) = idle else { return false };
            self.displace(now, idle);
        }
        true
    }

    /// Closes connections that carried nothing but echoes and pings for many rounds, if more than half of all places are taken: what is
    /// used least goes first.
    ///
    /// Deviation: Cassandra keeps each connection for as long as the peer is a member.
    pub(in crate::node) fn close_unused(&mut self, now: Timestamp) {
        for _ in 0..self.limits.max_closed {
            if self.used_places() <= self.limits.max_connections / 2 {
                return;
            }
            let unused =
                self.least_used().filter(|(used, _)| now.saturating_since(*used) >= self.limits.unused);
            let Some((_, unused)) = unused else { return };
            let gone = self.close(now, unused);
            if !matches!(gone, Gone::Other) {
                self.displaced.push(gone);
            }
        }
    }

    /// Which dialled connection was not used for an exchange for the longest, of those over which all was written; and since when.
    fn least_used(&self) -> Option<(Timestamp, ConnectionId)> {
        let may_go = self.connections().filter(|connection| connection.may_go());
        may_go.filter_map(|connection| Some((connection.dialled()?.used, connection.id))).min()
    }

    /// For how long a stranger's dial is left alone: reachable endpoints answer soon, so dials end in the order in which they began. Where
    /// machines do not keep up, that is as long as a dial may take. If dials ended sooner, none would be answered, and all would be repeated.
    fn undisturbed(&self) -> Duration {
        let connect = self.limits.connect_timeout;
        self.slowness().clamp(connect / UNDISTURBED, self.dial_timeout())
    }

    /// A peer waits for room for a large message: one that has been in flight for long gives way.
    pub(in crate::node) fn displace_slow_large(&mut self, now: Timestamp) {
        let slow = self
            .peers
            .iter()
            .flatten()
            .filter_map(|peer| {
                Some((peer.large.as_ref()?.begun, peer.connections[super::index(ConnectionType::Large)]?))
            })
            .min()
            .filter(|(begun, _)| now.saturating_since(*begun) >= self.limits.handshake_timeout);
        if let Some((_, id)) = slow {
            self.displace(now, id);
        }
    }

    /// How long a dial may take. Where dials take long until they are answered, the machines or the network do not keep up: to give up others
    /// then, and begin them again, would be more work.
    pub(super) fn dial_timeout(&self) -> Duration {
        let connect = self.limits.connect_timeout;
        connect.saturating_add(self.slowness().min(connect.saturating_mul(MAX_SLOWNESS)))
    }

    /// Twice the time that dials take, or answers of the exchange: where no dial is answered in time, those tell how slow machines are.
    fn slowness(&self) -> Duration {
        self.dial_time.get().max(self.answer_wait).saturating_mul(SLOWNESS)
    }

    /// How long a peer is left alone after so many dials that failed one after the other.
    pub(super) fn pause_after(&self, failures: u8, is_stranger: bool, took_too_long: bool) -> Duration {
        let most = match (is_stranger, took_too_long) {
            (true, _) => MAX_DOUBLINGS,
            (false, true) => MAX_DOUBLINGS_MET,
            (false, false) => 0,
        };
        let doublings = failures.saturating_sub(1).min(most);
        self.limits.retry.saturating_mul(1 << doublings)
    }

    /// Closes connections from and to addresses that are not allowed.
    pub(in crate::node) fn close_what_is_not_allowed(&mut self, now: Timestamp) {
        for at in 0..self.places.len() {
            let Some(connection) = self.places[at].as_ref() else { continue };
            let id = connection.id;
            let is_allowed = match &connection.side {
                Side::Accepted(_) => self.sources.allowed.has_source(connection.source),
                Side::Dialled(_) => self.peer_of(id).is_none_or(|peer| self.sources.allowed.has(peer.ip())),
            };
            if !is_allowed {
                let gone = self.close(now, id);
                if !matches!(gone, Gone::Other) {
                    self.displaced.push(gone);
                }
            }
        }
    }

    /// What became of peers whose connections gave way to others.
    pub(in crate::node) fn next_displaced(&mut self) -> Option<Gone> {
        self.displaced.pop()
    }

    fn displace(&mut self, now: Timestamp, id: ConnectionId) {
        self.displacements += 1;
        let counted = self.get_mut(id).and_then(|connection| connection.counted);
        self.sources.refuse(counted, AddressRefusal::Displaced);
        let gone = self.close(now, id);
        if !matches!(gone, Gone::Other) {
            self.displaced.push(gone);
        }
    }

    fn connections(&self) -> impl Iterator<Item = &Connection> {
        self.places.iter().flatten()
    }

    pub(super) fn used_places(&self) -> usize {
        self.places.len() - self.free_places.len()
    }
}
