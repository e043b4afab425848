//! One node: what it holds, what it says in a round, and what it answers to a SYN.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use gossip_core::Endpoint;

use crate::arrivals::Arrivals;
use crate::message::{Digest, Message, States};
use crate::settings::{Deviations, Settings};
use crate::shadow::Shadow;
use crate::state::{HOST_ID, State, is_dead};

/// A message and its receiver.
pub type Answer = (Endpoint, Message);

/// Where an endpoint stands.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Standing {
    /// It answered an echo, and its heartbeats arrive.
    Live,
    /// It is down.
    Unreachable,
    /// Neither: its answer to an echo is awaited.
    Unverified,
}

/// An echo that waits for its answer.
#[derive(Clone, Copy, Debug)]
pub struct Echo {
    /// The generation that was asked.
    pub generation: i32,
    /// When it was sent first.
    pub since: Duration,
}

/// That everything of an endpoint was requested.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    /// The peer that was asked last, and the one before: either may answer.
    pub(crate) peers: Vec<Endpoint>,
    /// When it was asked last.
    pub(crate) last: Duration,
}

/// That an endpoint was removed.
#[derive(Clone, Copy, Debug)]
pub struct Refusal {
    /// The last generation that is refused.
    pub generation: i32,
    /// How far the endpoint was known.
    pub version: i32,
    /// Whether it has left or was removed, and was not only silent.
    pub has_left: bool,
    /// Since when, on the clock of the process.
    pub since: Duration,
    /// For how long.
    pub lasts: Duration,
}

/// A node, with the fields of `docs/protocol/exchange.md#state-of-a-node`.
#[derive(Clone, Debug)]
pub struct Node {
    pub(crate) settings: Settings,
    pub(crate) local: Endpoint,
    pub(crate) seeds: BTreeSet<Endpoint>,
    /// The clock of the process.
    pub(crate) now: Duration,
    /// The wall clock.
    pub(crate) unix_ms: u64,
    pub(crate) is_enabled: bool,
    pub(crate) is_stopping: bool,
    /// The last version given out.
    pub(crate) version: i32,
    pub(crate) states: BTreeMap<Endpoint, State>,
    /// The flag `alive` of a state.
    pub(crate) alive: BTreeSet<Endpoint>,
    pub(crate) live: BTreeSet<Endpoint>,
    pub(crate) unreachable: BTreeMap<Endpoint, Duration>,
    /// When there was news of an endpoint.
    pub(crate) updated: BTreeMap<Endpoint, Duration>,
    pub(crate) arrivals: BTreeMap<Endpoint, Arrivals>,
    pub(crate) quarantined: BTreeMap<Endpoint, Refusal>,
    /// Wall-clock times.
    pub(crate) expire_times: BTreeMap<Endpoint, u64>,
    /// Endpoints that have a place in the ring.
    pub(crate) ring: BTreeSet<Endpoint>,
    pub(crate) echoes: BTreeMap<Endpoint, Echo>,
    /// Whether this process has sent a SYN.
    pub(crate) syn_sent: bool,
    /// Peers whose answer to a SYN is awaited.
    pub(crate) awaited: BTreeSet<Endpoint>,
    /// What was requested from version 0.
    pub(crate) requested: BTreeMap<Endpoint, Request>,
    /// Endpoints whose state was refused because it may be a part. They are requested.
    pub(crate) wanted: BTreeSet<Endpoint>,
    /// Endpoints whose state was taken though it may be a part, and how often they may still be requested. When they are is free.
    pub(crate) doubted: BTreeMap<Endpoint, u8>,
    /// When the process started.
    pub(crate) began: Duration,
    /// When an endpoint was last checked.
    pub(crate) last_check: Duration,
    /// When the last round began.
    pub(crate) last_round: Option<Duration>,
    /// When the last round began, unless a pause came after it.
    pub(crate) round_begun: Option<Duration>,
    /// How long a round takes lately, in parts of 1,024 of the interval.
    pub(crate) round_length: u32,
    /// When the last pause was noticed.
    pub(crate) last_pause: Option<Duration>,
    pub(crate) shadow: Option<Shadow>,
}

