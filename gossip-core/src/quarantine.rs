//! Endpoints that are gone, and what of them is refused (`docs/protocol/pitfalls.md#dead-and-removed-nodes`).
//!
//! Nodes forget an endpoint at different moments. A node that has forgotten it must not learn it again from one that has not.
//!
//! Deviation: an endpoint and its generations up to one are refused, where Cassandra refuses the address for a minute or two.

use alloc::vec::Vec;
use core::time::Duration;

use crate::endpoint::Endpoint;
use crate::time::Timestamp;
use crate::version::{Generation, Version};

/// How long the generation and version of a silent endpoint are remembered.
const SILENT_MEMORY: Duration = Duration::from_hours(72);

/// That an endpoint was removed: nothing of this generation or an earlier one is believed until the end.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Deserialize, serde::Serialize))]
pub struct Tombstone {
    /// Whose.
    pub endpoint: Endpoint,
    /// The last generation that is refused.
    pub generation: Generation,
    /// Until when, in milliseconds since the Unix epoch.
    pub until_unix_ms: u64,
}

/// Everybody who is gone, sorted by endpoint.
#[derive(Clone, Debug)]
pub(crate) struct Quarantine {
    gone: Vec<Gone>,
    capacity: usize,
    /// How many were ever noted.
    noted: u64,
    /// When there was no room for another silent endpoint, since all the others were noted then or count for more.
    full_at: Option<Timestamp>,
}

#[derive(Clone, Copy, Debug)]
struct Gone {
    endpoint: Endpoint,
    generation: Generation,
    refusal: Refusal,
    evidence: Evidence,
    /// As which it was noted.
    number: u64,
}

/// What makes us believe that an endpoint existed.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Evidence {
    /// Others sent its state.
    Hearsay,
    /// It answered us, or an earlier process of ours remembered that it is gone.
    Met,
}

/// What is refused of an endpoint that is gone.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Refusal {
    /// Removed: the generation, until then.
    Removed { until_unix_ms: u64 },
    /// Evicted for its silence: the generation until `end`, then what is not newer than `heartbeat`.
    Silent { since: Timestamp, end: Timestamp, heartbeat: Version },
}

impl Quarantine {
    pub(crate) fn new(capacity: usize) -> Self {
        Self { gone: Vec::with_capacity(capacity), capacity, noted: 0, full_at: None }
    }

    /// Whether news of this generation and version must not be believed.
    pub(crate) fn refuses(
        &self,
        endpoint: Endpoint,
        generation: Generation,
        version: Version,
        now: Timestamp,
    ) -> bool {
        let Ok(at) = self.find(endpoint) else { return false };
        let gone = self.gone[at];
        match gone.refusal {
            Refusal::Removed { .. } => generation <= gone.generation,
            Refusal::Silent { end, heartbeat, .. } => {
                generation < gone.generation
                    || (generation == gone.generation && (now < end || version <= heartbeat))
            }
        }
    }

    /// How many endpoints are remembered as gone.
    pub(crate) const fn len(&self) -> usize {
        self.gone.len()
    }

    /// Whether an endpoint is remembered as gone.
    pub(crate) fn holds(&self, endpoint: Endpoint) -> bool {
        self.find(endpoint).is_ok()
    }

    /// Adds a tombstone. If there is no room, the least important one gives way, or is not added: first silent endpoints,
    /// then removed endpoints that others reported, then removed endpoints that we met; of each kind the oldest first.
    ///
    /// Nothing of that is for a peer to choose: who could claim to be remembered for longest would push out all others.
    pub(crate) fn insert(
        &mut self,
        endpoint: Endpoint,
        generation: Generation,
        refusal: Refusal,
        evidence: Evidence,
    ) {
        self.noted += 1;
        let gone = Gone { endpoint, generation, refusal, evidence, number: self.noted };
        match self.find(endpoint) {
            Ok(at) => {
                let before = self.gone[at];
                self.gone[at] = Gone { evidence: evidence.max(before.evidence), ..gone };
            }
            Err(_) if self.gone.len() < self.capacity || self.make_room(&gone) => {
                let at = self.find(endpoint).unwrap_or_else(|at| at);
                self.gone.insert(at, gone);
            }
            Err(_) => {}
        }
    }

    /// An endpoint is back.
    pub(crate) fn forget(&mut self, endpoint: Endpoint) {
        if let Ok(at) = self.find(endpoint) {
            self.gone.remove(at);
        }
    }

    /// Drops expired tombstones.
    pub(crate) fn expire(&mut self, now: Timestamp, unix_ms: Option<u64>) {
        self.gone.retain(|gone| match gone.refusal {
            Refusal::Removed { until_unix_ms } => unix_ms.is_none_or(|unix_ms| unix_ms < until_unix_ms),
            Refusal::Silent { since, .. } => now.saturating_since(since) < SILENT_MEMORY,
        });
    }

