//! The errors of the judge, and their mapping to gRPC statuses.

use std::time::Duration;

use rpc::status;
use tonic::{Code, Status};

/// The error of all use cases.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A field of the request is invalid.
    #[error("{field} {message}")]
    Invalid {
        /// The path of the field.
        field: &'static str,
        /// Continues the sentence that starts with the field, such as `is required`.
        message: String,
    },
    /// No judgement exists for the submission or verification.
    #[error("judgement not found")]
    NotFound,
    /// The database failed.
    #[error(transparent)]
    Db(#[from] db::Error),
    /// The languages file is invalid.
    #[error("{0}")]
    Languages(String),
    /// A stored message cannot be decoded.
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
            Error::NotFound => status::not_found(
                "JUDGEMENT_NOT_FOUND",
                "no judgement exists for this submission or verification",
            ),
            Error::Db(error @ db::Error::Full(_)) => {
                tracing::error!(%error, "database disk full");
                let text = "the server's disk is full";
                status::retry(Code::ResourceExhausted, "DISK_FULL", text, Duration::from_secs(30))
            }
            Error::Db(error) if error.is_transient() => {
                tracing::warn!(%error, "database unavailable");
                let text = "the database is unavailable";
                status::retry(
                    Code::Unavailable,
                    "DATABASE_UNAVAILABLE",
                    text,
                    Duration::from_secs(1),
                )
            }
            Error::Db(db::Error::Invalid(cause)) => {
                // Validation should have rejected the value before.
                tracing::warn!(cause, "database rejected value");
                let text = "a text contains a zero byte, or a number is out of range";
                status::error(Code::InvalidArgument, "VALUE_REFUSED", text)
            }
            error => status::internal(error),
        }
    }
}
