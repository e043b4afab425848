//! Whether other nodes accept our state. A node that returns soon after it was forgotten for its silence is ignored for a while
//! (`docs/protocol/life-cycle.md#status-check`), and nothing in the protocol says so: but a peer that ignores us asks for everything of us again and again.

use core::time::Duration;

use super::Publishing;
use crate::endpoint::Endpoint;
use crate::event::Event;
use crate::time::Timestamp;

/// After how many intervals a repeated question means that the answer was not taken. Answers cross within one.
const PATIENCE: u32 = 3;

/// After how many intervals without a further question nothing is made of it any more.
const MEMORY: u32 = 30;

/// After how many answers without a request for our state it is reported that peers ignore it.
const ANSWERS: u32 = 20;

/// How long that is not reported again.
const PAUSE: Duration = Duration::from_hours(1);

/// The first peer that asked for everything of us, and may not have taken it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Acceptance {
    doubtful: Option<Doubt>,
    /// Whether any peer has asked for our state, or whether we can be reached, under our present generation.
    is_taken: bool,
    answers: u32,
    told: Option<Timestamp>,
    /// When it was last reported that a peer ignores us.
    ignored_told: Option<Timestamp>,
}

impl Acceptance {
    /// We have another generation, which no peer knows yet.
    pub(super) const fn begin_again(&mut self) {
        self.is_taken = false;
        self.answers = 0;
    }
}

#[derive(Clone, Copy, Debug)]
struct Doubt {
    by: Endpoint,
    since: Timestamp,
    last: Timestamp,
    is_told: bool,
}

impl Publishing<'_> {
    /// `by` asks for everything of us.
    pub(in super::super) fn on_asked_for_everything(&mut self, by: Endpoint) {
        let (patience, memory) =
            (self.config.interval.saturating_mul(PATIENCE), self.config.interval.saturating_mul(MEMORY));
        let fresh = Doubt { by, since: self.clock.now(), last: self.clock.now(), is_told: false };
        let Some(doubt) = &mut self.own.acceptance.doubtful else {
            self.own.acceptance.doubtful = Some(fresh);
            return;
        };
        if self.clock.now().saturating_since(doubt.last) > memory {
            *doubt = fresh;
        } else if doubt.by == by {
            doubt.last = self.clock.now();
            // A peer could cause this report again and again.
            let told = self.own.acceptance.ignored_told;
            let is_silent = told.is_none_or(|told| self.clock.now().saturating_since(told) > memory);
            let since = self.clock.now().saturating_since(doubt.since);
            if !doubt.is_told && is_silent && since >= patience {
                doubt.is_told = true;
                self.own.acceptance.ignored_told = Some(self.clock.now());
                let at_most = self.config.membership.quarantine.saturating_sub(since);
                self.journal.tell(Event::Ignored { by, at_most });
            }
        }
    }

    /// `by` has answered a SYN of ours, which lists ourselves. A peer that did not know us then requests our state, and a peer that knows us through
    /// others sends an echo request; unless it refuses our state.
    pub(in super::super) fn on_answer(&mut self, by: Endpoint, is_known: bool) {
        self.own.acceptance.is_taken |= is_known;
        if self.own.acceptance.is_taken {
            return;
        }
        self.own.acceptance.answers = self.own.acceptance.answers.saturating_add(1);
        let is_due =
            self.own.acceptance.told.is_none_or(|told| self.clock.now().saturating_since(told) >= PAUSE);
        if self.own.acceptance.answers >= ANSWERS && is_due {
            self.own.acceptance.told = Some(self.clock.now());
            self.journal.tell(Event::NotTaken { by });
        }
    }

    /// `by` has sent an echo request, which it sends only to endpoints that it knows.
    pub(in super::super) fn on_known_to(&mut self, by: Endpoint) {
        self.own.acceptance.is_taken = true;
        if let Some(doubt) = self.own.acceptance.doubtful.take_if(|doubt| doubt.by == by)
            && doubt.is_told
        {
            self.journal.tell(Event::Accepted { by });
        }
    }
}
