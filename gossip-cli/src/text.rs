//! Text for a terminal.

use std::borrow::Cow;

use serde::Serialize;

/// `value` without what would steer a terminal, break the line or turn its direction: values come from the network and from the
/// command line.
///
/// Everything that is printed for people or logged passes through here.
pub(crate) fn printable(value: &str) -> Cow<'_, str> {
    if value.contains(is_unprintable) {
        let escape = |c: char| if is_unprintable(c) { c.escape_default().to_string() } else { c.into() };
        Cow::Owned(value.chars().map(escape).collect())
    } else {
        Cow::Borrowed(value)
    }
}

/// Control characters, ends of lines and paragraphs, marks that turn the direction of text, and marks without width.
pub(crate) fn is_unprintable(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}')
        || matches!(c, '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// `value` as JSON, with the same characters escaped: the value stays what it is.
///
/// # Errors
///
/// It cannot be written as JSON.
pub(crate) fn json(value: &impl Serialize, layout: Layout) -> serde_json::Result<String> {
    let text = match layout {
        Layout::Line => serde_json::to_string(value)?,
        Layout::Pretty => serde_json::to_string_pretty(value)?,
    };
    let is_plain = |c: char| c == '\n' || !is_unprintable(c);
    if text.chars().all(is_plain) {
        return Ok(text);
    }
    // Outside of its strings JSON holds none of them, but the line feeds of its layout.
    let mut escaped = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if is_plain(c) {
            escaped.push(c);
        } else {
            for unit in c.encode_utf16(&mut [0; 2]) {
                escaped += &format!("\\u{unit:04x}");
            }
        }
    }
    Ok(escaped)
}

/// How JSON is laid out.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Layout {
    /// On one line
    Line,
    /// On many, for people
    Pretty,
}

/// A time as RFC 3339 writes it, in UTC.
pub(crate) fn utc(unix_ms: u64) -> String {
    let (seconds, millis) = (unix_ms / 1_000, unix_ms % 1_000);
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    // Counted in years that begin in March, of which only the last day may be a leap day.
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millis:03}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_escaped() {
        assert_eq!(printable("a:b,ü"), "a:b,ü");
        assert_eq!(printable("a\n\u{1b}[2J"), "a\\n\\u{1b}[2J");
    }

    #[test]
    fn what_breaks_lines_or_turns_text_is_escaped() {
        for c in ['\u{85}', '\u{200f}', '\u{feff}', '\u{e0041}']
            .into_iter()
            .chain('\u{2028}'..='\u{202e}')
            .chain('\u{2066}'..='\u{2069}')
        {
            let value = format!("a{c}b");
            assert_eq!(printable(&value), format!("a{}b", c.escape_unicode()));
            let line = json(&serde_json::json!({ "key": value }), Layout::Line).unwrap();
            assert!(line.is_ascii(), "{line}");
            assert_eq!(serde_json::from_str::<serde_json::Value>(&line).unwrap()["key"], value);
        }
        let pretty = json(&["a\nb"], Layout::Pretty).unwrap();
        assert_eq!(pretty, "[\n  \"a\\nb\"\n]");
        assert_eq!(printable("日本 ü 👩\u{200d}💻"), "日本 ü 👩\u{200d}💻");
    }

    #[test]
    fn times() {
        for (unix_ms, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (951_868_799_999, "2000-02-29T23:59:59.999Z"),
            (1_700_000_000_123, "2023-11-14T22:13:20.123Z"),
            (4_107_542_400_000, "2100-03-01T00:00:00.000Z"),
        ] {
            assert_eq!(utc(unix_ms), text);
        }
    }
}
