//! Suspicion (`docs/protocol/failure-detection.md#arrival-window`).

use std::collections::VecDeque;
use std::time::Duration;

use crate::settings::Settings;

/// 1 / ln 10.
pub const PHI_FACTOR: f64 = 0.434_294_481_903_251_76;

/// When news of an endpoint arrived.
#[derive(Clone, Debug)]
pub struct Arrivals {
    intervals: VecDeque<Duration>,
    last: Duration,
}

impl Arrivals {
    /// The first arrival.
    pub fn first(settings: &Settings, now: Duration) -> Self {
        let intervals = VecDeque::from([settings.first_interval]);
        Self { intervals, last: now }
    }

    /// One more arrival. A gap that is too long is not recorded, but it ends here.
    pub fn report(&mut self, settings: &Settings, now: Duration) {
        let interval = now.saturating_sub(self.last);
        if interval <= settings.longest_interval {
            // To the nearest unit.
            let units =
                (interval.as_nanos() + settings.resolution.as_nanos() / 2) / settings.resolution.as_nanos();
            let whole = settings.resolution.as_nanos() * units;
            self.intervals.push_back(Duration::from_nanos(u64::try_from(whole).unwrap_or(u64::MAX)));
            if self.intervals.len() > settings.window {
                self.intervals.pop_front();
            }
        }
        self.last = now;
    }

    /// The mean interval, in seconds.
    pub fn mean(&self) -> f64 {
        let sum: f64 = self.intervals.iter().map(Duration::as_secs_f64).sum();
        sum / self.intervals.len() as f64
    }

    /// How often the mean fits into the silence.
    pub fn unscaled(&self, now: Duration) -> f64 {
        now.saturating_sub(self.last).as_secs_f64() / self.mean()
    }

    /// The suspicion, on the scale of the threshold.
    pub fn phi(&self, now: Duration) -> f64 {
        self.unscaled(now) * PHI_FACTOR
    }

    /// When the newest arrived.
    pub const fn last(&self) -> Duration {
        self.last
    }
}
