//! Keeping the signing keys: made, wrapped, rotated, forgotten.

use std::sync::{Arc, PoisonError};

use access::{KeySet, PublicKey, SigningKey, token};
use chrono::Duration;
use db::Tx;

use crate::error::{Error, Result};
use crate::signing_key::{State as KeyState, Step, StoredKey, Times, next_step};
use crate::tokens::Signer;
use crate::{State, secret, store};

/// How long a key is pending: longer than any verifier keeps the keys it has.
const PENDING: Duration = Duration::hours(24);

impl State {
    /// Does what is due with the keys, and takes over what there is.
    pub async fn keep_keys(&self) -> Result<()> {
        let stored = store::keys::all(&self.db).await?;
        if next_step(&stored, self.key_times(), self.clock.now()).is_none() {
            return self.use_keys(&stored);
        }
        let stored = self.db.transact(|mut tx| async move { self.step_keys(&mut tx).await });
        self.use_keys(&stored.await?)
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
                    tracing::info!(kid = %pending, "the signing key has changed");
                }
                Some(Step::Forget(kid)) => store::keys::delete(tx, &kid).await?,
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
        let kid = public.kid();
        StoredKey {
            public_key: public.bytes().to_vec(),
            wrapped_key: secret::seal(&self.secrets.wrapping, kid.as_bytes(), key.seed()),
            kid,
            state: state.name().to_owned(),
            created_at: now,
            state_at: now,
        }
    }

    fn use_keys(&self, stored: &[StoredKey]) -> Result<()> {
        let state = |key: &&StoredKey| KeyState::of(&key.state);
        let accepted = stored.iter().filter(|key| state(key).is_accepted());
        let accepted = accepted.map(|key| PublicKey::from_bytes(&key.public_key));
        let accepted: Vec<PublicKey> =
            accepted.collect::<Result<_, _>>().map_err(|error| Error::internal(&error))?;
        let known = self.verifier.keys();
        let kids = |keys: &mut dyn Iterator<Item = &PublicKey>| {
            keys.map(PublicKey::kid).collect::<Vec<_>>()
        };
        // Setting keys forgets what was verified with them, so only when they differ.
        if kids(&mut known.keys()) != kids(&mut accepted.iter()) {
            self.verifier.set_keys(KeySet::new(token::ACCESS, accepted));
        }
        let active = stored.iter().rfind(|key| state(key) == KeyState::Active);
        let active = active.ok_or_else(|| Error::Internal("there is no active key".into()))?;
        let signer = Arc::new(Signer(self.unwrap_key(active)?));
        *self.signer.write().unwrap_or_else(PoisonError::into_inner) = Some(signer);
        Ok(())
    }

    fn unwrap_key(&self, key: &StoredKey) -> Result<SigningKey> {
        let seed = secret::open(&self.secrets.wrapping, key.kid.as_bytes(), &key.wrapped_key);
        let seed = seed.and_then(|seed| seed.try_into().ok());
        seed.map(SigningKey::from_seed).ok_or_else(|| {
            let text =
                "the signing key cannot be unwrapped: is this the installation's root secret?";
            Error::Internal(text.into())
        })
    }
}
