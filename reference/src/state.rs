//! What a node holds of one endpoint (`docs/protocol/exchange.md#state-of-a-node`).

use std::collections::BTreeMap;

/// STATUS, from before 4.0.
pub const STATUS: i32 = 0;
/// INTERNAL_IP, from before 4.0.
pub const INTERNAL_IP: i32 = 7;
/// RPC_ADDRESS, from before 4.0.
pub const RPC_ADDRESS: i32 = 8;
/// RELEASE_VERSION.
pub const RELEASE_VERSION: i32 = 5;
/// HOST_ID.
pub const HOST_ID: i32 = 12;
/// TOKENS.
pub const TOKENS: i32 = 13;
/// RPC_READY.
pub const RPC_READY: i32 = 14;
/// INTERNAL_ADDRESS_AND_PORT.
pub const INTERNAL_ADDRESS_AND_PORT: i32 = 15;
/// NATIVE_ADDRESS_AND_PORT.
pub const NATIVE_ADDRESS_AND_PORT: i32 = 16;
/// STATUS_WITH_PORT.
pub const STATUS_WITH_PORT: i32 = 17;

/// The heartbeat version of an endpoint that announced its stop.
pub const STOPPED: i32 = i32::MAX;

/// A value and its version.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Value {
    /// The text.
    pub text: String,
    /// The version under which its owner set it.
    pub version: i32,
}

/// The state of an endpoint: its heartbeat and its values by key.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct State {
    /// When its process started, in seconds.
    pub generation: i32,
    /// How often its heart has beaten.
    pub heartbeat: i32,
    /// Its values.
    pub values: BTreeMap<i32, Value>,
}

impl State {
    /// A state that is a heartbeat alone.
    pub const fn bare(generation: i32, heartbeat: i32) -> Self {
        Self { generation, heartbeat, values: BTreeMap::new() }
    }

    /// An endpoint of which only the address is known, from an earlier run.
    pub const SAVED: Self = Self::bare(0, -1);

    /// The same with one more value.
    #[must_use]
    pub fn with(mut self, key: i32, text: &str, version: i32) -> Self {
        self.values.insert(key, Value { text: text.to_owned(), version });
        self
    }

    /// The greatest version of heartbeat and values.
    pub fn max_version(&self) -> i32 {
        self.values.values().map(|value| value.version).fold(self.heartbeat, i32::max)
    }

    /// What is newer than `version` (`docs/protocol/exchange.md#delta`): the newer values, and the heartbeat with them.
    pub fn above(&self, version: i32) -> Option<Self> {
        let mut delta = Self::bare(self.generation, self.heartbeat);
        for (key, value) in &self.values {
            if value.version > version {
                delta.values.insert(*key, value.clone());
            }
        }
        (self.heartbeat > version || !delta.values.is_empty()).then_some(delta)
    }

    /// The status that counts: STATUS_WITH_PORT, or STATUS where there is no other. With `newer`, the newer of the two.
    pub fn status(&self, newer: bool) -> &str {
        let (with_port, legacy) = (self.values.get(&STATUS_WITH_PORT), self.values.get(&STATUS));
        let counts = match (with_port, legacy) {
            (Some(with_port), Some(legacy)) if newer && legacy.version > with_port.version => Some(legacy),
            (with_port, legacy) => with_port.or(legacy),
        };
        counts.map_or("", |value| value.text.as_str())
    }
}

/// The keyword of a status: its first field.
pub fn keyword(status: &str) -> &str {
    status.split(',').next().unwrap_or_default()
}

/// Whether an endpoint of this status is gone, or as good as (`docs/protocol/application-states.md#classes-of-status`).
pub fn is_dead(status: &str) -> bool {
    matches!(keyword(status), "LEFT" | "removing" | "removed" | "hibernate")
}

/// Whether an endpoint of this status has left for good.
pub fn is_departed(status: &str) -> bool {
    matches!(keyword(status), "LEFT" | "removed")
}

/// Whether the endpoint is joining.
pub fn is_bootstrapping(status: &str) -> bool {
    matches!(keyword(status), "BOOT" | "BOOT_REPLACE")
}

/// Whether an endpoint that publishes this takes its place in the ring (`docs/protocol/life-cycle.md#how-receivers-react`).
pub fn is_member(status: &str) -> bool {
    matches!(keyword(status), "NORMAL" | "LEAVING" | "MOVING" | "shutdown")
}

/// Whether a node of this status stops without a word (`docs/protocol/life-cycle.md#stop`).
pub fn stops_silently(status: &str) -> bool {
    is_dead(status) || is_bootstrapping(status)
}

/// When the state may be forgotten, in milliseconds since the epoch: the third field of LEFT and removed.
pub fn expiry(status: &str) -> Option<u64> {
    status.split(',').nth(2)?.parse().ok()
}