    /// What has to outlive the process, by ascending endpoint.
    pub(crate) fn tombstones(&self) -> impl Iterator<Item = Tombstone> + '_ {
        self.gone.iter().filter_map(|gone| match gone.refusal {
            Refusal::Removed { until_unix_ms } => {
                Some(Tombstone { endpoint: gone.endpoint, generation: gone.generation, until_unix_ms })
            }
            Refusal::Silent { .. } => None,
        })
    }

    /// Each endpoint that is gone: its generation; whether it was removed, or was silent and its time is over or not; and its last
    /// heartbeat or the end of its tombstone.
    #[cfg(feature = "model")]
    pub(crate) fn entries(
        &self,
        now: Timestamp,
    ) -> impl Iterator<Item = (Endpoint, Generation, u8, u64)> + '_ {
        self.gone.iter().map(move |gone| match gone.refusal {
            Refusal::Removed { until_unix_ms } => (gone.endpoint, gone.generation, 0, until_unix_ms),
            Refusal::Silent { end, heartbeat, .. } => {
                let heartbeat = u64::from(heartbeat.get().unsigned_abs());
                (gone.endpoint, gone.generation, 1 + u8::from(now < end), heartbeat)
            }
        })
    }

    fn find(&self, endpoint: Endpoint) -> Result<usize, usize> {
        self.gone.binary_search_by_key(&endpoint, |gone| gone.endpoint)
    }

    /// Drops the least important tombstone, if it is less important than `new`.
    fn make_room(&mut self, new: &Gone) -> bool {
        let silent_since = match new.refusal {
            Refusal::Silent { since, .. } => Some(since),
            Refusal::Removed { .. } => None,
        };
        // Thousands may be evicted in one round.
        if silent_since.is_some() && silent_since == self.full_at {
            return false;
        }
        let least = (0..self.gone.len()).min_by_key(|at| self.gone[*at].weight());
        let Some(least) = least.filter(|at| self.gone[*at].weight() < new.weight()) else {
            self.full_at = silent_since;
            return false;
        };
        self.gone.remove(least);
        true
    }
}

