//! What is to be decoded, and by what.

use gossip_core::MessagingVersion;
use gossip_core::internode::Framing;

use crate::names::StateNames;

/// What is to be decoded, by what, and at what cost.
#[derive(Clone, Debug)]
pub struct Options {
    /// The ports that acceptors listen on. Default: 7000.
    pub ports: Vec<u16>,
    /// The messaging version of what does not say it. Default: found out, or else 12.
    pub version: Option<MessagingVersion>,
    /// The framing of what does not say it. Default: found out.
    pub framing: Option<Framing>,
    /// Names of states that come before those of any release.
    pub names: StateNames,
    /// The largest message that is put together, in bytes; of larger ones only name and length are printed. Default: 32 MiB
    /// (some 6,000 endpoints of 256 tokens each).
    pub max_message: usize,
    /// How many bytes of connections may wait to be decoded, in all. Beyond, the connections that were silent for the
    /// longest are given up. Default: 256 MiB.
    pub max_held: usize,
    /// How many connections are remembered at a time, those that ended included. Default: 16,384.
    pub max_connections: usize,
    /// How many bytes that came too early are kept for each direction; beyond, those before them count as missing.
    /// Default: 1 MiB.
    pub max_reordered: usize,
}

impl Options {
    /// The port of endpoints in messages of before 4.0, which do not name it.
    pub(crate) fn storage_port(&self) -> u16 {
        self.ports.first().copied().unwrap_or(PORT)
    }
}

impl Default for Options {
    fn default() -> Self {
        Self {
            ports: vec![PORT],
            version: None,
            framing: None,
            names: StateNames::default(),
            max_message: 32 << 20,
            max_held: 256 << 20,
            max_connections: 16_384,
            max_reordered: 1 << 20,
        }
    }
}

/// Cassandra's port.
const PORT: u16 = 7000;
