//! Where the records go.

use std::io::{self, BufWriter, ErrorKind, IsTerminal, StdoutLock, Write};

use gossip_decode::{Damage, Record, Summary};

use super::counts::Counts;
use super::text::{Printer, print_summary};
use crate::client::Format;
use crate::failure::Failure;
use crate::progress::Progress;
use crate::text::{Layout, json, printable};

/// How many damaged places are printed one by one.
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
    /// Explanations and counts: skipped bytes, notes, damage
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
    /// The file that is read, where there are several.
    file: Option<String>,
    counts: Option<Counts>,
    /// How much of a capture is read.
    progress: Option<Progress>,
    /// Why nothing more is printed.
    ended: Option<io::Error>,
}

impl Output {
    /// With `is_counted`, records are counted instead of printed.
    pub(crate) fn new(format: Format, only: &[Kind], times: Times, is_counted: bool) -> Self {
        Self {
            out: BufWriter::with_capacity(64 * 1024, io::stdout().lock()),
            format,
            only: only.to_vec(),
            printer: Printer::new(times),
            told: 0,
            file: None,
            counts: is_counted.then(Counts::default),
            progress: None,
            ended: None,
        }
    }

    /// Says that what follows is of one of several files.
    pub(crate) fn begin(&mut self, name: &str) {
        self.file = Some(printable(name).into_owned());
        self.printer.begin();
        if let Some(counts) = &mut self.counts {
            *counts = Counts::default();
        }
        let written = match self.format {
            Format::Json => self.line(&serde_json::json!({ "type": "file", "name": name })),
            Format::Text => writeln!(self.out, "file {}:", printable(name)),
        };
        self.end_with(written);
    }

    /// Shows on a terminal how much of a capture is read, where no records are printed between.
    pub(crate) fn begin_reading(&mut self, size: Option<u64>) {
        let is_wanted = self.counts.is_some() || !io::stdout().is_terminal();
        self.progress = Some(Progress::of_bytes(size, is_wanted));
    }

    /// So many bytes more were read.
    pub(crate) fn has_read(&mut self, count: usize) {
        if let Some(progress) = &mut self.progress {
            progress.advance(count);
        }
    }

    /// All is read.
    pub(crate) fn end_reading(&mut self) {
        self.progress = None;
    }

    /// Says what there was in `files` files.
    pub(crate) fn total(&mut self, files: usize, total: &Summary) {
        let written = match self.format {
            Format::Json => serde_json::to_value(total).map_err(io::Error::from).and_then(|mut line| {
                line["type"] = "total".into();
                line["files"] = files.into();
                self.line(&line)
            }),
            Format::Text => {
                write!(self.out, "{files} files, ").and_then(|()| print_summary(total, &mut self.out))
            }
        };
        self.end_with(written);
    }

    /// Says why a file of several was not decoded.
    pub(crate) fn fail(&mut self, failure: &Failure) {
        if matches!(failure, Failure::Misuse(_) | Failure::Failed(_)) {
            let _ = self.out.flush();
            let _ = writeln!(io::stderr(), "error: {}{failure}", self.within());
        }
    }

    fn within(&self) -> String {
        self.file.as_ref().map_or_else(String::new, |name| format!("{name}: "))
    }

    fn end_with(&mut self, written: io::Result<()>) {
        if let Err(error) = written
            && self.ended.is_none()
        {
            self.ended = Some(error);
        }
    }

    /// Prints a record.
    pub(crate) fn tell(&mut self, record: Record) {
        if self.is_closed() {
            return;
        }
        let counted = match (&mut self.counts, &record) {
            (Some(counts), Record::Summary(_)) => counts.print(self.format, &mut self.out),
            (Some(counts), _) => {
                counts.add(&record);
                Ok(())
            }
            (None, _) => Ok(()),
        };
        let is_wanted = match Kind::of(&record) {
            Some(_) if self.counts.is_some() => false,
            Some(kind) => self.only.is_empty() || self.only.contains(&kind),
            // The last line says what there was in all.
            None => true,
        };
        let written = match self.format {
            Format::Json if is_wanted => self.json(&record),
            Format::Text if is_wanted => self.printer.print(&record, &mut self.out),
            _ => Ok(()),
        };
        let written = counted.and(written);
        let written = match &record {
            // In the order in which it happened, where both go to one terminal.
            Record::Damage(damage) => {
                written.and_then(|()| self.out.flush()).map(|()| self.tell_damage(damage))
            }
            _ => written,
        };
        self.end_with(written);
    }

    /// Whether the reader is gone.
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
        self.line(record)
    }

    fn line(&mut self, value: &impl serde::Serialize) -> io::Result<()> {
        writeln!(self.out, "{}", json(value, Layout::Line)?)
    }

    fn tell_damage(&mut self, damage: &Damage) {
        self.told += 1;
        if self.told <= MAX_TOLD {
            let line = format!("error: {}{}", self.within(), self.printer.damage(damage));
            // If standard error is closed, there is no one left to tell.
            let print = || drop(writeln!(io::stderr(), "{line}"));
            match &self.progress {
                Some(progress) => progress.aside(print),
                None => print(),
            }
        }
    }
}
