//! Cassandra's connections under the protocol: bytes in, frames out.

use core::net::IpAddr;
use core::ops::Range;
use core::time::Duration;

use super::connections::large::Body;
use super::connections::{Accepted, Action, Connections, Dialled, Gone, NotAccepted, Path, Side};
use super::frames::{self, Framer};
use super::sources::Allowed;
use crate::config::Config;
use crate::dial::DialFailure;
use crate::endpoint::Endpoint;
use crate::gossiper::{Gossiper, Outgoing, Phase};
use crate::internode::{
    ConnectionType, CrossNodeTimeout, Framing, HandshakeError, InboundError, InboundEvent, OutboundEvent,
    Scratch,
};
use crate::io::{ConnectionId, Input, OpenConnections, Output};
use crate::log;
use crate::message::{Codec, Message, PeerLog};
use crate::network::Network;
use crate::rng::{Purpose, Rng};
use crate::time::Timestamp;
#[cfg(feature = "tls")]
use crate::tls_fault::TlsFault;
use crate::verb::Verb;
use crate::version::MessagingVersion;
use crate::wire::{Reader, Writer};

/// How often connections are looked at for what takes too long.
const HOUSEKEEPING: Duration = Duration::from_secs(1);

/// What a connection with TLS begins with: a record of type handshake, and the first byte of its version.
const TLS_HANDSHAKE: u32 = 0x1603;

/// All connections of a node, and what it takes to write to them.
#[derive(Debug)]
pub(super) struct Streams {
    pub(super) connections: Connections,
    #[cfg(feature = "tls")]
    pub(super) secure: super::secure::Secure,
    framer: Framer,
    scratch: Scratch,
    next_housekeeping: Timestamp,
    cross_node_timeout: CrossNodeTimeout,
    max_message: usize,
    max_inbound_bytes: usize,
    /// Why the dial failed that is reported next.
    explained: Option<(ConnectionId, DialFailure)>,
}

impl Streams {
    pub(super) fn new(config: &Config, now: Timestamp) -> Self {
        let cross_node_timeout = if config.timeouts.cross_node_timeout {
            CrossNodeTimeout::Enabled
        } else {
            CrossNodeTimeout::Disabled
        };
        let hash_key = Rng::new(&config.entropy, Purpose::HashKey).next_u64();
        Self {
            connections: Connections::new(config, hash_key),
            #[cfg(feature = "tls")]
            secure: super::secure::Secure::new(config.tls.as_ref()),
            framer: Framer::new(if config.compression { Framing::Lz4 } else { Framing::Crc }),
            scratch: Scratch::new(),
            next_housekeeping: now + HOUSEKEEPING,
            cross_node_timeout,
            max_message: config.limits.max_message,
            max_inbound_bytes: config.limits.max_inbound_bytes,
            explained: None,
        }
    }

    /// How many connections were ever opened.
    pub(super) const fn opened(&self) -> u64 {
        self.connections.told()
    }

    pub(super) fn open_now(&self) -> OpenConnections {
        self.connections.open_now()
    }

    /// When [`Streams::on_timeout`] wants to be called next.
    pub(super) const fn next_timeout(&self) -> Timestamp {
        self.next_housekeeping
    }

    /// A connection that was accepted, from `source` if that is known.
    pub(super) fn accept(
        &mut self,
        gossiper: &mut Gossiper,
        now: Timestamp,
        source: Option<IpAddr>,
    ) -> Option<ConnectionId> {
        // The answer to the question for everything is one message, of whatever size. `max_inbound_bytes` bounds it all the same.
        let max_message = match gossiper.phase() {
            Phase::Asking => self.max_message.max(self.max_inbound_bytes),
            _ => self.max_message,
        };
        let accepted = self.connections.accept(now, source, max_message, |from| gossiper.is_met(from));
        if let Err(why) = accepted {
            log::debug!(at = %gossiper.local_endpoint(), ?source, ?why, "a connection is refused");
            gossiper.stats_mut().connections_refused += u64::from(matches!(why, NotAccepted::Full));
        }
        let accepted = accepted.ok();
        #[cfg(feature = "tls")]
        if let Some(id) = accepted {
            self.connections.protect(id, self.secure.guard());
        }
        self.tell_displaced(gossiper);
        accepted
    }

