//! Events that must not be lost.

use crate::event::{Event, MAX_OUTCOMES, RaiseCause};
use crate::version::Generation;

/// Events that must not be lost, because something may wait for them. Each kind has a place of its own, so that no number of
/// other events takes it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Vital {
    // These are handed out before all others.
    raised: Option<(Generation, Generation, RaiseCause)>,
    removed: Option<Generation>,
    // These keep their order among the others, and are here only if there was no room.
    /// The end of the shadow round.
    shadow: Option<Event>,
    conflict: Option<Event>,
    outcomes: [Option<Event>; MAX_OUTCOMES],
    /// Handed out last of all.
    is_stopped: bool,
}

impl Vital {
    /// Keeps an event that is handed out before or after all others. Returns any other.
    pub(super) const fn keep(&mut self, event: Event) -> Option<Event> {
        match event {
            Event::GenerationRaised { old, new, cause } => {
                let (old, cause) = match self.raised {
                    // Of two causes the one counts that the operator does not know of.
                    Some((first, _, RaiseCause::KnownGreater)) => (first, RaiseCause::KnownGreater),
                    Some((first, ..)) => (first, cause),
                    None => (old, cause),
                };
                self.raised = Some((old, new, cause));
            }
            Event::Removed { generation } => self.removed = Some(generation),
            Event::Stopped => self.is_stopped = true,
            _ => return Some(event),
        }
        None
    }

    /// Keeps an event that must not be lost, though there is no room among the others; says whether it did.
    pub(super) fn keep_late(&mut self, event: Event) -> bool {
        let place = match event {
            Event::AddressConflict { .. }
            | Event::HostIdOfMember { .. }
            | Event::MetadataIdRefused { .. }
            | Event::Withdrawn { .. }
            | Event::Returned { .. } => Some(&mut self.conflict),
            Event::ShadowRoundDone | Event::ShadowRoundFailed => Some(&mut self.shadow),
            Event::Assassinated { .. } | Event::AssassinationAborted { .. } => {
                self.outcomes.iter_mut().find(|place| place.is_none())
            }
            _ => None,
        };
        place.map(|place| *place = Some(event)).is_some()
    }

    /// The events before all others. What is to be stored comes first.
    pub(super) fn next(&mut self) -> Option<Event> {
        if let Some((old, new, cause)) = self.raised.take() {
            return Some(Event::GenerationRaised { old, new, cause });
        }
        self.removed.take().map(|generation| Event::Removed { generation })
    }

    /// What found no room among the others, which are all handed out.
    pub(super) fn next_late(&mut self) -> Option<Event> {
        let kept = [&mut self.shadow, &mut self.conflict].into_iter().chain(&mut self.outcomes);
        kept.into_iter().find_map(Option::take)
    }

    /// Whether the stop is still to be reported.
    pub(super) const fn take_stopped(&mut self) -> bool {
        core::mem::replace(&mut self.is_stopped, false)
    }
}
