//! The load of a node: the memory of its process, or what the operator gives; and how it is written.

use core::time::Duration;
use std::sync::Arc;

use gossip_adapter::{ApplicationState, Handle};
use tokio::sync::Mutex;

/// How many intervals after the start the load is published first.
const FIRST_LOAD: u32 = 2;
/// Every how many intervals it is published again.
const LOAD_PERIOD: u32 = 60;

/// Whose the load is to tell: the node's, until the operator gives one.
#[derive(Debug)]
pub(crate) struct Load {
    is_given: Mutex<bool>,
}

impl Load {
    /// Where `set` is given at the start.
    pub(crate) fn new(set: &[(ApplicationState, String)]) -> Self {
        Self { is_given: Mutex::new(set.iter().any(|(key, _)| *key == ApplicationState::LOAD)) }
    }

    /// Publishes what the operator gives, by `publish`; from then on the node leaves it alone.
    pub(crate) async fn give<T, E>(&self, publish: impl Future<Output = Result<T, E>>) -> Result<T, E> {
        // It is held until both are done, so that the node's own value does not come after.
        let mut is_given = self.is_given.lock().await;
        let published = publish.await;
        *is_given |= published.is_ok();
        published
    }
}

/// Tells the memory that the process takes, as its load, until the node stops or the operator gives a load.
pub(crate) async fn publish_load(handle: Handle, interval: Duration, load: Arc<Load>) {
    let mut wait = FIRST_LOAD;
    loop {
        tokio::time::sleep(interval * wait).await;
        wait = LOAD_PERIOD;
        let Some(bytes) = resident_bytes() else { continue };
        let is_given = load.is_given.lock().await;
        if *is_given {
            return;
        }
        // It is refused also while gossip is disabled, which passes.
        let told = handle.set_state(ApplicationState::LOAD, java_double(bytes)).await;
        drop(is_given);
        if told.is_err() && handle.generation().await.is_err() {
            return;
        }
    }
}

/// The resident memory of this process, where the system tells it.
fn resident_bytes() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: f64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1_024.0)
}

/// The text that Java gives a double: plain from 0.001 to below ten million, with an exponent elsewhere, always with
/// a fraction.
pub(crate) fn java_double(number: f64) -> String {
    let size = number.abs();
    if number.is_nan() {
        "NaN".into()
    } else if number.is_infinite() {
        if number > 0.0 { "Infinity".into() } else { "-Infinity".into() }
    } else if size == 0.0 || (1e-3..1e7).contains(&size) {
        format!("{number:?}")
    } else {
        let text = format!("{number:E}");
        match text.split_once('E') {
            Some((digits, exponent)) if !digits.contains('.') => format!("{digits}.0E{exponent}"),
            _ => text,
        }
    }
}

/// The number of bytes that a load tells, if it tells one.
pub(crate) fn load(text: &str) -> Option<f64> {
    text.trim().parse().ok().filter(|load: &f64| load.is_finite() && !load.is_sign_negative())
}

/// A number of bytes as nodetool prints it: at most two decimals, none that is zero at the end.
pub(crate) fn human_bytes(bytes: f64) -> String {
    let units = [("TiB", 40), ("GiB", 30), ("MiB", 20), ("KiB", 10)];
    let unit = units.into_iter().map(|(unit, shift)| (unit, (1_u64 << shift) as f64));
    let (unit, size) = unit.into_iter().find(|(_, size)| bytes >= *size).unwrap_or(("bytes", 1.0));
    let number = format!("{:.2}", bytes / size);
    format!("{} {unit}", number.trim_end_matches('0').trim_end_matches('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubles_as_java_writes_them() {
        for (number, text) in [
            (0.0, "0.0"),
            (-0.0, "-0.0"),
            (26_202.0, "26202.0"),
            (224_279.0, "224279.0"),
            (9_999_999.0, "9999999.0"),
            (9_999_999.5, "9999999.5"),
            (10_000_000.0, "1.0E7"),
            (12_345_678.0, "1.2345678E7"),
            (123_456_789_012.0, "1.23456789012E11"),
            (-20_000_000.0, "-2.0E7"),
            (0.001, "0.001"),
            (0.000_999, "9.99E-4"),
            (1e-5, "1.0E-5"),
            (f64::NAN, "NaN"),
            (f64::NEG_INFINITY, "-Infinity"),
        ] {
            assert_eq!(java_double(number), text);
        }
    }

    #[test]
    fn sizes_as_nodetool_prints_them() {
        for (bytes, text) in [
            (0.0, "0 bytes"),
            (1023.0, "1023 bytes"),
            (1024.0, "1 KiB"),
            (70_449.0, "68.8 KiB"),
            (75_666.0, "73.89 KiB"),
            (224_279.0, "219.02 KiB"),
            (1_048_576.0, "1 MiB"),
            (1.5e9, "1.4 GiB"),
            (5e12, "4.55 TiB"),
        ] {
            assert_eq!(human_bytes(bytes), text);
        }
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn the_load_is_known() {
        assert!(resident_bytes().unwrap() > 100_000.0);
    }

    #[test]
    fn what_is_no_number_of_bytes_is_no_load() {
        for text in ["", "x", "NaN", "inf", "Infinity", "-1.0", "-0.0", "1e999"] {
            assert_eq!(load(text), None, "{text}");
        }
        assert_eq!((load("224279.0"), load("1.5E9"), load("0")), (Some(224_279.0), Some(1.5e9), Some(0.0)));
    }
}
