//! Which refused packets were reported.

use core::time::Duration;

use crate::endpoint::Endpoint;
use crate::event::PacketRefusal;
use crate::time::Timestamp;

/// How many senders are reported in one pause. Senders name themselves, so a peer can invent any number of them.
const MAX_TOLD: usize = 8;

/// The senders that were reported, and when.
#[derive(Debug)]
pub(crate) struct Refusals {
    told: [Option<(Endpoint, PacketRefusal, Timestamp)>; MAX_TOLD],
    /// How long the same sender is not reported again for the same reason.
    pause: Duration,
}

impl Refusals {
    pub(crate) const fn new(pause: Duration) -> Self {
        Self { told: [None; MAX_TOLD], pause }
    }

    /// Notes a packet that was refused. Returns whether to report it.
    pub(crate) fn note(&mut self, from: Endpoint, refusal: PacketRefusal, now: Timestamp) -> bool {
        let pause = self.pause;
        let is_recent = |told: Timestamp| now.saturating_since(told) < pause;
        let is_it = |told: &&(Endpoint, PacketRefusal, Timestamp)| (told.0, told.1) == (from, refusal);
        if self.told.iter().flatten().find(is_it).is_some_and(|told| is_recent(told.2)) {
            return false;
        }
        let Some(place) = self.told.iter_mut().find(|told| told.is_none_or(|(.., at)| !is_recent(at))) else {
            return false;
        };
        *place = Some((from, refusal, now));
        true
    }
}
