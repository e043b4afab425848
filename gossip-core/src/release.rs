//! Releases of Cassandra, as members publish them: which states each can decode.

use core::cmp::Ordering;

use crate::application_state::ApplicationState;

/// A release, parsed from RELEASE_VERSION: `major.minor[.patch[.hotfix]][-prerelease][+build]` (`docs/protocol/application-states.md#other-values`).
///
/// Ordered as releases follow each other; a pre-release comes before its release, and what follows a `+` does not count.
///
/// ```
/// use gossip_core::Release;
///
/// let release = Release::parse("5.0-rc1").unwrap();
/// assert!(release < Release::parse("5.0.2").unwrap());
/// assert_eq!(release.highest_state().number(), 30);
/// assert_eq!(Release::parse("abc"), None);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Release<'a> {
    numbers: [u16; 4],
    /// How many of them were written.
    count: usize,
    prerelease: Option<&'a str>,
}

impl<'a> Release<'a> {
    /// Parses a release; `None` if it is none, as Cassandra would have it.
    pub fn parse(text: &'a str) -> Option<Self> {
        let is_word = |text: &str| {
            !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-".contains(&byte))
        };
        let (text, build) = text.split_once('+').map_or((text, None), |(text, build)| (text, Some(build)));
        let (text, prerelease) = text.split_once('-').map_or((text, None), |(text, pre)| (text, Some(pre)));
        if !build.is_none_or(is_word) || !prerelease.is_none_or(is_word) {
            return None;
        }
        let (mut numbers, mut count) = ([0; 4], 0);
        for part in text.split('.') {
            // Nothing but digits: a sign is none.
            let is_number = !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
            *numbers.get_mut(count)? = part.parse().ok().filter(|_| is_number)?;
            count += 1;
        }
        (count >= 2).then_some(Self { numbers, count, prerelease })
    }

    /// The first number.
    pub const fn major(self) -> u16 {
        self.numbers[0]
    }

    /// The second number.
    pub const fn minor(self) -> u16 {
        self.numbers[1]
    }

    /// How many numbers were written. Releases of DataStax Enterprise have four (`docs/protocol/application-states.md#datastax-enterprise`).
    pub const fn numbers(self) -> usize {
        self.count
    }

    /// The greatest number of a state that this release can decode: one above it costs the receiver the whole message
    /// (`docs/protocol/application-states.md#keys`).
    pub const fn highest_state(self) -> ApplicationState {
        ApplicationState::new(match (self.major(), self.minor()) {
            (0..=3, _) => 24,
            (4, 0) => 28,
            (4, _) => 29,
            _ => 30,
        })
    }
}

impl Ord for Release<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        let prerelease = match (self.prerelease, other.prerelease) {
            (None, None) => Ordering::Equal,
            (None, Some(_)) => Ordering::Greater,
            (Some(_), None) => Ordering::Less,
            (Some(a), Some(b)) => a.cmp(b),
        };
        self.numbers.cmp(&other.numbers).then(prerelease)
    }
}

impl PartialOrd for Release<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Release<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Release<'_> {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_follow_each_other() {
        let releases = [
            "2.2.19",
            "3.0.31",
            "3.11.17",
            "4.0-alpha1",
            "4.0-rc1",
            "4.0",
            "4.0.0.670",
            "4.0.14",
            "4.1-SNAPSHOT",
            "4.1.8",
            "5.0-beta1",
            "5.0-rc1",
            "5.0.2",
            "5.1",
            "10.0",
        ];
        let releases = releases.map(|text| Release::parse(text).unwrap());
        for pair in releases.windows(2) {
            assert!(pair[0] < pair[1], "{pair:?}");
        }
        assert_eq!(Release::parse("4.0"), Release::parse("4.0.0+build.7"));
    }

    #[test]
    fn what_is_none_is_refused() {
        for text in [
            "",
            "4",
            "abc",
            "4.",
            ".1",
            "4.x",
            "4.0.1.2.3",
            "4.-1",
            "+4.0",
            "4.0-",
            "4.0+",
            "4.0-a b",
            "4.70000",
        ] {
            assert_eq!(Release::parse(text), None, "{text}");
        }
    }

    #[test]
    fn states_that_each_can_decode() {
        for (text, highest) in [
            ("2.2.19", 24),
            ("3.11.17", 24),
            ("4.0.14", 28),
            ("4.1.8-SNAPSHOT", 29),
            ("5.0-rc1", 30),
            ("6.0.0", 30),
        ] {
            assert_eq!(Release::parse(text).unwrap().highest_state().number(), highest, "{text}");
        }
    }
}
