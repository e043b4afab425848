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

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint(port: u16) -> Endpoint {
        Endpoint::v4([10, 0, 0, 1], port)
    }

    #[test]
    fn the_same_refusal_is_reported_once_in_a_pause() {
        let mut refusals = Refusals::new(Duration::from_secs(60));
        let at = |seconds: u64| Timestamp::from_millis(seconds * 1_000);
        let (one, other) = (PacketRefusal::NotSealed, PacketRefusal::OtherKey);
        assert!(refusals.note(endpoint(1), one, at(10)));
        assert!(!refusals.note(endpoint(1), one, at(69)));
        assert!(refusals.note(endpoint(1), other, at(69)), "for another reason");
        assert!(refusals.note(endpoint(2), one, at(69)), "of another sender");
        assert!(refusals.note(endpoint(1), one, at(70)), "the pause is over");
        assert!(!refusals.note(endpoint(1), one, at(71)));
        assert!(!refusals.note(endpoint(2), one, at(71)));
    }

    /// Senders name themselves, so a peer can invent any number of them.
    #[test]
    fn of_many_senders_few_are_reported_in_a_pause() {
        let mut refusals = Refusals::new(Duration::from_secs(60));
        let mut told = |seconds: u64| {
            let now = Timestamp::from_millis(seconds * 1_000);
            (0..100).filter(|port| refusals.note(endpoint(*port), PacketRefusal::NotSealed, now)).count()
        };
        assert_eq!([told(0), told(30), told(59), told(60)], [MAX_TOLD, 0, 0, MAX_TOLD]);
    }
}
