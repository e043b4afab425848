//! Members that are gone for good: left, removed, assassinated, or silent for too long (`docs/protocol/life-cycle.md#status-check`, `docs/protocol/life-cycle.md#removal-by-another-node` and `docs/protocol/life-cycle.md#what-becomes-of-a-dead-node`).

use core::time::Duration;

use super::{Members, Membership};
use crate::application_state::ApplicationState;
use crate::endpoint::Endpoint;
use crate::event::{DownCause, Event, ForgetCause};
use crate::quarantine::{Evidence, Refusal};
use crate::slot::Slot;
use crate::snapshot::Standing;
use crate::status::{Status, StatusKind};
use crate::time::nanos;
use crate::version::Generation;

/// How long a status of LEFT stays in gossip: `docs/protocol/life-cycle.md#times-and-settings`, VERY_LONG.
pub(in super::super) const LEFT_LIFETIME: Duration = Duration::from_hours(72);

/// A time that is further away than this is not believed.
const MONTH_MS: u64 = 30 * 24 * 60 * 60 * 1_000;

impl Membership<'_> {
    /// Finds, once a round, endpoints that are gone long enough to be forgotten. If the silence may be our own, it does not count (`judges`).
    // A function of its own, so that profilers count it apart from the rest of a round: `benches/README.md`.
    #[inline(never)]
    pub(in super::super) fn check_removals(&mut self, judges: bool) {
        let unix_ms = self.clock.unix_ms();
        self.members.quarantine.expire(self.clock.now(), unix_ms);
        let mut has_removed = false;
        let membership = &self.config.membership;
        let timeouts =
            [membership.fat_client_timeout, self.failed_bootstrap_timeout(), membership.dead_endpoint_ttl];
        // An endpoint with a shorter silence is not forgotten for it.
        let silence = timeouts.into_iter().flatten().min().map_or(u64::MAX, nanos);
        let mut at = Slot::FIRST.index() + 1;
        while let Some(slot) =
            self.members.table.next_silent(at, self.clock.now(), silence).filter(|_| judges)
        {
            at = slot.index() + 1;
            if !self.members.table.is_occupied(slot) {
                continue;
            }
            let is_live = self.members.table.standing(slot) == Standing::Live;
            let reason = self.reason_to_forget(slot, unix_ms);
            // The mean of few heartbeats is long, so a non-member can reach its time-out before it is convicted.
            if let Some(cause) = reason.filter(|cause| !is_live || *cause == ForgetCause::Silent) {
                if is_live {
                    let phi = self.members.table.phi(slot, self.clock.now()).unwrap_or_default();
                    #[expect(clippy::cast_possible_truncation, reason = "it is shown")]
                    self.mark_down(slot, DownCause::Convicted { phi: phi as f32 });
                }
                self.remove(slot, cause);
                has_removed = true;
            }
        }
        if has_removed {
            self.let_go_of_removed();
        }
        self.carry_out_assassinations();
    }

    fn reason_to_forget(&self, slot: Slot, unix_ms: Option<u64>) -> Option<ForgetCause> {
        let status = self.members.table.status(slot);
        let silence = self.clock.now().saturating_since(self.members.table.updated(slot));
        if matches!(status, StatusKind::Left | StatusKind::Removed) {
            // Deviation: a status without a time ends after three days here, and never in Cassandra.
            let is_over = match (self.expiry(slot), unix_ms) {
                (Some(expiry), Some(unix_ms)) => unix_ms > expiry,
                _ => silence > LEFT_LIFETIME,
            };
            return is_over.then_some(ForgetCause::Expired);
        }
        if status.is_dead() {
            return None;
        }
        let is_saved = self.members.table.generation(slot) == Generation::SAVED;
        if !self.members.is_member(slot, self.config) && !is_saved {
            let timeout = match status.is_bootstrapping() {
                true => self.failed_bootstrap_timeout(),
                false => self.config.membership.fat_client_timeout,
            };
            if timeout.is_some_and(|timeout| silence > timeout) {
                return Some(ForgetCause::Silent);
            }
        }
        self.config
            .membership
            .dead_endpoint_ttl
            .is_some_and(|ttl| silence > ttl)
            .then_some(ForgetCause::Reaped)
    }

    /// When a status of LEFT or removed says that the endpoint may be forgotten, in milliseconds since the Unix epoch. No one means a
    /// month: such a time is a mistake, or meant to stay for ever.
    fn expiry(&self, slot: Slot) -> Option<u64> {
        let values = self.members.table.values(slot);
        let is_believed = |expiry: &u64| {
            self.clock.unix_ms().is_none_or(|unix_ms| *expiry < unix_ms.saturating_add(MONTH_MS))
        };
        let claimed = [ApplicationState::STATUS_WITH_PORT, ApplicationState::STATUS].iter().find_map(|key| {
            match Status::parse(values.get(*key)?.0.as_str()?) {
                Status::Left { expire_unix_ms, .. } | Status::Removed { expire_unix_ms, .. } => {
                    u64::try_from(expire_unix_ms).ok()
                }
                _ => None,
            }
        });
        claimed.filter(is_believed)
    }

    /// Forgets an endpoint, and remembers what of it must not come back.
    pub(in super::super) fn evict(&mut self, slot: Slot, cause: ForgetCause) {
        self.remove(slot, cause);
        self.let_go_of_removed();
    }

    /// Takes those that were removed out of what holds their rows: at once for all, since there may be thousands.
    fn let_go_of_removed(&mut self) {
        let table = &mut self.members.table;
        table.drop_removed();
        self.exchange.retain(|slot| table.is_occupied(slot));
    }

    /// As [`Membership::evict`]; what holds its row has to let go of it afterwards.
    fn remove(&mut self, slot: Slot, cause: ForgetCause) {
        let endpoint = self.members.table.endpoint(slot);
        let known = self.members.table.known(slot);
        let generation = known.generation();
        let refusal = match cause {
            ForgetCause::Silent | ForgetCause::Moved | ForgetCause::Unheard => Refusal::Silent {
                since: self.clock.now(),
                end: self.clock.now() + self.config.membership.quarantine,
                // Others list it with its greatest version, which may be that of a value.
                heartbeat: known.max_version(),
            },
            ForgetCause::Expired | ForgetCause::Reaped => self.removed(None),
        };
        if generation != Generation::SAVED {
            self.members.quarantine.insert(endpoint, generation, refusal, self.evidence(endpoint));
        }
        self.exchange.forget_news(slot);
        self.exchange.drop_doubt(endpoint);
        self.exchange.reset(endpoint, self.journal);
        self.members.table.remove(slot);
        self.journal.stats.endpoints_forgotten += 1;
        self.journal.tell(Event::Forgotten { endpoint, generation, cause });
    }

    fn evidence(&self, endpoint: Endpoint) -> Evidence {
        if self.members.is_met(endpoint, self.config) { Evidence::Met } else { Evidence::Hearsay }
    }

    /// What is refused of an endpoint that may be forgotten from `expiry` on, or from now.
    fn removed(&self, expiry: Option<u64>) -> Refusal {
        let ttl = u64::try_from(self.config.membership.tombstone_ttl.as_millis()).unwrap_or(u64::MAX);
        let from = expiry.or_else(|| self.clock.unix_ms());
        Refusal::Removed { until_unix_ms: from.map_or(u64::MAX, |from| from.saturating_add(ttl)) }
    }

    /// An endpoint has left, or was removed. This is kept longer than its state, and across restarts.
    ///
    /// Deviation: if it was a seed it stays one. A seed is an address, at which a later process may be found.
    pub(in super::super) fn on_left(&mut self, slot: Slot) {
        let endpoint = self.members.table.endpoint(slot);
        let generation = self.members.table.generation(slot);
        let refusal = self.removed(self.expiry(slot));
        self.members.quarantine.insert(endpoint, generation, refusal, self.evidence(endpoint));
        self.journal.tell(Event::Left { endpoint, generation });
    }
}

impl Members {
    /// The token that a status names, or one that every partitioner can read.
    pub(in super::super) fn token_of(&self, slot: Slot) -> alloc::string::String {
        let values = self.table.values(slot);
        let text = [ApplicationState::STATUS_WITH_PORT, ApplicationState::STATUS]
            .iter()
            .find_map(|key| values.get(*key)?.0.as_str());
        match text.map(Status::parse) {
            Some(
                Status::Normal { token }
                | Status::Leaving { token }
                | Status::Moving { token }
                | Status::Boot { token },
            ) => token.into(),
            _ => "0".into(),
        }
    }
}
