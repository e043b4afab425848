//! What connections under TLS need beside the others.

use super::{Action, Connections, Side, Stage};
use crate::endpoint::Endpoint;
use crate::io::ConnectionId;
use crate::node::secure::Guard;
use crate::time::Timestamp;
use crate::tls_fault::TlsFault;

/// The longest that is said before a connection is closed: an alert, encrypted or not, in bytes.
const MAX_LAST: usize = 63;

/// What is said before a connection is closed.
#[derive(Clone, Copy, Debug)]
pub(in crate::node) struct Last {
    bytes: [u8; MAX_LAST],
    len: u8,
}

impl Last {
    fn new(said: &[u8]) -> Option<Self> {
        let len = u8::try_from(said.len()).ok().filter(|len| *len > 0)?;
        let mut bytes = [0; MAX_LAST];
        bytes.get_mut(..said.len())?.copy_from_slice(said);
        Some(Self { bytes, len })
    }

    pub(in crate::node) fn as_slice(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.len)).unwrap_or_default()
    }
}

impl Connections {
    pub(in crate::node) fn guard_mut(&mut self, id: ConnectionId) -> Option<&mut Guard> {
        self.get_mut(id).map(|connection| &mut connection.guard)
    }

    /// Whether it is not certain that the connection is plain.
    pub(in crate::node) fn is_guarded(&mut self, id: ConnectionId) -> bool {
        self.get_mut(id).is_some_and(|connection| !matches!(connection.guard, Guard::Plain))
    }

    pub(in crate::node) fn protect(&mut self, id: ConnectionId, guard: Guard) {
        let Some(connection) = self.get_mut(id) else { return };
        // A driver that says twice that a connection is open changes nothing.
        let is_new = match &connection.side {
            Side::Accepted(_) => true,
            Side::Dialled(dialled) => dialled.stage == Stage::Dialling,
        };
        if is_new {
            connection.guard = guard;
        }
    }

    /// The handshake of gossip is to be begun.
    pub(in crate::node) fn initiate(&mut self, id: ConnectionId) {
        self.actions.push_back(Action::Initiate(id));
    }

    /// What TLS has to say is to be written.
    pub(in crate::node) fn flush(&mut self, id: ConnectionId) {
        let Some(connection) = self.get_mut(id) else { return };
        if !connection.guard.layer().is_some_and(crate::tls::Layer::has_outgoing) {
            return;
        }
        if let Side::Dialled(dialled) = &mut connection.side {
            dialled.is_writable = false;
        }
        self.actions.push_back(Action::Flush(id));
    }

    /// The driver is done with what was to be written. Says whether there is more.
    pub(super) fn has_more(&mut self, id: ConnectionId) -> bool {
        let has_more =
            self.guard_mut(id).and_then(Guard::layer_mut).is_some_and(crate::tls::Layer::on_writable);
        if has_more {
            self.actions.push_back(Action::Flush(id));
        }
        has_more
    }

    /// What it means for TLS that the connection ends now; `None` if TLS is not what was waited for.
    pub(in crate::node) fn tls_cut(&mut self, id: ConnectionId) -> Option<TlsFault> {
        let connection = self.get_mut(id)?;
        let layer = connection.guard.layer()?;
        match &connection.side {
            Side::Dialled(dialled) if dialled.stage == Stage::Handshaking && !layer.is_open() => {
                Some(if layer.has_heard() { TlsFault::Closed } else { TlsFault::NotSpoken })
            }
            _ => None,
        }
    }

    /// Whether `peer` is dialled without TLS where that is allowed.
    pub(in crate::node) fn prefers_plain(&self, peer: Endpoint) -> bool {
        self.find(peer)
            .and_then(|peer| self.peers[peer.0 as usize].as_ref())
            .is_some_and(|peer| peer.prefers_plain)
    }

    /// Notes how `peer` is dialled next; without TLS at once. Says whether that is a change.
    pub(in crate::node) fn prefer(&mut self, now: Timestamp, peer: Endpoint, plain: bool) -> bool {
        let known = self.find(peer).and_then(|peer| self.peers[peer.0 as usize].as_mut());
        known.is_some_and(|peer| {
            if plain {
                peer.retry_at = now;
            }
            core::mem::replace(&mut peer.prefers_plain, plain) != plain
        })
    }

    /// Something that is written before the connection is closed.
    pub(in crate::node) fn say_last(&mut self, id: ConnectionId, said: &[u8]) {
        if let Some(last) = Last::new(said) {
            self.actions.push_back(Action::Last(id, last));
        }
    }

    /// A connection is closed: what TLS has to say of it is said, if it can be said now. A dialled one says that nothing more comes. An
    /// accepted one does not: a Cassandra node that still has something to write logs an error then (`docs/protocol/tls.md`).
    pub(super) fn say_goodbye(&mut self, id: ConnectionId) {
        let Some(connection) = self.get_mut(id) else { return };
        let is_dialled = matches!(connection.side, Side::Dialled(_));
        let Some(layer) = connection.guard.layer_mut() else { return };
        if is_dialled {
            layer.end();
        }
        let mut last = [0; MAX_LAST];
        if let Some(len) = layer.take_last(&mut last) {
            self.say_last(id, last.get(..len).unwrap_or_default());
        }
    }
}
