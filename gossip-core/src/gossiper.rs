//! The protocol: messages in, intentions out.
//!
//! [`Gossiper`] is the switchboard. What it switches between lives in files of its own: the exchange, the round,
//! liveness, shutdown. It knows neither connections nor packets; a transport feeds it messages and asks what is due to whom.

mod acceptance;
mod apply;
mod cassandra;
mod clock;
mod clocks;
mod exchange;
mod identity;
mod journal;
mod liveness;
mod local;
mod messages;
mod phase;
mod questions;
mod removal;
mod round;
mod shadow;
mod shutdown;
mod upgrade;

use alloc::string::String;
use alloc::vec::Vec;

use self::acceptance::Acceptance;
use self::clock::Clock;
use self::clocks::Clocks;
use self::exchange::{Exchange, Writing};
use self::identity::Identity;
use self::journal::Journal;
use self::local::Refutations;
pub use self::phase::{End, Phase};
use self::questions::Questions;
pub use self::removal::{AssassinateError, LeaveError};
use self::removal::{Assassination, MAX_ASSASSINATIONS};
use self::shadow::Shadow;
pub use self::shutdown::{DisableError, EnableError};
use crate::application_state::ApplicationState;
use crate::config::Config;
use crate::endpoint::Endpoint;
use crate::event::{Event, UpgradeSign};
use crate::log;
use crate::message::{Codec, Message};
use crate::quarantine::{Evidence, Quarantine, Refusal, Tombstone};
use crate::rng::{Purpose, Rng};
use crate::snapshot::{EndpointInfo, Standing, StateInfo};
use crate::stats::Stats;
use crate::table::{EndpointTable, Slot};
use crate::time::Timestamp;
use crate::verb::Verb;
use crate::version::{Generation, HeartbeatState, Version};
use crate::wire::{JavaStr, Writer};

/// The gossip protocol of one node, without a transport.
///
/// [`Node`](crate::Node) drives it over Cassandra's connections; simulations and benches drive it directly.
#[derive(Debug)]
pub struct Gossiper {
    config: Config,
    clock: Clock,
    journal: Journal,
    exchange: Exchange,
    table: EndpointTable,
    quarantine: Quarantine,
    assassinations: [Option<Assassination>; MAX_ASSASSINATIONS],
    rng: Rng,
    mode: Mode,
    /// Why the node stops, once it does.
    end: Option<End>,
    shadow: Shadow,
    /// The status to go back to when gossip is enabled again.
    status_before: Vec<u8>,
    next_round: Timestamp,
    pauses: liveness::Pauses,
    refutations: Refutations,
    contact: round::Contact,
    acceptance: Acceptance,
    /// Who showed that the Cassandra cluster is being upgraded to 6.0.
    upgrade: Option<(Endpoint, UpgradeSign)>,
    clocks: Clocks,
    identity: Identity,
    /// How many endpoints may be left of which only the address is known; not fewer than there are.
    saved_left: usize,
    /// What became of questions and dials to seeds and saved endpoints.
    questions: Questions,
}

/// What a node is doing.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Mode {
    /// Asking before it takes part.
    Shadow,
    /// Taking part.
    Running,
    /// Said that it leaves, and goes on until it says that it has left.
    Leaving { until: Timestamp },
    /// Said that it has left, and goes on until this moment so that all hear of it.
    Left { until: Timestamp },
    /// Announced its shutdown, and goes on until this moment.
    Stopping { until: Timestamp, then: AfterShutdown },
    /// Taking no part until gossip is enabled again.
    Disabled,
    /// Taking no part any more.
    Stopped,
}

/// What follows an announced shutdown.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum AfterShutdown {
    Stop,
    Disable,
}

/// Which process of an endpoint is at the other end of a connection, as far as is known.
///
/// A shutdown without a body says nothing of the generation that it ends; it counts only for the one that its
/// connection belongs to.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Session {
    generation: Option<Generation>,
    /// How many bytes the body of an answer may take, where whoever asks has not proven its address.
    reply_limit: Option<u32>,
}

impl Session {
    /// That of one packet, which names the process that sent it.
    pub(crate) const fn of_packet(generation: Generation, reply_limit: Option<u32>) -> Self {
        Self { generation: Some(generation), reply_limit }
    }
}

/// A message that was written.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Outgoing {
    /// What it is.
    pub verb: Verb,
    /// Its id; that of the request if it is a response.
    pub id: u64,
}

