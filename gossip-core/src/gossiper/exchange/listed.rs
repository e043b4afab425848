//! How many endpoints a SYN lists. A sender that lists fewer than are known here is sent a SYN at once, since a SYN is all that
//! tells it of endpoints that it does not know: those that it does not list are not in the answer.

use core::time::Duration;

use crate::endpoint::Endpoint;
use crate::time::Timestamp;

/// How many endpoints a node knows that does more than Cassandra for those that know fewer. Where there are fewer, each is chosen soon.
pub(super) const MANY: usize = 16;

/// For how many intervals after the last new endpoint a young node asks more peers than one a round, and sends no probes.
const LEARNING: u32 = 2;

/// For how many intervals a node is young, at the most.
const YOUTH: u32 = 60;

/// Of how many senders the parts of a SYN are counted together.
const SENDERS: usize = 16;

/// How many SYNs are answered by another in one round.
const MAX_ANSWERS: u16 = 64;

/// For how many intervals after the last new endpoint a SYN that lists too few is answered by another. Later no peer lacks anything, and
/// what a sender does not list it does not want.
const UNSETTLED: u32 = 10;

/// What the last senders of SYNs have listed.
#[derive(Clone, Debug)]
pub(super) struct Listed {
    senders: [Option<Sender>; SENDERS],
    /// Where the next sender goes.
    next: usize,
    /// How many SYNs may yet be answered in this round.
    left: u16,
    /// When the last new endpoint was learned of.
    learned: Option<Timestamp>,
}

#[derive(Clone, Copy, Debug)]
struct Sender {
    endpoint: Endpoint,
    /// When the first part came.
    began: Timestamp,
    listed: usize,
    is_answered: bool,
}

impl Listed {
    pub(super) const fn new() -> Self {
        Self { senders: [None; SENDERS], next: 0, left: MAX_ANSWERS, learned: None }
    }

    pub(super) const fn begin_round(&mut self) {
        self.left = MAX_ANSWERS;
    }

    /// An endpoint was learned of.
    pub(super) const fn note_learned(&mut self, now: Timestamp) {
        self.learned = Some(now);
    }

    /// A SYN came, or a part of one, that lists so many endpoints. Says whether its sender is to be sent one, since it lists fewer than
    /// `known`; once for all parts. `may_follow` says that there may be further parts.
    pub(super) fn lists_too_few(
        &mut self,
        from: Endpoint,
        (listed, may_follow): (usize, bool),
        known: usize,
        (now, interval): (Timestamp, Duration),
    ) -> bool {
        if known < MANY || !self.has_learned_within(UNSETTLED, (now, interval)) {
            return false;
        }
        let left = self.left;
        let sender = self.sender(from, now, interval / 2);
        // Each part lists the sender.
        sender.listed += if sender.listed == 0 { listed } else { listed.saturating_sub(1) };
        let lists_too_few = !may_follow && !sender.is_answered && sender.listed < known;
        if !lists_too_few || left == 0 {
            return false;
        }
        sender.is_answered = true;
        self.left = left - 1;
        true
    }

    /// Whether a node of this age is still joining: it learns of endpoints in nearly every round.
    pub(super) fn is_joining(&self, age: Duration, time: (Timestamp, Duration)) -> bool {
        age < time.1.saturating_mul(YOUTH) && self.has_learned_within(LEARNING, time)
    }

    fn has_learned_within(&self, intervals: u32, (now, interval): (Timestamp, Duration)) -> bool {
        self.learned
            .is_some_and(|learned| now.saturating_since(learned) <= interval.saturating_mul(intervals))
    }

    /// What `from` has listed lately; nothing, if that was longer ago than `together`.
    fn sender(&mut self, from: Endpoint, now: Timestamp, together: Duration) -> &mut Sender {
        let is_it = |sender: &Option<Sender>| sender.is_some_and(|sender| sender.endpoint == from);
        let at = self.senders.iter().position(is_it).unwrap_or_else(|| {
            let at = self.next;
            self.next = (at + 1) % SENDERS;
            self.senders[at] = None;
            at
        });
        let place = &mut self.senders[at];
        place.take_if(|sender| now.saturating_since(sender.began) > together);
        place.get_or_insert(Sender { endpoint: from, began: now, listed: 0, is_answered: false })
    }
}
