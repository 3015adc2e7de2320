//! The other services, as this one sees them: auth, problem and judge.

use std::time::Duration;

use access::{Authorised, Caller};
use proto::auth::GetUserRequest;
use proto::auth::user_service_client::UserServiceClient;
use proto::judge::judgement_service_client::JudgementServiceClient;
use proto::judge::{GetJudgementRequest, get_judgement_request::Subject};
use proto::problem::problem_service_client::ProblemServiceClient;
use proto::problem::{GetProblemRequest, Problem};
use rpc::status;
use tonic::{Code, Request, Status};
use uuid::Uuid;

use crate::error::Error;
use crate::judging::Judging;
use crate::languages::Languages;
use crate::wire;

const AUTH: &str = "auth";
const PROBLEM: &str = "problem";
const JUDGE: &str = "judge";

/// How long a submission waits for another service.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long a reader waits for what only adorns the answer.
const COURTESY: Duration = Duration::from_secs(2);

/// The largest judgement: each of many tests may come with a message and an output.
const LARGEST: usize = 32 << 20;

/// Clients of the other services.
#[derive(Clone)]
pub struct Peers {
    users: UserServiceClient<Authorised>,
    problems: ProblemServiceClient<Authorised>,
    judgements: JudgementServiceClient<Authorised>,
    /// The languages on offer.
    pub languages: Languages,
}

impl Peers {
    /// Clients on these channels, which carry this service's credential.
    pub fn new(auth: Authorised, problem: Authorised, judge: Authorised) -> Self {
        Self {
            users: UserServiceClient::new(auth),
            problems: ProblemServiceClient::new(problem),
            judgements: JudgementServiceClient::new(judge.clone())
                .max_decoding_message_size(LARGEST),
            languages: Languages::new(judge),
        }
    }

    /// The id of the user of this name.
    pub async fn user_id(&self, username: &str) -> Result<Uuid, Error> {
        let mut request = Request::new(GetUserRequest { user_id: username.to_owned() });
        request.set_timeout(PATIENCE);
        match self.users.clone().get_user(request).await {
            Ok(answer) => {
                let user = answer.into_inner().user.unwrap_or_default();
                ids::parse(&user.user_id).ok_or(Error::UserNotFound)
            }
            Err(status) if matches!(status.code(), Code::NotFound | Code::InvalidArgument) => {
                Err(Error::UserNotFound)
            }
            Err(status) => Err(Error::Peer { service: AUTH, status: Box::new(status) }),
        }
    }

    /// The problem of this id or slug, as the caller may see it.
    pub async fn problem(&self, caller: &Caller, name: &str) -> Result<Problem, Error> {
        let mut request =
            caller.forward(Request::new(GetProblemRequest { problem_id: name.to_owned() }));
        request.set_timeout(PATIENCE);
        match self.problems.clone().get_problem(request).await {
            Ok(answer) => answer.into_inner().problem.ok_or(Error::ProblemNotFound),
            Err(status) if status.code() == Code::NotFound => Err(Error::ProblemNotFound),
            Err(status) => Err(Error::Peer { service: PROBLEM, status: Box::new(status) }),
        }
    }

    /// What the judge knows of a submission: `None` when it has never heard of it.
    pub async fn judgement(
        &self,
        submission_id: Uuid,
    ) -> Result<Option<proto::judge::Judgement>, Error> {
        let subject = Subject::SubmissionId(submission_id.to_string());
        let mut request = Request::new(GetJudgementRequest { subject: Some(subject) });
        request.set_timeout(COURTESY);
        match self.judgements.clone().get_judgement(request).await {
            Ok(answer) => Ok(answer.into_inner().judgement),
            Err(status) if is_unknown(&status) => Ok(None),
            Err(status) => Err(Error::Peer { service: JUDGE, status: Box::new(status) }),
        }
    }

    /// The same for showing: without the judge's answer, its part is missing.
    pub async fn judging(&self, submission_id: Uuid) -> Judging {
        match self.judgement(submission_id).await {
            Ok(judgement) => judgement.map(wire::judging).unwrap_or_default(),
            Err(error) => {
                tracing::warn!(%submission_id, %error, "shown without what the judge knows");
                Judging::default()
            }
        }
    }
}

/// A proxy that does not find the judge also says NOT_FOUND, but not with this reason.
fn is_unknown(status: &Status) -> bool {
    status.code() == Code::NotFound
        && status::reason(status).as_deref() == Some("JUDGEMENT_NOT_FOUND")
}
