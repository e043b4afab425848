//! Waiting for what a node was asked to do.

use core::time::Duration;
use std::thread;
use std::time::Instant;

use crate::failure::Failure;

/// How often it is looked.
const PERIOD: Duration = Duration::from_millis(50);
/// What everything may take in addition, on a busy machine.
const GRACE: Duration = Duration::from_secs(30);

/// Looks until `look` finds something, for so many gossip `intervals` and some time more.
///
/// # Errors
///
/// `unmet`, with the time that was waited, or what `look` fails with.
pub(crate) fn until<T>(
    intervals: Duration,
    unmet: &str,
    mut look: impl FnMut() -> Result<Option<T>, Failure>,
) -> Result<T, Failure> {
    let patience = GRACE.saturating_add(intervals);
    let started = Instant::now();
    loop {
        if let Some(found) = look()? {
            return Ok(found);
        }
        if started.elapsed() > patience {
            let waited = patience.as_secs();
            return Err(Failure::failed(format!("{unmet}, {waited} s after the request (see its log)")));
        }
        thread::sleep(PERIOD);
    }
}
