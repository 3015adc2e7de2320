//! The client side: one channel type for in-process and remote services.

use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context as Cx, Poll};
use std::time::Duration;

use futures_util::future::BoxFuture;
use http::{Request, Response};
use tonic::Status;
use tonic::body::Body;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;
use tower::Service;

use crate::context;
use crate::error::{BoxError, ConnectError};
use crate::methods::Methods;
use crate::remote::{Peer, Remote};
use crate::stack::Served;
use crate::status;

/// Marks an in-process request. Extensions are not transmitted, so no other process can set it.
#[derive(Clone, Copy)]
pub(crate) struct InProcess;

/// The gRPC services of this process, with the same middleware as the listener.
///
/// Created empty, and set after all services exist, so that services of one process can have clients
/// of each other.
#[derive(Clone, Default)]
pub struct Local(Arc<OnceLock<Served>>);

impl Local {
    pub fn new() -> Self {
        Self::default()
    }

    /// Panics if the services are set already.
    pub fn set(&self, served: Served) {
        assert!(self.0.set(served).is_ok(), "local services are already set");
    }
}

/// Where a client sends its calls. Every call continues the current trace and inherits the request
/// id and the deadline of the current [`crate::Context`].
#[derive(Clone)]
pub enum Channel {
    Local(Local),
    Remote(Remote),
    /// A channel for each proto package.
    Routed(Routes),
}

/// Channels by proto package (`agon.auth.v1`).
#[derive(Clone)]
pub struct Routes(Arc<HashMap<String, Channel>>);

impl Routes {
    pub fn new(packages: impl IntoIterator<Item = (String, Channel)>) -> Self {
        Self(Arc::new(packages.into_iter().collect()))
    }

    /// The channel for a request path (`/agon.auth.v1.UserService/GetUser`).
    pub fn find(&self, path: &str) -> Option<&Channel> {
        let (service, _) = path.strip_prefix('/')?.split_once('/')?;
        let (package, _) = service.rsplit_once('.')?;
        self.0.get(package)
    }
}

impl Channel {
    /// A channel to the server at `url`. Connects on first use and reconnects when needed.
    pub fn connect(url: &str) -> Result<Self, ConnectError> {
        let peer = Peer { urls: vec![url.to_owned()], ..Peer::default() };
        Self::connect_peer(&peer)
    }

    /// Makes a call of the health service, to find out whether the server answers gRPC calls.
    pub fn check(&self) -> BoxFuture<'_, Result<(), Status>> {
        Box::pin(async move {
            let mut health = HealthClient::new(self.clone());
            health.check(HealthCheckRequest::default()).await.map(drop)
        })
    }

    /// [`Channel::connect`] with TLS and resilience settings.
    pub fn connect_peer(peer: &Peer) -> Result<Self, ConnectError> {
        Remote::new(None, peer, Methods::default()).map(Self::Remote)
    }

    /// A channel to all processes of a role (`"judge"`). Calls are balanced over the healthy ones;
    /// failed calls are retried where `methods` marks them safe.
    pub fn connect_all(role: &str, peer: &Peer, methods: &Methods) -> Result<Self, ConnectError> {
        Remote::new(Some(role), peer, methods.clone()).map(Self::Remote)
    }
}

impl From<Routes> for Channel {
    fn from(routes: Routes) -> Self {
        Self::Routed(routes)
    }
}

impl From<Local> for Channel {
    fn from(local: Local) -> Self {
        Self::Local(local)
    }
}

impl Service<Request<Body>> for Channel {
    type Response = Response<Body>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, BoxError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Cx<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        if let Some(context) = context::current() {
            context.attach(request.headers_mut());
        }
        match self {
            Self::Local(local) => {
                // Extensions do not cross a network, so they must not cross here either.
                request.extensions_mut().clear();
                request.extensions_mut().insert(InProcess);
                let served = local.0.get().cloned();
                Box::pin(async move {
                    let Some(mut served) = served else {
                        let text = "the services of this process are still starting";
                        let after = Duration::from_millis(100);
                        let code = tonic::Code::Unavailable;
                        return Ok(status::retry(code, "STARTING", text, after).into_http());
                    };
                    Ok(served.call(request).await?)
                })
            }
            Self::Remote(remote) => Box::pin(remote.clone().call(request)),
            Self::Routed(routes) => match routes.find(request.uri().path()) {
                Some(channel) => channel.clone().call(request),
                None => {
                    let text = "this server has no such method";
                    let status = status::error(tonic::Code::Unimplemented, "UNIMPLEMENTED", text);
                    Box::pin(async move { Ok(status.into_http()) })
                }
            },
        }
    }
}
