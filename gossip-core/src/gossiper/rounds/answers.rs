//! Whether the SYNs of the last rounds were answered: who did not answer, and whether messages get lost.

use core::time::Duration;

use crate::endpoint::Endpoint;
use crate::table::EndpointTable;
use crate::time::Timestamp;

/// How many SYNs are watched.
const WATCHED: usize = 12;

/// After how many intervals a SYN is without an answer.
const PATIENCE: u32 = 2;

/// After how many intervals nothing more is expected of a SYN.
const FORGOTTEN: u32 = 10;

/// By how many SYNs it is judged whether messages get lost, and how many of them may be without an answer.
const JUDGED: u32 = 16;
const TOLERATED: u32 = 1;

/// For how many intervals messages count as getting lost after the last time that they did, and after the last time that answers were late.
const CAUTION: u32 = 64;
const SUSPICION: u32 = 16;

/// The SYNs of the last rounds to live endpoints.
#[derive(Clone, Debug)]
pub(in super::super) struct Answers {
    watched: [Option<Asked>; WATCHED],
    next: usize,
    /// What became of the last SYNs, a bit for each, the latest lowest: whether it was without an answer. And of how many it is known.
    lost: u32,
    judged: u32,
    /// When messages last got lost, and when they last seemed to be: their answers were late.
    lossy: Option<Timestamp>,
    late: Option<Timestamp>,
}

/// A SYN.
#[derive(Clone, Copy, Debug)]
struct Asked {
    peer: Endpoint,
    at: Timestamp,
    /// Whether its answer is late, and messages seemed to get lost then.
    is_late: bool,
    is_suspect: bool,
}

impl Answers {
    pub(super) const fn new() -> Self {
        Self { watched: [None; WATCHED], next: 0, lost: 0, judged: 0, lossy: None, late: None }
    }

    /// A SYN is sent to a live endpoint.
    pub(super) const fn note_asked(&mut self, peer: Endpoint, now: Timestamp) {
        self.watched[self.next] = Some(Asked { peer, at: now, is_late: false, is_suspect: false });
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
            let Some(asked) = self.watched[at] else { continue };
            let Some(slot) = table.find(asked.peer) else {
                self.watched[at] = None;
                continue;
            };
            let waited = now.saturating_since(asked.at);
            let is_forgotten = waited >= interval.saturating_mul(FORGOTTEN);
            if table.heard(slot) > asked.at {
                if !asked.is_late {
                    self.note(false);
                }
            } else if waited < interval.saturating_mul(PATIENCE) {
                continue;
            } else if asked.is_late {
                if !is_forgotten {
                    continue;
                }
                // It was not late, it was lost.
                if asked.is_suspect {
                    self.lossy = Some(now);
                }
            } else if table.updated(slot) > asked.at + interval {
                // Its heartbeat grew meanwhile: it is not dead, and the question or the answer is late or lost.
                let is_suspect = self.note(true);
                if is_suspect {
                    self.late = Some(now);
                }
                silent = Some(asked.peer);
                self.watched[at] = Some(Asked { is_late: true, is_suspect, ..asked });
                continue;
            } else if !is_forgotten {
                continue;
            }
            self.watched[at] = None;
        }
        silent
    }

    /// Whether no SYN is without an answer for longer than an answer takes.
    pub(super) fn are_prompt(&self, now: Timestamp, interval: Duration) -> bool {
        let is_late = |asked: &Asked| {
            !asked.is_late && now.saturating_since(asked.at) >= interval.saturating_mul(PATIENCE)
        };
        !self.watched.iter().flatten().any(is_late)
    }

    /// Whether no messages get lost, as far as is known.
    pub(in super::super) fn is_calm(&self, now: Timestamp, interval: Duration) -> bool {
        self.judged >= JUDGED && !self.is_lossy(now, interval)
    }

    /// Whether messages get lost.
    pub(in super::super) fn is_lossy(&self, now: Timestamp, interval: Duration) -> bool {
        let is_recent = |at: Option<Timestamp>, intervals| {
            at.is_some_and(|at| now.saturating_since(at) <= interval.saturating_mul(intervals))
        };
        is_recent(self.lossy, CAUTION) || is_recent(self.late, SUSPICION)
    }

    /// Notes what became of a SYN. Says whether too many were without an answer.
    fn note(&mut self, is_lost: bool) -> bool {
        self.lost = self.lost << 1 | u32::from(is_lost);
        self.judged = (self.judged + 1).min(JUDGED);
        (self.lost & ((1 << JUDGED) - 1)).count_ones() > TOLERATED
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

    /// A peer of which a SYN to each second is asked, and that answers it `answered`, if at all, so long after.
    fn judged(answers: &mut Answers, seconds: core::ops::Range<u64>, answered: impl Fn(u64) -> Option<u64>) {
        let settings = crate::phi::Settings { window: 4, initial: INTERVAL, max: INTERVAL, pace: None };
        for second in seconds {
            let mut table = EndpointTable::new(7, 200, settings);
            // Whom we ask in a second is another one each time.
            for asked in second.saturating_sub(u64::from(FORGOTTEN))..=second {
                let beat = crate::version::HeartbeatState::EMPTY;
                let Ok(slot) = table.insert(peer(asked), beat) else { continue };
                table.set_updated(slot, at(second));
                if let Some(wait) = answered(asked).filter(|wait| asked + wait <= second) {
                    table.set_heard(slot, at(asked + wait));
                }
            }
            answers.note_asked(peer(second), at(second));
            answers.judge(&table, at(second), INTERVAL);
        }
    }

    fn peer(second: u64) -> Endpoint {
        Endpoint::v4([10, 0, 0, 1], u16::try_from(second).unwrap())
    }

    #[test]
    fn one_lost_message_is_no_loss_and_two_are_for_a_while() {
        let mut answers = Answers::new();
        assert!(!answers.is_calm(at(0), INTERVAL), "nothing is known");
        judged(&mut answers, 1..40, |second| (second != 30).then_some(1));
        assert!(answers.is_calm(at(40), INTERVAL));
        judged(&mut answers, 40..60, |second| (second != 40).then_some(1));
        assert!(!answers.is_calm(at(60), INTERVAL) && answers.is_lossy(at(60), INTERVAL));
        judged(&mut answers, 60..140, |_| Some(1));
        assert!(answers.is_calm(at(140), INTERVAL));
    }

    #[test]
    fn answers_that_are_late_make_a_suspicion_that_is_soon_over() {
        let mut answers = Answers::new();
        judged(&mut answers, 1..40, |_| Some(1));
        assert!(answers.is_calm(at(40), INTERVAL));
        judged(&mut answers, 40..60, |_| Some(4));
        assert!(answers.is_lossy(at(60), INTERVAL));
        judged(&mut answers, 60..90, |_| Some(1));
        assert!(answers.is_calm(at(90), INTERVAL));
    }
}
