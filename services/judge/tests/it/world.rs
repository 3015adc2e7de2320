//! The test fixture: a judge with fake peer services.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use access::Authorised;
use access::testing::{Issuer, bearer};
use bus::{Bus, Event, Topic};
use cache::Cache;
use cache::testing::Backend;
use db::Synchronous;
use db::testing::{Kind, TestDb};
use ids::{Clock, Uuid};
use judge::{Config, Judge, Parts, Worker, worker};
use prost::{Message, Name};
use proto::challenge::submission_service_server::SubmissionServiceServer;
use proto::event::{JudgementCompleted, SubmissionCreated, VerificationRequested};
use proto::judge::get_judgement_request::Subject;
use proto::judge::judgement_service_client::JudgementServiceClient;
use proto::judge::worker_service_client::WorkerServiceClient;
use proto::judge::{GetJudgementRequest, Judgement, JudgementState};
use proto::problem as pb;
use proto::problem::judge_data_service_server::JudgeDataServiceServer;
use rpc::{Channel, Local, Services, Stack};
use runtime::Tasks;
use tempfile::TempDir;
use tonic::Status;

use crate::fakes::Fakes;

const SUBMISSION: Topic = Topic::new("agon.submission.v1", "challenge")
    .key("submission_id")
    .types(&["agon.event.v1.SubmissionCreated"]);
const VERIFICATION: Topic = Topic::new("agon.verification.v1", "problem")
    .key("verification_id")
    .types(&["agon.event.v1.VerificationRequested"]);

/// A judge with its databases, peers and background tasks.
pub struct World {
    /// Serialises the worlds with a worker.
    alone: Option<tokio::sync::OwnedMutexGuard<()>>,
    pub fakes: Fakes,
    pub issuer: Issuer,
    pub channel: Channel,
    pub clock: Clock,
    pub cache: Cache,
    pub db: TestDb,
    logs: [TestDb; 2],
    tasks: Tasks,
    directory: TempDir,
    config: Config,
    role: Role,
    backend: Backend,
}

/// What the process does besides serving the queue.
#[derive(Clone, Copy, PartialEq)]
enum Role {
    /// It consumes events.
    Queue,
    /// Another instance consumes events.
    OnlyQueue,
    /// It consumes events and runs a worker.
    Judge,
}

/// The data of a problem.
pub struct Problem<'a> {
    pub time: Duration,
    pub memory_mib: i64,
    pub output: i64,
    pub checker: pb::Checker,
    /// Input, answer, and whether it is a sample.
    pub tests: Vec<(&'a str, &'a str, bool)>,
}

impl Default for Problem<'_> {
    fn default() -> Self {
        Problem {
            time: Duration::from_secs(1),
            memory_mib: 256,
            output: 8 << 20,
            checker: pb::Checker::default(),
            tests: vec![("1 2\n", "3\n", true), ("5 7\n", "12\n", false), ("-1 1\n", "0\n", false)],
        }
    }
}

fn events_of(service: &'static str) -> db::Migrations {
    db::Migrations { service, files: &[] }
}

impl World {
    /// A judge without a worker, with a manual clock.
    pub async fn queue_only(kind: &Kind) -> World {
        World::queue_in(kind, Backend::Memory).await
    }

    /// The same with a given cache backend.
    pub async fn queue_in(kind: &Kind, backend: Backend) -> World {
        let clock = Clock::manual(Clock::system().now());
        World::new(kind, Config::default(), clock, Synchronous::Off, Role::Queue, backend).await
    }

    /// Another instance of the queue on the same database and cache, which does not consume events.
    pub async fn beside(&self) -> World {
        let (db, cache) = match &self.backend {
            Backend::Memory => (self.db.clone(), self.cache.clone()),
            backend => (self.db.reopen().await, backend.cache().await),
        };
        let mut world = World {
            alone: None,
            fakes: self.fakes.clone(),
            issuer: Issuer::new(self.clock.clone()),
            channel: Channel::Local(Local::new()),
            clock: self.clock.clone(),
            cache,
            db,
            logs: self.logs.clone(),
            tasks: Tasks::default(),
            directory: tempfile::tempdir().unwrap(),
            config: self.config.clone(),
            role: Role::OnlyQueue,
            backend: self.backend.clone(),
        };
        world.start().await;
        world
    }

