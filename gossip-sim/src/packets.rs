//! Datagrams between nodes: each arrives whole, later, twice, or never. Those that a node sends in a row to one other may arrive together, as
//! systems send and receive several with one call.

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

/// Of a hundred packets that follow another to the same host, so many arrive together with it.
const TOGETHER_PERCENT: u32 = 50;

/// The packet that a node has sent last: to which host, and when it arrives.
pub(crate) type LastSent = Option<(usize, Timestamp)>;

impl<P: Probe> Cluster<P> {
    pub(crate) fn send_packet(&mut self, host: usize, to: Endpoint, bytes: &[u8], last: &mut LastSent) {
        self.network.count(bytes.len());
        // No host has other addresses.
        let Some(to) = Host::find(&self.hosts, to) else { return };
        if self.network.loses() {
            return;
        }
        let copies = if self.network.rng.percent(self.network.duplicate_percent) { 2 } else { 1 };
        for _ in 0..copies {
            // One overtakes another as it happens.
            let together = last.filter(|(whom, _)| *whom == to && self.network.rng.percent(TOGETHER_PERCENT));
            let at = together.map_or_else(|| self.now + self.network.travel(host, to), |(_, at)| at);
            *last = Some((to, at));
            self.queue.push(at, Happening::Packet(Packet { from: host, to, bytes: bytes.into() }));
        }
    }

    pub(crate) fn on_packet(&mut self, packet: &Packet) {
        if self.network.is_cut(packet.from, packet.to) {
            self.network.traffic.lost += 1;
        } else {
            let Self { hosts, probe, now, .. } = self;
            let Some(Process::Node(process)) = hosts[packet.to].process.as_mut() else { return };
            observe_node(probe, packet.to, &mut process.node, |node| {
                node.handle_input(*now, Input::Datagram { bytes: &packet.bytes });
            });
        }
        // A driver handles all that came together before it sends anything.
        let is_with = |next: &Happening| match next {
            Happening::Packet(next) => (next.from, next.to) == (packet.from, packet.to),
            _ => false,
        };
        let is_last = self.queue.next().is_none_or(|(at, next)| at > self.now || !is_with(next));
        if is_last {
            self.drain(packet.to);
        }
    }
}
