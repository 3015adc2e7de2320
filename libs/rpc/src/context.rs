//! The state that one request carries through every service: its id, its trace and its deadline.
//!
//! The middleware opens a context for each RPC, workers for each job and consumers for each event.
//! [`crate::Channel`] reads it, so that outgoing calls inherit the request id and the deadline.

use std::borrow::Cow;
use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::{HeaderMap, HeaderName, HeaderValue};
use opentelemetry::context::FutureExt as _;
use opentelemetry::trace::{Status as SpanStatus, TraceContextExt as _};
use opentelemetry::{KeyValue, Value};
use tonic::{Code, Status};
use tracing::{Instrument as _, Span};

use crate::body::deadline_exceeded;
use crate::{metadata, trace};

pub(crate) static REQUEST_ID: HeaderName = HeaderName::from_static(metadata::REQUEST_ID);
pub(crate) static TIMEOUT: HeaderName = HeaderName::from_static(metadata::TIMEOUT);

tokio::task_local! {
    static CURRENT: Context;
}

/// The context of the request that this task is working on.
pub fn current() -> Option<Context> {
    CURRENT.try_with(Clone::clone).ok()
}

pub fn request_id() -> Option<Arc<str>> {
    CURRENT.try_with(|context| context.request_id.clone()).ok()
}

pub fn deadline() -> Option<Instant> {
    CURRENT.try_with(|context| context.deadline).ok().flatten()
}

/// How much earlier than here a deadline may pass at a peer, which gets it in whole milliseconds.
const DEADLINE_MARGIN: Duration = Duration::from_millis(20);

/// DEADLINE_EXCEEDED if the deadline of the current request has passed: calls that the request made
/// failed for this reason, and not because of their peers.
pub fn deadline_status() -> Option<Status> {
    let left = deadline()?.saturating_duration_since(Instant::now());
    (left <= DEADLINE_MARGIN).then(deadline_exceeded)
}

#[derive(Clone, Debug)]
pub struct Context {
    /// Identifies the request in every log line and in the response.
    pub request_id: Arc<str>,
    /// After this the caller no longer waits for the response.
    pub deadline: Option<Instant>,
    trace: opentelemetry::Context,
    span: Span,
}

impl Context {
    /// For work caused by an event or a job that stored its `traceparent`.
    pub fn continuing(traceparent: Option<&str>) -> Self {
        let trace = traceparent.map(trace::from_text).unwrap_or_default();
        Self { request_id: request_id_of(&trace), deadline: None, trace, span: Span::none() }
    }

    /// For a call that arrived with these headers; malformed ones are replaced.
    pub fn incoming(headers: &HeaderMap) -> Self {
        let trace = trace::extract(headers);
        let request_id = headers.get(&REQUEST_ID).and_then(|value| value.to_str().ok());
        let request_id = request_id
            .filter(|id| is_request_id(id))
            .map_or_else(|| request_id_of(&trace), Arc::from);
        let deadline = timeout(headers).and_then(|limit| Instant::now().checked_add(limit));
        Self { request_id, deadline, trace, span: Span::none() }
    }

    /// Does the work of this context under `span`, which continues the context's trace. Call it
    /// before anything else enters the span.
    pub fn start(&mut self, span: Span) {
        let started = trace::start(&span, &self.trace);
        self.trace = started.unwrap_or_else(|| trace::without_span(&self.trace));
        self.span = span;
    }

    /// The `traceparent` of this context's span; `None` before [`Context::start`] where no caller
    /// sent one.
    pub fn traceparent(&self) -> Option<String> {
        trace::to_text(&self.trace)
    }

    /// Whether the span is exported. The methods below have no effect if it is not.
    pub fn is_exported(&self) -> bool {
        self.trace.span().is_recording()
    }

    /// Whether the caller's trace is recorded.
    pub(crate) fn is_recorded(&self) -> bool {
        trace::is_sampled(&self.trace)
    }

    /// Renames the exported span.
    pub fn rename(&self, name: impl Into<Cow<'static, str>>) {
        self.trace.span().update_name(name);
    }

    /// Adds an attribute to the exported span, but not to log lines.
    pub fn set_attribute(&self, key: &'static str, value: impl Into<Value>) {
        self.trace.span().set_attribute(KeyValue::new(key, value));
    }

    /// Marks the exported span as failed. `why` must not contain personal data.
    pub fn fail(&self, why: impl Into<Cow<'static, str>>) {
        self.trace.span().set_status(SpanStatus::error(why));
    }

    pub(crate) fn ended(&self, code: Code, failed: bool) {
        self.set_attribute("rpc.grpc.status_code", i64::from(code as i32));
        if failed {
            self.fail(code.description());
        }
    }

    pub async fn scope<F: Future>(self, work: F) -> F::Output {
        let (trace, span) = (self.trace.clone(), self.span.clone());
        CURRENT.scope(self, work.instrument(span).with_context(trace)).await
    }

