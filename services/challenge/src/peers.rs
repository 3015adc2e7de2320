//! Calls to the auth, problem and judge services.

use std::pin::Pin;
use std::time::Duration;

use access::{Authorised, Caller};
use futures_util::stream::{Stream, StreamExt as _};
use proto::auth::access_service_client::AccessServiceClient;
use proto::auth::account_service_client::AccountServiceClient;
use proto::auth::user_service_client::UserServiceClient;
use proto::auth::{
    CheckPermissionRequest, CreateAccountsRequest, GetUserRequest, MadeAccount, NewAccount,
    UserState,
};
use proto::google::api::HttpBody;
use proto::judge::judgement_service_client::JudgementServiceClient;
use proto::judge::{GetJudgementRequest, get_judgement_request::Subject};
use proto::problem::problem_service_client::ProblemServiceClient;
use proto::problem::{
    DownloadAttachmentRequest, GetProblemRequest, GetStatementRequest, Problem, Statement,
};
use rpc::status;
use service::{OpenError, peer};
use tonic::{Code, Request, Status};
use uuid::Uuid;

use crate::contest::Person;
use crate::error::Error;
use crate::judging::Judging;
use crate::languages::Languages;
use crate::submission::Submission;
use crate::wire;

/// Timeout of calls without which a request cannot be answered.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Timeout of calls that change many things.
const LONG_TIMEOUT: Duration = Duration::from_secs(60);
/// Timeout of calls whose answer is optional.
const OPTIONAL_TIMEOUT: Duration = Duration::from_secs(2);

/// The largest judgement in bytes: each of many tests may have a message and an output.
const MAX_JUDGEMENT: usize = 32 << 20;

pub struct User {
    pub person: Person,
    pub suspended: bool,
}

/// Parts of a file.
pub type Bodies = Pin<Box<dyn Stream<Item = Result<HttpBody, Status>> + Send>>;

#[derive(Clone)]
pub struct Peers {
    access: AccessServiceClient<Authorised>,
    accounts: AccountServiceClient<Authorised>,
    users: UserServiceClient<Authorised>,
    problems: ProblemServiceClient<Authorised>,
    judgements: JudgementServiceClient<Authorised>,
    pub languages: Languages,
}

impl Peers {
    pub fn new(peers: &service::Peers) -> Result<Self, OpenError> {
        let judge = peers.channel("judge")?;
        Ok(Self {
            access: AccessServiceClient::new(peers.channel("auth")?),
            accounts: AccountServiceClient::new(peers.channel("auth")?),
            users: UserServiceClient::new(peers.channel("auth")?),
            problems: ProblemServiceClient::new(peers.channel("problem")?),
            judgements: JudgementServiceClient::new(judge.clone())
                .max_decoding_message_size(MAX_JUDGEMENT),
            languages: Languages::new(judge),
        })
    }

    pub async fn user_id(&self, username: &str) -> Result<Uuid, Error> {
        self.user(username).await.map(|user| user.person.user_id)
    }

    /// The user with this id or username.
    pub async fn user(&self, name: &str) -> Result<User, Error> {
        let mut request = Request::new(GetUserRequest { user_id: name.to_owned() });
        request.set_timeout(TIMEOUT);
        match self.users.clone().get_user(request).await {
            Ok(response) => {
                let user = response.into_inner().user.unwrap_or_default();
                let suspended = user.state() == UserState::Suspended;
                let user_id = ids::parse(&user.user_id).ok_or(Error::UserNotFound)?;
                let person = Person { user_id, name: user.username };
                Ok(User { person, suspended })
            }
            Err(status) if matches!(status.code(), Code::NotFound | Code::InvalidArgument) => {
                Err(Error::UserNotFound)
            }
            Err(status) => Err(peer("auth")(status).into()),
        }
    }

    /// Makes accounts on behalf of the caller, or only checks them. Auth's violations name `accounts[i].field`.
    pub async fn create_accounts(
        &self,
        caller: &Caller,
        accounts: Vec<NewAccount>,
        validate_only: bool,
    ) -> Result<Vec<MadeAccount>, Status> {
        let request = Request::new(CreateAccountsRequest { accounts, validate_only });
        let mut request = caller.forward(request);
        request.set_timeout(LONG_TIMEOUT);
        Ok(self.accounts.clone().create_accounts(request).await?.into_inner().accounts)
    }

    /// The problem with this id or slug, on behalf of the caller.
    pub async fn problem(&self, caller: &Caller, name: &str) -> Result<Problem, Error> {
        let mut request =
            caller.forward(Request::new(GetProblemRequest { problem_id: name.to_owned() }));
        request.set_timeout(TIMEOUT);
        match self.problems.clone().get_problem(request).await {
            Ok(response) => response.into_inner().problem.ok_or(Error::ProblemNotFound),
            Err(status) if status.code() == Code::NotFound => Err(Error::ProblemNotFound),
            Err(status) => Err(peer("problem")(status).into()),
        }
    }

