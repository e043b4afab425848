//! What all adapters of the gossip protocol have in common: how a node is described and started, and what its application
//! keeps of it. Nothing of it is of any runtime.
//!
//! An adapter is a marker that implements [`Runtime`], and a driver that owns the sockets, a timer and what
//! [`Builder::prepare`] gives: the [`Node`](gossip_core::Node), and the [`Mailbox`] through which its [`Handle`]s reach it.
//! Here is one that has no sockets at all:
//!
//! ```
//! use gossip_adapter::{ApplicationState, Builder, Events, Handle, Prepared, Runtime, StartError};
//! use gossip_core::{Clock, Input, Node, Output};
//!
//! enum Alone {}
//!
//! impl Runtime for Alone {
//!     type Start<M: 'static> = Result<(Handle<M>, Events), StartError>;
//!
//!     fn start<M: 'static>(builder: Builder<Self, M>) -> Self::Start<M> {
//!         let listening = builder.listen_on()?;
//!         let Prepared { mut node, mut mailbox, handle, events, .. } = builder.prepare(listening)?;
//!         std::thread::spawn(move || {
//!             let clock = Clock::start();
//!             let mut buffer = vec![0; Node::MIN_BUFFER];
//!             mailbox.register(&gossip_adapter::this_thread());
//!             loop {
//!                 mailbox.run(&mut node, clock.now());
//!                 let deadline = loop {
//!                     match node.poll(&mut buffer) {
//!                         Output::Event(event) => {
//!                             mailbox.publish(&node, event);
//!                             // The mailbox is dropped with the thread, which ends all waits for the stop.
//!                             if event == gossip_core::Event::Stopped {
//!                                 return;
//!                             }
//!                         }
//!                         Output::Connect { connection, .. } => node.handle_input(clock.now(), Input::Failed { connection }),
//!                         Output::Timeout(deadline) => break deadline,
//!                         _ => {}
//!                     }
//!                 };
//!                 mailbox.settle(&node);
//!                 if let Some(deadline) = deadline {
//!                     std::thread::park_timeout(deadline.saturating_since(clock.now()));
//!                 }
//!                 node.handle_input(clock.now(), Input::Timeout);
//!             }
//!         });
//!         Ok((handle, events))
//!     }
//! }
//!
//! let (handle, _) = Builder::<Alone>::new("my cluster").start()?;
//! let version = handle.set_state(ApplicationState::DC, "dc1").wait()?;
//! let value = handle.value(handle.local_endpoint(), ApplicationState::DC).wait()?;
//! assert_eq!(value, Some(("dc1".into(), version)));
//! handle.shutdown().wait()?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#![cfg_attr(docsrs, feature(doc_cfg))]
#![forbid(unsafe_code)]

mod answer;
mod builder;
#[cfg(feature = "async")]
mod driver;
mod engine;
mod events;
mod handle;
mod lock;
mod mailbox;
mod packets;
mod rarely;
#[cfg(feature = "async")]
mod reactor;
mod socket;
mod stopped;
mod troubles;
mod view;
mod vitals;

pub use answer::{Answer, this_thread};
pub use bytestring::ByteString;

pub use builder::{Builder, PersistGeneration, Prepared, Runtime, StartError};
#[cfg(feature = "async")]
pub use driver::Driver;
pub use engine::{Engine, Stored, Taken, ToStore};
pub use events::{EVENTS, Events, EventsError};
pub use gossip_core::{
    AbortCause, AddressRefusal, ApplicationState, AssassinateError, ClockSuspect, ConfigBuilder, ConfigError,
    Datagrams, Detector, DialFailure, DisableError, DownCause, EnableError, End, Endpoint, EndpointInfo,
    Event, ForgetCause, Generation, GossipOnly, HeartbeatState, LeaveError, Limit, Limits, Member,
    Membership, MetadataId, MetadataOrigin, Network, NetworkError, OpenConnections, PacketRefusal, Pad,
    Phase, Pulse, RaiseCause, SavedEndpoint, Standing, StateInfo, Stats, Status, StatusKind, Timeouts,
    Timestamp, Tombstone, Transport, UpgradeSign, Uuid, UuidError, Version,
};
#[cfg(feature = "seal")]
pub use gossip_core::{KeyId, KeyRing, KeyRingError, SealKey, SealKeyError};
pub use handle::{Common, Handle, SetStateError, WeakHandle};
pub use mailbox::Mailbox;
#[cfg(unix)]
pub use packets::prepare_packets;
pub use packets::{Burst, Received, Unsent};
#[cfg(any(target_os = "linux", target_os = "android"))]
pub use packets::{receive_packets, send_packets};
pub use rarely::Rarely;
#[cfg(feature = "async")]
pub use reactor::Reactor;
#[cfg(any(target_os = "linux", target_os = "android"))]
pub use socket::read_bytes;
pub use socket::{
    ACCEPT_PAUSE, DATAGRAMS_PER_TURN, READ_BUFFER, READS_PER_TURN, TIME_SLICE, Unwritten, Written,
    dial_failure,
};
pub use stopped::Stopped;
pub use troubles::{Trouble, Troubles};
pub use view::{KnownEndpoint, KnownState, Snapshot, View};
pub use vitals::Vitals;

/// What applications need of all this: each adapter passes it on.
pub mod application {
    pub use crate::{
        AbortCause, AddressRefusal, Answer, ApplicationState, AssassinateError, ByteString, Common,
        ConfigBuilder, ConfigError, Datagrams, Detector, DisableError, DownCause, EnableError, End, Endpoint,
        EndpointInfo, Event, Events, EventsError, ForgetCause, Generation, GossipOnly, Handle, KnownEndpoint,
        KnownState, LeaveError, Limits, Member, Membership, MetadataId, MetadataOrigin, Network,
        NetworkError, Pad, Phase, SetStateError, Snapshot, Standing, StartError, StateInfo, Stats, Status,
        StatusKind, Stopped, Timeouts, Timestamp, Tombstone, Transport, UpgradeSign, Uuid, UuidError,
        Version, View, WeakHandle,
    };
    #[cfg(feature = "seal")]
    pub use crate::{KeyId, KeyRing, KeyRingError, SealKey, SealKeyError};
}
