//! Cassandra's gossip protocol on tokio.
//!
//! [`Builder`] starts a node: one task of tokio, which owns the node's sockets and its timer. [`Handle`] is what the application
//! keeps.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use gossip_tokio::{ApplicationState, Builder};
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
//! # Ok(())
//! # }
//! ```

#![cfg_attr(docsrs, feature(doc_cfg))]
#![forbid(unsafe_code)]

mod reactor;
mod start;

pub use gossip_adapter::application::*;
pub use start::Tokio;

/// Collects what a node is to be, and starts it; see [`gossip_adapter::Builder`].
pub type Builder = gossip_adapter::Builder<Tokio>;

/// The code of `docs/embedding.md` compiles.
#[cfg(doctest)]
#[doc = include_str!("../../docs/embedding.md")]
struct Embedding;
