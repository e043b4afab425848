//! Tokens as people write them (`docs/protocol/application-states.md#token-text`).

use core::fmt::Write;

/// Which partitioner a cluster has: it decides how tokens read.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) enum Partitioner {
    Murmur3,
    Random,
    /// Any whose tokens are plain bytes.
    Bytes,
    /// Not named so far. Eight bytes are then taken for a token of Murmur3.
    #[default]
    Unknown,
}

impl Partitioner {
    /// The partitioner with this class name.
    pub(crate) fn named(class: &str) -> Self {
        match class.rsplit('.').next() {
            Some("Murmur3Partitioner") => Self::Murmur3,
            Some("RandomPartitioner") => Self::Random,
            Some("ByteOrderedPartitioner" | "OrderPreservingPartitioner") => Self::Bytes,
            _ => Self::Unknown,
        }
    }

    /// A token as text; in hexadecimal where it cannot be one of this partitioner.
    pub(crate) fn token(self, bytes: &[u8]) -> String {
        let number = match (self, bytes.first_chunk::<8>()) {
            (Self::Murmur3 | Self::Unknown, Some(token)) if bytes.len() == 8 => {
                return i64::from_be_bytes(*token).to_string();
            }
            (Self::Random, _) => big_integer(bytes),
            _ => None,
        };
        number.map_or_else(|| hex(bytes), |number| number.to_string())
    }
}

/// A big-endian number in two's complement that is not negative and below 2¹²⁸.
fn big_integer(bytes: &[u8]) -> Option<u128> {
    let magnitude = match bytes {
        [0, rest @ ..] => rest,
        [0x80..=0xff, ..] | [] => return None,
        bytes => bytes,
    };
    if magnitude.len() > size_of::<u128>() {
        return None;
    }
    Some(magnitude.iter().fold(0, |number, byte| number << 8 | u128::from(*byte)))
}

/// Two digits a byte.
pub(crate) fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        // Writing to a string never fails.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_read_as_their_partitioner_writes_them() {
        let murmur = (-4_319_372_312_230_471_416_i64).to_be_bytes();
        for partitioner in
            [Partitioner::Unknown, Partitioner::named("org.apache.cassandra.dht.Murmur3Partitioner")]
        {
            assert_eq!(partitioner.token(&murmur), "-4319372312230471416");
            assert_eq!(partitioner.token(&[1, 0xff]), "01ff", "no token of Murmur3");
        }
        let random = Partitioner::named("org.apache.cassandra.dht.RandomPartitioner");
        assert_eq!(random.token(&[0, 0x80]), "128");
        assert_eq!(random.token(&[0x7f]), "127");
        let greatest = [&[0, 0x80][..], &[0; 15]].concat();
        assert_eq!(random.token(&greatest), "170141183460469231731687303715884105728");
        assert_eq!(random.token(&[0x80]), "80", "negative");
        assert_eq!(random.token(&[1; 17]), "01".repeat(17), "too great");
        let bytes = Partitioner::named("org.apache.cassandra.dht.ByteOrderedPartitioner");
        assert_eq!(bytes.token(&murmur), hex(&murmur));
    }
}
