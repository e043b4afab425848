//! The shadow round (`docs/protocol/life-cycle.md#shadow-round`).

use std::collections::BTreeSet;
use std::time::Duration;

use gossip_core::Endpoint;

use crate::message::{Digest, Message, States};
use crate::node::{Answer, Node};
use crate::state::{HOST_ID, is_dead};

/// A shadow SYN is repeated after this time.
const REPEATED_AFTER: Duration = Duration::from_secs(5);

/// A seed goes on alone after this time; another node gives up after twice as long.
const RING_DELAY: Duration = Duration::from_secs(30);

/// How a shadow round ended.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Outcome {
    /// With what was learned. Nothing of it is stored.
    Learned(States),
    /// No peer answered, and the node is no seed.
    Failed,
}

/// A shadow round that runs.
#[derive(Clone, Debug)]
pub struct Shadow {
    began: Duration,
    asked: u32,
    is_seed: bool,
    /// Seeds that are in their own shadow round.
    asking: BTreeSet<Endpoint>,
    outcome: Option<Outcome>,
}

impl Node {
    /// Begins a shadow round. `is_seed`: the own address is among the configured seeds.
    pub fn begin_shadow_round(&mut self, is_seed: bool) {
        let outcome = self.seeds.is_empty().then(|| Outcome::Learned(States::new()));
        self.shadow = Some(Shadow { began: self.now, asked: 0, is_seed, asking: BTreeSet::new(), outcome });
    }

    /// How the shadow round ended, if it has. The node takes part from then on.
    pub fn end_shadow_round(&mut self) -> Option<Outcome> {
        let outcome = self.shadow.as_ref()?.outcome.clone()?;
        self.shadow = None;
        Some(outcome)
    }

    /// What is due in the shadow round: every five seconds all seeds are asked, and the known peers from the second time on.
    pub fn shadow_check(&mut self) -> Vec<Answer> {
        let saved: Vec<Endpoint> = self.unreachable.keys().copied().collect();
        let syn = Message::Syn {
            cluster: self.settings.cluster.clone(),
            partitioner: self.settings.partitioner.clone(),
            digests: Vec::new(),
        };
        let Some(shadow) = self.shadow.as_mut() else { return Vec::new() };
        let waited = self.now - shadow.began;
        let limit = if shadow.is_seed { RING_DELAY } else { RING_DELAY * 2 };
        if waited > limit {
            let outcome = if shadow.is_seed { Outcome::Learned(States::new()) } else { Outcome::Failed };
            shadow.outcome.get_or_insert(outcome);
            return Vec::new();
        }
        if waited < REPEATED_AFTER * shadow.asked {
            return Vec::new();
        }
        shadow.asked += 1;
        let others = if shadow.asked > 1 { saved } else { Vec::new() };
        let peers: BTreeSet<Endpoint> = self.seeds.iter().copied().chain(others).collect();
        peers.into_iter().map(|peer| (peer, syn.clone())).collect()
    }

    pub(crate) fn on_shadow_ack(&mut self, from: Endpoint, requests: &[Digest], states: &States) {
        let local = self.local;
        let seeds = self.seeds.clone();
        let Some(shadow) = self.shadow.as_mut() else { return };
        if requests.is_empty() && states.is_empty() {
            shadow.asking.insert(from);
            if seeds.is_subset(&shadow.asking) {
                shadow.outcome.get_or_insert(Outcome::Learned(States::new()));
            }
            return;
        }
        let is_enough = states
            .get(&local)
            .is_none_or(|own| is_dead(own.status(false)) || own.values.contains_key(&HOST_ID));
        if is_enough {
            shadow.outcome.get_or_insert(Outcome::Learned(states.clone()));
        }
    }
}

/// Whether a node may start under its address (`docs/protocol/life-cycle.md#decision-about-the-own-address`). `before`: what
/// is known of the address. `joins`: the node wants to bootstrap.
pub fn may_start(before: Option<&crate::state::State>, joins: bool, host_id: &str, has_joined: bool) -> bool {
    let Some(before) = before else { return true };
    let status = before.status(false);
    let same_host = before.values.get(&HOST_ID).is_some_and(|value| value.text == host_id);
    match crate::state::keyword(status) {
        "hibernate" if !has_joined => false,
        _ if is_dead(status) => true,
        "" | "NORMAL" | "shutdown" if joins => false,
        _ => joins || same_host,
    }
}

/// The generation of a process that starts (`docs/protocol/life-cycle.md#generation`).
pub fn generation_at_start(stored: Option<i32>, unix_seconds: i32) -> i32 {
    stored.map_or(unix_seconds, |stored| unix_seconds.max(stored + 1))
}
