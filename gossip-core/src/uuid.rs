//! The ids that Cassandra writes as text and sends as 16 bytes.

use core::fmt;
use core::str::FromStr;

/// A UUID: of a host, or of a schema. Its text is the canonical one, 36 lower-case characters (`docs/protocol/application-states.md`).
///
/// ```
/// use gossip_core::Uuid;
///
/// let id: Uuid = "93e2f0eb-e71b-4d0d-940f-bd6dd9453e30".parse()?;
/// assert_eq!(id.to_string(), "93e2f0eb-e71b-4d0d-940f-bd6dd9453e30");
/// # Ok::<(), gossip_core::UuidError>(())
/// ```
#[derive(Clone, Copy, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Uuid([u8; 16]);

/// Where its text has hyphens, counted in characters.
const HYPHENS: [usize; 4] = [8, 13, 18, 23];

impl Uuid {
    /// The length of its text, in bytes.
    pub const TEXT_LEN: usize = 36;

    /// The UUID with these bytes, the most significant first.
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// A random one (version 4), made of 16 bytes of entropy.
    pub const fn random(entropy: [u8; 16]) -> Self {
        let mut bytes = entropy;
        bytes[6] = bytes[6] & 0x0f | 0x40;
        bytes[8] = bytes[8] & 0x3f | 0x80;
        Self(bytes)
    }

    /// Its bytes, the most significant first.
    pub const fn to_bytes(self) -> [u8; 16] {
        self.0
    }

    /// Its text, in ASCII.
    pub(crate) fn text(self) -> [u8; Self::TEXT_LEN] {
        const DIGITS: [u8; 16] = *b"0123456789abcdef";
        let mut text = [b'-'; Self::TEXT_LEN];
        let places = (0..Self::TEXT_LEN).filter(|place| !HYPHENS.contains(place));
        let nibbles = self.0.iter().flat_map(|byte| [byte >> 4, byte & 0x0f]);
        for (place, nibble) in places.zip(nibbles) {
            text[place] = DIGITS[usize::from(nibble)];
        }
        text
    }

    /// Reads its text; digits may be upper-case.
    pub(crate) fn from_text(text: &[u8]) -> Result<Self, UuidError> {
        if text.len() != Self::TEXT_LEN || HYPHENS.iter().any(|place| text[*place] != b'-') {
            return Err(UuidError);
        }
        let mut nibbles = (0..Self::TEXT_LEN)
            .filter(|place| !HYPHENS.contains(place))
            .map(|place| char::from(text[place]).to_digit(16).and_then(|digit| u8::try_from(digit).ok()));
        let mut bytes = [0; 16];
        for byte in &mut bytes {
            let (high, low) = (nibbles.next().flatten(), nibbles.next().flatten());
            *byte = high.ok_or(UuidError)? << 4 | low.ok_or(UuidError)?;
        }
        Ok(Self(bytes))
    }
}

impl FromStr for Uuid {
    type Err = UuidError;

    fn from_str(text: &str) -> Result<Self, UuidError> {
        Self::from_text(text.as_bytes())
    }
}

impl fmt::Display for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.text().iter().try_for_each(|byte| fmt::Write::write_char(f, char::from(*byte)))
    }
}

impl fmt::Debug for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A text is not that of a UUID.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct UuidError;

impl fmt::Display for UuidError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a UUID has 32 hexadecimal digits in groups of 8, 4, 4, 4 and 12 with hyphens between")
    }
}

impl core::error::Error for UuidError {}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;

    use super::*;

    #[test]
    fn text_and_bytes() {
        let text = "59adb24e-f3cd-3e02-97f0-5b395827453f";
        let uuid: Uuid = text.parse().unwrap();
        let bytes =
            [0x59, 0xad, 0xb2, 0x4e, 0xf3, 0xcd, 0x3e, 0x02, 0x97, 0xf0, 0x5b, 0x39, 0x58, 0x27, 0x45, 0x3f];
        assert_eq!(uuid, Uuid::from_bytes(bytes));
        assert_eq!(uuid.to_bytes(), bytes);
        assert_eq!(uuid.to_string(), text);
        assert_eq!(text.to_uppercase().parse(), Ok(uuid));
    }

    #[test]
    fn what_is_none_is_refused() {
        for text in [
            "",
            "59adb24e-f3cd-3e02-97f0-5b395827453",
            "59adb24e-f3cd-3e02-97f0-5b395827453f0",
            "59adb24ef3cd-3e02-97f0-5b395827453f-",
            "59adb24e-f3cd-3e02-97f0-5b395827453g",
            "59adb24e-f3cd-3e02-97f0-5b39582745é",
        ] {
            assert_eq!(text.parse::<Uuid>(), Err(UuidError), "{text}");
        }
    }

    #[test]
    fn random_ones_say_so() {
        assert_eq!(Uuid::random([0xff; 16]).to_string(), "ffffffff-ffff-4fff-bfff-ffffffffffff");
        assert_eq!(Uuid::random([0; 16]).to_string(), "00000000-0000-4000-8000-000000000000");
    }
}
