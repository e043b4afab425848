//! Members that are gone for good: left, removed, assassinated, or silent for too long (`gossip-semantics.md` §9, §14, §15).

use alloc::format;
use core::fmt;
use core::time::Duration;

use super::{Gossiper, Mode};
use crate::application_state::ApplicationState;
use crate::endpoint::Endpoint;
use crate::event::{AbortCause, DownCause, Event, ForgetCause};
use crate::quarantine::{Evidence, Refusal, Tombstone};
use crate::snapshot::Standing;
use crate::status::{Status, StatusKind};
use crate::table::{Slot, Stored, TableFull};
use crate::time::Timestamp;
use crate::version::{Generation, HeartbeatState, Version};
use crate::wire::{JavaStr, encode_str};

/// How long a status of LEFT stays in gossip: `gossip-semantics.md` §1, VERY_LONG.
const LEFT_LIFETIME: Duration = Duration::from_hours(72);

/// A time that is further away than this is not believed.
const MONTH_MS: u64 = 30 * 24 * 60 * 60 * 1_000;

/// The heartbeat of an endpoint that was assassinated (`gossip-semantics.md` §14).
const ASSASSINATED: Version = Version::new(9_999);

/// How many assassinations may wait for a sign of life at the same time.
pub(super) const MAX_ASSASSINATIONS: usize = 8;

/// An endpoint that is about to be assassinated, unless it shows a sign of life until then.
#[derive(Clone, Copy, Debug)]
pub(super) struct Assassination {
    endpoint: Endpoint,
    heartbeat: HeartbeatState,
    due: Timestamp,
}

impl Assassination {
    pub(super) fn put_off(&mut self, pause: Duration) {
        self.due = self.due + pause;
    }
}

/// Why an endpoint cannot be assassinated.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum AssassinateError {
    /// The node is a gossip-only member of a Cassandra cluster, and publishes no status, nobody's.
    GossipOnly,
    /// It is the node itself, which can leave.
    Oneself,
    /// Eight others are waiting already.
    TooMany,
    /// The node takes no part in gossip now.
    NotRunning,
    /// There is no room to remember an endpoint that is not known.
    TableFull,
}

impl fmt::Display for AssassinateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::GossipOnly => "a gossip-only member assassinates nobody; use nodetool",
            Self::Oneself => "a node does not assassinate itself; let it leave",
            Self::TooMany => "eight assassinations are under way; wait for them",
            Self::NotRunning => "the node takes no part in gossip now",
            Self::TableFull => "no more endpoints can be remembered",
        })
    }
}

impl core::error::Error for AssassinateError {}

/// Why a node cannot leave its cluster.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum LeaveError {
    /// It has not published NORMAL: it is no member.
    NotMember,
    /// It takes no part in gossip now, or is leaving already.
    NotRunning,
}

impl fmt::Display for LeaveError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotMember => {
                "the node has not published NORMAL in STATUS_WITH_PORT: it is no member that could leave"
            }
            Self::NotRunning => "the node takes no part in gossip now, or is leaving already",
        })
    }
}

impl core::error::Error for LeaveError {}

