//! The protocol: messages in, intentions out.
//!
//! [`Gossiper`] is the switchboard, and holds no state of its own. Each of its parts owns a part of the state, and says in its first
//! lines what it owns and what it may see. A part sees only those above it in this list, which are below it in the house:
//!
//! | Part | Owns |
//! | --- | --- |
//! | `Clock` | the time, and the versions that order our values |
//! | `Journal` | what happened: events and counters |
//! | `Exchange` | the exchange, and what is due to each peer |
//! | `Members` | who is known, and how each stands |
//! | `Metadata` | the identifier of the cluster's metadata, in Cassandra 6.0 |
//! | `Own` | who we are, and what we publish |
//! | `Rounds` | the round and its chances |
//! | `Life` | where we are in our life: asking, running, stopping |
//!
//! The gossiper knows neither connections nor packets. A transport feeds it messages and asks what is due to each peer.

mod asking;
mod clock;
mod exchange;
mod journal;
mod leaving;
mod life;
mod members;
mod messages;
mod metadata;
#[cfg(feature = "model")]
mod model;
mod own;
mod phase;
mod rounds;
mod session;
mod stopping;
mod upgrade;

use alloc::string::String;
use alloc::vec::Vec;

use self::clock::Clock;
pub(crate) use self::exchange::Audience;
use self::exchange::{Exchange, Writing};
use self::journal::Journal;
pub use self::leaving::LeaveError;
use self::life::{AfterShutdown, Life, Mode};
pub use self::members::AssassinateError;
use self::members::{MARKS, Members, Membership};
use self::metadata::Metadata;
use self::own::{Own, Publishing};
pub use self::phase::{End, Phase};
use self::rounds::Rounds;
pub use self::session::{Outgoing, Session};
pub use self::stopping::{DisableError, EnableError};
use crate::application_state::ApplicationState;
use crate::config::Config;
use crate::endpoint::Endpoint;
use crate::event::Event;
use crate::log;
use crate::message::{Codec, Message};
use crate::metadata::{MetadataId, MetadataOrigin};
use crate::quarantine::Tombstone;
use crate::rng::{Purpose, Rng};
use crate::slot::Slot;
use crate::snapshot::{EndpointInfo, Pulse, Standing, StateInfo};
use crate::stats::Stats;
use crate::status::StatusKind;
use crate::time::Timestamp;
use crate::verb::Verb;
use crate::version::{Generation, HeartbeatState, Version};
use crate::wire::{JavaStr, Writer};

/// The gossip protocol of one node, without a transport.
///
/// [`Node`](crate::Node) drives it over Cassandra's connections; simulations and benches drive it directly.
pub struct Gossiper {
    config: Config,
    clock: Clock,
    journal: Journal,
    exchange: Exchange,
    members: Members,
    metadata: Metadata,
    own: Own,
    rounds: Rounds,
    life: Life,
}

impl Gossiper {
    /// Starts to gossip. The first round is due at `now`, or an interval later in a cluster of Cassandra's.
    pub fn new(config: Config, now: Timestamp) -> Self {
        let hash_key = Rng::new(&config.entropy, Purpose::HashKey).next_u64();
        let mut journal = Journal::new(config.limits.max_pending_events);
        let members = Members::new(&config, hash_key, &mut journal);
        let mut exchange = Exchange::new(&config, hash_key);
        exchange.reserve(members.table());
        let mut gossiper = Self {
            clock: Clock::new(now),
            journal,
            exchange,
            members,
            metadata: Metadata::of(&config),
            own: Own::default(),
            rounds: Rounds::new(&config, now),
            life: Life::new(now),
            config,
        };
        for (key, value) in core::mem::take(&mut gossiper.config.states) {
            gossiper.publishing().publish(key, JavaStr::from_checked(&value));
        }
        gossiper.journal.clear();
        gossiper.config.tombstones = Vec::new();
        if gossiper.config.membership.shadow_round {
            gossiper.begin_shadow_round();
        }
        gossiper
    }

