//! The gateway's gRPC: calls of services that other processes play go there, as they came.
//!
//! The process that gets them checks the caller's credential; this one only proves, by its own, whose address the
//! call came from, as the REST edge does.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use access::{EDGE_AUTHORIZATION, EdgeChannel};
use http::{HeaderValue, Request, Response};
use rpc::{Served, metadata};
use tonic::Code;
use tonic::body::Body;
use tonic::transport::server::TcpConnectInfo;
use tower::{Layer, Service};

use crate::failure::Failure;
use crate::server::base::Base;
use crate::server::roles::Role;

/// What stands in front of a process's services: the authorising layer, and the way past it to services elsewhere.
pub struct Front {
    authorise: access::Layer,
    elsewhere: Option<Elsewhere>,
}

/// The services that are elsewhere.
#[derive(Clone)]
struct Elsewhere {
    packages: Arc<[String]>,
    channel: EdgeChannel,
}

impl Front {
    /// What this process's roles ask for: only the gateway passes calls on.
    pub fn new(base: &Base, authorise: access::Layer) -> Result<Self, Failure> {
        let packages: Vec<_> = elsewhere(base).map(Role::package).collect();
        if packages.is_empty() {
            return Ok(Self { authorise, elsewhere: None });
        }
        let channel = base.credentials(Role::Gateway)?.edge_channel(base.to_all()?);
        let elsewhere = Elsewhere { packages: packages.into(), channel };
        Ok(Self { authorise, elsewhere: Some(elsewhere) })
    }
}

/// The roles whose services this process passes calls on to.
pub fn elsewhere(base: &Base) -> impl Iterator<Item = Role> {
    let gateway = base.plays(Role::Gateway);
    Role::SERVICES.into_iter().filter(move |role| gateway && !base.plays(*role))
}

impl Layer<Served> for Front {
    type Service = Fork;

    fn layer(&self, inner: Served) -> Fork {
        let here = Served::new(self.authorise.layer(inner));
        Fork { here, elsewhere: self.elsewhere.clone() }
    }
}

/// Here or elsewhere.
#[derive(Clone)]
pub struct Fork {
    here: Served,
    elsewhere: Option<Elsewhere>,
}

impl Service<Request<Body>> for Fork {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.here.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        match &self.elsewhere {
            Some(elsewhere) if elsewhere.plays(request.uri().path()) => {
                let mut channel = elsewhere.channel.clone();
                let answer = channel.call(outward(request));
                Box::pin(
                    async move { Ok(answer.await.unwrap_or_else(|error| unreachable(&*error))) },
                )
            }
            _ => Box::pin(self.here.call(request)),
        }
    }
}

impl Elsewhere {
    fn plays(&self, path: &str) -> bool {
        let service = path.strip_prefix('/').and_then(|path| path.split('/').next());
        let package =
            service.and_then(|service| service.rsplit_once('.')).map(|(package, _)| package);
        package.is_some_and(|package| self.packages.iter().any(|known| known == package))
    }
}

/// The request as another process should see it: what only this one may say of the client is said by this one.
fn outward(mut request: Request<Body>) -> Request<Body> {
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

fn unreachable(error: &(dyn std::error::Error + 'static)) -> Response<Body> {
    tracing::warn!(error, "a call could not be passed on");
    let text = "the service cannot be reached";
    let after = std::time::Duration::from_secs(1);
    rpc::status::retry(Code::Unavailable, "UPSTREAM_UNAVAILABLE", text, after).into_http()
}

#[cfg(test)]
mod tests {
    use access::Credentials;
    use rpc::Channel;

    use super::*;

    #[test]
    fn what_is_elsewhere_goes_there() {
        let channel = Channel::connect("http://127.0.0.1:1").unwrap();
        let channel = Credentials::fixed("token").edge_channel(channel);
        let packages = ["agon.auth.v1".to_owned(), "agon.judge.v1".to_owned()].into();
        let elsewhere = Elsewhere { packages, channel };
        assert!(elsewhere.plays("/agon.auth.v1.UserService/GetUser"));
        assert!(elsewhere.plays("/agon.judge.v1.WorkerService/Work"));
        let here = [
            "/agon.problem.v1.ProblemService/GetProblem",
            "/agon.auth.v1/GetUser",
            "/agon.auth.v11.UserService/GetUser",
            "/grpc.health.v1.Health/Check",
            "agon.auth.v1.UserService/GetUser",
            "/",
            "",
        ];
        for path in here {
            assert!(!elsewhere.plays(path), "{path}");
        }
    }

    #[test]
    fn nobody_but_the_gateway_says_where_a_call_came_from() {
        let mut request = Request::new(Body::empty());
        let headers = request.headers_mut();
        headers.insert(metadata::CLIENT_ADDRESS, HeaderValue::from_static("10.0.0.1"));
        headers.insert(EDGE_AUTHORIZATION, HeaderValue::from_static("Bearer stolen"));
        headers.insert(metadata::AUTHORIZATION, HeaderValue::from_static("Bearer mine"));
        let unknown = outward(request);
        assert!(!unknown.headers().contains_key(metadata::CLIENT_ADDRESS));
        assert!(!unknown.headers().contains_key(EDGE_AUTHORIZATION));
        assert_eq!(unknown.headers()[metadata::AUTHORIZATION], "Bearer mine");

        let mut request = unknown;
        let remote_addr = Some("[::ffff:192.0.2.7]:4000".parse().unwrap());
        request.extensions_mut().insert(TcpConnectInfo { local_addr: None, remote_addr });
        let known = outward(request);
        assert_eq!(known.headers()[metadata::CLIENT_ADDRESS], "192.0.2.7");
    }
}
