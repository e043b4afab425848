//! Requests from version 0: which endpoints were requested from which peer, and which still have to be.

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

/// At most one of so many places, rounded up, is for states that this node did not request.
const WANTED_SHARE: usize = 4;

/// How many times as long as others a peer waits for another turn that had one and did not answer.
const SECOND_TURN: u32 = 4;

/// How often it is asked whether the first answer was a whole, if nothing comes.
const DOUBTS: u8 = 4;

/// From so many peers on that had their turn, all may have another.
const MAX_TRIED: u32 = 16;

/// The endpoints of which everything, from version 0 on, was asked for.
///
/// The state of an endpoint that is unknown, or known of an older generation, is taken only if it is here: else it may be a
/// part of a state whose rest is never sent: we would request only what is newer than the part. It must also
/// come from the peer that was asked: another peer may be answering an earlier process of ours.
///
/// One peer is asked at a time. A peer that does not answer must not keep an endpoint unknown, however often and of however
/// many endpoints it brings news:
///
/// * After `patience` the next peer that knows the endpoint is asked. A repeated question does not prolong that.
/// * The endpoint itself is asked at once.
/// * A peer that had a turn waits longer for the next one than the others.
/// * If all places are taken, the peer that was asked of the most endpoints loses one to a peer that was asked of fewer.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    entries: Vec<Entry>,
    index: HashTable<u32>,
    hash: FixedState,
    /// How many have to be asked for and were not yet.
    wanted: usize,
    /// How many were answered: their places are free.
    answered: usize,
    /// How many are known already, perhaps in part, and have no answer.
    in_doubt: usize,
    /// The peers with open requests, and how many each has.
    askees: Vec<Askee>,
    lifetime: Duration,
    /// How long one peer has for its answer before another is asked.
    patience: Duration,
    /// How many SYNs have asked.
    syns: u32,
    /// How many endpoints are remembered. If there are more, peers share the places: the peer with the most requests gives way.
    max: usize,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    endpoint: Endpoint,
    generation: Generation,
    stage: Stage,
    /// How often it may be asked for what is known already, since that may be a part. The last such question is one, too: 1.
    doubts: u8,
    /// While it is in doubt: everything up to this version has come, and what is newer is requested.
    from: Version,
}

#[derive(Clone, Copy, Debug)]
enum Stage {
    /// Has to be asked for, since this time.
    Wanted {
        since: Timestamp,
    },
    Asked(Question),
    /// The answer has come.
    Answered,
}

/// An open request.
#[derive(Clone, Copy, Debug)]
struct Question {
    whom: Endpoint,
    /// When it was asked first.
    since: Timestamp,
    /// When it was asked last.
    last: Timestamp,
    /// Who was asked before, and may still answer.
    before: Option<Endpoint>,
    /// Who had a turn: a bit of each.
    tried: u32,
    /// The number of the SYN that asked; 0 for an ACK.
    syn: u32,
}

/// A peer with open requests.
#[derive(Clone, Copy, Debug)]
struct Askee {
    endpoint: Endpoint,
    /// How many endpoints.
    places: usize,
}

impl Entry {
    const fn new(endpoint: Endpoint, generation: Generation, stage: Stage, doubts: u8) -> Self {
        Self { endpoint, generation, stage, doubts, from: Version::ZERO }
    }
}

impl Question {
    const fn new(whom: Endpoint, now: Timestamp) -> Self {
        Self { whom, since: now, last: now, before: None, tried: 0, syn: 0 }
    }
}

impl Asked {
    pub(crate) fn new(hash_key: u64, max: usize, lifetime: Duration, patience: Duration) -> Self {
        Self {
            entries: Vec::with_capacity(max),
            index: HashTable::with_capacity(max),
            hash: FixedState::with_seed(hash_key),
            wanted: 0,
            answered: 0,
            in_doubt: 0,
            askees: Vec::with_capacity(max),
            lifetime,
            patience,
            syns: 0,
            max,
        }
    }

