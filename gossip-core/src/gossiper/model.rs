//! What a model checker needs of a gossiper: copies, choices that it makes itself, and what of the state counts.
//!
//! Two states that differ only in what is left out here behave alike, but for what hangs on how long something is ago. Left out are
//! counters, events, hash keys, the generator, the rhythm of heartbeats, and when something was heard last.

use alloc::vec::Vec;
use core::time::Duration;

use super::Gossiper;
use super::life::Mode;
use crate::application_state::ApplicationState;
use crate::endpoint::Endpoint;
use crate::rng::{Purpose, Rng};
use crate::slot::Slot;
use crate::version::Version;

/// A fact of the state: its kind, then what it says.
type Fact = Vec<u64>;

fn signed(number: i32) -> u64 {
    u64::from(number.cast_unsigned())
}

fn hash(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

impl Clone for Gossiper {
    fn clone(&self) -> Self {
        let Self { config, clock, journal, exchange, members, metadata, own, rounds, life } = self;
        let mut clone = Self {
            config: config.clone(),
            clock: *clock,
            journal: journal.clone(),
            exchange: exchange.clone(),
            members: members.clone(),
            metadata: metadata.clone(),
            own: own.clone(),
            rounds: rounds.clone(),
            life: life.clone(),
        };
        // A copy of a list has no room for more than is in it.
        clone.exchange.reserve(clone.members.table());
        clone
    }
}

impl Gossiper {
    /// Lets all chance from here on follow from `seed`.
    pub fn reseed(&mut self, seed: u64) {
        let mut entropy = [0; 32];
        entropy[..8].copy_from_slice(&seed.to_le_bytes());
        self.rounds.set_rng(Rng::new(&entropy, Purpose::Targets));
    }

    /// The id of the echo that `peer` has not answered yet.
    pub fn awaited_echo(&self, peer: Endpoint) -> Option<u64> {
        let table = self.members.table();
        table.echo(table.find(peer)?).map(|echo| u64::from(echo.id))
    }

    /// What of the state counts, in an order that says nothing of names: each endpoint is called what `name` calls it. The id of a host
    /// belongs to its name, and is left out. How long something is ago is given in whole intervals.
    pub fn facts(&self, name: &dyn Fn(Endpoint) -> u64) -> Vec<Vec<u64>> {
        let now = self.clock.now();
        let rounds = |age: Duration| {
            u64::try_from(age.as_nanos() / self.config.interval.as_nanos().max(1)).unwrap_or(u64::MAX)
        };
        let or_zero = |endpoint: Option<Endpoint>| endpoint.map_or(0, |endpoint| 1 + name(endpoint));
        let table = self.members.table();
        let mut facts: Vec<Fact> = Vec::new();
        for slot in table.slots() {
            let (known, heartbeat) = (table.known(slot), table.heartbeat(slot));
            let mut fact = alloc::vec![
                1,
                name(table.endpoint(slot)),
                signed(known.generation().get()),
                signed(known.max_version().get()),
                signed(heartbeat.version.get()),
                table.standing(slot) as u64,
                u64::from(table.is_met(slot)),
            ];
            match table.echo(slot) {
                Some(echo) => {
                    fact.push(1 + signed(echo.generation.get()));
                    fact.push(rounds(echo.deadline.saturating_since(now)));
                }
                None => fact.push(0),
            }
            for (key, text, version) in table.values(slot).iter() {
                let is_name = key == ApplicationState::HOST_ID;
                let text = if is_name { 0 } else { hash(text.as_bytes()) };
                fact.extend([u64::from(key.number().cast_unsigned()), signed(version.get()), text]);
            }
            facts.push(fact);
        }
        for (endpoint, generation, kind, end) in self.members.quarantine().entries(now) {
            facts.push(alloc::vec![2, name(endpoint), signed(generation.get()), u64::from(kind), end]);
        }
        for (endpoint, heartbeat, due) in self.members.waiting_assassinations(now) {
            let (generation, version) = (heartbeat.generation.get(), heartbeat.version.get());
            facts.push(alloc::vec![3, name(endpoint), signed(generation), signed(version), rounds(due)]);
        }
        for (endpoint, generation, stage, of, ages) in self.exchange.asked_entries(now) {
            let [of, before] = of.map(or_zero);
            let [since, last] = ages.map(rounds);
            let generation = signed(generation.get());
            facts.push(alloc::vec![4, name(endpoint), generation, u64::from(stage), of, before, since, last]);
        }
        for (endpoint, owes, awaited) in self.exchange.outbox_entries() {
            if owes || awaited > 0 {
                facts.push(alloc::vec![5, name(endpoint), u64::from(owes), u64::from(awaited)]);
            }
        }
        facts.sort_unstable();
        let (phase, end) = match self.life.mode() {
            Mode::Shadow => (0, 0),
            Mode::Running => (1, 0),
            Mode::Leaving { until } => (2, rounds(until.saturating_since(now))),
            Mode::Left { until } => (3, rounds(until.saturating_since(now))),
            Mode::Stopping { until, then } => (4 + then as u64, rounds(until.saturating_since(now))),
            Mode::Disabled => (6, 0),
            Mode::Stopped => (7, 0),
            Mode::Away { until } => (8, rounds(until.saturating_since(now))),
            Mode::Inquiring { until } => (9, rounds(until.saturating_since(now))),
        };
        let [jumped, raised] = self.own.answered_claims();
        facts.push(alloc::vec![
            6,
            phase,
            end,
            signed(self.clock.version().get()),
            u64::from(self.exchange.has_sent_syn()),
            u64::from(self.clock.age() < self.config.detector.echo_timeout),
            u64::from(jumped),
            u64::from(raised),
        ]);
        facts
    }

    /// The greatest version that this process has given out.
    pub fn given_version(&self) -> Version {
        self.members.table().known(Slot::FIRST).max_version().max(self.clock.version())
    }
}
