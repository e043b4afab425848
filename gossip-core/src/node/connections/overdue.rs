//! What takes too long: looked for once a second.

use core::hash::BuildHasher;
use core::time::Duration;

use super::{Connections, MIN_DIALS, Side, Stage};
use crate::io::ConnectionId;
use crate::time::Timestamp;

/// Into how many parts the time that dials take is divided; it fades by one of them from look to look.
const FADES: u32 = 64;

impl Connections {
    /// A connection for which too long nothing has happened. A dial is given up at the second look at which it takes too long: that it
    /// was taken may be known to the driver, which has passed in the time first.
    pub(in crate::node) fn next_overdue(&mut self, now: Timestamp) -> Option<ConnectionId> {
        let due = self.deadlines.iter().zip(&self.places).filter(|(deadline, _)| **deadline <= now);
        for (deadline, connection) in due {
            let Some(connection) = connection else { continue };
            let is_dialling =
                matches!(&connection.side, Side::Dialled(dialled) if dialled.stage == Stage::Dialling);
            if !is_dialling || *deadline <= self.looked {
                self.has_slow_dial |= is_dialling;
                return Some(connection.id);
            }
        }
        None
    }

    /// All connections were looked at. Answers of the exchange take `answer_wait`, and dials may take as long.
    ///
    /// If a dial has taken too long, fewer are begun together: where the machines or the network do not keep up, each more would make all
    /// others take longer.
    pub(in crate::node) fn end_look(&mut self, now: Timestamp, answer_wait: Duration) {
        self.looked = now;
        self.dial_time.fade(FADES);
        self.answer_wait = answer_wait;
        if core::mem::take(&mut self.has_slow_dial) {
            self.dial_room = (self.dial_room / 2).max(MIN_DIALS).min(self.limits.max_dials);
        }
    }

    /// Forgets peers to which there is no connection, and which may be dialled at any time; those that could not be reached only when
    /// they were left alone for as long again.
    pub(in crate::node) fn forget_peers(&mut self, now: Timestamp) {
        if !core::mem::take(&mut self.has_loose_peers) {
            return;
        }
        let longest = self.pause_after(u8::MAX, true, true);
        for at in 0..self.peers.len() {
            let Some(peer) = self.peers[at].as_ref().filter(|peer| peer.connections == [None; 3]) else {
                continue;
            };
            let until = if peer.failures == 0 { peer.retry_at } else { peer.retry_at + longest };
            if until > now {
                self.has_loose_peers = true;
                continue;
            }
            let Some(peer) = self.peers[at].take() else { continue };
            let found =
                self.index.find_entry(self.hash.hash_one(peer.endpoint), |found| *found as usize == at);
            if let Ok(entry) = found {
                self.free_peers.push(*entry.get());
                entry.remove();
            }
        }
    }

    /// Our own pause is not the silence of a peer: all deadlines move by its length.
    pub(in crate::node) fn put_off(&mut self, pause: Duration) {
        for deadline in &mut self.deadlines {
            *deadline = *deadline + pause;
        }
        for connection in self.places.iter_mut().flatten() {
            connection.heard = connection.heard + pause;
            if let Side::Accepted(accepted) = &mut connection.side {
                accepted.unfinished_since = accepted.unfinished_since.map(|since| since + pause);
            }
        }
        for large in self.peers.iter_mut().flatten().filter_map(|peer| peer.large.as_mut()) {
            large.begun = large.begun + pause;
        }
    }
}
