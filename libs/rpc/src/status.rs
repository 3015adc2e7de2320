//! The one form of errors: `google.rpc.Status` with an `ErrorInfo`, field violations, retry advice.
//!
//! Texts are for people and may change; programs branch on the code and the reason.

use std::fmt::Display;
use std::time::Duration;

use tonic::{Code, Status};
use tonic_types::{ErrorDetails, FieldViolation, StatusExt};

/// The `ErrorInfo` domain of every error Agon makes.
pub const DOMAIN: &str = "agon";

/// The reason that accompanies field violations.
pub const INVALID_FIELD: &str = "INVALID_FIELD";

/// An error with a machine-readable reason (`UPPER_SNAKE`).
pub fn error(code: Code, reason: &str, message: impl Into<String>) -> Status {
    Status::with_error_details(code, message, info(reason))
}

/// An error that goes away by itself: the caller may try again after `after`.
pub fn retry(code: Code, reason: &str, message: impl Into<String>, after: Duration) -> Status {
    let mut details = info(reason);
    details.set_retry_info(Some(after));
    Status::with_error_details(code, message, details)
}

/// One field is wrong; see [`Violations`] for several.
pub fn invalid_argument(field: impl Into<String>, message: impl Into<String>) -> Status {
    let mut violations = Violations::default();
    violations.add(field, message);
    violations.into_status(INVALID_FIELD)
}

/// The thing named in the request does not exist, or not for this caller.
pub fn not_found(reason: &str, message: impl Into<String>) -> Status {
    error(Code::NotFound, reason, message)
}

/// The request is fine, the state of the thing forbids it.
pub fn failed_precondition(reason: &str, message: impl Into<String>) -> Status {
    error(Code::FailedPrecondition, reason, message)
}

/// The caller is known and may not do this.
pub fn permission_denied(reason: &str, message: impl Into<String>) -> Status {
    error(Code::PermissionDenied, reason, message)
}

/// The caller's credential is missing, wrong or no longer valid.
pub fn unauthenticated(reason: &str, message: impl Into<String>) -> Status {
    error(Code::Unauthenticated, reason, message)
}

/// A fault of ours: the cause is logged here and now, and never leaves the process.
pub fn internal(cause: impl Display) -> Status {
    tracing::error!(error = %cause, "internal error");
    error(Code::Internal, "INTERNAL", "internal error")
}

/// INVALID_ARGUMENT: the request id stands for another request.
pub fn request_id_reused() -> Status {
    let text = "was used for another request; give each request an id of its own";
    let mut violations = Violations::default();
    violations.add("request_id", text);
    violations.into_status("REQUEST_ID_REUSED")
}

/// The `ErrorInfo` reason of an error, if it carries one.
pub fn reason(status: &Status) -> Option<String> {
    status.get_details_error_info().map(|info| info.reason)
}

/// How long the server asks to wait before trying again.
pub fn retry_after(status: &Status) -> Option<Duration> {
    status.get_details_retry_info().and_then(|info| info.retry_delay)
}

/// The fields that an INVALID_ARGUMENT names, with what is wrong with each.
pub fn fields(status: &Status) -> Vec<(String, String)> {
    let violations = status.get_details_bad_request().map(|bad| bad.field_violations);
    violations.unwrap_or_default().into_iter().map(|v| (v.field, v.description)).collect()
}

fn info(reason: &str) -> ErrorDetails {
    ErrorDetails::with_error_info(reason, DOMAIN, [])
}

/// Collects everything wrong with a request, so that a caller learns it all at once.
#[derive(Debug, Default)]
pub struct Violations(Vec<FieldViolation>);

impl Violations {
    /// Notes that `field` (a proto field path, `problem.time_limit`) is wrong: say what is wrong
    /// and what would be right.
    pub fn add(&mut self, field: impl Into<String>, description: impl Into<String>) {
        self.0.push(FieldViolation::new(field, description));
    }

    /// Notes a violation unless `holds`.
    pub fn check(&mut self, holds: bool, field: &str, description: &str) {
        if !holds {
            self.add(field, description);
        }
    }

    /// True while nothing is wrong.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// INVALID_ARGUMENT when anything was added.
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
        violations.check(true, "fine", "never seen");
        violations.add("problem.slug", "is empty; give 3 to 64 characters");
        violations.add("page_size", "is negative");
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
    fn retry_advice_survives() {
        let status = retry(Code::Unavailable, "OVERLOADED", "busy", Duration::from_secs(2));
        assert_eq!(retry_after(&status), Some(Duration::from_secs(2)));
        assert_eq!(reason(&status).as_deref(), Some("OVERLOADED"));
    }
}
