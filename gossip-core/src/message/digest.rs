//! Digests: who is known, and how far (`docs/protocol/gossip-messages.md#digest`).

use super::Codec;
use crate::endpoint::Endpoint;
use crate::version::{Generation, Known, Version};
use crate::wire::{AddressForm, DecodeError, Full, Reader, Writer};

/// The size of a digest of an IPv4 address with its port, in bytes.
pub(crate) const PACKED: usize = 15;

/// How far the sender knows an endpoint; in an ACK, from where it wants to know more.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Digest {
    /// Who is known.
    pub endpoint: Endpoint,
    /// Of which generation.
    pub generation: Generation,
    /// Up to which version: the greatest of its heartbeat and all its values.
    pub max_version: Version,
}

impl Digest {
    /// Takes a digest; public because Cassandra keeps loose ones in files.
    ///
    /// # Errors
    ///
    /// What [`Reader::endpoint`] says.
    #[inline]
    pub fn decode(reader: &mut Reader<'_>, form: AddressForm) -> Result<Self, DecodeError> {
        // Nearly every digest is of an IPv4 address with its port: read at once, it costs a third.
        if form == AddressForm::WithPort
            && let Some([_, a, b, c, d, p0, p1, g0, g1, g2, g3, v0, v1, v2, v3]) =
                reader.array_starting::<PACKED>(6)
        {
            return Ok(Self {
                endpoint: Endpoint::v4([a, b, c, d], u16::from_be_bytes([p0, p1])),
                generation: Generation::new(i32::from_be_bytes([g0, g1, g2, g3])),
                max_version: Version::new(i32::from_be_bytes([v0, v1, v2, v3])),
            });
        }
        Self::decode_any(reader, form)
    }

    #[cold]
    fn decode_any(reader: &mut Reader<'_>, form: AddressForm) -> Result<Self, DecodeError> {
        let endpoint = reader.endpoint(form)?;
        let generation = Generation::new(reader.i32("a digest's generation")?);
        let max_version = Version::new(reader.i32("a digest's version")?);
        Ok(Self { endpoint, generation, max_version })
    }

    /// Writes it.
    ///
    /// # Errors
    ///
    /// As [`Writer::bytes`].
    #[inline]
    pub fn encode(&self, codec: Codec, out: &mut Writer<'_>) -> Result<(), Full> {
        if codec.address_form() == AddressForm::WithPort
            && let Some(packed) = self.endpoint.packed_v4()
        {
            pack(packed, Known::new(self.generation, self.max_version), out.place()?);
            return Ok(());
        }
        self.encode_any(codec, out)
    }

    #[cold]
    fn encode_any(&self, codec: Codec, out: &mut Writer<'_>) -> Result<(), Full> {
        out.atomically(|out| {
            out.endpoint(self.endpoint, codec.address_form())?;
            out.i32(self.generation.get())?;
            out.i32(self.max_version.get())
        })
    }
}

/// Endpoint and what is known of it, of one of [`Digests::packed`].
#[inline]
pub(crate) fn read_packed(digest: &[u8; PACKED]) -> (u64, Known) {
    // Two words that overlap by a byte: put together byte by byte they cost as much as their look-up.
    let (first, last) = (digest.first_chunk().copied(), digest.last_chunk().copied());
    let address = u64::from_be_bytes(first.unwrap_or_default());
    (address << 8 >> 16, Known::from_wire(last.unwrap_or_default()))
}

/// Fills in the digest of an IPv4 endpoint in 48 bits, with its port.
///
/// In place: put together elsewhere of two words that overlap, it could not be read back before both were stored.
#[inline]
pub(crate) fn pack(packed: u64, known: Known, digest: &mut [u8; PACKED]) {
    if let Some(first) = digest.first_chunk_mut() {
        *first = (6 << 56 | packed << 8).to_be_bytes();
    }
    if let Some(last) = digest.last_chunk_mut() {
        *last = known.to_wire();
    }
}

/// A list of digests, in the order of the message.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Digests<'a> {
    bytes: &'a [u8],
    count: usize,
    form: AddressForm,
    /// Whether all are of IPv4 addresses with ports.
    is_packed: bool,
}

impl<'a> Digests<'a> {
    pub(super) fn decode(reader: &mut Reader<'a>, form: AddressForm) -> Result<Self, DecodeError> {
        let count = reader.count(form.min_size() + 8, "the number of digests")?;
        let start = reader.rest();
        if form == AddressForm::WithPort
            && let Some(bytes) = start.get(..count * PACKED)
            && bytes.as_chunks::<PACKED>().0.iter().all(|digest| digest[0] == 6)
        {
            reader.bytes(bytes.len(), "the digests")?;
            return Ok(Self { bytes, count, form, is_packed: true });
        }
        for _ in 0..count {
            Digest::decode(reader, form)?;
        }
        let bytes = start.get(..start.len() - reader.len()).unwrap_or_default();
        Ok(Self { bytes, count, form, is_packed: false })
    }

