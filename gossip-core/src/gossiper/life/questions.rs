//! What became of the questions before a node takes part, and of the dials to those who are asked.

use alloc::vec::Vec;
use core::time::Duration;

use smallvec::SmallVec;

use crate::dial::DialFailure;
use crate::endpoint::Endpoint;
use crate::metadata::MetadataId;
use crate::time::Timestamp;
use crate::version::MessagingVersion;

/// Of how many peers it is noted.
const MAX_NOTED: usize = 16;

/// How many questions go to a Cassandra node that accepts them before it is left alone for longer: each may cost it a line in its log.
const ASKED_OFTEN: u32 = 2;

/// How many intervals lie between two questions then.
const REPEAT_SELDOM: u32 = 25;

/// After how many intervals a question counts as not answered.
pub(in super::super) const UNANSWERED: u32 = 4;

/// After how many intervals a node that only asks gives up after its last question.
const GIVE_UP: u32 = 8;

/// What is noted.
#[derive(Clone, Debug)]
pub(in super::super) struct Questions {
    /// Has room for all from the start: noting a peer takes no memory.
    peers: Vec<Noted>,
    /// Whether a peer has dialled this node with TLS.
    is_tls_seen: bool,
}

#[derive(Clone, Copy, Debug)]
struct Noted {
    peer: Endpoint,
    /// Why it did not answer the last time, and how often in a row for the same reason.
    failure: Option<(DialFailure, u32)>,
    /// Whether that was not reported yet.
    is_new: bool,
    /// How many questions were written to it since it answered or could not be reached, and when the last was.
    written: u32,
    last: Timestamp,
    /// Up to which version of the messages it speaks, if its handshake has said so.
    speaks: Option<u32>,
}

impl Noted {
    /// Whether it speaks a version in which a SYN carries the identifier of the cluster's metadata. DataStax Enterprise has numbers of its own,
    /// from 256 on.
    fn has_identifier(&self) -> bool {
        self.speaks.is_some_and(|max| (MessagingVersion::V14.number()..256).contains(&max))
    }

    /// Whether it speaks none.
    fn lacks_identifier(&self) -> bool {
        self.speaks.is_some_and(|max| max < MessagingVersion::V14.number())
    }
}

impl Questions {
    pub(super) fn new() -> Self {
        Self { peers: Vec::with_capacity(MAX_NOTED), is_tls_seen: false }
    }

    fn get(&self, peer: Endpoint) -> Option<&Noted> {
        self.peers.iter().find(|noted| noted.peer == peer)
    }

    /// The place of `peer`, if there is one for it.
    fn place(&mut self, peer: Endpoint) -> Option<&mut Noted> {
        if self.get(peer).is_none() && self.peers.len() < MAX_NOTED {
            let last = Timestamp::ZERO;
            self.peers.push(Noted { peer, failure: None, is_new: false, written: 0, last, speaks: None });
        }
        self.peers.iter_mut().find(|noted| noted.peer == peer)
    }

    /// Notes why `peer` did not answer.
    pub(in super::super) fn note_failure(&mut self, peer: Endpoint, failure: DialFailure) {
        let Some(noted) = self.place(peer) else { return };
        if !failure.is_silence() {
            noted.written = 0;
        }
        let times = match noted.failure {
            _ if failure.is_silence() => noted.written,
            Some((before, times)) if before == failure => times.saturating_add(1),
            _ => 1,
        };
        noted.failure = Some((failure, times));
        noted.is_new = true;
    }

    /// A question goes out to `peer`.
    pub(in super::super) fn note_question(&mut self, peer: Endpoint, now: Timestamp) {
        let Some(noted) = self.place(peer) else { return };
        if noted.failure.is_some_and(|(failure, _)| !failure.is_silence()) {
            noted.failure = None;
        }
        noted.written = noted.written.saturating_add(1);
        noted.last = now;
    }

    /// `peer` speaks versions of up to `max`.
    pub(in super::super) fn note_speaks(&mut self, peer: Endpoint, max: u32) {
        if let Some(noted) = self.place(peer) {
            noted.speaks = Some(max);
        }
    }

    /// Notes the silence of all whose version has no place for the identifier that the cluster is known to have.
    pub(in super::super) fn note_without_identifier(&mut self) {
        for noted in self.peers.iter_mut().filter(|noted| noted.lacks_identifier() && noted.failure.is_none())
        {
            (noted.failure, noted.is_new) = (Some((DialFailure::SilentWithoutIdentifier, 1)), true);
        }
    }

