//! The access layer: verifies credentials, applies the policy and adds a [`Caller`] to the request.

use std::convert::Infallible;
use std::future::Future;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::{Arc, LazyLock};
use std::task::{Context, Poll};

use cache::Cache;
use http::header::AUTHORIZATION;
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response};
use proto::agon::options::v1::{Level, RateClass};
use rpc::{Trusted, metadata, status};
use tonic::body::Body;
use tonic::transport::server::TcpConnectInfo;
use tonic::{Code, Status};
use tower::Service;

use crate::caller::{self, Caller};
use crate::limits::Limits;
use crate::policy::{Policy, Rule};
use crate::principal::{Kind, Principal};
use crate::streams::{self, Ended, Held, Streams};
use crate::token::Rejection;
use crate::verifier::{Refusal, Verifier};

/// Metadata in which the edge sends `Bearer <its service token>`. Makes the layer accept the client
/// address in the request; grants nothing else.
pub const EDGE_AUTHORIZATION: &str = "agon-edge-authorization";

static ON_BEHALF_OF: HeaderName = HeaderName::from_static(metadata::ON_BEHALF_OF);
static CLIENT_ADDRESS: HeaderName = HeaderName::from_static(metadata::CLIENT_ADDRESS);
static EDGE_PROOF: HeaderName = HeaderName::from_static(EDGE_AUTHORIZATION);

/// The streams of gRPC health and reflection.
const PUBLIC_STREAMS: [&str; 2] = ["/Watch", "/ServerReflectionInfo"];

/// The only service whose client addresses are accepted.
const EDGE: &str = "gateway";

static ANONYMOUS: LazyLock<Arc<Principal>> = LazyLock::new(|| Arc::new(Principal::anonymous()));

/// A tower layer that authorises every request. See the crate documentation.
#[derive(Clone)]
pub struct Layer(Arc<Shared>);

#[derive(Clone)]
struct Shared {
    policy: Policy,
    verifier: Verifier,
    limits: Option<Limited>,
}

#[derive(Clone)]
struct Limited {
    limits: Limits,
    cache: Cache,
    streams: Streams,
}

impl Layer {
    pub fn new(policy: Policy, verifier: Verifier) -> Self {
        Self(Arc::new(Shared { policy, verifier, limits: None }))
    }

    /// Also applies rate limits, and limits of streams from addresses that are not `trusted`.
    #[must_use]
    pub fn limited(self, limits: Limits, cache: Cache, trusted: Trusted) -> Self {
        let streams = Streams::new(&limits, trusted);
        let limits = Some(Limited { limits, cache, streams });
        Self(Arc::new(Shared { limits, ..Shared::clone(&self.0) }))
    }
}

impl<S> tower::Layer<S> for Layer {
    type Service = Guarded<S>;

    fn layer(&self, inner: S) -> Guarded<S> {
        Guarded { inner, shared: self.0.clone() }
    }
}

/// A server behind a [`Layer`].
#[derive(Clone)]
pub struct Guarded<S> {
    inner: S,
    shared: Arc<Shared>,
}

impl<S> Service<Request<Body>> for Guarded<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>
        + Clone
        + Send
        + 'static,
    S::Future: Send,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        // Call the instance that was polled ready.
        let fresh = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, fresh);
        let shared = self.shared.clone();
        Box::pin(async move {
            let (mut parts, body) = request.into_parts();
            let (caller, stream) = match shared.admit(&parts).await {
                Ok(admitted) => admitted,
                Err(status) => return Ok(status.into_http()),
            };
            parts.extensions.insert(caller);
            let response = inner.call(Request::from_parts(parts, body)).await?;
            let Some(stream) = stream else { return Ok(response) };
            Ok(streams::hold(response, stream.held, stream.ended))
        })
    }
}

impl Shared {
    async fn admit(&self, request: &Parts) -> Result<(Caller, Option<Stream>), Status> {
        let path = request.uri.path();
        let Some(rule) = self.policy.find(path) else {
            // Health and reflection are public; other methods without a rule do not exist.
            if !path.starts_with("/grpc.") {
                let text = "this server has no such method";
                return Err(status::error(Code::Unimplemented, "UNIMPLEMENTED", text));
            }
            let caller = Caller { address: peer(request), ..Caller::anonymous() };
            let streams = PUBLIC_STREAMS.iter().any(|method| path.ends_with(method));
            let held = if streams { Some(self.held(&caller)?) } else { None };
            return Ok((caller, held.map(|held| Stream { held, ended: None })));
        };
        let caller = self.caller(request, rule.is_privileged()).await?;
        check(rule, &caller)?;
        if let Some(Limited { limits, cache, .. }) = &self.limits {
            limits.count(cache, rule.rate_class, &caller).await?;
        }
        let stream = if rule.streaming { Some(self.stream(rule, &caller)?) } else { None };
        Ok((caller, stream))
    }

    fn stream(&self, rule: &Rule, caller: &Caller) -> Result<Stream, Status> {
        let held = self.held(caller)?;
        let Some(token) = &caller.token else { return Ok(Stream { held, ended: None }) };
        let token = token.to_str().unwrap_or_default();
        let token = token.split_once(' ').map_or(token, |(_, token)| token).to_owned();
        let (verifier, expire_time) = (self.verifier.clone(), caller.acting().expire_time);
        // A transfer may outlast the token with which it began.
        let transfer = rule.rate_class == RateClass::Transfer;
        let ended: Ended = Box::pin(async move {
            match verifier.rejected(&token, expire_time).await {
                Rejection::Expired if transfer => std::future::pending().await,
                rejection => refused(rejection),
            }
        });
        Ok(Stream { held, ended: Some(ended) })
    }

