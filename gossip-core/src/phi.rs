//! The phi accrual failure detector: how long a silence is, measured by the intervals before it.
//!
//! Hayashibara et al., "The phi accrual failure detector" (2004), in the simplified form of Cassandra
//! (`docs/protocol/failure-detection.md`): intervals are taken to be exponentially distributed, so phi needs one division.

use alloc::vec::Vec;
use core::time::Duration;

use crate::slot::Slot;
use crate::time::{Timestamp, nanos};

/// 1 / ln 10: turns silence in mean intervals into the negative decimal logarithm of its probability.
pub const PHI_FACTOR: f64 = core::f64::consts::LOG10_E;

/// Windows with fewer intervals than this say nothing yet, where digests come round in turn, and over packets. Endpoints that
/// were just learned are in the messages of all peers, and so arrive far more often than ever after. And where many join together, a node that
/// just began may wait for answers for long, and no other node sees its heartbeat grow.
const FEW: u16 = 16;

/// Where no messages get lost, heartbeats come within so many times the pace. Those of a process that has no time for its rounds come later.
const USUAL: u16 = 5;

/// Where the calm is counted in the mark of a window, above its unit of at most 100,000 µs.
const CALM: u32 = 1 << 24;

/// The numbers of the detector.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Settings {
    /// How many intervals a window keeps.
    pub(crate) window: u16,
    /// The interval that is taken for the first report.
    pub(crate) initial: Duration,
    /// Longer intervals are not kept: they are outages, not the rhythm of a live endpoint.
    pub(crate) max: Duration,
    /// The interval that is taken for shorter ones at all times, and for usual ones ([`USUAL`]) while no messages get lost; `None`:
    /// intervals are taken as they are.
    ///
    /// A heartbeat is made once an interval, whatever way it comes. Over packets, that it comes late says how much is lost; that two come
    /// one after the other says nothing.
    pub(crate) pace: Option<Duration>,
}

/// The intervals of all endpoints, by slot, and what judges them.
///
/// Deviation: a window keeps 64 intervals by default where Cassandra keeps 1,000 of nanoseconds. Each has two bytes: the longest one that
/// counts has at most 65,535 units, of 50 µs at the default interval. So it takes a sixtieth of the memory. Detection spreads wider by one
/// to two seconds, false convictions are as many.
#[derive(Clone, Debug)]
pub(crate) struct Arrivals {
    settings: Settings,
    /// After how many rounds everybody's digest has come round: intervals are as many times as long.
    rotation: u32,
    /// The interval that is taken for the first report, in units, and the longest that is kept, in nanoseconds, as the rotation
    /// has them.
    initial: u16,
    max_nanos: u64,
    /// [`Settings::pace`] in units, as the rotation has it; 0: there is none. And the longest interval for which it is taken now.
    pace: u16,
    usual: u16,
    /// Whether no messages get lost, and how often that has begun, modulo 256.
    is_calm: bool,
    calms: u8,
    unit: Unit,
    /// `settings.window` intervals for each slot, in the unit of their window.
    intervals: Vec<u16>,
}

/// In what intervals are kept.
#[derive(Clone, Copy, Debug)]
struct Unit {
    micros: u32,
    /// 2⁶⁴ divided by its nanoseconds, rounded up: a multiplication instead of a division at each arrival.
    inverse: u64,
}

impl Unit {
    /// The smallest of 1, 2, 5, 10, 20, 50 … µs of which the longest interval has no more than 16 bits can count. Intervals of whole
    /// milliseconds are kept exactly up to a longest one of about a minute.
    fn of_longest(longest: Duration) -> Self {
        let longest = micros(nanos(longest));
        let fits = |unit: &u32| longest / *unit < u32::from(u16::MAX);
        let mut units = (0..=5).flat_map(|power| [1, 2, 5].map(|digit| digit * 10_u32.pow(power)));
        let micros = units.find(fits).unwrap_or(100_000);
        Self { micros, inverse: u64::MAX / (u64::from(micros) * 1_000) + 1 }
    }

