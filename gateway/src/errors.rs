//! Failures as HTTP answers: the status code, `google.rpc.Status` or RFC 9457 JSON, and the headers
//! that go with it.

use std::collections::BTreeSet;
use std::time::Duration;

use axum::response::Response;
use http::{HeaderName, HeaderValue, Method, StatusCode, header};
use rpc::status;
use tonic::{Code, Status};
use transcode::{Fault, Plan};

use crate::{JSON, with_type};

/// A request that has no good answer.
#[derive(Debug)]
pub(crate) struct Failure {
    status: Status,
    /// Where HTTP is more exact than the gRPC code.
    http: Option<StatusCode>,
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl From<Status> for Failure {
    fn from(status: Status) -> Self {
        let http = match status::reason(&status).as_deref() {
            Some("ETAG_MISMATCH") => Some(StatusCode::PRECONDITION_FAILED),
            Some("REQUEST_ID_REUSED") => Some(StatusCode::UNPROCESSABLE_ENTITY),
            Some("REQUEST_IN_FLIGHT") => Some(StatusCode::CONFLICT),
            _ => None,
        };
        Self { status, http, headers: Vec::new() }
    }
}

impl From<Fault> for Failure {
    fn from(fault: Fault) -> Self {
        if fault.field.is_empty() {
            status::error(Code::InvalidArgument, "MALFORMED_REQUEST", fault.message).into()
        } else {
            status::invalid_argument(fault.field, fault.message).into()
        }
    }
}

impl Failure {
    /// A failure that HTTP has a code of its own for.
    pub(crate) fn http(http: StatusCode, reason: &str, message: impl Into<String>) -> Self {
        let code = match http {
            StatusCode::PAYLOAD_TOO_LARGE => Code::ResourceExhausted,
            StatusCode::METHOD_NOT_ALLOWED => Code::Unimplemented,
            _ => Code::InvalidArgument,
        };
        Self { status: status::error(code, reason, message), http: Some(http), headers: Vec::new() }
    }

    /// There is more to do than can be done.
    pub(crate) fn overloaded() -> Self {
        let text = "too many requests are being worked on";
        status::retry(Code::Unavailable, "OVERLOADED", text, Duration::from_secs(1)).into()
    }

    fn with(mut self, name: HeaderName, value: &str) -> Self {
        self.headers.extend(HeaderValue::from_str(value).ok().map(|value| (name, value)));
        self
    }

    /// The status code.
    pub(crate) fn code(&self) -> StatusCode {
        self.http.unwrap_or_else(|| {
            let code = transcode::http_status(self.status.code() as i32);
            StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
        })
    }

    /// The answer.
    pub(crate) fn into_response(self, plan: &Plan, problem: bool) -> Response {
        let http = self.code();
        let (code, message) = (self.status.code() as i32, self.status.message());
        let details = self.status.details();
        let (json, content_type) = if problem {
            let json = transcode::problem_json(plan, http.as_u16(), code, message, details);
            (json, HeaderValue::from_static("application/problem+json"))
        } else {
            (transcode::status_json(plan, code, message, details), JSON)
        };
        let mut response = with_type(json.to_string(), content_type);
        *response.status_mut() = http;
        let headers = response.headers_mut();
        if let Some(after) = status::retry_after(&self.status) {
            let seconds = after.as_secs() + u64::from(after.subsec_nanos() > 0);
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if http == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        headers.extend(self.headers);
        response
    }
}

/// An error in the middle of a stream, as JSON.
pub(crate) fn status_text(plan: &Plan, status: &Status) -> String {
    transcode::status_json(plan, status.code() as i32, status.message(), status.details())
        .to_string()
}

/// The path exists, but not for this method: 405, or the answer to OPTIONS.
pub(crate) fn other_methods(
    method: &Method,
    mut methods: BTreeSet<String>,
) -> Result<Response, Failure> {
    if methods.contains("GET") {
        methods.insert("HEAD".into());
    }
    methods.insert("OPTIONS".into());
    let allow = methods.into_iter().collect::<Vec<_>>().join(", ");
    if method == Method::OPTIONS {
        let mut response = Response::default();
        *response.status_mut() = StatusCode::NO_CONTENT;
        response
            .headers_mut()
            .extend(HeaderValue::from_str(&allow).ok().map(|v| (header::ALLOW, v)));
        return Ok(response);
    }
    let text = format!("{method} is not possible here; possible are {allow}");
    let failure = Failure::http(StatusCode::METHOD_NOT_ALLOWED, "METHOD_NOT_ALLOWED", text);
    Err(failure.with(header::ALLOW, &allow))
}
