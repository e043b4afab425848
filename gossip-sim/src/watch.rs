//! What must hold after every step of a run.

use std::collections::BTreeMap;

use gossip_core::{ApplicationState, Endpoint, Event, Generation, Gossiper, Output, Timestamp, Version};

use crate::probe::Probe;

/// Receivers set the values of an endpoint that has stopped under these versions, or greater ones.
const FIRST_MARK: Version = Version::new(i32::MAX - 3);

/// How many violations are kept: the first ones say most.
const MAX_VIOLATIONS: usize = 8;

/// How far an endpoint is known.
type Known = (Generation, Version);

/// Checks the safety of the protocol after every step, and keeps what broke it.
///
/// * The generation and version of an endpoint never go back in the view of a process, unless it forgot the endpoint.
/// * A process knows no greater version of an endpoint than the endpoint gave out, and no other value under a version.
/// * A removed endpoint does not come back at or below its tombstone.
/// * No limit on memory is exceeded.
#[derive(Debug, Default)]
pub struct Watch {
    /// What each process knew after its last step.
    known: BTreeMap<usize, BTreeMap<Endpoint, Known>>,
    /// The greatest version that an endpoint gave out in a generation.
    given: BTreeMap<(Endpoint, Generation), Version>,
    /// Usually one value each. If a host loses its disk and its clock goes back, two processes may have one generation.
    published: BTreeMap<(Endpoint, Generation, ApplicationState, Version), Vec<String>>,
    /// Values that a process has newly taken in, until the step is over.
    changed: Vec<(Endpoint, ApplicationState, Version)>,
    violations: Vec<String>,
    is_on: bool,
    /// How many rounds and messages each process had handled when it was looked at last.
    handled: BTreeMap<usize, u64>,
}

impl Watch {
    /// Looks after each step.
    pub fn new() -> Self {
        Self { is_on: true, ..Self::default() }
    }

    /// Looks at nothing, where clusters are large.
    pub fn off() -> Self {
        Self::default()
    }

    /// What was broken, the first ones.
    pub fn violations(&self) -> &[String] {
        &self.violations
    }

    fn break_law(&mut self, host: usize, what: &str) {
        if self.violations.len() < MAX_VIOLATIONS {
            self.violations.push(format!("host {host}: {what}"));
        }
    }

    /// What a process says of itself.
    fn note_own(&mut self, gossiper: &Gossiper) {
        let (local, generation) = (gossiper.local_endpoint(), gossiper.generation());
        let Some(version) = gossiper.max_version(local) else { return };
        let given = self.given.entry((local, generation)).or_insert(Version::ZERO);
        if *given == version {
            return;
        }
        *given = version.max(*given);
        for (key, text, version) in gossiper.values(local) {
            let published = self.published.entry((local, generation, key, version)).or_default();
            let text = text.to_text();
            if !published.iter().any(|known| *known == text) {
                published.push(text.into_owned());
            }
        }
    }

    fn judge(&mut self, host: usize, gossiper: &Gossiper) {
        let before = self.known.remove(&host).unwrap_or_default();
        let mut after = BTreeMap::new();
        let local = gossiper.local_endpoint();
        for pulse in gossiper.pulses() {
            let (endpoint, generation) = (pulse.endpoint, pulse.heartbeat.generation);
            let Some(version) = gossiper.max_version(endpoint) else { continue };
            after.insert(endpoint, (generation, version));
            if before.get(&endpoint).is_some_and(|before| (generation, version) < *before) {
                self.break_law(
                    host,
                    &format!("what is known of {endpoint} went back to {generation:?} {version:?}"),
                );
            }
            let is_given = self.given.get(&(endpoint, generation)).is_some_and(|given| version <= *given);
            if endpoint != local && generation != Generation::SAVED && !is_given && version < FIRST_MARK {
                self.break_law(host, &format!("{endpoint} never gave out {version:?} in {generation:?}"));
            }
        }
        for gone in gossiper.tombstones() {
            let is_back =
                after.get(&gone.endpoint).is_some_and(|(generation, _)| *generation <= gone.generation);
            if is_back && !gossiper.status(gone.endpoint).is_some_and(|status| status.is_dead()) {
                self.break_law(host, &format!("{} is back below its tombstone", gone.endpoint));
            }
        }
        if let Some(limit) = gossiper.exceeded_limit() {
            self.break_law(host, &format!("it holds more than {limit} permits"));
        }
        self.known.insert(host, after);
    }

    fn judge_values(&mut self, host: usize, gossiper: &Gossiper) {
        for (endpoint, key, version) in std::mem::take(&mut self.changed) {
            let Some(heartbeat) = gossiper.heartbeat(endpoint) else { continue };
            let Some((text, now)) = gossiper.value(endpoint, key) else { continue };
            if now != version || version >= FIRST_MARK {
                continue;
            }
            let published = self.published.get(&(endpoint, heartbeat.generation, key, version));
            let text = text.to_text();
            if !published.is_some_and(|published| published.iter().any(|known| *known == text)) {
                self.break_law(host, &format!("{endpoint} never published {key:?} so under {version:?}"));
            }
        }
    }
}

impl Probe for Watch {
    fn on_start(&mut self, host: usize, gossiper: &Gossiper) {
        self.known.remove(&host);
        self.handled.remove(&host);
        self.changed.clear();
        self.note_own(gossiper);
    }

    fn after(&mut self, host: usize, gossiper: &Gossiper) {
        if !self.is_on {
            return;
        }
        self.note_own(gossiper);
        // The events of a step come one by one, each by a call of its own; values are looked at with the next.
        if !self.changed.is_empty() {
            self.judge_values(host, gossiper);
        }
        // Most calls only ask what is due. What is missed here is seen after the next message: nothing that goes back comes forward.
        let stats = gossiper.stats();
        let handled = stats.rounds + stats.syns_received + stats.acks_received + stats.ack2s_received;
        if self.handled.insert(host, handled) != Some(handled) {
            self.judge(host, gossiper);
        }
    }

    fn on_output(&mut self, _: Timestamp, _: usize, output: &Output<'_>) {
        if let Output::Event(Event::StateChanged { endpoint, key, version }) = output
            && self.is_on
        {
            self.changed.push((*endpoint, *key, *version));
        }
    }
}
