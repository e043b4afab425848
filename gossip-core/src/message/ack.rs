//! The ACK: answers a SYN (`docs/protocol/gossip-messages.md#ack`).

use super::{Codec, Digests, StateMap};
use crate::wire::{DecodeError, Full, Reader, Writer};

/// Answers a SYN.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ack<'a> {
    /// What the sender wants: of each endpoint everything above the digest's version.
    pub requests: Digests<'a>,
    /// What the sender knows better.
    pub states: StateMap<'a>,
}

impl<'a> Ack<'a> {
    pub(super) fn decode(reader: &mut Reader<'a>, codec: Codec) -> Result<Self, DecodeError> {
        let requests = Digests::decode(reader, codec.address_form())?;
        let states = StateMap::decode(reader, codec.address_form())?;
        Ok(Self { requests, states })
    }

    pub(super) fn encode(&self, codec: Codec, out: &mut Writer<'_>) -> Result<(), Full> {
        self.requests.encode(codec, out)?;
        self.states.encode(codec, out)
    }
}
