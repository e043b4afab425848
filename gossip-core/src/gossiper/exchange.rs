//! The exchange, and what is due.
//!
//! Owns: what is due to each peer, the lists of running exchanges, the requests that wait for an answer, the order of the digests of
//! the next SYN, and the ids of messages.
//! May see: the journal, in which it counts what it drops. It is given the table of endpoints, the settings and the time.
//!
//! Rules: what is due is bounded by peer and in all; something newer of a kind replaces the older. A state is taken as a whole only
//! if it was requested from the start. An id is never 0.

mod listed;
mod news;
mod outbox;
mod unidentified;
mod write;

use core::time::Duration;

use self::listed::{Listed, MANY};
use self::news::News;
use self::outbox::{ListId, Outbox};
use self::unidentified::Unidentified;
pub(crate) use self::write::Audience;
pub(super) use self::write::{MIN_ROOM, Writing, own_schema};
use super::journal::Journal;
use super::session::Session;
use crate::asked::Asked;
use crate::config::Config;
use crate::delta::Scratch;
use crate::digest::{self, Entry, Examined, Seen};
use crate::endpoint::Endpoint;
use crate::message::{Ack, Codec, Syn, read_packed};
use crate::quarantine::Quarantine;
use crate::rng::{Purpose, Rng};
use crate::slot::Slot;
use crate::table::{Cursor, EndpointTable, Moves};
use crate::time::Timestamp;
use crate::version::{Generation, Known, Version};

/// The id of the SYN of a node that only asks, by which a node of ours knows it. Ids mean nothing to receivers of a SYN.
pub(super) const QUESTION_ID: u64 = 0x676f_7373;

/// The id of each part but the first of an answer that holds everything, over packets. Such a part does not say what is known of the node that
/// asked, so it decides nothing.
pub(super) const REST_ID: u64 = 0x676f_7374;

/// What is due, and what an exchange needs while it runs.
#[derive(Clone, Debug)]
pub(super) struct Exchange {
    outbox: Outbox,
    asked: Asked,
    news: News,
    scratch: Scratch,
    seen: Seen,
    listed: Listed,
    coverage: Coverage,
    /// Where in the order of endpoints the next SYN begins.
    rotation: usize,
    /// Whether a SYN was sent since the start: without one, an ACK answers the SYN of an earlier process.
    syn_sent: bool,
    last_id: u64,
    /// The peer for which a request for everything was written, until that is noted.
    question: Option<Endpoint>,
    /// When a SYN asks again for all that is known of endpoints in doubt.
    next_full: Timestamp,
    unidentified: Unidentified,
}

/// How many endpoints our last SYN listed, of all that are known.
#[derive(Clone, Copy, Debug)]
struct Coverage {
    listed: usize,
    of: usize,
}

impl Coverage {
    const fn is_partial(self) -> bool {
        self.listed < self.of
    }

    /// After how many SYNs everybody was listed.
    fn rotation(self) -> u32 {
        u32::try_from(self.of.div_ceil(self.listed.max(1))).unwrap_or(u32::MAX).max(1)
    }
}

/// What an ACK asks of us.
pub(super) struct Requested {
    /// Whether its sender has nothing of us, and asks for everything.
    pub(super) everything_of_us: bool,
    /// Whether its sender knows of us.
    pub(super) us: bool,
}

impl Exchange {
    pub(super) fn new(config: &Config, hash_key: u64) -> Self {
        Self {
            outbox: Outbox::new(
                hash_key.rotate_left(32),
                config.limits.max_pending_acks,
                config.limits.max_pending_peers,
            )
            .with_budgets(config.budgets),
            asked: Asked::new(
                hash_key.rotate_left(16),
                config.budgets.max_requests,
                config.detector.echo_timeout,
                config.interval,
            ),
            news: News::new(config.budgets.max_news),
            scratch: Scratch::new(),
            seen: Seen::default(),
            listed: Listed::new(),
            coverage: Coverage { listed: 1, of: 1 },
            rotation: 0,
            syn_sent: false,
            last_id: Rng::new(&config.entropy, Purpose::MessageIds).next_u64() >> 44,
            question: None,
            next_full: Timestamp::ZERO,
            unidentified: Unidentified::new(),
        }
    }

    /// The open requests, by peer: see [`Asked::entries`].
    #[cfg(feature = "model")]
    pub(super) fn asked_entries(
        &self,
        now: Timestamp,
    ) -> impl Iterator<Item = (Endpoint, Generation, u8, [Option<Endpoint>; 2], [core::time::Duration; 2])> + '_
    {
        self.asked.entries(now)
    }

