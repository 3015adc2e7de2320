//! One client type, two transports.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context as Cx, Poll, ready};
use std::time::{Duration, Instant};

use http::{Request, Response};
use tonic::body::Body;
use tonic::transport::Endpoint;
use tower::Service;

use crate::body::deadline_exceeded;
use crate::context::{self, timeout};
use crate::stack::Served;
use crate::status;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

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
    Remote(tonic::transport::Channel),
}

/// The address of a server is not one.
#[derive(Debug, thiserror::Error)]
#[error("{url:?} is not the address of a gRPC server; give http://host:port")]
pub struct ConnectError {
    url: String,
    source: tonic::transport::Error,
}

impl Channel {
    /// A channel to the server at `url`; connects when first used, and again whenever needed.
    pub fn connect(url: &str) -> Result<Self, ConnectError> {
        let endpoint = Endpoint::from_shared(url.to_owned())
            .map_err(|source| ConnectError { url: url.to_owned(), source })?
            .connect_timeout(Duration::from_secs(5))
            .tcp_nodelay(true)
            .http2_keep_alive_interval(Duration::from_secs(20))
            .keep_alive_timeout(Duration::from_secs(10));
        Ok(Self::Remote(endpoint.connect_lazy()))
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

    fn poll_ready(&mut self, cx: &mut Cx<'_>) -> Poll<Result<(), BoxError>> {
        match self {
            Self::Local(_) => Poll::Ready(Ok(())),
            Self::Remote(channel) => {
                ready!(channel.poll_ready(cx))?;
                Poll::Ready(Ok(()))
            }
        }
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
            Self::Remote(channel) => {
                // tonic reports an expired deadline as CANCELLED, from whichever side notices
                // first; callers should see one code.
                let deadline = timeout(request.headers()).map(|limit| Instant::now() + limit);
                let response = channel.call(request);
                Box::pin(async move {
                    let response = response.await;
                    let late = deadline.is_some_and(|deadline| Instant::now() >= deadline);
                    match response {
                        Ok(response) if !(late && is_cancelled(&response)) => Ok(response),
                        Err(error) if !late => Err(error.into()),
                        _ => Ok(deadline_exceeded().into_http()),
                    }
                })
            }
        }
    }
}

fn is_cancelled(response: &Response<Body>) -> bool {
    response.headers().get("grpc-status").is_some_and(|code| code == "1")
}
