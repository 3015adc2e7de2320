//! The errors of the service, and their mapping to `google.rpc.Status`.

use rpc::status;
use tonic::Status;

/// The error of all use cases.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("judgement not found")]
    NotFound,
    #[error(transparent)]
    Common(#[from] service::Error),
}

impl Error {
    /// One invalid field: `message` says what is wrong and what would be right.
    pub(crate) fn invalid(field: &'static str, message: impl Into<String>) -> Self {
        service::Error::invalid(field, message).into()
    }

    pub(crate) fn stored(cause: impl std::fmt::Display) -> Self {
        service::Error::stored(cause).into()
    }
}

impl From<db::Error> for Error {
    fn from(error: db::Error) -> Self {
        Self::Common(error.into())
    }
}

impl From<Error> for Status {
    fn from(error: Error) -> Self {
        match error {
            Error::NotFound => status::not_found("JUDGEMENT_NOT_FOUND", error.to_string()),
            Error::Common(error) => error.into(),
        }
    }
}
