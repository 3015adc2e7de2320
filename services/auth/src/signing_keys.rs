//! Creates, wraps, rotates and deletes signing keys.

use std::sync::{Arc, PoisonError};

use access::{KeySet, PublicKey, SigningKey, token};
use chrono::Duration;
use db::Tx;

use crate::error::{Error, Result};
use crate::signing_key::{State as KeyState, Step, StoredKey, Times, next_step};
use crate::{State, secret, store};

/// How long a key is pending, so that all verifiers fetch it before it signs.
const PENDING: Duration = Duration::hours(24);

impl State {
    /// Executes the due steps of the key life cycle and loads the keys.
    pub async fn rotate_keys(&self) -> Result<()> {
        let stored = store::keys::all(&self.db).await?;
        if next_step(&stored, self.key_times(), self.clock.now()).is_none() {
            return self.load_keys(&stored);
        }
        let stored = self.db.transact(|mut tx| async move { self.step_keys(&mut tx).await });
        self.load_keys(&stored.await?)
    }

    async fn step_keys(&self, tx: &mut Tx) -> Result<Vec<StoredKey>> {
        tx.advisory_lock("signing-keys").await?;
        loop {
            let stored = store::keys::all(&mut *tx).await?;
            let now = tx.now();
            match next_step(&stored, self.key_times(), now) {
                None => return Ok(stored),
                Some(Step::Create(state)) => {
                    store::keys::insert(tx, &self.new_key(tx, state)).await?;
                }
                Some(Step::Promote { pending, active }) => {
                    for kid in &active {
                        store::keys::set_state(tx, kid, KeyState::Retired.name(), now).await?;
                    }
                    store::keys::set_state(tx, &pending, KeyState::Active.name(), now).await?;
                    tracing::info!(kid = %pending, "signing key rotated");
                }
                Some(Step::Delete(kid)) => store::keys::delete(tx, &kid).await?,
            }
        }
    }

    fn key_times(&self) -> Times {
        let active = Duration::days(self.config.signing_key_days);
        let retired = Duration::seconds(token::MAX_LIFETIME + token::LEEWAY) * 2;
        Times { active, pending: PENDING.min(active / 2), retired }
    }

    fn new_key(&self, tx: &Tx, state: KeyState) -> StoredKey {
        let key = SigningKey::generate();
        let (public, now) = (key.public(), tx.now());
        let kid = public.kid().to_owned();
        StoredKey {
            public_key: public.bytes().to_vec(),
            wrapped_key: secret::seal(&self.secrets.wrapping, kid.as_bytes(), key.seed()),
            kid,
            state: state.name().to_owned(),
            created_at: now,
            state_at: now,
        }
    }

    fn load_keys(&self, stored: &[StoredKey]) -> Result<()> {
        let state = |key: &&StoredKey| KeyState::of(&key.state);
        let accepted = stored.iter().filter(|key| state(key).is_accepted());
        let accepted = accepted.map(|key| PublicKey::from_bytes(&key.public_key));
        let accepted: Vec<PublicKey> =
            accepted.collect::<Result<_, _>>().map_err(Error::internal)?;
        let known = self.verifier.keys();
        // Setting keys clears the cache of verified tokens, so set them only when they differ.
        if !known.keys().map(PublicKey::kid).eq(accepted.iter().map(PublicKey::kid)) {
            self.verifier.set_keys(KeySet::new(accepted));
        }
        let active = stored.iter().rfind(|key| state(key) == KeyState::Active);
        let active = active.ok_or_else(|| Error::internal("no active signing key"))?;
        let signer = Arc::new(self.unwrap_key(active)?);
        *self.signer.write().unwrap_or_else(PoisonError::into_inner) = Some(signer);
        Ok(())
    }

    fn unwrap_key(&self, key: &StoredKey) -> Result<SigningKey> {
        let seed = secret::open(&self.secrets.wrapping, key.kid.as_bytes(), &key.wrapped_key);
        let seed = seed.and_then(|seed| seed.try_into().ok());
        seed.map(SigningKey::from_seed).ok_or_else(|| {
            let text =
                "cannot unwrap the signing key; the root secret must be that of the installation";
            Error::internal(text)
        })
    }
}
