//! Traces on their way to a real collector.

use std::time::{Duration, Instant};

use opentelemetry::KeyValue;
use opentelemetry::trace::{
    Span as _, SpanContext, SpanId, TraceContextExt as _, TraceFlags, TraceId, TraceState,
    Tracer as _,
};
use runtime::telemetry::{Config, Identity, Telemetry};

use crate::collector::Collector;

fn open(url: &str, sample_ratio: f64) -> Telemetry {
    let config = Config { otlp: url.to_owned(), sample_ratio };
    let identity = Identity {
        service: "agon-judge".into(),
        version: "1.2.3".into(),
        instance: "here-1".into(),
    };
    Telemetry::open(&config, &identity).unwrap().unwrap()
}

/// A caller that wants its trace recorded, or does not.
fn caller(trace_id: u128, sampled: bool) -> opentelemetry::Context {
    let flags = if sampled { TraceFlags::SAMPLED } else { TraceFlags::default() };
    let (trace_id, id) = (TraceId::from(trace_id), SpanId::from(7));
    let at = SpanContext::new(trace_id, id, flags, true, TraceState::NONE);
    opentelemetry::Context::new().with_remote_span_context(at)
}

async fn eventually(what: &str, done: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !done() {
        assert!(Instant::now() < deadline, "waited in vain until {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_opened_unless_wanted() {
    let identity = Identity { service: "a".into(), version: "b".into(), instance: "c".into() };
    assert!(Telemetry::open(&Config::default(), &identity).unwrap().is_none());
    let bad = Config { otlp: "http://".into(), ..Config::default() };
    let said = Telemetry::open(&bad, &identity).unwrap_err().to_string();
    assert!(said.starts_with("otlp: "), "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_last_spans_are_sent_when_it_closes() {
    let collector = Collector::start().await;
    let telemetry = open(&collector.url, 1.0);
    let mut span = telemetry.tracer().start("last words");
    span.set_attribute(KeyValue::new("count", 2));
    span.end();
    telemetry.close(Duration::from_secs(10)).await;
    let spans = collector.spans();
    assert_eq!(spans.len(), 1);
    assert_eq!(spans[0].span.name, "last words");
    assert_eq!(spans[0].service, "agon-judge");
    assert_eq!(spans[0].attribute("count").as_deref(), Some("2"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_callers_decision_comes_first() {
    let collector = Collector::start().await;
    let telemetry = open(&collector.url, 0.0);
    let tracer = telemetry.tracer();
    tracer.start("nobody asked").end();
    tracer.start_with_context("not wanted", &caller(1, false)).end();
    tracer.start_with_context("wanted", &caller(2, true)).end();
    telemetry.close(Duration::from_secs(10)).await;
    let names: Vec<_> = collector.spans().into_iter().map(|seen| seen.span.name).collect();
    assert_eq!(names, ["wanted"]);
    assert_eq!(collector.trace(&2_u128.to_be_bytes()).len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_collector_that_is_away_holds_nobody_up() {
    let away = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = away.local_addr().unwrap();
    drop(away);
    let telemetry = open(&format!("http://{address}"), 1.0);
    let tracer = telemetry.tracer();
    let start = Instant::now();
    for _ in 0..50_000 {
        tracer.start("lost").end();
    }
    assert!(start.elapsed() < Duration::from_secs(20), "{:?}", start.elapsed());
    // It comes, and the next spans arrive.
    let collector = Collector::at(address).await;
    eventually("spans arrive again", || {
        tracer.start("found").end();
        collector.spans().iter().any(|seen| seen.span.name == "found")
    })
    .await;
    drop(collector);
    let start = Instant::now();
    telemetry.close(Duration::from_secs(2)).await;
    assert!(start.elapsed() < Duration::from_secs(8), "{:?}", start.elapsed());
}
