//! Calls to other processes: load balancing, retries and circuit breaking.
//!
//! [`pool`] knows the endpoints and picks one for each call, [`circuit`] excludes failing endpoints,
//! [`retry`] decides which calls are repeated. Nothing runs between calls: a call resolves names, opens
//! connections and probes circuits when that is due.

mod circuit;
mod connection;
mod endpoint;
mod first_frame;
mod outgoing;
mod payload;
mod peer;
mod pool;
mod response_body;
mod retry;
mod target;

use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::request::Parts;
use http::{HeaderValue, Request, Response, Uri, Version};
use metrics::Counter;
use tonic::body::Body;
use tonic::{Code, Status};
use tower::retry::budget::{Budget as _, TpsBudget};

use self::endpoint::{Endpoint, Lease};
use self::outgoing::Outgoing;
use self::payload::Payload;
pub use self::peer::{Peer, Resilience};
use self::pool::{NoLease, Pool};
use self::response_body::ResponseBody;
use self::retry::{Call, Cause, Next};
use self::target::Target;
use crate::body::deadline_exceeded;
use crate::context::{TIMEOUT, timeout, timeout_value};
use crate::error::{BoxError, ConnectError};
use crate::methods::Methods;
use crate::observe::code_in;
use crate::status;
use crate::tls::{ClientTls, Tls};

/// Runs a connection, a connection attempt or a name lookup.
fn background(work: impl Future<Output = ()> + Send + 'static) {
    #[expect(clippy::disallowed_methods, reason = "ends with its connection or after a timeout")]
    tokio::task::spawn(work);
}

/// The processes of a role, or a server at an address.
#[derive(Clone)]
pub struct Remote(Arc<Shared>);

struct Shared {
    pool: Arc<Pool>,
    methods: Methods,
    /// `None` for a server that is known by its URL only.
    role: Option<String>,
    url: String,
    max_attempts: u32,
    budget: TpsBudget,
    retries: Counter,
}

impl Remote {
    pub(crate) fn new(
        role: Option<&str>,
        peer: &Peer,
        methods: Methods,
    ) -> Result<Self, ConnectError> {
        let parse = |url: &String| Target::parse(url).map(Arc::new);
        let targets: Vec<_> = peer.urls.iter().map(parse).collect::<Result<_, _>>()?;
        let Some(first) = targets.first() else {
            return Err(ConnectError::Nowhere { role: role.unwrap_or("server").to_owned() });
        };
        let url = first.url();
        let tls = match targets.iter().find(|target| target.secure()) {
            Some(_) => Some(ClientTls::new(&peer.tls)?),
            None if peer.tls != Tls::default() => return Err(ConnectError::Plaintext { url }),
            None => None,
        };
        let of = role.unwrap_or("server").to_owned();
        let open = metrics::gauge!("agon_rpc_client_circuit_open", "role" => of.clone());
        let retries = metrics::counter!("agon_rpc_client_retries_total", "role" => of);
        let rules = &peer.resilience;
        Ok(Self(Arc::new(Shared {
            pool: Pool::new(targets, tls, rules, pool::system_resolver(), open),
            methods,
            role: role.map(str::to_owned),
            url,
            max_attempts: rules.tries.max(1),
            budget: rules.retry_budget(),
            retries,
        })))
    }

    /// Makes the call, and records its span and metrics.
    pub(crate) async fn call(self, mut request: Request<Body>) -> Result<Response<Body>, BoxError> {
        let method = self.0.methods.find(request.uri().path());
        let outgoing = Outgoing::begin(method, request.headers_mut());
        match self.answer(request).await {
            Ok(response) => Ok(outgoing.answered(response)),
            Err(error) => {
                outgoing.end(Code::Unavailable);
                Err(error)
            }
        }
    }

    /// After the deadline every failure becomes DEADLINE_EXCEEDED, so that callers see one code.
    async fn answer(self, request: Request<Body>) -> Result<Response<Body>, BoxError> {
        let limit = timeout(request.headers());
        let deadline = limit.and_then(|limit| Instant::now().checked_add(limit));
        let work = self.0.call(request, deadline);
        let response = match deadline {
            None => work.await,
            Some(at) => match tokio::time::timeout_at(at.into(), work).await {
                Ok(response) => response,
                Err(_) => return Ok(deadline_exceeded().into_http()),
            },
        };
        let late = deadline.is_some_and(|at| Instant::now() >= at);
        match response {
            Ok(response) if !(late && code_in(response.headers()) == Some(Code::Cancelled)) => {
                Ok(response)
            }
            Err(error) if !late => Err(error),
            _ => Ok(deadline_exceeded().into_http()),
        }
    }
}

