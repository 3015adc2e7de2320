//! Forwards gRPC calls of a gateway to the processes that run the service.
//!
//! The receiving process checks the caller's credential. The gateway adds its own credential, which proves the
//! client address that it reports.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use access::{Authorised, EDGE_AUTHORIZATION};
use http::{HeaderValue, Request, Response};
use rpc::{Served, metadata};
use tonic::Code;
use tonic::body::Body;
use tonic::transport::server::TcpConnectInfo;
use tower::{Layer, Service};

use crate::failure::Failure;
use crate::server::base::Base;
use crate::server::roles::Role;

/// The outermost layer of a process's services: authorises local calls and forwards the others.
pub struct ForwardLayer {
    authorise: access::Layer,
    remote: Option<Remote>,
}

#[derive(Clone)]
struct Remote {
    packages: Arc<[String]>,
    channel: Authorised,
}

impl ForwardLayer {
    /// Only the gateway role forwards calls.
    pub fn new(base: &Base, authorise: access::Layer) -> Result<Self, Failure> {
        let packages: Vec<_> = remote_roles(base).map(Role::package).collect();
        if packages.is_empty() {
            return Ok(Self { authorise, remote: None });
        }
        let channel = base.credentials(Role::GATEWAY)?.edge_channel(base.channel_to_all()?);
        let remote = Remote { packages: packages.into(), channel };
        Ok(Self { authorise, remote: Some(remote) })
    }
}

/// The roles to which this process forwards calls.
pub fn remote_roles(base: &Base) -> impl Iterator<Item = Role> {
    let gateway = base.runs(Role::GATEWAY);
    Role::services().filter(move |role| gateway && !base.runs(*role))
}

impl Layer<Served> for ForwardLayer {
    type Service = Forward;

    fn layer(&self, inner: Served) -> Forward {
        let local = Served::new(self.authorise.layer(inner));
        Forward { local, remote: self.remote.clone() }
    }
}

#[derive(Clone)]
pub struct Forward {
    local: Served,
    remote: Option<Remote>,
}

impl Service<Request<Body>> for Forward {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.local.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        match &self.remote {
            Some(remote) if remote.serves(request.uri().path()) => {
                let mut channel = remote.channel.clone();
                let answer = channel.call(with_client_address(request));
                Box::pin(
                    async move { Ok(answer.await.unwrap_or_else(|error| unavailable(&*error))) },
                )
            }
            _ => Box::pin(self.local.call(request)),
        }
    }
}

impl Remote {
    fn serves(&self, path: &str) -> bool {
        let service = path.strip_prefix('/').and_then(|path| path.split('/').next());
        let package =
            service.and_then(|service| service.rsplit_once('.')).map(|(package, _)| package);
        package.is_some_and(|package| self.packages.iter().any(|known| known == package))
    }
}

/// Removes headers that only a gateway may set, and sets the client address.
fn with_client_address(mut request: Request<Body>) -> Request<Body> {
    let peer = request.extensions().get::<TcpConnectInfo>().and_then(TcpConnectInfo::remote_addr);
    request.extensions_mut().clear();
    let headers = request.headers_mut();
    for name in [EDGE_AUTHORIZATION, metadata::CLIENT_ADDRESS] {
        headers.remove(name);
    }
    if let Some(peer) = peer
        && let Ok(value) = HeaderValue::from_str(&peer.ip().to_canonical().to_string())
    {
        headers.insert(metadata::CLIENT_ADDRESS, value);
    }
    request
}

fn unavailable(error: &(dyn std::error::Error + 'static)) -> Response<Body> {
    tracing::warn!(error, "cannot forward call");
    let text = "the service is unreachable";
    let after = std::time::Duration::from_secs(1);
    rpc::status::retry(Code::Unavailable, "UPSTREAM_UNAVAILABLE", text, after).into_http()
}

#[cfg(test)]
mod tests {
    use access::Credentials;
    use rpc::Channel;

    use super::*;

    #[test]
    fn only_calls_of_remote_packages_are_forwarded() {
        let channel = Channel::connect("http://127.0.0.1:1").unwrap();
        let channel = Credentials::fixed("token").edge_channel(channel);
        let packages = ["agon.auth.v1".to_owned(), "agon.judge.v1".to_owned()].into();
        let remote = Remote { packages, channel };
        assert!(remote.serves("/agon.auth.v1.UserService/GetUser"));
        assert!(remote.serves("/agon.judge.v1.WorkerService/Work"));
        let local = [
            "/agon.problem.v1.ProblemService/GetProblem",
            "/agon.auth.v1/GetUser",
            "/agon.auth.v11.UserService/GetUser",
            "/grpc.health.v1.Health/Check",
            "agon.auth.v1.UserService/GetUser",
            "/",
            "",
        ];
        for path in local {
            assert!(!remote.serves(path), "{path}");
        }
    }

    #[test]
    fn gateway_headers_of_clients_are_replaced() {
        let mut request = Request::new(Body::empty());
        let headers = request.headers_mut();
        headers.insert(metadata::CLIENT_ADDRESS, HeaderValue::from_static("10.0.0.1"));
        headers.insert(EDGE_AUTHORIZATION, HeaderValue::from_static("Bearer stolen"));
        headers.insert(metadata::AUTHORIZATION, HeaderValue::from_static("Bearer mine"));
        let unknown = with_client_address(request);
        assert!(!unknown.headers().contains_key(metadata::CLIENT_ADDRESS));
        assert!(!unknown.headers().contains_key(EDGE_AUTHORIZATION));
        assert_eq!(unknown.headers()[metadata::AUTHORIZATION], "Bearer mine");

        let mut request = unknown;
        let remote_addr = Some("[::ffff:192.0.2.7]:4000".parse().unwrap());
        request.extensions_mut().insert(TcpConnectInfo { local_addr: None, remote_addr });
        let known = with_client_address(request);
        assert_eq!(known.headers()[metadata::CLIENT_ADDRESS], "192.0.2.7");
    }
}
