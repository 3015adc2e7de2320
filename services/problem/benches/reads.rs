//! CPU time of the server for a GetProblem, and for a page of 50 problems, over gRPC on loopback; compared with a
//! server that has the same messages in memory: `cargo bench -p problem --bench reads`.
//!
//! Measured three times: when nothing is written; when something was written before each read, so that only the states
//! of the problems are known; and with the state of one problem changed before each read.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use access::{Layer, Policy, Verifier};
use db::testing::{Kind, TestDb};
use futures_util::Stream;
use ids::{Clock, Uuid};
use problem::{Config, Problems};
use proto::google::api::HttpBody;
use proto::problem as pb;
use proto::problem::problem_service_client::ProblemServiceClient;
use proto::problem::problem_service_server::{ProblemService, ProblemServiceServer};
use rpc::{Channel, Services, Stack};
use service::Service as _;
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};
use tonic::{Request, Response, Status};

const PROBLEMS: u128 = 60;
const CALLS: u32 = 1000;
const ROUNDS: usize = 7;

type Client = ProblemServiceClient<Channel>;

/// A server with the messages of another one in memory.
#[derive(Clone)]
struct InMemory(Arc<(pb::GetProblemResponse, pb::ListProblemsResponse)>);

#[tonic::async_trait]
impl ProblemService for InMemory {
    async fn get_problem(
        &self,
        _: Request<pb::GetProblemRequest>,
    ) -> Result<Response<pb::GetProblemResponse>, Status> {
        Ok(Response::new(self.0.0.clone()))
    }

    async fn list_problems(
        &self,
        _: Request<pb::ListProblemsRequest>,
    ) -> Result<Response<pb::ListProblemsResponse>, Status> {
        Ok(Response::new(self.0.1.clone()))
    }

    type DownloadAttachmentStream = Pin<Box<dyn Stream<Item = Result<HttpBody, Status>> + Send>>;

    async fn download_attachment(
        &self,
        _: Request<pb::DownloadAttachmentRequest>,
    ) -> Result<Response<Self::DownloadAttachmentStream>, Status> {
        Err(Status::unimplemented("not measured"))
    }

    service::unimplemented_rpcs! {
        create_problem(pb::CreateProblemRequest) -> pb::CreateProblemResponse;
        update_problem(pb::UpdateProblemRequest) -> pb::UpdateProblemResponse;
        delete_problem(pb::DeleteProblemRequest) -> pb::DeleteProblemResponse;
        undelete_problem(pb::UndeleteProblemRequest) -> pb::UndeleteProblemResponse;
        publish_problem(pb::PublishProblemRequest) -> pb::PublishProblemResponse;
        list_problem_versions(pb::ListProblemVersionsRequest) -> pb::ListProblemVersionsResponse;
        get_problem_version(pb::GetProblemVersionRequest) -> pb::GetProblemVersionResponse;
        get_statement(pb::GetStatementRequest) -> pb::GetStatementResponse;
    }
}

async fn serve(services: Services) -> Client {
    let layer = Layer::new(Policy::of_agon(), Verifier::local(Clock::system()));
    let (served, health) = Stack::new(proto::DESCRIPTOR_SET).build(services, &layer);
    health.serving().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let tasks = runtime::Tasks::default();
    let shutdown = tasks.shutdown().wait();
    tasks.spawn("server", async move {
        rpc::serve(listener, served, rpc::Limits::default(), None, shutdown).await;
    });
    ProblemServiceClient::new(Channel::connect(&url).expect("a URL"))
}

/// A service with published problems.
async fn problems() -> (Client, TestDb) {
    let db = Kind::Sqlite.create(&Problems::DESCRIPTOR.migrations).await;
    fill(&db).await;
    let directory = tempfile::tempdir().expect("a directory").keep();
    let cache = cache::Cache::memory(Clock::system());
    let peer = |name: &&'static str| {
        let channel = Channel::connect("http://127.0.0.1:1").expect("a URL");
        (*name, access::Credentials::fixed("none").channel(channel))
    };
    let context = service::Context {
        peers: service::Peers::new(Problems::DESCRIPTOR.calls.iter().map(peer)),
        data_dir: directory,
        ..service::testing::context(db.db(), cache)
    };
    let service = Problems::open(Config::default(), context).await.expect("opening the service");
    (serve(service.routes()).await, db)
}

