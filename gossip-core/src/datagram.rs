//! Our own packets: messages of gossip in UDP datagrams of bounded size, for clusters that are not Cassandra's.
//!
//! A packet is a [`Header`] and messages behind it, each with a head of seven bytes; integers are big-endian. `docs/datagram.md`
//! shows the layout byte by byte.
//!
//! * Bodies are those of messaging version 12 (`docs/protocol/gossip-messages.md`). A shutdown has none: the header says which process ends.
//! * Who sends a packet stands in it, and not in the address that it came from. A **cookie** proves that it is so: each
//!   packet carries one that its receiver has to repeat. Only the process that listens at the address receives it.
//!   Without it only SYNs and echo requests are taken, and the answer is at most three times as long as the question.
//!
//! Nothing here knows who is a member.

mod cookie;
mod packet;
mod peers;
mod refusals;
mod replay;
#[cfg(feature = "seal")]
mod seal;

pub(crate) use self::cookie::Cookies;
pub use self::packet::{ClusterId, Cookie, DatagramMessages, Header, PacketError, RawMessage, Seal};
pub(crate) use self::packet::{HEAD, MAX_HEADER, encode_head};
pub(crate) use self::peers::{Arrival, Peer, Peers};
pub(crate) use self::refusals::Refusals;
#[cfg(feature = "seal")]
pub use self::seal::{KeyId, KeyRing, KeyRingError, SealKey, SealKeyError};
#[cfg(feature = "seal")]
pub(crate) use self::seal::{OpenError, TAG};

/// The messaging version whose bodies packets hold.
pub const BODIES: crate::MessagingVersion = crate::MessagingVersion::V12;

/// What a packet with one message takes beside the body, at the most.
pub(crate) const OVERHEAD: usize = MAX_HEADER + HEAD;
