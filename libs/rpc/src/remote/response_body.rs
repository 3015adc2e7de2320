//! The body of a response from another process.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context as Cx, Poll};
use std::time::Instant;

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::{Sleep, sleep_until};
use tonic::Status;

use super::broken;
use super::endpoint::Lease;
use crate::body::deadline_exceeded;
use crate::status;

/// Counts as a call in flight until it ends. Ends at the call's deadline.
pub(crate) struct ResponseBody {
    inner: Incoming,
    lease: Option<Lease>,
    deadline: Option<Pin<Box<Sleep>>>,
    role: Option<String>,
}

impl ResponseBody {
    pub(crate) fn new(
        inner: Incoming,
        lease: Lease,
        deadline: Option<Instant>,
        role: Option<String>,
    ) -> Self {
        let deadline = deadline.map(|at| Box::pin(sleep_until(at.into())));
        Self { inner, lease: Some(lease), deadline, role }
    }

    fn end(&mut self) {
        self.lease = None;
        self.deadline = None;
    }

    fn end_with(&mut self, status: &Status) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        self.end();
        Poll::Ready(Some(Ok(status::trailers(status))))
    }
}

/// Whether the connection broke, as opposed to a reset of the stream.
fn is_broken(error: &hyper::Error) -> bool {
    let h2 = std::error::Error::source(error).and_then(|e| e.downcast_ref::<h2::Error>());
    !h2.is_some_and(h2::Error::is_reset)
}

impl HttpBody for ResponseBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Cx<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let this = self.get_mut();
        if this.lease.is_none() {
            return Poll::Ready(None);
        }
        match Pin::new(&mut this.inner).poll_frame(cx) {
            Poll::Ready(Some(Err(error))) if is_broken(&error) => {
                return this.end_with(&broken(this.role.as_deref()));
            }
            Poll::Ready(frame) => {
                if !matches!(&frame, Some(Ok(frame)) if frame.is_data()) {
                    this.end();
                }
                return Poll::Ready(frame);
            }
            Poll::Pending => {}
        }
        let late = this.deadline.as_mut().is_some_and(|sleep| sleep.as_mut().poll(cx).is_ready());
        if late { this.end_with(&deadline_exceeded()) } else { Poll::Pending }
    }

    fn is_end_stream(&self) -> bool {
        self.lease.is_none() || self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        // The deadline may end the body early.
        SizeHint::default()
    }
}
