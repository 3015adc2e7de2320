//! Errors of the use cases and their mapping to gRPC statuses.

use std::time::Duration;

use rpc::{Violations, status};
use tonic::{Code, Status};

pub type Result<T, E = Error> = std::result::Result<T, E>;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A status that is returned unchanged.
    #[error("{0}")]
    Status(Box<Status>),
    #[error("the username is taken")]
    UsernameTaken,
    #[error("registration is closed")]
    RegistrationClosed,
    #[error("registration needs an invitation code")]
    InvitationRequired,
    #[error("the invitation code is unknown, used up or expired")]
    InvitationInvalid,
    /// Unknown user or wrong password; the client must not learn which.
    #[error("the identifier or the password is wrong")]
    InvalidCredentials,
    /// Of a password reset.
    #[error("the code is unknown, used or expired")]
    InvalidCode,
    /// Not issued by this installation, or its session has ended.
    #[error("the refresh token is invalid; log in again")]
    InvalidRefreshToken,
    #[error("the refresh token was used twice; the session has ended")]
    RefreshTokenReused,
    #[error("the assertion is invalid")]
    InvalidAssertion,
    #[error("the account is suspended")]
    UserSuspended,
    #[error("too many attempts; wait and try again")]
    TooManyAttempts { after: Duration },
    /// The queue of password hashes is full.
    #[error("too many sign-ins at once; try again shortly")]
    Busy { after: Duration },
    #[error("no such user")]
    UserNotFound,
    /// Also for sessions of other users.
    #[error("no such session")]
    SessionNotFound,
    #[error("no such role binding")]
    BindingNotFound,
    #[error("no such invitation")]
    InvitationNotFound,
    #[error("the user already has this role")]
    BindingExists,
    #[error("granting or revoking a role requires all of its permissions, globally")]
    GrantExceedsOwn,
    #[error("the last active administrator cannot be suspended or lose the role")]
    LastAdmin,
    #[error("the resource was changed concurrently; read it again")]
    EtagMismatch,
    #[error("the request id was used for another request")]
    RequestIdReused,
    #[error(transparent)]
    Db(#[from] db::Error),
    /// A bug or an invalid configuration; the text is not sent to clients.
    #[error("{0}")]
    Internal(String),
}

impl Error {
    /// [`Error::Internal`] with its cause.
    pub fn internal(cause: &dyn std::fmt::Display) -> Self {
        Self::Internal(cause.to_string())
    }

    /// INVALID_ARGUMENT for one field.
    pub fn field(field: &str, what: &str) -> Self {
        status::invalid_argument(field, what).into()
    }
}

impl From<Status> for Error {
    fn from(status: Status) -> Self {
        Self::Status(Box::new(status))
    }
}

/// An error when there are violations.
pub fn checked(violations: Violations) -> Result<()> {
    violations.into_result().map_err(Error::from)
}

impl From<Error> for Status {
    fn from(error: Error) -> Self {
        use Code::{Aborted, AlreadyExists, PermissionDenied, ResourceExhausted, Unauthenticated};
        let text = error.to_string();
        match error {
            Error::Status(status) => *status,
            Error::UsernameTaken => status::error(AlreadyExists, "USERNAME_TAKEN", text),
            Error::BindingExists => status::error(AlreadyExists, "BINDING_EXISTS", text),
            Error::RegistrationClosed => {
                status::error(PermissionDenied, "REGISTRATION_CLOSED", text)
            }
            Error::InvitationRequired => {
                status::error(PermissionDenied, "INVITATION_REQUIRED", text)
            }
            Error::InvitationInvalid => status::error(PermissionDenied, "INVITATION_INVALID", text),
            Error::UserSuspended => status::error(PermissionDenied, "USER_SUSPENDED", text),
            Error::GrantExceedsOwn => status::error(PermissionDenied, "GRANT_EXCEEDS_OWN", text),
            Error::InvalidCredentials => {
                status::error(Unauthenticated, "INVALID_CREDENTIALS", text)
            }
            Error::InvalidCode => status::error(Unauthenticated, "INVALID_CODE", text),
            Error::InvalidRefreshToken => {
                status::error(Unauthenticated, "INVALID_REFRESH_TOKEN", text)
            }
            Error::RefreshTokenReused => {
                status::error(Unauthenticated, "REFRESH_TOKEN_REUSED", text)
            }
            Error::InvalidAssertion => status::error(Unauthenticated, "INVALID_ASSERTION", text),
            Error::TooManyAttempts { after } => {
                status::retry(ResourceExhausted, "TOO_MANY_ATTEMPTS", text, after)
            }
            Error::Busy { after } => status::retry(ResourceExhausted, "BUSY", text, after),
            Error::UserNotFound => status::not_found("USER_NOT_FOUND", text),
            Error::SessionNotFound => status::not_found("SESSION_NOT_FOUND", text),
            Error::BindingNotFound => status::not_found("BINDING_NOT_FOUND", text),
            Error::InvitationNotFound => status::not_found("INVITATION_NOT_FOUND", text),
            Error::LastAdmin => status::failed_precondition("LAST_ADMIN", text),
            Error::EtagMismatch => status::error(Aborted, "ETAG_MISMATCH", text),
            Error::RequestIdReused => status::request_id_reused(),
            Error::Db(error) => database_status(error),
            Error::Internal(cause) => status::internal(cause),
        }
    }
}

fn database_status(error: db::Error) -> Status {
    let soon = Duration::from_secs(1);
    match error {
        db::Error::Full(_) => {
            tracing::error!(%error, "database disk full");
            let text = "the disk of the server is full; nothing was changed";
            status::retry(Code::ResourceExhausted, "DISK_FULL", text, Duration::from_secs(30))
        }
        db::Error::Busy(_) => {
            let text = "concurrent changes to the same data; try again";
            status::retry(Code::Unavailable, "CONTENTION", text, soon)
        }
        db::Error::Unavailable(_) | db::Error::Timeout(_) => {
            tracing::error!(%error, "database unavailable");
            let text = "the database is unavailable; try again shortly";
            status::retry(Code::Unavailable, "DATABASE_UNAVAILABLE", text, soon)
        }
        db::Error::Invalid(cause) => {
            // Not caught by validation, but still the fault of the request.
            tracing::warn!(cause, "database refused a value");
            let text = "a text contains a zero byte, or a number is out of range";
            status::error(Code::InvalidArgument, "VALUE_REFUSED", text)
        }
        other => status::internal(other),
    }
}
