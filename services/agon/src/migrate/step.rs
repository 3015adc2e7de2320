//! Progress and throughput of a step.

use std::time::{Duration, Instant};

use crate::cli::progress::Progress;

/// One step: a progress bar while it runs, a line of throughput when it is finished.
pub struct Step {
    progress: Progress,
    started: Instant,
}

impl Step {
    pub fn start(what: &str) -> Self {
        Self { progress: Progress::new(what), started: Instant::now() }
    }

    /// Shows progress. A `total` of 0 is unknown.
    pub fn update(&mut self, what: &str, done: u64, total: u64) {
        self.progress.update(what, done, total);
    }

    /// Prints a line such as `challenge.submissions  500 rows, 0.1 s, 4200/s`.
    pub fn finish(self, what: &str, count: u64, unit: &str) {
        let elapsed = self.started.elapsed();
        self.progress.finish();
        print_line!("{what:32} {}", summary(count, unit, elapsed));
    }
}

fn summary(count: u64, unit: &str, elapsed: Duration) -> String {
    let seconds = elapsed.as_secs_f64();
    let rate = count as f64 / seconds.max(0.001);
    format!("{count:>9} {unit:7} {seconds:7.1} s {rate:9.0}/s")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn summary_has_count_and_rate() {
        let text = summary(500, "rows", Duration::from_millis(250));
        assert_eq!(
            text.split_whitespace().collect::<Vec<_>>(),
            ["500", "rows", "0.2", "s", "2000/s"]
        );
    }
}
