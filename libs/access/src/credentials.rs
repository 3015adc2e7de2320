//! A service's own credential: exchanges its key for access tokens and adds them to calls.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, PoisonError, RwLock};
use std::task::{Context, Poll};

use chrono::{DateTime, Duration, Utc};
use futures_util::future::BoxFuture;
use http::{HeaderName, HeaderValue, Request, Response};
use ids::Clock;
use proto::auth::ExchangeServiceAssertionRequest;
use proto::auth::token_service_client::TokenServiceClient;
use rpc::{Channel, metadata, status};
use tokio::sync::Mutex;
use tonic::body::Body;
use tonic::{Code, Status};
use tower::Service;

use crate::assertion::Assertion;
use crate::key::SigningKey;
use crate::layer::EDGE_AUTHORIZATION;
use crate::remote::is_outage;

/// A token that was refused sooner than this after its issue is kept: a new one would be refused
/// too.
const MIN_TOKEN_AGE: Duration = Duration::seconds(5);
/// The longest wait for a new token while the current one is usable.
const RENEWAL_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(1);
/// The time between two renewals after the auth service failed.
const RENEWAL_INTERVAL: Duration = Duration::milliseconds(250);
/// How long after its expiry the edge's token still proves client addresses, so that anonymous
/// calls do not need the auth service.
pub(crate) const EDGE_GRACE: Duration = Duration::hours(1);
/// The reason of [`hide_refusal`].
pub(crate) const REFUSED: &str = "CREDENTIAL_REFUSED";

/// A service's credential. Cheap to clone; clones share the token.
#[derive(Clone)]
pub struct Credentials(Arc<Source>);

enum Source {
    Key(Box<Exchange>),
    Fixed(HeaderValue),
}

struct Exchange {
    name: String,
    key: SigningKey,
    client: TokenServiceClient<Channel>,
    clock: Clock,
    current: RwLock<Option<Current>>,
    // Held during a fetch, so that concurrent calls fetch one token. Holds the last failure.
    fetching: Mutex<Option<(DateTime<Utc>, Status)>>,
}

#[derive(Clone)]
struct Current {
    value: HeaderValue,
    issued_at: DateTime<Utc>,
    renew_at: DateTime<Utc>,
    expires_at: DateTime<Utc>,
}

impl Credentials {
    /// The credential of the service `name`. Gets access tokens from the auth service at `channel`
    /// for assertions signed with `key`, and caches each for four fifths of its lifetime.
    pub fn new(name: &str, key: SigningKey, channel: Channel, clock: Clock) -> Self {
        Self(Arc::new(Source::Key(Box::new(Exchange {
            name: name.to_owned(),
            key,
            client: TokenServiceClient::new(channel),
            clock,
            current: RwLock::default(),
            fetching: Mutex::default(),
        }))))
    }

    /// A credential with a fixed token; for tests and tools.
    ///
    /// # Panics
    /// When the token is not a valid header value.
    pub fn fixed(token: &str) -> Self {
        Self(Arc::new(Source::Fixed(header(token).expect("a token is ASCII"))))
    }

    /// The value for `authorization`, with the scheme. While the auth service does not answer, the
    /// current token is used until it expires.
    pub async fn authorization(&self) -> Result<HeaderValue, Status> {
        self.usable(Duration::zero()).await
    }

    /// [`Credentials::authorization`], with a token that is used longer by `grace`.
    async fn usable(&self, grace: Duration) -> Result<HeaderValue, Status> {
        match &*self.0 {
            Source::Fixed(value) => Ok(value.clone()),
            Source::Key(exchange) => exchange.authorization(grace).await,
        }
    }

    /// The token without the scheme.
    pub fn token(&self) -> BoxFuture<'_, Result<String, Status>> {
        Box::pin(async move {
            let value = self.authorization().await?;
            let text = value.to_str().unwrap_or_default();
            Ok(text.strip_prefix("Bearer ").unwrap_or(text).to_owned())
        })
    }

    /// A channel that sends this credential as `authorization`.
    pub fn channel(&self, channel: Channel) -> Authorised {
        Authorised { credentials: self.clone(), header: metadata::AUTHORIZATION, channel }
    }

    /// A channel for the edge: keeps the client's `authorization` and sends this credential as
    /// [`EDGE_AUTHORIZATION`].
    pub fn edge_channel(&self, channel: Channel) -> Authorised {
        Authorised { credentials: self.clone(), header: EDGE_AUTHORIZATION, channel }
    }

    /// Drops the cached token after it was refused.
    fn forget(&self) {
        if let Source::Key(exchange) = &*self.0 {
            let mut current = exchange.current.write().unwrap_or_else(PoisonError::into_inner);
            let now = exchange.clock.now();
            if current.as_ref().is_some_and(|token| now - token.issued_at > MIN_TOKEN_AGE) {
                *current = None;
            }
        }
    }
}

