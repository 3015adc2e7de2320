//! Errors: `google.rpc.Status` with an `ErrorInfo`, field violations and retry info.
//!
//! Messages are for people and may change; programs branch on the code and the reason.

use std::fmt::Display;
use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use http_body::Frame;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, FieldViolation, StatusExt};

/// The `ErrorInfo` domain of Agon's errors.
pub const DOMAIN: &str = "agon";

pub const INVALID_FIELD: &str = "INVALID_FIELD";

/// An error with a machine-readable reason (`UPPER_SNAKE`).
pub fn error(code: Code, reason: &str, message: impl Into<String>) -> Status {
    Status::with_error_details(code, message, info(reason))
}

/// A temporary error: the caller may retry after `after`.
pub fn retry(code: Code, reason: &str, message: impl Into<String>, after: Duration) -> Status {
    let mut details = info(reason);
    details.set_retry_info(Some(after));
    Status::with_error_details(code, message, details)
}

/// INVALID_ARGUMENT for one field; see [`Violations`] for several.
pub fn invalid_argument(field: impl Into<String>, message: impl Into<String>) -> Status {
    let mut violations = Violations::default();
    violations.add(field, message);
    violations.into_status(INVALID_FIELD)
}

/// The resource does not exist, or the caller may not see it.
pub fn not_found(reason: &str, message: impl Into<String>) -> Status {
    error(Code::NotFound, reason, message)
}

/// The state of the resource does not allow the request.
pub fn failed_precondition(reason: &str, message: impl Into<String>) -> Status {
    error(Code::FailedPrecondition, reason, message)
}

/// The caller is authenticated but lacks the permission.
pub fn permission_denied(reason: &str, message: impl Into<String>) -> Status {
    error(Code::PermissionDenied, reason, message)
}

/// The caller's credential is missing, invalid or expired.
pub fn unauthenticated(reason: &str, message: impl Into<String>) -> Status {
    error(Code::Unauthenticated, reason, message)
}

/// An error of the server. The cause is logged here and not sent to the caller.
pub fn internal(cause: impl Display) -> Status {
    tracing::error!(error = %cause, "internal error");
    error(Code::Internal, "INTERNAL", "internal error")
}

/// INVALID_ARGUMENT: the request id was used for a different request.
pub fn request_id_reused() -> Status {
    let text = "was already used for a different request; use a new id for each request";
    let mut violations = Violations::default();
    violations.add("request_id", text);
    violations.into_status("REQUEST_ID_REUSED")
}

/// The frame that ends a response body with this status.
pub fn trailers(status: &Status) -> Frame<Bytes> {
    let mut trailers = HeaderMap::new();
    // Fails only for invalid header values.
    let _ = status.add_header(&mut trailers);
    Frame::trailers(trailers)
}

/// The `ErrorInfo` reason of an error, if it has one.
pub fn reason(status: &Status) -> Option<String> {
    status.get_details_error_info().map(|info| info.reason)
}

/// How long the server asks the caller to wait before a retry.
pub fn retry_after(status: &Status) -> Option<Duration> {
    status.get_details_retry_info().and_then(|info| info.retry_delay)
}

/// The field violations of an INVALID_ARGUMENT, as `(field, description)`.
pub fn fields(status: &Status) -> Vec<(String, String)> {
    let violations = status.get_details_bad_request().map(|bad| bad.field_violations);
    violations.unwrap_or_default().into_iter().map(|v| (v.field, v.description)).collect()
}

fn info(reason: &str) -> ErrorDetails {
    ErrorDetails::with_error_info(reason, DOMAIN, [])
}

/// Collects all field violations of a request.
#[derive(Debug, Default)]
pub struct Violations(Vec<FieldViolation>);

impl Violations {
    /// Adds a violation of `field` (a proto field path, `problem.time_limit`). The description says
    /// what is wrong and what is valid.
    pub fn add(&mut self, field: impl Into<String>, description: impl Into<String>) {
        self.0.push(FieldViolation::new(field, description));
    }

    /// Adds a violation unless `holds`.
    pub fn check(&mut self, holds: bool, field: &str, description: &str) {
        if !holds {
            self.add(field, description);
        }
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// INVALID_ARGUMENT if there are violations.
    pub fn into_result(self) -> Result<(), Status> {
        if self.is_empty() { Ok(()) } else { Err(self.into_status(INVALID_FIELD)) }
    }

    fn into_status(self, reason: &str) -> Status {
        let message = match self.0.as_slice() {
            [only] => format!("{}: {}", only.field, only.description),
            many => {
                let fields: Vec<_> = many.iter().map(|v| v.field.as_str()).collect();
                format!("{} fields are invalid: {}", many.len(), fields.join(", "))
            }
        };
        let mut details = info(reason);
        details.set_bad_request(self.0);
        Status::with_error_details(Code::InvalidArgument, message, details)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn violations_name_every_field() {
        let mut violations = Violations::default();
        violations.check(true, "valid", "not added");
        violations.add("problem.slug", "must have 3 to 64 characters");
        violations.add("page_size", "must not be negative");
        let status = violations.into_result().unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument);
        assert_eq!(reason(&status).as_deref(), Some(INVALID_FIELD));
        assert_eq!(fields(&status).len(), 2);
        assert!(status.message().contains("problem.slug, page_size"));
    }

    #[test]
    fn no_violation_is_ok() {
        assert!(Violations::default().into_result().is_ok());
    }

    #[test]
    fn retry_info_round_trip() {
        let status = retry(Code::Unavailable, "OVERLOADED", "busy", Duration::from_secs(2));
        assert_eq!(retry_after(&status), Some(Duration::from_secs(2)));
        assert_eq!(reason(&status).as_deref(), Some("OVERLOADED"));
    }
}
