//! Drops connections that do not say in time which version of HTTP they use.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;

/// The first bytes of an HTTP/2 connection (RFC 9113, section 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// A stream whose reads fail unless it receives the whole HTTP/2 preface, or a byte that is not part
/// of it, in time. The HTTP library waits forever.
#[derive(Debug)]
pub struct FirstBytes<S> {
    stream: S,
    /// Length of the received part of the preface.
    received: usize,
    timer: Option<Pin<Box<Sleep>>>,
}

impl<S> FirstBytes<S> {
    pub fn within(limit: Duration, stream: S) -> Self {
        Self { stream, received: 0, timer: Some(Box::pin(tokio::time::sleep(limit))) }
    }

    pub fn into_inner(self) -> S {
        self.stream
    }

    /// Whether more bytes of the preface are needed.
    fn inspect(&mut self, bytes: &[u8]) -> bool {
        let expected = &PREFACE[self.received..];
        let common = expected.len().min(bytes.len());
        self.received += common;
        bytes[..common] == expected[..common] && self.received < PREFACE.len()
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for FirstBytes<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buffer.filled().len();
        let polled = Pin::new(&mut this.stream).poll_read(cx, buffer);
        let Some(timer) = &mut this.timer else { return polled };
        match polled {
            Poll::Pending => {
                if timer.as_mut().poll(cx).is_pending() {
                    return Poll::Pending;
                }
                let late = "the client sent no request in time";
                Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, late)))
            }
            ready @ Poll::Ready(_) => {
                let bytes = &buffer.filled()[before..];
                if bytes.is_empty() || !this.inspect(bytes) {
                    this.timer = None;
                }
                ready
            }
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for FirstBytes<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write_vectored(cx, slices)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    /// Reads what the client sent, then waits for more for a minute.
    async fn received(sent: &[u8]) -> io::Result<()> {
        let (mut client, server) = tokio::io::duplex(64);
        let mut server = FirstBytes::within(Duration::from_secs(10), server);
        client.write_all(sent).await.unwrap();
        let mut buffer = [0; 64];
        let mut count = 0;
        while count < sent.len() {
            count += server.read(&mut buffer).await?;
        }
        let more = tokio::time::timeout(Duration::from_secs(60), server.read(&mut buffer)).await;
        more.map_or(Ok(()), |read| read.map(drop))
    }

    #[tokio::test(start_paused = true)]
    async fn part_of_the_preface_is_not_enough() {
        for part in [&b""[..], b"P", b"PRI * HT"] {
            assert_eq!(received(part).await.unwrap_err().kind(), io::ErrorKind::TimedOut);
        }
        for whole in [PREFACE, b"GET", b"PRI * HTTP/1.1"] {
            received(whole).await.unwrap();
        }
    }
}
