//! Spans of calls, and how they are related.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex};
use std::time::{Duration, Instant};

use opentelemetry::trace::{SpanId, SpanKind, Status, TraceId, TracerProvider as _};
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{Sampler, SdkTracerProvider, SpanData, SpanExporter};
use rpc::{Context, Resilience};
use tonic::Code;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::node::{Node, client, create, list, quick};
use crate::probe::{Client, Server, get};

/// The spans that this test process exported.
#[derive(Clone, Debug, Default)]
struct Exported(Arc<Mutex<Vec<SpanData>>>);

impl SpanExporter for Exported {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        self.0.lock().unwrap().extend(batch);
        Ok(())
    }
}

static EXPORTED: LazyLock<Exported> = LazyLock::new(|| {
    let exported = Exported::default();
    let provider = SdkTracerProvider::builder()
        .with_simple_exporter(exported.clone())
        // Only traces that the caller samples.
        .with_sampler(Sampler::ParentBased(Box::new(Sampler::AlwaysOff)))
        .build();
    let layer = runtime::telemetry::layer(provider.tracer("tests"));
    tracing_subscriber::registry().with(layer).init();
    exported
});

/// The caller's span in a new trace.
struct Caller {
    trace: TraceId,
    span: SpanId,
    context: Context,
}

fn caller(sampled: bool) -> Caller {
    LazyLock::force(&EXPORTED);
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let trace = TraceId::from(u128::from(NEXT.fetch_add(1, Ordering::Relaxed)));
    let span = SpanId::from(7_u64);
    let traceparent = format!("00-{trace}-{span}-{:02x}", u8::from(sampled));
    Caller { trace, span, context: Context::continuing(Some(&traceparent)) }
}

/// The spans of a trace, once there are `count` of them.
async fn spans(trace: TraceId, count: usize) -> Vec<SpanData> {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let of_trace = |span: &&SpanData| span.span_context.trace_id() == trace;
        let found: Vec<SpanData> =
            EXPORTED.0.lock().unwrap().iter().filter(of_trace).cloned().collect();
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
async fn network_calls_have_a_client_and_a_server_span() {
    let node = Node::start().await;
    let mut client = client(vec![node.url()], Resilience::default());
    let caller = caller(true);
    caller.context.scope(client.list_invitations(list(""))).await.unwrap();
    let spans = spans(caller.trace, 2).await;
    let (calling, answering) =
        (of_kind(&spans, &SpanKind::Client), of_kind(&spans, &SpanKind::Server));
    assert_eq!(calling.parent_span_id, caller.span);
    assert_eq!(answering.parent_span_id, calling.span_context.span_id());
    for span in [calling, answering] {
        assert_eq!(span.name, "agon.auth.v1.InvitationService/ListInvitations");
        assert_eq!(attribute(span, "rpc.system"), "grpc");
        assert_eq!(attribute(span, "rpc.service"), "agon.auth.v1.InvitationService");
        assert_eq!(attribute(span, "rpc.method"), "ListInvitations");
        assert_eq!(attribute(span, "rpc.grpc.status_code"), "0");
        assert_eq!(span.status, Status::Unset);
    }
}

#[tokio::test]
async fn client_span_of_an_unanswered_call_has_an_error() {
    let mut node = Node::start().await;
    let url = node.url();
    node.kill().await;
    let caller = caller(true);
    let mut client = client(vec![url], quick());
    let call = caller.context.scope(client.create_invitation(create("")));
    assert_eq!(call.await.unwrap_err().code(), Code::Unavailable);
    let spans = spans(caller.trace, 1).await;
    assert_eq!(attribute(&spans[0], "rpc.grpc.status_code"), "14");
    assert!(matches!(spans[0].status, Status::Error { .. }));
}

#[tokio::test]
async fn in_process_calls_have_one_span() {
    let server = Server::plain().await;
    let mut client = Client::new(server.local.clone().into());
    let caller = caller(true);
    let context = caller.context;
    context.clone().scope(client.get_problem_import(get("one"))).await.unwrap();
    context.scope(client.get_problem_import(get("fault"))).await.unwrap_err();
    let spans = spans(caller.trace, 2).await;
    assert_eq!(spans.len(), 2);
    for span in &spans {
        assert_eq!(span.span_kind, SpanKind::Internal);
        assert_eq!(span.parent_span_id, caller.span);
    }
    let failed = |span: &&SpanData| matches!(span.status, Status::Error { .. });
    let text = format!("{:?}", spans.iter().find(failed).unwrap());
    assert!(!text.contains("secret"), "{text}");
}

#[tokio::test]
async fn unsampled_traces_are_continued_and_not_exported() {
    let server = Server::plain().await;
    let caller = caller(false);
    let mut client = Client::new(server.local.clone().into());
    let response = caller.context.scope(client.get_problem_import(get("trace-id"))).await.unwrap();
    let seen = response.into_inner().problem_import.unwrap().problem_import_id;
    assert_eq!(seen, caller.trace.to_string());
    let exported = EXPORTED.0.lock().unwrap();
    assert!(exported.iter().all(|span| span.span_context.trace_id() != caller.trace));
}
