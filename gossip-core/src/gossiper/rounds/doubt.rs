//! How far a node doubts itself before it finds others silent.
//!
//! A node that has no time for its own rounds, or that loses packets, or waits long for answers, hears little of everybody. As Lifeguard has it (Dadgar et al., 2018,
//! "local health"), it then allows others more time.

use core::time::Duration;

use crate::time::Timestamp;

/// How long a round takes, as a share of the gossip interval: this is exactly one.
const ONE: u32 = 1_024;

/// The mean moves by a part of this to each new round.
const WEIGHT: u32 = 8;

/// Rounds that take less than an eighth longer than they should are as all others: timers are late by some milliseconds.
const USUAL: u32 = ONE / 8;

/// A round counts as no longer than so many intervals. What takes longer is a pause (`Pauses`).
const MOST: u32 = 4;

/// While packets get lost, or answers are late, silence counts half.
const OF_STRAIN: f64 = 2.0;

/// How long the rounds of this process took lately.
#[derive(Clone, Copy, Debug)]
pub(in super::super) struct Doubt {
    begun: Option<Timestamp>,
    mean: u32,
}

impl Doubt {
    pub(super) const fn new() -> Self {
        Self { begun: None, mean: ONE }
    }

    /// A round begins.
    pub(super) fn begin_round(&mut self, now: Timestamp, interval: Duration) {
        if let Some(begun) = self.begun.replace(now) {
            let took = now.saturating_since(begun).min(interval.saturating_mul(MOST));
            let took = took.as_nanos() * u128::from(ONE) / interval.as_nanos().max(1);
            let took = u32::try_from(took).unwrap_or(MOST * ONE).max(ONE);
            self.mean = (self.mean * (WEIGHT - 1) + took).div_ceil(WEIGHT);
        }
    }

    /// The process did not run, which is counted elsewhere.
    pub(super) const fn forget(&mut self) {
        self.begun = None;
    }

    /// How many times as long as otherwise an endpoint may be silent. `is_strained` says that packets get lost, or that answers are late.
    pub(in super::super) fn factor(self, is_strained: bool) -> f64 {
        let of_strain = if is_strained { OF_STRAIN } else { 1.0 };
        let is_late = self.mean > ONE + USUAL;
        of_strain * if is_late { f64::from(self.mean) / f64::from(ONE) } else { 1.0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INTERVAL: Duration = Duration::from_secs(1);

    /// After so many rounds that took so long each.
    fn after(rounds: u32, each: Duration) -> Doubt {
        let mut doubt = Doubt::new();
        for round in 0..=rounds {
            doubt.begin_round(Timestamp::ZERO + each * round, INTERVAL);
        }
        doubt
    }

    #[test]
    #[expect(clippy::float_cmp, reason = "it is exactly one")]
    fn rounds_in_time_leave_no_doubt() {
        assert_eq!(after(100, INTERVAL).factor(false), 1.0);
        assert_eq!(after(100, INTERVAL + Duration::from_millis(50)).factor(false), 1.0);
        assert_eq!(after(1, INTERVAL * 1_000).factor(true) / after(1, INTERVAL * 4).factor(true), 1.0);
    }

    #[test]
    fn late_rounds_and_lost_packets_give_others_more_time() {
        let factor = after(50, INTERVAL * 2).factor(false);
        assert!((1.9..=2.1).contains(&factor), "{factor}");
        let factor = after(50, INTERVAL * 2).factor(true);
        assert!((3.8..=4.2).contains(&factor), "{factor}");
    }

    #[test]
    #[expect(clippy::float_cmp, reason = "it is exactly one")]
    fn doubt_ends_when_rounds_are_in_time_again() {
        let mut doubt = after(50, INTERVAL * 3);
        let start = Timestamp::from_millis(1_000_000);
        for round in 0..60 {
            doubt.begin_round(start + INTERVAL * round, INTERVAL);
        }
        assert_eq!(doubt.factor(false), 1.0);
    }
}
