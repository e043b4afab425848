//! The limit on what is sent.

use core::time::Duration;

use crate::config::Config;
use crate::time::Timestamp;

/// A bucket of bytes that fills steadily: what is sent is taken out of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Budget {
    /// Bytes per second.
    rate: u64,
    /// In thousand millionths of a byte, so that no time is lost to rounding.
    level: u128,
    capacity: u128,
    filled: Timestamp,
    is_spent: bool,
}

const UNIT: u128 = 1_000_000_000;

impl Budget {
    pub(super) fn new(config: &Config, now: Timestamp) -> Self {
        let rate = u64::from(config.datagrams.max_rate);
        // What may be sent at once: as much as in a round, but for no more than a second.
        let span = config.interval.min(Duration::from_secs(1)).as_nanos();
        let packets = 4 * config.datagrams.max_size as u128 * UNIT;
        let capacity = (u128::from(rate) * span).max(packets);
        Self { rate, level: capacity, capacity, filled: now, is_spent: false }
    }

    /// Puts in what has come together since the last time.
    pub(super) fn refill(&mut self, now: Timestamp) {
        let passed = now.saturating_since(self.filled).as_nanos();
        self.filled = self.filled.max(now);
        self.level = (self.level + passed * u128::from(self.rate)).min(self.capacity);
    }

    /// Whether a packet of so many bytes may be sent.
    pub(super) const fn allows(&self, bytes: usize) -> bool {
        self.level >= bytes as u128 * UNIT
    }

    /// When a packet of so many bytes may be sent.
    pub(super) fn allows_at(&self, bytes: usize) -> Timestamp {
        let missing = (bytes as u128 * UNIT).saturating_sub(self.level);
        let nanos = missing.div_ceil(u128::from(self.rate.max(1)));
        self.filled + Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }

    pub(super) const fn spend(&mut self, bytes: usize) {
        self.level = self.level.saturating_sub(bytes as u128 * UNIT);
        self.is_spent = false;
    }

    /// Whether the budget was not spent when this was asked last.
    pub(super) const fn is_newly_spent(&mut self) -> bool {
        !core::mem::replace(&mut self.is_spent, true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Endpoint, Generation};

    #[test]
    fn no_more_than_the_rate_is_sent() {
        let builder = Config::builder("c", Endpoint::v4([10, 0, 0, 1], 1), Generation::new(1), [0; 32]);
        let config = builder.change_datagrams(|datagrams| datagrams.max_rate = 100_000).build().unwrap();
        let mut now = Timestamp::ZERO;
        let mut budget = Budget::new(&config, now);
        let mut sent = 0_u64;
        while now < Timestamp::from_millis(10_000) {
            budget.refill(now);
            if budget.allows(1_400) {
                budget.spend(700);
                sent += 700;
            } else {
                assert!(budget.is_newly_spent() && !budget.is_newly_spent());
                let at = budget.allows_at(1_400);
                assert!(at > now);
                now = at;
            }
        }
        // Ten seconds, and the one that the bucket holds at first.
        assert!((1_098_000..=1_101_400).contains(&sent), "{sent}");
    }
}
