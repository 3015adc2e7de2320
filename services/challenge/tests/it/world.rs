//! A challenge service with everything around it, in one process.

use std::time::Duration;

use access::Role;
use access::testing::{Issuer, bearer};
use bus::{Bus, Event, Topic};
use cache::Cache;
use challenge::{Challenge, Config, Parts};
use chrono::DateTime;
use db::testing::{Kind, PrintOnPanic, TestDb};
use ids::Clock;
use proto::challenge::submission_service_client::SubmissionServiceClient;
use proto::challenge::*;
use proto::event::JudgementCompleted;
use proto::judge::judgement_service_server::JudgementServiceServer;
use proto::judge::language_service_server::LanguageServiceServer;
use proto::problem::problem_service_server::ProblemServiceServer;
use rpc::{Channel, Local, PageKey, RootSecret, Services, Stack};
use runtime::{Readiness, Shutdown, Tasks};
use tonic::{Code, Status, Streaming};
use uuid::Uuid;

use crate::fakes::Fakes;

const JUDGE: db::Migrations = db::Migrations { service: "judge", files: &[] };

pub const JUDGEMENT: Topic = Topic::new("agon.judgement.v1", "judge")
    .key("submission_id")
    .types(&["agon.event.v1.JudgementCompleted"]);

/// Everything that one test needs.
pub struct World {
    pub db: TestDb,
    pub judge_db: TestDb,
    pub clock: Clock,
    pub config: Config,
    pub fakes: Fakes,
    pub running: Running,
}

/// One process.
pub struct Running {
    pub challenge: Challenge,
    pub cache: Cache,
    pub bus: Bus,
    pub tasks: Tasks,
    pub issuer: Issuer,
    pub client: SubmissionServiceClient<Channel>,
    pub channel: Channel,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.tasks.shutdown().begin();
    }
}

/// A person, and the token they hold.
#[derive(Clone)]
pub struct User {
    pub id: Uuid,
    pub token: String,
}

/// Runs a test on every database.
pub async fn each<Fut: Future<Output = ()>>(test: impl Fn(World) -> Fut) {
    each_with(Config::default(), test).await;
}

/// Runs a test on every database, with other settings.
pub async fn each_with<Fut: Future<Output = ()>>(config: Config, test: impl Fn(World) -> Fut) {
    for kind in db::testing::kinds() {
        let _guard = PrintOnPanic(&kind);
        test(World::open(&kind, config.clone()).await).await;
    }
}

impl World {
    async fn open(kind: &Kind, config: Config) -> Self {
        let start = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
        let clock = Clock::manual(start);
        let with_clock = |options: &mut db::Options| options.clock = clock.clone();
        let db = kind.create_with(&challenge::MIGRATIONS, with_clock).await;
        let judge_db = kind.create_with(&JUDGE, with_clock).await;
        let fakes = Fakes::default();
        fakes.offer(&["cpp20", "python3"]);
        fakes.problem("a-plus-b");
        let running = Running::start(&db, &judge_db, &clock, &config, &fakes);
        Self { db, judge_db, clock, config, fakes, running }
    }

    /// Ends the process and starts it again on the same data; old tokens are void.
    pub async fn restart(&mut self) {
        self.running.tasks.shutdown().begin();
        self.running.tasks.finish(Duration::from_secs(10)).await;
        self.running = self.another();
    }

    /// One more process on the same data, with live messages of its own.
    pub fn another(&self) -> Running {
        Running::start(&self.db, &self.judge_db, &self.clock, &self.config, &self.fakes)
    }

    pub fn user(&self, name: &str) -> User {
        self.with_roles(name, &[])
    }

    pub fn with_roles(&self, name: &str, roles: &[Role]) -> User {
        let mut bytes = [0; 16];
        bytes[..name.len()].copy_from_slice(name.as_bytes());
        let id = Uuid::from_bytes(bytes);
        User { id, token: self.running.issuer.user(id, name, roles) }
    }

    pub fn service(&self) -> User {
        User { id: Uuid::nil(), token: self.running.issuer.service("judge") }
    }

    pub fn client(&self) -> SubmissionServiceClient<Channel> {
        self.running.client.clone()
    }

    pub async fn create(
        &self,
        user: &User,
        request: CreateSubmissionRequest,
    ) -> Result<Submission, Status> {
        let answer = self.client().create_submission(bearer(&user.token, request)).await?;
        Ok(answer.into_inner().submission.unwrap())
    }

    /// Hands in a program that is fine.
    pub async fn submit(&self, user: &User) -> Submission {
        self.create(user, good()).await.unwrap()
    }

    pub async fn get(&self, user: &User, submission_id: &str) -> Result<Submission, Status> {
        let request = GetSubmissionRequest { submission_id: submission_id.into() };
        let answer = self.client().get_submission(bearer(&user.token, request)).await?;
        Ok(answer.into_inner().submission.unwrap())
    }