    /// How many units that is, to the nearest.
    #[inline]
    fn count(self, nanos: u64) -> u16 {
        let nanos = nanos.saturating_add(u64::from(self.micros) * 500);
        let count = (u128::from(nanos) * u128::from(self.inverse)) >> 64;
        u16::try_from(count).unwrap_or(u16::MAX)
    }
}

/// What the intervals of one endpoint come to. The table keeps it beside what else a heartbeat changes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Window {
    /// The sum of the intervals kept, in microseconds.
    total: u64,
    /// When the latest heartbeat arrived.
    last: Timestamp,
    /// How many intervals are kept; none: no heartbeat has arrived yet.
    kept: u16,
    /// Where the next interval goes.
    next: u16,
    /// Under which [`Arrivals::mark`] its intervals are counted.
    mark: u32,
}

/// A silence that may be suspicious, as a number that needs no division: so many nanoseconds for each microsecond of the mean.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Silence(u64);

impl Silence {
    /// None is.
    pub(crate) const NEVER: Self = Self(u64::MAX);

    /// No silence of less than this makes phi exceed the threshold.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "it is rounded down, and kept in bounds"
    )]
    pub(crate) fn of_threshold(phi: f64) -> Self {
        Self(((phi / PHI_FACTOR * 1_000.0) as u64).saturating_sub(1))
    }
}

impl Window {
    /// That of an endpoint of which no heartbeat has arrived.
    pub(crate) const EMPTY: Self = Self { total: 0, last: Timestamp::ZERO, kept: 0, next: 0, mark: 0 };

    /// Whether phi may exceed a threshold; [`Arrivals::phi`] knows it.
    #[inline]
    pub(crate) fn may_be_silent(&self, now: u64, silence: Silence) -> bool {
        let since = now.saturating_sub(self.last.as_nanos());
        u128::from(since) * u128::from(self.kept) > u128::from(self.total) * u128::from(silence.0)
    }

    /// The mean of the intervals kept; `None` before the first heartbeat.
    pub(crate) fn mean(&self) -> Option<Duration> {
        self.total.checked_div(u64::from(self.kept)).map(Duration::from_micros)
    }

    /// In how many microseconds its intervals are counted; 0 before the first heartbeat.
    const fn unit(&self) -> u32 {
        self.mark % CALM
    }

    /// How many intervals are kept.
    pub(crate) const fn kept(&self) -> u16 {
        self.kept
    }

    /// When the latest heartbeat arrived; `None` before the first.
    pub(crate) fn last(&self) -> Option<Timestamp> {
        (self.kept > 0).then_some(self.last)
    }
}

impl Arrivals {
    pub(crate) fn new(settings: Settings) -> Self {
        let mut arrivals = Self {
            settings,
            rotation: 1,
            initial: 0,
            max_nanos: 0,
            pace: 0,
            usual: 0,
            is_calm: false,
            calms: 0,
            unit: Unit::of_longest(Duration::ZERO),
            intervals: Vec::new(),
        };
        arrivals.set_rotation(1);
        arrivals
    }

    /// Says after how many rounds everybody's digest has come round. Intervals up to so many times the longest count from now on:
    /// were they dropped as outages, the mean would be that of the few short ones, and the healthy would be convicted.
    pub(crate) fn set_rotation(&mut self, rounds: u32) {
        self.rotation = rounds.max(1);
        let Settings { initial, max, pace, .. } = self.settings;
        let [initial, max, pace] =
            [initial, max, pace.unwrap_or_default()].map(|duration| duration.saturating_mul(self.rotation));
        self.unit = Unit::of_longest(initial.max(max).max(pace));
        self.initial = self.unit.count(nanos(initial));
        self.max_nanos = nanos(max);
        self.pace = self.unit.count(nanos(pace));
        self.set_usual();
    }

    /// Says whether no messages get lost. Once that begins, the intervals of the time before say nothing any more: from the next heartbeat
    /// of an endpoint on, each of them counts as the pace.
    pub(crate) fn set_calm(&mut self, is_calm: bool) {
        if is_calm && !self.is_calm && self.pace > 0 {
            self.calms = self.calms.wrapping_add(1);
        }
        self.is_calm = is_calm;
        self.set_usual();
    }

