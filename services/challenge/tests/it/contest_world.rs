//! Calls about contests, for tests.

use chrono::TimeDelta;
use prost_types::{Duration, Timestamp};
use proto::challenge::contest_service_client::ContestServiceClient;
use proto::challenge::*;
use proto::event::JudgementCompleted;
use rpc::Channel;
use tonic::Status;
use uuid::Uuid;

use crate::world::*;

pub const MINUTE: i64 = 60;

pub fn seconds(seconds: i64) -> Option<Duration> {
    Some(Duration { seconds, nanos: 0 })
}

pub fn at(minute: i64) -> Option<Timestamp> {
    Some(Timestamp { seconds: START + minute * MINUTE, nanos: 0 })
}

/// From minute 10 to 50, frozen from 40. Longer contests would outlive the credentials of the tests.
pub fn finals() -> Contest {
    Contest {
        slug: "finals".into(),
        title: "Finals".into(),
        start_time: at(10),
        duration: seconds(40 * MINUTE),
        freeze_duration: seconds(10 * MINUTE),
        ..Contest::default()
    }
}

pub fn problem(label: &str, problem_id: &str) -> ContestProblem {
    ContestProblem {
        label: label.into(),
        problem_id: problem_id.into(),
        ..ContestProblem::default()
    }
}

impl World {
    pub fn contests(&self) -> ContestServiceClient<Channel> {
        ContestServiceClient::new(self.running.channel.clone())
    }

    /// A user who may create contests.
    pub fn organiser(&self, name: &str) -> User {
        self.with_roles(name, &[access::Role::Organiser])
    }

    /// Moves the clock to a minute after [`START`].
    pub fn set_minute(&self, minute: i64) {
        let now = self.clock().now();
        let wanted = chrono::DateTime::from_timestamp(START + minute * MINUTE, 0).unwrap();
        self.clock().advance((wanted - now).max(TimeDelta::zero()).to_std().unwrap());
    }

    pub async fn create_contest(&self, user: &User, contest: Contest) -> Result<Contest, Status> {
        let problems = vec![problem("A", "a-plus-b"), problem("B", "b-minus-a")];
        let contest = Some(contest);
        let request = CreateContestRequest { contest, problems, ..Default::default() };
        let response = self.contests().create_contest(self.request(user, request)).await?;
        Ok(response.into_inner().contest.unwrap())
    }

    /// The contest [`finals`] with the problems A and B, published by its owner.
    pub async fn finals(&self) -> (User, Contest) {
        self.fakes.problem("b-minus-a");
        let olga = self.organiser("olga");
        let contest = self.create_contest(&olga, finals()).await.unwrap();
        let contest = self.publish_contest(&olga, &contest.contest_id).await.unwrap();
        (olga, contest)
    }

    pub async fn publish_contest(&self, user: &User, id: &str) -> Result<Contest, Status> {
        let request = PublishContestRequest { contest_id: id.into(), ..Default::default() };
        let response = self.contests().publish_contest(self.request(user, request)).await?;
        Ok(response.into_inner().contest.unwrap())
    }

    pub async fn contest(&self, user: &User, id: &str) -> Result<Contest, Status> {
        let request = GetContestRequest { contest_id: id.into() };
        let response = self.contests().get_contest(self.request(user, request)).await?;
        Ok(response.into_inner().contest.unwrap())
    }

    pub async fn join(&self, user: &User, id: &str) -> Result<Participant, Status> {
        let request = RegisterForContestRequest { contest_id: id.into(), ..Default::default() };
        let response = self.contests().register_for_contest(self.request(user, request)).await?;
        Ok(response.into_inner().participant.unwrap())
    }

    pub async fn enter(&self, user: &User, id: &str, label: &str) -> Result<Submission, Status> {
        let request = CreateSubmissionRequest {
            problem_id: label.into(),
            challenge_id: id.into(),
            ..valid()
        };
        self.create(user, request).await
    }

    /// Judges a submission as the judge would, and waits for the verdict.
    pub async fn give(&self, user: &User, submission: &Submission, verdict: Verdict) {
        let judged = JudgementCompleted {
            judgement_id: self.clock().new_id().to_string(),
            submission_id: submission.submission_id.clone(),
            verdict: verdict.into(),
            ..JudgementCompleted::default()
        };
        self.publish(&judged).await;
        self.done(user, &submission.submission_id).await;
    }

    pub async fn standings(
        &self,
        user: &User,
        request: GetStandingsRequest,
    ) -> Result<GetStandingsResponse, Status> {
        let response = self.contests().get_standings(self.request(user, request)).await?;
        Ok(response.into_inner())
    }

    /// The rows of the public standings.
    pub async fn public(&self, id: &str) -> GetStandingsResponse {
        let request = GetStandingsRequest { contest_id: id.into(), ..Default::default() };
        self.contests().get_standings(request).await.unwrap().into_inner()
    }

    pub async fn jury(&self, user: &User, id: &str) -> GetStandingsResponse {
        let view = StandingsView::Jury.into();
        let request = GetStandingsRequest { contest_id: id.into(), view, ..Default::default() };
        self.standings(user, request).await.unwrap()
    }

    pub fn grant(&self, user: &User, permission: &str, contest: &str) {
        let resource = format!("contests/{contest}");
        let grant = (user.id.to_string(), permission.to_owned(), resource);
        self.fakes.grants.lock().unwrap().insert(grant);
    }
}

/// Name, rank, solved problems and penalty of each row.
pub fn table(standings: &GetStandingsResponse) -> Vec<(&str, i32, i32, i32)> {
    let rows = standings.rows.iter();
    rows.map(|row| (row.name.as_str(), row.rank, row.solved_count, row.penalty_minutes)).collect()
}

/// Solved, attempts and pending attempts of a cell; `None` if the problem is not attempted.
pub fn cell(
    standings: &GetStandingsResponse,
    user: &User,
    label: &str,
) -> Option<(bool, i32, i32)> {
    let row = standings.rows.iter().find(|row| row.user_id == user.id.to_string())?;
    let cell = row.cells.iter().find(|cell| cell.label == label)?;
    Some((cell.solved, cell.attempt_count, cell.pending_count))
}

pub fn unknown() -> String {
    Uuid::from_u128(7).to_string()
}
