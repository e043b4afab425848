//! Who is live: proven by echo, lost by silence.

use super::Membership;
use crate::endpoint::Endpoint;
use crate::event::{DownCause, Event};
use crate::phi::Silence;
use crate::slot::Slot;
use crate::snapshot::Standing;
use crate::table::{Echo, Watch};
use crate::time::{Timestamp, nanos};

/// After how many echoes without an answer connections are closed in a round. Where machines do not keep up, many echoes are late together,
/// and new connections would be more work for them: then it is one in so many rounds.
const MAX_RESETS: u32 = 2;
const ROUNDS_PER_RESET: u64 = 8;

/// What may yet be done in a round.
struct Allowed {
    repeats: usize,
    resets: u32,
}

/// For how many intervals an endpoint is silent before it is probed, at the least.
const MIN_PROBE_INTERVALS: u32 = 10;

/// For how many intervals an endpoint waits to be asked of which nothing new is heard.
const WAITING: u32 = 3;

impl Membership<'_> {
    /// Asks an endpoint that is not live whether it can be reached (`docs/protocol/exchange.md#up-and-down`). One question at a time.
    ///
    /// Deviation: a stopped endpoint is not asked again before it returns with a greater generation.
    ///
    /// Deviation: Cassandra asks all at once. Here an endpoint waits while as many questions are open as `Pace` permits: 32 at first.
    pub(in super::super) fn verify(&mut self, slot: Slot) {
        if self.is_unproven(slot) && self.members.pace.ask() {
            self.ask_for_echo(slot);
        }
    }

    /// Asks an endpoint back that asks this node.
    ///
    /// Deviation: Cassandra asks when a heartbeat has grown, and not before. Where many join together, the question goes with the answer, so
    /// that two nodes that find each other need three packets instead of four. In Cassandra's clusters, and in small ones, it is as there.
    pub(in super::super) fn verify_back(&mut self, from: Endpoint) {
        if self.config.is_in_cassandra() || !self.members.pace.has_many() {
            return;
        }
        if let Some(slot) = self.members.table.find(from)
            && slot != Slot::FIRST
            && self.is_unproven(slot)
        {
            self.members.pace.ask_back();
            self.ask_for_echo(slot);
        }
    }

    /// Whether an endpoint is to be asked: it may live, is not known to, and was not asked yet.
    fn is_unproven(&self, slot: Slot) -> bool {
        // A node that only asks stays unknown to the cluster.
        !self.config.membership.only_asks
            && self.members.table.standing(slot) != Standing::Live
            && !self.members.table.status(slot).is_dead()
            && !self.has_stopped(slot)
            && self.members.table.echo(slot).is_none_or(|echo| echo.is_over)
    }

    /// Asks endpoints that had to wait, as many as may be asked now.
    fn ask_waiting(&mut self) {
        if !self.members.pace.has_waiting() {
            return;
        }
        let rows = self.members.table.places().len();
        let waits = self.config.interval.saturating_mul(WAITING);
        for _ in 0..self.config.budgets.max_rows {
            if !self.members.pace.has_room() {
                return;
            }
            let Some(at) = self.members.pace.next_row(Slot::FIRST.index() + 1, rows) else { return };
            let Some(slot) = u32::try_from(at).ok().map(Slot::from_number) else { return };
            if self.members.table.is_occupied(slot)
                && self.clock.now().saturating_since(self.members.table.updated(slot)) <= waits
            {
                self.verify(slot);
            }
        }
    }

    /// Since when an endpoint has been asked.
    fn asked_for(&self, echo: &Echo) -> core::time::Duration {
        let left = echo.deadline.saturating_since(self.clock.now());
        self.config.detector.echo_timeout.saturating_sub(left)
    }

    fn ask_for_echo(&mut self, slot: Slot) {
        let generation = self.members.table.generation(slot);
        let deadline = self.clock.now() + self.config.detector.echo_timeout;
        let before = self.members.table.echo(slot).filter(|echo| echo.generation == generation);
        let echo = match before {
            Some(echo) => Echo { deadline, is_over: false, is_repeated: true, ..echo },
            None => {
                // Of 31 bits.
                let id = u32::try_from(self.exchange.next_id()).unwrap_or(u32::MAX);
                Echo { id, generation, deadline, is_over: false, is_repeated: false }
            }
        };
        self.members.table.set_echo(slot, Some(echo));
        self.send_echo(slot, echo);
    }

    fn repeat_echo(&mut self, slot: Slot, echo: Echo, allowed: &mut Allowed) {
        if allowed.repeats > 0 {
            allowed.repeats -= 1;
            self.send_echo(slot, echo);
        }
    }

    fn send_echo(&mut self, slot: Slot, echo: Echo) {
        self.exchange.echo_request(self.members.table.endpoint(slot), echo.id, self.journal);
    }

    pub(in super::super) fn on_echo_response(&mut self, from: Endpoint, id: u64) {
        let slot = self.members.table.find(from);
        if let Some(slot) = slot.filter(|slot| self.members.table.standing(*slot) == Standing::Live)
            && self.members.table.echo(slot).is_some_and(|echo| u64::from(echo.id) == id)
        {
            // The answer to a direct probe; that it came is all there is to know.
            self.members.table.set_echo(slot, None);
            return;
        }
        let answered = slot.filter(|slot| {
            let generation = self.members.table.generation(*slot);
            self.members.table.echo(*slot).is_some_and(|echo| {
                u64::from(echo.id) == id && echo.generation == generation && echo.deadline >= self.clock.now()
            })
        });
        let Some(slot) = answered else {
            self.journal.stats.late_echoes += 1;
            return;
        };
        if let Some(echo) = self.members.table.echo(slot) {
            if echo.is_over || echo.is_repeated {
                self.members.pace.on_late_answer(self.config.interval);
            } else {
                let waited = self.asked_for(&echo);
                self.members.pace.on_answer(waited, self.config.interval);
            }
        }
        self.members.table.set_echo(slot, None);
        self.members.table.set_standing(slot, Standing::Live);
        self.members.table.set_updated(slot, self.clock.now());
        self.members.identity.note();
        self.journal.tell(Event::Up { endpoint: from, generation: self.members.table.generation(slot) });
        self.ask_waiting();
    }

    /// An endpoint is not live any more. Reports it if it was.
    pub(in super::super) fn mark_down(&mut self, slot: Slot, cause: DownCause) {
        let was = self.members.table.standing(slot);
        self.members.table.set_standing(slot, Standing::Unreachable);
        self.members.table.set_echo(slot, None);
        self.members.identity.note();
        if was != Standing::Live {
            return;
        }
        self.exchange.doubt(self.clock.now());
        let endpoint = self.members.table.endpoint(slot);
        self.journal.tell(Event::Down { endpoint, generation: self.members.table.generation(slot), cause });
        // What is under way to it would wait for a connection that may be half open. A graceful stop closes its own.
        if matches!(cause, DownCause::Convicted { .. } | DownCause::Probe) {
            self.exchange.reset(endpoint, self.journal);
        }
    }

    /// Looks at everybody once a round: convicts the silent, repeats echoes that were not answered. An endpoint may be silent for `doubt` times
    /// as long as the threshold says.
    ///
    /// Deviation: Cassandra's threshold is the same at all times.
    // A function of its own, so that profilers count it apart from the rest of a round: `benches/README.md`.
    #[inline(never)]
    pub(in super::super) fn check_liveness(&mut self, may_convict: bool, doubt: f64) {
        let threshold = self.config.detector.phi_convict_threshold * doubt;
        // Nearly all are live and were heard a moment ago: a look at each tells that, and no more.
        let silence = if may_convict { Silence::of_threshold(threshold) } else { Silence::NEVER };
        let watch = Watch { now: self.clock.now(), silence, probe_after: u64::MAX };
        let resets = match self.members.pace.is_slow() {
            true => u32::from(self.journal.stats.rounds.is_multiple_of(ROUNDS_PER_RESET)),
            false => MAX_RESETS,
        };
        let mut allowed = Allowed { repeats: self.members.pace.max_repeats(), resets };
        let rows = self.members.table.places().len();
        self.members.pace.begin_round(rows);
        let mut at = Slot::FIRST.index() + 1;
        while let Some(slot) = self.members.table.next_due(at..rows, &watch) {
            at = slot.index() + 1;
            self.check_echo(slot, &mut allowed, may_convict);
            if !may_convict {
                continue;
            }
            let phi = self.members.table.phi(slot, self.clock.now());
            if let Some(phi) = phi.filter(|phi| *phi > threshold)
                && self.members.table.standing(slot) == Standing::Live
            {
                #[expect(clippy::cast_possible_truncation, reason = "it is shown")]
                self.mark_down(slot, DownCause::Convicted { phi: phi as f32 });
            }
        }
        self.ask_waiting();
    }

    /// Repeats an echo that was not answered, or gives it up.
    fn check_echo(&mut self, slot: Slot, allowed: &mut Allowed, may_convict: bool) {
        let is_live = self.members.table.standing(slot) == Standing::Live;
        match self.members.table.echo(slot) {
            // Deviation: an echo is repeated each round, under its id, until its time is over.
            Some(echo) if self.clock.now() < echo.deadline => {
                if echo.is_over {
                    return;
                }
                let waited = self.asked_for(&echo);
                if !is_live {
                    let lives = self.members.table.updated(slot) + waited > self.clock.now();
                    self.members.pace.on_open(waited, self.config.interval, lives);
                }
                if self.members.pace.repeats(waited, self.config.interval) {
                    self.repeat_echo(slot, echo, allowed);
                }
            }
            Some(echo) => {
                self.members.table.set_echo(slot, None);
                if is_live {
                    // After a pause the answer may lie in a socket, or at a peer that found us silent.
                    if may_convict {
                        self.on_probe_failed(slot);
                    }
                } else {
                    // Deviation: who does not answer is unreachable, and so tried again now and then; Cassandra leaves it neither
                    // live nor unreachable until a peer brings news of it.
                    self.members.table.set_standing(slot, Standing::Unreachable);
                    self.members.identity.note();
                    if allowed.resets > 0 && self.reset_connections(slot) {
                        allowed.resets -= 1;
                    }
                    // Its heartbeat grew meanwhile, or answers of many are late: one that is on its way still counts. Else all questions would be
                    // asked once more, and answered once more, by machines that do not keep up. Over packets it may be lost, and is repeated.
                    let (waited, is_over) =
                        (self.config.detector.echo_timeout, self.members.pace.is_reliable());
                    if self.members.pace.has_many()
                        && (self.members.table.updated(slot) + waited > self.clock.now()
                            || self.members.pace.is_slow() && is_over)
                    {
                        let deadline = self.clock.now() + waited;
                        self.members.table.set_echo(slot, Some(Echo { deadline, is_over, ..echo }));
                    }
                }
            }
            None => {}
        }
    }

    /// Begins a direct probe of the next endpoint that only others call live: at most one a round, in turn. `silent` has not answered a SYN,
    /// and goes first.
    ///
    /// A round chooses one of N endpoints, and one of N nodes chooses us: after 2 N rounds about e⁻⁴, one of fifty, is left that took no part
    /// in an exchange with us. So where all links work few probes are sent, at any N, and a link that does not is found within 3 N rounds.
    pub(in super::super) fn probe_next(&mut self, silent: Option<Endpoint>) {
        if let Some(slot) = silent.and_then(|silent| self.members.table.find(silent))
            && self.silence(slot) > self.probe_after(0)
            && self.may_be_probed(slot)
        {
            return self.probe(slot);
        }
        let (rows, now) = (self.members.table.places().len(), self.clock.now());
        let probe_after = nanos(self.probe_after(self.members.table.len()));
        let watch = Watch { now, silence: Silence::NEVER, probe_after };
        let first = self.members.next_probe.max(Slot::FIRST.index() + 1);
        let end = first + self.config.budgets.max_rows;
        self.members.next_probe = if end < rows { end } else { 0 };
        let mut at = first;
        while let Some(slot) = self.members.table.next_due(at..end, &watch) {
            at = slot.index() + 1;
            if self.may_be_probed(slot) {
                self.members.next_probe = at;
                return self.probe(slot);
            }
        }
    }

    /// The silence after which an endpoint is probed that answers SYNs, as far as is known, in a cluster of so many.
    fn probe_after(&self, endpoints: usize) -> core::time::Duration {
        self.config.detector.probe_after.unwrap_or_else(|| {
            let intervals = u32::try_from(2 * endpoints).unwrap_or(u32::MAX).max(MIN_PROBE_INTERVALS);
            self.config.interval.saturating_mul(intervals)
        })
    }

    fn may_be_probed(&self, slot: Slot) -> bool {
        self.members.table.standing(slot) == Standing::Live && self.members.table.echo(slot).is_none()
    }

    fn probe(&mut self, slot: Slot) {
        self.journal.stats.probes_sent += 1;
        self.ask_for_echo(slot);
    }

    /// How long nothing came from the endpoint itself.
    fn silence(&self, slot: Slot) -> core::time::Duration {
        self.clock.now().saturating_since(self.members.table.heard(slot))
    }

    /// A connection that is half open would swallow the next echo as well.
    ///
    /// Nothing ever came from the endpoint: then nothing says that there is one, and what is being dialled is not given up for a time-out.
    /// Says whether anything came.
    fn reset_connections(&mut self, slot: Slot) -> bool {
        if self.members.table.heard(slot) == Timestamp::ZERO {
            return false;
        }
        self.exchange.reset(self.members.table.endpoint(slot), self.journal);
        true
    }

    /// A live endpoint did not answer a direct probe: what we hear of it comes from others.
    fn on_probe_failed(&mut self, slot: Slot) {
        self.journal.stats.probes_failed += 1;
        let silence = self.silence(slot);
        // What came over the last interval may have come from itself.
        let is_relayed =
            self.members.table.updated(slot) > self.members.table.heard(slot) + self.config.interval;
        self.journal.tell(Event::ProbeFailed {
            endpoint: self.members.table.endpoint(slot),
            silence,
            is_relayed,
        });
        self.reset_connections(slot);
        if self.config.detector.probe_convicts {
            self.mark_down(slot, DownCause::Probe);
        }
    }
}
