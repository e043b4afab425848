//! What stands before the body of a message (`docs/protocol/message-header.md`).

use crate::verb::Verb;
use crate::version::MessagingVersion;
use crate::wire::{DecodeError, Full, Reader, Writer, uvint_size};

/// The size of the longest header without parameters, in bytes.
pub const MAX_HEADER: usize = 9 + 9 + 4 + 9 + 9 + 9 + 1 + 9;

/// How far a sender's clock may be off before its times are disregarded: 15 minutes, in milliseconds.
pub const MAX_CLOCK_SKEW_MILLIS: u64 = 15 * 60 * 1_000;

/// What stands before the body of a message, from version 12 on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Header<'a> {
    /// What a response repeats; otherwise without meaning.
    pub id: u64,
    /// Epoch of the cluster metadata: version 14 only, else 0. Negative while a cluster is upgraded to Cassandra 6.0.
    ///
    /// Anything but 0 that is ahead of the receiver's makes that ask for what it lacks: this crate never sends another.
    pub epoch: i64,
    /// When the message was made: the low 32 bits of milliseconds since the Unix epoch, see [`created_at_millis`].
    pub created_at: u32,
    /// Milliseconds from then until it expires; negative for a response that comes too late.
    pub expires_in: i64,
    /// What the message is.
    pub verb: Verb,
    /// A set of bits; unknown ones are to be ignored.
    pub flags: u64,
    /// Things said by the way, none of which gossip needs.
    pub params: Params<'a>,
    /// The size of the body that follows, in bytes.
    pub payload_size: usize,
}

impl<'a> Header<'a> {
    /// The flag that asks for a [`Verb::FAILURE_RSP`] if the message cannot be handled.
    pub const CALL_BACK_ON_FAILURE: u64 = 1;

    /// Takes a header and leaves the reader before the body.
    ///
    /// Deviation: longer forms of numbers than needed are accepted; Cassandra loses its place after one.
    ///
    /// # Errors
    ///
    /// [`DecodeError::Truncated`] if it is not all there; [`DecodeError::TooLong`] if the body is announced with more
    /// than 2³¹ − 1 bytes, which is the most Cassandra can have.
    pub fn decode(reader: &mut Reader<'a>, version: MessagingVersion) -> Result<Self, DecodeError> {
        const PAYLOAD_SIZE: &str = "the payload size";
        let id = reader.uvint("the message id")?;
        let epoch = if version.has_metadata_id() { reader.uvint("the epoch")?.cast_signed() } else { 0 };
        let created_at = reader.u32("the creation time")?;
        let expires_in = reader.uvint("the time to expiry")?.cast_signed();
        let verb = Verb::new(reader.uvint("the verb")?);
        let flags = reader.uvint("the flags")?;
        let params = Params::decode(reader)?;
        let before = *reader;
        let length = reader.uvint(PAYLOAD_SIZE)?;
        let payload_size =
            i32::try_from(length).ok().and_then(|size| usize::try_from(size).ok()).ok_or_else(|| {
                *reader = before;
                DecodeError::TooLong { field: PAYLOAD_SIZE, length }
            })?;
        Ok(Self { id, epoch, created_at, expires_in, verb, flags, params, payload_size })
    }

    /// Writes the header; the body is to follow.
    ///
    /// # Errors
    ///
    /// [`Full`] if there is no room for all of it; nothing is written then.
    pub fn encode(&self, version: MessagingVersion, out: &mut Writer<'_>) -> Result<(), Full> {
        out.atomically(|out| {
            out.uvint(self.id)?;
            if version.has_metadata_id() {
                out.uvint(self.epoch.cast_unsigned())?;
            }
            out.u32(self.created_at)?;
            out.uvint(self.expires_in.cast_unsigned())?;
            out.uvint(self.verb.number())?;
            out.uvint(self.flags)?;
            out.uvint(self.params.count)?;
            for param in self.params {
                param.encode(out)?;
            }
            out.uvint(self.payload_size as u64)
        })
    }

    /// How many bytes [`Header::encode`] writes.
    pub fn encoded_len(&self, version: MessagingVersion) -> usize {
        let epoch = if version.has_metadata_id() { uvint_size(self.epoch.cast_unsigned()) } else { 0 };
        uvint_size(self.id)
            + epoch
            + size_of::<u32>()
            + uvint_size(self.expires_in.cast_unsigned())
            + uvint_size(self.verb.number())
            + uvint_size(self.flags)
            + uvint_size(self.params.count)
            + self.params.into_iter().map(Param::encoded_len).sum::<usize>()
            + uvint_size(self.payload_size as u64)
    }

    /// When the message expires, in milliseconds since the Unix epoch, for a receiver that takes it at `now_millis`.
    pub fn expires_at(&self, now_millis: u64, timeout: CrossNodeTimeout) -> u64 {
        let start = match timeout {
            CrossNodeTimeout::Enabled => created_at_millis(self.created_at, now_millis),
            CrossNodeTimeout::Disabled => now_millis,
        };
        start.saturating_add_signed(self.expires_in)
    }

    /// Whether the message has expired when it is received at `now_millis`, milliseconds since the Unix
    /// epoch.
    ///
    /// Without cross-node timeouts that holds only for one whose time to expiry was not positive from the start.
    pub fn is_expired(&self, now_millis: u64, timeout: CrossNodeTimeout) -> bool {
        self.expires_at(now_millis, timeout) <= now_millis
    }

