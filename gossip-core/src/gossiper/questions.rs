//! What became of the questions before a node takes part, and of the dials to those who are asked.

use alloc::vec::Vec;

use super::{Gossiper, Mode};
use crate::config::Transport;
use crate::dial::DialFailure;
use crate::endpoint::Endpoint;
use crate::event::Event;
use crate::time::Timestamp;

/// Of how many peers it is noted.
const MAX_NOTED: usize = 16;

/// How many questions go to a Cassandra node that accepts them before it is left alone for longer: each may cost it a line in its log.
const ASKED_OFTEN: u32 = 2;

/// How many intervals lie between two questions then.
const REPEAT_SELDOM: u32 = 25;

/// After how many intervals a question counts as not answered.
const UNANSWERED: u32 = 4;

/// After how many intervals a node that only asks gives up after its last question.
const GIVE_UP: u32 = 8;

/// What is noted.
#[derive(Clone, Debug)]
pub(super) struct Questions {
    /// Has room for all from the start: noting a peer takes no memory.
    peers: Vec<Noted>,
    /// Whether somebody has dialled this node with TLS.
    is_tls_seen: bool,
}

#[derive(Clone, Copy, Debug)]
struct Noted {
    peer: Endpoint,
    /// Why it did not answer the last time, and how often in a row for the same reason.
    failure: Option<(DialFailure, u32)>,
    /// Whether that was not told yet.
    is_new: bool,
    /// How many questions were written to it since it answered or could not be reached, and when the last was.
    written: u32,
    last: Timestamp,
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
            self.peers.push(Noted { peer, failure: None, is_new: false, written: 0, last });
        }
        self.peers.iter_mut().find(|noted| noted.peer == peer)
    }
}

impl Gossiper {
    /// Whether it is others' cluster that is asked.
    fn is_guest(&self) -> bool {
        self.config.is_gossip_only || self.config.only_asks
    }

    /// Whether the node asks in a cluster of others: then it waits for no handshake as long as it otherwise would.
    pub(crate) fn asks_as_guest(&self) -> bool {
        self.mode == Mode::Shadow && self.is_guest()
    }

    /// How long a handshake of a node that asks may take.
    pub(crate) fn question_handshake(&self) -> core::time::Duration {
        self.config.interval.saturating_mul(UNANSWERED)
    }

    /// Notes why a peer could not be reached, or did not answer. It is told if nobody answers.
    pub(crate) fn note_unreached(&mut self, peer: Endpoint, failure: DialFailure) {
        if !self.is_asked(peer) {
            return;
        }
        let Some(noted) = self.questions.place(peer) else { return };
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
        // Whoever only asks may stop waiting at any time, and then wants to know.
        if self.config.only_asks {
            self.tell_unreached();
        }
    }

    /// Tells why those who did not answer did not, as far as that is known.
    pub(super) fn tell_unreached(&mut self) {
        for at in 0..self.questions.peers.len() {
            let noted = &mut self.questions.peers[at];
            if let Some((failure, times)) = noted.failure
                && core::mem::take(&mut noted.is_new)
            {
                let endpoint = noted.peer;
                self.journal.tell(Event::DialFailed { endpoint, failure, times });
            }
        }
    }

    /// A question goes out to `peer`.
    pub(super) fn note_question(&mut self, peer: Endpoint) {
        let now = self.clock.now();
        if self.mode == Mode::Shadow
            && self.config.transport == Transport::Internode
            && let Some(noted) = self.questions.place(peer)
        {
            if noted.failure.is_some_and(|(failure, _)| !failure.is_silence()) {
                noted.failure = None;
            }
            noted.written = noted.written.saturating_add(1);
            noted.last = now;
        }
    }

    /// `peer` has answered.
    pub(super) fn note_answer(&mut self, peer: Endpoint) {
        if let Some(noted) = self.questions.peers.iter_mut().find(|noted| noted.peer == peer) {
            (noted.failure, noted.written) = (None, 0);
        }
    }

    /// Somebody has dialled this node with TLS.
    pub(crate) fn note_tls(&mut self) {
        self.questions.is_tls_seen |= self.mode == Mode::Shadow;
    }

    /// Notes who has left its last question without an answer for so long that there is none to come.
    pub(super) fn note_silence(&mut self) {
        if !self.is_guest() {
            return;
        }
        let patience = self.config.interval.saturating_mul(UNANSWERED);
        let failure =
            if self.questions.is_tls_seen { DialFailure::SilentAndTls } else { DialFailure::Silent };
        for at in 0..self.questions.peers.len() {
            let Noted { peer, failure: before, written, last, .. } = self.questions.peers[at];
            let is_noted = before == Some((failure, written));
            if written > 0 && !is_noted && self.clock.now().saturating_since(last) >= patience {
                self.note_unreached(peer, failure);
            }
        }
    }

    /// Whether `peer` is to be left alone for now, since it takes questions and does not answer.
    ///
    /// Deviation: Cassandra asks every five seconds, and a node with another name of the cluster logs a warning each time.
    pub(super) fn is_left_alone(&self, peer: Endpoint) -> bool {
        let seldom = self.config.interval.saturating_mul(REPEAT_SELDOM);
        self.is_guest()
            && self.questions.get(peer).is_some_and(|noted| {
                noted.written >= ASKED_OFTEN && self.clock.now().saturating_since(noted.last) < seldom
            })
    }

    /// Whether all who are asked have shown, as often as that takes, that they will not answer: further questions would only cost them
    /// lines in their logs.
    pub(super) fn is_hopeless(&self) -> bool {
        let give_up = self.config.interval.saturating_mul(GIVE_UP);
        let is_clear = |peer: Endpoint| {
            let Some(Noted { failure: Some((failure, times)), written, last, .. }) = self.questions.get(peer)
            else {
                return false;
            };
            if failure.is_silence() {
                // A member that is to stay waits longer: gossip may be enabled there.
                return self.config.only_asks
                    && *written >= ASKED_OFTEN
                    && self.clock.now().saturating_since(*last) >= give_up;
            }
            failure.is_clear_after().is_some_and(|clear| *times >= clear)
        };
        let Self { config, .. } = self;
        self.is_guest()
            && config
                .seeds
                .iter()
                .chain(config.saved.iter().map(|saved| &saved.endpoint))
                .all(|peer| is_clear(*peer))
    }
}
