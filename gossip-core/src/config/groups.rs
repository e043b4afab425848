//! The settings of a node, in groups: plain structs, whose fields are documented with default, unit and range.

mod datagrams;
mod detector;
#[cfg(feature = "serde")]
mod duration_text;
mod limits;
mod membership;
mod timeouts;

use core::time::Duration;

pub use self::datagrams::Datagrams;
pub(super) use self::datagrams::MAX_SIZE as MAX_DATAGRAM_SIZE;
pub use self::detector::Detector;
pub(crate) use self::detector::ResolvedDetector;
pub use self::limits::Limits;
pub use self::membership::Membership;
pub(crate) use self::membership::ResolvedMembership;
pub use self::timeouts::Timeouts;
use super::ConfigError;

/// The name of a setting in its group, and its documentation.
///
/// Tools take it from here to explain a configuration that they print.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Setting {
    /// The name of the field.
    pub name: &'static str,
    /// The lines of its documentation, as rustdoc has them.
    pub lines: &'static [&'static str],
}

/// Declares a group as it is written, and collects the documentation of its fields in `SETTINGS`.
macro_rules! group {
    (
        $(#[$group:meta])*
        pub struct $Group:ident {
            $(
                $(#[doc = $line:literal])*
                $(#[cfg_attr($($attribute:tt)*)])?
                pub $name:ident: $type:ty,
            )*
        }
    ) => {
        $(#[$group])*
        #[cfg_attr(
            feature = "serde",
            derive(serde::Deserialize, serde::Serialize),
            serde(default, deny_unknown_fields)
        )]
        pub struct $Group {
            $(
                $(#[doc = $line])*
                $(#[cfg_attr($($attribute)*)])?
                pub $name: $type,
            )*
        }

        impl $Group {
            /// The settings of this group, in the order of the fields.
            pub const SETTINGS: &'static [$crate::Setting] =
                &[$($crate::Setting { name: stringify!($name), lines: &[$($line),*] }),*];
        }
    };
}
use group;

/// A setting, and the least and the greatest value that it may have.
struct Bounds<T>(&'static str, T, T, T);

fn all_in_range(settings: impl IntoIterator<Item = Bounds<usize>>) -> Result<(), ConfigError> {
    for Bounds(field, value, min, max) in settings {
        if !(min..=max).contains(&value) {
            return Err(ConfigError::OutOfRange { field, value, min, max });
        }
    }
    Ok(())
}

fn durations_in_range(settings: impl IntoIterator<Item = Bounds<Duration>>) -> Result<(), ConfigError> {
    for Bounds(field, value, min, max) in settings {
        if !(min..=max).contains(&value) {
            return Err(ConfigError::DurationOutOfRange { field, value, min, max });
        }
    }
    Ok(())
}

/// Checks the gossip interval, which many defaults are multiples of.
pub(super) fn check_interval(interval: Duration) -> Result<(), ConfigError> {
    durations_in_range([Bounds("interval", interval, Duration::from_millis(1), Duration::from_hours(1))])
}
