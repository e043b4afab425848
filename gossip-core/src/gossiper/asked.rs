//! Of whom everything was asked for, and of whom it still has to be.

use alloc::vec::Vec;
use core::hash::BuildHasher;
use core::time::Duration;

use foldhash::fast::FixedState;
use hashbrown::HashTable;

use crate::endpoint::Endpoint;
use crate::message::{Codec, Digest};
use crate::time::Timestamp;
use crate::version::{Generation, Version};
use crate::wire::{Full, Writer};

/// How many endpoints are remembered. Whoever finds no place is asked for in a later exchange.
const CAPACITY: usize = 1_024;

/// How many of them may have been brought up by states that nobody asked for.
const MAX_WANTED: usize = CAPACITY / 4;

/// The endpoints of which everything, from version 0 on, was asked for.
///
/// The state of an endpoint that is unknown, or known of an older generation, is taken only if it is here: else it may be a
/// part of a whole that nobody will send again, since the greatest version of the part is what we would ask from. It must
/// come from whom it was asked for: somebody else may be answering an earlier process of ours.
#[derive(Debug)]
pub(crate) struct Asked {
    entries: Vec<Entry>,
    index: HashTable<u32>,
    hash: FixedState,
    /// How many have to be asked for and were not yet.
    wanted: usize,
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
    /// Has to be asked for, since this time.
    Wanted { since: Timestamp },
    /// Was asked for at this time.
    Asked { whom: Endpoint, at: Timestamp },
    /// The answer has come.
    Answered,
}

impl Asked {
    pub(crate) fn new(hash_key: u64, lifetime: Duration, patience: Duration) -> Self {
        Self {
            entries: Vec::with_capacity(CAPACITY),
            index: HashTable::with_capacity(CAPACITY),
            hash: FixedState::with_seed(hash_key),
            wanted: 0,
            lifetime,
            patience,
        }
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

    /// Notes that `endpoint` has to be asked for, unless it was. States that nobody asked for leave most places to questions.
    pub(crate) fn want(&mut self, endpoint: Endpoint, generation: Generation, now: Timestamp) {
        let is_noted =
            self.find(endpoint).is_some_and(|at| !matches!(self.entries[at].stage, Stage::Answered));
        if !is_noted && self.wanted < MAX_WANTED {
            self.wanted += usize::from(self.note(endpoint, generation, Stage::Wanted { since: now }));
        }
    }

    fn note(&mut self, endpoint: Endpoint, generation: Generation, stage: Stage) -> bool {
        let entry = Entry { endpoint, generation, stage };
        if let Some(at) = self.find(endpoint) {
            let before = core::mem::replace(&mut self.entries[at], entry);
            self.wanted -= usize::from(matches!(before.stage, Stage::Wanted { .. }));
            return true;
        }
        let free = self.entries.len() < CAPACITY;
        if free {
            self.entries.push(entry);
            self.add_to_index(self.entries.len() - 1);
        }
        free
    }

    fn add_to_index(&mut self, at: usize) {
        let Self { entries, index, hash, .. } = self;
        // At most CAPACITY.
        let number = u32::try_from(at).unwrap_or(u32::MAX);
        index.insert_unique(hash.hash_one(entries[at].endpoint), number, |at| {
            hash.hash_one(entries[*at as usize].endpoint)
        });
    }

    /// Whether everything of `endpoint` was asked for, and is still to come.
    pub(crate) fn is_asked(&self, endpoint: Endpoint) -> bool {
        self.find(endpoint).is_some_and(|at| matches!(self.entries[at].stage, Stage::Asked { .. }))
    }

    /// Whether a state of `endpoint` that comes from `from` is the answer to such a question. Each question has one answer.
    pub(crate) fn take(&mut self, endpoint: Endpoint, from: Endpoint, now: Timestamp) -> bool {
        let Some(at) = self.find(endpoint) else { return false };
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
        let (lifetime, before) = (self.lifetime, self.entries.len());
        self.entries.retain(|entry| match entry.stage {
            Stage::Wanted { since } => now.saturating_since(since) <= lifetime,
            Stage::Asked { at, .. } => now.saturating_since(at) <= lifetime,
            Stage::Answered => false,
        });
        if self.entries.len() == before {
            return;
        }
        self.wanted = self.entries.iter().filter(|entry| matches!(entry.stage, Stage::Wanted { .. })).count();
        self.index.clear();
        for at in 0..self.entries.len() {
            self.add_to_index(at);
        }
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
        for entry in self.entries.iter_mut().filter(|entry| matches!(entry.stage, Stage::Wanted { .. })) {
            let digest =
                Digest { endpoint: entry.endpoint, generation: entry.generation, max_version: Version::ZERO };
            if digest.encode(codec, out) == Err(Full) {
                break;
            }
            entry.stage = Stage::Asked { whom, at: now };
            self.wanted -= 1;
            written += 1;
        }
        written
    }

    fn find(&self, endpoint: Endpoint) -> Option<usize> {
        let is_it = |at: &u32| self.entries[*at as usize].endpoint == endpoint;
        self.index.find(self.hash.hash_one(endpoint), is_it).map(|at| *at as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PEER: Endpoint = Endpoint::v4([10, 0, 1, 1], 7000);
    const OTHER: Endpoint = Endpoint::v4([10, 0, 1, 2], 7000);

    fn asked() -> Asked {
        Asked::new(7, Duration::from_secs(10), Duration::from_secs(1))
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
        asked.want(endpoint(3), generation, at(11));
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
        asked.expire(at(11));
        (0..2_000_u16).for_each(|n| asked.want(Endpoint::v4([10, 0, 0, 1], n), Generation::new(1), at(11)));
        assert_eq!(
            (asked.entries.len(), asked.wanted),
            (MAX_WANTED, MAX_WANTED),
            "most places are for questions"
        );
        asked.expire(at(22));
        assert_eq!((asked.entries.len(), asked.wanted), (0, 0));
    }
}
