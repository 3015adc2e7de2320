//! Calls to the processes of a role elsewhere: balanced over those that work, made again where that
//! is safe.
//!
//! [`pool`] knows the processes and picks one per call; [`circuit`] says when a failing one is left
//! alone, [`retry`] which calls are repeated. Nothing runs while there are no calls: names are
//! looked up, connections made and circuits tried in passing.

mod circuit;
mod endpoint;
mod greeting;
mod held;
mod link;
mod outgoing;
mod payload;
mod peer;
mod pool;
mod retry;
mod target;

use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use http::request::Parts;
use http::{HeaderValue, Request, Response, Uri, Version};
use metrics::Counter;
use tonic::body::Body;
use tonic::{Code, Status};

use self::endpoint::{Endpoint, Lease};
use self::held::Held;
use self::outgoing::Outgoing;
use self::payload::Payload;
pub use self::peer::{Peer, Resilience};
use self::pool::{NoLease, Pool};
use self::retry::{Budget, Call, Ending, Next};
use self::target::Target;
use crate::body::deadline_exceeded;
use crate::error::{BoxError, ConnectError};
use crate::context::{timeout, timeout_value};
use crate::methods::Methods;
use crate::observe::code_in;
use crate::tls::{ClientTls, Tls};
use crate::{metadata, status};

/// Drives what goes on between calls: a connection, an attempt at one, a look-up.
fn background(work: impl Future<Output = ()> + Send + 'static) {
    #[expect(clippy::disallowed_methods, reason = "ends with its connection, or within seconds")]
    tokio::task::spawn(work);
}

/// The processes of a role, or a server at an address.
#[derive(Clone)]
pub struct Remote(Arc<Shared>);

struct Shared {
    pool: Arc<Pool>,
    methods: Methods,
    /// Who is called; without a role, whoever the URLs name.
    role: Option<String>,
    url: String,
    tries: u32,
    budget: Mutex<Budget>,
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
            pool: Pool::new(targets, tls, rules, pool::system(), open),
            methods,
            role: role.map(str::to_owned),
            url,
            tries: rules.tries.max(1),
            budget: Mutex::new(Budget::new(rules.retry_reserve, rules.retry_percent)),
            retries,
        })))
    }

    /// Makes the call, and notes how it went.
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

    /// The answer is DEADLINE_EXCEEDED once the deadline is over, whatever went
    /// wrong: callers should see one code.
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

