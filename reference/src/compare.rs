//! A probe of the simulator that holds every process against its model.

use std::collections::BTreeMap;

use gossip_core::message::{Codec, Message};
use gossip_core::{Endpoint, Gossiper, MessagingVersion, Outgoing, Timestamp};
use gossip_sim::Probe;

use crate::settings::Settings;
use crate::twin::Twin;

/// What the next call into a node is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Call {
    Receives,
    Wakes(Timestamp),
}

/// Compares all processes of a simulated cluster with their models, message by message.
#[derive(Debug)]
pub struct Compare {
    settings: Settings,
    codec: Codec,
    twins: BTreeMap<usize, Twin>,
    call: Option<(usize, Call)>,
    incoming: Option<(Timestamp, Endpoint, u64, Vec<u8>, gossip_core::Verb)>,
    differences: Vec<String>,
    compared: u64,
}

impl Compare {
    /// Compares with these settings. All messages travel in this version.
    pub fn new(settings: Settings, version: MessagingVersion) -> Self {
        Self {
            settings,
            codec: Codec::new(version),
            twins: BTreeMap::new(),
            call: None,
            incoming: None,
            differences: Vec::new(),
            compared: 0,
        }
    }

    /// The first difference of each process.
    pub fn differences(&self) -> Vec<String> {
        let open =
            self.twins.iter().filter_map(|(host, twin)| Some(format!("host {host}: {}", twin.difference()?)));
        self.differences.iter().cloned().chain(open).collect()
    }

    /// How many comparisons were made.
    pub fn compared(&self) -> u64 {
        self.compared + self.twins.values().map(Twin::compared).sum::<u64>()
    }

    fn close(&mut self, host: usize) {
        if let Some(twin) = self.twins.remove(&host) {
            self.compared += twin.compared();
            self.differences.extend(twin.difference().map(|difference| format!("host {host}: {difference}")));
        }
    }
}

impl Probe for Compare {
    fn on_start(&mut self, host: usize, gossiper: &Gossiper) {
        self.close(host);
        // The time comes with the first call.
        self.twins.insert(host, Twin::new(gossiper, self.settings.clone(), Timestamp::ZERO, 0));
    }

    fn on_clock(&mut self, now: Timestamp, host: usize, unix_ms: u64) {
        if let Some(twin) = self.twins.get_mut(&host) {
            twin.on_clock(now, unix_ms);
        }
    }

    fn on_wake(&mut self, now: Timestamp, host: usize) {
        self.call = Some((host, Call::Wakes(now)));
    }

    fn on_receive(&mut self, now: Timestamp, host: usize, from: Endpoint, id: u64, message: &Message<'_>) {
        self.call = Some((host, Call::Receives));
        let mut body = vec![0; 1 << 20];
        let mut out = gossip_core::wire::Writer::new(&mut body);
        if message.encode(self.codec, &mut out).is_ok() {
            self.incoming = Some((now, from, id, out.written().to_vec(), message.verb()));
        }
    }

    fn before(&mut self, host: usize, gossiper: &Gossiper) {
        let Some(twin) = self.twins.get_mut(&host) else { return };
        if let Some((now, from, id, body, verb)) = self.incoming.take()
            && let Some(Ok(message)) = Message::decode(verb, &body, self.codec)
        {
            twin.on_receive(now, gossiper, from, id, &message);
        }
    }

    fn after(&mut self, host: usize, gossiper: &Gossiper) {
        let Some(twin) = self.twins.get_mut(&host) else { return };
        match self.call.take() {
            Some((_, Call::Receives)) => twin.after(gossiper),
            Some((_, Call::Wakes(now))) => twin.after_wake(now, gossiper),
            None => {}
        }
    }

    fn on_message(&mut self, now: Timestamp, host: usize, to: Endpoint, outgoing: Outgoing, body: &[u8]) {
        if let Some(twin) = self.twins.get_mut(&host) {
            twin.on_message(now, to, self.codec, outgoing, body);
        }
    }
}
