//! Of whom everything was asked for, and of whom it still has to be.

use alloc::collections::VecDeque;
use core::time::Duration;

use crate::endpoint::Endpoint;
use crate::message::{Codec, Digest};
use crate::time::Timestamp;
use crate::version::{Generation, Version};
use crate::wire::{Full, Writer};

/// How many endpoints are remembered. Whoever finds no place is asked for in a later exchange.
const CAPACITY: usize = 1_024;

/// The endpoints of which everything, from version 0 on, was asked for.
///
/// The state of an endpoint that is unknown, or known of an older generation, is taken only if it is here: else it may be a
/// part of a whole that nobody will send again, since the greatest version of the part is what we would ask from. It must
/// come from whom it was asked for: somebody else may be answering an earlier process of ours.
#[derive(Debug)]
pub(crate) struct Asked {
    entries: VecDeque<Entry>,
    /// Where the next answer is looked for first: answers come in the order of the questions.
    guess: usize,
    lifetime: Duration,
    /// How long one peer has for its answer before another is asked.
    patience: Duration,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    endpoint: Endpoint,
    generation: Generation,
    stage: Stage,
}

#[derive(Clone, Copy, Debug)]
enum Stage {
    /// Has to be asked for.
    Wanted,
    /// Was asked for at this time.
    Asked { whom: Endpoint, at: Timestamp },
    /// The answer has come.
    Answered,
}

impl Asked {
    pub(crate) fn new(lifetime: Duration, patience: Duration) -> Self {
        Self { entries: VecDeque::with_capacity(CAPACITY), guess: 0, lifetime, patience }
    }

    /// Notes that `whom` is asked for everything of `endpoint` now; false if there is no place for it, or somebody else was
    /// asked a moment ago.
    pub(crate) fn ask(
        &mut self,
        endpoint: Endpoint,
        generation: Generation,
        whom: Endpoint,
        now: Timestamp,
    ) -> bool {
        if let Some(at) = self.find(endpoint)
            && let Stage::Asked { whom: before, at } = self.entries[at].stage
            && before != whom
            && now.saturating_since(at) < self.patience
        {
            return false;
        }
        self.note(endpoint, generation, Stage::Asked { whom, at: now })
    }

    /// Notes that `endpoint` has to be asked for, unless it was.
    pub(crate) fn want(&mut self, endpoint: Endpoint, generation: Generation) {
        if self.find(endpoint).is_none_or(|at| !matches!(self.entries[at].stage, Stage::Asked { .. })) {
            self.note(endpoint, generation, Stage::Wanted);
        }
    }

    fn note(&mut self, endpoint: Endpoint, generation: Generation, stage: Stage) -> bool {
        let entry = Entry { endpoint, generation, stage };
        if let Some(at) = self.find(endpoint) {
            self.entries[at] = entry;
            return true;
        }
        let free = self.entries.len() < CAPACITY;
        if free {
            self.entries.push_back(entry);
        }
        free
    }

    /// Whether everything of `endpoint` was asked for, and is still to come.
    pub(crate) fn is_asked(&self, endpoint: Endpoint) -> bool {
        self.find(endpoint).is_some_and(|at| matches!(self.entries[at].stage, Stage::Asked { .. }))
    }

    /// Whether a state of `endpoint` that comes from `from` is the answer to such a question. Each question has one answer.
    pub(crate) fn take(&mut self, endpoint: Endpoint, from: Endpoint, now: Timestamp) -> bool {
        let Some(at) = self.find(endpoint) else { return false };
        self.guess = at + 1;
        let entry = &mut self.entries[at];
        let answers = matches!(
            entry.stage,
            Stage::Asked { whom, at } if whom == from && now.saturating_since(at) <= self.lifetime
        );
        if answers {
            entry.stage = Stage::Answered;
        }
        answers
    }

