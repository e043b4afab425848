//! Taking things from the front of a byte slice.

use core::fmt;

/// Takes values from the front of a byte slice; integers are big-endian.
///
/// What cannot be taken stays: after an error the reader stands before the value that is not what it should be, so that
/// a tool can tell where it lies.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Reads from the start of `bytes`.
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// How many bytes are left.
    pub const fn len(&self) -> usize {
        self.rest.len()
    }

    /// Whether nothing is left.
    pub const fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// What is left.
    pub const fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// Ends reading.
    ///
    /// # Errors
    ///
    /// [`DecodeError::Trailing`] if anything is left.
    pub const fn finish(self) -> Result<(), DecodeError> {
        if self.rest.is_empty() { Ok(()) } else { Err(DecodeError::Trailing { bytes: self.rest.len() }) }
    }

    /// Takes the next `N` bytes.
    ///
    /// # Errors
    ///
    /// [`DecodeError::Truncated`] if there are fewer; likewise for all methods that take something.
    #[inline]
    pub fn array<const N: usize>(&mut self, field: &'static str) -> Result<[u8; N], DecodeError> {
        let (head, rest) = self.rest.split_first_chunk().ok_or(DecodeError::Truncated { field })?;
        self.rest = rest;
        Ok(*head)
    }

    /// Takes the next `N` bytes if there are so many and they begin with `first`; else takes nothing.
    #[inline]
    pub(crate) fn array_starting<const N: usize>(&mut self, first: u8) -> Option<[u8; N]> {
        let (head, rest) = self.rest.split_first_chunk().filter(|(head, _)| head.first() == Some(&first))?;
        self.rest = rest;
        Some(*head)
    }

    /// Takes the next `len` bytes.
    ///
    /// # Errors
    ///
    /// As [`Reader::array`].
    pub fn bytes(&mut self, len: usize, field: &'static str) -> Result<&'a [u8], DecodeError> {
        let (head, rest) = self.rest.split_at_checked(len).ok_or(DecodeError::Truncated { field })?;
        self.rest = rest;
        Ok(head)
    }

    /// Takes an unsigned byte.
    ///
    /// # Errors
    ///
    /// As [`Reader::array`].
    pub fn u8(&mut self, field: &'static str) -> Result<u8, DecodeError> {
        self.array(field).map(|[byte]| byte)
    }

    /// Takes an unsigned 16-bit integer.
    ///
    /// # Errors
    ///
    /// As [`Reader::array`].
    pub fn u16(&mut self, field: &'static str) -> Result<u16, DecodeError> {
        self.array(field).map(u16::from_be_bytes)
    }

    /// Takes an unsigned 32-bit integer.
    ///
    /// # Errors
    ///
    /// As [`Reader::array`].
    pub fn u32(&mut self, field: &'static str) -> Result<u32, DecodeError> {
        self.array(field).map(u32::from_be_bytes)
    }

    /// Takes a signed 32-bit integer.
    ///
    /// # Errors
    ///
    /// As [`Reader::array`].
    pub fn i32(&mut self, field: &'static str) -> Result<i32, DecodeError> {
        self.array(field).map(i32::from_be_bytes)
    }

    /// Takes a signed 32-bit count of things of at least `min_size` bytes each.
    ///
    /// # Errors
    ///
    /// [`DecodeError::Count`] if it is negative or more than the bytes that are left can hold, so that a count never
    /// sizes anything by itself; else as [`Reader::array`].
    pub fn count(&mut self, min_size: usize, field: &'static str) -> Result<usize, DecodeError> {
        let mut ahead = *self;
        let count = ahead.i32(field)?;
        match usize::try_from(count) {
            Ok(size) if size <= ahead.rest.len() / min_size.max(1) => {
                *self = ahead;
                Ok(size)
            }
            _ => Err(DecodeError::Count { field, count }),
        }
    }
}

