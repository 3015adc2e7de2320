//! The listener: serves HTTP/1.1 and HTTP/2 connections until shutdown.

use std::future::Future;
use std::io;
use std::pin::pin;
use std::time::Duration;

use axum::Router;
use http::Request;
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tower::ServiceExt as _;

use crate::Gateway;
use crate::config::Config;
use crate::edge::Peer;

/// Serves until `shutdown`, then stops accepting and waits up to `grace` for requests in flight.
pub async fn serve(
    listener: TcpListener,
    gateway: Gateway,
    grace: Duration,
    shutdown: impl Future<Output = ()>,
) -> io::Result<()> {
    let (router, config) = (gateway.router(), &*gateway.config);
    let timeout = Duration::from_secs(config.header_seconds.max(1));
    let (stop, stopping) = watch::channel(false);
    let builder = builder(config);
    let mut connections = JoinSet::new();
    let mut shutdown = pin!(shutdown);
    loop {
        let below_limit = connections.len() < config.connections;
        tokio::select! {
            () = &mut shutdown => break,
            Some(_) = connections.join_next() => {}
            accepted = listener.accept(), if below_limit => match accepted {
                Ok((stream, peer)) => {
                    let router = router.clone();
                    let peer = Peer(peer.ip().to_canonical());
                    let (builder, stopping) = (builder.clone(), stopping.clone());
                    connections.spawn(connection(builder, stream, peer, router, stopping, timeout));
                }
                Err(error) => {
                    // Usually out of file descriptors: pause instead of spinning.
                    tracing::warn!(%error, "cannot accept connection");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            },
        }
    }
    drop(listener);
    stop.send_replace(true);
    let drained = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(grace, drained).await.is_err() {
        tracing::warn!(connections = connections.len(), "grace period over, closing connections");
    }
    connections.shutdown().await;
    Ok(())
}

fn builder(config: &Config) -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    // Up to twice the limits, the gateway reads the head and responds with 414 or 431 in JSON form.
    let head = 2 * (config.header_bytes + config.uri_bytes);
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(Duration::from_secs(config.header_seconds.max(1)))
        .max_buf_size(head.max(16 * 1024));
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_header_list_size(u32::try_from(head).unwrap_or(u32::MAX))
        .max_concurrent_streams(250)
        .keep_alive_interval(Duration::from_secs(30))
        .keep_alive_timeout(Duration::from_secs(20));
    builder
}

async fn connection(
    builder: Builder<TokioExecutor>,
    stream: TcpStream,
    peer: Peer,
    router: Router,
    mut stopping: watch::Receiver<bool>,
    first_byte_timeout: Duration,
) {
    // The header timeout of the HTTP library starts at the first byte.
    if !matches!(tokio::time::timeout(first_byte_timeout, stream.peek(&mut [0])).await, Ok(Ok(1))) {
        return;
    }
    let _ = stream.set_nodelay(true);
    let service = router.map_request(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(peer);
        request.map(axum::body::Body::new)
    });
    let service = TowerToHyperService::new(service);
    let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service));
    let stop = async {
        // An error means that the listener is gone, which also ends the connection.
        let _ = stopping.wait_for(|stop| *stop).await;
    };
    let result = tokio::select! {
        result = connection.as_mut() => result,
        () = stop => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = result {
        tracing::debug!(%error, "connection failed");
    }
}