    /// Drops what is answered or too old. Called once a round.
    pub(crate) fn expire(&mut self, now: Timestamp) {
        let lifetime = self.lifetime;
        self.entries.retain(|entry| match entry.stage {
            Stage::Wanted => true,
            Stage::Asked { at, .. } => now.saturating_since(at) <= lifetime,
            Stage::Answered => false,
        });
        self.guess = 0;
    }

    /// Writes a digest from version 0 for everybody who has to be asked for; the answer will be everything.
    pub(crate) fn encode_wanted(
        &mut self,
        whom: Endpoint,
        now: Timestamp,
        codec: Codec,
        out: &mut Writer<'_>,
    ) -> i32 {
        let mut written = 0;
        for entry in self.entries.iter_mut().filter(|entry| matches!(entry.stage, Stage::Wanted)) {
            let digest =
                Digest { endpoint: entry.endpoint, generation: entry.generation, max_version: Version::ZERO };
            if digest.encode(codec, out) == Err(Full) {
                break;
            }
            entry.stage = Stage::Asked { whom, at: now };
            written += 1;
        }
        written
    }

    fn find(&self, endpoint: Endpoint) -> Option<usize> {
        let is_it = |at: &usize| self.entries.get(*at).is_some_and(|entry| entry.endpoint == endpoint);
        Some(self.guess).filter(is_it).or_else(|| (0..self.entries.len()).find(is_it))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PEER: Endpoint = Endpoint::v4([10, 0, 1, 1], 7000);
    const OTHER: Endpoint = Endpoint::v4([10, 0, 1, 2], 7000);

    fn asked() -> Asked {
        Asked::new(Duration::from_secs(10), Duration::from_secs(1))
    }

    fn endpoint(n: u8) -> Endpoint {
        Endpoint::v4([10, 0, 0, n], 7000)
    }

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_millis(seconds * 1_000)
    }

    #[test]
    fn each_question_has_one_answer_in_time() {
        let mut asked = asked();
        let generation = Generation::new(1);
        assert!(!asked.take(endpoint(1), PEER, at(0)));
        assert!(asked.ask(endpoint(1), generation, PEER, at(0)));
        assert!(asked.ask(endpoint(2), generation, PEER, at(0)));
        assert!(!asked.take(endpoint(1), OTHER, at(1)), "somebody else was asked");
        assert!(asked.take(endpoint(1), PEER, at(10)));
        assert!(!asked.take(endpoint(1), PEER, at(10)), "the second answer");
        assert!(!asked.take(endpoint(2), PEER, at(11)), "too late");
        asked.want(endpoint(3), generation);
        assert!(!asked.take(endpoint(3), PEER, at(11)), "not asked for yet");
        asked.expire(at(11));
        let mut buffer = [0; 64];
        let codec = Codec::new(crate::MessagingVersion::V12);
        assert_eq!(asked.encode_wanted(PEER, at(11), codec, &mut Writer::new(&mut buffer)), 1);
        assert!(asked.is_asked(endpoint(3)));
        assert!(asked.take(endpoint(3), PEER, at(12)));
    }

    #[test]
    fn another_is_asked_when_the_first_had_its_time() {
        let mut asked = asked();
        let generation = Generation::new(1);
        assert!(asked.ask(endpoint(1), generation, PEER, at(0)));
        assert!(asked.ask(endpoint(1), generation, PEER, at(0)), "the same peer may be asked again");
        assert!(!asked.ask(endpoint(1), generation, OTHER, Timestamp::from_millis(999)));
        assert!(asked.ask(endpoint(1), generation, OTHER, at(1)));
        assert!(asked.take(endpoint(1), OTHER, at(2)));
    }

    #[test]
    fn memory_is_bounded() {
        let mut asked = asked();
        let taken = (0..2_000_u16)
            .filter(|n| asked.ask(Endpoint::v4([10, 0, 0, 1], *n), Generation::new(1), PEER, Timestamp::ZERO))
            .count();
        assert_eq!(taken, CAPACITY);
        assert_eq!(asked.entries.capacity(), CAPACITY);
    }
}
