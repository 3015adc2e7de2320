//! How a request fails: one form for what the edge refuses and what a service answers.

use std::error::Error as _;

use axum::body::Body;
use axum::response::Response;
use http::header::{ALLOW, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderValue, StatusCode};
use tonic::{Code, Status};
use transcode::{Fault, Plan};

/// A failed request.
#[derive(Debug)]
pub struct Failure {
    http: StatusCode,
    status: Status,
    headers: HeaderMap,
}

impl Failure {
    /// Something the edge refuses by itself.
    pub fn new(http: StatusCode, code: Code, reason: &str, message: impl Into<String>) -> Self {
        let status = rpc::status::error(code, reason, message);
        Failure { http, status, headers: HeaderMap::new() }
    }

    /// A client's mistake that has its own HTTP status.
    pub fn client(http: StatusCode, reason: &str, message: impl Into<String>) -> Self {
        Failure::new(http, Code::InvalidArgument, reason, message)
    }

    /// There is no such path.
    pub fn not_found() -> Self {
        let message = "there is nothing at this path; GET /openapi.json lists what there is";
        Failure::new(StatusCode::NOT_FOUND, Code::NotFound, "ROUTE_NOT_FOUND", message)
    }

    /// The path answers other methods only.
    pub fn method_not_allowed(allow: &str) -> Self {
        let message = format!("this path answers {allow} only");
        let http = StatusCode::METHOD_NOT_ALLOWED;
        let mut failure = Failure::client(http, "METHOD_NOT_ALLOWED", message);
        failure.set(ALLOW, allow);
        failure
    }

    /// The body is larger than the route takes.
    pub fn too_large(limit: u64) -> Self {
        let message = format!("the body is larger than {limit} bytes");
        Failure::client(StatusCode::PAYLOAD_TOO_LARGE, "BODY_TOO_LARGE", message)
    }

    /// The client was too slow or went away in the middle of its body.
    pub fn slow(message: &str) -> Self {
        Failure::client(StatusCode::REQUEST_TIMEOUT, "BODY_TOO_SLOW", message)
    }

    /// More requests than the edge takes on.
    pub fn overloaded() -> Self {
        let after = std::time::Duration::from_secs(1);
        rpc::status::retry(Code::Unavailable, "OVERLOADED", "too many requests at a time", after)
            .into()
    }

    /// Adds a header.
    pub fn set(&mut self, name: http::HeaderName, value: &str) {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.headers.insert(name, value);
        }
    }

    /// Adds what a service sent along.
    pub fn with_headers(mut self, headers: HeaderMap) -> Self {
        self.headers.extend(headers);
        self
    }

    /// The JSON of the error, as it also ends a stream.
    pub fn json(&self, plan: &Plan) -> serde_json::Value {
        let Failure { status, .. } = self;
        transcode::status_json(plan, status.code().into(), status.message(), status.details())
    }

    /// The response; `problem` asks for RFC 9457. `presented` tells whether there was a credential.
    pub fn into_response(self, plan: &Plan, problem: bool, presented: bool) -> Response {
        let (code, message) = (self.status.code().into(), self.status.message());
        let (json, content_type) = if problem {
            let http = self.http.as_u16();
            let json = transcode::problem_json(plan, http, code, message, self.status.details());
            (json, "application/problem+json")
        } else {
            (self.json(plan), "application/json")
        };
        let mut response = Response::new(Body::from(json.to_string()));
        *response.status_mut() = self.http;
        let headers = response.headers_mut();
        headers.extend(self.headers);
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        if self.http == StatusCode::UNAUTHORIZED {
            let value = if presented { "Bearer error=\"invalid_token\"" } else { "Bearer" };
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static(value));
        }
        if let Some(after) = rpc::status::retry_after(&self.status) {
            let seconds = after.as_secs() + u64::from(after.subsec_nanos() > 0);
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds.max(1)));
        }
        response
    }
}

impl From<Fault> for Failure {
    fn from(fault: Fault) -> Self {
        if fault.field.is_empty() {
            return Failure::client(StatusCode::BAD_REQUEST, "REQUEST_MALFORMED", fault.message);
        }
        rpc::status::invalid_argument(fault.field, fault.message).into()
    }
}

impl From<Status> for Failure {
    fn from(status: Status) -> Self {
        // A status that wraps an error came from the transport, whose text names our insides.
        let status = if status.source().is_some() {
            tracing::warn!(error = %status, "a service is not reachable");
            match status.code() {
                Code::Cancelled | Code::DeadlineExceeded => {
                    Status::deadline_exceeded("deadline exceeded")
                }
                Code::Unavailable | Code::Unknown | Code::Internal => {
                    let after = std::time::Duration::from_secs(1);
                    let text = "the service is not reachable";
                    rpc::status::retry(Code::Unavailable, "UNREACHABLE", text, after)
                }
                code => Status::new(code, "the service could not answer"),
            }
        } else {
            status
        };
        let http = match rpc::status::reason(&status).as_deref() {
            Some("ETAG_MISMATCH") if status.code() == Code::Aborted => 412,
            Some("REQUEST_ID_REUSED") => 422,
            Some("PACKAGE_TOO_LARGE") => 413,
            _ => transcode::http_status(status.code().into()),
        };
        let http = StatusCode::from_u16(http).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        Failure { http, status, headers: HeaderMap::new() }
    }
}

impl From<transcode::Unwritable> for Failure {
    fn from(error: transcode::Unwritable) -> Self {
        rpc::status::internal(error).into()
    }
}