impl Node {
    /// A node that takes part from now on, with what it publishes of itself.
    pub fn new(settings: Settings, local: Endpoint, own: State, now: Duration, unix_ms: u64) -> Self {
        let version = own.max_version();
        Self {
            settings,
            local,
            seeds: BTreeSet::new(),
            now,
            unix_ms,
            is_enabled: true,
            is_stopping: false,
            version,
            states: BTreeMap::from([(local, own)]),
            alive: BTreeSet::new(),
            live: BTreeSet::new(),
            unreachable: BTreeMap::new(),
            updated: BTreeMap::new(),
            arrivals: BTreeMap::new(),
            quarantined: BTreeMap::new(),
            expire_times: BTreeMap::new(),
            ring: BTreeSet::new(),
            echoes: BTreeMap::new(),
            syn_sent: false,
            awaited: BTreeSet::new(),
            requested: BTreeMap::new(),
            wanted: BTreeSet::new(),
            doubted: BTreeMap::new(),
            began: now,
            last_check: now,
            last_round: None,
            round_begun: None,
            round_length: 1_024,
            last_pause: None,
            shadow: None,
        }
    }

    /// The configured seeds, without the node itself.
    pub fn set_seeds(&mut self, seeds: impl IntoIterator<Item = Endpoint>) {
        self.seeds = seeds.into_iter().filter(|seed| *seed != self.local).collect();
    }

    /// An endpoint of an earlier run (`docs/protocol/life-cycle.md#start`).
    pub fn add_saved(&mut self, endpoint: Endpoint) {
        self.states.insert(endpoint, State::SAVED);
        self.unreachable.insert(endpoint, self.now);
    }

    /// The process starts now.
    pub const fn start_at(&mut self, now: Duration) {
        self.now = now;
        self.began = now;
        self.last_check = now;
    }

    /// Moves the clocks.
    pub fn set_time(&mut self, now: Duration, unix_ms: u64) {
        self.set_now(now);
        self.unix_ms = unix_ms;
    }

    /// Moves the clock of the process. With pauses between rounds, a pause is noticed at once, and what waits for others waits as much
    /// longer.
    pub fn set_now(&mut self, now: Duration) {
        self.now = now;
        let Some(round) = self.last_round.filter(|_| self.rules().pause_between_rounds) else { return };
        if now - round > self.settings.longest_pause {
            let late = now.saturating_sub(round + self.settings.interval);
            self.last_pause = Some(now);
            self.last_round = Some(now);
            self.round_begun = None;
            self.echoes.values_mut().for_each(|echo| echo.since += late);
            self.updated.values_mut().for_each(|updated| *updated += late);
        }
    }

    /// Publishes a value under the next version (`docs/protocol/life-cycle.md#versions`).
    pub fn publish(&mut self, key: i32, text: &str) -> i32 {
        let version = self.next_version();
        let own = self.states.entry(self.local).or_default();
        own.values.insert(key, crate::state::Value { text: text.to_owned(), version });
        version
    }

    /// Replaces what the node publishes of itself: the application decides that.
    pub fn set_own(&mut self, own: State) {
        self.version = self.version.max(own.max_version());
        self.states.insert(self.local, own);
    }

    /// Whether the node takes part, and whether it has announced its stop: the application decides both.
    pub const fn set_phase(&mut self, takes_part: bool, is_stopping: bool) {
        self.is_enabled = takes_part;
        self.is_stopping = is_stopping;
    }

    pub(crate) const fn next_version(&mut self) -> i32 {
        self.version += 1;
        self.version
    }

    pub(crate) const fn rules(&self) -> Deviations {
        self.settings.deviations
    }

    /// What is known of an endpoint.
    pub fn state(&self, endpoint: Endpoint) -> Option<&State> {
        self.states.get(&endpoint)
    }

    /// All that is known, the node itself included.
    pub const fn states(&self) -> &BTreeMap<Endpoint, State> {
        &self.states
    }

