//! Who is live: proven by echo, lost by silence.

use super::{Gossiper, Mode};
use crate::endpoint::Endpoint;
use crate::event::{DownCause, Event};
use crate::snapshot::Standing;
use crate::table::{Echo, Slot};
use crate::time::Timestamp;

/// Pauses of our own, during and after which nobody is convicted (`gossip-semantics.md` §12.3).
///
/// Deviation: a pause is seen by the time since the last round, whoever is known meanwhile; Cassandra measures between any
/// two verdicts, and takes having been alone for a pause.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Pauses {
    /// After this without a round it is a pause.
    limit: Option<Timestamp>,
    last_pause: Option<Timestamp>,
}

impl Pauses {
    pub(super) fn is_pause(self, now: Timestamp) -> bool {
        self.limit.is_some_and(|limit| now > limit)
    }

    /// A round begins; the next is expected long before `limit`.
    pub(super) const fn begin_interval(&mut self, limit: Timestamp) {
        self.limit = Some(limit);
    }
}

/// How many direct probes begin in one round: in a large cluster most endpoints are silent for long, being far from chosen.
const MAX_PROBES: u32 = 16;

impl Pauses {
    /// Nothing was heard until `now`, on purpose: as after a pause, nobody is convicted for a while.
    pub(super) fn resumed(now: Timestamp) -> Self {
        Self { last_pause: Some(now), ..Self::default() }
    }
}

impl Gossiper {
    /// Asks an endpoint that is not live whether it can be reached (`gossip-semantics.md` §8.6). One question at a time.
    ///
    /// Deviation: whoever has stopped is not asked again before it comes back with a greater generation.
    pub(super) fn verify(&mut self, slot: Slot) {
        let status = self.table.status(slot);
        // Nobody is to hear of a node that only asks.
        if self.config.only_asks
            || self.table.standing(slot) == Standing::Live
            || status.is_dead()
            || self.has_stopped(slot)
            || self.table.echo(slot).is_some()
        {
            return;
        }
        self.ask_for_echo(slot);
    }

    fn ask_for_echo(&mut self, slot: Slot) {
        let echo = Echo {
            // Of 31 bits.
            id: u32::try_from(self.exchange.next_id()).unwrap_or(u32::MAX),
            generation: self.table.generation(slot),
            deadline: self.clock.now() + self.config.echo_timeout,
        };
        self.table.set_echo(slot, Some(echo));
        self.send_echo(slot, echo);
    }

    fn send_echo(&mut self, slot: Slot, echo: Echo) {
        self.exchange.echo_request(self.table.endpoint(slot), echo.id, &mut self.journal);
    }

    /// Deviation: an echo is not answered any more once the shutdown is announced, so that nobody finds us live again.
    pub(super) fn on_echo_request(&mut self, from: Endpoint, id: u64) {
        self.on_known_to(from);
        if self.is_running() {
            self.exchange.echo_response(from, id, &mut self.journal);
        }
    }

    pub(super) fn on_echo_response(&mut self, from: Endpoint, id: u64) {
        let slot = self.table.find(from);
        if let Some(slot) = slot.filter(|slot| self.table.standing(*slot) == Standing::Live)
            && self.table.echo(slot).is_some_and(|echo| u64::from(echo.id) == id)
        {
            // The answer to a direct probe; that it came is all there is to know.
            self.table.set_echo(slot, None);
            return;
        }
        let answered = slot.filter(|slot| {
            let generation = self.table.generation(*slot);
            self.table.echo(*slot).is_some_and(|echo| {
                u64::from(echo.id) == id && echo.generation == generation && echo.deadline >= self.clock.now()
            })
        });
        let Some(slot) = answered else {
            self.journal.stats.late_echoes += 1;
            return;
        };
        self.table.set_echo(slot, None);
        self.table.set_standing(slot, Standing::Live);
        self.table.set_updated(slot, self.clock.now());
        self.identity.note();
        self.journal.tell(Event::Up { endpoint: from, generation: self.table.generation(slot) });
    }

    /// An endpoint is not live any more. Tells of it if it was.
    pub(super) fn mark_down(&mut self, slot: Slot, cause: DownCause) {
        let was = self.table.standing(slot);
        self.table.set_standing(slot, Standing::Unreachable);
        self.table.set_echo(slot, None);
        self.identity.note();
        if was != Standing::Live {
            return;
        }
        let endpoint = self.table.endpoint(slot);
        self.journal.tell(Event::Down { endpoint, generation: self.table.generation(slot), cause });
        // What is under way to it would wait for a connection that may be half open. A graceful stop closes its own.
        if matches!(cause, DownCause::Convicted { .. } | DownCause::Probe) {
            self.exchange.reset(endpoint, &mut self.journal);
        }
    }

