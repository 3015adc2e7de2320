//! Errors of the use cases and their mapping to gRPC statuses.

use std::time::Duration;

use rpc::status;
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
    #[error("the username, the e-mail address or the password is wrong")]
    InvalidCredentials,
    /// Of a signed-in user.
    #[error("the old password is wrong")]
    WrongPassword,
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

impl From<Error> for Status {
    fn from(error: Error) -> Self {
        use Code::{
            AlreadyExists, FailedPrecondition, NotFound, PermissionDenied, Unauthenticated,
        };
        let text = error.to_string();
        let (code, reason) = match error {
            Error::UsernameTaken => (AlreadyExists, "USERNAME_TAKEN"),
            Error::BindingExists => (AlreadyExists, "BINDING_EXISTS"),
            Error::RegistrationClosed => (PermissionDenied, "REGISTRATION_CLOSED"),
            Error::InvitationRequired => (PermissionDenied, "INVITATION_REQUIRED"),
            Error::InvitationInvalid => (PermissionDenied, "INVITATION_INVALID"),
            Error::UserSuspended => (PermissionDenied, "USER_SUSPENDED"),
            Error::GrantExceedsOwn => (PermissionDenied, "GRANT_EXCEEDS_OWN"),
            Error::InvalidCredentials | Error::WrongPassword => {
                (Unauthenticated, "INVALID_CREDENTIALS")
            }
            Error::InvalidCode => (Unauthenticated, "INVALID_CODE"),
            Error::InvalidRefreshToken => (Unauthenticated, "INVALID_REFRESH_TOKEN"),
            Error::RefreshTokenReused => (Unauthenticated, "REFRESH_TOKEN_REUSED"),
            Error::InvalidAssertion => (Unauthenticated, "INVALID_ASSERTION"),
            Error::UserNotFound => (NotFound, "USER_NOT_FOUND"),
            Error::SessionNotFound => (NotFound, "SESSION_NOT_FOUND"),
            Error::BindingNotFound => (NotFound, "BINDING_NOT_FOUND"),
            Error::InvitationNotFound => (NotFound, "INVITATION_NOT_FOUND"),
            Error::LastAdmin => (FailedPrecondition, "LAST_ADMIN"),
            Error::TooManyAttempts { after } => {
                return status::retry(Code::ResourceExhausted, "TOO_MANY_ATTEMPTS", text, after);
            }
            Error::Busy { after } => {
                return status::retry(Code::ResourceExhausted, "BUSY", text, after);
            }
            Error::Common(error) => return error.into(),
        };
        status::error(code, reason, text)
    }
}
