//! A service's own credential: its key, the token it gets for it, and channels that carry it.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, PoisonError, RwLock};
use std::task::{Context, Poll};

use chrono::{DateTime, Duration, Utc};
use http::{HeaderName, HeaderValue, Request, Response};
use ids::Clock;
use proto::auth::ExchangeServiceAssertionRequest;
use proto::auth::token_service_client::TokenServiceClient;
use rpc::{Channel, metadata, status};
use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;
use tonic::body::Body;
use tonic::{Code, Status};
use tower::Service;
use uuid::Uuid;

use crate::key::SigningKey;
use crate::layer::EDGE_AUTHORIZATION;
use crate::token;

/// Lifetime of an assertion: enough for the way and for clocks that differ.
const ASSERTION_SECONDS: i64 = 60;

/// What a service's assertion says (RFC 7523, section 3).
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Assertion {
    /// The service's name.
    pub iss: String,
    /// The service's name again.
    pub sub: String,
    /// [`token::ISSUER`].
    pub aud: String,
    /// When it was signed, in seconds.
    pub iat: i64,
    /// When it expires, in seconds.
    pub exp: i64,
    /// Accepted once.
    pub jti: Uuid,
}

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
    // Held while a token is fetched, so that a burst of calls fetches one.
    fetching: Mutex<()>,
}

#[derive(Clone)]
struct Current {
    value: HeaderValue,
    issued_at: DateTime<Utc>,
    renew_at: DateTime<Utc>,
}

impl Credentials {
    /// The credential of the service `name`, which proves itself to the auth service at `channel`
    /// by `key` and keeps the token it gets while it is good.
    #[must_use]
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

    /// A token that somebody else got; for tests and tools.
    ///
    /// # Panics
    /// When it cannot stand in a header, which no token does.
    #[must_use]
    pub fn fixed(token: &str) -> Self {
        Self(Arc::new(Source::Fixed(header(token).expect("a token is ASCII"))))
    }

    /// The value for `authorization`.
    pub async fn authorization(&self) -> Result<HeaderValue, Status> {
        match &*self.0 {
            Source::Fixed(value) => Ok(value.clone()),
            Source::Key(exchange) => exchange.authorization().await,
        }
    }

    /// The token itself, for people and scripts.
    pub async fn token(&self) -> Result<String, Status> {
        let value = self.authorization().await?;
        let text = value.to_str().unwrap_or_default();
        Ok(text.strip_prefix("Bearer ").unwrap_or(text).to_owned())
    }

    /// A channel whose calls carry this credential as `authorization`.
    #[must_use]
    pub fn channel(&self, channel: Channel) -> Authorised {
        Authorised { credentials: self.clone(), channel }
    }

    /// A channel for the edge: its calls keep the client's `authorization`, and prove that they
    /// come through the edge.
    #[must_use]
    pub fn edge_channel(&self, channel: Channel) -> EdgeChannel {
        EdgeChannel { credentials: self.clone(), channel }
    }

    /// Forgets a token that was refused, unless it is so new that another one would be too.
    fn forget(&self) {
        if let Source::Key(exchange) = &*self.0 {
            let mut current = exchange.current.write().unwrap_or_else(PoisonError::into_inner);
            let now = exchange.clock.now();
            if current.as_ref().is_some_and(|token| now - token.issued_at > Duration::seconds(5)) {
                *current = None;
            }
        }
    }
}

impl Exchange {
    async fn authorization(&self) -> Result<HeaderValue, Status> {
        if let Some(value) = self.current() {
            return Ok(value);
        }
        let _fetching = self.fetching.lock().await;
        if let Some(value) = self.current() {
            return Ok(value);
        }
        let now = self.clock.now();
        let request = ExchangeServiceAssertionRequest { assertion: self.assertion(now) };
        let answer = self.client.clone().exchange_service_assertion(request).await?.into_inner();
        let value = header(&answer.access_token)
            .ok_or_else(|| status::internal("the auth service sent an unusable token"))?;
        let renew_at = now + Duration::seconds(i64::from(answer.expires_in) * 4 / 5);
        let fresh = Current { value: value.clone(), issued_at: now, renew_at };
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = Some(fresh);
        Ok(value)
    }

    fn current(&self) -> Option<HeaderValue> {
        let current = self.current.read().unwrap_or_else(PoisonError::into_inner);
        let token = current.as_ref().filter(|token| token.renew_at > self.clock.now())?;
        Some(token.value.clone())
    }

    fn assertion(&self, now: DateTime<Utc>) -> String {
        let claims = Assertion {
            iss: self.name.clone(),
            sub: self.name.clone(),
            aud: token::ISSUER.to_owned(),
            iat: now.timestamp(),
            exp: now.timestamp() + ASSERTION_SECONDS,
            jti: self.clock.new_id(),
        };
        token::sign(&self.key, token::ASSERTION, &claims)
    }
}

fn header(token: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(&format!("Bearer {token}")).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// A channel whose calls carry a service's credential. See [`Credentials::channel`].
#[derive(Clone)]
pub struct Authorised {
    credentials: Credentials,
    channel: Channel,
}

/// The edge's channel. See [`Credentials::edge_channel`].
#[derive(Clone)]
pub struct EdgeChannel {
    credentials: Credentials,
    channel: Channel,
}

type Answer = Pin<Box<dyn Future<Output = Result<Response<Body>, BoxError>> + Send>>;
type BoxError = Box<dyn std::error::Error + Send + Sync>;

impl Service<Request<Body>> for Authorised {
    type Response = Response<Body>;
    type Error = BoxError;
    type Future = Answer;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.channel.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Answer {
        call(&mut self.channel, &self.credentials, metadata::AUTHORIZATION, request)
    }
}

impl Service<Request<Body>> for EdgeChannel {
    type Response = Response<Body>;
    type Error = BoxError;
    type Future = Answer;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.channel.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Answer {
        call(&mut self.channel, &self.credentials, EDGE_AUTHORIZATION, request)
    }
}

/// Whether this process is believed is not the business of whoever calls it: a client must not think that its own
/// credential is bad.
fn not_ours(status: Status) -> Status {
    if !matches!(status.code(), Code::Unauthenticated | Code::PermissionDenied | Code::NotFound) {
        return status;
    }
    tracing::error!(
        error = %status,
        "the auth service does not accept this process's own key; is its root_secret, or its file in keys, that of \
         the installation?"
    );
    let text = "this server is not set up right; its operator has to look at its log";
    status::retry(Code::Unavailable, "CREDENTIAL_REFUSED", text, std::time::Duration::from_secs(5))
}

fn call(
    channel: &mut Channel,
    credentials: &Credentials,
    name: &'static str,
    mut request: Request<Body>,
) -> Answer {
    // The instance that was polled ready is the one to call.
    let fresh = channel.clone();
    let mut channel = std::mem::replace(channel, fresh);
    let credentials = credentials.clone();
    Box::pin(async move {
        let value = match credentials.authorization().await {
            Ok(value) => value,
            Err(status) => return Ok(not_ours(status).into_http()),
        };
        request.headers_mut().insert(HeaderName::from_static(name), value);
        let response = channel.call(request).await?;
        if response.headers().get("grpc-status").is_some_and(|code| code == "16") {
            credentials.forget();
        }
        Ok(response)
    })
}
