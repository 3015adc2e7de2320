//! What one request carries through every service: its id, its trace and its deadline.
//!
//! The stack opens a context per RPC; workers open one per piece of work. [`crate::Channel`] reads
//! it, so that outgoing calls continue the trace and inherit the deadline without anyone's help.

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::{HeaderMap, HeaderValue};

use crate::metadata;
use crate::span::{self, Kind, Span};

tokio::task_local! {
    static CURRENT: Context;
}

/// The context of the request that this task is working on.
pub fn current() -> Option<Context> {
    CURRENT.try_with(Clone::clone).ok()
}

/// The id of the current request, or of nothing in particular.
pub fn request_id() -> Option<Arc<str>> {
    CURRENT.try_with(|context| context.request_id.clone()).ok()
}

/// What to keep with an event or a job, so that the work it causes continues the current trace.
pub fn traceparent() -> Option<String> {
    CURRENT.try_with(|context| context.trace.to_string()).ok()
}

/// When the caller of the current request stops waiting.
pub fn deadline() -> Option<Instant> {
    CURRENT.try_with(|context| context.deadline).ok().flatten()
}

/// A position in a W3C trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trace {
    /// Shared by everything that one request caused; never zero.
    pub trace_id: u128,
    /// This piece of work; never zero.
    pub span_id: u64,
    /// W3C flags; bit 0 says that the trace is recorded.
    pub flags: u8,
    /// The piece of work that caused this one; `None` where the trace begins.
    pub parent_id: Option<u64>,
}

impl Trace {
    /// Starts a new trace.
    pub fn root() -> Self {
        let trace_id = rand::random::<u128>().max(1);
        Self { trace_id, span_id: new_span_id(), flags: 0, parent_id: None }
    }

    /// The next piece of work in the same trace.
    pub fn child(&self) -> Self {
        Self { span_id: new_span_id(), parent_id: Some(self.span_id), ..*self }
    }

    /// Whether somebody records this trace.
    pub fn is_sampled(&self) -> bool {
        self.flags & 1 == 1
    }

    /// Reads a `traceparent` header; `None` for anything but a well-formed one.
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('-');
        let (version, trace, span, flags) =
            (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        let hex = |s: &str, len| {
            s.len() == len && s.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
        };
        if !hex(version, 2) || !hex(trace, 32) || !hex(span, 16) || !hex(flags, 2) {
            return None;
        }
        // Later versions may append fields; version 00 has exactly four, ff is invalid.
        if version == "ff" || (version == "00" && parts.next().is_some()) {
            return None;
        }
        let trace = Self {
            trace_id: u128::from_str_radix(trace, 16).ok()?,
            span_id: u64::from_str_radix(span, 16).ok()?,
            flags: u8::from_str_radix(flags, 16).ok()?,
            parent_id: None,
        };
        (trace.trace_id != 0 && trace.span_id != 0).then_some(trace)
    }
}

impl fmt::Display for Trace {
    /// The `traceparent` form.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "00-{:032x}-{:016x}-{:02x}", self.trace_id, self.span_id, self.flags)
    }
}

fn new_span_id() -> u64 {
    rand::random::<u64>().max(1)
}

/// See the module's text.
#[derive(Clone, Debug)]
pub struct Context {
    /// Names the request in every log line and in the answer.
    pub request_id: Arc<str>,
    /// Where in its trace this work stands.
    pub trace: Trace,
    /// When nobody waits for the answer any more.
    pub deadline: Option<Instant>,
}

impl Context {
    /// For work that no request caused.
    pub fn root() -> Self {
        let trace = Trace::root();
        Self { request_id: request_id_of(&trace), trace, deadline: None }
    }

    /// For work caused by an event or a job that kept its `traceparent`.
    pub fn continuing(traceparent: Option<&str>) -> Self {
        let trace = traceparent.and_then(Trace::parse).map_or_else(Trace::root, |t| t.child());
        Self { request_id: request_id_of(&trace), trace, deadline: None }
    }

