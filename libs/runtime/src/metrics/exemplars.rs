//! Examples of measurements: for each bucket of a duration the latest trace that fell into it.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, UNIX_EPOCH};

use metrics::{
    Counter, Gauge, Histogram, HistogramFn, Key, KeyName, Metadata, Recorder, SharedString, Unit,
};

use super::SECONDS;

/// Tells the trace and the span that the measurement being recorded on this thread is an example
/// of, if of any.
pub type Source = fn() -> Option<(u128, u64)>;

/// Histograms whose names end so have examples.
const SUFFIX: &str = "_duration_seconds";

/// One measurement.
#[derive(Clone, Copy, Debug)]
struct Example {
    trace_id: u128,
    span_id: u64,
    value: f64,
    at: Duration,
}

/// The examples of one histogram, by bucket; the last one is without a bound.
#[derive(Default)]
struct Examples([Mutex<Option<Example>>; SECONDS.len() + 1]);

/// The examples of all histograms, by what the lines of their buckets begin with.
#[derive(Clone, Default)]
pub(super) struct Store(Arc<RwLock<HashMap<String, Arc<Examples>>>>);

impl Store {
    fn examples(&self, key: &Key) -> Arc<Examples> {
        let mut store = self.0.write().unwrap_or_else(PoisonError::into_inner);
        store.entry(line_of(key)).or_default().clone()
    }

    /// What to write behind the line of a bucket: `name_bucket{…,le="0.1"} 7`.
    pub(super) fn behind(&self, line: &str) -> Option<String> {
        let (start, rest) = line.rsplit_once("le=\"")?;
        let (bound, _) = rest.split_once('"')?;
        let bucket = match bound {
            "+Inf" => SECONDS.len(),
            bound => {
                let bound: f64 = bound.parse().ok()?;
                SECONDS.iter().position(|known| *known == bound)?
            }
        };
        let examples = self.0.read().unwrap_or_else(PoisonError::into_inner).get(start)?.clone();
        let example = (*examples.0[bucket].lock().unwrap_or_else(PoisonError::into_inner))?;
        let Example { trace_id, span_id, value, at } = example;
        let (seconds, millis) = (at.as_secs(), at.subsec_millis());
        Some(format!(
            " # {{trace_id=\"{trace_id:032x}\",span_id=\"{span_id:016x}\"}} {value} {seconds}.{millis:03}"
        ))
    }
}

/// How the lines of a histogram's buckets begin, up to their bound.
fn line_of(key: &Key) -> String {
    let mut line = format!("{}_bucket{{", key.name());
    for label in key.labels() {
        let value = label.value().replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
        let _ = write!(line, "{}=\"{value}\",", label.key());
    }
    line
}

/// A histogram with examples.
struct Exemplified {
    inner: Histogram,
    source: Source,
    examples: Arc<Examples>,
}

impl HistogramFn for Exemplified {
    fn record(&self, value: f64) {
        self.inner.record(value);
        let Some((trace_id, span_id)) = (self.source)() else { return };
        let bucket = SECONDS.partition_point(|bound| *bound < value);
        // Whoever finds it locked loses nothing: one example is as good as another.
        if let Ok(mut example) = self.examples.0[bucket].try_lock() {
            #[expect(clippy::disallowed_methods, reason = "when it was measured, for people")]
            let at = std::time::SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            *example = Some(Example { trace_id, span_id, value, at });
        }
    }
}

/// A recorder whose durations have examples.
pub(super) struct WithExamples<R> {
    pub(super) inner: R,
    pub(super) source: Source,
    pub(super) store: Store,
}

impl<R: Recorder> Recorder for WithExamples<R> {
    fn describe_counter(&self, name: KeyName, unit: Option<Unit>, text: SharedString) {
        self.inner.describe_counter(name, unit, text);
    }

    fn describe_gauge(&self, name: KeyName, unit: Option<Unit>, text: SharedString) {
        self.inner.describe_gauge(name, unit, text);
    }

    fn describe_histogram(&self, name: KeyName, unit: Option<Unit>, text: SharedString) {
        self.inner.describe_histogram(name, unit, text);
    }

    fn register_counter(&self, key: &Key, metadata: &Metadata<'_>) -> Counter {
        self.inner.register_counter(key, metadata)
    }

    fn register_gauge(&self, key: &Key, metadata: &Metadata<'_>) -> Gauge {
        self.inner.register_gauge(key, metadata)
    }

    fn register_histogram(&self, key: &Key, metadata: &Metadata<'_>) -> Histogram {
        let inner = self.inner.register_histogram(key, metadata);
        if !key.name().ends_with(SUFFIX) {
            return inner;
        }
        let examples = self.store.examples(key);
        Histogram::from_arc(Arc::new(Exemplified { inner, source: self.source, examples }))
    }
}