impl Gossiper {
    /// Starts to gossip: the first round is one interval after `now`.
    pub fn new(config: Config, now: Timestamp) -> Self {
        let hash_key = Rng::new(&config.entropy, Purpose::HashKey).next_u64();
        let settings = crate::phi::Settings {
            window: config.arrival_window,
            initial: config.initial_arrival_interval,
            max: config.max_arrival_interval,
        };
        let mut table = EndpointTable::new(hash_key, config.max_endpoints, settings);
        let mut journal = Journal::new(config.max_pending_events);
        let local = HeartbeatState { generation: config.generation, version: Version::ZERO };
        // The table holds at least one endpoint, and this is the first.
        if let Ok(slot) = table.insert(config.local, local) {
            table.set_standing(slot, Standing::Live);
        }
        let mut quarantine = Quarantine::new(config.max_tombstones);
        for tombstone in &config.tombstones {
            let refusal = Refusal::Removed { until_unix_ms: tombstone.until_unix_ms };
            quarantine.insert(tombstone.endpoint, tombstone.generation, refusal, Evidence::Met);
        }
        for saved in &config.saved {
            // Whoever is known to be gone is not tried, and has no entry of an older generation for its state to replace.
            if quarantine.holds(saved.endpoint) {
                continue;
            }
            match table.insert(saved.endpoint, HeartbeatState::EMPTY) {
                Ok(slot) => table.set_standing(slot, Standing::Unreachable),
                Err(_) => journal.stats.table_full += 1,
            }
        }
        let mut identity = Identity::default();
        identity.reserve(table.len());
        table.sort();
        let mut exchange = Exchange::new(&config, hash_key);
        exchange.reserve(&table);
        let mut gossiper = Self {
            clock: Clock::new(now),
            journal,
            exchange,
            table,
            quarantine,
            assassinations: [None; MAX_ASSASSINATIONS],
            rng: Rng::new(&config.entropy, Purpose::Targets),
            mode: Mode::Running,
            end: None,
            shadow: Shadow::new(now, 0),
            status_before: Vec::new(),
            next_round: now + config.interval,
            pauses: liveness::Pauses::default(),
            refutations: Refutations::default(),
            contact: round::Contact::new(now),
            acceptance: Acceptance::default(),
            upgrade: None,
            clocks: Clocks::default(),
            identity,
            saved_left: config.saved.len(),
            questions: Questions::new(),
            config,
        };
        for (key, value) in core::mem::take(&mut gossiper.config.states) {
            gossiper.publish(key, JavaStr::from_checked(&value));
        }
        gossiper.journal.clear();
        gossiper.config.tombstones = Vec::new();
        if gossiper.config.shadow_round {
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
        self.advance(now);
        log::trace!(%from, verb = %message.verb(), id, entries = message.entries(), "received");
        match self.mode {
            Mode::Stopped => return,
            Mode::Disabled => {
                self.journal.stats.while_disabled += 1;
                return;
            }
            Mode::Shadow => return self.handle_shadow_message(from, id, message),
            Mode::Running | Mode::Leaving { .. } | Mode::Left { .. } | Mode::Stopping { .. } => {}
        }
        if let Some(slot) = self.table.find(from) {
            self.table.set_heard(slot, self.clock.now());
        }
        match message {
            Message::Syn(syn) => self.on_syn(from, id, session, syn),
            Message::Ack(ack) => self.on_ack(from, session, ack),
            Message::Ack2(ack2) => self.on_ack2(from, session, ack2),
            Message::EchoRequest => self.on_echo_request(from, id),
            Message::EchoResponse => self.on_echo_response(from, id),
            Message::Shutdown(shutdown) => self.on_shutdown(from, *session, shutdown),
        }
    }

    /// Before it takes part, a node only asks, and tells others who ask that it does.
    fn handle_shadow_message(&mut self, from: Endpoint, id: u64, message: &Message<'_>) {
        match message {
            Message::Syn(syn) if syn.digests.is_empty() && self.is_of_this_cluster(from, id, syn) => {
                self.answer_in_shadow(from);
            }
            Message::Ack(ack) => self.on_shadow_ack(from, ack),
            _ => {}
        }
    }

    /// Lets time pass: does what is due by `now`.
    pub fn handle_timeout(&mut self, now: Timestamp) {
        self.advance(now);
        match self.mode {
            Mode::Stopping { until, then } if self.clock.now() >= until => self.end_shutdown(then),
            Mode::Leaving { until } if self.clock.now() >= until => self.announce_left(),
            Mode::Left { until } if self.clock.now() >= until => {
                self.end_with(End::Left);
                self.stop();
            }
            _ => {}
        }
        if self.poll_timeout().is_some() && self.clock.now() >= self.next_round {
            self.next_round = self.clock.now() + self.config.interval;
            self.pauses.begin_interval(self.clock.now() + self.config.max_local_pause);
            if self.mode == Mode::Shadow {
                self.on_shadow_timeout();
            } else {
                self.on_round();
            }
        }
    }

    /// Takes a reading of the wall clock: milliseconds since the Unix epoch, now.
    pub fn handle_wall_clock(&mut self, now: Timestamp, unix_ms: u64) {
        self.advance(now);
        self.clock.set_wall(unix_ms);
    }

    /// When [`Gossiper::handle_timeout`] wants to be called next; never while gossip is disabled or the node has stopped.
    pub fn poll_timeout(&self) -> Option<Timestamp> {
        match self.mode {
            Mode::Shadow | Mode::Running => Some(self.next_round),
            Mode::Leaving { until } | Mode::Left { until } | Mode::Stopping { until, .. } => {
                Some(self.next_round.min(until))
            }
            Mode::Disabled | Mode::Stopped => None,
        }
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

    /// Whether anything is due to anybody who may have room for it.
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
        self.journal.stats.messages_sent += 1;
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
        log::trace!(%to, verb = %written.0.verb, id = written.0.id, bytes = written.1.len(), "sent, over the large connection");
        self.journal.stats.messages_sent += 1;
        self.journal.stats.snapshots += 1;
        Ok(written)
    }

    /// The least room that a message with a body needs.
    pub const MIN_ROOM: usize = exchange::MIN_ROOM;

    fn writing(&mut self) -> Writing<'_> {
        let Self { exchange, table, config, clock, journal, .. } = self;
        Writing { exchange, table, config, clock, journal }
    }

