//! Asking before joining: the shadow round (`gossip-semantics.md` §10).
//!
//! The answer, which holds everything, decides whether somebody else uses our address. If nobody does, it is what we know to
//! begin with.
//!
//! Deviation: Cassandra throws it away, and learns all of it once more by gossip, which carries 64 KiB at a time here.

use alloc::vec::Vec;

use super::{End, Gossiper, Mode, Session};
use crate::application_state::ApplicationState;
use crate::config::Transport;
use crate::endpoint::Endpoint;
use crate::event::Event;
use crate::gossiper::apply::Source;
use crate::message::{Ack, EndpointState};
use crate::status::StatusKind;
use crate::table::Slot;
use crate::time::Timestamp;

/// How many intervals lie between two questions.
const REPEAT: u32 = 5;

/// After how many intervals a node that is one of its seeds goes on alone.
const SEED_PATIENCE: u32 = 30;

/// After how many intervals any other node gives up.
const PATIENCE: u32 = 60;

/// How far the shadow round is.
#[derive(Clone, Debug)]
pub(super) struct Shadow {
    started: Timestamp,
    next_question: Timestamp,
    asked_once: bool,
    /// Seeds that are in their own shadow round.
    in_shadow: Vec<Endpoint>,
    /// Until when further parts of the answer are taken, where it comes in several.
    rest_until: Option<Timestamp>,
    /// Whether a part of the answer has come since the last look, for a node that only asks; `None` before the first.
    is_coming: Option<bool>,
}

impl Shadow {
    pub(super) fn new(now: Timestamp, seeds: usize) -> Self {
        Self {
            started: now,
            next_question: now,
            asked_once: false,
            in_shadow: Vec::with_capacity(seeds),
            rest_until: None,
            is_coming: None,
        }
    }
}

impl Gossiper {
    /// Begins to ask, if there is anybody to ask.
    pub(super) fn begin_shadow_round(&mut self) {
        if self.config.seeds.is_empty() && self.config.saved.is_empty() {
            return;
        }
        self.shadow = Shadow::new(self.now, self.config.seeds.len());
        self.mode = Mode::Shadow;
        self.next_round = self.now;
    }

    /// Once an interval: asks again, or gives up.
    pub(super) fn on_shadow_timeout(&mut self) {
        match self.shadow.is_coming {
            Some(true) => {
                self.shadow.is_coming = Some(false);
                return;
            }
            Some(false) => return self.end_question(),
            None => {}
        }
        let interval = self.config.interval;
        let patience = if self.config.is_seed { SEED_PATIENCE } else { PATIENCE };
        if self.now.saturating_since(self.shadow.started) > interval.saturating_mul(patience) {
            if self.config.is_seed {
                self.end_shadow_round();
            } else {
                self.push_event(Event::ShadowRoundFailed);
                self.vital.end_with(End::Unanswered);
                self.stop();
            }
            return;
        }
        self.watch_seeds();
        if self.now < self.shadow.next_question {
            return;
        }
        self.shadow.next_question = self.now + interval.saturating_mul(REPEAT);
        for at in 0..self.config.seeds.len() {
            self.ask(self.config.seeds[at]);
        }
        // From the second time on whoever was known before is asked, too.
        if self.shadow.asked_once {
            for at in 0..self.config.saved.len() {
                self.ask(self.config.saved[at]);
            }
        }
        self.shadow.asked_once = true;
    }

    fn ask(&mut self, whom: Endpoint) {
        if self.outbox.shadow_syn(whom).is_err() {
            self.stats.messages_dropped += 1;
        }
    }

