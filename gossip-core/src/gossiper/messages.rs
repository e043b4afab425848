//! What SYN, ACK and ACK2 mean: which part is asked what, and in which order.

use super::Gossiper;
use super::exchange::{QUESTION_ID, own_schema};
use super::life::Mode;
use super::members::{About, Source};
use super::metadata::Changed;
use super::phase::End;
use super::session::Session;
use crate::application_state::ApplicationState;
use crate::config::Transport;
use crate::digest;
use crate::endpoint::Endpoint;
use crate::event::Event;
use crate::log;
use crate::message::{Ack, Ack2, EndpointState, PeerLog, Run, StateMap, Syn};
use crate::metadata::MetadataId;
use crate::slot::Slot;
use crate::table::Cursor;
use crate::time::Timestamp;
use crate::version::Generation;
use crate::wire::JavaStr;

impl Gossiper {
    /// `docs/protocol/exchange.md#receiving-a-syn`.
    pub(super) fn on_syn(&mut self, from: Endpoint, id: u64, session: &mut Session, syn: &Syn<'_>) {
        self.journal.stats.syns_received += 1;
        if !self.is_of_this_cluster(from, id, syn) {
            return;
        }
        if session.has_metadata_id && !syn.digests.is_empty() {
            self.follow_metadata_id(from, syn.metadata_id);
        }
        self.rounds.heard(self.clock.now());
        if syn.digests.is_empty() {
            // A shadow SYN: its sender takes no part yet, and wants to know everything.
            self.exchange.shadow_reply(from, &mut self.journal);
            return;
        }
        let newest = self.clock.newest_generation();
        let context = digest::Context { sender: from, newest, now: self.clock.now() };
        let answered =
            self.exchange.answer_syn(self.members.known_mut(), syn, &context, session, &mut self.journal);
        let Some(examined) = answered else { return };
        self.journal.stats.future_generations += u64::from(examined.future);
        if let Some((endpoint, generation)) = examined.first_future {
            self.membership().on_future_generation(endpoint, generation);
        }
        if examined.sender.is_none() {
            return;
        }
        session.generation = examined.sender;
        // Nodes of Cassandra get what they expect. And no host is flooded because a peer names it as an endpoint.
        if !self.config.is_in_cassandra() && session.reply_limit.is_none() {
            let listed = (syn.digests.len(), session.may_follow);
            let known = self.members.table().len();
            let time = (self.clock.now(), &self.config);
            self.exchange.answer_few(from, listed, known, time, &mut self.journal);
        }
    }

    /// Whether a SYN comes from our own cluster. Others are not answered, except one that only asks: it is sent our names.
    pub(super) fn is_of_this_cluster(&mut self, from: Endpoint, id: u64, syn: &Syn<'_>) -> bool {
        let is_ours = syn.cluster.as_bytes() == self.config.cluster
            && syn.partitioner.as_bytes() == self.config.partitioner;
        if !is_ours
            && id == QUESTION_ID
            && syn.digests.is_empty()
            && self.config.transport == Transport::Internode
            && self.config.metadata_service.is_none()
        {
            return self.correct(from);
        }
        let silence = self.config.interval.saturating_mul(60);
        if syn.cluster.as_bytes() != self.config.cluster {
            self.journal.stats.foreign_cluster += 1;
            if self.journal.foreign_cluster.note(from, syn.cluster, self.clock.now(), silence) {
                self.journal.tell(Event::ForeignCluster { from });
            }
            return false;
        }
        if syn.partitioner.as_bytes() != self.config.partitioner {
            self.journal.stats.foreign_partitioner += 1;
            if self.journal.foreign_partitioner.note(from, syn.partitioner, self.clock.now(), silence) {
                self.journal.tell(Event::ForeignPartitioner { from });
            }
            return false;
        }
        if self.config.metadata_service.is_some() && syn.metadata_id != self.metadata.id() {
            self.journal.stats.foreign_metadata += 1;
            return false;
        }
        true
    }

    /// A SYN of our cluster, in version 14, carries this identifier of the cluster's metadata.
    pub(super) fn follow_metadata_id(&mut self, from: Endpoint, id: MetadataId) {
        let is_member = || {
            let table = self.members.table();
            table.find(from).is_some_and(|slot| self.members.has_tokens(slot))
        };
        let is_trusted = self.config.seeds.contains(&from) || is_member();
        let changed = self.metadata.follow(from, id, is_trusted);
        if changed.is_some() {
            self.on_metadata_id(from, changed);
        }
    }

    /// `from` answers the question for entries of the metadata's log: it tells the identifier of the cluster.
    pub(crate) fn handle_peer_log(&mut self, now: Timestamp, from: Endpoint, id: u64, log: &PeerLog) {
        self.advance(now);
        if !self.metadata.take_answer(from, id) {
            self.journal.stats.skipped += 1;
            return;
        }
        if let Some(theirs) = log.metadata_id {
            if let Some(given) = self.config.metadata_id.filter(|given| *given != theirs)
                && self.life.mode() == Mode::Shadow
            {
                self.journal.tell(Event::MetadataIdRefused { by: from, given, theirs });
                return self.stop_with(End::MetadataIdRefused { by: from, given, theirs });
            }
            let changed = self.metadata.learn(from, theirs);
            self.on_metadata_id(from, changed);
        }
        self.exchange.resume(from);
    }