    fn held(&self, caller: &Caller) -> Result<Held, Status> {
        self.limits.as_ref().map_or_else(|| Ok(Held::default()), |it| it.streams.open(caller))
    }

    async fn caller(&self, request: &Parts, privileged: bool) -> Result<Caller, Status> {
        let headers = &request.headers;
        let token = bearer(headers, &AUTHORIZATION)?;
        let principal = match &token {
            Some(token) => self.verify(token, privileged).await?,
            None => ANONYMOUS.clone(),
        };
        let user_token = bearer(headers, &ON_BEHALF_OF)?;
        let on_behalf_of = match &user_token {
            Some(_) if principal.kind != Kind::Service => {
                return Err(service_only("only services may send agon-on-behalf-of"));
            }
            Some(token) => Some(self.verify(token, privileged).await?),
            None => None,
        };
        if on_behalf_of.as_ref().is_some_and(|user| !user.is_user()) {
            return Err(service_only("agon-on-behalf-of must hold a user's token"));
        }
        let address = self.address(request).await?;
        let acting = if principal.is_user() { token } else { user_token };
        Ok(Caller {
            principal,
            on_behalf_of,
            address,
            token: acting.map(|token| token.value.clone()),
        })
    }

    /// The client address: as forwarded by the authenticated edge, otherwise the connection's peer.
    async fn address(&self, request: &Parts) -> Result<Option<IpAddr>, Status> {
        let headers = &request.headers;
        if let Some(proof) = bearer(headers, &EDGE_PROOF)? {
            let edge = match self.verifier.verify_edge(proof.text).await {
                Ok(edge) => edge,
                Err(Refusal::Rejected(rejection)) => return Err(refused(rejection)),
                // This process has started while the auth service does not answer.
                Err(Refusal::Unknown(_)) => return Ok(peer(request)),
            };
            if edge.kind != Kind::Service || edge.name != EDGE {
                return Err(service_only("only the edge may send agon-edge-authorization"));
            }
            let forwarded = headers.get(&CLIENT_ADDRESS);
            return Ok(forwarded.and_then(|value| value.to_str().ok()?.parse().ok()));
        }
        Ok(peer(request))
    }

    async fn verify(&self, token: &Bearer<'_>, privileged: bool) -> Result<Arc<Principal>, Status> {
        self.verifier.verify(token.text, privileged).await.map_err(|refusal| match refusal {
            Refusal::Rejected(rejection) => refused(rejection),
            Refusal::Unknown(status) => {
                if let Some(late) = rpc::deadline_status() {
                    return late;
                }
                tracing::debug!(error = %status, "token not confirmed");
                let text = "credentials cannot be verified at the moment; try again shortly";
                let after = std::time::Duration::from_secs(1);
                status::retry(Code::Unavailable, "AUTH_UNAVAILABLE", text, after)
            }
        })
    }
}

/// A stream that was admitted.
struct Stream {
    held: Held,
    ended: Option<Ended>,
}

/// The address of the connection.
fn peer(request: &Parts) -> Option<IpAddr> {
    let info = request.extensions.get::<TcpConnectInfo>();
    info.and_then(TcpConnectInfo::remote_addr).map(|peer| peer.ip().to_canonical())
}

/// A bearer token and the header value that holds it.
struct Bearer<'h> {
    text: &'h str,
    value: &'h HeaderValue,
}

/// The bearer token in a header; an error for any other value.
fn bearer<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Result<Option<Bearer<'h>>, Status> {
    let mut values = headers.get_all(name).iter();
    let Some(value) = values.next() else { return Ok(None) };
    let malformed = || {
        let text = format!("{name} must occur once, as `Bearer <access token>`");
        status::unauthenticated("TOKEN_MALFORMED", text)
    };
    if values.next().is_some() {
        return Err(malformed());
    }
    let text = value.to_str().map_err(|_| malformed())?;
    let (scheme, token) = text.split_once(' ').ok_or_else(malformed)?;
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err(malformed());
    }
    Ok(Some(Bearer { text: token, value }))
}

fn check(rule: &Rule, caller: &Caller) -> Result<(), Status> {
    let kind = caller.principal.kind;
    match rule.level {
        Level::None => Ok(()),
        _ if kind == Kind::Anonymous => {
            Err(status::unauthenticated("TOKEN_MISSING", "this call requires an access token"))
        }
        Level::User => Ok(()),
        Level::Service if kind == Kind::Service => Ok(()),
        Level::Service => Err(service_only("only services may make this call")),
        Level::Permission if caller.has(&rule.permission) => Ok(()),
        Level::Permission => Err(caller::missing(&rule.permission)),
        // Excluded by `Policy`; denied in case it is not.
        Level::Unspecified => Err(service_only("this call has no access level")),
    }
}

fn service_only(message: &str) -> Status {
    status::permission_denied("SERVICE_ONLY", message)
}

fn refused(rejection: Rejection) -> Status {
    let (reason, message) = match rejection {
        Rejection::Expired => ("TOKEN_EXPIRED", "the access token has expired; refresh it"),
        Rejection::Revoked => ("TOKEN_REVOKED", "the access token was revoked; refresh or log in"),
        Rejection::Malformed => ("TOKEN_MALFORMED", "not a valid access token of this server"),
        Rejection::WrongAudience => {
            ("TOKEN_WRONG_AUDIENCE", "the access token is for another audience")
        }
        Rejection::Suspended => ("USER_SUSPENDED", "the account is suspended"),
    };
    metrics::counter!("agon_access_refused_tokens_total", "reason" => reason).increment(1);
    status::unauthenticated(reason, message)
}
