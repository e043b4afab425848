//! Monotonic time as the core sees it: a number that the driver hands in.

use core::ops::{Add, Sub};
use core::time::Duration;

/// A point in time: nanoseconds since a moment that the driver chose, usually its own start.
///
/// The core reads no clock. Every method that needs the time takes it as its first argument; time that goes
/// backwards counts as no time passing. Arithmetic saturates at both ends (2⁶⁴ ns are 584 years).
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Timestamp(u64);

impl Timestamp {
    /// The moment from which the driver counts.
    pub const ZERO: Self = Self(0);

    /// The moment `nanos` nanoseconds after [`Timestamp::ZERO`].
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// The moment `millis` milliseconds after [`Timestamp::ZERO`].
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis.saturating_mul(1_000_000))
    }

    /// Nanoseconds since [`Timestamp::ZERO`].
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// How long `earlier` lies back; zero if it does not.
    pub const fn saturating_since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

/// Whole nanoseconds of `duration`, at most `u64::MAX`.
pub(crate) fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

impl Add<Duration> for Timestamp {
    type Output = Self;

    fn add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(nanos(duration)))
    }
}

impl Sub<Duration> for Timestamp {
    type Output = Self;

    fn sub(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(nanos(duration)))
    }
}

/// Turns [`std::time::Instant`]s into [`Timestamp`]s, counted from the moment it was anchored to.
#[cfg(feature = "std")]
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    anchor: std::time::Instant,
}

#[cfg(feature = "std")]
impl Clock {
    /// Starts at [`Timestamp::ZERO`] now.
    #[expect(clippy::disallowed_methods, reason = "this is the driver's clock, not the protocol's")]
    pub fn start() -> Self {
        Self { anchor: std::time::Instant::now() }
    }

    /// The present moment.
    #[expect(clippy::disallowed_methods, reason = "this is the driver's clock, not the protocol's")]
    pub fn now(&self) -> Timestamp {
        Timestamp::from_nanos(nanos(std::time::Instant::now().duration_since(self.anchor)))
    }

    /// The `Instant` that `timestamp` stands for, so that a driver can sleep until then; `None` if it lies
    /// beyond what an `Instant` can hold.
    pub fn instant(&self, timestamp: Timestamp) -> Option<std::time::Instant> {
        self.anchor.checked_add(Duration::from_nanos(timestamp.as_nanos()))
    }

    /// Milliseconds since the Unix epoch by the system's clock, for [`Input::WallClock`](crate::Input::WallClock).
    #[expect(clippy::disallowed_methods, reason = "this is the driver's clock, not the protocol's")]
    pub fn unix_millis() -> u64 {
        std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
    }
}

/// How long something takes: the longest of the last times, which fades with each that is shorter.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Peak(Duration);

impl Peak {
    pub(crate) const ZERO: Self = Self(Duration::ZERO);

    pub(crate) const fn get(self) -> Duration {
        self.0
    }

    /// It took so long this time.
    pub(crate) fn note(&mut self, took: Duration) {
        self.0 = took.max((self.0.saturating_mul(7).saturating_add(took)) / 8);
    }

    /// Lets it fade by one of so many parts: what was slow once is not slow for ever, where hardly anything is noted.
    pub(crate) fn fade(&mut self, parts: u32) {
        self.0 -= self.0 / parts;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peak_is_reached_at_once_and_fades() {
        let mut peak = Peak::ZERO;
        peak.note(Duration::from_secs(8));
        assert_eq!(peak.get(), Duration::from_secs(8));
        peak.note(Duration::ZERO);
        assert_eq!(peak.get(), Duration::from_secs(7));
        peak.fade(7);
        assert_eq!(peak.get(), Duration::from_secs(6));
        peak.note(Duration::MAX);
        assert_eq!(peak.get(), Duration::MAX);
        peak.note(Duration::MAX);
    }

    #[test]
    fn arithmetic_saturates() {
        let end = Timestamp::from_nanos(u64::MAX);
        assert_eq!(end + Duration::from_secs(1), end);
        assert_eq!(Timestamp::ZERO - Duration::from_secs(1), Timestamp::ZERO);
        assert_eq!(Timestamp::ZERO.saturating_since(end), Duration::ZERO);
        assert_eq!(
            Timestamp::from_millis(5).saturating_since(Timestamp::from_millis(2)),
            Duration::from_millis(3)
        );
    }
}