    /// What is known so far of the process at the other end of a new connection from `from`.
    pub fn open_session(&self, from: Endpoint) -> Session {
        let generation = self.table.find(from).map(|slot| self.table.generation(slot));
        Session { generation, reply_limit: None }
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
        self.set_local_state(key, value)
    }

    /// Announces to all live members that the node stops, goes on for a while (`gossip-semantics.md` §13.1), and then is
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

    /// Declares an endpoint as left that cannot do so itself (`gossip-semantics.md` §14). One that is known has
    /// [`ring_delay`](crate::ConfigBuilder::ring_delay) to show a sign of life; then
    /// [`Event::Assassinated`] or [`Event::AssassinationAborted`] follows. One that is not known is declared at once.
    ///
    /// # Errors
    ///
    /// [`AssassinateError`] if that cannot be begun.
    pub fn assassinate(&mut self, now: Timestamp, endpoint: Endpoint) -> Result<(), AssassinateError> {
        self.advance(now);
        self.begin_assassination(endpoint)
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
    /// [`EnableError`] if the node cannot take part, or could not under a generation that its peers accept. Nothing changes then.
    pub fn enable(&mut self, now: Timestamp) -> Result<(), EnableError> {
        self.advance(now);
        self.begin_again()
    }

    /// Whether the node takes no part any more, for good.
    pub(crate) const fn is_stopped(&self) -> bool {
        matches!(self.mode, Mode::Stopped)
    }

    /// Whether the node takes no part now, and nobody is to notice that it is there: no connection is kept or accepted.
    pub(crate) const fn is_silent(&self) -> bool {
        self.config.is_gossip_only && matches!(self.mode, Mode::Disabled)
    }

    /// Whether the node takes part in gossip.
    pub const fn is_enabled(&self) -> bool {
        !matches!(self.mode, Mode::Disabled | Mode::Stopped | Mode::Shadow)
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
        self.all_tombstones()
    }

    /// Who the node is.
    pub const fn local_endpoint(&self) -> Endpoint {
        self.config.local
    }

    /// The node's own generation, as it is now.
    pub fn generation(&self) -> Generation {
        self.table.generation(Slot::FIRST)
    }

    /// How many endpoints are known, the node itself included.
    pub const fn endpoint_count(&self) -> usize {
        self.table.len()
    }

    /// Everybody known, the node itself included, in no particular order.
    pub fn endpoints(&self) -> impl Iterator<Item = Endpoint> + '_ {
        self.table.slots().map(|slot| self.table.endpoint(slot))
    }

