//! What SYN, ACK and ACK2 mean: which part is asked what, and in which order.

use super::exchange::QUESTION_ID;
use super::{Gossiper, Mode, Session};
use crate::config::Transport;
use crate::digest;
use crate::endpoint::Endpoint;
use crate::event::Event;
use crate::gossiper::apply::Source;
use crate::log;
use crate::message::{Ack, Ack2, Syn};

impl Gossiper {
    /// `gossip-semantics.md` §5.
    pub(super) fn on_syn(&mut self, from: Endpoint, id: u64, session: &mut Session, syn: &Syn<'_>) {
        self.journal.stats.syns_received += 1;
        if !self.is_of_this_cluster(from, id, syn) {
            return;
        }
        self.contact.heard(self.clock.now());
        if syn.digests.is_empty() {
            // A shadow SYN: its sender takes no part yet, and wants to know everything.
            self.exchange.shadow_reply(from, &mut self.journal);
            return;
        }
        let newest = self.clock.newest_generation();
        let context = digest::Context { sender: from, newest, now: self.clock.now() };
        let known = (&self.table, &self.quarantine);
        let answered = self.exchange.answer_syn(known, syn, &context, session.reply_limit, &mut self.journal);
        let Some(examined) = answered else { return };
        self.journal.stats.future_generations += u64::from(examined.future);
        if let Some((endpoint, generation)) = examined.first_future {
            self.on_future_generation(endpoint, generation);
        }
        if examined.sender.is_some() {
            session.generation = examined.sender;
        }
    }

    /// Whether a SYN comes from our own cluster. Others are not answered, but for one that only asks: it is told our names.
    pub(super) fn is_of_this_cluster(&mut self, from: Endpoint, id: u64, syn: &Syn<'_>) -> bool {
        let is_ours = syn.cluster.as_bytes() == self.config.cluster
            && syn.partitioner.as_bytes() == self.config.partitioner;
        if !is_ours
            && id == QUESTION_ID
            && syn.digests.is_empty()
            && self.config.transport == Transport::Internode
        {
            return self.correct(from);
        }
        let silence = self.config.interval.saturating_mul(60);
        if syn.cluster.as_bytes() != self.config.cluster {
            self.journal.stats.foreign_cluster += 1;
            if self.journal.foreign_cluster.note(from, syn.cluster, self.clock.now(), silence) {
                self.journal.tell(Event::ForeignCluster { from });
            }
            return false;
        }
        if syn.partitioner.as_bytes() != self.config.partitioner {
            self.journal.stats.foreign_partitioner += 1;
            if self.journal.foreign_partitioner.note(from, syn.partitioner, self.clock.now(), silence) {
                self.journal.tell(Event::ForeignPartitioner { from });
            }
            return false;
        }
        true
    }

    /// Tells `from`, which only asks and does not know what our cluster or partitioner is called, by a SYN that lists nobody. Nothing is
    /// wrong with either side, so that it is no event.
    ///
    /// Deviation: Cassandra leaves it without an answer. It never gives an empty SYN this id, and so never has this answer.
    fn correct(&mut self, from: Endpoint) -> bool {
        self.journal.stats.questions_corrected += 1;
        log::debug!(%from, "a question names another cluster or partitioner: it is told ours");
        // Two that ask would go on telling each other.
        if !self.config.only_asks {
            self.exchange.correction(from, &mut self.journal);
        }
        false
    }

    /// Says to somebody in its shadow round that we are in ours.
    pub(super) fn answer_in_shadow(&mut self, from: Endpoint) {
        self.exchange.empty_ack(from, &mut self.journal);
    }

    /// `gossip-semantics.md` §7.
    pub(super) fn on_ack(&mut self, from: Endpoint, session: &mut Session, ack: &Ack<'_>) {
        self.journal.stats.acks_received += 1;
        // An answer that tells of nobody is one as well: what comes after it answers an earlier process of ours. In packets an answer
        // has several parts, and none to an earlier process is taken in.
        let is_awaited = (!ack.states.is_empty() || self.config.transport == Transport::Internode)
            && self.exchange.take_awaited(from);
        if !ack.states.is_empty() {
            let is_rest = self.is_rest_of_shadow_reply(from, ack);
            if !self.exchange.has_sent_syn() && !is_rest {
                self.journal.stats.stray_acks += 1;
                return;
            }
            // An answer to an earlier process of ours tells little of what we lack.
            let own = self.generation();
            let is_ours = is_awaited
                && ack
                    .requests
                    .iter()
                    .all(|request| request.endpoint != self.config.local || request.generation == own);
            let source = if is_rest {
                Source::Shadow
            } else if is_ours {
                Source::Ack
            } else {
                Source::Other
            };
            self.apply(from, session, &ack.states, source);
            if is_rest {
                // It answers a question that is answered already.
                return;
            }
        }
        self.contact.heard(self.clock.now());
        let answered = self.exchange.answer_ack(&self.table, from, ack, &mut self.journal);
        let Some(requested) = answered else { return };
        self.on_answer(from, requested.us);
        if requested.everything_of_us {
            self.on_asked_for_everything(from);
        }
    }

    pub(super) fn on_ack2(&mut self, from: Endpoint, session: &mut Session, ack2: &Ack2<'_>) {
        self.journal.stats.ack2s_received += 1;
        self.contact.heard(self.clock.now());
        self.apply(from, session, &ack2.states, Source::Other);
    }

    /// Whether the node takes part and means to go on, or says only that it will leave.
    pub(super) const fn is_running(&self) -> bool {
        matches!(self.mode, Mode::Running | Mode::Leaving { .. })
    }
}
