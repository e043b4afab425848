//! What others claim of us, and what we make of it: only we write our state.

use core::time::Duration;

use super::Publishing;
use crate::application_state::ApplicationState;
use crate::endpoint::Endpoint;
use crate::event::{Event, RaiseCause};
use crate::gossiper::members::{Source, claimed_status};
use crate::gossiper::phase::End;
use crate::message::EndpointState;
use crate::slot::Slot;
use crate::time::Timestamp;
use crate::version::Generation;

/// At most once in so long our generation is raised above a greater one, and a conflict reported.
const JUMP_PAUSE: Duration = Duration::from_mins(10);

/// At most so long claims of a greater version are left unanswered: each answer doubles the pause before the next.
const MAX_RAISE_PAUSE: Duration = Duration::from_hours(1);

/// When claims about the node were answered.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Refutations {
    jumped: Option<Timestamp>,
    raised: Option<Timestamp>,
    /// How long after `raised` the next such claim is answered.
    raise_pause: Duration,
    conflict_told: Option<Timestamp>,
    failure_told: Option<Timestamp>,
}

impl Refutations {
    /// Whether a claim of a greater generation was answered, and one of a greater version.
    #[cfg(feature = "model")]
    pub(super) const fn answered(&self) -> [bool; 2] {
        [self.jumped.is_some(), self.raised.is_some()]
    }
}

impl Publishing<'_> {
    /// A peer knows something of us. Where it is newer than what we know ourselves, it comes from an earlier process of
    /// ours whose generation was lost, from another process under our address, or from a node that removed us.
    ///
    /// Gives back why the node has to stop, if it has to.
    pub(in super::super) fn on_own_state(
        &mut self,
        state: &EndpointState<'_>,
        from: Endpoint,
        source: Source,
    ) -> Option<End> {
        let generation = state.heartbeat.generation;
        let own = self.members.table().known(Slot::FIRST);
        if generation < own.generation() {
            return None;
        }
        if generation == own.generation() && state.max_version() <= own.max_version() {
            return None;
        }
        // Only what we asked for is known to be all that is claimed.
        if !self.exchange.take_asked(self.config.local, from, self.clock.now()) && source != Source::Ack {
            self.journal.stats.unrequested_states += 1;
            return None;
        }
        self.journal.stats.own_claims += 1;
        if generation == own.generation() {
            self.refute_version(generation);
            return None;
        }
        if claimed_status(state).is_dead() {
            self.journal.tell(Event::Removed { generation });
            return Some(End::Removed { generation });
        }
        let claimed = state.value(ApplicationState::HOST_ID).map(|value| value.text);
        let ours = self.members.table().host_id(Slot::FIRST);
        if claimed.is_some() && claimed != ours {
            if self.is_over(self.own.refutations.conflict_told, JUMP_PAUSE) {
                self.own.refutations.conflict_told = Some(self.clock.now());
                self.journal.tell(Event::AddressConflict { generation });
            }
            return None;
        }
        if self.is_over(self.own.refutations.jumped, JUMP_PAUSE) && self.raise_generation_above(generation) {
            self.own.refutations.jumped = Some(self.clock.now());
        }
        None
    }

    /// Others know a greater version of our generation than we gave out: we go on under the next one. Since each time costs all
    /// peers our whole state, and us a write, it is done ever more seldom.
    fn refute_version(&mut self, generation: Generation) {
        let pause = self.own.refutations.raise_pause;
        if !self.is_over(self.own.refutations.raised, pause) {
            return;
        }
        let is_calm = self.is_over(self.own.refutations.raised, MAX_RAISE_PAUSE.saturating_mul(2));
        let next = if is_calm {
            self.config.detector.echo_timeout
        } else {
            pause.saturating_mul(2).min(MAX_RAISE_PAUSE)
        };
        self.own.refutations.raise_pause = next;
        self.own.refutations.raised = Some(self.clock.now());
        self.raise_generation_above(generation);
    }

    fn is_over(&self, last: Option<Timestamp>, pause: Duration) -> bool {
        last.is_none_or(|last| self.clock.now().saturating_since(last) >= pause)
    }

    /// Raises the generation above `known`, or tells, now and then, that it cannot.
    pub(in super::super) fn raise_generation_above(&mut self, known: Generation) -> bool {
        let is_raised = self.raise_generation(known.next(), RaiseCause::KnownGreater);
        if !is_raised && self.is_over(self.own.refutations.failure_told, JUMP_PAUSE) {
            self.own.refutations.failure_told = Some(self.clock.now());
            self.journal.tell(Event::GenerationNotRaised {
                generation: self.members.table().generation(Slot::FIRST),
            });
        }
        is_raised
    }

    /// Takes a greater generation, but none that peers would refuse within a day.
    pub(in super::super) fn raise_generation(&mut self, new: Option<Generation>, cause: RaiseCause) -> bool {
        let newest = self.clock.newest_own_generation();
        let old = self.members.table().generation(Slot::FIRST);
        let Some(new) = new.filter(|new| *new <= newest) else { return false };
        self.members.set_own_generation(new);
        self.own.acceptance.begin_again();
        self.journal.tell(Event::GenerationRaised { old, new, cause });
        true
    }
}
