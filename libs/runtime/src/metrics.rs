//! Metrics in Prometheus' text form and in OpenMetrics', and those of the process itself.

mod exemplars;
mod open;

use std::fs;
use std::time::Duration;

use metrics::{counter, gauge};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};

use crate::Version;
use crate::shutdown::Shutdown;

pub use exemplars::Source;

/// Buckets for everything that ends in `_seconds`: from a cached answer to a long compile.
const SECONDS: [f64; 14] =
    [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0, 5.0, 30.0];

/// Renders what was recorded.
#[derive(Clone)]
pub struct Metrics {
    handle: PrometheusHandle,
    examples: exemplars::Store,
}

/// An exposition, in the form that was asked for.
pub struct Exposition {
    /// Its `Content-Type`.
    pub content_type: &'static str,
    /// The text.
    pub text: String,
}

impl Metrics {
    /// Installs the recorder of this process, or (in tests, which share one process) a recorder
    /// that nobody writes to when one is there already. `source` tells which traces durations are
    /// examples of.
    pub fn install(source: Source) -> Self {
        let builder = PrometheusBuilder::new()
            .set_buckets_for_metric(Matcher::Suffix("_seconds".into()), &SECONDS)
            .expect("the list of buckets is not empty");
        let inner = builder.build_recorder();
        let (handle, examples) = (inner.handle(), exemplars::Store::default());
        let recorder = exemplars::WithExamples { inner, source, store: examples.clone() };
        if metrics::set_global_recorder(recorder).is_err() {
            tracing::debug!("a metrics recorder is installed already");
        }
        Self { handle, examples }
    }

    /// Notes what runs here, and since when.
    pub fn describe(&self, version: Version) {
        let labels = [("version", version.version), ("commit", version.commit)];
        gauge!("agon_build_info", &labels).set(1.0);
        #[expect(clippy::disallowed_methods, reason = "the machine's time, as others show it")]
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        gauge!("process_start_time_seconds").set(now.unwrap_or_default().as_secs_f64());
    }

    /// The exposition in the form that an `Accept` header asks for, with the process's own figures
    /// brought up to date.
    pub fn render(&self, accept: &str) -> Exposition {
        record_process();
        let text = self.handle.render();
        match open::is_wanted(accept) {
            true => Exposition {
                content_type: open::CONTENT_TYPE,
                text: open::render(&text, &self.examples),
            },
            false => Exposition { content_type: "text/plain; version=0.0.4; charset=utf-8", text },
        }
    }

    /// Keeps histograms from growing between scrapes, until `shutdown`.
    pub async fn upkeep(self, shutdown: Shutdown) {
        let mut tick = tokio::time::interval(Duration::from_secs(5));
        while shutdown.unless_begun(tick.tick()).await.is_some() {
            self.handle.run_upkeep();
        }
    }
}

/// Records the figures that every Prometheus client calls by these names.
fn record_process() {
    if let Some(stat) = fs::read_to_string("/proc/self/stat").ok().as_deref().and_then(Stat::parse)
    {
        counter!("process_cpu_seconds_total").absolute(stat.cpu_ticks / TICKS_PER_SECOND);
        gauge!("process_resident_memory_bytes").set((stat.resident_pages * PAGE) as f64);
        gauge!("process_threads").set(stat.threads as f64);
    }
    if let Ok(descriptors) = fs::read_dir("/proc/self/fd") {
        gauge!("process_open_fds").set(descriptors.count() as f64);
    }
}

/// USER_HZ, which Linux fixes at 100 for what it shows to programs.
const TICKS_PER_SECOND: u64 = 100;
/// The page size of every machine Agon is built for.
const PAGE: u64 = 4096;

#[derive(Debug, PartialEq, Eq)]
struct Stat {
    cpu_ticks: u64,
    threads: u64,
    resident_pages: u64,
}

impl Stat {
    /// Reads `/proc/self/stat`: the name in parentheses may hold anything, so start after it.
    fn parse(text: &str) -> Option<Self> {
        let fields: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
        let number = |at: usize| fields.get(at)?.parse::<u64>().ok();
        Some(Self {
            cpu_ticks: number(11)? + number(12)?,
            threads: number(17)?,
            resident_pages: number(21)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_a_stat_line() {
        let line = "7 (a b) c) S 1 7 7 0 -1 4194304 500 0 0 0 30 12 0 0 20 0 9 0 100 5000 1234 1";
        let stat = Stat { cpu_ticks: 42, threads: 9, resident_pages: 1234 };
        assert_eq!(Stat::parse(line), Some(stat));
        assert_eq!(Stat::parse("rubbish"), None);
    }

    #[test]
    fn both_forms_tell_of_the_process_and_one_of_examples() {
        let metrics = Metrics::install(|| Some((0xabc, 0xdef)));
        let labels = [("route", "/v1/{id}\"\\")];
        metrics::histogram!("test_duration_seconds", &labels).record(0.02);
        metrics::counter!("test_total").increment(1);
        let plain = metrics.render("text/plain");
        assert!(plain.text.contains("process_resident_memory_bytes"), "{}", plain.text);
        assert!(!plain.text.contains("trace_id"), "{}", plain.text);
        let open = metrics.render("application/openmetrics-text; version=1.0.0");
        assert_eq!(open.content_type, open::CONTENT_TYPE);
        assert!(open.text.contains("# TYPE test counter\ntest_total 1\n"));
        let example = "le=\"0.025\"} 1 # {trace_id=\"00000000000000000000000000000abc\",\
                       span_id=\"0000000000000def\"} 0.02 ";
        assert!(open.text.contains(example), "{}", open.text);
        assert_eq!(open.text.matches("trace_id").count(), 1);
        assert!(open.text.ends_with("# EOF\n"));
    }
}
