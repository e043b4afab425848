//! How far the shadow round is, and whether another live node has our identity (`docs/protocol/life-cycle.md#shadow-round`).

use alloc::vec::Vec;
use core::time::Duration;

use smallvec::SmallVec;

use crate::endpoint::Endpoint;
use crate::status::StatusKind;
use crate::time::Timestamp;
use crate::version::{Generation, HeartbeatState, Version};

/// How many intervals lie between two questions.
const REPEAT: u32 = 5;

/// How many intervals lie between two questions while it is not yet clear whether a claimed identity is live.
const REPEAT_CHECK: u32 = 2;

/// After so many intervals without a newer heartbeat, the endpoint that claims our identity is not live.
const CHECK: u32 = 10;

/// How often its heartbeat has to grow to prove it live. A single growth may be late news of a dead node.
const PROOF: u32 = 2;

/// How many peers that ask as well are remembered by name.
const MAX_NAMED: usize = 16;

/// How far the shadow round is.
#[derive(Clone, Debug)]
pub(in super::super) struct Shadow {
    started: Timestamp,
    next_question: Timestamp,
    asked_once: bool,
    /// Seeds that are in their own shadow round.
    in_shadow: Vec<Endpoint>,
    /// Known peers, seeds or not, that are in theirs: the first that said so, and when one of them said so last.
    asking: SmallVec<[Endpoint; 4]>,
    asking_heard: Option<Timestamp>,
    /// Who has our address under another host id, and who has our host id at another address.
    claims: [Option<Claim>; 2],
    /// Until when further parts of the answer are taken, where it comes in several.
    rest_until: Option<Timestamp>,
    /// Whether a part of the answer has come since the last look, for a node that only asks; `None` before the first.
    is_coming: Option<bool>,
}

/// Another node that the cluster knows under our address or our host id, and whether it is live.
///
/// No message says who is live. But the heartbeat of who is grows, at every peer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Claim {
    /// Whose answer showed it. Others may know less, or more.
    by: Endpoint,
    endpoint: Endpoint,
    heartbeat: HeartbeatState,
    /// When it was seen first, or its heartbeat grew.
    since: Timestamp,
    growth: u32,
    /// Whether the endpoint was found not live. A newer heartbeat ends that. An answer of another peer does not, because the other claim may
    /// be decided by that.
    is_gone: bool,
}

/// What is known of a claim.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(in super::super) enum Verdict {
    Undecided,
    Live,
    NotLive,
}

impl Shadow {
    pub(super) fn new(now: Timestamp, seeds: usize) -> Self {
        Self {
            started: now,
            next_question: now,
            asked_once: false,
            in_shadow: Vec::with_capacity(seeds),
            asking: SmallVec::new(),
            asking_heard: None,
            claims: [None; 2],
            rest_until: None,
            is_coming: None,
        }
    }

    pub(super) fn put_off(&mut self, pause: Duration) {
        self.started = self.started + pause;
        self.rest_until = self.rest_until.map(|until| until + pause);
        for claim in self.claims.iter_mut().flatten() {
            claim.since = claim.since + pause;
        }
    }

