//! TLS under the connections of a node: who has to use it, and what passes through it.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::mem;
use core::ops::Range;
use core::time::Duration;

use rustls::{ClientConfig, ServerConfig};

use super::connections::{Gone, Side};
use super::streams::Streams;
use crate::application_state::ApplicationState;
use crate::dial::DialFailure;
use crate::endpoint::Endpoint;
use crate::event::Event;
use crate::gossiper::Gossiper;
use crate::io::ConnectionId;
use crate::log;
use crate::time::Timestamp;
use crate::tls::{Layer, Scratch, Tls, TlsIncoming, TlsOutgoing, TlsScope, WallClock};
use crate::tls_fault::TlsFault;

/// How many peers and faults are remembered as reported.
const MAX_TOLD: usize = 64;

/// After how long the same fault of the same peer is reported again.
const TOLD_AGAIN: Duration = Duration::from_hours(1);

/// The alert with which a plain dialler is refused where nothing but TLS is accepted (`docs/protocol/tls.md`): fatal, `protocol_version`.
const ONLY_TLS: [u8; 7] = [0x15, 3, 1, 0, 2, 2, 70];

/// What protects a connection.
#[derive(Debug, Default)]
pub(super) enum Guard {
    /// Nothing.
    #[default]
    Plain,
    /// Its first two bytes will tell; the first of them may be here.
    Unknown(Option<u8>),
    /// TLS.
    Under(Box<Layer>),
}

impl Guard {
    pub(super) fn layer(&self) -> Option<&Layer> {
        match self {
            Self::Under(layer) => Some(layer),
            Self::Plain | Self::Unknown(_) => None,
        }
    }

    pub(super) fn layer_mut(&mut self) -> Option<&mut Layer> {
        match self {
            Self::Under(layer) => Some(layer),
            Self::Plain | Self::Unknown(_) => None,
        }
    }

    /// How much memory the buffers take, in bytes.
    pub(super) fn capacity(&self) -> usize {
        self.layer().map_or(0, Layer::capacity)
    }

    /// How many bytes of something unfinished are held.
    pub(super) fn buffered(&self) -> usize {
        self.layer().map_or(0, Layer::buffered)
    }
}

/// What connections of a node have in common under TLS.
#[derive(Debug)]
pub(super) struct Secure {
    settings: Option<Settings>,
    clock: Arc<WallClock>,
    scratch: Scratch,
    /// What was reported, so that it is not reported again for a while.
    told: Vec<Told>,
}

#[derive(Debug)]
struct Settings {
    tls: Tls,
    client: Arc<ClientConfig>,
    server: Option<Arc<ServerConfig>>,
}

#[derive(Clone, Copy, Debug)]
struct Told {
    peer: Option<Endpoint>,
    is_dialled: bool,
    fault: TlsFault,
    at: Timestamp,
}

impl Secure {
    pub(super) fn new(tls: Option<&Tls>) -> Self {
        let mut secure = Self {
            settings: None,
            clock: Arc::new(WallClock::default()),
            scratch: Scratch::default(),
            told: Vec::with_capacity(MAX_TOLD),
        };
        secure.set(tls.cloned());
        secure
    }

    fn set(&mut self, tls: Option<Tls>) {
        self.settings = tls.map(|tls| {
            let (client, server) = tls.configs(&self.clock);
            Settings { tls, client, server }
        });
    }

    /// What a connection that was just accepted is taken for.
    pub(super) const fn guard(&self) -> Guard {
        if self.settings.is_some() { Guard::Unknown(None) } else { Guard::Plain }
    }

