//! What can go wrong, and the one place that says how a caller learns of it.

use std::time::Duration;

use rpc::{Violations, status};
use tonic::{Code, Status};

/// The result of a use case.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a use case failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Something in the request is wrong, or the caller may not do this: said as it stands.
    #[error("{0}")]
    Status(Box<Status>),
    /// The username belongs to somebody.
    #[error("the username is taken")]
    UsernameTaken,
    /// Nobody may join.
    #[error("registration is closed")]
    RegistrationClosed,
    /// Joining takes an invitation.
    #[error("registration needs an invitation code")]
    InvitationRequired,
    /// The code is unknown, used up or expired.
    #[error("the invitation code is unknown, used up or expired")]
    InvitationInvalid,
    /// Unknown user or wrong password; which of them is not told.
    #[error("the identifier or the password is wrong")]
    InvalidCredentials,
    /// The code of a password reset is unknown, used or expired.
    #[error("the code is unknown, used or expired")]
    InvalidCode,
    /// The refresh token is none of ours, or its session has ended.
    #[error("the refresh token is not valid; log in again")]
    InvalidRefreshToken,
    /// The refresh token was used before; its session has ended.
    #[error("the refresh token was used twice; the session has ended")]
    RefreshTokenReused,
    /// The assertion of a service is not good.
    #[error("the assertion is not valid")]
    InvalidAssertion,
    /// The account is suspended.
    #[error("the account is suspended")]
    UserSuspended,
    /// Too many attempts.
    #[error("too many attempts; wait and try again")]
    TooManyAttempts {
        /// When another attempt is looked at.
        after: Duration,
    },
    /// More to hash than there are hands.
    #[error("too many sign-ins at once; try again shortly")]
    Busy {
        /// When it may be better.
        after: Duration,
    },
    /// There is no such user.
    #[error("there is no such user")]
    UserNotFound,
    /// There is no such session, or it is another user's.
    #[error("there is no such session")]
    SessionNotFound,
    /// There is no such binding.
    #[error("there is no such role binding")]
    BindingNotFound,
    /// There is no such invitation.
    #[error("there is no such invitation")]
    InvitationNotFound,
    /// The user has the role there already.
    #[error("the user has this role already")]
    BindingExists,
    /// Nobody gives what they do not have.
    #[error("a role can only be given or taken by who holds all of its permissions everywhere")]
    GrantExceedsOwn,
    /// Somebody must be left to run the place.
    #[error("the last active administrator keeps the role and stays active")]
    LastAdmin,
    /// Somebody else changed the thing meanwhile.
    #[error("it was changed meanwhile; read it again")]
    EtagMismatch,
    /// The request id was used for another request.
    #[error("the request id was used for another request")]
    RequestIdReused,
    /// The database.
    #[error(transparent)]
    Db(#[from] db::Error),
    /// A defect of ours.
    #[error("{0}")]
    Internal(String),
}

impl Error {
    /// A defect of ours, with its cause.
    pub fn internal(cause: &dyn std::fmt::Display) -> Self {
        Self::Internal(cause.to_string())
    }

    /// A field that is wrong.
    pub fn field(field: &str, what: &str) -> Self {
        status::invalid_argument(field, what).into()
    }
}

impl From<Status> for Error {
    fn from(status: Status) -> Self {
        Self::Status(Box::new(status))
    }
}

/// `?` on what a request violates.
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
            Error::Db(error) => of_database(error),
            Error::Internal(cause) => status::internal(cause),
        }
    }
}

fn of_database(error: db::Error) -> Status {
    let soon = Duration::from_secs(1);
    match error {
        db::Error::Full(_) => {
            tracing::error!(%error, "the disk is full");
            let text = "the server's disk is full; nothing was changed";
            status::retry(Code::ResourceExhausted, "DISK_FULL", text, Duration::from_secs(30))
        }
        db::Error::Busy(_) => {
            let text = "others changed the same thing; try again";
            status::retry(Code::Unavailable, "CONTENTION", text, soon)
        }
        db::Error::Unavailable(_) | db::Error::Timeout(_) => {
            tracing::error!(%error, "the database does not answer");
            let text = "the database does not answer; try again shortly";
            status::retry(Code::Unavailable, "DATABASE_UNAVAILABLE", text, soon)
        }
        db::Error::Invalid(cause) => {
            // Every rule should have found it before; what is left is the client's all the same.
            tracing::warn!(cause, "the database refused a value");
            let text = "a text holds a zero byte, or a number is out of range";
            status::error(Code::InvalidArgument, "VALUE_REFUSED", text)
        }
        other => status::internal(other),
    }
}
