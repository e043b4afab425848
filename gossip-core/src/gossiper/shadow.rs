//! Asking before joining: the shadow round (`gossip-semantics.md` §10).
//!
//! The answer, which holds everything, decides whether somebody else uses our address. If nobody does, it is what we know to
//! begin with.
//!
//! Deviation: Cassandra throws it away, and learns all of it once more by gossip, which carries 64 KiB at a time here.

use alloc::vec::Vec;
use core::time::Duration;

use smallvec::SmallVec;

use super::{End, Gossiper, Mode, Session};
use crate::application_state::ApplicationState;
use crate::config::Transport;
use crate::endpoint::Endpoint;
use crate::event::Event;
use crate::gossiper::apply::Source;
use crate::message::{Ack, EndpointState};
use crate::status::StatusKind;
use crate::table::Slot;
use crate::time::Timestamp;
use crate::version::{Generation, HeartbeatState, Version};
use crate::wire::JavaStr;

/// How many intervals lie between two questions.
const REPEAT: u32 = 5;

/// How many intervals lie between two questions while it is not yet clear whether a claimed identity is live.
const REPEAT_CHECK: u32 = 2;

/// How long the heartbeat of whoever claims our identity may stand still, in intervals: then it is not live.
const CHECK: u32 = 10;

/// How often its heartbeat has to grow to prove it live. Once may be late news of somebody dead.
const PROOF: u32 = 2;

/// How many peers that ask as well are remembered by name.
const MAX_NAMED: usize = 16;

/// After how many intervals a node that is one of its seeds, or was a member before, goes on alone.
const SEED_PATIENCE: u32 = 30;

/// After how many intervals any other node gives up.
const PATIENCE: u32 = 60;

/// How far the shadow round is.
#[derive(Clone, Debug)]
pub(super) struct Shadow {
    started: Timestamp,
    next_question: Timestamp,
    asked_once: bool,
    /// Seeds that are in their own shadow round.
    in_shadow: Vec<Endpoint>,
    /// Known peers, seeds or not, that are in theirs: the first that said so, and when one of them said so last.
    asking: SmallVec<[Endpoint; 4]>,
    asking_heard: Option<Timestamp>,
    /// Who has our address under another host id, and who has our host id at another address.
    claims: [Option<Claim>; 2],
    /// Until when further parts of the answer are taken, where it comes in several.
    rest_until: Option<Timestamp>,
    /// Whether a part of the answer has come since the last look, for a node that only asks; `None` before the first.
    is_coming: Option<bool>,
}

/// Somebody else whom the cluster knows under our address or our host id, and whether it is live.
///
/// No message says who is live. But the heartbeat of who is grows, at every peer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Claim {
    /// Whose answer showed it. Others may know less, or more.
    by: Endpoint,
    endpoint: Endpoint,
    heartbeat: HeartbeatState,
    since: Timestamp,
    growth: u32,
}

/// What is known of a claim.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Verdict {
    Undecided,
    Live,
    NotLive,
}

impl Shadow {
    pub(super) fn new(now: Timestamp, seeds: usize) -> Self {
        Self {
            started: now,
            next_question: now,
            asked_once: false,
            in_shadow: Vec::with_capacity(seeds),
            asking: SmallVec::new(),
            asking_heard: None,
            claims: [None; 2],
            rest_until: None,
            is_coming: None,
        }
    }

    pub(super) fn put_off(&mut self, pause: Duration) {
        self.started = self.started + pause;
        self.rest_until = self.rest_until.map(|until| until + pause);
    }
}

impl Gossiper {
    /// Begins to ask, if there is anybody to ask.
    pub(super) fn begin_shadow_round(&mut self) {
        if self.config.seeds.is_empty() && self.config.saved.is_empty() {
            return;
        }
        self.shadow = Shadow::new(self.clock.now(), self.config.seeds.len());
        self.mode = Mode::Shadow;
        self.next_round = self.clock.now();
    }