    /// Takes a message from `from`. `id` is that of the message; `session` belongs to the connection it came over.
    pub fn handle_message(
        &mut self,
        now: Timestamp,
        from: Endpoint,
        id: u64,
        session: &mut Session,
        message: &Message<'_>,
    ) {
        log::of_exchange!(from, message.verb(), id);
        self.advance(now);
        log::trace!(%from, verb = %message.verb(), id, entries = message.entries(), "received");
        match self.life.mode() {
            Mode::Stopped => return,
            Mode::Disabled | Mode::Away { .. } | Mode::Inquiring { .. } => {
                self.journal.stats.while_disabled += 1;
                return;
            }
            Mode::Shadow => return self.handle_shadow_message(from, id, *session, message),
            Mode::Running | Mode::Leaving { .. } | Mode::Left { .. } | Mode::Stopping { .. } => {}
        }
        self.members.hear(from, self.clock.now());
        match message {
            Message::Syn(syn) => self.on_syn(from, id, session, syn),
            Message::Ack(ack) => self.on_ack(from, session, ack),
            Message::Ack2(ack2) => self.on_ack2(from, session, ack2),
            Message::EchoRequest => self.on_echo_request(from, id),
            Message::EchoResponse => self.membership().on_echo_response(from, id),
            Message::Shutdown(shutdown) => self.membership().on_shutdown(from, *session, shutdown),
        }
    }

    /// Before it takes part, a node only asks, and answers other asking nodes that it does.
    fn handle_shadow_message(&mut self, from: Endpoint, id: u64, session: Session, message: &Message<'_>) {
        match message {
            Message::Syn(syn)
                if session.has_metadata_id
                    && !syn.digests.is_empty()
                    && self.is_of_this_cluster(from, id, syn) =>
            {
                self.follow_metadata_id(from, syn.metadata_id);
            }
            Message::Syn(syn) if syn.digests.is_empty() && self.is_of_this_cluster(from, id, syn) => {
                self.answer_in_shadow(from);
            }
            Message::Ack(ack) => self.on_shadow_ack(from, id, ack),
            _ => {}
        }
    }

    /// Lets time pass: does what is due by `now`.
    pub fn handle_timeout(&mut self, now: Timestamp) {
        self.advance(now);
        if self.life.until().is_some_and(|until| self.clock.now() >= until) {
            self.end_phase();
        }
        while let Some(silent) = self.metadata.next_silent(self.clock.now()) {
            self.exchange.resume(silent);
        }
        // The last round in the shadow lets the first of a node that takes part be due at once.
        while self.life.has_rounds() && self.clock.now() >= self.rounds.next() {
            self.rounds.begin(self.clock.now(), &self.config);
            if self.life.mode() == Mode::Shadow {
                self.on_shadow_timeout();
            } else {
                self.on_round();
            }
        }
    }

    /// The phase is over that ends by itself.
    fn end_phase(&mut self) {
        match self.life.mode() {
            Mode::Stopping { then, .. } => self.end_shutdown(then),
            Mode::Leaving { .. } => self.announce_left(),
            Mode::Left { .. } => self.stop_with(End::Left),
            Mode::Away { .. } => self.inquire(),
            Mode::Inquiring { .. } => self.end_inquiry(),
            Mode::Shadow | Mode::Running | Mode::Disabled | Mode::Stopped => {}
        }
    }

    fn on_round(&mut self) {
        if self.withdraw_if_upgraded() {
            return;
        }
        self.journal.stats.rounds += 1;
        let version = self.clock.next_version();
        self.members.begin_round(version, self.exchange.digest_rotation());
        self.members.arrange(&mut self.exchange);
        self.exchange.begin_round(self.clock.now(), &mut self.journal);
        self.publishing().follow_members();
        let known = self.members.table().len();
        let (now, age) = (self.clock.now(), self.clock.age());
        let is_joining =
            !self.config.is_in_cassandra() && self.exchange.is_joining(known, age, now, &self.config);
        self.rounds.choose_targets(
            &self.members,
            &self.config,
            &mut self.exchange,
            &mut self.journal,
            (now, is_joining),
        );
        let silent = self.rounds.answers.judge(self.members.table(), now, self.config.interval);
        self.members.set_calm(self.rounds.answers.is_calm(now, self.config.interval));
        let may_convict =
            self.rounds.pauses.may_convict(self.clock.now(), self.config.detector.max_local_pause);
        // Over connections a lost message is a lost connection, which shows otherwise. But in a crowd that joins, answers may be late, or come
        // after they are given up. In Cassandra's clusters all have the time that Cassandra gives them.
        let may_be_strained =
            self.config.detector.pace.is_some() || self.members.has_many() && !self.config.is_in_cassandra();
        let is_strained = may_be_strained && self.rounds.answers.is_strained(now, self.config.interval);
        let doubt = self.rounds.doubt.factor(is_strained);
        let mut membership = self.membership();
        membership.check_liveness(may_convict, doubt);
        if !is_joining {
            membership.probe_next(silent);
        }
        membership.check_removals(may_convict);
        membership.check_identities();
        self.journal.watch_limits(self.clock.now());
        self.watch_seeds();
    }

