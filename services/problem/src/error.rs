//! What can go wrong, and how a caller is told.

use std::time::Duration;

use rpc::{Violations, status};
use tonic::{Code, Status};

use crate::package::{self, Severity};

/// Why a use case failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Fields of the request are wrong.
    #[error("invalid fields: {0:?}")]
    Invalid(Vec<(String, String)>),
    /// Does not exist, or not for this caller.
    #[error("no such {0}")]
    NotFound(&'static str),
    /// Another problem has the slug.
    #[error("the slug is taken")]
    SlugTaken,
    /// The problem has changed since the caller read it.
    #[error("the etag does not match")]
    EtagMismatch,
    /// The state of the problem forbids it: reason and text.
    #[error("{1}")]
    Precondition(&'static str, &'static str),
    /// May see the problem, but not change it.
    #[error("this problem is another's")]
    Denied,
    /// The package cannot be taken.
    #[error(transparent)]
    Package(#[from] package::Error),
    /// An object is not what its name says.
    #[error("object {0} is damaged")]
    Damaged(String),
    /// The object store failed.
    #[error("object store: {0}")]
    Objects(#[from] object_store::Error),
    /// A setting cannot be used; the text names its key. Found at start.
    #[error("{0}")]
    Config(String),
    /// The object store did not answer at start; the text names the key of its address.
    #[error("{0}")]
    Away(String),
    /// Another service did not answer.
    #[error("{0}")]
    Peer(Box<Status>),
    /// The database failed.
    #[error(transparent)]
    Db(#[from] db::Error),
    /// What is stored cannot be read.
    #[error("stored value: {0}")]
    Stored(#[from] serde_json::Error),
    /// The process is going down.
    #[error("the server is shutting down")]
    ShuttingDown,
    /// An answer that a library has made already.
    #[error(transparent)]
    Status(Box<Status>),
}

/// The result of a use case.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// One field is wrong: say what is wrong and what would be right.
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
                let text = "the problem has changed meanwhile; read it again";
                status::error(Code::Aborted, "ETAG_MISMATCH", text)
            }
            Error::Precondition(reason, text) => status::failed_precondition(reason, text),
            Error::Denied => {
                let text = "only its owner and those with problem.problem.update may do this";
                status::permission_denied("NOT_YOUR_PROBLEM", text)
            }
            Error::Package(error) => of_package(error),
            error @ Error::Damaged(_) => {
                tracing::error!(%error, "test data is damaged");
                status::error(Code::DataLoss, "OBJECT_DAMAGED", "the object is damaged")
            }
            Error::Peer(cause) => {
                tracing::warn!(%cause, "another service did not answer");
                unavailable("PEER_UNAVAILABLE", "another service does not answer")
            }
            Error::Objects(error) => of_objects(&error),
            error @ (Error::Config(_) | Error::Away(_)) => status::internal(error),
            Error::Db(error) => of_database(&error),
            error @ Error::Stored(_) => status::internal(error),
            Error::ShuttingDown => unavailable("SHUTTING_DOWN", "the server is going down"),
            Error::Status(status) => *status,
        }
    }
}

fn invalid(fields: Vec<(String, String)>) -> Status {
    let mut violations = Violations::default();
    for (field, what) in fields {
        violations.add(field, what);
    }
    violations.into_result().err().unwrap_or_else(|| status::internal("no field was wrong"))
}

/// Every error names its file; the reason tells programs that it is the package, not the request.
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
            let text = format!("the package cannot be taken{first}{more}");
            Status::with_error_details(Code::InvalidArgument, text, details)
        }
        package::Error::TooLarge(text) => {
            status::error(Code::InvalidArgument, "PACKAGE_TOO_LARGE", text)
        }
        package::Error::Io(error) if is_full(&error) => disk_full(&error),
        package::Error::Io(error) => status::internal(error),
    }
}

/// A store over a network that does not answer, or not as it should, may do so again: the client waits.
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
            tracing::warn!(%error, "the object store did not answer");
            unavailable("OBJECTS_UNAVAILABLE", "the store of test data does not answer")
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
            tracing::warn!(%error, "the database did not answer");
            unavailable("DATABASE_UNAVAILABLE", "the database does not answer")
        }
        db::Error::Invalid(cause) => {
            // Every rule should have found it before; what is left is the client's all the same.
            tracing::warn!(cause, "the database refused a value");
            let text = "a text holds a zero byte, or a number is out of range";
            status::error(Code::InvalidArgument, "VALUE_REFUSED", text)
        }
        error => status::internal(error),
    }
}

fn disk_full(error: &dyn std::fmt::Display) -> Status {
    tracing::error!(%error, "the disk is full");
    let text = "the server's disk is full; nothing new is accepted";
    status::retry(Code::ResourceExhausted, "DISK_FULL", text, Duration::from_secs(30))
}

fn unavailable(reason: &str, text: &str) -> Status {
    status::retry(Code::Unavailable, reason, text, Duration::from_secs(1))
}
