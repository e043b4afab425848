//! How many endpoints are asked at once whether they can be reached.
//!
//! Each question may take a connection in both directions. A node that learns of hundreds of endpoints at once, and asks all of them at once, has
//! more to do than it can on a machine that is busy: then the answers come late, and everything is done again. Therefore few questions are open at
//! first. Each prompt answer lets one more be asked. Answers that take their time show that others are busy, and answers that come too late halve
//! the number of questions. A question counts as open for twice as long as answers take: on a machine that is far behind, so many are asked in that
//! time, and no more. Packets may be lost, so over them all is asked again sooner. Where few endpoints are known, all are asked at once, as in Cassandra.

use core::time::Duration;

use crate::budgets::Budgets;
use crate::time::Peak;

/// How many questions may be open at least, unless fewer may be open at first. The budgets say how many at first, and at most.
const LEAST: usize = 2;

/// A prompt answer takes less than an interval divided by this.
const PROMPT: u32 = 4;

/// After how many intervals an answer is late.
const LATE: u32 = 2;

/// For how many intervals a question counts as open: at least, and at most where answers take long. Then it makes room for another one, since the
/// endpoint may be dead.
const LEAST_OPEN: u32 = 2;
const MOST_OPEN: u32 = 10;

/// How many questions are open, and how many may be.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    room: usize,
    open: usize,
    /// Whether messages are never lost, as over connections: what has no answer yet is late.
    is_reliable: bool,
    /// How long answers take.
    answer_time: Peak,
    /// Whether more endpoints are known than may be asked at once at first.
    has_many: bool,
    /// Whether answers were late in this round.
    is_late: bool,
    /// Whether an endpoint had to wait, and how many rows were looked at since.
    has_waiting: bool,
    looked_at: usize,
    /// From which row on the next endpoint that waits is looked for.
    next: usize,
    /// How many questions may be open at first, and at most later.
    first: usize,
    most: usize,
    /// How many echoes are repeated in a round: where hundreds are without an answer, those that answer have enough to do.
    max_repeats: usize,
}

impl Pace {
    /// `is_reliable` says that messages are never lost.
    pub(super) const fn new(is_reliable: bool, budgets: &Budgets) -> Self {
        Self {
            first: budgets.first_echoes,
            most: budgets.max_echoes,
            max_repeats: budgets.max_repeats,
            room: budgets.first_echoes,
            open: 0,
            is_reliable,
            answer_time: Peak::ZERO,
            has_many: false,
            is_late: false,
            has_waiting: false,
            looked_at: 0,
            next: 0,
        }
    }

    /// Whether one more endpoint may be asked now, which then is.
    pub(super) const fn ask(&mut self) -> bool {
        let may_ask = self.open < self.room;
        if may_ask {
            self.open += 1;
        } else {
            self.has_waiting = true;
            self.looked_at = 0;
        }
        may_ask
    }

    /// One more endpoint is asked now, even if there is no room: it has asked this node, so it lives, and the question goes with the answer.
    pub(super) const fn ask_back(&mut self) {
        self.open += 1;
    }

    /// Whether one more endpoint may be asked now.
    pub(super) const fn has_room(&self) -> bool {
        self.open < self.room
    }

    /// Whether an endpoint had to wait, and may be waiting still.
    pub(super) const fn has_waiting(&self) -> bool {
        self.has_waiting
    }

    /// The row to be looked at next for an endpoint that waits, of those from `first` to `end`; none when all were looked at.
    pub(super) const fn next_row(&mut self, first: usize, end: usize) -> Option<usize> {
        if first + self.looked_at >= end {
            self.has_waiting = false;
            return None;
        }
        self.looked_at += 1;
        let at = if self.next < first || self.next >= end { first } else { self.next };
        self.next = at + 1;
        Some(at)
    }

    /// Rows have moved. Those that wait are looked for from this one on.
    pub(super) const fn begin_at(&mut self, row: usize) {
        self.next = row;
        self.looked_at = 0;
    }

    /// An answer came after so long.
    pub(super) fn on_answer(&mut self, waited: Duration, interval: Duration) {
        if waited < self.patience(interval) {
            self.open = self.open.saturating_sub(1);
        }
        self.answer_time.note(waited.min(interval.saturating_mul(MOST_OPEN)));
        if waited < interval / PROMPT || self.is_slow() && waited < interval.saturating_mul(LATE) {
            self.room = (self.room + 1).min(self.most);
        }
    }

