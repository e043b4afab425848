//! Where we are in our life: asking, running, leaving, stopping, disabled, stopped.
//!
//! Owns: the phase and why it ended, the shadow round, what became of its questions, and the sign of an upgrade to Cassandra 6.0.
//! May see: nothing of the other parts. It is given the time.
//!
//! Rules: the first reason for the end counts. A node that has stopped stays so. An answer of the shadow round decides only once it is
//! clear whether another live node has our identity.

mod questions;
mod shadow;

use core::time::Duration;

use self::questions::Questions;
pub(super) use self::questions::UNANSWERED;
use self::shadow::Shadow;
pub(super) use self::shadow::Verdict;
use super::phase::{End, Phase};
use crate::endpoint::Endpoint;
use crate::event::UpgradeSign;
use crate::time::Timestamp;

/// How many intervals lie between the silence of a member that left for an upgrade and its first question whether that is done.
const FIRST_PAUSE: u32 = 60;

/// How many lie between two questions at the most. Each costs a node two lines in its log.
const LONGEST_PAUSE: u32 = 600;

/// How long an answer is waited for, the dial included.
const INQUIRY: Duration = Duration::from_secs(10);

/// The phase of a node, and what belongs to phases.
#[derive(Clone, Debug)]
pub(super) struct Life {
    mode: Mode,
    /// Why the node stops, once it does.
    end: Option<End>,
    pub(super) shadow: Shadow,
    /// What became of questions and dials to seeds and saved endpoints.
    pub(super) questions: Questions,
    /// Who showed that the Cassandra cluster is being upgraded to 6.0.
    upgrade: Option<(Endpoint, UpgradeSign)>,
    /// How often the node has asked whether it may come back, since it left for the upgrade.
    inquiries: u32,
}

/// What a node is doing.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Mode {
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
    /// Taking no part while the Cassandra cluster is upgraded to 6.0, and silent until this moment.
    Away { until: Timestamp },
    /// The same, and asking until this moment whether the cluster takes guests again.
    Inquiring { until: Timestamp },
    /// Taking no part any more.
    Stopped,
}

/// What follows an announced shutdown.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum AfterShutdown {
    Stop,
    Disable,
}

impl Life {
    pub(super) fn new(now: Timestamp) -> Self {
        Self {
            mode: Mode::Running,
            end: None,
            shadow: Shadow::new(now, 0),
            questions: Questions::new(),
            upgrade: None,
            inquiries: 0,
        }
    }

    pub(super) const fn mode(&self) -> Mode {
        self.mode
    }

    /// Until when the present phase goes on, where it ends by itself.
    pub(super) const fn until(&self) -> Option<Timestamp> {
        match self.mode {
            Mode::Leaving { until }
            | Mode::Left { until }
            | Mode::Stopping { until, .. }
            | Mode::Away { until }
            | Mode::Inquiring { until } => Some(until),
            Mode::Shadow | Mode::Running | Mode::Disabled | Mode::Stopped => None,
        }
    }

    /// Whether rounds go on.
    pub(super) const fn has_rounds(&self) -> bool {
        !matches!(self.mode, Mode::Disabled | Mode::Away { .. } | Mode::Inquiring { .. } | Mode::Stopped)
    }

    /// Whether the node takes part and means to go on, or says only that it will leave.
    pub(super) const fn is_running(&self) -> bool {
        matches!(self.mode, Mode::Running | Mode::Leaving { .. })
    }

    /// Whether nothing that is published now would reach any peer.
    pub(super) const fn is_over(&self) -> bool {
        matches!(
            self.mode,
            Mode::Left { .. } | Mode::Stopped | Mode::Stopping { then: AfterShutdown::Stop, .. }
        )
    }

    /// What the node is doing.
    pub(super) const fn phase(&self) -> Phase {
        match self.mode {
            Mode::Shadow => Phase::Asking,
            Mode::Running => Phase::Running,
            Mode::Leaving { .. } => Phase::Leaving,
            Mode::Left { .. } => Phase::Left,
            Mode::Stopping { then: AfterShutdown::Stop, .. } => Phase::Stopping,
            Mode::Stopping { then: AfterShutdown::Disable, .. } => Phase::Disabling,
            Mode::Disabled | Mode::Away { .. } | Mode::Inquiring { .. } => Phase::Disabled,
            Mode::Stopped => Phase::Stopped,
        }
    }

