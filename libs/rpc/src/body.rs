//! The body of a response, observed until its end.
//!
//! Streaming handlers run while the body is polled, so the body provides their context, enforces
//! their deadline and catches their panics.

use std::any::Any;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context as Cx, Poll};

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Sleep;
use tonic::body::Body;
use tonic::{Code, Status};

use crate::observe::{Call, code_in};
use crate::{status, tonic_status};

pub(crate) struct Watched {
    pub(crate) inner: Body,
    pub(crate) call: Call,
    pub(crate) deadline: Option<Pin<Box<Sleep>>>,
    /// Held until the end of a stream.
    pub(crate) _permit: Option<OwnedSemaphorePermit>,
    pub(crate) ended: bool,
}

impl HttpBody for Watched {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Cx<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let this = self.get_mut();
        if this.ended {
            return Poll::Ready(None);
        }
        if let Some(sleep) = &mut this.deadline
            && sleep.as_mut().poll(cx).is_ready()
        {
            return this.end_with(&deadline_exceeded());
        }
        let polled = catch_unwind(AssertUnwindSafe(|| {
            let inner = Pin::new(&mut this.inner);
            this.call.context().sync_scope(|| inner.poll_frame(cx))
        }));
        match polled {
            Err(panic) => {
                let status = this.call.context().sync_scope(|| panicked(&*panic));
                this.end_with(&status)
            }
            Ok(Poll::Ready(Some(Ok(mut frame)))) => {
                if let Some(trailers) = frame.trailers_mut() {
                    tonic_status::rewrite(trailers);
                    this.ended = true;
                    this.call.end(code_in(trailers).unwrap_or(Code::Unknown));
                }
                Poll::Ready(Some(Ok(frame)))
            }
            Ok(other) => other,
        }
    }

    fn is_end_stream(&self) -> bool {
        self.ended || self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        // Our own trailers may replace the rest of the inner body.
        SizeHint::default()
    }
}

impl Watched {
    fn end_with(&mut self, status: &Status) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        self.ended = true;
        self.call.end(status.code());
        Poll::Ready(Some(Ok(status::trailers(status))))
    }
}

pub(crate) fn deadline_exceeded() -> Status {
    status::error(Code::DeadlineExceeded, "DEADLINE_EXCEEDED", "the deadline has passed")
}

/// Logs a panic and returns the status for the client.
pub(crate) fn panicked(panic: &(dyn Any + Send)) -> Status {
    let text = panic
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned());
    status::internal(format!("panic: {}", text.as_deref().unwrap_or("(no message)")))
}
