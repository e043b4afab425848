//! Java's modified UTF-8 (`docs/protocol/primitives.md#modified-utf-8`).

use alloc::borrow::Cow;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use super::{DecodeError, Full, Reader, Writer};

/// The longest value, in encoded bytes, that Cassandra as shipped can put into a message.
pub const MAX_CASSANDRA_LEN: usize = 32_767;

/// A string in Java's modified UTF-8, known to be one that Java decodes; the bytes are kept as they came.
#[derive(Clone, Copy, Default, Eq, Hash, PartialEq)]
pub struct JavaStr<'a> {
    bytes: &'a [u8],
}

impl<'a> JavaStr<'a> {
    /// Takes `bytes` for a string, if Java would.
    ///
    /// # Errors
    ///
    /// How many bytes from the start are good: Java would refuse what follows.
    pub fn new(bytes: &'a [u8]) -> Result<Self, usize> {
        // Nearly all that is gossiped is ASCII; Java refuses no byte below 0x80.
        if bytes.is_ascii() {
            return Ok(Self { bytes });
        }
        let mut at = 0;
        while let Some(rest) = bytes.get(at..).filter(|rest| !rest.is_empty()) {
            let ascii = rest.iter().take_while(|byte| byte.is_ascii()).count();
            at += ascii;
            match rest.get(ascii..) {
                Some([0b1100_0000..=0b1101_1111, 0b1000_0000..=0b1011_1111, ..]) => at += 2,
                Some(
                    [0b1110_0000..=0b1110_1111, 0b1000_0000..=0b1011_1111, 0b1000_0000..=0b1011_1111, ..],
                ) => at += 3,
                Some([]) | None => {}
                Some(_) => return Err(at),
            }
        }
        Ok(Self { bytes })
    }

    /// Bytes that were checked before they were stored.
    pub(crate) const fn from_checked(bytes: &'a [u8]) -> Self {
        Self { bytes }
    }

    /// The encoded bytes.
    pub const fn as_bytes(self) -> &'a [u8] {
        self.bytes
    }

    /// How many encoded bytes there are.
    pub const fn len(self) -> usize {
        self.bytes.len()
    }

    /// Whether the string is empty.
    pub const fn is_empty(self) -> bool {
        self.bytes.is_empty()
    }

    /// The string as text; borrowed where modified and ordinary UTF-8 agree. A surrogate that stands alone, which no
    /// text can hold, becomes U+FFFD.
    pub fn to_text(self) -> Cow<'a, str> {
        // An encoded NUL, a surrogate and an overlong form are all invalid as ordinary UTF-8.
        match core::str::from_utf8(self.bytes) {
            Ok(text) => Cow::Borrowed(text),
            Err(_) => {
                Cow::Owned(char::decode_utf16(self.units()).map(|unit| unit.unwrap_or('\u{fffd}')).collect())
            }
        }
    }

    /// The string as text, where that needs no decoding: `None` if it holds a NUL or anything beyond U+FFFF.
    pub fn as_str(self) -> Option<&'a str> {
        core::str::from_utf8(self.bytes).ok()
    }

    /// The bytes of a binary value such as TOKENS: one character a byte (ISO-8859-1). `None` if a character is
    /// greater than U+00FF.
    pub fn to_latin1(self) -> Option<Vec<u8>> {
        self.units().map(|unit| u8::try_from(unit).ok()).collect()
    }

    /// The UTF-16 units, as Java sees them.
    pub fn units(self) -> impl Iterator<Item = u16> + 'a {
        let mut bytes = self.bytes.iter().map(|byte| u16::from(*byte));
        core::iter::from_fn(move || {
            let first = bytes.next()?;
            let mut low = || bytes.next().unwrap_or(0) & 0x3f;
            Some(match first {
                0..0x80 => first,
                0x80..0xe0 => (first & 0x1f) << 6 | low(),
                _ => {
                    let middle = low();
                    (first & 0x0f) << 12 | middle << 6 | low()
                }
            })
        })
    }
}

impl fmt::Debug for JavaStr<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.to_text(), f)
    }
}

impl fmt::Display for JavaStr<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.to_text(), f)
    }
}

impl PartialEq<str> for JavaStr<'_> {
    fn eq(&self, other: &str) -> bool {
        self.bytes == other.as_bytes() || self.to_text() == other
    }
}

impl PartialEq<&str> for JavaStr<'_> {
    fn eq(&self, other: &&str) -> bool {
        *self == **other
    }
}

/// How many bytes `text` takes in modified UTF-8.
pub fn encoded_len(text: &str) -> usize {
    text.chars()
        .map(|c| match c {
            '\0' => 2,
            '\u{1}'..='\u{ffff}' => c.len_utf8(),
            _ => 6,
        })
        .sum()
}

/// Appends `text` in modified UTF-8 to `out`.
pub fn encode_str(text: &str, out: &mut impl Extend<u8>) {
    // Ordinary UTF-8 differs only where a NUL or a character beyond U+FFFF stands.
    if text.bytes().all(|byte| (1..0xf0).contains(&byte)) {
        out.extend(text.bytes());
        return;
    }
    for unit in text.encode_utf16() {
        let [high, low] = unit.to_be_bytes();
        let tail = 0x80 | low & 0x3f;
        let middle = (high & 0x0f) << 2 | low >> 6;
        match unit {
            1..0x80 => out.extend([low]),
            0 | 0x80..0x800 => out.extend([0xc0 | middle, tail]),
            _ => out.extend([0xe0 | high >> 4, 0x80 | middle, tail]),
        }
    }
}

