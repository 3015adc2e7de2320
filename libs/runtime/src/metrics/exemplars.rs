//! Exemplars: for each bucket of a duration histogram, the latest measurement in a sampled trace.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, UNIX_EPOCH};

use metrics::{
    Counter, Gauge, Histogram, HistogramFn, Key, KeyName, Metadata, Recorder, SharedString, Unit,
};
use opentelemetry::trace::{SpanId, TraceContextExt as _, TraceId};

use super::SECONDS;

/// Only histograms whose names end in this have exemplars.
const SUFFIX: &str = "_duration_seconds";

#[derive(Clone, Copy, Debug)]
struct Exemplar {
    trace_id: TraceId,
    span_id: SpanId,
    value: f64,
    /// Since the Unix epoch.
    at: Duration,
}

/// The exemplars of one histogram, by bucket; the last bucket is `+Inf`.
#[derive(Default)]
struct Exemplars([Mutex<Option<Exemplar>>; SECONDS.len() + 1]);

/// The exemplars of all histograms, by the prefix of their bucket lines.
#[derive(Clone, Default)]
pub(super) struct Store(Arc<RwLock<HashMap<String, Arc<Exemplars>>>>);

impl Store {
    fn exemplars(&self, key: &Key) -> Arc<Exemplars> {
        let mut store = self.0.write().unwrap_or_else(PoisonError::into_inner);
        store.entry(line_prefix(key)).or_default().clone()
    }

    /// The suffix for a bucket line `name_bucket{…,le="0.1"} 7`.
    pub(super) fn suffix(&self, line: &str) -> Option<String> {
        let (start, rest) = line.rsplit_once("le=\"")?;
        let (bound, _) = rest.split_once('"')?;
        let bucket = match bound {
            "+Inf" => SECONDS.len(),
            bound => {
                let bound: f64 = bound.parse().ok()?;
                SECONDS.iter().position(|known| *known == bound)?
            }
        };
        let exemplars = self.0.read().unwrap_or_else(PoisonError::into_inner).get(start)?.clone();
        let exemplar = (*exemplars.0[bucket].lock().unwrap_or_else(PoisonError::into_inner))?;
        let Exemplar { trace_id, span_id, value, at } = exemplar;
        let (seconds, millis) = (at.as_secs(), at.subsec_millis());
        Some(format!(
            " # {{trace_id=\"{trace_id}\",span_id=\"{span_id}\"}} {value} {seconds}.{millis:03}"
        ))
    }
}

/// The prefix of a histogram's bucket lines, up to the bound.
fn line_prefix(key: &Key) -> String {
    let mut line = format!("{}_bucket{{", key.name());
    for label in key.labels() {
        let value = label.value().replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
        let _ = write!(line, "{}=\"{value}\",", label.key());
    }
    line
}

struct WithExemplar {
    inner: Histogram,
    exemplars: Arc<Exemplars>,
}

impl HistogramFn for WithExemplar {
    fn record(&self, value: f64) {
        self.inner.record(value);
        let Some((trace_id, span_id)) = sampled() else { return };
        let bucket = SECONDS.partition_point(|bound| *bound < value);
        // Any one exemplar will do, so skip a locked slot.
        if let Ok(mut exemplar) = self.exemplars.0[bucket].try_lock() {
            #[expect(clippy::disallowed_methods, reason = "exemplars have wall-clock times")]
            let at = std::time::SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            *exemplar = Some(Exemplar { trace_id, span_id, value, at });
        }
    }
}

/// The current trace and span, if the trace is sampled.
fn sampled() -> Option<(TraceId, SpanId)> {
    opentelemetry::Context::map_current(|context| {
        let span = context.span();
        let ids = span.span_context();
        ids.is_sampled().then(|| (ids.trace_id(), ids.span_id()))
    })
}

/// A recorder that adds exemplars to duration histograms.
pub(super) struct WithExemplars<R> {
    pub(super) inner: R,
    pub(super) store: Store,
}

impl<R: Recorder> Recorder for WithExemplars<R> {
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
        let exemplars = self.store.exemplars(key);
        Histogram::from_arc(Arc::new(WithExemplar { inner, exemplars }))
    }
}
