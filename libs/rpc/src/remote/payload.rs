//! A request's body, kept where the call may have to be made again.

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context as Cx, Poll};

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame};
use http_body_util::{BodyExt, Full};
use tonic::Status;
use tonic::body::Body;

/// The most that is kept of one request, in bytes.
const KEPT: usize = 1024 * 1024;

pub(crate) enum Payload {
    /// All of it, for as many tries as needed.
    Kept(Vec<Bytes>),
    /// For one try; `None` from then on.
    Once(Option<Body>),
}

impl Payload {
    /// Reads a unary request, unless it is too large to keep.
    pub(crate) async fn keep(mut body: Body) -> Result<Self, Status> {
        let (mut chunks, mut size) = (VecDeque::new(), 0);
        while let Some(frame) = body.frame().await {
            // gRPC's requests have no trailers.
            let Ok(data) = frame?.into_data() else { continue };
            size += data.len();
            chunks.push_back(data);
            if size > KEPT {
                return Ok(Self::Once(Some(Body::new(Begun { chunks, rest: body }))));
            }
        }
        Ok(Self::Kept(chunks.into()))
    }

    /// The body for a try.
    pub(crate) fn take(&mut self) -> Body {
        match self {
            Self::Kept(chunks) => match chunks.as_slice() {
                [] => Body::empty(),
                [only] => Body::new(Full::new(only.clone())),
                _ => Body::new(Begun { chunks: chunks.clone().into(), rest: Body::empty() }),
            },
            Self::Once(body) => body.take().unwrap_or_else(Body::empty),
        }
    }

    /// The try did not touch it.
    pub(crate) fn give_back(&mut self, untouched: Body) {
        if let Self::Once(body) = self {
            *body = Some(untouched);
        }
    }

    /// Whether there is something left for another try.
    pub(crate) fn is_there(&self) -> bool {
        matches!(self, Self::Kept(_) | Self::Once(Some(_)))
    }
}

/// What was read already, and the rest.
struct Begun {
    chunks: VecDeque<Bytes>,
    rest: Body,
}

impl HttpBody for Begun {
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
        Body::new(Begun { chunks, rest: Body::empty() })
    }

    async fn text(body: Body) -> Bytes {
        body.collect().await.unwrap().to_bytes()
    }

    #[tokio::test]
    async fn small_requests_can_be_repeated() {
        let cases: [&[&[u8]]; 3] = [&[], &[b"ab"], &[b"ab", b"cd"]];
        for chunks in cases {
            let mut payload = Payload::keep(body(chunks)).await.unwrap();
            for _ in 0..2 {
                assert!(payload.is_there());
                assert_eq!(text(payload.take()).await, chunks.concat());
            }
        }
    }

    #[tokio::test]
    async fn large_ones_are_sent_once() {
        let large: &[u8] = vec![7; KEPT].leak();
        let mut payload = Payload::keep(body(&[large, b"xyz", b"end"])).await.unwrap();
        let sent = payload.take();
        assert!(!payload.is_there());
        payload.give_back(sent);
        assert!(payload.is_there());
        assert_eq!(text(payload.take()).await.len(), KEPT + 6);
    }
}
