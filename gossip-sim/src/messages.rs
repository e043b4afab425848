//! Whole messages between gossipers.

use gossip_core::message::{Codec, Message};
use gossip_core::wire::Writer;
use gossip_core::{Endpoint, Gossiper, Outgoing, Output};

use crate::cluster::{Cluster, Happening, observe};
use crate::host::{Host, MessageProcess, Process};
use crate::probe::Probe;

/// A message under way.
#[derive(Clone, Debug)]
pub(crate) struct Letter {
    from: usize,
    /// Under which address it was sent: its host may have another one since.
    sender: Endpoint,
    /// How many processes the sender's host had had.
    boot: u32,
    pub(crate) to: usize,
    /// How many the receiver's host had had: as on a connection, nothing sent to one process reaches the next.
    to_boot: u32,
    codec: Codec,
    outgoing: Outgoing,
    body: Box<[u8]>,
}

impl<P: Probe> Cluster<P> {
    pub(crate) fn deliver(&mut self, letter: Letter) {
        let Letter { from, sender, boot, to, to_boot, codec, outgoing, body } = letter;
        if self.network.is_cut(from, to) || self.hosts[to].boot != to_boot {
            self.network.traffic.lost += 1;
            return;
        }
        let Self { hosts, probe, now, .. } = self;
        let Some(Process::Messages(process)) = hosts[to].process.as_mut() else { return };
        let message = Message::decode(outgoing.verb, &body, codec)
            .expect("only gossip is sent")
            .expect("what a gossiper writes, a gossiper can read");
        let MessageProcess { gossiper, sessions } = &mut **process;
        let session = sessions.entry((from, boot)).or_insert_with(|| gossiper.open_session(sender));
        probe.on_receive(*now, to, sender, outgoing.id, &message);
        observe(probe, to, gossiper, |gossiper| {
            gossiper.handle_message(*now, sender, outgoing.id, session, &message);
        });
        self.drain(to);
    }

    pub(crate) fn drain_messages(&mut self, host: usize) {
        while let Some(peer) = self.call(host, Gossiper::next_peer).flatten() {
            // There are no connections that could be closed; asking takes it as done.
            self.call(host, |gossiper| gossiper.take_reset(peer));
            while self.send_next(host, peer) {}
        }
        while let Some(event) = self.call(host, Gossiper::poll_event).flatten() {
            self.probe.on_output(self.now, host, &Output::Event(event));
            self.on_event(host, event);
        }
        if let Some(until) = self.call(host, |gossiper| gossiper.poll_timeout()) {
            self.probe.on_output(self.now, host, &Output::Timeout(until));
            self.sleep(host, until);
        }
    }

    fn call<R>(&mut self, host: usize, call: impl FnOnce(&mut Gossiper) -> R) -> Option<R> {
        let Some(Process::Messages(process)) = self.hosts[host].process.as_mut() else { return None };
        Some(observe(&mut self.probe, host, &mut process.gossiper, call))
    }

    /// Sends the next message to `peer`, if one is due.
    fn send_next(&mut self, host: usize, peer: Endpoint) -> bool {
        let to = Host::find(&self.hosts, peer);
        let Self { hosts, probe, now, buffer, network, queue, settings, .. } = self;
        let state = &mut hosts[host];
        let Some(Process::Messages(process)) = state.process.as_mut() else { return false };
        let version =
            to.map_or(settings.versions[host], |to| settings.versions[host].min(settings.versions[to]));
        let codec = Codec::new(version);
        let mut out = Writer::new(&mut buffer[..settings.room]);
        let mut large = Vec::new();
        let encoded = observe(probe, host, &mut process.gossiper, |gossiper| {
            gossiper.encode(peer, codec, &mut out).or_else(|| {
                let (outgoing, body) = gossiper.encode_large(peer, codec, usize::MAX).ok()?;
                large = body;
                Some(outgoing)
            })
        });
        let Some(outgoing) = encoded else { return false };
        let body = if large.is_empty() { out.written() } else { &large };
        probe.on_message(*now, host, peer, outgoing, body);
        network.count(body.len());
        // No host has other addresses.
        let Some(to) = to else { return true };
        let (sender, boot, to_boot) = (state.endpoint, state.boot, hosts[to].boot);
        if network.loses() {
            return true;
        }
        let copies = if network.rng.percent(network.duplicate_percent) { 2 } else { 1 };
        for _ in 0..copies {
            let letter = Letter { from: host, sender, boot, to, to_boot, codec, outgoing, body: body.into() };
            queue.push(network.arrival(*now, host, to), Happening::Letter(letter));
        }
        true
    }
}
