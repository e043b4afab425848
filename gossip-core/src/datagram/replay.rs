//! Telling a packet that comes for the first time from one that is played again.

/// Which of the newest 256 counters of one sending process have been accepted.
///
/// Packets may overtake each other by that much. What is older counts as played again, since nothing is known of it.
/// A counter is entered only after its packet proved authentic: otherwise any host could move the window.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct ReplayWindow {
    /// Bit `counter % 256` stands for each counter of the window, which ends with `greatest`.
    seen: [u64; WORDS],
    /// The greatest accepted counter; 0 before the first as well, whose bit is then not set.
    greatest: u64,
}

impl ReplayWindow {
    /// Whether no packet with `counter` was accepted yet, as far as is known.
    pub(crate) fn is_fresh(&self, counter: u64) -> bool {
        if counter > self.greatest {
            return true;
        }
        let (word, bit) = place(counter);
        self.greatest - counter < WIDTH && self.seen.get(word).is_some_and(|seen| seen & bit == 0)
    }

    /// Remembers `counter` if it is fresh, and says whether it was.
    #[must_use]
    pub(crate) fn accept(&mut self, counter: u64) -> bool {
        if !self.is_fresh(counter) {
            return false;
        }
        if counter > self.greatest {
            self.advance(counter);
        }
        let (word, bit) = place(counter);
        if let Some(seen) = self.seen.get_mut(word) {
            *seen |= bit;
        }
        true
    }

    /// Makes room for what lies between the window and its new end.
    fn advance(&mut self, greatest: u64) {
        if greatest - self.greatest >= WIDTH {
            self.seen = [0; WORDS];
        } else {
            for counter in self.greatest + 1..=greatest {
                let (word, bit) = place(counter);
                if let Some(seen) = self.seen.get_mut(word) {
                    *seen &= !bit;
                }
            }
        }
        self.greatest = greatest;
    }
}

/// Where the bit of `counter` is.
fn place(counter: u64) -> (usize, u64) {
    ((counter % WIDTH / 64) as usize, 1 << (counter % 64))
}

const WIDTH: u64 = 256;
const WORDS: usize = 4;

#[cfg(test)]
mod tests {
    use alloc::collections::BTreeSet;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_packet_is_accepted_once() {
        let mut window = ReplayWindow::default();
        for counter in [0, 3, 1, 2, 200, 255, 256, 5_000, u64::MAX - 1, u64::MAX] {
            assert!(window.is_fresh(counter), "{counter}");
            assert!(window.accept(counter), "{counter}");
            assert!(!window.is_fresh(counter), "{counter}");
            assert!(!window.accept(counter), "{counter}");
        }
    }

    #[test]
    fn what_is_older_than_the_window_is_refused() {
        let mut window = ReplayWindow::default();
        assert!(window.accept(1_000));
        assert!(!window.accept(744));
        assert!(window.accept(745));
        assert!(window.accept(u64::MAX));
        assert!(!window.accept(1_001));
        assert!(!window.accept(u64::MAX - 256));
        assert!(window.accept(u64::MAX - 255));
    }

    #[test]
    fn a_refused_counter_changes_nothing() {
        let mut window = ReplayWindow::default();
        assert!(window.accept(300));
        assert!(!window.accept(44), "its bit is the one of 300");
        assert!(window.accept(45));
        assert!(window.is_fresh(299));
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(1_000) })]

        #[test]
        fn it_remembers_what_a_set_would(start in start(), steps in prop::collection::vec(step(), 0..600)) {
            let mut window = ReplayWindow::default();
            let mut accepted = BTreeSet::new();
            let mut last: u64 = start;
            for step in steps {
                last = last.saturating_add_signed(step);
                let greatest = accepted.last().copied().unwrap_or(0);
                let expected = !accepted.contains(&last) && greatest.saturating_sub(last) < 256;
                prop_assert_eq!(window.is_fresh(last), expected, "{} after {}", last, greatest);
                prop_assert_eq!(window.accept(last), expected);
                if expected {
                    accepted.insert(last);
                }
            }
        }
    }

    fn start() -> impl Strategy<Value = u64> {
        prop_oneof![Just(0), 0..2_000_u64, Just(u64::MAX - 600), any::<u64>()]
    }

    /// From one counter to the next: mostly near, sometimes at the window's edge or far away.
    fn step() -> impl Strategy<Value = i64> {
        prop_oneof![6 => -3..6_i64, 3 => -300..300_i64, 2 => 250..262_i64, 2 => -262..-250_i64, 1 => any::<i64>()]
    }
}