    /// Everybody who is live, without the node itself.
    pub fn live_endpoints(&self) -> impl Iterator<Item = Endpoint> + '_ {
        self.others(Standing::Live).map(|slot| self.table.endpoint(slot))
    }

    /// Whether an endpoint is a seed, or ever answered an echo: what is claimed of others costs it nothing.
    pub(crate) fn is_met(&self, endpoint: Endpoint) -> bool {
        self.config.seeds.contains(&endpoint)
            || self.table.find(endpoint).is_some_and(|slot| self.table.is_met(slot))
    }

    /// Where an endpoint stands, if it is known. The node itself is live.
    pub fn standing(&self, endpoint: Endpoint) -> Option<Standing> {
        self.table.find(endpoint).map(|slot| self.table.standing(slot))
    }

    /// An endpoint's generation and heartbeat, if it is known.
    pub fn heartbeat(&self, endpoint: Endpoint) -> Option<HeartbeatState> {
        self.table.find(endpoint).map(|slot| self.table.heartbeat(slot))
    }

    /// The greatest version of an endpoint's heartbeat and values, if it is known.
    pub fn max_version(&self, endpoint: Endpoint) -> Option<Version> {
        self.table.find(endpoint).map(|slot| self.table.known(slot).max_version())
    }

    /// A value of an endpoint and its version.
    pub fn value(&self, endpoint: Endpoint, key: ApplicationState) -> Option<(JavaStr<'_>, Version)> {
        self.table.values(self.table.find(endpoint)?).get(key)
    }

    /// All values of an endpoint, by ascending key; none if it is not known.
    pub fn values(
        &self,
        endpoint: Endpoint,
    ) -> impl Iterator<Item = (ApplicationState, JavaStr<'_>, Version)> + '_ {
        self.table.find(endpoint).into_iter().flat_map(|slot| self.table.values(slot).iter())
    }

    /// All that is known of an endpoint, copied.
    pub fn endpoint_info(&self, endpoint: Endpoint) -> Option<EndpointInfo> {
        self.table.find(endpoint).map(|slot| self.info(slot))
    }

    /// All that is known of everybody, copied, by ascending endpoint.
    pub fn snapshot(&self) -> Vec<EndpointInfo> {
        let mut infos: Vec<EndpointInfo> = self.table.slots().map(|slot| self.info(slot)).collect();
        infos.sort_unstable_by_key(|info| info.endpoint);
        infos
    }

    /// From whom the SYN of another cluster came that was told last ([`Event::ForeignCluster`]), and the name of that
    /// cluster; at most its first 64 bytes.
    pub fn foreign_cluster(&self) -> Option<(Endpoint, String)> {
        self.journal.foreign_cluster.to_text()
    }

    /// As [`Gossiper::foreign_cluster`], of the partitioner ([`Event::ForeignPartitioner`]).
    pub fn foreign_partitioner(&self) -> Option<(Endpoint, String)> {
        self.journal.foreign_partitioner.to_text()
    }

    /// The counters.
    pub const fn stats(&self) -> &Stats {
        &self.journal.stats
    }

    pub(crate) const fn stats_mut(&mut self) -> &mut Stats {
        &mut self.journal.stats
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
        let endpoint = self.table.endpoint(slot);
        let window = self.table.window(slot);
        EndpointInfo {
            endpoint,
            is_local: slot == Slot::FIRST,
            is_seed: self.config.seeds.contains(&endpoint),
            standing: self.table.standing(slot),
            status: self.table.status(slot),
            heartbeat: self.table.heartbeat(slot),
            phi: window.last_phi(),
            mean_interval: window.mean(),
            heard_ago: window.last().map(|last| self.clock.now().saturating_since(last)),
            states: self
                .table
                .values(slot)
                .iter()
                .map(|(key, text, version)| StateInfo { key, version, value: text.to_text().into_owned() })
                .collect(),
        }
    }

    /// All rows but the node's own that stand so.
    fn others(&self, standing: Standing) -> impl Iterator<Item = Slot> + '_ {
        self.table.slots().skip(1).filter(move |slot| self.table.standing(*slot) == standing)
    }

    /// Time never goes back here.
    fn advance(&mut self, now: Timestamp) {
        self.clock.advance(now);
        if self.pauses.is_pause(self.clock.now()) {
            self.on_pause();
        }
    }

    fn stop(&mut self) {
        if self.mode != Mode::Stopped {
            self.abort_assassinations();
            self.end_with(End::Asked);
            self.mode = Mode::Stopped;
            if self.config.is_gossip_only {
                self.exchange.forget_all();
            }
            self.journal.tell(Event::Stopped);
        }
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
}
