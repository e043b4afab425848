//! What a node remembers from one run to the next, in a file of its data directory: JSON with a checksum, replaced as a whole, its
//! predecessor kept.
//!
//! ```
//! use gossip_store::{StoredEndpoint, StoredNode, decode, encode};
//!
//! let node = StoredNode {
//!     endpoints: vec![StoredEndpoint::new("10.0.0.2:7000".parse()?)],
//!     ..StoredNode::new(1_700_000_000, uuid::Uuid::nil(), "cluster")
//! };
//! assert_eq!(decode(&encode(&node)?)?, node);
//! # Ok::<(), Box<dyn core::error::Error>>(())
//! ```
//!
//! The public interface is: [`recover`], [`write()`] and [`write_both`] for a directory; [`encode`] and [`decode`] for the bytes of a
//! file; [`StoredNode`]. Who may use a directory, and what follows from what it says, is the command's business.
//!
//! # Files of other releases
//!
//! * A later release may add fields. This one keeps them, and writes them back ([`Unknown`]). They must say nothing that depends on
//!   the fields that this release changes.
//! * A later release that changes what a field means takes another format. This release refuses its files
//!   ([`Unreadable::Format`]), and leaves them where they are.
//! * Format 2, which this release writes, holds the checksum of the node's bytes as they stand in the file. Format 1 held that of
//!   the node's JSON without white space, and endpoints were addresses alone. Both are read.

#![cfg_attr(docsrs, feature(doc_cfg))]
#![forbid(unsafe_code)]

mod directory;
mod error;
mod format;
mod node;

pub use directory::{CURRENT, PREVIOUS, Recovered, recover, write, write_both};
pub use error::{Cause, StoreError};
pub use format::{Unreadable, decode, encode};
pub use node::{StoredEndpoint, StoredNode, StoredTombstone, Unknown};
