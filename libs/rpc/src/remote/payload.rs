//! The body of a request, buffered so that the call can be retried.

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context as Cx, Poll};

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame};
use http_body_util::{BodyExt, Full};
use tonic::Status;
use tonic::body::Body;

/// Larger bodies are not buffered. In bytes.
const BUFFER_LIMIT: usize = 1024 * 1024;

pub(crate) enum Payload {
    Buffered(Vec<Bytes>),
    /// For one attempt; then `None`.
    Once(Option<Body>),
}

impl Payload {
    /// Buffers a unary request, unless it is too large.
    pub(crate) async fn buffer(mut body: Body) -> Result<Self, Status> {
        let (mut chunks, mut size) = (VecDeque::new(), 0);
        while let Some(frame) = body.frame().await {
            // gRPC requests have no trailers.
            let Ok(data) = frame?.into_data() else { continue };
            size += data.len();
            chunks.push_back(data);
            if size > BUFFER_LIMIT {
                return Ok(Self::Once(Some(Body::new(Chained { chunks, rest: body }))));
            }
        }
        Ok(Self::Buffered(chunks.into()))
    }

    /// The body for an attempt.
    pub(crate) fn take(&mut self) -> Body {
        match self {
            Self::Buffered(chunks) => match chunks.as_slice() {
                [] => Body::empty(),
                [only] => Body::new(Full::new(only.clone())),
                _ => Body::new(Chained { chunks: chunks.clone().into(), rest: Body::empty() }),
            },
            Self::Once(body) => body.take().unwrap_or_else(Body::empty),
        }
    }

    /// Returns a body that the attempt did not use.
    pub(crate) fn give_back(&mut self, unused: Body) {
        if let Self::Once(body) = self {
            *body = Some(unused);
        }
    }

    /// Whether another attempt is possible.
    pub(crate) fn is_available(&self) -> bool {
        matches!(self, Self::Buffered(_) | Self::Once(Some(_)))
    }
}

/// The chunks read so far, followed by the rest.
struct Chained {
    chunks: VecDeque<Bytes>,
    rest: Body,
}

impl HttpBody for Chained {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Cx<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        match self.chunks.pop_front() {
            Some(data) => Poll::Ready(Some(Ok(Frame::data(data)))),
            None => Pin::new(&mut self.rest).poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.chunks.is_empty() && self.rest.is_end_stream()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(chunks: &[&'static [u8]]) -> Body {
        let chunks = chunks.iter().map(|chunk| Bytes::from_static(chunk)).collect();
        Body::new(Chained { chunks, rest: Body::empty() })
    }

    async fn text(body: Body) -> Bytes {
        body.collect().await.unwrap().to_bytes()
    }

    #[tokio::test]
    async fn small_requests_are_repeatable() {
        let cases: [&[&[u8]]; 3] = [&[], &[b"ab"], &[b"ab", b"cd"]];
        for chunks in cases {
            let mut payload = Payload::buffer(body(chunks)).await.unwrap();
            for _ in 0..2 {
                assert!(payload.is_available());
                assert_eq!(text(payload.take()).await, chunks.concat());
            }
        }
    }

    #[tokio::test]
    async fn large_requests_are_sent_once() {
        let large: &[u8] = vec![7; BUFFER_LIMIT].leak();
        let mut payload = Payload::buffer(body(&[large, b"xyz", b"end"])).await.unwrap();
        let sent = payload.take();
        assert!(!payload.is_available());
        payload.give_back(sent);
        assert!(payload.is_available());
        assert_eq!(text(payload.take()).await.len(), BUFFER_LIMIT + 6);
    }
}
