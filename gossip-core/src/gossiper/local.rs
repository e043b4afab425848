//! The node's own state: nobody but us writes it.

use core::time::Duration;

use smallvec::SmallVec;

use super::{AfterShutdown, End, Gossiper, Mode};
use crate::application_state::{ApplicationState, Pad};
use crate::config::{SetStateError, check_value};
use crate::endpoint::Endpoint;
use crate::event::{Event, RaiseCause};
use crate::gossiper::apply::Source;
use crate::message::EndpointState;
use crate::status::StatusKind;
use crate::table::{Slot, Stored, effective_status};
use crate::time::Timestamp;
use crate::version::{Generation, Version};
use crate::wire::{JavaStr, encode_str, encoded_len};

/// At most once in so long the own generation is raised above a greater one, and a conflict told.
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

impl Gossiper {
    pub(super) fn set_local_state(
        &mut self,
        key: ApplicationState,
        value: &str,
    ) -> Result<Version, SetStateError> {
        if self.config.is_gossip_only && Pad::new(key.number()).is_none() {
            return Err(SetStateError::NotPad { key });
        }
        check_value(key, value, self.config.max_value())?;
        // Before a node takes part, and while gossip is disabled, values are kept for when it does.
        let is_over = matches!(
            self.mode,
            Mode::Left { .. } | Mode::Stopped | Mode::Stopping { then: AfterShutdown::Stop, .. }
        );
        if is_over {
            return Err(SetStateError::Stopped);
        }
        let values = self.table.values(Slot::FIRST);
        let replaced = values.get(key).map_or(0, |(text, _)| text.len());
        let bytes = values.text_bytes() - replaced + encoded_len(value);
        if bytes > self.config.max_state_bytes {
            return Err(SetStateError::TooMuch { key, bytes, limit: self.config.max_state_bytes });
        }
        if values.get(key).is_none() && values.len() >= self.config.max_states {
            return Err(SetStateError::TooMany { key, limit: self.config.max_states });
        }
        let mut encoded = SmallVec::<[u8; 64]>::new();
        encode_str(value, &mut encoded);
        Ok(self.publish(key, JavaStr::from_checked(&encoded)))
    }

    /// Stores a value of the node's own under a fresh version.
    pub(super) fn publish(&mut self, key: ApplicationState, text: JavaStr<'_>) -> Version {
        // The types have no way to ask for it, and nothing here does. A mistake would leave traces in each node's tables.
        if self.may_not_publish(key) {
            return self.clock.version();
        }
        let version = self.clock.next_version();
        if self.table.set_value(Slot::FIRST, key, text, version) == Stored::Grown {
            self.journal.stats.values_grown += 1;
        }
        self.exchange.note_news(Slot::FIRST);
        self.journal.tell(Event::StateChanged { endpoint: self.config.local, key, version });
        version
    }

    /// Somebody knows something of us. Where it is newer than what we know ourselves, it comes from an earlier process of
    /// ours whose generation was lost, from another process under our address, or from somebody who removed us.
    pub(super) fn on_own_state(&mut self, state: &EndpointState<'_>, from: Endpoint, source: Source) {
        let generation = state.heartbeat.generation;
        let own = self.table.known(Slot::FIRST);
        // While we stop, others rightly know a version that we never gave out.
        if !self.is_running() || generation < own.generation() {
            return;
        }
        if generation == own.generation() && state.max_version() <= own.max_version() {
            return;
        }
        // Only what we asked for is known to be all that is claimed.
        if !self.exchange.take_asked(self.config.local, from, self.clock.now()) && source != Source::Ack {
            self.journal.stats.hollow_states += 1;
            return;
        }
        if generation == own.generation() {
            self.refute_version(generation);
            return;
        }
        if self.claimed_status(state).is_dead() {
            self.journal.tell(Event::Removed { generation });
            self.end_with(End::Removed { generation });
            self.stop();
            return;
        }
        let claimed = state.value(ApplicationState::HOST_ID).map(|value| value.text);
        let ours = self.table.values(Slot::FIRST).get(ApplicationState::HOST_ID).map(|(text, _)| text);
        if claimed.is_some() && claimed != ours {
            if self.is_over(self.refutations.conflict_told, JUMP_PAUSE) {
                self.refutations.conflict_told = Some(self.clock.now());
                self.journal.tell(Event::AddressConflict { generation });
            }
            return;
        }
        if self.is_over(self.refutations.jumped, JUMP_PAUSE) && self.raise_generation_above(generation) {
            self.refutations.jumped = Some(self.clock.now());
        }
    }

    /// Others know a greater version of our generation than we gave out: we go on under the next one. Since each time costs all
    /// peers our whole state, and us a write, it is done ever more seldom.
    fn refute_version(&mut self, generation: Generation) {
        let pause = self.refutations.raise_pause;
        if !self.is_over(self.refutations.raised, pause) {
            return;
        }
        let is_calm = self.is_over(self.refutations.raised, MAX_RAISE_PAUSE.saturating_mul(2));
        let next =
            if is_calm { self.config.echo_timeout } else { pause.saturating_mul(2).min(MAX_RAISE_PAUSE) };
        self.refutations.raise_pause = next;
        self.refutations.raised = Some(self.clock.now());
        self.raise_generation_above(generation);
    }

    pub(super) fn claimed_status(&self, state: &EndpointState<'_>) -> StatusKind {
        let value = |key| state.value(key).map(|value| (value.text, value.version));
        effective_status(value(ApplicationState::STATUS_WITH_PORT), value(ApplicationState::STATUS))
    }

    fn is_over(&self, last: Option<Timestamp>, pause: Duration) -> bool {
        last.is_none_or(|last| self.clock.now().saturating_since(last) >= pause)
    }

    /// Raises the generation above `known`, or tells, now and then, that it cannot.
    pub(super) fn raise_generation_above(&mut self, known: Generation) -> bool {
        let is_raised = self.raise_generation(known.next(), RaiseCause::KnownGreater);
        if !is_raised && self.is_over(self.refutations.failure_told, JUMP_PAUSE) {
            self.refutations.failure_told = Some(self.clock.now());
            self.journal.tell(Event::GenerationNotRaised { generation: self.generation() });
        }
        is_raised
    }

    /// Takes a greater generation, but none that peers would refuse within a day.
    pub(super) fn raise_generation(&mut self, new: Option<Generation>, cause: RaiseCause) -> bool {
        let newest = self.clock.newest_own_generation();
        let old = self.generation();
        let Some(new) = new.filter(|new| *new <= newest) else { return false };
        self.table.set_generation(Slot::FIRST, new);
        self.acceptance.begin_again();
        self.journal.tell(Event::GenerationRaised { old, new, cause });
        true
    }
}
