//! One client type, two transports.

use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context as Cx, Poll};
use std::time::Duration;

use http::{Request, Response};
use tonic::body::Body;
use tower::Service;

use crate::context;
use crate::methods::Methods;
use crate::remote::{Peer, Remote};
use crate::stack::Served;
use crate::status;
use crate::tls::TlsError;

pub(crate) type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Marks a request that never left the process. Extensions cannot be sent, so nobody outside can
/// set it.
#[derive(Clone, Copy)]
pub(crate) struct InProcess;

/// The gRPC services of this process, with the same middleware that the listener uses.
///
/// Filled once by the bootstrap, after the services (and thus their clients) exist: that is what
/// lets two services of one process call each other.
#[derive(Clone, Default)]
pub struct Local(Arc<OnceLock<Served>>);

impl Local {
    /// To be filled later.
    pub fn new() -> Self {
        Self::default()
    }

    /// Fills it.
    ///
    /// # Panics
    /// When it was filled before.
    pub fn set(&self, served: Served) {
        assert!(self.0.set(served).is_ok(), "local services are set once");
    }
}

/// Where a client sends its calls. Every call continues the trace and inherits the deadline of the
/// [`crate::Context`] it is made in.
#[derive(Clone)]
pub enum Channel {
    /// Services of this process.
    Local(Local),
    /// Services elsewhere.
    Remote(Remote),
    /// Some here, some there.
    Routed(Routes),
}

/// Which channel leads to the services of which package (`agon.auth.v1`).
#[derive(Clone)]
pub struct Routes(Arc<HashMap<String, Channel>>);

impl Routes {
    /// These.
    pub fn new(packages: impl IntoIterator<Item = (String, Channel)>) -> Self {
        Self(Arc::new(packages.into_iter().collect()))
    }

    /// The channel for a request's path, `/agon.auth.v1.UserService/GetUser`.
    pub fn find(&self, path: &str) -> Option<&Channel> {
        let (service, _) = path.strip_prefix('/')?.split_once('/')?;
        let (package, _) = service.rsplit_once('.')?;
        self.0.get(package)
    }
}

/// A channel cannot be had from what it should lead to.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The address of a server is not one.
    #[error("{url:?} is not the address of a gRPC server; give http://host:port")]
    Address {
        /// What was given.
        url: String,
    },
    /// There is no address at all.
    #[error("the {role} service has no url; give at least one, as http://host:port")]
    Nowhere {
        /// Whose addresses are missing.
        role: String,
    },
    /// Certificates are given, and nobody to show them to.
    #[error("{url} is no https:// address, but tls is set; make it https:// or leave tls out")]
    Plaintext {
        /// What was given.
        url: String,
    },
    /// The certificates are not in order.
    #[error(transparent)]
    Tls(#[from] TlsError),
}

impl Channel {
    /// A channel to the server at `url`; connects when first used, and again whenever needed.
    pub fn connect(url: &str) -> Result<Self, ConnectError> {
        let peer = Peer { urls: vec![url.to_owned()], ..Peer::default() };
        Self::connect_peer(&peer)
    }

    /// As [`Channel::connect`], for whoever has to say more than an address.
    pub fn connect_peer(peer: &Peer) -> Result<Self, ConnectError> {
        Remote::new(None, peer, Methods::default()).map(Self::Remote)
    }

    /// A channel to all processes of a role (`"judge"`). Calls are spread over those that work;
    /// those that `methods` calls safe are made again where one fails.
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
                        let text = "the services of this process are not up yet";
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
                    let status = tonic::Status::unimplemented("there is no such method");
                    Box::pin(async move { Ok(status.into_http()) })
                }
            },
        }
    }
}