    /// Notes that `whom` is asked for everything of `endpoint` now; false if there is no place for it, if another peer was
    /// asked a moment ago, or it was asked this very moment.
    pub(crate) fn ask(
        &mut self,
        endpoint: Endpoint,
        generation: Generation,
        whom: Endpoint,
        now: Timestamp,
    ) -> bool {
        let mut question = Question::new(whom, now);
        let Some(at) = self.find(endpoint) else {
            return self.add(Entry::new(endpoint, generation, Stage::Asked(question), 0), whom);
        };
        // A repeated question about a doubtful state does not delay a question about a later process.
        if let Stage::Asked(before) = self.entries[at].stage
            && self.entries[at].doubts == 0
        {
            let waited = now.saturating_since(before.since);
            if before.whom == whom {
                if before.last == now {
                    return false;
                }
                question = Question { last: now, syn: 0, ..before };
            } else {
                let had_a_turn = before.tried & self.bit(whom) != 0;
                let patience = self.patience.saturating_mul(if had_a_turn { SECOND_TURN } else { 1 });
                if whom != endpoint && waited < patience {
                    return false;
                }
                question.before = Some(before.whom);
                question.tried = before.tried | self.bit(before.whom);
                if question.tried.count_ones() >= MAX_TRIED {
                    question.tried = 0;
                }
            }
        }
        self.replace(at, Entry::new(endpoint, generation, Stage::Asked(question), 0));
        true
    }

    /// Notes that `endpoint` has to be requested, unless it was. Most places are kept for requests that were sent.
    pub(crate) fn want(&mut self, endpoint: Endpoint, generation: Generation, now: Timestamp) {
        self.want_again(endpoint, generation, now, 0);
    }

    /// Notes that what came in answer may be a part: `endpoint` has to be asked for once more, and again if no answer comes.
    pub(crate) fn doubt(&mut self, endpoint: Endpoint, generation: Generation, now: Timestamp) {
        self.want_again(endpoint, generation, now, DOUBTS);
    }

    fn want_again(&mut self, endpoint: Endpoint, generation: Generation, now: Timestamp, doubts: u8) {
        if self.wanted >= self.max.div_ceil(WANTED_SHARE) {
            return;
        }
        let entry = Entry::new(endpoint, generation, Stage::Wanted { since: now }, doubts);
        match self.find(endpoint) {
            Some(at)
                if matches!(self.entries[at].stage, Stage::Answered)
                    || (self.entries[at].doubts > 0 && self.entries[at].generation < generation) =>
            {
                self.replace(at, entry);
            }
            Some(_) => {}
            None if self.entries.len() < self.max => self.push(entry),
            None => {}
        }
    }

    /// Finds a place for what is asked of `whom`: one that is free, or one of the peer that holds the most.
    fn add(&mut self, entry: Entry, whom: Endpoint) -> bool {
        if self.entries.len() < self.max {
            self.push(entry);
            return true;
        }
        let place = if self.answered > 0 {
            self.entries.iter().position(|entry| matches!(entry.stage, Stage::Answered))
        } else {
            self.oldest_of_heaviest(whom, entry.endpoint == whom)
        };
        let Some(at) = place else { return false };
        let Self { entries, index, hash, .. } = self;
        let before = hash.hash_one(entries[at].endpoint);
        if let Ok(found) = index.find_entry(before, |number| *number as usize == at) {
            found.remove();
        }
        self.replace(at, entry);
        self.add_to_index(at);
        true
    }

    /// The oldest place of the peer with the most requests, if that has more than `whom`.
    fn oldest_of_heaviest(&self, whom: Endpoint, is_first_hand: bool) -> Option<usize> {
        let heaviest = self.askees.iter().max_by_key(|askee| askee.places)?;
        let own = self.askee(whom).map_or(0, |at| self.askees[at].places);
        if heaviest.places <= own && !is_first_hand {
            return None;
        }
        let since = |at: &usize| match self.entries[*at].stage {
            Stage::Asked(question) if question.whom == heaviest.endpoint => Some(question.since),
            _ => None,
        };
        (0..self.entries.len()).filter(|at| since(at).is_some()).min_by_key(since)
    }

    fn push(&mut self, entry: Entry) {
        self.count(&entry, true);
        self.entries.push(entry);
        self.add_to_index(self.entries.len() - 1);
    }

    fn replace(&mut self, at: usize, entry: Entry) {
        let before = core::mem::replace(&mut self.entries[at], entry);
        self.count(&before, false);
        self.count(&entry, true);
    }