    /// The endpoints that are live.
    pub const fn live(&self) -> &BTreeSet<Endpoint> {
        &self.live
    }

    /// Whether an endpoint has a place in the ring, or is a member by its status.
    pub fn is_ring_member(&self, endpoint: Endpoint) -> bool {
        self.ring.contains(&endpoint)
    }

    /// Where an endpoint stands.
    pub fn standing(&self, endpoint: Endpoint) -> Standing {
        if self.alive.contains(&endpoint) {
            Standing::Live
        } else if self.unreachable.contains_key(&endpoint) {
            Standing::Unreachable
        } else {
            Standing::Unverified
        }
    }

    /// The arrivals of an endpoint.
    pub fn arrivals(&self, endpoint: Endpoint) -> Option<&Arrivals> {
        self.arrivals.get(&endpoint)
    }

    /// Whether nothing of an endpoint up to this generation and version is accepted now.
    pub fn is_quarantined(&self, endpoint: Endpoint, generation: i32, version: i32) -> bool {
        let Some(refusal) = self.quarantined.get(&endpoint) else { return false };
        let is_fresh = self.now - refusal.since <= refusal.lasts;
        if !self.rules().quarantine_by_generation {
            return is_fresh;
        }
        if refusal.has_left {
            return is_fresh && generation <= refusal.generation;
        }
        // Of an endpoint that was silent, its generation is accepted after the time if it brings news.
        let is_fresh = self.now - refusal.since < refusal.lasts;
        generation < refusal.generation
            || generation == refusal.generation && (is_fresh || version <= refusal.version)
    }

    /// The status of an endpoint that counts.
    pub fn status(&self, endpoint: Endpoint) -> &str {
        self.states.get(&endpoint).map_or("", |state| state.status(self.rules().legacy_values_stay))
    }

    /// Digests of all that is known, dead endpoints and the node itself included (`docs/protocol/exchange.md#round`).
    pub fn digests(&self) -> Vec<Digest> {
        let digest = |(endpoint, state): (&Endpoint, &State)| Digest {
            endpoint: *endpoint,
            generation: state.generation,
            version: state.max_version(),
        };
        self.states.iter().map(digest).collect()
    }

    /// The SYN of this round.
    pub fn syn(&self) -> Message {
        Message::Syn {
            cluster: self.settings.cluster.clone(),
            partitioner: self.settings.partitioner.clone(),
            digests: self.digests(),
        }
    }

    /// Begins a round: the heartbeat takes the next version.
    pub fn beat(&mut self) {
        let version = self.next_version();
        self.states.entry(self.local).or_default().heartbeat = version;
    }

    /// The receivers of this round's SYN (`docs/protocol/exchange.md#round`). `chance` is a number from 0 up to 1.
    pub fn targets(&self, mut chance: impl FnMut() -> f64) -> Vec<Endpoint> {
        let mut targets = Vec::new();
        let mut is_seed = false;
        if let Some(target) = pick(&self.live, chance()) {
            targets.push(target);
            is_seed = self.seeds.contains(&target);
        }
        let share = |count: usize, of: usize| count as f64 / of as f64;
        if !self.unreachable.is_empty() && chance() < share(self.unreachable.len(), self.live.len() + 1) {
            let tried: BTreeSet<_> = self
                .unreachable
                .keys()
                .copied()
                .filter(|endpoint| !is_dead(self.status(*endpoint)))
                .collect();
            targets.extend(pick(&tried, chance()));
        }
        if (!is_seed || self.live.len() < self.seeds.len()) && !self.seeds.is_empty() {
            let known = self.live.len() + self.unreachable.len();
            if self.live.is_empty() || chance() <= share(self.seeds.len(), known) {
                targets.extend(pick(&self.seeds, chance()));
            }
        }
        targets
    }

