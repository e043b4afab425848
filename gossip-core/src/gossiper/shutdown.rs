//! Stopping in good order, and how others take it (`gossip-semantics.md` §13).

use core::fmt;

use super::{AfterShutdown, Gossiper, Mode, Session};
use crate::application_state::ApplicationState;
use crate::endpoint::Endpoint;
use crate::event::{DownCause, Event, RaiseCause, UpgradeSign};
use crate::message::Shutdown;
use crate::snapshot::Standing;
use crate::status::{Status, StatusKind};
use crate::table::{Slot, Stored};
use crate::version::{Generation, Version};
use crate::wire::JavaStr;

/// The values that a receiver sets for an endpoint that stopped without saying more than that, and their versions.
///
/// Deviation: constants just below the heartbeat that marks a stop, the same at every receiver, where Cassandra takes
/// numbers from the receiver's own counter: those may lie below what a third node has seen of the endpoint, which then
/// never learns of the status (`pitfalls.md` §2.2).
const INVENTED: [(ApplicationState, &str, Version); 3] = [
    (ApplicationState::RPC_READY, "false", Version::new(i32::MAX - 3)),
    (ApplicationState::STATUS_WITH_PORT, Status::SHUTDOWN_TEXT, Version::new(i32::MAX - 2)),
    (ApplicationState::STATUS, Status::SHUTDOWN_TEXT, Version::new(i32::MAX - 1)),
];

/// Why gossip cannot be disabled.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum DisableError {
    /// The node joins: it is in its shadow round, or its status is BOOT or BOOT_REPLACE.
    Joining,
    /// The node leaves the cluster for good.
    Leaving,
    /// The node stops, or has stopped.
    Stopped,
}

impl fmt::Display for DisableError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Joining => "the node is joining the cluster; disable gossip once it has joined",
            Self::Leaving => "the node is leaving the cluster, and stops by itself",
            Self::Stopped => "the node is stopping, or has stopped",
        })
    }
}

impl core::error::Error for DisableError {}

/// Why gossip cannot be enabled.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum EnableError {
    /// The node is in its shadow round. It takes part as soon as that is answered.
    Joining,
    /// The node only asks ([`ConfigBuilder::only_asks`](crate::ConfigBuilder::only_asks)).
    OnlyAsks,
    /// The node stops, or has stopped.
    Stopped,
    /// Gossip needs a greater generation than before, and peers refuse that: it is too far ahead of the clock.
    ClockBehind {
        /// The generation that is needed.
        needed: Generation,
        /// The greatest that the clock allows now.
        newest: Generation,
    },
    /// Gossip needs a greater generation than before, and there is none.
    LastGeneration,
    /// The node is a gossip-only member, and its Cassandra cluster is being upgraded to 6.0, or has been.
    Upgrading {
        /// Whose state or connection shows it.
        by: Endpoint,
        /// What shows it.
        sign: UpgradeSign,
    },
}

impl fmt::Display for EnableError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Joining => {
                f.write_str("the node is still asking its seeds, and takes part once one has answered")
            }
            Self::OnlyAsks => f.write_str("the node only asks, and never takes part"),
            Self::Stopped => f.write_str("the node is stopping, or has stopped"),
            Self::ClockBehind { needed, newest } => write!(
                f,
                "gossip needs generation {needed}, and by the clock of this node peers accept none above {newest} (set the \
                 clock right, then try again)"
            ),
            Self::LastGeneration => f.write_str("gossip needs a greater generation, and there is none"),
            Self::Upgrading { by, sign } => write!(
                f,
                "the cluster is being upgraded to Cassandra 6.0, as {by} shows ({sign}), and gossip-only members stay away \
                 meanwhile (this release cannot gossip with 6.0; where that was undone, start the member again)"
            ),
        }
    }
}

impl core::error::Error for EnableError {}

impl Gossiper {
    /// Begins to take no part, unless that would leave the node half joined or half gone for ever (`gossip-semantics.md` §19.4:
    /// only in normal mode).
    pub(super) fn begin_disabling(&mut self) -> Result<(), DisableError> {
        match self.mode {
            Mode::Disabled | Mode::Stopping { then: AfterShutdown::Disable, .. } => Ok(()),
            Mode::Shadow => Err(DisableError::Joining),
            Mode::Leaving { .. } | Mode::Left { .. } => Err(DisableError::Leaving),
            Mode::Stopped | Mode::Stopping { then: AfterShutdown::Stop, .. } => Err(DisableError::Stopped),
            Mode::Running if self.table.status(Slot::FIRST).is_bootstrapping() => Err(DisableError::Joining),
            Mode::Running => {
                self.announce_shutdown(AfterShutdown::Disable);
                Ok(())
            }
        }
    }