    /// How long answers take, as far as is known.
    pub(crate) const fn answer_wait(&self) -> core::time::Duration {
        self.rounds.answers.wait()
    }

    /// Reports, now and then, that no peer answers.
    fn watch_seeds(&mut self) {
        let silence = self.rounds.silence_of_seeds(&self.members, &self.config, self.clock.now());
        if let Some(waited) = silence {
            self.tell_who_asks();
            self.note_lost_for_want_of_identifier();
            self.tell_unreached();
            self.journal.tell(Event::SeedsSilent { waited });
        }
    }

    /// The process did not run for a while, and notices before anything else: a peer that did something meanwhile could not be heard
    /// doing it, and has as much longer for it. What others do by their own clocks goes on, such as the time of a tombstone.
    fn on_pause(&mut self) {
        let (now, allowed) = (self.clock.now(), self.config.detector.max_local_pause);
        let ended = self.rounds.pauses.end_pause(now, allowed, self.life.has_rounds());
        let Some(pause) = ended else { return };
        self.journal.tell(Event::LocalPause { pause });
        // From a moment at which the process ran without a round, a further pause counts anew.
        let late = self.rounds.take_late(now);
        self.members.put_off(late);
        self.rounds.put_off(late);
        self.metadata.put_off(late);
        self.life.put_off(late);
    }

    /// After how many rounds our SYNs have listed all endpoints: 1 unless more endpoints are known than the messages of a SYN have room
    /// for (some 4,300 over connections; about 1,300 in 16 packets of 1,400 bytes).
    ///
    /// The intervals by which silence is judged are so many times as long as configured, and so is the time until a dead
    /// endpoint is convicted, at the most.
    pub fn digest_rotation(&self) -> u32 {
        self.exchange.digest_rotation()
    }

    /// Takes a reading of the wall clock: milliseconds since the Unix epoch, now.
    pub fn handle_wall_clock(&mut self, now: Timestamp, unix_ms: u64) {
        self.advance(now);
        self.clock.set_wall(unix_ms);
    }

    /// When [`Gossiper::handle_timeout`] wants to be called next; never while gossip is disabled by [`Gossiper::disable`] or the node has
    /// stopped.
    pub fn poll_timeout(&self) -> Option<Timestamp> {
        let has_rounds = self.life.has_rounds();
        let round = has_rounds.then(|| self.rounds.next());
        let answer = self.metadata.deadline().filter(|_| has_rounds);
        [round, answer, self.life.until()].into_iter().flatten().min()
    }