    pub async fn source(&self, user: &User, submission_id: &str) -> Result<String, Status> {
        let request = GetSubmissionSourceRequest { submission_id: submission_id.into() };
        let answer = self.client().get_submission_source(bearer(&user.token, request)).await?;
        Ok(answer.into_inner().source)
    }

    pub async fn list(
        &self,
        user: &User,
        request: ListSubmissionsRequest,
    ) -> Result<ListSubmissionsResponse, Status> {
        let answer = self.client().list_submissions(bearer(&user.token, request)).await?;
        Ok(answer.into_inner())
    }

    pub async fn watch(
        &self,
        user: &User,
        submission_id: &str,
    ) -> Result<Streaming<WatchSubmissionResponse>, Status> {
        let request = WatchSubmissionRequest { submission_id: submission_id.into() };
        let answer = self.client().watch_submission(bearer(&user.token, request)).await?;
        Ok(answer.into_inner())
    }

    /// Publishes a judgement, as the judge does.
    pub async fn publish(&self, judged: &JudgementCompleted) {
        let id: Uuid = judged.submission_id.parse().unwrap();
        let publish = self.judge_db.transact(|mut tx| async move {
            bus::outbox::append(&mut tx, Event::new(&JUDGEMENT, id, 1, judged));
            Ok::<_, db::Error>(())
        });
        publish.await.unwrap();
    }

    /// Waits until a submission has its verdict.
    pub async fn done(&self, user: &User, submission_id: &str) -> Submission {
        db::testing::eventually("the submission is done", || async {
            let submission = self.get(user, submission_id).await.unwrap();
            submission.state() == SubmissionState::Done
        })
        .await;
        self.get(user, submission_id).await.unwrap()
    }

    /// How many events of a type the service has published.
    pub async fn event_count(&self, type_name: &str) -> i64 {
        let sql = "SELECT COUNT(*) FROM event_log WHERE type = $1";
        let type_name = format!("agon.event.v1.{type_name}");
        self.db.query(sql).bind(type_name).fetch_scalar().await.unwrap()
    }
}

impl Running {
    fn start(db: &TestDb, judge: &TestDb, clock: &Clock, config: &Config, fakes: &Fakes) -> Self {
        let issuer = Issuer::new(clock.clone());
        let cache = Cache::memory(clock.clone());
        let bus = Bus::embedded(vec![
            (challenge::TOPICS, db.db()),
            (std::slice::from_ref(&JUDGEMENT), judge.db()),
        ]);
        let bus = bus.unwrap();
        let tasks = Tasks::new(Shutdown::new(), Readiness::default());
        let page_key = PageKey::new(&RootSecret::from_bytes([7; 32]));
        let local = Local::new();
        let channel = Channel::from(local.clone());
        let peer = issuer.credentials("challenge").channel(channel.clone());
        let parts = Parts {
            db: db.db(),
            cache: cache.clone(),
            clock: clock.clone(),
            page_key: page_key.clone(),
            auth: peer.clone(),
            problem: peer.clone(),
            judge: peer,
            shutdown: tasks.shutdown().clone(),
        };
        let challenge = Challenge::open(config.clone(), parts);
        challenge.workers(&bus, &tasks).unwrap();
        let services = Services::new()
            .merge(challenge.services())
            .add(bus::subscribe::server(bus.clone(), page_key))
            .add(ProblemServiceServer::new(fakes.clone()))
            .add(JudgementServiceServer::new(fakes.clone()))
            .add(LanguageServiceServer::new(fakes.clone()));
        let (served, _health) = Stack::new(proto::DESCRIPTOR_SET).build(services, &issuer.layer());
        local.set(served);
        let client = SubmissionServiceClient::new(channel.clone());
        Self { challenge, cache, bus, tasks, issuer, client, channel }
    }
}

/// A program that is fine.
pub fn good() -> CreateSubmissionRequest {
    CreateSubmissionRequest {
        problem_id: "a-plus-b".into(),
        language: "cpp20".into(),
        source: "int main() {}".into(),
        request_id: String::new(),
    }
}

/// Asserts the code and the reason of a refusal.
#[track_caller]
pub fn refused<T: std::fmt::Debug>(result: Result<T, Status>, code: Code, reason: &str) -> Status {
    let status = result.unwrap_err();
    let got = (status.code(), rpc::status::reason(&status).unwrap_or_default());
    assert_eq!(got, (code, reason.to_owned()), "{status:?}");
    status
}

/// Asserts which fields a refusal names.
#[track_caller]
pub fn invalid<T: std::fmt::Debug>(result: Result<T, Status>, fields: &[&str]) {
    let status = refused(result, Code::InvalidArgument, rpc::status::INVALID_FIELD);
    let named: Vec<String> = rpc::status::fields(&status).into_iter().map(|(f, _)| f).collect();
    assert_eq!(named, fields, "{status:?}");
}