enum Failure {
    /// All circuits are open.
    Open(Arc<str>, Duration),
    Failed(Cause, String),
    Unavailable(Response<Body>),
}

impl Shared {
    async fn call(
        &self,
        request: Request<Body>,
        deadline: Option<Instant>,
    ) -> Result<Response<Body>, BoxError> {
        let method = self.methods.find(request.uri().path());
        let (parts, body) = request.into_parts();
        let mut payload = if method.unary() {
            match Payload::buffer(body).await {
                Ok(payload) => payload,
                Err(status) => return Ok(status.into_http()),
            }
        } else {
            Payload::Once(Some(body))
        };
        self.budget.deposit();
        let mut avoid = None;
        let mut attempts = 0;
        loop {
            attempts += 1;
            let failure = match self.attempt(&parts, &mut payload, deadline, &mut avoid).await {
                Ok(response) => return Ok(response),
                Err(failure) => failure,
            };
            let cause = match &failure {
                Failure::Open(..) => return self.give_up(failure, true),
                Failure::Failed(cause, _) => *cause,
                Failure::Unavailable(_) => Cause::Unavailable,
            };
            let call = Call { safe: method.safe, repeatable: payload.is_available(), attempts };
            let delay = match retry::next(call, cause, self.max_attempts, rand::random()) {
                Next::Stop => return self.give_up(failure, method.safe),
                Next::Now => Duration::ZERO,
                Next::After(delay) => {
                    // An attempt after the deadline could not succeed.
                    let late = deadline.is_some_and(|at| Instant::now() + delay >= at);
                    if late || !self.budget.withdraw() {
                        return self.give_up(failure, method.safe);
                    }
                    delay
                }
            };
            self.retries.increment(1);
            if !delay.is_zero() {
                tokio::time::sleep(delay).await;
            }
        }
    }

    async fn attempt(
        &self,
        parts: &Parts,
        payload: &mut Payload,
        deadline: Option<Instant>,
        avoid: &mut Option<Arc<Endpoint>>,
    ) -> Result<Response<Body>, Failure> {
        let mut lease = match self.pool.lease(avoid.as_ref()).await {
            Ok(lease) => lease,
            Err(NoLease::Open(why, after)) => return Err(Failure::Open(why, after)),
            Err(NoLease::Failed(why)) => {
                return Err(Failure::Failed(Cause::NotConnected, why.to_string()));
            }
        };
        *avoid = Some(lease.endpoint().clone());
        let request = addressed(parts, payload.take(), &lease.endpoint().target, deadline);
        match lease.sender().try_send_request(request).await {
            Ok(response) => {
                lease.answered();
                let role = self.role.clone();
                let response =
                    response.map(|body| Body::new(ResponseBody::new(body, lease, deadline, role)));
                let method = self.methods.find(parts.uri.path());
                if code_in(response.headers()) == Some(Code::Unimplemented)
                    && method.known()
                    && !method.plumbing
                    && let Some(role) = &self.role
                {
                    return Err(wrong_role(role, avoid.as_ref(), parts.uri.path()));
                }
                if invites_retry(&response) {
                    Err(Failure::Unavailable(response))
                } else {
                    Ok(response)
                }
            }
            Err(mut failed) => {
                let unsent = failed.take_message();
                let error = failed.into_error();
                let cause = self.classify(&lease, &error, unsent.is_some());
                if let Some(request) = unsent {
                    payload.give_back(request.into_body());
                }
                Err(Failure::Failed(cause, chain(&error)))
            }
        }
    }

