//! What of a request's headers reaches the services: an allow-list, the client's address, a deadline.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use http::{HeaderMap, HeaderValue, header};
use rpc::Context;
use rpc::metadata::CLIENT_ADDRESS;

use crate::Edge;
use crate::config::Config;

/// Headers that pass. Everything else stays outside; what identifies the client is set here only.
const ALLOWED: [header::HeaderName; 3] =
    [header::AUTHORIZATION, header::ACCEPT_LANGUAGE, header::USER_AGENT];

/// The metadata of the call.
pub(crate) fn metadata(edge: &Edge, headers: &HeaderMap, peer: Option<IpAddr>) -> HeaderMap {
    let mut out = HeaderMap::new();
    for name in ALLOWED {
        for value in headers.get_all(&name) {
            out.append(name.clone(), value.clone());
        }
    }
    if let Some(peer) = peer {
        let client = edge.proxies.client(peer, headers).to_string();
        if let Ok(value) = HeaderValue::from_str(&client) {
            out.insert(CLIENT_ADDRESS, value);
        }
    }
    out
}

/// Bounds the time a request may take: what it asks for (`Grpc-Timeout`, `Connect-Timeout-Ms`), at
/// most what the configuration allows. Streams get theirs by [`stream_context`].
pub(crate) fn clamp_deadline(config: &Config, headers: &HeaderMap, context: &mut Context) {
    let connect = headers.get("connect-timeout-ms").and_then(|value| value.to_str().ok());
    // The Connect protocol allows at most ten digits.
    let connect = connect.filter(|text| text.len() <= 10).and_then(|text| text.parse().ok());
    let asked = context
        .deadline
        .map(|deadline| deadline.saturating_duration_since(Instant::now()))
        .or(connect.map(Duration::from_millis));
    let longest = Duration::from_secs(config.max_deadline_seconds);
    let limit = asked.unwrap_or(Duration::from_secs(config.deadline_seconds)).min(longest);
    context.deadline = Some(Instant::now() + limit);
}

/// The context of a stream or upload, which may take longer than a unary call, unless the client
/// asked for less.
pub(crate) fn stream_context(config: &Config, headers: &HeaderMap) -> Context {
    let asked = headers.contains_key("grpc-timeout") || headers.contains_key("connect-timeout-ms");
    let mut context = rpc::current().unwrap_or_else(Context::root);
    if !asked {
        context.deadline = Some(Instant::now() + Duration::from_secs(config.max_stream_seconds));
    }
    context
}
