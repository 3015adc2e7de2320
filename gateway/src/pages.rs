//! The gateway's own pages: the OpenAPI document and the page that renders it.

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use http::HeaderValue;
use http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG};
use transcode::Plan;

#[derive(Debug)]
pub struct Pages {
    openapi: Bytes,
    etag: HeaderValue,
}

const DOCS: &str = include_str!("docs.html");
const DOCS_POLICY: &str = "default-src 'none'; connect-src 'self'; style-src 'unsafe-inline'; \
    script-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'";

impl Pages {
    pub fn new(plan: &Plan) -> Pages {
        let openapi = transcode::openapi(plan).to_string();
        // FNV-1a: collision resistance is not needed, the tag only detects changes.
        let hash = openapi.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        let etag = HeaderValue::from_str(&format!("\"{hash:016x}\""));
        let etag = etag.unwrap_or(HeaderValue::from_static("\"0\""));
        Pages { openapi: openapi.into(), etag }
    }

    /// Whether the path is one of these pages and not a route of a service.
    pub fn has(path: &str) -> bool {
        matches!(path, "/openapi.json" | "/docs")
    }

    pub fn page(&self, path: &str) -> Option<Response> {
        let (body, content_type) = match path {
            "/openapi.json" => (Body::from(self.openapi.clone()), "application/json"),
            "/docs" => (Body::from(DOCS), "text/html; charset=utf-8"),
            _ => return None,
        };
        let mut response = Response::new(body);
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("public, max-age=300"));
        if path == "/docs" {
            let policy = HeaderValue::from_static(DOCS_POLICY);
            headers.insert(CONTENT_SECURITY_POLICY, policy);
        } else {
            headers.insert(ETAG, self.etag.clone());
        }
        Some(response)
    }
}