    /// Classifies the error of an attempt, and updates the endpoint.
    fn classify(&self, lease: &Lease, error: &hyper::Error, unsent: bool) -> Cause {
        let h2 = std::error::Error::source(error).and_then(|e| e.downcast_ref::<h2::Error>());
        let reason = h2.and_then(h2::Error::reason);
        let shutting_down = h2.is_some_and(|e| e.is_go_away() && e.is_remote())
            && reason == Some(h2::Reason::NO_ERROR);
        if unsent || shutting_down {
            lease.closed();
            return Cause::NotProcessed;
        }
        if h2.is_some_and(h2::Error::is_reset) {
            // The stream was reset; the connection is still usable.
            let refused = reason == Some(h2::Reason::REFUSED_STREAM);
            return if refused { Cause::NotProcessed } else { Cause::Broken };
        }
        lease.broke(Instant::now(), self.pool.rules(), &chain(error));
        Cause::Broken
    }

    /// The error for the caller. It does not reveal the addresses of a role's processes; these are
    /// logged.
    fn give_up(&self, failure: Failure, safe: bool) -> Result<Response<Body>, BoxError> {
        let (cause, why, after) = match failure {
            Failure::Unavailable(response) => return Ok(response),
            Failure::Open(why, after) => (Cause::NotConnected, why.to_string(), after),
            Failure::Failed(cause, why) => (cause, why, Duration::ZERO),
        };
        let Some(role) = &self.role else {
            let text = format!("cannot reach {}: {why}", self.url);
            return Err(Box::new(tonic::ConnectError(text.into())));
        };
        tracing::debug!(role, error = why, "call failed");
        Ok(unavailable(role, cause, safe, after).into_http())
    }
}

const REASON: &str = "UPSTREAM_UNAVAILABLE";

/// The connection broke during the response. Without retry info, because the server may have
/// processed the request.
fn broken(role: Option<&str>) -> Status {
    let who = role.map_or("server".to_owned(), |role| format!("{role} service"));
    let text = format!("the connection to the {who} broke before it answered");
    status::error(Code::Unavailable, REASON, text)
}

fn unavailable(role: &str, cause: Cause, safe: bool, after: Duration) -> Status {
    if cause == Cause::Broken && !safe {
        return broken(Some(role));
    }
    let text = format!("the {role} service cannot be reached");
    status::retry(Code::Unavailable, REASON, text, after.max(Duration::from_secs(1)))
}

/// The server does not know a method of the role: it has another role or an older version. Other
/// processes may know it.
fn wrong_role(role: &str, endpoint: Option<&Arc<Endpoint>>, path: &str) -> Failure {
    let url = endpoint.map(|endpoint| endpoint.target.url()).unwrap_or_default();
    tracing::warn!(role, url, path, "peer has another role or version");
    let text = format!("a server configured for the {role} role does not know {path}");
    let status =
        status::retry(Code::Unavailable, "UPSTREAM_STRANGER", text, Duration::from_secs(5));
    Failure::Unavailable(status.into_http())
}

/// Whether the response is UNAVAILABLE without retry info or pushback. Otherwise the caller decides
/// when to retry.
fn invites_retry(response: &Response<Body>) -> bool {
    let headers = response.headers();
    code_in(headers) == Some(Code::Unavailable)
        && !headers.contains_key("grpc-retry-pushback-ms")
        && Status::from_header_map(headers).is_some_and(|s| status::retry_after(&s).is_none())
}

fn addressed(
    parts: &Parts,
    body: Body,
    target: &Target,
    deadline: Option<Instant>,
) -> Request<Body> {
    let mut uri = parts.uri.clone().into_parts();
    uri.scheme = Some(target.scheme.clone());
    uri.authority = Some(target.authority.clone());
    let mut request = Request::new(body);
    *request.method_mut() = parts.method.clone();
    *request.uri_mut() = Uri::from_parts(uri).unwrap_or_else(|_| parts.uri.clone());
    *request.version_mut() = Version::HTTP_2;
    *request.headers_mut() = parts.headers.clone();
    let headers = request.headers_mut();
    if !headers.contains_key(http::header::USER_AGENT) {
        let agent = HeaderValue::from_static(concat!("agon/", env!("CARGO_PKG_VERSION")));
        headers.insert(http::header::USER_AGENT, agent);
    }
    if let Some(at) = deadline {
        let left = at.saturating_duration_since(Instant::now());
        headers.insert(&TIMEOUT, timeout_value(left));
    }
    request
}

/// The error's message with those of its causes, because hyper's messages have no details.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}
