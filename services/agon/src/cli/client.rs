//! gRPC channels of the commands.

use std::time::Duration;

use futures_util::{Stream, TryStreamExt as _};
use ids::Clock;
use proto::auth::RefreshSessionRequest;
use proto::auth::session_service_client::SessionServiceClient;
use rpc::Channel;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::{Request, Status};

use crate::cli::credentials::{Credentials, Stored};
use crate::failure::Failure;

/// A channel whose calls carry the user's access token.
pub type SignedIn = InterceptedService<Channel, Bearer>;

/// Seconds before expiry at which an access token is refreshed.
const REFRESH_MARGIN: i64 = 30;

/// Anonymous without a token.
#[derive(Clone)]
pub struct Bearer(Option<MetadataValue<Ascii>>);

impl Bearer {
    fn new(token: &str) -> Result<Self, Failure> {
        let value = format!("Bearer {token}").parse();
        let mut value: MetadataValue<Ascii> =
            value.map_err(|_| Failure::denied("the stored token is invalid; log in again"))?;
        value.set_sensitive(true);
        Ok(Self(Some(value)))
    }
}

impl Interceptor for Bearer {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(value) = &self.0 {
            request.metadata_mut().insert(rpc::metadata::AUTHORIZATION, value.clone());
        }
        Ok(request)
    }
}

pub fn connect(server: &str) -> Result<Channel, Failure> {
    Channel::connect(server).map_err(|error| Failure::usage(format!("--server: {error}")))
}

/// A channel with the session stored by `agon login`, refreshed if it expires soon.
pub async fn signed_in(server: &str) -> Result<SignedIn, Failure> {
    let mut credentials = Credentials::load()?;
    let Some(stored) = credentials.get(server).cloned() else {
        let text = format!("not logged in at {server}; run `agon login` first");
        return Err(Failure::denied(text));
    };
    let channel = connect(server)?;
    let now = Clock::system().now().timestamp();
    if stored.expires_at - REFRESH_MARGIN > now {
        return Ok(InterceptedService::new(channel, Bearer::new(&stored.access_token)?));
    }
    let request = RefreshSessionRequest { refresh_token: stored.refresh_token };
    let fresh = SessionServiceClient::new(channel.clone()).refresh_session(request).await;
    let fresh = fresh.map_err(Failure::from)?.into_inner();
    let bearer = Bearer::new(&fresh.access_token)?;
    let stored = Stored {
        username: stored.username,
        access_token: fresh.access_token,
        expires_at: now + i64::from(fresh.expires_in),
        refresh_token: fresh.refresh_token,
        device_token: stored.device_token,
    };
    credentials.put(server, stored)?;
    Ok(InterceptedService::new(channel, bearer))
}

/// Like [`signed_in`], but anonymous without a stored session.
pub async fn maybe_signed_in(server: &str) -> Result<SignedIn, Failure> {
    match Credentials::load()?.get(server) {
        Some(_) => signed_in(server).await,
        None => Ok(InterceptedService::new(connect(server)?, Bearer(None))),
    }
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
