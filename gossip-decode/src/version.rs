//! Which messaging version bytes are in, and how sure that is.

use gossip_core::MessagingVersion;

/// A messaging version.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Version {
    pub(crate) number: MessagingVersion,
    /// Whether it was not given: what the bytes say may change it.
    pub(crate) is_assumed: bool,
}

impl Version {
    /// A version that the two ends agreed on, or that the user named.
    pub(crate) const fn known(number: MessagingVersion) -> Self {
        Self { number, is_assumed: false }
    }

    pub(crate) const fn assumed(number: MessagingVersion) -> Self {
        Self { number, is_assumed: true }
    }

    /// What the user named, else a guess.
    pub(crate) fn given_or_assumed(given: Option<MessagingVersion>, guess: MessagingVersion) -> Self {
        given.map_or(Self::assumed(guess), Self::known)
    }
}
