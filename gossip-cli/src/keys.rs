//! The keys that encrypt datagrams.

use std::path::PathBuf;

use gossip_adapter::{KeyRing, SealKey};

use crate::lists::key_texts;

/// A file of keys, which may change while the node runs.
#[derive(Clone, Debug)]
pub(crate) struct KeySource {
    file: PathBuf,
}

impl KeySource {
    /// The keys in `file`.
    ///
    /// # Errors
    ///
    /// As [`KeySource::read`].
    pub(crate) fn new(file: PathBuf) -> Result<Self, String> {
        let source = Self { file };
        source.read()?;
        Ok(source)
    }

    /// The keys as they are now.
    ///
    /// # Errors
    ///
    /// Why the file cannot be read, or which line is no key. No key is shown.
    pub(crate) fn read(&self) -> Result<KeyRing, String> {
        let shown = self.file.display();
        let keys = key_texts(&self.file)?.into_iter().map(|(line, text)| {
            SealKey::from_hex(text.trim()).map_err(|error| format!("{shown}, line {line}: {error}"))
        });
        let keys = keys.collect::<Result<Vec<_>, _>>()?;
        KeyRing::new(keys).map_err(|error| format!("{shown}: {error}"))
    }
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    #[test]
    fn the_first_key_seals_and_no_error_shows_one() {
        let dir = TempDir::new().unwrap();
        let file = dir.path().join("keys");
        let (one, two) = ("1f".repeat(32), "2e".repeat(32));
        std::fs::write(&file, format!("# the new one\n{one}\n\n{two}\n")).unwrap();
        let source = KeySource::new(file.clone()).unwrap();
        let ids: Vec<_> = source.read().unwrap().ids().collect();
        assert_eq!(ids, [SealKey::new([0x1f; 32]).id(), SealKey::new([0x2e; 32]).id()]);
        std::fs::write(&file, format!("{one}\n{}\n", &two[1..])).unwrap();
        let error = source.read().unwrap_err();
        assert!(error.contains("line 2") && !error.contains(&two[1..]), "{error}");
        std::fs::write(&file, format!("{one}\n{one}\n")).unwrap();
        assert!(!source.read().unwrap_err().contains(&one));
        std::fs::write(&file, "# none\n").unwrap();
        assert!(source.read().unwrap_err().starts_with(&file.display().to_string()));
        assert!(KeySource::new(dir.path().join("absent")).unwrap_err().contains("cannot be read"));
    }
}