    /// A judge with a worker.
    pub async fn judging(config: Config) -> World {
        // One at a time, because verdicts depend on CPU time.
        static ALONE: std::sync::LazyLock<std::sync::Arc<tokio::sync::Mutex<()>>> =
            std::sync::LazyLock::new(std::sync::Arc::default);
        let alone = ALONE.clone().lock_owned().await;
        let (clock, disk) = (Clock::system(), Synchronous::Full);
        let mut world =
            World::new(&Kind::Sqlite, config, clock, disk, Role::Judge, Backend::Memory).await;
        world.alone = Some(alone);
        world
    }

    async fn new(
        kind: &Kind,
        config: Config,
        clock: Clock,
        disk: Synchronous,
        role: Role,
        backend: Backend,
    ) -> World {
        if let Ok(filter) = std::env::var("AGON_TEST_LOG") {
            runtime::logs::install(runtime::logs::Format::Pretty, &filter).unwrap();
        }
        let create = async |migrations: &db::Migrations| {
            let adjust = |options: &mut db::Options| {
                options.clock = clock.clone();
                options.synchronous = disk;
            };
            kind.create_with(migrations, adjust).await
        };
        let db = create(&judge::MIGRATIONS).await;
        let logs = [create(&events_of("challenge")).await, create(&events_of("problem")).await];
        let directory = tempfile::tempdir().unwrap();
        // Share the directory, so that languages are tested and headers precompiled once for all tests.
        let shared = Path::new(env!("CARGO_TARGET_TMPDIR")).join("languages");
        std::fs::create_dir_all(&shared).unwrap();
        std::os::unix::fs::symlink(&shared, directory.path().join("languages")).unwrap();
        let cache = match &backend {
            Backend::Memory => Cache::memory(clock.clone()),
            backend => backend.cache().await,
        };
        let issuer = Issuer::new(clock.clone());
        let fakes = Fakes::default();
        let channel = Channel::Local(Local::new());
        let tasks = Tasks::default();
        let mut world = World {
            alone: None,
            fakes,
            issuer,
            channel,
            clock,
            cache,
            db,
            logs,
            tasks,
            directory,
            config,
            role,
            backend,
        };
        world.start().await;
        world
    }

    async fn start(&mut self) {
        let local = Local::new();
        self.channel = Channel::Local(local.clone());
        self.tasks = Tasks::default();
        let parts = Parts { db: self.db.db(), cache: self.cache.clone() };
        let judge = Judge::open(self.config.clone(), parts).unwrap();
        let services = Services::new()
            .add(SubmissionServiceServer::new(self.fakes.clone()))
            .add(JudgeDataServiceServer::new(self.fakes.clone()))
            .merge(judge.services());
        let stack = Stack::new(proto::DESCRIPTOR_SET);
        let (served, _health) = stack.build(services, &self.issuer.layer());
        local.set(served);
        let bus = Bus::embedded(vec![
            (judge::TOPICS, self.db.db()),
            (&[SUBMISSION], self.logs[0].db()),
            (&[VERIFICATION], self.logs[1].db()),
        ]);
        match self.role {
            Role::OnlyQueue => judge.dispatch(&self.tasks),
            Role::Queue | Role::Judge => judge.workers(&bus.unwrap(), &self.tasks).unwrap(),
        }
        if self.role == Role::Judge {
            self.worker().start(&self.tasks);
        }
    }

    fn worker(&self) -> Worker {
        let directory = self.directory();
        let parts = worker::Parts {
            name: worker::name("test", &directory, &self.clock).unwrap(),
            directory,
            problem: self.as_service(),
            challenge: self.as_service(),
            judge: self.as_service(),
            sandbox: sandbox::testing::config(),
        };
        Worker::open(self.config.clone(), parts).unwrap()
    }

    /// Stops the background tasks and starts the judge again on the same data.
    pub async fn restart(&mut self) {
        self.tasks.shutdown().begin();
        self.tasks.finish(Duration::from_secs(10)).await;
        self.start().await;
    }

    pub fn directory(&self) -> PathBuf {
        self.directory.path().to_path_buf()
    }

    pub fn as_service(&self) -> Authorised {
        self.issuer.credentials("judge").channel(self.channel.clone())
    }

    pub fn token(&self) -> String {
        self.issuer.service("challenge")
    }

    pub fn workers(&self) -> WorkerServiceClient<Authorised> {
        WorkerServiceClient::new(self.as_service())
    }

