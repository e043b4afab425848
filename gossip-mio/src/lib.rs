//! Cassandra's gossip protocol on mio: blocking, without a runtime.
//!
//! [`Builder`] starts a node on a thread of its own, which owns its sockets, its timer and a [`Node`](gossip_core::Node), which
//! decides all else. [`Handle`] is what the application keeps: its answers and events can be waited for by any thread.
//!
//! ```
//! use gossip_mio::{ApplicationState, Builder};
//!
//! let (first, _) = Builder::new("my cluster").listen("127.0.0.1:0".parse()?).start()?;
//! let (second, _) = Builder::new("my cluster")
//!     .listen("127.0.0.1:0".parse()?)
//!     .seed(first.listen_address())
//!     .state(ApplicationState::DC, "dc1")
//!     .start()?;
//! let mut view = first.view().wait()?;
//! let long = std::time::Duration::from_secs(60);
//! let cluster = view.wait_until(long, |cluster| cluster.live_count() == 2).ok_or("no peer came")??;
//! let dc = cluster.get(second.local_endpoint()).and_then(|other| other.text(ApplicationState::DC));
//! assert_eq!(dc, Some("dc1"));
//! second.shutdown().wait()?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! A program that would rather give a thread that it has calls [`EventLoop::run`] there. One that has a [`Poll`](mio::Poll)
//! already lets the node share it: [`Driver`].
//!
//! What is given to [`Builder::persist_generation`](gossip_adapter::Builder::persist_generation) runs where the node is driven,
//! and holds up all that is driven there.

#![cfg_attr(docsrs, feature(doc_cfg))]
#![forbid(unsafe_code)]

mod driver;
mod event_loop;
mod mark;
mod sockets;
mod start;
mod waker;

pub use driver::Driver;
pub use event_loop::EventLoop;
pub use gossip_adapter::application::*;
pub use mark::Mio;
pub use waker::waker;

/// Collects what a node is to be, and starts it; see [`gossip_adapter::Builder`].
pub type Builder = gossip_adapter::Builder<Mio>;
