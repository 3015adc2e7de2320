//! The errors of the service, and their mapping to `google.rpc.Status`.

use tonic::{Code, Status};

/// Why a use case failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("the caller has stored this text already")]
    Duplicate,
    #[error(transparent)]
    Common(#[from] service::Error),
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
        match error {
            Error::Duplicate => {
                rpc::status::error(Code::AlreadyExists, "ECHO_EXISTS", error.to_string())
            }
            Error::Common(error) => error.into(),
        }
    }
}