/// Why bytes are not what they should be.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum DecodeError {
    /// The bytes end inside `field`.
    Truncated {
        /// What was being read.
        field: &'static str,
    },
    /// `bytes` bytes follow what should have been the end.
    Trailing {
        /// How many.
        bytes: usize,
    },
    /// A count is negative, or greater than what is there or allowed.
    Count {
        /// What it counts.
        field: &'static str,
        /// The count itself.
        count: i32,
    },
    /// Something is announced as longer than it can be.
    TooLong {
        /// What is that long.
        field: &'static str,
        /// Its announced length.
        length: u64,
    },
    /// A number is greater, or smaller, than it can be.
    OutOfRange {
        /// What it is.
        field: &'static str,
        /// The number, as it was read.
        value: u64,
    },
    /// An address is neither 4 nor 16 bytes, with or without port as the version has it.
    AddressLength {
        /// The length byte.
        length: u8,
    },
    /// A key that no release of Cassandra has stands twice in one state.
    DuplicateKey {
        /// Its number.
        key: i32,
    },
    /// A string that Java could not decode (`docs/protocol/primitives.md#modified-utf-8`).
    String {
        /// What was being read.
        field: &'static str,
        /// How many of its bytes are good.
        valid_up_to: usize,
    },
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Truncated { field } => write!(f, "the bytes end inside {field}"),
            Self::Trailing { bytes } => write!(f, "{bytes} bytes follow the end"),
            Self::Count { field, count } => write!(f, "{field} is {count}, which cannot be"),
            Self::TooLong { field, length } => write!(f, "{field} is {length}, which is too much"),
            Self::OutOfRange { field, value } => write!(f, "{field} is {value}, which is out of range"),
            Self::AddressLength { length } => write!(f, "an address of length {length}"),
            Self::DuplicateKey { key } => write!(f, "the key {key} stands twice in one state"),
            Self::String { field, valid_up_to } => {
                write!(f, "{field} is not modified UTF-8 after {valid_up_to} bytes")
            }
        }
    }
}

impl core::error::Error for DecodeError {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::AddressForm;

    #[test]
    fn a_reader_is_empty_once_all_is_taken() {
        let mut reader = Reader::new(&[7]);
        assert!(!reader.is_empty());
        assert_eq!((reader.u8("it"), reader.is_empty()), (Ok(7), true));
    }

    #[test]
    fn an_error_names_its_field() {
        let error = Reader::new(&[]).u8("version").unwrap_err();
        assert!(alloc::format!("{error}").contains("version"), "{error}");
    }

    #[test]
    fn what_cannot_be_taken_stays() {
        let mut bytes = [0xff; 8];
        let stays = |bytes: &[u8], take: &dyn Fn(&mut Reader<'_>) -> Option<DecodeError>| {
            let mut reader = Reader::new(bytes);
            take(&mut reader).unwrap();
            assert_eq!(reader.rest(), bytes);
        };
        stays(&bytes, &|reader| reader.array::<9>("it").err());
        stays(&bytes, &|reader| reader.bytes(9, "it").err());
        stays(&bytes, &|reader| reader.uvint("it").err());
        stays(&bytes, &|reader| reader.count(1, "it").err());
        stays(&bytes, &|reader| reader.string("it").err());
        stays(&bytes, &|reader| reader.endpoint(AddressForm::WithPort).err());
        // As long as it says, and no string.
        bytes[..2].copy_from_slice(&[0, 6]);
        stays(&bytes, &|reader| reader.string("it").err());
        // An address of the right length that is not all there.
        bytes[0] = 18;
        stays(&bytes, &|reader| reader.endpoint(AddressForm::WithPort).err());
        // More things than there are bytes for.
        bytes[..4].copy_from_slice(&[0, 0, 0, 2]);
        stays(&bytes, &|reader| reader.count(3, "it").err());
    }

    #[test]
    fn bytes_are_taken_together_if_there_are_so_many_and_they_begin_as_they_should() {
        let mut reader = Reader::new(&[6, 1, 2, 3]);
        assert_eq!(reader.array_starting::<3>(7), None);
        assert_eq!(reader.array_starting::<5>(6), None);
        assert_eq!((reader.array_starting::<3>(6), reader.rest()), (Some([6, 1, 2]), [3].as_slice()));
    }
}
