//! Failed requests: one type for what the gateway refuses and for errors of services, and their
//! HTTP responses.

use std::error::Error as _;

use axum::body::Body;
use axum::response::Response;
use http::header::{ALLOW, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderValue, StatusCode};
use rpc::ReadError;
use tonic::{Code, Status};
use transcode::{Plan, RequestError, ResponseError};

#[derive(Debug, thiserror::Error)]
#[error("{status}")]
pub struct Failure {
    http: StatusCode,
    status: Status,
    headers: HeaderMap,
}

impl Failure {
    pub fn new(http: StatusCode, code: Code, reason: &str, message: impl Into<String>) -> Self {
        let status = rpc::status::error(code, reason, message);
        Failure { http, status, headers: HeaderMap::new() }
    }

    /// An INVALID_ARGUMENT with its own HTTP status.
    pub fn client(http: StatusCode, reason: &str, message: impl Into<String>) -> Self {
        Failure::new(http, Code::InvalidArgument, reason, message)
    }

    pub fn not_found() -> Self {
        let message = "no route matches this path; GET /openapi.json lists all routes";
        Failure::new(StatusCode::NOT_FOUND, Code::NotFound, "ROUTE_NOT_FOUND", message)
    }

    pub fn method_not_allowed(allow: &str) -> Self {
        let message = format!("this path supports only {allow}");
        let http = StatusCode::METHOD_NOT_ALLOWED;
        let mut failure = Failure::client(http, "METHOD_NOT_ALLOWED", message);
        failure.set(ALLOW, allow);
        failure
    }

    /// `limit` is in bytes.
    pub fn too_large(limit: u64) -> Self {
        let message = format!("the body is larger than {limit} bytes");
        Failure::client(StatusCode::PAYLOAD_TOO_LARGE, "BODY_TOO_LARGE", message)
    }

    /// The client did not send its body in time.
    pub fn timed_out(message: &str) -> Self {
        Failure::client(StatusCode::REQUEST_TIMEOUT, "BODY_TOO_SLOW", message)
    }

    pub fn overloaded() -> Self {
        let after = std::time::Duration::from_secs(1);
        rpc::status::retry(Code::Unavailable, "OVERLOADED", "too many concurrent requests", after)
            .into()
    }

    pub fn set(&mut self, name: http::HeaderName, value: &str) {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.headers.insert(name, value);
        }
    }

    pub fn with_headers(mut self, headers: HeaderMap) -> Self {
        self.headers.extend(headers);
        self
    }

    pub fn message(&self) -> &str {
        self.status.message()
    }

    pub fn code(&self) -> Code {
        self.status.code()
    }

    /// The reason of the ErrorInfo detail.
    pub fn reason(&self) -> Option<String> {
        rpc::status::reason(&self.status)
    }

    /// The error as JSON; also the last item of a failed stream.
    pub fn json(&self, plan: &Plan) -> serde_json::Value {
        let Failure { status, .. } = self;
        transcode::status_json(plan, status.code().into(), status.message(), status.details())
    }

    /// `problem` selects RFC 9457; `authenticated` means that the request had a credential.
    pub fn into_response(self, plan: &Plan, problem: bool, authenticated: bool) -> Response {
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
            let value = if authenticated { "Bearer error=\"invalid_token\"" } else { "Bearer" };
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static(value));
        }
        if let Some(after) = rpc::status::retry_after(&self.status) {
            let seconds = after.as_secs() + u64::from(after.subsec_nanos() > 0);
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds.max(1)));
        }
        response
    }
}

impl From<RequestError> for Failure {
    fn from(error: RequestError) -> Self {
        if error.field.is_empty() {
            return Failure::client(StatusCode::BAD_REQUEST, "REQUEST_MALFORMED", error.message);
        }
        rpc::status::invalid_argument(error.field, error.message).into()
    }
}

impl From<ReadError> for Failure {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::TooSlow => Failure::timed_out("the body did not arrive in time"),
            full @ ReadError::Full(_) => full.status().into(),
        }
    }
}

impl From<Status> for Failure {
    fn from(status: Status) -> Self {
        // A status with a source comes from the transport: its text has internal addresses.
        let status = if status.source().is_some() {
            tracing::warn!(error = %status, "service unreachable");
            match status.code() {
                Code::Cancelled | Code::DeadlineExceeded => {
                    Status::deadline_exceeded("deadline exceeded")
                }
                Code::Unavailable | Code::Unknown | Code::Internal => {
                    let after = std::time::Duration::from_secs(1);
                    let text = "the service is unavailable";
                    rpc::status::retry(Code::Unavailable, "UNREACHABLE", text, after)
                }
                code => Status::new(code, "the service failed"),
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

impl From<ResponseError> for Failure {
    fn from(error: ResponseError) -> Self {
        rpc::status::internal(error).into()
    }
}
