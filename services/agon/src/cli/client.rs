//! gRPC channels of the commands.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::{Stream, TryStreamExt as _};
use http::header::AUTHORIZATION;
use http::{HeaderValue, Request, Response};
use ids::Clock;
use proto::auth::RefreshSessionRequest;
use proto::auth::session_service_client::SessionServiceClient;
use rpc::{Channel, ConnectError, Peer};
use tokio::sync::Mutex;
use tonic::Status;
use tonic::body::Body;
use tower::Service;

use crate::cli::arguments::Remote;
use crate::cli::credentials::{Credentials, Stored};
use crate::cli::diagnosis;
use crate::failure::Failure;

/// Seconds before expiry at which an access token is refreshed.
const REFRESH_MARGIN: i64 = 30;

/// A channel whose calls carry the access token of the session stored by `agon login`, refreshed when it expires;
/// anonymous without a session.
#[derive(Clone)]
pub struct SignedIn {
    channel: Channel,
    session: Option<Arc<Session>>,
}

struct Session {
    server: String,
    stored: Mutex<Stored>,
}

impl Session {
    async fn authorization(&self, channel: &Channel) -> Result<HeaderValue, Status> {
        let mut stored = self.stored.lock().await;
        let now = Clock::system().now().timestamp();
        if stored.expires_at - REFRESH_MARGIN <= now {
            let request = RefreshSessionRequest { refresh_token: stored.refresh_token.clone() };
            let fresh = SessionServiceClient::new(channel.clone()).refresh_session(request).await?;
            let fresh = fresh.into_inner();
            stored.access_token = fresh.access_token;
            stored.expires_at = now + i64::from(fresh.expires_in);
            stored.refresh_token = fresh.refresh_token;
            let saved =
                Credentials::load().and_then(|mut all| all.put(&self.server, stored.clone()));
            saved.map_err(|failure| Status::internal(failure.to_string()))?;
        }
        let value = HeaderValue::from_str(&format!("Bearer {}", stored.access_token));
        let mut value = value
            .map_err(|_| Status::unauthenticated("the stored token is invalid; log in again"))?;
        value.set_sensitive(true);
        Ok(value)
    }
}

impl Service<Request<Body>> for SignedIn {
    type Response = Response<Body>;
    type Error = <Channel as Service<Request<Body>>>::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Self::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.channel.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        let SignedIn { mut channel, session } = self.clone();
        Box::pin(async move {
            if let Some(session) = session {
                let value = match session.authorization(&channel).await {
                    Ok(value) => value,
                    Err(status) => return Ok(status.into_http()),
                };
                request.headers_mut().insert(AUTHORIZATION, value);
            }
            channel.call(request).await
        })
    }
}

/// Connects, and checks that the server answers gRPC calls.
pub async fn connect(remote: &Remote) -> Result<Channel, Failure> {
    let mut peer = Peer { urls: vec![remote.server.clone()], ..Peer::default() };
    if remote.server.starts_with("https:") {
        peer.tls.ca = remote.ca.clone().or_else(|| openssl_probe::probe().cert_file);
    }
    let channel = Channel::connect_peer(&peer).map_err(|error| match error {
        ConnectError::Tls(error) => Failure::usage(format!("--ca: {error}")),
        error => Failure::usage(format!("--server: {error}")),
    })?;
    match channel.check().await {
        Ok(()) => Ok(channel),
        Err(status) => Err(diagnosis::explain(&remote.server, status).await),
    }
}

/// A channel with the session stored by `agon login`.
pub async fn signed_in(remote: &Remote) -> Result<SignedIn, Failure> {
    let server = &remote.server;
    let Some(stored) = Credentials::load()?.get(server).cloned() else {
        let text = format!("not logged in at {server}; run `agon login` first");
        return Err(Failure::denied(text));
    };
    let session = Session { server: server.clone(), stored: Mutex::new(stored) };
    Ok(SignedIn { channel: connect(remote).await?, session: Some(Arc::new(session)) })
}

/// Like [`signed_in`], but anonymous without a stored session.
pub async fn maybe_signed_in(remote: &Remote) -> Result<SignedIn, Failure> {
    match Credentials::load()?.get(&remote.server) {
        Some(_) => signed_in(remote).await,
        None => Ok(SignedIn { channel: connect(remote).await?, session: None }),
    }
}

/// The items of a list, page by page, until there are more than `limit`. The flag says whether there are further ones.
pub async fn pages<T>(
    limit: usize,
    page: impl AsyncFn(String) -> Result<(Vec<T>, String), Status>,
) -> Result<(Vec<T>, bool), Status> {
    let (mut items, mut page_token) = (Vec::new(), String::new());
    loop {
        let (more, next) = page(page_token).await?;
        items.extend(more);
        page_token = next;
        if page_token.is_empty() || items.len() > limit {
            break;
        }
    }
    let more = items.len() > limit || !page_token.is_empty();
    items.truncate(limit);
    Ok((items, more))
}

/// Retries of a broken watch in a row.
const MAX_RETRIES: usize = 5;
const RETRY_INTERVAL: Duration = Duration::from_millis(500);

/// Watches a resource until `is_final`, and reopens a stream that breaks. `show` is called with every state.
pub async fn follow<T, S: Stream<Item = Result<T, Status>> + Unpin>(
    mut current: T,
    is_final: impl Fn(&T) -> bool,
    watch: impl AsyncFn() -> Result<S, Status>,
    mut show: impl FnMut(&T),
) -> Result<T, Failure> {
    let mut failures = 0;
    while !is_final(&current) {
        let watched = async {
            let mut states = watch().await?;
            while let Some(state) = states.try_next().await? {
                show(&state);
                current = state;
                if is_final(&current) {
                    break;
                }
            }
            Ok::<_, Status>(())
        };
        match watched.await {
            Ok(()) => failures = 0,
            Err(status) if failures == MAX_RETRIES => return Err(Failure::from(status)),
            Err(_) => failures += 1,
        }
        if !is_final(&current) {
            tokio::time::sleep(RETRY_INTERVAL).await;
        }
    }
    Ok(current)
}
