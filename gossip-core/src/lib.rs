//! Apache Cassandra's gossip protocol as a state machine: membership, small versioned states that spread to all nodes, and the
//! detection of failures. No sockets, no clock, no threads, no randomness of its own.
//!
//! A driver owns those. It passes to a [`Node`] what happened, and carries out its outputs. Here are two nodes with blocking sockets of
//! the standard library, a thread each:
//!
//! ```
//! use std::io;
//! use std::net::{SocketAddr, UdpSocket};
//! use std::thread;
//! use std::time::Duration;
//!
//! use gossip_core::{Clock, Config, Endpoint, Generation, Input, Node, Output, Transport};
//!
//! /// Gossips over a socket, until `done` says that it is enough.
//! fn gossip(socket: &UdpSocket, config: Config, done: impl Fn(&Node) -> bool) -> io::Result<()> {
//!     let clock = Clock::start();
//!     let mut node = Node::new(config, clock.now());
//!     let (mut buffer, mut packet) = (vec![0; Node::MIN_BUFFER], vec![0; 65_536]);
//!     while !done(&node) {
//!         // One way out: do what the node wants, until it has nothing more.
//!         let deadline = loop {
//!             match node.poll(&mut buffer) {
//!                 // A datagram may be lost.
//!                 Output::Datagram { to, bytes } => drop(socket.send_to(bytes, SocketAddr::from(to))),
//!                 Output::Event(event) => println!("{event:?}"),
//!                 Output::Timeout(deadline) => break deadline,
//!                 _ => {}
//!             }
//!         };
//!         // One way in: tell what happened, or that time has passed.
//!         let wait = deadline.map_or(Duration::MAX, |at| at.saturating_since(clock.now()));
//!         socket.set_read_timeout(Some(wait.max(Duration::from_millis(1))))?;
//!         if let Ok(length) = socket.recv(&mut packet) {
//!             node.handle_input(clock.now(), Input::Datagram { bytes: &packet[..length] });
//!         } else {
//!             node.handle_input(clock.now(), Input::WallClock { unix_ms: Clock::unix_millis() });
//!             node.handle_input(clock.now(), Input::Timeout);
//!         }
//!     }
//!     Ok(())
//! }
//!
//! let sockets = [UdpSocket::bind("127.0.0.1:0")?, UdpSocket::bind("127.0.0.1:0")?];
//! let [first, second] = [Endpoint::from(sockets[0].local_addr()?), Endpoint::from(sockets[1].local_addr()?)];
//! let config = |local, seed, entropy| {
//!     // An application asks the operating system for entropy.
//!     Config::builder("my cluster", local, Generation::at_start(Clock::unix_millis() / 1_000, None), entropy)
//!         .transport(Transport::Datagram)
//!         .interval(Duration::from_millis(100))
//!         .seed(seed)
//!         .build()
//!         .map_err(io::Error::other)
//! };
//! let (one, other) = (config(first, second, [1; 32])?, config(second, first, [2; 32])?);
//! let [socket, others_socket] = sockets;
//! thread::spawn(move || gossip(&others_socket, other, |_| false));
//! gossip(&socket, one, |node| node.gossiper().live_endpoints().any(|endpoint| endpoint == second))?;
//! # Ok::<(), io::Error>(())
//! ```
//!
//! `examples/blocking.rs` does the same over connections, which real Cassandra nodes speak.
//!
//! A driver needs no socket and no clock either. Here it moves the time by hand:
//!
//! ```
//! use gossip_core::{Config, Endpoint, Generation, Input, Node, Output, Timestamp};
//!
//! let local = Endpoint::v4([127, 0, 0, 1], 7000);
//! let config = Config::builder("my cluster", local, Generation::new(1_700_000_000), [7; 32])
//!     .seed(Endpoint::v4([127, 0, 0, 2], 7000))
//!     .build()?;
//! let mut node = Node::new(config, Timestamp::ZERO);
//! let mut buffer = vec![0; Node::MIN_BUFFER];
//! let mut dialled = Vec::new();
//! let mut now = Timestamp::ZERO;
//! for _ in 0..3 {
//!     // One way out: until there is nothing left to do.
//!     let deadline = loop {
//!         match node.poll(&mut buffer) {
//!             Output::Connect { connection, to } => dialled.push((connection, to)),
//!             Output::Write { connection, bytes } => println!("{connection}: {} bytes", bytes.len()),
//!             Output::Close { connection } => println!("{connection} is to be closed"),
//!             Output::Event(event) => println!("{event:?}"),
//!             Output::Timeout(deadline) => break deadline,
//!             _ => {}
//!         }
//!     };
//!     // One way in: in this example only time passes, and no peer answers.
//!     for (connection, _) in dialled.drain(..) {
//!         node.handle_input(now, Input::Failed { connection });
//!     }
//!     now = deadline.expect("a node that takes part always waits for something");
//!     node.handle_input(now, Input::Timeout);
//! }
//! assert_eq!(node.stats().rounds, 3);
//! # Ok::<(), gossip_core::ConfigError>(())
//! ```
//!
//! The public interface is: [`Node`] with [`Input`], [`Output`] and [`Event`]; [`Config`]; what is known of endpoints, through
//! [`Node::gossiper`]. Under it, for simulations and tools: [`Gossiper`], [`message`], [`internode`], [`datagram`] and [`wire`].
//!
//! Rules are cited by section of the specification in `docs/protocol`; departures from Cassandra are marked `Deviation:` and listed in
//! `docs/deviations.md`.
//!
#![cfg_attr(docsrs, feature(doc_cfg))]
#![no_std]
#![forbid(unsafe_code)]
#![warn(clippy::std_instead_of_core, clippy::std_instead_of_alloc, clippy::alloc_instead_of_core)]
extern crate alloc;
#[cfg(feature = "std")]
extern crate std;