    /// The header of a response with a body of `payload_size` bytes, made at `now_millis`.
    ///
    /// It has the id of the request and ends with it, at `expires_at`; both times are in milliseconds since the Unix
    /// epoch.
    pub fn response(
        &self,
        verb: Verb,
        payload_size: usize,
        expires_at: u64,
        now_millis: u64,
    ) -> Header<'static> {
        Header {
            id: self.id,
            // Never that of the request: a request does not teach the answering node about the cluster's metadata.
            epoch: 0,
            created_at: low_word(now_millis),
            // Both are times; a difference beyond the range of the type means nothing either way.
            expires_in: expires_at.wrapping_sub(now_millis).cast_signed(),
            verb,
            flags: 0,
            params: Params::NONE,
            payload_size,
        }
    }
}

/// Whether the clock of a message's sender counts for its expiry (`internode_timeout`, `cross_node_timeout`).
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum CrossNodeTimeout {
    /// It does, as in Cassandra since 4.0: the time on the way is part of the message's life.
    #[default]
    Enabled,
    /// It does not: a message's life begins when it is received.
    Disabled,
}

/// When a message was made, in milliseconds since the Unix epoch, from the low 32 bits of that and the local time.
///
/// The moment closest to `now_millis` is meant. Where that is more than [`MAX_CLOCK_SKEW_MILLIS`] off, the sender's
/// clock is disregarded and the message counts as made now.
pub fn created_at_millis(low: u32, now_millis: u64) -> u64 {
    let ahead = low.wrapping_sub(low_word(now_millis)).cast_signed();
    if u64::from(ahead.unsigned_abs()) > MAX_CLOCK_SKEW_MILLIS {
        return now_millis;
    }
    now_millis.checked_add_signed(i64::from(ahead)).unwrap_or(now_millis)
}

/// The low 32 bits.
pub(crate) const fn low_word(millis: u64) -> u32 {
    let [_, _, _, _, a, b, c, d] = millis.to_be_bytes();
    u32::from_be_bytes([a, b, c, d])
}

/// The size of a whole message, header and body, of which `prefix` is the beginning; `None` if that is too short to
/// tell.
///
/// # Errors
///
/// As [`Header::decode`], without [`DecodeError::Truncated`].
pub fn infer_size(prefix: &[u8], version: MessagingVersion) -> Result<Option<usize>, DecodeError> {
    let mut reader = Reader::new(prefix);
    match Header::decode(&mut reader, version) {
        Ok(header) => Ok(Some((prefix.len() - reader.len()).saturating_add(header.payload_size))),
        Err(DecodeError::Truncated { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// The parameters of a message, as they lie in its header.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Params<'a> {
    count: u64,
    bytes: &'a [u8],
}

impl<'a> Params<'a> {
    /// No parameters.
    pub const NONE: Params<'static> = Params { count: 0, bytes: &[] };

    /// Puts parameters together in `buffer`, for a header that is to carry some.
    ///
    /// # Errors
    ///
    /// [`Full`] if there is no room for all of them.
    pub fn new(params: &[Param<'_>], buffer: &'a mut [u8]) -> Result<Self, Full> {
        let mut out = Writer::new(buffer);
        for param in params {
            param.encode(&mut out)?;
        }
        let len = out.len();
        let bytes = buffer.get(..len).unwrap_or_default();
        Ok(Self { count: params.len() as u64, bytes })
    }

    /// How many there are.
    pub const fn len(&self) -> u64 {
        self.count
    }

    /// Whether there are none.
    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The parameters.
    pub const fn iter(&self) -> ParamsIter<'a> {
        ParamsIter { rest: Reader::new(self.bytes) }
    }

    fn decode(reader: &mut Reader<'a>) -> Result<Self, DecodeError> {
        let count = reader.uvint("the parameter count")?;
        let start = *reader;
        // Each takes two bytes or more, so that a count without parameters to it soon ends the loop.
        for _ in 0..count {
            Param::decode(reader)?;
        }
        let (bytes, _) = start.rest().split_at(start.len() - reader.len());
        Ok(Self { count, bytes })
    }
}

impl<'a> IntoIterator for Params<'a> {
    type IntoIter = ParamsIter<'a>;
    type Item = Param<'a>;

    fn into_iter(self) -> ParamsIter<'a> {
        self.iter()
    }
}

/// Iterates over the parameters of a message; see [`Params::iter`].
#[derive(Clone, Debug)]
pub struct ParamsIter<'a> {
    rest: Reader<'a>,
}

impl<'a> Iterator for ParamsIter<'a> {
    type Item = Param<'a>;

    fn next(&mut self) -> Option<Param<'a>> {
        Param::decode(&mut self.rest).ok()
    }
}

/// One parameter of a message.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Param<'a> {
    /// What it is: a number of Cassandra's `ParamType`.
    pub id: u64,
    /// Its value, whose form the number decides.
    pub value: &'a [u8],
}

impl<'a> Param<'a> {
    fn decode(reader: &mut Reader<'a>) -> Result<Self, DecodeError> {
        const FIELD: &str = "a parameter";
        let id = reader.uvint(FIELD)?;
        // A length beyond the address space is beyond the bytes that are there, too.
        let length = usize::try_from(reader.uvint(FIELD)?).unwrap_or(usize::MAX);
        Ok(Self { id, value: reader.bytes(length, FIELD)? })
    }

    fn encode(self, out: &mut Writer<'_>) -> Result<(), Full> {
        out.uvint(self.id)?;
        out.uvint(self.value.len() as u64)?;
        out.bytes(self.value)
    }

    fn encoded_len(self) -> usize {
        uvint_size(self.id) + uvint_size(self.value.len() as u64) + self.value.len()
    }
}
