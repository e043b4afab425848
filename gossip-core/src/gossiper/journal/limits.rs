//! Telling of limits that are otherwise only counted: each at most once an hour.

use core::time::Duration;

use super::Journal;
use crate::event::Event;
use crate::limit::Limit;
use crate::time::Timestamp;

/// How long a limit is not reported again.
const PAUSE: Duration = Duration::from_hours(1);

/// What was reported of each limit.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Limits {
    told: [(u64, Option<Timestamp>); Limit::ALL.len()],
}

impl Journal {
    /// Looks once a round whether a counter has grown.
    pub(in super::super) fn watch_limits(&mut self, now: Timestamp) {
        for (at, limit) in Limit::ALL.into_iter().enumerate() {
            let count = limit.count(&self.stats);
            let (seen, told) = self.limits.told[at];
            let is_due = told.is_none_or(|told| now.saturating_since(told) >= PAUSE);
            if count > seen && is_due {
                self.limits.told[at] = (count, Some(now));
                self.tell(Event::LimitReached { limit, count: count - seen });
            }
        }
    }
}
