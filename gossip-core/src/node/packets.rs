//! Our own packets under the protocol: one datagram in, any number out.

use alloc::collections::VecDeque;

use super::budget::Budget;
use super::sealer::{Refused, Sealer};
use super::sources::Allowed;
use crate::config::Config;
use crate::datagram::{
    self, Arrival, ClusterId, Cookie, Cookies, DatagramMessages, HEAD, Header, Peer, Peers, RawMessage,
    Refusals,
};
use crate::endpoint::Endpoint;
use crate::event::{Event, PacketRefusal};
use crate::gossiper::{Gossiper, Session};
use crate::io::Output;
use crate::log;
use crate::message::{Codec, Message};
use crate::network::Network;
use crate::rng::{Purpose, Rng};
use crate::time::Timestamp;
use crate::verb::Verb;
use crate::wire::Writer;

/// How many times the length of a question its answer may have, towards an address that is not proven.
const MAX_AMPLIFICATION: usize = 3;

/// For how many intervals a sender whose packets are refused is not reported again.
const REFUSAL_PAUSE: u32 = 60;

/// How many bytes of a packet stay unused at the most where a list goes on in the next one: those of a seal, and of a digest that
/// found no room.
const MAX_UNUSED: usize = datagram::MAX_HEADER;

const CODEC: Codec = Codec::new(datagram::BODIES);

/// What it takes to exchange packets.
#[derive(Debug)]
pub(super) struct Packets {
    cluster: ClusterId,
    local: Endpoint,
    max_size: usize,
    cookies: Cookies,
    peers: Peers,
    sealer: Sealer,
    refusals: Refusals,
    budget: Budget,
    allowed: Allowed,
    /// The receiver of a SYN of which a part is sent.
    current: Option<Endpoint>,
    /// The receiver of a pending packet without messages, which carries a cookie; and the cookie that it repeats.
    greetings: VecDeque<(Endpoint, Cookie)>,
    /// How many strangers may wait for such a packet.
    max_greetings: usize,
}

impl Packets {
    pub(super) fn new(config: &Config, now: Timestamp) -> Self {
        let hash_key = Rng::new(&config.entropy, Purpose::HashKey).next_u64();
        Self {
            cluster: ClusterId::new(&config.cluster, &config.partitioner),
            local: config.local,
            max_size: config.datagrams.max_size,
            cookies: Cookies::new(&config.entropy),
            peers: Peers::new(hash_key, config.limits.max_endpoints),
            sealer: Sealer::new(config),
            refusals: Refusals::new(config.interval.saturating_mul(REFUSAL_PAUSE)),
            budget: Budget::new(config, now),
            allowed: Allowed::new(&config.allowed),
            current: None,
            greetings: VecDeque::with_capacity(config.budgets.max_greetings),
            max_greetings: config.budgets.max_greetings,
        }
    }

    /// How many peers were ever met.
    pub(super) const fn met(&self) -> u64 {
        self.peers.met()
    }

    #[cfg(feature = "seal")]
    pub(super) fn set_keys(&mut self, keys: crate::KeyRing) {
        self.sealer.set_keys(keys);
    }

    /// Replaces the networks that peers may have their addresses in.
    pub(super) fn set_allowed(&mut self, networks: &[Network]) {
        self.allowed = Allowed::new(networks);
    }

    /// Takes in a packet.
    pub(super) fn take_in(&mut self, gossiper: &mut Gossiper, now: Timestamp, packet: &[u8]) {
        let stats = gossiper.stats_mut();
        stats.packets_received += 1;
        stats.bytes_received += packet.len() as u64;
        let (header, messages) = match Header::decode(packet) {
            Ok(decoded) => decoded,
            Err(_error) => {
                stats.packets_malformed += 1;
                log::debug!(error = %_error, "a packet cannot be read");
                return;
            }
        };
        // No node can be answered under an invalid address, and we need not talk to ourselves.
        if header.sender.is_unspecified() || header.sender == self.local {
            stats.unspecified += 1;
            return;
        }
        if !self.allowed.has(header.sender.ip()) {
            stats.not_allowed += 1;
            return;
        }
        if header.cluster != self.cluster {
            self.refuse_foreigner(gossiper, now, &header, messages);
            return;
        }
        let front = packet.get(..packet.len() - messages.len()).unwrap_or_default();
        match self.sealer.open(&header, self.local, front, messages) {
            Ok(None) => self.take_messages(gossiper, now, &header, messages, packet.len()),
            Ok(Some(opened)) => {
                let (from, cookies) = (header.sender, self.cookies);
                let repeats = |epoch| header.repeated == cookies.of(from, epoch);
                // What is not sealed is not opened.
                match header.seal.map(|seal| self.peers.arrival(from, &seal, repeats)) {
                    Some(Arrival::First) => {
                        self.take_messages(gossiper, now, &header, &opened, packet.len());
                    }
                    Some(Arrival::Again) | None => gossiper.stats_mut().replayed += 1,
                    Some(Arrival::OtherProcess) => {
                        gossiper.stats_mut().replayed += 1;
                        // If it was started again, it learns here what it has to repeat. Its own cookie is repeated but not kept,
                        // since the packet may be one of long ago.
                        self.greet(from, header.given);
                    }
                }
                self.sealer.give_back(opened);
            }
            Err(Refused::Unsealed) => {
                stats.unsealed += 1;
                let is_sealed = header.seal.is_some();
                let refusal = if is_sealed { PacketRefusal::Sealed } else { PacketRefusal::NotSealed };
                self.tell_refusal(gossiper, now, header.sender, refusal);
            }
            #[cfg(feature = "seal")]
            Err(Refused::Forged) => {
                stats.forged += 1;
                self.tell_refusal(gossiper, now, header.sender, PacketRefusal::OtherKey);
            }
        }
    }

