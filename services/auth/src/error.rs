//! Errors of the use cases and their mapping to gRPC statuses.

use std::time::Duration;

use rpc::{Violations, status};
use tonic::{Code, Status};

pub type Result<T, E = Error> = std::result::Result<T, E>;

#[derive(Debug, thiserror::Error)]
pub enum Error {
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
    #[error(transparent)]
    Common(#[from] service::Error),
}

impl Error {
    /// A defect; the text is not sent to clients.
    pub fn internal(cause: impl std::fmt::Display) -> Self {
        service::Error::Internal(cause.to_string()).into()
    }

    /// INVALID_ARGUMENT for one field.
    pub fn field(field: &str, what: &str) -> Self {
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

/// An error when there are violations.
pub fn checked(violations: Violations) -> Result<()> {
    violations.into_result().map_err(Error::from)
}

impl From<Error> for Status {
    fn from(error: Error) -> Self {
        use Code::{AlreadyExists, PermissionDenied, ResourceExhausted, Unauthenticated};
        let text = error.to_string();
        match error {
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
            Error::Common(error) => error.into(),
        }
    }
}
