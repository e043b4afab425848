//! The round and its random choices: its time, its targets, and whether any peer answers (`docs/protocol/exchange.md#round`).
//!
//! Owns: the time of the next round, the random choice, the pauses of our own process, and when any peer was last heard.
//! May see: the members, which it reads; the exchange, in which it notes a SYN; the journal; the settings. It is given the time.
//!
//! Rules: at most three peers a round. No endpoint is convicted during and after a pause of our own. Silent seeds are reported, but seldom.

mod answers;
mod doubt;
mod pause;

use core::time::Duration;

use self::answers::Answers;
use self::doubt::Doubt;
pub(super) use self::pause::Pauses;
use super::exchange::Exchange;
use super::journal::Journal;
use super::members::Members;
use crate::config::Config;
use crate::endpoint::Endpoint;
use crate::rng::{Purpose, Rng};
use crate::table::{EndpointTable, Kind};
use crate::time::Timestamp;

/// After how many intervals without an answer silent seeds are reported, and how often then.
const SILENCE: u32 = 10;
const SILENCE_REPEATED: u32 = 60;

/// How many live endpoints a node asks in each round while it joins a cluster of many.
const JOINING_TARGETS: u32 = 3;

/// When rounds are due, and how targets are chosen.
#[derive(Clone, Debug)]
pub(super) struct Rounds {
    next: Timestamp,
    rng: Rng,
    contact: Contact,
    /// Pauses of our own process.
    pub(super) pauses: Pauses,
    /// Whether SYNs were answered.
    pub(super) answers: Answers,
    /// How far silence may be our own.
    pub(super) doubt: Doubt,
}

/// When any peer was last heard.
#[derive(Clone, Copy, Debug)]
struct Contact {
    heard: Timestamp,
    told: Option<Timestamp>,
}

impl Contact {
    const fn new(now: Timestamp) -> Self {
        Self { heard: now, told: None }
    }
}

impl Rounds {
    /// The first round is due at `now`, or an interval later in a cluster of Cassandra's.
    pub(super) fn new(config: &Config, now: Timestamp) -> Self {
        Self {
            next: now + Self::first_delay(config),
            rng: Rng::new(&config.entropy, Purpose::Targets),
            contact: Contact::new(now),
            pauses: Pauses::default(),
            answers: Answers::new(),
            doubt: Doubt::new(),
        }
    }

    /// Lets all chance from here on come from this generator.
    #[cfg(feature = "model")]
    pub(super) fn set_rng(&mut self, rng: Rng) {
        self.rng = rng;
    }

    /// How long a node that takes part waits for its first round.
    ///
    /// Deviation: Cassandra waits for an interval (`docs/protocol/life-cycle.md#start`). In a cluster of our own the first round comes at
    /// once, because a node learns nothing before it, and is not heard of.
    pub(super) const fn first_delay(config: &Config) -> Duration {
        if config.is_in_cassandra() { config.interval } else { Duration::ZERO }
    }

    /// When the next round is due.
    pub(super) const fn next(&self) -> Timestamp {
        self.next
    }

    /// Lets the next round be due at this moment.
    pub(super) const fn set_next(&mut self, at: Timestamp) {
        self.next = at;
    }

    /// How late the next round is. It is due now, and not late any more.
    pub(super) fn take_late(&mut self, now: Timestamp) -> Duration {
        let due = self.next;
        self.next = due.max(now);
        now.saturating_since(due)
    }

    /// A round begins: the next is due after an interval, and much later than that it is a pause.
    pub(super) fn begin(&mut self, now: Timestamp, config: &Config) {
        self.next = now + config.interval;
        self.pauses.begin_interval(now + config.detector.max_local_pause);
        self.doubt.begin_round(now, config.interval);
    }

    /// A peer was heard.
    pub(super) const fn heard(&mut self, now: Timestamp) {
        self.contact = Contact::new(now);
    }

    /// The process did not run for so long: silence counts from as much later.
    pub(super) fn put_off(&mut self, pause: Duration) {
        self.contact.heard = self.contact.heard + pause;
        self.answers.forget();
        self.doubt.forget();
        self.contact.told = self.contact.told.map(|told| told + pause);
    }

