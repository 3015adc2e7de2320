//! The listener: HTTP/2 connections onto a [`Served`], until told to stop.

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

/// How long a new connection may stay silent.
const SILENCE: Duration = Duration::from_secs(10);

/// How much one listener takes on.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Open connections; further ones wait in the system's backlog.
    pub connections: usize,
    /// Concurrent calls on one connection.
    pub streams: u32,
    /// Size of a call's headers, in bytes.
    pub header_bytes: u32,
    /// Silence after which a peer is asked whether it is still there.
    pub keepalive: Duration,
    /// How long running calls may take to finish after the order to stop.
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

/// Serves until `shutdown`, then stops accepting, tells every client to go elsewhere, and waits at
/// most [`Limits::grace`] for running calls.
pub async fn serve(
    listener: TcpListener,
    served: Served,
    limits: Limits,
    shutdown: impl Future<Output = ()>,
) -> io::Result<()> {
    listen(listener, served, limits, None, shutdown).await
}

/// As [`serve`], for clients that speak TLS.
pub async fn serve_tls(
    listener: TcpListener,
    served: Served,
    limits: Limits,
    tls: ServerTls,
    shutdown: impl Future<Output = ()>,
) -> io::Result<()> {
    listen(listener, served, limits, Some(tls), shutdown).await
}

async fn listen(
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
                    // Out of descriptors, mostly: it passes, and spinning would not help.
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            },
        }
    }
    drop(listener);
    stop.send_replace(true);
    let drained = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(limits.grace, drained).await.is_err() {
        tracing::info!(left = connections.len(), "grace time is over; closing connections");
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
    // A client has to say something first; who does not is not worth a connection.
    if !matches!(tokio::time::timeout(SILENCE, stream.peek(&mut [0])).await, Ok(Ok(1))) {
        return;
    }
    // Small frames go out at once; a failure here costs latency only.
    let _ = stream.set_nodelay(true);
    let info = TcpConnectInfo { local_addr: stream.local_addr().ok(), remote_addr: Some(peer) };
    let Some(tls) = tls else {
        return talk(stream, info, served, &limits, stopping).await;
    };
    match tokio::time::timeout(SILENCE, tls.accept(stream)).await {
        Ok(Ok(stream)) => talk(stream, info, served, &limits, stopping).await,
        Ok(Err(error)) => tracing::debug!(%peer, %error, "no TLS handshake"),
        Err(_) => tracing::debug!(%peer, "the TLS handshake takes too long"),
    }
}

async fn talk(
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