async fn fill(db: &TestDb) {
    let now = db.clock().now();
    let limits = serde_json::to_value(package::Limits::default()).expect("JSON");
    let summary = serde_json::json!({
        "limits": limits,
        "languages": ["en", "de"],
        "attachments": [{
            "name": "problem.en.pdf",
            "content_type": "application/pdf",
            "object": { "digest": "0".repeat(64), "size": 100_000 },
        }],
    });
    let summary = summary.to_string();
    let mut tx = db.begin().await.expect("a transaction");
    for number in 1..=PROBLEMS {
        let (id, slug) = (Uuid::from_u128(number), format!("problem-{number:03}"));
        let problem = tx.query(
            "INSERT INTO problems (id, slug, title, owner_id, created_at, updated_at, search, visibility,
               tags, difficulty, authors, published_version, last_version, version)
             VALUES ($1, $2, $3, $4, $5, $5, '', 'public', '[\"graphs\",\"trees\"]', 1500,
               '[\"Ada Lovelace\"]', 1, 1, 3)",
        );
        let title = format!("The problem with the number {number}");
        problem.bind_all((id, slug, title, id, now)).execute().await.expect("a problem");
        let version = tx.query(
            "INSERT INTO versions (problem_id, version, state, time_limit_us, manifest, summary, digest,
               import_id, test_count, sample_count, created_at)
             VALUES ($1, 1, 'verified', 1000000, '', $2, '', $1, 20, 2, $3)",
        );
        version.bind_all((id, summary.clone(), now)).execute().await.expect("a version");
    }
    tx.commit().await.expect("a commit");
}

/// What happens before each read.
#[derive(Clone, Copy)]
enum Before {
    Nothing,
    /// A write to another table.
    Write,
    /// A change of one problem.
    Change,
}

async fn before(db: &TestDb, before: Before) {
    let sql = match before {
        Before::Nothing => return,
        Before::Write => "UPDATE leases SET fence = fence",
        Before::Change => "UPDATE problems SET version = version + 1 WHERE slug = 'problem-001'",
    };
    db.execute(|tx| tx.query(sql)).await.expect("a write");
}

async fn get(client: &Client) -> pb::GetProblemResponse {
    let request = pb::GetProblemRequest { problem_id: "problem-001".into() };
    client.clone().get_problem(request).await.expect("a problem").into_inner()
}

async fn list(client: &Client) -> pb::ListProblemsResponse {
    let request = pb::ListProblemsRequest::default();
    client.clone().list_problems(request).await.expect("a list").into_inner()
}

/// The median CPU time of all threads but this one for a call.
async fn cost(call: impl AsyncFn()) -> Duration {
    let mut times = Vec::new();
    for _ in 0..ROUNDS {
        let before = cpu();
        for _ in 0..CALLS {
            call().await;
        }
        times.push((cpu() - before) / CALLS);
    }
    times.sort();
    times[ROUNDS / 2]
}

fn cpu() -> Duration {
    let own = std::process::id().to_string();
    let tasks = std::fs::read_dir("/proc/self/task").expect("the threads of the process");
    let times = tasks.filter_map(|task| {
        let task = task.ok().filter(|task| *task.file_name() != *own)?;
        let text = std::fs::read_to_string(task.path().join("schedstat")).ok()?;
        text.split(' ').next()?.parse::<u64>().ok()
    });
    Duration::from_nanos(times.sum())
}

fn main() {
    let server = Runtime::new().expect("a runtime");
    let client = Builder::new_current_thread().enable_all().build().expect("a runtime");
    let (problems, db) = server.block_on(problems());
    let messages = client.block_on(async { (get(&problems).await, list(&problems).await) });
    assert_eq!(messages.1.problems.len(), 50);
    let in_memory = ProblemServiceServer::new(InMemory(Arc::new(messages)));
    let in_memory = server.block_on(serve(Services::new().add(in_memory)));
    client.block_on(async {
        let (one, page) = (
            cost(async || drop(get(&in_memory).await)),
            cost(async || drop(list(&in_memory).await)),
        );
        println!(
            "{:34} GetProblem {:>7.1?}, 50 problems {:>7.1?}",
            "from memory",
            one.await,
            page.await
        );
        for (name, write) in [
            ("nothing written", Before::Nothing),
            ("after a write", Before::Write),
            ("after a change of a problem", Before::Change),
        ] {
            // Without the cost of the write itself.
            let writes = cost(async || before(&db, write).await).await;
            let one = cost(async || {
                before(&db, write).await;
                get(&problems).await;
            })
            .await;
            let page = cost(async || {
                before(&db, write).await;
                list(&problems).await;
            })
            .await;
            let (one, page) = (one.saturating_sub(writes), page.saturating_sub(writes));
            println!("{name:34} GetProblem {one:>7.1?}, 50 problems {page:>7.1?}");
        }
    });
}