    /// For a call that arrived with these headers; what is malformed in them is replaced.
    pub fn incoming(headers: &HeaderMap) -> Self {
        let text = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
        let parent = text(metadata::TRACEPARENT).and_then(Trace::parse);
        let trace = parent.map_or_else(Trace::root, |trace| trace.child());
        let request_id = text(metadata::REQUEST_ID)
            .filter(|id| is_request_id(id))
            .map_or_else(|| request_id_of(&trace), Arc::from);
        let deadline = timeout(headers).and_then(|limit| Instant::now().checked_add(limit));
        Self { request_id, trace, deadline }
    }

    /// A part of the work in this context.
    pub fn child(&self) -> Self {
        Self { trace: self.trace.child(), ..self.clone() }
    }

    /// Records the work of this context as a span, where spans are recorded: from then on the
    /// context stands where the span does.
    pub fn record(&mut self, kind: Kind, name: impl fmt::Display) -> Span {
        let Some((span, trace)) = span::start(&self.trace, kind, &name) else {
            return Span::default();
        };
        // A trace that begins here has got its id just now.
        if self.trace.trace_id != trace.trace_id && *self.request_id == *request_id_of(&self.trace)
        {
            self.request_id = request_id_of(&trace);
        }
        self.trace = trace;
        span
    }

    /// Runs `work` in this context.
    pub async fn scope<F: Future>(self, work: F) -> F::Output {
        CURRENT.scope(self, work).await
    }

    /// Runs a synchronous piece of work in this context.
    pub fn sync_scope<T>(&self, work: impl FnOnce() -> T) -> T {
        CURRENT.sync_scope(self.clone(), work)
    }

    /// The span that work in this context logs under. Its `caller` is for the authorising layer to
    /// record.
    pub fn span(&self, what: &'static str) -> tracing::Span {
        tracing::info_span!(
            "rpc",
            method = what,
            request_id = %self.request_id,
            trace_id = %format_args!("{:032x}", self.trace.trace_id),
            caller = tracing::field::Empty,
        )
    }

    /// Adds this context to the headers of an outgoing call, where the caller did not.
    pub(crate) fn attach(&self, headers: &mut HeaderMap) {
        if !headers.contains_key(metadata::REQUEST_ID)
            && let Ok(value) = HeaderValue::from_str(&self.request_id)
        {
            headers.insert(metadata::REQUEST_ID, value);
        }
        if !headers.contains_key(metadata::TRACEPARENT)
            && let Ok(value) = HeaderValue::from_str(&self.trace.to_string())
        {
            headers.insert(metadata::TRACEPARENT, value);
        }
        let left = self.deadline.map(|at| at.saturating_duration_since(Instant::now()));
        if let Some(left) = left
            && timeout(headers).is_none_or(|own| own > left)
        {
            headers.insert(metadata::TIMEOUT, timeout_value(left));
        }
    }
}

fn request_id_of(trace: &Trace) -> Arc<str> {
    format!("{:032x}", trace.trace_id).into()
}

/// A client may name its request, in a form that no log reader can trip over.
fn is_request_id(text: &str) -> bool {
    (1..=128).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.:/+=".contains(&b))
}

/// The `grpc-timeout` of a call; what is malformed is ignored, as the specification wants.
pub(crate) fn timeout(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(metadata::TIMEOUT)?.to_str().ok()?;
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

/// At most eight digits fit a `grpc-timeout`.
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
    fn traceparent_round_trip() {
        let text = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let trace = Trace::parse(text).unwrap();
        assert_eq!(trace.to_string(), text);
        assert_eq!(trace.child().trace_id, trace.trace_id);
        assert_ne!(trace.child().span_id, trace.span_id);
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
            assert_eq!(Trace::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_clean_request_id_is_kept_and_another_replaced() {
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
    async fn outgoing_calls_inherit() {
        let mut context = Context::root();
        context.deadline = Some(Instant::now() + Duration::from_secs(5));
        let mut headers = HeaderMap::new();
        headers.insert("grpc-timeout", HeaderValue::from_static("1H"));
        context.attach(&mut headers);
        assert!(timeout(&headers).unwrap() <= Duration::from_secs(5));
        let inner = Context::incoming(&headers);
        assert_eq!(inner.request_id, context.request_id);
        assert_eq!(inner.trace.trace_id, context.trace.trace_id);
        context.scope(async { assert!(current().is_some()) }).await;
        assert!(current().is_none());
    }
}
