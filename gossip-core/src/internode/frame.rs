//! The frames that a connection's bytes are cut into (`docs/protocol/framing.md`).

use core::fmt;
use core::ops::Range;

use lz4_flex::block::{CompressTable, compress_into_with_table, get_maximum_output_size};

use super::handshake::Framing;
use crate::wire::{crc24, crc32};

/// The most bytes that a frame's payload can have, compressed or not: its length has 17 bits.
pub const MAX_FRAME_PAYLOAD: usize = LENGTH_MASK as usize;

/// The size of the header that stands before the payload of a frame that is not LZ4, in bytes.
pub const CRC_HEADER: usize = 6;

/// The size of the header that stands before the payload of an LZ4 frame, in bytes.
pub const LZ4_HEADER: usize = 8;

/// The size of the checksum that follows a payload, in bytes; unprotected frames have none.
pub const CRC_TRAILER: usize = 4;

const LENGTH_BITS: u32 = 17;
const LENGTH_MASK: u32 = (1 << LENGTH_BITS) - 1;

impl Framing {
    /// The size of what stands before a payload, in bytes.
    pub const fn header_len(self) -> usize {
        match self {
            Self::Unprotected | Self::Crc => CRC_HEADER,
            Self::Lz4 => LZ4_HEADER,
        }
    }

    /// The size of what follows a payload, in bytes.
    pub const fn trailer_len(self) -> usize {
        match self {
            Self::Unprotected => 0,
            Self::Lz4 | Self::Crc => CRC_TRAILER,
        }
    }
}

/// What the payload of a frame consists of.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum FrameKind {
    /// Whole messages, any number of them.
    SelfContained,
    /// A piece of one message that is larger than a frame. The first holds all of the message's header, the last
    /// nothing after the message's end.
    Piece,
}

/// What the header of a frame says.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct FrameHeader {
    /// What the payload consists of.
    pub kind: FrameKind,
    /// The size of the payload as it is transmitted, in bytes.
    pub len: usize,
    /// The size it has when decompressed, in bytes; `None` if it is not compressed.
    pub decompressed: Option<usize>,
}

impl FrameHeader {
    /// Reads the header from the front of `bytes`, where it takes [`Framing::header_len`] bytes; `None` if it is not
    /// complete. Spare bits are ignored, as Cassandra does.
    ///
    /// # Errors
    ///
    /// [`FrameHeaderError`] if its checksum does not fit: where the next frame begins is unknown then.
    pub fn decode(framing: Framing, bytes: &[u8]) -> Result<Option<Self>, FrameHeaderError> {
        let decoded = match framing {
            Framing::Unprotected | Framing::Crc => {
                let Some([b0, b1, b2, crc @ ..]) = bytes.first_chunk::<CRC_HEADER>() else { return Ok(None) };
                check(&[*b0, *b1, *b2], *crc)?;
                let bits = u32::from_le_bytes([*b0, *b1, *b2, 0]);
                let kind = kind(bits >> LENGTH_BITS & 1 != 0);
                Self { kind, len: length(bits), decompressed: None }
            }
            Framing::Lz4 => {
                let Some([b0, b1, b2, b3, b4, crc @ ..]) = bytes.first_chunk::<LZ4_HEADER>() else {
                    return Ok(None);
                };
                check(&[*b0, *b1, *b2, *b3, *b4], *crc)?;
                let low = u32::from_le_bytes([*b0, *b1, *b2, *b3]);
                let decompressed = length(low >> LENGTH_BITS | u32::from(*b4) << (32 - LENGTH_BITS));
                let decompressed = if decompressed == 0 { None } else { Some(decompressed) };
                Self { kind: kind(b4 >> 2 & 1 != 0), len: length(low), decompressed }
            }
        };
        Ok(Some(decoded))
    }

    /// The size of the payload as its reader sees it, in bytes.
    pub const fn payload_len(&self) -> usize {
        match self.decompressed {
            Some(len) => len,
            None => self.len,
        }
    }
}

