//! What is recorded of calls, and how it hangs together.

use std::sync::{Arc, LazyLock, Mutex};
use std::time::{Duration, Instant};

use opentelemetry::global::BoxedTracer;
use opentelemetry::trace::{SpanKind, Status, TracerProvider as _};
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{Sampler, SdkTracerProvider, SpanData, SpanExporter};
use rpc::{Context, Resilience, Trace};
use tonic::Code;

use crate::node::{Node, client, create, list, quick};
use crate::probe::{Client, Server, get};

/// Keeps what the tests of this process asked to be recorded.
#[derive(Clone, Debug, Default)]
struct Kept(Arc<Mutex<Vec<SpanData>>>);

impl SpanExporter for Kept {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        self.0.lock().unwrap().extend(batch);
        Ok(())
    }
}

static KEPT: LazyLock<Kept> = LazyLock::new(|| {
    let kept = Kept::default();
    let provider = SdkTracerProvider::builder()
        .with_simple_exporter(kept.clone())
        // Only what a caller wants.
        .with_sampler(Sampler::ParentBased(Box::new(Sampler::AlwaysOff)))
        .build();
    rpc::span::record_with(BoxedTracer::new(Box::new(provider.tracer("tests"))));
    kept
});

/// A context in a trace that is recorded.
fn wanted() -> Context {
    LazyLock::force(&KEPT);
    let mut context = Context::root();
    context.trace.flags = 1;
    context
}

/// The spans of a trace, once there are so many.
async fn spans(trace: &Trace, count: usize) -> Vec<SpanData> {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let of = |span: &&SpanData| span.span_context.trace_id() == trace.trace_id.into();
        let found: Vec<SpanData> = KEPT.0.lock().unwrap().iter().filter(of).cloned().collect();
        if found.len() >= count {
            return found;
        }
        assert!(Instant::now() < deadline, "{found:?}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[track_caller]
fn of_kind<'s>(spans: &'s [SpanData], kind: &SpanKind) -> &'s SpanData {
    spans.iter().find(|span| span.span_kind == *kind).unwrap()
}

fn attribute(span: &SpanData, key: &str) -> String {
    let found = span.attributes.iter().find(|attribute| attribute.key.as_str() == key);
    found.map(|attribute| attribute.value.to_string()).unwrap_or_default()
}

#[tokio::test]
async fn a_call_over_the_network_has_two_ends() {
    let node = Node::start().await;
    let mut client = client(vec![node.url()], Resilience::default());
    let context = wanted();
    let trace = context.trace;
    context.scope(client.list_invitations(list(""))).await.unwrap();
    let spans = spans(&trace, 2).await;
    let (calling, answering) =
        (of_kind(&spans, &SpanKind::Client), of_kind(&spans, &SpanKind::Server));
    assert_eq!(calling.parent_span_id, trace.span_id.into());
    assert_eq!(answering.parent_span_id, calling.span_context.span_id());
    for span in [calling, answering] {
        assert_eq!(span.name, "agon.auth.v1.InvitationService/ListInvitations");
        assert_eq!(attribute(span, "rpc.system"), "grpc");
        assert_eq!(attribute(span, "rpc.method"), "ListInvitations");
        assert_eq!(attribute(span, "rpc.grpc.status_code"), "0");
        assert_eq!(span.status, Status::Unset);
    }
}

#[tokio::test]
async fn a_call_that_nobody_answers_failed() {
    let mut node = Node::start().await;
    let url = node.url();
    node.kill().await;
    let context = wanted();
    let trace = context.trace;
    let mut client = client(vec![url], quick());
    let status = context.scope(client.create_invitation(create(""))).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    let spans = spans(&trace, 1).await;
    assert_eq!(attribute(&spans[0], "rpc.grpc.status_code"), "14");
    assert!(matches!(spans[0].status, Status::Error { .. }));
}

#[tokio::test]
async fn a_call_inside_the_process_is_one_span() {
    let server = Server::plain().await;
    let mut client = Client::new(server.local.clone().into());
    let context = wanted();
    let trace = context.trace;
    context.clone().scope(client.get_problem_import(get("one"))).await.unwrap();
    context.scope(client.get_problem_import(get("fault"))).await.unwrap_err();
    let spans = spans(&trace, 2).await;
    assert_eq!(spans.len(), 2);
    for span in &spans {
        assert_eq!(span.span_kind, SpanKind::Internal);
        assert_eq!(span.parent_span_id, trace.span_id.into());
    }
    let failed = |span: &&SpanData| matches!(span.status, Status::Error { .. });
    let text = format!("{:?}", spans.iter().find(failed).unwrap());
    assert!(!text.contains("secret"), "{text}");
}

#[tokio::test]
async fn what_nobody_wants_is_not_recorded() {
    LazyLock::force(&KEPT);
    let server = Server::plain().await;
    let context = Context::root();
    let trace = context.trace;
    let mut client = Client::new(server.local.clone().into());
    let told = context.scope(client.get_problem_import(get("trace-id"))).await.unwrap();
    let told = told.into_inner().problem_import.unwrap().problem_import_id;
    assert_eq!(told, format!("{:032x}", trace.trace_id));
    let kept = KEPT.0.lock().unwrap();
    assert!(kept.iter().all(|span| span.span_context.trace_id() != trace.trace_id.into()));
}
