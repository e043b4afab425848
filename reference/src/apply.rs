//! What a node takes in from others (`docs/protocol/exchange.md#applying-states`).

use gossip_core::Endpoint;

use crate::arrivals::Arrivals;
use crate::message::States;
use crate::node::{Answer, Node};
use crate::state::{
    HOST_ID, INTERNAL_ADDRESS_AND_PORT, INTERNAL_IP, NATIVE_ADDRESS_AND_PORT, RELEASE_VERSION, RPC_ADDRESS,
    STATUS, STATUS_WITH_PORT, STOPPED, State, is_dead, keyword,
};

/// A generation may be a year ahead of the clock.
const MAX_AHEAD: i64 = 365 * 24 * 60 * 60;

/// So often at the most a state is requested that may be a part.
const DOUBTS: u8 = 4;

impl Node {
    /// Applies the states of a message. `answers_syn`: of an ACK, whether it answers a SYN of this process.
    pub(crate) fn apply(
        &mut self,
        from: Endpoint,
        states: &States,
        answers_syn: Option<bool>,
    ) -> Vec<Answer> {
        // Arrivals are noted of all endpoints before any state changes.
        let mut refused = Vec::new();
        for (endpoint, remote) in states {
            if *endpoint == self.local || self.is_refused(from, *endpoint, remote, answers_syn) {
                refused.push(*endpoint);
            } else {
                self.note_arrival(*endpoint, remote);
            }
        }
        let mut answers = Vec::new();
        for (endpoint, remote) in states {
            if !refused.contains(endpoint) {
                answers.extend(self.apply_one(*endpoint, self.stripped(remote)));
            }
        }
        answers
    }

    pub(crate) fn is_future(&self, generation: i32) -> bool {
        i64::from(generation) > (self.unix_ms / 1_000) as i64 + MAX_AHEAD
    }

    /// Whether nothing of a state is taken.
    fn is_refused(
        &mut self,
        from: Endpoint,
        endpoint: Endpoint,
        remote: &State,
        answers_syn: Option<bool>,
    ) -> bool {
        let rules = self.rules();
        let is_known = self.states.get(&endpoint).is_some_and(|known| known.generation >= remote.generation);
        if self.is_quarantined(endpoint, remote.generation, remote.max_version())
            && !(rules.quarantine_by_generation && is_known)
        {
            return true;
        }
        let known = self.states.get(&endpoint);
        if (known.is_some() || rules.future_is_refused_at_once) && self.is_future(remote.generation) {
            return true;
        }
        let is_other_process = known.is_none_or(|known| remote.generation > known.generation);
        if rules.whole_only_if_requested && is_other_process {
            // Of an endpoint that is only saved, an answer to an earlier process of ours looks the same.
            let listed = known.is_some_and(|known| known.generation != 0) && answers_syn == Some(true);
            if !self.take_request(from, endpoint) && !listed {
                self.wanted.insert(endpoint);
                return true;
            }
            self.wanted.remove(&endpoint);
            self.doubted.remove(&endpoint);
            let is_young = self.now - self.began < self.settings.echo_timeout;
            let is_part = answers_syn != Some(true) && !remote.values.contains_key(&HOST_ID);
            let has_host_id = self.states[&self.local].values.contains_key(&HOST_ID);
            if rules.parts_are_doubted && (is_young || has_host_id) && is_part {
                self.doubted.insert(endpoint, DOUBTS);
            }
        }
        false
    }

    /// Whether a state is the answer to a request. Each request has one answer, within ten intervals.
    fn take_request(&mut self, from: Endpoint, endpoint: Endpoint) -> bool {
        let Some(request) = self.requested.get(&endpoint) else { return false };
        let is_answer =
            request.peers.contains(&from) && self.now - request.last <= self.settings.interval * 10;
        if is_answer {
            self.requested.remove(&endpoint);
        }
        is_answer
    }

    /// `docs/protocol/failure-detection.md#when-an-arrival-is-reported`, for an endpoint that is known.
    fn note_arrival(&mut self, endpoint: Endpoint, remote: &State) {
        let Some(known) = self.states.get(&endpoint) else { return };
        let is_restart = remote.generation > known.generation;
        let is_beat = remote.generation == known.generation && remote.heartbeat > known.max_version();
        if is_restart && !self.alive.contains(&endpoint) {
            self.arrivals.remove(&endpoint);
        }
        if is_restart || is_beat {
            self.updated.insert(endpoint, self.now);
            self.report(endpoint);
        }
    }

