//! How fast something went.

use std::time::{Duration, Instant};

use crate::cli::progress::Progress;

/// Shows one step after another: a bar while it lasts, a line when it is done.
pub struct Step {
    progress: Progress,
    started: Instant,
}

impl Step {
    /// Begins a step.
    pub fn start(what: &str) -> Self {
        Self { progress: Progress::new(what), started: Instant::now() }
    }

    /// How far it is.
    pub fn seen(&mut self, what: &str, done: u64, total: u64) {
        self.progress.update(what, done, total);
    }

    /// Ends the step with a line such as `challenge.submissions  500 rows, 0.1 s, 4200/s`.
    pub fn done(self, what: &str, count: u64, unit: &str) {
        let took = self.started.elapsed();
        self.progress.finish();
        print_line!("{what:32} {}", told(count, unit, took));
    }
}

fn told(count: u64, unit: &str, took: Duration) -> String {
    let seconds = took.as_secs_f64();
    let rate = count as f64 / seconds.max(0.001);
    format!("{count:>9} {unit:7} {seconds:7.1} s {rate:9.0}/s")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_and_rates() {
        let text = told(500, "rows", Duration::from_millis(250));
        assert_eq!(
            text.split_whitespace().collect::<Vec<_>>(),
            ["500", "rows", "0.2", "s", "2000/s"]
        );
    }
}
