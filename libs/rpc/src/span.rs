//! Spans: how a request, and the work that it caused, look to whoever follows traces.
//!
//! Nothing is recorded, and hardly anything spent, until [`record_with`] was called. Ids and whether
//! a trace is recorded travel by [`Trace`], which is there either way. Attributes never hold what
//! names a person.

use std::borrow::Cow;
use std::cell::Cell;
use std::fmt;
use std::future::Future;
use std::sync::OnceLock;

use http::{HeaderMap, HeaderValue};
use opentelemetry::global::{BoxedSpan, BoxedTracer};
use opentelemetry::trace::{
    Span as _, SpanContext, SpanId, Status, TraceContextExt as _, TraceFlags, TraceId, TraceState,
    Tracer as _,
};
use opentelemetry::{KeyValue, Value};
use tonic::Code;

use crate::context::{self, Context, Trace};
use crate::metadata;

/// What a span is of: a call made or answered, an event published or consumed, or work in between.
pub use opentelemetry::trace::SpanKind as Kind;

static TRACER: OnceLock<BoxedTracer> = OnceLock::new();

thread_local! {
    static EXEMPLAR: Cell<Option<Trace>> = const { Cell::new(None) };
}

/// Records spans with `tracer` from now on. Only the first call counts.
pub fn record_with(tracer: BoxedTracer) {
    drop(TRACER.set(tracer));
}

/// One piece of work as it is recorded; ends when dropped. Most often it is nothing: spans are not
/// recorded, or not those of this trace.
#[derive(Default)]
pub struct Span(Option<BoxedSpan>);

impl Span {
    /// Adds an attribute.
    pub fn set(&mut self, key: &'static str, value: impl Into<Value>) {
        if let Some(span) = &mut self.0 {
            span.set_attribute(KeyValue::new(key, value));
        }
    }

    /// Adds an attribute whose value costs something to make.
    pub fn set_text(&mut self, key: &'static str, value: impl fmt::Display) {
        if let Some(span) = &mut self.0 {
            span.set_attribute(KeyValue::new(key, value.to_string()));
        }
    }

    /// Names it otherwise, once more is known.
    pub fn rename(&mut self, name: impl fmt::Display) {
        if let Some(span) = &mut self.0 {
            span.update_name(Cow::Owned(name.to_string()));
        }
    }

    /// Says that the work failed; `why` is for operators, and names nobody.
    pub fn fail(&mut self, why: impl Into<Cow<'static, str>>) {
        if let Some(span) = &mut self.0 {
            span.set_status(Status::error(why));
        }
    }

    /// Names the RPC that it is of.
    pub(crate) fn of_call(&mut self, method: &'static str) {
        if self.0.is_none() {
            return;
        }
        let (service, name) = method.split_once('/').unwrap_or((method, method));
        self.set("rpc.system", "grpc");
        self.set("rpc.service", service);
        self.set("rpc.method", name);
    }

    /// Notes how a call ended. A server's span failed when the server did, a client's whenever
    /// there was no answer.
    pub(crate) fn ended(&mut self, code: Code, failed: bool) {
        self.set("rpc.grpc.status_code", i64::from(code as i32));
        if failed {
            self.fail(code.description());
        }
    }
}

impl fmt::Debug for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Span").field(&self.0.is_some()).finish()
    }
}

/// Starts the span of the work at `trace`, where spans are recorded: it, and its own place.
pub(crate) fn start(trace: &Trace, kind: Kind, name: &dyn fmt::Display) -> Option<(Span, Trace)> {
    let tracer = TRACER.get()?;
    let mut parent = opentelemetry::Context::new();
    if let Some(parent_id) = trace.parent_id {
        let flags = TraceFlags::new(trace.flags);
        let (trace_id, id) = (TraceId::from(trace.trace_id), SpanId::from(parent_id));
        let at = SpanContext::new(trace_id, id, flags, true, TraceState::NONE);
        parent = parent.with_remote_span_context(at);
    }
    let span = tracer.span_builder(name.to_string()).with_kind(kind);
    let span = span.start_with_context(tracer, &parent);
    let at = span.span_context();
    let trace = Trace {
        trace_id: u128::from_be_bytes(at.trace_id().to_bytes()),
        span_id: u64::from_be_bytes(at.span_id().to_bytes()),
        flags: at.trace_flags().to_u8(),
        parent_id: trace.parent_id,
    };
    Some((if span.is_recording() { Span(Some(span)) } else { Span::default() }, trace))
}

/// Starts the span of an event on its way to a broker, caused by what its `traceparent` names.
pub fn sending(traceparent: Option<&str>, name: impl fmt::Display) -> Span {
    if TRACER.get().is_none() {
        return Span::default();
    }
    let trace = traceparent.and_then(Trace::parse);
    let started = trace.and_then(|trace| start(&trace.child(), Kind::Producer, &name));
    started.map_or_else(Span::default, |(span, _)| span)
}

/// Starts the span of a call that leaves this process, and makes its headers name it.
pub(crate) fn client(headers: &mut HeaderMap, method: &'static str) -> (Span, Option<Trace>) {
    if TRACER.get().is_none() {
        return (Span::default(), None);
    }
    let given = headers.get(metadata::TRACEPARENT).and_then(|value| value.to_str().ok());
    let parent = given.and_then(Trace::parse);
    let trace = parent.map_or_else(Trace::root, |trace| trace.child());
    let Some((mut span, trace)) = start(&trace, Kind::Client, &method) else {
        return (Span::default(), None);
    };
    span.of_call(method);
    if let Ok(value) = HeaderValue::from_str(&trace.to_string()) {
        headers.insert(metadata::TRACEPARENT, value);
    }
    (span, Some(trace))
}

/// Does a part of the current work as a span of its own.
pub async fn phase<F: Future>(name: &'static str, work: F) -> F::Output {
    if TRACER.get().is_none() {
        return work.await;
    }
    let mut context = context::current().map_or_else(Context::root, |context| context.child());
    let _span = context.record(Kind::Internal, name);
    context.scope(work).await
}

/// Records a measurement as an example of `trace`, which the metrics then point to.
pub fn exemplify<T>(trace: &Trace, record: impl FnOnce() -> T) -> T {
    if !trace.is_sampled() {
        return record();
    }
    EXEMPLAR.set(Some(*trace));
    let done = record();
    EXEMPLAR.set(None);
    done
}

/// The trace and span that the measurement being recorded on this thread is an example of.
pub fn exemplar() -> Option<(u128, u64)> {
    EXEMPLAR.get().map(|trace| (trace.trace_id, trace.span_id))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_recorded_unless_wanted() {
        let mut context = Context::root();
        let before = context.trace;
        let mut span = context.record(Kind::Internal, "work");
        span.set("n", 1);
        span.fail("no");
        assert_eq!(context.trace, before);
        assert!(span.0.is_none());
    }

    #[test]
    fn only_sampled_traces_are_examples() {
        let trace = Trace::root();
        assert_eq!(exemplify(&trace, exemplar), None);
        let sampled = Trace { flags: 1, ..trace };
        assert_eq!(exemplify(&sampled, exemplar), Some((trace.trace_id, trace.span_id)));
        assert_eq!(exemplar(), None);
    }

    #[tokio::test]
    async fn phases_are_part_of_the_trace() {
        let context = Context::root();
        let trace = context.trace;
        let inner = context.scope(phase("part", async { context::current().unwrap().trace })).await;
        assert_eq!(inner, trace);
    }
}