    /// `peer` has answered.
    pub(in super::super) fn note_answer(&mut self, peer: Endpoint) {
        if let Some(noted) = self.peers.iter_mut().find(|noted| noted.peer == peer) {
            (noted.failure, noted.written) = (None, 0);
        }
    }

    /// Whether `peer` takes questions and does not answer, and was asked lately.
    pub(in super::super) fn is_silent(&self, peer: Endpoint, now: Timestamp, interval: Duration) -> bool {
        let seldom = interval.saturating_mul(REPEAT_SELDOM);
        self.get(peer)
            .is_some_and(|noted| noted.written >= ASKED_OFTEN && now.saturating_since(noted.last) < seldom)
    }

    /// Whether `peer` has shown, as often as that takes, that it will not answer. A member that is to stay (`is_patient`) waits longer for
    /// a peer that says nothing: gossip may be enabled there.
    pub(in super::super) fn is_clear(
        &self,
        peer: Endpoint,
        now: Timestamp,
        interval: Duration,
        is_patient: bool,
    ) -> bool {
        let Some(Noted { failure: Some((failure, times)), written, last, .. }) = self.get(peer) else {
            return false;
        };
        if failure.is_silence() {
            let give_up = interval.saturating_mul(GIVE_UP);
            return !is_patient && *written >= ASKED_OFTEN && now.saturating_since(*last) >= give_up;
        }
        failure.is_clear_after().is_some_and(|clear| *times >= clear)
    }

    /// A peer has dialled this node with TLS.
    pub(in super::super) const fn note_tls(&mut self) {
        self.is_tls_seen = true;
    }

    /// The failures that were not reported yet.
    pub(in super::super) fn take_failures(
        &mut self,
    ) -> impl Iterator<Item = (Endpoint, DialFailure, u32)> + '_ {
        self.peers.iter_mut().filter_map(|noted| {
            let (failure, times) = noted.failure.filter(|_| core::mem::take(&mut noted.is_new))?;
            Some((noted.peer, failure, times))
        })
    }

    /// The peers that have left their last question without an answer for so long that there is none to come, and what that means.
    /// `identifier`: that of the cluster's metadata, as far as one is known; it may be 0.
    pub(in super::super) fn newly_silent(
        &self,
        now: Timestamp,
        interval: Duration,
        identifier: Option<MetadataId>,
    ) -> SmallVec<[(Endpoint, DialFailure); MAX_NOTED]> {
        let patience = interval.saturating_mul(UNANSWERED);
        let failure = |noted: &Noted| {
            if self.is_tls_seen {
                DialFailure::SilentAndTls
            } else if noted.lacks_identifier() && identifier.is_some_and(|id| !id.is_none()) {
                DialFailure::SilentWithoutIdentifier
            } else if noted.has_identifier() && identifier.is_none() {
                DialFailure::SilentOnIdentifier
            } else {
                DialFailure::Silent
            }
        };
        let is_newly_silent = |noted: &&Noted| {
            noted.written > 0
                && noted.failure != Some((failure(noted), noted.written))
                && now.saturating_since(noted.last) >= patience
        };
        self.peers.iter().filter(is_newly_silent).map(|noted| (noted.peer, failure(noted))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_that_takes_questions_and_says_nothing_is_left_alone_and_given_up() {
        let at = |seconds| Timestamp::ZERO + Duration::from_secs(seconds);
        let (peer, interval) = (Endpoint::v4([10, 0, 0, 2], 7000), Duration::from_secs(1));
        let mut questions = Questions::new();
        questions.note_question(peer, at(0));
        assert!(!questions.is_silent(peer, at(5), interval), "asked once");
        questions.note_question(peer, at(5));
        assert!(questions.is_silent(peer, at(29), interval) && !questions.is_silent(peer, at(30), interval));
        questions.note_failure(peer, DialFailure::Silent);
        assert!(!questions.is_clear(peer, at(12), interval, false));
        assert!(questions.is_clear(peer, at(13), interval, false));
        assert!(!questions.is_clear(peer, at(13), interval, true), "a member waits");
        questions.note_answer(peer);
        assert!(
            !questions.is_silent(peer, at(6), interval) && !questions.is_clear(peer, at(99), interval, false)
        );
    }
}
