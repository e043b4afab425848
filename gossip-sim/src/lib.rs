//! Whole clusters of gossiping nodes in one thread, under virtual time, with faults.
//!
//! A [`Cluster`] is hosts, a network between them and a clock that only the caller moves. All chance comes from one
//! seed: the same seed gives the same run, message by message, on every machine. It is what tests of the protocol, fuzzers,
//! benches and `gossip sim` run on.
//!
//! ```
//! use gossip_core::{Standing, Version};
//! use gossip_sim::{Cluster, seconds};
//!
//! let mut cluster = Cluster::new(5).seed(7).loss_percent(10).start();
//! cluster.run_until(|view| view.all_live(), seconds(60));
//!
//! let restarted = cluster.restart(2);
//! cluster.run_until(|view| view.all_know(restarted) && view.all_live(), seconds(60));
//!
//! cluster.stop(4);
//! let stopped = cluster.endpoint(4);
//! cluster.run_until(|view| view.all_see(stopped, Standing::Unreachable), seconds(10));
//! assert!(cluster.view().knows_version(stopped, Version::SHUTDOWN));
//! ```
//!
//! # What travels
//!
//! * By default whole **messages** between [`Gossiper`](gossip_core::Gossiper)s. Each is encoded and decoded, takes its time,
//!   and may be lost or doubled. Connections do not exist here. It is the quicker of the two, and all of the protocol.
//! * After [`Builder::datagrams`] **packets** between [`Node`](gossip_core::Node)s: as messages, but each datagram as it would stand on the
//!   wire, one overtaking another.
//! * After [`Builder::streams`] **bytes** over connections between [`Node`](gossip_core::Node)s: dials, handshakes, frames,
//!   back-pressure, resets, time-outs. The cluster is then the driver of every node, and checks that each keeps its side of
//!   the contract.
//!
//! # What can go wrong
//!
//! | fault | messages, packets | bytes |
//! | --- | --- | --- |
//! | [`Builder::loss_percent`] | a message vanishes | a write vanishes, which is whole frames |
//! | [`Builder::duplicate_percent`], [`Builder::reorder`] | it arrives twice, or late | never |
//! | [`Cluster::cut`], [`Cluster::partition`] | messages vanish | bytes wait, dials are never answered |
//! | [`Cluster::stall`] | a process does nothing until [`Cluster::resume`] | likewise, and its connections are not read |
//! | [`Cluster::kill`] | a process is gone | likewise, and its connections end |
//! | [`Cluster::set_clock`] | a wall clock is ahead, or behind | likewise |
//! | [`Cluster::wipe`] | a host loses what its processes stored | likewise |
//! | [`Cluster::attack`] | (not possible) | a hostile process takes what it can get from all others |
//! | [`Cluster::reset`] | nothing | connections break |
//! | [`Cluster::delay`] | everything of one host takes longer | likewise |
//! | [`Builder::chunks`], [`Builder::socket_buffer`] | nothing | bytes come in pieces; writes have to wait |
//!
//! # When it fails
//!
//! A panic while a cluster is there prints the seed. With it in the environment variable [`SEED_VARIABLE`] the run is
//! repeated, whatever seed the program asks for.
//!
//! # Watching
//!
//! Between two calls everything can be looked at: [`Cluster::view`] for all nodes at once, [`Cluster::gossiper`] for one,
//! [`Cluster::events`] for what happened to it. What is to hold after every single step is the business of a [`Probe`].

#![cfg_attr(docsrs, feature(doc_cfg))]
#![forbid(unsafe_code)]

use std::time::Duration;

mod builder;
mod cluster;
mod host;
mod hostile;
mod messages;
mod network;
mod packets;
mod probe;
mod queue;
mod rng;
mod streams;
mod trial;
mod view;
mod watch;

pub use builder::{Builder, SEED_VARIABLE};
pub use cluster::Cluster;
pub use host::Started;
pub use hostile::Attack;
pub use network::Traffic;
pub use probe::{NoProbe, Probe};
pub use trial::{Carrier, Plan, Report, Trial, Trouble};
pub use view::View;
pub use watch::Watch;

/// So many seconds.
pub const fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}