    /// Looks at everybody once a round: convicts the silent, repeats echoes that were not answered.
    pub(super) fn check_liveness(&mut self) {
        let may_convict = self.may_convict();
        let mut probes = MAX_PROBES;
        for slot in self.table.places().skip(1) {
            if !self.table.is_occupied(slot) {
                continue;
            }
            self.check_echo(slot, &mut probes);
            if !may_convict {
                continue;
            }
            let phi = self.table.phi(slot, self.clock.now());
            if let Some(phi) = phi.filter(|phi| *phi > self.config.phi_convict_threshold)
                && self.table.standing(slot) == Standing::Live
            {
                #[expect(clippy::cast_possible_truncation, reason = "it is shown")]
                self.mark_down(slot, DownCause::Convicted { phi: phi as f32 });
            }
        }
    }

    /// Repeats an echo that was not answered, or gives it up; begins a direct probe of who is live only by hearsay.
    fn check_echo(&mut self, slot: Slot, probes: &mut u32) {
        let is_live = self.table.standing(slot) == Standing::Live;
        match self.table.echo(slot) {
            // Deviation: an echo is repeated each round, under its id, until its time is over.
            Some(echo) if self.clock.now() < echo.deadline => self.send_echo(slot, echo),
            Some(_) => {
                self.table.set_echo(slot, None);
                if is_live {
                    // After a pause the answer may lie in a socket, or at a peer that found us silent.
                    if self.may_convict() {
                        self.on_probe_failed(slot);
                    }
                } else {
                    // Deviation: who does not answer is unreachable, and so tried again now and then; Cassandra leaves it neither
                    // live nor unreachable until somebody brings news of it.
                    self.table.set_standing(slot, Standing::Unreachable);
                    self.identity.note();
                    self.reset_connections(slot);
                }
            }
            None if is_live && *probes > 0 && self.silence(slot) > self.config.probe_after => {
                *probes -= 1;
                self.journal.stats.probes_sent += 1;
                self.ask_for_echo(slot);
            }
            None => {}
        }
    }

    /// How long nothing came from the endpoint itself.
    fn silence(&self, slot: Slot) -> core::time::Duration {
        self.clock.now().saturating_since(self.table.heard(slot))
    }

    /// A connection that is half open would swallow the next echo as well.
    fn reset_connections(&mut self, slot: Slot) {
        self.exchange.reset(self.table.endpoint(slot), &mut self.journal);
    }

    /// A live endpoint did not answer a direct probe: what we hear of it comes from others.
    fn on_probe_failed(&mut self, slot: Slot) {
        self.journal.stats.probes_failed += 1;
        let silence = self.silence(slot);
        // What came over the last interval may have come from itself.
        let is_relayed = self.table.updated(slot) > self.table.heard(slot) + self.config.interval;
        self.journal.tell(Event::ProbeFailed { endpoint: self.table.endpoint(slot), silence, is_relayed });
        self.reset_connections(slot);
        if self.config.probe_convicts {
            self.mark_down(slot, DownCause::Probe);
        }
    }

    /// Whether silence is the others' and not our own.
    pub(super) fn may_convict(&self) -> bool {
        let limit = self.config.max_local_pause;
        self.pauses.last_pause.is_none_or(|last| self.clock.now().saturating_since(last) >= limit)
    }

    /// The process did not run for a while, and notices before anything else: whoever was to do something meanwhile could not be heard
    /// doing it, and has as much longer for it. What others do by their own clocks goes on, such as the time of a tombstone.
    pub(super) fn on_pause(&mut self) {
        let Some(limit) = self.pauses.limit.take() else { return };
        if self.poll_timeout().is_none() {
            // No rounds are due.
            return;
        }
        let allowed = self.config.max_local_pause;
        self.pauses = Pauses { limit: Some(self.clock.now() + allowed), last_pause: Some(self.clock.now()) };
        self.journal.tell(Event::LocalPause { pause: self.clock.now().saturating_since(limit) + allowed });
        let late = self.clock.now().saturating_since(self.next_round);
        self.table.put_off(late);
        self.shadow.put_off(late);
        self.contact.put_off(late);
        for assassination in self.assassinations.iter_mut().flatten() {
            assassination.put_off(late);
        }
        match &mut self.mode {
            // Nobody heard of it meanwhile.
            Mode::Leaving { until } | Mode::Left { until } | Mode::Stopping { until, .. } => {
                *until = *until + late;
            }
            Mode::Shadow | Mode::Running | Mode::Disabled | Mode::Stopped => {}
        }
    }
}