    /// Handles a message, and says what is to be sent.
    pub fn receive(&mut self, from: Endpoint, message: &Message) -> Vec<Answer> {
        match message {
            Message::Syn { cluster, partitioner, digests } => {
                let answer = self.on_syn(cluster, partitioner, digests);
                answer.map(|answer| (from, answer)).into_iter().collect()
            }
            Message::Ack { requests, states } => self.on_ack(from, requests, states),
            Message::Ack2 { states } => self.on_ack2(from, states),
            Message::EchoRequest => self.on_echo_request(from),
            Message::EchoResponse => {
                self.on_echo_response(from);
                Vec::new()
            }
            Message::Shutdown(state) => {
                self.on_shutdown(from, state.as_ref());
                Vec::new()
            }
        }
    }

    /// `docs/protocol/exchange.md#receiving-a-syn`.
    fn on_syn(&self, cluster: &str, partitioner: &str, digests: &[Digest]) -> Option<Message> {
        if !self.is_enabled && self.shadow.is_none() {
            return None;
        }
        if cluster != self.settings.cluster || partitioner != self.settings.partitioner {
            return None;
        }
        if self.shadow.is_some() {
            let asks = digests.is_empty();
            return asks.then(|| Message::Ack { requests: Vec::new(), states: States::new() });
        }
        if digests.is_empty() {
            return Some(Message::Ack { requests: Vec::new(), states: self.states.clone() });
        }
        let (requests, states) = self.examine(digests);
        Some(Message::Ack { requests, states })
    }

    /// `docs/protocol/exchange.md#comparing-digests`.
    pub fn examine(&self, digests: &[Digest]) -> (Vec<Digest>, States) {
        let mut requests = Vec::new();
        let mut states = States::new();
        for digest in digests {
            let endpoint = digest.endpoint;
            let Some(known) = self.states.get(&endpoint) else {
                if !self.is_refused_request(digest) {
                    requests.push(Digest { version: 0, ..*digest });
                }
                continue;
            };
            let version = known.max_version();
            let delta = if digest.generation > known.generation {
                if !self.is_refused_request(digest) {
                    requests.push(Digest { version: 0, ..*digest });
                }
                None
            } else if digest.generation < known.generation {
                known.above(-1)
            } else if digest.version > version {
                requests.push(Digest { version, ..*digest });
                None
            } else if digest.version < version {
                known.above(digest.version)
            } else {
                None
            };
            states.extend(delta.map(|delta| (endpoint, delta)));
        }
        (requests, states)
    }

    /// Whether what a digest offers would not be accepted.
    fn is_refused_request(&self, digest: &Digest) -> bool {
        let rules = self.rules();
        if !rules.refused_is_not_requested || digest.endpoint == self.local {
            return false;
        }
        let is_saved = digest.generation == 0;
        let is_future = rules.future_is_refused_at_once && self.is_future(digest.generation);
        is_saved || is_future || self.is_quarantined(digest.endpoint, digest.generation, digest.version)
    }

    /// `docs/protocol/exchange.md#receiving-an-ack`.
    fn on_ack(&mut self, from: Endpoint, requests: &[Digest], states: &States) -> Vec<Answer> {
        if self.shadow.is_some() {
            self.on_shadow_ack(from, requests, states);
            return Vec::new();
        }
        if !self.is_enabled {
            return Vec::new();
        }
        // A request for another generation of ours answers a SYN of an earlier process.
        let own = self.states.get(&self.local).map_or(0, |own| own.generation);
        let is_ours =
            requests.iter().all(|request| request.endpoint != self.local || request.generation == own);
        if !is_ours && self.rules().whole_only_if_requested {
            return Vec::new();
        }
        let is_awaited = self.awaited.remove(&from);
        if !states.is_empty() && !self.syn_sent {
            return Vec::new();
        }
        let mut answers = self.apply(from, states, Some(is_awaited && is_ours));
        let mut wanted = States::new();
        for request in requests {
            wanted.extend(self.delta_for(request).map(|delta| (request.endpoint, delta)));
        }
        answers.push((from, Message::Ack2 { states: wanted }));
        answers
    }

