//! Client of the auth service for processes that do not run it: keys and revocation checks.

use std::time::{Duration, Instant};

use proto::auth::token_service_client::TokenServiceClient;
use proto::auth::validate_token_response::Result as Answer;
use proto::auth::{self, GetJsonWebKeySetRequest, ValidateTokenRequest};
use rpc::Channel;
use tokio::sync::Mutex;
use tonic::Status;

use crate::credentials::{Authorised, Credentials};
use crate::key::PublicKey;
use crate::token::{KeySet, Rejection};

/// Shortest time between two fetches of keys; tokens with unknown headers cannot cause more.
const FETCH_INTERVAL: Duration = Duration::from_secs(5);

pub(crate) struct Remote {
    keys: TokenServiceClient<Channel>,
    tokens: TokenServiceClient<Authorised>,
    fetched: Mutex<Option<Instant>>,
}

impl Remote {
    pub fn new(channel: Channel, credentials: &Credentials) -> Self {
        Self {
            tokens: TokenServiceClient::new(credentials.channel(channel.clone())),
            keys: TokenServiceClient::new(channel),
            fetched: Mutex::default(),
        }
    }

    /// The keys of the auth service; `None` within `FETCH_INTERVAL` of the last fetch.
    pub async fn fetch_keys(&self) -> Result<Option<KeySet>, Status> {
        let mut fetched = self.fetched.lock().await;
        if fetched.is_some_and(|at| at.elapsed() < FETCH_INTERVAL) {
            return Ok(None);
        }
        let answer = self.keys.clone().get_json_web_key_set(GetJsonWebKeySetRequest {}).await?;
        *fetched = Some(Instant::now());
        let keys = answer.into_inner().keys;
        Ok(Some(KeySet::new(keys.iter().filter_map(|key| PublicKey::try_from(key).ok()))))
    }

    /// The rejection of a token by the auth service, if any.
    pub async fn confirm(&self, token: &str) -> Result<Result<(), Rejection>, Status> {
        let request = ValidateTokenRequest { token: token.to_owned(), ..Default::default() };
        let answer = self.tokens.clone().validate_token(request).await?.into_inner();
        Ok(match answer.result {
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
    }
}
