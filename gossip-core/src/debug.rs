//! Debug output that names things, and dumps neither tables nor buffers nor keys.

use core::fmt;

use crate::config::{Config, ConfigBuilder};
use crate::gossiper::Gossiper;
use crate::io::{Input, Output};
use crate::node::Node;
use crate::snapshot::{EndpointInfo, StateInfo};

/// How many characters of a value are shown.
const SHOWN: usize = 48;

/// A text, cut where it is long.
struct Cut<'a>(&'a str);

impl fmt::Debug for Cut<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.char_indices().nth(SHOWN) {
            None => fmt::Debug::fmt(self.0, f),
            Some((end, _)) => write!(f, "{:?}… ({} bytes)", &self.0[..end], self.0.len()),
        }
    }
}

/// How many bytes there are.
struct Bytes<'a>(&'a [u8]);

impl fmt::Debug for Bytes<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.0.len())
    }
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Node").field("gossiper", self.gossiper()).finish_non_exhaustive()
    }
}

impl fmt::Debug for Gossiper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gossiper")
            .field("local", &self.local_endpoint())
            .field("generation", &self.generation())
            .field("phase", &self.phase())
            .field("known", &self.endpoints().count())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("cluster", &Cut(&alloc::string::String::from_utf8_lossy(&self.cluster)))
            .field("local", &self.local)
            .field("generation", &self.generation)
            .finish_non_exhaustive()
    }
}

impl<M> fmt::Debug for ConfigBuilder<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConfigBuilder").finish_non_exhaustive()
    }
}

impl fmt::Debug for Input<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Timeout => f.write_str("Timeout"),
            Self::WallClock { unix_ms } => f.debug_struct("WallClock").field("unix_ms", unix_ms).finish(),
            Self::Opened { connection } => f.debug_struct("Opened").field("connection", connection).finish(),
            Self::Failed { connection } => f.debug_struct("Failed").field("connection", connection).finish(),
            Self::Closed { connection } => f.debug_struct("Closed").field("connection", connection).finish(),
            Self::Writable { connection } => {
                f.debug_struct("Writable").field("connection", connection).finish()
            }
            Self::Bytes { connection, bytes } => {
                f.debug_struct("Bytes").field("connection", connection).field("bytes", &Bytes(bytes)).finish()
            }
            Self::Datagram { bytes } => f.debug_struct("Datagram").field("bytes", &Bytes(bytes)).finish(),
        }
    }
}

impl fmt::Debug for Output<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connect { connection, to } => {
                f.debug_struct("Connect").field("connection", connection).field("to", to).finish()
            }
            Self::Write { connection, bytes } => {
                f.debug_struct("Write").field("connection", connection).field("bytes", &Bytes(bytes)).finish()
            }
            Self::Close { connection } => f.debug_struct("Close").field("connection", connection).finish(),
            Self::Datagram { to, bytes } => {
                f.debug_struct("Datagram").field("to", to).field("bytes", &Bytes(bytes)).finish()
            }
            Self::Event(event) => f.debug_tuple("Event").field(event).finish(),
            Self::Timeout(at) => f.debug_tuple("Timeout").field(at).finish(),
        }
    }
}

impl fmt::Debug for EndpointInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EndpointInfo")
            .field("endpoint", &self.endpoint)
            .field("standing", &self.standing)
            .field("heartbeat", &self.heartbeat)
            .field("status", &self.status)
            .field("phi", &self.phi)
            .field("states", &self.states.len())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for StateInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StateInfo")
            .field("key", &self.key)
            .field("version", &self.version)
            .field("value", &Cut(&self.value))
            .finish()
    }
}
