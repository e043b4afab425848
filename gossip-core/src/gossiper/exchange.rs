//! SYN, ACK, ACK2: taking them in, and writing what is due.

use super::{Gossiper, Mode, Outgoing, Session};
use crate::delta;
use crate::digest::{self, Entry, Side};
use crate::endpoint::Endpoint;
use crate::event::Event;
use crate::gossiper::apply::Source;
use crate::message::{Ack, Ack2, Codec, Digest, Syn};
use crate::table::{Cursor, Slot};
use crate::verb::Verb;
use crate::version::{Generation, Version};
use crate::wire::{Full, JavaStr, Writer};

/// How far ahead of the wall clock a generation may be, in seconds (`gossip-semantics.md` §1).
pub(super) const MAX_GENERATION_AHEAD: u64 = 365 * 24 * 60 * 60;

impl Gossiper {
    /// `gossip-semantics.md` §5.
    pub(super) fn on_syn(&mut self, from: Endpoint, session: &mut Session, syn: &Syn<'_>) {
        self.stats.syns_received += 1;
        let silence = self.config.interval.saturating_mul(60);
        if syn.cluster.as_bytes() != self.config.cluster {
            self.stats.foreign_cluster += 1;
            if self.foreign_cluster.note(from, syn.cluster, self.now, silence) {
                self.push_event(Event::ForeignCluster { from });
            }
            return;
        }
        if syn.partitioner.as_bytes() != self.config.partitioner {
            self.stats.foreign_partitioner += 1;
            if self.foreign_partitioner.note(from, syn.partitioner, self.now, silence) {
                self.push_event(Event::ForeignPartitioner { from });
            }
            return;
        }
        self.contact.heard(self.now);
        if syn.digests.is_empty() {
            // A shadow SYN: its sender takes no part yet, and wants to know everything.
            if self.outbox.shadow_reply(from).is_err() {
                self.stats.exchanges_dropped += 1;
            }
            return;
        }
        let Some(list) = self.outbox.take_list() else {
            self.stats.exchanges_dropped += 1;
            return;
        };
        let newest = self.newest_generation();
        let examined = digest::examine(&self.table, &syn.digests, from, newest, self.outbox.list_mut(list));
        self.stats.future_generations += u64::from(examined.future);
        if examined.sender.is_some() {
            session.generation = examined.sender;
        }
        if self.outbox.ack(from, list).is_err() {
            self.stats.exchanges_dropped += 1;
        }
    }

    /// `gossip-semantics.md` §7.
    pub(super) fn on_ack(&mut self, from: Endpoint, session: &mut Session, ack: &Ack<'_>) {
        self.stats.acks_received += 1;
        if !ack.states.is_empty() {
            if !self.syn_sent {
                return;
            }
            self.apply(from, session, &ack.states, Source::Ack);
        }
        self.contact.heard(self.now);
        let Some(list) = self.outbox.take_list() else {
            self.stats.exchanges_dropped += 1;
            return;
        };
        let pending = self.outbox.list_mut(list);
        let mut cursor = Cursor::default();
        for request in ack.requests.iter() {
            // Deviation: of another generation than the one asked for, everything or nothing is given; Cassandra does not look
            // at the generation, and may give a part of a whole that the asker has nothing of.
            if let Some(slot) = self.table.find_next(request.endpoint, &mut cursor) {
                pending.push(Entry::new(slot, Side::Give, request.generation, request.max_version));
            }
        }
        if self.outbox.ack2(from, list).is_err() {
            self.stats.exchanges_dropped += 1;
        }
    }

    pub(super) fn on_ack2(&mut self, from: Endpoint, session: &mut Session, ack2: &Ack2<'_>) {
        self.stats.ack2s_received += 1;
        self.contact.heard(self.now);
        self.apply(from, session, &ack2.states, Source::Ack2);
    }

