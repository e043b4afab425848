//! Cassandra's gossip protocol on async-std.
//!
//! [`Builder`] starts a node: one task of async-std with the driver of [`gossip_smol`], which owns the node's sockets and its
//! timer. async-std stands on the same async-io. [`Handle`] is what the application keeps.
//!
//! async-std is discontinued (RUSTSEC-2025-0052): this is for programs that still run on it.
//!
//! ```
//! # async_std::task::block_on(async {
//! use gossip_async_std::{ApplicationState, Builder};
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

mod start;

pub use gossip_adapter::application::*;
pub use start::AsyncStd;

/// Collects what a node is to be, and starts it; see [`gossip_adapter::Builder`].
pub type Builder = gossip_adapter::Builder<AsyncStd>;
