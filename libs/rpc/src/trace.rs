//! The W3C trace context of calls, events and jobs: read from and written to `traceparent`.
//!
//! The current trace context is `opentelemetry`'s. Where spans are exported, entering a `tracing` span
//! activates its context; otherwise [`crate::Context`] keeps the caller's context, or one that it
//! generates, so that log lines of all services have the same trace id.

use std::collections::HashMap;

use http::{HeaderMap, HeaderName, HeaderValue};
use opentelemetry::Context;
use opentelemetry::propagation::{Extractor, Injector, TextMapPropagator as _};
use opentelemetry::trace::{
    SpanContext, SpanId, TraceContextExt as _, TraceFlags, TraceId, TraceState,
};
use opentelemetry_sdk::propagation::TraceContextPropagator;
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

use crate::metadata::TRACEPARENT;
use crate::methods::Method;

/// The `traceparent` of the current span, to be stored with an event or a job.
pub fn traceparent() -> Option<String> {
    to_text(&Context::current())
}

/// Opens `span` below the span that a stored `traceparent` names. Where that trace is not recorded,
/// the result is a disabled span.
pub fn child_of(traceparent: Option<&str>, span: impl FnOnce() -> Span) -> Span {
    let parent = traceparent.map(from_text).unwrap_or_default();
    if !is_sampled(&parent) {
        return Span::none();
    }
    let span = span();
    // Fails where spans are not exported.
    span.set_parent(parent).ok();
    span
}

/// The span of a call that leaves this process, which the request's headers name from then on.
/// Disabled for health checks, and where the trace is not recorded.
pub(crate) fn client(method: &'static Method, headers: &mut HeaderMap) -> Span {
    let received = received(headers);
    let is_received = received.is_some();
    let parent = received.unwrap_or_else(Context::current);
    let begins = !parent.span().span_context().is_valid();
    let span = if method.plumbing || !(begins || is_sampled(&parent)) {
        Span::none()
    } else {
        tracing::info_span!(
            "call",
            otel.kind = "client",
            otel.name = method.name,
            rpc.system = "grpc",
            rpc.service = method.service(),
            rpc.method = method.rpc(),
        )
    };
    match start(&span, &parent) {
        Some(context) => inject(&context, headers),
        None if is_received => {}
        None => inject(&parent, headers),
    }
    span
}

/// Starts `span` below `parent` and returns its context; `None` where the span is not exported.
pub(crate) fn start(span: &Span, parent: &Context) -> Option<Context> {
    span.set_parent(parent.clone()).ok()?;
    Some(span.context()).filter(|context| context.span().span_context().is_valid())
}

/// The context for a span that is not exported: the caller's ids, but not the caller's span, whose
/// attributes must not change; new ids if there is no caller.
pub(crate) fn without_span(parent: &Context) -> Context {
    let span = parent.span();
    match span.span_context() {
        ids if !ids.is_valid() => generate(),
        ids if ids.is_remote() => parent.clone(),
        ids => Context::new().with_remote_span_context(ids.clone()),
    }
}

/// A context in a new trace that is not recorded.
fn generate() -> Context {
    let trace_id = TraceId::from(rand::random::<u128>().max(1));
    let span_id = SpanId::from(rand::random::<u64>().max(1));
    let flags = TraceFlags::default();
    let context = SpanContext::new(trace_id, span_id, flags, true, TraceState::NONE);
    Context::new().with_remote_span_context(context)
}

pub(crate) fn is_sampled(context: &Context) -> bool {
    context.span().span_context().is_sampled()
}

/// The context that the headers name; the current context if they name none or are malformed.
pub(crate) fn extract(headers: &HeaderMap) -> Context {
    received(headers).unwrap_or_else(Context::current)
}

/// The context that the headers name.
fn received(headers: &HeaderMap) -> Option<Context> {
    headers.get(TRACEPARENT)?;
    let context =
        TraceContextPropagator::new().extract_with_context(&Context::new(), &Headers(headers));
    context.span().span_context().is_valid().then_some(context)
}

fn inject(context: &Context, headers: &mut HeaderMap) {
    TraceContextPropagator::new().inject_context(context, &mut HeadersMut(headers));
}

/// Reads a stored `traceparent`; a malformed one yields an empty context.
pub(crate) fn from_text(traceparent: &str) -> Context {
    let carrier = HashMap::from([(TRACEPARENT.to_owned(), traceparent.to_owned())]);
    TraceContextPropagator::new().extract_with_context(&Context::new(), &carrier)
}

pub(crate) fn to_text(context: &Context) -> Option<String> {
    let span = context.span();
    let ids = span.span_context();
    let text = || {
        let sampled = u8::from(ids.is_sampled());
        format!("00-{}-{}-{sampled:02x}", ids.trace_id(), ids.span_id())
    };
    ids.is_valid().then(text)
}

struct Headers<'h>(&'h HeaderMap);

impl Extractor for Headers<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key)?.to_str().ok()
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(HeaderName::as_str).collect()
    }
}

struct HeadersMut<'h>(&'h mut HeaderMap);

impl Injector for HeadersMut<'_> {
    fn set(&mut self, key: &str, value: String) {
        // The propagator sets an empty `tracestate` even for an absent one.
        if let Ok(name) = HeaderName::try_from(key)
            && let Ok(value) = HeaderValue::try_from(value)
            && !value.is_empty()
        {
            self.0.insert(name, value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn traceparent_round_trip() {
        assert_eq!(to_text(&from_text(PARENT)).as_deref(), Some(PARENT));
        let mut headers = HeaderMap::new();
        inject(&from_text(PARENT), &mut headers);
        assert_eq!(headers.len(), 1);
        assert_eq!(to_text(&extract(&headers)).as_deref(), Some(PARENT));
    }

    #[test]
    fn malformed_traceparents_are_ignored() {
        for bad in [
            "",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-x",
        ] {
            assert_eq!(to_text(&from_text(bad)), None, "{bad}");
        }
    }

    #[test]
    fn generated_contexts_are_valid_and_not_sampled() {
        let context = generate();
        assert!(context.span().span_context().is_valid());
        assert!(!is_sampled(&context));
    }

    #[test]
    fn child_of_an_unrecorded_trace_is_disabled() {
        let open = || -> Span { panic!("opened a span") };
        let unsampled = PARENT.replace("-01", "-00");
        for traceparent in [None, Some(unsampled.as_str()), Some("no traceparent")] {
            assert!(child_of(traceparent, open).is_disabled());
        }
    }
}
