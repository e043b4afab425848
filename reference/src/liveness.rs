//! Up and down, removal and quarantine (`docs/protocol/exchange.md#up-and-down`, `docs/protocol/life-cycle.md#status-check`).

use std::time::Duration;

use gossip_core::Endpoint;

use crate::message::Message;
use crate::node::{Answer, Echo, Node, Refusal};
use crate::state::{State, TOKENS, expiry, is_bootstrapping, is_dead, is_member, keyword};

/// A departed endpoint whose status names no usable time is kept so long (`docs/protocol/life-cycle.md#times-and-settings`).
const VERY_LONG_MS: u64 = 259_200_000;

/// With a limit on expiries: a month.
const MONTH_MS: u64 = 31 * 24 * 60 * 60 * 1_000;

/// With quarantine by generation, a departure is remembered for so long after its state has ended.
const REMEMBERED: Duration = Duration::from_hours(240);

/// With quarantine by generation, it is remembered for so long how far a silent endpoint was known.
const SILENT_MEMORY: Duration = Duration::from_hours(72);

impl Node {
    /// Asks an endpoint whether it can be reached. It counts as not alive until it answers.
    pub(crate) fn mark_alive(&mut self, endpoint: Endpoint) -> Vec<Answer> {
        let rules = self.rules();
        let Some(state) = self.states.get(&endpoint) else { return Vec::new() };
        let generation = state.generation;
        self.alive.remove(&endpoint);
        if rules.stopped_get_no_echo && self.has_stopped(endpoint) {
            return Vec::new();
        }
        let is_pending = self.echoes.get(&endpoint).is_some_and(|echo| echo.generation == generation);
        if rules.one_echo && is_pending {
            return Vec::new();
        }
        self.echoes.insert(endpoint, Echo { generation, since: self.now });
        vec![(endpoint, Message::EchoRequest)]
    }

    /// A node answers unless it is stopping.
    pub(crate) fn on_echo_request(&self, from: Endpoint) -> Vec<Answer> {
        let is_silent = self.rules().stopping_is_silent && self.is_stopping;
        if is_silent || self.shadow.is_some() { Vec::new() } else { vec![(from, Message::EchoResponse)] }
    }

    /// The endpoint is up, if the echo still waits.
    pub(crate) fn on_echo_response(&mut self, from: Endpoint) {
        let Some(echo) = self.echoes.get(&from).copied() else { return };
        if self.now - echo.since > self.settings.echo_timeout {
            return;
        }
        self.echoes.remove(&from);
        let Some(state) = self.states.get(&from) else { return };
        if state.generation == echo.generation {
            self.alive.insert(from);
        }
        self.updated.insert(from, self.now);
        self.live.insert(from);
        self.unreachable.remove(&from);
        self.expire_times.remove(&from);
    }

    /// An endpoint is down.
    pub(crate) fn mark_dead(&mut self, endpoint: Endpoint) {
        self.alive.remove(&endpoint);
        self.live.remove(&endpoint);
        self.unreachable.insert(endpoint, self.now);
        if self.rules().one_echo {
            self.echoes.remove(&endpoint);
        }
    }

    /// What follows from a status (`docs/protocol/life-cycle.md#how-receivers-react`).
    pub(crate) fn react(&mut self, endpoint: Endpoint, status: &str) {
        let by_status = self.rules().members_by_status;
        let has_tokens = self.states.get(&endpoint).is_some_and(|state| state.values.contains_key(&TOKENS));
        match keyword(status) {
            _ if is_member(status) && (by_status || has_tokens) => {
                self.ring.insert(endpoint);
            }
            "LEFT" | "removed" => {
                let mut expires = expiry(status);
                if self.rules().expiry_has_a_limit {
                    expires = Some(
                        expires
                            .filter(|at| *at <= self.unix_ms + MONTH_MS)
                            .unwrap_or(self.unix_ms + VERY_LONG_MS),
                    );
                }
                if let Some(at) = expires {
                    self.expire_times.insert(endpoint, at);
                }
                self.ring.remove(&endpoint);
                if by_status {
                    self.mark_dead(endpoint);
                    self.refuse(endpoint);
                } else {
                    self.remove(endpoint);
                }
            }
            "removing" if !self.ring.contains(&endpoint) => self.remove(endpoint),
            _ if by_status && is_dead(status) => self.mark_dead(endpoint),
            _ => {}
        }
    }

    /// The state stays, and nothing more of the endpoint is accepted for a while.
    fn remove(&mut self, endpoint: Endpoint) {
        self.seeds.remove(&endpoint);
        self.live.remove(&endpoint);
        self.unreachable.remove(&endpoint);
        self.refuse(endpoint);
    }

    /// Forgets an endpoint.
    fn evict(&mut self, endpoint: Endpoint) {
        self.refuse(endpoint);
        self.states.remove(&endpoint);
        self.alive.remove(&endpoint);
        self.live.remove(&endpoint);
        self.unreachable.remove(&endpoint);
        self.expire_times.remove(&endpoint);
        self.arrivals.remove(&endpoint);
        self.echoes.remove(&endpoint);
        self.updated.remove(&endpoint);
        self.ring.remove(&endpoint);
    }