/// The text of binary data: one character a byte, as TOKENS is written.
pub(crate) fn latin1(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| char::from(*byte)).collect()
}

impl<'a> Reader<'a> {
    /// Takes a string with its 16-bit length.
    ///
    /// # Errors
    ///
    /// [`DecodeError::String`] if Java would refuse it; else as [`Reader::array`].
    pub fn string(&mut self, field: &'static str) -> Result<JavaStr<'a>, DecodeError> {
        let mut ahead = *self;
        let bytes = ahead.string_bytes(field)?;
        let string = JavaStr::new(bytes).map_err(|valid_up_to| DecodeError::String { field, valid_up_to })?;
        *self = ahead;
        Ok(string)
    }

    /// Takes a string whose bytes were checked before.
    pub(crate) fn checked_string(&mut self, field: &'static str) -> Result<JavaStr<'a>, DecodeError> {
        self.string_bytes(field).map(JavaStr::from_checked)
    }

    fn string_bytes(&mut self, field: &'static str) -> Result<&'a [u8], DecodeError> {
        let len = self.u16(field)?;
        self.bytes(usize::from(len), field)
    }
}

impl Writer<'_> {
    /// Writes a string with its 16-bit length.
    ///
    /// # Errors
    ///
    /// As [`Writer::bytes`]; also if the string is longer than 65,535 bytes, for which no writer has room.
    pub fn string(&mut self, string: JavaStr<'_>) -> Result<(), Full> {
        let len = u16::try_from(string.len()).map_err(|_| Full)?;
        self.atomically(|out| {
            out.u16(len)?;
            out.bytes(string.bytes)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(text: &str) -> Vec<u8> {
        let mut out = Vec::new();
        encode_str(text, &mut out);
        assert_eq!(out.len(), encoded_len(text), "{text:?}");
        out
    }

    #[test]
    fn check_values_of_the_specification() {
        let cases: [(&str, &[u8]); 6] = [
            ("a\0b", &[0x61, 0xc0, 0x80, 0x62]),
            ("é", &[0xc3, 0xa9]),
            ("€", &[0xe2, 0x82, 0xac]),
            ("\u{1f600}", &[0xed, 0xa0, 0xbd, 0xed, 0xb8, 0x80]),
            ("\u{ff}\u{80}", &[0xc3, 0xbf, 0xc2, 0x80]),
            ("", &[]),
        ];
        for (text, bytes) in cases {
            assert_eq!(encoded(text), bytes, "{text:?}");
            let decoded = JavaStr::new(bytes).unwrap();
            assert_eq!(decoded.to_text(), text);
            let mut buffer = [0; 16];
            let mut writer = Writer::new(&mut buffer);
            writer.string(decoded).unwrap();
            assert_eq!(writer.written()[..2], [0, u8::try_from(bytes.len()).unwrap()]);
            assert_eq!(Reader::new(writer.written()).string("it"), Ok(decoded));
        }
    }

    #[test]
    fn a_string_is_shown_as_its_text() {
        let bytes = encoded("a\0é");
        let text = JavaStr::new(&bytes).unwrap();
        assert_eq!(
            (alloc::format!("{text}"), alloc::format!("{text:?}")),
            ("a\0é".into(), "\"a\\0é\"".into())
        );
        assert_eq!(text, "a\0é", "whose NUL has two bytes here");
    }

    #[test]
    fn what_java_refuses_is_refused() {
        for (bytes, valid_up_to) in [
            (&[0x61, 0x80][..], 1),
            (&[0xf0, 0x9f, 0x98, 0x80], 0),
            (&[0x61, 0x62, 0xc3], 2),
            (&[0xe2, 0x82], 0),
            (&[0xc3, 0x41], 0),
            (&[0xff], 0),
        ] {
            assert_eq!(JavaStr::new(bytes), Err(valid_up_to), "{bytes:02x?}");
        }
    }

    #[test]
    fn what_java_takes_is_kept_as_it_came() {
        // Overlong forms and lone surrogates decode in Java; relayed, they must not change.
        for (bytes, text) in
            [(&[0xc1, 0x81][..], "A"), (&[0xe0, 0x81, 0x81], "A"), (&[0xed, 0xa0, 0xbd], "\u{fffd}")]
        {
            let string = JavaStr::new(bytes).unwrap();
            assert_eq!(string.as_bytes(), bytes);
            assert_eq!(string.to_text(), text);
            assert_eq!(string.as_str(), None);
        }
    }

    #[test]
    fn binary_text_gives_its_bytes_back() {
        let bytes: Vec<u8> = (0..=255).collect();
        let text = encoded(&latin1(&bytes));
        assert_eq!(JavaStr::new(&text).unwrap().to_latin1(), Some(bytes));
        assert_eq!(JavaStr::new("€".as_bytes()).unwrap().to_latin1(), None);
    }

    #[test]
    fn a8_the_wire_carries_65535_bytes() {
        let long = alloc::vec![b'x'; 65_536];
        let mut buffer = alloc::vec![0; 70_000];
        let mut writer = Writer::new(&mut buffer);
        assert_eq!(writer.string(JavaStr::new(&long).unwrap()), Err(Full));
        writer.string(JavaStr::new(&long[..65_535]).unwrap()).unwrap();
        assert_eq!(writer.len(), 65_537);
    }
}