    /// A pause of our own is no silence of a peer: all deadlines of peers move by the length of the pause.
    pub(super) fn notice_pause(&mut self, now: Timestamp) {
        let late = now.saturating_since(self.next_housekeeping);
        if late > HOUSEKEEPING {
            self.connections.put_off(late);
        }
    }

    /// What was due to those whose connections gave way to others.
    fn tell_displaced(&mut self, gossiper: &mut Gossiper) {
        while let Some(gone) = self.connections.next_displaced() {
            match gone {
                Gone::Other => {}
                // Nothing was learned of whether it can be reached.
                Gone::Unreached(peer) => gossiper.forget(peer),
                Gone::Lost(peer) => gossiper.resume(peer),
            }
        }
        let stats = gossiper.stats_mut();
        stats.connections_displaced = self.connections.displacements();
        self.connections.sources.count(stats);
    }

    /// Replaces the networks that peers may have their addresses in.
    pub(super) fn set_allowed(&mut self, gossiper: &mut Gossiper, now: Timestamp, networks: &[Network]) {
        self.connections.sources.allowed = Allowed::new(networks);
        self.connections.close_what_is_not_allowed(now);
        self.tell_displaced(gossiper);
    }

    /// Takes in what happened to a connection.
    pub(super) fn take_in(&mut self, gossiper: &mut Gossiper, now: Timestamp, input: Input<'_>) {
        match input {
            Input::Opened { connection } => {
                #[cfg(feature = "tls")]
                if !self.protect(gossiper, now, connection) {
                    return;
                }
                let patience = gossiper.asks_as_guest().then(|| gossiper.question_handshake());
                self.connections.on_opened(now, connection, patience);
            }
            Input::Failed { connection } => {
                let explained = self.explained.take().filter(|(explained, _)| *explained == connection);
                self.end(gossiper, now, connection, explained.map_or(DialFailure::Other, |(_, why)| why));
            }
            Input::Closed { connection } => {
                let failure = match self.connections.unanswered(connection) {
                    Some(DialFailure::NoAnswer) | None => DialFailure::Closed,
                    Some(other) => other,
                };
                #[cfg(feature = "tls")]
                let failure = self.connections.tls_cut(connection).map_or(failure, DialFailure::Tls);
                self.end(gossiper, now, connection, failure);
            }
            Input::Writable { connection } => {
                self.connections.on_writable(now, connection);
                self.resume(gossiper, connection);
            }
            Input::Bytes { connection, bytes } => self.on_bytes(gossiper, now, connection, bytes),
            // No peer sends any to a node that gossips over connections.
            Input::Datagram { .. } => gossiper.stats_mut().skipped += 1,
            Input::Timeout | Input::WallClock { .. } => {}
        }
    }

    /// Notes why a dial fails that is about to be reported.
    pub(super) const fn explain(&mut self, connection: ConnectionId, failure: DialFailure) {
        self.explained = Some((connection, failure));
    }

    /// Forgets a connection that the driver has not any more.
    fn end(
        &mut self,
        gossiper: &mut Gossiper,
        now: Timestamp,
        connection: ConnectionId,
        failure: DialFailure,
    ) {
        log::debug!(%connection, peer = %Shown(self.connections.peer_of(connection)), "a connection is gone");
        self.connections.forget_actions(connection);
        let gone = self.connections.on_gone(now, connection);
        #[cfg(feature = "tls")]
        let gone = self.fall_back(gossiper, now, gone, failure);
        Self::on_gone(gossiper, gone, failure);
    }

