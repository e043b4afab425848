//! Datagrams between nodes: each arrives whole, later, twice, or never.

use gossip_core::{Endpoint, Input, Timestamp};

use crate::cluster::{Cluster, Happening, observe_node};
use crate::host::{Host, Process};
use crate::probe::Probe;

/// A datagram in flight. It reaches the process that listens at the address when it arrives, as real ones do.
#[derive(Clone, Debug)]
pub(crate) struct Packet {
    from: usize,
    pub(crate) to: usize,
    bytes: Box<[u8]>,
}

impl<P: Probe> Cluster<P> {
    pub(crate) fn send_packet(&mut self, host: usize, to: Endpoint, bytes: &[u8]) {
        self.network.count(bytes.len());
        // No host has other addresses.
        let Some(to) = Host::find(&self.hosts, to) else { return };
        if self.network.loses() {
            return;
        }
        let copies = if self.network.rng.percent(self.network.duplicate_percent) { 2 } else { 1 };
        for _ in 0..copies {
            // One overtakes another as it happens.
            let at: Timestamp = self.now + self.network.travel(host, to);
            self.queue.push(at, Happening::Packet(Packet { from: host, to, bytes: bytes.into() }));
        }
    }

    pub(crate) fn on_packet(&mut self, packet: &Packet) {
        if self.network.is_cut(packet.from, packet.to) {
            self.network.traffic.lost += 1;
            return;
        }
        let Self { hosts, probe, now, .. } = self;
        let Some(Process::Node(process)) = hosts[packet.to].process.as_mut() else { return };
        observe_node(probe, packet.to, &mut process.node, |node| {
            node.handle_input(*now, Input::Datagram { bytes: &packet.bytes });
        });
        self.drain(packet.to);
    }
}
