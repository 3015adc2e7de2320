//! What is noted about a call that leaves this process: its span and its metrics.

use std::pin::Pin;
use std::task::{Context as Cx, Poll};
use std::time::Instant;

use bytes::Bytes;
use http::{HeaderMap, Response};
use http_body::{Body as HttpBody, Frame, SizeHint};
use tonic::body::Body;
use tonic::{Code, Status};

use crate::context::Trace;
use crate::methods::Method;
use crate::observe::code_in;
use crate::span::{self, Span};

/// A call from here to the end of its answer. Dropped without an end, it was cancelled.
pub(super) struct Outgoing {
    method: &'static Method,
    span: Span,
    trace: Option<Trace>,
    start: Instant,
    ended: bool,
}

impl Outgoing {
    pub(super) fn begin(method: &'static Method, headers: &mut HeaderMap) -> Self {
        method.client_meters.begin(method.name);
        let (span, trace) = match method.plumbing {
            true => (Span::default(), None),
            false => span::client(headers, method.name),
        };
        Self { method, span, trace, start: Instant::now(), ended: false }
    }

    /// There is an answer: the call ends with its body.
    pub(super) fn answered(self, response: Response<Body>) -> Response<Body> {
        match code_in(response.headers()) {
            Some(code) => {
                self.end(code);
                response
            }
            None => response.map(|inner| Body::new(Noted { inner, outgoing: self })),
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
        match &self.trace {
            Some(trace) => span::exemplify(trace, || client_meters.end(name, code, took)),
            None => client_meters.end(name, code, took),
        }
        self.span.ended(code, code != Code::Ok);
        drop(std::mem::take(&mut self.span));
    }
}

impl Drop for Outgoing {
    fn drop(&mut self) {
        self.note(Code::Cancelled);
    }
}

/// The body of an answer, watched for its trailers.
struct Noted {
    inner: Body,
    outgoing: Outgoing,
}

impl HttpBody for Noted {
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