    /// Writes a due message that has a body.
    pub(super) fn encode_with_body(
        &mut self,
        to: Endpoint,
        codec: Codec,
        out: &mut Writer<'_>,
    ) -> Option<Outgoing> {
        if out.room() < Self::MIN_ROOM {
            return None;
        }
        let due = self.outbox.due(to)?;
        if due.shutdown && codec.version.has_shutdown_body() {
            due.shutdown = false;
            let written = out
                .atomically(|out| delta::encode_newer(&self.table, Slot::FIRST, Version::new(i32::MIN), out));
            return self.finish(Verb::GOSSIP_SHUTDOWN, written.map(|()| 0));
        }
        if let Some(list) = due.ack2.take() {
            let pending = self.outbox.list(list);
            let written = out
                .atomically(|out| delta::encode_states(&self.table, pending, &mut self.scratch, codec, out));
            self.outbox.free_list(list);
            return self.finish(Verb::GOSSIP_DIGEST_ACK2, written);
        }
        if let Some(list) = due.ack.take() {
            let pending = self.outbox.list(list);
            let now = self.now;
            let requests = delta::encode_requests(&self.table, pending, &mut self.asked, now, codec, out);
            let written = requests
                .and_then(|()| delta::encode_states(&self.table, pending, &mut self.scratch, codec, out));
            self.outbox.free_list(list);
            return self.finish(Verb::GOSSIP_DIGEST_ACK, written);
        }
        if due.shadow_reply {
            due.shadow_reply = false;
            let written = out.atomically(|out| self.encode_shadow_reply(codec, out)).map(|()| 0);
            return self.finish(Verb::GOSSIP_DIGEST_ACK, written);
        }
        if due.syn {
            due.syn = false;
            let written = out.atomically(|out| self.encode_syn(codec, out)).map(|()| 0);
            self.syn_sent = true;
            return self.finish(Verb::GOSSIP_DIGEST_SYN, written);
        }
        None
    }

    /// Takes out a due message that has none.
    pub(super) fn encode_without_body(&mut self, to: Endpoint, codec: Codec) -> Option<Outgoing> {
        let due = self.outbox.due(to)?;
        if let Some(id) = due.pop_echo_response() {
            return Some(Outgoing { verb: Verb::ECHO_RSP, id });
        }
        if let Some(id) = due.echo_request.take() {
            return Some(Outgoing { verb: Verb::ECHO_REQ, id });
        }
        if due.shutdown && !codec.version.has_shutdown_body() {
            due.shutdown = false;
            return Some(self.outgoing(Verb::GOSSIP_SHUTDOWN));
        }
        None
    }

    fn outgoing(&mut self, verb: Verb) -> Outgoing {
        Outgoing { verb, id: self.next_id() }
    }

    fn finish(&mut self, verb: Verb, written: Result<u64, Full>) -> Option<Outgoing> {
        match written {
            Ok(unsendable) => {
                self.stats.values_unsendable += unsendable;
                Some(self.outgoing(verb))
            }
            Err(Full) => {
                self.stats.messages_dropped += 1;
                None
            }
        }
    }

    /// Our own digest, then whom we have to ask for, then everybody else in the order of their addresses, from a start that
    /// moves on by as many as found room.
    fn encode_syn(&mut self, codec: Codec, out: &mut Writer<'_>) -> Result<(), Full> {
        let cluster = JavaStr::from_checked(&self.config.cluster);
        let partitioner = JavaStr::from_checked(&self.config.partitioner);
        crate::message::encode_syn_head(cluster, partitioner, 0, codec, out)?;
        let count = out.reserve_i32()?;
        let table = &self.table;
        let digest = |slot: Slot| {
            let known = table.known(slot);
            Digest {
                endpoint: table.endpoint(slot),
                generation: known.generation,
                max_version: known.max_version,
            }
        };
        digest(Slot::FIRST).encode(codec, out)?;
        let mut written = 1 + self.asked.encode_wanted(self.now, codec, out);
        let order = table.sorted();
        let start = self.rotation % order.len().max(1);
        let (before, after) = order.split_at(start);
        let mut walked = 0;
        for slot in after.iter().chain(before) {
            if *slot != Slot::FIRST {
                if digest(*slot).encode(codec, out).is_err() {
                    break;
                }
                written += 1;
            }
            walked += 1;
        }
        if walked < order.len() {
            self.rotation = (start + walked) % order.len();
        }
        out.fill(count, written);
        Ok(())
    }

    /// Everything that is known, or nothing: whoever asks takes the first answer for the whole.
    fn encode_shadow_reply(&self, codec: Codec, out: &mut Writer<'_>) -> Result<(), Full> {
        out.i32(0)?;
        let count = out.reserve_i32()?;
        let mut written = 0;
        for slot in self.table.slots() {
            out.endpoint(self.table.endpoint(slot), codec.address_form())?;
            delta::encode_newer(&self.table, slot, Version::new(i32::MIN), out)?;
            written += 1;
        }
        out.fill(count, written);
        Ok(())
    }

    /// The greatest generation that is believed now.
    pub(super) fn newest_generation(&self) -> Generation {
        let newest = self.unix_ms().map(|unix_ms| unix_ms / 1_000 + MAX_GENERATION_AHEAD);
        Generation::new(newest.and_then(|seconds| i32::try_from(seconds).ok()).unwrap_or(i32::MAX))
    }

    pub(super) const fn is_running(&self) -> bool {
        matches!(self.mode, Mode::Running)
    }
}
