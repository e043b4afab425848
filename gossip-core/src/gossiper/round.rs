//! The round: whom to talk to, once an interval (`gossip-semantics.md` §4).

use core::time::Duration;

use super::Gossiper;
use crate::endpoint::Endpoint;
use crate::event::Event;
use crate::snapshot::Standing;
use crate::table::Slot;
use crate::time::Timestamp;

/// After how many intervals without an answer it is told that the seeds are silent, and how often then.
const SILENCE: u32 = 10;
const SILENCE_REPEATED: u32 = 60;

/// When anybody was heard last.
#[derive(Clone, Copy, Debug)]
pub(super) struct Contact {
    heard: Timestamp,
    told: Option<Timestamp>,
}

impl Contact {
    pub(super) const fn new(now: Timestamp) -> Self {
        Self { heard: now, told: None }
    }

    pub(super) fn heard(&mut self, now: Timestamp) {
        *self = Self::new(now);
    }

    pub(super) fn put_off(&mut self, pause: Duration) {
        self.heard = self.heard + pause;
        self.told = self.told.map(|told| told + pause);
    }
}

impl Gossiper {
    /// After how many rounds our SYNs have listed everybody: 1 unless more endpoints are known than the messages of a SYN have room
    /// for (some 4,300 over connections; about 1,300 in 16 packets of 1,400 bytes).
    ///
    /// The intervals by which silence is judged are so many times as long as configured, and so is the time until a dead
    /// endpoint is convicted, at the most.
    pub fn digest_rotation(&self) -> u32 {
        self.exchange.digest_rotation()
    }

    pub(super) fn on_round(&mut self) {
        if self.withdraw_if_upgraded() {
            return;
        }
        self.journal.stats.rounds += 1;
        let version = self.clock.next_version();
        self.table.set_heartbeat(Slot::FIRST, version);
        self.table.sort();
        self.exchange.begin_round(self.clock.now(), &mut self.journal);
        // Heartbeats come round as seldom as digests do.
        let rotation = self.digest_rotation();
        self.table.set_rotation(rotation);
        self.follow_members();
        self.choose_targets();
        self.check_liveness();
        self.check_removals();
        self.check_identities();
        self.journal.watch_limits(self.clock.now());
        self.watch_seeds();
    }

    /// At most three: somebody live, perhaps somebody unreachable, perhaps a seed.
    fn choose_targets(&mut self) {
        let live = self.count(|gossiper, slot| gossiper.table.standing(slot) == Standing::Live);
        let mut talked_to_seed = false;
        if live > 0 {
            let target = self.pick(live, |gossiper, slot| gossiper.table.standing(slot) == Standing::Live);
            talked_to_seed = target.is_some_and(|target| self.config.seeds.contains(&target));
            self.send_syn(target);
        }
        // Deviation: whoever is gone by its status counts neither for the probability nor for the choice, where Cassandra
        // leaves it in the former (`pitfalls.md` §4.4).
        let unreachable = self.count(Self::may_come_back);
        if self.rng.chance(unreachable, live + 1) {
            let target = self.pick(unreachable, Self::may_come_back);
            self.send_syn(target);
        }
        let seeds = u32::try_from(self.config.seeds.len()).unwrap_or(u32::MAX);
        if !talked_to_seed || live < seeds {
            self.maybe_gossip_to_seed(live, unreachable, seeds);
        }
    }

    fn maybe_gossip_to_seed(&mut self, live: u32, unreachable: u32, seeds: u32) {
        if seeds > 0 && (live == 0 || self.rng.chance(seeds, live + unreachable)) {
            let chosen = self.rng.below(seeds) as usize;
            self.send_syn(self.config.seeds.get(chosen).copied());
        }
    }

    fn may_come_back(&self, slot: Slot) -> bool {
        self.table.standing(slot) == Standing::Unreachable && !self.table.status(slot).is_dead()
    }

    fn count(&self, belongs: impl Fn(&Self, Slot) -> bool) -> u32 {
        let count = self.table.slots().skip(1).filter(|slot| belongs(self, *slot)).count();
        u32::try_from(count).unwrap_or(u32::MAX)
    }

    /// One of the `count` endpoints that belong, each equally likely.
    fn pick(&mut self, count: u32, belongs: impl Fn(&Self, Slot) -> bool) -> Option<Endpoint> {
        let chosen = self.rng.below(count) as usize;
        let slot = self.table.slots().skip(1).filter(|slot| belongs(self, *slot)).nth(chosen)?;
        Some(self.table.endpoint(slot))
    }

    fn send_syn(&mut self, target: Option<Endpoint>) {
        if let Some(target) = target {
            self.exchange.syn(target, self.config.syn_messages(), &mut self.journal);
        }
    }

    /// Nobody live and no answer: the operator may have mistyped a name or an address, which nothing else would tell.
    pub(super) fn watch_seeds(&mut self) {
        if self.config.seeds.is_empty() || self.others(Standing::Live).next().is_some() {
            return;
        }
        let (since, patience) = match self.contact.told {
            None => (self.contact.heard, SILENCE),
            Some(told) => (told, SILENCE_REPEATED),
        };
        if self.clock.now().saturating_since(since) >= self.config.interval.saturating_mul(patience) {
            self.contact.told = Some(self.clock.now());
            self.tell_who_asks();
            self.tell_unreached();
            self.journal
                .tell(Event::SeedsSilent { waited: self.clock.now().saturating_since(self.contact.heard) });
        }
    }
}
