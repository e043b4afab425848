//! How long things travel, and which of them arrive.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use gossip_core::Timestamp;

use crate::rng::Rng;

/// Counts what the network was given. The numbers only grow.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct Traffic {
    /// Messages, or writes where bytes travel.
    pub sent: u64,
    /// Their bytes; of messages only the bodies.
    pub bytes: u64,
    /// How many of them were lost by chance, or in a partition.
    pub lost: u64,
}

/// Between any two hosts.
#[derive(Debug)]
pub(crate) struct Network {
    pub(crate) rng: Rng,
    pub(crate) latency: (Duration, Duration),
    pub(crate) loss_percent: u32,
    pub(crate) duplicate_percent: u32,
    pub(crate) reorders: bool,
    pub(crate) traffic: Traffic,
    /// The directed links that are cut.
    cuts: BTreeSet<(usize, usize)>,
    /// What is added to everything from or to a host.
    delays: BTreeMap<usize, Duration>,
    /// When the last message arrives that was sent from one host to another.
    last: BTreeMap<(usize, usize), Timestamp>,
}

impl Network {
    pub(crate) const fn new(rng: Rng, latency: (Duration, Duration)) -> Self {
        Self {
            rng,
            latency,
            loss_percent: 0,
            duplicate_percent: 0,
            reorders: false,
            traffic: Traffic { sent: 0, bytes: 0, lost: 0 },
            cuts: BTreeSet::new(),
            delays: BTreeMap::new(),
            last: BTreeMap::new(),
        }
    }

    pub(crate) fn count(&mut self, bytes: usize) {
        self.traffic.sent += 1;
        self.traffic.bytes += bytes as u64;
    }

    /// Whether what was just sent is lost by chance.
    pub(crate) fn loses(&mut self) -> bool {
        let loses = self.rng.percent(self.loss_percent);
        self.traffic.lost += u64::from(loses);
        loses
    }

    pub(crate) fn travel(&mut self, from: usize, to: usize) -> Duration {
        let (min, max) = self.latency;
        let delay = |host| self.delays.get(&host).copied().unwrap_or_default();
        let delay = delay(from) + delay(to);
        self.rng.between(min, max) + delay
    }

    /// When a message that is sent now arrives; not before an earlier one, unless the order may change.
    pub(crate) fn arrival(&mut self, now: Timestamp, from: usize, to: usize) -> Timestamp {
        let at = now + self.travel(from, to);
        if self.reorders {
            return at;
        }
        let last = self.last.entry((from, to)).or_default();
        *last = (*last).max(at);
        *last
    }

    pub(crate) fn set_delay(&mut self, host: usize, delay: Duration) {
        self.delays.insert(host, delay);
    }

    pub(crate) fn cut(&mut self, from: usize, to: usize) {
        self.cuts.insert((from, to));
    }

    pub(crate) fn heal(&mut self) {
        self.cuts.clear();
    }

    pub(crate) fn has_cuts(&self) -> bool {
        !self.cuts.is_empty()
    }

    pub(crate) fn is_cut(&self, from: usize, to: usize) -> bool {
        self.cuts.contains(&(from, to))
    }
}
