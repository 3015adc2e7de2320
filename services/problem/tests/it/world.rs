//! The server of one test, with helpers and assertions.

use std::fmt::Debug;
use std::time::Duration;

use access::Role;
use access::testing::{Issuer, bearer};
use bus::Bus;
use cache::Cache;
use db::testing::{Kind, PrintOnPanic, TestDb, kinds};
use futures_util::{StreamExt as _, stream};
use ids::{Clock, Uuid};
use problem::{Config, MIGRATIONS, Parts, Service};
use proto::google::api::HttpBody;
use proto::judge::judgement_service_server::JudgementServiceServer;
use proto::problem as pb;
use proto::problem::import_service_client::ImportServiceClient;
use proto::problem::judge_data_service_client::JudgeDataServiceClient;
use proto::problem::problem_service_client::ProblemServiceClient;
use rpc::{Channel, Local, PageKey, RootSecret, Stack, status};
use runtime::{Readiness, Shutdown, Tasks};
use tonic::{Code, Request, Response, Status};

use crate::judge::{self, FakePeers};
use crate::package::Files;

#[derive(Clone)]
pub struct User {
    pub id: Uuid,
    pub token: String,
}

/// A running problem service with its own database.
pub struct World {
    pub service: Service,
    pub db: TestDb,
    pub judge_db: TestDb,
    pub bus: Bus,
    pub channel: Channel,
    pub peers: FakePeers,
    pub issuer: Issuer,
    pub clock: Clock,
    pub shutdown: Shutdown,
    pub data: tempfile::TempDir,
    config: Config,
}

/// Runs a test on every kind of database.
pub async fn each<F, Fut>(test: F)
where
    F: Fn(World) -> Fut,
    Fut: Future<Output = ()>,
{
    for kind in kinds() {
        let _guard = PrintOnPanic(&kind);
        test(World::open(&kind, Config::default()).await).await;
    }
}

impl World {
    pub async fn open(kind: &Kind, config: Config) -> Self {
        let clock = Clock::manual(Clock::system().now());
        let db = kind.create_with(&MIGRATIONS, |options| options.clock = clock.clone()).await;
        let judge_db = kind.create_with(&judge::MIGRATIONS, |o| o.clock = clock.clone()).await;
        let data = tempfile::tempdir().unwrap();
        let (issuer, peers) = (Issuer::new(clock.clone()), FakePeers::default());
        let config = Config { watch_refresh_ms: 50, ..config };
        let parts = (db, judge_db, data, issuer, peers, clock);
        Self::start(config, parts).await
    }

    async fn start(
        config: Config,
        parts: (TestDb, TestDb, tempfile::TempDir, Issuer, FakePeers, Clock),
    ) -> Self {
        let (db, judge_db, data, issuer, peers, clock) = parts;
        let (local, shutdown) = (Local::new(), Shutdown::new());
        let channel: Channel = local.clone().into();
        let authorised = || issuer.credentials("problem").channel(channel.clone());
        let parts = Parts {
            db: db.db(),
            cache: Cache::memory(clock.clone()),
            clock: clock.clone(),
            page_key: PageKey::new(&RootSecret::from_bytes([7; 32])),
            data: data.path().to_owned(),
            auth: authorised(),
            judge: authorised(),
            shutdown: shutdown.clone(),
        };
        let service = Service::open(config.clone(), parts).await.unwrap();
        let services = service
            .services()
            .add(JudgementServiceServer::new(peers.clone()))
            .add(proto::auth::access_service_server::AccessServiceServer::new(peers.clone()));
        let (served, _) = Stack::new(proto::DESCRIPTOR_SET).build(services, &issuer.layer());
        local.set(served);
        let topics = vec![(problem::TOPICS, db.db()), (judge::TOPICS, judge_db.db())];
        let bus = Bus::embedded(topics).unwrap();
        let tasks = Tasks::new(shutdown.clone(), Readiness::default());
        service.workers(&bus, &tasks).unwrap();
        Self { service, db, judge_db, bus, channel, peers, issuer, clock, shutdown, data, config }
    }

    /// Restarts the service on the same data, as after a crash.
    pub async fn restart(self) -> Self {
        self.shutdown.begin();
        let (db, judge_db) = (self.db.reopen().await, self.judge_db.reopen().await);
        let parts = (db, judge_db, self.data, self.issuer, self.peers, self.clock);
        Self::start(self.config, parts).await
    }

