//! What is told about every call: one log line and its metrics.

use std::sync::OnceLock;
use std::time::{Duration, Instant};

use http::HeaderMap;
use metrics::{Counter, Gauge, Histogram};
use tonic::Code;
use tracing::Span;

use crate::context::{Context, Trace};
use crate::methods::Method;
use crate::span::{self, Kind};

/// The metrics of one RPC at one of its ends, registered when first used: looking them up by name for
/// every call costs more than the rest of the bookkeeping together.
#[derive(Debug)]
pub(crate) struct Meters {
    names: &'static Names,
    in_flight: OnceLock<Gauge>,
    duration: OnceLock<Histogram>,
    total: [OnceLock<Counter>; 17],
}

#[derive(Debug)]
struct Names {
    in_flight: &'static str,
    duration: &'static str,
    total: &'static str,
}

static SERVER: Names = Names {
    in_flight: "agon_rpc_server_calls_in_flight",
    duration: "agon_rpc_server_duration_seconds",
    total: "agon_rpc_server_calls_total",
};

static CLIENT: Names = Names {
    in_flight: "agon_rpc_client_calls_in_flight",
    duration: "agon_rpc_client_duration_seconds",
    total: "agon_rpc_client_calls_total",
};

impl Meters {
    pub(crate) const fn server() -> Self {
        Self::new(&SERVER)
    }

    pub(crate) const fn client() -> Self {
        Self::new(&CLIENT)
    }

    const fn new(names: &'static Names) -> Self {
        Self {
            names,
            in_flight: OnceLock::new(),
            duration: OnceLock::new(),
            total: [const { OnceLock::new() }; 17],
        }
    }

    pub(crate) fn begin(&self, method: &'static str) {
        self.in_flight(method).increment(1);
    }

    pub(crate) fn end(&self, method: &'static str, code: Code, took: Duration) {
        self.in_flight(method).decrement(1);
        self.total(method, code).increment(1);
        self.duration(method).record(took);
    }

    fn in_flight(&self, method: &'static str) -> &Gauge {
        let name = self.names.in_flight;
        self.in_flight.get_or_init(|| metrics::gauge!(name, "method" => method))
    }

    fn duration(&self, method: &'static str) -> &Histogram {
        let name = self.names.duration;
        self.duration.get_or_init(|| metrics::histogram!(name, "method" => method))
    }

    fn total(&self, method: &'static str, code: Code) -> &Counter {
        let name = self.names.total;
        let make = || metrics::counter!(name, "method" => method, "code" => label(code));
        self.total[code as usize].get_or_init(make)
    }
}

/// A call from its arrival to the end of its answer. Dropped without an end, it was cancelled.
pub(crate) struct Call {
    method: &'static Method,
    in_process: bool,
    span: Span,
    recorded: span::Span,
    trace: Trace,
    start: Instant,
    ended: bool,
}

impl Call {
    /// A call that arrived in `context`; from here on the context stands where the call's span does.
    pub(crate) fn begin(method: &'static Method, in_process: bool, context: &mut Context) -> Self {
        method.meters.begin(method.name);
        let recorded = match method.plumbing {
            true => span::Span::default(),
            false => record(method, in_process, context),
        };
        let (span, trace) = (context.span(method.name), context.trace);
        Self { method, in_process, span, recorded, trace, start: Instant::now(), ended: false }
    }

    /// What the call logs under.
    pub(crate) fn span(&self) -> &Span {
        &self.span
    }

    pub(crate) fn end(&mut self, code: Code) {
        if std::mem::replace(&mut self.ended, true) {
            return;
        }
        let took = self.start.elapsed();
        let Method { name, meters, .. } = self.method;
        span::exemplify(&self.trace, || meters.end(name, code, took));
        self.recorded.ended(code, is_servers_fault(code));
        drop(std::mem::take(&mut self.recorded));
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

fn record(method: &'static Method, in_process: bool, context: &mut Context) -> span::Span {
    let kind = if in_process { Kind::Internal } else { Kind::Server };
    let mut recorded = context.record(kind, method.name);
    recorded.of_call(method.name);
    recorded
}

/// Codes that tell of a server in trouble; the others are answers.
fn is_servers_fault(code: Code) -> bool {
    matches!(
        code,
        Code::Unknown
            | Code::DeadlineExceeded
            | Code::Unimplemented
            | Code::Internal
            | Code::Unavailable
            | Code::DataLoss
    )
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