    /// Counts an entry in or out.
    fn count(&mut self, entry: &Entry, is_new: bool) {
        let change = |count: &mut usize| *count = if is_new { *count + 1 } else { count.saturating_sub(1) };
        if entry.doubts > 0 && !matches!(entry.stage, Stage::Answered) {
            change(&mut self.in_doubt);
        }
        match entry.stage {
            Stage::Wanted { .. } => change(&mut self.wanted),
            Stage::Answered => change(&mut self.answered),
            Stage::Asked(Question { whom, .. }) => match self.askee(whom) {
                Some(at) => {
                    change(&mut self.askees[at].places);
                    if self.askees[at].places == 0 {
                        self.askees.swap_remove(at);
                    }
                }
                // No more of them than entries.
                None => self.askees.push(Askee { endpoint: whom, places: 1 }),
            },
        }
    }

    /// The index of a peer with open requests. The latest one is looked up again and again.
    fn askee(&self, whom: Endpoint) -> Option<usize> {
        self.askees.iter().rposition(|askee| askee.endpoint == whom)
    }

    /// One of 32 bits, for a peer.
    fn bit(&self, whom: Endpoint) -> u32 {
        1 << (self.hash.hash_one(whom) % 32)
    }

    fn add_to_index(&mut self, at: usize) {
        let Self { entries, index, hash, .. } = self;
        // At most `max`.
        let number = u32::try_from(at).unwrap_or(u32::MAX);
        index.insert_unique(hash.hash_one(entries[at].endpoint), number, |at| {
            hash.hash_one(entries[*at as usize].endpoint)
        });
    }

    /// Whether everything of `endpoint` was asked for, and is still to come.
    pub(crate) fn is_asked(&self, endpoint: Endpoint) -> bool {
        self.find(endpoint).is_some_and(|at| matches!(self.entries[at].stage, Stage::Asked(_)))
    }

    /// Whether the latest SYN asks for everything of `endpoint`.
    pub(crate) fn is_in_syn(&self, endpoint: Endpoint) -> bool {
        let is_it = |question: Question| question.syn == self.syns;
        self.find(endpoint)
            .is_some_and(|at| matches!(self.entries[at].stage, Stage::Asked(question) if is_it(question)))
    }

    /// Whether a state of `endpoint` that comes from `from` is the answer to such a question. Each question has one answer.
    pub(crate) fn take(&mut self, endpoint: Endpoint, from: Endpoint, now: Timestamp) -> bool {
        let Some(at) = self.find(endpoint) else { return false };
        let entry = self.entries[at];
        // What is known already is no answer for a later process of the endpoint.
        let is_answer = entry.doubts == 0 && self.is_answer(&entry, from, now);
        if is_answer {
            self.replace(at, Entry { stage: Stage::Answered, ..entry });
        }
        is_answer
    }

    fn is_answer(&self, entry: &Entry, from: Endpoint, now: Timestamp) -> bool {
        matches!(
            entry.stage,
            Stage::Asked(Question { whom, before, last, .. })
                if (whom == from || before == Some(from)) && now.saturating_since(last) <= self.lifetime
        )
    }

    /// A state of `endpoint` came from `from`, in answer to a SYN that asked once more: all up to version `reached`. If that is what was
    /// known before, up to `known`, nothing is in doubt any longer. Else the answer was cut, and the rest is asked for.
    pub(crate) fn answer_doubt(
        &mut self,
        endpoint: Endpoint,
        from: Endpoint,
        now: Timestamp,
        (reached, known): (Version, Version),
        has_values: bool,
    ) {
        if !self.is_any_in_doubt() {
            return;
        }
        if let Some(at) = self.find(endpoint).filter(|at| self.entries[*at].doubts > 0) {
            let entry = self.entries[at];
            // Without values it may answer a SYN that did not ask.
            if !self.is_answer(&entry, from, now) || (!has_values && entry.from == Version::ZERO) {
                return;
            }
            if reached >= known {
                self.replace(at, Entry { stage: Stage::Answered, doubts: 0, ..entry });
            } else if reached > entry.from {
                self.replace(at, Entry { stage: Stage::Wanted { since: now }, from: reached, ..entry });
            }
        }
    }

    /// Whether anything is asked once more, or has to be.
    pub(crate) const fn is_any_in_doubt(&self) -> bool {
        self.in_doubt > 0
    }

    /// Of `endpoint` nothing is asked once more, if that was to be.
    pub(crate) fn drop_doubt(&mut self, endpoint: Endpoint) {
        if let Some(at) = self.find(endpoint).filter(|at| self.entries[*at].doubts > 0) {
            let entry = self.entries[at];
            self.replace(at, Entry { stage: Stage::Answered, doubts: 0, ..entry });
        }
    }

