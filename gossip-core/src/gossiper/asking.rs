//! Asking before joining: the shadow round (`docs/protocol/life-cycle.md#shadow-round`), and what is made of its answers.
//!
//! The answer, which holds everything, decides whether another node uses our address. If none does, it is what we know to
//! begin with.
//!
//! Deviation: Cassandra throws it away, and learns all of it once more by gossip, which carries 64 KiB at a time here.
//!
//! Owns nothing. May see all parts.

use core::time::Duration;

use super::Gossiper;
use super::exchange::REST_ID;
use super::life::{Mode, UNANSWERED, Verdict};
use super::members::{Source, claimed_status};
use super::phase::End;
use super::rounds::Rounds;
use super::session::Session;
use crate::application_state::ApplicationState;
use crate::config::Transport;
use crate::dial::DialFailure;
use crate::endpoint::Endpoint;
use crate::event::Event;
use crate::message::{Ack, EndpointState};
use crate::metadata::MetadataOrigin;
use crate::saved;
use crate::slot::Slot;
use crate::status::StatusKind;
use crate::version::{Generation, HeartbeatState};
use crate::wire::JavaStr;

/// After how many intervals a node that is one of its seeds, or was a member before, goes on alone.
const SEED_PATIENCE: u32 = 30;

/// After how many intervals any other node gives up.
const PATIENCE: u32 = 60;

impl Gossiper {
    /// Begins to ask, if there is a peer to ask.
    pub(super) fn begin_shadow_round(&mut self) {
        if self.config.seeds.is_empty() && self.config.saved.is_empty() {
            return;
        }
        self.life.begin_to_ask(self.clock.now(), self.config.seeds.len());
        self.rounds.set_next(self.clock.now());
    }

