//! What several tests ask of a cluster.

use gossip_core::{DownCause, Endpoint, Event, Timestamp};
use gossip_sim::{Cluster, Probe};

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