    /// An answer came after the endpoint was asked again, or could have been: it took long.
    pub(super) fn on_late_answer(&mut self, interval: Duration) {
        self.answer_time.note(interval.saturating_mul(MOST_OPEN));
    }

    /// Whether messages are never lost.
    pub(super) const fn is_reliable(&self) -> bool {
        self.is_reliable
    }

    /// How many questions may be repeated in a round.
    pub(super) fn max_repeats(&self) -> usize {
        let are_few = self.is_slow() && self.is_reliable;
        if are_few { (self.room / 2).clamp(1, self.max_repeats) } else { self.max_repeats }
    }

    /// For how long a question counts as open.
    fn patience(&self, interval: Duration) -> Duration {
        let (least, most) = (interval.saturating_mul(LEAST_OPEN), interval.saturating_mul(MOST_OPEN));
        if self.is_reliable { self.answer_time.get().saturating_mul(2).clamp(least, most) } else { least }
    }

    /// Whether answers were late lately.
    pub(super) const fn is_slow(&self) -> bool {
        self.room < self.first
    }

    /// Whether a question that is open since so long is repeated in this round. Where few are known, it is in each. Where many are, it is once
    /// its answer is late, and ever more seldom while the answers of many are: repeated questions make them later.
    pub(super) fn repeats(&self, waited: Duration, interval: Duration) -> bool {
        let rounds = waited.as_nanos() / interval.as_nanos().max(1);
        !self.has_many || rounds >= u128::from(LATE) && (!self.is_slow() || rounds.is_power_of_two())
    }

    /// Open questions are counted anew. There are so many rows.
    pub(super) const fn begin_round(&mut self, rows: usize) {
        self.open = 0;
        self.is_late = false;
        self.has_many = rows > self.first;
        if !self.has_many && self.is_slow() {
            self.room = self.first;
        }
    }

    /// Whether more endpoints are known than may be asked at once at first.
    pub(super) const fn has_many(&self) -> bool {
        self.has_many
    }