    /// The layer for a connection that was just dialled, if it is to have one.
    fn dial(
        &self,
        gossiper: &Gossiper,
        peer: Endpoint,
        prefers_plain: bool,
    ) -> Result<Option<Box<Layer>>, TlsFault> {
        let Some(Settings { tls, client, .. }) = &self.settings else { return Ok(None) };
        let is_plain = match tls.outgoing() {
            TlsOutgoing::Never => true,
            TlsOutgoing::Auto => prefers_plain,
            TlsOutgoing::Always => false,
        };
        if is_plain || !is_within(tls.scope(), gossiper, peer) {
            return Ok(None);
        }
        Layer::client(client.clone(), peer.ip()).map(|layer| Some(Box::new(layer)))
    }

    /// Whether a plain connection of `peer` is refused.
    pub(super) fn demands_tls(&self, gossiper: &Gossiper, peer: Endpoint) -> bool {
        self.settings.as_ref().is_some_and(|Settings { tls, .. }| {
            tls.incoming() == TlsIncoming::Required && is_within(tls.scope(), gossiper, peer)
        })
    }

    /// What is written to a plain dialler that is refused.
    pub(super) fn refusal(&self) -> &'static [u8] {
        // Where others may come without, no node says anything.
        match &self.settings {
            Some(Settings { tls, .. }) if tls.scope() == TlsScope::All => &ONLY_TLS,
            _ => &[],
        }
    }

    fn falls_back(&self) -> bool {
        self.settings.as_ref().is_some_and(|Settings { tls, .. }| tls.outgoing() == TlsOutgoing::Auto)
    }

    /// Reports a fault, unless that was done within the hour.
    pub(super) fn tell(
        &mut self,
        gossiper: &mut Gossiper,
        now: Timestamp,
        peer: Option<Endpoint>,
        is_dialled: bool,
        fault: TlsFault,
    ) {
        let is_same =
            |told: &&mut Told| (told.peer, told.is_dialled, told.fault) == (peer, is_dialled, fault);
        let told = Told { peer, is_dialled, fault, at: now };
        if let Some(known) = self.told.iter_mut().find(is_same) {
            if now.saturating_since(known.at) < TOLD_AGAIN {
                return;
            }
            known.at = now;
        } else if self.told.len() < MAX_TOLD {
            self.told.push(told);
        } else if let Some(oldest) = self.told.iter_mut().min_by_key(|told| told.at) {
            // A peer that keeps changing its name is reported at most this often.
            if now.saturating_since(oldest.at) < TOLD_AGAIN / MAX_TOLD_U32 {
                return;
            }
            *oldest = told;
        }
        gossiper.tell(Event::TlsFailed { peer, is_dialled, fault });
    }
}

const MAX_TOLD_U32: u32 = 64;

/// Whether TLS is for connections with `peer`.
fn is_within(scope: TlsScope, gossiper: &Gossiper, peer: Endpoint) -> bool {
    let local = gossiper.local_endpoint();
    let has_same = |key| {
        let ours = gossiper.value(local, key).map(|(value, _)| value);
        ours.is_some() && ours == gossiper.value(peer, key).map(|(value, _)| value)
    };
    match scope {
        TlsScope::All => true,
        TlsScope::OtherDataCenters => !has_same(ApplicationState::DC),
        TlsScope::OtherRacks => !has_same(ApplicationState::DC) || !has_same(ApplicationState::RACK),
    }
}

impl Streams {
    /// Other settings, for connections from now on.
    pub(super) fn set_tls(&mut self, tls: Option<Tls>) {
        self.secure.set(tls);
    }

    pub(super) fn set_wall_clock(&self, unix_ms: u64) {
        self.secure.clock.set(unix_ms);
    }

    /// A dialled connection is open. False if it is gone again.
    pub(super) fn protect(&mut self, gossiper: &mut Gossiper, now: Timestamp, id: ConnectionId) -> bool {
        let Some(peer) = self.connections.peer_of(id) else { return true };
        match self.secure.dial(gossiper, peer, self.connections.prefers_plain(peer)) {
            Ok(None) => true,
            Ok(Some(layer)) => {
                self.connections.protect(id, Guard::Under(layer));
                true
            }
            Err(fault) => {
                self.fail_tls(gossiper, now, id, fault);
                false
            }
        }
    }

