//! Service accounts: registration at start, and exchange of assertions for tokens.

use access::PublicKey;
use chrono::{DateTime, Duration, Utc};
use proto::auth as pb;

use crate::error::{Error, Result};
use crate::service_account::{ServiceAccount, verify};
use crate::{Auth, State, store};

/// How long a used assertion is stored beyond its expiry, in seconds. More than the leeway.
const REPLAY_MARGIN: i64 = 600;

impl Auth {
    /// Creates a service account with this key, or replaces the key of the existing one.
    pub async fn ensure_service(&self, name: &str, key: &PublicKey) -> Result<()> {
        let services = store::keys::services(&self.0.db).await?;
        let public_key = key.bytes().to_vec();
        if services.iter().any(|one| one.name == name && one.public_key == public_key) {
            return Ok(());
        }
        let public_key = public_key.as_slice();
        let adding = self.0.db.transact(|mut tx| async move {
            let account = ServiceAccount {
                id: tx.new_id(),
                name: name.to_owned(),
                public_key: public_key.to_vec(),
                created_at: tx.now(),
            };
            store::keys::put_service(&mut tx, &account).await
        });
        Ok(adding.await?)
    }
}

impl State {
    /// Exchanges an assertion for an access token. Each assertion is accepted once. Invalid ones are
    /// not counted: a signature cannot be guessed.
    pub async fn exchange(&self, assertion: &str) -> Result<pb::ExchangeServiceAssertionResponse> {
        if assertion.is_empty() {
            return Err(Error::field("assertion", "is missing"));
        }
        let services = store::keys::services(&self.db).await?;
        let verified = verify(&services, assertion, self.clock.now());
        let (service, claims) = verified.ok_or(Error::InvalidAssertion)?;
        let expires_at = DateTime::<Utc>::from_timestamp(claims.exp, 0);
        let keep_until =
            expires_at.ok_or(Error::InvalidAssertion)? + Duration::seconds(REPLAY_MARGIN);
        let using = self.db.transact(|mut tx| async move {
            store::keys::use_assertion(&mut tx, service.id, claims.jti, keep_until).await
        });
        if !using.await? {
            tracing::warn!(service = %service.name, "assertion replayed");
            return Err(Error::InvalidAssertion);
        }
        let (access_token, expires_in) = self.service_token(service.id, &service.name)?;
        let token_type = "Bearer".to_owned();
        Ok(pb::ExchangeServiceAssertionResponse { access_token, token_type, expires_in })
    }
}
