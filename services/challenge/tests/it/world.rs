//! The challenge service in process, with fake peers.

use std::ops::{Deref, DerefMut};

use access::Role;
use access::testing::bearer;
use bus::Topic;
use challenge::{Challenge, Config};
use chrono::DateTime;
use ids::Clock;
use proto::challenge::submission_service_client::SubmissionServiceClient;
use proto::challenge::*;
use proto::event::JudgementCompleted;
use rpc::Channel;
use service::testing::{self, Setup};
use tonic::{Status, Streaming};
use uuid::Uuid;

pub use service::testing::{assert_invalid, assert_refused};

use crate::fakes::Fakes;

pub const JUDGEMENT: Topic = Topic::new("agon.judgement.v1", "judge")
    .key("submission_id")
    .types(&["agon.event.v1.JudgementCompleted"]);

/// Topics of other services, with one producer: each producer of a test has a database.
pub const PROBLEM: Topic = Topic::new("agon.problem.v1", "judge").key("problem_id").types(&[
    "agon.event.v1.ProblemCreated",
    "agon.event.v1.ProblemPublished",
    "agon.event.v1.ProblemDeleted",
]);
pub const USER: Topic =
    Topic::new("agon.user.v1", "judge").key("user_id").types(&["agon.event.v1.UserAccessChanged"]);

/// The time at which every test starts.
pub const START: i64 = 1_800_000_000;

pub struct World {
    pub base: testing::World<Challenge>,
    pub fakes: Fakes,
}

impl Deref for World {
    type Target = testing::World<Challenge>;

    fn deref(&self) -> &Self::Target {
        &self.base
    }
}

impl DerefMut for World {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.base
    }
}

#[derive(Clone)]
pub struct User {
    pub id: Uuid,
    pub token: String,
    /// Name and roles; `None` for a user with this token only.
    pub account: Option<(String, Vec<Role>)>,
}

/// Runs a test on every database.
pub async fn each<Fut: Future<Output = ()>>(test: impl Fn(World) -> Fut) {
    each_with(Config::default(), test).await;
}

pub async fn each_with<Fut: Future<Output = ()>>(config: Config, test: impl Fn(World) -> Fut) {
    for kind in db::testing::kinds() {
        test(one(&kind, config.clone()).await).await;
    }
}

pub async fn one(kind: &db::testing::Kind, config: Config) -> World {
    let fakes = Fakes::default();
    fakes.offer(&["cpp20", "python3"]);
    fakes.problem("a-plus-b");
    let services = fakes.clone();
    let clock = Clock::manual(DateTime::from_timestamp(START, 0).unwrap());
    let setup = Setup::<Challenge>::new(config).clock(clock).topics(&[JUDGEMENT, PROBLEM, USER]);
    let base = setup.peers(move || services.services()).open(kind).await;
    World { base, fakes }
}

impl World {
    pub fn user(&self, name: &str) -> User {
        self.with_roles(name, &[])
    }

    pub fn with_roles(&self, name: &str, roles: &[Role]) -> User {
        let id = user_id(name);
        let token = self.running.issuer.user(id, name, roles);
        User { id, token, account: Some((name.to_owned(), roles.to_vec())) }
    }

    pub fn service(&self) -> User {
        User { id: Uuid::nil(), token: self.running.issuer.service("judge"), account: None }
    }

    /// A request with a token that is valid at the time of the clock.
    pub fn request<T>(&self, user: &User, message: T) -> tonic::Request<T> {
        match &user.account {
            Some((name, roles)) => bearer(&self.running.issuer.user(user.id, name, roles), message),
            None => bearer(&user.token, message),
        }
    }

    pub fn client(&self) -> SubmissionServiceClient<Channel> {
        SubmissionServiceClient::new(self.running.channel.clone())
    }

    pub async fn create(
        &self,
        user: &User,
        request: CreateSubmissionRequest,
    ) -> Result<Submission, Status> {
        let response = self.client().create_submission(self.request(user, request)).await?;
        Ok(response.into_inner().submission.unwrap())
    }

    pub async fn submit(&self, user: &User) -> Submission {
        self.create(user, valid()).await.unwrap()
    }

    pub async fn get(&self, user: &User, submission_id: &str) -> Result<Submission, Status> {
        let request = GetSubmissionRequest { submission_id: submission_id.into() };
        let response = self.client().get_submission(self.request(user, request)).await?;
        Ok(response.into_inner().submission.unwrap())
    }

    pub async fn source(&self, user: &User, submission_id: &str) -> Result<String, Status> {
        let request = GetSubmissionSourceRequest { submission_id: submission_id.into() };
        let response = self.client().get_submission_source(self.request(user, request)).await?;
        Ok(response.into_inner().source)
    }

    pub async fn list(
        &self,
        user: &User,
        request: ListSubmissionsRequest,
    ) -> Result<ListSubmissionsResponse, Status> {
        let response = self.client().list_submissions(self.request(user, request)).await?;
        Ok(response.into_inner())
    }

    pub async fn watch(
        &self,
        user: &User,
        submission_id: &str,
    ) -> Result<Streaming<WatchSubmissionResponse>, Status> {
        let request = WatchSubmissionRequest { submission_id: submission_id.into() };
        let response = self.client().watch_submission(self.request(user, request)).await?;
        Ok(response.into_inner())
    }

    /// Publishes a judgement as the judge would.
    pub async fn publish(&self, judged: &JudgementCompleted) {
        self.base.publish(&JUDGEMENT, judged.submission_id.parse().unwrap(), judged).await;
    }

    /// Waits for the verdict of a submission.
    pub async fn done(&self, user: &User, submission_id: &str) -> Submission {
        db::testing::eventually("the submission is done", || async {
            let submission = self.get(user, submission_id).await.unwrap();
            submission.state() == SubmissionState::Done
        })
        .await;
        self.get(user, submission_id).await.unwrap()
    }

    /// The number of events of a type that the service has published.
    pub async fn event_count(&self, type_name: &str) -> i64 {
        let sql = "SELECT COUNT(*) FROM event_log WHERE type = $1";
        let type_name = format!("agon.event.v1.{type_name}");
        self.db.query(sql).bind(type_name).fetch_scalar().await.unwrap()
    }
}

/// The id of the user with this name.
pub fn user_id(name: &str) -> Uuid {
    let mut bytes = [0; 16];
    bytes[..name.len()].copy_from_slice(name.as_bytes());
    Uuid::from_bytes(bytes)
}

pub fn valid() -> CreateSubmissionRequest {
    CreateSubmissionRequest {
        problem_id: "a-plus-b".into(),
        language: "cpp20".into(),
        source: "int main() {}".into(),
        ..CreateSubmissionRequest::default()
    }
}
