//! Who is known, and how each stands.
//!
//! Owns: the table of endpoints, our own row included; who is refused (the quarantine); what is watched of host ids and of clocks; the
//! assassinations that wait.
//! May see: the exchange, in which it notes what becomes due; the journal; the time; the settings.
//!
//! Nothing else writes to the table. A rule is a method of [`Membership`], which holds what it may see and no more.

mod apply;
mod assassination;
mod cassandra;
mod future;
mod identity;
mod liveness;
mod pace;
mod removal;
mod stops;

use core::time::Duration;

pub(super) use self::apply::{About, Source, claimed_status};
pub use self::assassination::AssassinateError;
use self::assassination::{Assassination, MAX_ASSASSINATIONS};
pub(super) use self::cassandra::MAX_RELEASE;
use self::future::Clocks;
use self::identity::Identity;
use self::pace::Pace;
pub(super) use self::removal::LEFT_LIFETIME;
pub(super) use self::stops::MARKS;
use super::clock::Clock;
use super::exchange::Exchange;
use super::journal::Journal;
use crate::application_state::ApplicationState;
use crate::config::{Config, Transport};
use crate::endpoint::Endpoint;
use crate::phi;
use crate::quarantine::{Evidence, Quarantine, Refusal, Tombstone};
use crate::slot::Slot;
use crate::snapshot::Standing;
use crate::table::{EndpointTable, Stored};
use crate::time::Timestamp;
use crate::version::{Generation, HeartbeatState, Version};
use crate::wire::JavaStr;

/// All endpoints that are known, and those that are refused.
#[derive(Clone, Debug)]
pub(super) struct Members {
    table: EndpointTable,
    quarantine: Quarantine,
    identity: Identity,
    assassinations: [Option<Assassination>; MAX_ASSASSINATIONS],
    clocks: Clocks,
    /// From which row on the next endpoint is looked for that is to be probed.
    next_probe: usize,
    /// How many endpoints are asked at once whether they can be reached.
    pace: Pace,
    /// Whether nodes write the values of others from a log of the cluster's metadata, as those of Cassandra 6.0 do.
    has_log: bool,
    /// How many endpoints may be left of which only the address is known; not fewer than there are.
    saved_left: usize,
    /// How many endpoints may be learned of the peer that speaks; `None` if any number.
    newcomers: Option<u32>,
}

/// The members, and what their rules may see beside them.
pub(super) struct Membership<'a> {
    pub(super) members: &'a mut Members,
    pub(super) exchange: &'a mut Exchange,
    pub(super) journal: &'a mut Journal,
    pub(super) clock: &'a mut Clock,
    pub(super) config: &'a Config,
}

impl Members {
    /// We ourselves, the tombstones, and who was saved.
    pub(super) fn new(config: &Config, hash_key: u64, journal: &mut Journal) -> Self {
        let settings = phi::Settings {
            window: config.detector.arrival_window,
            initial: config.detector.initial_arrival_interval,
            max: config.detector.max_arrival_interval,
            pace: config.detector.pace,
        };
        let mut table = EndpointTable::new(hash_key, config.limits.max_endpoints, settings);
        let local = HeartbeatState { generation: config.generation, version: Version::ZERO };
        // The table holds at least one endpoint, and this is the first.
        if let Ok(slot) = table.insert(config.local, local) {
            table.set_standing(slot, Standing::Live);
        }
        let mut quarantine = Quarantine::new(config.limits.max_tombstones);
        for tombstone in &config.tombstones {
            let refusal = Refusal::Removed { until_unix_ms: tombstone.until_unix_ms };
            quarantine.insert(tombstone.endpoint, tombstone.generation, refusal, Evidence::Met);
        }
        for saved in &config.saved {
            // An endpoint with a tombstone is not tried, and gets no row of an older generation.
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
        Self {
            table,
            quarantine,
            identity,
            assassinations: [None; MAX_ASSASSINATIONS],
            clocks: Clocks::default(),
            next_probe: 0,
            pace: Pace::new(config.transport == Transport::Internode, &config.budgets),
            has_log: false,
            saved_left: config.saved.len(),
            newcomers: None,
        }
    }

    /// Whether nodes write the values of others from a log, and not as those said them.
    pub(super) const fn set_has_log(&mut self, has_log: bool) {
        self.has_log = has_log;
    }

    /// The table, to be read.
    pub(super) const fn table(&self) -> &EndpointTable {
        &self.table
    }

    /// The assassinations that wait for a sign of life: see [`Assassination::parts`].
    #[cfg(feature = "model")]
    pub(super) fn waiting_assassinations(
        &self,
        now: Timestamp,
    ) -> impl Iterator<Item = (Endpoint, HeartbeatState, Duration)> + '_ {
        self.assassinations.iter().flatten().map(move |waiting| waiting.parts(now))
    }

