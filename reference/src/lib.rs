//! A second opinion: the rules of the protocol once more, plain and slow.
//!
//! [`Node`] is one node, written from the specification alone (`docs/protocol`) and not from `gossip-core`. It uses maps, copies what it
//! needs, and can be read beside the specification, section by section. Where nodes of ours depart from Cassandra
//! (`docs/deviations.md`), a switch of [`Deviations`] chooses the rule.
//!
//! The simulator drives a `Node` beside each real [`Gossiper`](gossip_core::Gossiper), and compares the two after each step: see
//! `docs/reference-model.md`.
#![forbid(unsafe_code)]

mod apply;
mod arrivals;
mod compare;
mod liveness;
mod message;
mod node;
mod settings;
mod shadow;
pub mod state;
mod stop;
mod twin;

pub use arrivals::{Arrivals, PHI_FACTOR};
pub use compare::Compare;
pub use message::{Digest, Message, States};
pub use node::{Answer, Echo, Node, Refusal, Standing};
pub use settings::{Deviations, Settings};
pub use shadow::{Outcome, Shadow, generation_at_start, may_start};
pub use twin::Twin;
