//! The errors that every service has, and their one mapping to `google.rpc.Status`.

use std::time::Duration;

use rpc::status;
use tonic::{Code, Status};

/// How long a client waits before it retries what was unavailable.
const RETRY_AFTER: Duration = Duration::from_secs(1);
/// The same when an operator has to free disk space first.
const RETRY_AFTER_DISK_FULL: Duration = Duration::from_secs(30);

/// Why a use case failed, for reasons that are not of its domain. A service's own error enum holds it as one variant.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("the resource has changed since it was read; read it again")]
    EtagMismatch,
    #[error("the request id was used for another request")]
    RequestIdReused,
    #[error("{service} is unavailable: {status}")]
    Peer { service: &'static str, status: Box<Status> },
    #[error("the server is shutting down")]
    ShuttingDown,
    #[error(transparent)]
    Db(#[from] db::Error),
    /// A defect: logged with its cause, answered as INTERNAL without it.
    #[error("{0}")]
    Internal(String),
    /// A status that is ready to be sent.
    #[error(transparent)]
    Status(Box<Status>),
}

impl Error {
    /// One invalid field: `message` says what is wrong and what would be right.
    pub fn invalid(field: &str, message: impl Into<String>) -> Self {
        status::invalid_argument(field, message).into()
    }

    /// A stored value that this version cannot decode.
    pub fn stored(cause: impl std::fmt::Display) -> Self {
        Self::Internal(format!("cannot decode a stored value: {cause}"))
    }

    /// Whether the same request may succeed later.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Db(error) => error.is_transient(),
            Self::Peer { .. } | Self::ShuttingDown => true,
            _ => false,
        }
    }
}

impl From<Status> for Error {
    fn from(status: Status) -> Self {
        Self::Status(Box::new(status))
    }
}

impl From<prost::DecodeError> for Error {
    fn from(error: prost::DecodeError) -> Self {
        Self::stored(error)
    }
}

/// Maps the status of a call to `service` that could not be answered. Where the deadline of the current
/// request has passed, the peer is not to blame.
pub fn peer(service: &'static str) -> impl Fn(Status) -> Error {
    move |status| match rpc::deadline_status() {
        Some(late) => late.into(),
        None => Error::Peer { service, status: Box::new(status) },
    }
}

impl From<Error> for Status {
    fn from(error: Error) -> Self {
        match error {
            Error::EtagMismatch => status::error(Code::Aborted, "ETAG_MISMATCH", error.to_string()),
            Error::RequestIdReused => status::request_id_reused(),
            Error::Peer { service, status: cause } => {
                tracing::warn!(service, %cause, "peer unavailable");
                unavailable("PEER_UNAVAILABLE", format!("the {service} service is unavailable"))
            }
            Error::ShuttingDown => unavailable("SHUTTING_DOWN", error.to_string()),
            Error::Db(error) => of_database(error),
            Error::Internal(cause) => status::internal(cause),
            Error::Status(status) => *status,
        }
    }
}

fn of_database(error: db::Error) -> Status {
    match error {
        db::Error::Full(_) => {
            tracing::error!(%error, "disk full");
            let text = "the server's disk is full; nothing was changed";
            status::retry(Code::ResourceExhausted, "DISK_FULL", text, RETRY_AFTER_DISK_FULL)
        }
        db::Error::Busy(_) => {
            unavailable("CONTENTION", "too many concurrent changes of the same resource; retry")
        }
        db::Error::Unavailable(_) | db::Error::Timeout(_) => {
            tracing::warn!(%error, "database unavailable");
            unavailable("DATABASE_UNAVAILABLE", "the database is unavailable")
        }
        db::Error::Invalid(cause) => {
            // Validation should have refused the value; it is still the client's value.
            tracing::warn!(cause, "database refused a value");
            let text = "a text contains a NUL character, or a number is out of range";
            status::error(Code::InvalidArgument, "VALUE_REFUSED", text)
        }
        error => status::internal(error),
    }
}

fn unavailable(reason: &str, text: impl Into<String>) -> Status {
    status::retry(Code::Unavailable, reason, text, RETRY_AFTER)
}

/// How a consumer treats the error: transient ones are retried until they pass, the others move the event to the
/// dead-letter topic.
impl From<Error> for bus::Fault {
    fn from(error: Error) -> Self {
        match error {
            Error::Db(error) => error.into(),
            Error::Status(status) => (*status).into(),
            error if error.is_transient() => Self::Transient(error.to_string()),
            error => Self::permanent(error),
        }
    }
}