    /// What happened, one after the other.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.journal.next()
    }

    /// The next peer to which something is due. It is not named again before something new is due to it, or
    /// [`Gossiper::resume`] is called.
    pub fn next_peer(&mut self) -> Option<Endpoint> {
        self.exchange.next_peer()
    }

    /// Says that there is room again for what is due to `to`.
    pub fn resume(&mut self, to: Endpoint) {
        self.exchange.resume(to);
    }

    /// Drops what is due to `to`, who cannot be reached.
    pub fn forget(&mut self, to: Endpoint) {
        self.exchange.forget(to, &mut self.journal);
    }

    /// Drops the answers that are due to `to`, where another process is now than the one that asked: it would take a part of a
    /// state, which is all that the other lacked, for the whole.
    pub(crate) fn forget_answers(&mut self, to: Endpoint) {
        self.exchange.forget_answers(to, &mut self.journal);
    }

    /// Whether anything is due to `to`.
    pub fn is_due(&mut self, to: Endpoint) -> bool {
        self.exchange.is_due(to)
    }

    /// Whether a message with a body is due to `to`, and not only echoes.
    pub(crate) fn is_body_due(&mut self, to: Endpoint, codec: Codec) -> bool {
        self.exchange.is_body_due(to, codec)
    }

    /// Whether a message is pending for a peer that may have room for it.
    pub(crate) fn has_ready_peer(&self) -> bool {
        self.exchange.has_ready_peer()
    }

    /// Whether a part of a SYN to `to` went out, and another is to follow.
    pub(crate) fn is_within_syn(&mut self, to: Endpoint) -> bool {
        self.exchange.is_within_syn(to)
    }

    /// Lets what went out of a SYN to `to` be all of it.
    pub(crate) fn end_syn(&mut self, to: Endpoint) {
        self.exchange.end_syn(to);
    }

    /// Whether connections to `to` are to be closed before anything else is sent. Asking takes it as done.
    pub fn take_reset(&mut self, to: Endpoint) -> bool {
        self.exchange.take_reset(to)
    }

    /// Writes the body of the next message to `to`: the most urgent that is due and fits, from the newest state.
    ///
    /// Messages with a body are written only if `out` has room for at least [`Gossiper::MIN_ROOM`] bytes; they take as
    /// much of it as there is to say.
    pub fn encode(&mut self, to: Endpoint, codec: Codec, out: &mut Writer<'_>) -> Option<Outgoing> {
        let written = self.writing().encode(to, codec, out);
        if let Some(asked) = self.exchange.take_question() {
            self.note_question(asked);
        }
        let outgoing = written?;
        self.count_sent(outgoing.verb);
        log::trace!(%to, verb = %outgoing.verb, id = outgoing.id, bytes = out.len(), "sent");
        Some(outgoing)
    }

    /// Whether something is due to `to` that is too large for an ordinary message.
    pub fn is_large_due(&mut self, to: Endpoint) -> bool {
        self.exchange.is_large_due(to)
    }

    /// Drops what is due to `to` and too large for an ordinary message.
    pub fn forget_large(&mut self, to: Endpoint) {
        self.exchange.forget_large(to, &mut self.journal);
    }

    /// Writes what is due to `to` and too large for an ordinary message into memory of its own.
    ///
    /// # Errors
    ///
    /// How many bytes it needs, if that is more than `limit`: it stays due then. 0 if nothing is due.
    pub fn encode_large(
        &mut self,
        to: Endpoint,
        codec: Codec,
        limit: usize,
    ) -> Result<(Outgoing, Vec<u8>), usize> {
        let written = self.writing().encode_due_large(to, codec, limit)?;
        log::trace!(%to, verb = %written.0.verb, id = written.0.id, bytes = written.1.len(), "sent over the large connection");
        self.count_sent(written.0.verb);
        self.journal.stats.snapshots += 1;
        Ok(written)
    }

    /// For what kind of receiver the answer that holds everything is due to `to`, if it is due as a large message. The answers to all
    /// of a kind are the same.
    pub(crate) fn audience(&mut self, to: Endpoint, codec: Codec) -> Option<Audience> {
        let phase = self.phase();
        self.writing().audience(to, codec, phase)
    }

    /// Takes the answer that holds everything as written to `to`: it is sent what was written for another.
    pub(crate) fn share_large(&mut self, to: Endpoint, withheld: u64) -> Outgoing {
        let outgoing = self.writing().share_large(to, withheld);
        log::trace!(%to, verb = %outgoing.verb, id = outgoing.id, "sent over the large connection: a copy of the message to another peer");
        self.count_sent(outgoing.verb);
        self.journal.stats.snapshots += 1;
        self.journal.stats.answers_shared += 1;
        outgoing
    }

    #[inline]
    const fn count_sent(&mut self, verb: Verb) {
        let stats = &mut self.journal.stats;
        stats.messages_sent += 1;
        match verb {
            Verb::GOSSIP_DIGEST_SYN => stats.syns_sent += 1,
            Verb::GOSSIP_DIGEST_ACK => stats.acks_sent += 1,
            Verb::GOSSIP_DIGEST_ACK2 => stats.ack2s_sent += 1,
            _ => {}
        }
    }

    /// The least room that a message with a body needs.
    pub const MIN_ROOM: usize = exchange::MIN_ROOM;

    fn writing(&mut self) -> Writing<'_> {
        let Self { exchange, members, metadata, config, clock, journal, .. } = self;
        Writing { exchange, table: members.table(), config, clock, metadata, journal }
    }

    fn membership(&mut self) -> Membership<'_> {
        let Self { members, exchange, journal, clock, config, .. } = self;
        Membership { members, exchange, journal, clock, config }
    }

    fn publishing(&mut self) -> Publishing<'_> {
        let Self { own, members, exchange, journal, clock, config, .. } = self;
        Publishing { own, members, exchange, journal, clock, config }
    }

    /// What is known so far of the process at the other end of a new connection from `from`.
    pub fn open_session(&self, from: Endpoint) -> Session {
        let generation = self.members.table().find(from).map(|slot| self.members.table().generation(slot));
        Session::of_connection(generation)
    }

    /// Publishes a value of the node's own, under a fresh version.
    ///
    /// # Errors
    ///
    /// [`SetStateError`](crate::SetStateError) if it could never be sent, or nothing is sent any more.
    pub fn set_state(
        &mut self,
        now: Timestamp,
        key: ApplicationState,
        value: &str,
    ) -> Result<Version, crate::config::SetStateError> {
        self.advance(now);
        let is_over = self.life.is_over();
        self.publishing().set_local_state(key, value, is_over)
    }

    /// Announces to all live members that the node stops, goes on for a while (`docs/protocol/life-cycle.md#stop`), and then is
    /// done: [`Event::Stopped`]. A gossip-only member announces nothing, and is done at once.
    pub fn shutdown(&mut self, now: Timestamp) {
        self.advance(now);
        self.announce_shutdown(AfterShutdown::Stop);
    }

    /// Stops at once, and announces nothing: [`Event::Stopped`].
    pub fn abandon(&mut self, now: Timestamp) {
        self.advance(now);
        self.stop();
    }

    /// Announces that the node leaves the cluster for good: LEAVING, after a while LEFT, then it is done
    /// ([`Event::Stopped`]). Others forget it when the time that LEFT names is over, in three days.
    ///
    /// # Errors
    ///
    /// [`LeaveError`] if it is no member, or takes no part in gossip now.
    pub fn leave(&mut self, now: Timestamp) -> Result<(), LeaveError> {
        self.advance(now);
        self.begin_leaving()
    }

    /// Declares an endpoint as left that cannot do so itself (`docs/protocol/life-cycle.md#removal-by-another-node`). One that is known has
    /// [`ring_delay`](crate::Membership::ring_delay) to show a sign of life; then
    /// [`Event::Assassinated`] or [`Event::AssassinationAborted`] follows. One that is not known is declared at once.
    ///
    /// # Errors
    ///
    /// [`AssassinateError`] if that cannot be begun.
    pub fn assassinate(&mut self, now: Timestamp, endpoint: Endpoint) -> Result<(), AssassinateError> {
        self.advance(now);
        match self.life.mode() {
            Mode::Running => self.membership().begin_assassination(endpoint),
            _ => Err(AssassinateError::NotRunning),
        }
    }

    /// Announces a shutdown and then takes no part until [`Gossiper::enable`]. Where gossip is disabled already, it stays so. A
    /// gossip-only member announces nothing: it is silent at once, and its connections are closed.
    ///
    /// # Errors
    ///
    /// [`DisableError`] while the node joins or leaves, and when it stops. Nothing changes then.
    pub fn disable(&mut self, now: Timestamp) -> Result<(), DisableError> {
        self.advance(now);
        self.begin_disabling()
    }

    /// Takes part again after [`Gossiper::disable`], with a greater generation ([`Event::GenerationRaised`]). Where the node takes
    /// part already, nothing changes.
    ///
    /// # Errors
    ///
    /// [`EnableError`] if the node cannot take part, or could not under a generation that its peers accept. Nothing changes then, but that
    /// a member that stays away for an upgrade ([`EnableError::Upgrading`]) asks at once whether it may come back.
    pub fn enable(&mut self, now: Timestamp) -> Result<(), EnableError> {
        self.advance(now);
        self.begin_again()
    }

    /// Whether the node takes no part any more, for good.
    pub(crate) const fn is_stopped(&self) -> bool {
        matches!(self.life.mode(), Mode::Stopped)
    }

    /// Whether the node takes no part now, and must not be noticed by others: no connection is kept or accepted.
    pub(crate) const fn is_silent(&self) -> bool {
        self.config.is_gossip_only && matches!(self.life.mode(), Mode::Disabled | Mode::Away { .. })
    }

    /// Whether the node takes part in gossip.
    pub const fn is_enabled(&self) -> bool {
        self.life.has_rounds() && !matches!(self.life.mode(), Mode::Shadow)
    }

    /// Replaces the seeds, the node itself left out; says whether that changed anything. An empty list changes nothing.
    pub fn set_seeds(&mut self, seeds: &[Endpoint]) -> bool {
        let mut seeds: Vec<Endpoint> =
            seeds.iter().copied().filter(|seed| *seed != self.config.local).collect();
        seeds.sort_unstable();
        seeds.dedup();
        let is_new = !seeds.is_empty() && seeds != self.config.seeds;
        if is_new {
            self.config.seeds = seeds;
        }
        is_new
    }

    /// The seeds, the node itself left out, by ascending endpoint.
    pub fn seeds(&self) -> &[Endpoint] {
        &self.config.seeds
    }

    /// The endpoints that are gone for good, by ascending endpoint: to be kept across restarts, and given to
    /// [`ConfigBuilder::tombstone`](crate::ConfigBuilder::tombstone). They change with [`Event::Left`] and
    /// [`Event::Forgotten`].
    pub fn tombstones(&self) -> impl Iterator<Item = Tombstone> + '_ {
        self.members.tombstones()
    }

    /// The first of the [`Limits`](crate::Limits) on memory that is exceeded, by its name. None ever is, whatever peers send: a simulation
    /// checks that after each step.
    pub fn exceeded_limit(&self) -> Option<&'static str> {
        let limits = &self.config.limits;
        let table = self.members.table();
        let (exchanges, peers) = self.exchange.sizes();
        let held = [
            ("max_endpoints", table.len(), limits.max_endpoints),
            ("max_tombstones", self.members.quarantine().len(), limits.max_tombstones),
            ("max_pending_events", self.journal.waiting(), limits.max_pending_events),
            ("max_pending_acks", exchanges, limits.max_pending_acks),
            ("max_pending_peers", peers, limits.max_pending_peers),
        ];
        let of_values = table.slots().flat_map(|slot| {
            // What this node adds itself to the values of an endpoint that stopped or was removed does not count.
            let (values, status) = (table.values(slot), table.status(slot));
            let is_marked = status == StatusKind::Shutdown || status.is_dead();
            let added = if is_marked { MARKS } else { 0 };
            let bytes = if is_marked { 0 } else { values.text_bytes() };
            [
                ("max_states", values.len(), limits.max_states + added),
                ("max_state_bytes", bytes, limits.max_state_bytes),
            ]
        });
        held.into_iter().chain(of_values).find(|(_, held, limit)| held > limit).map(|(name, ..)| name)
    }

    /// Who the node is.
    pub const fn local_endpoint(&self) -> Endpoint {
        self.config.local
    }

    /// The node's own generation, as it is now.
    pub fn generation(&self) -> Generation {
        self.members.table().generation(Slot::FIRST)
    }

    /// How many endpoints are known, the node itself included.
    pub const fn endpoint_count(&self) -> usize {
        self.members.table().len()
    }

    /// All known endpoints, the node itself included, in no particular order.
    pub fn endpoints(&self) -> impl Iterator<Item = Endpoint> + '_ {
        self.members.table().slots().map(|slot| self.members.table().endpoint(slot))
    }

    /// All live endpoints, without the node itself.
    pub fn live_endpoints(&self) -> impl Iterator<Item = Endpoint> + '_ {
        self.members.others(Standing::Live).map(|slot| self.members.table().endpoint(slot))
    }

    /// Whether an endpoint is a seed, or ever answered an echo: what is claimed of others costs it nothing.
    pub(crate) fn is_met(&self, endpoint: Endpoint) -> bool {
        self.members.is_met(endpoint, &self.config)
    }

    /// Where an endpoint stands, if it is known. The node itself is live.
    pub fn standing(&self, endpoint: Endpoint) -> Option<Standing> {
        self.members.table().find(endpoint).map(|slot| self.members.table().standing(slot))
    }

    /// What the keyword of an endpoint's status says, if the endpoint is known.
    pub fn status(&self, endpoint: Endpoint) -> Option<StatusKind> {
        self.members.table().find(endpoint).map(|slot| self.members.table().status(slot))
    }

    /// An endpoint's generation and heartbeat, if it is known.
    pub fn heartbeat(&self, endpoint: Endpoint) -> Option<HeartbeatState> {
        self.members.table().find(endpoint).map(|slot| self.members.table().heartbeat(slot))
    }

    /// The greatest version of an endpoint's heartbeat and values, if it is known.
    pub fn max_version(&self, endpoint: Endpoint) -> Option<Version> {
        self.members.table().find(endpoint).map(|slot| self.members.table().known(slot).max_version())
    }

    /// A value of an endpoint and its version.
    pub fn value(&self, endpoint: Endpoint, key: ApplicationState) -> Option<(JavaStr<'_>, Version)> {
        self.members.table().values(self.members.table().find(endpoint)?).get(key)
    }

    /// All values of an endpoint, by ascending key; none if it is not known.
    pub fn values(
        &self,
        endpoint: Endpoint,
    ) -> impl Iterator<Item = (ApplicationState, JavaStr<'_>, Version)> + '_ {
        self.members
            .table()
            .find(endpoint)
            .into_iter()
            .flat_map(|slot| self.members.table().values(slot).iter())
    }

    /// All that is known of an endpoint, copied.
    pub fn endpoint_info(&self, endpoint: Endpoint) -> Option<EndpointInfo> {
        self.members.table().find(endpoint).map(|slot| self.info(slot))
    }

    /// A copy of all known states, by ascending endpoint.
    pub fn snapshot(&self) -> Vec<EndpointInfo> {
        let mut infos: Vec<EndpointInfo> = self.members.table().slots().map(|slot| self.info(slot)).collect();
        infos.sort_unstable_by_key(|info| info.endpoint);
        infos
    }

    /// What changes of each endpoint at its heartbeats, the node itself included, in no particular order. Takes no memory.
    pub fn pulses(&self) -> impl Iterator<Item = Pulse> + '_ {
        self.members.table().slots().map(|slot| {
            let window = self.members.table().window(slot);
            Pulse {
                endpoint: self.members.table().endpoint(slot),
                standing: self.members.table().standing(slot),
                heartbeat: self.members.table().heartbeat(slot),
                phi: self.members.table().phi(slot, self.clock.now()),
                heard_ago: window.last().map(|last| self.clock.now().saturating_since(last)),
                heartbeats: window.kept(),
            }
        })
    }

    /// The sender of the SYN of another cluster that was last reported ([`Event::ForeignCluster`]), and the name of that
    /// cluster; at most its first 64 bytes.
    pub fn foreign_cluster(&self) -> Option<(Endpoint, String)> {
        self.journal.foreign_cluster.to_text()
    }

    /// As [`Gossiper::foreign_cluster`], of the partitioner ([`Event::ForeignPartitioner`]).
    pub fn foreign_partitioner(&self) -> Option<(Endpoint, String)> {
        self.journal.foreign_partitioner.to_text()
    }

    /// The identifier of the cluster's metadata that SYNs of this node carry, and where it is from. Only guests in clusters of Cassandra 6.0
    /// have one.
    pub const fn metadata_id(&self) -> (MetadataId, MetadataOrigin) {
        (self.metadata.id(), self.metadata.origin())
    }

    /// The counters.
    pub const fn stats(&self) -> &Stats {
        &self.journal.stats
    }

    pub(crate) const fn stats_mut(&mut self) -> &mut Stats {
        &mut self.journal.stats
    }

    /// How many endpoints may be learned until this is set again; `None` if any number. Returns how many were left.
    pub(crate) const fn set_newcomers(&mut self, newcomers: Option<u32>) -> Option<u32> {
        self.members.set_newcomers(newcomers)
    }

    /// Tells the application what the transport has seen.
    pub(crate) fn tell(&mut self, event: Event) {
        self.journal.tell(event);
    }

    /// Milliseconds since the Unix epoch, if the wall clock was ever read.
    pub(crate) fn unix_ms(&self) -> Option<u64> {
        self.clock.unix_ms()
    }

    fn info(&self, slot: Slot) -> EndpointInfo {
        let endpoint = self.members.table().endpoint(slot);
        let window = self.members.table().window(slot);
        EndpointInfo {
            endpoint,
            is_local: slot == Slot::FIRST,
            is_seed: self.config.seeds.contains(&endpoint),
            standing: self.members.table().standing(slot),
            status: self.members.table().status(slot),
            heartbeat: self.members.table().heartbeat(slot),
            phi: self.members.table().phi(slot, self.clock.now()),
            mean_interval: window.mean(),
            heard_ago: window.last().map(|last| self.clock.now().saturating_since(last)),
            states: self
                .members
                .table()
                .values(slot)
                .iter()
                .map(|(key, text, version)| StateInfo { key, version, value: text.to_text().into_owned() })
                .collect(),
        }
    }

    /// Time never goes back here.
    fn advance(&mut self, now: Timestamp) {
        self.clock.advance(now);
        if self.rounds.pauses.is_pause(self.clock.now()) {
            self.on_pause();
        }
    }

    /// What the node is doing.
    pub const fn phase(&self) -> Phase {
        self.life.phase()
    }

    /// Why the node has stopped; `None` until then.
    pub const fn end(&self) -> Option<End> {
        self.life.end_once_stopped()
    }

    /// Stops for a reason, unless there was one before.
    fn stop_with(&mut self, end: End) {
        self.life.end_with(end);
        self.stop();
    }

    fn stop(&mut self) {
        if self.life.mode() != Mode::Stopped {
            self.membership().abort_assassinations();
            self.life.end_with(End::Asked);
            self.life.enter(Mode::Stopped);
            if self.config.is_gossip_only {
                self.exchange.forget_all();
            }
            self.journal.tell(Event::Stopped);
        }
    }

    /// Whether the node takes part and means to go on, or says only that it will leave.
    const fn is_running(&self) -> bool {
        self.life.is_running()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_can_be_sent_between_threads() {
        fn assert_send_sync<T: Send + Sync>() {}
        assert_send_sync::<Gossiper>();
    }

    #[test]
    fn whatever_is_held_beyond_its_limit_is_named() {
        use crate::application_state::ApplicationState;
        use crate::config::Limits;
        use crate::event::Event;
        use crate::quarantine::Tombstone;
        type Lower = fn(&mut Limits);
        let local = Endpoint::v4([10, 0, 0, 1], 7000);
        let gone = Tombstone {
            endpoint: Endpoint::v4([10, 0, 0, 3], 7000),
            generation: Generation::new(1),
            until_unix_ms: 2_000_000_000_000,
        };
        let config = Config::builder("c", local, Generation::new(1), [3; 32]);
        let config = config.state(ApplicationState::DC, "dc1").tombstone(gone).build().unwrap();
        let mut gossiper = Gossiper::new(config, Timestamp::ZERO);
        gossiper.journal.tell(Event::PeerAsks { peer: gone.endpoint });
        gossiper.exchange.reset(gone.endpoint, &mut gossiper.journal);
        assert_eq!(gossiper.exceeded_limit(), None);
        let lower: [(&str, Lower); 7] = [
            ("max_endpoints", |limits| limits.max_endpoints = 0),
            ("max_tombstones", |limits| limits.max_tombstones = 0),
            ("max_pending_events", |limits| limits.max_pending_events = 0),
            ("max_pending_acks", |limits| limits.max_pending_acks = 0),
            ("max_pending_peers", |limits| limits.max_pending_peers = 0),
            ("max_states", |limits| limits.max_states = 0),
            ("max_state_bytes", |limits| limits.max_state_bytes = 0),
        ];
        for (name, lower) in lower {
            let before = gossiper.config.limits;
            lower(&mut gossiper.config.limits);
            assert_eq!(gossiper.exceeded_limit(), Some(name));
            gossiper.config.limits = before;
        }
    }
}
