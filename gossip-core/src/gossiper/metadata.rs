//! The identifier of the cluster's metadata (`docs/protocol/cassandra-6.md`).
//!
//! Owns: the identifier that our SYNs carry and where it is from, the questions for it, and whose SYNs carry another one.
//! May see: nothing. It is given the time.
//!
//! Rules: an identifier from a node counts more than one that was given or saved. A node that speaks version 14 is asked before it
//! gets the first SYN, and has two seconds to answer. While a SYN is without an answer, the identifier is in doubt and is asked for again,
//! but seldom. No SYN is repeated each round to a node that will not answer it: each costs that node a warning in its log.

use core::time::Duration;

use crate::config::Config;
use crate::endpoint::Endpoint;
use crate::metadata::{MetadataId, MetadataOrigin};
use crate::time::Timestamp;
use crate::version::MessagingVersion;

/// How long a node has to answer.
const PATIENCE: Duration = Duration::from_secs(2);

/// How long a node is left alone after a question. Each costs it two lines in its log.
const ASK_AGAIN: Duration = Duration::from_secs(10);

/// Of how many nodes it is remembered that they were asked.
const MAX_ASKED: usize = 16;

/// Of how many nodes it is remembered that they will not answer our SYN.
const MAX_DEAF: usize = 16;

/// How many intervals lie between two SYNs to a node that will not answer them.
const SELDOM: u32 = 60;

#[derive(Clone, Debug)]
pub(super) struct Metadata {
    /// Whether nodes are asked, and followed: the cluster is Cassandra's, and not ours.
    follows: bool,
    id: MetadataId,
    origin: MetadataOrigin,
    asked: [Option<Asked>; MAX_ASKED],
    /// The first SYN of version 14 since the last answer to one: its receiver, and when.
    unanswered: Option<(Endpoint, Timestamp)>,
    deaf: [Option<Deaf>; MAX_DEAF],
}

#[derive(Clone, Copy, Debug)]
struct Asked {
    peer: Endpoint,
    at: Timestamp,
    /// The id of the message.
    id: u64,
    is_open: bool,
}

/// A node that will not answer our SYN.
#[derive(Clone, Copy, Debug)]
struct Deaf {
    peer: Endpoint,
    /// What its own SYNs carry; nothing if it speaks no version in which they carry anything.
    theirs: Option<MetadataId>,
    /// When it got a SYN of ours last.
    at: Option<Timestamp>,
}

/// What becomes of a SYN.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Gate {
    /// It goes out.
    Open,
    /// The question for the identifier goes out first.
    Ask,
    /// It waits for the answer to that question.
    Wait,
    /// It is dropped.
    Closed,
}

/// The identifier has changed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Changed {
    pub(super) old: MetadataId,
    pub(super) new: MetadataId,
}

impl Metadata {
    /// That of a node with these settings.
    pub(super) fn of(config: &Config) -> Self {
        let known = [
            (config.metadata_service, MetadataOrigin::Own),
            (config.metadata_id, MetadataOrigin::Given),
            (config.saved_metadata_id, MetadataOrigin::Saved),
        ];
        let known = known.into_iter().find_map(|(id, origin)| id.map(|id| (id, origin)));
        let (id, origin) = known.unwrap_or_default();
        let follows = config.follows_metadata_id();
        // Others have none.
        let is_used = follows || config.metadata_service.is_some();
        if is_used {
            Self::new(follows, id, origin)
        } else {
            Self::new(false, MetadataId::NONE, MetadataOrigin::None)
        }
    }

    const fn new(follows: bool, id: MetadataId, origin: MetadataOrigin) -> Self {
        Self { follows, id, origin, asked: [None; MAX_ASKED], unanswered: None, deaf: [None; MAX_DEAF] }
    }

    /// What our SYNs carry.
    pub(super) const fn id(&self) -> MetadataId {
        self.id
    }

    pub(super) const fn origin(&self) -> MetadataOrigin {
        self.origin
    }

    /// Whether the identifier comes from a node, and not only from a person or a file.
    pub(super) const fn is_confirmed(&self) -> bool {
        matches!(
            self.origin,
            MetadataOrigin::Answer { .. } | MetadataOrigin::Syn { .. } | MetadataOrigin::Own
        )
    }

    /// Whether the cluster is known to have a metadata service that is initialised.
    pub(super) const fn is_initialised(&self) -> bool {
        self.is_confirmed() && !self.id.is_none()
    }

