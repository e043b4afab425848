//! The two messages that open a connection (`docs/protocol/handshake.md`, `docs/protocol/handshake.md#version-negotiation`).

use core::fmt;

use crate::endpoint::Endpoint;
use crate::version::MessagingVersion;
use crate::wire::{AddressForm, Crc32, DecodeError, Full, Reader, Writer, crc32};

/// The first four bytes of every connection.
const MAGIC: u32 = 0xca55_2dfa;

/// The version from which on the handshake is this one.
const OLDEST: u8 = 12;

/// What a messaging connection is meant for; receivers do not insist on it.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[repr(u8)]
pub enum ConnectionType {
    /// Gossip and other urgent messages, up to 65,515 bytes.
    Urgent = 1,
    /// All others, up to 65,515 bytes.
    Small = 2,
    /// Whatever is larger.
    Large = 3,
}

impl ConnectionType {
    /// All three, in the order of their numbers.
    pub const ALL: [Self; 3] = [Self::Urgent, Self::Small, Self::Large];

    /// The type with this number, which a PING names as well.
    pub const fn from_number(number: u8) -> Option<Self> {
        match number {
            1 => Some(Self::Urgent),
            2 => Some(Self::Small),
            3 => Some(Self::Large),
            _ => None,
        }
    }

    /// The number on the wire.
    pub const fn number(self) -> u8 {
        self as u8
    }
}

/// What a connection carries.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum ConnectionKind {
    /// Messages.
    Messaging(ConnectionType),
    /// Messages, under the type number 0 that stands for no type. Cassandra takes it like any other.
    Untyped,
    /// Bulk data.
    Streaming,
}

/// How a connection's bytes are cut into frames: the dialler's choice.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[repr(u8)]
pub enum Framing {
    /// A checked header and an unchecked payload.
    Unprotected = 0,
    /// Payloads are compressed and checked.
    Lz4 = 1,
    /// Payloads are checked.
    Crc = 2,
}

impl Framing {
    /// All three, in the order of their numbers.
    pub const ALL: [Self; 3] = [Self::Unprotected, Self::Lz4, Self::Crc];

    /// The number on the wire.
    pub const fn number(self) -> u8 {
        self as u8
    }
}

/// A range of messaging versions, both ends included, by number: a peer's may lie beyond what we know.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct VersionRange {
    /// The oldest.
    pub min: u8,
    /// The newest.
    pub max: u8,
}

impl VersionRange {
    /// What this crate negotiates with nodes of Cassandra.
    pub const SUPPORTED: Self =
        Self { min: MessagingVersion::MIN_NEGOTIATED as u8, max: MessagingVersion::MAX_NEGOTIATED as u8 };

    /// What nodes of our own clusters negotiate. Version 14 says nothing more that they could use, and to others it says that a node has a
    /// metadata service.
    pub const WITHOUT_METADATA: Self =
        Self { min: MessagingVersion::MIN_NEGOTIATED as u8, max: MessagingVersion::V13 as u8 };

    /// Whether `version` lies in it.
    pub fn contains(self, version: u32) -> bool {
        (u32::from(self.min)..=u32::from(self.max)).contains(&version)
    }
}

/// What an acceptor makes of an [`Initiate`]; see [`negotiate`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Negotiated {
    /// The answer. It is sent in either case.
    pub accept: Accept,
    /// Whether the dialler can live with it; if not, the acceptor closes after its answer.
    pub compatible: bool,
}

/// Chooses the version of a connection: the dialler's newest, or of the acceptor's the one closest to it.
///
/// ```
/// use gossip_core::internode::{VersionRange, negotiate};
///
/// let negotiated = negotiate(VersionRange { min: 12, max: 14 }, VersionRange { min: 12, max: 13 });
/// assert!(negotiated.compatible);
/// assert_eq!(negotiated.accept.version, 13);
/// ```
pub fn negotiate(dialler: VersionRange, acceptor: VersionRange) -> Negotiated {
    // Not `clamp`, which panics on a range that is upside down.
    let version = u32::from(dialler.max.min(acceptor.max).max(acceptor.min));
    let accept = Accept { max: u32::from(acceptor.max), version };
    Negotiated { accept, compatible: dialler.contains(version) }
}

/// What a dialler sends first.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Initiate {
    /// What the connection is for.
    pub kind: ConnectionKind,
    /// How its frames will look.
    pub framing: Framing,
    /// The version the dialler believes the acceptor speaks. Never below 12, or 5.0 does not answer.
    pub request: u8,
    /// The oldest version the dialler accepts.
    pub min: u8,
    /// The newest version the dialler accepts.
    pub max: u8,
    /// Who the dialler is, whatever address it dials from.
    pub from: Endpoint,
}