impl Gone {
    /// Who has the least makes room.
    const fn weight(&self) -> (u8, u64) {
        match (self.refusal, self.evidence) {
            (Refusal::Silent { since, .. }, _) => (0, since.as_nanos()),
            (Refusal::Removed { .. }, Evidence::Hearsay) => (1, self.number),
            (Refusal::Removed { .. }, Evidence::Met) => (2, self.number),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint(n: u8) -> Endpoint {
        Endpoint::v4([10, 0, 0, n], 7000)
    }

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_millis(seconds * 1_000)
    }

    fn silent(since: u64, heartbeat: i32) -> Refusal {
        Refusal::Silent { since: at(since), end: at(since + 60), heartbeat: Version::new(heartbeat) }
    }

    #[test]
    fn i2_somebody_silent_is_refused_for_a_minute_and_then_taken_if_newer() {
        let mut quarantine = Quarantine::new(8);
        let generation = Generation::new(100);
        quarantine.insert(endpoint(1), generation, silent(0, 50), Evidence::Met);
        let refuses = |seconds, generation: i32, version: i32| {
            quarantine.refuses(endpoint(1), Generation::new(generation), Version::new(version), at(seconds))
        };
        assert!(refuses(59, 100, 51));
        assert!(!refuses(60, 100, 51));
        assert!(refuses(60, 100, 50), "nothing newer");
        assert!(refuses(60, 99, 51), "an older process");
        assert!(!refuses(1, 101, 1), "a later process is taken at once");
        assert!(!quarantine.refuses(endpoint(2), generation, Version::new(1), at(0)));
    }

    #[test]
    fn removed_endpoints_are_refused_until_their_tombstone_ends() {
        let mut quarantine = Quarantine::new(8);
        let removed = Refusal::Removed { until_unix_ms: 5_000 };
        quarantine.insert(endpoint(1), Generation::new(100), removed, Evidence::Met);
        let refuses = |quarantine: &Quarantine, generation| {
            quarantine.refuses(endpoint(1), Generation::new(generation), Version::new(9_999), at(1_000_000))
        };
        assert!(refuses(&quarantine, 100) && refuses(&quarantine, 99) && !refuses(&quarantine, 101));
        quarantine.expire(at(0), Some(4_999));
        quarantine.expire(at(0), None);
        assert!(refuses(&quarantine, 100));
        assert_eq!(quarantine.tombstones().count(), 1);
        quarantine.expire(at(0), Some(5_000));
        assert!(!refuses(&quarantine, 100));
    }

    #[test]
    fn a_silent_endpoint_is_remembered_for_three_days() {
        let mut quarantine = Quarantine::new(8);
        quarantine.insert(endpoint(1), Generation::new(100), silent(10, 50), Evidence::Met);
        let end = 10 + 72 * 60 * 60;
        quarantine.expire(at(end - 1), Some(u64::MAX));
        assert!(quarantine.holds(endpoint(1)));
        assert_eq!(quarantine.tombstones().count(), 0, "it may come back");
        quarantine.expire(at(end), Some(0));
        assert!(!quarantine.holds(endpoint(1)));
    }

    #[test]
    fn an_endpoint_that_is_back_is_refused_no_more() {
        let mut quarantine = Quarantine::new(8);
        let removed = Refusal::Removed { until_unix_ms: 5_000 };
        for n in 1..=3 {
            quarantine.insert(endpoint(n), Generation::new(100), removed, Evidence::Met);
        }
        quarantine.forget(endpoint(2));
        quarantine.forget(endpoint(4));
        assert_eq!(left(&quarantine), [endpoint(1), endpoint(3)]);
        assert!(!quarantine.refuses(endpoint(2), Generation::new(100), Version::new(1), at(0)));
    }

    #[test]
    fn of_tombstones_the_one_noted_first_gives_way_whatever_its_address() {
        let mut quarantine = Quarantine::new(3);
        let removed = Refusal::Removed { until_unix_ms: 5_000 };
        for n in [3, 1, 2, 4] {
            quarantine.insert(endpoint(n), Generation::new(1), removed, Evidence::Hearsay);
        }
        assert_eq!(left(&quarantine), [endpoint(1), endpoint(2), endpoint(4)]);
    }

    fn left(quarantine: &Quarantine) -> Vec<Endpoint> {
        quarantine.gone.iter().map(|gone| gone.endpoint).collect()
    }

    #[test]
    fn a_full_quarantine_keeps_tombstones_longest() {
        let mut quarantine = Quarantine::new(3);
        let generation = Generation::new(1);
        let removed = |until_unix_ms| Refusal::Removed { until_unix_ms };
        quarantine.insert(endpoint(1), generation, removed(10), Evidence::Met);
        quarantine.insert(endpoint(2), generation, silent(5, 1), Evidence::Met);
        quarantine.insert(endpoint(3), generation, silent(4, 1), Evidence::Met);
        for n in 4..=5 {
            quarantine.insert(endpoint(n), generation, removed(20), Evidence::Met);
        }
        assert_eq!(left(&quarantine), [endpoint(1), endpoint(4), endpoint(5)]);
        quarantine.insert(endpoint(6), generation, silent(9, 1), Evidence::Met);
        assert_eq!(
            left(&quarantine),
            [endpoint(1), endpoint(4), endpoint(5)],
            "no tombstone gives way to it"
        );
        quarantine.insert(endpoint(7), generation, removed(5), Evidence::Met);
        assert_eq!(left(&quarantine), [endpoint(4), endpoint(5), endpoint(7)], "the first was noted first");
    }

    #[test]
    fn hearsay_displaces_nobody_whom_we_met() {
        let mut quarantine = Quarantine::new(2);
        let generation = Generation::new(1);
        let removed = |until_unix_ms| Refusal::Removed { until_unix_ms };
        quarantine.insert(endpoint(1), generation, removed(10), Evidence::Met);
        for n in 2..=9 {
            quarantine.insert(endpoint(n), generation, removed(u64::MAX), Evidence::Hearsay);
        }
        assert_eq!(left(&quarantine), [endpoint(1), endpoint(9)]);
        // That others say the same changes nothing about what we know.
        quarantine.insert(endpoint(1), generation, removed(10), Evidence::Hearsay);
        quarantine.insert(endpoint(2), generation, removed(10), Evidence::Hearsay);
        assert_eq!(left(&quarantine), [endpoint(1), endpoint(2)]);
        // It was noted before the other one, and stays nevertheless.
        quarantine.insert(endpoint(3), generation, removed(10), Evidence::Hearsay);
        assert_eq!(left(&quarantine), [endpoint(1), endpoint(3)]);
    }

    #[test]
    fn of_many_that_were_silent_at_once_the_first_are_remembered() {
        let mut quarantine = Quarantine::new(2);
        for n in 1..=9 {
            quarantine.insert(endpoint(n), Generation::new(1), silent(7, 1), Evidence::Hearsay);
        }
        assert_eq!(left(&quarantine), [endpoint(1), endpoint(2)]);
        quarantine.insert(endpoint(3), Generation::new(1), silent(8, 1), Evidence::Hearsay);
        assert_eq!(left(&quarantine), [endpoint(2), endpoint(3)], "later ones displace them");
    }
}