    fn set_usual(&mut self) {
        self.usual = if self.is_calm { self.pace.saturating_mul(USUAL) } else { self.pace };
    }

    /// Windows that are counted otherwise are converted first.
    #[inline]
    fn mark(&self) -> u32 {
        (u32::from(self.calms) * CALM) | self.unit.micros
    }

    /// Takes memory for the intervals of so many slots in all.
    pub(crate) fn reserve(&mut self, slots: usize) {
        let needed = slots * usize::from(self.settings.window);
        self.intervals.reserve_exact(needed.saturating_sub(self.intervals.len()));
    }

    /// For how many slots memory was taken.
    #[cfg(test)]
    pub(crate) fn room(&self) -> usize {
        self.intervals.capacity() / usize::from(self.settings.window)
    }

    /// Adds the intervals of the next slot.
    pub(crate) fn push(&mut self) {
        self.intervals.resize(self.intervals.len() + usize::from(self.settings.window), 0);
    }

    /// The intervals of two slots change places.
    pub(crate) fn swap(&mut self, one: usize, other: usize) {
        let size = usize::from(self.settings.window);
        let (first, last) = (one.min(other) * size, one.max(other) * size);
        if first < last {
            let (before, after) = self.intervals.split_at_mut(last);
            before[first..][..size].swap_with_slice(&mut after[..size]);
        }
    }

    /// Takes the arrival of a newer heartbeat.
    // The compiler calls it otherwise, which costs 14 instructions for each heartbeat of 150: `benches/README.md`.
    #[inline(always)]
    pub(crate) fn report(&mut self, slot: Slot, window: &mut Window, now: Timestamp) {
        let interval = if window.kept == 0 {
            self.initial
        } else {
            let interval = now.as_nanos().saturating_sub(window.last.as_nanos());
            if interval > self.max_nanos {
                window.last = now;
                return;
            }
            let interval = self.unit.count(interval);
            if interval <= self.usual { self.pace } else { interval }
        };
        if window.mark != self.mark() {
            self.convert(slot, window);
        }
        window.last = now;
        let size = self.settings.window;
        let place = &mut self.intervals[slot.index() * usize::from(size) + usize::from(window.next)];
        let unit = u64::from(self.unit.micros);
        if window.kept == size {
            window.total -= u64::from(*place) * unit;
        } else {
            window.kept += 1;
        }
        *place = interval;
        window.total += u64::from(interval) * unit;
        window.next = if window.next + 1 == size { 0 } else { window.next + 1 };
    }

    /// Counts the intervals of a window as those of today: the rotation has changed the unit, or no more messages get lost, or it has none.
    #[cold]
    fn convert(&mut self, slot: Slot, window: &mut Window) {
        let size = usize::from(self.settings.window);
        let kept = &mut self.intervals[slot.index() * size..][..usize::from(window.kept)];
        let unit = u64::from(window.unit()) * 1_000;
        let is_past = window.mark / CALM != u32::from(self.calms);
        window.total = 0;
        for place in kept {
            *place = if is_past { self.pace } else { self.unit.count(u64::from(*place) * unit) };
            window.total += u64::from(*place) * u64::from(self.unit.micros);
        }
        window.mark = self.mark();
    }

    /// How suspicious the silence of the endpoint is, on the scale of the threshold; `None` before its first
    /// heartbeat.
    #[expect(
        clippy::cast_precision_loss,
        reason = "nanoseconds of silence and microseconds of a window fit an f64"
    )]
    pub(crate) fn phi(&self, window: &Window, now: Timestamp) -> Option<f64> {
        if window.kept == 0 {
            return None;
        }
        let silence = now.as_nanos().saturating_sub(window.last.as_nanos()) as f64 / 1_000.0;
        let mut mean = window.total.max(1) as f64 / f64::from(window.kept);
        if (self.rotation > 1 || self.pace > 0) && window.kept < FEW {
            mean = mean.max(f64::from(self.initial) * f64::from(self.unit.micros));
        }
        Some(PHI_FACTOR * silence / mean)
    }
}

