//! What the lab says while it runs.

use core::fmt::Display;
use core::time::Duration;
use std::io::{self, IsTerminal, Write};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread;
use std::time::Instant;

use super::Unmet;

const BOLD: &str = "1";
const GREEN: &str = "32";
const RED: &str = "1;31";

/// How often it is looked whether to go on waiting for a reader.
const LOOK: Duration = Duration::from_millis(100);

/// Prints each line with the time since the start, and keeps the passed checks for the end.
#[derive(Debug)]
pub(super) struct Report {
    started: Instant,
    steps: Vec<Step>,
    in_color: bool,
    lines: Option<Sender<String>>,
    /// Closed when all lines are written.
    written: Receiver<()>,
}

#[derive(Debug)]
struct Step {
    title: &'static str,
    checks: Vec<(Duration, String)>,
}

impl Report {
    pub(super) fn start() -> Self {
        let in_color = io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
        let (lines, to_write) = mpsc::channel::<String>();
        let (writing, written) = mpsc::channel();
        // Without a reader the lab goes on, and ends at its signal.
        thread::spawn(move || {
            let _writing = writing;
            for line in to_write {
                let mut out = io::stdout().lock();
                if writeln!(out, "{line}").and_then(|()| out.flush()).is_err() {
                    return;
                }
            }
        });
        Self { started: Instant::now(), steps: Vec::new(), in_color, lines: Some(lines), written }
    }

    /// Waits until all is written, for as long as `goes_on` says so.
    pub(super) fn end(&mut self, mut goes_on: impl FnMut() -> bool) {
        self.lines = None;
        while matches!(self.written.recv_timeout(LOOK), Err(RecvTimeoutError::Timeout)) && goes_on() {}
    }

    /// Prints a line, as soon as there is a reader.
    fn line(&self, text: &str) {
        if let Some(lines) = &self.lines {
            // The writer has ended if the reader is gone.
            let _ = lines.send(text.to_owned());
        }
    }

    pub(super) fn title(&self, title: &str) {
        self.line(&self.paint(BOLD, title));
    }

    pub(super) fn remark(&self, remark: &str) {
        self.line(remark);
    }

    /// Begins a step.
    pub(super) fn step(&mut self, title: &'static str) {
        self.steps.push(Step { title, checks: Vec::new() });
        self.line("");
        self.line(&self.paint(BOLD, format_args!("{}. {title}", self.steps.len())));
    }

    /// Tells what happens.
    pub(super) fn say(&self, what: &str) {
        self.line(&format!("{}     {what}", self.time(self.started.elapsed())));
    }

    /// Records a check that passed.
    pub(super) fn check(&mut self, what: &str) {
        let now = self.started.elapsed();
        self.line(&format!("{} {}  {what}", self.time(now), self.paint(GREEN, " ok")));
        if let Some(step) = self.steps.last_mut() {
            step.checks.push((now, what.into()));
        }
    }

    /// Prints text that comes from elsewhere.
    pub(super) fn quote(&self, title: &str, text: &str) {
        if !title.is_empty() {
            self.line(&format!("          {title}"));
        }
        for quoted in text.lines() {
            self.line(&format!("            {quoted}"));
        }
    }

    /// Reports the check that failed.
    pub(super) fn fail(&self, unmet: &Unmet) {
        let now = self.time(self.started.elapsed());
        self.line(&format!("{now} {} expected: {}", self.paint(RED, "FAILED"), unmet.expected));
        self.line(&format!("                seen:     {}", unmet.seen));
        self.line(&format!("                waited:   {:.1} s", unmet.waited.as_secs_f64()));
    }

    /// Sums up.
    pub(super) fn finish(&self) {
        self.line("");
        self.line(&self.paint(BOLD, "Summary"));
        for (number, step) in self.steps.iter().enumerate() {
            self.line(&format!("  {}. {}", number + 1, step.title));
            for (when, what) in &step.checks {
                self.line(&format!("{} {}  {what}", self.time(*when), self.paint(GREEN, " ok")));
            }
        }
        let checks: usize = self.steps.iter().map(|step| step.checks.len()).sum();
        self.line("");
        self.line(&format!(
            "lab: all {checks} checks passed in {:.1} s",
            self.started.elapsed().as_secs_f64()
        ));
    }

    fn time(&self, time: Duration) -> String {
        format!("{:>7.1} s", time.as_secs_f64())
    }

    fn paint(&self, color: &str, text: impl Display) -> String {
        if self.in_color { format!("\u{1b}[{color}m{text}\u{1b}[0m") } else { text.to_string() }
    }
}