    /// Who is known, and who is refused.
    ///
    /// Whether a list came in an order that is guessed changes the table, and nothing that is known.
    pub(super) const fn known_mut(&mut self) -> (&mut EndpointTable, &Quarantine) {
        (&mut self.table, &self.quarantine)
    }

    /// Who is refused.
    pub(super) const fn quarantine(&self) -> &Quarantine {
        &self.quarantine
    }

    /// How many endpoints may be learned until this is set again; returns how many were left.
    pub(super) const fn set_newcomers(&mut self, newcomers: Option<u32>) -> Option<u32> {
        core::mem::replace(&mut self.newcomers, newcomers)
    }

    /// Whether an endpoint is a seed, or ever answered an echo: what is claimed of others costs it nothing.
    pub(super) fn is_met(&self, endpoint: Endpoint, config: &Config) -> bool {
        config.seeds.contains(&endpoint)
            || self.table.find(endpoint).is_some_and(|slot| self.table.is_met(slot))
    }

    /// All rows but our own that stand so.
    pub(super) fn others(&self, standing: Standing) -> impl Iterator<Item = Slot> + '_ {
        self.table.slots().skip(1).filter(move |slot| self.table.standing(*slot) == standing)
    }

    /// The endpoints that are gone for good, by ascending endpoint.
    pub(super) fn tombstones(&self) -> impl Iterator<Item = Tombstone> + '_ {
        self.quarantine.tombstones()
    }

    /// Something came from an endpoint itself.
    pub(super) fn hear(&mut self, from: Endpoint, now: Timestamp) {
        if let Some(slot) = self.table.find(from) {
            self.table.set_heard(slot, now);
        }
    }

    /// A round begins: our heartbeat grows. Heartbeats of others come round as seldom as digests do.
    pub(super) fn begin_round(&mut self, version: Version, rotation: u32) {
        self.table.set_heartbeat(Slot::FIRST, version);
        self.table.sort();
        self.table.set_rotation(rotation);
    }

    /// Moves rows to where their addresses belong, if many lie elsewhere: nodes list endpoints in that order.
    pub(super) fn arrange(&mut self, exchange: &mut Exchange) {
        if !self.table.is_scattered() || exchange.goes_on_from_a_row() {
            return;
        }
        self.table.arrange(|moves| exchange.rename(moves));
        // The rows of all nodes lie in one order now. If all began with the first, they would all ask the same endpoint at the same time.
        let behind = self.table.following(Slot::FIRST).index();
        self.next_probe = behind;
        self.pace.begin_at(behind);
    }

    /// Says whether no messages get lost: silence is judged by it.
    pub(super) fn set_calm(&mut self, is_calm: bool) {
        self.table.set_calm(is_calm);
    }

    /// Stores a value of our own.
    pub(super) fn set_own(&mut self, key: ApplicationState, text: JavaStr<'_>, version: Version) -> Stored {
        self.table.set_value(Slot::FIRST, key, text, version)
    }

    /// Whether more endpoints are known than are asked at once at first (`Pace`).
    pub(super) const fn has_many(&self) -> bool {
        self.pace.has_many()
    }

    /// Takes another generation for ourselves.
    pub(super) fn set_own_generation(&mut self, generation: Generation) {
        self.table.set_generation(Slot::FIRST, generation);
    }

    /// We did not listen for a while, on purpose: the silence of others begins now.
    pub(super) fn listen_again(&mut self, now: Timestamp) {
        for slot in self.table.places().skip(1) {
            self.table.set_updated(slot, now);
            if self.table.heard(slot) > Timestamp::ZERO {
                self.table.set_heard(slot, now);
            }
            self.table.set_echo(slot, None);
        }
    }

    /// The process did not run for so long: others have as much longer for what they were to do.
    pub(super) fn put_off(&mut self, pause: Duration) {
        self.table.put_off(pause);
        for assassination in self.assassinations.iter_mut().flatten() {
            assassination.put_off(pause);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{DownCause, Event};
    use crate::table::Echo;

    const PEER: Endpoint = Endpoint::v4([10, 0, 0, 2], 7000);

    /// The part with all that it may see, and nothing else.
    struct Rig {
        members: Members,
        exchange: Exchange,
        journal: Journal,
        clock: Clock,
        config: Config,
    }

    impl Rig {
        fn new() -> Self {
            let local = Endpoint::v4([10, 0, 0, 1], 7000);
            let config = Config::builder("c", local, Generation::new(1), [3; 32]).build().unwrap();
            let mut journal = Journal::new(16);
            let members = Members::new(&config, 1, &mut journal);
            let mut exchange = Exchange::new(&config, 1);
            exchange.reserve(members.table());
            Self { members, exchange, journal, clock: Clock::new(Timestamp::ZERO), config }
        }

        fn membership(&mut self) -> Membership<'_> {
            let Self { members, exchange, journal, clock, config } = self;
            Membership { members, exchange, journal, clock, config }
        }

        fn with_peer() -> (Self, Slot) {
            let mut rig = Self::new();
            let heartbeat = HeartbeatState { generation: Generation::new(5), version: Version::new(3) };
            let slot = rig.members.table.insert(PEER, heartbeat).unwrap();
            rig.exchange.reserve(rig.members.table());
            (rig, slot)
        }
    }

    #[test]
    fn an_endpoint_is_live_once_it_answers_its_echo() {
        let (mut rig, slot) = Rig::with_peer();
        rig.membership().verify(slot);
        let echo = rig.members.table.echo(slot).unwrap();
        rig.membership().on_echo_response(PEER, u64::from(echo.id) + 1);
        assert_ne!(rig.members.table.standing(slot), Standing::Live, "an answer to another question");
        rig.membership().on_echo_response(PEER, u64::from(echo.id));
        assert_eq!(rig.members.table.standing(slot), Standing::Live);
        let up = Event::Up { endpoint: PEER, generation: Generation::new(5) };
        assert_eq!(rig.journal.next(), Some(up));
    }

    /// Others, so that more are known than are asked at once.
    fn add_many(rig: &mut Rig) {
        for port in 0..64 {
            let heartbeat = HeartbeatState { generation: Generation::new(5), version: Version::new(3) };
            rig.members.table.insert(Endpoint::v4([10, 0, 1, 1], port), heartbeat).unwrap();
        }
        rig.exchange.reserve(rig.members.table());
    }

    /// A round so long after the last one, at which the peer's heartbeat has just grown.
    fn round_after(rig: &mut Rig, slot: Slot, after: Duration) {
        rig.clock.advance(rig.clock.now() + after);
        rig.members.table.set_updated(slot, rig.clock.now());
        rig.membership().check_liveness(true, 1.0);
    }

    fn ask(rig: &mut Rig, slot: Slot) -> Echo {
        rig.membership().verify(slot);
        rig.members.table.echo(slot).unwrap()
    }

    /// The peer is asked after a round, which notes how many are known.
    fn asked(rig: &mut Rig, slot: Slot) -> Echo {
        rig.membership().check_liveness(true, 1.0);
        ask(rig, slot)
    }

    #[test]
    fn an_answer_that_is_late_counts_where_many_are_known_and_the_endpoint_lives() {
        for is_crowd in [true, false] {
            let (mut rig, slot) = Rig::with_peer();
            if is_crowd {
                add_many(&mut rig);
            }
            let timeout = rig.config.detector.echo_timeout;
            let echo = asked(&mut rig, slot);
            round_after(&mut rig, slot, timeout);
            assert_eq!(rig.members.table.standing(slot), Standing::Unreachable);
            rig.membership().on_echo_response(PEER, u64::from(echo.id));
            let is_live = rig.members.table.standing(slot) == Standing::Live;
            assert_eq!((is_live, rig.journal.stats.late_echoes), (is_crowd, u64::from(!is_crowd)));
        }
    }

    #[test]
    fn an_answer_that_is_late_counts_where_answers_of_many_are_and_nothing_was_heard_of_the_endpoint() {
        for is_slow in [true, false] {
            let (mut rig, slot) = Rig::with_peer();
            add_many(&mut rig);
            let interval = rig.config.interval;
            let echo = asked(&mut rig, slot);
            if is_slow {
                rig.members.pace.on_open(interval * 3, interval, true);
            }
            rig.clock.advance(Timestamp::ZERO + rig.config.detector.echo_timeout);
            rig.membership().check_liveness(true, 1.0);
            rig.membership().on_echo_response(PEER, u64::from(echo.id));
            assert_eq!(rig.members.table.standing(slot) == Standing::Live, is_slow);
        }
    }

    #[test]
    fn an_endpoint_that_is_asked_again_is_asked_under_the_same_id_while_it_is_the_same_process() {
        let (mut rig, slot) = Rig::with_peer();
        add_many(&mut rig);
        let timeout = rig.config.detector.echo_timeout;
        let first = asked(&mut rig, slot);
        round_after(&mut rig, slot, timeout);
        let second = ask(&mut rig, slot);
        assert!(first.id == second.id && !second.is_over && second.deadline == rig.clock.now() + timeout);
        round_after(&mut rig, slot, timeout);
        rig.members.table.set_generation(slot, Generation::new(6));
        let third = ask(&mut rig, slot);
        assert!(third.id != first.id && third.generation == Generation::new(6));
        rig.membership().on_echo_response(PEER, u64::from(first.id));
        assert_ne!(rig.members.table.standing(slot), Standing::Live, "the process of before answers");
    }

    #[test]
    fn connections_of_an_endpoint_that_does_not_answer_are_closed_if_it_was_ever_heard() {
        for was_heard in [true, false] {
            let (mut rig, slot) = Rig::with_peer();
            if was_heard {
                rig.members.table.set_heard(slot, Timestamp::from_millis(1));
            }
            // A pause of our own process is no sign of life.
            rig.members.table.put_off(Duration::from_secs(6));
            rig.membership().verify(slot);
            let timeout = rig.config.detector.echo_timeout;
            round_after(&mut rig, slot, timeout);
            assert_eq!(rig.exchange.take_reset(PEER), was_heard);
        }
    }

    #[test]
    fn a_live_endpoint_that_is_marked_down_is_told_once() {
        let (mut rig, slot) = Rig::with_peer();
        rig.members.table.set_standing(slot, Standing::Live);
        rig.membership().mark_down(slot, DownCause::Probe);
        rig.membership().mark_down(slot, DownCause::Probe);
        let down = Event::Down { endpoint: PEER, generation: Generation::new(5), cause: DownCause::Probe };
        assert_eq!((rig.journal.next(), rig.journal.next()), (Some(down), None));
        assert!(rig.exchange.take_reset(PEER), "its connections may be half open");
    }
}
