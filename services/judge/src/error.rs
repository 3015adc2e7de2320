//! What can go wrong, and how a caller is told.

use std::time::Duration;

use rpc::status;
use tonic::{Code, Status};

/// Why a use case failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A field of the request is wrong.
    #[error("{field} {message}")]
    Invalid {
        /// Its path.
        field: &'static str,
        /// What is wrong, and what would be right.
        message: String,
    },
    /// The judge knows nothing of the submission or verification.
    #[error("no such judgement")]
    NotFound,
    /// The database failed.
    #[error(transparent)]
    Db(#[from] db::Error),
    /// The languages are configured wrongly.
    #[error("{0}")]
    Languages(String),
    /// What is stored cannot be read.
    #[error("stored judgement: {0}")]
    Stored(String),
}

impl Error {
    pub(crate) fn invalid(field: &'static str, message: impl Into<String>) -> Self {
        Error::Invalid { field, message: message.into() }
    }
}

impl From<Error> for Status {
    fn from(error: Error) -> Self {
        match error {
            Error::Invalid { field, message } => status::invalid_argument(field, message),
            Error::NotFound => {
                status::not_found("JUDGEMENT_NOT_FOUND", "the judge knows of no such judgement")
            }
            Error::Db(error @ db::Error::Full(_)) => {
                tracing::error!(%error, "the disk is full");
                let text = "the server's disk is full";
                status::retry(Code::ResourceExhausted, "DISK_FULL", text, Duration::from_secs(30))
            }
            Error::Db(error) if error.is_transient() => {
                tracing::warn!(%error, "the database did not answer");
                let text = "the database does not answer";
                status::retry(
                    Code::Unavailable,
                    "DATABASE_UNAVAILABLE",
                    text,
                    Duration::from_secs(1),
                )
            }
            Error::Db(db::Error::Invalid(cause)) => {
                // Every rule should have found it before; what is left is the client's all the same.
                tracing::warn!(cause, "the database refused a value");
                let text = "a text holds a zero byte, or a number is out of range";
                status::error(Code::InvalidArgument, "VALUE_REFUSED", text)
            }
            error => status::internal(error),
        }
    }
}
