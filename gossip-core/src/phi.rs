//! The phi accrual failure detector: how long a silence is, measured by the intervals before it.
//!
//! Hayashibara et al., "The phi accrual failure detector" (2004), in the simplified form of Cassandra
//! (`gossip-semantics.md` §12): intervals are taken to be exponentially distributed, so phi needs one division.

use alloc::vec::Vec;
use core::time::Duration;

use crate::table::Slot;
use crate::time::Timestamp;

/// 1 / ln 10: turns silence in mean intervals into the negative decimal logarithm of its probability.
pub const PHI_FACTOR: f64 = core::f64::consts::LOG10_E;

/// Where digests come round in turn, windows with fewer intervals than this say nothing yet: those first learned of are in
/// everybody's news, and so heard of far more often than ever after.
const FEW: u16 = 16;

/// The numbers of the detector.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Settings {
    /// How many intervals a window keeps.
    pub(crate) window: u16,
    /// The interval that is taken for the first report.
    pub(crate) initial: Duration,
    /// Longer intervals are not kept: they are outages, not the rhythm of a live endpoint.
    pub(crate) max: Duration,
}

/// The arrival windows of all endpoints, by slot.
///
/// Deviation: a window keeps 64 intervals of whole microseconds by default where Cassandra keeps 1,000 of
/// nanoseconds: a sixteenth of the memory. Detection spreads wider by one to two seconds, false convictions are as many.
#[derive(Debug)]
pub(crate) struct ArrivalWindows {
    settings: Settings,
    /// After how many rounds everybody's digest has come round: intervals are as many times as long.
    rotation: u32,
    /// `settings.window` intervals for each slot, in microseconds.
    intervals: Vec<u32>,
    windows: Vec<Window>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Window {
    /// The sum of the intervals kept, in microseconds.
    total: u64,
    /// When the latest heartbeat arrived.
    last: Timestamp,
    /// How many intervals are kept; none: no heartbeat has arrived yet.
    kept: u16,
    /// Where the next interval goes.
    next: u16,
    /// Phi when it was last computed, scaled; negative before that.
    phi: f32,
}

impl Window {
    const EMPTY: Self = Self { total: 0, last: Timestamp::ZERO, kept: 0, next: 0, phi: -1.0 };
}

impl ArrivalWindows {
    pub(crate) const fn new(settings: Settings) -> Self {
        Self { settings, rotation: 1, intervals: Vec::new(), windows: Vec::new() }
    }

    /// Says after how many rounds everybody's digest has come round. Intervals up to so many times the longest count from now on:
    /// were they dropped as outages, the mean would be that of the few short ones, and the healthy would be convicted.
    pub(crate) fn set_rotation(&mut self, rounds: u32) {
        self.rotation = rounds.max(1);
    }

    /// Adds a window for the next slot.
    pub(crate) fn push(&mut self) {
        self.intervals.resize(self.intervals.len() + usize::from(self.settings.window), 0);
        self.windows.push(Window::EMPTY);
    }

    /// Takes the arrival of a newer heartbeat.
    pub(crate) fn report(&mut self, slot: Slot, now: Timestamp) {
        let window = &mut self.windows[slot.index()];
        let interval = if window.kept == 0 {
            self.settings.initial.saturating_mul(self.rotation)
        } else {
            let interval = now.saturating_since(window.last);
            window.last = now;
            if interval > self.settings.max.saturating_mul(self.rotation) {
                return;
            }
            interval
        };
        window.last = now;
        // The configuration keeps both durations far below 2³² µs.
        let interval = u32::try_from(interval.as_micros()).unwrap_or(u32::MAX);
        let size = self.settings.window;
        let place = &mut self.intervals[slot.index() * usize::from(size) + usize::from(window.next)];
        if window.kept == size {
            window.total -= u64::from(*place);
        } else {
            window.kept += 1;
        }
        *place = interval;
        window.total += u64::from(interval);
        window.next = if window.next + 1 == size { 0 } else { window.next + 1 };
    }

