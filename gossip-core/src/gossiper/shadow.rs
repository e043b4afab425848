//! Asking before joining: the shadow round (`gossip-semantics.md` §10).
//!
//! The answer, which holds everything, decides whether somebody else uses our address. If nobody does, it is what we know to
//! begin with.
//!
//! Deviation: Cassandra throws it away, and learns all of it once more by gossip, which carries 64 KiB at a time here.

use alloc::vec::Vec;

use super::{Gossiper, Mode, Session};
use crate::application_state::ApplicationState;
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
}

impl Shadow {
    pub(super) fn new(now: Timestamp, seeds: usize) -> Self {
        Self { started: now, next_question: now, asked_once: false, in_shadow: Vec::with_capacity(seeds) }
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
        let interval = self.config.interval;
        let patience = if self.config.is_seed { SEED_PATIENCE } else { PATIENCE };
        if self.now.saturating_since(self.shadow.started) > interval.saturating_mul(patience) {
            if self.config.is_seed {
                self.end_shadow_round();
            } else {
                self.push_event(Event::ShadowRoundFailed);
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
            self.push_event(Event::AddressConflict { generation: state.heartbeat.generation });
            self.stop();
        }
    }

    /// Takes over what the answer says of others: of each it is the whole.
    fn begin_with(&mut self, from: Endpoint, ack: &Ack<'_>) {
        self.apply(from, &mut Session::default(), &ack.states, Source::Shadow);
    }

    /// Joins above a generation that others already know of this address.
    fn end_shadow_round_above(&mut self, state: &EndpointState<'_>) {
        if state.heartbeat.generation >= self.generation() {
            self.raise_generation(state.heartbeat.generation.next());
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
