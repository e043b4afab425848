//! The values of one endpoint, packed one behind the other in storage that is used again.

use alloc::vec::Vec;

use crate::application_state::ApplicationState;
use crate::version::Version;
use crate::wire::JavaStr;

/// The values of one endpoint, by ascending key.
///
/// Twelve ordinary values take some 350 bytes so, where a vector of strings of their own took a thousand.
#[derive(Clone, Debug, Default)]
pub(crate) struct Values {
    /// Of each value its [`Head`], then as many bytes as it says there is room for.
    packed: Vec<u8>,
}

/// What stands before each text.
#[derive(Clone, Copy, Debug)]
struct Head {
    key: ApplicationState,
    version: Version,
    /// The length of the text, in encoded bytes: of 65,535 at the most, as on the wire.
    length: u16,
    /// For how long a text there is room.
    capacity: u16,
}

impl Head {
    const SIZE: usize = 12;

    fn to_bytes(self) -> [u8; Self::SIZE] {
        let [k0, k1, k2, k3] = self.key.number().to_ne_bytes();
        let [v0, v1, v2, v3] = self.version.get().to_ne_bytes();
        let ([l0, l1], [c0, c1]) = (self.length.to_ne_bytes(), self.capacity.to_ne_bytes());
        [k0, k1, k2, k3, v0, v1, v2, v3, l0, l1, c0, c1]
    }

    const fn from_bytes(bytes: [u8; Self::SIZE]) -> Self {
        let [k0, k1, k2, k3, v0, v1, v2, v3, l0, l1, c0, c1] = bytes;
        Self {
            key: ApplicationState::new(i32::from_ne_bytes([k0, k1, k2, k3])),
            version: Version::new(i32::from_ne_bytes([v0, v1, v2, v3])),
            length: u16::from_ne_bytes([l0, l1]),
            capacity: u16::from_ne_bytes([c0, c1]),
        }
    }

    /// How many bytes it takes with its text.
    const fn size(self) -> usize {
        Self::SIZE + self.capacity as usize
    }
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

/// Where a value stands; it holds until something is stored that takes memory.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct Place(u32);

/// What all values come to, and where one of them is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Survey {
    /// How many there are.
    pub(crate) count: usize,
    /// How many encoded bytes their texts have together.
    pub(crate) bytes: usize,
    /// Version and length of the value under the key that was asked for.
    pub(crate) found: Option<(Version, usize)>,
}

impl Values {
    pub(crate) fn len(&self) -> usize {
        self.iter().count()
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.packed.is_empty()
    }

    /// All values, by ascending key.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (ApplicationState, JavaStr<'_>, Version)> {
        self.places().map(|(_, head, text)| (head.key, text, head.version))
    }

    /// All values with their places, by ascending key.
    pub(crate) fn with_places(
        &self,
    ) -> impl Iterator<Item = (Place, ApplicationState, JavaStr<'_>, Version)> {
        // A state of 2³² bytes is refused long before.
        let place = |at: usize| Place(u32::try_from(at).unwrap_or(u32::MAX));
        self.places().map(move |(at, head, text)| (place(at), head.key, text, head.version))
    }

    /// The value at a place that [`Values::with_places`] gave.
    pub(crate) fn at(&self, place: Place) -> Option<(ApplicationState, JavaStr<'_>, Version)> {
        let (_, head, text) = self.read(place.0 as usize)?;
        Some((head.key, text, head.version))
    }

    pub(crate) fn get(&self, key: ApplicationState) -> Option<(JavaStr<'_>, Version)> {
        let found = self.iter().find(|(found, ..)| *found >= key)?;
        (found.0 == key).then_some((found.1, found.2))
    }

    /// How many bytes the values take, in encoded form.
    pub(crate) fn text_bytes(&self) -> usize {
        self.iter().map(|(_, text, _)| text.len()).sum()
    }

    /// Looks at all values once.
    pub(crate) fn survey(&self, key: ApplicationState) -> Survey {
        let mut survey = Survey { count: 0, bytes: 0, found: None };
        for (found, text, version) in self.iter() {
            survey.count += 1;
            survey.bytes += text.len();
            if found == key {
                survey.found = Some((version, text.len()));
            }
        }
        survey
    }

    /// Takes memory for so many further values with so many encoded bytes.
    pub(crate) fn reserve(&mut self, count: usize, bytes: usize) {
        self.packed.reserve_exact(count * Head::SIZE + bytes);
    }

    pub(crate) fn set(&mut self, key: ApplicationState, text: JavaStr<'_>, version: Version) -> Stored {
        // What is stored was on the wire, or fits it.
        let Ok(length) = u16::try_from(text.len()) else { return Stored::InPlace };
        let place = self.places().find(|(_, head, _)| head.key >= key).map(|(at, head, _)| (at, head));
        let found = place.filter(|(_, head)| head.key == key);
        if let Some((at, head)) = found
            && length <= head.capacity
        {
            self.write(at, Head { version, length, ..head }, text);
            return Stored::InPlace;
        }
        let at = place.map_or(self.packed.len(), |(at, _)| at);
        let head = Head { key, version, length, capacity: length };
        // The old one goes, the new one takes its place; those behind it move.
        let old = found.map_or(0, |(_, head)| head.size());
        self.resize(at, old, head.size());
        self.write(at, head, text);
        Stored::Grown
    }

    pub(crate) fn clear(&mut self) {
        self.packed.clear();
    }

    /// Makes what takes `old` bytes at a place take `new`.
    fn resize(&mut self, at: usize, old: usize, new: usize) {
        let end = self.packed.len();
        let grown = end + new - old;
        self.packed.reserve_exact(grown.saturating_sub(end));
        self.packed.resize(grown.max(end), 0);
        self.packed.copy_within(at + old..end, at + new);
        self.packed.truncate(grown);
    }

    fn write(&mut self, at: usize, head: Head, text: JavaStr<'_>) {
        let Some((place, rest)) = self.packed.get_mut(at..).and_then(<[u8]>::split_first_chunk_mut) else {
            return;
        };
        *place = head.to_bytes();
        if let Some(room) = rest.get_mut(..text.len()) {
            room.copy_from_slice(text.as_bytes());
        }
    }

    /// For how many bytes memory was taken.
    #[cfg(test)]
    pub(crate) const fn room(&self) -> usize {
        self.packed.capacity()
    }

    fn places(&self) -> impl Iterator<Item = (usize, Head, JavaStr<'_>)> {
        let mut at = 0;
        core::iter::from_fn(move || {
            let value = self.read(at)?;
            at += value.1.size();
            Some(value)
        })
    }

    #[inline]
    fn read(&self, at: usize) -> Option<(usize, Head, JavaStr<'_>)> {
        let (head, rest) = self.packed.get(at..)?.split_first_chunk()?;
        let head = Head::from_bytes(*head);
        Some((at, head, JavaStr::from_checked(rest.get(..usize::from(head.length))?)))
    }
}

