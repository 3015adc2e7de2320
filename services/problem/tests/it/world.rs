//! The server of one test, with helpers and assertions.

use std::fmt::Debug;
use std::ops::Deref;
use std::time::Duration;

use access::testing::bearer;
use access::{Authorised, Credentials, Role};
use db::testing::{Kind, PrintOnPanic, kinds};
use futures_util::{StreamExt as _, stream};
use ids::Uuid;
use problem::{Config, Problems};
use proto::google::api::HttpBody;
use proto::problem as pb;
use proto::problem::import_service_client::ImportServiceClient;
use proto::problem::judge_data_service_client::JudgeDataServiceClient;
use proto::problem::problem_service_client::ProblemServiceClient;
use rpc::{Channel, status};
use service::testing::{self, Setup};
use tonic::{Code, Request, Response, Status};

pub use service::testing::assert_refused;

use crate::judge::{self, FakePeers};
use crate::package::Files;

#[derive(Clone)]
pub struct User {
    pub id: Uuid,
    pub token: String,
}

/// A running problem service with its own database.
pub struct World {
    base: testing::World<Problems>,
    pub peers: FakePeers,
}

impl Deref for World {
    type Target = testing::World<Problems>;

    fn deref(&self) -> &Self::Target {
        &self.base
    }
}

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
        let peers = FakePeers::default();
        let services = peers.clone();
        let config = Config { watch_refresh_ms: 50, ..config };
        let setup = Setup::<Problems>::new(config).topics(judge::TOPICS);
        let base = setup.peers(move || services.services()).open(kind).await;
        Self { base, peers }
    }

    /// Restarts the service on the same data, as after a crash.
    pub async fn restart(mut self) -> Self {
        self.base.restart().await;
        self
    }

    pub fn judge(&self) {
        let shutdown = self.running.tasks.shutdown();
        judge::run(&self.running.bus, &self.logs["judge"], self.judge_data(), shutdown);
    }

    pub fn user(&self, name: &str, roles: &[Role]) -> User {
        let id = self.clock().new_id();
        User { id, token: self.running.issuer.user(id, name, roles) }
    }

    pub fn setter(&self) -> User {
        self.user("setter", &[Role::Setter])
    }

    pub fn problems(&self) -> ProblemServiceClient<Channel> {
        ProblemServiceClient::new(self.running.channel.clone())
    }

    /// A client whose calls carry the user's token.
    pub fn problems_of(&self, user: &User) -> ProblemServiceClient<Authorised> {
        ProblemServiceClient::new(self.signed_in(user))
    }

    pub fn imports(&self) -> ImportServiceClient<Channel> {
        ImportServiceClient::new(self.running.channel.clone())
    }

    /// A client whose calls carry the user's token.
    pub fn imports_of(&self, user: &User) -> ImportServiceClient<Authorised> {
        ImportServiceClient::new(self.signed_in(user))
    }

    fn signed_in(&self, user: &User) -> Authorised {
        Credentials::fixed(&user.token).channel(self.running.channel.clone())
    }

    pub fn judge_data(&self) -> judge::Client {
        JudgeDataServiceClient::new(
            self.running.issuer.credentials("judge").channel(self.running.channel.clone()),
        )
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
        let answer = self.imports_of(user).import_problem(stream::iter(messages)).await?;
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

    pub async fn finished(&self, user: &User, id: &str) -> pb::ProblemImport {
        let request = pb::WatchProblemImportRequest { problem_import_id: id.to_owned() };
        let watched = self.imports_of(user).watch_problem_import(request).await;
        let watched = watched.unwrap().into_inner();
        let last = watched.map(|message| message.unwrap()).collect::<Vec<_>>();
        let last =
            tokio::time::timeout(Duration::from_secs(60), last).await.expect("import must finish");
        last.into_iter().last().and_then(|message| message.problem_import).expect("an import")
    }

    /// Downloads an attachment.
    pub async fn attachment(
        &self,
        user: &User,
        problem: &str,
        name: &str,
    ) -> Result<Vec<u8>, Status> {
        let message =
            pb::DownloadAttachmentRequest { problem_id: problem.into(), name: name.into() };
        let mut bodies = self.problems_of(user).download_attachment(message).await?.into_inner();
        let mut bytes = Vec::new();
        while let Some(body) = bodies.message().await? {
            bytes.extend_from_slice(&body.data);
        }
        Ok(bytes)
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
        let answer = self.problems_of(user).create_problem(message).await?;
        Ok(answer.into_inner().problem.expect("a problem"))
    }
}

pub fn request<T>(token: Option<&str>, message: T) -> Request<T> {
    match token {
        Some(token) => bearer(token, message),
        None => Request::new(message),
    }
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
