//! Progress display on standard error.

use std::io::IsTerminal;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

/// A progress bar on a terminal; otherwise one line per phase.
pub struct Progress {
    bar: Option<ProgressBar>,
    phase: String,
}

/// What is shown.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Step {
    pub phase: String,
    /// Details that change within a phase.
    pub note: String,
    pub done: u64,
    /// 0 is unknown.
    pub total: u64,
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

    /// Prints a line above the bar.
    pub fn print(&self, line: &str) {
        match &self.bar {
            Some(bar) => bar.println(line),
            None => eprintln!("{line}"),
        }
    }

    /// Shows `done` of `total` steps of a phase. A total of 0 is unknown.
    pub fn update(&mut self, phase: &str, done: u64, total: u64) {
        self.show(Step { phase: phase.to_owned(), note: String::new(), done, total });
    }

    pub fn show(&mut self, step: Step) {
        let Step { phase, note, done, total } = step;
        let changed = self.phase != phase;
        let text = if note.is_empty() { phase.clone() } else { format!("{phase}, {note}") };
        self.phase = phase;
        let Some(bar) = &self.bar else {
            if changed {
                eprintln!("{text}…");
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
        bar.set_message(text);
        bar.set_position(done);
    }

    /// Removes the bar from the terminal.
    pub fn finish(self) {
        if let Some(bar) = self.bar {
            bar.finish_and_clear();
        }
    }
}
