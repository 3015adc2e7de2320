//! The errors of the service and their mapping to statuses.

use std::time::Duration;

use rpc::status;
use service::OpenError;
use tonic::{Code, Status};

use package::Severity;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Does not exist, or the caller may not see it.
    #[error("no such {0}")]
    NotFound(&'static str),
    #[error("the slug is taken")]
    SlugTaken,
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
    #[error(transparent)]
    Common(#[from] service::Error),
}

pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// One invalid field: what is wrong and what would be valid.
    pub fn invalid(field: &str, what: impl Into<String>) -> Self {
        service::Error::invalid(field, what).into()
    }
}

impl From<db::Error> for Error {
    fn from(error: db::Error) -> Self {
        Self::Common(error.into())
    }
}

impl From<Status> for Error {
    fn from(status: Status) -> Self {
        Self::Common(status.into())
    }
}

impl From<serde_json::Error> for Error {
    fn from(error: serde_json::Error) -> Self {
        service::Error::stored(error).into()
    }
}

impl From<std::io::Error> for Error {
    fn from(error: std::io::Error) -> Self {
        Self::Package(package::Error::Io(error))
    }
}

impl From<Error> for OpenError {
    fn from(error: Error) -> Self {
        match error {
            Error::Config(text) => Self::Config(text),
            Error::Unavailable(text) => Self::Unavailable(text),
            error => Self::Storage(error.to_string()),
        }
    }
}

impl From<Error> for Status {
    fn from(error: Error) -> Self {
        match error {
            Error::NotFound(what) => {
                let reason = format!("{}_NOT_FOUND", what.to_uppercase());
                status::not_found(&reason, format!("there is no such {what}"))
            }
            Error::SlugTaken => {
                status::error(Code::AlreadyExists, "SLUG_TAKEN", "another problem has this slug")
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
            Error::Objects(error) => of_objects(&error),
            error @ (Error::Config(_) | Error::Unavailable(_)) => status::internal(error),
            Error::Common(error) => error.into(),
        }
    }
}

/// Bytes of the violations of one status: gRPC sends them in trailers, which peers limit.
const MAX_VIOLATIONS_BYTES: usize = 48 << 10;

/// The package as a whole is the field `content` of the request.
fn named(file: &str) -> &str {
    if file.is_empty() { "content" } else { file }
}

/// Every violation names a file of the package; the reason distinguishes them from fields of the request.
fn of_package(error: package::Error) -> Status {
    use tonic_types::{ErrorDetails, StatusExt};
    match error {
        package::Error::Invalid(findings) => {
            let mut details = ErrorDetails::with_error_info("PACKAGE_INVALID", status::DOMAIN, []);
            let errors = findings.iter().filter(|f| f.severity == Severity::Error);
            let errors: Vec<(&str, String)> =
                errors.map(|finding| (named(&finding.file), finding.text())).collect();
            let mut bytes = 0;
            let fits = |(file, text): &&(&str, String)| {
                bytes += file.len() + text.len();
                bytes <= MAX_VIOLATIONS_BYTES
            };
            let listed = errors.iter().take_while(fits).count();
            for (file, text) in &errors[..listed] {
                details.add_bad_request_violation(*file, text);
            }
            if listed < errors.len() {
                let missing = errors.len() - listed;
                let text = format!("the package has {missing} more errors than the listed ones");
                details.add_bad_request_violation(named(""), text);
            }
            let text = match errors.as_slice() {
                [] => "the package is invalid".to_owned(),
                [("content", text)] => format!("the package is invalid: {text}"),
                [(file, text)] => format!("the package is invalid: {file}: {text}"),
                [(file, text), ..] => format!(
                    "the package is invalid: {} errors, of which the first is in {file}: {text}",
                    errors.len()
                ),
            };
            Status::with_error_details(Code::InvalidArgument, text, details)
        }
        package::Error::TooLarge(text) => {
            status::error(Code::InvalidArgument, "PACKAGE_TOO_LARGE", text)
        }
        package::Error::Io(error) if is_full(&error) => disk_full(error.to_string()),
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
            return disk_full(error.to_string());
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

/// The same status as for a database on a full disk.
fn disk_full(cause: String) -> Status {
    service::Error::Db(db::Error::Full(cause)).into()
}

fn unavailable(reason: &str, text: &str) -> Status {
    status::retry(Code::Unavailable, reason, text, Duration::from_secs(1))
}
