//! One connection: answers for the HTTP library where it refuses a request by itself, and closes in
//! stages, so that a client that is still sending can read the last response (RFC 9112, section 9.6).

use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::Body;
use bytes::{Buf as _, Bytes};
use http::header::CONNECTION;
use http::{HeaderValue, Request, StatusCode, Version};
use http_body::{Body as HttpBody, Frame, SizeHint};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use rpc::{FirstBytes, Stopping};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tower::ServiceExt as _;

use crate::Gateway;
use crate::edge::{Edge, Peer};

/// How long a closed connection reads what the client still sends.
const LINGER: Duration = Duration::from_secs(30);
/// How long it waits for the next bytes.
const LINGER_PAUSE: Duration = Duration::from_secs(5);
/// The same while the process stops.
const LINGER_PAUSE_STOPPING: Duration = Duration::from_millis(200);

pub struct Connection {
    pub builder: Builder<TokioExecutor>,
    pub peer: Peer,
    pub gateway: Gateway,
    pub stopping: Stopping,
}

impl Connection {
    pub async fn run(self, stream: TcpStream) {
        let _ = stream.set_nodelay(true);
        let stopping = self.stopping.clone();
        let (returned, stream_after) = oneshot::channel();
        self.serve(stream, returned).await;
        if let Ok(stream) = stream_after.await {
            linger(stream, &stopping).await;
        }
    }

    /// Serves until the connection ends. `returned` gets the stream, which is still open.
    async fn serve(mut self, stream: TcpStream, returned: oneshot::Sender<TcpStream>) {
        let exchange = Arc::new(Exchange::default());
        let edge = self.gateway.edge.clone();
        let stream = FirstBytes::within(edge.config.header_timeout(), stream);
        let io = Io {
            stream: Some(stream),
            returned: Some(returned),
            exchange: exchange.clone(),
            edge,
            answer: None,
        };
        let (router, peer) = (self.gateway.router(), self.peer);
        let service = service_fn(move |mut request: Request<Incoming>| {
            let responding = Responding::new(&exchange);
            request.extensions_mut().insert(peer);
            let (request, unread) = RequestBody::of(request);
            let response = router.clone().oneshot(request);
            async move {
                let mut response = response.await?;
                if unread.load(Ordering::Acquire) {
                    // The rest of the body is discarded together with the connection.
                    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
                }
                let hold = |inner| Body::new(ResponseBody { inner, _responding: responding });
                Ok::<_, std::convert::Infallible>(response.map(hold))
            }
        });
        let mut connection = pin!(self.builder.serve_connection(TokioIo::new(io), service));
        let result = tokio::select! {
            result = connection.as_mut() => result,
            () = self.stopping.begun() => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(error) = result {
            tracing::debug!(%error, "connection failed");
        }
    }
}

/// Tells the client that nothing more is sent, and reads until it closes. Closing while bytes are
/// unread would reset the connection, and the client might lose the response.
async fn linger(mut stream: TcpStream, stopping: &Stopping) {
    if stream.shutdown().await.is_err() {
        return;
    }
    let pause = if stopping.has_begun() { LINGER_PAUSE_STOPPING } else { LINGER_PAUSE };
    let discard = async {
        let mut buffer = vec![0; 16 * 1024];
        while let Ok(Ok(1..)) = tokio::time::timeout(pause, stream.read(&mut buffer)).await {}
    };
    // What the client sends after the time limit is not read.
    let _ = tokio::time::timeout(LINGER, discard).await;
}

/// Whether bytes that are written belong to a response of the gateway.
#[derive(Default)]
struct Exchange {
    /// Requests whose response has not ended.
    responding: AtomicUsize,
    /// A response has begun and may not be flushed yet.
    unflushed: AtomicBool,
}

struct Responding(Arc<Exchange>);

impl Responding {
    fn new(exchange: &Arc<Exchange>) -> Self {
        exchange.responding.fetch_add(1, Ordering::AcqRel);
        exchange.unflushed.store(true, Ordering::Release);
        Self(exchange.clone())
    }
}

impl Drop for Responding {
    fn drop(&mut self) {
        self.0.responding.fetch_sub(1, Ordering::AcqRel);
    }
}

/// A request body that knows whether it was read to its end.
struct RequestBody {
    inner: Incoming,
    unread: Arc<AtomicBool>,
}

impl RequestBody {
    /// The request, and whether a part of its body is unread. HTTP/2 ends each request by itself.
    fn of(request: Request<Incoming>) -> (Request<Body>, Arc<AtomicBool>) {
        let closes = request.version() < Version::HTTP_2 && !request.body().is_end_stream();
        let unread = Arc::new(AtomicBool::new(closes));
        if !closes {
            return (request.map(Body::new), unread);
        }
        let of = unread.clone();
        (request.map(|inner| Body::new(RequestBody { inner, unread: of })), unread)
    }
}

impl HttpBody for RequestBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let frame = ready!(Pin::new(&mut self.inner).poll_frame(cx));
        if frame.is_none() || self.inner.is_end_stream() {
            self.unread.store(false, Ordering::Release);
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

struct ResponseBody {
    inner: Body,
    _responding: Responding,
}

impl HttpBody for ResponseBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.inner).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

/// The stream of a connection, with the answer of the gateway in place of the empty one that the
/// HTTP library writes to a request that it cannot read. While no response is being sent, the
/// library writes nothing else in HTTP/1; after it the connection closes.
struct Io {
    /// `None` only in `drop`.
    stream: Option<FirstBytes<TcpStream>>,
    returned: Option<oneshot::Sender<TcpStream>>,
    exchange: Arc<Exchange>,
    edge: Arc<Edge>,
    /// The rest of the gateway's answer.
    answer: Option<Bytes>,
}

impl Io {
    fn stream(&mut self) -> Pin<&mut FirstBytes<TcpStream>> {
        Pin::new(self.stream.as_mut().expect("the stream is taken only by drop"))
    }

