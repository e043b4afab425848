//! Writing what is due, when its transport has room for it, from the newest state.
//!
//! Owns: nothing. May see: the exchange, which it changes; the table of endpoints, the settings and the time, which it reads; the counters.

use alloc::vec;
use alloc::vec::Vec;

use super::outbox::{Due, Everything, LargeDue, ListId, Reply, SynDue};
use super::unidentified::is_unidentified;
use super::{Coverage, Exchange, QUESTION_ID, REST_ID};
use crate::application_state::ApplicationState;
use crate::asked::Asked;
use crate::config::{Config, Transport};
use crate::delta::{self, Receiver, Rest};
use crate::digest::{self, Entry, Progress};
use crate::endpoint::Endpoint;
use crate::gossiper::clock::Clock;
use crate::gossiper::journal::Journal;
use crate::gossiper::metadata::{Gate, Metadata};
use crate::gossiper::phase::Phase;
use crate::gossiper::session::Outgoing;
use crate::message::{Codec, Digest, PeerLog, PeerLogRequest};
use crate::release::Release;
use crate::slot::Slot;
use crate::snapshot::Standing;
use crate::status::StatusKind;
use crate::table::EndpointTable;
use crate::uuid::Uuid;
use crate::verb::Verb;
use crate::version::{Generation, Version};
use crate::wire::{Full, JavaStr, MAX_CASSANDRA_LEN, Writer};

/// The greatest number that every supported release decodes. A receiver that has not named its release gets no greater ones.
const ALWAYS_DECODED: ApplicationState = ApplicationState::new(28);

/// What the answer that holds everything depends on, besides what is known.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Audience {
    /// What of it the receiver can take.
    limits: (Codec, ApplicationState, usize, bool),
    /// Our own generation, and what we are doing.
    local: (Generation, Phase),
}

/// How many intervals lie between two questions for all that is known of endpoints in doubt.
const FULL_AGAIN: u32 = 10;

/// Whether more may be known of an endpoint than digests tell: it leaves, or is down and has not left.
fn is_doubtful(table: &EndpointTable, slot: Slot) -> bool {
    let status = table.status(slot);
    let is_down = table.standing(slot) == Standing::Unreachable && !status.is_dead();
    (status == StatusKind::Leaving || is_down)
        && table.generation(slot) != Generation::SAVED
        && !delta::is_stopped_nobody(table, slot)
}

/// Of which endpoints a SYN requests the complete state: it lists them with version 0.
#[derive(Clone, Copy, Debug)]
enum Complete {
    Nobody,
    /// Those that leave or are down.
    Doubtful,
    /// Those whose host id is not known.
    Unidentified,
    /// Of those only the receiver of the SYN, which knows itself.
    Receiver,
}

impl Complete {
    fn has(self, slot: Slot, to: Endpoint, table: &EndpointTable, asked: &Asked) -> bool {
        let endpoint = table.endpoint(slot);
        match self {
            Self::Nobody => false,
            // Of itself a node knows no more than it has gossiped.
            Self::Doubtful => is_doubtful(table, slot) && endpoint != to && !asked.is_asked(endpoint),
            Self::Unidentified => is_unidentified(table, slot),
            Self::Receiver => endpoint == to && is_unidentified(table, slot),
        }
    }
}

/// The least room that a message with a body needs.
pub(in super::super) const MIN_ROOM: usize = 128;

/// What is seen while a message is written.
pub(in super::super) struct Writing<'a> {
    pub(in super::super) exchange: &'a mut Exchange,
    pub(in super::super) table: &'a EndpointTable,
    pub(in super::super) config: &'a Config,
    pub(in super::super) clock: &'a Clock,
    pub(in super::super) metadata: &'a mut Metadata,
    pub(in super::super) journal: &'a mut Journal,
}

