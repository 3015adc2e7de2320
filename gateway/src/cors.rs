//! CORS and OPTIONS.

use axum::body::Body;
use axum::response::Response;
use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_METHOD, ALLOW,
    ORIGIN, VARY,
};
use http::{HeaderMap, HeaderValue, StatusCode};

const REQUEST_HEADERS: &str = "accept, accept-language, authorization, content-encoding, \
    content-type, grpc-timeout, idempotency-key, if-match, if-none-match, last-event-id, \
    traceparent, x-request-id";
const RESPONSE_HEADERS: &str = "content-disposition, etag, retry-after, ratelimit-limit, \
    ratelimit-policy, ratelimit-remaining, ratelimit-reset, www-authenticate, x-request-id";

/// The response to OPTIONS: the allowed methods and, for a preflight of an allowed origin, the CORS
/// headers.
pub fn options(request: &HeaderMap, allow: &str, origins: &[String]) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    let headers = response.headers_mut();
    let Ok(methods) = HeaderValue::from_str(allow) else { return response };
    headers.insert(ALLOW, methods.clone());
    let preflight = request.contains_key(ACCESS_CONTROL_REQUEST_METHOD);
    if preflight && allowed(request, origins).is_some() {
        headers.insert(ACCESS_CONTROL_ALLOW_METHODS, methods);
        let names = HeaderValue::from_static(REQUEST_HEADERS);
        headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, names);
        headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("600"));
    }
    response
}

/// Lets an allowed origin read the response. Never allows credentials: tokens are sent in
/// `Authorization`, and there are no cookies.
pub fn expose(origin: Option<HeaderValue>, origins: &[String], headers: &mut HeaderMap) {
    if origins.is_empty() {
        return;
    }
    headers.append(VARY, HeaderValue::from_static("origin"));
    if let Some(origin) = origin {
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        let names = HeaderValue::from_static(RESPONSE_HEADERS);
        headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, names);
    }
}

pub fn allowed(request: &HeaderMap, origins: &[String]) -> Option<HeaderValue> {
    let origin = request.get(ORIGIN)?;
    let text = origin.to_str().ok()?;
    let matches = |allowed: &String| allowed == "*" || allowed.eq_ignore_ascii_case(text);
    origins.iter().any(matches).then(|| origin.clone())
}
