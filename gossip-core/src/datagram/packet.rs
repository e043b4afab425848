//! The bytes of a packet.

use core::fmt;

use crate::endpoint::Endpoint;
use crate::verb::Verb;
use crate::version::Generation;
use crate::wire::{AddressForm, Full, Reader, Writer, crc32};

/// What every packet begins with.
const MAGIC: [u8; 2] = *b"gs";

/// The version of this layout. A receiver that does not know it drops the packet.
const VERSION: u8 = 1;

const FLAG_SEALED: u8 = 1;

/// The longest header: that of a sealed packet from an IPv6 address, and the tag behind its messages.
pub(crate) const MAX_HEADER: usize = 4 + 8 + 19 + 4 + 8 + 8 + SEAL_HEADER + 16;

/// What the header of a sealed packet has more: the id of the key, what the process drew, the counter.
const SEAL_HEADER: usize = 4 + 12 + 8;

/// What stands before the body of each message: verb, id, length.
pub(crate) const HEAD: usize = 1 + 4 + 2;

/// Which cluster a packet belongs to: checksums (CRC-32) of its name and its partitioner. A SYN carries the names as well.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct ClusterId(u64);

impl ClusterId {
    /// That of a cluster; both names in modified UTF-8.
    pub fn new(cluster: &[u8], partitioner: &[u8]) -> Self {
        Self(u64::from(crc32(cluster)) << 32 | u64::from(crc32(partitioner)))
    }
}

impl fmt::Display for ClusterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// Proof that a packet was received.
#[derive(Clone, Copy, Eq, Hash, PartialEq)]
pub struct Cookie(u64);

impl Cookie {
    /// None was received yet.
    pub const NONE: Self = Self(0);

    pub(crate) const fn new(number: u64) -> Self {
        Self(number)
    }
}

impl fmt::Debug for Cookie {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Cookie({:016x})", self.0)
    }
}

/// What stands before the messages of a packet.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Header {
    /// Which cluster it belongs to.
    pub cluster: ClusterId,
    /// Who sent it.
    pub sender: Endpoint,
    /// The generation of the process that sent it.
    pub generation: Generation,
    /// What the receiver is to repeat.
    pub given: Cookie,
    /// What the receiver gave: [`Cookie::NONE`] if nothing has come from it yet.
    pub repeated: Cookie,
    /// How the messages are sealed, if they are.
    pub seal: Option<Seal>,
}

/// Under which key and nonce the messages of a packet are sealed. The generation belongs to the nonce as well.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Seal {
    /// The id of the key.
    pub key: [u8; 4],
    /// What the sending process drew when it started.
    pub process: [u8; 12],
    /// Counts the packets of that process.
    pub counter: u64,
}

impl Header {
    /// Takes the header off the front of a packet, and gives what follows it.
    ///
    /// # Errors
    ///
    /// [`PacketError`] if it is no packet of ours, or cut off.
    pub fn decode(packet: &[u8]) -> Result<(Self, &[u8]), PacketError> {
        let mut reader = Reader::new(packet);
        let cut = |_| PacketError::Truncated { length: packet.len() };
        let [m0, m1, version, flags] = reader.array("the start of a packet").map_err(cut)?;
        if [m0, m1] != MAGIC {
            return Err(PacketError::Magic);
        }
        if version != VERSION {
            return Err(PacketError::Version { version });
        }
        if flags & !FLAG_SEALED != 0 {
            return Err(PacketError::Flags { flags });
        }
        let cluster = ClusterId(u64::from_be_bytes(reader.array("the cluster").map_err(cut)?));
        let sender = reader.endpoint(AddressForm::WithPort).map_err(|_| PacketError::Sender)?;
        let generation = Generation::new(reader.i32("the generation").map_err(cut)?);
        let given = Cookie(u64::from_be_bytes(reader.array("a cookie").map_err(cut)?));
        let repeated = Cookie(u64::from_be_bytes(reader.array("a cookie").map_err(cut)?));
        let seal = if flags & FLAG_SEALED == 0 {
            None
        } else {
            let key = reader.array("the id of a key").map_err(cut)?;
            let process = reader.array("a nonce").map_err(cut)?;
            let counter = u64::from_be_bytes(reader.array("a nonce").map_err(cut)?);
            Some(Seal { key, process, counter })
        };
        Ok((Self { cluster, sender, generation, given, repeated, seal }, reader.rest()))
    }

