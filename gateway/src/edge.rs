//! Handles one HTTP request: checks, routing, call, response headers.

use std::net::IpAddr;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use bytes::Bytes;
use futures_util::FutureExt as _;
use http::header::{
    ALLOW, AUTHORIZATION, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_SECURITY_POLICY, REFERRER_POLICY,
    STRICT_TRANSPORT_SECURITY, VARY, X_CONTENT_TYPE_OPTIONS,
};
use http::request::Parts;
use http::uri::PathAndQuery;
use http::{HeaderValue, Method, StatusCode};
use http_body::Body as _;
use rpc::{Reading, Trusted};
use tokio::sync::Semaphore;
use transcode::{Found, Plan};

use crate::call::Call;
use crate::config::Config;
use crate::failure::Failure;
use crate::headers::{self, REQUEST_ID};
use crate::pages::Pages;
use crate::record::{Meters, Record};
use crate::{Upstream, accept, ccs, cors, etag};

/// The remote address of a request's connection.
#[derive(Clone, Copy, Debug)]
pub struct Peer(pub IpAddr);

/// The methods of all routes.
const EVERY_METHOD: &str = "DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT";

/// The state shared by all requests.
pub struct Edge {
    pub config: Config,
    pub plan: Arc<Plan>,
    pub upstream: Upstream,
    pub pages: Pages,
    pub unary: Arc<Semaphore>,
    pub streams: Arc<Semaphore>,
    pub reading: Reading,
    /// Addresses whose number of connections is not limited.
    pub trusted: Trusted,
    pub meters: Arc<Meters>,
    /// The templates and RPC paths of the routes.
    pub targets: Vec<(Arc<str>, PathAndQuery)>,
}

pub async fn handle(State(edge): State<Arc<Edge>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let mut context = rpc::Context::incoming(&parts.headers);
    // HTTP clients cannot set a deadline.
    context.deadline = None;
    let mut record = Record::new(&edge.meters, &parts.method, &mut context);
    let response = edge.respond(&parts, body, &context, &mut record);
    let result = context.clone().scope(response).await;
    let mut response = result.unwrap_or_else(|failure| {
        if ccs::owns(parts.uri.path()) {
            return ccs::failed(&edge, failure);
        }
        let problem = accept::wants_problem(&parts.headers);
        failure.into_response(&edge.plan, problem, parts.headers.contains_key(AUTHORIZATION))
    });
    edge.finish(&parts, &context, &mut response);
    record.finish(response.status());
    response
}

impl Edge {
    async fn respond(
        self: &Arc<Self>,
        parts: &Parts,
        body: Body,
        context: &rpc::Context,
        record: &mut Record,
    ) -> Result<Response, Failure> {
        self.check_head(parts)?;
        let path = parts.uri.path();
        if parts.method == Method::OPTIONS {
            // `*` means the server as a whole (RFC 9110, section 9.3.7).
            let allow = if path == "*" { EVERY_METHOD.to_owned() } else { self.allow(path)? };
            record.template = "OPTIONS".into();
            return Ok(cors::options(&parts.headers, &allow, &self.config.cors_origins));
        }
        if self.pages.has(path) {
            record.template = path.into();
            return self.page(parts, path);
        }
        if ccs::owns(path) {
            if let Some(template) = ccs::template(path) {
                record.template = template.into();
            }
            // Boxed, so that the future of other requests is small.
            return Box::pin(ccs::respond(self, parts, context)).await;
        }
        let (route, segments) = self.find(&parts.method, path)?;
        record.template = self.targets[route].0.clone();
        let address = parts.extensions.get::<Peer>().map(|peer| peer.0);
        let trusted = &self.config.trusted_proxies;
        let client = headers::client_address(address, &parts.headers, trusted);
        let metadata = headers::request_metadata(&parts.headers, context, client)?;
        let call = Call { edge: self.clone(), route, parts, segments, metadata, client };
        call.run(body).await
    }

    /// Checks what the HTTP library does not check, or not exactly.
    fn check_head(&self, parts: &Parts) -> Result<(), Failure> {
        headers::check_host(parts)?;
        check_target(parts)?;
        headers::check_transfer_encoding(parts)?;
        let target = parts.uri.path_and_query().map_or(0, |target| target.as_str().len());
        if target > self.config.uri_bytes {
            return Err(self.uri_too_long());
        }
        let header = |(name, value): (&http::HeaderName, &HeaderValue)| {
            name.as_str().len() + value.len() + 4
        };
        if parts.headers.iter().map(header).sum::<usize>() > self.config.header_bytes {
            return Err(self.headers_too_large());
        }
        Ok(())
    }

    fn uri_too_long(&self) -> Failure {
        let message = format!("the URI is longer than {} bytes", self.config.uri_bytes);
        Failure::client(StatusCode::URI_TOO_LONG, "URI_TOO_LONG", message)
    }

    fn headers_too_large(&self) -> Failure {
        let http = StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE;
        let message = format!("the headers are larger than {} bytes", self.config.header_bytes);
        Failure::client(http, "HEADERS_TOO_LARGE", message)
    }