    /// Whether an answer may still come.
    pub(super) fn is_awaited(&self, now: Timestamp) -> bool {
        self.asked.iter().flatten().any(|asked| asked.is_open && now < asked.at + PATIENCE)
    }

    /// What becomes of a SYN to `to` over a connection of this version. `has_silent_syn`: its last SYN is without an answer.
    pub(super) fn gate(
        &mut self,
        to: Endpoint,
        version: MessagingVersion,
        (now, interval): (Timestamp, Duration),
        has_silent_syn: bool,
    ) -> Gate {
        if !self.follows {
            return Gate::Open;
        }
        if !version.has_metadata_id() {
            if has_silent_syn && self.is_initialised() {
                self.note_deaf(to, None);
            } else {
                self.forget_deaf(to);
            }
            return self.seldom(to, now, interval);
        }
        if self.asked_of(to).is_some_and(|asked| asked.is_open && now < asked.at + PATIENCE) {
            return Gate::Wait;
        }
        let is_in_doubt = self.unanswered.is_some_and(|(_, at)| now.saturating_since(at) >= interval / 2);
        let is_quiet = |asked: &Asked| now.saturating_since(asked.at) >= ASK_AGAIN;
        // In doubt one node is asked, and not each.
        let may_ask = if self.is_confirmed() {
            is_in_doubt && self.asked.iter().flatten().all(is_quiet)
        } else {
            self.asked_of(to).is_none_or(is_quiet)
        };
        if may_ask && self.place(now).is_some() { Gate::Ask } else { self.seldom(to, now, interval) }
    }

    fn seldom(&mut self, to: Endpoint, now: Timestamp, interval: Duration) -> Gate {
        let id = self.id;
        let Some(deaf) = self.deaf.iter_mut().flatten().find(|deaf| deaf.peer == to) else {
            return Gate::Open;
        };
        if deaf.theirs == Some(id) {
            return Gate::Open;
        }
        let pause = interval.saturating_mul(SELDOM);
        if deaf.at.is_some_and(|at| now.saturating_since(at) < pause) {
            return Gate::Closed;
        }
        deaf.at = Some(now);
        Gate::Open
    }

    fn asked_of(&self, peer: Endpoint) -> Option<&Asked> {
        self.asked.iter().flatten().find(|asked| asked.peer == peer)
    }

    /// A place for another question: a free one, or that of the oldest that is over.
    fn place(&self, now: Timestamp) -> Option<usize> {
        let free = self.asked.iter().position(Option::is_none);
        free.or_else(|| {
            let is_over = |asked: &Asked| !asked.is_open || now >= asked.at + PATIENCE;
            let over = self.asked.iter().enumerate().filter(|(_, asked)| asked.as_ref().is_some_and(is_over));
            over.min_by_key(|(_, asked)| asked.map(|asked| asked.at)).map(|(place, _)| place)
        })
    }

    /// A question was written.
    pub(super) fn note_asked(&mut self, peer: Endpoint, id: u64, now: Timestamp) {
        let same = self.asked.iter().position(|asked| asked.is_some_and(|asked| asked.peer == peer));
        if let Some(place) = same.or_else(|| self.place(now)) {
            self.asked[place] = Some(Asked { peer, at: now, id, is_open: true });
        }
    }

    /// Whether `peer` speaks version 14 and may be asked now, though no SYN is due to it.
    pub(super) fn may_ask(&self, peer: Endpoint, now: Timestamp) -> bool {
        self.follows
            && !self.is_confirmed()
            && self.asked_of(peer).is_none_or(|asked| now.saturating_since(asked.at) >= ASK_AGAIN)
    }

    /// A SYN went out to `to`.
    pub(super) fn note_syn(&mut self, to: Endpoint, version: MessagingVersion, now: Timestamp) {
        if self.follows && version.has_metadata_id() {
            self.unanswered.get_or_insert((to, now));
        }
    }

    /// `from` has answered a SYN.
    pub(super) fn note_ack(&mut self, from: Endpoint) {
        self.unanswered.take_if(|(to, _)| *to == from);
        self.forget_deaf(from);
    }

    /// Until when an answer is waited for.
    pub(super) fn deadline(&self) -> Option<Timestamp> {
        if !self.follows {
            return None;
        }
        self.asked.iter().flatten().filter(|asked| asked.is_open).map(|asked| asked.at + PATIENCE).min()
    }

    /// A peer that has not answered in time. It is reported once.
    pub(super) fn next_silent(&mut self, now: Timestamp) -> Option<Endpoint> {
        let is_late = |asked: &&mut Asked| asked.is_open && now >= asked.at + PATIENCE;
        let asked = self.asked.iter_mut().flatten().find(is_late)?;
        asked.is_open = false;
        Some(asked.peer)
    }

