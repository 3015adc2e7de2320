//! The middleware around every call. In-process calls and the listener share it.
//!
//! From the outside in: context (request id, trace, deadline), span, log line and metrics, the
//! request message, load shedding, deadline, panic catch, the authorising layer, the services.

use std::convert::Infallible;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context as Cx, Poll};
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tonic::body::Body;
use tonic::{Code, Status};
use tower::util::BoxCloneSyncService;
use tower::{Layer, Service};

use crate::body::{Watched, deadline_exceeded, panicked};
use crate::channel::InProcess;
use crate::context::{Context, REQUEST_ID};
use crate::health::{self, Health};
use crate::methods::{Method, Methods};
use crate::observe::{Call, code_in};
use crate::reading::Reading;
use crate::services::Services;
use crate::{message, status, tonic_status};

/// The gRPC services of a process with their middleware; [`crate::serve`] and [`crate::Local`] call
/// it.
pub type Served = BoxCloneSyncService<Request<Body>, Response<Body>, Infallible>;

/// Builds a [`Served`].
pub struct Stack {
    descriptor_set: &'static [u8],
    in_flight: usize,
    streams: usize,
    deadline: Duration,
    max_deadline: Duration,
    reading: Reading,
    internal: fn(&str) -> bool,
}

impl Stack {
    /// A stack for the services of this encoded descriptor set.
    pub fn new(descriptor_set: &'static [u8]) -> Self {
        let (deadline, max_deadline) = (Duration::from_secs(30), Duration::from_secs(60));
        let reading = Reading::default();
        let (in_flight, streams, internal) = (1024, 8192, no_path as fn(&str) -> bool);
        Self { descriptor_set, in_flight, streams, deadline, max_deadline, reading, internal }
    }

    /// The request paths of calls that services make as a part of other calls, which have log lines of
    /// their own. They are logged at debug level unless they fail, and have a span where the caller's
    /// trace is recorded. Default: none.
    #[must_use]
    pub fn internal(mut self, internal: fn(&str) -> bool) -> Self {
        self.internal = internal;
        self
    }

    /// Maximum number of concurrent unary calls from other processes; further ones are shed. Default: 1024.
    #[must_use]
    pub fn in_flight(mut self, calls: usize) -> Self {
        self.in_flight = calls;
        self
    }

    /// Maximum number of concurrent streams from other processes; further ones are shed. Default: 8192.
    #[must_use]
    pub fn streams(mut self, streams: usize) -> Self {
        self.streams = streams;
        self
    }

    /// The deadline of unary calls that have none. Default: 30 s.
    #[must_use]
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// The longest deadline of unary calls; longer ones are shortened. Default: 60 s.
    #[must_use]
    pub fn max_deadline(mut self, deadline: Duration) -> Self {
        self.max_deadline = deadline;
        self
    }

    /// The limits of request messages that are still arriving.
    #[must_use]
    pub fn reading(mut self, reading: Reading) -> Self {
        self.reading = reading;
        self
    }

    /// Wraps `services`, with the layer `authorise` innermost. Adds reflection and health, which
    /// starts as NOT_SERVING.
    pub fn build<L>(self, services: Services, authorise: &L) -> (Served, Health)
    where
        L: Layer<Served>,
        L::Service: Service<Request<Body>, Response = Response<Body>, Error = Infallible>
            + Clone
            + Send
            + Sync
            + 'static,
        <L::Service as Service<Request<Body>>>::Future: Send + 'static,
    {
        let (health, services) = Health::register(services);
        let services = health::add_reflection(services, self.descriptor_set);
        let mut sets = health::OWN_SETS.to_vec();
        sets.push(self.descriptor_set);
        let methods = Methods::new(&sets);
        methods.mark_internal(self.internal);
        let shared = Shared {
            methods,
            permits: Arc::new(Semaphore::new(self.in_flight)),
            streams: Arc::new(Semaphore::new(self.streams)),
            deadline: self.deadline,
            max_deadline: self.max_deadline,
            reading: self.reading,
        };
        let inner = authorise.layer(Served::new(services.into_routes()));
        let guard = Guard { inner: Served::new(inner), shared: Arc::new(shared) };
        (Served::new(guard), health)
    }
}

fn no_path(_: &str) -> bool {
    false
}

struct Shared {
    methods: Methods,
    permits: Arc<Semaphore>,
    streams: Arc<Semaphore>,
    deadline: Duration,
    max_deadline: Duration,
    reading: Reading,
}

#[derive(Clone)]
struct Guard {
    inner: Served,
    shared: Arc<Shared>,
}

impl Service<Request<Body>> for Guard {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Cx<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        // The instance that was polled ready is the one to call.
        let fresh = self.inner.clone();
        let inner = std::mem::replace(&mut self.inner, fresh);
        let shared = self.shared.clone();
        Box::pin(async move { Ok(shared.answer(inner, request).await) })
    }
}

