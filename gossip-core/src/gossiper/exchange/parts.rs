//! Endpoints of which perhaps a part is known, without a host id: when all of them is asked for again.
//!
//! Owns: whether there are any, and the pause. May see: the table.

use core::time::Duration;

use crate::application_state::ApplicationState;
use crate::slot::Slot;
use crate::status::StatusKind;
use crate::table::EndpointTable;
use crate::time::Timestamp;
use crate::version::Generation;

/// After at most so many intervals it is asked again.
const MAX_PAUSE: u32 = 64;

/// Whether there are such endpoints, and when all of them is asked for again.
#[derive(Clone, Copy, Debug)]
pub(super) struct Parts {
    are_there: bool,
    next: Timestamp,
    /// How many intervals pass before it is asked once more.
    pause: u32,
}

impl Parts {
    pub(super) const fn new() -> Self {
        Self { are_there: false, next: Timestamp::ZERO, pause: 1 }
    }

    /// An endpoint was learned without a host id.
    pub(super) fn note(&mut self, now: Timestamp, interval: Duration) {
        if !self.are_there {
            *self = Self { are_there: true, next: now + interval, pause: 1 };
        }
    }

    /// Whether there may be any.
    pub(super) const fn are_there(&self) -> bool {
        self.are_there
    }

    /// Whether it is time to ask for all of all of them. Asking takes it as done: the pause before the next time is twice as long.
    pub(super) fn begin_question(&mut self, now: Timestamp, interval: Duration) -> bool {
        let is_due = self.are_there && now >= self.next;
        if is_due {
            self.next = now + interval.saturating_mul(self.pause);
            self.pause = (2 * self.pause).min(MAX_PAUSE);
        }
        is_due
    }

    /// Whether each SYN asks its receiver for all of itself. Where endpoints never publish a host id, that has an end.
    pub(super) const fn asks_receivers(&self) -> bool {
        self.are_there && self.pause < MAX_PAUSE
    }

    /// There are none.
    pub(super) const fn end(&mut self) {
        self.are_there = false;
    }
}

/// Whether an endpoint is known without a host id, and has not stopped: of who has, what is known is all that peers are to hear.
pub(super) fn is_part(table: &EndpointTable, slot: Slot) -> bool {
    let status = table.status(slot);
    slot != Slot::FIRST
        && table.generation(slot) != Generation::SAVED
        && !status.is_dead()
        && status != StatusKind::Shutdown
        && table.values(slot).get(ApplicationState::HOST_ID).is_none()
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;

    #[test]
    fn the_pause_between_two_questions_doubles_up_to_64_intervals() {
        let interval = Duration::from_secs(1);
        let at = |seconds| Timestamp::ZERO + Duration::from_secs(seconds);
        let mut parts = Parts::new();
        assert!(!parts.begin_question(at(500), interval), "there are none");
        parts.note(at(1_000), interval);
        assert!(parts.asks_receivers());
        let asked: Vec<u64> =
            (1_000..1_300).filter(|second| parts.begin_question(at(*second), interval)).collect();
        assert_eq!(asked, [1_001, 1_002, 1_004, 1_008, 1_016, 1_032, 1_064, 1_128, 1_192, 1_256]);
        assert!(!parts.asks_receivers(), "it never will have one");
        parts.note(at(1_300), interval);
        assert!(!parts.begin_question(at(1_301), interval), "the pause goes on");
        parts.end();
        parts.note(at(1_302), interval);
        assert!(parts.begin_question(at(1_303), interval), "they are others");
    }
}