    /// Takes in bytes of a connection of which it is not certain that it is plain.
    pub(super) fn on_guarded_bytes(
        &mut self,
        gossiper: &mut Gossiper,
        now: Timestamp,
        id: ConnectionId,
        bytes: &[u8],
    ) {
        let Some(guard) = self.connections.guard_mut(id) else { return };
        let Guard::Unknown(before) = *guard else {
            return self.on_ciphertext(gossiper, now, id, bytes);
        };
        let mut both = before.into_iter().chain(bytes.iter().copied());
        let (Some(first), second) = (both.next(), both.next()) else { return };
        let is_tls = match second {
            // `docs/protocol/tls.md`: the types of TLS records, and their version. Cassandra's magic begins with neither.
            _ if !(20..=24).contains(&first) => false,
            None => {
                *guard = Guard::Unknown(Some(first));
                return;
            }
            Some(second) => second == 3,
        };
        *guard = Guard::Plain;
        if is_tls {
            match self.secure.settings.as_ref().map(|settings| (settings.tls.incoming(), &settings.server)) {
                Some((TlsIncoming::Optional | TlsIncoming::Required, Some(server))) => {
                    match Layer::server(server.clone()) {
                        Ok(layer) => self.connections.protect(id, Guard::Under(Box::new(layer))),
                        Err(fault) => return self.fail_tls(gossiper, now, id, fault),
                    }
                }
                _ => {
                    gossiper.stats_mut().tls_refused += 1;
                    self.secure.tell(gossiper, now, None, false, TlsFault::TlsRefused);
                    self.fail(gossiper, now, id, DialFailure::Other);
                    return;
                }
            }
        }
        if let Some(first) = before {
            self.pass_on(gossiper, now, id, &[first]);
        }
        self.pass_on(gossiper, now, id, bytes);
    }

    fn pass_on(&mut self, gossiper: &mut Gossiper, now: Timestamp, id: ConnectionId, bytes: &[u8]) {
        match self.connections.guard_mut(id) {
            Some(Guard::Under(_)) => self.on_ciphertext(gossiper, now, id, bytes),
            Some(_) => self.on_plain_bytes(gossiper, now, id, bytes),
            None => {}
        }
    }

    fn on_ciphertext(&mut self, gossiper: &mut Gossiper, now: Timestamp, id: ConnectionId, bytes: &[u8]) {
        let mut scratch = mem::take(&mut self.secure.scratch);
        let mut bytes = bytes;
        while !bytes.is_empty() {
            let Some(layer) = self.connections.guard_mut(id).and_then(Guard::layer_mut) else { break };
            let growths = layer.growths();
            let outcome = layer.receive(&mut bytes, &mut scratch);
            gossiper.stats_mut().buffers_grown += layer.growths() - growths;
            if outcome.is_ok_and(|received| received.has_opened) {
                self.on_tls_opened(gossiper, now, id);
            }
            if scratch.plain.is_empty() {
                self.note_held(gossiper, now, id);
            } else {
                self.on_plain_bytes(gossiper, now, id, &scratch.plain);
            }
            match outcome {
                Ok(received) => {
                    self.connections.flush(id);
                    if received.has_ended {
                        self.on_tls_ended(gossiper, now, id);
                    }
                }
                Err(fault) => self.fail_tls(gossiper, now, id, fault),
            }
        }
        self.secure.scratch = scratch;
    }

    /// The handshake of TLS came to its end: that of gossip begins.
    fn on_tls_opened(&mut self, gossiper: &mut Gossiper, now: Timestamp, id: ConnectionId) {
        gossiper.stats_mut().tls_opened += 1;
        log::debug!(connection = %id, "a connection is under TLS");
        let Some(connection) = self.connections.get_mut(id) else { return };
        let source = connection.source;
        match (&connection.side, connection.guard.layer(), &self.secure.settings) {
            (Side::Dialled(_), ..) => self.connections.initiate(id),
            (Side::Accepted(_), Some(layer), Some(Settings { tls, .. })) => {
                if let Err(fault) = tls.check_source(layer, source) {
                    self.fail_tls(gossiper, now, id, TlsFault::Certificate(fault));
                }
            }
            (Side::Accepted(_), ..) => {}
        }
    }