    /// The problem with this id or slug, also if the caller may not see it.
    pub async fn any_problem(&self, name: &str) -> Result<Problem, Error> {
        let mut request = Request::new(GetProblemRequest { problem_id: name.to_owned() });
        request.set_timeout(TIMEOUT);
        match self.problems.clone().get_problem(request).await {
            Ok(response) => response.into_inner().problem.ok_or(Error::ProblemNotFound),
            Err(status) => Err(of_problem(status, Error::ProblemNotFound)),
        }
    }

    /// The statement of a problem, also if the caller may not see it.
    pub async fn statement(&self, problem: Uuid, language: &str) -> Result<Statement, Error> {
        let (problem_id, language) = (problem.to_string(), language.to_owned());
        let mut request = Request::new(GetStatementRequest { problem_id, language });
        request.set_timeout(TIMEOUT);
        match self.problems.clone().get_statement(request).await {
            Ok(response) => response.into_inner().statement.ok_or(Error::StatementNotFound),
            Err(status) => Err(of_problem(status, Error::StatementNotFound)),
        }
    }

    /// An attachment of a problem, also if the caller may not see it.
    pub async fn attachment(&self, problem: Uuid, name: &str) -> Result<Bodies, Error> {
        let request =
            DownloadAttachmentRequest { problem_id: problem.to_string(), name: name.to_owned() };
        match self.problems.clone().download_attachment(request).await {
            Ok(response) => Ok(response.into_inner().boxed()),
            Err(status) => Err(of_problem(status, Error::AttachmentNotFound)),
        }
    }

    /// Whether a user holds a permission on a contest.
    pub async fn allows(&self, user: Uuid, permission: &str, contest: Uuid) -> Result<bool, Error> {
        let mut request = Request::new(CheckPermissionRequest {
            user_id: user.to_string(),
            permission: permission.to_owned(),
            resource: format!("contests/{contest}"),
        });
        request.set_timeout(OPTIONAL_TIMEOUT);
        match self.access.clone().check_permission(request).await {
            Ok(response) => Ok(response.into_inner().allowed),
            // A deleted user has no permissions.
            Err(status) if matches!(status.code(), Code::NotFound | Code::InvalidArgument) => {
                Ok(false)
            }
            Err(status) => Err(peer("auth")(status).into()),
        }
    }

    /// The judge's first judgement of a submission; `None` when it has none.
    pub async fn judgement(
        &self,
        submission_id: Uuid,
    ) -> Result<Option<proto::judge::Judgement>, Error> {
        self.find_judgement(Subject::SubmissionId(submission_id.to_string())).await
    }

    async fn find_judgement(
        &self,
        subject: Subject,
    ) -> Result<Option<proto::judge::Judgement>, Error> {
        let mut request = Request::new(GetJudgementRequest { subject: Some(subject) });
        request.set_timeout(OPTIONAL_TIMEOUT);
        match self.judgements.clone().get_judgement(request).await {
            Ok(response) => Ok(response.into_inner().judgement),
            Err(status) if is_unknown(&status) => Ok(None),
            Err(status) => Err(peer("judge")(status).into()),
        }
    }

    /// The judge's progress on a submission, or its judgement that counts; empty when the judge is unavailable. Progress
    /// of a rejudging is not shown.
    pub async fn judging(&self, submission: &Submission) -> Judging {
        let submission_id = submission.id;
        let subject = match &submission.outcome {
            Some(outcome) => Subject::JudgementId(outcome.judgement_id.to_string()),
            None => Subject::SubmissionId(submission_id.to_string()),
        };
        match self.find_judgement(subject).await {
            Ok(judgement) => judgement.map(wire::judging).unwrap_or_default(),
            Err(error) => {
                tracing::warn!(%submission_id, %error, "judge unavailable, progress omitted");
                Judging::default()
            }
        }
    }
}

/// A proxy that cannot find the judge answers NOT_FOUND too, but without this reason.
fn is_unknown(status: &Status) -> bool {
    status.code() == Code::NotFound
        && status::reason(status).as_deref() == Some("JUDGEMENT_NOT_FOUND")
}

/// The error of a call to the problem service: `missing` where it finds nothing; refused fields are the caller's.
fn of_problem(status: Status, missing: Error) -> Error {
    match status.code() {
        Code::NotFound => missing,
        Code::InvalidArgument => service::Error::from(status).into(),
        _ => peer("problem")(status).into(),
    }
}
