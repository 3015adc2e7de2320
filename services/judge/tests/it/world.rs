//! The test fixture: a judge with fake peer services.

use std::ops::Deref;
use std::path::Path;
use std::time::{Duration, Instant};

use access::Authorised;
use access::testing::bearer;
use bus::Topic;
use cache::Cache;
use cache::testing::Backend;
use db::Synchronous;
use db::testing::Kind;
use ids::{Clock, Uuid};
use judge::{Config, Judge, Worker, worker};
use prost::Message;
use proto::event::{
    JudgementCompleted, SubmissionCreated, VerificationCanceled, VerificationRequested,
};
use proto::judge::get_judgement_request::Subject;
use proto::judge::judgement_service_client::JudgementServiceClient;
use proto::judge::language_service_client::LanguageServiceClient;
use proto::judge::worker_service_client::WorkerServiceClient;
use proto::judge::{
    GetJudgementRequest, Judgement, JudgementState, Language, ListLanguagesRequest,
    ListWorkersRequest,
};
use proto::problem as pb;
use service::testing::{self, Running, Setup};
use tonic::Status;

use crate::fakes::Fakes;

const SUBMISSION: Topic = Topic::new("agon.submission.v1", "challenge")
    .key("submission_id")
    .types(&["agon.event.v1.SubmissionCreated"]);
const VERIFICATION: Topic = Topic::new("agon.verification.v1", "problem")
    .key("verification_id")
    .types(&["agon.event.v1.VerificationRequested", "agon.event.v1.VerificationCanceled"]);

/// A judge with its databases, peers and background tasks.
pub struct World {
    /// Serialises the worlds with a worker.
    alone: Option<tokio::sync::OwnedMutexGuard<()>>,
    pub fakes: Fakes,
    base: testing::World<Judge>,
    role: Role,
    backend: Backend,
}

impl Deref for World {
    type Target = testing::World<Judge>;