    /// All of a process of `endpoint` has come. A request that was still to be sent, because a part had come before, is not sent any more,
    /// and nothing is asked of an earlier process.
    ///
    /// If that part was of a later process, the next SYN finds that out: it lists what is known.
    pub(crate) fn drop_wanted(&mut self, endpoint: Endpoint, generation: Generation) {
        if self.entries.is_empty() {
            return;
        }
        let is_over = |entry: &Entry| {
            matches!(entry.stage, Stage::Wanted { .. }) || (entry.doubts > 0 && entry.generation < generation)
        };
        if let Some(at) = self.find(endpoint).filter(|at| is_over(&self.entries[*at])) {
            let entry = self.entries[at];
            self.replace(at, Entry { stage: Stage::Answered, doubts: 0, ..entry });
        }
    }

    /// Drops what is answered or too old. Called once a round.
    pub(crate) fn expire(&mut self, now: Timestamp) {
        let (lifetime, before) = (self.lifetime, self.entries.len());
        for at in 0..self.entries.len() {
            let entry = self.entries[at];
            if let Stage::Asked(Question { last, .. }) = entry.stage
                && entry.doubts > 1
                && now.saturating_since(last) > lifetime
            {
                let doubts = entry.doubts - 1;
                self.replace(at, Entry { stage: Stage::Wanted { since: now }, doubts, ..entry });
            }
        }
        self.entries.retain(|entry| match entry.stage {
            Stage::Wanted { since } => now.saturating_since(since) <= lifetime,
            Stage::Asked(Question { last, .. }) => now.saturating_since(last) <= lifetime,
            Stage::Answered => false,
        });
        if self.entries.len() == before {
            return;
        }
        (self.wanted, self.answered, self.in_doubt) = (0, 0, 0);
        self.askees.clear();
        self.index.clear();
        for at in 0..self.entries.len() {
            let entry = self.entries[at];
            self.count(&entry, true);
            self.add_to_index(at);
        }
    }

    /// Writes a digest from version 0 for everybody who has to be asked for; the answer will be everything. If a part of that has come for
    /// one in doubt, it will be the rest.
    pub(crate) fn encode_wanted(
        &mut self,
        whom: Endpoint,
        now: Timestamp,
        codec: Codec,
        out: &mut Writer<'_>,
    ) -> i32 {
        let mut written = 0;
        self.syns = self.syns.checked_add(1).unwrap_or(1);
        for at in 0..self.entries.len() {
            if self.wanted == 0 && !self.is_any_in_doubt() {
                break;
            }
            let entry = self.entries[at];
            let question = match entry.stage {
                Stage::Wanted { .. } => Question::new(whom, now),
                // If the answer with the rest was lost, the next one must not seem to be it.
                Stage::Asked(question) if entry.from > Version::ZERO && question.whom == whom => question,
                Stage::Asked(_) | Stage::Answered => continue,
            };
            let Entry { endpoint, generation, from: max_version, .. } = entry;
            let digest = Digest { endpoint, generation, max_version };
            if digest.encode(codec, out) == Err(Full) {
                break;
            }
            let question = Question { syn: self.syns, ..question };
            self.replace(at, Entry { stage: Stage::Asked(question), ..entry });
            written += 1;
        }
        written
    }