impl Exchange {
    async fn authorization(&self, grace: Duration) -> Result<HeaderValue, Status> {
        if let Some(value) = self.current() {
            return Ok(value);
        }
        let usable = self.usable(grace);
        let mut failure = match (&usable, self.fetching.try_lock()) {
            (_, Ok(failure)) => failure,
            (Some(value), Err(_)) => return Ok(value.clone()),
            (None, Err(_)) => self.fetching.lock().await,
        };
        if let Some(value) = self.current() {
            return Ok(value);
        }
        let now = self.clock.now();
        let recent = failure.clone().filter(|(at, _)| now - *at < RENEWAL_INTERVAL);
        let fetched = match (recent, &usable) {
            (Some((_, status)), _) => Err(status),
            (None, None) => self.fetch(now).await,
            (None, Some(_)) => tokio::time::timeout(RENEWAL_TIMEOUT, self.fetch(now))
                .await
                .unwrap_or_else(|_| Err(Status::deadline_exceeded("no answer within a second"))),
        };
        let status = match fetched {
            Ok(value) => return Ok(value),
            Err(status) => status,
        };
        if !is_outage(&status) {
            return Err(status);
        }
        if failure.as_ref().is_none_or(|(at, _)| now - *at >= RENEWAL_INTERVAL) {
            *failure = Some((self.clock.now(), status.clone()));
        }
        usable.ok_or(status)
    }

    /// Exchanges a new assertion for a token.
    async fn fetch(&self, now: DateTime<Utc>) -> Result<HeaderValue, Status> {
        let assertion = Assertion::new(&self.name, self.clock.new_id(), now).sign(&self.key);
        let request = ExchangeServiceAssertionRequest { assertion };
        let answer = self.client.clone().exchange_service_assertion(request).await?.into_inner();
        let value = header(&answer.access_token).ok_or_else(|| {
            status::internal("the auth service returned a token that is not a valid header value")
        })?;
        let lifetime = Duration::seconds(answer.expires_in.into());
        let (renew_at, expires_at) = (now + lifetime * 4 / 5, now + lifetime);
        let fresh = Current { value: value.clone(), issued_at: now, renew_at, expires_at };
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = Some(fresh);
        Ok(value)
    }

    fn current(&self) -> Option<HeaderValue> {
        let current = self.current.read().unwrap_or_else(PoisonError::into_inner);
        let token = current.as_ref().filter(|token| token.renew_at > self.clock.now())?;
        Some(token.value.clone())
    }

    /// The token until `grace` after its expiry.
    fn usable(&self, grace: Duration) -> Option<HeaderValue> {
        let current = self.current.read().unwrap_or_else(PoisonError::into_inner);
        let token = current.as_ref().filter(|token| token.expires_at + grace > self.clock.now())?;
        Some(token.value.clone())
    }
}

fn header(token: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(&format!("Bearer {token}")).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// A channel that adds a credential to every call.
#[derive(Clone)]
pub struct Authorised {
    credentials: Credentials,
    header: &'static str,
    channel: Channel,
}

type BoxError = Box<dyn std::error::Error + Send + Sync>;

impl Service<Request<Body>> for Authorised {
    type Response = Response<Body>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, BoxError>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.channel.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        // Call the instance that was polled ready.
        let fresh = self.channel.clone();
        let mut channel = std::mem::replace(&mut self.channel, fresh);
        let (credentials, name) = (self.credentials.clone(), self.header);
        Box::pin(async move {
            let edge = name == EDGE_AUTHORIZATION;
            let value = credentials.usable(if edge { EDGE_GRACE } else { Duration::zero() }).await;
            match value {
                Ok(value) => {
                    request.headers_mut().insert(HeaderName::from_static(name), value);
                }
                // Without it the receiver only lacks the client's address.
                Err(status) if edge && is_outage(&status) => {
                    tracing::debug!(%status, "sending call without the edge's credential");
                }
                Err(status) => return Ok(hide_refusal(status).into_http()),
            }
            let response = channel.call(request).await?;
            if response.headers().get("grpc-status").is_some_and(|code| code == "16") {
                credentials.forget();
            }
            Ok(response)
        })
    }
}

/// Hides a refusal of this process's own credential from clients, which would otherwise take it for
/// a refusal of theirs.
fn hide_refusal(status: Status) -> Status {
    if !matches!(status.code(), Code::Unauthenticated | Code::PermissionDenied | Code::NotFound) {
        return status;
    }
    tracing::error!(
        error = %status,
        "service credential refused; root_secret, or this service's file in keys, must be that of the installation"
    );
    let text = "the server is misconfigured; see its log";
    status::retry(Code::Unavailable, REFUSED, text, std::time::Duration::from_secs(5))
}