    /// `from` asks for entries of the metadata's log. Only a node that behaves like one of Cassandra 6.0 answers: it has none.
    pub(crate) fn handle_peer_log_request(&mut self, now: Timestamp, from: Endpoint, id: u64) {
        self.advance(now);
        if self.config.metadata_service.is_some() && self.is_enabled() {
            self.exchange.metadata_response(from, id, &mut self.journal);
        } else {
            self.journal.stats.skipped += 1;
        }
    }

    /// The identifier is known, or known better than before.
    fn on_metadata_id(&mut self, by: Endpoint, changed: Option<Changed>) {
        if let Some(Changed { old, new }) = changed {
            self.journal.tell(Event::MetadataIdChanged { by, old, new });
        }
        // The answers of the other peers are not needed any more.
        while let Some(peer) = self.metadata.next_open() {
            self.exchange.resume(peer);
        }
        let is_initialised = self.metadata.is_initialised();
        self.members.set_has_log(is_initialised);
        if is_initialised {
            self.life.forget_upgrade();
        }
        self.publish_version();
        self.on_inquiry_answered(by);
    }

    /// A gossip-only member publishes version 14 where the members have it, as a real node does.
    fn publish_version(&mut self) {
        if !self.config.is_gossip_only {
            return;
        }
        let text: &[u8] = if self.metadata.is_initialised() { b"14" } else { b"13" };
        let own = self.members.table().values(Slot::FIRST).get(ApplicationState::NET_VERSION);
        if own.is_none_or(|(own, _)| own.as_bytes() != text) {
            self.publishing().publish(ApplicationState::NET_VERSION, JavaStr::from_checked(text));
        }
    }

    /// Takes another identifier for a node that behaves like one of Cassandra 6.0, as `nodetool cms initialize` does.
    pub fn set_metadata_service(&mut self, now: Timestamp, id: MetadataId) {
        self.advance(now);
        if self.config.metadata_service.is_some() {
            self.metadata.set_own(id);
        }
    }

    /// Lets a node that behaves like one of Cassandra 6.0 write a value of another endpoint from the metadata's log: under the version that it
    /// had, or 0.
    pub fn merge_from_log(&mut self, now: Timestamp, endpoint: Endpoint, key: ApplicationState, value: &str) {
        self.advance(now);
        if self.config.metadata_service.is_some() && endpoint != self.config.local {
            self.membership().merge_from_log(endpoint, key, value);
        }
    }

    /// Tells `from`, which only asks and does not know what our cluster or partitioner is called, by a SYN without digests. Nothing is
    /// wrong with either side, so that it is no event.
    ///
    /// Deviation: Cassandra leaves it without an answer. It never gives an empty SYN this id, and so never has this answer.
    fn correct(&mut self, from: Endpoint) -> bool {
        self.journal.stats.questions_corrected += 1;
        log::debug!(%from, "a question names another cluster or partitioner: answered with ours");
        // Two that ask would go on telling each other.
        if !self.config.membership.only_asks {
            self.exchange.correction(from, &mut self.journal);
        }
        false
    }

    /// Says to a node in its shadow round that we are in ours.
    pub(super) fn answer_in_shadow(&mut self, from: Endpoint) {
        self.exchange.empty_ack(from, &mut self.journal);
    }

    /// `docs/protocol/exchange.md#receiving-an-ack`.
    pub(super) fn on_ack(&mut self, from: Endpoint, session: &mut Session, ack: &Ack<'_>) {
        self.journal.stats.acks_received += 1;
        self.metadata.note_ack(from);
        // Deviation: Cassandra takes any ACK. One that requests us under another generation answers an earlier process of ours, and holds what
        // that one lacked. We may lack more, and would never learn of it.
        let requested = ack.requests.find(self.config.local);
        if requested.is_some_and(|requested| requested.generation() != self.generation()) {
            self.journal.stats.stray_acks += 1;
            return;
        }
        // An answer without states counts, too: what comes after it answers an earlier process of ours. In packets an answer
        // has several parts, and none to an earlier process is taken in.
        let is_awaited = (!ack.states.is_empty() || self.config.transport == Transport::Internode)
            && self.exchange.take_awaited(from);
        if !ack.states.is_empty() {
            let is_rest = self.is_rest_of_shadow_reply(from, ack);
            if !self.exchange.has_sent_syn() && !is_rest {
                self.journal.stats.stray_acks += 1;
                return;
            }
            if is_rest {
                // It answers a question that is answered already.
                return self.apply(from, session, &ack.states, Source::Shadow);
            }
            let source = if is_awaited { Source::Ack } else { Source::Other };
            self.apply(from, session, &ack.states, source);
        }
        self.rounds.heard(self.clock.now());
        let answered =
            self.exchange.answer_ack(self.members.table(), (from, session), ack, &mut self.journal);
        let Some(requested) = answered else { return };
        self.publishing().on_answer(from, requested.us);
        if requested.everything_of_us {
            self.publishing().on_asked_for_everything(from);
        }
    }

