//! The keys of gossiped values.

use core::fmt;

/// The key of a gossiped value: the number that stands for it on the wire (`docs/protocol/application-states.md#keys`).
///
/// Numbers without a name are kept, counted and forwarded like any other. Clusters of one's own may use numbers from
/// [`ApplicationState::FIRST_CUSTOM`] on as they like.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[cfg_attr(feature = "serde", derive(serde::Deserialize, serde::Serialize))]
pub struct ApplicationState(i32);

macro_rules! named {
    ($($(#[$doc:meta])* $name:ident = $number:literal;)*) => {
        impl ApplicationState {
            $($(#[$doc])* pub const $name: Self = Self($number);)*

            /// The name in Cassandra 5.0, where it has one that is not a pad.
            pub const fn name(self) -> Option<&'static str> {
                match self.0 {
                    $($number => Some(stringify!($name)),)*
                    _ => None,
                }
            }

            /// The state that Cassandra 5.0 calls `name`.
            pub fn from_name(name: &str) -> Option<Self> {
                match name {
                    $(stringify!($name) => Some(Self($number)),)*
                    _ => None,
                }
            }
        }
    };
}

named! {
    /// Life-cycle status without port, superseded by [`ApplicationState::STATUS_WITH_PORT`].
    STATUS = 0;
    /// Bytes stored, as the text of a floating-point number.
    LOAD = 1;
    /// UUID of the schema.
    SCHEMA = 2;
    /// Name of the data center.
    DC = 3;
    /// Name of the rack.
    RACK = 4;
    /// Release of the software, such as `4.0.14`.
    RELEASE_VERSION = 5;
    /// Host id of the node that coordinates a removal.
    REMOVAL_COORDINATOR = 6;
    /// Private address without port.
    INTERNAL_IP = 7;
    /// Client address without port.
    RPC_ADDRESS = 8;
    /// A pad of Cassandra 1.1, which other vendors use.
    X_11_PADDING = 9;
    /// Severity that a dynamic snitch reports.
    SEVERITY = 10;
    /// Greatest messaging version spoken, in decimal.
    NET_VERSION = 11;
    /// UUID of the host.
    HOST_ID = 12;
    /// All tokens: binary, one character a byte.
    TOKENS = 13;
    /// Whether clients are served: `true` or `false`.
    RPC_READY = 14;
    /// Private address and port.
    INTERNAL_ADDRESS_AND_PORT = 15;
    /// Client address and port.
    NATIVE_ADDRESS_AND_PORT = 16;
    /// Life-cycle status.
    STATUS_WITH_PORT = 17;
    /// Formats of the files in use.
    SSTABLE_VERSIONS = 18;
    /// Disk usage as a guardrail sees it (from 4.1).
    DISK_USAGE = 19;
    /// Build states of indexes (from 5.0).
    INDEX_STATUS = 20;
}

impl ApplicationState {
    /// The first number that is free for states of one's own; below it the numbers belong to Cassandra.
    pub const FIRST_CUSTOM: Self = Self(1_000);

    /// The state with this number on the wire.
    pub const fn new(number: i32) -> Self {
        Self(number)
    }

    /// The number on the wire.
    pub const fn number(self) -> i32 {
        self.0
    }

    /// Whether the value says where in its life the endpoint is.
    pub const fn is_status(self) -> bool {
        matches!(self, Self::STATUS | Self::STATUS_WITH_PORT)
    }
}

/// The name in Cassandra 5.0; the pads 21 to 30 are `X1` to `X10`, any other number is itself behind an `X`.
impl fmt::Display for ApplicationState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.name(), self.0) {
            (Some(name), _) => f.pad(name),
            (None, number @ 21..=30) => write!(f, "X{}", number - 20),
            (None, number) => write!(f, "X{number}"),
        }
    }
}

/// A number that all releases of Cassandra from 4.0 on keep free, 21 to 28: what a gossip-only member of its clusters may publish. They
/// show it as `X1` to `X10`, each release under a number of its own.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Pad(ApplicationState);

impl Pad {
    /// The pad with this number; `None` if it is not from 21 to 28.
    pub const fn new(number: i32) -> Option<Self> {
        match number {
            21..=28 => Some(Self(ApplicationState(number))),
            _ => None,
        }
    }

    /// The key under which it is published.
    pub const fn state(self) -> ApplicationState {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;

    use super::*;

    #[test]
    fn a12_ten_pads_follow_the_last_named_state() {
        assert_eq!(ApplicationState::INDEX_STATUS.number(), 20);
        for number in 21..=30 {
            assert_eq!(ApplicationState::new(number).to_string(), alloc::format!("X{}", number - 20));
            assert_eq!(ApplicationState::new(number).name(), None);
        }
        assert_eq!(ApplicationState::new(25).to_string(), "X5");
        assert_eq!(ApplicationState::new(1_000).to_string(), "X1000");
    }

    #[test]
    fn names_and_numbers_agree() {
        for number in 0..=20 {
            let state = ApplicationState::new(number);
            assert_eq!(state.name().and_then(ApplicationState::from_name), Some(state));
        }
        assert_eq!(ApplicationState::from_name("status"), None);
    }
}
