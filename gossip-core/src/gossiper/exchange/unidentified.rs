//! Endpoints whose host id is not known: of each, perhaps only a part of its state is.
//!
//! Only a complete state has a host id. A part may come from a peer that knew no more itself. So SYNs request the complete states of these
//! endpoints, again and again.
//!
//! Owns: whether there are such endpoints, and when they are requested. May see: the table.

use core::time::Duration;

use crate::slot::Slot;
use crate::status::StatusKind;
use crate::table::EndpointTable;
use crate::time::Timestamp;
use crate::version::Generation;

/// The longest pause between two requests, in intervals.
const MAX_PAUSE: u32 = 64;

/// Whether there may be unidentified endpoints, and when the complete states of all are requested next.
#[derive(Clone, Copy, Debug)]
pub(super) struct Unidentified {
    are_there: bool,
    next: Timestamp,
    /// How many intervals pass between the next request and the one after it.
    pause: u32,
}

impl Unidentified {
    pub(super) const fn new() -> Self {
        Self { are_there: false, next: Timestamp::ZERO, pause: 1 }
    }

    /// The node learned of an unidentified endpoint. If the pauses are long by now, the short ones begin again. Some endpoints never publish a host
    /// id, but this one may.
    pub(super) fn note(&mut self, now: Timestamp, interval: Duration) {
        if !self.are_there || self.pause == MAX_PAUSE {
            *self = Self { are_there: true, next: now + interval, pause: 1 };
        }
    }

    /// Whether there may be any.
    pub(super) const fn are_there(&self) -> bool {
        self.are_there
    }

    /// Whether the complete states of all are to be requested now. The pause doubles each time.
    pub(super) fn take_due(&mut self, now: Timestamp, interval: Duration) -> bool {
        let is_due = self.are_there() && now >= self.next;
        if is_due {
            self.next = now + interval.saturating_mul(self.pause);
            self.pause = (2 * self.pause).min(MAX_PAUSE);
        }
        is_due
    }

    /// Whether a SYN requests the complete state of its receiver, if that is unidentified. This ends with the shorter pauses, because some
    /// endpoints never publish a host id.
    pub(super) const fn asks_receivers(&self) -> bool {
        self.are_there() && self.pause < MAX_PAUSE
    }

    /// No endpoint is unidentified.
    pub(super) const fn end(&mut self) {
        self.are_there = false;
    }
}

/// Whether the host id of another endpoint is not known. An endpoint that has stopped or left does not count: peers need no more of it.
/// One that hibernates does.
pub(super) fn is_unidentified(table: &EndpointTable, slot: Slot) -> bool {
    let status = table.status(slot);
    slot != Slot::FIRST
        && table.generation(slot) != Generation::SAVED
        && (!status.is_dead() || status == StatusKind::Hibernate)
        && status != StatusKind::Shutdown
        && table.host_id(slot).is_none()
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;

    #[test]
    fn the_pause_between_two_requests_doubles_up_to_64_intervals() {
        let interval = Duration::from_secs(1);
        let at = |seconds| Timestamp::ZERO + Duration::from_secs(seconds);
        let mut endpoints = Unidentified::new();
        assert!(!endpoints.take_due(at(500), interval), "there are none");
        endpoints.note(at(1_000), interval);
        assert!(endpoints.asks_receivers());
        let requested: Vec<u64> =
            (1_000..1_300).filter(|second| endpoints.take_due(at(*second), interval)).collect();
        assert_eq!(requested, [1_001, 1_002, 1_004, 1_008, 1_016, 1_032, 1_064, 1_128, 1_192, 1_256]);
        assert!(!endpoints.asks_receivers(), "they will never have one");
        endpoints.note(at(1_300), interval);
        assert!(endpoints.asks_receivers(), "a new one may");
        assert!(endpoints.take_due(at(1_301), interval));
        endpoints.take_due(at(1_302), interval);
        endpoints.note(at(1_302), interval);
        assert!(!endpoints.take_due(at(1_303), interval), "each new one makes no request more");
        endpoints.end();
        endpoints.note(at(1_303), interval);
        assert!(endpoints.take_due(at(1_304), interval), "they are others");
    }
}