    /// The pending messages, by peer: see [`Outbox::entries`].
    #[cfg(feature = "model")]
    pub(super) fn outbox_entries(&self) -> impl Iterator<Item = (Endpoint, bool, u16)> + '_ {
        self.outbox.entries()
    }

    /// How many lists of endpoints there are, and how many peers have places.
    pub(super) fn sizes(&self) -> (usize, usize) {
        self.outbox.sizes()
    }

    /// Takes memory for exchanges about all that the table holds.
    pub(super) fn reserve(&mut self, table: &EndpointTable) {
        self.outbox.reserve(table.len());
        self.news.reserve(table.places().len());
        self.seen.reserve(table.places().len());
    }

    /// Takes memory for a message to each of so many peers.
    pub(super) fn reserve_for_all(&mut self, peers: usize) {
        self.outbox.reserve_peers(peers);
    }

    /// A new round begins: requests without an answer are dropped.
    pub(super) fn begin_round(&mut self, now: Timestamp, journal: &mut Journal) {
        journal.stats.messages_displaced = self.outbox.stolen();
        self.news.begin_round();
        self.listed.begin_round();
        self.asked.expire(now);
    }

    /// After how many rounds our SYNs have listed everybody.
    pub(super) fn digest_rotation(&self) -> u32 {
        self.coverage.rotation()
    }

    /// An id for a message or an echo.
    pub(super) fn next_id(&mut self) -> u64 {
        self.last_id = (self.last_id + 1) & 0x7fff_ffff;
        // Cassandra never gives out 0.
        self.last_id = self.last_id.max(1);
        self.last_id
    }

    /// Whether a SYN was sent since the start.
    pub(super) const fn has_sent_syn(&self) -> bool {
        self.syn_sent
    }

    /// Whether an ACK from `from` answers a SYN of ours; each has one answer.
    pub(super) fn take_awaited(&mut self, from: Endpoint) -> bool {
        self.outbox.take_awaited(from)
    }

    /// The peer for which a request for everything was written since the last call.
    pub(super) const fn take_question(&mut self) -> Option<Endpoint> {
        self.question.take()
    }

    // What is new, and what has to be requested.

    /// Something of an endpoint is new, but its heartbeat: the next SYNs list it first.
    pub(super) fn note_news(&mut self, slot: Slot) {
        self.news.note(slot);
    }

    /// An endpoint was learned of.
    pub(super) const fn note_learned(&mut self, now: Timestamp) {
        self.listed.note_learned(now);
    }

    /// Whether the node, of this age, is still joining a cluster of many.
    pub(super) fn is_joining(&self, known: usize, age: Duration, now: Timestamp, config: &Config) -> bool {
        known >= MANY && self.listed.is_joining(age, (now, config.interval))
    }

    /// The first state of a process has come. It knows few endpoints: a SYN at once lists all that are known here.
    pub(super) fn welcome(
        &mut self,
        newcomer: Endpoint,
        known: usize,
        config: &Config,
        journal: &mut Journal,
    ) {
        if known >= MANY && !config.is_in_cassandra() {
            self.syn(newcomer, config.syn_messages(), journal);
        }
    }

    /// Another endpoint will get the row.
    pub(super) fn forget_news(&mut self, slot: Slot) {
        self.news.forget(slot);
    }

    /// Removes rows from all lists, because other endpoints will get them.
    pub(super) fn retain(&mut self, is_kept: impl Fn(Slot) -> bool) {
        self.outbox.retain(is_kept);
    }

    /// Whether rows must stay where they are for now.
    pub(super) fn goes_on_from_a_row(&self) -> bool {
        self.outbox.goes_on_from_a_row()
    }

    /// Rows have moved.
    pub(super) fn rename(&mut self, moves: &Moves<'_>) {
        self.outbox.rename(moves);
        self.news.rename(moves);
    }

    /// Whether a state of `endpoint` that comes from `from` answers a request for everything. Each request has one answer.
    pub(super) fn take_asked(&mut self, endpoint: Endpoint, from: Endpoint, now: Timestamp) -> bool {
        self.asked.take(endpoint, from, now)
    }

    /// Notes that everything of `endpoint` has to be requested.
    pub(super) fn want(&mut self, endpoint: Endpoint, generation: Generation, now: Timestamp) {
        self.asked.want(endpoint, generation, now);
    }

    /// Notes that everything of `endpoint` has to be requested once more, since what came may be a part.
    pub(super) fn doubt_whole(&mut self, endpoint: Endpoint, generation: Generation, now: Timestamp) {
        self.asked.doubt(endpoint, generation, now);
    }

    /// The node learned of an endpoint whose host id it does not know.
    pub(super) fn note_unidentified(&mut self, now: Timestamp, interval: Duration) {
        self.unidentified.note(now, interval);
    }

    /// The state of `endpoint` up to a version came from `from`, in answer to a SYN, and so much was known before. If it was requested once
    /// more, it is no longer in doubt, or the rest is requested.
    pub(super) fn answer_doubt(
        &mut self,
        endpoint: Endpoint,
        from: Endpoint,
        now: Timestamp,
        reached_of_known: (Version, Version),
        has_values: bool,
    ) {
        self.asked.answer_doubt(endpoint, from, now, reached_of_known, has_values);
    }

    /// Whether anything that is known is requested once more.
    pub(super) const fn is_any_in_doubt(&self) -> bool {
        self.asked.is_any_in_doubt()
    }

    /// All of a process of `endpoint` has come, and is not requested by the next SYN.
    pub(super) fn drop_wanted(&mut self, endpoint: Endpoint, generation: Generation) {
        self.asked.drop_wanted(endpoint, generation);
    }

    /// Of `endpoint` nothing is requested once more: what is known of it is all that peers are to hear.
    pub(super) fn drop_doubt(&mut self, endpoint: Endpoint) {
        self.asked.drop_doubt(endpoint);
    }

    // What becomes due.

    /// Compares the digests of a SYN with what is known, and notes the ACK that answers it. Nothing if there is no room.
    ///
    /// The parts of a SYN that came in several packets have one answer, if they are here before it is written.
    pub(super) fn answer_syn(
        &mut self,
        (table, quarantine): (&mut EndpointTable, &Quarantine),
        syn: &Syn<'_>,
        context: &digest::Context,
        session: &Session,
        journal: &mut Journal,
    ) -> Option<Examined> {
        let is_part = session.is_packet && session.reply_limit.is_none();
        let begun = if is_part { self.outbox.unwritten_ack(context.sender) } else { None };
        let list = begun.or_else(|| self.take_list(journal))?;
        let lists = (self.outbox.list_mut(list), &mut self.seen);
        let examined = digest::examine(table, quarantine, &syn.digests, context, lists);
        if begun.is_none() && self.outbox.ack(context.sender, list, session.reply_limit).is_err() {
            journal.stats.exchanges_dropped += 1;
        }
        Some(examined)
    }

    /// A list for an answer; where there is none, the exchange is dropped.
    fn take_list(&mut self, journal: &mut Journal) -> Option<ListId> {
        let grown = self.outbox.grown();
        let list = self.outbox.take_list();
        journal.stats.buffers_grown += self.outbox.grown() - grown;
        journal.stats.exchanges_dropped += u64::from(list.is_none());
        list
    }

    /// Answers a SYN by another if it lists fewer endpoints than ours would: they are `known` here, and a SYN is all that its sender
    /// learns of them by. `syn` says how many it lists, and whether more of it may follow.
    ///
    /// Deviation: Cassandra does not, so that a joiner whose SYN lists itself alone learns of others when a peer chooses it.
    pub(super) fn answer_few(
        &mut self,
        from: Endpoint,
        syn: (usize, bool),
        known: usize,
        (now, config): (Timestamp, &Config),
        journal: &mut Journal,
    ) {
        let known = if self.coverage.is_partial() { known.min(self.coverage.listed) } else { known };
        if self.listed.lists_too_few(from, syn, known, (now, config.interval)) {
            self.syn(from, config.syn_messages(), journal);
        }
    }

    /// Notes the ACK2 that answers the requests of an ACK. The parts of one have one answer, as those of a SYN.
    pub(super) fn answer_ack(
        &mut self,
        table: &EndpointTable,
        (from, session): (Endpoint, &Session),
        ack: &Ack<'_>,
        journal: &mut Journal,
    ) -> Option<Requested> {
        let begun = if session.is_packet { self.outbox.unwritten_ack2(from) } else { None };
        let list = begun.or_else(|| self.take_list(journal))?;
        let pending = self.outbox.list_mut(list);
        self.seen.begin(pending);
        let mut cursor = Cursor::default();
        let mut requested = Requested { everything_of_us: false, us: false };
        // Deviation: of another generation than the one asked for, everything or nothing is given; Cassandra does not look
        // at the generation, and may give a part of a whole that the asker has nothing of.
        let mut give = |found: Option<(Slot, Known)>, known: Known| {
            let Some((slot, _)) = found else { return };
            if self.seen.insert(slot) {
                if slot == Slot::FIRST {
                    requested.us = true;
                    requested.everything_of_us = known.max_version() == Version::ZERO;
                }
                pending.give(Entry::new(slot, known));
            }
        };
        if let Some(packed) = ack.requests.packed() {
            for request in packed {
                let (packed, known) = read_packed(request);
                give(table.find_next_v4(packed, &mut cursor), known);
            }
        } else {
            for request in ack.requests.iter() {
                let known = Known::new(request.generation, request.max_version);
                give(table.find_next(request.endpoint, &mut cursor), known);
            }
        }
        if begun.is_none() && self.outbox.ack2(from, list).is_err() {
            journal.stats.exchanges_dropped += 1;
        }
        Some(requested)
    }

    /// An ACK without content: so a node in its shadow round answers another one.
    pub(super) fn empty_ack(&mut self, to: Endpoint, journal: &mut Journal) {
        if let Some(list) = self.take_list(journal)
            && self.outbox.ack(to, list, None).is_err()
        {
            journal.stats.exchanges_dropped += 1;
        }
    }

    /// Everything that is known, for a node in its shadow round.
    pub(super) fn shadow_reply(&mut self, to: Endpoint, journal: &mut Journal) {
        journal.stats.exchanges_dropped += u64::from(self.outbox.shadow_reply(to).is_err());
    }

    /// An empty SYN that tells our names to a node that asks under others.
    pub(super) fn correction(&mut self, to: Endpoint, journal: &mut Journal) {
        journal.stats.exchanges_dropped += u64::from(self.outbox.shadow_syn(to).is_err());
    }

    /// The question for everything.
    pub(super) fn shadow_syn(&mut self, to: Endpoint, journal: &mut Journal) {
        journal.stats.messages_dropped += u64::from(self.outbox.shadow_syn(to).is_err());
    }

    /// A SYN, in so many messages at most.
    pub(super) fn syn(&mut self, to: Endpoint, messages: u16, journal: &mut Journal) {
        journal.stats.messages_dropped += u64::from(self.outbox.syn(to, messages).is_err());
    }

    pub(super) fn echo_request(&mut self, to: Endpoint, id: u32, journal: &mut Journal) {
        journal.stats.messages_dropped += u64::from(self.outbox.echo_request(to, id).is_err());
    }

    pub(super) fn echo_response(&mut self, to: Endpoint, id: u64, journal: &mut Journal) {
        journal.stats.messages_dropped += u64::from(self.outbox.echo_response(to, id).is_err());
    }

    pub(super) fn schema_response(&mut self, to: Endpoint, id: u64, journal: &mut Journal) {
        journal.stats.messages_dropped += u64::from(self.outbox.schema_response(to, id).is_err());
    }

    /// The question for the identifier of the cluster's metadata.
    pub(super) fn metadata_request(&mut self, to: Endpoint, journal: &mut Journal) {
        journal.stats.messages_dropped += u64::from(self.outbox.metadata_request(to).is_err());
    }

    /// The answer to that.
    pub(super) fn metadata_response(&mut self, to: Endpoint, id: u64, journal: &mut Journal) {
        journal.stats.messages_dropped += u64::from(self.outbox.metadata_response(to, id).is_err());
    }

    /// An endpoint leaves, or is down: the next SYN asks for all of it, where others may have learned more than gossip tells.
    pub(super) fn doubt(&mut self, now: Timestamp) {
        self.next_full = self.next_full.min(now);
    }

    pub(super) fn shutdown(&mut self, to: Endpoint, journal: &mut Journal) {
        journal.stats.messages_dropped += u64::from(self.outbox.shutdown(to).is_err());
    }

    /// Connections to `to` are to be closed; what else is due to it stays.
    pub(super) fn reset(&mut self, to: Endpoint, journal: &mut Journal) {
        journal.stats.messages_dropped += u64::from(self.outbox.reset(to).is_err());
    }

    // What the transport asks.

    /// The next peer that may have room for what is due to it.
    pub(super) fn next_peer(&mut self) -> Option<Endpoint> {
        self.outbox.next_ready()
    }

    pub(super) fn has_ready_peer(&self) -> bool {
        self.outbox.has_ready()
    }

    /// There is room again for what is due to `to`.
    pub(super) fn resume(&mut self, to: Endpoint) {
        self.outbox.resume(to);
    }

    /// Drops what is due to `to`.
    pub(super) fn forget(&mut self, to: Endpoint, journal: &mut Journal) {
        journal.stats.messages_dropped += self.outbox.forget(to);
    }

    /// Drops the answers that are due to `to`.
    pub(super) fn forget_answers(&mut self, to: Endpoint, journal: &mut Journal) {
        journal.stats.messages_dropped += self.outbox.forget_answers(to);
    }

    /// Drops what is due to everybody.
    pub(super) fn forget_all(&mut self) {
        self.outbox.forget_all();
    }

    /// Drops all pending shutdowns.
    pub(super) fn forget_shutdowns(&mut self) {
        self.outbox.forget_shutdowns();
    }

    pub(super) fn is_due(&mut self, to: Endpoint) -> bool {
        self.outbox.due(to).is_some_and(|due| !due.is_nothing())
    }

    /// Whether a message with a body is due.
    pub(super) fn is_body_due(&mut self, to: Endpoint, codec: Codec) -> bool {
        self.outbox.due(to).is_some_and(|due| due.has_body_for(codec))
    }

    pub(super) fn is_large_due(&mut self, to: Endpoint) -> bool {
        self.outbox.due(to).is_some_and(|due| due.large.is_some())
    }

    pub(super) fn forget_large(&mut self, to: Endpoint, journal: &mut Journal) {
        if self.outbox.due(to).and_then(|due| due.large.take()).is_some() {
            journal.stats.messages_dropped += 1;
        }
    }

    /// Whether a part of a SYN to `to` went out, and another is to follow.
    pub(super) fn is_within_syn(&mut self, to: Endpoint) -> bool {
        self.outbox.due(to).is_some_and(|due| due.syn.is_some_and(|syn| syn.start.is_some()))
    }

    /// Ends a SYN to `to` with what was sent of it. The next SYN begins with the endpoints behind that.
    pub(super) fn end_syn(&mut self, to: Endpoint) {
        let begun = self.outbox.due(to).and_then(|due| due.syn.take_if(|syn| syn.start.is_some()));
        if let Some(syn) = begun {
            self.rotation = syn.start.unwrap_or(0).saturating_add(syn.covered) as usize;
        }
    }

    /// Whether connections to `to` are to be closed before anything else is sent. Asking takes it as done.
    pub(super) fn take_reset(&mut self, to: Endpoint) -> bool {
        self.outbox.due(to).is_some_and(|due| core::mem::take(&mut due.reset))
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec;
    use alloc::vec::Vec;

    use super::*;
    use crate::config::MIN_PEERS;
    use crate::message::{Digest, Message};
    use crate::table::Moves;
    use crate::verb::Verb;
    use crate::version::{HeartbeatState, MessagingVersion};
    use crate::wire::Writer;

    const LOCAL: Endpoint = Endpoint::v4([10, 0, 0, 1], 7000);
    const PEER: Endpoint = Endpoint::v4([10, 0, 0, 2], 7000);
    const CODEC: Codec = Codec::new(MessagingVersion::V12);

    fn config() -> Config {
        let config = Config::builder("c", LOCAL, Generation::new(1), [3; 32]);
        config.change_limits(|limits| limits.max_pending_peers = MIN_PEERS).build().unwrap()
    }

    fn exchange() -> (Exchange, Journal) {
        (Exchange::new(&config(), 1), Journal::new(16))
    }

    fn at(seconds: u64) -> Timestamp {
        Timestamp::ZERO + Duration::from_secs(seconds)
    }

    fn other(n: u16) -> Endpoint {
        Endpoint::v4([10, 0, 1, 0], n)
    }

    /// A table of so many endpoints: our own, and [`other`] from 1 on.
    fn table(endpoints: u16) -> EndpointTable {
        let settings = crate::phi::Settings {
            window: 10,
            initial: Duration::from_secs(2),
            max: Duration::from_secs(2),
            pace: None,
        };
        let mut table = EndpointTable::new(1, 10_000, settings);
        let heartbeat = HeartbeatState { generation: Generation::new(5), version: Version::new(3) };
        for n in 0..endpoints {
            table.insert(if n == 0 { LOCAL } else { other(n) }, heartbeat).unwrap();
        }
        table.sort();
        table
    }

    /// The body of an ACK that requests these, each with the version that is known, and tells nothing.
    fn ack(requests: &[(Endpoint, i32)]) -> Vec<u8> {
        let mut body = vec![0; 1_000];
        let mut out = Writer::new(&mut body);
        out.i32(i32::try_from(requests.len()).unwrap()).unwrap();
        for (endpoint, version) in requests {
            let (generation, max_version) = (Generation::new(5), Version::new(*version));
            Digest { endpoint: *endpoint, generation, max_version }.encode(CODEC, &mut out).unwrap();
        }
        out.i32(0).unwrap();
        let len = out.len();
        body.truncate(len);
        body
    }

    fn answer_ack(exchange: &mut Exchange, from: Endpoint, body: &[u8], journal: &mut Journal) -> Requested {
        let message = Message::decode(Verb::GOSSIP_DIGEST_ACK, body, CODEC).unwrap().unwrap();
        let Message::Ack(ack) = message else { panic!("{message:?}") };
        exchange.answer_ack(&table(3), (from, &Session::of_connection(None)), &ack, journal).unwrap()
    }

    fn answer_syn(exchange: &mut Exchange, from: Endpoint, journal: &mut Journal) {
        let mut body = [0; 100];
        let mut out = Writer::new(&mut body);
        let name = crate::wire::JavaStr::from_checked(b"c");
        crate::message::encode_syn_head(name, name, crate::metadata::MetadataId::NONE, CODEC, &mut out)
            .unwrap();
        out.i32(0).unwrap();
        let message = Message::decode(Verb::GOSSIP_DIGEST_SYN, out.written(), CODEC).unwrap().unwrap();
        let Message::Syn(syn) = message else { panic!("{message:?}") };
        let context = digest::Context { sender: from, newest: Generation::new(9), now: at(0) };
        let quarantine = Quarantine::new(16);
        exchange
            .answer_syn((&mut table(3), &quarantine), &syn, &context, &Session::of_connection(None), journal)
            .unwrap();
    }

    #[test]
    fn b11_ids_are_never_zero() {
        let (mut exchange, _) = exchange();
        exchange.last_id = 0x7fff_fffd;
        let ids = [exchange.next_id(), exchange.next_id(), exchange.next_id(), exchange.next_id()];
        assert_eq!(ids, [0x7fff_fffe, 0x7fff_ffff, 1, 2]);
    }

    #[test]
    fn a_state_is_taken_as_a_whole_only_if_it_was_requested_and_only_once() {
        let (mut exchange, _) = exchange();
        let now = Timestamp::ZERO + Duration::from_secs(1);
        let endpoint = Endpoint::v4([10, 0, 0, 3], 7000);
        assert!(!exchange.take_asked(endpoint, PEER, now));
        assert!(exchange.asked.ask(endpoint, Generation::new(5), PEER, now));
        assert!(!exchange.take_asked(endpoint, endpoint, now), "another peer was asked");
        assert!(exchange.take_asked(endpoint, PEER, now));
        assert!(!exchange.take_asked(endpoint, PEER, now));
    }

    #[test]
    fn what_is_due_goes_when_its_peer_is_forgotten_and_is_counted() {
        let (mut exchange, mut journal) = exchange();
        assert!(!exchange.has_ready_peer());
        exchange.syn(PEER, 1, &mut journal);
        exchange.echo_response(PEER, 7, &mut journal);
        assert!(exchange.is_due(PEER) && exchange.has_ready_peer());
        assert_eq!(exchange.next_peer(), Some(PEER));
        assert!(!exchange.has_ready_peer());
        exchange.forget_answers(PEER, &mut journal);
        assert_eq!(journal.stats.messages_dropped, 1);
        exchange.forget(PEER, &mut journal);
        assert!(!exchange.is_due(PEER));
        assert_eq!(journal.stats.messages_dropped, 2);
    }

    #[test]
    fn what_finds_no_place_is_counted_as_what_it_is() {
        type Step = fn(&mut Exchange, Endpoint, &mut Journal);
        let messages: [Step; 9] = [
            |exchange, to, journal| exchange.shadow_syn(to, journal),
            |exchange, to, journal| exchange.syn(to, 1, journal),
            |exchange, to, journal| exchange.echo_request(to, 1, journal),
            |exchange, to, journal| exchange.echo_response(to, 1, journal),
            |exchange, to, journal| exchange.schema_response(to, 1, journal),
            |exchange, to, journal| exchange.metadata_request(to, journal),
            |exchange, to, journal| exchange.metadata_response(to, 1, journal),
            |exchange, to, journal| exchange.shutdown(to, journal),
            |exchange, to, journal| exchange.reset(to, journal),
        ];
        let answers: [Step; 5] = [
            |exchange, to, journal| exchange.shadow_reply(to, journal),
            |exchange, to, journal| exchange.correction(to, journal),
            |exchange, to, journal| exchange.empty_ack(to, journal),
            |exchange, to, journal| answer_syn(exchange, to, journal),
            |exchange, to, journal| _ = answer_ack(exchange, to, &ack(&[(other(1), 1)]), journal),
        ];
        let all = messages.map(|step| (step, (1, 0))).into_iter().chain(answers.map(|step| (step, (0, 1))));
        for (number, (step, one)) in all.enumerate() {
            let (mut exchange, mut journal) = exchange();
            step(&mut exchange, PEER, &mut journal);
            assert_eq!(exchange.next_peer(), Some(PEER), "step {number}: it is noted");
            assert!(exchange.is_due(PEER));
            for n in 1..u16::try_from(MIN_PEERS).unwrap() {
                exchange.syn(other(n), 1, &mut journal);
            }
            exchange.syn(PEER, 1, &mut journal);
            let counts =
                |journal: &Journal| (journal.stats.messages_dropped, journal.stats.exchanges_dropped);
            assert_eq!(counts(&journal), (0, 0), "step {number}: there is a place for each");
            for times in 1..=2 {
                step(&mut exchange, other(999), &mut journal);
                assert_eq!(counts(&journal), (one.0 * times, one.1 * times), "step {number}");
            }
        }
    }

    #[test]
    fn an_exchange_without_a_list_is_dropped_and_counted() {
        let (mut exchange, mut journal) = exchange();
        for n in 1..=10 {
            exchange.empty_ack(other(n), &mut journal);
        }
        // Each list is given memory once.
        assert_eq!((journal.stats.buffers_grown, journal.stats.exchanges_dropped), (8, 2));
        while exchange.next_peer().is_some() {}
        exchange.empty_ack(PEER, &mut journal);
        exchange.begin_round(at(1), &mut journal);
        assert_eq!((journal.stats.buffers_grown, journal.stats.exchanges_dropped), (8, 2));
        assert_eq!(journal.stats.messages_displaced, 1, "that of a peer which does not take it");
    }

    #[test]
    fn there_is_a_place_for_a_message_to_each_peer_that_memory_was_taken_for() {
        let config = Config::builder("c", LOCAL, Generation::new(1), [3; 32]).build().unwrap();
        let (mut exchange, mut journal) = (Exchange::new(&config, 1), Journal::new(16));
        exchange.reserve_for_all(1_000);
        (0..1_000).for_each(|n| exchange.shutdown(other(n), &mut journal));
        assert_eq!(journal.stats.messages_dropped, 0);
    }

    #[test]
    fn a_message_of_its_own_that_is_dropped_is_counted_once() {
        let (mut exchange, mut journal) = exchange();
        exchange.shadow_reply(PEER, &mut journal);
        exchange.outbox.due(PEER).unwrap().large = Some(outbox::LargeDue::ShadowReply);
        assert!(exchange.is_large_due(PEER));
        for _ in 0..2 {
            exchange.forget_large(PEER, &mut journal);
            assert!(!exchange.is_large_due(PEER));
            assert_eq!(journal.stats.messages_dropped, 1);
        }
        assert!(exchange.is_due(PEER), "the rest stays");
    }

    #[test]
    fn a_syn_that_has_begun_may_be_ended_and_no_other() {
        let (mut exchange, mut journal) = exchange();
        exchange.syn(PEER, 3, &mut journal);
        assert!(!exchange.is_within_syn(PEER));
        exchange.end_syn(PEER);
        assert!(exchange.is_due(PEER));
        assert_eq!(exchange.rotation, 0);
        let syn = exchange.outbox.due(PEER).unwrap().syn.as_mut().unwrap();
        (syn.start, syn.covered) = (Some(20), 7);
        assert!(exchange.is_within_syn(PEER));
        exchange.end_syn(PEER);
        assert!(!exchange.is_within_syn(PEER) && !exchange.is_due(PEER));
        assert_eq!(exchange.rotation, 27, "the next begins behind it");
    }

    #[test]
    fn no_shutdown_is_due_once_gossip_goes_on() {
        let (mut exchange, mut journal) = exchange();
        exchange.shutdown(PEER, &mut journal);
        exchange.forget_shutdowns();
        assert!(!exchange.is_due(PEER));
    }

    #[test]
    fn a_round_forgets_news_and_requests_and_allows_further_answers() {
        let (mut exchange, mut journal) = exchange();
        let slot = Slot::from_number(1);
        exchange.reserve(&table(3));
        exchange.note_news(slot);
        assert!(exchange.asked.ask(PEER, Generation::new(5), PEER, at(0)));
        exchange.note_learned(at(60));
        let mut answered = |exchange: &mut Exchange, peers: core::ops::Range<u16>| {
            peers.clone().for_each(|n| {
                let time = (at(60), &config());
                exchange.answer_few(other(n), (1, false), 100, time, &mut journal);
            });
            peers.filter(|n| exchange.is_due(other(*n))).count()
        };
        assert_eq!(answered(&mut exchange, 0..70), 64);
        assert_eq!(exchange.news.newest(0, 0), Some(Some(slot)));
        assert!(exchange.asked.is_asked(PEER));
        exchange.begin_round(at(60), &mut Journal::new(16));
        assert_eq!(exchange.news.newest(0, 0), None, "it is of the round before");
        assert_eq!(exchange.news.newest(0, 1), Some(Some(slot)));
        assert!(!exchange.asked.is_asked(PEER), "no answer will come");
        assert_eq!(answered(&mut exchange, 70..140), 64);
    }

    #[test]
    fn an_endpoint_that_gets_a_row_has_no_news_of_the_one_before() {
        let (mut exchange, _) = exchange();
        exchange.reserve(&table(3));
        exchange.note_news(Slot::from_number(2));
        exchange.forget_news(Slot::from_number(2));
        assert_eq!(exchange.news.newest(0, 9), Some(None));
    }

    #[test]
    fn a_row_that_another_endpoint_gets_is_in_no_list_and_rows_stay_while_everything_is_sent() {
        let (mut exchange, mut journal) = exchange();
        exchange.reserve(&table(3));
        _ = answer_ack(&mut exchange, PEER, &ack(&[(other(1), 1), (other(2), 1)]), &mut journal);
        exchange.retain(|slot| slot != Slot::from_number(1));
        let list = exchange.outbox.due(PEER).unwrap().ack2.unwrap();
        assert_eq!(
            exchange.outbox.list_mut(list).gives().map(Entry::slot).collect::<Vec<_>>(),
            [Slot::from_number(2)]
        );
        exchange.shadow_reply(PEER, &mut journal);
        assert!(!exchange.goes_on_from_a_row());
        exchange.rename(&Moves::new(&[0, 2, 1]));
        assert_eq!(
            exchange.outbox.list_mut(list).gives().map(Entry::slot).collect::<Vec<_>>(),
            [Slot::from_number(1)]
        );
        exchange.outbox.due(PEER).unwrap().shadow_reply = Some(outbox::Everything::From(1));
        assert!(exchange.goes_on_from_a_row());
    }

    #[test]
    fn a_doubt_ends_with_an_answer_of_the_peer_that_was_asked() {
        let (mut exchange, _) = exchange();
        exchange.doubt_whole(other(1), Generation::new(5), at(0));
        let mut buffer = [0; 100];
        let asked = exchange.asked.encode_wanted(PEER, at(0), CODEC, &mut Writer::new(&mut buffer));
        assert_eq!(asked, 1);
        let whole = (Version::new(9), Version::new(9));
        exchange.answer_doubt(other(1), other(2), at(1), whole, true);
        assert!(exchange.asked.is_asked(other(1)));
        exchange.answer_doubt(other(1), PEER, at(1), whole, true);
        assert!(!exchange.asked.is_asked(other(1)));
    }

    #[test]
    fn an_ack_says_whether_its_sender_knows_of_us_and_whether_it_asks_for_everything() {
        for (requests, us, everything) in [
            (&[][..], false, false),
            (&[(LOCAL, 0)], true, true),
            (&[(LOCAL, 2)], true, false),
            (&[(other(1), 0)], false, false),
            (&[(other(1), 0), (LOCAL, 2)], true, false),
            (&[(LOCAL, 0), (other(1), 2)], true, true),
            (&[(PEER, 0)], false, false),
        ] {
            let (mut exchange, mut journal) = exchange();
            exchange.reserve(&table(3));
            let requested = answer_ack(&mut exchange, PEER, &ack(requests), &mut journal);
            assert_eq!((requested.us, requested.everything_of_us), (us, everything), "{requests:?}");
        }
    }

    #[test]
    fn silence_is_judged_by_the_number_of_syns_that_list_everybody() {
        let (mut exchange, _) = exchange();
        assert_eq!(exchange.digest_rotation(), 1);
        for (listed, of, rounds, is_partial) in
            [(0, 0, 1, false), (7, 7, 1, false), (6, 7, 2, true), (3, 7, 3, true), (0, 7, 7, true)]
        {
            exchange.coverage = Coverage { listed, of };
            assert_eq!(exchange.digest_rotation(), rounds, "{listed} of {of}");
            assert_eq!(exchange.coverage.is_partial(), is_partial, "{listed} of {of}");
        }
    }

    #[test]
    fn a_syn_that_lists_fewer_than_ours_would_is_answered_by_a_syn() {
        for (coverage, lists, is_answered) in [
            (Coverage { listed: 40, of: 40 }, 39, true),
            (Coverage { listed: 40, of: 40 }, 40, false),
            // Ours lists 18 of 40.
            (Coverage { listed: 18, of: 40 }, 17, true),
            (Coverage { listed: 18, of: 40 }, 18, false),
            // When it was written, fewer were known.
            (Coverage { listed: 18, of: 18 }, 39, true),
        ] {
            let (mut exchange, mut journal) = exchange();
            exchange.coverage = coverage;
            exchange.note_learned(at(1));
            exchange.answer_few(PEER, (lists, false), 40, (at(1), &config()), &mut journal);
            assert_eq!(exchange.is_due(PEER), is_answered, "{lists}, {coverage:?}");
        }
    }

    #[test]
    fn a_cluster_of_many_is_joined_faster_and_welcomes_but_no_cluster_of_cassandra() {
        let cassandra = Config::builder("c", LOCAL, Generation::new(1), [3; 32])
            .metadata_service(crate::metadata::MetadataId::NONE);
        let cassandra = cassandra.build().unwrap();
        let young = Duration::from_secs(1);
        for (known, config, is_joining, is_welcome) in [
            (MANY, &config(), true, true),
            (MANY - 1, &config(), false, false),
            (MANY, &cassandra, true, false),
        ] {
            let (mut exchange, mut journal) = exchange();
            assert!(!exchange.is_joining(known, young, at(1), config), "nothing was learned");
            exchange.note_learned(at(1));
            assert_eq!(exchange.is_joining(known, young, at(1), config), is_joining);
            exchange.welcome(PEER, known, config, &mut journal);
            assert_eq!(exchange.is_due(PEER), is_welcome);
        }
    }
}
