//! The time, as the node counts it.
//!
//! Owns: the present moment, the last reading of the wall clock, and the version counter.
//! May see: nothing of the other parts.
//!
//! Rules: the time never goes back. A version is given out once. A generation is believed up to a year ahead of the wall clock.

use core::time::Duration;

use crate::time::Timestamp;
use crate::version::{Generation, MAX_AHEAD, Version};

/// One day, in seconds.
const DAY: u64 = 24 * 60 * 60;

/// The time, and the versions that order our values.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    started: Timestamp,
    now: Timestamp,
    wall: Option<WallClock>,
    /// The last version that was given out.
    version: Version,
}

#[derive(Clone, Copy, Debug)]
struct WallClock {
    unix_ms: u64,
    at: Timestamp,
}

impl Clock {
    pub(super) const fn new(now: Timestamp) -> Self {
        Self { started: now, now, wall: None, version: Version::ZERO }
    }

    /// The present moment.
    pub(super) const fn now(&self) -> Timestamp {
        self.now
    }

    /// For how long the process has run.
    pub(super) fn age(&self) -> Duration {
        self.now.saturating_since(self.started)
    }

    /// Lets time pass. A moment that is over changes nothing.
    pub(super) fn advance(&mut self, now: Timestamp) {
        self.now = self.now.max(now);
    }

    /// Takes a reading of the wall clock, now.
    pub(super) const fn set_wall(&mut self, unix_ms: u64) {
        self.wall = Some(WallClock { unix_ms, at: self.now });
    }

    /// Milliseconds since the Unix epoch: the last reading of the wall clock, and what has passed since.
    pub(super) fn unix_ms(&self) -> Option<u64> {
        let wall = self.wall?;
        let elapsed = self.now.saturating_since(wall.at).as_millis();
        Some(wall.unix_ms.saturating_add(u64::try_from(elapsed).unwrap_or(u64::MAX)))
    }

    /// The last version that was given out.
    pub(super) const fn version(&self) -> Version {
        self.version
    }

    /// A version that was not given out before.
    pub(super) fn next_version(&mut self) -> Version {
        // Two thousand million rounds and values are more than a process lives to see; the greatest is a marker.
        self.version = Version::new(self.version.get().saturating_add(1).min(i32::MAX - 16));
        self.version
    }

    /// The greatest generation that is believed now.
    pub(super) fn newest_generation(&self) -> Generation {
        self.generation_ahead(MAX_AHEAD)
    }

    /// The greatest generation that the node may take: one that no peer would refuse within a day.
    pub(super) fn newest_own_generation(&self) -> Generation {
        self.generation_ahead(MAX_AHEAD - DAY)
    }

    fn generation_ahead(&self, seconds: u64) -> Generation {
        let newest = self.unix_ms().map(|unix_ms| unix_ms / 1_000 + seconds);
        Generation::new(newest.and_then(|seconds| i32::try_from(seconds).ok()).unwrap_or(i32::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Timestamp {
        Timestamp::ZERO + Duration::from_secs(seconds)
    }

    #[test]
    fn time_never_goes_back() {
        let mut clock = Clock::new(at(5));
        clock.advance(at(3));
        assert_eq!(clock.now(), at(5));
        clock.advance(at(8));
        assert_eq!(clock.now(), at(8));
    }

    #[test]
    fn a_version_is_given_out_once_and_the_marker_of_a_stop_never() {
        let mut clock = Clock::new(at(0));
        assert_eq!([clock.next_version(), clock.next_version()], [Version::new(1), Version::new(2)]);
        clock.version = Version::new(i32::MAX - 1);
        assert!(clock.next_version() < Version::SHUTDOWN);
    }

    #[test]
    fn a_generation_is_believed_up_to_a_year_ahead_of_the_wall_clock() {
        let mut clock = Clock::new(at(0));
        assert_eq!(clock.newest_generation(), Generation::new(i32::MAX), "without a wall clock");
        clock.set_wall(1_000_000_000_000);
        clock.advance(at(7));
        assert_eq!(clock.unix_ms(), Some(1_000_000_007_000));
        let year = i32::try_from(MAX_AHEAD).unwrap();
        assert_eq!(clock.newest_generation(), Generation::new(1_000_000_007 + year));
        assert_eq!(clock.newest_own_generation(), Generation::new(1_000_000_007 + year - 86_400));
    }
}