    /// Whether the endpoint that claims our identity is live, by the answers of `from`.
    pub(in super::super) fn judge(
        &mut self,
        at: usize,
        from: Endpoint,
        claim: Option<(Endpoint, HeartbeatState, Option<StatusKind>)>,
        (now, interval): (Timestamp, Duration),
    ) -> Verdict {
        let limit = interval.saturating_mul(CHECK);
        let place = &mut self.claims[at];
        let Some((endpoint, heartbeat, status)) = claim else {
            *place = None;
            return Verdict::NotLive;
        };
        if endpoint == from {
            return Verdict::Live;
        }
        // It has stopped, as it said, or is gone.
        let is_over = status.is_some_and(|status| status.is_dead() && status != StatusKind::Hibernate)
            || status == Some(StatusKind::Shutdown)
            || heartbeat.version == Version::SHUTDOWN
            || heartbeat.generation == Generation::SAVED;
        if is_over {
            *place = None;
            return Verdict::NotLive;
        }
        let fresh = Claim { by: from, endpoint, heartbeat, since: now, growth: 0, is_gone: false };
        let Some(seen) = place.as_mut().filter(|seen| seen.endpoint == endpoint) else {
            *place = Some(fresh);
            return Verdict::Undecided;
        };
        let order = |state: HeartbeatState| (state.generation, state.version);
        if seen.is_gone {
            if order(heartbeat) <= order(seen.heartbeat) {
                return Verdict::NotLive;
            }
            *seen = fresh;
            return Verdict::Undecided;
        }
        if seen.by != from {
            // The peer that answered first may have left.
            if now.saturating_since(seen.since) > limit.saturating_mul(2) {
                *seen = fresh;
            }
            return Verdict::Undecided;
        }
        if order(heartbeat) > order(seen.heartbeat) {
            seen.heartbeat = heartbeat;
            seen.since = now;
            seen.growth += 1;
        }
        if seen.growth >= PROOF {
            return Verdict::Live;
        }
        if now.saturating_since(seen.since) < limit {
            return Verdict::Undecided;
        }
        seen.is_gone = true;
        Verdict::NotLive
    }

    /// Forgets what was seen of a claim.
    pub(in super::super) const fn judge_afresh(&mut self, at: usize) {
        self.claims[at] = None;
    }

    /// For how long the node has been asking.
    pub(in super::super) fn waited(&self, now: Timestamp) -> Duration {
        now.saturating_since(self.started)
    }

    /// Begins to ask once more, if it is time. Says whether that was done before: then endpoints that were saved are asked, too.
    pub(in super::super) fn begin_question(&mut self, now: Timestamp, interval: Duration) -> Option<bool> {
        if now < self.next_question {
            return None;
        }
        self.next_question = now + interval.saturating_mul(REPEAT);
        Some(core::mem::replace(&mut self.asked_once, true))
    }

    /// Whether any peer was asked yet.
    pub(in super::super) const fn has_asked(&self) -> bool {
        self.asked_once
    }

    /// It is not yet clear whether a claim is live: asks again soon.
    pub(in super::super) fn ask_soon(&mut self, now: Timestamp, interval: Duration) {
        self.next_question = now + interval.saturating_mul(REPEAT_CHECK);
    }

    /// `peer` is in its own shadow round. Says whether all of `seeds` are.
    pub(in super::super) fn note_asking(
        &mut self,
        peer: Endpoint,
        seeds: &[Endpoint],
        now: Timestamp,
    ) -> bool {
        self.asking_heard = Some(now);
        if !self.asking.contains(&peer) && self.asking.len() < MAX_NAMED {
            self.asking.push(peer);
        }
        if !seeds.contains(&peer) || self.in_shadow.contains(&peer) {
            return false;
        }
        self.in_shadow.push(peer);
        self.in_shadow.len() == seeds.len()
    }

    /// Whether peers that ask as well were heard lately, and no other node is known to have our identity.
    pub(in super::super) fn is_among_others_that_ask(&self, now: Timestamp, interval: Duration) -> bool {
        let lately = interval.saturating_mul(2 * REPEAT);
        self.claims.iter().flatten().all(|claim| claim.is_gone)
            && self.asking_heard.is_some_and(|heard| now.saturating_since(heard) <= lately)
    }

    /// The peers that ask as well.
    pub(in super::super) fn take_asking(&mut self) -> SmallVec<[Endpoint; 4]> {
        core::mem::take(&mut self.asking)
    }

    /// A part of the answer has come to a node that only asks.
    pub(in super::super) const fn part_has_come(&mut self) {
        self.is_coming = Some(true);
    }

    /// Whether a part of the answer has come since the last look; `None` before the first.
    pub(in super::super) const fn look_for_parts(&mut self) -> Option<bool> {
        let is_coming = self.is_coming;
        if is_coming.is_some() {
            self.is_coming = Some(false);
        }
        is_coming
    }