    /// A peer whose answer is not needed any more. It is reported once.
    pub(super) fn next_open(&mut self) -> Option<Endpoint> {
        let asked = self.asked.iter_mut().flatten().find(|asked| asked.is_open)?;
        asked.is_open = false;
        Some(asked.peer)
    }

    /// The process did not run for so long: answers could not be heard.
    pub(super) fn put_off(&mut self, pause: Duration) {
        for asked in self.asked.iter_mut().flatten().filter(|asked| asked.is_open) {
            asked.at = asked.at + pause;
        }
        if let Some((_, at)) = &mut self.unanswered {
            *at = *at + pause;
        }
    }

    /// Whether an answer of `from` belongs to a question of ours, which it ends.
    pub(super) fn take_answer(&mut self, from: Endpoint, id: u64) -> bool {
        let is_it = |asked: &&mut Asked| asked.peer == from && asked.id == id;
        let Some(asked) = self.asked.iter_mut().flatten().find(is_it) else { return false };
        asked.is_open = false;
        self.unanswered = None;
        true
    }

    /// `from` has sent the identifier in an answer.
    pub(super) fn learn(&mut self, from: Endpoint, id: MetadataId) -> Option<Changed> {
        self.set(id, MetadataOrigin::Answer { from })
    }

    /// A SYN of `from` carries `id`, and is of our cluster. What it carries is taken over if `from` is trusted: a member, or a seed.
    pub(super) fn follow(&mut self, from: Endpoint, id: MetadataId, is_trusted: bool) -> Option<Changed> {
        if !self.follows {
            return None;
        }
        if id == self.id {
            self.forget_deaf(from);
            if !self.is_confirmed() && is_trusted && !id.is_none() {
                return self.set(id, MetadataOrigin::Syn { from });
            }
            return None;
        }
        // A metadata service that is initialised stays so: a node without an identifier is about to learn it.
        if is_trusted && !(id.is_none() && self.is_initialised()) {
            return self.set(id, MetadataOrigin::Syn { from });
        }
        self.note_deaf(from, Some(id));
        None
    }

    /// Takes another identifier of our own: for a node that behaves like one of Cassandra 6.0.
    pub(super) fn set_own(&mut self, id: MetadataId) {
        (self.id, self.origin) = (id, MetadataOrigin::Own);
    }

    fn set(&mut self, new: MetadataId, origin: MetadataOrigin) -> Option<Changed> {
        let old = core::mem::replace(&mut self.id, new);
        self.origin = origin;
        self.unanswered = None;
        (old != new).then_some(Changed { old, new })
    }

    fn note_deaf(&mut self, peer: Endpoint, theirs: Option<MetadataId>) {
        let same = self.deaf.iter().position(|deaf| deaf.is_some_and(|deaf| deaf.peer == peer));
        let place = same.or_else(|| self.deaf.iter().position(Option::is_none)).unwrap_or_else(|| {
            // The one that got a SYN longest ago has waited longest anyway.
            let places = self.deaf.iter().enumerate();
            places.min_by_key(|(_, deaf)| deaf.and_then(|deaf| deaf.at)).map_or(0, |(place, _)| place)
        });
        let at = self.deaf[place].filter(|_| same.is_some()).and_then(|deaf| deaf.at);
        self.deaf[place] = Some(Deaf { peer, theirs, at });
    }