    fn tell_refusal(
        &mut self,
        gossiper: &mut Gossiper,
        now: Timestamp,
        from: Endpoint,
        refusal: PacketRefusal,
    ) {
        if self.refusals.note(from, refusal, now) {
            gossiper.tell(Event::PacketRefused { from, refusal });
        }
    }

    /// A packet of another cluster is dropped. If it is a SYN, the names in it tell whose.
    fn refuse_foreigner(
        &mut self,
        gossiper: &mut Gossiper,
        now: Timestamp,
        header: &Header,
        messages: &[u8],
    ) {
        if header.seal.is_some() {
            gossiper.stats_mut().foreign_cluster += 1;
            self.tell_refusal(gossiper, now, header.sender, PacketRefusal::OtherCluster);
            return;
        }
        let first = DatagramMessages::new(messages).next();
        if let Some(Ok(RawMessage { verb: Verb::GOSSIP_DIGEST_SYN, id, body })) = first
            && let Some(Ok(Message::Syn(syn))) = Message::decode(Verb::GOSSIP_DIGEST_SYN, body, CODEC)
            && ClusterId::new(syn.cluster.as_bytes(), syn.partitioner.as_bytes()) == header.cluster
        {
            let mut session = Session::of_packet(header.generation, Some(0));
            gossiper.handle_message(now, header.sender, id, &mut session, &Message::Syn(syn));
        } else {
            gossiper.stats_mut().foreign_cluster += 1;
        }
    }

    fn take_messages(
        &mut self,
        gossiper: &mut Gossiper,
        now: Timestamp,
        header: &Header,
        messages: &[u8],
        length: usize,
    ) {
        let from = header.sender;
        let cookies = self.cookies;
        let peer = self.peers.meet(from);
        let is_proven = peer.is_in_epoch(|epoch| header.repeated == cookies.of(from, epoch));
        let has_new_cookie = peer.cookie != header.given;
        peer.cookie = header.given;
        peer.is_proven |= is_proven;
        if has_new_cookie {
            // Packets of two processes overtake each other: each is answered under its own cookie, or not at all.
            gossiper.forget_answers(from);
        }
        let limit = (MAX_AMPLIFICATION * length).saturating_sub(datagram::OVERHEAD);
        let reply_limit = if is_proven { None } else { Some(u32::try_from(limit).unwrap_or(u32::MAX)) };
        // One more digest, behind the seal, found no room.
        let is_full = length + MAX_UNUSED > self.max_size;
        let mut session = Session::of_packet(header.generation, reply_limit).filled(is_full);
        if messages.is_empty() && has_new_cookie {
            // It only tells the cookie: something that we asked has to be asked with it.
            gossiper.ask_again(from);
        }
        for message in DatagramMessages::new(messages) {
            let Ok(RawMessage { verb, id, body }) = message else {
                gossiper.stats_mut().packets_malformed += 1;
                return;
            };
            if !is_proven && !matches!(verb, Verb::GOSSIP_DIGEST_SYN | Verb::ECHO_REQ) {
                gossiper.stats_mut().unproven += 1;
                continue;
            }
            match Message::decode(verb, body, CODEC) {
                // The answer would be everything that is known.
                Some(Ok(Message::Syn(syn))) if !is_proven && syn.digests.is_empty() => {
                    self.greet(from, header.given);
                }
                Some(Ok(message)) => gossiper.handle_message(now, from, id, &mut session, &message),
                Some(Err(_error)) => {
                    gossiper.stats_mut().malformed += 1;
                    log::debug!(%from, %verb, error = %_error, "a message is malformed");
                }
                None => gossiper.stats_mut().skipped += 1,
            }
        }
    }

    fn greet(&mut self, whom: Endpoint, repeated: Cookie) {
        if let Some(greeting) = self.greetings.iter_mut().find(|greeting| greeting.0 == whom) {
            greeting.1 = repeated;
        } else if self.greetings.len() < self.max_greetings {
            self.greetings.push_back((whom, repeated));
        }
    }