    fn answers_itself(&self, bytes: &[u8]) -> Option<StatusCode> {
        if self.exchange.unflushed.load(Ordering::Acquire) {
            return None;
        }
        StatusCode::from_bytes(bytes.strip_prefix(b"HTTP/1.1 ")?.get(..3)?).ok()
    }

    /// Writes `bytes`, or the answer that replaces them.
    fn write_or_answer(
        &mut self,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.answer.is_none() {
            let first = slices.iter().find(|slice| !slice.is_empty());
            let status = first.and_then(|bytes| self.answers_itself(bytes));
            self.answer = status.and_then(|status| self.edge.answer_for_library(status));
        }
        let Some(mut answer) = self.answer.take() else {
            return self.stream().poll_write_vectored(cx, slices);
        };
        while !answer.is_empty() {
            match self.stream().poll_write(cx, &answer) {
                Poll::Ready(Ok(0)) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Poll::Ready(Ok(count)) => answer.advance(count),
                failed @ Poll::Ready(Err(_)) => return failed,
                Poll::Pending => {
                    self.answer = Some(answer);
                    return Poll::Pending;
                }
            }
        }
        self.answer = Some(answer);
        Poll::Ready(Ok(slices.iter().map(|slice| slice.len()).sum()))
    }
}

impl AsyncRead for Io {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.stream().poll_read(cx, buffer)
    }
}

impl AsyncWrite for Io {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.write_or_answer(cx, &[io::IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.write_or_answer(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.as_ref().is_some_and(AsyncWrite::is_write_vectored)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.stream().poll_flush(cx))?;
        // The library flushes the stream after it has written everything.
        if self.exchange.responding.load(Ordering::Acquire) == 0 {
            self.exchange.unflushed.store(false, Ordering::Release);
        }
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream().poll_shutdown(cx)
    }
}

impl Drop for Io {
    fn drop(&mut self) {
        if let (Some(stream), Some(returned)) = (self.stream.take(), self.returned.take()) {
            // The receiver is gone if the connection was aborted.
            let _ = returned.send(stream.into_inner());
        }
    }
}
