//! What is told about every call: one log line and its metrics.

use std::time::Instant;

use http::HeaderMap;
use tonic::Code;
use tracing::Span;

use crate::methods::Method;

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
        metrics::gauge!("agon_rpc_in_flight", "method" => method.name).increment(1);
        Self { method, in_process, span, start: Instant::now(), ended: false }
    }

    pub(crate) fn end(&mut self, code: Code) {
        if std::mem::replace(&mut self.ended, true) {
            return;
        }
        let name = self.method.name;
        let took = self.start.elapsed();
        metrics::gauge!("agon_rpc_in_flight", "method" => name).decrement(1);
        metrics::counter!("agon_rpc_total", "method" => name, "code" => label(code)).increment(1);
        metrics::histogram!("agon_rpc_duration_seconds", "method" => name).record(took);
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
