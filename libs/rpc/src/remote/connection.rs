//! Opening an HTTP/2 connection.

use std::net::SocketAddr;
use std::time::Duration;

use hyper::client::conn::http2::{Builder, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tonic::body::Body;

use super::first_frame::FirstFrame;
use super::target::Target;
use crate::tls::ClientTls;

/// Bytes of the headers or trailers of a response. The default of 16 KiB is too small for an error with many details.
const MAX_HEADER_BYTES: u32 = 256 << 10;

/// Connects and waits for the server's HTTP/2 settings. The error is a message for operators.
pub(crate) async fn open(
    target: &Target,
    address: SocketAddr,
    tls: Option<&ClientTls>,
    limit: Duration,
) -> Result<SendRequest<Body>, String> {
    let work = async {
        let stream = TcpStream::connect(address).await.map_err(|error| error.to_string())?;
        // Send small frames at once; a failure costs latency only.
        let _ = stream.set_nodelay(true);
        match tls {
            Some(tls) if target.secure() => {
                handshake(tls.connect(&target.host, stream).await?).await
            }
            _ => handshake(stream).await,
        }
    };
    match tokio::time::timeout(limit, work).await {
        Ok(done) => done,
        Err(_) => Err(format!("no response within {limit:?}")),
    }
}

async fn handshake<I>(io: I) -> Result<SendRequest<Body>, String>
where
    I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (io, first_frame) = FirstFrame::new(io);
    let (sender, connection) = Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .max_header_list_size(MAX_HEADER_BYTES)
        // Detect a lost server before the next call uses the connection.
        .keep_alive_interval(Duration::from_secs(20))
        .keep_alive_timeout(Duration::from_secs(10))
        .keep_alive_while_idle(true)
        .handshake(TokioIo::new(io))
        .await
        .map_err(|error| error.to_string())?;
    super::background(async {
        if let Err(error) = connection.await {
            tracing::debug!(%error, "connection ended");
        }
    });
    match first_frame.await {
        Ok(Ok(())) => Ok(sender),
        Ok(Err(why)) => Err(why),
        Err(_) => Err("the connection broke".into()),
    }
}
