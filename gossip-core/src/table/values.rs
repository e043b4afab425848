//! The values of one endpoint, in storage that is used again.

use alloc::vec::Vec;

use smallvec::SmallVec;

use crate::application_state::ApplicationState;
use crate::version::Version;
use crate::wire::JavaStr;

/// Most values are short; 24 bytes are what a vector's own header takes anyway.
type Text = SmallVec<[u8; 24]>;

/// The values of one endpoint, by ascending key.
#[derive(Clone, Debug, Default)]
pub(crate) struct Values {
    entries: Vec<Entry>,
}

#[derive(Clone, Debug)]
struct Entry {
    key: ApplicationState,
    version: Version,
    text: Text,
}

/// Whether storing a value had to take memory.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[must_use]
pub(crate) enum Stored {
    /// It fitted what was there.
    InPlace,
    /// The key is new, or the value longer than any before it.
    Grown,
}

impl Values {
    pub(crate) const fn len(&self) -> usize {
        self.entries.len()
    }

    /// All values, by ascending key.
    pub(crate) fn iter(&self) -> impl ExactSizeIterator<Item = (ApplicationState, JavaStr<'_>, Version)> {
        self.entries.iter().map(|entry| (entry.key, JavaStr::from_checked(&entry.text), entry.version))
    }

    /// The value at `index` of [`Values::iter`].
    pub(crate) fn at(&self, index: usize) -> Option<(ApplicationState, JavaStr<'_>, Version)> {
        self.entries.get(index).map(|entry| (entry.key, JavaStr::from_checked(&entry.text), entry.version))
    }

    pub(crate) fn get(&self, key: ApplicationState) -> Option<(JavaStr<'_>, Version)> {
        let index = self.entries.binary_search_by_key(&key, |entry| entry.key).ok()?;
        self.entries.get(index).map(|entry| (JavaStr::from_checked(&entry.text), entry.version))
    }

    /// How many bytes the values take, in encoded form.
    pub(crate) fn text_bytes(&self) -> usize {
        self.entries.iter().map(|entry| entry.text.len()).sum()
    }

    pub(crate) fn set(&mut self, key: ApplicationState, text: JavaStr<'_>, version: Version) -> Stored {
        match self.entries.binary_search_by_key(&key, |entry| entry.key) {
            Ok(index) => {
                let entry = &mut self.entries[index];
                let stored = if text.len() > entry.text.capacity() { Stored::Grown } else { Stored::InPlace };
                entry.version = version;
                entry.text.clear();
                entry.text.extend_from_slice(text.as_bytes());
                stored
            }
            Err(index) => {
                self.entries.insert(index, Entry { key, version, text: Text::from_slice(text.as_bytes()) });
                Stored::Grown
            }
        }
    }

    pub(crate) fn clear(&mut self) {
        self.entries.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn storage_is_used_again() {
        let text = |text: &'static str| JavaStr::new(text.as_bytes()).unwrap();
        let mut values = Values::default();
        let (long, short) = ("a value that does not fit into the inline part", "short");
        assert_eq!(values.set(ApplicationState::LOAD, text(short), Version::new(1)), Stored::Grown);
        assert_eq!(values.set(ApplicationState::LOAD, text("other"), Version::new(2)), Stored::InPlace);
        assert_eq!(values.set(ApplicationState::LOAD, text(long), Version::new(3)), Stored::Grown);
        assert_eq!(values.set(ApplicationState::LOAD, text(short), Version::new(4)), Stored::InPlace);
        assert_eq!(values.set(ApplicationState::LOAD, text(long), Version::new(5)), Stored::InPlace);
        let _ = values.set(ApplicationState::STATUS, text("x"), Version::new(6));
        let keys: Vec<_> = values.iter().map(|(key, ..)| key.number()).collect();
        assert_eq!(keys, [0, 1]);
        assert_eq!(values.text_bytes(), long.len() + 1);
    }
}
