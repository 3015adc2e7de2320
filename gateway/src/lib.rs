//! The REST edge: HTTP/JSON routes from the `google.api.http` annotations of the protos.
//!
//! Owns what HTTP adds to an RPC: negotiation, streams as NDJSON, SSE or a JSON array, uploads and
//! downloads, entity tags, status codes, CORS, compression, limits. The routes, and what a message is
//! in JSON, are `transcode`'s; an RPC that is added to a proto needs no line here.
//!
//! Must not know: domains, tokens (a credential passes through unread), storage.

mod address;
mod config;
mod errors;
mod forward;
mod negotiate;
mod observe;
mod pages;
mod reply;
mod serve;
mod streams;
mod unary;
mod upload;
mod upstream;

use std::net::SocketAddr;
use std::sync::Arc;

use access::EdgeChannel;
use axum::Router;
use axum::body::Body;
use axum::extract::{ConnectInfo, Request, State};
use axum::response::Response;
use axum::routing::get;
use http::{HeaderValue, Method, StatusCode, header};
use rpc::status;
use tokio::sync::Semaphore;
use tonic::Code;
use tower_http::compression::CompressionLayer;
use tower_http::compression::predicate::{NotForContentType, Predicate, SizeAbove};
use tower_http::decompression::RequestDecompressionLayer;
use transcode::{Found, Plan};

pub use address::ProxyError;
pub use config::Config;
pub use serve::serve;

use crate::address::Proxies;
use crate::errors::Failure;
use crate::observe::Observed;

/// The edge of one installation. Cheap to clone.
#[derive(Clone)]
pub struct Gateway(Arc<Edge>);

/// What every request needs.
struct Edge {
    config: Config,
    plan: Plan,
    channel: EdgeChannel,
    proxies: Proxies,
    in_flight: Arc<Semaphore>,
    openapi: bytes::Bytes,
}

impl Gateway {
    /// An edge that answers the bindings of `plan` by calls over `channel`.
    pub fn open(config: Config, plan: Plan, channel: EdgeChannel) -> Result<Self, ProxyError> {
        let proxies = Proxies::parse(&config.trusted_proxies)?;
        let in_flight = Arc::new(Semaphore::new(config.in_flight));
        let openapi = transcode::openapi(&plan).to_string().into();
        Ok(Self(Arc::new(Edge { config, plan, channel, proxies, in_flight, openapi })))
    }

    /// Everything the edge answers, as one service.
    pub fn router(&self) -> Router {
        // Events have to leave at once, and what is compressed already does not get smaller.
        let worth_it = SizeAbove::new(512)
            .and(NotForContentType::GRPC)
            .and(NotForContentType::IMAGES)
            .and(NotForContentType::SSE)
            .and(NotForContentType::const_new("application/x-ndjson"))
            .and(NotForContentType::const_new("application/zip"));
        Router::new()
            .route("/openapi.json", get(pages::openapi))
            .route("/docs", get(pages::docs))
            .fallback(answer)
            .layer(RequestDecompressionLayer::new())
            .layer(CompressionLayer::new().compress_when(worth_it))
            .layer(self.0.config.cors())
            .layer(axum::middleware::from_fn(reply::finish))
            .with_state(self.0.clone())
    }
}

/// One request, from arrival to the head of its answer.
async fn answer(State(edge): State<Arc<Edge>>, request: Request) -> Response {
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|info| info.0.ip());
    let mut context = rpc::Context::incoming(request.headers());
    forward::clamp_deadline(&edge.config, request.headers(), &mut context);
    let mut observed = Observed::begin(request.method(), context.span("http"));
    let request_id = context.request_id.clone();
    let wants_problem = negotiate::wants_problem(request.headers());
    let head = request.method() == Method::HEAD;

    let span = observed.span();
    let work = route(&edge, request, peer, &mut observed);
    let outcome = context.scope(tracing::Instrument::instrument(work, span)).await;
    let mut response = match outcome {
        Ok(response) => response,
        Err(failure) => failure.into_response(&edge.plan, wants_problem),
    };
    if let Ok(value) = HeaderValue::from_str(&request_id) {
        response.headers_mut().insert(rpc::metadata::REQUEST_ID, value);
    }
    if head {
        *response.body_mut() = Body::empty();
    }
    observed.end(response)
}

/// Finds the binding and answers by its kind.
async fn route(
    edge: &Arc<Edge>,
    request: Request,
    peer: Option<std::net::IpAddr>,
    observed: &mut Observed,
) -> Result<Response, Failure> {
    let Ok(_permit) = edge.in_flight.clone().try_acquire_owned() else {
        return Err(Failure::overloaded());
    };
    let uri = request.uri().clone();
    let whole = uri.path_and_query().map_or("/", |text| text.as_str());
    if whole.len() > edge.config.uri_limit_bytes {
        return Err(Failure::http(
            StatusCode::URI_TOO_LONG,
            "URI_TOO_LONG",
            "the address is too long",
        ));
    }
    let method = match request.method() {
        &Method::HEAD => Method::GET,
        other => other.clone(),
    };
    let (index, segments) = match edge.plan.find(method.as_str(), uri.path()) {
        Found::Route(index, segments) => (index, segments),
        Found::OtherMethods(methods) => return errors::other_methods(&method, methods),
        Found::Malformed => {
            let text = "the path is not percent-encoded UTF-8";
            return Err(status::error(Code::InvalidArgument, "MALFORMED_PATH", text).into());
        }
        Found::Nothing => {
            let text = format!("there is nothing at {}", uri.path());
            return Err(status::not_found("ROUTE_NOT_FOUND", text).into());
        }
    };
    let route = edge.plan.route(index);
    observed.route(route);
    let forwarded = forward::metadata(edge, request.headers(), peer);
    let call =
        unary::Call { edge, route, segments: &segments, query: uri.query().unwrap_or_default() };
    if route.server_streaming {
        streams::answer(call, request, forwarded).await
    } else if route.client_streaming {
        upload::answer(call, request, forwarded).await
    } else {
        unary::answer(call, request, forwarded).await
    }
}

/// The media type of JSON.
const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// Puts a `content-type` on a response.
fn with_type(body: impl Into<Body>, content_type: HeaderValue) -> Response {
    let mut response = Response::new(body.into());
    response.headers_mut().insert(header::CONTENT_TYPE, content_type);
    response
}
