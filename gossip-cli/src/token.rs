//! The secret that an admin port may ask for.

use core::fmt;
use std::path::Path;

use crate::file::read_text;

/// The fewest characters: fewer can be tried out.
const MIN_LEN: usize = 16;
/// Where clients take a token from that none was named to.
pub(crate) const ENVIRONMENT: &str = "GOSSIP_TOKEN";

/// A token. It is never printed.
#[derive(Clone, Eq, PartialEq)]
pub(crate) struct Token(String);

impl Token {
    /// The token in a file: its only line.
    ///
    /// # Errors
    ///
    /// It cannot be read, or holds none.
    pub(crate) fn read(path: &Path) -> Result<Self, String> {
        let shown = path.display();
        let text = read_text(path)?;
        Self::new(text.trim()).map_err(|error| format!("{shown}: {error}"))
    }

    /// Checks that `text` can be a token.
    ///
    /// # Errors
    ///
    /// Why it cannot.
    pub(crate) fn new(text: &str) -> Result<Self, String> {
        if text.len() < MIN_LEN || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(format!("a token is one line of at least {MIN_LEN} ASCII characters without spaces"));
        }
        Ok(Self(text.into()))
    }

    /// What a request carries.
    pub(crate) fn header(&self) -> String {
        format!("Bearer {}", self.0)
    }

    /// Whether a request that carries `header` knows the token. Takes as long whatever of it is right.
    pub(crate) fn is_known_by(&self, header: Option<&[u8]>) -> bool {
        let given = header.and_then(|header| header.strip_prefix(b"Bearer ")).unwrap_or_default();
        let token = self.0.as_bytes();
        // As many steps as the token is long, whatever was given.
        let different = (0..token.len()).fold(given.len() ^ token.len(), |different, at| {
            let other = core::hint::black_box(given.get(at).copied().unwrap_or_default());
            different | usize::from(token[at] ^ other)
        });
        core::hint::black_box(different) == 0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_whole_token_is_known() {
        let token = Token::new("0123456789abcdef").unwrap();
        assert!(token.is_known_by(Some(token.header().as_bytes())));
        for header in [
            "",
            "Bearer ",
            "Bearer 0123456789abcde",
            "Bearer 0123456789abcdef0",
            "Bearer 0123456789abcdeF",
            "Basic 0123456789abcdef",
            "0123456789abcdef",
        ] {
            assert!(!token.is_known_by(Some(header.as_bytes())), "{header}");
        }
        assert!(!token.is_known_by(None));
        assert_eq!(format!("{token:?}"), "Token(…)");
    }

    #[test]
    fn what_can_be_guessed_or_not_sent_is_no_token() {
        for text in ["", "short", "0123456789abcde", "0123456789 abcdef", "0123456789äbcdef"] {
            assert!(Token::new(text).is_err(), "{text}");
        }
    }
}
