//! Client of the auth service for processes that do not run it: keys and revocation checks.

use std::sync::PoisonError;
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;
use proto::auth::token_service_client::TokenServiceClient;
use proto::auth::validate_token_response::Result as Answer;
use proto::auth::{self, Consistency, GetJsonWebKeySetRequest, ValidateTokenRequest};
use rpc::{Channel, status};
use tokio::sync::Mutex;
use tonic::{Code, Status};

use crate::credentials::{Authorised, Credentials};
use crate::key::PublicKey;
use crate::token::{KeySet, Rejection};

/// Shortest time between two fetches of keys; tokens with unknown headers cannot cause more.
const FETCH_INTERVAL: Duration = Duration::from_secs(5);
/// The longest wait for a confirmation.
const CONFIRM_TIMEOUT: Duration = Duration::from_secs(1);
/// How long calls that can do without a confirmation do not ask for it after the auth service failed.
const SILENCE: Duration = Duration::from_secs(1);
/// After this time without an answer of the auth service, its memory may be as old: privileged calls make it read its
/// database.
const MAX_CACHED_AGE: Duration = Duration::from_secs(5);

pub(crate) struct Remote {
    keys: TokenServiceClient<Channel>,
    tokens: TokenServiceClient<Authorised>,
    fetched: Mutex<Option<Instant>>,
    contact: std::sync::Mutex<Contact>,
}

/// The last answer of the auth service, and its last failure since then.
#[derive(Default)]
struct Contact {
    answered: Option<Instant>,
    failed: Option<Instant>,
}

impl Remote {
    pub fn new(channel: Channel, credentials: &Credentials) -> Self {
        Self {
            tokens: TokenServiceClient::new(credentials.channel(channel.clone())),
            keys: TokenServiceClient::new(channel),
            fetched: Mutex::default(),
            contact: std::sync::Mutex::default(),
        }
    }

    /// The keys of the auth service; `None` within `FETCH_INTERVAL` of the last fetch.
    pub fn fetch_keys(&self) -> BoxFuture<'_, Result<Option<KeySet>, Status>> {
        Box::pin(async move {
            let mut fetched = self.fetched.lock().await;
            if fetched.is_some_and(|at| at.elapsed() < FETCH_INTERVAL) {
                return Ok(None);
            }
            let answer = self.keys.clone().get_json_web_key_set(GetJsonWebKeySetRequest {}).await?;
            *fetched = Some(Instant::now());
            let keys = answer.into_inner().keys;
            Ok(Some(KeySet::new(keys.iter().filter_map(|key| PublicKey::try_from(key).ok()))))
        })
    }

    /// Whether the auth service has just failed to answer.
    pub fn is_silent(&self) -> bool {
        let contact = self.contact.lock().unwrap_or_else(PoisonError::into_inner);
        contact.failed.is_some_and(|at| at.elapsed() < SILENCE)
    }

    /// The rejection of a token by the auth service, if any.
    pub fn confirm<'a>(
        &'a self,
        token: &'a str,
        privileged: bool,
    ) -> BoxFuture<'a, Result<Result<(), Rejection>, Status>> {
        Box::pin(async move {
            let consistency = match privileged && self.is_out_of_date() {
                true => Consistency::Authoritative.into(),
                false => Consistency::Cached.into(),
            };
            let request =
                ValidateTokenRequest { token: token.to_owned(), consistency, ..Default::default() };
            let mut client = self.tokens.clone();
            let answer =
                tokio::time::timeout(CONFIRM_TIMEOUT, client.validate_token(request)).await;
            let late = |_| Status::deadline_exceeded("no answer within a second");
            let answer = answer.map_err(late).flatten();
            self.note(answer.as_ref().err());
            Ok(match answer?.into_inner().result {
                Some(Answer::Principal(_)) => Ok(()),
                Some(Answer::Rejection(reason)) => Err(match auth::Rejection::try_from(reason) {
                    Ok(auth::Rejection::Expired) => Rejection::Expired,
                    Ok(auth::Rejection::Revoked) => Rejection::Revoked,
                    Ok(auth::Rejection::WrongAudience) => Rejection::WrongAudience,
                    Ok(auth::Rejection::Suspended) => Rejection::Suspended,
                    _ => Rejection::Malformed,
                }),
                None => Err(Rejection::Malformed),
            })
        })
    }

    fn is_out_of_date(&self) -> bool {
        let contact = self.contact.lock().unwrap_or_else(PoisonError::into_inner);
        contact.answered.is_none_or(|at| at.elapsed() > MAX_CACHED_AGE)
    }

    fn note(&self, failure: Option<&Status>) {
        let mut contact = self.contact.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        match failure {
            None => {
                contact.answered = Some(now);
                if contact.failed.take().is_some() {
                    tracing::info!("auth service available again");
                }
            }
            // The client's deadline has passed; that says nothing about the auth service.
            Some(_) if rpc::deadline_status().is_some() => {}
            Some(error) if is_outage(error) => {
                if contact.failed.replace(now).is_none() {
                    tracing::warn!(%error, "auth service unavailable");
                }
            }
            Some(_) => {}
        }
    }
}

/// Whether the auth service did not answer, as opposed to a refusal.
pub(crate) fn is_outage(status: &Status) -> bool {
    let refused = status::reason(status).as_deref() == Some(crate::credentials::REFUSED);
    matches!(status.code(), Code::Unavailable | Code::DeadlineExceeded) && !refused
}