    pub(super) fn on_ack2(&mut self, from: Endpoint, session: &mut Session, ack2: &Ack2<'_>) {
        self.journal.stats.ack2s_received += 1;
        self.rounds.heard(self.clock.now());
        self.apply(from, session, &ack2.states, Source::Other);
    }

    /// Takes over what is newer, in the order of the message.
    ///
    /// Deviation: Cassandra 5.0 puts those who join last, since it reports each before it looks at the next. Here nothing is
    /// reported before all is applied.
    pub(super) fn apply(
        &mut self,
        from: Endpoint,
        session: &mut Session,
        states: &StateMap<'_>,
        source: Source,
    ) {
        let believed = (self.clock.newest_generation(), source);
        let mut cursor = Cursor::default();
        for run in states.runs() {
            match run {
                Run::Heartbeats(mut rest) => {
                    if source == Source::Ack {
                        self.membership().answer_doubts(from, rest);
                    }
                    while let Some((endpoint, known)) =
                        self.membership().apply_heartbeats(from, session, &mut rest, &mut cursor)
                    {
                        let state = EndpointState::of_heartbeat(known);
                        self.apply_state(from, session, (endpoint, &state), &mut cursor, believed);
                    }
                }
                Run::State(endpoint, state) => {
                    self.apply_state(from, session, (endpoint, &state), &mut cursor, believed);
                }
            }
        }
    }

    fn apply_state(
        &mut self,
        from: Endpoint,
        session: &mut Session,
        (endpoint, state): (Endpoint, &EndpointState<'_>),
        cursor: &mut Cursor,
        believed: (Generation, Source),
    ) {
        let about = self.membership().apply_state(from, session, (endpoint, state), cursor, believed);
        if about == About::Us && believed.1 != Source::Shadow {
            self.judge_own_state(state, from, believed.1);
        }
    }

    /// Deviation: an echo is not answered any more once the shutdown is announced, so that no node finds us live again.
    pub(super) fn on_echo_request(&mut self, from: Endpoint, id: u64) {
        self.publishing().on_known_to(from);
        if self.is_running() {
            self.exchange.echo_response(from, id, &mut self.journal);
            self.membership().verify_back(from);
        }
    }

    /// A peer knows something of us.
    fn judge_own_state(&mut self, state: &EndpointState<'_>, from: Endpoint, source: Source) {
        // While we stop, others rightly know a version that we never gave out.
        if !self.is_running() {
            return;
        }
        if let Some(end) = self.publishing().on_own_state(state, from, source) {
            self.stop_with(end);
        }
    }

    /// A request for our schema version. A node that follows no schema yet does not answer, and neither does a member of our own
    /// clusters, which have no schema.
    pub(crate) fn handle_schema_request(&mut self, now: Timestamp, from: Endpoint, id: u64) {
        self.advance(now);
        if !self.is_running() || own_schema(self.members.table(), &self.config).is_none() {
            self.journal.stats.skipped += 1;
        } else {
            self.exchange.schema_response(from, id, &mut self.journal);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    const US: Endpoint = Endpoint::v4([10, 0, 0, 1], 7_000);
    const PEER: Endpoint = Endpoint::v4([10, 0, 0, 2], 7_000);

    fn node(service: Option<MetadataId>) -> Gossiper {
        let config = Config::builder("a cluster", US, Generation::new(100), [7; 32]);
        let config = match service {
            Some(id) => config.metadata_service(id),
            None => config,
        };
        Gossiper::new(config.build().unwrap(), Timestamp::ZERO)
    }

    /// How many of two questions for the identifier it skips, and whether it answers the second.
    fn asked(node: &mut Gossiper) -> (u64, bool) {
        let before = node.journal.stats.skipped;
        (1..3).for_each(|id| node.handle_peer_log_request(Timestamp::ZERO, PEER, id));
        let is_due = core::iter::from_fn(|| node.next_peer()).take(9).any(|peer| peer == PEER);
        (node.journal.stats.skipped - before, is_due)
    }

    #[test]
    fn the_identifier_is_told_by_a_node_that_has_one_and_takes_part() {
        assert_eq!(asked(&mut node(None)), (2, false));
        let mut of_6 = node(Some(MetadataId::new(7)));
        assert_eq!(asked(&mut of_6), (0, true));
        let mut of_6 = node(Some(MetadataId::new(7)));
        of_6.disable(Timestamp::ZERO).unwrap();
        assert_eq!(asked(&mut of_6).0, 2, "it takes no part");
    }

    #[test]
    fn an_identifier_that_was_not_asked_for_is_skipped_and_counted() {
        let mut node = node(None);
        let log = PeerLog::empty(MetadataId::new(8));
        (1..4).for_each(|id| node.handle_peer_log(Timestamp::ZERO, PEER, id, &log));
        assert_eq!((node.journal.stats.skipped, node.metadata.id()), (3, MetadataId::NONE));
    }
}
