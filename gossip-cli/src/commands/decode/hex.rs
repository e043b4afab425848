//! Bytes that people write in hexadecimal.

/// The bytes that `text` stands for: two digits each. Between them may be spaces, line ends, `:`, `,`, `0x` and `\x`;
/// what `xxd` and `hexdump -C` print is taken as it is.
///
/// # Errors
///
/// What is wrong, and where.
pub(crate) fn parse(text: &str) -> Result<Vec<u8>, String> {
    let layout = Layout::of(text);
    let mut bytes = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let (start, digits) = layout.digits(line);
        parse_line(digits, &mut bytes).map_err(|(at, what)| {
            let column = start + at + 1;
            match text.lines().count() {
                1 => format!("{what} at position {column}"),
                _ => format!("{what} in line {} at position {column}", number + 1),
            }
        })?;
    }
    Ok(bytes)
}

/// What stands in a line beside the digits.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Layout {
    Plain,
    /// As of `xxd` and `tcpdump -x`: an offset and `:` before, and behind two spaces the bytes as text.
    Colon,
    /// As of `hexdump -C`: an offset before, and the bytes as text between bars.
    Bars,
}

impl Layout {
    /// The layout of the first line that has something in it.
    fn of(text: &str) -> Self {
        let Some(line) = text.lines().map(str::trim).find(|line| !line.is_empty()) else {
            return Self::Plain;
        };
        let digits = line.strip_prefix("0x").unwrap_or(line);
        let rest = digits.trim_start_matches(|c: char| c.is_ascii_hexdigit());
        match (digits.len() - rest.len(), rest) {
            // Bytes between colons have two digits each.
            (4..=16, rest) if rest.starts_with(": ") => Self::Colon,
            (8, rest) if rest.starts_with("  ") && rest.ends_with('|') => Self::Bars,
            _ => Self::Plain,
        }
    }

    /// The digits in a line, and after how many characters they begin.
    fn digits(self, line: &str) -> (usize, &str) {
        let (offset, digits) = match self {
            Self::Plain => return (0, line),
            Self::Colon => line.split_once(':').map_or((0, line), |(offset, rest)| (offset.len() + 1, rest)),
            Self::Bars => line.split_at_checked(8).map_or((0, line), |(_, rest)| (8, rest)),
        };
        let indent = digits.len() - digits.trim_start().len();
        let digits = digits.trim_start();
        let end = match self {
            Self::Colon => digits.find("  "),
            _ => digits.find('|'),
        };
        (offset + indent, digits.get(..end.unwrap_or(digits.len())).unwrap_or_default())
    }
}

/// Appends the bytes of a line; what is wrong with it, after how many characters.
fn parse_line(line: &str, bytes: &mut Vec<u8>) -> Result<(), (usize, String)> {
    let mut at = 0;
    for word in line.split_inclusive(|c: char| c.is_whitespace() || matches!(c, ':' | ',')) {
        let length = word.chars().count();
        let word = word.trim_end_matches(|c: char| c.is_whitespace() || matches!(c, ':' | ','));
        parse_word(word, at, bytes)?;
        at += length;
    }
    Ok(())
}

fn parse_word(word: &str, at: usize, bytes: &mut Vec<u8>) -> Result<(), (usize, String)> {
    let mut high = None;
    let mut characters = word.chars().enumerate().peekable();
    while let Some((place, c)) = characters.next() {
        let next = characters.peek().map(|(_, next)| *next);
        let is_prefix = match (c, next) {
            ('0', Some('x' | 'X')) => place == 0,
            ('\\', Some('x')) => true,
            _ => false,
        };
        if is_prefix && high.is_none() {
            characters.next();
            continue;
        }
        let Some(digit) = c.to_digit(16).and_then(|digit| u8::try_from(digit).ok()) else {
            return Err((at + place, format!("{c:?} is no hexadecimal digit")));
        };
        high = match high {
            None => Some(digit),
            Some(high) => {
                bytes.push(high << 4 | digit);
                None
            }
        };
    }
    match high {
        None => Ok(()),
        Some(_) => Err((at + word.chars().count() - 1, "a digit without its second".to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_with_whatever_stands_between_them() {
        for text in [
            "ca552dfa",
            "CA 55 2d fA",
            "  ca55\n2dfa\r\n",
            "0xca552dfa",
            "0xca, 0x55, 0x2d, 0xfa",
            "ca:55:2d:fa",
            r"\xca\x55\x2d\xfa",
            "00000000: ca55 2dfa                                .U-.",
            "00000000  ca 55 2d fa                                       |.U-.|\n00000004",
            "\t0x0000:  ca55 2dfa  .U-.",
        ] {
            assert_eq!(parse(text).as_deref(), Ok(&[0xca, 0x55, 0x2d, 0xfa][..]), "{text:?}");
        }
        assert_eq!(parse(""), Ok(vec![]));
    }

    #[test]
    fn whole_lines_of_dumps() {
        let xxd = "00000000: 000c 5465 7374 2043 6c75 7374 6572 002b  ..Test Cluster.+\n\
                   00000010: 6f72 672e 6162                           org.ab\n";
        let hexdump = "00000000  00 0c 54 65 73 74 20 43  6c 75 73 74 65 72 00 2b  |..Test Cluster.+|\n\
                       00000010  6f 72 67 2e 61 62                                 |org.ab|\n00000016\n";
        let bytes = b"\0\x0cTest Cluster\0+org.ab";
        assert_eq!(parse(xxd).as_deref(), Ok(&bytes[..]));
        assert_eq!(parse(hexdump).as_deref(), Ok(&bytes[..]));
        // The text beside the digits may look like digits.
        assert_eq!(parse("00000000: 6162 6364  abcd"), Ok(b"abcd".to_vec()));
        assert_eq!(
            parse("00000000  61 62 63 64                                       |ab  cd|"),
            Ok(b"abcd".to_vec())
        );
        // Four bytes before others are no offset.
        assert_eq!(parse("ca552dfa 0c0a0c11").unwrap().len(), 8);
    }

    #[test]
    fn wrong_digits_are_told_with_their_place() {
        for (text, place) in [
            ("ca5g", "'g' is no hexadecimal digit at position 4"),
            ("ca 55 2", "a digit without its second at position 7"),
            ("c a", "a digit without its second at position 1"),
            ("ca\n5x\n", "'x' is no hexadecimal digit in line 2 at position 2"),
            ("00000000: ca5g", "'g' is no hexadecimal digit at position 14"),
            // Lines that are as the one before are left out without `hexdump -v`.
            ("00000000  61 62  |ab|\n*\n", "'*' is no hexadecimal digit in line 2 at position 1"),
            ("0x", ""),
            ("ca0x55", "'x' is no hexadecimal digit at position 4"),
            ("cä", "'ä' is no hexadecimal digit at position 2"),
        ] {
            match parse(text) {
                Err(error) => assert_eq!(error, place, "{text:?}"),
                Ok(bytes) => assert!(place.is_empty() && bytes.is_empty(), "{text:?}: {bytes:?}"),
            }
        }
    }
}