    /// What is to be done to a connection next, if anything is.
    pub(super) fn next_output<'b>(
        &mut self,
        gossiper: &mut Gossiper,
        now: Timestamp,
        buffer: &'b mut [u8],
    ) -> Option<Output<'b>> {
        // Whatever is served may first close or dial connections: those come out before anything else.
        loop {
            if let Some(action) = self.connections.next_action() {
                match action {
                    Action::Connect(connection, to) => {
                        log::debug!(%connection, peer = %to, "a connection is dialled");
                        return Some(Output::Connect { connection, to });
                    }
                    Action::Close(connection) => return Some(Output::Close { connection }),
                    Action::Accept(connection, accept) => {
                        let bytes = &mut buffer[..accept.len()];
                        bytes.copy_from_slice(&accept);
                        #[cfg(feature = "tls")]
                        if let Some(written) = self.next_ciphertext(connection, buffer, Some(accept.len())) {
                            let Some(len) = written else { continue };
                            return Some(Output::Write { connection, bytes: &buffer[..len] });
                        }
                        return Some(Output::Write { connection, bytes: &buffer[..accept.len()] });
                    }
                    Action::Initiate(connection) => {
                        let mut out = Writer::new(buffer);
                        let initiate = self.connections.outbound(connection);
                        if initiate.is_some_and(|outbound| outbound.initiate_bytes(&mut out).is_ok()) {
                            let len = out.len();
                            #[cfg(feature = "tls")]
                            if let Some(written) = self.next_ciphertext(connection, buffer, Some(len)) {
                                let Some(len) = written else { continue };
                                return Some(Output::Write { connection, bytes: &buffer[..len] });
                            }
                            return Some(Output::Write { connection, bytes: &buffer[..len] });
                        }
                    }
                    #[cfg(feature = "tls")]
                    Action::Flush(connection) => {
                        if let Some(Some(len)) = self.next_ciphertext(connection, buffer, None) {
                            return Some(Output::Write { connection, bytes: &buffer[..len] });
                        }
                    }
                    #[cfg(feature = "tls")]
                    Action::Last(connection, last) => {
                        let last = last.as_slice();
                        buffer[..last.len()].copy_from_slice(last);
                        return Some(Output::Write { connection, bytes: &buffer[..last.len()] });
                    }
                }
                continue;
            }
            let served = if let Some(peer) = gossiper.next_peer() {
                self.serve(gossiper, now, peer, buffer)
            } else if let Some(peer) = self.connections.next_large() {
                self.serve_large(gossiper, now, peer, buffer)
            } else if let Some(ping) = self.connections.next_ping(now) {
                self.serve_ping(gossiper, now, ping, buffer)
            } else {
                return None;
            };
            if let Some((connection, frame)) = served {
                #[cfg(feature = "tls")]
                let Some(frame) = self.encrypt(gossiper, now, connection, buffer, frame) else { continue };
                gossiper.stats_mut().bytes_sent += frame.len() as u64;
                return Some(Output::Write { connection, bytes: &buffer[frame] });
            }
        }
    }

    /// Closes all connections, and forgets what was to be done with them.
    pub(super) fn close_all(&mut self, now: Timestamp) {
        self.connections.close_all(now);
    }

    /// Closes what takes too long.
    pub(super) fn on_timeout(&mut self, gossiper: &mut Gossiper, now: Timestamp) {
        if now < self.next_housekeeping {
            return;
        }
        self.next_housekeeping = now + HOUSEKEEPING;
        while let Some(overdue) = self.connections.next_overdue(now) {
            gossiper.stats_mut().timeouts += 1;
            log::debug!(connection = %overdue, peer = %Shown(self.connections.peer_of(overdue)), "a connection took too long");
            let failure = self.connections.unanswered(overdue).unwrap_or(DialFailure::TimedOut);
            let gone = self.connections.close(now, overdue);
            Self::on_gone(gossiper, gone, failure);
        }
        self.connections.end_look(now, gossiper.answer_wait());
        if let Some(refused) = self.connections.sources.report(now) {
            gossiper.tell(refused);
        }
        self.connections.close_unused(now);
        self.tell_displaced(gossiper);
        self.connections.forget_peers(now);
        self.connections.tidy_kept(now);
    }

    /// A peer that was not reached has to do without what was due to it; one whose connection broke gets it over another.
    pub(super) fn on_gone(gossiper: &mut Gossiper, gone: Gone, failure: DialFailure) {
        match gone {
            Gone::Other => {}
            Gone::Unreached(peer) => {
                gossiper.note_unreached(peer, failure);
                gossiper.forget(peer);
            }
            Gone::Lost(peer) => gossiper.resume(peer),
        }
    }

    /// There may be room on a connection.
    fn resume(&mut self, gossiper: &mut Gossiper, connection: ConnectionId) {
        if let Some(peer) = self.connections.usable(connection) {
            gossiper.resume(peer);
        }
    }

    fn on_bytes(&mut self, gossiper: &mut Gossiper, now: Timestamp, id: ConnectionId, bytes: &[u8]) {
        gossiper.stats_mut().bytes_received += bytes.len() as u64;
        #[cfg(feature = "tls")]
        if self.connections.is_guarded(id) {
            return self.on_guarded_bytes(gossiper, now, id, bytes);
        }
        self.on_plain_bytes(gossiper, now, id, bytes);
    }

    /// Takes in what a connection says, once it is plain.
    pub(super) fn on_plain_bytes(
        &mut self,
        gossiper: &mut Gossiper,
        now: Timestamp,
        id: ConnectionId,
        bytes: &[u8],
    ) {
        let Some(connection) = self.connections.get_mut(id) else { return };
        match &mut connection.side {
            Side::Accepted(_) => self.on_inbound_bytes(gossiper, now, id, bytes),
            Side::Dialled(dialled) => match Dialled::take(dialled, bytes) {
                None => {}
                Some(OutboundEvent::Established { version, peer_max }) => {
                    log::debug!(connection = %id, peer = %Shown(self.connections.peer_of(id)), version = version.number(), "a dialled connection is open");
                    if let Some(peer) = self.connections.peer_of(id) {
                        gossiper.on_peer_speaks(peer, peer_max);
                    }
                    self.connections.on_established(now, id, version);
                    self.resume(gossiper, id);
                }
                Some(OutboundEvent::Failed(error)) => {
                    let failure = DialFailure::of_error(error, dialled.machine.reply());
                    log::debug!(connection = %id, peer = %Shown(self.connections.peer_of(id)), %error, "a dialled connection is closed");
                    self.fail(gossiper, now, id, failure);
                }
            },
        }
    }

    pub(super) fn fail(
        &mut self,
        gossiper: &mut Gossiper,
        now: Timestamp,
        id: ConnectionId,
        failure: DialFailure,
    ) {
        gossiper.stats_mut().connections_failed += 1;
        let gone = self.connections.close(now, id);
        #[cfg(feature = "tls")]
        let gone = self.fall_back(gossiper, now, gone, failure);
        Self::on_gone(gossiper, gone, failure);
    }

    fn on_inbound_bytes(&mut self, gossiper: &mut Gossiper, now: Timestamp, id: ConnectionId, bytes: &[u8]) {
        let Self { connections, scratch, cross_node_timeout, .. } = self;
        let unix_ms = gossiper.unix_ms().unwrap_or(0);
        let local = gossiper.local_endpoint();
        let mut pings = PingQueue::default();
        let mut answer = None;
        let mut failed = false;
        let mut has_finished = false;
        let mut messages = 0;
        let counted = connections.get_mut(id).and_then(|connection| connection.counted);
        // In the shadow round the whole cluster comes from one address.
        let newcomers = counted
            .filter(|_| gossiper.phase() != Phase::Asking)
            .map(|counted| (connections.sources.newcomers(now, counted), gossiper.stats().endpoints_limited));
        gossiper.set_newcomers(newcomers.map(|(newcomers, _)| newcomers));
        #[cfg(feature = "tls")]
        let is_plain = !connections.is_guarded(id);
        #[cfg(feature = "tls")]
        let mut refused = None;
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
                        #[cfg(feature = "tls")]
                        if is_plain && self.secure.demands_tls(gossiper, initiate.from) {
                            (refused, failed) = (Some(initiate.from), true);
                            break;
                        }
                        answer = Some((accept, initiate.from));
                        // No node can be answered under an invalid address, and we need not talk to ourselves.
                        failed |= incompatible || initiate.from.is_unspecified() || initiate.from == local;
                        peer = Some(initiate.from);
                        version = machine.version();
                        log::debug!(connection = %id, peer = %initiate.from, "an accepted connection is open");
                        gossiper.on_peer_speaks(initiate.from, u32::from(initiate.max));
                        *session = gossiper.open_session(initiate.from);
                        if let Some(version) = version {
                            *session = session.in_version(version);
                        }
                        if failed {
                            break;
                        }
                    }
                    InboundEvent::Message { header, payload } => {
                        messages += 1;
                        let (Some(from), Some(version)) = (peer, version) else { continue };
                        if header.is_expired(unix_ms, *cross_node_timeout) {
                            gossiper.stats_mut().expired += 1;
                        } else if header.verb == Verb::PING_REQ {
                            if let Some(kind) =
                                payload.first().and_then(|kind| ConnectionType::from_number(*kind))
                            {
                                pings.push(from, kind, header.id);
                            }
                        } else if header.verb == Verb::TCM_FETCH_PEER_LOG_RSP {
                            match PeerLog::decode(&mut Reader::new(payload)) {
                                Ok(log) => gossiper.handle_peer_log(now, from, header.id, &log),
                                Err(_error) => {
                                    gossiper.stats_mut().malformed += 1;
                                    log::debug!(%from, verb = %header.verb, error = %_error, "a message is malformed");
                                }
                            }
                        } else if header.verb == Verb::TCM_FETCH_PEER_LOG_REQ {
                            gossiper.handle_peer_log_request(now, from, header.id);
                        } else if header.verb == Verb::SCHEMA_VERSION_REQ {
                            gossiper.handle_schema_request(now, from, header.id);
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
                    InboundEvent::Failed(error) => {
                        failed = true;
                        if matches!(error, InboundError::Handshake(HandshakeError::Magic { found }) if found >> 16 == TLS_HANDSHAKE)
                        {
                            gossiper.note_tls();
                        }
                        log::debug!(connection = %id, peer = %Shown(peer), %error, "an accepted connection is closed");
                    }
                }
                // What is finished between the pieces of another message does not finish that.
                has_finished |= !machine.has_pieces();
            }
            gossiper.stats_mut().buffers_grown += machine.buffer_growths() - *growths;
            *growths = machine.buffer_growths();
        }
        let left = gossiper.set_newcomers(None);
        if let Some(counted) = counted {
            if let Some((newcomers, refused)) = newcomers {
                let learned = newcomers.saturating_sub(left.unwrap_or(newcomers));
                let refused = gossiper.stats().endpoints_limited - refused;
                connections.sources.take_newcomers(now, counted, learned, refused);
            }
            failed |= connections.sources.take(now, counted, bytes.len(), messages);
        }
        // What is held of unfinished messages counts together.
        let is_beyond = connections.heard(now, id, has_finished);
        #[cfg(feature = "tls")]
        if let Some(from) = refused {
            gossiper.stats_mut().plain_refused += 1;
            self.secure.tell(gossiper, now, Some(from), false, TlsFault::PlainRefused);
            connections.say_last(id, self.secure.refusal());
        }
        if let Some((accept, from)) = answer {
            connections.answer_initiate(id, accept);
            connections.forgive(now, from);
        }
        for (from, kind, ping) in pings.iter() {
            connections.owe_ping(now, from, (kind, ping), || !gossiper.is_met(from));
        }
        if failed {
            self.fail(gossiper, now, id, DialFailure::Other);
        }
        if is_beyond {
            self.free_memory(gossiper, now);
        }
        self.tell_displaced(gossiper);
    }

    /// Something came over a connection that is not worth more than its memory.
    #[cfg(feature = "tls")]
    pub(super) fn note_held(&mut self, gossiper: &mut Gossiper, now: Timestamp, id: ConnectionId) {
        if self.connections.heard(now, id, false) {
            self.free_memory(gossiper, now);
        }
        self.tell_displaced(gossiper);
    }

    /// Closes who holds the most, until all together hold no more than they may.
    fn free_memory(&mut self, gossiper: &mut Gossiper, now: Timestamp) {
        while let Some(next) = self.connections.next_to_go(now) {
            log::debug!(connection = %next, "a connection is closed: its unfinished messages hold too many bytes");
            self.fail(gossiper, now, next, DialFailure::Other);
        }
    }

    /// Writes what is due to `peer` into one frame, if one of its connections takes it now.
    fn serve(
        &mut self,
        gossiper: &mut Gossiper,
        now: Timestamp,
        peer: Endpoint,
        buffer: &mut [u8],
    ) -> Option<(ConnectionId, Range<usize>)> {
        if gossiper.take_reset(peer) {
            self.connections.close_all_to(now, peer);
        }
        if gossiper.is_due(peer) {
            let is_stranger = || !gossiper.is_met(peer);
            let path = self.connections.path(now, peer, ConnectionType::Urgent, is_stranger);
            self.tell_displaced(gossiper);
            match path {
                Path::Busy => {}
                Path::Closed => gossiper.forget(peer),
                Path::Ready(connection, version) => {
                    let unix_ms = gossiper.unix_ms();
                    let is_exchange = gossiper.is_body_due(peer, Codec::new(version));
                    let frame =
                        self.framer.frame(version, unix_ms, buffer, |frame| frame.fill(gossiper, peer));
                    if let Some(frame) = frame {
                        self.connections.written(now, connection, is_exchange);
                        // There may be a large message for the peer as well.
                        gossiper.resume(peer);
                        return Some((connection, frame));
                    }
                }
            }
        }
        self.serve_large(gossiper, now, peer, buffer)
    }

    fn serve_ping(
        &mut self,
        gossiper: &Gossiper,
        now: Timestamp,
        (connection, version, id): (ConnectionId, MessagingVersion, u64),
        buffer: &mut [u8],
    ) -> Option<(ConnectionId, Range<usize>)> {
        let pong = Outgoing { verb: Verb::PING_RSP, id };
        let frame = self.framer.frame(version, gossiper.unix_ms(), buffer, |frame| frame.append(pong))?;
        self.connections.written(now, connection, false);
        Some((connection, frame))
    }

    /// Writes the next piece of a message to `peer` that is too large for the ordinary connection.
    fn serve_large(
        &mut self,
        gossiper: &mut Gossiper,
        now: Timestamp,
        peer: Endpoint,
        buffer: &mut [u8],
    ) -> Option<(ConnectionId, Range<usize>)> {
        if !self.connections.has_large(peer) && !gossiper.is_large_due(peer) {
            return None;
        }
        let is_stranger = || !gossiper.is_met(peer);
        let path = self.connections.path(now, peer, ConnectionType::Large, is_stranger);
        self.tell_displaced(gossiper);
        match path {
            Path::Busy => None,
            Path::Closed => {
                gossiper.forget_large(peer);
                None
            }
            Path::Ready(connection, version) => {
                if !self.connections.has_large(peer) && !self.begin_large(gossiper, now, peer, version) {
                    return None;
                }
                let len = self
                    .connections
                    .next_piece(peer, |kind, piece| self.framer.piece(kind, piece, buffer))?;
                self.connections.written(now, connection, true);
                Some((connection, 0..len))
            }
        }
    }

    /// Begins to send what is due to `peer` and too large for the ordinary connection, if there is room for it.
    ///
    /// Deviation: peers that ask for everything within the same interval are sent the same answer. Cassandra writes one for each.
    fn begin_large(
        &mut self,
        gossiper: &mut Gossiper,
        now: Timestamp,
        peer: Endpoint,
        version: MessagingVersion,
    ) -> bool {
        let codec = Codec::new(version);
        let audience = gossiper.audience(peer, codec);
        let kept = audience.as_ref().and_then(|audience| self.connections.kept_for(now, audience));
        let (outgoing, body) = if let Some((body, withheld)) = kept {
            (gossiper.share_large(peer, withheld), body)
        } else {
            let withheld = gossiper.stats().values_withheld;
            let mut written = gossiper.encode_large(peer, codec, self.connections.large_room());
            if written.is_err() && self.connections.give_back_kept() {
                written = gossiper.encode_large(peer, codec, self.connections.large_room());
            }
            let (outgoing, body) = match written {
                Ok((outgoing, body)) => (outgoing, Body::new(body)),
                Err(needed) => {
                    // It waits for others to be done, unless it is too large by itself. It waits first: room that is made wakes who waits.
                    if self.connections.defer_large(peer, needed) {
                        self.connections.displace_slow_large(now);
                    } else {
                        gossiper.forget_large(peer);
                    }
                    return false;
                }
            };
            if let Some(audience) = audience {
                let withheld = gossiper.stats().values_withheld - withheld;
                self.connections.keep(now, audience, withheld, body.clone());
            }
            (outgoing, body)
        };
        let head = frames::large_head(outgoing, &body, version, gossiper.unix_ms());
        self.connections.begin_large(now, peer, head, body);
        true
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
/// For the log: the other end of a connection, if it has said who it is.
#[cfg(feature = "tracing")]
struct Shown(Option<Endpoint>);

#[cfg(feature = "tracing")]
impl core::fmt::Display for Shown {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self.0 {
            Some(endpoint) => endpoint.fmt(f),
            None => f.write_str("unknown"),
        }
    }
}
