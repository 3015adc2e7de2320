//! What can be configured about the edge.

use std::time::Duration;

use http::{HeaderName, HeaderValue, Method};
use serde::{Deserialize, Serialize};
use tower_http::cors::{AllowOrigin, CorsLayer};

/// The REST edge.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Requests worked on at once; one more is answered 503.
    pub in_flight: usize,
    /// Longest address with its query, in bytes; more is 414.
    pub uri_limit_bytes: usize,
    /// Largest JSON body, after decompression, in bytes; more is 413.
    pub body_limit_bytes: usize,
    /// Largest uploaded file, in bytes; more is 413.
    pub upload_limit_bytes: u64,
    /// Deadline of a unary request that asks for none, in seconds.
    pub deadline_seconds: u64,
    /// The longest deadline a unary request may ask for, in seconds.
    pub max_deadline_seconds: u64,
    /// The longest a stream or an upload may last, in seconds.
    pub max_stream_seconds: u64,
    /// Silence after which a stream shows a sign of life, in seconds.
    pub heartbeat_seconds: u64,
    /// Origins of pages that may call from a browser; `*` is any. No cookies are involved.
    pub cors_origins: Vec<String>,
    /// Addresses or networks (`10.0.0.0/8`) of proxies whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<String>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            in_flight: 1024,
            uri_limit_bytes: 8 * 1024,
            body_limit_bytes: 2 * 1024 * 1024,
            upload_limit_bytes: 1024 * 1024 * 1024,
            deadline_seconds: 30,
            max_deadline_seconds: 120,
            max_stream_seconds: 4 * 3600,
            heartbeat_seconds: 15,
            cors_origins: vec!["*".into()],
            trusted_proxies: Vec::new(),
        }
    }
}

impl Config {
    /// The sign of life of streams.
    pub(crate) fn heartbeat(&self) -> Duration {
        Duration::from_secs(self.heartbeat_seconds.max(1))
    }

    pub(crate) fn cors(&self) -> CorsLayer {
        let origins = if self.cors_origins.iter().any(|origin| origin == "*") {
            AllowOrigin::any()
        } else {
            let valid = self.cors_origins.iter().filter_map(|o| HeaderValue::from_str(o).ok());
            AllowOrigin::list(valid)
        };
        let sent = [
            "accept",
            "accept-language",
            "authorization",
            "content-type",
            "grpc-timeout",
            "idempotency-key",
            "if-match",
            "if-none-match",
            "last-event-id",
            "traceparent",
            "x-request-id",
        ];
        let shown =
            ["etag", "location", "ratelimit", "ratelimit-policy", "retry-after", "x-request-id"];
        CorsLayer::new()
            .allow_origin(origins)
            .allow_methods([Method::GET, Method::POST, Method::PATCH, Method::PUT, Method::DELETE])
            .allow_headers(sent.map(HeaderName::from_static))
            .expose_headers(shown.map(HeaderName::from_static))
            .max_age(Duration::from_secs(3600))
    }
}
