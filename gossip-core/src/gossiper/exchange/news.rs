//! Who has news: what a SYN lists first when it cannot list everybody.
//!
//! News is what is new of an endpoint but its heartbeat, which is new everywhere in every round. A change that is listed first
//! by all who know it doubles its knowers each round; listed at random among the others, it would wait for its turn at each.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use crate::slot::Slot;
use crate::table::Moves;

/// The endpoints of which something was new lately, in the order of that.
#[derive(Clone, Debug)]
pub(super) struct News {
    /// Each with the round in which it was noted: an entry counts only if nothing later was noted of its endpoint.
    entries: VecDeque<(Slot, u32)>,
    /// By slot.
    marks: Vec<Marks>,
    round: u32,
    /// Counts the SYNs, so that each begins with an empty list.
    list: u32,
    /// How many changes are remembered.
    max: usize,
}

#[derive(Clone, Copy, Debug, Default)]
struct Marks {
    /// In which round something new was noted last; 0: never.
    round: u32,
    /// In which SYN it was listed last.
    list: u32,
}

impl News {
    pub(super) const fn new(max: usize) -> Self {
        Self { entries: VecDeque::new(), marks: Vec::new(), round: 1, list: 0, max }
    }

    /// Takes memory for so many endpoints.
    pub(super) fn reserve(&mut self, endpoints: usize) {
        self.marks.resize(endpoints.max(self.marks.len()), Marks::default());
        let capacity = endpoints.min(self.max);
        self.entries.reserve(capacity.saturating_sub(self.entries.len()));
    }

    pub(super) const fn begin_round(&mut self) {
        self.round = self.round.wrapping_add(1);
    }

    /// Something but the heartbeat is new.
    pub(super) fn note(&mut self, slot: Slot) {
        let Some(marks) = self.marks.get_mut(slot.index()) else { return };
        if marks.round == self.round {
            return;
        }
        marks.round = self.round;
        // The oldest makes room.
        if self.entries.len() >= self.max.min(self.marks.len()) {
            self.entries.pop_front();
        }
        self.entries.push_back((slot, self.round));
    }

    /// Another endpoint will get the row.
    pub(super) fn forget(&mut self, slot: Slot) {
        if let Some(marks) = self.marks.get_mut(slot.index()) {
            *marks = Marks::default();
        }
    }

    /// Rows have moved. What a SYN of several messages has listed so far may be listed once more.
    pub(super) fn rename(&mut self, moves: &Moves<'_>) {
        let Self { entries, marks, .. } = self;
        entries.retain(|(slot, round)| marks.get(slot.index()).is_some_and(|marks| marks.round == *round));
        marks.fill(Marks::default());
        for (slot, round) in entries {
            *slot = moves.renamed(*slot);
            if let Some(marks) = marks.get_mut(slot.index()) {
                marks.round = *round;
            }
        }
    }

    /// Begins an empty list.
    pub(super) const fn begin_list(&mut self) {
        self.list = self.list.wrapping_add(1);
    }

    /// Takes an endpoint into the list.
    pub(super) fn list(&mut self, slot: Slot) {
        if let Some(marks) = self.marks.get_mut(slot.index()) {
            marks.list = self.list;
        }
    }

    pub(super) fn is_listed(&self, slot: Slot) -> bool {
        self.marks.get(slot.index()).is_some_and(|marks| marks.list == self.list)
    }

    /// The entry that is so many places before the newest; the endpoint of it, unless something later was noted of that. `None` if
    /// there is none of the last `rounds` rounds.
    pub(super) fn newest(&self, place: usize, rounds: u32) -> Option<Option<Slot>> {
        let at = self.entries.len().checked_sub(place + 1)?;
        let (slot, round) = *self.entries.get(at)?;
        if self.round.wrapping_sub(round) > rounds {
            return None;
        }
        Some((self.marks.get(slot.index())?.round == round).then_some(slot))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CAPACITY: usize = 4_096;

    fn slots(news: &News, rounds: u32) -> Vec<u32> {
        let entries = (0..).map_while(|place| news.newest(place, rounds));
        entries.flatten().map(Slot::number).collect()
    }

    #[test]
    fn the_newest_come_first_and_each_once() {
        let mut news = News::new(CAPACITY);
        news.reserve(8);
        for slot in [1, 2, 1] {
            news.note(Slot::from_number(slot));
        }
        assert_eq!(slots(&news, 9), [2, 1]);
        news.begin_round();
        news.note(Slot::from_number(1));
        news.note(Slot::from_number(3));
        assert_eq!(slots(&news, 9), [3, 1, 2]);
        news.begin_round();
        assert_eq!(slots(&news, 1), [3, 1]);
        assert_eq!(slots(&news, 0), []);
        news.forget(Slot::from_number(3));
        assert_eq!(slots(&news, 9), [1, 2]);
    }

    #[test]
    fn news_follow_their_rows() {
        let mut news = News::new(CAPACITY);
        news.reserve(5);
        for slot in [1, 2, 3, 4] {
            news.note(Slot::from_number(slot));
        }
        news.forget(Slot::from_number(4));
        news.begin_round();
        news.note(Slot::from_number(2));
        news.rename(&Moves::new(&[0, 4, 1, 2, 3]));
        assert_eq!(slots(&news, 9), [1, 2, 4]);
        news.note(Slot::from_number(1));
        assert_eq!(slots(&news, 9), [1, 2, 4], "it is noted for this round");
        news.note(Slot::from_number(3));
        assert_eq!(slots(&news, 9), [3, 1, 2, 4]);
    }

    #[test]
    fn memory_is_bounded() {
        let mut news = News::new(CAPACITY);
        news.reserve(10_000);
        let capacity = news.entries.capacity();
        for round in 0..3 {
            news.begin_round();
            (0..10_000).for_each(|slot| news.note(Slot::from_number((slot + round) % 10_000)));
        }
        assert_eq!((news.entries.len(), news.entries.capacity()), (CAPACITY, capacity));
        assert_eq!(slots(&news, 9)[0], 1);
    }

    #[test]
    fn a_list_begins_empty() {
        let mut news = News::new(CAPACITY);
        news.reserve(2);
        news.begin_list();
        news.list(Slot::from_number(1));
        assert!(news.is_listed(Slot::from_number(1)) && !news.is_listed(Slot::from_number(0)));
        news.begin_list();
        assert!(!news.is_listed(Slot::from_number(1)));
    }
}
