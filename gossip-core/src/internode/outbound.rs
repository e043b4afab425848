//! A connection that we dialled, up to the moment from which it only carries our frames (`docs/protocol/handshake.md`).

use core::fmt;

use super::handshake::{Accept, HandshakeError, Initiate, VersionRange};
use crate::version::MessagingVersion;
use crate::wire::{Full, Writer};

/// A connection that we dialled: our half of its handshake.
///
/// Send [`Outbound::initiate_bytes`] first and give in whatever arrives. Nothing arrives on a good connection but the
/// one answer; who dials has to limit the wait for it, since an acceptor may never give one.
#[derive(Clone, Debug)]
pub struct Outbound {
    initiate: Initiate,
    reply: [u8; Accept::SIZE],
    received: usize,
    has_failed: bool,
}

/// What came of the bytes that arrived on a dialled connection.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum OutboundEvent {
    /// Frames may be sent, in the framing that was announced.
    Established {
        /// The version to encode for, on this connection.
        version: MessagingVersion,
        /// The newest version the peer speaks.
        peer_max: u32,
    },
    /// The connection is of no use: close it.
    Failed(OutboundError),
}

impl Outbound {
    /// A connection that opens with `initiate`.
    pub const fn new(initiate: Initiate) -> Self {
        Self { initiate, reply: [0; Accept::SIZE], received: 0, has_failed: false }
    }

    /// What the connection opens with.
    pub const fn initiate(&self) -> &Initiate {
        &self.initiate
    }

    /// Writes what is to be sent first.
    ///
    /// # Errors
    ///
    /// [`Full`] if there is no room for all of it; [`Initiate::MAX_SIZE`] bytes are always enough.
    pub fn initiate_bytes(&self, out: &mut Writer<'_>) -> Result<(), Full> {
        self.initiate.encode(out)
    }

    /// What has come of the answer so far.
    pub(crate) fn reply(&self) -> &[u8] {
        self.reply.get(..self.received).unwrap_or_default()
    }

    /// Takes in what arrived. After [`OutboundEvent::Failed`] everything is ignored.
    pub fn handle_bytes(&mut self, bytes: &[u8]) -> Option<OutboundEvent> {
        if bytes.is_empty() || self.has_failed {
            return None;
        }
        self.handle_reply(bytes).unwrap_or_else(|error| {
            self.has_failed = true;
            Some(OutboundEvent::Failed(error))
        })
    }

    fn handle_reply(&mut self, bytes: &[u8]) -> Result<Option<OutboundEvent>, OutboundError> {
        let free = self.reply.get_mut(self.received..).unwrap_or_default();
        let taken = free.len().min(bytes.len());
        for (place, byte) in free.iter_mut().zip(bytes) {
            *place = *byte;
        }
        self.received += taken;
        let Some((accept, _)) = Accept::decode(self.reply()).map_err(OutboundError::Handshake)? else {
            return Ok(None);
        };
        if bytes.len() > taken {
            return Err(OutboundError::BytesAfterAccept { bytes: bytes.len() - taken });
        }
        let ours = self.initiate.versions();
        let Some(version) = usable_version(accept.version).filter(|_| ours.contains(accept.version)) else {
            let Accept { max: peer_max, version } = accept;
            return Err(OutboundError::Incompatible { version, peer_max, ours });
        };
        Ok(Some(OutboundEvent::Established { version, peer_max: accept.max }))
    }
}

/// The version with this number, if frames and headers as they are here belong to it.
pub(super) fn usable_version(number: u32) -> Option<MessagingVersion> {
    MessagingVersion::from_number(number).filter(|version| *version >= MessagingVersion::V12)
}

/// Why a dialled connection is of no use.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum OutboundError {
    /// The answer is not one that we understand.
    Handshake(HandshakeError),
    /// The acceptor speaks no version that we do.
    Incompatible {
        /// Of its versions the one closest to ours.
        version: u32,
        /// The newest version it speaks.
        peer_max: u32,
        /// What we offered.
        ours: VersionRange,
    },
    /// An acceptor sends nothing after its answer, and here more came.
    BytesAfterAccept {
        /// How many bytes came with the answer, or in the first piece after it.
        bytes: usize,
    },
}

impl fmt::Display for OutboundError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Handshake(error) => error.fmt(f),
            Self::Incompatible { version, peer_max, ours: VersionRange { min, max } } => {
                write!(
                    f,
                    "the peer offers version {version} (its newest is {peer_max}) and we speak {min} to {max}"
                )
            }
            Self::BytesAfterAccept { bytes } => write!(f, "{bytes} bytes follow the acceptor's answer"),
        }
    }
}

impl core::error::Error for OutboundError {}
