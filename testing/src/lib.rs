//! What the tests of several crates share. No crate needs it but for its tests.
//!
//! * [`shared`]: Cassandra's files and captures of real nodes, which are no part of the repository.
//! * [`layers`]: reads which module of a crate names which, and checks that no arrow points up.
//! * [`pages`]: reads documents, and finds dead links and sentences that are too long.
//! * [`sabotage`]: protections of the protocol that are taken out one at a time, to see which proof notices.

#![forbid(unsafe_code)]
#![expect(clippy::std_instead_of_alloc, reason = "tests have the standard library")]

mod folder;
pub mod layers;
pub mod pages;
pub mod sabotage;

pub use self::folder::shared;
