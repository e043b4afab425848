//! What happened: the events for the application, and the counters.
//!
//! Owns: the queue of events, the places of events that must not be lost, the counters, and when what was reported.
//! May see: nothing of the other parts. It is given the time.
//!
//! Rules: the queue is bounded, and lost events are counted. Changes of membership find room where other events find none.
//! Events that something may wait for are never lost.

mod foreign;
mod limits;
mod vital;

use alloc::collections::VecDeque;

pub(super) use self::foreign::ForeignName;
use self::limits::Limits;
use self::vital::Vital;
use crate::event::Event;
use crate::stats::Stats;

/// Events and counters.
#[derive(Clone, Debug)]
pub(super) struct Journal {
    events: VecDeque<Event>,
    /// How many events may wait.
    max_events: usize,
    lost: u32,
    /// Whether the last event was handed out: that the node has stopped.
    is_closed: bool,
    vital: Vital,
    limits: Limits,
    /// The counters. Each part counts what it does.
    pub(super) stats: Stats,
    /// The cluster that a SYN named which is not ours.
    pub(super) foreign_cluster: ForeignName,
    /// The partitioner that a SYN named which is not ours.
    pub(super) foreign_partitioner: ForeignName,
}

impl Journal {
    pub(super) fn new(max_events: usize) -> Self {
        Self {
            events: VecDeque::with_capacity(max_events),
            max_events,
            lost: 0,
            is_closed: false,
            vital: Vital::default(),
            limits: Limits::default(),
            stats: Stats::default(),
            foreign_cluster: ForeignName::default(),
            foreign_partitioner: ForeignName::default(),
        }
    }

    /// Tells the application of an event, as soon as it asks. Nothing comes after [`Event::Stopped`]: packets may still arrive then.
    pub(super) fn tell(&mut self, event: Event) {
        if self.is_closed {
            return;
        }
        let Some(event) = self.vital.keep(event) else { return };
        let limit = self.max_events;
        // Whatever there may be many of leaves room for changes of membership.
        let limit = if event.is_of_membership() { limit } else { limit - limit / 4 };
        if self.events.len() < limit {
            self.events.push_back(event);
        } else if !self.vital.keep_late(event) {
            self.lost += 1;
            self.stats.events_lost += 1;
        }
    }

    /// The next event.
    pub(super) fn next(&mut self) -> Option<Event> {
        let event = self.vital.next().or_else(|| self.events.pop_front());
        if let Some(event) = event.or_else(|| self.vital.next_late()) {
            return Some(event);
        }
        match core::mem::take(&mut self.lost) {
            0 => {
                let has_stopped = self.vital.take_stopped();
                self.is_closed |= has_stopped;
                has_stopped.then_some(Event::Stopped)
            }
            count => Some(Event::Lost { count }),
        }
    }

    /// How many events wait, but for those that are kept apart because none of them may be lost.
    pub(super) fn waiting(&self) -> usize {
        self.events.len()
    }

    /// Forgets the events so far: what a node begins with is no change.
    pub(super) fn clear(&mut self) {
        self.events.clear();
        self.lost = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::endpoint::Endpoint;
    use crate::event::DownCause;
    use crate::version::Generation;

    fn down(n: u16) -> Event {
        let endpoint = Endpoint::v4([10, 0, 0, 1], n);
        Event::Down { endpoint, generation: Generation::new(1), cause: DownCause::Probe }
    }

    #[test]
    fn changes_of_membership_find_room_where_others_find_none() {
        let mut journal = Journal::new(8);
        for n in 0..20 {
            journal.tell(Event::PeerAsks { peer: Endpoint::v4([10, 0, 0, 1], n) });
        }
        assert_eq!((journal.events.len(), journal.stats.events_lost), (6, 14));
        journal.tell(down(1));
        journal.tell(down(2));
        journal.tell(down(3));
        let mut told = core::iter::from_fn(|| journal.next()).skip(6);
        assert_eq!((told.next(), told.next()), (Some(down(1)), Some(down(2))));
        assert_eq!((told.next(), told.next()), (Some(Event::Lost { count: 15 }), None));
    }

    /// The application knows that it has enabled gossip; it does not know what others know.
    #[test]
    fn of_two_raises_that_are_told_as_one_the_cause_is_named_that_nobody_asked_for() {
        use crate::event::RaiseCause::{Enabled, KnownGreater};
        let raised = |old, new, cause| Event::GenerationRaised {
            old: Generation::new(old),
            new: Generation::new(new),
            cause,
        };
        for (first, second, told) in [
            (Enabled, Enabled, Enabled),
            (Enabled, KnownGreater, KnownGreater),
            (KnownGreater, Enabled, KnownGreater),
        ] {
            let mut journal = Journal::new(8);
            journal.tell(raised(1, 2, first));
            journal.tell(raised(2, 5, second));
            assert_eq!((journal.next(), journal.next()), (Some(raised(1, 5, told)), None));
        }
    }

    #[test]
    fn nothing_is_told_after_the_end() {
        let mut journal = Journal::new(8);
        journal.tell(Event::Stopped);
        journal.tell(down(1));
        assert_eq!((journal.next(), journal.next()), (Some(down(1)), Some(Event::Stopped)));
        journal.tell(down(2));
        assert_eq!(journal.next(), None);
    }

    #[test]
    fn an_event_that_something_waits_for_is_never_lost() {
        let mut journal = Journal::new(4);
        (0..9).for_each(|n| journal.tell(down(n)));
        journal.tell(Event::ShadowRoundDone);
        journal.tell(Event::Stopped);
        journal.tell(Event::Removed { generation: Generation::new(7) });
        let told: alloc::vec::Vec<Event> = core::iter::from_fn(|| journal.next()).collect();
        assert_eq!(
            told.first(),
            Some(&Event::Removed { generation: Generation::new(7) }),
            "before all others"
        );
        assert_eq!(told[5..], [Event::ShadowRoundDone, Event::Lost { count: 5 }, Event::Stopped]);
    }
}
