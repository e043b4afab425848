//! Digests: who is known, and how far (`gossip-messages.md` §5).

use super::Codec;
use crate::endpoint::Endpoint;
use crate::version::{Generation, Version};
use crate::wire::{AddressForm, DecodeError, Full, Reader, Writer};

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
                reader.array_starting::<15>(6)
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
    pub fn encode(&self, codec: Codec, out: &mut Writer<'_>) -> Result<(), Full> {
        out.atomically(|out| {
            out.endpoint(self.endpoint, codec.address_form())?;
            out.i32(self.generation.get())?;
            out.i32(self.max_version.get())
        })
    }
}

/// A list of digests, in the order of the message.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Digests<'a> {
    bytes: &'a [u8],
    count: usize,
    form: AddressForm,
}

impl<'a> Digests<'a> {
    pub(super) fn decode(reader: &mut Reader<'a>, form: AddressForm) -> Result<Self, DecodeError> {
        let count = reader.count(form.min_size() + 8, "the number of digests")?;
        let start = reader.rest();
        for _ in 0..count {
            Digest::decode(reader, form)?;
        }
        let bytes = start.get(..start.len() - reader.len()).unwrap_or_default();
        Ok(Self { bytes, count, form })
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

    /// The digests, one after the other.
    pub fn iter(&self) -> impl Iterator<Item = Digest> + use<'a> {
        let mut reader = Reader::new(self.bytes);
        let form = self.form;
        core::iter::from_fn(move || Digest::decode(&mut reader, form).ok())
    }
}
