//! The errors of the service, and their mapping to `google.rpc.Status`.

use std::time::Duration;

use rpc::status;
use tonic::{Code, Status};

use crate::contest;
use crate::duel;
use crate::team;

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
    #[error("the contest has no balloon for this submission")]
    BalloonNotFound,
    #[error("the contest has no such clarification")]
    ClarificationNotFound,
    #[error("{0} questions of yours have no answer; wait for one before you ask more")]
    TooManyQuestions(u32),
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
    /// Does not exist, or the caller may not see it.
    #[error("there is no such duel")]
    DuelNotFound,
    #[error("you have no such ticket")]
    TicketNotFound,
    #[error("only the players of the duel can do this")]
    NotPlayer,
    #[error("the limit of {0} open invitations is reached")]
    TooManyInvitations(usize),
    /// Reason and text.
    #[error("{1}")]
    Exists(&'static str, String),
    #[error("there is no such team")]
    TeamNotFound,
    #[error("you are not invited to this team")]
    TeamInvitationNotFound,
    #[error("the team has no such member or invitation")]
    MemberNotFound,
    #[error("the user is a member of the team")]
    MemberAlready,
    #[error("only the captain of the team may do this")]
    NotCaptain,
    #[error("another team has this name, or one that looks like it")]
    TeamNameTaken,
    #[error("a user belongs to at most {} teams", team::MAX_TEAMS)]
    TooManyTeams,
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

    pub fn not_published() -> Self {
        Self::precondition("CONTEST_NOT_PUBLISHED", "the contest is not published")
    }

    pub fn ended() -> Self {
        Self::precondition("CONTEST_ENDED", "the contest has ended")
    }

    /// `name` is the user whom it is about.
    pub fn takes_part_already(name: &str) -> Self {
        let text = format!("{name} takes part in the contest in another way");
        Self::precondition("TAKES_PART_ALREADY", text)
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

impl From<duel::Refusal> for Error {
    fn from(refusal: duel::Refusal) -> Self {
        use duel::Refusal::{NoDrawOffer, NotInvited, NotRunning, OtherPlayer, TooEarly};
        let (reason, text) = match refusal {
            NotInvited => ("DUEL_NOT_INVITED", "the invitation is not open any more"),
            NotRunning => ("DUEL_NOT_RUNNING", "the duel is not running"),
            OtherPlayer => ("OTHER_PLAYER", "only the other player of the duel can do this"),
            TooEarly => ("TOO_EARLY", "no draw can be offered in the first 10 minutes"),
            NoDrawOffer => ("NO_DRAW_OFFER", "the other player offers no draw"),
        };
        Self::precondition(reason, text)
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
            Error::BalloonNotFound => status::not_found("BALLOON_NOT_FOUND", text),
            Error::ClarificationNotFound => status::not_found("CLARIFICATION_NOT_FOUND", text),
            Error::TooManyQuestions(_) => {
                status::error(Code::ResourceExhausted, "TOO_MANY_QUESTIONS", text)
            }
            Error::RejudgingNotFound => status::not_found("REJUDGING_NOT_FOUND", text),
            Error::SlugTaken => status::error(Code::AlreadyExists, "SLUG_TAKEN", text),
            Error::NotYourContest => status::permission_denied("NOT_YOUR_CONTEST", text),
            Error::NotJury => status::permission_denied("NOT_JURY", text),
            Error::NotParticipant => status::permission_denied("NOT_PARTICIPANT", text),
            Error::AccessCodeWrong => status::permission_denied("ACCESS_CODE_WRONG", text),
            Error::DuelNotFound => status::not_found("DUEL_NOT_FOUND", text),
            Error::TicketNotFound => status::not_found("TICKET_NOT_FOUND", text),
            Error::NotPlayer => status::permission_denied("NOT_A_PLAYER", text),
            Error::TooManyInvitations(_) => {
                status::error(Code::ResourceExhausted, "TOO_MANY_INVITATIONS", text)
            }
            Error::Exists(reason, _) => status::error(Code::AlreadyExists, reason, text),
            Error::TeamNotFound => status::not_found("TEAM_NOT_FOUND", text),
            Error::TeamInvitationNotFound => status::not_found("TEAM_INVITATION_NOT_FOUND", text),
            Error::MemberNotFound => status::not_found("MEMBER_NOT_FOUND", text),
            Error::MemberAlready => status::error(Code::AlreadyExists, "MEMBER_ALREADY", text),
            Error::NotCaptain => status::permission_denied("NOT_CAPTAIN", text),
            Error::TeamNameTaken => status::error(Code::AlreadyExists, "TEAM_NAME_TAKEN", text),
            Error::TooManyTeams => status::error(Code::ResourceExhausted, "TOO_MANY_TEAMS", text),
            Error::Precondition(reason, _) => status::failed_precondition(reason, text),
            Error::Common(error) => error.into(),
        }
    }
}
