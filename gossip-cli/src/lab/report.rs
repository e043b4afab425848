//! What the lab says while it runs.

use core::fmt::Display;
use core::time::Duration;
use std::io::{self, IsTerminal, Write};
use std::time::Instant;

use super::Unmet;

const BOLD: &str = "1";
const GREEN: &str = "32";
const RED: &str = "1;31";

/// Prints each line with the time since the start, and keeps the passed checks for the end.
#[derive(Debug)]
pub(super) struct Report {
    started: Instant,
    steps: Vec<Step>,
    in_color: bool,
}

#[derive(Debug)]
struct Step {
    title: &'static str,
    checks: Vec<(Duration, String)>,
}

impl Report {
    pub(super) fn start() -> Self {
        let in_color = io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
        Self { started: Instant::now(), steps: Vec::new(), in_color }
    }

    pub(super) fn title(&self, title: &str) {
        line(&self.paint(BOLD, title));
    }

    pub(super) fn remark(&self, remark: &str) {
        line(remark);
    }

    /// Begins a step.
    pub(super) fn step(&mut self, title: &'static str) {
        self.steps.push(Step { title, checks: Vec::new() });
        line("");
        line(&self.paint(BOLD, format_args!("{}. {title}", self.steps.len())));
    }

    /// Tells what happens.
    pub(super) fn say(&self, what: &str) {
        line(&format!("{}     {what}", self.time(self.started.elapsed())));
    }

    /// Records a check that passed.
    pub(super) fn check(&mut self, what: &str) {
        let now = self.started.elapsed();
        line(&format!("{} {}  {what}", self.time(now), self.paint(GREEN, " ok")));
        if let Some(step) = self.steps.last_mut() {
            step.checks.push((now, what.into()));
        }
    }

    /// Prints text that comes from elsewhere.
    pub(super) fn quote(&self, title: &str, text: &str) {
        if !title.is_empty() {
            line(&format!("          {title}"));
        }
        for quoted in text.lines() {
            line(&format!("            {quoted}"));
        }
    }

    /// Tells of the check that failed.
    pub(super) fn fail(&self, unmet: &Unmet) {
        let now = self.time(self.started.elapsed());
        line(&format!("{now} {} expected: {}", self.paint(RED, "FAILED"), unmet.expected));
        line(&format!("                seen:     {}", unmet.seen));
        line(&format!("                waited:   {:.1} s", unmet.waited.as_secs_f64()));
    }

    /// Sums up.
    pub(super) fn finish(&self) {
        line("");
        line(&self.paint(BOLD, "Summary"));
        for (number, step) in self.steps.iter().enumerate() {
            line(&format!("  {}. {}", number + 1, step.title));
            for (when, what) in &step.checks {
                line(&format!("{} {}  {what}", self.time(*when), self.paint(GREEN, " ok")));
            }
        }
        let checks: usize = self.steps.iter().map(|step| step.checks.len()).sum();
        line("");
        line(&format!("lab: all {checks} checks passed in {:.1} s", self.started.elapsed().as_secs_f64()));
    }

    fn time(&self, time: Duration) -> String {
        format!("{:>7.1} s", time.as_secs_f64())
    }

    fn paint(&self, color: &str, text: impl Display) -> String {
        if self.in_color { format!("\u{1b}[{color}m{text}\u{1b}[0m") } else { text.to_string() }
    }
}

/// Prints a line. The lab goes on, and cleans up, when nobody reads it.
fn line(text: &str) {
    let mut out = io::stdout().lock();
    let _ = writeln!(out, "{text}").and_then(|()| out.flush());
}
