//! Cassandra's connection layer without its sockets: handshake, frames and message headers (`docs/protocol/connections.md` and what follows it there).
//!
//! A connection carries messages one way only. Who dials sends an [`Initiate`], waits for the [`Accept`]
//! ([`Outbound`]) and then sends frames; who accepts takes the bytes apart ([`Inbound`]) and sends nothing but the
//! [`Accept`]. Versions 12 to 14 are understood.

mod frame;
mod handshake;
mod header;
mod inbound;
mod outbound;

pub use frame::{
    CRC_HEADER, CRC_TRAILER, FrameEncodeError, FrameHeader, FrameHeaderError, FrameKind, LZ4_HEADER,
    Lz4Encoder, MAX_FRAME_PAYLOAD, wrap,
};
pub use handshake::{
    Accept, ConnectionKind, ConnectionType, Framing, HandshakeError, Initiate, Negotiated, VersionRange,
    negotiate,
};
pub(crate) use header::low_word;
pub use header::{
    CrossNodeTimeout, Header, MAX_CLOCK_SKEW_MILLIS, MAX_HEADER, Param, Params, ParamsIter,
    created_at_millis, infer_size,
};
pub use inbound::{Inbound, InboundError, InboundEvent, InboundLimits, MessageLoss, Scratch, is_wanted};
pub use outbound::{Outbound, OutboundError, OutboundEvent};
