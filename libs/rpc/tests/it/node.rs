//! A server that counts its calls, and can be killed and restarted.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use proto::auth::invitation_service_client::InvitationServiceClient;
use proto::auth::invitation_service_server::{InvitationService, InvitationServiceServer};
use proto::auth::*;
use rpc::{Channel, Limits, Methods, Peer, Resilience, ServerTls, Services, Stack, status};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tonic::{Code, Request, Response, Status};

pub type Client = InvitationServiceClient<Channel>;

struct Counting(Arc<AtomicUsize>);

impl Counting {
    async fn answer(&self, word: &str) -> Result<(), Status> {
        self.0.fetch_add(1, Ordering::SeqCst);
        match word {
            "slow" => tokio::time::sleep(Duration::from_secs(60)).await,
            "soon" => tokio::time::sleep(Duration::from_millis(2)).await,
            "busy" => return Err(status::error(Code::Unavailable, "BUSY", "not now")),
            "later" => {
                let after = Duration::from_secs(1);
                return Err(status::retry(Code::Unavailable, "BUSY", "not now", after));
            }
            _ => {}
        }
        Ok(())
    }
}

#[tonic::async_trait]
impl InvitationService for Counting {
    async fn create_invitation(
        &self,
        request: Request<CreateInvitationRequest>,
    ) -> Result<Response<CreateInvitationResponse>, Status> {
        self.answer(&request.into_inner().note).await?;
        Ok(Response::new(CreateInvitationResponse::default()))
    }

    async fn list_invitations(
        &self,
        request: Request<ListInvitationsRequest>,
    ) -> Result<Response<ListInvitationsResponse>, Status> {
        self.answer(&request.into_inner().page_token).await?;
        Ok(Response::new(ListInvitationsResponse::default()))
    }

    async fn delete_invitation(
        &self,
        _: Request<DeleteInvitationRequest>,
    ) -> Result<Response<DeleteInvitationResponse>, Status> {
        Ok(Response::new(DeleteInvitationResponse {}))
    }
}

pub struct Node {
    pub address: SocketAddr,
    calls: Arc<AtomicUsize>,
    tls: Option<ServerTls>,
    serving: Option<JoinHandle<()>>,
}

impl Node {
    pub async fn start() -> Self {
        Self::new(None).await
    }

    pub async fn new(tls: Option<ServerTls>) -> Self {
        let address = ([127, 0, 0, 1], 0).into();
        let mut node = Self { address, calls: Arc::default(), tls, serving: None };
        node.revive().await;
        node
    }

    /// Serves; after a kill at the same address.
    pub async fn revive(&mut self) {
        let listener = TcpListener::bind(self.address).await.unwrap();
        self.address = listener.local_addr().unwrap();
        let service = InvitationServiceServer::new(Counting(self.calls.clone()));
        let stack = Stack::new(proto::DESCRIPTOR_SET);
        let services = Services::new().add(service);
        let (served, _) = stack.build(services, &tower::layer::util::Identity::new());
        let (limits, tls, never) = (Limits::default(), self.tls.clone(), std::future::pending());
        let serving = rpc::serve(listener, served, limits, tls, never);
        #[expect(clippy::disallowed_methods, reason = "ends with the test")]
        let serving = tokio::task::spawn(serving);
        self.serving = Some(serving);
    }

    /// Stops at once and closes all connections.
    pub async fn kill(&mut self) {
        let serving = self.serving.take().unwrap();
        serving.abort();
        assert!(serving.await.unwrap_err().is_cancelled());
    }

    pub fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

/// Short circuit times for tests.
pub fn quick() -> Resilience {
    Resilience { circuit_open_ms: 20, circuit_open_max_ms: 100, ..Resilience::default() }
}

pub fn client(urls: Vec<String>, resilience: Resilience) -> Client {
    let peer = Peer { urls, resilience, ..Peer::default() };
    let methods = Methods::new(&[proto::DESCRIPTOR_SET]);
    Client::new(Channel::connect_all("judge", &peer, &methods).unwrap())
}

/// A call that may be repeated.
pub fn list(word: &str) -> ListInvitationsRequest {
    ListInvitationsRequest { page_token: word.into(), ..ListInvitationsRequest::default() }
}

/// A call that must not be repeated.
pub fn create(word: &str) -> CreateInvitationRequest {
    CreateInvitationRequest { note: word.into(), ..CreateInvitationRequest::default() }
}

/// Waits until `holds`.
#[track_caller]
pub fn until(mut holds: impl FnMut() -> bool) -> impl Future<Output = ()> {
    let caller = std::panic::Location::caller();
    async move {
        let end = Instant::now() + Duration::from_secs(20);
        while !holds() {
            assert!(Instant::now() < end, "{caller}: timed out");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}