    /// Starts the judge.
    pub fn judge(&self) {
        judge::run(&self.bus, &self.judge_db, self.judge_data(), &self.shutdown);
    }

    pub fn user(&self, name: &str, roles: &[Role]) -> User {
        let id = self.clock.new_id();
        User { id, token: self.issuer.user(id, name, roles) }
    }

    pub fn setter(&self) -> User {
        self.user("setter", &[Role::Setter])
    }

    pub fn problems(&self) -> ProblemServiceClient<Channel> {
        ProblemServiceClient::new(self.channel.clone())
    }

    pub fn imports(&self) -> ImportServiceClient<Channel> {
        ImportServiceClient::new(self.channel.clone())
    }

    pub fn judge_data(&self) -> judge::Client {
        JudgeDataServiceClient::new(self.issuer.credentials("judge").channel(self.channel.clone()))
    }

    pub async fn try_import(
        &self,
        user: &User,
        options: pb::ImportProblemRequest,
        bytes: &[u8],
    ) -> Result<pb::ProblemImport, Status> {
        let mut messages = vec![options];
        for chunk in bytes.chunks(1000) {
            let content = HttpBody { data: chunk.to_vec().into(), ..HttpBody::default() };
            let content = Some(content);
            messages.push(pb::ImportProblemRequest { content, ..Default::default() });
        }
        let request = bearer(&user.token, stream::iter(messages));
        let answer = self.imports().import_problem(request).await?;
        Ok(answer.into_inner().problem_import.expect("an import"))
    }

    pub async fn import(&self, user: &User, files: &Files, publish: bool) -> pb::ProblemImport {
        let options = pb::ImportProblemRequest { publish, ..Default::default() };
        self.try_import(user, options, &files.tar()).await.unwrap()
    }

    /// Imports a package and waits for the end of its verification.
    pub async fn verified(&self, user: &User, files: &Files, publish: bool) -> pb::ProblemImport {
        let import = self.import(user, files, publish).await;
        self.finished(user, &import.problem_import_id).await
    }

    /// Waits for the end of an import.
    pub async fn finished(&self, user: &User, id: &str) -> pb::ProblemImport {
        let request = pb::WatchProblemImportRequest { problem_import_id: id.to_owned() };
        let request = bearer(&user.token, request);
        let watched = self.imports().watch_problem_import(request).await.unwrap().into_inner();
        let last = watched.map(|message| message.unwrap()).collect::<Vec<_>>();
        let last =
            tokio::time::timeout(Duration::from_secs(60), last).await.expect("import must finish");
        last.into_iter().last().and_then(|message| message.problem_import).expect("an import")
    }

    pub async fn get(&self, token: Option<&str>, name: &str) -> Result<pb::Problem, Status> {
        let message = pb::GetProblemRequest { problem_id: name.to_owned() };
        let answer = self.problems().get_problem(request(token, message)).await?;
        Ok(answer.into_inner().problem.expect("a problem"))
    }

    pub async fn create(&self, user: &User, slug: &str) -> Result<pb::Problem, Status> {
        let problem = pb::Problem { slug: slug.into(), title: slug.into(), ..Default::default() };
        let message =
            pb::CreateProblemRequest { problem: Some(problem), request_id: String::new() };
        let answer = self.problems().create_problem(bearer(&user.token, message)).await?;
        Ok(answer.into_inner().problem.expect("a problem"))
    }
}

pub fn request<T>(token: Option<&str>, message: T) -> Request<T> {
    match token {
        Some(token) => bearer(token, message),
        None => Request::new(message),
    }
}

/// Asserts that the call failed with this code and reason.
#[track_caller]
pub fn fails_with<T: Debug>(result: Result<T, Status>, code: Code, reason: &str) -> Status {
    let status = result.expect_err("call must fail");
    assert_eq!(status.code(), code, "{status:?}");
    assert_eq!(status::reason(&status).as_deref(), Some(reason), "{status:?}");
    status
}

/// Asserts that the call failed with a violation of this field.
#[track_caller]
pub fn rejects_field<T: Debug>(result: Result<T, Status>, field: &str) {
    let status = result.expect_err("call must fail");
    assert_eq!(status.code(), Code::InvalidArgument, "{status:?}");
    let fields = status::fields(&status);
    assert!(fields.iter().any(|(name, _)| name == field), "{field} is not in {fields:?}");
}

/// Unwraps the message of a response.
pub fn inner<T>(answer: Result<Response<T>, Status>) -> Result<T, Status> {
    answer.map(Response::into_inner)
}
