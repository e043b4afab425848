//! What changes all the time, for programs that measure a node.

use gossip_core::{Gossiper, OpenConnections, Phase, Pulse, Stats};

/// What changes at each heartbeat, and what the node counts, all of one moment. [`Handle::vitals`](crate::Handle::vitals) gives it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Vitals {
    /// The endpoints that found room, in no particular order.
    pub pulses: Vec<Pulse>,
    /// How many endpoints the node knows, itself included. If that is more than there are pulses, there was no room for all.
    pub known: usize,
    /// What the node is doing.
    pub phase: Phase,
    /// Whether the node has seeds beside itself.
    pub has_seeds: bool,
    /// The counters.
    pub stats: Stats,
    /// The connections that are open.
    pub connections: OpenConnections,
}

impl Vitals {
    /// Those of `gossiper`: its pulses are written into `room`, as many as its capacity holds, so that no memory is taken.
    pub fn of(gossiper: &Gossiper, connections: OpenConnections, mut room: Vec<Pulse>) -> Self {
        room.clear();
        let fits = room.capacity();
        room.extend(gossiper.pulses().take(fits));
        Self {
            pulses: room,
            known: gossiper.endpoint_count(),
            phase: gossiper.phase(),
            has_seeds: !gossiper.seeds().is_empty(),
            stats: *gossiper.stats(),
            connections,
        }
    }
}
