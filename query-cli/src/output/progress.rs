//! Progress on stderr, for work that takes more than a second.

use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::Ui;

/// Work shorter than this draws nothing: a flash helps nobody.
const SILENT: Duration = Duration::from_secs(1);

/// A bar that appears when the work turns out to be long, and leaves nothing behind.
pub struct Progress {
    bar: ProgressBar,
    started: Instant,
    shown: bool,
    allowed: bool,
}

impl Progress {
    /// For `total` steps of `what`; nothing is drawn yet.
    #[must_use]
    pub fn new(ui: &Ui, what: &'static str, total: u64) -> Self {
        let bar = ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::hidden());
        if let Ok(style) =
            ProgressStyle::with_template("{msg} {bar:30} {human_pos} of {human_len}, {eta} left")
        {
            bar.set_style(style);
        }
        bar.set_message(what);
        Self {
            bar,
            started: Instant::now(),
            shown: false,
            allowed: ui.progress,
        }
    }

    /// `steps` more are done.
    pub fn add(&mut self, steps: u64) {
        self.bar.inc(steps);
        if self.allowed && !self.shown && self.started.elapsed() > SILENT {
            self.bar.set_draw_target(ProgressDrawTarget::stderr());
            self.shown = true;
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
