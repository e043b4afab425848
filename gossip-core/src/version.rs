//! The numbers that order what is known of an endpoint.

use core::fmt;

/// When a process started: seconds since the Unix epoch as its operator reckons them, greater at each start.
///
/// Signed 32 bits, as on the wire (`docs/protocol/primitives.md#integers`): negative numbers are legal there and smaller than any
/// ordinary generation. A state of a greater generation replaces all that was known of the endpoint before.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[cfg_attr(feature = "serde", derive(serde::Deserialize, serde::Serialize))]
pub struct Generation(i32);

/// How far ahead of the wall clock a generation may be, in seconds (`docs/protocol/life-cycle.md#times-and-settings`).
pub(crate) const MAX_AHEAD: u64 = 365 * 24 * 60 * 60;

/// The beginning of the year 2026, in seconds since the Unix epoch: a clock that shows less is not set.
const EARLIEST: u64 = 1_767_225_600;

impl Generation {
    /// What stands for an endpoint that is remembered from disk and not yet heard of.
    pub const SAVED: Self = Self(0);
    /// The greatest generation that the wire can carry.
    pub const MAX: Self = Self(i32::MAX);

    /// The generation with this number.
    pub const fn new(number: i32) -> Self {
        Self(number)
    }

    /// The number on the wire.
    pub const fn get(self) -> i32 {
        self.0
    }

    /// The next greater generation; `None` above [`Generation::MAX`].
    pub const fn next(self) -> Option<Self> {
        match self.0.checked_add(1) {
            Some(number) => Some(Self(number)),
            None => None,
        }
    }

    /// Whether a node whose clock shows `unix_seconds` refuses it: it is more than a year ahead (`docs/protocol/life-cycle.md#times-and-settings`).
    pub fn is_beyond(self, unix_seconds: u64) -> bool {
        u64::try_from(self.0).is_ok_and(|seconds| seconds > unix_seconds.saturating_add(MAX_AHEAD))
    }

    /// The generation for a process that starts now (`docs/protocol/life-cycle.md#generation`): the time, or one more than `stored`
    /// where that is not smaller.
    ///
    /// A `stored` generation that is more than a year ahead of the time is left alone: a node whose clock is right would refuse it, and for
    /// as long as it is ahead. Then the time is taken, unless it is before the year 2026, which no clock shows that is right.
    ///
    /// `unix_seconds` beyond 2³¹ − 1 (the year 2038) counts as that; so does a `stored` that cannot grow any more.
    pub fn at_start(unix_seconds: u64, stored: Option<Self>) -> Self {
        let now = Self(i32::try_from(unix_seconds).unwrap_or(i32::MAX));
        match stored {
            Some(stored) if stored.is_beyond(unix_seconds) && unix_seconds >= EARLIEST => now,
            Some(stored) => now.max(stored.next().unwrap_or(Self::MAX)),
            None => now,
        }
    }
}

impl fmt::Display for Generation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A number from the counter that an endpoint's heartbeat and its values share (`docs/protocol/life-cycle.md#versions`).
///
/// Signed 32 bits, as on the wire: −1 stands for an endpoint never heard of, 2147483647 marks one that has stopped.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[cfg_attr(feature = "serde", derive(serde::Deserialize, serde::Serialize))]
pub struct Version(i32);

impl Version {
    /// Below every version that a running endpoint gives out: asking from here asks for everything.
    pub const ZERO: Self = Self(0);
    /// The heartbeat of an endpoint that is known by its address alone (`docs/protocol/life-cycle.md#start`).
    pub const EMPTY: Self = Self(-1);
    /// The heartbeat that marks an endpoint as stopped (`docs/protocol/life-cycle.md#stop`).
    pub const SHUTDOWN: Self = Self(i32::MAX);

    /// The version with this number.
    pub const fn new(number: i32) -> Self {
        Self(number)
    }