    /// Writes the header.
    ///
    /// # Errors
    ///
    /// [`Full`] if there is no room for all of it.
    pub fn encode(&self, out: &mut Writer<'_>) -> Result<(), Full> {
        out.atomically(|out| {
            out.array(MAGIC)?;
            out.u8(VERSION)?;
            out.u8(if self.seal.is_some() { FLAG_SEALED } else { 0 })?;
            out.array(self.cluster.0.to_be_bytes())?;
            out.endpoint(self.sender, AddressForm::WithPort)?;
            out.i32(self.generation.get())?;
            out.array(self.given.0.to_be_bytes())?;
            out.array(self.repeated.0.to_be_bytes())?;
            if let Some(seal) = &self.seal {
                out.array(seal.key)?;
                out.array(seal.process)?;
                out.array(seal.counter.to_be_bytes())?;
            }
            Ok(())
        })
    }
}

/// A message of a packet, not decoded yet.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct RawMessage<'a> {
    /// What kind it is.
    pub verb: Verb,
    /// Its id; that of the request if it is a response.
    pub id: u64,
    /// To be read by [`Message::decode`](crate::message::Message::decode), in the version [`BODIES`](super::BODIES).
    pub body: &'a [u8],
}

/// The messages of a packet, in order. Ends after the first that is cut off.
#[derive(Clone, Debug)]
pub struct DatagramMessages<'a> {
    rest: &'a [u8],
}

impl<'a> DatagramMessages<'a> {
    /// Those in what follows a header, opened if it was sealed.
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }
}

impl<'a> Iterator for DatagramMessages<'a> {
    type Item = Result<RawMessage<'a>, PacketError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let length = self.rest.len();
        let message = self.rest.split_first_chunk::<HEAD>().and_then(|(head, rest)| {
            let [verb, i0, i1, i2, i3, l0, l1] = *head;
            let (body, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes([l0, l1])))?;
            self.rest = rest;
            let id = u64::from(u32::from_be_bytes([i0, i1, i2, i3]));
            Some(RawMessage { verb: Verb::new(u64::from(verb)), id, body })
        });
        Some(message.ok_or_else(|| {
            self.rest = &[];
            PacketError::Truncated { length }
        }))
    }
}

/// Writes what stands before a body of `length` bytes.
pub(crate) fn encode_head(verb: Verb, id: u64, length: usize, out: &mut Writer<'_>) -> Result<(), Full> {
    out.u8(u8::try_from(verb.number()).map_err(|_| Full)?)?;
    // Ids that we give out have 31 bits, and those that are repeated came in 32.
    out.u32(u32::try_from(id).map_err(|_| Full)?)?;
    out.u16(u16::try_from(length).map_err(|_| Full)?)
}

/// Why a packet cannot be read.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum PacketError {
    /// It does not begin as ours do.
    Magic,
    /// It is of a version that is not known here.
    Version {
        /// Which.
        version: u8,
    },
    /// It has flags that are not known here.
    Flags {
        /// Which.
        flags: u8,
    },
    /// Its sender has no address.
    Sender,
    /// It ends within something.
    Truncated {
        /// How many bytes there were.
        length: usize,
    },
}

impl fmt::Display for PacketError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Magic => f.write_str("it is no packet of ours"),
            Self::Version { version } => write!(f, "it is a packet of version {version}; {VERSION} is known"),
            Self::Flags { flags } => write!(f, "it has flags that are not known: {flags:#04x}"),
            Self::Sender => f.write_str("its sender has no valid address"),
            Self::Truncated { length } => write!(f, "it ends too early, after {length} bytes"),
        }
    }
}

