//! Generations that the wall clock makes impossible, and whose clock is the odd one.

use core::time::Duration;

use smallvec::SmallVec;

use super::Membership;
use crate::endpoint::Endpoint;
use crate::event::{ClockSuspect, Event};
use crate::slot::Slot;
use crate::time::Timestamp;
use crate::version::Generation;

/// How long the generation of an endpoint is not reported again.
const PAUSE: Duration = Duration::from_hours(1);

/// For how many endpoints that is remembered.
const MAX_TOLD: usize = 8;

/// A clock that differs by less is not wrong for this purpose, in seconds.
const TOLERANCE: i64 = 24 * 60 * 60;

/// Which impossible generations were reported, and when.
#[derive(Clone, Debug, Default)]
pub(super) struct Clocks {
    told: SmallVec<[(Endpoint, Timestamp); MAX_TOLD]>,
}

impl Membership<'_> {
    /// A generation was refused because it is more than a year ahead of the wall clock.
    pub(in super::super) fn on_future_generation(&mut self, endpoint: Endpoint, generation: Generation) {
        // The sender of a state about us is not the node that it concerns.
        if endpoint == self.config.local {
            return;
        }
        let now = self.clock.now();
        let is_over = |told: Timestamp| now.saturating_since(told) >= PAUSE;
        let told = &mut self.members.clocks.told;
        match told.iter_mut().find(|(other, _)| *other == endpoint) {
            Some((_, told)) if !is_over(*told) => return,
            Some((_, told)) => *told = now,
            None => {
                told.retain(|(_, told)| !is_over(*told));
                if told.len() == MAX_TOLD {
                    return;
                }
                told.push((endpoint, now));
            }
        }
        let Some(unix_ms) = self.clock.unix_ms() else { return };
        let seconds = i64::try_from(unix_ms / 1_000).unwrap_or(i64::MAX);
        let ahead = u64::try_from(i64::from(generation.get()).saturating_sub(seconds)).unwrap_or(0);
        let agrees = |other: Generation| {
            other > Generation::SAVED && i64::from(other.get()) <= seconds.saturating_add(TOLERANCE)
        };
        let others =
            self.members.table.slots().skip(1).filter(|slot| self.members.table.endpoint(*slot) != endpoint);
        let suspect = if others.map(|slot: Slot| self.members.table.generation(slot)).any(agrees) {
            ClockSuspect::Theirs
        } else if self.members.clocks.told.len() > 1 {
            ClockSuspect::Ours
        } else {
            ClockSuspect::Either
        };
        let ahead = Duration::from_secs(ahead);
        self.journal.tell(Event::FutureGeneration { endpoint, generation, ahead, suspect });
    }
}
