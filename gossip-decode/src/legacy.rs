//! The layout of messages before 4.0 (`docs/protocol/before-4-0.md`). The core never speaks it.

use gossip_core::wire::{AddressForm, DecodeError, Reader};
use gossip_core::{Endpoint, Verb};
use twox_hash::XxHash32;

use crate::fault::Fault;
use crate::record::Param;
use crate::tokens::hex;

/// What each message begins with, and each connection.
pub(crate) const MAGIC: [u8; 4] = [0xca, 0x55, 0x2d, 0xfa];

/// The most parameters that a message is believed to have; real ones have five or six.
const MAX_PARAMS: i32 = 1_000;

/// What stands before a body.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct LegacyHeader {
    pub(crate) id: i32,
    pub(crate) created_at: u32,
    pub(crate) from: Endpoint,
    pub(crate) verb: Verb,
    pub(crate) params: Vec<Param>,
    pub(crate) payload_size: usize,
}

/// Why bytes are no header, or no block.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Unread {
    /// They may become one: the end of them is missing.
    Truncated,
    Wrong(Fault),
}

impl LegacyHeader {
    /// Takes a header and leaves the reader before the body. Addresses have no port; everybody's is `storage_port`.
    pub(crate) fn decode(reader: &mut Reader<'_>, storage_port: u16) -> Result<Self, Unread> {
        let bytes = reader.rest();
        let wrong = |reader: &Reader<'_>, expected: &str, found: String| {
            let at = bytes.len() - reader.len();
            Unread::Wrong(Fault { at, expected: expected.to_owned(), found })
        };
        let taken = |reader: &Reader<'_>, error: DecodeError| match error {
            DecodeError::Truncated { .. } => Unread::Truncated,
            error => Unread::Wrong(Fault::new(error, bytes, reader)),
        };
        let magic: [u8; 4] = reader.array("the magic").map_err(|error| taken(reader, error))?;
        if magic != MAGIC {
            *reader = Reader::new(bytes);
            return Err(wrong(reader, "a message of before 4.0, which begins with ca552dfa", hex(&magic)));
        }
        let id = reader.i32("the message id").map_err(|error| taken(reader, error))?;
        let created_at = reader.u32("the creation time").map_err(|error| taken(reader, error))?;
        let form = AddressForm::WithoutPort { storage_port };
        let from = reader.endpoint(form).map_err(|error| taken(reader, error))?;
        let before = *reader;
        let verb = reader.i32("the verb").map_err(|error| taken(reader, error))?;
        let Ok(number) = u64::try_from(verb) else {
            return Err(wrong(&before, "a verb", verb.to_string()));
        };
        let before = *reader;
        let count = reader.i32("the parameter count").map_err(|error| taken(reader, error))?;
        if !(0..=MAX_PARAMS).contains(&count) {
            return Err(wrong(&before, "a count of parameters", count.to_string()));
        }
        let mut params = Vec::new();
        for _ in 0..count {
            let name = reader.string("the name of a parameter").map_err(|error| taken(reader, error))?;
            let before = *reader;
            let length = reader.i32("the length of a parameter").map_err(|error| taken(reader, error))?;
            let Ok(length) = usize::try_from(length) else {
                return Err(wrong(&before, "the length of a parameter", length.to_string()));
            };
            let value = reader.bytes(length, "a parameter").map_err(|error| taken(reader, error))?;
            let name = Some(name.to_text().into_owned());
            params.push(Param { id: None, name, value: hex(value), meaning: None });
        }
        let before = *reader;
        let size = reader.i32("the payload size").map_err(|error| taken(reader, error))?;
        let Ok(payload_size) = usize::try_from(size) else {
            return Err(wrong(&before, "the payload size", size.to_string()));
        };
        Ok(Self { id, created_at, from, verb: Verb::new(number), params, payload_size })
    }
}

/// What each block of a compressed connection begins with.
pub(crate) const BLOCK_MAGIC: [u8; 8] = *b"LZ4Block";
/// The size of what stands before a block, in bytes.
pub(crate) const BLOCK_HEADER: usize = 21;
/// The seed of the checksums of blocks, of which the upper four bits are not kept.
const SEED: u32 = 0x9747_b28c;
const SUM_MASK: u32 = 0x0fff_ffff;
/// An LZ4 block grows to this many times its size at the most.
const MAX_RATIO: usize = 255;

/// What stands before a block: Cassandra 3 compresses a connection as a stream of these.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct BlockHeader {
    pub(crate) is_compressed: bool,
    /// The size of what follows, in bytes.
    pub(crate) len: usize,
    /// The size that it has when decompressed.
    pub(crate) original: usize,
    sum: u32,
}

