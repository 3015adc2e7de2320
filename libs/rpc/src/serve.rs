//! The listener: serves HTTP/2 connections until shutdown.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::time::Duration;

use http::Request;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tonic::body::Body;
use tonic::transport::server::TcpConnectInfo;
use tower::ServiceExt;

use crate::stack::Served;
use crate::tls::ServerTls;

/// Drop clients that send no bytes, or do not finish the TLS handshake, within this time.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

#[derive(Clone, Debug)]
pub struct Limits {
    /// Open connections; further ones wait in the kernel's backlog.
    pub connections: usize,
    /// Concurrent calls on one connection.
    pub streams: u32,
    /// Size of a call's headers, in bytes.
    pub header_bytes: u32,
    /// Idle time before a keepalive ping.
    pub keepalive: Duration,
    /// How long running calls may continue after shutdown begins.
    pub grace: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 10_000,
            streams: 250,
            header_bytes: 16 * 1024,
            keepalive: Duration::from_secs(30),
            grace: Duration::from_secs(10),
        }
    }
}

/// Serves, with TLS if it is given, until `shutdown`; then stops accepting, sends GOAWAY to every
/// client and waits at most [`Limits::grace`] for running calls.
pub async fn serve(
    listener: TcpListener,
    served: Served,
    limits: Limits,
    tls: Option<ServerTls>,
    shutdown: impl Future<Output = ()>,
) -> io::Result<()> {
    let (stop, stopping) = watch::channel(false);
    let mut connections = JoinSet::new();
    let mut shutdown = pin!(shutdown);
    loop {
        let room = connections.len() < limits.connections;
        tokio::select! {
            () = &mut shutdown => break,
            Some(_) = connections.join_next() => {}
            accepted = listener.accept(), if room => match accepted {
                Ok((stream, peer)) => {
                    let tls = tls.clone();
                    let (served, limits, stopping) =
                        (served.clone(), limits.clone(), stopping.clone());
                    connections.spawn(connection(stream, peer, served, limits, tls, stopping));
                }
                Err(error) => {
                    // Usually the process is out of file descriptors: wait for some to close.
                    tracing::warn!(%error, "cannot accept connection");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            },
        }
    }
    drop(listener);
    stop.send_replace(true);
    let drained = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(limits.grace, drained).await.is_err() {
        tracing::info!(open = connections.len(), "grace period over, closing connections");
        connections.shutdown().await;
    }
    Ok(())
}

async fn connection(
    stream: TcpStream,
    peer: SocketAddr,
    served: Served,
    limits: Limits,
    tls: Option<ServerTls>,
    stopping: watch::Receiver<bool>,
) {
    // Clients send the first bytes of HTTP/2 and of TLS.
    if !matches!(tokio::time::timeout(HANDSHAKE_TIMEOUT, stream.peek(&mut [0])).await, Ok(Ok(1))) {
        return;
    }
    // Send small frames at once; a failure costs latency only.
    let _ = stream.set_nodelay(true);
    let info = TcpConnectInfo { local_addr: stream.local_addr().ok(), remote_addr: Some(peer) };
    let Some(tls) = tls else {
        return serve_connection(stream, info, served, &limits, stopping).await;
    };
    match tokio::time::timeout(HANDSHAKE_TIMEOUT, tls.accept(stream)).await {
        Ok(Ok(stream)) => serve_connection(stream, info, served, &limits, stopping).await,
        Ok(Err(error)) => tracing::debug!(%peer, %error, "TLS handshake failed"),
        Err(_) => tracing::debug!(%peer, "TLS handshake timed out"),
    }
}

async fn serve_connection(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    info: TcpConnectInfo,
    served: Served,
    limits: &Limits,
    mut stopping: watch::Receiver<bool>,
) {
    let peer = info.remote_addr;
    let service = served.map_request(move |request: Request<hyper::body::Incoming>| {
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(info.clone());
        request
    });
    let mut builder = Builder::new(TokioExecutor::new()).http2_only();
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(limits.streams)
        .max_header_list_size(limits.header_bytes)
        .keep_alive_interval(limits.keepalive)
        .keep_alive_timeout(Duration::from_secs(20));
    let connection =
        builder.serve_connection(TokioIo::new(stream), TowerToHyperService::new(service));
    let mut connection = pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = async { drop(stopping.wait_for(|stop| *stop).await) } => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(?peer, %error, "connection ended");
    }
}