    /// Publishes the status and tells every live member. Nothing is announced by who has no part in the cluster yet or any
    /// more, or knows nobody.
    pub(super) fn announce_shutdown(&mut self, then: AfterShutdown) {
        if self.config.is_gossip_only {
            return self.fall_silent(then);
        }
        match self.mode {
            Mode::Running | Mode::Leaving { .. } => {}
            // Whoever is on the way out already only changes where to.
            Mode::Stopping { until, .. } if then == AfterShutdown::Stop => {
                self.mode = Mode::Stopping { until, then };
                return;
            }
            Mode::Shadow | Mode::Disabled if then == AfterShutdown::Stop => return self.stop(),
            _ => return,
        }
        if self.table.status(Slot::FIRST).is_silent_shutdown() || self.table.len() == 1 {
            return self.end_shutdown(then);
        }
        self.status_before.clear();
        if let Some((text, _)) = self.table.values(Slot::FIRST).get(ApplicationState::STATUS_WITH_PORT) {
            self.status_before.extend_from_slice(text.as_bytes());
        }
        if self.table.values(Slot::FIRST).get(ApplicationState::RPC_READY).is_some() {
            self.publish(ApplicationState::RPC_READY, JavaStr::from_checked(b"false"));
        }
        self.publish_status(Status::SHUTDOWN_TEXT);
        for slot in self.table.places().skip(1) {
            if self.table.is_occupied(slot) && self.table.standing(slot) == Standing::Live {
                self.exchange.shutdown(self.table.endpoint(slot), &mut self.journal);
            }
        }
        self.mode = Mode::Stopping { until: self.clock.now() + self.config.shutdown_announce, then };
    }

    /// Takes no part any more, and says nothing of it: so a gossip-only member leaves a Cassandra cluster. Each node that is told of its stop
    /// writes a row for it that never goes away (`internode.md` D.4). What was due to others is dropped.
    fn fall_silent(&mut self, then: AfterShutdown) {
        match then {
            AfterShutdown::Stop => self.stop(),
            AfterShutdown::Disable if self.mode == Mode::Running => {
                self.mode = Mode::Disabled;
                self.exchange.forget_all();
            }
            AfterShutdown::Disable => {}
        }
    }

    /// The shutdown was announced for long enough.
    pub(super) fn end_shutdown(&mut self, then: AfterShutdown) {
        match then {
            AfterShutdown::Stop => self.stop(),
            AfterShutdown::Disable => {
                self.mode = Mode::Disabled;
                self.abort_assassinations();
            }
        }
    }

    /// Gossip is enabled again: a later process, as far as others can tell (`gossip-semantics.md` §3.3).
    pub(super) fn begin_again(&mut self) -> Result<(), EnableError> {
        match self.mode {
            Mode::Running | Mode::Leaving { .. } => return Ok(()),
            Mode::Shadow => return Err(EnableError::Joining),
            Mode::Left { .. } | Mode::Stopped | Mode::Stopping { then: AfterShutdown::Stop, .. } => {
                return Err(EnableError::Stopped);
            }
            Mode::Disabled if self.config.only_asks => return Err(EnableError::OnlyAsks),
            Mode::Disabled | Mode::Stopping { then: AfterShutdown::Disable, .. } => {}
        }
        if let Some((by, sign)) = self.seen_upgrade() {
            return Err(EnableError::Upgrading { by, sign });
        }
        // Under the same generation it would stay down at its peers for ever.
        let needed = self.generation().next().ok_or(EnableError::LastGeneration)?;
        if !self.raise_generation(Some(needed), RaiseCause::Enabled) {
            return Err(EnableError::ClockBehind { needed, newest: self.clock.newest_own_generation() });
        }
        // What was not announced yet would name the process that begins now.
        self.exchange.forget_shutdowns();
        self.mode = Mode::Running;
        if self.table.status(Slot::FIRST) == StatusKind::Shutdown {
            let before = core::mem::take(&mut self.status_before);
            // Whoever had none before has one now that says nothing: a value cannot be taken back.
            let text = JavaStr::from_checked(&before).to_text().into_owned();
            self.publish_status(&text);
        }
        self.contact.heard(self.clock.now());
        self.listen_again();
        self.next_round = self.clock.now() + self.config.interval;
        Ok(())
    }