/// A try without an answer to hand on.
enum Failure {
    /// All circuits are open.
    Open(Arc<str>, Duration),
    Ended(Ending, String),
    /// The server's own words.
    Said(Response<Body>),
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
            match Payload::keep(body).await {
                Ok(payload) => payload,
                Err(status) => return Ok(status.into_http()),
            }
        } else {
            Payload::Once(Some(body))
        };
        self.budget().call();
        let mut avoid = None;
        let mut tries = 0;
        loop {
            tries += 1;
            let failure = match self.attempt(&parts, &mut payload, deadline, &mut avoid).await {
                Ok(response) => return Ok(response),
                Err(failure) => failure,
            };
            let ending = match &failure {
                Failure::Open(..) => return self.give_up(failure, true),
                Failure::Ended(ending, _) => *ending,
                Failure::Said(_) => Ending::Unavailable,
            };
            let call = Call { safe: method.safe, repeatable: payload.is_there(), tries };
            let wait = match retry::next(call, ending, self.tries, rand::random()) {
                Next::Stop => return self.give_up(failure, method.safe),
                Next::Move => Duration::ZERO,
                Next::Wait(wait) => {
                    let late = deadline.is_some_and(|at| Instant::now() + wait >= at);
                    // A try that cannot end in time is not worth its wait.
                    if late || !self.budget().take() {
                        return self.give_up(failure, method.safe);
                    }
                    wait
                }
            };
            self.retries.increment(1);
            if !wait.is_zero() {
                tokio::time::sleep(wait).await;
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
                return Err(Failure::Ended(Ending::Unreached, why.to_string()));
            }
        };
        *avoid = Some(lease.endpoint().clone());
        let request = addressed(parts, payload.take(), &lease.endpoint().target, deadline);
        match lease.sender().try_send_request(request).await {
            Ok(response) => {
                lease.answered();
                let role = self.role.clone();
                let response =
                    response.map(|body| Body::new(Held::new(body, lease, deadline, role)));
                let method = self.methods.find(parts.uri.path());
                if code_in(response.headers()) == Some(Code::Unimplemented)
                    && method.known()
                    && !method.plumbing
                    && let Some(role) = &self.role
                {
                    return Err(stranger(role, avoid.as_ref(), parts.uri.path()));
                }
                if invites_retry(&response) { Err(Failure::Said(response)) } else { Ok(response) }
            }
            Err(mut failed) => {
                let unsent = failed.take_message();
                let error = failed.into_error();
                let ending = self.note(&lease, &error, unsent.is_some());
                if let Some(request) = unsent {
                    payload.give_back(request.into_body());
                }
                Err(Failure::Ended(ending, chain(&error)))
            }
        }
    }

    /// What the end of a try means for its endpoint and for the call.
    fn note(&self, lease: &Lease, error: &hyper::Error, unsent: bool) -> Ending {
        let h2 = std::error::Error::source(error).and_then(|e| e.downcast_ref::<h2::Error>());
        let reason = h2.and_then(h2::Error::reason);
        let leaving = h2.is_some_and(|e| e.is_go_away() && e.is_remote())
            && reason == Some(h2::Reason::NO_ERROR);
        if unsent || leaving {
            lease.leave();
            return Ending::Unseen;
        }
        if h2.is_some_and(h2::Error::is_reset) {
            // One stream's trouble, not the connection's.
            let refused = reason == Some(h2::Reason::REFUSED_STREAM);
            return if refused { Ending::Unseen } else { Ending::Broken };
        }
        lease.broke(Instant::now(), self.pool.rules(), &chain(error));
        Ending::Broken
    }

    /// A role's processes are our own, and their addresses nobody else's business: the caller
    /// learns who is missing, the log why. Who gave an address learns all about it.
    fn give_up(&self, failure: Failure, safe: bool) -> Result<Response<Body>, BoxError> {
        let (ending, why, after) = match failure {
            Failure::Said(response) => return Ok(response),
            Failure::Open(why, after) => (Ending::Unreached, why.to_string(), after),
            Failure::Ended(ending, why) => (ending, why, Duration::ZERO),
        };
        let Some(role) = &self.role else {
            let text = format!("cannot reach {}: {why}", self.url);
            return Err(Box::new(tonic::ConnectError(text.into())));
        };
        tracing::debug!(role, error = why, "a call failed");
        Ok(unavailable(role, ending, safe, after).into_http())
    }

    fn budget(&self) -> MutexGuard<'_, Budget> {
        self.budget.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

const REASON: &str = "UPSTREAM_UNAVAILABLE";

/// The server went in the middle of its answer. No advice to try again: it might do the work twice.
fn broken(role: Option<&str>) -> Status {
    let who = role.map_or("server".to_owned(), |role| format!("{role} service"));
    let text = format!("the connection to the {who} broke before it answered");
    status::error(Code::Unavailable, REASON, text)
}

fn unavailable(role: &str, ending: Ending, safe: bool, after: Duration) -> Status {
    if ending == Ending::Broken && !safe {
        return broken(Some(role));
    }
    let text = format!("the {role} service cannot be reached");
    status::retry(Code::Unavailable, REASON, text, after.max(Duration::from_secs(1)))
}

/// A server that does not know its role's method: it plays another role, or is older than we are. Others may know it.
fn stranger(role: &str, endpoint: Option<&Arc<Endpoint>>, path: &str) -> Failure {
    let url = endpoint.map(|endpoint| endpoint.target.url()).unwrap_or_default();
    tracing::warn!(
        role,
        url,
        path,
        "a server does not know a method of the role that peers give it"
    );
    let text = format!("a server that should play the {role} role does not know {path}");
    let status =
        status::retry(Code::Unavailable, "UPSTREAM_STRANGER", text, Duration::from_secs(5));
    Failure::Said(status.into_http())
}

/// UNAVAILABLE at once, without advice when to come back: gRPC's push-back, which the caller has to
/// heed and we with it.
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
        headers.insert(metadata::TIMEOUT, timeout_value(left));
    }
    request
}

/// An error with its causes: hyper's own texts say little.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}
