//! Looking at all nodes at once.

use gossip_core::{ApplicationState, Endpoint, Gossiper, Standing, Timestamp, Version};

use crate::host::{Host, Started};

/// What all running nodes know, at one moment.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    pub(crate) hosts: &'a [Host],
    pub(crate) now: Timestamp,
}

impl<'a> View<'a> {
    /// The moment.
    pub const fn now(&self) -> Timestamp {
        self.now
    }

    /// What runs on `host`, if anything does.
    pub fn gossiper(&self, host: usize) -> Option<&'a Gossiper> {
        self.hosts.get(host)?.gossiper()
    }

    /// All hosts on which something runs, and what.
    pub fn running(&self) -> impl Iterator<Item = (usize, &'a Gossiper)> + use<'a> {
        self.hosts.iter().enumerate().filter_map(|(host, state)| Some((host, state.gossiper()?)))
    }

    /// Whether every running node knows that process, and not by its heartbeat alone.
    pub fn all_know(&self, process: Started) -> bool {
        self.running().all(|(_, gossiper)| {
            gossiper.heartbeat(process.endpoint).is_some_and(|known| known.generation == process.generation)
                && gossiper.values(process.endpoint).next().is_some()
        })
    }

    /// Whether every running node finds every other live, and in its present generation.
    pub fn all_live(&self) -> bool {
        let running: Vec<_> =
            self.running().map(|(_, other)| (other.local_endpoint(), other.generation())).collect();
        // Counting is quick, and mostly settles it: this is asked ten times an interval, of as many as the square of all.
        self.running().all(|(_, gossiper)| gossiper.live_endpoints().count() + 1 >= running.len())
            && self.running().all(|(_, gossiper)| {
                running.iter().all(|(endpoint, generation)| {
                    gossiper.standing(*endpoint) == Some(Standing::Live)
                        && gossiper.heartbeat(*endpoint).is_some_and(|known| known.generation == *generation)
                })
            })
    }

    /// Whether `endpoint` stands so with every running node but itself.
    pub fn all_see(&self, endpoint: Endpoint, standing: Standing) -> bool {
        self.running()
            .filter(|(_, gossiper)| gossiper.local_endpoint() != endpoint)
            .all(|(_, gossiper)| gossiper.standing(endpoint) == Some(standing))
    }

    /// Whether every running node knows `endpoint` up to at least `version`.
    pub fn knows_version(&self, endpoint: Endpoint, version: Version) -> bool {
        self.running().all(|(_, gossiper)| gossiper.max_version(endpoint).is_some_and(|max| max >= version))
    }

    /// Whether every running node has this value of `endpoint`.
    pub fn all_have(&self, endpoint: Endpoint, key: ApplicationState, value: &str) -> bool {
        self.running().all(|(_, gossiper)| {
            gossiper.value(endpoint, key).is_some_and(|(text, _)| text.to_text() == value)
        })
    }
}