impl Writing<'_> {
    /// Writes the most urgent message that is due to `to` and fits.
    pub(in super::super) fn encode(
        &mut self,
        to: Endpoint,
        codec: Codec,
        out: &mut Writer<'_>,
    ) -> Option<Outgoing> {
        let mut outgoing = None;
        let mut is_held = false;
        // What does not fit at all is dropped, and the next may.
        while outgoing.is_none() && !is_held && out.room() >= MIN_ROOM && self.exchange.is_body_due(to, codec)
        {
            let written = out.atomically(|out| {
                // What was begun of a message that is not sent is no part of the next.
                self.encode_with_body(to, codec, out, &mut is_held).ok_or(Full)
            });
            outgoing = written.ok();
        }
        outgoing.or_else(|| self.encode_without_body(to, codec))
    }

    /// Writes a due message that has a body. Whether that succeeds or not, it is not due any more.
    fn encode_with_body(
        &mut self,
        to: Endpoint,
        codec: Codec,
        out: &mut Writer<'_>,
        is_held: &mut bool,
    ) -> Option<Outgoing> {
        let receiver = self.receiver(to, codec);
        let written = self.encode_with_body_for(to, &receiver, (codec, is_held), out);
        self.journal.stats.values_withheld += receiver.withheld();
        written
    }

    fn encode_with_body_for(
        &mut self,
        to: Endpoint,
        receiver: &Receiver,
        (codec, is_held): (Codec, &mut bool),
        out: &mut Writer<'_>,
    ) -> Option<Outgoing> {
        let due = self.exchange.outbox.due(to)?;
        if due.shutdown && codec.version.has_shutdown_body() {
            due.shutdown = false;
            let whole = out.atomically(|out| delta::encode_shutdown(self.table, receiver, out));
            // Of a state that does not fit, the status is what receivers require.
            let written =
                whole.or_else(|Full| out.atomically(|out| delta::encode_shutdown_status(self.table, out)));
            return self.finish(Verb::GOSSIP_SHUTDOWN, written);
        }
        match due.reply.take() {
            Some(Reply::Schema(id)) => {
                let written = out.array(own_schema(self.table, self.config)?.to_bytes());
                return written.ok().map(|()| Outgoing { verb: Verb::SCHEMA_VERSION_RSP, id });
            }
            Some(Reply::Metadata(id)) => {
                let written = PeerLog::empty(self.metadata.id()).encode(out);
                return written.ok().map(|()| Outgoing { verb: Verb::TCM_FETCH_PEER_LOG_RSP, id });
            }
            None => {}
        }
        if let Some(list) = due.ack2.take() {
            let rest = self.rest();
            let pending = self.exchange.outbox.list_mut(list);
            let before = pending.progress;
            let written = out.atomically(|out| {
                delta::encode_states(self.table, pending, &mut self.exchange.scratch, rest, receiver, out)
            });
            // The first goes out even if there is nothing to say: the protocol has it so.
            let is_first = before == Progress::default();
            let may_go_on = rest == Rest::Follows && written.is_ok() && pending.progress != before;
            let has_more = may_go_on && !pending.has_no_more_states();
            self.keep_or_free(list, has_more, |due| due.ack2 = Some(list), to);
            let is_empty = !is_first && out.len() <= 4;
            return self.finish_states(to, Verb::GOSSIP_DIGEST_ACK2, written, is_empty);
        }
        if let Some(list) = due.ack.take() {
            let limit = due.ack_limit.take();
            let rest = self.rest();
            let pending = self.exchange.outbox.list_mut(list);
            let before = pending.progress;
            let now = self.clock.now();
            let room = limit.map_or(usize::MAX, |limit| limit as usize);
            let written = out.within(room, |out| {
                out.atomically(|out| {
                    delta::encode_requests(
                        self.table,
                        pending,
                        (&mut self.exchange.asked, to, now),
                        codec,
                        out,
                    )?;
                    delta::encode_states(self.table, pending, &mut self.exchange.scratch, rest, receiver, out)
                })
            });
            let is_first = before == Progress::default();
            let may_go_on =
                rest == Rest::Follows && limit.is_none() && written.is_ok() && pending.progress != before;
            let has_more = may_go_on && !(pending.has_no_more_states() && pending.has_no_more_requests());
            self.keep_or_free(list, has_more, |due| due.ack = Some(list), to);
            let is_empty = !is_first && out.len() <= 8;
            return self.finish_states(to, Verb::GOSSIP_DIGEST_ACK, written, is_empty);
        }
        if let Some(left) = due.shadow_reply.take() {
            if self.rest() == Rest::Follows {
                return self.encode_part_of_shadow_reply(to, left, receiver, out);
            }
            if out.atomically(|out| self.encode_shadow_reply(receiver, out)).is_err() {
                // The asking node takes the first answer as complete, so it is one message of any size.
                if let Some(due) = self.exchange.outbox.due(to) {
                    due.large = Some(LargeDue::ShadowReply);
                }
                return None;
            }
            return Some(self.outgoing(Verb::GOSSIP_DIGEST_ACK));
        }
        if core::mem::take(&mut due.metadata_request) {
            // A node that does not speak version 14 closes the connection at such a verb.
            return if codec.version.has_metadata_id() { self.ask_metadata_id(to, out) } else { None };
        }
        if due.shadow_syn || due.syn.is_some_and(|syn| syn.start.is_none()) {
            let time = (self.clock.now(), self.config.interval);
            let has_silent_syn = self.exchange.outbox.is_awaited(to);
            match self.metadata.gate(to, codec.version, time, has_silent_syn) {
                Gate::Open => self.metadata.note_syn(to, codec.version, time.0),
                Gate::Ask => return self.ask_metadata_id(to, out),
                Gate::Wait => {
                    *is_held = true;
                    return None;
                }
                Gate::Closed => {
                    self.journal.stats.syns_withheld += 1;
                    let due = self.exchange.outbox.due(to)?;
                    (due.shadow_syn, due.syn) = (false, None);
                    return None;
                }
            }
        }
        let due = self.exchange.outbox.due(to)?;
        if due.shadow_syn {
            due.shadow_syn = false;
            self.exchange.question = Some(to);
            let written = out.atomically(|out| self.encode_syn_head(codec, out).and_then(|()| out.i32(0)));
            let outgoing = self.finish(Verb::GOSSIP_DIGEST_SYN, written)?;
            let id = if self.config.membership.only_asks { QUESTION_ID } else { outgoing.id };
            return Some(Outgoing { id, ..outgoing });
        }
        if let Some(mut syn) = due.syn.take() {
            let is_first = syn.start.is_none();
            let written = out.atomically(|out| self.encode_syn(to, &mut syn, codec, out));
            if written.is_ok()
                && syn.left > 0
                && let Some(due) = self.exchange.outbox.due(to)
            {
                due.syn = Some(syn);
            }
            self.exchange.outbox.await_ack(to, is_first);
            self.exchange.syn_sent = true;
            return self.finish(Verb::GOSSIP_DIGEST_SYN, written);
        }
        None
    }

    /// Asks `to` for the identifier of the cluster's metadata.
    fn ask_metadata_id(&mut self, to: Endpoint, out: &mut Writer<'_>) -> Option<Outgoing> {
        let written = PeerLogRequest::FAR_AHEAD.encode(out);
        let outgoing = self.finish(Verb::TCM_FETCH_PEER_LOG_REQ, written)?;
        self.metadata.note_asked(to, outgoing.id, self.clock.now());
        Some(outgoing)
    }

    /// What becomes of what finds no room in one message.
    fn rest(&self) -> Rest {
        match self.config.transport {
            Transport::Internode => Rest::Waits,
            Transport::Datagram => Rest::Follows,
        }
    }

    /// Keeps a list of which there is more to tell, else gives it back to the pool.
    fn keep_or_free(&mut self, list: ListId, has_more: bool, keep: impl FnOnce(&mut Due), to: Endpoint) {
        match self.exchange.outbox.due(to) {
            Some(due) if has_more => keep(due),
            _ => self.exchange.outbox.free_list(list),
        }
    }

    /// Takes out a due message that has none.
    fn encode_without_body(&mut self, to: Endpoint, codec: Codec) -> Option<Outgoing> {
        let due = self.exchange.outbox.due(to)?;
        if let Some(id) = due.pop_echo_response() {
            return Some(Outgoing { verb: Verb::ECHO_RSP, id });
        }
        if let Some(id) = due.echo_request.take() {
            return Some(Outgoing { verb: Verb::ECHO_REQ, id: id.into() });
        }
        if due.shutdown && !codec.version.has_shutdown_body() {
            due.shutdown = false;
            return Some(self.outgoing(Verb::GOSSIP_SHUTDOWN));
        }
        None
    }

    fn outgoing(&mut self, verb: Verb) -> Outgoing {
        Outgoing { verb, id: self.exchange.next_id() }
    }

    fn finish(&mut self, verb: Verb, written: Result<(), Full>) -> Option<Outgoing> {
        match written {
            Ok(()) => Some(self.outgoing(verb)),
            Err(Full) => {
                self.journal.stats.messages_dropped += 1;
                None
            }
        }
    }

    /// Like [`Writing::finish`]. If a value fits no ordinary message, its endpoint gets a large message. A continuation without content is
    /// not sent.
    fn finish_states(
        &mut self,
        to: Endpoint,
        verb: Verb,
        written: Result<Option<Entry>, Full>,
        is_empty: bool,
    ) -> Option<Outgoing> {
        if let Ok(Some(too_large)) = written {
            match self.rest() {
                Rest::Waits => {
                    if let Some(due) = self.exchange.outbox.due(to) {
                        due.large.get_or_insert(LargeDue::State(too_large));
                    }
                }
                // A node with larger packets set it.
                Rest::Follows => self.journal.stats.values_unsendable += 1,
            }
        }
        if is_empty && written.is_ok() { None } else { self.finish(verb, written.map(|_| ())) }
    }

    /// For what kind of receiver the answer that holds everything is due to `to`, if it is due as a large message. The answers to all
    /// of a kind are the same.
    pub(in super::super) fn audience(
        &mut self,
        to: Endpoint,
        codec: Codec,
        phase: Phase,
    ) -> Option<Audience> {
        let due = self.exchange.outbox.due(to)?.large?;
        matches!(due, LargeDue::ShadowReply).then(|| Audience {
            limits: self.receiver(to, codec).limits(),
            local: (self.table.generation(Slot::FIRST), phase),
        })
    }

    /// Takes the answer that holds everything as written to `to`: it is sent what was written for another.
    pub(in super::super) fn share_large(&mut self, to: Endpoint, withheld: u64) -> Outgoing {
        if let Some(due) = self.exchange.outbox.due(to) {
            due.large = None;
        }
        self.journal.stats.values_withheld += withheld;
        self.outgoing(Verb::GOSSIP_DIGEST_ACK)
    }

    /// Writes what is due and too large for an ordinary message.
    pub(in super::super) fn encode_due_large(
        &mut self,
        to: Endpoint,
        codec: Codec,
        limit: usize,
    ) -> Result<(Outgoing, Vec<u8>), usize> {
        let due = self.exchange.outbox.due(to).and_then(|due| due.large).ok_or(0_usize)?;
        let form = codec.address_form();
        let size = match due {
            LargeDue::ShadowReply => {
                8 + self.table.slots().map(|slot| delta::state_size(self.table, slot, form)).sum::<usize>()
            }
            LargeDue::State(entry) => 4 + delta::state_size(self.table, entry.slot(), form),
        };
        if size > limit {
            return Err(size);
        }
        if let Some(due) = self.exchange.outbox.due(to) {
            due.large = None;
        }
        let receiver = self.receiver(to, codec);
        let mut body = vec![0; size];
        let mut out = Writer::new(&mut body);
        let (verb, written) = match due {
            LargeDue::ShadowReply => (Verb::GOSSIP_DIGEST_ACK, self.encode_shadow_reply(&receiver, &mut out)),
            LargeDue::State(entry) => {
                (Verb::GOSSIP_DIGEST_ACK2, delta::encode_whole(self.table, entry, &receiver, &mut out))
            }
        };
        self.journal.stats.values_withheld += receiver.withheld();
        let len = out.len();
        body.truncate(len);
        let outgoing = self.finish(verb, written).ok_or(0_usize)?;
        Ok((outgoing, body))
    }

    /// Our own digest, then the endpoints that we have to request, then all others in the order of their addresses, from a start that
    /// moves on each time, by as many as found room where not all did.
    ///
    /// Where the messages of a SYN cannot list everybody, those with news come first, and take three quarters of the room if
    /// they are so many.
    ///
    /// Deviation: Cassandra lists everybody, in a message of any size.
    fn encode_syn(
        &mut self,
        to: Endpoint,
        syn: &mut SynDue,
        codec: Codec,
        out: &mut Writer<'_>,
    ) -> Result<(), Full> {
        self.encode_syn_head(codec, out)?;
        let count = out.reserve_i32()?;
        let (table, is_gossip_only) = (self.table, self.config.is_gossip_only);
        digest::encode(table, Slot::FIRST, codec, out)?;
        let wanted = self.exchange.asked.encode_wanted(to, self.clock.now(), codec, out);
        let complete = if syn.start.is_none() { self.complete_states_due(to) } else { Complete::Nobody };
        let order = table.sorted();
        let start = *syn.start.get_or_insert_with(|| {
            self.exchange.news.begin_list();
            u32::try_from(self.exchange.rotation % order.len().max(1)).unwrap_or(0)
        });
        // Where messages follow one another, endpoints may have been removed between them.
        let start = (start as usize).min(order.len());
        let (before, after) = order.split_at(start);
        let in_full = self.encode_complete(complete, to, [after, before], codec, out);
        let mut written = 1 + wanted + in_full;
        if self.exchange.coverage.is_partial() {
            let rounds = 2 * (usize::BITS - order.len().leading_zeros());
            let kept = out.room() / 4;
            while out.room() > kept
                && let Some(newest) = self.exchange.news.newest(syn.news as usize, rounds)
            {
                syn.news += 1;
                let is_told = |slot: &Slot| {
                    *slot != Slot::FIRST
                        && !(is_gossip_only && delta::is_stopped_nobody(table, *slot))
                        && !self.exchange.news.is_listed(*slot)
                };
                if let Some(slot) = newest.filter(is_told) {
                    if digest::encode(table, slot, codec, out).is_err() {
                        break;
                    }
                    self.exchange.news.list(slot);
                    written += 1;
                }
            }
        }
        let has_first = syn.news > 0 || in_full > 0;
        // Endpoints that this message requests from version 0, or lists already, are not listed a second time.
        let is_left = |slot: Slot| {
            slot != Slot::FIRST
                && !(is_gossip_only && delta::is_stopped_nobody(table, slot))
                && !(wanted > 0 && self.exchange.asked.is_in_syn(table.endpoint(slot)))
                && !(has_first && self.exchange.news.is_listed(slot))
        };
        let covered = syn.covered as usize;
        let mut left = [after.get(covered..), before.get(covered.saturating_sub(after.len())..)]
            .map(Option::unwrap_or_default);
        for part in &mut left {
            written += if wanted == 0 && !has_first && !is_gossip_only {
                digest::encode_others(table, part, codec, out)
            } else {
                digest::encode_all(table, part, is_left, codec, out)
            };
            if !part.is_empty() {
                break;
            }
        }
        let listed = order.len() - left.iter().map(|part| part.len()).sum::<usize>();
        syn.covered = u32::try_from(listed).unwrap_or(u32::MAX);
        out.fill(count, written);
        syn.left = if listed < order.len() { syn.left.saturating_sub(1) } else { 0 };
        if syn.left == 0 {
            // What an ACK cuts off for want of room must not be the same each time.
            let step = if listed < order.len() { listed } else { order.len() / 8 + 1 };
            self.exchange.rotation = (start + step) % order.len().max(1);
            self.exchange.coverage = Coverage { listed, of: order.len() };
        }
        Ok(())
    }

    /// Of which endpoints a SYN to `to` requests the complete state now. Asking takes it as requested.
    ///
    /// Of endpoints that leave or are down, because nodes of Cassandra 6.0 write values of others from the metadata's log. These values keep
    /// their versions, so that a digest does not show them (`docs/protocol/cassandra-6.md`). And of endpoints whose host id is not known.
    fn complete_states_due(&mut self, to: Endpoint) -> Complete {
        let (now, interval, table) = (self.clock.now(), self.config.interval, self.table);
        if self.config.is_gossip_only {
            let pause = interval.saturating_mul(FULL_AGAIN);
            // A receiver that leaves or is down is no good one: it is not asked for all of itself, and does not answer if it is down. Another one
            // is waited for, for as long again. So the question never comes more often than once in that time.
            let is_doubtful_itself = table.find(to).is_some_and(|slot| is_doubtful(table, slot));
            let next = self.exchange.next_full;
            let due = if is_doubtful_itself { next + pause } else { next };
            if !self.metadata.is_initialised() || now < due {
                return Complete::Nobody;
            }
            self.exchange.next_full = now + pause;
            return Complete::Doubtful;
        }
        let unidentified = &mut self.exchange.unidentified;
        // Where we have no host id, perhaps no endpoint has one.
        if !unidentified.are_there() || table.host_id(Slot::FIRST).is_none() {
            return Complete::Nobody;
        }
        if unidentified.take_due(now, interval) {
            if table.slots().any(|slot| is_unidentified(table, slot)) {
                return Complete::Unidentified;
            }
            unidentified.end();
        }
        if unidentified.asks_receivers() { Complete::Receiver } else { Complete::Nobody }
    }

    /// Lists these endpoints with version 0, as many as fit; says how many. The SYN does not list them a second time.
    ///
    /// They come in the order of the SYN. Each SYN begins with another endpoint, because an answer has no room for the states of very many.
    fn encode_complete(
        &mut self,
        complete: Complete,
        to: Endpoint,
        order: [&[Slot]; 2],
        codec: Codec,
        out: &mut Writer<'_>,
    ) -> i32 {
        let (table, asked, news) = (self.table, &self.exchange.asked, &mut self.exchange.news);
        let mut write = |slot: Slot| {
            let (endpoint, generation) = (table.endpoint(slot), table.generation(slot));
            if slot == Slot::FIRST || !complete.has(slot, to, table, asked) || asked.is_in_syn(endpoint) {
                return Ok(0);
            }
            let digest = Digest { endpoint, generation, max_version: Version::ZERO };
            digest.encode(codec, out)?;
            news.list(slot);
            Ok::<_, Full>(1)
        };
        match complete {
            Complete::Nobody => 0,
            Complete::Receiver => table.find(to).map_or(0, |slot| write(slot).unwrap_or(0)),
            Complete::Doubtful | Complete::Unidentified => {
                order.into_iter().flatten().map_while(|slot| write(*slot).ok()).sum()
            }
        }
    }

    fn encode_syn_head(&self, codec: Codec, out: &mut Writer<'_>) -> Result<(), Full> {
        let cluster = JavaStr::from_checked(&self.config.cluster);
        let partitioner = JavaStr::from_checked(&self.config.partitioner);
        crate::message::encode_syn_head(cluster, partitioner, self.metadata.id(), codec, out)
    }

    /// A part of the whole table. The first part holds the known state of the asking node, which decides whether it may join;
    /// and at least one endpoint, because an empty answer means that we are in our own shadow round. No Cassandra cluster talks in packets.
    fn encode_part_of_shadow_reply(
        &mut self,
        to: Endpoint,
        left: Everything,
        receiver: &Receiver,
        out: &mut Writer<'_>,
    ) -> Option<Outgoing> {
        let asker = self.table.find(to);
        let (is_first, begin) = match left {
            Everything::All => (true, 0),
            Everything::From(row) => (false, row as usize),
        };
        let everything = Version::new(i32::MIN);
        let (table, scratch) = (self.table, &mut self.exchange.scratch);
        let mut next = None;
        let written = out.atomically(|out| {
            out.i32(0)?;
            let count = out.reserve_i32()?;
            let mut written = 0;
            if let Some(asker) = asker.filter(|_| is_first) {
                written += i32::from(delta::encode_part(table, asker, everything, scratch, receiver, out));
            }
            for slot in table.places().skip(begin) {
                if !table.is_occupied(slot) || Some(slot) == asker {
                    continue;
                }
                if delta::encode_if_whole(table, slot, everything, receiver, out) {
                    written += 1;
                } else if written == 0 {
                    // It fits no message whole. The rest of it is asked for later.
                    written += i32::from(delta::encode_part(table, slot, everything, scratch, receiver, out));
                } else {
                    next = Some(Everything::From(slot.number()));
                    break;
                }
            }
            out.fill(count, written);
            // An empty part would say that we ask, too.
            if written == 0 { Err(Full) } else { Ok(()) }
        });
        if let Some(due) = self.exchange.outbox.due(to) {
            due.shadow_reply = next;
        }
        let outgoing = self.finish(Verb::GOSSIP_DIGEST_ACK, written)?;
        let id = if is_first { outgoing.id } else { REST_ID };
        Some(Outgoing { id, ..outgoing })
    }

    /// The whole table, or nothing: the asking node takes the first answer as complete.
    fn encode_shadow_reply(&self, receiver: &Receiver, out: &mut Writer<'_>) -> Result<(), Full> {
        out.i32(0)?;
        let count = out.reserve_i32()?;
        let mut written = 0;
        let is_gossip_only = self.config.is_gossip_only;
        // The answer has endpoints without a host id. If its receiver starts at the address of one, it waits for a better answer. If the endpoint
        // were missing, the receiver would take the address for free. A node of Cassandra keeps nothing of the answer.
        let is_told = |slot: &Slot| !(is_gossip_only && delta::is_stopped_nobody(self.table, *slot));
        for slot in self.table.slots().filter(is_told) {
            out.endpoint(self.table.endpoint(slot), receiver.address_form())?;
            delta::encode_newer(self.table, slot, Version::new(i32::MIN), receiver, out)?;
            written += 1;
        }
        out.fill(count, written);
        Ok(())
    }

    /// What `to` can decode in messages written so.
    fn receiver(&self, to: Endpoint, codec: Codec) -> Receiver {
        if !self.config.is_gossip_only {
            return Receiver::of_everything(codec);
        }
        let release = self.table.find(to).and_then(|slot| delta::release_of(self.table, slot));
        Receiver::of_cassandra(
            codec,
            release.map_or(ALWAYS_DECODED, Release::highest_state),
            MAX_CASSANDRA_LEN,
        )
    }
}

/// The schema that a gossip-only member follows.
pub(in super::super) fn own_schema(table: &EndpointTable, config: &Config) -> Option<Uuid> {
    if !config.is_gossip_only {
        return None;
    }
    let (text, _) = table.values(Slot::FIRST).get(ApplicationState::SCHEMA)?;
    Uuid::from_text(text.as_bytes()).ok()
}

#[cfg(test)]
mod tests;