mod application_state;
mod asked;
#[cfg_attr(not(feature = "buggify"), expect(unreachable_pub, reason = "public with `buggify`"))]
mod budgets;
mod config;
pub mod datagram;
mod debug;
mod delta;
mod dial;
mod digest;
mod endpoint;
mod event;
mod gossiper;
pub mod internode;
mod io;
mod limit;
mod log;
pub mod message;
mod metadata;
mod network;
mod node;
mod phi;
mod quarantine;
mod release;
mod rng;
mod saved;
mod slot;
mod snapshot;
mod stats;
mod status;
mod table;
#[cfg(feature = "serde")]
mod text_form;
mod time;
#[cfg(feature = "tls")]
mod tls;
mod tls_fault;
mod tokens;
mod uuid;
mod verb;
mod version;
pub mod wire;

#[cfg(feature = "tls")]
pub use rustls;

pub use application_state::{ApplicationState, Pad};
#[cfg(feature = "buggify")]
pub use budgets::Budgets;
pub use config::{
    CASSANDRA_PARTITIONER, Config, ConfigBuilder, ConfigError, DEFAULT_PARTITIONER, Datagrams, Detector,
    GossipOnly, Limits, Member, Membership, SetStateError, Setting, Timeouts, Transport,
};
#[cfg(feature = "seal")]
pub use datagram::{KeyId, KeyRing, KeyRingError, SealKey, SealKeyError};
pub use dial::DialFailure;
pub use endpoint::{Endpoint, JavaAddress, JavaAddressAndPort};
pub use event::{
    AbortCause, AddressRefusal, ClockSuspect, DownCause, Event, ForgetCause, PacketRefusal, RaiseCause,
    UpgradeSign,
};
pub use gossiper::{
    AssassinateError, DisableError, EnableError, End, Gossiper, LeaveError, Outgoing, Phase, Session,
};
pub use io::{ConnectionId, Input, OpenConnections, Output};
pub use limit::Limit;
pub use metadata::{MetadataId, MetadataOrigin};
pub use network::{Network, NetworkError};
pub use node::{MAX_URGENT_MESSAGE, Node};
pub use phi::PHI_FACTOR;
pub use quarantine::Tombstone;
pub use release::Release;
pub use saved::SavedEndpoint;
pub use snapshot::{EndpointInfo, Pulse, Standing, StateInfo};
pub use stats::{Counter, Stats};
pub use status::{Status, StatusKind};
#[cfg(feature = "std")]
pub use time::Clock;
pub use time::Timestamp;
#[cfg(feature = "tls")]
pub use tls::{Tls, TlsBuilder, TlsError, TlsIncoming, TlsOutgoing, TlsScope};
pub use tls_fault::{CertificateFault, TlsFault};
pub use tokens::{decode_tokens, encode_tokens};
pub use uuid::{Uuid, UuidError};
pub use verb::Verb;
pub use version::{Generation, HeartbeatState, MessagingVersion, Version};