impl Shared {
    async fn answer(&self, mut inner: Served, request: Request<Body>) -> Response<Body> {
        if let Some(refusal) = not_grpc(&request) {
            return refusal;
        }
        let in_process = request.extensions().get::<InProcess>().is_some();
        let method = self.methods.find(request.uri().path());
        let mut context = Context::incoming(request.headers());
        if !method.streaming {
            context.deadline = self.deadline(context.deadline);
        }
        let mut call = Call::begin(method, in_process, context);
        let context = call.context().clone();

        // Futures are pinned where they are made: moving them would copy kilobytes in every call.
        let admitted = pin!(self.admit(request, in_process, method));
        let admitted = within(context.deadline, admitted).await;
        let (request, permit) = match admitted.unwrap_or_else(|| Err(deadline_exceeded())) {
            Ok(admitted) => admitted,
            Err(status) => {
                call.end(status.code());
                return with_request_id(status.into_http(), &context);
            }
        };
        let work = AssertUnwindSafe(inner.call(request)).catch_unwind();
        let work = pin!(context.clone().scope(work));
        let response = match within(context.deadline, work).await {
            Some(Ok(Ok(response))) => response,
            Some(Ok(Err(never))) => match never {},
            Some(Err(panic)) => context.sync_scope(|| panicked(&*panic)).into_http(),
            None => deadline_exceeded().into_http(),
        };
        // The rest of a unary call only sends the response.
        let permit = permit.filter(|_| method.streaming);
        with_request_id(watch(response, call, permit), &context)
    }

    fn deadline(&self, requested: Option<Instant>) -> Option<Instant> {
        let now = Instant::now();
        let requested = requested.or_else(|| now.checked_add(self.deadline))?;
        Some(requested.min(now.checked_add(self.max_deadline)?))
    }

    /// Waits for the request message and takes a permit. In-process calls are part of a call that
    /// was admitted; shedding them would waste its work.
    async fn admit(
        &self,
        mut request: Request<Body>,
        in_process: bool,
        method: &'static Method,
    ) -> Result<(Request<Body>, Option<OwnedSemaphorePermit>), Status> {
        if in_process {
            return Ok((request, None));
        }
        if method.client_streaming {
            request = message::incoming(request);
        } else if method.known() {
            request = message::read(request, &self.reading).await?;
        }
        if method.plumbing {
            return Ok((request, None));
        }
        let permits = if method.streaming { &self.streams } else { &self.permits };
        let Ok(permit) = permits.clone().try_acquire_owned() else {
            metrics::counter!("agon_rpc_server_shed_total").increment(1);
            return Err(overloaded());
        };
        Ok((request, Some(permit)))
    }
}

/// The response that the gRPC protocol prescribes for other HTTP requests.
fn not_grpc(request: &Request<Body>) -> Option<Response<Body>> {
    let content_type = request.headers().get(http::header::CONTENT_TYPE);
    let grpc = content_type.is_some_and(|value| value.as_bytes().starts_with(b"application/grpc"));
    let code = if request.method() != http::Method::POST {
        StatusCode::METHOD_NOT_ALLOWED
    } else if !grpc {
        StatusCode::UNSUPPORTED_MEDIA_TYPE
    } else {
        return None;
    };
    let mut response = Response::new(Body::empty());
    *response.status_mut() = code;
    Some(response)
}

fn overloaded() -> Status {
    let message = "the server is overloaded; try again shortly";
    status::retry(Code::Unavailable, "OVERLOADED", message, Duration::from_secs(1))
}

async fn within<F: Future>(deadline: Option<Instant>, work: F) -> Option<F::Output> {
    match deadline {
        Some(at) => tokio::time::timeout_at(at.into(), work).await.ok(),
        None => Some(work.await),
    }
}

fn watch(
    mut response: Response<Body>,
    mut call: Call,
    permit: Option<OwnedSemaphorePermit>,
) -> Response<Body> {
    tonic_status::rewrite(response.headers_mut());
    // A status in the headers ends the call without a body.
    if let Some(code) = code_in(response.headers()) {
        call.end(code);
        return response;
    }
    let deadline = call.context().deadline;
    let deadline = deadline.map(|at| Box::pin(tokio::time::sleep_until(at.into())));
    response
        .map(|inner| Body::new(Watched { inner, call, deadline, _permit: permit, ended: false }))
}

fn with_request_id(mut response: Response<Body>, context: &Context) -> Response<Body> {
    let headers: &mut HeaderMap = response.headers_mut();
    if let Ok(value) = HeaderValue::from_str(&context.request_id) {
        headers.insert(&REQUEST_ID, value);
    }
    response
}