    fn forget_deaf(&mut self, peer: Endpoint) {
        for deaf in &mut self.deaf {
            deaf.take_if(|deaf| deaf.peer == peer);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: Endpoint = Endpoint::v4([10, 0, 0, 1], 7000);
    const B: Endpoint = Endpoint::v4([10, 0, 0, 2], 7000);
    const V12: MessagingVersion = MessagingVersion::V12;
    const V14: MessagingVersion = MessagingVersion::V14;
    const ID: MetadataId = MetadataId::new(7);

    fn at(ms: u64) -> (Timestamp, Duration) {
        (Timestamp::ZERO + Duration::from_millis(ms), Duration::from_secs(1))
    }

    fn metadata() -> Metadata {
        Metadata::new(true, MetadataId::NONE, MetadataOrigin::None)
    }

    /// One that has the identifier from `A`.
    fn told(ms: u64) -> Metadata {
        let mut metadata = metadata();
        metadata.note_asked(A, 1, at(ms).0);
        assert!(metadata.take_answer(A, 1));
        metadata.learn(A, ID);
        metadata
    }

    #[test]
    fn a_node_is_asked_before_its_first_syn_and_has_two_seconds() {
        let mut metadata = metadata();
        assert_eq!(metadata.gate(A, V12, at(0), false), Gate::Open, "it does not speak version 14");
        assert_eq!(metadata.gate(A, V14, at(0), false), Gate::Ask);
        metadata.note_asked(A, 9, at(0).0);
        assert_eq!(metadata.deadline(), Some(at(2_000).0));
        assert_eq!(metadata.gate(A, V14, at(1_999), false), Gate::Wait);
        assert_eq!(metadata.next_silent(at(1_999).0), None);
        assert_eq!(metadata.next_silent(at(2_000).0), Some(A));
        assert_eq!((metadata.next_silent(at(2_000).0), metadata.deadline()), (None, None));
        assert_eq!(metadata.gate(A, V14, at(2_000), false), Gate::Open, "no answer means 0");
        assert!(metadata.id().is_none() && !metadata.is_confirmed());
        // A late answer counts all the same, and no other does.
        assert!(!metadata.take_answer(A, 8) && !metadata.take_answer(B, 9));
        assert!(metadata.take_answer(A, 9));
        assert_eq!(metadata.learn(A, ID), Some(Changed { old: MetadataId::NONE, new: ID }));
        assert!(metadata.is_initialised());
        assert_eq!(metadata.gate(B, V14, at(3_000), false), Gate::Open, "one answer is enough");
    }

    #[test]
    fn while_a_syn_is_without_an_answer_the_identifier_is_asked_for_but_seldom() {
        let mut metadata = told(0);
        metadata.note_syn(A, V14, at(20_000).0);
        assert_eq!(metadata.gate(B, V14, at(21_000), false), Gate::Ask);
        metadata.note_asked(B, 2, at(21_000).0);
        assert_eq!(metadata.gate(B, V14, at(22_000), false), Gate::Wait);
        assert_eq!(metadata.next_silent(at(23_000).0), Some(B));
        assert_eq!(metadata.gate(A, V14, at(23_000), false), Gate::Open);
        assert_eq!(metadata.gate(A, V14, at(31_000), false), Gate::Ask);
        metadata.note_ack(A);
        assert_eq!(metadata.gate(A, V14, at(31_000), false), Gate::Open);
    }

    #[test]
    fn identifiers_are_followed_from_members_and_seeds_alone() {
        let mut metadata = told(0);
        let other = MetadataId::new(8);
        assert_eq!(metadata.follow(B, other, false), None);
        assert_eq!(metadata.id(), ID);
        assert_eq!(metadata.follow(B, MetadataId::NONE, true), None, "it is about to learn it");
        assert_eq!(metadata.follow(B, other, true), Some(Changed { old: ID, new: other }));
        assert_eq!(metadata.origin(), MetadataOrigin::Syn { from: B });
        let mut ours = Metadata::new(false, MetadataId::NONE, MetadataOrigin::None);
        assert_eq!(ours.follow(B, other, true), None, "a cluster of ours has none");
    }

    #[test]
    fn a_node_that_will_not_answer_gets_a_syn_a_minute() {
        let mut metadata = told(0);
        metadata.follow(B, MetadataId::new(8), false);
        let sent = |metadata: &mut Metadata, version, is_silent| {
            (0..180)
                .filter(|second| {
                    metadata.gate(B, version, at(20_000 + second * 1_000), is_silent) == Gate::Open
                })
                .count()
        };
        assert_eq!(sent(&mut metadata, V14, false), 3);
        metadata.note_ack(B);
        assert_eq!(sent(&mut metadata, V14, false), 180);
        // A SYN of version 12 cannot carry the identifier.
        assert_eq!(sent(&mut metadata, V12, true), 3);
        assert_eq!(sent(&mut metadata, V12, false), 180);
    }

    #[test]
    fn there_is_always_a_place_for_a_question_whose_time_has_come() {
        let mut metadata = metadata();
        let peer = |n: usize| Endpoint::v4([10, 0, 1, u8::try_from(n).unwrap()], 7000);
        for n in 0..MAX_ASKED {
            assert_eq!(metadata.gate(peer(n), V14, at(0), false), Gate::Ask);
            metadata.note_asked(peer(n), n as u64, at(0).0);
        }
        assert_ne!(metadata.gate(B, V14, at(1_000), false), Gate::Ask);
        assert_eq!(metadata.gate(B, V14, at(2_000), false), Gate::Ask);
    }
}