    /// Takes further parts of the answer until then.
    pub(in super::super) const fn take_rest_until(&mut self, until: Timestamp) {
        self.rest_until = Some(until);
    }

    /// Whether further parts of the answer are taken.
    pub(in super::super) fn takes_rest(&self, now: Timestamp) -> bool {
        self.rest_until.is_some_and(|until| now <= until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identity_is_in_use_only_if_its_heartbeat_grows() {
        let interval = Duration::from_secs(1);
        let at = |seconds| Timestamp::ZERO + Duration::from_secs(seconds);
        let (peer, local) = (Endpoint::v4([10, 0, 0, 2], 7000), Endpoint::v4([10, 0, 0, 1], 7000));
        let claim = |version| {
            let heartbeat = HeartbeatState { generation: Generation::new(5), version: Version::new(version) };
            Some((local, heartbeat, Some(StatusKind::Normal)))
        };
        let judge = |versions: [i32; 3]| {
            let mut shadow = Shadow::new(at(0), 1);
            let times = [at(0), at(2), at(12)];
            let verdicts = versions.iter().zip(times);
            verdicts.map(|(version, now)| shadow.judge(0, peer, claim(*version), (now, interval))).last()
        };
        assert_eq!(judge([3, 3, 3]), Some(Verdict::NotLive));
        assert_eq!(judge([3, 4, 4]), Some(Verdict::NotLive), "late news of a dead process");
        assert_eq!(judge([3, 3, 4]), Some(Verdict::Undecided), "it has grown this moment");
        assert_eq!(judge([3, 4, 5]), Some(Verdict::Live));
        let mut paused = Shadow::new(at(0), 1);
        assert_eq!(paused.judge(0, peer, claim(3), (at(0), interval)), Verdict::Undecided);
        paused.put_off(interval * 9);
        assert_eq!(paused.judge(0, peer, claim(3), (at(18), interval)), Verdict::Undecided, "we paused");
        assert_eq!(paused.judge(0, peer, claim(3), (at(19), interval)), Verdict::NotLive);
        let mut shadow = Shadow::new(at(0), 1);
        assert_eq!(shadow.judge(0, local, claim(3), (at(0), interval)), Verdict::Live, "it speaks itself");
    }

    /// Found by a seed of the simulation: each time that one claim was found not live, the other began to be judged anew.
    #[test]
    fn two_claims_that_others_answer_for_are_both_decided() {
        let interval = Duration::from_secs(1);
        let at = |seconds| Timestamp::ZERO + Duration::from_secs(seconds);
        let [local, other, one, two] = [1, 2, 3, 4].map(|last| Endpoint::v4([10, 0, 0, last], 7000));
        let claim = |endpoint, version| {
            let heartbeat = HeartbeatState { generation: Generation::new(5), version: Version::new(version) };
            Some((endpoint, heartbeat, Some(StatusKind::Normal)))
        };
        let mut shadow = Shadow::new(at(0), 1);
        // The second claim is first seen later, in the answer of another peer, and both peers answer each question.
        let verdicts = |shadow: &mut Shadow, second: u64, version| {
            [one, two].map(|from| {
                [(0, local), (1, other)].map(|(place, endpoint)| {
                    let is_late = place == 1 && (second < 4 || second == 4 && from == one);
                    let claim = if is_late { None } else { claim(endpoint, version) };
                    shadow.judge(place, from, claim, (at(second), interval))
                })
            })
        };
        let decided = (0..30)
            .step_by(2)
            .find(|second| verdicts(&mut shadow, *second, 3).contains(&[Verdict::NotLive; 2]));
        assert_eq!(decided, Some(14), "ten intervals after both were seen");
        assert_eq!(verdicts(&mut shadow, 16, 3), [[Verdict::NotLive; 2]; 2]);
        assert_eq!(verdicts(&mut shadow, 18, 4), [[Verdict::Undecided; 2]; 2], "news of both");
    }
}
