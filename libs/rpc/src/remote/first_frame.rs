//! Checks the first frame that a server sends.
//!
//! HTTP/2 clients may send requests before the server has sent anything, so that a connection to
//! another kind of server, or one that the server rejects, would fail only with the first call. A
//! connection is used once the server's SETTINGS frame has arrived.

use std::io;
use std::pin::Pin;
use std::task::{Context as Cx, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::oneshot;

use crate::tls;

/// Reports once whether the first frame is SETTINGS.
pub(crate) struct FirstFrame<I> {
    io: I,
    head: Vec<u8>,
    result: Option<oneshot::Sender<Result<(), String>>>,
}

impl<I> FirstFrame<I> {
    pub(crate) fn new(io: I) -> (Self, oneshot::Receiver<Result<(), String>>) {
        let (result, receiver) = oneshot::channel();
        (Self { io, head: Vec::new(), result: Some(result) }, receiver)
    }

    fn inspect(&mut self, read: io::Result<&[u8]>) {
        let verdict = match read {
            Err(error) => Some(Err(tls::explain(&error))),
            Ok([]) => Some(Err("the server closed the connection; it may require TLS \
                (https://) or not trust this client"
                .into())),
            Ok(bytes) => {
                self.head.extend(bytes.iter().take(HEAD));
                check(&self.head)
            }
        };
        if let Some(verdict) = verdict
            && let Some(result) = self.result.take()
        {
            // The receiver is gone after the connect timeout.
            let _ = result.send(verdict);
        }
    }
}

/// Length (3 bytes), type, flags.
const HEAD: usize = 5;
const SETTINGS: u8 = 4;

fn check(head: &[u8]) -> Option<Result<(), String>> {
    match head {
        [0x15, 3, ..] => Some(Err("the server uses TLS; use https://".into())),
        [b'H', b'T', b'T', b'P', ..] => Some(Err("the server uses HTTP/1.1, not gRPC".into())),
        [_, _, _, SETTINGS, ..] => Some(Ok(())),
        [_, _, _, _, ..] => Some(Err("the server does not use HTTP/2".into())),
        _ => None,
    }
}

impl<I: AsyncRead + Unpin> AsyncRead for FirstFrame<I> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Cx<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buffer.filled().len();
        let read = ready!(Pin::new(&mut this.io).poll_read(cx, buffer));
        if this.result.is_some() {
            match &read {
                Ok(()) => this.inspect(Ok(&buffer.filled()[before..])),
                Err(error) => this.inspect(Err(io::Error::new(error.kind(), tls::explain(error)))),
            }
        }
        Poll::Ready(read)
    }
}

impl<I: AsyncWrite + Unpin> AsyncWrite for FirstFrame<I> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Cx<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Cx<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(cx, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Cx<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Cx<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_bytes_identify_the_protocol() {
        assert_eq!(check(b"\0\0"), None);
        assert_eq!(check(b"\0\0\x12\x04\0"), Some(Ok(())));
        let wrong = |bytes| check(bytes).unwrap().unwrap_err();
        assert!(wrong(b"\x15\x03\x03\x00\x02").contains("https://"));
        assert!(wrong(b"HTTP/1.1 400").contains("HTTP/1.1"));
        assert!(wrong(b"SSH-2.0").contains("HTTP/2"));
    }
}
