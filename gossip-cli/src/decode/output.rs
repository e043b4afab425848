//! Where the records go.

use std::io::{self, BufWriter, ErrorKind, StdoutLock, Write};

use gossip_decode::{Damage, Record};

use super::text::Printer;
use crate::client::Format;
use crate::failure::Failure;
use crate::text::{Layout, json};

/// How many damaged places are told one by one.
const MAX_TOLD: u64 = 100;

/// Which kinds of records are printed.
#[derive(Clone, Copy, Debug, Eq, PartialEq, clap::ValueEnum)]
pub(crate) enum Kind {
    /// How connections are opened
    Handshake,
    /// Frames
    Frame,
    /// Messages, and bodies without one
    Message,
    /// Everything that explains or counts: what was passed over, notes, damage
    Note,
}

impl Kind {
    const fn of(record: &Record) -> Option<Self> {
        match record {
            Record::Handshake(_) => Some(Self::Handshake),
            Record::Frame(_) => Some(Self::Frame),
            Record::Message(_) | Record::Body(_) => Some(Self::Message),
            Record::Passed(_) | Record::Note(_) | Record::Damage(_) => Some(Self::Note),
            _ => None,
        }
    }
}

/// How times are printed in text.
#[derive(Clone, Copy, Debug, Eq, PartialEq, clap::ValueEnum)]
pub(crate) enum Times {
    /// Seconds since the first record
    Relative,
    /// Date and time, UTC
    Utc,
}

/// Prints records on standard output, and damage on standard error.
pub(crate) struct Output {
    out: BufWriter<StdoutLock<'static>>,
    format: Format,
    only: Vec<Kind>,
    printer: Printer,
    told: u64,
    /// Why nothing more is printed.
    ended: Option<io::Error>,
}

impl Output {
    pub(crate) fn new(format: Format, only: &[Kind], times: Times) -> Self {
        Self {
            out: BufWriter::with_capacity(64 * 1024, io::stdout().lock()),
            format,
            only: only.to_vec(),
            printer: Printer::new(times),
            told: 0,
            ended: None,
        }
    }

    /// Prints a record.
    pub(crate) fn tell(&mut self, record: Record) {
        if self.is_closed() {
            return;
        }
        let is_wanted = match Kind::of(&record) {
            Some(kind) => self.only.is_empty() || self.only.contains(&kind),
            // The last line says what there was in all.
            None => true,
        };
        let written = match self.format {
            Format::Json if is_wanted => self.json(&record),
            Format::Text if is_wanted => self.printer.print(&record, &mut self.out),
            _ => Ok(()),
        };
        let written = match &record {
            // In the order in which it happened, where both go to one terminal.
            Record::Damage(damage) => {
                written.and_then(|()| self.out.flush()).map(|()| self.tell_damage(damage))
            }
            _ => written,
        };
        if let Err(error) = written {
            self.ended = Some(error);
        }
    }

    /// Whether nobody reads any more.
    pub(crate) const fn is_closed(&self) -> bool {
        self.ended.is_some()
    }

    /// Hands on what was printed so far.
    ///
    /// # Errors
    ///
    /// As [`Output::finish`].
    pub(crate) fn flush(&mut self) -> Result<(), Failure> {
        if self.ended.is_none()
            && let Err(error) = self.out.flush()
        {
            self.ended = Some(error);
        }
        match &self.ended {
            Some(error) if error.kind() != ErrorKind::BrokenPipe => {
                Err(Failure::failed(format!("cannot write to standard output: {error}")))
            }
            _ => Ok(()),
        }
    }

    /// Ends printing.
    ///
    /// # Errors
    ///
    /// Standard output cannot be written. A reader that left early, such as `head`, is no error.
    pub(crate) fn finish(&mut self) -> Result<(), Failure> {
        if self.told > MAX_TOLD {
            let more = self.told - MAX_TOLD;
            let _ = writeln!(
                io::stderr(),
                "error: {more} more places are damaged (--format json --only note tells all)"
            );
        }
        self.flush()
    }

    fn json(&mut self, record: &Record) -> io::Result<()> {
        writeln!(self.out, "{}", json(record, Layout::Line)?)
    }

    fn tell_damage(&mut self, damage: &Damage) {
        self.told += 1;
        if self.told <= MAX_TOLD {
            // With standard error gone there is nobody left to tell.
            let _ = writeln!(io::stderr(), "error: {}", self.printer.damage(damage));
        }
    }
}
