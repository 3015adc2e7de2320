//! The trace from the request to the verdict, as received by a collector.

use std::collections::HashMap;

use db::testing::PrintOnPanic;
use serde_json::{Value, json};

use opentelemetry_proto::tonic::trace::v1::span::SpanKind;

use crate::collector::{Collector, Seen};
use crate::world::{C, PROBLEM, World, eventually};

const TRACE: [u8; 16] = *b"from post to end";
const CALLER: &str = "00f067aa0ba902b7";

type Spans = HashMap<Vec<u8>, Seen>;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_trace_from_the_request_to_the_verdict() {
    for setup in World::setups() {
        let _guard = PrintOnPanic(&setup.kind);
        let collector = Collector::start().await;
        let otlp = format!("telemetry.otlp={}", collector.url);
        // Record only traces that a caller samples.
        let flags = ["--set", &otlp, "--set", "telemetry.sample_ratio=0"];
        let world = World::small(setup.clone(), &flags);
        let token = world.player("ada").await;
        submit(&world, &token).await;
        let spans = eventually("the verdict's span arrives", async || {
            let spans = collector.trace(&TRACE);
            let last = path_of(&spans, "process agon.judgement.v1", "challenge").is_some();
            last.then_some(spans)
        })
        .await;
        let path = path_of(&spans, "process agon.judgement.v1", "challenge").unwrap();
        let names: Vec<&str> = path.iter().map(|seen| seen.span.name.as_str()).collect();
        assert_eq!(
            names,
            [
                "POST /v1/submissions",
                "agon.challenge.v1.SubmissionService/CreateSubmission",
                "process agon.submission.v1",
                "judge submission",
                "finish judgement",
                "process agon.judgement.v1",
            ]
        );
        assert_eq!(hex(&path[0].span.parent_span_id), CALLER);
        for seen in spans.values() {
            let of_role = seen.service.starts_with("agon-") && setup.distributed;
            assert!(of_role || seen.service == "agon", "{}", seen.service);
        }
        check_spans(&spans, &path, !setup.engines.is_empty());
        if !setup.distributed {
            check_exemplars(&world).await;
        }
        let traces: Vec<_> = collector.spans().into_iter().map(|seen| seen.span.trace_id).collect();
        assert!(traces.iter().all(|trace| *trace == TRACE), "other traces were recorded");
    }
}

/// Submits with a `traceparent` and waits for the verdict.
async fn submit(world: &World, token: &str) {
    let request = world
        .http
        .post(world.url("/v1/submissions"))
        .bearer_auth(token)
        .header("traceparent", format!("00-{}-{CALLER}-01", hex(&TRACE)))
        .json(&json!({"problemId": PROBLEM, "language": "c17", "source": C}));
    let response = request.send().await.unwrap();
    let status = response.status();
    let submission: Value = response.json().await.unwrap();
    assert!(status.is_success(), "{submission}");
    let done = world.verdict(token, submission["submissionId"].as_str().unwrap()).await;
    assert_eq!(done["verdict"], "VERDICT_ACCEPTED", "{done}");
}

/// The spans from the first one to that of this name and consumer.
fn path_of<'s>(spans: &'s Spans, name: &str, consumer: &str) -> Option<Vec<&'s Seen>> {
    let is = |seen: &&Seen| {
        seen.span.name == name
            && seen.attribute("messaging.consumer.group.name").as_deref() == Some(consumer)
    };
    let mut path = vec![spans.values().find(is)?];
    // The path is incomplete until it reaches the caller.
    while hex(&path[path.len() - 1].span.parent_span_id) != CALLER {
        path.push(spans.get(&path[path.len() - 1].span.parent_span_id)?);
    }
    path.reverse();
    // A call between processes has a client and a server span: keep the server's.
    path.retain(|seen| seen.span.kind() != SpanKind::Client);
    Some(path)
}

/// Checks the attributes of the spans, and the phases of the worker.
fn check_spans(spans: &Spans, path: &[&Seen], kafka: bool) {
    let attributes = |seen: &Seen, wanted: &[(&str, &str)]| {
        for (key, value) in wanted {
            assert_eq!(seen.attribute(key).as_deref(), Some(*value), "{key} of {}", seen.span.name);
        }
    };
    let http = [
        ("http.request.method", "POST"),
        ("http.route", "/v1/submissions"),
        ("http.response.status_code", "200"),
    ];
    attributes(path[0], &http);
    let rpc = [
        ("rpc.system", "grpc"),
        ("rpc.service", "agon.challenge.v1.SubmissionService"),
        ("rpc.method", "CreateSubmission"),
        ("rpc.grpc.status_code", "0"),
    ];
    attributes(path[1], &rpc);
    let system = if kafka { "kafka" } else { "agon" };
    let topic = ("messaging.destination.name", "agon.submission.v1");
    attributes(path[2], &[("messaging.system", system), topic]);
    attributes(path[3], &[("agon.judge.verdict", "VERDICT_ACCEPTED")]);
    let sent = spans.values().filter(|seen| seen.span.name == "send agon.submission.v1").count();
    assert_eq!(sent > 0, kafka, "publishing to Kafka has a span");
    let job = &path[3].span.span_id;
    for phase in ["fetch program and problem", "wait for a slot", "compile", "run tests"] {
        let of_job = |seen: &&Seen| seen.span.name == phase && seen.span.parent_span_id == *job;
        assert_eq!(spans.values().filter(of_job).count(), 1, "{phase}");
    }
}

/// Metrics have the trace as exemplar, in the OpenMetrics format only.
async fn check_exemplars(world: &World) {
    let metrics = async |accept: &str| {
        let url = format!("{}/metrics", world.server.admin);
        let response = world.http.get(url).header("accept", accept).send().await.unwrap();
        let kind = response.headers()["content-type"].to_str().unwrap().to_owned();
        (kind, response.text().await.unwrap())
    };
    let (kind, text) = metrics("application/openmetrics-text; version=1.0.0").await;
    assert!(kind.starts_with("application/openmetrics-text"), "{kind}");
    crate::openmetrics::check(&text);
    let exemplar = format!("# {{trace_id=\"{}\"", hex(&TRACE));
    for histogram in ["http_request", "rpc_server", "judge_job"] {
        let start = format!("agon_{histogram}_duration_seconds_bucket");
        let shown = text.lines().any(|line| line.starts_with(&start) && line.contains(&exemplar));
        assert!(shown, "{histogram} has no exemplar");
    }
    let (kind, text) = metrics("text/plain").await;
    assert!(kind.starts_with("text/plain"), "{kind}");
    assert!(!text.contains("# EOF") && !text.contains("trace_id="));
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
