//! Where the log goes: standard error, by a thread of its own.

use core::fmt;
use core::str::FromStr;
use core::time::Duration;
use std::io::IsTerminal;

use tracing::field::{Field, Visit};
use tracing_appender::non_blocking::{ErrorCounter, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::field::RecordFields;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt::FormatFields;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::failure::Failure;
use crate::text::printable;

/// How many lines of the log may wait to be written. What does not fit is dropped and counted.
const LOG_LINES: usize = 8_192;
/// How often it is looked whether lines of the log were dropped.
const DROPPED_EVERY: Duration = Duration::from_secs(10);

/// The log, which is written by a thread of its own: if standard error is not read, nothing waits for it.
#[derive(Debug)]
pub(crate) struct Log {
    dropped: ErrorCounter,
    /// Waits a second for the last lines when it is dropped.
    _writer: WorkerGuard,
}

impl Log {
    /// How many lines were dropped so far.
    pub(crate) fn dropped(&self) -> LogDropped {
        LogDropped(self.dropped.clone())
    }
}

/// Counts the lines of the log that were dropped.
#[derive(Clone, Debug)]
pub(crate) struct LogDropped(ErrorCounter);

impl LogDropped {
    /// For a node without a log.
    #[cfg(test)]
    pub(crate) fn none() -> Self {
        Self(NonBlockingBuilder::default().finish(std::io::sink()).0.error_counter())
    }

    pub(crate) fn lines(&self) -> u64 {
        u64::try_from(self.0.dropped_lines()).unwrap_or(u64::MAX)
    }

    /// Tells in the log itself, once it is read again, how many lines it lacks.
    pub(crate) async fn tell(self) {
        let mut told = 0;
        loop {
            tokio::time::sleep(DROPPED_EVERY).await;
            let dropped = self.lines();
            if dropped > told {
                // The total, since the previous line about it may have been dropped as well.
                tracing::warn!(
                    "{dropped} lines of this log were dropped since the start: it is not read fast enough"
                );
                told = dropped;
            }
        }
    }
}

/// Starts to log to standard error: by `level`, else as RUST_LOG says, else at level info.
///
/// # Errors
///
/// Misuse if the level is none.
pub(crate) fn start_log(level: Option<&str>) -> Result<Log, Failure> {
    let environment = std::env::var("RUST_LOG").ok().filter(|text| !text.is_empty());
    let (origin, text) = match (level, &environment) {
        (Some(level), _) => ("--log-level", level),
        (None, Some(environment)) => ("RUST_LOG", environment.as_str()),
        (None, None) => ("--log-level", "info"),
    };
    let filter = log_filter(text).map_err(|error| Failure::misuse(format!("{origin}: {error}")))?;
    let writer = NonBlockingBuilder::default().lossy(true).buffered_lines_limit(LOG_LINES);
    let (writer, guard) = writer.thread_name("log").finish(std::io::stderr());
    let dropped = writer.error_counter();
    let lines = tracing_subscriber::fmt::layer()
        .fmt_fields(LogFields)
        .with_writer(writer)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false);
    tracing_subscriber::registry().with(lines).with(filter).init();
    Ok(Log { dropped, _writer: guard })
}

/// What to log, where `text` is a level or a filter.
///
/// A filter takes any word without a level for the name of a part of the program, and then logs nothing else: so a misspelt level
/// would turn the log off.
fn log_filter(text: &str) -> Result<Targets, String> {
    let is_level = |word: &str| !word.trim().is_empty() && LevelFilter::from_str(word.trim()).is_ok();
    let is_known = |directive: &str| is_level(directive) || directive.contains('=');
    if let Some(unknown) = text.split(',').find(|directive| !is_known(directive)) {
        return Err(format!(
            "'{unknown}' is no log level (use error, warn, info, debug or trace, or for one part of the program \
             gossip_core=debug)"
        ));
    }
    let trimmed: Vec<_> = text.split(',').map(str::trim).collect();
    trimmed
        .join(",")
        .parse::<Targets>()
        .map_err(|error| format!("'{text}' is no filter: {error} (write such as info,gossip_core=trace)"))
}

/// Writes the fields of a record so that none of them breaks the line or steers a terminal.
#[derive(Debug)]
struct LogFields;

impl<'writer> FormatFields<'writer> for LogFields {
    fn format_fields<R: RecordFields>(&self, writer: Writer<'writer>, fields: R) -> fmt::Result {
        let mut visitor = FieldVisitor { writer, done: Ok(()), is_first: true };
        fields.record(&mut visitor);
        visitor.done
    }
}

struct FieldVisitor<'writer> {
    writer: Writer<'writer>,
    done: fmt::Result,
    is_first: bool,
}

impl Visit for FieldVisitor<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let text = format!("{value:?}");
        let text = printable(&text);
        let space = if self.is_first { "" } else { " " };
        let written = match field.name() {
            "message" => write!(self.writer, "{space}{text}"),
            name => write!(self.writer, "{space}{name}={text}"),
        };
        self.is_first = false;
        self.done = self.done.and(written);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_level_is_refused() {
        for text in ["inof", "", "info,", "Debgu", "gossip_core", "gossip_core=trcae", "info,inof", "a=b=c"] {
            let error = log_filter(text).unwrap_err();
            assert_eq!(error.lines().count(), 1, "{text}: {error}");
        }
        for text in
            ["off", "error", "WARN", "info", "debug", "trace", "info,gossip_core=trace", "warn, gossip=debug"]
        {
            assert!(log_filter(text).is_ok(), "{text}");
        }
    }
}
