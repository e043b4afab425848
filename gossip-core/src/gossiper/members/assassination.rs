//! Declaring an endpoint as left that cannot do so itself (`docs/protocol/life-cycle.md#removal-by-another-node`).

use alloc::format;
use core::fmt;
use core::time::Duration;

use super::Membership;
use super::removal::LEFT_LIFETIME;
use crate::application_state::ApplicationState;
use crate::endpoint::Endpoint;
use crate::event::{AbortCause, Event};
use crate::slot::Slot;
use crate::status::StatusKind;
use crate::table::{Stored, TableFull};
use crate::time::Timestamp;
use crate::version::{Generation, HeartbeatState, Version};
use crate::wire::JavaStr;

/// The heartbeat of an endpoint that was assassinated (`docs/protocol/life-cycle.md#removal-by-another-node`).
const ASSASSINATED: Version = Version::new(9_999);

/// How many assassinations may wait for a sign of life at the same time.
pub(super) const MAX_ASSASSINATIONS: usize = crate::event::MAX_OUTCOMES;

/// An endpoint that is about to be assassinated, unless it shows a sign of life until then.
#[derive(Clone, Copy, Debug)]
pub(super) struct Assassination {
    endpoint: Endpoint,
    heartbeat: HeartbeatState,
    due: Timestamp,
}

impl Assassination {
    /// The endpoint, its known state, and the time from now.
    #[cfg(feature = "model")]
    pub(super) fn parts(&self, now: Timestamp) -> (Endpoint, HeartbeatState, Duration) {
        (self.endpoint, self.heartbeat, self.due.saturating_since(now))
    }

    pub(super) fn put_off(&mut self, pause: Duration) {
        self.due = self.due + pause;
    }
}

/// Why an endpoint cannot be assassinated.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum AssassinateError {
    /// The node is a gossip-only member of a Cassandra cluster, and publishes no status of any endpoint.
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
            Self::GossipOnly => "a gossip-only member cannot assassinate; use nodetool",
            Self::Oneself => "a node does not assassinate itself; let it leave",
            Self::TooMany => "eight assassinations are under way; wait for them",
            Self::NotRunning => "the node takes no part in gossip now",
            Self::TableFull => "no more endpoints can be remembered",
        })
    }
}

impl core::error::Error for AssassinateError {}

impl Membership<'_> {
    /// Declares an endpoint as left, for its operator. One that is known has `ring_delay` to show a sign of life first.
    pub(in super::super) fn begin_assassination(
        &mut self,
        endpoint: Endpoint,
    ) -> Result<(), AssassinateError> {
        if self.config.is_gossip_only {
            return Err(AssassinateError::GossipOnly);
        }
        if endpoint == self.config.local {
            return Err(AssassinateError::Oneself);
        }
        let Some(slot) = self.members.table.find(endpoint) else { return self.assassinate_unknown(endpoint) };
        let assassination = Assassination {
            endpoint,
            heartbeat: self.members.table.heartbeat(slot),
            due: self.clock.now() + self.config.membership.ring_delay,
        };
        match self
            .members
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

    pub(super) fn carry_out_assassinations(&mut self) {
        for at in 0..self.members.assassinations.len() {
            let Some(assassination) =
                self.members.assassinations[at].take_if(|next| next.due <= self.clock.now())
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
        let known = self.members.table.find(endpoint);
        if let Some(slot) = known.filter(|slot| self.members.table.heartbeat(*slot) != heartbeat) {
            if !matches!(self.members.table.status(slot), StatusKind::Left | StatusKind::Removed) {
                return Err(AbortCause::Alive);
            }
            // Another node declared it, or it left by itself.
            let generation = self.members.table.generation(slot);
            self.journal.tell(Event::Assassinated { endpoint, generation });
            return Ok(());
        }
        let generation = heartbeat.generation.next().ok_or(AbortCause::LastGeneration)?;
        let heartbeat = HeartbeatState { generation, version: ASSASSINATED };
        let slot = match known {
            Some(slot) => {
                self.members.table.set_generation_and_heartbeat(slot, heartbeat);
                slot
            }
            // It was forgotten meanwhile: others may still know it, and it may come back.
            None => self.remember(endpoint, heartbeat).map_err(|_| AbortCause::TableFull)?,
        };
        self.declare_left(slot);
        Ok(())
    }

    /// The node takes no part any more: what it was to declare later it does not declare.
    pub(in super::super) fn abort_assassinations(&mut self) {
        for assassination in core::mem::take(&mut self.members.assassinations).into_iter().flatten() {
            let Assassination { endpoint, .. } = assassination;
            self.journal.tell(Event::AssassinationAborted { endpoint, cause: AbortCause::Stopped });
        }
    }

    /// Adds an endpoint that is not known.
    fn remember(&mut self, endpoint: Endpoint, heartbeat: HeartbeatState) -> Result<Slot, TableFull> {
        let slot = self.members.table.insert(endpoint, heartbeat)?;
        self.journal.stats.endpoints_learned += 1;
        self.exchange.reserve(&self.members.table);
        self.members.table.set_updated(slot, self.clock.now());
        Ok(slot)
    }

    fn declare_left(&mut self, slot: Slot) {
        let lifetime = u64::try_from(LEFT_LIFETIME.as_millis()).unwrap_or(u64::MAX);
        let expiry = self.clock.unix_ms().unwrap_or(0).saturating_add(lifetime);
        let text = format!("LEFT,{},{expiry}", self.members.token_of(slot));
        // Only we use this generation: versions of our own counting order its values.
        for key in [ApplicationState::STATUS_WITH_PORT, ApplicationState::STATUS] {
            let version = self.clock.next_version().max(ASSASSINATED);
            let replaced =
                self.members.table.values(slot).get(key).map_or(version, |(_, old)| old.max(version));
            if self.members.table.set_value(slot, key, JavaStr::from_checked(text.as_bytes()), replaced)
                == Stored::Grown
            {
                self.journal.stats.values_grown += 1;
            }
        }
        self.exchange.note_news(slot);
        self.members.table.meet(slot);
        self.journal.stats.generations_learned += 1;
        self.on_status(slot, StatusKind::Left);
        let (endpoint, generation) = (self.members.table.endpoint(slot), self.members.table.generation(slot));
        self.journal.tell(Event::Assassinated { endpoint, generation });
    }
}
