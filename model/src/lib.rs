//! All small histories of a cluster: the real [`Gossiper`](gossip_core::Gossiper) under a model checker.
//!
//! A [`World`] is two or three hosts and the messages between them. A [`Step`] is one thing that can happen: a message arrives, a
//! round begins, a process ends or starts. The checker takes every step that is possible, in every order, as far as [`Bounds`] allow,
//! and asks after each whether the [laws](LAWS) hold. `docs/model.md` says what is searched and what was found.
//!
//! ```
//! use gossip_model::{Bounds, search};
//!
//! let found = search(&Bounds::new(2).rounds(2), 1);
//! assert!(found.broken.is_empty(), "{:?}", found.broken);
//! ```

#![forbid(unsafe_code)]

mod bounds;
mod host;
mod laws;
mod letter;
mod quiet;
mod search;
mod searches;
mod step;
mod world;

pub use bounds::Bounds;
pub use host::Host;
pub use laws::{LAWS, Law};
pub use letter::Letter;
pub use search::{Found, search, search_from};
pub use searches::{SEARCHES, Search};
pub use step::Step;
pub use world::World;
