//! What must hold after every step.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use gossip_core::{ApplicationState, Endpoint, Generation, Gossiper, Standing, StatusKind, Version};

use crate::host::number_of;
use crate::letter::text_hash;

/// A promise of the protocol.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Law {
    /// What a process knows of an endpoint never goes back, in generation and version.
    KnowledgeGrows,
    /// A value that is known was published by its owner, in that generation, under that version.
    ValuesAreTheirOwners,
    /// No node knows a greater version of an endpoint than the endpoint gave out.
    VersionsAreTheirOwners,
    /// An endpoint that was removed is not there again below its tombstone.
    TheRemovedStayAway,
    /// An endpoint is taken for live only if a process of it, of that generation, answered an echo of this very process.
    LifeIsProven,
    /// There are no more endpoints and tombstones than hosts.
    MemoryIsBounded,
    /// Once nothing happens any more, all agree within the bound, no live node is down, and no dead node is up.
    AllComeToRest,
}

/// All of them, with their names.
pub const LAWS: [(Law, &str); 7] = [
    (Law::KnowledgeGrows, "knowledge never goes back"),
    (Law::ValuesAreTheirOwners, "a value was published by its owner, under its version"),
    (Law::VersionsAreTheirOwners, "only its owner raises a version"),
    (Law::TheRemovedStayAway, "a removed endpoint does not come back below its tombstone"),
    (Law::LifeIsProven, "only a process that answered an echo is live"),
    (Law::MemoryIsBounded, "memory keeps its bounds"),
    (Law::AllComeToRest, "after quiet all agree"),
];

/// What happened so far, as far as laws ask for it. It follows from the history, and is not part of the state.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ledger {
    /// The greatest version that a host gave out in a generation.
    given: BTreeMap<(usize, Generation), Version>,
    published: BTreeSet<(usize, Generation, ApplicationState, Version, u64)>,
    /// Which process had which generation.
    ran: BTreeSet<(usize, u8, Generation)>,
    /// Which process answered an echo of which.
    answered: BTreeSet<((usize, u8), (usize, u8))>,
    stopped: BTreeSet<(usize, Generation)>,
}

/// What receivers make of a stop has these versions, or greater ones.
const FIRST_MARK: Version = Version::new(i32::MAX - 3);

impl Ledger {
    pub(crate) fn note_stop(&mut self, host: usize, generation: Generation) {
        self.stopped.insert((host, generation));
    }

    pub(crate) fn note_answer(&mut self, by: (usize, u8), to: (usize, u8)) {
        self.answered.insert((by, to));
    }

    /// An operator lets a node speak for another.
    pub(crate) fn note_assassination(&mut self, gossiper: &Gossiper, endpoint: Endpoint) {
        self.note_values(gossiper, endpoint);
        if let (Some(heartbeat), Some(version)) =
            (gossiper.heartbeat(endpoint), gossiper.max_version(endpoint))
        {
            self.give(number_of(endpoint), heartbeat.generation, version);
        }
    }

    fn give(&mut self, host: usize, generation: Generation, version: Version) {
        let given = self.given.entry((host, generation)).or_insert(version);
        *given = version.max(*given);
    }

    fn note_values(&mut self, gossiper: &Gossiper, endpoint: Endpoint) {
        let Some(heartbeat) = gossiper.heartbeat(endpoint) else { return };
        let host = number_of(endpoint);
        self.published.extend(gossiper.values(endpoint).map(|(key, text, version)| {
            (host, heartbeat.generation, key, version, text_hash(text.as_bytes()))
        }));
    }

    /// Writes down what a process says of itself, and whether what it knows of others is as it must be.
    pub(crate) fn watch(
        ledger: &mut Arc<Self>,
        (host, boot): (usize, u8),
        before: &Gossiper,
        after: &Gossiper,
    ) -> Option<Law> {
        let local = after.local_endpoint();
        let (generation, version) = (after.generation(), after.given_version());
        let has_news = ledger.given.get(&(host, generation)) != Some(&version)
            || after.phase() != before.phase()
            || !ledger.ran.contains(&(host, boot, generation));
        if has_news {
            let ledger = Arc::make_mut(ledger);
            ledger.give(host, generation, version);
            ledger.note_values(after, local);
            ledger.ran.insert((host, boot, generation));
        }
        ledger.judge((host, boot), before, after)
    }

    fn judge(&self, process: (usize, u8), before: &Gossiper, after: &Gossiper) -> Option<Law> {
        let known = |gossiper: &Gossiper, endpoint| {
            Some((gossiper.heartbeat(endpoint)?.generation, gossiper.max_version(endpoint)?))
        };
        for endpoint in before.endpoints() {
            if known(after, endpoint).is_some_and(|now| Some(now) < known(before, endpoint)) {
                return Some(Law::KnowledgeGrows);
            }
        }
        let others = after.endpoints().filter(|endpoint| *endpoint != after.local_endpoint());
        for endpoint in others {
            let Some((generation, version)) = known(after, endpoint) else { continue };
            let of = number_of(endpoint);
            if generation == Generation::SAVED {
                continue;
            }
            let has_stopped = self.stopped.contains(&(of, generation));
            if self.given.get(&(of, generation)).is_none_or(|given| version > *given)
                && !(has_stopped && version >= FIRST_MARK)
            {
                return Some(Law::VersionsAreTheirOwners);
            }
            let is_known =
                |(key, text, version): (ApplicationState, gossip_core::wire::JavaStr<'_>, Version)| {
                    self.published.contains(&(of, generation, key, version, text_hash(text.as_bytes())))
                        || (has_stopped && version >= FIRST_MARK)
                };
            if !after.values(endpoint).all(is_known) {
                return Some(Law::ValuesAreTheirOwners);
            }
            let is_live = |gossiper: &Gossiper| gossiper.standing(endpoint) == Some(Standing::Live);
            // A later process is another one: that the earlier one was live proves nothing of it.
            let was_live =
                is_live(before) && known(before, endpoint).is_some_and(|(known, _)| known == generation);
            if is_live(after) && !was_live {
                let has_answered = |boot| self.answered.contains(&((of, boot), process));
                let mut processes =
                    self.ran.iter().filter(|(host, _, ran)| *host == of && *ran == generation);
                if !processes.any(|(_, boot, _)| has_answered(*boot)) {
                    return Some(Law::LifeIsProven);
                }
            }
        }
        for gone in after.tombstones() {
            let is_back =
                known(after, gone.endpoint).is_some_and(|(generation, _)| generation <= gone.generation);
            let is_told_of = after.status(gone.endpoint) == Some(StatusKind::Left)
                && after.standing(gone.endpoint) != Some(Standing::Live);
            if is_back && !is_told_of {
                return Some(Law::TheRemovedStayAway);
            }
        }
        let hosts = self.ran.iter().map(|(host, ..)| host).collect::<BTreeSet<_>>().len();
        if after.endpoint_count() > hosts || after.tombstones().count() > hosts {
            return Some(Law::MemoryIsBounded);
        }
        None
    }
}