    /// The header of the next packet to `to`, which repeats this cookie, or the one that is kept.
    fn header(&mut self, gossiper: &Gossiper, to: Endpoint, repeated: Option<Cookie>) -> Header {
        let peer = self.peers.get(to);
        let kept = peer.map_or(Cookie::NONE, |peer| peer.cookie);
        Header {
            cluster: self.cluster,
            sender: self.local,
            generation: gossiper.generation(),
            given: self.cookies.of(to, peer.map_or(0, Peer::epoch)),
            repeated: repeated.unwrap_or(kept),
            seal: self.sealer.next(),
        }
    }

    /// The next packet to be sent, if there is one and the limit allows it.
    pub(super) fn next_datagram<'b>(
        &mut self,
        gossiper: &mut Gossiper,
        now: Timestamp,
        buffer: &'b mut [u8],
    ) -> Option<Output<'b>> {
        self.budget.refill(now);
        loop {
            if !self.has_due(gossiper) {
                return None;
            }
            if !self.budget.allows(self.max_size) {
                gossiper.stats_mut().throttled += u64::from(self.budget.is_newly_spent());
                return None;
            }
            let (to, length) = if let Some((to, repeated)) = self.greetings.pop_front() {
                (to, self.write_packet(gossiper, to, Some(repeated), buffer, |_, _| {}))
            } else {
                let to = self.current.take().or_else(|| gossiper.next_peer())?;
                if !self.allowed.has(to.ip()) {
                    gossiper.stats_mut().not_allowed += 1;
                    gossiper.end_syn(to);
                    gossiper.forget(to);
                    continue;
                }
                (to, self.write_due(gossiper, to, buffer))
            };
            if let Some(length) = length {
                self.budget.spend(length);
                let stats = gossiper.stats_mut();
                stats.packets_sent += 1;
                stats.bytes_sent += length as u64;
                return Some(Output::Datagram { to, bytes: &buffer[..length] });
            }
        }
    }

    fn has_due(&self, gossiper: &Gossiper) -> bool {
        self.current.is_some() || !self.greetings.is_empty() || gossiper.has_ready_peer()
    }

    /// When what waits for the limit may be sent; `None` if nothing does.
    pub(super) fn next_timeout(&self, gossiper: &Gossiper) -> Option<Timestamp> {
        self.has_due(gossiper).then(|| self.budget.allows_at(self.max_size))
    }

    /// Writes a packet of what is due to `to`, and says how long it is.
    fn write_due(&mut self, gossiper: &mut Gossiper, to: Endpoint, buffer: &mut [u8]) -> Option<usize> {
        // There are no connections to be closed.
        gossiper.take_reset(to);
        let before = gossiper.stats().messages_sent;
        let length = self.write_packet(gossiper, to, None, buffer, |gossiper, out| {
            // First one that may have a body, then small ones behind it.
            if write_message(gossiper, to, out) {
                while out.room() >= HEAD && write_small(gossiper, to, out) {}
            }
        });
        if gossiper.is_within_syn(to) {
            if self.peers.get(to).is_some_and(|peer| peer.is_proven) {
                // The parts of a SYN go out one after the other, since each begins where the last one ended.
                self.current = Some(to);
                return length.filter(|_| gossiper.stats().messages_sent > before);
            }
            // No host is flooded because a peer names it as an endpoint.
            gossiper.end_syn(to);
        }
        gossiper.resume(to);
        length.filter(|_| gossiper.stats().messages_sent > before)
    }

    fn write_packet(
        &mut self,
        gossiper: &mut Gossiper,
        to: Endpoint,
        repeated: Option<Cookie>,
        buffer: &mut [u8],
        fill: impl FnOnce(&mut Gossiper, &mut Writer<'_>),
    ) -> Option<usize> {
        let header = self.header(gossiper, to, repeated);
        let packet = buffer.get_mut(..self.max_size)?;
        let mut out = Writer::new(packet);
        header.encode(&mut out).ok()?;
        let start = out.len();
        // As much room as there is in the largest packet, whether it is sealed or not: the limit on values holds for both.
        out.within(self.max_size - datagram::MAX_HEADER, |out| fill(gossiper, out));
        let length = out.len();
        self.sealer.seal(&header, to, start, packet, length)
    }
}

/// Writes the next message that is due to `to`; says whether there was one.
fn write_message(gossiper: &mut Gossiper, to: Endpoint, out: &mut Writer<'_>) -> bool {
    // The head goes before the body once that is known.
    let written = out.with_head::<HEAD, _>(
        |out| gossiper.encode(to, CODEC, out),
        |outgoing, length, head| datagram::encode_head(outgoing.verb, outgoing.id, length, head),
    );
    written.is_ok()
}

/// Writes the next message without a body that is due to `to`; says whether there was one.
fn write_small(gossiper: &mut Gossiper, to: Endpoint, out: &mut Writer<'_>) -> bool {
    gossiper
        .encode(to, CODEC, &mut Writer::new(&mut []))
        .is_some_and(|outgoing| datagram::encode_head(outgoing.verb, outgoing.id, 0, out).is_ok())
}
