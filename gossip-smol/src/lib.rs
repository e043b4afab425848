//! Cassandra's gossip protocol on smol.
//!
//! [`Builder`] starts a node: one task, which owns the node's sockets and its timer. [`Handle`] is what the application keeps.
//! The task runs on smol's own executor. A program that has an executor of its own gives the task to that: `drive`.
//!
//! ```
//! # smol::block_on(async {
//! use gossip_smol::{ApplicationState, Builder};
//!
//! let (first, _) = Builder::new("my cluster").listen("127.0.0.1:0".parse()?).start().await?;
//! let (second, _) = Builder::new("my cluster")
//!     .listen("127.0.0.1:0".parse()?)
//!     .seed(first.listen_address())
//!     .state(ApplicationState::DC, "dc1")
//!     .start()
//!     .await?;
//! let cluster = first.view().await?.until_live(2).await?;
//! let dc = cluster.get(second.local_endpoint()).and_then(|other| other.text(ApplicationState::DC));
//! assert_eq!(dc, Some("dc1"));
//! second.shutdown().await?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # }).unwrap();
//! ```

#![cfg_attr(docsrs, feature(doc_cfg))]
#![forbid(unsafe_code)]

mod reactor;
mod start;

pub use gossip_adapter::application::*;
#[cfg(feature = "spawn")]
pub use start::Smol;
pub use start::{AnyExecutor, Drive, drive};

/// Collects what a node is to be, and starts it; see [`gossip_adapter::Builder`].
#[cfg(feature = "spawn")]
pub type Builder = gossip_adapter::Builder<Smol>;
