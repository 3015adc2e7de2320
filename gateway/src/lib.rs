//! The REST gateway: serves the gRPC services as HTTP and JSON, by the `google.api.http`
//! annotations in their protos.
//!
//! Owns HTTP: methods, content negotiation, limits, conditional requests, streams, uploads, errors,
//! CORS. Must not know any service or message, except in `ccs`; a new RPC needs no code here. Forwards the caller's
//! credential and has no permissions of its own.

mod accept;
mod body;
mod call;
mod ccs;
mod config;
mod connection;
mod cors;
mod edge;
mod etag;
mod failure;
mod headers;
mod multipart;
mod pages;
mod record;
mod serve;
mod stream;
mod upload;

use std::any::Any;
use std::sync::Arc;

use axum::Router;
use axum::response::Response;
use http::uri::PathAndQuery;
use http::{HeaderMap, StatusCode, Version};
use rpc::{Reading, Trusted};
use tokio::sync::Semaphore;
use tonic::Code;
use tower::Service;
use tower::util::BoxCloneSyncService;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::compression::CompressionLayer;
use transcode::Plan;

pub use config::{Config, ConfigError, Network};
pub use edge::Peer;
pub use serve::serve;

use crate::edge::Edge;
use crate::pages::Pages;
use crate::record::Meters;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

pub(crate) type Upstream = BoxCloneSyncService<
    http::Request<tonic::body::Body>,
    http::Response<tonic::body::Body>,
    TransportError,
>;

/// A concrete type, because the compiler cannot prove that futures with a boxed error behind `Into`
/// are `Send`.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct TransportError(#[source] BoxError);

/// The gateway, ready to serve. Cheap to clone.
#[derive(Clone)]
pub struct Gateway {
    router: Router,
    pub(crate) edge: Arc<Edge>,
}

impl Gateway {
    /// Serves the routes of `plan` by calls over `upstream`: an `rpc::Channel`, or
    /// `access::Credentials::edge_channel`, which also authenticates the client address to the
    /// services. `trusted` addresses, like trusted proxies, have no share of connections of their
    /// own. The start page shows `readiness`, a URL for operators on this machine.
    pub fn open<S>(
        config: Config,
        plan: Plan,
        upstream: S,
        trusted: Trusted,
        readiness: Option<&str>,
    ) -> Result<Self, ConfigError>
    where
        S: Service<http::Request<tonic::body::Body>, Response = http::Response<tonic::body::Body>>
            + Clone
            + Send
            + Sync
            + 'static,
        S::Error: Into<BoxError>,
        S::Future: Send + 'static,
    {
        config.check()?;
        let plan = Arc::new(plan);
        let proxies = config.trusted_proxies.clone();
        let trusted = Trusted::new(move |address| {
            trusted.trusts(address) || proxies.iter().any(|network| network.contains(address))
        });
        let targets = plan.routes().iter().map(|route| {
            let path = PathAndQuery::try_from(route.rpc_path.as_str());
            (route.template.to_string().into(), path.expect("the name of an RPC is a valid path"))
        });
        let edge = Arc::new(Edge {
            targets: targets.collect(),
            meters: Arc::new(Meters::new()),
            upstream: BoxCloneSyncService::new(tower::ServiceExt::map_err(upstream, |error| {
                TransportError(error.into())
            })),
            pages: Pages::new(&plan, readiness),
            unary: Arc::new(Semaphore::new(config.in_flight)),
            streams: Arc::new(Semaphore::new(config.streams)),
            reading: Reading::new(config.pace(), config.reading_bytes, trusted.clone()),
            trusted,
            config,
            plan: plan.clone(),
        });
        let router = Router::new()
            .fallback(edge::handle)
            .with_state(edge.clone())
            .layer(CatchPanicLayer::custom(move |panic: Box<dyn Any + Send>| {
                panicked(&plan, &*panic)
            }))
            .layer(CompressionLayer::new().compress_when(compressible));
        Ok(Gateway { router, edge })
    }

    /// The gateway as one service. A [`Peer`] extension of a request holds the address of its
    /// connection.
    pub fn router(&self) -> Router {
        self.router.clone()
    }
}

fn panicked(plan: &Plan, panic: &(dyn Any + Send)) -> Response {
    let text = panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    tracing::error!(panic = text.unwrap_or("?"), "request panicked");
    let http = StatusCode::INTERNAL_SERVER_ERROR;
    let failure = failure::Failure::new(http, Code::Internal, "INTERNAL", "internal error");
    failure.into_response(plan, false, false)
}

/// Excludes streams, which compression would buffer, and files, because most are compressed
/// already.
fn compressible(_: StatusCode, _: Version, headers: &HeaderMap, _: &http::Extensions) -> bool {
    let get = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let media = get(http::header::CONTENT_TYPE).unwrap_or_default();
    let short = get(http::header::CONTENT_LENGTH)
        .and_then(|length| length.parse::<u64>().ok())
        .is_some_and(|length| length < 512);
    !short
        && (media == "application/json"
            || media.starts_with("text/html")
            || media == "application/problem+json")
}
