//! Clean stops, and taking part again (`docs/protocol/life-cycle.md#stop`).

use core::fmt;

use super::Gossiper;
use super::life::{AfterShutdown, Mode};
use super::rounds::Pauses;
use crate::application_state::ApplicationState;
use crate::endpoint::Endpoint;
use crate::event::{RaiseCause, UpgradeSign};
use crate::slot::Slot;
use crate::snapshot::Standing;
use crate::status::{Status, StatusKind};
use crate::version::Generation;
use crate::wire::JavaStr;

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
    /// The node only asks ([`Membership::only_asks`](crate::Membership::only_asks)).
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
                 until that is done (the member asks {by} and its seeds, and comes back by itself once `nodetool cms initialize` has run; \
                 start it again if the upgrade was undone)"
            ),
        }
    }
}

impl core::error::Error for EnableError {}

impl Gossiper {
    /// Begins to take no part, unless that would leave the node half joined or half gone for ever (`docs/protocol/operators.md#describecluster`:
    /// only in normal mode).
    pub(super) fn begin_disabling(&mut self) -> Result<(), DisableError> {
        match self.life.mode() {
            Mode::Disabled | Mode::Stopping { then: AfterShutdown::Disable, .. } => Ok(()),
            Mode::Away { .. } | Mode::Inquiring { .. } => {
                self.life.enter(Mode::Disabled);
                self.exchange.forget_all();
                Ok(())
            }
            Mode::Shadow => Err(DisableError::Joining),
            Mode::Leaving { .. } | Mode::Left { .. } => Err(DisableError::Leaving),
            Mode::Stopped | Mode::Stopping { then: AfterShutdown::Stop, .. } => Err(DisableError::Stopped),
            Mode::Running if self.members.table().status(Slot::FIRST).is_bootstrapping() => {
                Err(DisableError::Joining)
            }
            Mode::Running => {
                self.announce_shutdown(AfterShutdown::Disable);
                Ok(())
            }
        }
    }

    /// Publishes the status and tells every live member. Nothing is announced by who has no part in the cluster yet or any
    /// more, or knows no endpoint.
    pub(super) fn announce_shutdown(&mut self, then: AfterShutdown) {
        if self.config.is_gossip_only {
            return self.fall_silent(then);
        }
        match self.life.mode() {
            Mode::Running | Mode::Leaving { .. } => {}
            // A node that is stopping already only changes what comes after the stop.
            Mode::Stopping { until, .. } if then == AfterShutdown::Stop => {
                self.life.enter(Mode::Stopping { until, then });
                return;
            }
            Mode::Shadow | Mode::Disabled if then == AfterShutdown::Stop => return self.stop(),
            _ => return,
        }
        if self.members.table().status(Slot::FIRST).is_silent_shutdown() || self.members.table().len() == 1 {
            return self.end_shutdown(then);
        }
        let status = self.members.table().values(Slot::FIRST).get(ApplicationState::STATUS_WITH_PORT);
        self.own.remember_status(status.map(|(text, _)| text.as_bytes()));
        if self.members.table().values(Slot::FIRST).get(ApplicationState::RPC_READY).is_some() {
            self.publishing().publish(ApplicationState::RPC_READY, JavaStr::from_checked(b"false"));
        }
        self.publishing().publish_status(Status::SHUTDOWN_TEXT);
        self.exchange.reserve_for_all(self.members.table().len());
        for slot in self.members.table().places().skip(1) {
            if self.members.table().is_occupied(slot) && self.members.table().standing(slot) == Standing::Live
            {
                self.exchange.shutdown(self.members.table().endpoint(slot), &mut self.journal);
            }
        }
        self.life.enter(Mode::Stopping {
            until: self.clock.now() + self.config.membership.shutdown_announce,
            then,
        });
    }

    /// Takes no part any more, and says nothing of it: so a gossip-only member leaves a Cassandra cluster. Each node that hears of its stop
    /// writes a row for it that never goes away (`docs/protocol/gossip-only-member.md#leave-in-silence`). What was due to others is dropped.
    fn fall_silent(&mut self, then: AfterShutdown) {
        match then {
            AfterShutdown::Stop => self.stop(),
            AfterShutdown::Disable if self.life.mode() == Mode::Running => {
                self.life.enter(Mode::Disabled);
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
                self.life.enter(Mode::Disabled);
                self.membership().abort_assassinations();
            }
        }
    }

    /// Gossip is enabled again: a later process, as far as others can tell (`docs/protocol/life-cycle.md#start`).
    pub(super) fn begin_again(&mut self) -> Result<(), EnableError> {
        match self.life.mode() {
            Mode::Running | Mode::Leaving { .. } => return Ok(()),
            Mode::Shadow => return Err(EnableError::Joining),
            Mode::Left { .. } | Mode::Stopped | Mode::Stopping { then: AfterShutdown::Stop, .. } => {
                return Err(EnableError::Stopped);
            }
            Mode::Disabled if self.config.membership.only_asks => return Err(EnableError::OnlyAsks),
            Mode::Disabled
            | Mode::Away { .. }
            | Mode::Inquiring { .. }
            | Mode::Stopping { then: AfterShutdown::Disable, .. } => {}
        }
        if let Some((by, sign)) = self.seen_upgrade() {
            self.inquire_soon();
            return Err(EnableError::Upgrading { by, sign });
        }
        // Under the same generation it would stay down at its peers for ever.
        let needed = self.generation().next().ok_or(EnableError::LastGeneration)?;
        if !self.publishing().raise_generation(Some(needed), RaiseCause::Enabled) {
            return Err(EnableError::ClockBehind { needed, newest: self.clock.newest_own_generation() });
        }
        // What was not announced yet would name the process that begins now.
        self.exchange.forget_shutdowns();
        self.life.enter(Mode::Running);
        if self.members.table().status(Slot::FIRST) == StatusKind::Shutdown {
            let before = self.own.take_status();
            // A node without a status before gets an empty one: a value cannot be deleted.
            let text = JavaStr::from_checked(&before).to_text().into_owned();
            self.publishing().publish_status(&text);
        }
        self.rounds.heard(self.clock.now());
        // We did not listen for a while: the silence of others begins now.
        self.rounds.pauses = Pauses::resumed(self.clock.now());
        self.members.listen_again(self.clock.now());
        self.rounds.set_next(self.clock.now() + self.config.interval);
        Ok(())
    }
}