#[cfg(test)]
mod tests {
    use alloc::collections::BTreeMap;
    use alloc::format;

    use super::*;

    fn text(text: &str) -> JavaStr<'_> {
        JavaStr::new(text.as_bytes()).unwrap()
    }

    #[test]
    fn storage_is_used_again() {
        let mut values = Values::default();
        let (long, short) = ("a value that is longer than the others", "short");
        assert_eq!(values.set(ApplicationState::LOAD, text(short), Version::new(1)), Stored::Grown);
        assert_eq!(values.set(ApplicationState::LOAD, text("other"), Version::new(2)), Stored::InPlace);
        assert_eq!(values.set(ApplicationState::LOAD, text(long), Version::new(3)), Stored::Grown);
        assert_eq!(values.set(ApplicationState::LOAD, text(short), Version::new(4)), Stored::InPlace);
        assert_eq!(values.set(ApplicationState::LOAD, text(long), Version::new(5)), Stored::InPlace);
        assert_eq!(values.set(ApplicationState::STATUS, text("x"), Version::new(6)), Stored::Grown);
        let keys: Vec<_> = values.iter().map(|(key, ..)| key.number()).collect();
        assert_eq!(keys, [0, 1]);
        assert_eq!(values.text_bytes(), long.len() + 1);
    }

    #[test]
    fn they_hold_what_a_map_would() {
        let (mut values, mut map) = (Values::default(), BTreeMap::new());
        let mut chance = 1_u32;
        for version in 1..2_000 {
            chance = chance.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let [a, b, ..] = chance.to_be_bytes();
            let (key, value) = (i32::from(a % 16), format!("{:>1$}", version, usize::from(b) + 1));
            let _ = values.set(ApplicationState::new(key), text(&value), Version::new(version));
            map.insert(key, (value, version));
            let survey = values.survey(ApplicationState::new(key));
            assert_eq!(survey.count, map.len());
            assert_eq!(survey.bytes, map.values().map(|(value, _)| value.len()).sum::<usize>());
            assert_eq!(survey.found, Some((Version::new(version), map[&key].0.len())));
        }
        let held: Vec<_> = values
            .iter()
            .map(|(key, text, version)| (key.number(), text.to_text().into_owned(), version.get()))
            .collect();
        let expected: Vec<_> =
            map.iter().map(|(key, (text, version))| (*key, text.clone(), *version)).collect();
        assert_eq!(held, expected);
        for key in 0..16 {
            let key = ApplicationState::new(key);
            let (text, version) = values.get(key).unwrap();
            let place = values.with_places().find(|(_, found, ..)| *found == key).unwrap().0;
            assert_eq!(values.at(place), Some((key, text, version)));
        }
        assert_eq!(values.get(ApplicationState::new(99)), None);
    }

    #[test]
    fn what_memory_was_taken_for_takes_no_more() {
        let mut values = Values::default();
        values.reserve(3, 12);
        assert_eq!(values.room(), 3 * Head::SIZE + 12);
        for key in 0..3 {
            let _ = values.set(ApplicationState::new(key), text("four"), Version::new(1));
        }
        assert_eq!((values.room(), values.packed.len()), (3 * Head::SIZE + 12, 3 * Head::SIZE + 12));
    }
}