    fn report(&mut self, endpoint: Endpoint) {
        let Self { arrivals, settings, now, .. } = self;
        if let Some(arrivals) = arrivals.get_mut(&endpoint) {
            arrivals.report(settings, *now);
        } else {
            arrivals.insert(endpoint, Arrivals::first(settings, *now));
        }
    }

    fn apply_one(&mut self, endpoint: Endpoint, remote: State) -> Vec<Answer> {
        let Some(known) = self.states.get(&endpoint) else {
            self.report(endpoint);
            return self.major_change(endpoint, remote);
        };
        if remote.generation > known.generation {
            return self.major_change(endpoint, remote);
        }
        if remote.generation < known.generation {
            return Vec::new();
        }
        let has_news = remote.max_version() > known.max_version();
        if has_news || self.rules().values_by_their_own_version {
            self.apply_newer(endpoint, &remote);
        }
        if !self.alive.contains(&endpoint) && !is_dead(self.status(endpoint)) {
            return self.mark_alive(endpoint);
        }
        Vec::new()
    }

    /// `docs/protocol/exchange.md#major-change`.
    pub(crate) fn major_change(&mut self, endpoint: Endpoint, state: State) -> Vec<Answer> {
        self.states.insert(endpoint, state);
        self.updated.insert(endpoint, self.now);
        self.alive.remove(&endpoint);
        self.echoes.remove(&endpoint);
        if self.rules().members_by_status {
            self.ring.remove(&endpoint);
            self.quarantined.remove(&endpoint);
            // A new process is not verified, wherever the one before it stood.
            self.live.remove(&endpoint);
            self.unreachable.remove(&endpoint);
        }
        let status = self.status(endpoint).to_owned();
        let mut answers = Vec::new();
        if is_dead(&status) {
            self.mark_dead(endpoint);
        } else {
            answers = self.mark_alive(endpoint);
        }
        self.react(endpoint, &status);
        if keyword(&status) == "shutdown" {
            self.mark_as_stopped(endpoint);
        } else if self.rules().stops_are_believed && self.has_stopped(endpoint) {
            self.mark_dead(endpoint);
        }
        answers
    }

    /// Whether an endpoint has stopped by its status, or by its heartbeat.
    pub(crate) fn has_stopped(&self, endpoint: Endpoint) -> bool {
        let heartbeat = self.states.get(&endpoint).map_or(0, |state| state.heartbeat);
        heartbeat == STOPPED || keyword(self.status(endpoint)) == "shutdown"
    }

    /// `docs/protocol/exchange.md#newer-values-of-the-same-generation`.
    fn apply_newer(&mut self, endpoint: Endpoint, remote: &State) {
        let rules = self.rules();
        let before = self.status(endpoint).to_owned();
        let Some(known) = self.states.get_mut(&endpoint) else { return };
        if remote.max_version() > known.max_version() {
            self.updated.insert(endpoint, self.now);
        }
        known.heartbeat = if rules.greatest_heartbeat_stays {
            known.heartbeat.max(remote.heartbeat)
        } else {
            remote.heartbeat
        };
        let mut status_came = false;
        for (key, value) in &remote.values {
            if known.values.get(key).is_none_or(|old| value.version > old.version) {
                known.values.insert(*key, value.clone());
                status_came |= matches!(*key, STATUS | STATUS_WITH_PORT);
            }
        }
        let status = self.status(endpoint).to_owned();
        if status_came {
            self.react(endpoint, &status);
        }
        let says_so = keyword(&status) == "shutdown" && keyword(&before) != "shutdown";
        let is_live = self.alive.contains(&endpoint) && self.has_stopped(endpoint);
        if rules.stops_are_believed && (says_so || is_live) {
            self.mark_dead(endpoint);
        }
    }

    /// Without the older of each pair of values, if no node needs them (`docs/protocol/exchange.md#old-values-of-pairs`).
    fn stripped(&self, remote: &State) -> State {
        let mut state = remote.clone();
        if self.rules().legacy_values_stay || !self.all_are_recent() {
            return state;
        }
        for (legacy, successor) in [
            (STATUS, STATUS_WITH_PORT),
            (INTERNAL_IP, INTERNAL_ADDRESS_AND_PORT),
            (RPC_ADDRESS, NATIVE_ADDRESS_AND_PORT),
        ] {
            if state.values.contains_key(&successor) {
                state.values.remove(&legacy);
            }
        }
        state
    }

    fn all_are_recent(&self) -> bool {
        let is_recent = |state: &State| {
            let release = state.values.get(&RELEASE_VERSION);
            let major = release.and_then(|release| release.text.split('.').next()?.parse::<u32>().ok());
            major.is_some_and(|major| major >= 4)
        };
        self.states.values().all(|state| is_dead(state.status(false)) || is_recent(state))
    }
}