    /// An answer: the whole state of the cluster, or that the other is asking itself.
    pub(super) fn on_shadow_ack(&mut self, from: Endpoint, ack: &Ack<'_>) {
        self.contact.heard(self.now);
        if self.config.only_asks {
            return self.take_answer(from, ack);
        }
        if ack.requests.is_empty() && ack.states.is_empty() {
            let is_new = self.config.seeds.contains(&from) && !self.shadow.in_shadow.contains(&from);
            if is_new {
                self.shadow.in_shadow.push(from);
            }
            if self.shadow.in_shadow.len() == self.config.seeds.len() && is_new {
                self.end_shadow_round();
            }
            return;
        }
        let own = ack.states.iter().filter(|(endpoint, _)| *endpoint == self.config.local).last();
        let Some((_, state)) = own else {
            self.end_shadow_round();
            return self.begin_with(from, ack);
        };
        let status = self.claimed_status(&state);
        // Whoever hibernates runs, and has the address, though nobody calls it live.
        if status.is_dead() && status != StatusKind::Hibernate {
            self.end_shadow_round_above(&state);
            return self.begin_with(from, ack);
        }
        let Some(claimed) = state.value(ApplicationState::HOST_ID) else { return };
        let ours = self.table.values(Slot::FIRST).get(ApplicationState::HOST_ID);
        if ours.is_some_and(|(ours, _)| ours == claimed.text) {
            self.end_shadow_round_above(&state);
            self.begin_with(from, ack);
        } else {
            let generation = state.heartbeat.generation;
            self.push_event(Event::AddressConflict { generation });
            self.vital.end_with(End::Conflict { generation });
            self.stop();
        }
    }

    /// An answer, or a part of one, to a node that will not take part whatever it says.
    fn take_answer(&mut self, from: Endpoint, ack: &Ack<'_>) {
        // Nothing: the other is asking itself, and will know more soon.
        if ack.states.is_empty() {
            return;
        }
        self.apply(from, &mut Session::default(), &ack.states, Source::Shadow);
        match self.config.transport {
            Transport::Internode => self.end_question(),
            // Further packets may follow: it is over when an interval passes without.
            Transport::Datagram => self.shadow.is_coming = Some(true),
        }
    }

    fn end_question(&mut self) {
        self.mode = Mode::Disabled;
        self.push_event(Event::ShadowRoundDone);
    }

    /// Somebody who is to answer could not, before we had proven our address. Now we can.
    pub(crate) fn ask_again(&mut self, from: Endpoint) {
        if self.mode == Mode::Shadow
            && (self.config.seeds.contains(&from) || self.config.saved.contains(&from))
        {
            self.ask(from);
        }
    }

    /// Whether an ACK is one of those that follow the first answer, where that is too large for one message. Nothing else brings states
    /// of which we asked nothing, and there is no late answer to an earlier process of ours: that would not know our cookie.
    pub(super) fn is_rest_of_shadow_reply(&self, from: Endpoint, ack: &Ack<'_>) -> bool {
        ack.requests.is_empty()
            && self.shadow.rest_until.is_some_and(|until| self.now <= until)
            && (self.config.seeds.contains(&from) || self.config.saved.contains(&from))
    }

    /// Whether the answer holds all there is of somebody.
    ///
    /// What was meant for an earlier process of ours looks like the answer, and holds what that one lacked: heartbeats, or the newest
    /// values. A host id is published before all else and never again, so that only a whole has it. Whoever has none is asked for.
    pub(super) fn is_told_whole(&self, state: &EndpointState<'_>) -> bool {
        self.config.only_asks || state.value(ApplicationState::HOST_ID).is_some()
    }

    /// Takes over what the answer says of others.
    fn begin_with(&mut self, from: Endpoint, ack: &Ack<'_>) {
        if self.config.transport == Transport::Datagram {
            self.shadow.rest_until = Some(self.now + self.config.echo_timeout);
        }
        self.apply(from, &mut Session::default(), &ack.states, Source::Shadow);
        self.follow_members();
    }

    /// Joins above a generation that others already know of this address.
    fn end_shadow_round_above(&mut self, state: &EndpointState<'_>) {
        if state.heartbeat.generation >= self.generation() {
            self.raise_generation_above(state.heartbeat.generation);
        }
        self.end_shadow_round();
    }

    fn end_shadow_round(&mut self) {
        self.mode = Mode::Running;
        self.contact.heard(self.now);
        self.next_round = self.now + self.config.interval;
        self.push_event(Event::ShadowRoundDone);
    }
}
