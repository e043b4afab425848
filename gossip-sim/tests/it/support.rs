//! What several tests ask of a cluster.

use gossip_core::{ApplicationState, DownCause, Endpoint, Event, Gossiper, Timestamp, Version};
use gossip_sim::{Cluster, Probe, View};

/// Who convicted whom, and when.
pub(crate) fn convictions<P: Probe>(cluster: &Cluster<P>, hosts: usize) -> Vec<(usize, Endpoint, Timestamp)> {
    (0..hosts)
        .flat_map(|host| cluster.events(host).iter().map(move |event| (host, *event)))
        .filter_map(|(host, (at, event))| match event {
            Event::Down { endpoint, cause: DownCause::Convicted { .. }, .. } => Some((host, endpoint, at)),
            _ => None,
        })
        .collect()
}

/// A linear congruential generator: what is done to a cluster has nothing to do with what chance does in it.
#[derive(Debug)]
pub(crate) struct Choices(pub(crate) u64);

impl Choices {
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % bound
    }
}

fn values(gossiper: &Gossiper, endpoint: Endpoint) -> Vec<(ApplicationState, String, Version)> {
    gossiper
        .values(endpoint)
        .map(|(key, text, version)| (key, text.to_text().into_owned(), version))
        .collect()
}

/// Whether all nodes know of each what it says of itself.
pub(crate) fn all_agree(view: &View<'_>) -> bool {
    view.running().all(|(_, other)| {
        let own = values(other, other.local_endpoint());
        view.running().all(|(_, gossiper)| values(gossiper, other.local_endpoint()) == own)
    })
}