    /// How suspicious the silence of the endpoint is, on the scale of the threshold; `None` before its first
    /// heartbeat. The result is remembered.
    #[expect(
        clippy::cast_precision_loss,
        reason = "nanoseconds of silence and microseconds of a window fit an f64"
    )]
    #[expect(clippy::cast_possible_truncation, reason = "phi is remembered to be shown")]
    pub(crate) fn phi(&mut self, slot: Slot, now: Timestamp) -> Option<f64> {
        let window = &mut self.windows[slot.index()];
        if window.kept == 0 {
            return None;
        }
        let silence = now.saturating_since(window.last).as_nanos() as f64 / 1_000.0;
        let mut mean = window.total.max(1) as f64 / f64::from(window.kept);
        if self.rotation > 1 && window.kept < FEW {
            let initial = self.settings.initial.saturating_mul(self.rotation).as_micros();
            mean = mean.max(initial as f64);
        }
        let phi = PHI_FACTOR * silence / mean;
        window.phi = phi as f32;
        Some(phi)
    }

    /// Phi as it was when it was last computed; `None` before that.
    pub(crate) fn last_phi(&self, slot: Slot) -> Option<f64> {
        let phi = self.windows[slot.index()].phi;
        (phi >= 0.0).then_some(f64::from(phi))
    }

    /// The mean of the intervals kept; `None` before the first heartbeat.
    pub(crate) fn mean(&self, slot: Slot) -> Option<Duration> {
        let window = &self.windows[slot.index()];
        window.total.checked_div(u64::from(window.kept)).map(Duration::from_micros)
    }

    /// When the latest heartbeat arrived; `None` before the first.
    pub(crate) fn last(&self, slot: Slot) -> Option<Timestamp> {
        let window = &self.windows[slot.index()];
        (window.kept > 0).then_some(window.last)
    }

    /// Forgets all arrivals of the endpoint.
    pub(crate) fn forget(&mut self, slot: Slot) {
        self.windows[slot.index()] = Window::EMPTY;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SLOT: Slot = Slot::FIRST;

    fn windows(window: u16) -> ArrivalWindows {
        let two_seconds = Duration::from_secs(2);
        let mut windows = ArrivalWindows::new(Settings { window, initial: two_seconds, max: two_seconds });
        windows.push();
        windows
    }

    fn at(millis: u64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    fn unscaled(windows: &mut ArrivalWindows, millis: u64) -> f64 {
        windows.phi(SLOT, at(millis)).unwrap() / PHI_FACTOR
    }

    #[test]
    fn h1_window_of_four_samples() {
        let mut windows = windows(4);
        for millis in [111, 222, 333, 444, 555] {
            windows.report(SLOT, at(millis));
        }
        assert_eq!(windows.intervals, [111_000; 4]);
        assert!((unscaled(&mut windows, 666) - 1.0).abs() < 0.01);
        assert!((unscaled(&mut windows, 3_000) - 22.03).abs() < 0.01);
    }

    #[test]
    fn h2_bounded_statistics() {
        let mut windows = windows(4);
        assert_eq!(windows.mean(SLOT), None);
        let mut now = 0;
        windows.report(SLOT, at(now));
        for interval in [1, 2, 3, 4, 5] {
            now += interval;
            windows.report(SLOT, at(now));
        }
        let mut kept = windows.intervals.clone();
        kept.sort_unstable();
        assert_eq!(kept, [2_000, 3_000, 4_000, 5_000]);
        assert_eq!(windows.mean(SLOT), Some(Duration::from_micros(3_500)));

        let mut windows = super::tests::windows(5);
        let mut now = 0;
        windows.report(SLOT, at(now));
        for interval in 0..=1_000 {
            now += interval;
            windows.report(SLOT, at(now));
        }
        let mut kept = windows.intervals.clone();
        kept.sort_unstable();
        assert_eq!(kept, [996_000, 997_000, 998_000, 999_000, 1_000_000]);
    }

    #[test]
    fn h3_first_report() {
        let mut windows = windows(64);
        windows.report(SLOT, at(0));
        assert_eq!(windows.mean(SLOT), Some(Duration::from_secs(2)));
        assert!((windows.phi(SLOT, at(36_840)).unwrap() - 8.0).abs() < 0.001);
        assert!(windows.phi(SLOT, at(36_840)).unwrap() < 8.0);
        assert!(windows.phi(SLOT, at(36_842)).unwrap() > 8.0);
    }

    #[test]
    fn h4_steady_heartbeats() {
        let mut windows = windows(1_000);
        for second in 0..=1_000 {
            windows.report(SLOT, at(second * 1_000));
        }
        for (threshold, silence) in [(8.0, 18_420), (12.0, 27_631)] {
            assert!(windows.phi(SLOT, at(1_000_000 + silence)).unwrap() < threshold);
            assert!(windows.phi(SLOT, at(1_000_000 + silence + 2)).unwrap() > threshold);
        }
    }

    #[test]
    fn h5_long_gap_is_not_kept() {
        let mut windows = windows(64);
        windows.report(SLOT, at(0));
        windows.report(SLOT, at(3_000));
        assert_eq!(windows.mean(SLOT), Some(Duration::from_secs(2)), "only the initial interval");
        windows.report(SLOT, at(4_000));
        assert_eq!(
            windows.mean(SLOT),
            Some(Duration::from_millis(1_500)),
            "measured from the latest arrival"
        );
    }

    #[test]
    fn intervals_scale_with_the_rotation_of_digests() {
        let mut windows = windows(64);
        windows.set_rotation(5);
        windows.report(SLOT, at(0));
        assert_eq!(windows.mean(SLOT), Some(Duration::from_secs(10)));
        windows.report(SLOT, at(9_000));
        assert_eq!(windows.mean(SLOT), Some(Duration::from_millis(9_500)), "it is no outage");
        windows.report(SLOT, at(19_001));
        assert_eq!(windows.mean(SLOT), Some(Duration::from_millis(9_500)), "that is one");
        // News comes faster than digests in their turn: a few such intervals say nothing of those.
        let mut now = 19_001;
        while windows.windows[0].kept < FEW - 1 {
            now += 100;
            windows.report(SLOT, at(now));
        }
        assert!(windows.mean(SLOT).unwrap() < Duration::from_secs(2));
        let phi = windows.phi(SLOT, at(now + 10_000)).unwrap() / PHI_FACTOR;
        assert!((phi - 1.0).abs() < 0.001, "{phi}");
        windows.report(SLOT, at(now + 100));
        let phi = windows.phi(SLOT, at(now + 10_100)).unwrap() / PHI_FACTOR;
        assert!(phi > 5.0, "{phi}");
    }

    #[test]
    fn forgotten_arrivals_start_anew() {
        let mut windows = windows(64);
        windows.report(SLOT, at(0));
        windows.report(SLOT, at(500));
        assert!(windows.phi(SLOT, at(1_000)).is_some());
        windows.forget(SLOT);
        assert_eq!((windows.phi(SLOT, at(2_000)), windows.last_phi(SLOT)), (None, None));
        assert_eq!((windows.mean(SLOT), windows.last(SLOT)), (None, None));
    }
}