impl core::error::Error for PacketError {}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;

    fn header(seal: Option<Seal>) -> Header {
        Header {
            cluster: ClusterId::new(b"my cluster", b"p"),
            sender: Endpoint::v4([10, 0, 0, 1], 7000),
            generation: Generation::new(0x0102_0304),
            given: Cookie(0x1112_1314_1516_1718),
            repeated: Cookie::NONE,
            seal,
        }
    }

    fn encoded(header: &Header) -> Vec<u8> {
        let mut buffer = [0; MAX_HEADER];
        let mut out = Writer::new(&mut buffer);
        header.encode(&mut out).unwrap();
        out.written().to_vec()
    }

    #[test]
    fn the_layout_is_this() {
        let mut bytes = encoded(&header(None));
        let cluster = header(None).cluster.0.to_be_bytes();
        let expected = [
            &b"gs\x01\x00"[..],
            &cluster,
            &[6, 10, 0, 0, 1, 0x1b, 0x58],
            &[1, 2, 3, 4],
            &[0x11, 0x12, 0x13, 0x14, 0x15, 0x16, 0x17, 0x18],
            &[0; 8],
        ]
        .concat();
        assert_eq!(bytes, expected);
        bytes.extend([31, 0, 0, 1, 2, 0, 0, 91, 0, 0, 0, 7, 0, 2, 0xaa, 0xbb]);
        let (decoded, rest) = Header::decode(&bytes).unwrap();
        assert_eq!(decoded, header(None));
        let messages: Vec<_> = DatagramMessages::new(rest).map(Result::unwrap).collect();
        assert_eq!(
            messages,
            [
                RawMessage { verb: Verb::ECHO_REQ, id: 258, body: &[] },
                RawMessage { verb: Verb::ECHO_RSP, id: 7, body: &[0xaa, 0xbb] },
            ]
        );
    }

    #[test]
    fn sealed_headers_come_back() {
        let seal = Seal { key: [1, 2, 3, 4], process: [5; 12], counter: 6 };
        let bytes = encoded(&header(Some(seal)));
        assert_eq!(bytes.len(), MAX_HEADER - 12 - 16);
        assert_eq!(Header::decode(&bytes), Ok((header(Some(seal)), &[][..])));
    }

    #[test]
    fn no_prefix_decodes() {
        for seal in [None, Some(Seal { key: [1; 4], process: [5; 12], counter: 6 })] {
            let bytes = encoded(&header(seal));
            for length in 0..bytes.len() {
                assert!(Header::decode(&bytes[..length]).is_err());
            }
        }
        let message = [31, 0, 0, 1, 2, 0, 1, 0xaa];
        for length in 1..message.len() {
            let messages: Vec<_> = DatagramMessages::new(&message[..length]).collect();
            assert_eq!(messages, [Err(PacketError::Truncated { length })]);
        }
    }

    #[test]
    fn what_is_not_ours_is_refused() {
        let good = encoded(&header(None));
        for (at, value, expected) in [
            (0, b'x', PacketError::Magic),
            (2, 2, PacketError::Version { version: 2 }),
            (3, 2, PacketError::Flags { flags: 2 }),
            (12, 5, PacketError::Sender),
        ] {
            let mut bytes = good.clone();
            bytes[at] = value;
            assert_eq!(Header::decode(&bytes), Err(expected));
        }
    }

    #[test]
    fn what_is_shown_says_what_it_is_and_what_is_wrong() {
        use alloc::string::ToString;

        assert_eq!(ClusterId(0x1f).to_string(), "000000000000001f");
        assert_eq!(alloc::format!("{:?}", Cookie(0x2f)), "Cookie(000000000000002f)");
        for (error, part) in [
            (PacketError::Magic, "no packet of ours"),
            (PacketError::Version { version: 9 }, "version 9"),
            (PacketError::Flags { flags: 0x81 }, "0x81"),
            (PacketError::Sender, "no valid address"),
            (PacketError::Truncated { length: 17 }, "17 bytes"),
        ] {
            assert!(error.to_string().contains(part), "{error}");
        }
    }
}
