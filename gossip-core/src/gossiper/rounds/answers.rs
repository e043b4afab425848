//! Whether the SYNs of the last rounds were answered: who did not answer, and whether messages get lost.

use core::time::Duration;

use crate::endpoint::Endpoint;
use crate::table::EndpointTable;
use crate::time::Timestamp;

/// How many SYNs are watched.
const WATCHED: usize = 8;

/// After how many intervals a SYN is without an answer.
const PATIENCE: u32 = 2;

/// After how many intervals nothing more is expected of a SYN.
const FORGOTTEN: u32 = 10;

/// By how many SYNs it is judged whether messages get lost, and how many of them may be without an answer.
const JUDGED: u32 = 16;
const TOLERATED: u32 = 1;

/// For how many intervals messages count as getting lost after the last time that they did.
const CAUTION: u32 = 64;

/// The SYNs of the last rounds to live endpoints.
#[derive(Clone, Debug)]
pub(in super::super) struct Answers {
    watched: [Option<(Endpoint, Timestamp)>; WATCHED],
    next: usize,
    /// What became of the last SYNs, a bit for each, the latest lowest: whether it was without an answer. And of how many it is known.
    lost: u32,
    judged: u32,
    /// When messages last got lost.
    lossy: Option<Timestamp>,
}

impl Answers {
    pub(super) const fn new() -> Self {
        Self { watched: [None; WATCHED], next: 0, lost: 0, judged: 0, lossy: None }
    }

    /// A SYN is sent to a live endpoint.
    pub(super) const fn note_asked(&mut self, peer: Endpoint, now: Timestamp) {
        self.watched[self.next] = Some((peer, now));
        self.next = (self.next + 1) % WATCHED;
    }

    /// Our own process did not run: what was sent before that says nothing.
    pub(super) const fn forget(&mut self) {
        self.watched = [None; WATCHED];
    }

    /// Judges the SYNs that were sent. Returns an endpoint that others call live, and that has not answered.
    pub(in super::super) fn judge(
        &mut self,
        table: &EndpointTable,
        now: Timestamp,
        interval: Duration,
    ) -> Option<Endpoint> {
        let mut silent = None;
        for at in 0..WATCHED {
            let Some((peer, asked)) = self.watched[at] else { continue };
            let Some(slot) = table.find(peer) else {
                self.watched[at] = None;
                continue;
            };
            let waited = now.saturating_since(asked);
            if table.heard(slot) > asked {
                self.note(false, now);
            } else if waited < interval.saturating_mul(PATIENCE) {
                continue;
            } else if table.updated(slot) > asked + interval {
                // Its heartbeat grew meanwhile: it is not dead, and the question or the answer was lost.
                self.note(true, now);
                silent = Some(peer);
            } else if waited < interval.saturating_mul(FORGOTTEN) {
                continue;
            }
            self.watched[at] = None;
        }
        silent
    }

    /// Whether no SYN is without an answer for longer than an answer takes.
    pub(super) fn are_prompt(&self, now: Timestamp, interval: Duration) -> bool {
        let is_late = |asked| now.saturating_since(asked) >= interval.saturating_mul(PATIENCE);
        !self.watched.iter().flatten().any(|(_, asked)| is_late(*asked))
    }

    /// Whether no messages get lost, as far as is known.
    pub(in super::super) fn is_calm(&self, now: Timestamp, interval: Duration) -> bool {
        self.judged >= JUDGED && !self.is_lossy(now, interval)
    }

    /// Whether messages get lost.
    pub(in super::super) fn is_lossy(&self, now: Timestamp, interval: Duration) -> bool {
        let is_recent = |lossy| now.saturating_since(lossy) <= interval.saturating_mul(CAUTION);
        self.lossy.is_some_and(is_recent)
    }

    fn note(&mut self, is_lost: bool, now: Timestamp) {
        self.lost = self.lost << 1 | u32::from(is_lost);
        self.judged = (self.judged + 1).min(JUDGED);
        if (self.lost & ((1 << JUDGED) - 1)).count_ones() > TOLERATED {
            self.lossy = Some(now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INTERVAL: Duration = Duration::from_secs(1);

    fn at(seconds: u64) -> Timestamp {
        Timestamp::ZERO + Duration::from_secs(seconds)
    }

    #[test]
    fn an_answer_is_late_after_two_intervals() {
        let mut answers = Answers::new();
        answers.note_asked(Endpoint::v4([10, 0, 0, 1], 7000), at(5));
        assert!(answers.are_prompt(at(6), INTERVAL) && !answers.are_prompt(at(7), INTERVAL));
    }

    #[test]
    fn one_lost_message_is_no_loss_and_two_are_for_a_while() {
        let mut answers = Answers::new();
        assert!(!answers.is_calm(at(0), INTERVAL), "nothing is known");
        for second in 0..16 {
            answers.note(false, at(second));
        }
        assert!(answers.is_calm(at(16), INTERVAL));
        answers.note(true, at(16));
        assert!(answers.is_calm(at(17), INTERVAL));
        answers.note(true, at(17));
        assert!(!answers.is_calm(at(18), INTERVAL));
        for second in 18..40 {
            answers.note(false, at(second));
        }
        assert!(!answers.is_calm(at(60), INTERVAL));
        assert!(answers.is_calm(at(32 + 65), INTERVAL));
    }
}
