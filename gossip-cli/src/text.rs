//! Text for a terminal.

use std::borrow::Cow;

/// `value` without what would steer a terminal or break the line: values come from the network.
pub(crate) fn printable(value: &str) -> Cow<'_, str> {
    if value.contains(char::is_control) {
        let escape = |c: char| if c.is_control() { c.escape_default().to_string() } else { c.into() };
        Cow::Owned(value.chars().map(escape).collect())
    } else {
        Cow::Borrowed(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_escaped() {
        assert_eq!(printable("a:b,ü"), "a:b,ü");
        assert_eq!(printable("a\n\u{1b}[2J"), "a\\n\\u{1b}[2J");
    }
}
