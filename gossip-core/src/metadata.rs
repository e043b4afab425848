//! The identifier of the cluster metadata of Cassandra 6.0 (`docs/protocol/cassandra-6.md`).

use core::fmt;
use core::net::IpAddr;
use core::str::FromStr;

use crate::endpoint::Endpoint;
use crate::wire::{DecodeError, Full, Reader, Writer};

/// The identifier of a cluster's metadata. Each SYN of messaging version 14 carries it, and a node of Cassandra 6.0 drops a SYN with
/// another one than its own.
///
/// It is the hash of the address of the node that initialised the metadata service.
///
/// ```
/// use gossip_core::{Endpoint, MetadataId};
///
/// let id = MetadataId::of_initialiser(Endpoint::v4([192, 168, 1, 10], 7000));
/// assert_eq!(id, MetadataId::new(-1_062_724_510));
/// assert_eq!("-1062724510".parse(), Ok(id));
/// ```
#[cfg_attr(feature = "serde", derive(serde::Deserialize, serde::Serialize), serde(transparent))]
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct MetadataId(i32);

impl MetadataId {
    /// That of a cluster whose metadata service is not initialised; also what SYNs before version 14 count as.
    pub const NONE: Self = Self(0);

    /// The identifier with this number.
    pub const fn new(number: i32) -> Self {
        Self(number)
    }

    /// Its number.
    pub const fn get(self) -> i32 {
        self.0
    }

    /// Whether it is that of a cluster whose metadata service is not initialised.
    pub const fn is_none(self) -> bool {
        self.0 == 0
    }

    /// The identifier of a cluster whose metadata service the node at this address has initialised: Java's hash of it.
    pub fn of_initialiser(endpoint: Endpoint) -> Self {
        let address = match endpoint.ip() {
            IpAddr::V4(ip) => i32::from_be_bytes(ip.octets()),
            IpAddr::V6(ip) => ip.octets().chunks(4).fold(0_i32, |sum, group| {
                // Each group is summed from signed bytes.
                let group = group.iter().fold(0_i32, |value, byte| {
                    value.wrapping_mul(256).wrapping_add(i32::from(byte.cast_signed()))
                });
                sum.wrapping_add(group)
            }),
        };
        Self(address.wrapping_add(i32::from(endpoint.port())))
    }

    /// Takes one out of a message.
    ///
    /// # Errors
    ///
    /// [`DecodeError::Truncated`]; [`DecodeError::OutOfRange`] for a number of more than 32 bits, as in Cassandra.
    pub fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        const FIELD: &str = "the metadata id";
        let before = *reader;
        let value = reader.uvint(FIELD)?;
        i32::try_from(value.cast_signed()).map(Self).map_err(|_| {
            *reader = before;
            DecodeError::OutOfRange { field: FIELD, value }
        })
    }

    /// Writes it, sign-extended: 9 bytes for a negative one.
    ///
    /// # Errors
    ///
    /// [`Full`] if there is no room; nothing is written then.
    pub fn encode(self, out: &mut Writer<'_>) -> Result<(), Full> {
        out.uvint(i64::from(self.0).cast_unsigned())
    }
}

/// Where the identifier is from that the SYNs of a node carry.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub enum MetadataOrigin {
    /// No node has sent one.
    #[default]
    None,
    /// It was given with the configuration.
    Given,
    /// It was saved by an earlier process.
    Saved,
    /// A node was asked for it.
    Answer {
        /// Who.
        from: Endpoint,
    },
    /// A node's own SYN carried it.
    Syn {
        /// Whose.
        from: Endpoint,
    },
    /// It is the node's own: it behaves like a node of Cassandra 6.0.
    Own,
}

impl fmt::Display for MetadataOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("no node has sent one"),
            Self::Given => f.write_str("given by hand"),
            Self::Saved => f.write_str("saved by an earlier run"),
            Self::Answer { from } => write!(f, "{from} was asked"),
            Self::Syn { from } => write!(f, "a SYN of {from} carried it"),
            Self::Own => f.write_str("its own"),
        }
    }
}

impl fmt::Display for MetadataId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for MetadataId {
    type Err = core::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_are_hashes_of_addresses_and_sign_extended() {
        let v4 = |ip: [u8; 4]| Endpoint::v4(ip, 7000);
        let loopback = Endpoint::v6([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1], 7000);
        let documentation = Endpoint::v6([0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1], 7000);
        let cases: [(Endpoint, i32, &[u8]); 5] = [
            (v4([127, 0, 0, 141]), 2_130_713_573, &[0xf0, 0x7f, 0, 0x1b, 0xe5]),
            (v4([127, 0, 0, 143]), 2_130_713_575, &[0xf0, 0x7f, 0, 0x1b, 0xe7]),
            (v4([192, 168, 1, 10]), -1_062_724_510, &[0xff, 0xff, 0xff, 0xff, 0xff, 0xc0, 0xa8, 0x1c, 0x62]),
            (loopback, 7_001, &[0x9b, 0x59]),
            (documentation, 536_946_705, &[0xf0, 0x20, 1, 0x28, 0x11]),
        ];
        for (endpoint, number, bytes) in cases {
            let id = MetadataId::of_initialiser(endpoint);
            assert_eq!(id, MetadataId::new(number), "{endpoint}");
            let mut buffer = [0; 9];
            let mut out = Writer::new(&mut buffer);
            id.encode(&mut out).unwrap();
            assert_eq!(out.written(), bytes, "{endpoint}");
            let mut reader = Reader::new(bytes);
            assert_eq!(MetadataId::decode(&mut reader), Ok(id));
            assert!(reader.is_empty());
        }
        // Cassandra refuses the same number without its sign.
        let unsigned = [0xf0, 0xc0, 0xa8, 0x1c, 0x62];
        let refused = MetadataId::decode(&mut Reader::new(&unsigned));
        assert_eq!(refused, Err(DecodeError::OutOfRange { field: "the metadata id", value: 3_232_242_786 }));
    }
}
