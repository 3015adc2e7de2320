//! The listener: HTTP/1.1 and HTTP/2 connections onto the router, until told to stop.

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

/// Serves until `shutdown`, then stops accepting and waits at most `grace` for running requests.
pub async fn serve(
    listener: TcpListener,
    gateway: Gateway,
    grace: Duration,
    shutdown: impl Future<Output = ()>,
) -> io::Result<()> {
    let (router, config) = (gateway.router(), &*gateway.config);
    let patience = Duration::from_secs(config.header_seconds.max(1));
    let (stop, stopping) = watch::channel(false);
    let builder = builder(config);
    let mut connections = JoinSet::new();
    let mut shutdown = pin!(shutdown);
    loop {
        let room = connections.len() < config.connections;
        tokio::select! {
            () = &mut shutdown => break,
            Some(_) = connections.join_next() => {}
            accepted = listener.accept(), if room => match accepted {
                Ok((stream, peer)) => {
                    let router = router.clone();
                    let peer = Peer(peer.ip().to_canonical());
                    let serving = connection(builder.clone(), stream, peer, router, stopping.clone(), patience);
                    connections.spawn(serving);
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
    if tokio::time::timeout(grace, drained).await.is_err() {
        tracing::warn!(
            open = connections.len(),
            "requests were cut off at the end of the grace time"
        );
    }
    connections.shutdown().await;
    Ok(())
}

fn builder(config: &Config) -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    // The edge checks both with an answer of its own; beyond twice that it is not read at all.
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
    patience: Duration,
) {
    // The reader's own time limit begins with the first byte.
    if !matches!(tokio::time::timeout(patience, stream.peek(&mut [0])).await, Ok(Ok(1))) {
        return;
    }
    // Small answers must not wait for more.
    let _ = stream.set_nodelay(true);
    let service = router.map_request(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(peer);
        request.map(axum::body::Body::new)
    });
    let service = TowerToHyperService::new(service);
    let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service));
    let stop = async {
        // The sender is gone only when the listener is, too.
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
        tracing::debug!(%error, "a connection ended badly");
    }
}
