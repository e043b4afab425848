//! Taking newer states over (`docs/protocol/exchange.md#applying-states`).

use alloc::vec::Vec;

use super::Membership;
use super::cassandra::is_shutdown_mark;
use crate::application_state::ApplicationState;
use crate::endpoint::Endpoint;
use crate::event::{DownCause, Event};
use crate::gossiper::session::Session;
use crate::message::{EndpointState, Value, read_heartbeat};
use crate::slot::Slot;
use crate::snapshot::Standing;
use crate::status::StatusKind;
use crate::table::{Cursor, Stored, Survey, effective_status};
use crate::version::{Generation, HeartbeatState, Known, Version};
use crate::wire::{JavaStr, encode_str};

/// Which message states came in.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(in super::super) enum Source {
    /// They answer our SYN: of an endpoint whose generation we had as smaller they hold everything.
    Ack,
    /// They answer an ACK of ours, or something unknown.
    Other,
    /// They answer the question of our shadow round: they are everything, or seem to be.
    Shadow,
}

/// The endpoint that a state is about.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(in super::super) enum About {
    Us,
    Others,
}

/// How many heartbeats are looked up before they are taken in.
const BEATS: usize = 32;

impl Membership<'_> {
    /// Takes over heartbeats that come without values, until one needs more than that; returns that endpoint and its state. Those that are
    /// newer are of the process that is known, but for very few.
    ///
    /// Rows are looked up and raised first, for a number of them together; then what else hangs on a heartbeat is done for each. So the
    /// memory that either touches is fetched for several at a time.
    pub(in super::super) fn apply_heartbeats(
        &mut self,
        from: Endpoint,
        session: &mut Session,
        rest: &mut &[[u8; 19]],
        cursor: &mut Cursor,
    ) -> Option<(Endpoint, Known)> {
        let mut beats = [(Slot::FIRST, Version::ZERO); BEATS];
        let sender = from.packed_v4();
        while !rest.is_empty() {
            let count = self.members.table.raise_all(rest, cursor, &mut beats, |packed, theirs| {
                if Some(packed) == sender {
                    session.generation = session.generation.max(Some(theirs.generation()));
                }
            });
            let taken = beats.get(..count).unwrap_or_default();
            if !self.members.table.beat_all(taken, self.clock.now()) {
                for (slot, _) in taken {
                    self.verify(*slot);
                }
            }
            *rest = rest.get(count..).unwrap_or_default();
            if count < BEATS
                && let Some((first, behind)) = rest.split_first()
            {
                *rest = behind;
                let (packed, known) = read_heartbeat(first);
                return Some((Endpoint::from_packed_v4(packed), known));
            }
        }
        None
    }

    /// An answer to a SYN has nothing newer of these endpoints than heartbeats. What was in doubt of them is known up to there.
    pub(in super::super) fn answer_doubts(&mut self, from: Endpoint, heartbeats: &[[u8; 19]]) {
        if !self.exchange.is_any_in_doubt() {
            return;
        }
        for heartbeat in heartbeats {
            let (packed, theirs) = read_heartbeat(heartbeat);
            let endpoint = Endpoint::from_packed_v4(packed);
            let known = self.members.table.find(endpoint).map(|slot| self.members.table.known(slot));
            if let Some(known) = known.filter(|known| known.generation() == theirs.generation()) {
                let reached_of_known = (theirs.max_version(), known.max_version());
                self.exchange.answer_doubt(endpoint, from, self.clock.now(), reached_of_known, false);
            }
        }
    }

    /// Takes over what is said of an endpoint. What is said of ourselves is not judged here: then it returns [`About::Us`].
    pub(in super::super) fn apply_state(
        &mut self,
        from: Endpoint,
        session: &mut Session,
        (endpoint, state): (Endpoint, &EndpointState<'_>),
        cursor: &mut Cursor,
        (newest, source): (Generation, Source),
    ) -> About {
        let generation = state.heartbeat.generation;
        if endpoint == from {
            session.generation = session.generation.max(Some(generation));
        }
        // Deviation: also on first contact, where Cassandra believes any generation (`docs/protocol/pitfalls.md#generations-and-clocks`).
        if generation > newest {
            self.journal.stats.future_generations += 1;
            self.on_future_generation(endpoint, generation);
            return About::Others;
        }
        if endpoint == self.config.local {
            return About::Us;
        }
        match self.members.table.find_next(endpoint, cursor) {
            Some((slot, _)) => self.apply_known(slot, from, state, source),
            None if self.members.quarantine.refuses(
                endpoint,
                generation,
                state.max_version(),
                self.clock.now(),
            ) =>
            {
                self.journal.stats.quarantined += 1;
            }
            // No node can be reached under such an address, and we would dial ourselves.
            None if endpoint.is_unspecified() => self.journal.stats.unspecified += 1,
            // An endpoint that the sender knows by address alone is not known yet.
            //
            // In Cassandra 6.0 it may be a member that has not gossiped since the other started, and whose values are from a log.
            None if source == Source::Shadow
                && generation == Generation::SAVED
                && (state.is_empty() || !self.config.membership.only_asks) => {}
            None if source == Source::Shadow && self.is_told_whole(state) => self.learn(endpoint, state),
            None if self.exchange.take_asked(endpoint, from, self.clock.now()) => {
                self.learn(endpoint, state);
                self.doubt_whole(endpoint, state, source);
                self.welcome(endpoint, from);
            }
            // Deviation: what was not asked for from the start is asked for, not taken (see `Asked`).
            None => {
                self.journal.stats.unrequested_states += 1;
                self.exchange.want(endpoint, generation, self.clock.now());
            }
        }
        About::Others
    }

    fn apply_known(&mut self, slot: Slot, from: Endpoint, state: &EndpointState<'_>, source: Source) {
        let endpoint = self.members.table.endpoint(slot);
        let known = self.members.table.known(slot);
        let generation = state.heartbeat.generation;
        if generation < known.generation() {
            self.journal.stats.old_generations += 1;
            return;
        }
        if generation > known.generation() {
            // Asked for while it was older, an endpoint may answer with a part of its newer self.
            // Deviation: for an endpoint that is only saved, Cassandra accepts any state.
            // An answer to our SYN is complete if the SYN listed the older generation. But for an endpoint that is only saved, an answer to
            // the SYN of an earlier process of ours looks the same.
            let is_whole = match source {
                Source::Ack => known.generation() != Generation::SAVED,
                Source::Shadow => self.is_told_whole(state),
                Source::Other => false,
            };
            if self.exchange.take_asked(endpoint, from, self.clock.now()) || is_whole {
                self.replace(slot, endpoint, state);
                self.doubt_whole(endpoint, state, source);
                self.welcome(endpoint, from);
            } else {
                self.journal.stats.unrequested_states += 1;
                self.exchange.want(endpoint, generation, self.clock.now());
            }
            return;
        }
        // An answer that was cut below what is known leaves what lies between in doubt.
        if source == Source::Ack {
            let reached_of_known = (state.max_version(), known.max_version());
            let has_values = !state.is_empty();
            self.exchange.answer_doubt(endpoint, from, self.clock.now(), reached_of_known, has_values);
        }
        if state.heartbeat.version > known.max_version() {
            self.members.table.report(slot, self.clock.now());
            self.members.table.set_updated(slot, self.clock.now());
        }
        // Deviation: a heartbeat never goes back within a generation.
        if state.heartbeat.version > self.members.table.heartbeat(slot).version {
            self.members.table.set_heartbeat(slot, state.heartbeat.version);
        }
        // Deviation: each value counts by its own version; Cassandra looks at them only if the greatest of the state is above ours.
        if !state.is_empty() {
            let before = self.members.table.status(slot);
            self.apply_values(slot, endpoint, state);
            let after = self.members.table.status(slot);
            if before != after {
                if after == StatusKind::Leaving {
                    self.exchange.doubt(self.clock.now());
                }
                self.on_status(slot, after);
            }
        }
        if self.has_stopped(slot) && self.members.table.standing(slot) == Standing::Live {
            self.mark_down(slot, DownCause::Shutdown);
        }
        self.verify(slot);
    }

    /// An ACK2 may answer the ACK of an earlier process of ours. Then it holds what that process lacked, and no peer would send the rest again.
    /// So an endpoint without a host id is requested once more, by a SYN: the answer to that is known to be ours. A gossip-only member does not
    /// request it: nodes of Cassandra send whole states, and it tells nothing of such an endpoint.
    ///
    /// A peer that paused answers as late as it likes. But where no node has a host id, every endpoint would be requested twice. There this is
    /// done only in the first ten intervals of a process, in which most late answers come.
    ///
    /// Deviation: Cassandra takes what it gets for the complete state.
    fn doubt_whole(&mut self, endpoint: Endpoint, state: &EndpointState<'_>, source: Source) {
        if self.config.is_gossip_only || self.is_told_whole(state) {
            return;
        }
        let has_host_id = self.members.table.host_id(Slot::FIRST).is_some();
        // The peer that sent this state may know only a part of it, too.
        self.exchange.note_unidentified(self.clock.now(), self.config.interval);
        let may_be_late = has_host_id || self.clock.age() < self.config.detector.echo_timeout;
        if source == Source::Other && may_be_late && !self.has_said_to_stop(endpoint) {
            self.exchange.doubt_whole(endpoint, state.heartbeat.generation, self.clock.now());
        }
    }

    /// A process that announces itself for the first time is new, and learns of all others at once. Otherwise it would when a peer
    /// happens to choose it.
    fn welcome(&mut self, endpoint: Endpoint, from: Endpoint) {
        if endpoint == from && !self.has_said_to_stop(endpoint) {
            self.exchange.welcome(endpoint, self.members.table.len(), self.config, self.journal);
        }
    }

    fn has_said_to_stop(&self, endpoint: Endpoint) -> bool {
        self.members.table.find(endpoint).is_some_and(|slot| self.has_stopped(slot))
    }

    /// Adds an endpoint that was not known.
    fn learn(&mut self, endpoint: Endpoint, state: &EndpointState<'_>) {
        if self.members.newcomers == Some(0) {
            self.journal.stats.endpoints_limited += 1;
            return;
        }
        let mut inserted = self.members.table.insert(endpoint, state.heartbeat);
        if inserted.is_err() && self.make_room() {
            inserted = self.members.table.insert(endpoint, state.heartbeat);
        }
        let Ok(slot) = inserted else {
            self.journal.stats.table_full += 1;
            return;
        };
        self.members.identity.reserve(self.members.table.len());
        self.journal.stats.endpoints_learned += 1;
        self.members.newcomers = self.members.newcomers.map(|newcomers| newcomers.saturating_sub(1));
        self.exchange.note_learned(self.clock.now());
        self.members.quarantine.forget(endpoint);
        self.members.table.set_updated(slot, self.clock.now());
        self.exchange.reserve(&self.members.table);
        self.exchange.note_news(slot);
        self.members.table.report(slot, self.clock.now());
        self.journal.tell(Event::Joined { endpoint, generation: state.heartbeat.generation });
        self.begin(slot, endpoint, state);
        self.members.identity.note();
    }

    /// Replaces what is known of an endpoint by the state of a later process of it (`docs/protocol/exchange.md#major-change`).
    fn replace(&mut self, slot: Slot, endpoint: Endpoint, state: &EndpointState<'_>) {
        self.journal.stats.generations_learned += 1;
        let old = self.members.table.generation(slot);
        let old_host_id = self.host_id(slot);
        let was_live = self.members.table.standing(slot) == Standing::Live;
        if !was_live {
            self.members.table.forget_arrivals(slot);
        }
        self.members.table.report(slot, self.clock.now());
        self.members.table.reset(slot, state.heartbeat);
        self.exchange.note_news(slot);
        self.members.table.set_updated(slot, self.clock.now());
        self.members.quarantine.forget(endpoint);
        self.members.table.set_standing(slot, Standing::Unverified);
        let new = state.heartbeat.generation;
        if old == Generation::SAVED {
            self.journal.tell(Event::Joined { endpoint, generation: new });
        } else {
            self.journal.tell(Event::Restarted { endpoint, old, new });
        }
        // Connections to the earlier process lead nowhere.
        self.exchange.reset(endpoint, self.journal);
        self.begin(slot, endpoint, state);
        self.compare_host_id(slot, old_host_id);
        if was_live && self.members.table.standing(slot) == Standing::Unreachable {
            let cause = if self.has_stopped(slot) { DownCause::Shutdown } else { DownCause::Status };
            self.journal.tell(Event::Down { endpoint, generation: new, cause });
        }
    }

    /// Takes the values of a process that was not known before, and asks whether it can be reached.
    fn begin(&mut self, slot: Slot, endpoint: Endpoint, state: &EndpointState<'_>) {
        self.exchange.drop_wanted(endpoint, state.heartbeat.generation);
        // At once, not value by value.
        let (count, bytes) =
            state.values().fold((0, 0), |(count, bytes), (_, value)| (count + 1, bytes + value.text.len()));
        self.members.table.reserve_values(
            slot,
            count.min(self.config.limits.max_states),
            bytes.min(self.config.limits.max_state_bytes),
        );
        self.apply_values(slot, endpoint, state);
        match self.members.table.status(slot) {
            StatusKind::Shutdown => {
                self.invent_shutdown(slot);
                self.mark_as_shutdown(slot);
            }
            status if status.is_dead() => {
                self.members.table.set_standing(slot, Standing::Unreachable);
                self.on_status(slot, status);
            }
            _ if self.has_stopped(slot) => self.mark_as_shutdown(slot),
            _ => self.verify(slot),
        }
    }

    /// Stores the values that are newer than ours, with an event for each. The status comes first: no application sees other
    /// values of a member without knowing that it is one.
    pub(in super::super) fn apply_values(
        &mut self,
        slot: Slot,
        endpoint: Endpoint,
        state: &EndpointState<'_>,
    ) {
        let is_mark = self.is_mark_of_nobody(slot, state);
        for status in [true, false] {
            for (key, value) in state.values().filter(|(key, _)| key.is_status() == status) {
                if !(is_mark && is_shutdown_mark(key, value.text)) {
                    self.apply_value(slot, endpoint, key, value);
                }
            }
        }
        if is_mark && claimed_status(state) == StatusKind::Shutdown {
            self.mark_as_shutdown(slot);
        }
    }

    /// As [`Membership::apply_values`], of all values but the status.
    pub(in super::super) fn apply_other_values(
        &mut self,
        slot: Slot,
        endpoint: Endpoint,
        state: &EndpointState<'_>,
    ) {
        for (key, value) in state.values().filter(|(key, _)| !key.is_status()) {
            self.apply_value(slot, endpoint, key, value);
        }
    }

    fn apply_value(&mut self, slot: Slot, endpoint: Endpoint, key: ApplicationState, value: Value<'_>) {
        let Survey { count, bytes, found } = self.members.table.values(slot).survey(key);
        let replaced = match found {
            Some((version, _)) if value.version < version => return,
            Some((version, _)) if value.version == version && !self.is_from_log(slot, key, value) => return,
            Some((_, length)) => length,
            None => 0,
        };
        if (found.is_none() && count >= self.config.limits.max_states)
            || bytes - replaced + value.text.len() > self.config.limits.max_state_bytes
        {
            self.journal.stats.values_refused += 1;
            return;
        }
        let old_host_id = if key == ApplicationState::HOST_ID { self.host_id(slot) } else { None };
        if self.members.table.set_value(slot, key, value.text, value.version) == Stored::Grown {
            self.journal.stats.values_grown += 1;
        }
        self.exchange.note_news(slot);
        self.journal.tell(Event::StateChanged { endpoint, key, version: value.version });
        if key == ApplicationState::HOST_ID {
            self.compare_host_id(slot, old_host_id);
        }
    }

    /// Whether a value counts though its version is known: the metadata's log of Cassandra 6.0 says what the endpoint itself did not come to
    /// say any more (`docs/protocol/cassandra-6.md`). Of an endpoint that is up and stays, only what it says itself counts.
    ///
    /// Deviation: Cassandra keeps the value that it has.
    fn is_from_log(&self, slot: Slot, key: ApplicationState, value: Value<'_>) -> bool {
        let table = &self.members.table;
        let status = table.status(slot);
        let is_doubtful = status == StatusKind::Leaving
            || (table.standing(slot) == Standing::Unreachable && !status.is_dead());
        self.members.has_log
            && is_doubtful
            && table.values(slot).get(key).is_some_and(|(known, _)| known != value.text)
    }

    /// Writes a value of another endpoint under the version that it had, or 0: so does a node of Cassandra 6.0 with what its log says.
    pub(in super::super) fn merge_from_log(
        &mut self,
        endpoint: Endpoint,
        key: ApplicationState,
        value: &str,
    ) {
        let unheard = HeartbeatState { generation: Generation::SAVED, version: Version::ZERO };
        let table = &mut self.members.table;
        let found = table.find(endpoint).or_else(|| table.insert(endpoint, unheard).ok());
        let Some(slot) = found else { return };
        self.exchange.reserve(table);
        let version = table.values(slot).get(key).map_or(Version::ZERO, |(_, version)| version);
        let mut text = Vec::new();
        encode_str(value, &mut text);
        let before = table.status(slot);
        if table.set_value(slot, key, JavaStr::from_checked(&text), version) == Stored::Grown {
            self.journal.stats.values_grown += 1;
        }
        let after = table.status(slot);
        if before != after {
            self.on_status(slot, after);
        }
    }

    /// The status of a known process has changed.
    ///
    /// Deviation: an endpoint that announces its stop is down from then on, whatever path the news takes; Cassandra waits for its
    /// message, or for the silence.
    pub(in super::super) fn on_status(&mut self, slot: Slot, status: StatusKind) {
        if status == StatusKind::Shutdown {
            self.mark_down(slot, DownCause::Shutdown);
        } else if status.is_dead() {
            self.mark_down(slot, DownCause::Status);
        }
        if matches!(status, StatusKind::Left | StatusKind::Removed) {
            self.on_left(slot);
        }
    }

    /// Whether the answer holds the complete state of an endpoint.
    ///
    /// What was meant for an earlier process of ours looks like the answer, and holds what that one lacked: heartbeats, or the newest
    /// values. A host id is published before all else and never again, so only a complete state has it. An endpoint without one is requested.
    fn is_told_whole(&self, state: &EndpointState<'_>) -> bool {
        self.config.membership.only_asks || state.value(ApplicationState::HOST_ID).is_some()
    }
}

/// The status that a state claims.
pub(in super::super) fn claimed_status(state: &EndpointState<'_>) -> StatusKind {
    let value = |key| state.value(key).map(|value| (value.text, value.version));
    effective_status(value(ApplicationState::STATUS_WITH_PORT), value(ApplicationState::STATUS))
}
