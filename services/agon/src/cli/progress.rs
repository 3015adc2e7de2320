//! Progress display on standard error.

use std::io::IsTerminal;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

/// A progress bar on a terminal; otherwise one line per phase.
pub struct Progress {
    bar: Option<ProgressBar>,
    phase: String,
}

impl Progress {
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

    /// Shows `done` of `total` steps of a phase. A total of 0 is unknown.
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
            let style = ProgressStyle::with_template(template).expect("the template is valid");
            bar.set_style(style.progress_chars("=> "));
            bar.set_length(total);
        }
        bar.set_message(phase.to_owned());
        bar.set_position(done);
    }

    /// Removes the bar from the terminal.
    pub fn finish(self) {
        if let Some(bar) = self.bar {
            bar.finish_and_clear();
        }
    }
}