    /// Once an interval: asks again, or gives up.
    pub(super) fn on_shadow_timeout(&mut self) {
        match self.shadow.is_coming {
            Some(true) => {
                self.shadow.is_coming = Some(false);
                return;
            }
            Some(false) => return self.end_question(),
            None => {}
        }
        let interval = self.config.interval;
        self.note_silence();
        if self.is_hopeless() {
            return self.give_up();
        }
        let may_go_on_alone = self.config.is_seed || self.is_among_others_that_ask();
        let patience = if may_go_on_alone { SEED_PATIENCE } else { PATIENCE };
        if self.clock.now().saturating_since(self.shadow.started) > interval.saturating_mul(patience) {
            if may_go_on_alone {
                if !self.config.is_seed {
                    self.journal.tell(Event::BeganAlone);
                }
                self.end_shadow_round();
            } else {
                self.give_up();
            }
            return;
        }
        self.watch_seeds();
        if self.clock.now() < self.shadow.next_question {
            return;
        }
        self.shadow.next_question = self.clock.now() + interval.saturating_mul(REPEAT);
        for at in 0..self.config.seeds.len() {
            self.ask(self.config.seeds[at]);
        }
        // From the second time on whoever was known before is asked, too.
        if self.shadow.asked_once {
            for at in 0..self.config.saved.len() {
                self.ask(self.config.saved[at].endpoint);
            }
        }
        self.shadow.asked_once = true;
    }

    /// Whether the node was a member before, and hears from nobody but known peers that ask as it does: nobody is left to answer any
    /// of them, and the first to go on answers the others.
    ///
    /// Deviation: in Cassandra seeds alone go on, and without one a cluster that was stopped as a whole stays so.
    fn is_among_others_that_ask(&self) -> bool {
        let lately = self.config.interval.saturating_mul(2 * REPEAT);
        !self.config.saved.is_empty()
            && !self.config.is_gossip_only
            && self.shadow.claims == [None; 2]
            && self
                .shadow
                .asking_heard
                .is_some_and(|heard| self.clock.now().saturating_since(heard) <= lately)
    }

    /// Nobody has answered, and nobody will.
    fn give_up(&mut self) {
        self.tell_who_asks();
        self.tell_unreached();
        self.journal.tell(Event::ShadowRoundFailed);
        self.end_with(End::Unanswered);
        self.stop();
    }

    pub(super) fn tell_who_asks(&mut self) {
        for peer in core::mem::take(&mut self.shadow.asking) {
            self.journal.tell(Event::PeerAsks { peer });
        }
    }

    fn ask(&mut self, whom: Endpoint) {
        if !self.is_left_alone(whom) {
            self.exchange.shadow_syn(whom, &mut self.journal);
        }
    }

    /// An answer: the whole state of the cluster, or that the other is asking itself.
    pub(super) fn on_shadow_ack(&mut self, from: Endpoint, ack: &Ack<'_>) {
        if !self.is_shadow_reply(from, ack) {
            self.journal.stats.stray_acks += 1;
            return;
        }
        self.contact.heard(self.clock.now());
        self.note_answer(from);
        if self.config.only_asks {
            return self.take_answer(from, ack);
        }
        if ack.requests.is_empty() && ack.states.is_empty() {
            return self.on_peer_asks(from);
        }
        let local = self.config.local;
        let own = ack.states.iter().filter(|(endpoint, _)| *endpoint == local).last().map(|(_, state)| state);
        let status = own.as_ref().map(|state| self.claimed_status(state));
        // Whoever hibernates runs, and has the address, though nobody calls it live.
        let is_gone = status.is_some_and(|status| status.is_dead() && status != StatusKind::Hibernate);
        let claimed = own.as_ref().and_then(|state| state.value(ApplicationState::HOST_ID));
        if own.is_some() && claimed.is_none() && !is_gone {
            return;
        }
        if self.is_host_id_of_member(ack) {
            return self.stop();
        }
        let moved = self.own_host_id_elsewhere(ack);
        let is_others = !is_gone && claimed.is_some_and(|claimed| !self.is_own_host_id(claimed.text));
        // A member that moved, as its host id or what it saved shows, may take the address of one that is not live. Whoever is new
        // replaces it only if that is what its operator wants.
        if let Some(state) = own.as_ref().filter(|_| is_others)
            && moved.is_none()
            && self.config.saved.is_empty()
            && !self.config.replace
        {
            let generation = state.heartbeat.generation;
            self.journal.tell(Event::AddressConflict { generation });
            self.end_with(End::Conflict { generation });
            return self.stop();
        }
        let at_our_address = own.as_ref().filter(|_| is_others).map(|state| (local, state.heartbeat, status));
        let mut is_undecided = false;
        for (at, claim) in [at_our_address, moved].into_iter().enumerate() {
            match self.judge(at, from, claim) {
                Verdict::NotLive => {}
                Verdict::Undecided => is_undecided = true,
                Verdict::Live => {
                    let (endpoint, generation) =
                        claim.map_or((local, Generation::SAVED), |claim| (claim.0, claim.1.generation));
                    self.journal.tell(Event::IdentityInUse { endpoint, generation });
                    self.end_with(End::InUse { endpoint, generation });
                    return self.stop();
                }
            }
        }
        if is_undecided {
            self.shadow.next_question = self.clock.now() + self.config.interval.saturating_mul(REPEAT_CHECK);
            return;
        }
        match own {
            Some(state) => self.end_shadow_round_above(&state),
            None => self.end_shadow_round(),
        }
        self.begin_with(from, ack);
    }