fn check(header: &[u8], crc: [u8; 3]) -> Result<(), FrameHeaderError> {
    let [c0, c1, c2] = crc;
    let found = u32::from_le_bytes([c0, c1, c2, 0]);
    let expected = crc24(header);
    if found == expected { Ok(()) } else { Err(FrameHeaderError { expected, found }) }
}

const fn kind(self_contained: bool) -> FrameKind {
    if self_contained { FrameKind::SelfContained } else { FrameKind::Piece }
}

const fn length(bits: u32) -> usize {
    (bits & LENGTH_MASK) as usize
}

/// The checksum of a frame's header does not fit.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct FrameHeaderError {
    /// What it should be: 24 bits.
    pub expected: u32,
    /// What it is.
    pub found: u32,
}

impl fmt::Display for FrameHeaderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { expected, found } = self;
        write!(f, "the frame header's checksum is {found:#08x} and should be {expected:#08x}")
    }
}

impl core::error::Error for FrameHeaderError {}

/// Makes a frame of the payload that lies in `buffer` at `payload`, and returns where the frame lies.
///
/// The header goes into the [`Framing::header_len`] bytes before the payload, the checksum into the
/// [`Framing::trailer_len`] bytes after it; the payload stays as it is. An LZ4 frame holds it uncompressed, which every
/// receiver takes; [`Lz4Encoder`] compresses.
///
/// # Errors
///
/// [`FrameEncodeError::TooLong`] above [`MAX_FRAME_PAYLOAD`]; [`FrameEncodeError::NoRoom`] if `buffer` does not reach
/// as far as header and checksum do. Nothing is written then.
///
/// ```
/// use gossip_core::internode::{FrameKind, Framing, wrap};
///
/// let mut buffer = *b"------hello----";
/// let frame = wrap(Framing::Crc, FrameKind::SelfContained, &mut buffer, 6..11)?;
/// assert_eq!(buffer[frame][..6], [0x05, 0x00, 0x02, 0x19, 0x99, 0x9a]);
/// # Ok::<(), gossip_core::internode::FrameEncodeError>(())
/// ```
pub fn wrap(
    framing: Framing,
    kind: FrameKind,
    buffer: &mut [u8],
    payload: Range<usize>,
) -> Result<Range<usize>, FrameEncodeError> {
    const NO_ROOM: FrameEncodeError = FrameEncodeError::NoRoom;
    let len = payload.len();
    let bits = checked_length(len)?;
    let start = payload.start.checked_sub(framing.header_len()).ok_or(NO_ROOM)?;
    let end = payload.end.checked_add(framing.trailer_len()).ok_or(NO_ROOM)?;
    let frame = buffer.get_mut(start..end).ok_or(NO_ROOM)?;
    let (header, rest) = frame.split_at_mut_checked(framing.header_len()).ok_or(NO_ROOM)?;
    let (payload, trailer) = rest.split_at_mut_checked(len).ok_or(NO_ROOM)?;
    match framing {
        Framing::Unprotected | Framing::Crc => header.copy_from_slice(&crc_header(kind, bits)),
        Framing::Lz4 => header.copy_from_slice(&lz4_header(kind, bits, 0)),
    }
    if let Some(trailer) = trailer.first_chunk_mut() {
        *trailer = crc32(payload).to_le_bytes();
    }
    Ok(start..end)
}

fn checked_length(len: usize) -> Result<u32, FrameEncodeError> {
    match u32::try_from(len) {
        Ok(bits) if bits <= LENGTH_MASK => Ok(bits),
        _ => Err(FrameEncodeError::TooLong { len }),
    }
}

fn crc_header(kind: FrameKind, len: u32) -> [u8; CRC_HEADER] {
    let flag = u32::from(kind == FrameKind::SelfContained) << LENGTH_BITS;
    let [b0, b1, b2, _] = (len | flag).to_le_bytes();
    let [c0, c1, c2, _] = crc24(&[b0, b1, b2]).to_le_bytes();
    [b0, b1, b2, c0, c1, c2]
}