    /// A question is open since so long. `lives` says that the endpoint lives, as others say.
    pub(super) fn on_open(&mut self, waited: Duration, interval: Duration, lives: bool) {
        if waited < self.patience(interval) {
            self.open += 1;
        }
        if waited >= interval.saturating_mul(LATE) && lives && self.has_many && !self.is_late {
            self.is_late = true;
            self.room = (self.room / 2).max(LEAST.min(self.first));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INTERVAL: Duration = Duration::from_secs(1);
    const FIRST: usize = Budgets::USUAL.first_echoes;
    const MOST: usize = Budgets::USUAL.max_echoes;
    const MAX_REPEATS: usize = Budgets::USUAL.max_repeats;

    fn asked(pace: &mut Pace) -> usize {
        (0..).find(|_| !pace.ask()).unwrap_or(0)
    }

    #[test]
    fn prompt_answers_let_more_be_asked() {
        let mut pace = Pace::new(true, &Budgets::USUAL);
        assert_eq!(asked(&mut pace), FIRST);
        assert!(pace.has_waiting() && !pace.has_room());
        for _ in 0..FIRST {
            pace.on_answer(INTERVAL / 8, INTERVAL);
        }
        assert_eq!(asked(&mut pace), 2 * FIRST);
        for _ in 0..10 * MOST {
            pace.on_answer(INTERVAL / 8, INTERVAL);
        }
        assert_eq!(asked(&mut pace), MOST);
    }

    #[test]
    fn answers_that_take_their_time_let_no_more_be_asked_than_at_first() {
        let mut pace = Pace::new(true, &Budgets::USUAL);
        assert_eq!(asked(&mut pace), FIRST);
        for _ in 0..FIRST {
            pace.on_answer(INTERVAL / 2, INTERVAL);
        }
        assert_eq!(asked(&mut pace), FIRST);
        pace.begin_round(100);
        pace.on_open(INTERVAL * LATE, INTERVAL, true);
        assert!(pace.is_slow());
        for _ in 0..FIRST {
            pace.on_answer(INTERVAL / 2, INTERVAL);
        }
        assert!(!pace.is_slow());
    }

    #[test]
    fn all_rows_are_looked_at_once_for_endpoints_that_wait() {
        let mut pace = Pace { next: 3, has_waiting: true, ..Pace::new(true, &Budgets::USUAL) };
        let rows = core::iter::from_fn(|| pace.next_row(1, 5));
        assert_eq!(rows.collect::<alloc::vec::Vec<_>>(), [3, 4, 1, 2]);
        assert!(!pace.has_waiting());
    }

    #[test]
    fn questions_are_repeated_more_seldom_where_many_are_known_and_answers_are_late() {
        let mut pace = Pace::new(true, &Budgets::USUAL);
        let repeated =
            |pace: &Pace| (1..10).filter(|round| pace.repeats(INTERVAL * *round, INTERVAL)).count();
        assert_eq!(repeated(&pace), 9);
        pace.begin_round(100);
        assert_eq!(repeated(&pace), 8);
        pace.on_open(INTERVAL * LATE, INTERVAL, true);
        assert_eq!(repeated(&pace), 3);
    }

    #[test]
    fn where_answers_take_long_no_more_is_asked_before_they_could_have_come() {
        let counts = |pace: &mut Pace, rounds: u32| {
            pace.begin_round(100);
            pace.on_open(INTERVAL * rounds, INTERVAL, false);
            pace.open
        };
        let mut pace = Pace::new(true, &Budgets::USUAL);
        assert_eq!((counts(&mut pace, 1), counts(&mut pace, 2)), (1, 0));
        pace.on_answer(INTERVAL * 3, INTERVAL);
        assert_eq!((counts(&mut pace, 5), counts(&mut pace, 6)), (1, 0));
        pace.on_late_answer(INTERVAL);
        assert_eq!((counts(&mut pace, MOST_OPEN - 1), counts(&mut pace, MOST_OPEN)), (1, 0));
        for _ in 0..20 {
            pace.on_answer(INTERVAL / 8, INTERVAL);
        }
        assert_eq!((counts(&mut pace, 1), counts(&mut pace, 2)), (1, 0), "answers are prompt again");
    }

    #[test]
    fn where_answers_are_late_few_questions_are_repeated_in_a_round() {
        let mut pace = Pace::new(true, &Budgets::USUAL);
        assert_eq!(pace.max_repeats(), MAX_REPEATS);
        for most in [8, 4, 2, 1, 1] {
            pace.begin_round(100);
            pace.on_open(INTERVAL * LATE, INTERVAL, true);
            assert_eq!(pace.max_repeats(), most);
        }
    }

    #[test]
    fn the_least_budgets_are_kept_however_answers_come() {
        let budgets = Budgets { first_echoes: 1, max_echoes: 1, max_repeats: 1, ..Budgets::USUAL };
        let mut pace = Pace::new(true, &budgets);
        for _ in 0..3 {
            pace.begin_round(100);
            pace.on_open(INTERVAL * LATE, INTERVAL, true);
            assert_eq!((pace.room, pace.max_repeats()), (1, 1));
            pace.on_answer(INTERVAL / 8, INTERVAL);
            assert_eq!(pace.room, 1);
        }
    }

    #[test]
    fn where_messages_get_lost_questions_are_asked_again_soon() {
        let mut pace = Pace::new(false, &Budgets::USUAL);
        pace.on_late_answer(INTERVAL);
        pace.begin_round(100);
        pace.on_open(INTERVAL * LATE, INTERVAL, true);
        assert!(pace.is_slow() && pace.has_room());
        assert_eq!((pace.open, pace.max_repeats()), (0, MAX_REPEATS));
    }

    #[test]
    fn late_answers_halve_the_questions_once_a_round() {
        let mut pace = Pace::new(true, &Budgets::USUAL);
        for room in [16, 8, 4, 2, 2] {
            pace.begin_round(100);
            for _ in 0..FIRST {
                pace.on_open(INTERVAL * LATE, INTERVAL, true);
            }
            assert_eq!(asked(&mut pace), room);
        }
    }

    #[test]
    fn where_few_are_known_all_are_asked_at_once() {
        let mut pace = Pace::new(true, &Budgets::USUAL);
        for _ in 0..3 {
            pace.begin_round(FIRST);
            pace.on_open(INTERVAL * LATE, INTERVAL, true);
            assert!(!pace.is_slow());
        }
        assert_eq!(asked(&mut pace), FIRST);
    }

    #[test]
    fn the_dead_take_no_room_for_long() {
        let mut pace = Pace::new(true, &Budgets::USUAL);
        assert_eq!(asked(&mut pace), FIRST);
        pace.begin_round(100);
        for _ in 0..FIRST {
            pace.on_open(INTERVAL, INTERVAL, false);
        }
        assert_eq!(asked(&mut pace), 0);
        pace.begin_round(100);
        for _ in 0..FIRST {
            pace.on_open(INTERVAL * LATE, INTERVAL, false);
        }
        assert_eq!(asked(&mut pace), FIRST);
    }
}
