//! What can go wrong, and how a caller is told.

use std::time::Duration;

use rpc::{Violations, status};
use tonic::{Code, Status};

use crate::draft::Wrong;

/// Why a use case failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Fields of the request are wrong.
    #[error("invalid fields: {0:?}")]
    Invalid(Vec<Wrong>),
    /// The submission does not exist, or not for this caller.
    #[error("no such submission")]
    NotFound,
    /// The problem does not exist, or not for this caller.
    #[error("no such problem")]
    ProblemNotFound,
    /// The user does not exist.
    #[error("no such user")]
    UserNotFound,
    /// The problem has no published version.
    #[error("the problem is not published")]
    NotPublished,
    /// The author has used up their submissions.
    #[error("more than {count} submissions an hour")]
    TooMany {
        /// So many are allowed.
        count: u32,
        /// Then there is room for one more.
        retry_after: Duration,
    },
    /// Submissions of others are not this caller's to list.
    #[error("the submissions of others are not for this caller")]
    OfOthers,
    /// Another service did not answer.
    #[error("{service} did not answer: {status}")]
    Peer {
        /// Which.
        service: &'static str,
        /// What came instead.
        status: Box<Status>,
    },
    /// The process is going down.
    #[error("the server is shutting down")]
    ShuttingDown,
    /// The database failed.
    #[error(transparent)]
    Db(#[from] db::Error),
    /// What is stored cannot be read.
    #[error("stored tests: {0}")]
    Stored(#[from] prost::DecodeError),
    /// A verdict of a later version of the program.
    #[error("stored verdict {0:?} is unknown to this version")]
    UnknownVerdict(String),
    /// An answer that a library has made already.
    #[error(transparent)]
    Status(Box<Status>),
}

impl Error {
    /// One field is wrong: say what is wrong and what would be right.
    pub fn invalid(field: &'static str, what: impl Into<String>) -> Self {
        Self::Invalid(vec![(field, what.into())])
    }

    /// Whether trying again later may help.
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

impl From<Error> for Status {
    fn from(error: Error) -> Self {
        match error {
            Error::Invalid(fields) => invalid(fields),
            Error::NotFound => {
                status::not_found("SUBMISSION_NOT_FOUND", "there is no such submission")
            }
            Error::ProblemNotFound => {
                status::not_found("PROBLEM_NOT_FOUND", "there is no such problem")
            }
            Error::UserNotFound => status::not_found("USER_NOT_FOUND", "there is no such user"),
            Error::NotPublished => {
                let text = "the problem has no published version to be judged by";
                status::failed_precondition("NOT_PUBLISHED", text)
            }
            Error::TooMany { count, retry_after } => {
                let text = format!("{count} submissions within an hour are the limit");
                let code = Code::ResourceExhausted;
                status::retry(code, "TOO_MANY_SUBMISSIONS", text, retry_after)
            }
            Error::OfOthers => {
                let text = "seeing the submissions of others needs challenge.submission.get";
                status::permission_denied("PERMISSION_MISSING", text)
            }
            Error::Peer { service, status: cause } => {
                tracing::warn!(service, cause = %cause, "another service did not answer");
                unavailable("PEER_UNAVAILABLE", format!("the {service} service does not answer"))
            }
            Error::ShuttingDown => unavailable("SHUTTING_DOWN", "the server is going down".into()),
            Error::Db(error) => of_database(&error),
            error @ (Error::Stored(_) | Error::UnknownVerdict(_)) => status::internal(error),
            Error::Status(status) => *status,
        }
    }
}

fn invalid(fields: Vec<Wrong>) -> Status {
    let mut violations = Violations::default();
    for (field, what) in fields {
        violations.add(field, what);
    }
    violations.into_result().err().unwrap_or_else(|| status::internal("no field was wrong"))
}

fn of_database(error: &db::Error) -> Status {
    match error {
        db::Error::Full(_) => {
            tracing::error!(%error, "the disk is full");
            let text = "the server's disk is full; nothing new is accepted";
            status::retry(Code::ResourceExhausted, "DISK_FULL", text, Duration::from_secs(30))
        }
        error if error.is_transient() => {
            tracing::warn!(%error, "the database did not answer");
            unavailable("DATABASE_UNAVAILABLE", "the database does not answer".into())
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

fn unavailable(reason: &str, text: String) -> Status {
    status::retry(Code::Unavailable, reason, text, Duration::from_secs(1))
}
