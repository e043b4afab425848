//! The ACK2: ends an exchange (`docs/protocol/gossip-messages.md#ack2`).

use super::{Codec, StateMap};
use crate::wire::{DecodeError, Full, Reader, Writer};

/// Ends an exchange: what the ACK asked for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ack2<'a> {
    /// The newer states.
    pub states: StateMap<'a>,
}

impl<'a> Ack2<'a> {
    pub(super) fn decode(reader: &mut Reader<'a>, codec: Codec) -> Result<Self, DecodeError> {
        let states = StateMap::decode(reader, codec.address_form())?;
        Ok(Self { states })
    }

    pub(super) fn encode(&self, codec: Codec, out: &mut Writer<'_>) -> Result<(), Full> {
        self.states.encode(codec, out)
    }
}