    /// Why the node has stopped; `None` until then.
    pub(super) const fn end_once_stopped(&self) -> Option<End> {
        match self.mode {
            Mode::Stopped => self.end,
            _ => None,
        }
    }

    /// Begins another phase.
    pub(super) const fn enter(&mut self, mode: Mode) {
        self.mode = mode;
    }

    /// Begins the shadow round.
    pub(super) fn begin_to_ask(&mut self, now: Timestamp, seeds: usize) {
        self.shadow = Shadow::new(now, seeds);
        self.mode = Mode::Shadow;
    }

    /// Who showed that the Cassandra cluster is being upgraded to 6.0.
    pub(super) const fn upgrade(&self) -> Option<(Endpoint, UpgradeSign)> {
        self.upgrade
    }

    /// Notes who showed that the Cassandra cluster is being upgraded to 6.0.
    pub(super) const fn note_upgrade(&mut self, by: Endpoint, sign: UpgradeSign) {
        self.upgrade = Some((by, sign));
    }

    /// The cluster is upgraded, and takes guests again.
    pub(super) const fn forget_upgrade(&mut self) {
        self.upgrade = None;
    }

    /// Falls silent, since the cluster is upgraded. The first question whether that is done follows after a while.
    pub(super) fn begin_to_stay_away(&mut self, now: Timestamp, interval: Duration) {
        self.inquiries = 0;
        self.stay_away(now, interval);
    }

    /// Falls silent again. Each pause is twice as long as the one before, up to the longest.
    pub(super) fn stay_away(&mut self, now: Timestamp, interval: Duration) {
        let pause = FIRST_PAUSE.saturating_mul(1 << self.inquiries.min(8)).min(LONGEST_PAUSE);
        self.mode = Mode::Away { until: now + interval.saturating_mul(pause) };
    }

    /// Begins to ask whether the cluster takes guests again. Says how often that was done before.
    pub(super) fn inquire(&mut self, now: Timestamp) -> u32 {
        self.mode = Mode::Inquiring { until: now + INQUIRY };
        let before = self.inquiries;
        self.inquiries = before.saturating_add(1);
        before
    }

    /// Remembers why the node stops; the first reason counts.
    pub(super) fn end_with(&mut self, end: End) {
        self.end.get_or_insert(end);
    }

    /// The process did not run for so long, and no peer got its announcements meanwhile.
    pub(super) fn put_off(&mut self, pause: Duration) {
        self.shadow.put_off(pause);
        match &mut self.mode {
            Mode::Leaving { until }
            | Mode::Left { until }
            | Mode::Stopping { until, .. }
            | Mode::Away { until }
            | Mode::Inquiring { until } => {
                *until = *until + pause;
            }
            Mode::Shadow | Mode::Running | Mode::Disabled | Mode::Stopped => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::version::Generation;

    #[test]
    fn the_first_reason_for_the_end_counts_and_is_told_once_it_has_come() {
        let mut life = Life::new(Timestamp::ZERO);
        let first = End::Removed { generation: Generation::new(3) };
        life.end_with(first);
        life.end_with(End::Asked);
        assert_eq!((life.phase(), life.end_once_stopped()), (Phase::Running, None));
        life.mode = Mode::Stopped;
        assert_eq!((life.phase(), life.end_once_stopped()), (Phase::Stopped, Some(first)));
    }

    #[test]
    fn an_announcement_lasts_as_much_longer_as_the_process_did_not_run() {
        let at = |seconds| Timestamp::ZERO + Duration::from_secs(seconds);
        let mut life = Life::new(at(0));
        life.mode = Mode::Stopping { until: at(10), then: AfterShutdown::Stop };
        life.put_off(Duration::from_secs(7));
        assert_eq!(life.until(), Some(at(17)));
        assert!(life.has_rounds() && !life.is_running() && life.is_over());
    }
}