/// Why a service cannot be opened. The text is for the operator.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// A setting cannot be used; the text begins with its key.
    #[error("{0}")]
    Config(String),
    /// Something that the service needs does not answer; the text names the setting with its address.
    #[error("{0}")]
    Unavailable(String),
    /// The data directory or the database cannot be read or written.
    #[error("{0}")]
    Storage(String),
    #[error("{0}")]
    Internal(String),
}

impl From<db::Error> for OpenError {
    fn from(error: db::Error) -> Self {
        match error {
            db::Error::Unavailable(_) | db::Error::Timeout(_) => {
                Self::Unavailable(format!("database.url: {error}"))
            }
            error => Self::Storage(error.to_string()),
        }
    }
}

impl From<std::io::Error> for OpenError {
    fn from(error: std::io::Error) -> Self {
        Self::Storage(error.to_string())
    }
}

impl From<bus::Error> for OpenError {
    fn from(error: bus::Error) -> Self {
        Self::Internal(format!("events: {error}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(error: impl Into<Error>, code: Code, reason: &str) {
        let status = Status::from(error.into());
        assert_eq!(status.code(), code, "{status:?}");
        assert_eq!(status::reason(&status).as_deref(), Some(reason), "{status:?}");
        let retryable = matches!(code, Code::Unavailable | Code::ResourceExhausted);
        assert_eq!(status::retry_after(&status).is_some(), retryable, "{status:?}");
    }

    #[test]
    fn every_error_has_one_status() {
        check(db::Error::Full("x".into()), Code::ResourceExhausted, "DISK_FULL");
        check(db::Error::Busy("x".into()), Code::Unavailable, "CONTENTION");
        check(db::Error::Timeout("x".into()), Code::Unavailable, "DATABASE_UNAVAILABLE");
        check(db::Error::Unavailable("x".into()), Code::Unavailable, "DATABASE_UNAVAILABLE");
        check(db::Error::Invalid("x".into()), Code::InvalidArgument, "VALUE_REFUSED");
        check(db::Error::Conflict("x".into()), Code::Internal, "INTERNAL");
        check(Error::EtagMismatch, Code::Aborted, "ETAG_MISMATCH");
        check(Error::RequestIdReused, Code::InvalidArgument, "REQUEST_ID_REUSED");
        check(Error::ShuttingDown, Code::Unavailable, "SHUTTING_DOWN");
        check(Error::stored("x"), Code::Internal, "INTERNAL");
        check(Error::invalid("name", "is empty"), Code::InvalidArgument, "INVALID_FIELD");
        check(peer("auth")(Status::cancelled("x")), Code::Unavailable, "PEER_UNAVAILABLE");
    }

    #[tokio::test]
    async fn a_passed_deadline_of_the_caller_is_not_a_failure_of_the_peer() {
        let late = || Status::deadline_exceeded("x");
        check(peer("auth")(late()), Code::Unavailable, "PEER_UNAVAILABLE");
        let within = async |limit| {
            let mut context = rpc::Context::continuing(None);
            context.deadline = std::time::Instant::now().checked_add(limit);
            context.scope(async { peer("auth")(late()) }).await
        };
        // The deadline of the call to the peer passed, but not that of the request.
        let own = within(Duration::from_secs(60)).await;
        check(own, Code::Unavailable, "PEER_UNAVAILABLE");
        check(within(Duration::ZERO).await, Code::DeadlineExceeded, "DEADLINE_EXCEEDED");
    }

    #[test]
    fn causes_are_not_sent() {
        let status = Status::from(Error::Db(db::Error::Unavailable("host db-7 refused".into())));
        assert!(!status.message().contains("db-7"), "{status:?}");
        let status = Status::from(peer("auth")(Status::unknown("secret")));
        assert!(!status.message().contains("secret"), "{status:?}");
    }

    #[test]
    fn consumers_retry_transient_errors_only() {
        let fault = |error: Error| bus::Fault::from(error);
        assert!(matches!(fault(Error::ShuttingDown), bus::Fault::Transient(_)));
        assert!(matches!(fault(db::Error::Busy("x".into()).into()), bus::Fault::Transient(_)));
        assert!(matches!(fault(Error::stored("x")), bus::Fault::Permanent(_)));
    }
}
