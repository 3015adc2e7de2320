//! The errors of the service and their mapping to statuses.

use std::time::Duration;

use rpc::{Violations, status};
use tonic::{Code, Status};

use package::Severity;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Fields of the request and what would be valid.
    #[error("invalid fields: {0:?}")]
    Invalid(Vec<(String, String)>),
    /// Does not exist, or the caller may not see it.
    #[error("no such {0}")]
    NotFound(&'static str),
    #[error("the slug is taken")]
    SlugTaken,
    #[error("the etag does not match")]
    EtagMismatch,
    /// The state of the problem does not allow it: reason and text.
    #[error("{1}")]
    Precondition(&'static str, &'static str),
    /// The caller may see the problem, but not change it.
    #[error("you do not own this problem")]
    Denied,
    #[error(transparent)]
    Package(#[from] package::Error),
    /// The content of an object does not match its digest.
    #[error("object {0} is damaged")]
    Damaged(String),
    #[error("object store: {0}")]
    Objects(#[from] object_store::Error),
    /// An invalid setting, found at start; the text names its key.
    #[error("{0}")]
    Config(String),
    /// The object store could not be reached at start; the text names the setting of its address.
    #[error("{0}")]
    Unavailable(String),
    /// A call to another service failed.
    #[error("{0}")]
    Peer(Box<Status>),
    #[error(transparent)]
    Db(#[from] db::Error),
    #[error("stored value: {0}")]
    Stored(#[from] serde_json::Error),
    #[error("the server is shutting down")]
    ShuttingDown,
    /// A status created by a library.
    #[error(transparent)]
    Status(Box<Status>),
}

pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// One invalid field: what is wrong and what would be valid.
    pub fn invalid(field: &str, what: impl Into<String>) -> Self {
        Self::Invalid(vec![(field.to_owned(), what.into())])
    }
}

impl From<Status> for Error {
    fn from(status: Status) -> Self {
        Self::Status(Box::new(status))
    }
}

impl From<std::io::Error> for Error {
    fn from(error: std::io::Error) -> Self {
        Self::Package(package::Error::Io(error))
    }
}

impl From<Error> for Status {
    fn from(error: Error) -> Self {
        match error {
            Error::Invalid(fields) => invalid(fields),
            Error::NotFound(what) => {
                let reason = format!("{}_NOT_FOUND", what.to_uppercase());
                status::not_found(&reason, format!("there is no such {what}"))
            }
            Error::SlugTaken => {
                status::error(Code::AlreadyExists, "SLUG_TAKEN", "another problem has this slug")
            }
            Error::EtagMismatch => {
                let text = "the problem was changed by another request; read it again";
                status::error(Code::Aborted, "ETAG_MISMATCH", text)
            }
            Error::Precondition(reason, text) => status::failed_precondition(reason, text),
            Error::Denied => {
                let text =
                    "you must own this problem or have the permission problem.problem.update";
                status::permission_denied("NOT_YOUR_PROBLEM", text)
            }
            Error::Package(error) => of_package(error),
            error @ Error::Damaged(_) => {
                tracing::error!(%error, "object damaged");
                status::error(Code::DataLoss, "OBJECT_DAMAGED", "the object is damaged")
            }
            Error::Peer(cause) => {
                tracing::warn!(%cause, "peer call failed");
                unavailable("PEER_UNAVAILABLE", "another service is unavailable")
            }
            Error::Objects(error) => of_objects(&error),
            error @ (Error::Config(_) | Error::Unavailable(_)) => status::internal(error),
            Error::Db(error) => of_database(&error),
            error @ Error::Stored(_) => status::internal(error),
            Error::ShuttingDown => unavailable("SHUTTING_DOWN", "the server is shutting down"),
            Error::Status(status) => *status,
        }
    }
}

fn invalid(fields: Vec<(String, String)>) -> Status {
    let mut violations = Violations::default();
    for (field, what) in fields {
        violations.add(field, what);
    }
    violations.into_result().err().unwrap_or_else(|| status::internal("no invalid field"))
}

/// Every violation names a file of the package; the reason distinguishes them from fields of the request.
fn of_package(error: package::Error) -> Status {
    use tonic_types::{ErrorDetails, StatusExt};
    match error {
        package::Error::Invalid(findings) => {
            let mut details = ErrorDetails::with_error_info("PACKAGE_INVALID", status::DOMAIN, []);
            let errors: Vec<_> =
                findings.iter().filter(|f| f.severity == Severity::Error).take(50).collect();
            for finding in &errors {
                details.add_bad_request_violation(&finding.file, finding.text());
            }
            let first = errors.first().map_or_else(String::new, |finding| {
                format!(": {}: {}", finding.file, finding.text())
            });
            let more = match errors.len() {
                0 | 1 => String::new(),
                n => format!(" (and {} more)", n - 1),
            };
            let text = format!("the package is invalid{first}{more}");
            Status::with_error_details(Code::InvalidArgument, text, details)
        }
        package::Error::TooLarge(text) => {
            status::error(Code::InvalidArgument, "PACKAGE_TOO_LARGE", text)
        }
        package::Error::Io(error) if is_full(&error) => disk_full(&error),
        package::Error::Io(error) => status::internal(error),
    }
}

/// Failures of a remote store are temporary, so the client may retry.
fn of_objects(error: &object_store::Error) -> Status {
    use object_store::Error as E;
    use std::error::Error as _;
    metrics::counter!("agon_objects_failures_total").increment(1);
    let mut cause = error.source();
    while let Some(inner) = cause {
        if inner.downcast_ref::<std::io::Error>().is_some_and(is_full) {
            return disk_full(error);
        }
        cause = inner.source();
    }
    match error {
        E::Generic { store: "LocalFileSystem", .. } => status::internal(error),
        E::Generic { .. }
        | E::NotFound { .. }
        | E::AlreadyExists { .. }
        | E::PermissionDenied { .. }
        | E::Unauthenticated { .. } => {
            tracing::warn!(%error, "object store unavailable");
            unavailable("OBJECTS_UNAVAILABLE", "the object store is unavailable")
        }
        error => status::internal(error),
    }
}

fn is_full(error: &std::io::Error) -> bool {
    use std::io::ErrorKind as K;
    matches!(error.kind(), K::StorageFull | K::QuotaExceeded)
}

fn of_database(error: &db::Error) -> Status {
    match error {
        db::Error::Full(_) => disk_full(error),
        error if error.is_transient() => {
            tracing::warn!(%error, "database unavailable");
            unavailable("DATABASE_UNAVAILABLE", "the database is unavailable")
        }
        db::Error::Invalid(cause) => {
            // Validation missed it, but it is still an error of the client.
            tracing::warn!(cause, "database refused a value");
            let text = "a text contains a zero byte, or a number is out of range";
            status::error(Code::InvalidArgument, "VALUE_REFUSED", text)
        }
        error => status::internal(error),
    }
}

fn disk_full(error: &dyn std::fmt::Display) -> Status {
    tracing::error!(%error, "disk full");
    let text = "the disk of the server is full; writes are refused";
    status::retry(Code::ResourceExhausted, "DISK_FULL", text, Duration::from_secs(30))
}

fn unavailable(reason: &str, text: &str) -> Status {
    status::retry(Code::Unavailable, reason, text, Duration::from_secs(1))
}
