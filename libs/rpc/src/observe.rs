//! What is told about every call: one log line and its metrics.

use std::sync::OnceLock;
use std::time::Instant;

use http::HeaderMap;
use metrics::{Counter, Gauge, Histogram};
use tonic::Code;
use tracing::Span;

use crate::methods::Method;

/// The metrics of one RPC, registered when first used: looking them up by name for every call costs
/// more than the rest of the bookkeeping together.
#[derive(Debug)]
pub(crate) struct Meters {
    in_flight: OnceLock<Gauge>,
    duration: OnceLock<Histogram>,
    total: [OnceLock<Counter>; 17],
}

impl Meters {
    pub(crate) const fn new() -> Self {
        Self {
            in_flight: OnceLock::new(),
            duration: OnceLock::new(),
            total: [const { OnceLock::new() }; 17],
        }
    }

    fn in_flight(&self, method: &'static str) -> &Gauge {
        self.in_flight.get_or_init(|| metrics::gauge!("agon_rpc_in_flight", "method" => method))
    }

    fn duration(&self, method: &'static str) -> &Histogram {
        let make = || metrics::histogram!("agon_rpc_duration_seconds", "method" => method);
        self.duration.get_or_init(make)
    }

    fn total(&self, method: &'static str, code: Code) -> &Counter {
        let make =
            || metrics::counter!("agon_rpc_total", "method" => method, "code" => label(code));
        self.total[code as usize].get_or_init(make)
    }
}

/// A call from its arrival to the end of its answer. Dropped without an end, it was cancelled.
pub(crate) struct Call {
    method: &'static Method,
    in_process: bool,
    span: Span,
    start: Instant,
    ended: bool,
}

impl Call {
    pub(crate) fn begin(method: &'static Method, in_process: bool, span: Span) -> Self {
        method.meters.in_flight(method.name).increment(1);
        Self { method, in_process, span, start: Instant::now(), ended: false }
    }

    pub(crate) fn end(&mut self, code: Code) {
        if std::mem::replace(&mut self.ended, true) {
            return;
        }
        let took = self.start.elapsed();
        let Method { name, meters, .. } = self.method;
        meters.in_flight(name).decrement(1);
        meters.total(name, code).increment(1);
        meters.duration(name).record(took);
        self.log(code, took.as_secs_f64() * 1000.0);
    }

    fn log(&self, code: Code, ms: f64) {
        let _entered = self.span.enter();
        let code_name = label(code);
        let duration_ms = (ms * 1000.0).round() / 1000.0;
        match code {
            // The cause was logged where it happened; this line says which call it spoiled.
            Code::Internal | Code::Unknown | Code::DataLoss => {
                tracing::warn!(code = code_name, duration_ms, "call failed");
            }
            // A call inside the process is part of another, which has a line of its own.
            _ if self.in_process || self.method.plumbing => {
                tracing::debug!(code = code_name, duration_ms, "call");
            }
            _ => tracing::info!(code = code_name, duration_ms, "call"),
        }
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        self.end(Code::Cancelled);
    }
}

/// The code in headers or trailers; `None` when they hold none.
pub(crate) fn code_in(headers: &HeaderMap) -> Option<Code> {
    headers.get("grpc-status").map(|value| Code::from_bytes(value.as_bytes()))
}

fn label(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}
