//! The binary value of TOKENS (`docs/protocol/application-states.md#tokens`).

use alloc::string::String;
use alloc::vec::Vec;

use crate::wire::{JavaStr, Reader};

/// The text of TOKENS for these tokens of Cassandra's Murmur3 partitioner: one character a byte.
pub fn encode_tokens(tokens: &[i64]) -> String {
    let mut bytes = Vec::with_capacity(tokens.len() * 12 + 4);
    for token in tokens {
        bytes.extend(8_i32.to_be_bytes());
        bytes.extend(token.to_be_bytes());
    }
    bytes.extend(0_i32.to_be_bytes());
    crate::wire::latin1(&bytes)
}

/// The raw bytes of each token in a value of TOKENS, whatever the partitioner; `None` if it is not such a value.
pub fn decode_tokens(value: JavaStr<'_>) -> Option<Vec<Vec<u8>>> {
    let bytes = value.to_latin1()?;
    let mut reader = Reader::new(&bytes);
    let mut tokens = Vec::new();
    // A reader stops at any length below one.
    while let Some(len) = reader.i32("a token's length").ok()?.try_into().ok().filter(|len: &usize| *len > 0)
    {
        tokens.push(reader.bytes(len, "a token").ok()?.into());
    }
    Some(tokens)
}

/// A value of TOKENS that names none, as a node of 6.0 publishes it until it joins: a length of 0, one character a byte.
const NO_TOKENS: &[u8] = &[0xc0, 0x80, 0xc0, 0x80, 0xc0, 0x80, 0xc0, 0x80];

/// Whether a value of TOKENS names any, without taking memory for them.
pub(crate) fn has_tokens(value: JavaStr<'_>) -> bool {
    !value.is_empty() && !value.as_bytes().starts_with(NO_TOKENS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::encode_str;

    #[test]
    fn tokens_survive_the_round_trip() {
        let tokens = [-4_319_372_312_230_471_416, -1, i64::MAX];
        let text = encode_tokens(&tokens);
        assert_eq!(text.chars().count(), 40);
        let mut encoded = Vec::new();
        encode_str(&text, &mut encoded);
        assert_eq!(encoded.len(), 72);
        let decoded = decode_tokens(JavaStr::new(&encoded).unwrap()).unwrap();
        assert_eq!(decoded, tokens.map(|token| token.to_be_bytes().to_vec()));
        assert_eq!(decode_tokens(JavaStr::new(b"abc").unwrap()), None);
        assert!(has_tokens(JavaStr::new(&encoded).unwrap()));
    }

    #[test]
    fn an_empty_list_has_no_tokens() {
        let mut encoded = Vec::new();
        encode_str(&encode_tokens(&[]), &mut encoded);
        assert!(!has_tokens(JavaStr::new(&encoded).unwrap()));
        assert!(!has_tokens(JavaStr::new(b"").unwrap()));
    }
}