impl Gossiper {
    /// Looks once a round at who is gone long enough to be forgotten.
    pub(super) fn check_removals(&mut self) {
        let unix_ms = self.clock.unix_ms();
        self.quarantine.expire(self.clock.now(), unix_ms);
        let mut has_removed = false;
        // Before a pause is made up for, silence may be our own.
        let judges = self.may_convict();
        for slot in self.table.places().skip(1).filter(|_| judges) {
            if !self.table.is_occupied(slot) {
                continue;
            }
            let is_live = self.table.standing(slot) == Standing::Live;
            let reason = self.reason_to_forget(slot, unix_ms);
            // Of few heartbeats the mean is long: whoever is no member may be silent for long enough before it is convicted.
            if let Some(cause) = reason.filter(|cause| !is_live || *cause == ForgetCause::Silent) {
                if is_live {
                    let phi = self.table.window(slot).last_phi().unwrap_or_default();
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
        let status = self.table.status(slot);
        let silence = self.clock.now().saturating_since(self.table.updated(slot));
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
        let is_saved = self.table.generation(slot) == Generation::SAVED;
        if !self.is_member(slot) && !is_saved {
            let timeout = match status.is_bootstrapping() {
                true => self.failed_bootstrap_timeout(),
                false => self.config.fat_client_timeout,
            };
            if timeout.is_some_and(|timeout| silence > timeout) {
                return Some(ForgetCause::Silent);
            }
        }
        self.config.dead_endpoint_ttl.is_some_and(|ttl| silence > ttl).then_some(ForgetCause::Reaped)
    }

    /// When a status of LEFT or removed says that the endpoint may be forgotten, in milliseconds since the Unix epoch. No one means a
    /// month: such a time is a mistake, or meant to stay for ever.
    fn expiry(&self, slot: Slot) -> Option<u64> {
        let values = self.table.values(slot);
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
    pub(super) fn evict(&mut self, slot: Slot, cause: ForgetCause) {
        self.remove(slot, cause);
        self.let_go_of_removed();
    }

    /// Takes those that were removed out of what holds their rows: at once for all, since there may be thousands.
    fn let_go_of_removed(&mut self) {
        let Self { table, exchange, .. } = self;
        table.drop_removed();
        exchange.retain(|slot| table.is_occupied(slot));
    }

    /// As [`Gossiper::evict`]; what holds its row has to let go of it afterwards.
    fn remove(&mut self, slot: Slot, cause: ForgetCause) {
        let endpoint = self.table.endpoint(slot);
        let known = self.table.known(slot);
        let generation = known.generation();
        let refusal = match cause {
            ForgetCause::Silent | ForgetCause::Moved | ForgetCause::Unheard => Refusal::Silent {
                since: self.clock.now(),
                end: self.clock.now() + self.config.quarantine,
                // Others list it with its greatest version, which may be that of a value.
                heartbeat: known.max_version(),
            },
            ForgetCause::Expired | ForgetCause::Reaped => self.removed(None),
        };
        if generation != Generation::SAVED {
            self.quarantine.insert(endpoint, generation, refusal, self.evidence(endpoint));
        }
        self.exchange.forget_news(slot);
        self.exchange.reset(endpoint, &mut self.journal);
        self.table.remove(slot);
        self.journal.stats.endpoints_forgotten += 1;
        self.journal.tell(Event::Forgotten { endpoint, generation, cause });
    }

    fn evidence(&self, endpoint: Endpoint) -> Evidence {
        if self.is_met(endpoint) { Evidence::Met } else { Evidence::Hearsay }
    }

    /// What is refused of somebody who may be forgotten from `expiry` on, or from now.
    fn removed(&self, expiry: Option<u64>) -> Refusal {
        let ttl = u64::try_from(self.config.tombstone_ttl.as_millis()).unwrap_or(u64::MAX);
        let from = expiry.or_else(|| self.clock.unix_ms());
        Refusal::Removed { until_unix_ms: from.map_or(u64::MAX, |from| from.saturating_add(ttl)) }
    }

    /// Somebody has left, or was removed: that outlives what we know of it, and us.
    ///
    /// Deviation: if it was a seed it stays one. A seed is an address, at which a later process may be found.
    pub(super) fn on_left(&mut self, slot: Slot) {
        let endpoint = self.table.endpoint(slot);
        let generation = self.table.generation(slot);
        let refusal = self.removed(self.expiry(slot));
        self.quarantine.insert(endpoint, generation, refusal, self.evidence(endpoint));
        self.journal.tell(Event::Left { endpoint, generation });
    }

    /// What has to outlive the process.
    pub(super) fn all_tombstones(&self) -> impl Iterator<Item = Tombstone> + '_ {
        self.quarantine.tombstones()
    }

    /// Begins to leave: LEAVING now, LEFT later, then silence.
    pub(super) fn begin_leaving(&mut self) -> Result<(), LeaveError> {
        if self.mode != Mode::Running {
            return Err(LeaveError::NotRunning);
        }
        if self.table.status(Slot::FIRST) != StatusKind::Normal {
            return Err(LeaveError::NotMember);
        }
        let text = format!("LEAVING,{}", self.own_token());
        self.publish_status(&text);
        self.mode = Mode::Leaving { until: self.clock.now() + self.config.leaving_delay };
        Ok(())
    }

    /// Announces that the node has left.
    pub(super) fn announce_left(&mut self) {
        let lifetime = u64::try_from(LEFT_LIFETIME.as_millis()).unwrap_or(u64::MAX);
        let expiry = self.clock.unix_ms().unwrap_or(0).saturating_add(lifetime);
        let text = format!("LEFT,{},{expiry}", self.own_token());
        self.publish_status(&text);
        self.mode = Mode::Left { until: self.clock.now() + self.config.leaving_delay };
    }

    fn own_token(&self) -> alloc::string::String {
        self.token_of(Slot::FIRST)
    }

    /// The token that a status names, or one that every partitioner can read.
    fn token_of(&self, slot: Slot) -> alloc::string::String {
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

    /// Publishes a status of the node's own: with port, and without where that was published before.
    pub(super) fn publish_status(&mut self, text: &str) {
        let mut encoded = alloc::vec::Vec::new();
        encode_str(text, &mut encoded);
        let text = JavaStr::from_checked(&encoded);
        self.publish(ApplicationState::STATUS_WITH_PORT, text);
        if self.table.values(Slot::FIRST).get(ApplicationState::STATUS).is_some() {
            self.publish(ApplicationState::STATUS, text);
        }
    }

    /// Declares an endpoint as left, for its operator. One that is known has `ring_delay` to show a sign of life first.
    pub(super) fn begin_assassination(&mut self, endpoint: Endpoint) -> Result<(), AssassinateError> {
        if self.mode != Mode::Running {
            return Err(AssassinateError::NotRunning);
        }
        if self.config.is_gossip_only {
            return Err(AssassinateError::GossipOnly);
        }
        if endpoint == self.config.local {
            return Err(AssassinateError::Oneself);
        }
        let Some(slot) = self.table.find(endpoint) else { return self.assassinate_unknown(endpoint) };
        let assassination = Assassination {
            endpoint,
            heartbeat: self.table.heartbeat(slot),
            due: self.clock.now() + self.config.ring_delay,
        };
        match self
            .assassinations
            .iter_mut()
            .find(|other| other.is_none_or(|other| other.endpoint == endpoint))
        {
            Some(place) => *place = Some(assassination),
            None => return Err(AssassinateError::TooMany),
        }
        Ok(())
    }

    fn assassinate_unknown(&mut self, endpoint: Endpoint) -> Result<(), AssassinateError> {
        let seconds = self.clock.unix_ms().unwrap_or(0) / 1_000 + 60;
        let generation = Generation::new(i32::try_from(seconds).unwrap_or(i32::MAX));
        let heartbeat = HeartbeatState { generation, version: ASSASSINATED };
        let slot = self.remember(endpoint, heartbeat).map_err(|_| AssassinateError::TableFull)?;
        self.declare_left(slot);
        Ok(())
    }

    fn carry_out_assassinations(&mut self) {
        for at in 0..self.assassinations.len() {
            let Some(assassination) = self.assassinations[at].take_if(|next| next.due <= self.clock.now())
            else {
                continue;
            };
            let endpoint = assassination.endpoint;
            if let Err(cause) = self.carry_out(assassination) {
                self.journal.tell(Event::AssassinationAborted { endpoint, cause });
            }
        }
    }

    fn carry_out(&mut self, assassination: Assassination) -> Result<(), AbortCause> {
        let Assassination { endpoint, heartbeat, .. } = assassination;
        let known = self.table.find(endpoint);
        if let Some(slot) = known.filter(|slot| self.table.heartbeat(*slot) != heartbeat) {
            if !matches!(self.table.status(slot), StatusKind::Left | StatusKind::Removed) {
                return Err(AbortCause::Alive);
            }
            // Another node declared it, or it left by itself.
            let generation = self.table.generation(slot);
            self.journal.tell(Event::Assassinated { endpoint, generation });
            return Ok(());
        }
        let generation = heartbeat.generation.next().ok_or(AbortCause::LastGeneration)?;
        let heartbeat = HeartbeatState { generation, version: ASSASSINATED };
        let slot = match known {
            Some(slot) => {
                self.table.set_generation_and_heartbeat(slot, heartbeat);
                slot
            }
            // It was forgotten meanwhile: others may still know it, and it may come back.
            None => self.remember(endpoint, heartbeat).map_err(|_| AbortCause::TableFull)?,
        };
        self.declare_left(slot);
        Ok(())
    }

    /// The node takes no part any more: what it was to declare later it does not declare.
    pub(super) fn abort_assassinations(&mut self) {
        for assassination in core::mem::take(&mut self.assassinations).into_iter().flatten() {
            let Assassination { endpoint, .. } = assassination;
            self.journal.tell(Event::AssassinationAborted { endpoint, cause: AbortCause::Stopped });
        }
    }

    /// Adds an endpoint that is not known.
    fn remember(&mut self, endpoint: Endpoint, heartbeat: HeartbeatState) -> Result<Slot, TableFull> {
        let slot = self.table.insert(endpoint, heartbeat)?;
        self.journal.stats.endpoints_learned += 1;
        self.exchange.reserve(&self.table);
        self.table.set_updated(slot, self.clock.now());
        Ok(slot)
    }

    fn declare_left(&mut self, slot: Slot) {
        let lifetime = u64::try_from(LEFT_LIFETIME.as_millis()).unwrap_or(u64::MAX);
        let expiry = self.clock.unix_ms().unwrap_or(0).saturating_add(lifetime);
        let text = format!("LEFT,{},{expiry}", self.token_of(slot));
        // The generation is nobody's but ours: versions of our own counting order its values.
        for key in [ApplicationState::STATUS_WITH_PORT, ApplicationState::STATUS] {
            let version = self.clock.next_version().max(ASSASSINATED);
            let replaced = self.table.values(slot).get(key).map_or(version, |(_, old)| old.max(version));
            if self.table.set_value(slot, key, JavaStr::from_checked(text.as_bytes()), replaced)
                == Stored::Grown
            {
                self.journal.stats.values_grown += 1;
            }
        }
        self.exchange.note_news(slot);
        self.table.meet(slot);
        self.journal.stats.generations_learned += 1;
        self.on_status(slot, StatusKind::Left);
        let (endpoint, generation) = (self.table.endpoint(slot), self.table.generation(slot));
        self.journal.tell(Event::Assassinated { endpoint, generation });
    }
}
