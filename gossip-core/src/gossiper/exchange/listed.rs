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

#[cfg(test)]
mod tests {
    use super::*;

    const INTERVAL: Duration = Duration::from_secs(1);
    const KNOWN: usize = 20;

    fn peer(n: u16) -> Endpoint {
        Endpoint::v4([10, 0, 0, 2], n)
    }

    fn at(ms: u64) -> (Timestamp, Duration) {
        (Timestamp::from_millis(ms), INTERVAL)
    }

    /// It learned of an endpoint at 0 ms.
    fn listed() -> Listed {
        let mut listed = Listed::new();
        listed.note_learned(at(0).0);
        listed
    }

    #[test]
    fn a_sender_that_lists_fewer_than_are_known_is_sent_a_syn() {
        for (known, lists, expected) in [
            (KNOWN, 1, true),
            (KNOWN, KNOWN - 1, true),
            (KNOWN, KNOWN, false),
            (KNOWN, KNOWN + 1, false),
            (MANY, 1, true),
            (MANY - 1, 1, false),
        ] {
            let answer = listed().lists_too_few(peer(1), (lists, false), known, at(0));
            assert_eq!(answer, expected, "{lists} of {known}");
        }
    }

    #[test]
    fn what_the_parts_of_a_syn_list_is_added_up_and_each_lists_the_sender() {
        for (parts, expected) in
            [(&[10, 10][..], true), (&[10, 11], false), (&[7, 7, 7], true), (&[8, 7, 7], false)]
        {
            let mut listed = listed();
            let (last, first) = parts.split_last().unwrap();
            for part in first {
                assert!(!listed.lists_too_few(peer(1), (*part, true), KNOWN, at(0)), "more of it may follow");
            }
            assert_eq!(listed.lists_too_few(peer(1), (*last, false), KNOWN, at(0)), expected, "{parts:?}");
        }
    }

    #[test]
    fn a_sender_is_answered_once_for_what_it_sends_within_half_an_interval() {
        let mut listed = listed();
        let mut is_answered = |ms| listed.lists_too_few(peer(1), (2, false), KNOWN, at(ms));
        assert!(is_answered(1_000));
        assert!(!is_answered(1_000) && !is_answered(1_001) && !is_answered(1_500));
        assert!(is_answered(1_501));
        assert!(!is_answered(2_001));
    }

    #[test]
    fn syns_are_answered_until_ten_intervals_after_the_last_new_endpoint() {
        let is_answered = |mut listed: Listed, ms| listed.lists_too_few(peer(1), (1, false), KNOWN, at(ms));
        assert!(!is_answered(Listed::new(), 0), "no endpoint was learned of");
        assert!(is_answered(listed(), 10_000));
        assert!(!is_answered(listed(), 10_001));
    }

    #[test]
    fn so_many_syns_are_answered_in_a_round() {
        let mut listed = listed();
        let mut answered = |senders: core::ops::Range<u16>| {
            senders.filter(|n| listed.lists_too_few(peer(*n), (1, false), KNOWN, at(0))).count()
        };
        assert_eq!(answered(0..100), usize::from(MAX_ANSWERS));
        assert_eq!(answered(100..200), 0);
        listed.begin_round();
        assert!(listed.lists_too_few(peer(200), (1, false), KNOWN, at(0)));
    }

    #[test]
    fn the_last_senders_are_remembered_and_the_first_of_them_is_forgotten_first() {
        let mut listed = listed();
        let mut is_answered = |n| listed.lists_too_few(peer(n), (1, false), KNOWN, at(0));
        assert!((0..16).all(&mut is_answered));
        assert!(!(0..16).any(&mut is_answered), "each is remembered");
        assert!(is_answered(16));
        assert!(!(1..17).any(&mut is_answered));
        assert!(is_answered(0), "its place was taken");
    }

    #[test]
    fn a_young_node_joins_while_it_learns_of_others() {
        let is_joining = |age_ms, ms| listed().is_joining(Duration::from_millis(age_ms), at(ms));
        assert!(is_joining(0, 0) && is_joining(59_999, 2_000));
        assert!(!is_joining(60_000, 0) && !is_joining(60_001, 0), "it is not young");
        assert!(!is_joining(0, 2_001), "nothing was learned lately");
        assert!(!Listed::new().is_joining(Duration::ZERO, at(0)));
    }
}