fn lz4_header(kind: FrameKind, compressed: u32, decompressed: u32) -> [u8; LZ4_HEADER] {
    let flag = u64::from(kind == FrameKind::SelfContained) << (2 * LENGTH_BITS);
    let bits = u64::from(compressed) | u64::from(decompressed) << LENGTH_BITS | flag;
    let [b0, b1, b2, b3, b4, ..] = bits.to_le_bytes();
    let [c0, c1, c2, _] = crc24(&[b0, b1, b2, b3, b4]).to_le_bytes();
    [b0, b1, b2, b3, b4, c0, c1, c2]
}

/// Makes LZ4 frames. It keeps the compressor's table, 16 KiB, so that no frame allocates.
pub struct Lz4Encoder {
    table: CompressTable,
}

impl Lz4Encoder {
    /// Allocates the table.
    pub fn new() -> Self {
        // The large table serves payloads of any size; a small one would be replaced at the first long payload.
        Self { table: CompressTable::large() }
    }

    /// How many bytes the buffer for a frame of `payload_len` bytes must have: a little more than the frame, as the
    /// compressor wants room for its worst case.
    pub const fn room(payload_len: usize) -> usize {
        LZ4_HEADER + get_maximum_output_size(payload_len) + CRC_TRAILER
    }

    /// Writes a frame to the front of `out` and returns its size in bytes. What would not shrink is stored as it is.
    ///
    /// # Errors
    ///
    /// [`FrameEncodeError::TooLong`] above [`MAX_FRAME_PAYLOAD`]; [`FrameEncodeError::NoRoom`] if `out` has fewer bytes
    /// than [`Lz4Encoder::room`] says.
    pub fn encode(
        &mut self,
        kind: FrameKind,
        payload: &[u8],
        out: &mut [u8],
    ) -> Result<usize, FrameEncodeError> {
        const NO_ROOM: FrameEncodeError = FrameEncodeError::NoRoom;
        let decompressed = checked_length(payload.len())?;
        let (header, rest) = out.split_first_chunk_mut::<LZ4_HEADER>().ok_or(NO_ROOM)?;
        let room =
            rest.len().checked_sub(CRC_TRAILER).and_then(|room| rest.get_mut(..room)).ok_or(NO_ROOM)?;
        let compressed = compress_into_with_table(payload, room, &mut self.table).map_err(|_| NO_ROOM)?;
        let len = if compressed < payload.len() {
            *header = lz4_header(kind, checked_length(compressed)?, decompressed);
            compressed
        } else {
            room.get_mut(..payload.len()).ok_or(NO_ROOM)?.copy_from_slice(payload);
            *header = lz4_header(kind, decompressed, 0);
            payload.len()
        };
        let (sent, rest) = rest.split_at_mut_checked(len).ok_or(NO_ROOM)?;
        *rest.first_chunk_mut().ok_or(NO_ROOM)? = crc32(sent).to_le_bytes();
        Ok(LZ4_HEADER + len + CRC_TRAILER)
    }
}

impl Default for Lz4Encoder {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Lz4Encoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lz4Encoder").finish_non_exhaustive()
    }
}

/// Why bytes do not become a frame.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum FrameEncodeError {
    /// The payload has more than [`MAX_FRAME_PAYLOAD`] bytes.
    TooLong {
        /// How many.
        len: usize,
    },
    /// The buffer has no room for the frame.
    NoRoom,
}

impl fmt::Display for FrameEncodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::TooLong { len } => {
                write!(f, "a frame of {len} bytes, and {MAX_FRAME_PAYLOAD} are the most")
            }
            Self::NoRoom => f.write_str("the buffer has no room for the frame"),
        }
    }
}

impl core::error::Error for FrameEncodeError {}