    /// Notes a SYN to at most three peers: one that is live, perhaps one that is unreachable, perhaps a seed.
    // A function of its own, so that profilers count it apart from the rest of a round: `benches/README.md`.
    #[inline(never)]
    pub(super) fn choose_targets(
        &mut self,
        members: &Members,
        config: &Config,
        exchange: &mut Exchange,
        journal: &mut Journal,
        (now, is_joining): (Timestamp, bool),
    ) {
        let table = members.table();
        // Deviation: an endpoint that has left by its status counts neither for the probability nor for the choice, where Cassandra
        // leaves it in the former (`docs/protocol/pitfalls.md#dead-and-removed-nodes`).
        let (live, unreachable) = (table.count(Kind::Live), table.count(Kind::Unreachable));
        let mut send_syn = |target: Option<Endpoint>| {
            if let Some(target) = target {
                exchange.syn(target, config.syn_messages(), journal);
            }
        };
        let keeps_up = self.answers.are_prompt(now, config.interval);
        let mut talked_to_seed = false;
        if live > 0 {
            let target = self.pick(table, Kind::Live);
            talked_to_seed = target.is_some_and(|target| config.seeds.contains(&target));
            if let Some(target) = target {
                self.answers.note_asked(target, now);
            }
            send_syn(target);
        }
        // Deviation: Cassandra asks one. Each SYN of a node that knows few is answered by one that lists all (`Exchange::answer_few`). Where
        // answers are late, more questions would make them later.
        let asks_more = is_joining && keeps_up && live > JOINING_TARGETS;
        for _ in 1..if asks_more { JOINING_TARGETS } else { 1 } {
            send_syn(self.pick(table, Kind::Live));
        }
        if self.rng.chance(unreachable, live + 1) {
            send_syn(self.pick(table, Kind::Unreachable));
        }
        let seeds = u32::try_from(config.seeds.len()).unwrap_or(u32::MAX);
        let asks_seed = !talked_to_seed || live < seeds;
        if asks_seed && seeds > 0 && (live == 0 || self.rng.chance(seeds, live + unreachable)) {
            let chosen = self.rng.below(seeds) as usize;
            send_syn(config.seeds.get(chosen).copied());
        }
    }

    /// One of the endpoints of a kind, each equally likely.
    fn pick(&mut self, table: &EndpointTable, kind: Kind) -> Option<Endpoint> {
        let chosen = self.rng.below(table.count(kind)) as usize;
        Some(table.endpoint(table.nth(kind, chosen)?))
    }

    /// For how long no peer was heard, if that is to be reported now: no endpoint is live, and no answer comes. The operator may have mistyped a
    /// name or an address, which nothing else would tell.
    pub(super) fn silence_of_seeds(
        &mut self,
        members: &Members,
        config: &Config,
        now: Timestamp,
    ) -> Option<Duration> {
        if config.seeds.is_empty() || members.table().count(Kind::Live) > 0 {
            return None;
        }
        let (since, patience) = match self.contact.told {
            None => (self.contact.heard, SILENCE),
            Some(told) => (told, SILENCE_REPEATED),
        };
        if now.saturating_since(since) < config.interval.saturating_mul(patience) {
            return None;
        }
        self.contact.told = Some(now);
        Some(now.saturating_since(self.contact.heard))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::version::Generation;

    const SEED: Endpoint = Endpoint::v4([10, 0, 0, 9], 7000);

    fn config() -> Config {
        let local = Endpoint::v4([10, 0, 0, 1], 7000);
        Config::builder("c", local, Generation::new(1), [3; 32]).seed(SEED).build().unwrap()
    }

    fn at(seconds: u64) -> Timestamp {
        Timestamp::ZERO + Duration::from_secs(seconds)
    }

    #[test]
    fn a_seed_is_asked_where_nobody_is_live() {
        let config = config();
        let mut journal = Journal::new(16);
        let members = Members::new(&config, 1, &mut journal);
        let mut exchange = Exchange::new(&config, 1);
        let mut rounds = Rounds::new(&config, at(0));
        for _ in 0..20 {
            rounds.choose_targets(&members, &config, &mut exchange, &mut journal, (at(1), false));
            assert_eq!((exchange.next_peer(), exchange.next_peer()), (Some(SEED), None));
            exchange.forget(SEED, &mut journal);
        }
    }

    #[test]
    fn silent_seeds_are_told_of_but_seldom() {
        let config = config();
        let members = Members::new(&config, 1, &mut Journal::new(16));
        let mut rounds = Rounds::new(&config, at(0));
        rounds.heard(at(5));
        let told: alloc::vec::Vec<u64> = (0..200)
            .filter(|second| rounds.silence_of_seeds(&members, &config, at(*second)).is_some())
            .collect();
        assert_eq!(told, [15, 75, 135, 195]);
    }

    #[test]
    fn nobody_is_convicted_for_a_while_after_a_pause_of_our_own() {
        let config = config();
        let mut rounds = Rounds::new(&config, at(0));
        rounds.begin(at(1), &config);
        let limit = config.detector.max_local_pause;
        assert!(!rounds.pauses.is_pause(at(1) + limit) && rounds.pauses.may_convict(at(1), limit));
        let late = at(1) + limit + Duration::from_secs(1);
        assert!(rounds.pauses.is_pause(late));
        assert_eq!(rounds.pauses.end_pause(late, limit, true), Some(limit + Duration::from_secs(1)));
        assert!(!rounds.pauses.may_convict(late, limit));
        assert!(rounds.pauses.may_convict(late + limit, limit));
    }
}
