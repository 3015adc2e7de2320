//! Export of spans to a collector.

use std::time::{Duration, Instant};

use opentelemetry::trace::{
    SpanContext, SpanId, TraceContextExt as _, TraceFlags, TraceId, TraceState,
};
use runtime::telemetry::{self, Config, Identity, Telemetry};
use tracing::Dispatch;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;
use tracing_subscriber::layer::SubscriberExt as _;

use crate::collector::Collector;

fn open(url: &str, sample_ratio: f64) -> (Telemetry, Dispatch) {
    let config = Config { otlp: url.to_owned(), sample_ratio };
    let identity = Identity {
        service: "agon-judge".into(),
        version: "1.2.3".into(),
        instance: "here-1".into(),
    };
    let telemetry = Telemetry::open(&config, &identity).unwrap().unwrap();
    let layer = telemetry::layer(telemetry.tracer());
    (telemetry, Dispatch::new(tracing_subscriber::registry().with(layer)))
}

/// Records a span with this name.
fn span(dispatch: &Dispatch, name: &str, parent: Option<opentelemetry::Context>) {
    tracing::dispatcher::with_default(dispatch, || {
        let span = tracing::info_span!("span", otel.kind = "internal", otel.name = name, count = 2);
        if let Some(parent) = parent {
            span.set_parent(parent).unwrap();
        }
        span.in_scope(|| tracing::error!("events are not exported"));
    });
}

fn caller(trace_id: u128, sampled: bool) -> Option<opentelemetry::Context> {
    let flags = if sampled { TraceFlags::SAMPLED } else { TraceFlags::default() };
    let (trace_id, id) = (TraceId::from(trace_id), SpanId::from(7));
    let at = SpanContext::new(trace_id, id, flags, true, TraceState::NONE);
    Some(opentelemetry::Context::new().with_remote_span_context(at))
}

async fn eventually(what: &str, done: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !done() {
        assert!(Instant::now() < deadline, "timed out waiting until {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn export_is_off_by_default() {
    let identity = Identity { service: "a".into(), version: "b".into(), instance: "c".into() };
    assert!(Telemetry::open(&Config::default(), &identity).unwrap().is_none());
    let bad = Config { otlp: "http://".into(), ..Config::default() };
    let error = Telemetry::open(&bad, &identity).unwrap_err().to_string();
    assert!(error.starts_with("otlp: "), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn queued_spans_are_exported_on_close() {
    let collector = Collector::start().await;
    let (telemetry, dispatch) = open(&collector.url, 1.0);
    span(&dispatch, "last", None);
    telemetry.close(Duration::from_secs(10)).await;
    let spans = collector.spans();
    assert_eq!(spans.len(), 1);
    assert_eq!(spans[0].span.name, "last");
    assert_eq!(spans[0].service, "agon-judge");
    assert_eq!(spans[0].attribute("count").as_deref(), Some("2"));
    assert!(spans[0].span.events.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn callers_sampling_decision_takes_precedence() {
    let collector = Collector::start().await;
    let (telemetry, dispatch) = open(&collector.url, 0.0);
    span(&dispatch, "root", None);
    span(&dispatch, "unsampled", caller(1, false));
    span(&dispatch, "sampled", caller(2, true));
    telemetry.close(Duration::from_secs(10)).await;
    let names: Vec<_> = collector.spans().into_iter().map(|seen| seen.span.name).collect();
    assert_eq!(names, ["sampled"]);
    assert_eq!(collector.trace(&2_u128.to_be_bytes()).len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unreachable_collector_does_not_block() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let (telemetry, dispatch) = open(&format!("http://{address}"), 1.0);
    let start = Instant::now();
    for _ in 0..50_000 {
        span(&dispatch, "lost", None);
    }
    assert!(start.elapsed() < Duration::from_secs(20), "{:?}", start.elapsed());
    // Once the collector is reachable, spans arrive.
    let collector = Collector::at(address).await;
    eventually("spans arrive again", || {
        span(&dispatch, "found", None);
        collector.spans().iter().any(|seen| seen.span.name == "found")
    })
    .await;
    drop(collector);
    let start = Instant::now();
    telemetry.close(Duration::from_secs(2)).await;
    assert!(start.elapsed() < Duration::from_secs(8), "{:?}", start.elapsed());
}
