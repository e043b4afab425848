//! Watching every call into the protocol.

use gossip_core::message::Message;
use gossip_core::{Endpoint, Gossiper, Outgoing, Output, Timestamp};

/// Sees every call into a node, right before and right after it, and everything that comes out.
///
/// Whatever a test wants to hold after *every* step belongs here: invariants, allocations counted inside the protocol
/// alone, a digest of a whole run. All methods do nothing unless they are written.
pub trait Probe {
    /// A process of `host` has just been made. It was not called yet.
    fn on_start(&mut self, host: usize, gossiper: &Gossiper) {
        let _ = (host, gossiper);
    }

    /// The next thing that happens is a call into the node of `host`.
    fn before(&mut self, host: usize, gossiper: &Gossiper) {
        let _ = (host, gossiper);
    }

    /// The last thing that happened was a call into the node of `host`.
    fn after(&mut self, host: usize, gossiper: &Gossiper) {
        let _ = (host, gossiper);
    }

    /// The next call tells the node of `host` what its wall clock reads.
    fn on_clock(&mut self, now: Timestamp, host: usize, unix_ms: u64) {
        let _ = (now, host, unix_ms);
    }

    /// The next call lets time pass in the node of `host`.
    fn on_wake(&mut self, now: Timestamp, host: usize) {
        let _ = (now, host);
    }

    /// The next call handles this message from `from`. Only where whole messages travel.
    fn on_receive(&mut self, now: Timestamp, host: usize, from: Endpoint, id: u64, message: &Message<'_>) {
        let _ = (now, host, from, id, message);
    }

    /// A gossiper wants a message sent. Only where whole messages travel.
    fn on_message(&mut self, now: Timestamp, host: usize, to: Endpoint, outgoing: Outgoing, body: &[u8]) {
        let _ = (now, host, to, outgoing, body);
    }

    /// A node said what to do next. Where whole messages travel, that is only [`Output::Event`] and [`Output::Timeout`].
    fn on_output(&mut self, now: Timestamp, host: usize, output: &Output<'_>) {
        let _ = (now, host, output);
    }
}

/// Watches nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoProbe;

impl Probe for NoProbe {}
