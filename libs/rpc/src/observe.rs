//! The span, the log line and the metrics of every call that this process answers.

use std::sync::OnceLock;
use std::time::{Duration, Instant};

use http::HeaderMap;
use metrics::{Counter, Gauge, Histogram};
use tonic::Code;
use tracing::Span;

use crate::context::Context;
use crate::methods::Method;

/// The metrics of one RPC on the server's or the client's side. Handles are kept because looking a
/// metric up by name is the most expensive part of recording it.
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

/// A call from its arrival to the end of its response. Dropped before its end, it was cancelled.
pub(crate) struct Call {
    method: &'static Method,
    in_process: bool,
    context: Context,
    start: Instant,
    ended: bool,
}

impl Call {
    pub(crate) fn begin(method: &'static Method, in_process: bool, mut context: Context) -> Self {
        method.meters.begin(method.name);
        // An unrecorded part of another call is found by the trace id in its lines.
        let span = if method.internal() && !context.is_recorded() {
            minor_span(method, &context.request_id)
        } else {
            span(method, in_process, &context.request_id)
        };
        context.start(span);
        Self { method, in_process, context, start: Instant::now(), ended: false }
    }

    pub(crate) fn context(&self) -> &Context {
        &self.context
    }

    pub(crate) fn end(&mut self, code: Code) {
        if std::mem::replace(&mut self.ended, true) {
            return;
        }
        let took = self.start.elapsed();
        self.context.sync_scope(|| {
            self.method.meters.end(self.method.name, code, took);
            self.context.ended(code, is_server_error(code));
            self.log(code, took.as_secs_f64() * 1000.0);
        });
    }

    fn log(&self, code: Code, ms: f64) {
        let code_name = label(code);
        let duration_ms = (ms * 1000.0).round() / 1000.0;
        match code {
            // The cause was logged where it happened; this line names the call.
            Code::Internal | Code::Unknown | Code::DataLoss => {
                tracing::warn!(code = code_name, duration_ms, "call failed");
            }
            // A call by a service is part of a call that has its own line.
            _ if self.in_process || self.method.plumbing => {
                tracing::debug!(code = code_name, duration_ms, "call");
            }
            Code::Ok if self.method.internal() => {
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

fn span(method: &'static Method, in_process: bool, request_id: &str) -> Span {
    if method.plumbing {
        return minor_span(method, request_id);
    }
    tracing::info_span!(
        "rpc",
        otel.kind = if in_process { "internal" } else { "server" },
        otel.name = method.name,
        rpc.system = "grpc",
        rpc.service = method.service(),
        rpc.method = method.rpc(),
        request_id,
    )
}

fn minor_span(method: &'static Method, request_id: &str) -> Span {
    tracing::debug_span!("rpc", rpc.service = method.service(), request_id)
}

/// Whether the server failed, as opposed to refusing the request.
fn is_server_error(code: Code) -> bool {
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

/// The `grpc-status` of headers or trailers.
pub(crate) fn code_in(headers: &HeaderMap) -> Option<Code> {
    headers.get("grpc-status").map(|value| Code::from_bytes(value.as_bytes()))
}

pub(crate) fn label(code: Code) -> &'static str {
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