    /// The peer says that nothing more comes from it.
    fn on_tls_ended(&mut self, gossiper: &mut Gossiper, now: Timestamp, id: ConnectionId) {
        if self.connections.get_mut(id).is_some() {
            let gone = self.connections.close(now, id);
            let gone = self.fall_back(gossiper, now, gone, DialFailure::Closed);
            Self::on_gone(gossiper, gone, DialFailure::Closed);
        }
    }

    fn fail_tls(&mut self, gossiper: &mut Gossiper, now: Timestamp, id: ConnectionId, fault: TlsFault) {
        let peer = self.connections.peer_of(id);
        let Some(connection) = self.connections.get_mut(id) else { return };
        let is_dialled = matches!(connection.side, Side::Dialled(_));
        gossiper.stats_mut().tls_failed += 1;
        log::debug!(connection = %id, %fault, "TLS failed");
        if !is_dialled {
            self.secure.tell(gossiper, now, peer, false, fault);
        }
        self.fail(gossiper, now, id, DialFailure::Tls(fault));
    }

    /// A dialled connection came to nothing, or to its end: says what that means where a peer may be dialled without TLS.
    pub(super) fn fall_back(
        &mut self,
        gossiper: &mut Gossiper,
        now: Timestamp,
        gone: Gone,
        failure: DialFailure,
    ) -> Gone {
        match (gone, failure) {
            (Gone::Unreached(peer), DialFailure::Tls(TlsFault::NotSpoken | TlsFault::NotTls))
                if self.secure.falls_back() && self.connections.prefer(now, peer, true) =>
            {
                gossiper.stats_mut().tls_fallbacks += 1;
                log::debug!(%peer, "it does not answer to TLS, and is dialled without");
                // What is due to it is due over the next connection.
                Gone::Lost(peer)
            }
            (Gone::Unreached(peer), DialFailure::Tls(fault)) => {
                self.secure.tell(gossiper, now, Some(peer), true, fault);
                gone
            }
            (Gone::Unreached(peer) | Gone::Lost(peer), _) => {
                // It may have changed its mind when it is dialled next.
                self.connections.prefer(now, peer, false);
                gone
            }
            (Gone::Other, _) => gone,
        }
    }

    /// Puts what TLS has to write next for a connection at the front of `buffer`: before it, encrypted, the `plain` bytes that are there.
    /// `None` if the connection is plain.
    pub(super) fn next_ciphertext(
        &mut self,
        id: ConnectionId,
        buffer: &mut [u8],
        plain: Option<usize>,
    ) -> Option<Option<usize>> {
        let layer = self.connections.guard_mut(id)?.layer_mut()?;
        if let Some(plain) = plain.and_then(|len| buffer.get(..len))
            && layer.is_open()
            && layer.queue(plain).is_err()
        {
            // It is closed when it takes too long.
            return Some(None);
        }
        Some(layer.next_write(buffer))
    }

    /// Encrypts a frame where it lies, if its connection is under TLS; `None` if that is not possible any more.
    pub(super) fn encrypt(
        &mut self,
        gossiper: &mut Gossiper,
        now: Timestamp,
        id: ConnectionId,
        buffer: &mut [u8],
        frame: Range<usize>,
    ) -> Option<Range<usize>> {
        let Some(layer) = self.connections.guard_mut(id).and_then(Guard::layer_mut) else {
            return Some(frame);
        };
        let encrypted = layer.encrypt(buffer, frame, &mut self.secure.scratch);
        if encrypted.is_none() {
            self.fail_tls(gossiper, now, id, TlsFault::Protocol);
        }
        encrypted
    }
}