impl Initiate {
    /// The size of the longest one, that of an IPv6 endpoint, in bytes.
    pub const MAX_SIZE: usize = 31;

    /// What a dialler sends that wants messages of `versions`; as 5.0, it requests the oldest of them.
    pub const fn messaging(
        connection: ConnectionType,
        framing: Framing,
        versions: VersionRange,
        from: Endpoint,
    ) -> Self {
        let kind = ConnectionKind::Messaging(connection);
        Self { kind, framing, request: versions.min, min: versions.min, max: versions.max, from }
    }

    /// The versions the dialler accepts.
    pub const fn versions(&self) -> VersionRange {
        VersionRange { min: self.min, max: self.max }
    }

    /// Writes it: 19 bytes, or 31 with an IPv6 endpoint.
    ///
    /// # Errors
    ///
    /// [`Full`] if there is no room; nothing is written then.
    pub fn encode(&self, out: &mut Writer<'_>) -> Result<(), Full> {
        let mut buffer = [0; Self::MAX_SIZE];
        let mut bytes = Writer::new(&mut buffer);
        bytes.u32(MAGIC)?;
        bytes.array([self.max, self.min, self.request, self.low_flags()])?;
        bytes.endpoint(self.from, AddressForm::WithPort)?;
        bytes.u32(crc32(bytes.written()))?;
        out.bytes(bytes.written())
    }

    /// Takes one from the front of `bytes`, and says how many bytes it had; `None` if it is not complete.
    ///
    /// # Errors
    ///
    /// Any [`HandshakeError`] but [`HandshakeError::LegacyReply`]: the connection is of no use. Reported as soon as
    /// the bytes that show it are there.
    ///
    /// Deviation: 5.0 waits for ever, and keeps silent, when the newest version or the requested one is below 12. We
    /// report [`HandshakeError::Legacy`], as the dialler has no time-out of its own.
    pub fn decode(bytes: &[u8]) -> Result<Option<(Self, usize)>, HandshakeError> {
        complete(Self::take(bytes))
    }

    fn take(bytes: &[u8]) -> Result<(Self, usize), Interrupted> {
        let mut reader = Reader::new(bytes);
        let magic = reader.u32("the magic")?;
        if magic != MAGIC {
            return Err(HandshakeError::Magic { found: magic }.into());
        }
        let [max, min, request, low] = reader.array("the flags")?;
        if max < OLDEST || request < OLDEST {
            return Err(HandshakeError::Legacy { request, max }.into());
        }
        let from = reader.endpoint(AddressForm::WithPort)?;
        check_crc(bytes, &mut reader)?;

        let framing = match (low >> 2 & 1) | (low >> 3 & 2) {
            0 => Framing::Unprotected,
            1 => Framing::Lz4,
            2 => Framing::Crc,
            id => return Err(HandshakeError::Framing { id }.into()),
        };
        let kind = match ConnectionType::from_number(low & 3) {
            _ if low & STREAMING != 0 => ConnectionKind::Streaming,
            Some(connection) => ConnectionKind::Messaging(connection),
            None => ConnectionKind::Untyped,
        };
        Ok((Self { kind, framing, request, min, max, from }, bytes.len() - reader.len()))
    }

    fn low_flags(&self) -> u8 {
        let kind = match self.kind {
            ConnectionKind::Messaging(connection) => connection.number(),
            ConnectionKind::Untyped => 0,
            ConnectionKind::Streaming => STREAMING,
        };
        // The two bits of the framing have the streaming bit between them.
        let framing = self.framing.number();
        kind | (framing & 1) << 2 | (framing & 2) << 3
    }
}

/// The bit in the last byte of the flags that tells bulk data from messages.
const STREAMING: u8 = 1 << 3;

/// What an acceptor answers, once.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Accept {
    /// The newest version the acceptor speaks.
    pub max: u32,
    /// The version to use on this connection, or a reason to close it.
    pub version: u32,
}

impl Accept {
    /// Its size in bytes.
    pub const SIZE: usize = 12;

    /// The bytes of it.
    pub fn to_bytes(self) -> [u8; Self::SIZE] {
        let mut bytes = [0; Self::SIZE];
        let [m0, m1, m2, m3, v0, v1, v2, v3, crc @ ..] = &mut bytes;
        [*m0, *m1, *m2, *m3] = self.max.to_be_bytes();
        [*v0, *v1, *v2, *v3] = self.version.to_be_bytes();
        let mut sum = Crc32::new();
        sum.update(&self.max.to_be_bytes());
        sum.update(&self.version.to_be_bytes());
        *crc = sum.finish().to_be_bytes();
        bytes
    }

