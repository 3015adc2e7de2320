//! Progress, for people on a terminal and for logs alike.

use std::io::IsTerminal;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

/// A bar on a terminal; otherwise one line whenever the phase changes. All on standard error, so
/// that a command's result can be piped.
pub struct Progress {
    bar: Option<ProgressBar>,
    phase: String,
}

impl Progress {
    /// Starts in `phase`.
    pub fn new(phase: &str) -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::new_spinner();
            bar.enable_steady_tick(Duration::from_millis(100));
            bar
        });
        let mut progress = Self { bar, phase: String::new() };
        progress.update(phase, 0, 0);
        progress
    }

    /// `done` of `total` steps of a phase; a total of 0 is one that is not known yet.
    pub fn update(&mut self, phase: &str, done: u64, total: u64) {
        let changed = self.phase != phase;
        if changed {
            phase.clone_into(&mut self.phase);
        }
        let Some(bar) = &self.bar else {
            if changed {
                eprintln!("{phase}…");
            }
            return;
        };
        if changed || bar.length() != (total > 0).then_some(total) {
            let template = if total > 0 {
                "{spinner} {msg} [{bar:30}] {pos}/{len}"
            } else {
                "{spinner} {msg}"
            };
            let style = ProgressStyle::with_template(template).expect("a template of ours");
            bar.set_style(style.progress_chars("=> "));
            bar.set_length(total);
        }
        bar.set_message(phase.to_owned());
        bar.set_position(done);
    }

    /// Leaves the terminal as it was.
    pub fn finish(self) {
        if let Some(bar) = self.bar {
            bar.finish_and_clear();
        }
    }
}
