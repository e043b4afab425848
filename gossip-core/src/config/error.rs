//! What can be wrong with a configuration, or with a value.

use core::fmt;
use core::time::Duration;

use super::MAX_NAME;
use crate::application_state::ApplicationState;
use crate::endpoint::Endpoint;
use crate::version::Generation;

/// Why a configuration is not valid.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum ConfigError {
    /// A number is outside its range.
    OutOfRange {
        /// Which setting: its group and its name, such as `limits.max_states`.
        field: &'static str,
        /// What it is.
        value: usize,
        /// The least it may be.
        min: usize,
        /// The most it may be.
        max: usize,
    },
    /// A duration is outside its range.
    DurationOutOfRange {
        /// Which setting: its group and its name, such as `timeouts.idle`.
        field: &'static str,
        /// What it is.
        value: Duration,
        /// The least it may be.
        min: Duration,
        /// The most it may be.
        max: Duration,
    },
    /// The threshold is not a number from 1 to 1,000.
    Threshold {
        /// What it is.
        value: f64,
    },
    /// The name of the cluster or the partitioner is empty or longer than 1,024 encoded bytes.
    Name {
        /// Which.
        field: &'static str,
        /// Its length in encoded bytes.
        length: usize,
    },
    /// More values are to be published from the start than `limits.max_states` allows.
    TooManyStates {
        /// How many there are.
        count: usize,
        /// How many there may be.
        max: usize,
    },
    /// The generation is not positive: 0 stands for endpoints that were never heard of.
    Generation {
        /// What it is.
        generation: Generation,
    },
    /// No peer could reach the node under this address.
    UnspecifiedAddress {
        /// The address.
        endpoint: Endpoint,
    },
    /// There are keys, and no packets that could be encrypted with them.
    #[cfg(feature = "seal")]
    NothingToSeal,
    /// There are settings of TLS, and no connections that it could protect.
    #[cfg(feature = "tls")]
    NoConnections,
    /// A value that is to be published from the start never could be.
    State(SetStateError),
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OutOfRange { field, value, min, max: usize::MAX } => {
                write!(f, "{field} is {value}; it must be at least {min}")
            }
            Self::DurationOutOfRange { field, value, min, max: Duration::MAX } => {
                write!(f, "{field} is {value:?}; it must be at least {min:?}")
            }
            Self::OutOfRange { field, value, min, max } => {
                write!(f, "{field} is {value}; it must be from {min} to {max}")
            }
            Self::DurationOutOfRange { field, value, min, max } => {
                write!(f, "{field} is {value:?}; it must be from {min:?} to {max:?}")
            }
            Self::Threshold { value } => {
                write!(f, "detector.phi_convict_threshold is {value}; it must be from 1 to 1000")
            }
            Self::Name { field, length } => {
                write!(f, "{field} has {length} encoded bytes; it must have from 1 to {MAX_NAME}")
            }
            Self::TooManyStates { count, max } => {
                write!(f, "{count} states are to be published; limits.max_states allows {max}")
            }
            Self::Generation { generation } => {
                write!(f, "the generation is {generation}; take the seconds since the Unix epoch")
            }
            Self::UnspecifiedAddress { endpoint } => {
                write!(f, "no peer could reach {endpoint}; give the address and port that peers dial")
            }
            #[cfg(feature = "seal")]
            Self::NothingToSeal => f.write_str("keys encrypt datagrams; take that transport, or no keys"),
            #[cfg(feature = "tls")]
            Self::NoConnections => f.write_str(
                "TLS protects connections, and datagrams have none: take the other transport, or no TLS",
            ),
            Self::State(error) => error.fmt(f),
        }
    }
}

impl core::error::Error for ConfigError {}

impl ConfigError {
    /// The setting that is out of its range: its group and its name, such as `limits.max_states`. `None` for other errors.
    pub const fn setting(&self) -> Option<&'static str> {
        match self {
            Self::OutOfRange { field, .. } | Self::DurationOutOfRange { field, .. } => Some(field),
            Self::Threshold { .. } => Some("detector.phi_convict_threshold"),
            _ => None,
        }
    }
}

/// Why a value cannot be published.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum SetStateError {
    /// It is longer than what can be sent.
    TooLong {
        /// Which.
        key: ApplicationState,
        /// Its length in encoded bytes.
        length: usize,
        /// The most that can be sent.
        limit: usize,
    },
    /// The number is negative, and would cost a Cassandra node every message with it.
    NegativeKey {
        /// Which.
        key: ApplicationState,
    },
    /// The node has as many values as it may.
    TooMany {
        /// Which was one too many.
        key: ApplicationState,
        /// How many there may be.
        limit: usize,
    },
    /// All values of the node would take more than they may together.
    TooMuch {
        /// Which would be too much.
        key: ApplicationState,
        /// How many encoded bytes all would take.
        bytes: usize,
        /// How many they may.
        limit: usize,
    },
    /// A gossip-only member of a Cassandra cluster sets pads alone, 21 to 28.
    NotPad {
        /// Which.
        key: ApplicationState,
    },
    /// The node has stopped gossiping.
    Stopped,
}

impl fmt::Display for SetStateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong { key, length, limit } => {
                write!(f, "{key} has {length} encoded bytes; at most {limit} can be sent")
            }
            Self::NegativeKey { key } => {
                write!(f, "{} is no number for a state; take one from 1000 on", key.number())
            }
            Self::TooMany { key, limit } => {
                write!(f, "{key} would be one value more than the {limit} that are kept")
            }
            Self::TooMuch { key, bytes, limit } => {
                write!(f, "with {key} all values would take {bytes} encoded bytes; they may take {limit}")
            }
            Self::NotPad { key } => {
                write!(f, "a gossip-only member does not set {key}; it may set the pads 21 to 28")
            }
            Self::Stopped => f.write_str("the node has stopped gossiping"),
        }
    }
}

impl core::error::Error for SetStateError {}
