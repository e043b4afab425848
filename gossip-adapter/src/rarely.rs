//! What would be logged too often.

use std::time::{Duration, Instant};

/// Counts an event that repeats, and says when to log it: the first time, and then once in a while.
#[derive(Debug)]
pub struct Rarely {
    every: Duration,
    told: Option<Instant>,
    untold: u64,
}

impl Rarely {
    /// Reported at most once in `every`.
    pub const fn every(every: Duration) -> Self {
        Self { every, told: None, untold: 0 }
    }

    /// It has happened now. If that is to be reported: how often it has happened since the last report.
    #[must_use]
    pub fn happened(&mut self) -> Option<u64> {
        self.happened_at(Instant::now())
    }

    fn happened_at(&mut self, now: Instant) -> Option<u64> {
        self.untold += 1;
        if self.told.is_some_and(|told| now.saturating_duration_since(told) < self.every) {
            return None;
        }
        self.told = Some(now);
        Some(std::mem::take(&mut self.untold))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_happens_often_is_told_rarely() {
        let mut rarely = Rarely::every(Duration::from_secs(10));
        let begun = Instant::now();
        let told: Vec<_> = (0..=200)
            .filter_map(|tenth| rarely.happened_at(begun + Duration::from_millis(100 * tenth)))
            .collect();
        assert_eq!(told, [1, 100, 100]);
    }
}
