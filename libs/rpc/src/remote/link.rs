//! One HTTP/2 connection to one address.

use std::net::SocketAddr;
use std::time::Duration;

use hyper::client::conn::http2::{Builder, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tonic::body::Body;

use super::greeting::Greeting;
use super::target::Target;
use crate::tls::ClientTls;

/// Connects, and waits until the server has shown that it speaks HTTP/2. An error says why not.
pub(crate) async fn open(
    target: &Target,
    address: SocketAddr,
    tls: Option<&ClientTls>,
    limit: Duration,
) -> Result<SendRequest<Body>, String> {
    let work = async {
        let stream = TcpStream::connect(address).await.map_err(|error| error.to_string())?;
        // Small frames go out at once; a failure here costs latency only.
        let _ = stream.set_nodelay(true);
        match tls {
            Some(tls) if target.secure() => speak(tls.connect(&target.host, stream).await?).await,
            _ => speak(stream).await,
        }
    };
    match tokio::time::timeout(limit, work).await {
        Ok(done) => done,
        Err(_) => Err(format!("no answer within {limit:?}")),
    }
}

async fn speak<I>(io: I) -> Result<SendRequest<Body>, String>
where
    I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (io, heard) = Greeting::new(io);
    let (sender, connection) = Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        // A server that vanished is noticed before the next call has to find out.
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
    match heard.await {
        Ok(Ok(())) => Ok(sender),
        Ok(Err(why)) => Err(why),
        Err(_) => Err("the connection broke".into()),
    }
}