    fn deref(&self) -> &Self::Target {
        &self.base
    }
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

pub struct Problem<'a> {
    pub time: Duration,
    pub memory_mib: i64,
    pub output: i64,
    pub checker: pb::Checker,
    pub file_writing: bool,
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
            file_writing: false,
            tests: vec![("1 2\n", "3\n", true), ("5 7\n", "12\n", false), ("-1 1\n", "0\n", false)],
        }
    }
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
            Backend::Memory => (self.db.clone(), self.running.cache.clone()),
            backend => (self.db.reopen().await, backend.cache().await),
        };
        let base = self.base.beside(self.setup.clone().cache(cache).idle(), db).await;
        let (fakes, backend) = (self.fakes.clone(), self.backend.clone());
        let world = World { alone: None, fakes, base, role: Role::OnlyQueue, backend };
        world.start_role();
        world
    }

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
            runtime::logs::install(runtime::logs::Format::Pretty, &filter, None).unwrap();
        }
        let cache = match &backend {
            Backend::Memory => Cache::memory(clock.clone()),
            backend => backend.cache().await,
        };
        let fakes = Fakes::default();
        let services = fakes.clone();
        let setup = Setup::<Judge>::new(config)
            .clock(clock)
            .topics(&[SUBMISSION, VERIFICATION])
            .cache(cache)
            .database(move |options| options.synchronous = disk)
            .peers(move || services.services());
        let base = setup.open(kind).await;
        // Share the directory, so that languages are tested and headers precompiled once for all tests.
        let shared = Path::new(env!("CARGO_TARGET_TMPDIR")).join("languages");
        std::fs::create_dir_all(&shared).unwrap();
        std::os::unix::fs::symlink(&shared, base.data_dir().join("languages")).unwrap();
        let world = World { alone: None, fakes, base, role, backend };
        world.start_role();
        world
    }

    /// Starts what the service does not start by itself.
    fn start_role(&self) {
        let Running { service, tasks, .. } = &self.base.running;
        match self.role {
            Role::Queue => {}
            Role::OnlyQueue => service.dispatch(tasks),
            Role::Judge => self.worker().start(tasks),
        }
    }

    fn worker(&self) -> Worker {
        let directory = self.data_dir();
        let parts = worker::Parts {
            name: worker::name("test", &directory, self.clock()).unwrap(),
            directory,
            problem: self.as_service(),
            challenge: self.as_service(),
            judge: self.as_service(),
            sandbox: sandbox::testing::config(),
        };
        Worker::open(self.setup.config.clone(), parts).unwrap()
    }

    /// Stops the background tasks and starts the judge again on the same data.
    pub async fn restart(&mut self) {
        self.base.restart().await;
        self.start_role();
    }

    pub fn as_service(&self) -> Authorised {
        self.running.issuer.credentials("judge").channel(self.running.channel.clone())
    }

    pub fn token(&self) -> String {
        self.running.issuer.service("challenge")
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
                file_writing: problem.file_writing,
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
            ..SubmissionCreated::default()
        };
        self.base.publish(&SUBMISSION, id, &event).await;
    }

    /// Requests a check of an import and waits for its judgement.
    pub async fn verify(&self, verification: pb::Verification) -> Judgement {
        let id = self.start_verification(verification).await;
        self.verified(id).await
    }

    pub async fn verified(&self, verification: Uuid) -> Judgement {
        self.done(Subject::VerificationId(verification.to_string())).await
    }

    pub async fn verification(&self, id: Uuid) -> Result<Judgement, Status> {
        self.get(Subject::VerificationId(id.to_string())).await
    }

    /// Publishes the event of a check of an import. Returns its id.
    pub async fn request_verification(&self, problem: Uuid) -> Uuid {
        let id = Clock::system().new_id();
        let event = VerificationRequested {
            verification_id: id.to_string(),
            problem_id: problem.to_string(),
            version: 1,
            language: String::new(),
        };
        self.base.publish(&VERIFICATION, id, &event).await;
        id
    }

    pub async fn cancel_verification(&self, id: Uuid) {
        let event = VerificationCanceled { verification_id: id.to_string() };
        self.base.publish(&VERIFICATION, id, &event).await;
    }

    /// Requests a check of an import. Returns its id.
    pub async fn start_verification(&self, verification: pb::Verification) -> Uuid {
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
        self.base.publish(&VERIFICATION, id, &event).await;
        id
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
        let mut client = JudgementServiceClient::new(self.running.channel.clone());
        let answer = client.get_judgement(bearer(&self.token(), request)).await?;
        Ok(answer.into_inner().judgement.unwrap())
    }

    pub async fn submission(&self, id: Uuid) -> Result<Judgement, Status> {
        self.get(Subject::SubmissionId(id.to_string())).await
    }

    async fn done(&self, subject: Subject) -> Judgement {
        self.get_when(subject, |judgement| judgement.state() == JudgementState::Done).await
    }

    /// Waits until the judgement of a verification meets a condition.
    pub async fn until(&self, verification: Uuid, condition: impl Fn(&Judgement) -> bool) {
        self.get_when(Subject::VerificationId(verification.to_string()), condition).await;
    }

    async fn get_when(
        &self,
        subject: Subject,
        condition: impl Fn(&Judgement) -> bool,
    ) -> Judgement {
        let deadline = Instant::now() + Duration::from_secs(120);
        loop {
            let found = self.get(subject.clone()).await;
            match &found {
                Ok(judgement) if condition(judgement) => return judgement.clone(),
                _ => {}
            }
            assert!(Instant::now() < deadline, "{subject:?} is not judged in time: {found:?}");
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    pub async fn listed_workers(&self) -> Vec<(String, i32)> {
        let token =
            self.running.issuer.user(Clock::system().new_id(), "ada", &[access::Role::Judge]);
        let mut client = JudgementServiceClient::new(self.running.channel.clone());
        let answer = client.list_workers(bearer(&token, ListWorkersRequest {})).await.unwrap();
        let workers = answer.into_inner().workers;
        workers.into_iter().map(|worker| (worker.worker_id, worker.busy_count)).collect()
    }

    pub async fn languages(&self) -> Vec<Language> {
        let mut client = LanguageServiceClient::new(self.running.channel.clone());
        client.list_languages(ListLanguagesRequest {}).await.unwrap().into_inner().languages
    }

    pub async fn listed_languages(&self) -> Vec<String> {
        self.languages().await.into_iter().map(|language| language.language_id).collect()
    }

    pub async fn published(&self) -> Vec<JudgementCompleted> {
        let query = "SELECT data FROM event_log WHERE topic = 'agon.judgement.v1' ORDER BY id";
        let rows: Vec<(Vec<u8>,)> = self.db.query(query).fetch_all().await.unwrap();
        rows.iter().map(|(data,)| JudgementCompleted::decode(data.as_slice()).unwrap()).collect()
    }
}
