//! The gRPC listener: serves HTTP/2 connections until shutdown.

use std::future::Future;
use std::net::SocketAddr;
use std::pin::pin;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use http::Request;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tonic::body::Body;
use tonic::transport::server::TcpConnectInfo;
use tower::ServiceExt;

use crate::first_bytes::FirstBytes;
use crate::listen::{Connections, Stopping, listen};
use crate::stack::Served;
use crate::tls::ServerTls;

/// Drop clients that do not finish the TLS handshake or send no HTTP/2 preface within this time.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

#[derive(Clone, Debug)]
pub struct Limits {
    pub connections: Connections,
    /// Concurrent calls on one connection.
    pub streams: u32,
    /// Size of a call's headers, in bytes.
    pub header_bytes: u32,
    /// Idle time before a keepalive ping.
    pub keepalive: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: Connections::default(),
            streams: 250,
            header_bytes: 16 * 1024,
            keepalive: Duration::from_secs(30),
        }
    }
}

/// Serves, with TLS if it is given, until `shutdown`; then stops accepting, sends GOAWAY to every
/// client and waits at most [`Connections::grace`] for running calls.
pub fn serve<'a>(
    listener: TcpListener,
    served: Served,
    limits: Limits,
    tls: Option<ServerTls>,
    shutdown: impl Future<Output = ()> + Send + 'a,
) -> BoxFuture<'a, ()> {
    serve_until(listener, served, limits, tls, shutdown.boxed())
}

fn serve_until(
    listener: TcpListener,
    served: Served,
    limits: Limits,
    tls: Option<ServerTls>,
    shutdown: BoxFuture<'_, ()>,
) -> BoxFuture<'_, ()> {
    let connections = limits.connections.clone();
    let connection = move |stream, peer, stopping| {
        let (served, limits, tls) = (served.clone(), limits.clone(), tls.clone());
        connection(stream, peer, served, limits, tls, stopping)
    };
    listen("grpc", listener, connections, shutdown, connection).boxed()
}

async fn connection(
    stream: TcpStream,
    peer: SocketAddr,
    served: Served,
    limits: Limits,
    tls: Option<ServerTls>,
    stopping: Stopping,
) {
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
    mut stopping: Stopping,
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
    let stream = TokioIo::new(FirstBytes::within(HANDSHAKE_TIMEOUT, stream));
    let connection = builder.serve_connection(stream, TowerToHyperService::new(service));
    let mut connection = pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stopping.begun() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(?peer, %error, "connection ended");
    }
}
