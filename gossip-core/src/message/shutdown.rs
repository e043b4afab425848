//! The announcement that an endpoint stops (`docs/protocol/gossip-messages.md#shutdown`).

use super::{Codec, EndpointState};
use crate::wire::{DecodeError, Full, Reader, Writer};

/// The sender stops.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Shutdown<'a> {
    /// The sender's own state, its status set to `shutdown`; versions 13 and later.
    pub state: Option<EndpointState<'a>>,
}

impl<'a> Shutdown<'a> {
    pub(super) fn decode(reader: &mut Reader<'a>, codec: Codec) -> Result<Self, DecodeError> {
        let state =
            if codec.version.has_shutdown_body() { Some(EndpointState::decode(reader)?) } else { None };
        Ok(Self { state })
    }

    pub(super) fn encode(&self, codec: Codec, out: &mut Writer<'_>) -> Result<(), Full> {
        match &self.state {
            Some(state) if codec.version.has_shutdown_body() => state.encode(out),
            _ => Ok(()),
        }
    }
}
