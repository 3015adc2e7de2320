//! The first words of a server.
//!
//! HTTP/2 lets a client talk before the server said anything, so a connection to something that is
//! no gRPC server, or that does not want us, would come to light only with the first call. A
//! connection counts from the server's SETTINGS on.

use std::io;
use std::pin::Pin;
use std::task::{Context as Cx, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::oneshot;

use crate::tls;

/// Tells once what the server said first.
pub(crate) struct Greeting<I> {
    io: I,
    head: Vec<u8>,
    told: Option<oneshot::Sender<Result<(), String>>>,
}

impl<I> Greeting<I> {
    pub(crate) fn new(io: I) -> (Self, oneshot::Receiver<Result<(), String>>) {
        let (told, heard) = oneshot::channel();
        (Self { io, head: Vec::new(), told: Some(told) }, heard)
    }

    fn hear(&mut self, read: io::Result<&[u8]>) {
        let verdict = match read {
            Err(error) => Some(Err(tls::explain(&error))),
            Ok([]) => Some(Err("it closed the connection without a word; does it \
                want TLS (https://), or not trust this client?"
                .into())),
            Ok(bytes) => {
                self.head.extend(bytes.iter().take(HEAD));
                judge(&self.head)
            }
        };
        if let Some(verdict) = verdict
            && let Some(told) = self.told.take()
        {
            // Nobody waits any more: the connection took too long.
            let _ = told.send(verdict);
        }
    }
}

/// Length (3), type, flags.
const HEAD: usize = 5;
const SETTINGS: u8 = 4;

fn judge(head: &[u8]) -> Option<Result<(), String>> {
    match head {
        [0x15, 3, ..] => Some(Err("it speaks TLS; give https://".into())),
        [b'H', b'T', b'T', b'P', ..] => Some(Err("it speaks HTTP/1.1, not gRPC".into())),
        [_, _, _, SETTINGS, ..] => Some(Ok(())),
        [_, _, _, _, ..] => Some(Err("it does not speak HTTP/2".into())),
        _ => None,
    }
}

impl<I: AsyncRead + Unpin> AsyncRead for Greeting<I> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Cx<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buffer.filled().len();
        let read = ready!(Pin::new(&mut this.io).poll_read(cx, buffer));
        if this.told.is_some() {
            match &read {
                Ok(()) => this.hear(Ok(&buffer.filled()[before..])),
                Err(error) => this.hear(Err(io::Error::new(error.kind(), tls::explain(error)))),
            }
        }
        Poll::Ready(read)
    }
}

impl<I: AsyncWrite + Unpin> AsyncWrite for Greeting<I> {
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
    fn first_words() {
        assert_eq!(judge(b"\0\0"), None);
        assert_eq!(judge(b"\0\0\x12\x04\0"), Some(Ok(())));
        let wrong = |bytes| judge(bytes).unwrap().unwrap_err();
        assert!(wrong(b"\x15\x03\x03\x00\x02").contains("https://"));
        assert!(wrong(b"HTTP/1.1 400").contains("HTTP/1.1"));
        assert!(wrong(b"SSH-2.0").contains("HTTP/2"));
    }
}