    /// The response to a request that the HTTP library could not read, as bytes of HTTP/1.1. `None`
    /// for a status that the library does not use.
    pub fn answer_for_library(&self, status: StatusCode) -> Option<Bytes> {
        let failure = match status {
            StatusCode::BAD_REQUEST => {
                let message = "the request line or a header is malformed";
                Failure::client(status, "REQUEST_MALFORMED", message)
            }
            StatusCode::URI_TOO_LONG => self.uri_too_long(),
            StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE => self.headers_too_large(),
            _ => return None,
        };
        let (parts, ()) = http::Request::new(()).into_parts();
        let mut context = rpc::Context::incoming(&parts.headers);
        let record = Record::new(&self.meters, &Method::CONNECT, &mut context);
        let mut response = failure.into_response(&self.plan, false, false);
        self.finish(&parts, &context, &mut response);
        record.finish(status);
        let (parts, body) = response.into_parts();
        let body = axum::body::to_bytes(body, usize::MAX).now_or_never()?.ok()?;
        let mut out = format!("HTTP/1.1 {status}\r\nconnection: close\r\n").into_bytes();
        for (name, value) in &parts.headers {
            out.extend([name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"].concat());
        }
        out.extend_from_slice(format!("content-length: {}\r\n\r\n", body.len()).as_bytes());
        out.extend_from_slice(&body);
        Some(out.into())
    }

    fn find<'u>(&self, method: &Method, path: &'u str) -> Result<(usize, Vec<&'u str>), Failure> {
        let mut found = self.plan.find(method.as_str(), path);
        if method == Method::HEAD && !matches!(found, Found::Route(..)) {
            found = self.plan.find("GET", path);
        }
        match found {
            Found::Route(route, segments) => Ok((route, segments)),
            Found::OtherMethods(_) => Err(Failure::method_not_allowed(&self.allow(path)?)),
            Found::Nothing => Err(Failure::not_found()),
            Found::Malformed => Err(malformed_path()),
        }
    }

    fn allow(&self, path: &str) -> Result<String, Failure> {
        if self.pages.has(path) {
            return Ok("GET, HEAD, OPTIONS".into());
        }
        if ccs::template(path).is_some() {
            return Ok(ccs::METHODS.into());
        }
        // No route has an empty method, so this lists the methods of all matching routes.
        let mut methods: Vec<String> = match self.plan.find("", path) {
            Found::OtherMethods(methods) => methods.into_iter().collect(),
            Found::Route(..) => ["DELETE", "GET", "PATCH", "POST", "PUT"].map(str::to_owned).into(),
            Found::Nothing => return Err(Failure::not_found()),
            Found::Malformed => return Err(malformed_path()),
        };
        if methods.iter().any(|method| method == "GET") {
            methods.push("HEAD".into());
        }
        methods.push("OPTIONS".into());
        methods.sort();
        methods.dedup();
        Ok(methods.join(", "))
    }

    fn page(&self, parts: &Parts, path: &str) -> Result<Response, Failure> {
        if parts.method != Method::GET && parts.method != Method::HEAD {
            return Err(Failure::method_not_allowed("GET, HEAD, OPTIONS"));
        }
        let mut page = self.pages.page(path, &parts.headers).ok_or_else(Failure::not_found)?;
        if let Some(tag) = page.headers().get(http::header::ETAG)
            && etag::not_modified(&parts.headers, tag)?
        {
            *page.status_mut() = StatusCode::NOT_MODIFIED;
            *page.body_mut() = Body::empty();
        }
        Ok(page)
    }

    /// Sets the headers of every response.
    fn finish(&self, parts: &Parts, context: &rpc::Context, response: &mut Response) {
        let status = response.status();
        if parts.method == Method::HEAD {
            let length = response.body().size_hint().exact();
            *response.body_mut() = Body::empty();
            if let Some(length) = length
                && status != StatusCode::NOT_MODIFIED
            {
                response.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(length));
            }
        }
        let headers = response.headers_mut();
        if let Ok(id) = HeaderValue::from_str(&context.request_id) {
            headers.insert(REQUEST_ID, id);
        }
        headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
        let policy = "default-src 'none'; frame-ancestors 'none'; sandbox";
        headers.entry(CONTENT_SECURITY_POLICY).or_insert(HeaderValue::from_static(policy));
        headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
        headers.append(VARY, HeaderValue::from_static("accept, authorization"));
        if self.config.hsts {
            let value = HeaderValue::from_static("max-age=31536000; includeSubDomains");
            headers.insert(STRICT_TRANSPORT_SECURITY, value);
        }
        let origins = &self.config.cors_origins;
        cors::expose(cors::allowed(&parts.headers, origins), origins, headers);
    }
}

/// Refuses targets that no route can have (RFC 9112, section 3.2). An absolute target must have a scheme of HTTP.
fn check_target(parts: &Parts) -> Result<(), Failure> {
    if parts.method == Method::CONNECT {
        let message = "CONNECT is not supported: this server is not a proxy";
        let http = StatusCode::METHOD_NOT_ALLOWED;
        let mut failure = Failure::client(http, "METHOD_NOT_ALLOWED", message);
        failure.set(ALLOW, EVERY_METHOD);
        return Err(failure);
    }
    let invalid = |message: String| {
        Err(Failure::client(StatusCode::BAD_REQUEST, "REQUEST_TARGET_INVALID", message))
    };
    match (parts.uri.scheme_str(), parts.uri.path()) {
        (Some(scheme), _) if !["http", "https"].contains(&scheme) => {
            invalid(format!("the scheme of the request target must be http or https, not {scheme}"))
        }
        (_, "*") if parts.method == Method::OPTIONS => Ok(()),
        (_, "*") => invalid(format!(
            "the request target * is for OPTIONS only, not for {}; use a path such as /v1/problems",
            parts.method
        )),
        (_, path) if !path.starts_with('/') => {
            invalid("the request target must be a path such as /v1/problems".to_owned())
        }
        _ => Ok(()),
    }
}

fn malformed_path() -> Failure {
    let message = "the path must be percent-encoded UTF-8";
    Failure::client(StatusCode::BAD_REQUEST, "PATH_MALFORMED", message)
}
