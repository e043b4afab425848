//! Where bytes are not what they should be, and what should be there.

use gossip_core::wire::{DecodeError, Reader};

/// What is wrong, and where.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Fault {
    /// How many of the bytes that were read are good.
    pub(crate) at: usize,
    pub(crate) expected: String,
    pub(crate) found: String,
}

impl Fault {
    /// What `error` says of `bytes`, where `reader` came upon it.
    pub(crate) fn new(error: DecodeError, bytes: &[u8], reader: &Reader<'_>) -> Self {
        let left = reader.len();
        let at = bytes.len() - left;
        let (at, expected, found) = match error {
            DecodeError::Truncated { field } => (at, field.to_owned(), end_after(left)),
            DecodeError::Trailing { bytes } => {
                (at, "the end".to_owned(), format!("{} more", bytes_of(bytes as u64)))
            }
            DecodeError::Count { field, count } => {
                // The count itself is read, and not part of what is left for what it counts.
                let room = left.saturating_sub(size_of::<i32>());
                (at, format!("{field} that the {room} bytes after it can hold"), count.to_string())
            }
            DecodeError::TooLong { field, length } => {
                (at, format!("{field} of at most 2147483647"), length.to_string())
            }
            DecodeError::AddressLength { length } => (
                at,
                "an address of a length that this version has (6 or 18; 4 or 16 before 4.0)".to_owned(),
                format!("length {length}"),
            ),
            DecodeError::DuplicateKey { key } => {
                (at, "a key that was not there before".to_owned(), format!("{key} again"))
            }
            DecodeError::String { field, valid_up_to } => {
                let at = at + size_of::<u16>() + valid_up_to;
                let byte = bytes.get(at).map_or_else(|| "the end".to_owned(), |byte| format!("{byte:#04x}"));
                (at, format!("{field} in modified UTF-8"), byte)
            }
            error => (at, "something else".to_owned(), error.to_string()),
        };
        Self { at, expected, found }
    }
}

/// What is found where bytes end too early.
pub(crate) fn end_after(bytes: usize) -> String {
    match bytes {
        0 => "the end".to_owned(),
        some => format!("the end after {}", bytes_of(some as u64)),
    }
}

/// So many bytes, in words.
pub(crate) fn bytes_of(count: u64) -> String {
    match count {
        1 => "1 byte".to_owned(),
        count => format!("{count} bytes"),
    }
}
