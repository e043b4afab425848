//! What is shown to people while something takes long: on a terminal only, on standard error, and gone when it is over.

use core::fmt;
use core::time::Duration;
use std::io::IsTerminal;
use std::time::Instant;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// What is over sooner needs no bar.
const AFTER: Duration = Duration::from_secs(2);
/// How often it moves.
const TICK: Duration = Duration::from_millis(200);

/// A line that is shown until this is dropped.
pub(crate) struct Progress {
    bar: ProgressBar,
    /// When it may be shown, if it is not yet.
    from: Option<Instant>,
}

impl Progress {
    /// Progress of work that takes longer than two seconds, without a known end. It is shown at once.
    pub(crate) fn new(what: &str) -> Self {
        let mut progress = Self::hidden(None, "{spinner} {msg} ({elapsed})", what);
        progress.show();
        progress
    }

    /// Of reading so many bytes. It is shown after two seconds; never where `is_wanted` is not.
    pub(crate) fn of_bytes(total: Option<u64>, is_wanted: bool) -> Self {
        let template = match total {
            Some(_) => "{bar:30} {bytes} of {total_bytes}, {eta} left",
            None => "{spinner} {bytes} ({elapsed})",
        };
        let mut progress = Self::hidden(total, template, "");
        progress.from = is_wanted.then(|| Instant::now() + AFTER);
        progress
    }

    /// Of so many steps. It is shown after two seconds.
    pub(crate) fn of_steps(total: u64, what: &str) -> Self {
        let mut progress = Self::hidden(Some(total), "{bar:30} {pos} of {len} {msg}, {eta} left", what);
        progress.from = Some(Instant::now() + AFTER);
        progress
    }

    fn hidden(total: Option<u64>, template: &str, what: &str) -> Self {
        let bar = ProgressBar::with_draw_target(total, ProgressDrawTarget::hidden());
        let style =
            ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_spinner());
        Self { bar: bar.with_style(style).with_message(what.to_owned()), from: None }
    }

    /// So many bytes more.
    pub(crate) fn advance(&mut self, count: usize) {
        self.bar.inc(count as u64);
        self.show_when_due();
    }

    fn show_when_due(&mut self) {
        if self.from.is_some_and(|from| from <= Instant::now()) {
            self.from = None;
            self.show();
        }
    }

    /// So many steps are done in all.
    pub(crate) fn step_to(&mut self, done: u64) {
        self.bar.set_position(done);
        self.show_when_due();
    }

    /// What is done now.
    pub(crate) fn say(&self, what: String) {
        self.bar.set_message(what);
    }

    /// Prints lines on standard error while the line is away.
    pub(crate) fn aside(&self, print: impl FnOnce()) {
        self.bar.suspend(print);
    }

    fn show(&mut self) {
        if std::io::stderr().is_terminal() {
            self.bar.set_draw_target(ProgressDrawTarget::stderr());
            self.bar.enable_steady_tick(TICK);
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

impl fmt::Debug for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Progress").finish_non_exhaustive()
    }
}
