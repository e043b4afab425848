//! Durations as people write them: a number and its unit, such as `200ms`, `1.5s` or `10d`.

use core::fmt;
use core::time::Duration;

use serde::de::{Deserializer, Error, Visitor};
use serde::ser::Serializer;

/// Units and their nanoseconds, the longest first.
const UNITS: [(&str, u64); 7] = [
    ("d", 86_400_000_000_000),
    ("h", 3_600_000_000_000),
    ("m", 60_000_000_000),
    ("s", 1_000_000_000),
    ("ms", 1_000_000),
    ("us", 1_000),
    ("ns", 1),
];

const NANOS_PER_SECOND: u128 = 1_000_000_000;

fn parse(text: &str) -> Option<Duration> {
    let number = text.trim_end_matches(char::is_alphabetic);
    let (_, nanos) = UNITS.into_iter().find(|(unit, _)| text.get(number.len()..) == Some(unit))?;
    if let Ok(whole) = number.parse::<u128>() {
        let nanos = whole.checked_mul(u128::from(nanos))?;
        let seconds = u64::try_from(nanos / NANOS_PER_SECOND).ok()?;
        return Some(Duration::new(seconds, u32::try_from(nanos % NANOS_PER_SECOND).ok()?));
    }
    Duration::try_from_secs_f64(number.parse::<f64>().ok()? * nanos as f64 / 1e9).ok()
}

/// Writes the duration in the longest unit that it is a multiple of.
struct Text(Duration);

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let total = self.0.as_nanos();
        if total == 0 {
            return f.write_str("0s");
        }
        let of = |nanos: u64| total / u128::from(nanos);
        let unit = UNITS.into_iter().find(|(_, nanos)| total.is_multiple_of(u128::from(*nanos)));
        let (unit, nanos) = unit.unwrap_or(("ns", 1));
        write!(f, "{}{unit}", of(nanos))
    }
}

struct DurationVisitor;

impl Visitor<'_> for DurationVisitor {
    type Value = Duration;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a duration, such as \"200ms\", \"1.5s\" or \"10d\"")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Duration, E> {
        parse(text).ok_or_else(|| E::invalid_value(serde::de::Unexpected::Str(text), &self))
    }
}

pub(super) fn serialize<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&Text(*duration))
}

pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    deserializer.deserialize_str(DurationVisitor)
}

/// The same for a duration that may be missing.
pub(super) mod optional {
    use core::fmt;
    use core::time::Duration;

    use serde::de::{Deserializer, Error, Visitor};
    use serde::ser::Serializer;

    use super::{DurationVisitor, Text};

    struct OptionVisitor;

    impl<'de> Visitor<'de> for OptionVisitor {
        type Value = Option<Duration>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            DurationVisitor.expecting(f)
        }

        fn visit_none<E: Error>(self) -> Result<Self::Value, E> {
            Ok(None)
        }

        fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
            super::deserialize(deserializer).map(Some)
        }
    }

    pub(in crate::config::groups) fn serialize<S: Serializer>(
        duration: &Option<Duration>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        match duration {
            Some(duration) => serializer.serialize_some(&format_args!("{}", Text(*duration))),
            None => serializer.serialize_none(),
        }
    }

    pub(in crate::config::groups) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Duration>, D::Error> {
        deserializer.deserialize_option(OptionVisitor)
    }
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;

    use super::*;

    #[test]
    fn a_duration_comes_back_as_it_was_written() {
        for (text, duration) in [
            ("0s", Duration::ZERO),
            ("200ms", Duration::from_millis(200)),
            ("90s", Duration::from_secs(90)),
            ("10d", Duration::from_hours(240)),
            ("1500us", Duration::from_micros(1_500)),
            ("1ns", Duration::from_nanos(1)),
        ] {
            assert_eq!(parse(text), Some(duration), "{text}");
            assert_eq!(Text(duration).to_string(), text);
        }
        assert_eq!(parse("1.5s"), Some(Duration::from_millis(1_500)));
        assert_eq!(parse(&Text(Duration::MAX).to_string()), Some(Duration::MAX));
    }

    #[test]
    fn what_is_no_duration_is_refused() {
        for text in
            ["", "1", "s", "-1s", "1w", "1 s", "infs", "nans", "1s2", "1e400s", "999999999999999999999d"]
        {
            assert_eq!(parse(text), None, "{text}");
        }
        assert_eq!(parse("18446744073709551615d"), None, "more than a duration holds");
    }
}