    /// What a request gets.
    pub fn delta_for(&self, request: &Digest) -> Option<State> {
        let known = self.states.get(&request.endpoint)?;
        if self.rules().requests_name_a_generation {
            if known.generation > request.generation {
                return known.above(0);
            }
            if known.generation < request.generation {
                return None;
            }
        }
        known.above(request.version)
    }

    /// `docs/protocol/exchange.md#receiving-an-ack2`.
    fn on_ack2(&mut self, from: Endpoint, states: &States) -> Vec<Answer> {
        if !self.is_enabled { Vec::new() } else { self.apply(from, states, None) }
    }

    /// Takes note of a message that was sent.
    pub fn sent(&mut self, to: Endpoint, message: &Message) {
        match message {
            Message::Syn { digests, .. } if !digests.is_empty() => {
                self.syn_sent = true;
                self.awaited.insert(to);
                for digest in digests {
                    if digest.version == 0 && self.is_wanted(digest.endpoint) {
                        // A digest with the known generation requests the state of the known process, and not that of a later one.
                        let known = self.states.get(&digest.endpoint);
                        let is_of_known = known.is_some_and(|known| known.generation == digest.generation);
                        if !is_of_known && self.wanted.remove(&digest.endpoint) {
                            self.note_request(to, digest.endpoint);
                        } else if !self.may_be_part(digest.endpoint)
                            && self.states.get(&digest.endpoint).is_some_and(|known| known.max_version() > 0)
                        {
                            // What answers it says nothing of a later process. If version 0 is known, it is listed so anyway. An endpoint
                            // that may be known in part is listed so at other times, too.
                            self.doubted
                                .entry(digest.endpoint)
                                .and_modify(|left| *left = left.saturating_sub(1));
                        }
                    }
                }
            }
            Message::Ack { requests, .. } => {
                for request in requests {
                    if request.version == 0 || request.endpoint == self.local {
                        self.note_request(to, request.endpoint);
                    }
                }
            }
            _ => {}
        }
    }

    fn note_request(&mut self, to: Endpoint, endpoint: Endpoint) {
        let request = self.requested.entry(endpoint).or_insert(Request { peers: Vec::new(), last: self.now });
        request.last = self.now;
        if request.peers.first() != Some(&to) {
            request.peers.insert(0, to);
            request.peers.truncate(2);
        }
    }

    /// Whether a request from version 0 may wait, because another peer was asked a moment ago.
    pub fn is_requested(&self, endpoint: Endpoint) -> bool {
        let patience = self.settings.interval * 4;
        self.requested.get(&endpoint).is_some_and(|request| self.now - request.last <= patience)
    }

    /// Whether an endpoint may be requested by the next SYN.
    pub fn is_wanted(&self, endpoint: Endpoint) -> bool {
        self.wanted.contains(&endpoint)
            || self.doubted.get(&endpoint).is_some_and(|left| *left > 0)
            || self.may_be_part(endpoint)
    }

    /// Whether the state of an endpoint was taken though it may be a part, and this digest requests what is above a lower version than it is
    /// known of.
    pub fn may_lack_from(&self, digest: &Digest) -> bool {
        let known = self.states.get(&digest.endpoint);
        self.doubted.contains_key(&digest.endpoint)
            && known.is_some_and(|known| {
                known.generation == digest.generation && digest.version < known.max_version()
            })
    }

    /// Whether this node has a host id and knows the endpoint without one. Then it may know only a part of the endpoint's state.
    fn may_be_part(&self, endpoint: Endpoint) -> bool {
        let has_host_id =
            |of: Endpoint| self.states.get(&of).map(|state| state.values.contains_key(&HOST_ID));
        self.rules().parts_are_doubted
            && has_host_id(self.local) == Some(true)
            && has_host_id(endpoint) == Some(false)
    }
}

fn pick(from: &BTreeSet<Endpoint>, chance: f64) -> Option<Endpoint> {
    let index = (0..from.len()).find(|index| chance * (from.len() as f64) < *index as f64 + 1.0)?;
    from.iter().nth(index).copied()
}