impl BlockHeader {
    /// Reads one from the front of `bytes`.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, Unread> {
        let wrong = |at, expected: &str, found: String| {
            Unread::Wrong(Fault { at, expected: expected.to_owned(), found })
        };
        let magic = bytes.get(..BLOCK_MAGIC.len().min(bytes.len())).unwrap_or_default();
        if !BLOCK_MAGIC.starts_with(magic) {
            return Err(wrong(0, "a compressed block, which begins with LZ4Block", hex(magic)));
        }
        let Some(header) = bytes.first_chunk::<BLOCK_HEADER>() else { return Err(Unread::Truncated) };
        let [_, _, _, _, _, _, _, _, token, numbers @ ..] = *header;
        let [l0, l1, l2, l3, o0, o1, o2, o3, s0, s1, s2, s3] = numbers;
        let len = u32::from_le_bytes([l0, l1, l2, l3]);
        let original = u32::from_le_bytes([o0, o1, o2, o3]);
        let is_compressed = match token & 0xf0 {
            0x10 => false,
            0x20 => true,
            _ => return Err(wrong(8, "the token of a block (1x or 2x)", format!("{token:02x}"))),
        };
        // The lower half of the token says how large blocks may be.
        let most = 1_u32 << (10 + u32::from(token & 0x0f));
        if original > most {
            return Err(wrong(13, "the size of a block that its token allows", original.to_string()));
        }
        let (len, original) = (len as usize, original as usize);
        if (!is_compressed && len != original)
            || original > len.saturating_mul(MAX_RATIO)
            || len > original.saturating_add(original / MAX_RATIO + 16)
        {
            return Err(wrong(9, "a length that fits the size of the block", len.to_string()));
        }
        Ok(Self { is_compressed, len, original, sum: u32::from_le_bytes([s0, s1, s2, s3]) })
    }

    /// What the block says that follows the header; `after` is all that follows.
    pub(crate) fn contents(&self, after: &[u8]) -> Result<Vec<u8>, Unread> {
        let Some(block) = after.get(..self.len) else { return Err(Unread::Truncated) };
        let contents = if self.is_compressed {
            let mut contents = vec![0; self.original];
            match lz4_flex::block::decompress_into(block, &mut contents) {
                Ok(size) if size == self.original => contents,
                outcome => {
                    let expected = format!("an LZ4 block that decompresses to {} bytes", self.original);
                    let found = match outcome {
                        Ok(size) => format!("one of {size} bytes"),
                        Err(error) => error.to_string(),
                    };
                    return Err(Unread::Wrong(Fault { at: BLOCK_HEADER, expected, found }));
                }
            }
        } else {
            block.to_vec()
        };
        let sum = XxHash32::oneshot(SEED, &contents) & SUM_MASK;
        // The end of a stream is a block without contents, and without a checksum.
        if sum == self.sum || contents.is_empty() {
            return Ok(contents);
        }
        // As they stand in the header.
        let [expected, found] = [sum, self.sum].map(|sum| hex(&sum.to_le_bytes()));
        let expected = format!("the checksum {expected} of a block");
        Err(Unread::Wrong(Fault { at: 17, expected, found }))
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A connection's bytes as Cassandra 3 compresses them, in blocks of at most `most` bytes.
    pub(crate) fn compress(bytes: &[u8], most: usize) -> Vec<u8> {
        let mut out = Vec::new();
        for contents in bytes.chunks(most) {
            let mut compressed = vec![0; lz4_flex::block::get_maximum_output_size(contents.len())];
            let size = lz4_flex::block::compress_into(contents, &mut compressed).unwrap();
            compressed.truncate(size);
            let (method, block) =
                if compressed.len() < contents.len() { (0x20, &compressed[..]) } else { (0x10, contents) };
            out.extend(BLOCK_MAGIC);
            // Blocks of 16 KiB.
            out.push(method | 4);
            for number in [block.len(), contents.len()] {
                out.extend(u32::try_from(number).unwrap().to_le_bytes());
            }
            out.extend((XxHash32::oneshot(SEED, contents) & SUM_MASK).to_le_bytes());
            out.extend(block);
        }
        out
    }

    #[test]
    fn blocks_survive_the_round_trip() {
        let original: Vec<u8> = (0..40_000_u32).map(|n| u8::try_from(n / 100 % 256).unwrap()).collect();
        let stream = compress(&original, 16_384);
        assert!(stream.len() < original.len() / 2);
        let mut rest = &stream[..];
        let mut contents = Vec::new();
        while !rest.is_empty() {
            for cut in 0..BLOCK_HEADER {
                assert_eq!(BlockHeader::decode(&rest[..cut]), Err(Unread::Truncated), "{cut}");
            }
            let header = BlockHeader::decode(rest).unwrap();
            let after = &rest[BLOCK_HEADER..];
            assert_eq!(header.contents(&after[..header.len - 1]), Err(Unread::Truncated));
            contents.extend(header.contents(after).unwrap());
            rest = &after[header.len..];
        }
        assert_eq!(contents, original);
    }

    #[test]
    fn damaged_blocks_say_where() {
        let at = |stream: &[u8]| {
            let read =
                BlockHeader::decode(stream).and_then(|header| header.contents(&stream[BLOCK_HEADER..]));
            match read.unwrap_err() {
                Unread::Wrong(fault) => fault.at,
                Unread::Truncated => panic!("not damaged"),
            }
        };
        let stream = compress(&[7; 1_000], 16_384);
        for (change, expected) in [(0, 0), (7, 0), (8, 8), (12, 9), (15, 13), (17, 17)] {
            let mut stream = stream.clone();
            stream[change] ^= 0x70;
            assert_eq!(at(&stream), expected, "{change}");
        }
        let mut raw = compress(b"raw", 16_384);
        assert_eq!(raw[8], 0x14);
        *raw.last_mut().unwrap() ^= 1;
        assert_eq!(at(&raw), 17, "the checksum is of the contents");
    }
}
