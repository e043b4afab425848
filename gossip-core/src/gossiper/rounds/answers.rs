//! Whether the SYNs of the last rounds were answered: who did not answer, and whether messages get lost.

use core::time::Duration;

use crate::endpoint::Endpoint;
use crate::table::EndpointTable;
use crate::time::{Peak, Timestamp};

/// How many SYNs are watched.
const WATCHED: usize = 12;

/// After how many intervals a SYN is without an answer.
const PATIENCE: u32 = 2;

/// After how many intervals nothing more is expected of a SYN.
const FORGOTTEN: u32 = 10;

/// By how many SYNs it is judged whether messages get lost, and how many of them may be without an answer.
const JUDGED: u32 = 16;
const TOLERATED: u32 = 1;

/// Into how many parts the time that answers take is divided; it fades by one of them from round to round.
const FADES: u32 = 32;

/// For how many intervals messages count as getting lost after the last time that they did, and after the last time that answers were late.
const CAUTION: u32 = 32;
const SUSPICION: u32 = 16;

/// The SYNs of the last rounds to live endpoints.
#[derive(Clone, Debug)]
pub(in super::super) struct Answers {
    watched: [Option<Asked>; WATCHED],
    next: usize,
    /// What became of the last SYNs, a bit for each, the latest lowest: whether it was without an answer. And of how many it is known.
    lost: u32,
    judged: u32,
    /// When messages last got lost, and when they last seemed to get lost, since answers were late.
    lossy: Option<Timestamp>,
    suspect: Option<Timestamp>,
    /// When late answers last came.
    strained: Option<Timestamp>,
    /// How long answers take.
    wait: Peak,
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
        Self {
            watched: [None; WATCHED],
            next: 0,
            lost: 0,
            judged: 0,
            lossy: None,
            suspect: None,
            strained: None,
            wait: Peak::ZERO,
        }
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
        self.wait.fade(FADES);
        for at in 0..WATCHED {
            let Some(asked) = self.watched[at] else { continue };
            let Some(slot) = table.find(asked.peer) else {
                self.watched[at] = None;
                continue;
            };
            let waited = now.saturating_since(asked.at);
            let is_forgotten = waited >= interval.saturating_mul(FORGOTTEN);
            if table.heard(slot) > asked.at {
                self.wait.note(table.heard(slot).saturating_since(asked.at));
                if !asked.is_late {
                    self.note(false);
                } else if asked.is_suspect {
                    self.strained = Some(now);
                }
            } else if waited < interval.saturating_mul(PATIENCE) {
                continue;
            } else if asked.is_late {
                if !is_forgotten {
                    continue;
                }
                // It was not late, it was lost, or the peer died. News of the dead spread for a while, but not for so long.
                let still_lives = table.updated(slot) + interval.saturating_mul(PATIENCE) > now;
                if asked.is_suspect && still_lives {
                    self.lossy = Some(now);
                }
            } else if table.updated(slot) > asked.at + interval {
                // Its heartbeat grew meanwhile: it is not dead, and the question or the answer is late or lost.
                let is_suspect = self.note(true);
                if is_suspect {
                    self.suspect = Some(now);
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

    /// How long answers take.
    pub(in super::super) const fn wait(&self) -> Duration {
        self.wait.get()
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
        let seems_lossy = is_recent(self.lossy, now, interval.saturating_mul(CAUTION))
            || is_recent(self.suspect, now, interval.saturating_mul(SUSPICION));
        self.judged >= JUDGED && !seems_lossy
    }

    /// Whether messages get lost, or answers of endpoints that live are late. Endpoints that have died make neither: they never answer.
    pub(in super::super) fn is_strained(&self, now: Timestamp, interval: Duration) -> bool {
        is_recent(self.lossy, now, interval.saturating_mul(CAUTION))
            || is_recent(self.strained, now, interval.saturating_mul(SUSPICION))
    }

    /// Notes what became of a SYN. Says whether too many were without an answer.
    fn note(&mut self, is_lost: bool) -> bool {
        self.lost = self.lost << 1 | u32::from(is_lost);
        self.judged = (self.judged + 1).min(JUDGED);
        (self.lost & ((1 << JUDGED) - 1)).count_ones() > TOLERATED
    }
}

/// Whether it was no longer ago than so long.
fn is_recent(at: Option<Timestamp>, now: Timestamp, within: Duration) -> bool {
    at.is_some_and(|at| now.saturating_since(at) <= within)
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
        judge_each(answers, seconds, answered, |_, _| true);
    }

    /// As [`judged`]; `grows` says whether the heartbeat of a peer, which was asked in one second, grows in another.
    fn judge_each(
        answers: &mut Answers,
        seconds: core::ops::Range<u64>,
        answered: impl Fn(u64) -> Option<u64>,
        grows: impl Fn(u64, u64) -> bool,
    ) {
        let settings = crate::phi::Settings { window: 4, initial: INTERVAL, max: INTERVAL, pace: None };
        for second in seconds {
            let mut table = EndpointTable::new(7, 200, settings);
            // The peer that we ask in a second is another one each time.
            for asked in second.saturating_sub(u64::from(FORGOTTEN))..=second {
                let beat = crate::version::HeartbeatState::EMPTY;
                let Ok(slot) = table.insert(peer(asked), beat) else { continue };
                let beat = (asked..=second).rev().find(|second| grows(asked, *second));
                table.set_updated(slot, at(beat.unwrap_or(0)));
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
        assert!(!answers.is_calm(at(60), INTERVAL) && answers.is_strained(at(60), INTERVAL));
        judged(&mut answers, 60..140, |_| Some(1));
        assert!(answers.is_calm(at(140), INTERVAL));
    }

    #[test]
    fn how_long_answers_take_is_known_and_forgotten() {
        let mut answers = Answers::new();
        judged(&mut answers, 1..40, |_| Some(1));
        assert_eq!(answers.wait(), INTERVAL);
        judged(&mut answers, 40..60, |_| Some(4));
        assert_eq!(answers.wait(), 4 * INTERVAL);
        let mut quiet = answers.clone();
        judged(&mut answers, 60..90, |_| Some(1));
        assert!(answers.wait() < INTERVAL * 5 / 4, "{:?}", answers.wait());
        // Nobody answers any more.
        judged(&mut quiet, 100..300, |_| None);
        assert!(quiet.wait() < INTERVAL / 10, "{:?}", quiet.wait());
    }

    #[test]
    fn answers_that_are_late_make_a_suspicion_that_is_soon_over() {
        let mut answers = Answers::new();
        judged(&mut answers, 1..40, |_| Some(1));
        assert!(answers.is_calm(at(40), INTERVAL));
        judged(&mut answers, 40..60, |_| Some(4));
        assert!(!answers.is_calm(at(60), INTERVAL) && answers.is_strained(at(60), INTERVAL));
        judged(&mut answers, 60..90, |_| Some(1));
        assert!(answers.is_calm(at(90), INTERVAL) && !answers.is_strained(at(90), INTERVAL));
    }

    #[test]
    fn endpoints_that_die_together_are_no_sign_of_loss() {
        let mut answers = Answers::new();
        judged(&mut answers, 1..40, |_| Some(1));
        // A third of all die. News of them arrive for another five seconds.
        let is_dead = |second: u64| second >= 40 && second.is_multiple_of(3);
        judge_each(
            &mut answers,
            40..80,
            |second| (!is_dead(second)).then_some(1),
            |asked, second| !is_dead(asked) || second < 45,
        );
        assert!(!answers.is_strained(at(80), INTERVAL) && answers.is_calm(at(80), INTERVAL));
    }
}
