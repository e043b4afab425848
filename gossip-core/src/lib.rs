//! gossip
#![no_std]
#![forbid(unsafe_code)]
extern crate alloc;
#[cfg(feature = "std")]
extern crate std;

mod application_state;
mod endpoint;
pub mod internode;
pub mod message;
mod rng;
mod time;
mod verb;
mod version;
pub mod wire;
pub use application_state::ApplicationState;
pub use endpoint::{Endpoint, JavaAddress, JavaAddressAndPort};
pub use time::Timestamp;
pub use verb::Verb;
pub use version::{Generation, HeartbeatState, MessagingVersion, Version};
