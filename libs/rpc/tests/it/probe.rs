//! A service whose behaviour the request selects, on a listener and in process.

use std::net::SocketAddr;
use std::pin::Pin;
use std::time::Duration;

use proto::problem::import_service_client::ImportServiceClient;
use proto::problem::import_service_server::{ImportService, ImportServiceServer};
use proto::problem::*;
use rpc::{Channel, Health, Limits, Local, Services, Stack, status};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio_stream::{Stream, StreamExt};
use tonic::{Request, Response, Status, Streaming};

pub struct Probe;

type Watch = Pin<Box<dyn Stream<Item = Result<WatchProblemImportResponse, Status>> + Send>>;

fn import(id: String) -> ProblemImport {
    ProblemImport { problem_import_id: id, ..ProblemImport::default() }
}

#[tonic::async_trait]
impl ImportService for Probe {
    async fn import_problem(
        &self,
        request: Request<Streaming<ImportProblemRequest>>,
    ) -> Result<Response<ImportProblemResponse>, Status> {
        let mut parts = request.into_inner();
        let mut count = 0;
        while parts.message().await?.is_some() {
            count += 1;
        }
        let problem_import = Some(import(count.to_string()));
        Ok(Response::new(ImportProblemResponse { problem_import }))
    }

    async fn get_problem_import(
        &self,
        request: Request<GetProblemImportRequest>,
    ) -> Result<Response<GetProblemImportResponse>, Status> {
        let id = request.into_inner().problem_import_id;
        match id.as_str() {
            "panic" => panic!("a secret of the implementation"),
            "slow" => tokio::time::sleep(Duration::from_secs(60)).await,
            "fault" => return Err(status::internal("a secret of the implementation")),
            _ => {}
        }
        let context = rpc::current().unwrap();
        let answer = match id.as_str() {
            "request-id" => context.request_id.to_string(),
            "trace-id" => rpc::traceparent().unwrap()[3..35].to_owned(),
            _ => id,
        };
        Ok(Response::new(GetProblemImportResponse { problem_import: Some(import(answer)) }))
    }

    async fn list_problem_imports(
        &self,
        _: Request<ListProblemImportsRequest>,
    ) -> Result<Response<ListProblemImportsResponse>, Status> {
        Ok(Response::new(ListProblemImportsResponse::default()))
    }

    async fn cancel_problem_import(
        &self,
        request: Request<CancelProblemImportRequest>,
    ) -> Result<Response<CancelProblemImportResponse>, Status> {
        let problem_import = Some(import(request.into_inner().problem_import_id));
        Ok(Response::new(CancelProblemImportResponse { problem_import }))
    }

    type WatchProblemImportStream = Watch;

    async fn watch_problem_import(
        &self,
        request: Request<WatchProblemImportRequest>,
    ) -> Result<Response<Watch>, Status> {
        let id = request.into_inner().problem_import_id;
        let message = || {
            let request_id = rpc::request_id().unwrap().to_string();
            Ok(WatchProblemImportResponse { problem_import: Some(import(request_id)) })
        };
        let first = tokio_stream::once(0).map(move |_| message());
        Ok(Response::new(match id.as_str() {
            "panic" => Box::pin(first.chain(tokio_stream::once(0).then(|_| async {
                // The first message is sent before the panic.
                tokio::task::yield_now().await;
                panic!("mid-stream")
            }))),
            _ => Box::pin(first.chain(tokio_stream::pending())),
        }))
    }
}

pub struct Server {
    pub address: SocketAddr,
    pub health: Health,
    pub local: Local,
    pub stop: Option<oneshot::Sender<()>>,
    pub ended: JoinHandle<()>,
}

pub type Client = ImportServiceClient<Channel>;

impl Server {
    pub async fn start(stack: Stack, limits: Limits) -> Self {
        let services = Services::new().add(ImportServiceServer::new(Probe));
        let (served, health) = stack.build(services, &tower::layer::util::Identity::new());
        health.serving().await;
        let local = Local::new();
        local.set(served.clone());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopping) = oneshot::channel::<()>();
        let serving = rpc::serve(listener, served, limits, None, async { drop(stopping.await) });
        #[expect(clippy::disallowed_methods, reason = "ends with the test")]
        let ended = tokio::task::spawn(serving);
        Self { address, health, local, stop: Some(stop), ended }
    }

    pub async fn plain() -> Self {
        Self::start(Stack::new(proto::DESCRIPTOR_SET), Limits::default()).await
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn remote(&self) -> Channel {
        Channel::connect(&self.url()).unwrap()
    }

    /// A client over the network and one in process, which must behave the same.
    pub fn clients(&self) -> [Client; 2] {
        [Client::new(self.remote()), Client::new(self.local.clone().into())]
    }
}

pub fn get(id: &str) -> GetProblemImportRequest {
    GetProblemImportRequest { problem_import_id: id.into() }
}
