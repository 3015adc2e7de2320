//! The REST edge: HTTP and JSON in front of the gRPC services, by the annotations in their protos.
//!
//! Owns what is HTTP about it: methods, negotiation, limits, conditional requests, streams,
//! uploads, errors, CORS. Knows no service and no message; a new RPC needs no code here. Carries the
//! caller's own credential onwards and has no rights of its own.

mod accept;
mod body;
mod call;
mod codec;
mod config;
mod cors;
mod edge;
mod etag;
mod failure;
mod headers;
mod multipart;
mod pages;
mod serve;
mod stream;
mod upload;

use std::any::Any;
use std::sync::Arc;

use axum::Router;
use axum::response::Response;
use http::{HeaderMap, StatusCode, Version};
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

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// The way to the services, whatever it is.
pub(crate) type Upstream = BoxCloneSyncService<
    http::Request<tonic::body::Body>,
    http::Response<tonic::body::Body>,
    Unreachable,
>;

/// The transport failed. A type of its own, because futures that hold a boxed error behind `Into`
/// are not provably `Send`.
#[derive(Debug)]
pub(crate) struct Unreachable(BoxError);

impl std::fmt::Display for Unreachable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for Unreachable {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&*self.0)
    }
}

/// The edge, ready to serve. Cheap to clone.
#[derive(Clone)]
pub struct Gateway {
    router: Router,
    config: Arc<Config>,
}

impl Gateway {
    /// Puts the edge in front of the services behind `upstream`: an `rpc::Channel`, or
    /// `access::Credentials::edge_channel`, which also proves to them that the client's address is
    /// true.
    pub fn open<S>(config: Config, plan: Plan, upstream: S) -> Result<Self, ConfigError>
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
        let unreachable = |error: S::Error| Unreachable(error.into());
        let edge = Edge {
            upstream: BoxCloneSyncService::new(tower::ServiceExt::map_err(upstream, unreachable)),
            pages: Pages::new(&plan),
            unary: Arc::new(Semaphore::new(config.in_flight)),
            streams: Arc::new(Semaphore::new(config.streams)),
            config: config.clone(),
            plan: plan.clone(),
        };
        let router = Router::new()
            .fallback(edge::handle)
            .with_state(Arc::new(edge))
            .layer(CatchPanicLayer::custom(move |panic: Box<dyn Any + Send>| {
                panicked(&plan, &*panic)
            }))
            .layer(CompressionLayer::new().compress_when(compressible));
        Ok(Gateway { router, config: Arc::new(config) })
    }

    /// Everything the edge answers, as one service; a [`Peer`] extension of a request names who is
    /// at the other end of its connection.
    pub fn router(&self) -> Router {
        self.router.clone()
    }
}

/// A panic is a fault of ours: logged, and no reason to drop the connection.
fn panicked(plan: &Plan, panic: &(dyn Any + Send)) -> Response {
    let text = panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    tracing::error!(panic = text.unwrap_or("?"), "a request panicked");
    let http = StatusCode::INTERNAL_SERVER_ERROR;
    let failure = failure::Failure::new(http, Code::Internal, "INTERNAL", "internal error");
    failure.into_response(plan, false, false)
}

/// Streams are flushed message by message, which compression would undo; files are mostly
/// compressed already.
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