    pub(super) fn encode(&self, codec: Codec, out: &mut Writer<'_>) -> Result<(), Full> {
        out.i32(i32::try_from(self.count).map_err(|_| Full)?)?;
        if codec.address_form() == self.form {
            return out.bytes(self.bytes);
        }
        self.iter().try_for_each(|digest| digest.encode(codec, out))
    }

    /// How many there are.
    pub const fn len(&self) -> usize {
        self.count
    }

    /// Whether there are none.
    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The digests as they lie there, if all are of IPv4 addresses with ports, as they nearly always are.
    pub(crate) fn packed(&self) -> Option<&'a [[u8; PACKED]]> {
        self.is_packed.then_some(self.bytes.as_chunks().0)
    }

    /// What the first digest of an endpoint says of it.
    pub(crate) fn find(&self, endpoint: Endpoint) -> Option<Known> {
        let Some(packed) = self.packed() else {
            let found = self.iter().find(|digest| digest.endpoint == endpoint)?;
            return Some(Known::new(found.generation, found.max_version));
        };
        let wanted = endpoint.packed_v4()?;
        packed.iter().map(read_packed).find(|(address, _)| *address == wanted).map(|(_, known)| known)
    }

    /// The digests, one after the other.
    pub fn iter(&self) -> impl Iterator<Item = Digest> + use<'a> {
        let mut reader = Reader::new(self.bytes);
        let form = self.form;
        core::iter::from_fn(move || Digest::decode(&mut reader, form).ok())
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::*;
    use crate::version::MessagingVersion;

    #[test]
    fn digests_of_ipv4_endpoints_lie_together() {
        let mut bytes = [0; 4 + 2 * PACKED];
        bytes[3] = 2;
        let (head, digests) = bytes.split_at_mut(4);
        for (n, digest) in (1..).zip(digests.as_chunks_mut().0) {
            let endpoint = Endpoint::v4([10, 0, 0, n], 7_000);
            pack(endpoint.packed_v4().unwrap(), Known::new(Generation::new(5), Version::new(6)), digest);
        }
        assert_eq!(head, [0, 0, 0, 2]);
        let decoded = Digests::decode(&mut Reader::new(&bytes), AddressForm::WithPort).unwrap();
        assert_eq!(decoded.packed().map(<[_]>::len), Some(2));
        let second = decoded.iter().nth(1).unwrap();
        assert_eq!(second.endpoint, Endpoint::v4([10, 0, 0, 2], 7_000));
        assert_eq!((second.generation.get(), second.max_version.get()), (5, 6));
    }

    #[test]
    fn the_digest_of_one_endpoint_is_found_packed_or_not() {
        let v4 = |n| Endpoint::v4([10, 0, 0, n], 7_000);
        let v6 = Endpoint::v6([7; 16], 7_000);
        for others in [vec![v4(1), v4(2)], vec![v4(1), v6, v4(2)]] {
            let mut bytes = [0; 100];
            let mut out = Writer::new(&mut bytes);
            out.i32(i32::try_from(others.len()).unwrap()).unwrap();
            for (n, endpoint) in (5..).zip(&others) {
                let generation = Generation::new(n);
                let digest = Digest { endpoint: *endpoint, generation, max_version: Version::new(6) };
                digest.encode(Codec::new(MessagingVersion::V12), &mut out).unwrap();
            }
            let decoded = Digests::decode(&mut Reader::new(out.written()), AddressForm::WithPort).unwrap();
            assert_eq!(decoded.packed().is_some(), others.len() == 2);
            for (n, endpoint) in (5..).zip(&others) {
                let known = Known::new(Generation::new(n), Version::new(6));
                assert_eq!(decoded.find(*endpoint), Some(known));
            }
            let other_port = Endpoint::v4([10, 0, 0, 1], 7_001);
            assert_eq!([v4(3), other_port].map(|endpoint| decoded.find(endpoint)), [None; 2]);
            assert_eq!(decoded.find(v6).is_some(), others.len() == 3);
        }
    }

    const WITHOUT_PORT: AddressForm = AddressForm::WithoutPort { storage_port: 7_000 };

    /// Where addresses have no port they begin with 4 or 16.
    #[test]
    fn what_is_an_address_with_port_is_none_where_addresses_have_no_port() {
        let mut digest = [0; PACKED];
        pack(
            Endpoint::v4([10, 0, 0, 1], 7_000).packed_v4().unwrap(),
            Known::new(Generation::new(5), Version::new(6)),
            &mut digest,
        );
        assert!(Digest::decode(&mut Reader::new(&digest), AddressForm::WithPort).is_ok());
        assert!(Digest::decode(&mut Reader::new(&digest), WITHOUT_PORT).is_err());
        let mut list = [0; 4 + PACKED];
        list[3] = 1;
        list[4..].copy_from_slice(&digest);
        assert!(Digests::decode(&mut Reader::new(&list), AddressForm::WithPort).is_ok());
        assert!(Digests::decode(&mut Reader::new(&list), WITHOUT_PORT).is_err());
    }
}
