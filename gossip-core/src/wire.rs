//! Cursors over bytes: the only code of the crate that touches lengths.
//!
//! Public so that tools and fuzzers can reach it; the protocol itself is in [`Gossiper`](crate::Gossiper).

#![warn(clippy::indexing_slicing)]

mod address;
mod crc;
mod reader;
mod string;
mod uvint;
mod writer;

pub use address::AddressForm;
pub use crc::{Crc32, crc24, crc32};
pub use reader::{DecodeError, Reader};
pub use string::{EncodeStringError, JavaStr, MAX_CASSANDRA_LEN, encode_str, encoded_len};
pub(crate) use uvint::uvint_size;
pub use writer::{Full, Writer};