    /// Each entry: endpoint, generation, and whether it is wanted, asked or answered; the peer that was asked, and the one before; how
    /// long ago it was asked first, and last.
    #[cfg(feature = "model")]
    pub(crate) fn entries(
        &self,
        now: Timestamp,
    ) -> impl Iterator<Item = (Endpoint, Generation, u8, [Option<Endpoint>; 2], [Duration; 2])> + '_ {
        let age = move |at: Timestamp| now.saturating_since(at);
        self.entries.iter().map(move |entry| {
            let (stage, of, ages) = match entry.stage {
                Stage::Wanted { since } => (0, [None; 2], [age(since); 2]),
                Stage::Asked(Question { whom, since, last, before, .. }) => {
                    (1, [Some(whom), before], [age(since), age(last)])
                }
                Stage::Answered => (2, [None; 2], [Duration::ZERO; 2]),
            };
            (entry.endpoint, entry.generation, stage + 3 * entry.doubts, of, ages)
        })
    }

    fn find(&self, endpoint: Endpoint) -> Option<usize> {
        let is_it = |at: &u32| self.entries[*at as usize].endpoint == endpoint;
        self.index.find(self.hash.hash_one(endpoint), is_it).map(|at| *at as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CAPACITY: usize = 1_024;
    const PEER: Endpoint = Endpoint::v4([10, 0, 1, 1], 7000);
    const OTHER: Endpoint = Endpoint::v4([10, 0, 1, 2], 7000);

    fn asked() -> Asked {
        Asked::new(7, CAPACITY, Duration::from_secs(10), Duration::from_secs(1))
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
        assert!(!asked.take(endpoint(1), OTHER, at(1)), "another peer was asked");
        assert!(asked.take(endpoint(1), PEER, at(10)));
        assert!(!asked.take(endpoint(1), PEER, at(10)), "the second answer");
        assert!(!asked.take(endpoint(2), PEER, at(11)), "too late");
        asked.want(endpoint(3), generation, at(11));
        assert!(!asked.take(endpoint(3), PEER, at(11)), "not asked for yet");
        asked.expire(at(11));
        assert_eq!(send_wanted(&mut asked, at(11)), 1);
        assert!(asked.is_asked(endpoint(3)));
        assert!(asked.take(endpoint(3), PEER, at(12)));
    }

    #[test]
    fn with_a_single_place_requests_displace_each_other() {
        let mut asked = Asked::new(7, 1, Duration::from_secs(10), Duration::from_secs(1));
        let generation = Generation::new(1);
        asked.want(endpoint(1), generation, at(0));
        asked.want(endpoint(2), generation, at(0));
        assert!(!asked.ask(endpoint(3), generation, PEER, at(0)), "the place is for what is wanted");
        assert_eq!(send_wanted(&mut asked, at(0)), 1);
        assert!(!asked.ask(endpoint(3), generation, PEER, at(1)), "a peer does not displace its own");
        assert!(asked.ask(endpoint(3), generation, OTHER, at(1)));
        assert_eq!((asked.entries.len(), asked.is_asked(endpoint(1))), (1, false));
        assert!(asked.take(endpoint(3), OTHER, at(2)));
    }

    #[test]
    fn what_has_come_is_not_wanted_any_more() {
        let mut asked = asked();
        let generation = Generation::new(1);
        asked.want(endpoint(1), generation, at(0));
        asked.doubt(endpoint(2), generation, at(0));
        assert!(asked.ask(endpoint(3), generation, PEER, at(0)));
        (1..=4).for_each(|n| asked.drop_wanted(endpoint(n), generation));
        assert_eq!((asked.wanted, asked.answered), (0, 2));
        assert!(asked.is_asked(endpoint(3)), "what was sent stays open");
        asked.want(endpoint(1), generation, at(1));
        assert_eq!(asked.wanted, 1, "a later part is requested again");
    }

    #[test]
    fn nothing_is_asked_of_an_earlier_process_than_the_one_that_is_known() {
        let mut asked = asked();
        asked.doubt(endpoint(1), Generation::new(1), at(0));
        let mut buffer = [0; 64];
        let codec = Codec::new(crate::version::MessagingVersion::V12);
        assert_eq!(asked.encode_wanted(PEER, at(0), codec, &mut Writer::new(&mut buffer)), 1);
        asked.drop_wanted(endpoint(1), Generation::new(1));
        asked.expire(at(11));
        assert_eq!(asked.wanted, 1, "of the same process it is asked again");
        assert_eq!(asked.encode_wanted(PEER, at(11), codec, &mut Writer::new(&mut buffer)), 1);
        asked.drop_wanted(endpoint(1), Generation::new(2));
        asked.expire(at(22));
        assert!(asked.find(endpoint(1)).is_none());
    }

    #[test]
    fn no_question_about_a_doubtful_state_delays_one_about_a_later_process_or_is_answered_by_it() {
        let (generation, later) = (Generation::new(1), Generation::new(2));
        for times in 1..=u64::from(DOUBTS) {
            let mut asked = asked();
            asked.doubt(endpoint(1), generation, at(0));
            let mut now = at(0);
            for time in 0..times {
                now = at(100 * time);
                asked.expire(now);
                let mut buffer = [0; 64];
                let codec = Codec::new(crate::version::MessagingVersion::V12);
                let written = asked.encode_wanted(PEER, now, codec, &mut Writer::new(&mut buffer));
                assert_eq!(written, 1, "question {time}");
            }
            assert!(!asked.take(endpoint(1), PEER, now), "after {times} questions");
            assert!(asked.ask(endpoint(1), later, OTHER, now), "after {times} questions");
            assert!(asked.take(endpoint(1), OTHER, now));
        }
        let mut asked = asked();
        asked.doubt(endpoint(1), generation, at(0));
        let questions = (0..10).filter(|time| {
            asked.expire(at(100 * time));
            send_wanted(&mut asked, at(100 * time)) == 1
        });
        assert_eq!(questions.count(), usize::from(DOUBTS));
    }

    /// Sends what is wanted to PEER.
    fn send_wanted(asked: &mut Asked, now: Timestamp) -> i32 {
        let mut buffer = [0; 64];
        let codec = Codec::new(crate::version::MessagingVersion::V12);
        asked.encode_wanted(PEER, now, codec, &mut Writer::new(&mut buffer))
    }

    #[test]
    fn a_doubt_ends_with_the_answer_of_the_peer_that_was_asked_once_more() {
        let mut asked = asked();
        let generation = Generation::new(1);
        asked.doubt(endpoint(1), generation, at(0));
        let whole = (Version::new(9), Version::new(9));
        asked.answer_doubt(endpoint(1), PEER, at(0), whole, true);
        assert_eq!(asked.wanted, 1, "no peer was asked yet");
        assert_eq!(send_wanted(&mut asked, at(0)), 1);
        asked.answer_doubt(endpoint(1), OTHER, at(1), whole, true);
        assert!(asked.is_asked(endpoint(1)), "another peer answers something else");
        asked.expire(at(10));
        assert_eq!((asked.wanted, asked.is_asked(endpoint(1))), (0, true), "there is time for the answer");
        asked.answer_doubt(endpoint(1), PEER, at(10), whole, true);
        assert_eq!((asked.answered, asked.is_asked(endpoint(1))), (1, false));
        asked.expire(at(11));
        assert_eq!((asked.entries.len(), send_wanted(&mut asked, at(11))), (0, 0));
    }

    /// Found by a seed of the simulation: the answer to a question about a part was cut, too, and the rest was never asked for.
    #[test]
    fn after_an_answer_that_was_cut_a_doubt_asks_for_the_rest_and_repeats_it_to_the_same_peer() {
        let mut asked = asked();
        let next = |asked: &mut Asked, whom: Endpoint, time: u64| {
            let mut buffer = [0; 64];
            let codec = Codec::new(crate::version::MessagingVersion::V12);
            let mut out = Writer::new(&mut buffer);
            let count = asked.encode_wanted(whom, at(time), codec, &mut out);
            let len = out.len();
            assert_eq!((count > 0, asked.is_in_syn(endpoint(1))), (len > 0, len > 0));
            buffer[..len].last_chunk().map(|version| i32::from_be_bytes(*version))
        };
        let reached = |asked: &mut Asked, from: Endpoint, time: u64, version: i32| {
            let has_values = version < 60;
            asked.answer_doubt(
                endpoint(1),
                from,
                at(time),
                (Version::new(version), Version::new(60)),
                has_values,
            );
        };
        asked.doubt(endpoint(1), Generation::new(1), at(0));
        assert_eq!(next(&mut asked, PEER, 0), Some(0));
        assert_eq!(next(&mut asked, OTHER, 1), None, "one peer at a time is asked");
        reached(&mut asked, OTHER, 1, 60);
        reached(&mut asked, PEER, 1, 0);
        reached(&mut asked, PEER, 1, 60);
        assert!(asked.is_asked(endpoint(1)), "a heartbeat alone may be older than the question");
        reached(&mut asked, PEER, 1, 7);
        assert_eq!(next(&mut asked, OTHER, 2), Some(7), "any peer may know the rest");
        assert_eq!(next(&mut asked, PEER, 3), None);
        assert_eq!(next(&mut asked, OTHER, 3), Some(7), "its answer may be lost");
        reached(&mut asked, OTHER, 3, 59);
        assert_eq!(next(&mut asked, PEER, 4), Some(59));
        reached(&mut asked, PEER, 4, 60);
        assert!(!asked.is_any_in_doubt());
        assert_eq!(next(&mut asked, PEER, 5), None);
        // A later doubt begins from the start.
        asked.doubt(endpoint(1), Generation::new(1), at(5));
        assert_eq!(next(&mut asked, PEER, 5), Some(0));
    }

    #[test]
    fn a_first_question_is_open_whatever_is_wanted_or_doubted_meanwhile() {
        let mut asked = asked();
        let (generation, later) = (Generation::new(1), Generation::new(2));
        assert!(asked.ask(endpoint(1), generation, PEER, at(0)));
        asked.want(endpoint(1), generation, at(1));
        asked.want(endpoint(1), later, at(1));
        asked.doubt(endpoint(1), later, at(1));
        asked.answer_doubt(endpoint(1), PEER, at(1), (Version::new(9), Version::new(9)), true);
        asked.drop_doubt(endpoint(1));
        asked.drop_wanted(endpoint(1), later);
        assert_eq!((asked.wanted, asked.answered), (0, 0));
        assert!(asked.take(endpoint(1), PEER, at(2)));
        // Of a state that is doubted, only a later process is asked for again.
        asked.doubt(endpoint(2), generation, at(2));
        assert_eq!(send_wanted(&mut asked, at(2)), 1);
        asked.want(endpoint(2), generation, at(3));
        assert_eq!(asked.wanted, 0);
        asked.want(endpoint(2), later, at(3));
        assert_eq!(asked.wanted, 1);
    }

    #[test]
    fn what_the_latest_syn_asks_for_is_known_apart_from_what_an_ack_asks_for_at_the_same_time() {
        let mut asked = asked();
        assert!(asked.ask(endpoint(1), Generation::new(1), PEER, at(0)));
        asked.want(endpoint(2), Generation::new(1), at(0));
        assert_eq!(send_wanted(&mut asked, at(0)), 1);
        assert_eq!([1, 2, 3].map(|n| asked.is_asked(endpoint(n))), [true, true, false]);
        assert_eq!([1, 2, 3].map(|n| asked.is_in_syn(endpoint(n))), [false, true, false]);
        assert_eq!(send_wanted(&mut asked, at(0)), 0);
        assert!(!asked.is_in_syn(endpoint(2)), "of an earlier one");
    }

    #[test]
    fn a_repeated_question_may_be_answered_as_late_as_a_new_one() {
        let mut asked = asked();
        assert!(asked.ask(endpoint(1), Generation::new(1), PEER, at(0)));
        assert!(asked.ask(endpoint(1), Generation::new(1), PEER, at(9)));
        assert!(asked.take(endpoint(1), PEER, at(15)));
    }

    #[test]
    fn another_is_asked_when_the_first_had_its_time() {
        let mut asked = asked();
        let generation = Generation::new(1);
        assert!(asked.ask(endpoint(1), generation, PEER, at(0)));
        assert!(!asked.ask(endpoint(1), generation, PEER, at(0)), "that is the same question");
        let late = Timestamp::from_millis(999);
        assert!(asked.ask(endpoint(1), generation, PEER, late), "the same peer may be asked again");
        assert!(!asked.ask(endpoint(1), generation, OTHER, late));
        assert!(asked.ask(endpoint(1), generation, OTHER, at(1)), "but has had its time");
        assert!(asked.take(endpoint(1), OTHER, at(2)));
    }

    #[test]
    fn who_was_asked_before_may_still_answer() {
        let mut asked = asked();
        let generation = Generation::new(1);
        assert!(asked.ask(endpoint(1), generation, PEER, at(0)));
        assert!(asked.ask(endpoint(1), generation, OTHER, at(1)));
        assert!(asked.take(endpoint(1), PEER, at(2)));
        assert!(!asked.take(endpoint(1), OTHER, at(2)), "one answer counts");
    }

    #[test]
    fn a_peer_that_does_not_answer_has_no_turn_before_others() {
        let mut asked = asked();
        let generation = Generation::new(1);
        let quick = Endpoint::v4([10, 0, 1, 3], 7000);
        assert!(asked.ask(endpoint(1), generation, PEER, at(0)));
        assert!(asked.ask(endpoint(1), generation, OTHER, at(1)));
        assert!(!asked.ask(endpoint(1), generation, PEER, at(2)), "it had a turn");
        assert!(asked.ask(endpoint(1), generation, quick, at(2)));
        assert!(!asked.ask(endpoint(1), generation, OTHER, at(5)));
        assert!(asked.ask(endpoint(1), generation, PEER, at(6)), "no other peer was waiting to be asked");
        assert!(
            asked.ask(endpoint(1), generation, endpoint(1), at(6)),
            "who speaks for itself is asked at once"
        );
    }

    #[test]
    fn one_peer_does_not_take_all_places() {
        let mut asked = asked();
        let generation = Generation::new(1);
        let of = |n: u16| Endpoint::v4([10, 9, 0, 1], n);
        assert_eq!((0..2_000).filter(|n| asked.ask(of(*n), generation, PEER, at(0))).count(), CAPACITY);
        assert_eq!(
            (2_000..3_000).filter(|n| asked.ask(of(*n), generation, OTHER, at(0))).count(),
            CAPACITY / 2
        );
        assert!(asked.ask(endpoint(1), generation, endpoint(2), at(0)), "it holds none yet");
        assert!(asked.take(endpoint(1), endpoint(2), at(0)));
        assert!(asked.ask(endpoint(3), generation, PEER, at(0)), "a place is free");
        assert!(!asked.ask(endpoint(4), generation, PEER, at(0)));
        assert!(asked.ask(PEER, generation, PEER, at(0)), "who speaks for itself finds a place");
        assert_eq!(asked.entries.len(), CAPACITY);
        let found = (0..CAPACITY).filter(|place| asked.find(asked.entries[*place].endpoint) == Some(*place));
        assert_eq!((found.count(), asked.index.len()), (CAPACITY, CAPACITY));
        let places: usize = asked.askees.iter().map(|askee| askee.places).sum();
        assert_eq!(places + asked.answered, CAPACITY);
        asked.expire(at(11));
        assert_eq!((asked.entries.len(), asked.askees.len(), asked.answered), (0, 0, 0));
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
            (CAPACITY / 4, CAPACITY / 4),
            "most places are for questions"
        );
        asked.expire(at(22));
        assert_eq!((asked.entries.len(), asked.wanted), (0, 0));
        let ask = |asked: &mut Asked, n| {
            asked.ask(Endpoint::v4([10, 0, 0, 2], n), Generation::new(1), PEER, at(22))
        };
        (0..1_024).for_each(|n| assert!(ask(&mut asked, n)));
        asked.want(endpoint(1), Generation::new(1), at(22));
        assert_eq!((asked.entries.len(), asked.wanted), (CAPACITY, 0));
    }

    #[test]
    fn a_peer_that_had_two_turns_waits_as_long_as_one_that_had_one() {
        let mut asked = asked();
        let generation = Generation::new(1);
        // Turns are noted by one of 32 bits for each peer.
        let taken = [PEER, OTHER].map(|peer| asked.bit(peer));
        let third = (2..).map(endpoint).find(|peer| !taken.contains(&asked.bit(*peer))).unwrap();
        let mut ask = |whom, seconds| asked.ask(endpoint(1), generation, whom, at(seconds));
        assert!(ask(PEER, 0) && ask(OTHER, 1));
        assert!(!ask(PEER, 4) && ask(PEER, 5), "a second turn");
        assert!(ask(third, 6), "a first turn");
        assert!(!ask(PEER, 7) && !ask(OTHER, 7));
        assert!(ask(PEER, 10), "a third turn");
    }

    #[cfg(feature = "model")]
    #[test]
    fn the_model_tells_apart_what_is_wanted_asked_and_answered_and_how_doubtful_it_is() {
        let mut asked = asked();
        let mut numbers = Vec::new();
        for (stage, doubts) in
            [0, 1, 2].into_iter().flat_map(|stage| (0..=DOUBTS).map(move |doubts| (stage, doubts)))
        {
            let stage = match stage {
                0 => Stage::Wanted { since: at(0) },
                1 => Stage::Asked(Question::new(PEER, at(0))),
                _ => Stage::Answered,
            };
            let n = u8::try_from(asked.entries.len()).unwrap();
            asked.push(Entry::new(endpoint(n), Generation::new(1), stage, doubts));
            numbers = asked.entries(at(0)).map(|(_, _, number, _, _)| number).collect();
        }
        assert_eq!(numbers.len(), 15);
        numbers.sort_unstable();
        numbers.dedup();
        assert_eq!(numbers.len(), 15);
    }
}