    /// We heard nobody for a while: the silence of others begins now.
    fn listen_again(&mut self) {
        self.pauses = super::liveness::Pauses::resumed(self.clock.now());
        for slot in self.table.places().skip(1) {
            self.table.set_updated(slot, self.clock.now());
            self.table.set_heard(slot, self.clock.now());
            self.table.set_echo(slot, None);
        }
    }

    /// A peer stops.
    ///
    /// Deviation: it counts only for the generation that is stored. A body says which it is; without one, it is that of
    /// the process at the other end of the connection.
    pub(super) fn on_shutdown(&mut self, from: Endpoint, session: Session, shutdown: &Shutdown<'_>) {
        let generation = match &shutdown.state {
            Some(state) => Some(state.heartbeat.generation),
            None => session.generation,
        };
        // A state without values is known by hearsay: a status alone would make it look like more (`pitfalls.md` §2.2).
        let slot = self.table.find(from).filter(|slot| {
            *slot != Slot::FIRST
                && Some(self.table.generation(*slot)) == generation
                && self.table.generation(*slot) != Generation::SAVED
                && !self.table.values(*slot).is_empty()
        });
        let Some(slot) = slot else {
            self.journal.stats.stale_shutdowns += 1;
            return;
        };
        let Some(state) = &shutdown.state else {
            if !self.is_nobody(slot) {
                self.invent_shutdown(slot);
            }
            self.mark_as_shutdown(slot);
            return;
        };
        let says_so = state
            .value(ApplicationState::STATUS_WITH_PORT)
            .is_some_and(|value| StatusKind::of_value(value.text.as_bytes()) == StatusKind::Shutdown);
        if !says_so {
            self.journal.stats.malformed += 1;
            return;
        }
        // Nothing newer of this process is believed any more, so what it said last is taken now; of whom a mark is not kept, the other values.
        if !self.config.is_gossip_only && self.is_nobody(slot) {
            self.apply_other_values(slot, from, state);
        } else {
            self.apply_values(slot, from, state);
        }
        self.mark_as_shutdown(slot);
    }

    /// Sets the values of an endpoint that stopped, as far as it has not set them itself.
    pub(super) fn invent_shutdown(&mut self, slot: Slot) {
        let endpoint = self.table.endpoint(slot);
        let own_words = self.table.status(slot) == StatusKind::Shutdown;
        for (key, text, version) in INVENTED {
            let stored = self.table.values(slot).get(key).map(|(stored, _)| stored);
            let says_so = stored.is_some_and(|stored| stored == text);
            // A shutdown in the endpoint's own words keeps its version, and needs no other words beside it.
            if says_so || (own_words && key.is_status() && stored.is_none()) {
                continue;
            }
            let text = JavaStr::from_checked(text.as_bytes());
            if self.table.set_value(slot, key, text, version) == Stored::Grown {
                self.journal.stats.values_grown += 1;
            }
            self.journal.tell(Event::StateChanged { endpoint, key, version });
        }
    }

    /// Whether an endpoint is no member: in a cluster of ours it has published no status, in a Cassandra cluster it has no tokens.
    ///
    /// Deviation: it is down when it stops, and no status is stored of it: that would make a member of it, and keep it for ever.
    fn is_nobody(&self, slot: Slot) -> bool {
        if self.config.is_gossip_only {
            return !self.has_tokens(slot);
        }
        self.table.status(slot) == StatusKind::None
    }

    /// Whether this process of an endpoint has stopped in good order: by its status, or by the heartbeat that marks a stop.
    pub(super) fn has_stopped(&self, slot: Slot) -> bool {
        self.table.status(slot) == StatusKind::Shutdown
            || self.table.heartbeat(slot).version == Version::SHUTDOWN
    }

    /// Gives a stopped endpoint the heartbeat that no later message of this generation is newer than, and takes it as down.
    pub(super) fn mark_as_shutdown(&mut self, slot: Slot) {
        self.table.set_heartbeat(slot, Version::SHUTDOWN);
        self.exchange.note_news(slot);
        self.mark_down(slot, DownCause::Shutdown);
    }
}