    /// The number on the wire.
    pub const fn get(self) -> i32 {
        self.0
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The part of an endpoint's state that grows each round: its generation, and the version of its last heartbeat.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Deserialize, serde::Serialize))]
pub struct HeartbeatState {
    /// When the process started.
    pub generation: Generation,
    /// The version its last heartbeat took.
    pub version: Version,
}

impl HeartbeatState {
    /// What stands for an endpoint remembered from disk and not yet heard of.
    pub const EMPTY: Self = Self { generation: Generation::SAVED, version: Version::EMPTY };
}

/// How far an endpoint is known: its generation, and the greatest version of its heartbeat and all its values.
///
/// Both in one number, so that one comparison orders them: first by generation, then by version, as signed numbers.
#[derive(Clone, Copy, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct Known(u64);

/// Turns the order of signed numbers into that of unsigned ones.
const SIGNS: u64 = 1 << 63 | 1 << 31;

impl Known {
    #[inline]
    pub(crate) const fn new(generation: Generation, max_version: Version) -> Self {
        let [g0, g1, g2, g3] = generation.get().to_be_bytes();
        let [v0, v1, v2, v3] = max_version.get().to_be_bytes();
        Self::from_wire([g0, g1, g2, g3, v0, v1, v2, v3])
    }

    /// As both follow each other in a digest.
    #[inline]
    pub(crate) const fn from_wire(bytes: [u8; 8]) -> Self {
        Self(u64::from_be_bytes(bytes) ^ SIGNS)
    }

    #[inline]
    pub(crate) const fn generation(self) -> Generation {
        let [a, b, c, d, ..] = self.to_wire();
        Generation::new(i32::from_be_bytes([a, b, c, d]))
    }

    #[inline]
    pub(crate) const fn max_version(self) -> Version {
        let [.., a, b, c, d] = self.to_wire();
        Version::new(i32::from_be_bytes([a, b, c, d]))
    }

    #[inline]
    pub(crate) const fn to_wire(self) -> [u8; 8] {
        (self.0 ^ SIGNS).to_be_bytes()
    }

    /// Whether this is a greater version of the same generation.
    #[inline]
    pub(crate) const fn is_newer_of_same(self, other: Self) -> bool {
        self.0 > other.0 && (self.0 ^ other.0) >> 32 == 0
    }

    /// Both numbers as they are compared, to be kept where there is no room for 64 bits in a row.
    #[inline]
    pub(crate) const fn halves(self) -> [u32; 2] {
        let [a, b, c, d, e, f, g, h] = self.0.to_ne_bytes();
        [u32::from_ne_bytes([a, b, c, d]), u32::from_ne_bytes([e, f, g, h])]
    }

    /// What [`Known::halves`] gave.
    #[inline]
    pub(crate) const fn from_halves([first, second]: [u32; 2]) -> Self {
        let ([a, b, c, d], [e, f, g, h]) = (first.to_ne_bytes(), second.to_ne_bytes());
        Self(u64::from_ne_bytes([a, b, c, d, e, f, g, h]))
    }

    /// The same generation, known up to another version.
    #[inline]
    pub(crate) const fn with_version(self, max_version: Version) -> Self {
        Self::new(self.generation(), max_version)
    }
}

impl fmt::Debug for Known {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "({}, {})", self.generation(), self.max_version())
    }
}

/// The messaging version negotiated on a connection: it decides how bodies and headers are written.
///
/// Which release speaks which is in `docs/protocol/README.md#versions`.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[repr(u8)]
pub enum MessagingVersion {
    /// Cassandra 3.0.0 to 3.0.13.
    V10 = 10,
    /// Cassandra 3.0.14 and later, 3.11.
    V11 = 11,
    /// Cassandra 4.0, 4.1, and 5.0 as shipped.
    V12 = 12,
    /// Cassandra 5.0 outside its compatibility mode.
    V13 = 13,
    /// Cassandra 6.0, outside its compatibility mode.
    V14 = 14,
}

impl MessagingVersion {
    /// Every version that the codec knows, oldest first.
    pub const ALL: [Self; 5] = [Self::V10, Self::V11, Self::V12, Self::V13, Self::V14];
    /// The oldest version that is negotiated on a connection.
    pub const MIN_NEGOTIATED: Self = Self::V12;
    /// The newest version that is negotiated on a connection, with nodes of Cassandra. Clusters of our own stay below it, see
    /// [`VersionRange::WITHOUT_METADATA`](crate::internode::VersionRange::WITHOUT_METADATA).
    pub const MAX_NEGOTIATED: Self = Self::V14;

    /// The version with this number, if the codec knows it.
    pub fn from_number(number: u32) -> Option<Self> {
        Self::ALL.into_iter().find(|version| version.number() == number)
    }

    /// The number on the wire.
    pub const fn number(self) -> u32 {
        self as u32
    }

    /// Whether addresses carry their port.
    pub(crate) const fn has_ports(self) -> bool {
        self.number() >= Self::V12.number()
    }

    /// Whether a shutdown message carries the sender's state.
    pub(crate) const fn has_shutdown_body(self) -> bool {
        self.number() >= Self::V13.number()
    }

    /// Whether a SYN carries a cluster-metadata id, and a message header an epoch.
    pub(crate) const fn has_metadata_id(self) -> bool {
        self.number() >= Self::V14.number()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn j9_generation_at_start_never_decreases() {
        let at = |stored: Option<i32>| Generation::at_start(1_700_000_000, stored.map(Generation::new)).get();
        assert_eq!(at(Some(1_000)), 1_700_000_000);
        assert_eq!(at(Some(1_800_000_000)), 1_800_000_001);
        assert_eq!(at(None), 1_700_000_000);
        assert_eq!(at(Some(1_700_000_000)), 1_700_000_001);
        assert_eq!(Generation::at_start(u64::MAX, Some(Generation::MAX)), Generation::MAX);
    }
}