    fn refuse(&mut self, endpoint: Endpoint) {
        let generation = self.states.get(&endpoint).map_or(0, |state| state.generation);
        let mut lasts = self.settings.quarantine;
        if self.rules().quarantine_by_generation && is_dead(self.status(endpoint)) {
            let rest = self.expire_times.get(&endpoint).map_or(0, |at| at.saturating_sub(self.unix_ms));
            lasts = Duration::from_millis(rest) + REMEMBERED;
        }
        let version = self.states.get(&endpoint).map_or(0, State::max_version);
        let has_left = is_dead(self.status(endpoint));
        let refusal = Refusal { generation, version, has_left, since: self.now, lasts };
        let by_address = !self.rules().quarantine_by_generation;
        let is_newer =
            self.quarantined.get(&endpoint).is_none_or(|known| by_address || known.generation <= generation);
        if is_newer {
            self.quarantined.insert(endpoint, refusal);
        }
    }

    /// Another address has taken over all tokens of an endpoint (`docs/protocol/life-cycle.md#remove-evict-quarantine`).
    pub fn replaced(&mut self, endpoint: Endpoint) {
        self.evict(endpoint);
        if let Some(refusal) = self.quarantined.get_mut(&endpoint) {
            refusal.lasts += self.settings.quarantine;
        }
    }

    /// Ends a round.
    pub fn check(&mut self) {
        self.last_round = Some(self.now);
        self.give_up_echoes();
        let doubt = self.doubt();
        let pause_ended = self.rules().pause_between_rounds.then(|| self.may_convict());
        let others: Vec<Endpoint> =
            self.states.keys().copied().filter(|endpoint| *endpoint != self.local).collect();
        for endpoint in others {
            if self.arrivals.contains_key(&endpoint) {
                let may_convict = pause_ended.unwrap_or_else(|| self.may_convict());
                let phi = self.arrivals.get(&endpoint).map_or(0.0, |arrivals| arrivals.phi(self.now));
                if may_convict && phi > self.settings.threshold * doubt && self.alive.contains(&endpoint) {
                    self.convict(endpoint);
                }
            }
            // During and after a pause of its own, a node judges no endpoint by silence.
            if pause_ended != Some(false) {
                self.forget_if_over(endpoint);
            }
        }
        // Who was asked before a request ended without an answer may not answer the next one.
        let (now, patience) = (self.now, self.settings.interval * 10);
        self.requested.retain(|_, request| now - request.last <= patience);
        let by_generation = self.rules().quarantine_by_generation;
        self.quarantined.retain(|_, refusal| {
            let lasts = if by_generation && !refusal.has_left { SILENT_MEMORY } else { refusal.lasts };
            now - refusal.since <= lasts
        });
    }

    /// By how much silence counts less, since our own rounds take too long (`docs/deviations.md`, doubt). Packets that
    /// get lost are not part of the model.
    fn doubt(&mut self) -> f64 {
        if let Some(begun) = self.round_begun.replace(self.now) {
            let took = (self.now - begun).as_nanos() * 1_024 / self.settings.interval.as_nanos();
            let took = u32::try_from(took).unwrap_or(u32::MAX).clamp(1_024, 4_096);
            self.round_length = (self.round_length * 7 + took).div_ceil(8);
        }
        let is_late = self.rules().pause_between_rounds && self.round_length > 1_024 + 128;
        if is_late { f64::from(self.round_length) / 1_024.0 } else { 1.0 }
    }

    /// `docs/protocol/failure-detection.md#local-pauses`.
    fn may_convict(&mut self) -> bool {
        let pause = self.now - self.last_check;
        self.last_check = self.now;
        // Between rounds, `set_now` has noticed it.
        if !self.rules().pause_between_rounds && pause > self.settings.longest_pause {
            self.last_pause = Some(self.now);
            return false;
        }
        self.last_pause.is_none_or(|at| self.now - at >= self.settings.longest_pause)
    }

    /// `docs/protocol/failure-detection.md#conviction`.
    fn convict(&mut self, endpoint: Endpoint) {
        if keyword(self.status(endpoint)) == "shutdown" {
            self.mark_as_stopped(endpoint);
        } else {
            self.mark_dead(endpoint);
        }
    }

    fn give_up_echoes(&mut self) {
        let (now, timeout) = (self.now, self.settings.echo_timeout);
        let over: Vec<Endpoint> = self
            .echoes
            .iter()
            .filter(|(_, echo)| now - echo.since >= timeout)
            .map(|(endpoint, _)| *endpoint)
            .collect();
        for endpoint in over {
            self.echoes.remove(&endpoint);
            if self.rules().silent_echo_is_unreachable {
                self.unreachable.entry(endpoint).or_insert(now);
            }
        }
    }

    fn forget_if_over(&mut self, endpoint: Endpoint) {
        let status = self.status(endpoint).to_owned();
        let is_member = self.ring.contains(&endpoint);
        let limit = if is_bootstrapping(&status) { self.settings.failed_join } else { self.settings.silence };
        let silence = self.now - self.updated.get(&endpoint).copied().unwrap_or(self.now);
        let is_gossip_only = !is_member && !is_dead(&status);
        if is_gossip_only
            && (self.rules().quarantine_by_generation || !self.quarantined.contains_key(&endpoint))
            && limit.is_some_and(|limit| silence > limit)
        {
            self.remove(endpoint);
            self.evict(endpoint);
        }
        let is_over = self.expire_times.get(&endpoint).is_some_and(|at| self.unix_ms > *at);
        if is_over && !self.alive.contains(&endpoint) && !is_member {
            self.evict(endpoint);
        }
    }
}
