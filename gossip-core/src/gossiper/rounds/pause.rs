//! Pauses of our own process, during and after which no endpoint is convicted (`docs/protocol/failure-detection.md#conviction`).

use core::time::Duration;

use crate::time::Timestamp;

/// Pauses of our own.
///
/// Deviation: a pause is measured since the last round, with any number of endpoints; Cassandra measures between any
/// two verdicts, and takes a time without other endpoints for a pause.
#[derive(Clone, Copy, Debug, Default)]
pub(in super::super) struct Pauses {
    /// After this without a round it is a pause.
    limit: Option<Timestamp>,
    last_pause: Option<Timestamp>,
}

impl Pauses {
    pub(in super::super) fn is_pause(self, now: Timestamp) -> bool {
        self.limit.is_some_and(|limit| now > limit)
    }

    /// A round begins; the next is expected long before `limit`.
    pub(super) const fn begin_interval(&mut self, limit: Timestamp) {
        self.limit = Some(limit);
    }

    /// Nothing was heard until `now`, on purpose: as after a pause, no endpoint is convicted for a while.
    pub(in super::super) fn resumed(now: Timestamp) -> Self {
        Self { last_pause: Some(now), ..Self::default() }
    }

    /// Whether silence is the others' and not our own.
    pub(in super::super) fn may_convict(self, now: Timestamp, allowed: Duration) -> bool {
        self.last_pause.is_none_or(|last| now.saturating_since(last) >= allowed)
    }

    /// The process goes on after a pause. Says how long it was, if rounds were due meanwhile.
    pub(in super::super) fn end_pause(
        &mut self,
        now: Timestamp,
        allowed: Duration,
        are_rounds_due: bool,
    ) -> Option<Duration> {
        let limit = self.limit.take()?;
        if !are_rounds_due {
            return None;
        }
        *self = Self { limit: Some(now + allowed), last_pause: Some(now) };
        Some(now.saturating_since(limit) + allowed)
    }
}
