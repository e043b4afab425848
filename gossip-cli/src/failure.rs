//! How a command ends when it does not succeed.

use core::fmt;
use core::time::Duration;
use std::io::{self, Write};
use std::process::ExitCode;
use std::sync::mpsc;
use std::thread;

use crate::text::{Layout, json, printable};

/// How long standard error may take for the last line.
const REPORT_PATIENCE: Duration = Duration::from_secs(1);

/// Why a command did not do what it was asked to: one line for the user, and an exit code.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Failure {
    /// It was asked wrongly; exit code 2.
    Misuse(String),
    /// It failed; exit code 1.
    Failed(String),
    /// It failed, and everything was said as it came up; exit code 1.
    Told,
    /// The reader of standard output has ended, such as `head`. The output has no reader any more; exit code 0.
    ReaderGone,
    /// What there is to say was printed; the exit code says how it is.
    Ended(u8),
    /// A signal ended it; 128 and the signal's number. Nothing needs to be said.
    Interrupted(u8),
}

impl Failure {
    pub(crate) fn misuse(message: impl Into<String>) -> Self {
        Self::Misuse(message.into())
    }

    pub(crate) fn failed(message: impl Into<String>) -> Self {
        Self::Failed(message.into())
    }

    /// Says on standard error what happened.
    pub(crate) fn report(&self) {
        if !matches!(self, Self::Interrupted(_) | Self::Told | Self::Ended(_) | Self::ReaderGone) {
            let line = format!("error: {self}\n");
            let (sender, written) = mpsc::channel();
            // With standard error gone, or full and never read, there is no one left to tell.
            let writing = thread::Builder::new().spawn(move || {
                let _ = io::stderr().write_all(line.as_bytes());
                let _ = sender.send(());
            });
            if writing.is_ok() {
                let _ = written.recv_timeout(REPORT_PATIENCE);
            }
        }
    }

    pub(crate) fn exit_code(&self) -> ExitCode {
        match self {
            Self::Misuse(_) => ExitCode::from(2),
            Self::Failed(_) | Self::Told => ExitCode::from(1),
            Self::Ended(code) => ExitCode::from(*code),
            Self::ReaderGone => ExitCode::SUCCESS,
            Self::Interrupted(signal) => ExitCode::from(128_u8.saturating_add(*signal)),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            // It may quote what others sent, or what was written on the command line.
            Self::Misuse(message) | Self::Failed(message) => f.write_str(&printable(message)),
            Self::Told => f.write_str("it failed"),
            Self::Ended(code) => write!(f, "it ended with {code}"),
            Self::ReaderGone => f.write_str("the reader of standard output has ended"),
            Self::Interrupted(signal) => write!(f, "interrupted by signal {signal}"),
        }
    }
}

/// Prints `text` on standard output.
///
/// # Errors
///
/// Standard output cannot be written. A reader that left early, such as `head`, ends the command with
/// [`Failure::ReaderGone`], which is no error to the user.
pub(crate) fn print(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Err(Failure::ReaderGone),
        Err(error) => Err(Failure::failed(format!("cannot write to standard output: {error}"))),
        Ok(()) => Ok(()),
    }
}

/// Prints `value` on standard output as JSON.
///
/// # Errors
///
/// As [`print()`].
pub(crate) fn print_json(value: &impl serde::Serialize) -> Result<(), Failure> {
    let text = json(value, Layout::Pretty)
        .map_err(|error| Failure::failed(format!("cannot be written as JSON: {error}")))?;
    print(&(text + "\n"))
}
