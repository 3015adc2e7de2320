//! Headers of answers: what passes from the services, and what every answer carries.

use axum::extract::Request;
use axum::middleware::Next;
use axum::response::Response;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use tonic::metadata::MetadataMap;

/// Metadata of answers that become headers, trailers of unary calls included.
const PASSED: [&str; 7] = [
    "cache-control",
    "content-disposition",
    "content-language",
    "location",
    "ratelimit",
    "ratelimit-policy",
    "retry-after",
];

/// Copies what may pass.
pub(crate) fn pass_headers(metadata: &MetadataMap, headers: &mut HeaderMap) {
    for name in PASSED {
        if let Some(value) = metadata.get(name)
            && let Ok(value) = HeaderValue::from_bytes(value.as_encoded_bytes())
        {
            headers.insert(HeaderName::from_static(name), value);
        }
    }
}

/// The media type of a download; one that is none becomes plain bytes.
pub(crate) fn media_type(text: &str) -> HeaderValue {
    let fallback = HeaderValue::from_static("application/octet-stream");
    if text.is_empty() { fallback } else { HeaderValue::from_str(text).unwrap_or(fallback) }
}

/// What every answer carries: nothing here is a page that may run scripts, be framed, or be sniffed,
/// and answers depend on who asks.
pub(crate) async fn finish(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    let always =
        [(header::X_CONTENT_TYPE_OPTIONS, "nosniff"), (header::REFERRER_POLICY, "no-referrer")];
    for (name, value) in always {
        headers.insert(name, HeaderValue::from_static(value));
    }
    let defaults = [
        (header::CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'; sandbox"),
        (header::CACHE_CONTROL, "no-store"),
    ];
    for (name, value) in defaults {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
    headers.append(header::VARY, HeaderValue::from_static("accept, authorization"));
    response
}