    /// Once an interval: asks again, or gives up.
    pub(super) fn on_shadow_timeout(&mut self) {
        match self.life.shadow.look_for_parts() {
            Some(true) => return,
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
        if self.life.shadow.waited(self.clock.now()) > interval.saturating_mul(patience) {
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
        let Some(asked_before) = self.life.shadow.begin_question(self.clock.now(), interval) else { return };
        for at in 0..self.config.seeds.len() {
            self.ask(self.config.seeds[at]);
        }
        // From the second attempt on, formerly known endpoints are asked as well.
        if asked_before {
            for at in 0..self.config.saved.len() {
                self.ask(self.config.saved[at].endpoint);
            }
        }
    }

    /// Whether the node was a member before, and hears only from known peers that ask, too. Then no node is left to answer any
    /// of them, and the first to go on answers the others.
    ///
    /// Deviation: in Cassandra seeds alone go on, and without one a cluster that was stopped as a whole stays so.
    fn is_among_others_that_ask(&self) -> bool {
        !self.config.saved.is_empty()
            && !self.config.is_gossip_only
            && self.life.shadow.is_among_others_that_ask(self.clock.now(), self.config.interval)
    }

    /// No peer has answered, and none will.
    fn give_up(&mut self) {
        self.tell_who_asks();
        self.tell_unreached();
        self.journal.tell(Event::ShadowRoundFailed);
        self.stop_with(End::Unanswered);
    }

    pub(super) fn tell_who_asks(&mut self) {
        for peer in self.life.shadow.take_asking() {
            self.journal.tell(Event::PeerAsks { peer });
        }
    }

    fn ask(&mut self, whom: Endpoint) {
        if !self.is_left_alone(whom) {
            self.exchange.shadow_syn(whom, &mut self.journal);
        }
    }

    /// An answer: the whole state of the cluster, or that the other is asking itself.
    pub(super) fn on_shadow_ack(&mut self, from: Endpoint, id: u64, ack: &Ack<'_>) {
        if !self.is_shadow_reply(from, ack) {
            self.journal.stats.stray_acks += 1;
            return;
        }
        self.rounds.heard(self.clock.now());
        self.life.questions.note_answer(from);
        self.metadata.note_ack(from);
        let is_asking = ack.requests.is_empty() && ack.states.is_empty();
        if is_asking && (self.config.is_gossip_only || self.config.membership.only_asks) {
            // In a cluster of others the node is starting, and will answer soon.
            self.life.shadow.ask_soon(self.clock.now(), self.config.interval);
        }
        if self.config.membership.only_asks {
            return self.take_answer(from, ack);
        }
        // The first part may still come, or leave it open whether this node may join.
        if id == REST_ID && self.config.transport == Transport::Datagram {
            return;
        }
        if is_asking {
            return self.on_peer_asks(from);
        }
        // Whether the cluster is being upgraded, or has been, is known in a moment. The node does not join before.
        if self.metadata.is_awaited(self.clock.now()) {
            return self.life.shadow.ask_soon(self.clock.now(), self.config.interval);
        }
        let local = self.config.local;
        let own = ack.states.iter().filter(|(endpoint, _)| *endpoint == local).last().map(|(_, state)| state);
        let status = own.as_ref().map(|state| claimed_status(state));
        // A hibernating endpoint runs and owns the address, although no node considers it live.
        let is_gone = status.is_some_and(|status| status.is_dead() && status != StatusKind::Hibernate);
        let claimed = own.as_ref().and_then(|state| state.value(ApplicationState::HOST_ID));
        // A node without a host id has nothing to compare: it takes the address for its own.
        let is_unidentified = own.is_some()
            && claimed.is_none()
            && !is_gone
            && self.members.table().host_id(Slot::FIRST).is_some();
        if is_unidentified && self.config.is_gossip_only {
            return;
        }
        if let Some(endpoint) = self.membership().host_id_of_member(ack) {
            return self.stop_with(End::HostIdOfMember { endpoint });
        }
        let moved = self.own_host_id_elsewhere(ack);
        let is_others = !is_gone && claimed.is_some_and(|claimed| !self.is_own_host_id(claimed.text));
        // A member that moved, as its host id or what it saved shows, may take the address of one that is not live. A new member
        // replaces it only if that is what its operator wants.
        if let Some(state) = own.as_ref().filter(|_| is_others)
            && moved.is_none()
            && self.config.saved.is_empty()
            && !self.config.membership.replace
        {
            let generation = state.heartbeat.generation;
            self.journal.tell(Event::AddressConflict { generation });
            return self.stop_with(End::Conflict { generation });
        }
        // Deviation: Cassandra takes no answer that lists our address without a host id. But the process there may have died before any live
        // node knew its host id. Then no node ever will, and the next process could never start. So the heartbeat decides, as for others.
        let has_our_address = is_others || is_unidentified;
        let at_our_address =
            own.as_ref().filter(|_| has_our_address).map(|state| (local, state.heartbeat, status));
        let mut is_undecided = false;
        for (at, claim) in [at_our_address, moved].into_iter().enumerate() {
            match self.life.shadow.judge(at, from, claim, (self.clock.now(), self.config.interval)) {
                Verdict::NotLive => {}
                Verdict::Undecided => is_undecided = true,
                // Either its host id becomes known, or the heartbeat was late news of a dead process.
                Verdict::Live if at == 0 && is_unidentified => {
                    self.life.shadow.judge_afresh(at);
                    is_undecided = true;
                }
                Verdict::Live => {
                    let (endpoint, generation) =
                        claim.map_or((local, Generation::SAVED), |claim| (claim.0, claim.1.generation));
                    self.journal.tell(Event::IdentityInUse { endpoint, generation });
                    return self.stop_with(End::InUse { endpoint, generation });
                }
            }
        }
        if is_undecided {
            self.life.shadow.ask_soon(self.clock.now(), self.config.interval);
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
        let all_ask =
            self.is_asked(from) && self.life.shadow.note_asking(from, &self.config.seeds, self.clock.now());
        // That all seeds of a cluster of others are starting does not mean that there is no cluster.
        if all_ask && !self.config.is_gossip_only {
            self.end_shadow_round();
        }
    }

    pub(super) fn is_asked(&self, peer: Endpoint) -> bool {
        self.config.seeds.contains(&peer) || saved::find(&self.config.saved, peer).is_some()
    }

    fn is_own_host_id(&self, text: JavaStr<'_>) -> bool {
        self.members.table().host_id(Slot::FIRST) == Some(text)
    }

    /// The endpoint that an answer lists under our host id at another address: the newest, if there are several.
    fn own_host_id_elsewhere(&self, ack: &Ack<'_>) -> Option<(Endpoint, HeartbeatState, Option<StatusKind>)> {
        let others = ack.states.iter().filter(|(endpoint, state)| {
            *endpoint != self.config.local
                && state.value(ApplicationState::HOST_ID).is_some_and(|id| self.is_own_host_id(id.text))
        });
        let newest = others.max_by_key(|(_, state)| state.heartbeat.generation)?;
        Some((newest.0, newest.1.heartbeat, Some(claimed_status(&newest.1))))
    }

    /// Whether an ACK can be an answer to our question. Others are answers to an earlier process of ours: they would end the question
    /// before it is known whether another node has our address.
    ///
    /// A node that answers a shadow SYN requests nothing. A seed may answer under another address than it was asked at; it then reports
    /// itself under that, whole.
    ///
    /// Deviation: Cassandra takes any ACK for the answer, and warns if it is of no seed.
    fn is_shadow_reply(&self, from: Endpoint, ack: &Ack<'_>) -> bool {
        let tells_of_itself = || {
            ack.states
                .iter()
                .any(|(endpoint, state)| endpoint == from && state.value(ApplicationState::HOST_ID).is_some())
        };
        self.life.shadow.has_asked()
            && ack.requests.is_empty()
            && (self.config.membership.only_asks || self.is_asked(from) || tells_of_itself())
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
            Transport::Datagram => self.life.shadow.part_has_come(),
        }
    }

    fn end_question(&mut self) {
        self.life.enter(Mode::Disabled);
        self.journal.tell(Event::ShadowRoundDone);
    }

    /// A peer could not answer before we had proven our address. Now it can.
    pub(crate) fn ask_again(&mut self, from: Endpoint) {
        if self.life.mode() == Mode::Shadow && self.is_asked(from) {
            self.ask(from);
        }
    }

    /// Whether an ACK is one of those that follow the first answer, where that is too large for one message. Nothing else brings states
    /// of which we asked nothing, and there is no late answer to an earlier process of ours: that would not know our cookie.
    pub(super) fn is_rest_of_shadow_reply(&self, from: Endpoint, ack: &Ack<'_>) -> bool {
        ack.requests.is_empty() && self.life.shadow.takes_rest(self.clock.now()) && self.is_asked(from)
    }

    /// Takes over what the answer says of others.
    fn begin_with(&mut self, from: Endpoint, ack: &Ack<'_>) {
        if self.config.transport == Transport::Datagram {
            self.life.shadow.take_rest_until(self.clock.now() + self.config.detector.echo_timeout);
        }
        self.apply(from, &mut Session::default(), &ack.states, Source::Shadow);
        if !self.withdraw_if_upgraded() {
            self.publishing().follow_members();
        }
    }

    /// Joins above a generation that others already know of this address.
    fn end_shadow_round_above(&mut self, state: &EndpointState<'_>) {
        if state.heartbeat.generation >= self.generation() {
            self.publishing().raise_generation_above(state.heartbeat.generation);
        }
        self.end_shadow_round();
    }

    fn end_shadow_round(&mut self) {
        self.life.enter(Mode::Running);
        self.rounds.heard(self.clock.now());
        self.rounds.set_next(self.clock.now() + Rounds::first_delay(&self.config));
        self.journal.tell(Event::ShadowRoundDone);
    }
}

impl Gossiper {
    /// Whether it is others' cluster that is asked.
    fn is_guest(&self) -> bool {
        self.config.is_gossip_only || self.config.membership.only_asks
    }

    /// Whether the node asks in a cluster of others: then it waits for no handshake as long as it otherwise would.
    pub(crate) fn asks_as_guest(&self) -> bool {
        self.life.mode() == Mode::Shadow && self.is_guest()
    }

    /// How long a handshake of a node that asks may take.
    pub(crate) fn question_handshake(&self) -> Duration {
        self.config.interval.saturating_mul(UNANSWERED)
    }

    /// Notes why a peer could not be reached, or did not answer. It is reported if no peer answers.
    pub(crate) fn note_unreached(&mut self, peer: Endpoint, failure: DialFailure) {
        if !self.is_asked(peer) {
            return;
        }
        self.life.questions.note_failure(peer, failure);
        // A node that only asks may stop waiting at any time, and then needs the reason.
        if self.config.membership.only_asks {
            self.tell_unreached();
        }
    }

    /// Tells why those who did not answer did not, as far as that is known.
    pub(super) fn tell_unreached(&mut self) {
        for (endpoint, failure, times) in self.life.questions.take_failures() {
            self.journal.tell(Event::DialFailed { endpoint, failure, times });
        }
    }

    /// A question goes out to `peer`.
    pub(super) fn note_question(&mut self, peer: Endpoint) {
        if self.life.mode() == Mode::Shadow && self.config.transport == Transport::Internode {
            self.life.questions.note_question(peer, self.clock.now());
        }
    }

    /// The handshake of `peer` says that it speaks versions of up to `max`.
    pub(super) fn note_speaks(&mut self, peer: Endpoint, max: u32) {
        if self.config.follows_metadata_id() && self.is_asked(peer) {
            self.life.questions.note_speaks(peer, max);
        }
    }

    /// Notes which seeds a member cannot hear of any more, since no SYN in their version carries the identifier that the cluster has.
    pub(super) fn note_lost_for_want_of_identifier(&mut self) {
        if self.life.mode() == Mode::Running && self.is_guest() && self.metadata.is_initialised() {
            self.life.questions.note_without_identifier();
        }
    }

    /// A peer has dialled this node with TLS.
    pub(crate) fn note_tls(&mut self) {
        if self.life.mode() == Mode::Shadow {
            self.life.questions.note_tls();
        }
    }

    /// Notes who has left its last question without an answer for so long that there is none to come.
    pub(super) fn note_silence(&mut self) {
        if !self.is_guest() {
            return;
        }
        let identifier = (self.metadata.origin() != MetadataOrigin::None).then(|| self.metadata.id());
        let (now, interval) = (self.clock.now(), self.config.interval);
        for (peer, failure) in self.life.questions.newly_silent(now, interval, identifier) {
            self.note_unreached(peer, failure);
        }
    }

    /// Whether `peer` is to be left alone for now, since it takes questions and does not answer.
    ///
    /// Deviation: Cassandra asks every five seconds, and a node with another name of the cluster logs a warning each time.
    pub(super) fn is_left_alone(&self, peer: Endpoint) -> bool {
        self.is_guest() && self.life.questions.is_silent(peer, self.clock.now(), self.config.interval)
    }

    /// Whether all who are asked have shown, as often as that takes, that they will not answer: further questions would only cost them
    /// lines in their logs.
    pub(super) fn is_hopeless(&self) -> bool {
        let Self { config, life, clock, .. } = self;
        let is_clear = |peer: &Endpoint| {
            life.questions.is_clear(*peer, clock.now(), config.interval, !config.membership.only_asks)
        };
        let saved = config.saved.iter().map(|saved| &saved.endpoint);
        self.is_guest() && config.seeds.iter().chain(saved).all(is_clear)
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec;
    use alloc::vec::Vec;

    use super::*;
    use crate::config::{Config, ConfigBuilder};
    use crate::message::{Codec, Digest, Message, Value};
    use crate::metadata::MetadataId;
    use crate::time::Timestamp;
    use crate::uuid::Uuid;
    use crate::verb::Verb;
    use crate::version::{MessagingVersion, Version};
    use crate::wire::{AddressForm, Writer};

    const LOCAL: Endpoint = Endpoint::v4([10, 0, 0, 1], 7000);
    const SEED: Endpoint = Endpoint::v4([10, 0, 0, 2], 7000);
    const OTHER_SEED: Endpoint = Endpoint::v4([10, 0, 0, 3], 7000);
    const STRANGER: Endpoint = Endpoint::v4([10, 0, 0, 9], 7000);

    fn at(seconds: u64) -> Timestamp {
        Timestamp::ZERO + Duration::from_secs(seconds)
    }

    fn ours() -> ConfigBuilder {
        let config = Config::builder("c", LOCAL, Generation::new(5), [3; 32]);
        config.change_membership(|membership| membership.shadow_round = true)
    }

    fn only_asks() -> ConfigBuilder {
        ours().change_membership(|membership| membership.only_asks = true)
    }

    /// A node that has asked its two seeds.
    fn asking<M>(config: ConfigBuilder<M>) -> Gossiper {
        let config = config.seed(SEED).seed(OTHER_SEED).build().unwrap();
        let mut gossiper = Gossiper::new(config, at(0));
        assert!(is_question_due(&mut gossiper, 0));
        gossiper
    }

    fn gossip_only() -> Gossiper {
        let generation = Generation::new(5);
        asking(Config::gossip_only("c", LOCAL, generation, [3; 32], Uuid::from_bytes([1; 16])))
    }

    /// Whether a question for [`SEED`] is due at this second.
    fn is_question_due(gossiper: &mut Gossiper, seconds: u64) -> bool {
        gossiper.handle_timeout(at(seconds));
        let is_due = gossiper.is_due(SEED);
        gossiper.forget(SEED);
        is_due
    }

    /// An ACK that requests these and tells of those, whole.
    fn hand_ack(gossiper: &mut Gossiper, now: Timestamp, requests: &[Endpoint], states: &[Endpoint]) {
        let codec = Codec::new(MessagingVersion::V12);
        let mut body = vec![0; 1_000];
        let mut out = Writer::new(&mut body);
        out.i32(i32::try_from(requests.len()).unwrap()).unwrap();
        for endpoint in requests {
            let (generation, max_version) = (Generation::new(5), Version::ZERO);
            Digest { endpoint: *endpoint, generation, max_version }.encode(codec, &mut out).unwrap();
        }
        out.i32(i32::try_from(states.len()).unwrap()).unwrap();
        for endpoint in states {
            out.endpoint(*endpoint, AddressForm::WithPort).unwrap();
            [5, 9, 1, ApplicationState::HOST_ID.number()]
                .into_iter()
                .for_each(|number| out.i32(number).unwrap());
            let (text, version) =
                (JavaStr::from_checked(b"11111111-1111-1111-1111-111111111111"), Version::new(3));
            Value { text, version }.encode(&mut out).unwrap();
        }
        let ack = Message::decode(Verb::GOSSIP_DIGEST_ACK, out.written(), codec).unwrap().unwrap();
        gossiper.handle_message(now, SEED, 1, &mut Session::default(), &ack);
    }

    #[test]
    fn an_answer_to_an_earlier_process_ends_no_question_and_is_counted() {
        let mut gossiper = asking(ours());
        for strays in 1..=2 {
            hand_ack(&mut gossiper, at(1), &[LOCAL], &[STRANGER]);
            assert_eq!(gossiper.stats().stray_acks, strays);
            assert_eq!(gossiper.life.mode(), Mode::Shadow);
        }
        hand_ack(&mut gossiper, at(1), &[], &[STRANGER]);
        assert_eq!((gossiper.stats().stray_acks, gossiper.life.mode()), (2, Mode::Running));
    }

    #[test]
    fn a_peer_that_asks_itself_is_asked_again_soon_in_a_cluster_of_others() {
        for (mut gossiper, expected) in
            [(asking(ours()), [5, 10]), (gossip_only(), [3, 8]), (asking(only_asks()), [3, 8])]
        {
            hand_ack(&mut gossiper, at(1), &[], &[]);
            let questions = (2..=12).filter(|second| is_question_due(&mut gossiper, *second));
            assert_eq!(questions.collect::<Vec<_>>(), expected);
        }
    }

    #[test]
    fn only_a_seed_is_asked_again_and_only_before_the_node_takes_part() {
        let mut gossiper = asking(ours());
        gossiper.ask_again(STRANGER);
        assert!(!gossiper.is_due(STRANGER));
        gossiper.ask_again(SEED);
        assert!(gossiper.is_due(SEED));
        gossiper.forget(SEED);
        gossiper.life.enter(Mode::Running);
        gossiper.ask_again(SEED);
        assert!(!gossiper.is_due(SEED));
    }

    #[test]
    fn the_parts_of_an_answer_in_packets_are_taken_for_as_long_as_an_echo_may_take() {
        for (transport, is_late, is_taken) in [
            (Transport::Datagram, false, true),
            (Transport::Datagram, true, false),
            (Transport::Internode, false, false),
        ] {
            let mut gossiper = asking(ours().transport(transport));
            let wait = gossiper.config.detector.echo_timeout + Duration::from_millis(u64::from(is_late));
            // It tells nothing of our address. So the node takes part, and its first round is due at once.
            hand_ack(&mut gossiper, at(3), &[], &[SEED]);
            assert_eq!((gossiper.life.mode(), gossiper.poll_timeout()), (Mode::Running, Some(at(3))));
            // Rounds go on, so that it is no pause.
            (3..3 + wait.as_secs()).for_each(|second| gossiper.handle_timeout(at(second)));
            hand_ack(&mut gossiper, at(3) + wait, &[], &[OTHER_SEED]);
            let is_known = gossiper.members.table().find(OTHER_SEED).is_some();
            assert_eq!(is_known, is_taken, "{transport:?}, {wait:?}");
            assert_eq!(gossiper.stats().stray_acks > 0, !is_taken);
        }
    }

    #[test]
    fn a_guest_waits_four_intervals_for_a_handshake_until_it_takes_part() {
        let mut guest = gossip_only();
        assert!(guest.asks_as_guest() && asking(only_asks()).asks_as_guest());
        assert_eq!(guest.question_handshake(), Duration::from_secs(4));
        guest.life.enter(Mode::Running);
        assert!(!guest.asks_as_guest() && !asking(ours()).asks_as_guest());
    }

    #[test]
    fn a_node_that_takes_questions_over_connections_and_says_nothing_is_left_alone() {
        let mut running = gossip_only();
        running.life.enter(Mode::Running);
        for (mut guest, is_left_alone) in [
            (gossip_only(), true),
            (asking(only_asks()), true),
            (asking(only_asks().transport(Transport::Datagram)), false),
            (running, false),
        ] {
            (0..2).for_each(|_| guest.note_question(SEED));
            assert_eq!(guest.is_left_alone(SEED), is_left_alone);
        }
    }

    #[test]
    fn a_seed_whose_version_has_no_identifier_is_told_of_once_a_member_needs_one() {
        for (mode, is_initialised, is_told) in [
            (Mode::Running, true, true),
            (Mode::Running, false, false),
            (Mode::Shadow, true, false),
            (Mode::Shadow, false, false),
        ] {
            let mut guest = gossip_only();
            guest.life.enter(mode);
            guest.note_speaks(SEED, 12);
            if is_initialised {
                guest.metadata.learn(OTHER_SEED, MetadataId::new(7));
            }
            guest.note_lost_for_want_of_identifier();
            guest.tell_unreached();
            let failure = DialFailure::SilentWithoutIdentifier;
            let told = Event::DialFailed { endpoint: SEED, failure, times: 1 };
            assert_eq!(guest.poll_event(), is_told.then_some(told), "{mode:?}");
        }
    }
}