    /// Adds a problem. Returns its id.
    pub fn problem(&self, problem: &Problem<'_>) -> String {
        let id = Clock::system().new_id().to_string();
        let tests = problem.tests.iter().enumerate().map(|(index, (input, answer, sample))| {
            pb::JudgeTest {
                index: index as i32,
                name: format!("{index}"),
                input: Some(self.fakes.object(*input)),
                answer: Some(self.fakes.object(*answer)),
                sample: *sample,
                checker: None,
            }
        });
        self.fakes.version(pb::JudgeData {
            problem_id: id.clone(),
            version: 1,
            limits: Some(pb::Limits {
                time_limit: problem.time.try_into().ok(),
                memory_limit_bytes: problem.memory_mib << 20,
                output_limit_bytes: problem.output,
                ..pb::Limits::default()
            }),
            checker: Some(problem.checker),
            tests: tests.collect(),
        });
        id
    }

    /// Submits a program for judging. Returns the submission id.
    pub async fn submit(&self, problem: &str, language: &str, source: &str) -> Uuid {
        let id = Clock::system().new_id();
        self.fakes.source(&id.to_string(), language, source);
        self.created(id, problem, language, Clock::system().new_id()).await;
        id
    }

    /// Publishes the event of a new submission.
    pub async fn created(&self, id: Uuid, problem: &str, language: &str, user: Uuid) {
        let event = SubmissionCreated {
            submission_id: id.to_string(),
            problem_id: problem.to_owned(),
            problem_version: 1,
            user_id: user.to_string(),
            language: language.to_owned(),
        };
        publish(&self.logs[0], &SUBMISSION, id, &event).await;
    }

    /// Requests a check of an import and waits for its judgement.
    pub async fn verify(&self, verification: pb::Verification) -> Judgement {
        let id = Clock::system().new_id();
        let problem_id = match verification.problem_id.as_str() {
            "" => Clock::system().new_id().to_string(),
            id => id.to_owned(),
        };
        let verification = pb::Verification {
            verification_id: id.to_string(),
            problem_id: problem_id.clone(),
            version: 1,
            ..verification
        };
        self.fakes.verification(verification);
        let event = VerificationRequested {
            verification_id: id.to_string(),
            problem_id,
            version: 1,
            language: String::new(),
        };
        publish(&self.logs[1], &VERIFICATION, id, &event).await;
        self.done(Subject::VerificationId(id.to_string())).await
    }

    /// Submits a program and waits for its judgement.
    pub async fn judge(&self, problem: &str, language: &str, source: &str) -> Judgement {
        let id = self.submit(problem, language, source).await;
        self.verdict(id).await
    }

    pub async fn verdict(&self, submission: Uuid) -> Judgement {
        self.done(Subject::SubmissionId(submission.to_string())).await
    }

    pub async fn get(&self, subject: Subject) -> Result<Judgement, Status> {
        let request = GetJudgementRequest { subject: Some(subject) };
        let mut client = JudgementServiceClient::new(self.channel.clone());
        let answer = client.get_judgement(bearer(&self.token(), request)).await?;
        Ok(answer.into_inner().judgement.unwrap())
    }

    pub async fn submission(&self, id: Uuid) -> Result<Judgement, Status> {
        self.get(Subject::SubmissionId(id.to_string())).await
    }

    async fn done(&self, subject: Subject) -> Judgement {
        let deadline = Instant::now() + Duration::from_secs(120);
        loop {
            let found = self.get(subject.clone()).await;
            if let Ok(judgement) = &found
                && judgement.state() == JudgementState::Done
            {
                return found.unwrap();
            }
            assert!(Instant::now() < deadline, "{subject:?} is not judged in time: {found:?}");
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    /// The published events, in order.
    pub async fn published(&self) -> Vec<JudgementCompleted> {
        let query = "SELECT data FROM event_log WHERE topic = 'agon.judgement.v1' ORDER BY id";
        let rows: Vec<(Vec<u8>,)> = self.db.query(query).fetch_all().await.unwrap();
        rows.iter().map(|(data,)| JudgementCompleted::decode(data.as_slice()).unwrap()).collect()
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.tasks.shutdown().begin();
    }
}

async fn publish<M: Message + Name>(log: &TestDb, topic: &Topic, key: Uuid, event: &M) {
    let mut tx = log.begin().await.unwrap();
    bus::outbox::append(&mut tx, Event::new(topic, key, 1, event));
    tx.commit().await.unwrap();
}
