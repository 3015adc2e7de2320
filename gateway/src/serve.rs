//! The listener: serves HTTP/1.1 and HTTP/2 connections until shutdown.

use std::future::Future;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use rpc::{Connections, listen};
use tokio::net::TcpListener;

use crate::Gateway;
use crate::config::Config;
use crate::connection::Connection;
use crate::edge::Peer;

/// Serves until `shutdown`, then stops accepting and waits up to `grace` for requests in flight.
pub fn serve<'a>(
    listener: TcpListener,
    gateway: Gateway,
    grace: Duration,
    shutdown: impl Future<Output = ()> + Send + 'a,
) -> BoxFuture<'a, ()> {
    serve_until(listener, gateway, grace, shutdown.boxed())
}

fn serve_until(
    listener: TcpListener,
    gateway: Gateway,
    grace: Duration,
    shutdown: BoxFuture<'_, ()>,
) -> BoxFuture<'_, ()> {
    let config = &gateway.edge.config;
    let connections = Connections {
        total: config.connections,
        per_address: config.connections_per_address,
        trusted: gateway.edge.trusted.clone(),
        grace,
    };
    let builder = builder(config);
    listen("rest", listener, connections, shutdown, move |stream, peer, stopping| {
        let peer = Peer(peer.ip().to_canonical());
        let (builder, gateway) = (builder.clone(), gateway.clone());
        Connection { builder, peer, gateway, stopping }.run(stream)
    })
    .boxed()
}

fn builder(config: &Config) -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    // Up to twice the limits, the gateway itself reads the head and refuses it.
    let head = 2 * (config.header_bytes + config.uri_bytes);
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(config.header_timeout())
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
