//! Leaving the cluster for good (`docs/protocol/life-cycle.md#removal-by-another-node`).

use alloc::format;
use core::fmt;

use super::Gossiper;
use super::life::Mode;
use super::members::LEFT_LIFETIME;
use crate::slot::Slot;
use crate::status::StatusKind;

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
    /// Begins to leave: LEAVING now, LEFT later, then silence.
    pub(super) fn begin_leaving(&mut self) -> Result<(), LeaveError> {
        if self.life.mode() != Mode::Running {
            return Err(LeaveError::NotRunning);
        }
        if self.members.table().status(Slot::FIRST) != StatusKind::Normal {
            return Err(LeaveError::NotMember);
        }
        let text = format!("LEAVING,{}", self.members.token_of(Slot::FIRST));
        self.publishing().publish_status(&text);
        self.life.enter(Mode::Leaving { until: self.clock.now() + self.config.membership.leaving_delay });
        Ok(())
    }

    /// Announces that the node has left.
    pub(super) fn announce_left(&mut self) {
        let lifetime = u64::try_from(LEFT_LIFETIME.as_millis()).unwrap_or(u64::MAX);
        let expiry = self.clock.unix_ms().unwrap_or(0).saturating_add(lifetime);
        let text = format!("LEFT,{},{expiry}", self.members.token_of(Slot::FIRST));
        self.publishing().publish_status(&text);
        self.life.enter(Mode::Left { until: self.clock.now() + self.config.membership.leaving_delay });
    }
}
