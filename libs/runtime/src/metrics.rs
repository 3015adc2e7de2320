//! Metrics in the Prometheus text format and in OpenMetrics, including those of the process.

mod exemplars;
mod open;

use std::fs;
use std::time::Duration;

use futures_util::future::BoxFuture;
use metrics::{counter, gauge};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};

use crate::Version;
use crate::shutdown::Shutdown;

/// Buckets of all histograms whose names end in `_seconds`.
const SECONDS: [f64; 14] =
    [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0, 5.0, 30.0];

/// The metrics recorder of this process.
#[derive(Clone)]
pub struct Metrics {
    handle: PrometheusHandle,
    exemplars: exemplars::Store,
}

pub struct Exposition {
    pub content_type: &'static str,
    pub text: String,
}

impl Metrics {
    /// Installs the recorder of this process. Durations that are measured in a sampled trace become
    /// exemplars. If a recorder is installed already (in tests, which share one process), the new one
    /// receives nothing.
    pub fn install() -> Self {
        let builder = PrometheusBuilder::new()
            .set_buckets_for_metric(Matcher::Suffix("_seconds".into()), &SECONDS)
            .expect("the list of buckets is not empty");
        let inner = builder.build_recorder();
        let (handle, exemplars) = (inner.handle(), exemplars::Store::default());
        let recorder = exemplars::WithExemplars { inner, store: exemplars.clone() };
        if metrics::set_global_recorder(recorder).is_err() {
            tracing::debug!("a metrics recorder is installed already");
        }
        Self { handle, exemplars }
    }

    /// Records the build version and the start time.
    pub fn describe(&self, version: Version) {
        let labels = [("version", version.version), ("commit", version.commit)];
        gauge!("agon_build_info", &labels).set(1.0);
        #[expect(clippy::disallowed_methods, reason = "Prometheus compares it with its own clock")]
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        gauge!("process_start_time_seconds").set(now.unwrap_or_default().as_secs_f64());
    }

    /// Renders the exposition in the format that an `Accept` header asks for, with current process
    /// metrics.
    pub fn render(&self, accept: &str) -> Exposition {
        record_process();
        let text = self.handle.render();
        if open::is_accepted(accept) {
            let text = open::render(&text, &self.exemplars);
            return Exposition { content_type: open::CONTENT_TYPE, text };
        }
        Exposition { content_type: "text/plain; version=0.0.4; charset=utf-8", text }
    }

    /// Drains histogram samples every 5 s until `shutdown`, so that they do not grow between scrapes.
    pub fn upkeep(self, shutdown: Shutdown) -> BoxFuture<'static, ()> {
        Box::pin(async move {
            let mut tick = tokio::time::interval(Duration::from_secs(5));
            while shutdown.unless_begun(tick.tick()).await.is_some() {
                self.handle.run_upkeep();
            }
        })
    }
}

/// Records the standard `process_*` metrics of Prometheus clients.
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

/// `USER_HZ`, which is 100 in all of Linux's interfaces to programs.
const TICKS_PER_SECOND: u64 = 100;
/// The page size of all supported targets, in bytes.
const PAGE: u64 = 4096;

#[derive(Debug, PartialEq, Eq)]
struct Stat {
    cpu_ticks: u64,
    threads: u64,
    resident_pages: u64,
}

impl Stat {
    /// Parses `/proc/self/stat`. The name in parentheses may contain anything, so parsing starts
    /// behind the last parenthesis.
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
    use opentelemetry::trace::{
        SpanContext, SpanId, TraceContextExt as _, TraceFlags, TraceId, TraceState,
    };

    use super::*;

    #[test]
    fn stat_lines_are_parsed() {
        let line = "7 (a b) c) S 1 7 7 0 -1 4194304 500 0 0 0 30 12 0 0 20 0 9 0 100 5000 1234 1";
        let stat = Stat { cpu_ticks: 42, threads: 9, resident_pages: 1234 };
        assert_eq!(Stat::parse(line), Some(stat));
        assert_eq!(Stat::parse("no stat line"), None);
    }

    #[test]
    fn exemplars_are_in_openmetrics_only() {
        let metrics = Metrics::install();
        let labels = [("route", "/v1/{id}\"\\")];
        let (trace_id, span_id) = (TraceId::from(0xabc_u128), SpanId::from(0xdef_u64));
        let record_in = |flags| {
            let span = SpanContext::new(trace_id, span_id, flags, true, TraceState::NONE);
            let _trace = opentelemetry::Context::new().with_remote_span_context(span).attach();
            metrics::histogram!("test_duration_seconds", &labels).record(0.02);
        };
        record_in(TraceFlags::default());
        let open = metrics.render("application/openmetrics-text; version=1.0.0");
        assert!(!open.text.contains("trace_id"), "{}", open.text);
        record_in(TraceFlags::SAMPLED);
        metrics::counter!("test_total").increment(1);
        let plain = metrics.render("text/plain");
        assert!(plain.text.contains("process_resident_memory_bytes"), "{}", plain.text);
        assert!(!plain.text.contains("trace_id"), "{}", plain.text);
        let open = metrics.render("application/openmetrics-text; version=1.0.0");
        assert_eq!(open.content_type, open::CONTENT_TYPE);
        assert!(open.text.contains("# TYPE test counter\ntest_total 1\n"));
        let exemplar = "le=\"0.025\"} 2 # {trace_id=\"00000000000000000000000000000abc\",\
                        span_id=\"0000000000000def\"} 0.02 ";
        assert!(open.text.contains(exemplar), "{}", open.text);
        assert_eq!(open.text.matches("trace_id").count(), 1);
        assert!(open.text.ends_with("# EOF\n"));
    }
}