    /// A peer is in its own shadow round.
    fn on_peer_asks(&mut self, from: Endpoint) {
        if !self.is_asked(from) {
            return;
        }
        self.shadow.asking_heard = Some(self.clock.now());
        if !self.shadow.asking.contains(&from) && self.shadow.asking.len() < MAX_NAMED {
            self.shadow.asking.push(from);
        }
        if self.config.seeds.contains(&from) && !self.shadow.in_shadow.contains(&from) {
            self.shadow.in_shadow.push(from);
            if self.shadow.in_shadow.len() == self.config.seeds.len() {
                self.end_shadow_round();
            }
        }
    }

    pub(super) fn is_asked(&self, peer: Endpoint) -> bool {
        self.config.seeds.contains(&peer) || self.saved(peer).is_some()
    }

    fn is_own_host_id(&self, text: JavaStr<'_>) -> bool {
        self.table.values(Slot::FIRST).get(ApplicationState::HOST_ID).is_some_and(|(ours, _)| ours == text)
    }

    /// Whom an answer knows under our host id at another address: the newest, if there are several.
    fn own_host_id_elsewhere(&self, ack: &Ack<'_>) -> Option<(Endpoint, HeartbeatState, Option<StatusKind>)> {
        let others = ack.states.iter().filter(|(endpoint, state)| {
            *endpoint != self.config.local
                && state.value(ApplicationState::HOST_ID).is_some_and(|id| self.is_own_host_id(id.text))
        });
        let newest = others.max_by_key(|(_, state)| state.heartbeat.generation)?;
        Some((newest.0, newest.1.heartbeat, Some(self.claimed_status(&newest.1))))
    }

    /// Whether whoever claims our identity is live, as far as the answers of `from` show.
    fn judge(
        &mut self,
        at: usize,
        from: Endpoint,
        claim: Option<(Endpoint, HeartbeatState, Option<StatusKind>)>,
    ) -> Verdict {
        let now = self.clock.now();
        let limit = self.config.interval.saturating_mul(CHECK);
        let place = &mut self.shadow.claims[at];
        let Some((endpoint, heartbeat, status)) = claim else {
            *place = None;
            return Verdict::NotLive;
        };
        if endpoint == from {
            return Verdict::Live;
        }
        // It has stopped, as it said, or is gone.
        let is_over = status.is_some_and(|status| status.is_dead() && status != StatusKind::Hibernate)
            || status == Some(StatusKind::Shutdown)
            || heartbeat.version == Version::SHUTDOWN
            || heartbeat.generation == Generation::SAVED;
        if is_over {
            *place = None;
            return Verdict::NotLive;
        }
        let fresh = Claim { by: from, endpoint, heartbeat, since: now, growth: 0 };
        let Some(seen) = place.as_mut().filter(|seen| seen.endpoint == endpoint) else {
            *place = Some(fresh);
            return Verdict::Undecided;
        };
        if seen.by != from {
            // Whoever answered first may be gone.
            if now.saturating_since(seen.since) > limit.saturating_mul(2) {
                *seen = fresh;
            }
            return Verdict::Undecided;
        }
        let order = |state: HeartbeatState| (state.generation, state.version);
        if order(heartbeat) > order(seen.heartbeat) {
            seen.heartbeat = heartbeat;
            seen.growth += 1;
        }
        if seen.growth >= PROOF {
            return Verdict::Live;
        }
        if now.saturating_since(seen.since) < limit {
            return Verdict::Undecided;
        }
        *place = None;
        Verdict::NotLive
    }