    /// Writes it.
    ///
    /// # Errors
    ///
    /// [`Full`] if there is no room; nothing is written then.
    pub fn encode(&self, out: &mut Writer<'_>) -> Result<(), Full> {
        out.array(self.to_bytes())
    }

    /// Takes one from the front of `bytes`, and says how many bytes it had; `None` if it is not complete.
    ///
    /// # Errors
    ///
    /// [`HandshakeError::LegacyReply`] from an acceptor before 4.0, whose reply is shorter;
    /// [`HandshakeError::Crc`].
    pub fn decode(bytes: &[u8]) -> Result<Option<(Self, usize)>, HandshakeError> {
        complete(Self::take(bytes))
    }

    fn take(bytes: &[u8]) -> Result<(Self, usize), Interrupted> {
        let mut reader = Reader::new(bytes);
        let max = reader.u32("the acceptor's version")?;
        if max < u32::from(OLDEST) {
            return Err(HandshakeError::LegacyReply { version: max }.into());
        }
        let version = reader.u32("the version to use")?;
        check_crc(bytes, &mut reader)?;
        Ok((Self { max, version }, bytes.len() - reader.len()))
    }
}

/// Takes the checksum that `reader` stands before, which covers everything in `bytes` that was read so far.
fn check_crc(bytes: &[u8], reader: &mut Reader<'_>) -> Result<(), Interrupted> {
    let (covered, _) = bytes.split_at(bytes.len() - reader.len());
    let found = reader.u32("the checksum")?;
    let expected = crc32(covered);
    if found == expected { Ok(()) } else { Err(HandshakeError::Crc { expected, found }.into()) }
}

/// Why a message of the handshake was not read to its end.
enum Interrupted {
    Incomplete,
    Wrong(HandshakeError),
}

impl From<HandshakeError> for Interrupted {
    fn from(error: HandshakeError) -> Self {
        Self::Wrong(error)
    }
}

impl From<DecodeError> for Interrupted {
    fn from(error: DecodeError) -> Self {
        match error {
            DecodeError::AddressLength { length } => Self::Wrong(HandshakeError::AddressLength { length }),
            // All else that is read here has a fixed size, and can only be cut short.
            _ => Self::Incomplete,
        }
    }
}

fn complete<T>(taken: Result<T, Interrupted>) -> Result<Option<T>, HandshakeError> {
    match taken {
        Ok(message) => Ok(Some(message)),
        Err(Interrupted::Incomplete) => Ok(None),
        Err(Interrupted::Wrong(error)) => Err(error),
    }
}

/// Why bytes do not open a connection.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum HandshakeError {
    /// The connection does not begin as Cassandra's do: TLS, HTTP, or anything else.
    Magic {
        /// The four bytes it begins with.
        found: u32,
    },
    /// The dialler is older than 4.0, or thinks that we are.
    Legacy {
        /// The version it asks for.
        request: u8,
        /// The newest version it accepts; 0 before 4.0.
        max: u8,
    },
    /// The acceptor is older than 4.0.
    LegacyReply {
        /// Its version.
        version: u32,
    },
    /// There is no framing with this number.
    Framing {
        /// The number.
        id: u8,
    },
    /// The dialler's address is not one of 6 or 18 bytes. (Deviation from 4.x, as 5.0: 4 and 16, without a port, are
    /// not taken either.)
    AddressLength {
        /// The length byte.
        length: u8,
    },
    /// The checksum does not fit.
    Crc {
        /// What it should be.
        expected: u32,
        /// What it is.
        found: u32,
    },
}

impl fmt::Display for HandshakeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Magic { found } => write!(f, "begins with {found:#010x}, not with Cassandra's magic"),
            Self::Legacy { request, max } => {
                write!(f, "asks for version {request} and accepts up to {max}, and 12 is the oldest spoken")
            }
            Self::LegacyReply { version } => {
                write!(f, "the acceptor speaks version {version}, and 12 is the oldest spoken")
            }
            Self::Framing { id } => write!(f, "there is no framing {id}"),
            Self::AddressLength { length } => write!(f, "an address of length {length}"),
            Self::Crc { expected, found } => {
                write!(f, "the handshake's checksum is {found:#010x} and should be {expected:#010x}")
            }
        }
    }
}

impl core::error::Error for HandshakeError {}
