//! The span and the metrics of a call that leaves this process.

use std::pin::Pin;
use std::task::{Context as Cx, Poll};
use std::time::Instant;

use bytes::Bytes;
use http::{HeaderMap, Response};
use http_body::{Body as HttpBody, Frame, SizeHint};
use opentelemetry::trace::Status as SpanStatus;
use tonic::body::Body;
use tonic::{Code, Status};
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

use crate::methods::Method;
use crate::observe::code_in;
use crate::trace;

/// A call from its start to the end of its response. Dropped before its end, it was cancelled.
pub(super) struct Outgoing {
    method: &'static Method,
    span: Span,
    start: Instant,
    ended: bool,
}

impl Outgoing {
    /// Sets the trace context in the headers of the call.
    pub(super) fn begin(method: &'static Method, headers: &mut HeaderMap) -> Self {
        method.client_meters.begin(method.name);
        let span = trace::client(method, headers);
        Self { method, span, start: Instant::now(), ended: false }
    }

    /// The call ends with the body of the response.
    pub(super) fn answered(self, response: Response<Body>) -> Response<Body> {
        match code_in(response.headers()) {
            Some(code) => {
                self.end(code);
                response
            }
            None => response.map(|inner| Body::new(Observed { inner, outgoing: self })),
        }
    }

    pub(super) fn end(mut self, code: Code) {
        self.note(code);
    }

    fn note(&mut self, code: Code) {
        if std::mem::replace(&mut self.ended, true) {
            return;
        }
        let (Method { name, client_meters, .. }, took) = (self.method, self.start.elapsed());
        let span = std::mem::replace(&mut self.span, Span::none());
        span.in_scope(|| client_meters.end(name, code, took));
        span.set_attribute("rpc.grpc.status_code", i64::from(code as i32));
        if code != Code::Ok {
            span.set_status(SpanStatus::error(code.description()));
        }
    }
}

impl Drop for Outgoing {
    fn drop(&mut self) {
        self.note(Code::Cancelled);
    }
}

/// The body of a response; its trailers end the call.
struct Observed {
    inner: Body,
    outgoing: Outgoing,
}

impl HttpBody for Observed {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Cx<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let this = self.get_mut();
        let polled = Pin::new(&mut this.inner).poll_frame(cx);
        match &polled {
            Poll::Ready(Some(Ok(frame))) => {
                if let Some(trailers) = frame.trailers_ref() {
                    this.outgoing.note(code_in(trailers).unwrap_or(Code::Unknown));
                }
            }
            Poll::Ready(Some(Err(status))) => this.outgoing.note(status.code()),
            Poll::Ready(None) => this.outgoing.note(Code::Unknown),
            Poll::Pending => {}
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
