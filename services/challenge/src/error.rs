//! The errors of the service, and their mapping to `google.rpc.Status`.

use std::time::Duration;

use rpc::status;
use tonic::{Code, Status};

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("submission not found")]
    NotFound,
    #[error("problem not found")]
    ProblemNotFound,
    #[error("user not found")]
    UserNotFound,
    #[error("the problem has no published version")]
    NotPublished,
    #[error("the limit of {count} submissions per hour is reached")]
    TooMany {
        count: u32,
        /// Until the next submission is accepted.
        retry_after: Duration,
    },
    #[error("listing submissions of other users requires challenge.submission.get")]
    OtherUsers,
    #[error(transparent)]
    Common(#[from] service::Error),
}

impl Error {
    /// One invalid field: `message` says what is wrong and what would be right.
    pub fn invalid(field: &str, message: &str) -> Self {
        service::Error::invalid(field, message).into()
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

impl From<Error> for Status {
    fn from(error: Error) -> Self {
        let text = error.to_string();
        match error {
            Error::NotFound => status::not_found("SUBMISSION_NOT_FOUND", text),
            Error::ProblemNotFound => status::not_found("PROBLEM_NOT_FOUND", text),
            Error::UserNotFound => status::not_found("USER_NOT_FOUND", text),
            Error::NotPublished => status::failed_precondition("NOT_PUBLISHED", text),
            Error::TooMany { retry_after, .. } => {
                let code = Code::ResourceExhausted;
                status::retry(code, "TOO_MANY_SUBMISSIONS", text, retry_after)
            }
            Error::OtherUsers => status::permission_denied("PERMISSION_MISSING", text),
            Error::Common(error) => error.into(),
        }
    }
}
