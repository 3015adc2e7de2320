//! The errors of the service, and their mapping to `google.rpc.Status`.

use std::time::Duration;

use rpc::status;
use tonic::{Code, Status};

use crate::contest;

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
    #[error("the limit of {0} attempts at a problem is reached")]
    TooManyAttempts(u32),
    #[error("listing submissions of other users requires challenge.submission.get")]
    OtherUsers,
    /// Does not exist, or the caller may not see it.
    #[error("there is no such contest")]
    ContestNotFound,
    #[error("the contest has no such participant")]
    ParticipantNotFound,
    #[error("the problem has no statement in this language, and no other")]
    StatementNotFound,
    #[error("the contest has no such rejudging")]
    RejudgingNotFound,
    #[error("no such interval is removed from the contest")]
    IntervalNotFound,
    #[error("the problem has no such attachment")]
    AttachmentNotFound,
    #[error("another contest has this slug")]
    SlugTaken,
    /// The caller may see the contest, but not change it.
    #[error("you must own this contest or have the permission challenge.contest.update on it")]
    NotYourContest,
    #[error("this requires the permission challenge.contest.judge on the contest")]
    NotJury,
    #[error("only participants may submit; register first")]
    NotParticipant,
    #[error("the access code is wrong")]
    AccessCodeWrong,
    /// The state of the contest does not allow it: reason and text.
    #[error("{1}")]
    Precondition(&'static str, String),
    #[error(transparent)]
    Common(#[from] service::Error),
}

impl Error {
    /// One invalid field: `message` says what is wrong and what would be right.
    pub fn invalid(field: &str, message: impl Into<String>) -> Self {
        service::Error::invalid(field, message).into()
    }

    pub fn precondition(reason: &'static str, text: impl Into<String>) -> Self {
        Self::Precondition(reason, text.into())
    }

    pub fn not_started() -> Self {
        Self::precondition("CONTEST_NOT_STARTED", "the contest has not started")
    }

    pub fn ended() -> Self {
        Self::precondition("CONTEST_ENDED", "the contest has ended")
    }

    pub fn closed() -> Self {
        Self::precondition("CONTEST_CLOSED", "the contest is finalized or canceled")
    }
}

impl From<contest::Refusal> for Error {
    fn from(refusal: contest::Refusal) -> Self {
        match refusal {
            contest::Refusal::NotParticipant => Self::NotParticipant,
            contest::Refusal::NotStarted => Self::not_started(),
            contest::Refusal::Ended => Self::ended(),
            contest::Refusal::Closed => Self::closed(),
        }
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
            Error::TooManyAttempts(_) => {
                status::error(Code::ResourceExhausted, "TOO_MANY_SUBMISSIONS", text)
            }
            Error::OtherUsers => status::permission_denied("PERMISSION_MISSING", text),
            Error::ContestNotFound => status::not_found("CONTEST_NOT_FOUND", text),
            Error::ParticipantNotFound => status::not_found("PARTICIPANT_NOT_FOUND", text),
            Error::StatementNotFound => status::not_found("STATEMENT_NOT_FOUND", text),
            Error::AttachmentNotFound => status::not_found("ATTACHMENT_NOT_FOUND", text),
            Error::IntervalNotFound => status::not_found("INTERVAL_NOT_FOUND", text),
            Error::RejudgingNotFound => status::not_found("REJUDGING_NOT_FOUND", text),
            Error::SlugTaken => status::error(Code::AlreadyExists, "SLUG_TAKEN", text),
            Error::NotYourContest => status::permission_denied("NOT_YOUR_CONTEST", text),
            Error::NotJury => status::permission_denied("NOT_JURY", text),
            Error::NotParticipant => status::permission_denied("NOT_PARTICIPANT", text),
            Error::AccessCodeWrong => status::permission_denied("ACCESS_CODE_WRONG", text),
            Error::Precondition(reason, _) => status::failed_precondition(reason, text),
            Error::Common(error) => error.into(),
        }
    }
}