    /// Whether an ACK can be an answer to our question. Others are answers to an earlier process of ours: they would end the question
    /// before it is known whether somebody else has our address.
    ///
    /// Whoever is asked has nothing to ask of us. A seed may answer under another address than it was asked at; it then tells of
    /// itself under that, whole.
    ///
    /// Deviation: Cassandra takes any ACK for the answer, and warns if it is of no seed.
    fn is_shadow_reply(&self, from: Endpoint, ack: &Ack<'_>) -> bool {
        let tells_of_itself = || {
            ack.states
                .iter()
                .any(|(endpoint, state)| endpoint == from && state.value(ApplicationState::HOST_ID).is_some())
        };
        self.shadow.asked_once
            && ack.requests.is_empty()
            && (self.config.only_asks || self.is_asked(from) || tells_of_itself())
    }

    /// An answer, or a part of one, to a node that will not take part whatever it says.
    fn take_answer(&mut self, from: Endpoint, ack: &Ack<'_>) {
        // Nothing: the other is asking itself, and will know more soon.
        if ack.states.is_empty() {
            return;
        }
        self.apply(from, &mut Session::default(), &ack.states, Source::Shadow);
        match self.config.transport {
            Transport::Internode => self.end_question(),
            // Further packets may follow: it is over when an interval passes without.
            Transport::Datagram => self.shadow.is_coming = Some(true),
        }
    }

    fn end_question(&mut self) {
        self.mode = Mode::Disabled;
        self.journal.tell(Event::ShadowRoundDone);
    }

    /// Somebody who is to answer could not, before we had proven our address. Now we can.
    pub(crate) fn ask_again(&mut self, from: Endpoint) {
        if self.mode == Mode::Shadow && self.is_asked(from) {
            self.ask(from);
        }
    }

    /// Whether an ACK is one of those that follow the first answer, where that is too large for one message. Nothing else brings states
    /// of which we asked nothing, and there is no late answer to an earlier process of ours: that would not know our cookie.
    pub(super) fn is_rest_of_shadow_reply(&self, from: Endpoint, ack: &Ack<'_>) -> bool {
        ack.requests.is_empty()
            && self.shadow.rest_until.is_some_and(|until| self.clock.now() <= until)
            && self.is_asked(from)
    }

    /// Whether the answer holds all there is of somebody.
    ///
    /// What was meant for an earlier process of ours looks like the answer, and holds what that one lacked: heartbeats, or the newest
    /// values. A host id is published before all else and never again, so that only a whole has it. Whoever has none is asked for.
    pub(super) fn is_told_whole(&self, state: &EndpointState<'_>) -> bool {
        self.config.only_asks || state.value(ApplicationState::HOST_ID).is_some()
    }

    /// Takes over what the answer says of others.
    fn begin_with(&mut self, from: Endpoint, ack: &Ack<'_>) {
        if self.config.transport == Transport::Datagram {
            self.shadow.rest_until = Some(self.clock.now() + self.config.echo_timeout);
        }
        self.apply(from, &mut Session::default(), &ack.states, Source::Shadow);
        if !self.withdraw_if_upgraded() {
            self.follow_members();
        }
    }

    /// Joins above a generation that others already know of this address.
    fn end_shadow_round_above(&mut self, state: &EndpointState<'_>) {
        if state.heartbeat.generation >= self.generation() {
            self.raise_generation_above(state.heartbeat.generation);
        }
        self.end_shadow_round();
    }

    fn end_shadow_round(&mut self) {
        self.mode = Mode::Running;
        self.contact.heard(self.clock.now());
        self.next_round = self.clock.now() + self.config.interval;
        self.journal.tell(Event::ShadowRoundDone);
    }
}
