//! The bodies of gossip messages (`docs/protocol/gossip-messages.md`): borrowed views when decoding, whole or not at all.
//!
//! A body is checked to its last byte before a view of it exists, strings included: every receiver must be able to
//! decode what is relayed. Encoding goes into a borrowed [`Writer`].

mod ack;
mod ack2;
mod digest;
mod peer_log;
mod shutdown;
mod state;
mod syn;

pub use ack::Ack;
pub use ack2::Ack2;
pub use digest::{Digest, Digests};
pub(crate) use digest::{PACKED, pack, read_packed};
pub use peer_log::{PeerLog, PeerLogRequest};
pub use shutdown::Shutdown;
pub use state::{EndpointState, MAX_STATES, StateMap, Value};
pub(crate) use state::{
    HEARTBEAT, Run, encode_head as encode_state_head, encode_heartbeat, pack_heartbeat, read_heartbeat,
};
pub use syn::Syn;
pub(crate) use syn::encode_head as encode_syn_head;

use crate::verb::Verb;
use crate::version::MessagingVersion;
use crate::wire::{AddressForm, DecodeError, Full, Reader, Writer};

/// What decides how a body is written.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Codec {
    /// The version negotiated on the connection.
    pub version: MessagingVersion,
    /// The port of every endpoint in versions 10 and 11, whose addresses carry none.
    pub storage_port: u16,
}

impl Codec {
    /// The codec of `version`, with Cassandra's usual port where addresses carry none.
    pub const fn new(version: MessagingVersion) -> Self {
        Self { version, storage_port: 7000 }
    }

    /// How addresses are written.
    pub const fn address_form(self) -> AddressForm {
        AddressForm::of(self.version, self.storage_port)
    }
}

/// One gossip message.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Message<'a> {
    /// Opens an exchange: what the sender knows, as digests.
    Syn(Syn<'a>),
    /// Answers a SYN: what the sender wants, and what it knows better.
    Ack(Ack<'a>),
    /// Ends an exchange: what was asked for.
    Ack2(Ack2<'a>),
    /// Asks whether the receiver can be reached.
    EchoRequest,
    /// Says so; the message carries the id of the request.
    EchoResponse,
    /// The sender stops.
    Shutdown(Shutdown<'a>),
}

impl<'a> Message<'a> {
    /// Decodes the whole of `body`, which came under `verb`.
    ///
    /// `None` if the verb is not one of gossip. On versions 10 and 11 the response to an echo comes under a general
    /// verb, which only who sent the request can tell: it is not decoded here.
    ///
    /// # Errors
    ///
    /// Whatever is wrong with the body; nothing of it is then to be used.
    pub fn decode(verb: Verb, body: &'a [u8], codec: Codec) -> Option<Result<Self, DecodeError>> {
        Self::take(verb, &mut Reader::new(body), codec)
    }

    /// [`Message::decode`] of all that `reader` has left. After an error the reader stands where it came up.
    ///
    /// # Errors
    ///
    /// As [`Message::decode`].
    pub fn take(verb: Verb, reader: &mut Reader<'a>, codec: Codec) -> Option<Result<Self, DecodeError>> {
        let message = match verb {
            Verb::GOSSIP_DIGEST_SYN => Syn::decode(reader, codec).map(Self::Syn),
            Verb::GOSSIP_DIGEST_ACK => Ack::decode(reader, codec).map(Self::Ack),
            Verb::GOSSIP_DIGEST_ACK2 => Ack2::decode(reader, codec).map(Self::Ack2),
            Verb::ECHO_REQ => Ok(Self::EchoRequest),
            Verb::ECHO_RSP => Ok(Self::EchoResponse),
            Verb::GOSSIP_SHUTDOWN => Shutdown::decode(reader, codec).map(Self::Shutdown),
            _ => return None,
        };
        Some(message.and_then(|message| reader.finish().map(|()| message)))
    }

    /// Writes the body.
    ///
    /// # Errors
    ///
    /// [`Full`] if there is no room for all of it.
    pub fn encode(&self, codec: Codec, out: &mut Writer<'_>) -> Result<(), Full> {
        out.atomically(|out| match self {
            Self::Syn(syn) => syn.encode(codec, out),
            Self::Ack(ack) => ack.encode(codec, out),
            Self::Ack2(ack2) => ack2.encode(codec, out),
            Self::EchoRequest | Self::EchoResponse => Ok(()),
            Self::Shutdown(shutdown) => shutdown.encode(codec, out),
        })
    }

    /// The verb under which it travels from version 12 on.
    pub const fn verb(&self) -> Verb {
        match self {
            Self::Syn(_) => Verb::GOSSIP_DIGEST_SYN,
            Self::Ack(_) => Verb::GOSSIP_DIGEST_ACK,
            Self::Ack2(_) => Verb::GOSSIP_DIGEST_ACK2,
            Self::EchoRequest => Verb::ECHO_REQ,
            Self::EchoResponse => Verb::ECHO_RSP,
            Self::Shutdown(_) => Verb::GOSSIP_SHUTDOWN,
        }
    }

    /// For the log: of how many endpoints it tells or asks.
    #[cfg(feature = "tracing")]
    pub(crate) const fn entries(&self) -> usize {
        match self {
            Self::Syn(syn) => syn.digests.len(),
            Self::Ack(ack) => ack.requests.len() + ack.states.len(),
            Self::Ack2(ack2) => ack2.states.len(),
            Self::EchoRequest | Self::EchoResponse => 0,
            Self::Shutdown(_) => 1,
        }
    }
}