    /// Runs a synchronous piece of work in this context and its span.
    pub fn sync_scope<T>(&self, work: impl FnOnce() -> T) -> T {
        CURRENT.sync_scope(self.clone(), || {
            let _trace = self.trace.clone().attach();
            self.span.in_scope(work)
        })
    }

    /// Adds the request id and the deadline to the headers of an outgoing call, where the caller
    /// did not.
    pub(crate) fn attach(&self, headers: &mut HeaderMap) {
        if !headers.contains_key(&REQUEST_ID)
            && let Ok(value) = HeaderValue::from_str(&self.request_id)
        {
            headers.insert(&REQUEST_ID, value);
        }
        let left = self.deadline.map(|at| at.saturating_duration_since(Instant::now()));
        if let Some(left) = left
            && timeout(headers).is_none_or(|own| own > left)
        {
            headers.insert(&TIMEOUT, timeout_value(left));
        }
    }
}

/// The trace id, so that log lines and traces are found by one id; random where a trace begins.
fn request_id_of(trace: &opentelemetry::Context) -> Arc<str> {
    let span = trace.span();
    match span.span_context() {
        context if context.is_valid() => context.trace_id().to_string().into(),
        _ => format!("{:032x}", rand::random::<u128>()).into(),
    }
}

/// Whether a client's request id is safe to log.
fn is_request_id(text: &str) -> bool {
    (1..=128).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.:/+=".contains(&b))
}

/// The `grpc-timeout` of a call; a malformed value is ignored, as the specification requires.
pub(crate) fn timeout(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(&TIMEOUT)?.to_str().ok()?;
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let plain = (1..=8).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit());
    let n: u64 = plain.then(|| digits.parse().ok()).flatten()?;
    Some(match unit {
        "H" => Duration::from_secs(n * 3600),
        "M" => Duration::from_secs(n * 60),
        "S" => Duration::from_secs(n),
        "m" => Duration::from_millis(n),
        "u" => Duration::from_micros(n),
        "n" => Duration::from_nanos(n),
        _ => return None,
    })
}

/// The value of a `grpc-timeout` header, which has at most eight digits.
pub(crate) fn timeout_value(limit: Duration) -> HeaderValue {
    let millis = limit.as_millis();
    let text = if millis < 100_000_000 {
        format!("{millis}m")
    } else {
        format!("{}S", limit.as_secs().min(99_999_999))
    };
    HeaderValue::from_str(&text).expect("digits and a letter")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unsafe_request_ids_are_replaced() {
        let mut headers = HeaderMap::new();
        headers.insert("x-request-id", HeaderValue::from_static("order-66"));
        assert_eq!(&*Context::incoming(&headers).request_id, "order-66");
        headers.insert("x-request-id", HeaderValue::from_static("a b\"c"));
        assert_eq!(Context::incoming(&headers).request_id.len(), 32);
    }

    #[test]
    fn timeouts() {
        let parse = |text: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert("grpc-timeout", HeaderValue::from_static(text));
            timeout(&headers)
        };
        assert_eq!(parse("5S"), Some(Duration::from_secs(5)));
        assert_eq!(parse("99999999H"), Some(Duration::from_secs(99_999_999 * 3600)));
        for bad in ["", "S", "5", "5x", "123456789S", "-1S", "+1S", "1.5S"] {
            assert_eq!(parse(bad), None, "{bad}");
        }
        for limit in [Duration::ZERO, Duration::from_millis(1500), Duration::from_secs(1 << 40)] {
            let mut headers = HeaderMap::new();
            headers.insert("grpc-timeout", timeout_value(limit));
            assert!(timeout(&headers).is_some_and(|parsed| parsed <= limit));
        }
    }

    #[tokio::test]
    async fn outgoing_calls_inherit_the_deadline_and_the_request_id() {
        let mut context = Context::continuing(None);
        context.deadline = Some(Instant::now() + Duration::from_secs(5));
        let mut headers = HeaderMap::new();
        headers.insert("grpc-timeout", HeaderValue::from_static("1H"));
        context.attach(&mut headers);
        assert!(timeout(&headers).unwrap() <= Duration::from_secs(5));
        let inner = Context::incoming(&headers);
        assert_eq!(inner.request_id, context.request_id);
        context.scope(async { assert!(current().is_some()) }).await;
        assert!(current().is_none());
    }

    #[tokio::test]
    async fn trace_ids_exist_where_nothing_is_exported() {
        let mut context = Context::continuing(None);
        assert_eq!(context.traceparent(), None);
        context.start(Span::none());
        let begun = context.traceparent().unwrap();
        let (inner, outer) = context
            .clone()
            .scope(async { trace::traceparent() })
            .await
            .zip(context.sync_scope(trace::traceparent))
            .unwrap();
        assert_eq!((&inner, &outer), (&begun, &begun));
        assert_eq!(trace::traceparent(), None);

        let mut continued = Context::continuing(Some(&begun));
        continued.start(Span::none());
        assert_eq!(*continued.request_id, begun[3..35]);
        assert_eq!(continued.traceparent(), Some(begun));
    }
}
