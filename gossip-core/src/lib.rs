//! gossip
#![no_std]
#![forbid(unsafe_code)]
#![warn(clippy::std_instead_of_core, clippy::std_instead_of_alloc, clippy::alloc_instead_of_core)]
extern crate alloc;
#[cfg(feature = "std")]
extern crate std;

mod application_state;
mod config;
mod delta;
mod digest;
mod endpoint;
mod event;
mod gossiper;
pub mod internode;
mod io;
pub mod message;
mod node;
mod phi;
mod quarantine;
mod rng;
mod snapshot;
mod stats;
mod status;
mod table;
mod time;
mod tokens;
mod verb;
mod version;
pub mod wire;

pub use application_state::ApplicationState;
pub use config::{Config, ConfigBuilder, ConfigError, DEFAULT_PARTITIONER, SetStateError};
pub use endpoint::{Endpoint, JavaAddress, JavaAddressAndPort};
pub use event::{DownCause, Event, ForgetCause};
pub use gossiper::{AssassinateError, Gossiper, LeaveError, Outgoing, Session};
pub use io::{ConnectionId, Input, Output};
pub use node::{MAX_URGENT_MESSAGE, Node};
pub use phi::PHI_FACTOR;
pub use quarantine::Tombstone;
pub use snapshot::{EndpointInfo, Standing, StateInfo};
pub use stats::Stats;
pub use status::{Status, StatusKind};
#[cfg(feature = "std")]
pub use time::Clock;
pub use time::Timestamp;
pub use tokens::{decode_tokens, encode_tokens};
pub use verb::Verb;
pub use version::{Generation, HeartbeatState, MessagingVersion, Version};
