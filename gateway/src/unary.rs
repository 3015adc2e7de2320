//! One JSON body in, one out.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use rpc::status;
use transcode::{Parts, Route};

use crate::errors::Failure;
use crate::{Edge, JSON, negotiate, reply, upstream, with_type};

/// A request whose binding is known.
#[derive(Clone, Copy)]
pub(crate) struct Call<'c> {
    pub edge: &'c Arc<Edge>,
    pub route: &'c Route,
    pub segments: &'c [&'c str],
    pub query: &'c str,
}

impl Call<'_> {
    /// The encoded request message, with the body and what the headers stand for.
    pub(crate) fn bind(&self, headers: &HeaderMap, body: &[u8]) -> Result<Bytes, Failure> {
        let text = |name: &str| headers.get(name).map(|value| header_text(name, value)).transpose();
        let idempotency_key = text("idempotency-key")?;
        let if_match = text("if-match")?.map(entity_tag);
        let last_event_id = text("last-event-id")?;
        let content_type = text("content-type")?.unwrap_or_default();
        let message = self.edge.plan.bind(
            self.route,
            &Parts {
                segments: self.segments,
                query: self.query,
                body,
                content_type,
                idempotency_key: idempotency_key.map(structured_string),
                // `If-Match: *` asks for the resource to exist, which every change does.
                etag: if_match.filter(|tag| *tag != "*"),
                last_event_id,
            },
        )?;
        Ok(message.into())
    }

    /// The body as it is read for a JSON (or small raw) request.
    pub(crate) async fn read(&self, request: Request) -> Result<(HeaderMap, Bytes), Failure> {
        let (parts, body) = request.into_parts();
        let limit = self.edge.config.body_limit_bytes;
        let announced = parts.headers.get(header::CONTENT_LENGTH).and_then(|v| v.to_str().ok());
        if announced.and_then(|text| text.parse::<u64>().ok()).is_some_and(|n| n > limit as u64) {
            return Err(too_large(limit as u64));
        }
        let body = collect(body, limit).await?;
        let takes_json = self.route.upload.is_none();
        if takes_json && !body.is_empty() {
            negotiate::is_json(&parts.headers)?;
        }
        Ok((parts.headers, body))
    }
}

/// Answers a unary RPC.
pub(crate) async fn answer(
    call: Call<'_>,
    request: Request,
    metadata: HeaderMap,
) -> Result<Response, Failure> {
    if call.route.download.is_none() {
        negotiate::accepts_json(request.headers())?;
    }
    let reads = matches!(*request.method(), Method::GET | Method::HEAD);
    let (headers, body) = call.read(request).await?;
    let message = call.bind(&headers, &body)?;
    let answer =
        upstream::unary(&call.edge.channel, &call.route.rpc_path, metadata, message).await?;
    let (metadata, message, _) = answer.into_parts();
    let mut response = if call.route.download.is_some() {
        download(call, &message)?
    } else {
        json(call, &message)?
    };
    if reads && let Some(etag) = call.edge.plan.etag(call.route, &message) {
        tag(&mut response, etag, &headers);
    }
    reply::pass_headers(&metadata, response.headers_mut());
    Ok(response)
}

/// A message as a JSON response.
pub(crate) fn json(call: Call<'_>, message: &[u8]) -> Result<Response, Failure> {
    let mut out = Vec::with_capacity(message.len() * 2 + 64);
    call.edge.plan.reply(call.route, message, &mut out).map_err(status::internal)?;
    Ok(with_type(out, JSON))
}

fn download(call: Call<'_>, message: &[u8]) -> Result<Response, Failure> {
    let (content_type, data) =
        call.edge.plan.download(call.route, message).map_err(status::internal)?;
    Ok(with_type(data.to_vec(), reply::media_type(content_type)))
}

/// Sets the entity tag, and answers 304 when the client has this version.
fn tag(response: &mut Response, etag: &str, headers: &HeaderMap) {
    let Ok(value) = HeaderValue::from_str(&format!("\"{etag}\"")) else { return };
    let known = headers
        .get_all(header::IF_NONE_MATCH)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .any(|candidate| candidate == "*" || entity_tag(candidate) == etag);
    if known {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        *response.body_mut() = Body::empty();
        response.headers_mut().remove(header::CONTENT_TYPE);
    }
    response.headers_mut().insert(header::ETAG, value);
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
}

/// The opaque part of an entity tag; weak tags compare as strong ones do here.
fn entity_tag(text: &str) -> &str {
    structured_string(text.strip_prefix("W/").unwrap_or(text))
}

/// `Idempotency-Key` is a structured string (RFC 9651), in quotes; many clients leave them out.
fn structured_string(text: &str) -> &str {
    text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(text)
}

fn header_text<'h>(name: &str, value: &'h HeaderValue) -> Result<&'h str, Failure> {
    let text = format!("the header {name} holds other characters than visible ASCII");
    value
        .to_str()
        .map_err(|_| status::error(tonic::Code::InvalidArgument, "MALFORMED_HEADER", text).into())
}

async fn collect(body: Body, limit: usize) -> Result<Bytes, Failure> {
    match Limited::new(body, limit).collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(too_large(limit as u64)),
        Err(_) => Err(unreadable()),
    }
}

/// 413.
pub(crate) fn too_large(limit: u64) -> Failure {
    let text = format!("the body is larger than {limit} bytes");
    Failure::http(StatusCode::PAYLOAD_TOO_LARGE, "BODY_TOO_LARGE", text)
}

/// The body broke off, or its compression is broken.
pub(crate) fn unreadable() -> Failure {
    let text = "the body cannot be read to its end";
    status::error(tonic::Code::InvalidArgument, "MALFORMED_BODY", text).into()
}