/// Whole microseconds. The configuration keeps all durations of the detector far below 2³².
fn micros(nanos: u64) -> u32 {
    u32::try_from(nanos / 1_000).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SLOT: Slot = Slot::FIRST;

    /// One endpoint, and what judges it.
    struct One {
        arrivals: Arrivals,
        window: Window,
    }

    impl One {
        fn report(&mut self, now: Timestamp) {
            self.arrivals.report(SLOT, &mut self.window, now);
        }

        /// The intervals kept, in microseconds.
        fn kept(&self) -> Vec<u32> {
            let unit = self.window.unit();
            self.arrivals.intervals.iter().map(|interval| u32::from(*interval) * unit).collect()
        }

        fn phi(&mut self, now: Timestamp) -> Option<f64> {
            self.arrivals.phi(&self.window, now)
        }
    }

    fn windows(window: u16) -> One {
        let two_seconds = Duration::from_secs(2);
        let mut arrivals =
            Arrivals::new(Settings { window, initial: two_seconds, max: two_seconds, pace: None });
        arrivals.push();
        One { arrivals, window: Window::EMPTY }
    }

    fn at(millis: u64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    fn unscaled(windows: &mut One, millis: u64) -> f64 {
        windows.phi(at(millis)).unwrap() / PHI_FACTOR
    }

    #[test]
    fn h1_window_of_four_samples() {
        let mut windows = windows(4);
        for millis in [111, 222, 333, 444, 555] {
            windows.report(at(millis));
        }
        assert_eq!(windows.kept(), [111_000; 4]);
        assert!((unscaled(&mut windows, 666) - 1.0).abs() < 0.01);
        assert!((unscaled(&mut windows, 3_000) - 22.03).abs() < 0.01);
    }

    #[test]
    fn each_endpoint_has_intervals_of_its_own() {
        let longest = Duration::from_mins(1);
        let mut arrivals = Arrivals::new(Settings { window: 3, initial: longest, max: longest, pace: None });
        let slots: Vec<Slot> = (0..4).map(Slot::from_number).collect();
        let mut windows = [Window::EMPTY; 4];
        slots.iter().for_each(|_| arrivals.push());
        // So often that each window is full, and its intervals are those of its endpoint alone. Then the unit changes.
        for rotation in [1, 5] {
            arrivals.set_rotation(rotation);
            for beat in 0..8 {
                for (slot, window) in slots.iter().zip(&mut windows) {
                    arrivals.report(*slot, window, at(10_000 * beat * (slot.index() as u64 + 1) / 4));
                }
            }
            for (slot, window) in slots.iter().zip(&mut windows) {
                let interval = Duration::from_millis(2_500 * (slot.index() as u64 + 1));
                assert_eq!((window.kept(), window.mean()), (3, Some(interval)), "{slot:?}");
                let kept = &arrivals.intervals[slot.index() * 3..][..3];
                let kept: Vec<u64> =
                    kept.iter().map(|count| u64::from(*count) * u64::from(window.unit())).collect();
                assert_eq!(kept, [u64::try_from(interval.as_micros()).unwrap(); 3], "{slot:?}");
                *window = Window { last: Timestamp::ZERO, ..*window };
            }
        }
    }

    #[test]
    fn h2_bounded_statistics() {
        let mut windows = windows(4);
        assert_eq!(windows.window.mean(), None);
        let mut now = 0;
        windows.report(at(now));
        for interval in [1, 2, 3, 4, 5] {
            now += interval;
            windows.report(at(now));
        }
        let mut kept = windows.kept();
        kept.sort_unstable();
        assert_eq!(kept, [2_000, 3_000, 4_000, 5_000]);
        assert_eq!(windows.window.mean(), Some(Duration::from_micros(3_500)));

        let mut windows = super::tests::windows(5);
        let mut now = 0;
        windows.report(at(now));
        for interval in 0..=1_000 {
            now += interval;
            windows.report(at(now));
        }
        let mut kept = windows.kept();
        kept.sort_unstable();
        assert_eq!(kept, [996_000, 997_000, 998_000, 999_000, 1_000_000]);
    }

    #[test]
    fn h3_first_report() {
        let mut windows = windows(64);
        windows.report(at(0));
        assert_eq!(windows.window.mean(), Some(Duration::from_secs(2)));
        assert!((windows.phi(at(36_840)).unwrap() - 8.0).abs() < 0.001);
        assert!(windows.phi(at(36_840)).unwrap() < 8.0);
        assert!(windows.phi(at(36_842)).unwrap() > 8.0);
    }

    #[test]
    fn h4_steady_heartbeats() {
        let mut windows = windows(1_000);
        for second in 0..=1_000 {
            windows.report(at(second * 1_000));
        }
        for (threshold, silence) in [(8.0, 18_420), (12.0, 27_631)] {
            assert!(windows.phi(at(1_000_000 + silence)).unwrap() < threshold);
            assert!(windows.phi(at(1_000_000 + silence + 2)).unwrap() > threshold);
        }
    }

    #[test]
    fn whoever_is_not_looked_at_would_not_be_convicted() {
        let silence = Silence::of_threshold(8.0);
        let mut windows = windows(64);
        assert!(!windows.window.may_be_silent(u64::MAX, silence), "nothing arrived");
        for round in 0_u64..200 {
            windows.report(at(round * 1_000 + round * round % 700));
            let last = windows.window.last().unwrap();
            for micros in (0..40_000_000).step_by(90_001) {
                let now = last + Duration::from_micros(micros);
                let is_looked_at = windows.window.may_be_silent(now.as_nanos(), silence);
                let phi = windows.phi(now).unwrap();
                assert!(is_looked_at || phi <= 8.0, "{phi}");
                assert!(!is_looked_at || phi > 7.999, "{phi}");
            }
        }
    }

    #[test]
    fn h5_long_gap_is_not_kept() {
        let mut windows = windows(64);
        windows.report(at(0));
        windows.report(at(3_000));
        assert_eq!(windows.window.mean(), Some(Duration::from_secs(2)), "only the initial interval");
        windows.report(at(4_000));
        assert_eq!(
            windows.window.mean(),
            Some(Duration::from_millis(1_500)),
            "measured from the latest arrival"
        );
    }

    #[test]
    fn an_interval_as_long_as_the_longest_counts() {
        let mut windows = windows(2);
        windows.report(at(0));
        windows.report(at(2_000));
        assert_eq!(windows.window.kept(), 2);
        windows.report(Timestamp::from_millis(4_000) + Duration::from_nanos(1));
        assert_eq!(windows.window.kept(), 2);
        windows.report(at(5_000));
        assert_eq!(windows.kept(), [1_000_000, 2_000_000]);
    }

    #[test]
    fn without_a_pace_a_calm_network_changes_no_interval() {
        let mut windows = windows(4);
        windows.arrivals.set_calm(true);
        for millis in [0, 1_500, 2_700] {
            windows.report(at(millis));
        }
        assert_eq!(windows.kept(), [2_000_000, 1_500_000, 1_200_000, 0]);
    }

    #[test]
    fn intervals_scale_with_the_rotation_of_digests() {
        let mut windows = windows(64);
        windows.arrivals.set_rotation(5);
        windows.report(at(0));
        assert_eq!(windows.window.mean(), Some(Duration::from_secs(10)));
        windows.report(at(9_000));
        assert_eq!(windows.window.mean(), Some(Duration::from_millis(9_500)), "it is no outage");
        windows.report(at(19_001));
        assert_eq!(windows.window.mean(), Some(Duration::from_millis(9_500)), "that is one");
        // News comes faster than digests in their turn: a few such intervals say nothing of those.
        let mut now = 19_001;
        while windows.window.kept < FEW - 1 {
            now += 100;
            windows.report(at(now));
        }
        assert!(windows.window.mean().unwrap() < Duration::from_secs(2));
        let phi = windows.phi(at(now + 10_000)).unwrap() / PHI_FACTOR;
        assert!((phi - 1.0).abs() < 0.001, "{phi}");
        windows.report(at(now + 100));
        let phi = windows.phi(at(now + 10_100)).unwrap() / PHI_FACTOR;
        assert!(phi > 5.0, "{phi}");
    }

    #[test]
    fn intervals_are_kept_in_16_bits_whatever_the_longest_is() {
        for (longest, unit) in [(1, 1), (65, 1), (66, 2), (2_000, 50), (8_000, 200), (4_260_000, 100_000)] {
            let unit_of = Unit::of_longest(Duration::from_millis(longest));
            assert_eq!(unit_of.micros, unit, "of {longest} ms");
            for nanos in (0..longest * 1_000_000).step_by(usize::try_from(longest).unwrap() * 7_919) {
                let (count, unit) = (u64::from(unit_of.count(nanos)), u64::from(unit) * 1_000);
                assert!((count * unit).abs_diff(nanos) <= unit / 2, "{nanos} of {longest} ms: {count}");
            }
        }
        assert_eq!(Unit::of_longest(Duration::from_secs(2)).count(u64::MAX), u16::MAX);
    }

    #[test]
    fn another_rotation_keeps_the_intervals_and_their_mean() {
        let mut windows = windows(4);
        for millis in [0, 1_000, 1_900, 3_000, 3_700, 4_900] {
            windows.report(at(millis));
        }
        let (kept, mean) = (windows.kept(), windows.window.mean());
        for rotation in [7, 1, 16, 1] {
            windows.arrivals.set_rotation(rotation);
            windows.arrivals.convert(SLOT, &mut windows.window);
            assert_eq!((windows.kept(), windows.window.mean()), (kept.clone(), mean), "of {rotation} rounds");
        }
    }

    #[test]
    fn over_packets_each_interval_counts_alike_until_packets_get_lost() {
        let (pace, max) = (Duration::from_millis(900), Duration::from_secs(8));
        let initial = Duration::from_secs(2);
        let mut arrivals = Arrivals::new(Settings { window: 8, initial, max, pace: Some(pace) });
        arrivals.push();
        let mut windows = One { arrivals, window: Window::EMPTY };
        let mut now = 0;
        let mut report = |windows: &mut One, intervals: &[u64]| {
            for interval in intervals {
                now += interval;
                windows.report(at(now));
            }
            windows.window.mean()
        };
        windows.arrivals.set_calm(true);
        assert_eq!(report(&mut windows, &[0, 100, 2_700, 900, 1_800, 20_000, 1, 1, 1, 1]), Some(pace));
        // Some get lost: long silences count, and heartbeats that come together do not make the others seem late.
        windows.arrivals.set_calm(false);
        assert_eq!(report(&mut windows, &[100; 8]), Some(pace));
        assert_eq!(
            report(&mut windows, &[4_000, 100, 4_000, 100, 4_000, 100, 4_000, 100]),
            Some(Duration::from_millis(2_450))
        );
        assert_eq!(report(&mut windows, &[9_000]), Some(Duration::from_millis(2_450)), "that is an outage");
    }

    /// A window of four over packets, and the mean after heartbeats at such intervals.
    fn over_packets() -> (One, impl FnMut(&mut One, &[u64]) -> Option<Duration>) {
        let pace = Some(Duration::from_millis(900));
        let (initial, max) = (Duration::from_secs(2), Duration::from_secs(8));
        let mut arrivals = Arrivals::new(Settings { window: 4, initial, max, pace });
        arrivals.push();
        let mut now = 0;
        let report = move |windows: &mut One, intervals: &[u64]| {
            for interval in intervals {
                now += interval;
                windows.report(at(now));
            }
            windows.window.mean()
        };
        (One { arrivals, window: Window::EMPTY }, report)
    }

    #[test]
    fn who_has_no_time_for_its_rounds_is_given_more_even_if_no_packets_get_lost() {
        let (mut windows, mut report) = over_packets();
        windows.arrivals.set_calm(true);
        assert_eq!(
            report(&mut windows, &[0, 2_000, 5_000, 8_000]),
            Some(Duration::from_millis((2_000 + 900 + 5_000 + 8_000) / 4))
        );
    }

    #[test]
    fn over_packets_few_intervals_do_not_convict_whom_nobody_hears_while_many_join() {
        let (mut windows, mut report) = over_packets();
        windows.arrivals.set_calm(true);
        assert_eq!(report(&mut windows, &[0, 1_000]), Some(Duration::from_millis(1_450)));
        let phi = |windows: &mut One| windows.phi(windows.window.last + Duration::from_secs(30)).unwrap();
        assert!(phi(&mut windows) < 8.0, "as if only the initial interval were known");
        for _ in windows.window.kept()..FEW {
            windows.window.kept += 1;
            windows.window.total += 900_000;
        }
        assert!(phi(&mut windows) > 12.0);
    }

    #[test]
    fn once_no_more_packets_get_lost_what_was_before_says_nothing() {
        let (mut windows, mut report) = over_packets();
        assert_eq!(report(&mut windows, &[0, 2_000, 2_600, 2_400]), Some(Duration::from_millis(2_250)));
        let silent = windows.window.mean();
        windows.arrivals.set_calm(true);
        assert_eq!(windows.window.mean(), silent, "who is silent is judged as before");
        assert_eq!(report(&mut windows, &[1_000]), Some(Duration::from_millis(900)), "who is heard is not");
        // It is calm once more, after a time in which it was not.
        windows.arrivals.set_calm(false);
        assert_eq!(report(&mut windows, &[2_100; 4]), Some(Duration::from_millis(2_100)));
        windows.arrivals.set_calm(true);
        assert_eq!(report(&mut windows, &[1_000]), Some(Duration::from_millis(900)));
        // Another unit is no other calm.
        assert_eq!(report(&mut windows, &[5_400]), Some(Duration::from_millis((3 * 900 + 5_400) / 4)));
        windows.arrivals.set_rotation(5);
        assert_eq!(
            report(&mut windows, &[4_500]),
            Some(Duration::from_millis((2 * 900 + 5_400 + 4_500) / 4))
        );
    }

    #[test]
    fn forgotten_arrivals_start_anew() {
        let mut windows = windows(64);
        windows.report(at(0));
        windows.report(at(500));
        assert!(windows.phi(at(1_000)).is_some());
        windows.window = Window::EMPTY;
        assert_eq!(windows.phi(at(2_000)), None);
        assert_eq!((windows.window.mean(), windows.window.last()), (None, None));
    }

    #[test]
    fn intervals_change_places_with_their_slots() {
        let second = Duration::from_secs(1);
        let mut arrivals = Arrivals::new(Settings { window: 2, initial: second, max: second, pace: None });
        (0..3).for_each(|_| arrivals.push());
        arrivals.intervals = (0..6).collect();
        arrivals.swap(0, 2);
        assert_eq!(arrivals.intervals, [4, 5, 2, 3, 0, 1]);
        arrivals.swap(2, 1);
        assert_eq!(arrivals.intervals, [4, 5, 0, 1, 2, 3]);
        arrivals.swap(1, 1);
        assert_eq!(arrivals.intervals, [4, 5, 0, 1, 2, 3]);
    }

    #[test]
    fn memory_for_intervals_is_taken_at_once() {
        let second = Duration::from_secs(1);
        let mut arrivals = Arrivals::new(Settings { window: 7, initial: second, max: second, pace: None });
        arrivals.push();
        arrivals.reserve(5);
        assert_eq!(arrivals.room(), 5);
        (1..5).for_each(|_| arrivals.push());
        assert_eq!((arrivals.room(), arrivals.intervals.len()), (5, 35));
    }

    #[test]
    fn the_longest_interval_is_never_taken_for_one_beyond_what_is_kept() {
        for micros in 65_533..65_538 {
            let longest = Duration::from_micros(micros);
            let unit = Unit::of_longest(longest);
            assert!(unit.count(nanos(longest)) < u16::MAX, "{longest:?}");
            assert_eq!(unit.micros, if micros < 65_535 { 1 } else { 2 });
        }
    }
}
