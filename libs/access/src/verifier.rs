//! Verifies access tokens and caches verified ones.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use aws_lc_rs::digest;
use chrono::{DateTime, Utc};
use ids::Clock;
use quick_cache::sync::Cache;
use rpc::Channel;
use tonic::Status;

use crate::credentials::{Credentials, EDGE_GRACE};
use crate::principal::Principal;
use crate::remote::{Remote, is_outage};
use crate::revocation::Revocations;
use crate::token::{self, KeySet, Rejection};

/// How long a confirmation by the auth service that a token is not revoked is valid, in
/// microseconds.
const CONFIRMATION_TTL: i64 = 1_000_000;
/// Maximum number of cached tokens. Only verified tokens enter the cache, so forged ones cannot
/// evict them.
const MAX_CACHED_TOKENS: usize = 65_536;

/// Shortest time between two checks of an open stream's token.
const MIN_WAIT: Duration = Duration::from_millis(10);

/// SHA-256 of a token.
type Digest = [u8; 32];

/// Verifies access tokens. Cheap to clone; clones share keys, revocations and the cache.
///
/// The auth service sets the keys and revocations of the verifier in its own process, so that a
/// log-out takes effect at the next call. In other processes the verifier asks the auth service:
/// for keys when a header is unknown, and about revocation at most once per second and token.
#[derive(Clone)]
pub struct Verifier(Arc<Inner>);

struct Inner {
    clock: Clock,
    keys: RwLock<Arc<KeySet>>,
    cache: Cache<Digest, Arc<Verified>>,
    revocations: Revocations,
    remote: Option<Remote>,
}

struct Verified {
    principal: Arc<Principal>,
    /// The generation of [`Revocations`] at the last check.
    generation: AtomicU64,
    /// Time of the last confirmation by the auth service, in microseconds.
    confirmed: AtomicI64,
    /// The last answer of the auth service, if it was a rejection.
    rejected: Mutex<Option<Rejection>>,
}

/// Why a token was not accepted.
pub(crate) enum Refusal {
    Rejected(Rejection),
    /// The auth service, which has to decide, failed.
    Unknown(Status),
}

impl From<Rejection> for Refusal {
    fn from(rejection: Rejection) -> Self {
        Self::Rejected(rejection)
    }
}

impl Verifier {
    /// For the process of the auth service. Accepts no token until [`Verifier::set_keys`].
    pub fn local(clock: Clock) -> Self {
        Self::with(clock, None, MAX_CACHED_TOKENS)
    }

    /// For other processes, with the auth service at `channel`.
    pub fn remote(clock: Clock, channel: Channel, credentials: &Credentials) -> Self {
        Self::with(clock, Some(Remote::new(channel, credentials)), MAX_CACHED_TOKENS)
    }

    fn with(clock: Clock, remote: Option<Remote>, capacity: usize) -> Self {
        Self(Arc::new(Inner {
            clock,
            keys: RwLock::default(),
            cache: Cache::new(capacity),
            revocations: Revocations::default(),
            remote,
        }))
    }

    /// Replaces the accepted keys and clears the cache.
    pub fn set_keys(&self, keys: KeySet) {
        *self.0.keys.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(keys);
        self.0.cache.clear();
    }

    pub fn keys(&self) -> Arc<KeySet> {
        self.0.keys.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub fn revocations(&self) -> &Revocations {
        &self.0.revocations
    }

    /// The principal of a token, by the keys and revocations in this process.
    pub fn check(&self, token: &str) -> Result<Arc<Principal>, Rejection> {
        let verified = self.verified(token)?;
        Ok(verified.principal.clone())
    }

    /// The principal of a token. Asks the auth service where this process has too little
    /// information. A call that is not `privileged` accepts a token until it expires while the auth
    /// service does not answer, by the keys and revocations that this process knows.
    pub(crate) async fn verify(
        &self,
        token: &str,
        privileged: bool,
    ) -> Result<Arc<Principal>, Refusal> {
        let Some(remote) = &self.0.remote else { return Ok(self.check(token)?) };
        self.learn_keys_of(token).await?;
        let verified = self.verified(token)?;
        let now = self.0.clock.now().timestamp_micros();
        if now - verified.confirmed.load(Ordering::Relaxed) < CONFIRMATION_TTL {
            return Ok(verified.principal.clone());
        }
        let answer = match !privileged && remote.is_silent() {
            true => None,
            false => match remote.confirm(token, privileged).await {
                Ok(answer) => Some(answer),
                Err(status) if !privileged && is_outage(&status) => None,
                Err(status) => return Err(Refusal::Unknown(status)),
            },
        };
        let mut rejected = verified.rejected.lock().unwrap_or_else(PoisonError::into_inner);
        match answer {
            Some(Ok(())) => {
                *rejected = None;
                verified.confirmed.store(now, Ordering::Relaxed);
            }
            Some(Err(rejection)) => *rejected = Some(rejection),
            None => metrics::counter!("agon_access_unconfirmed_tokens_total").increment(1),
        }
        match *rejected {
            Some(rejection) => Err(rejection.into()),
            None => Ok(verified.principal.clone()),
        }
    }

    /// The principal of the edge's token, which proves the client addresses in calls. It is accepted
    /// for a while after its expiry, and without a confirmation, because anonymous calls must not
    /// need the auth service.
    pub(crate) async fn verify_edge(&self, token: &str) -> Result<Arc<Principal>, Refusal> {
        self.learn_keys_of(token).await?;
        match self.verified(token) {
            Ok(verified) => Ok(verified.principal.clone()),
            Err(Rejection::Expired) => {
                let now = self.0.clock.now();
                Ok(Arc::new(self.keys().verify_late(token, now, EDGE_GRACE)?))
            }
            Err(rejection) => Err(rejection.into()),
        }
    }

    /// Fetches the keys if the token's header belongs to none of the known ones.
    async fn learn_keys_of(&self, token: &str) -> Result<(), Refusal> {
        if let Some(remote) = &self.0.remote
            && token.len() <= token::MAX_LENGTH
            && !self.keys().knows_header_of(token)
            && let Some(keys) = remote.fetch_keys().await.map_err(Refusal::Unknown)?
        {
            self.set_keys(keys);
        }
        Ok(())
    }

    /// Waits until the token is rejected. It stays accepted while the auth service, which has to
    /// decide, fails.
    pub(crate) async fn rejected(&self, token: &str, expire_time: DateTime<Utc>) -> Rejection {
        let mut changes = self.0.revocations.changes();
        loop {
            if let Err(Refusal::Rejected(rejection)) = self.verify(token, false).await {
                return rejection;
            }
            let end = expire_time + chrono::Duration::seconds(token::LEEWAY);
            let left = end - self.0.clock.now();
            let mut wait = left.to_std().unwrap_or_default().max(MIN_WAIT);
            if self.0.remote.is_some() {
                wait = wait.min(Duration::from_micros(CONFIRMATION_TTL.unsigned_abs()));
            }
            // Verify again after a change and when the wait is over.
            let _ = tokio::time::timeout(wait, changes.changed()).await;
        }
    }

    fn verified(&self, token: &str) -> Result<Arc<Verified>, Rejection> {
        if token.len() > token::MAX_LENGTH {
            return Err(Rejection::Malformed);
        }
        let digest = digest::digest(&digest::SHA256, token.as_bytes());
        let digest: Digest = digest.as_ref().try_into().expect("SHA-256 has 32 bytes");
        let now = self.0.clock.now();
        let verified = match self.0.cache.get(&digest) {
            Some(verified) if token::is_live(&verified.principal, now) => verified,
            Some(_) => {
                self.0.cache.remove(&digest);
                return Err(Rejection::Expired);
            }
            None => self.verify_uncached(token, digest, now)?,
        };
        let generation = self.0.revocations.generation();
        if verified.generation.load(Ordering::Acquire) != generation {
            self.0.revocations.check(&verified.principal)?;
            verified.generation.store(generation, Ordering::Release);
        }
        Ok(verified)
    }

    fn verify_uncached(
        &self,
        token: &str,
        digest: Digest,
        now: DateTime<Utc>,
    ) -> Result<Arc<Verified>, Rejection> {
        let keys = self.keys();
        let principal = Arc::new(keys.verify(token, now)?);
        // No generation reaches `u64::MAX`, so that the first use checks revocations.
        let generation = AtomicU64::new(u64::MAX);
        let (confirmed, rejected) = Default::default();
        let verified = Arc::new(Verified { principal, generation, confirmed, rejected });
        self.0.cache.insert(digest, verified.clone());
        // `set_keys` may have cleared the cache before this insertion.
        if !Arc::ptr_eq(&keys, &self.keys()) {
            self.0.cache.remove(&digest);
        }
        Ok(verified)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Issuer;

    #[test]
    fn cache_is_bounded_and_cleared_with_the_keys() {
        let clock = Clock::manual(Clock::system().now());
        let issuer = Issuer::new(clock.clone());
        let verifier = Verifier::with(clock, None, 64);
        verifier.set_keys(KeySet::clone(&issuer.verifier().keys()));
        let tokens: Vec<String> = (0..200).map(|_| issuer.service("judge")).collect();
        for token in &tokens {
            assert!(verifier.check(token).is_ok());
            assert!(verifier.check(&format!("{token}A")).is_err());
        }
        let cached = verifier.0.cache.len();
        assert!((1..=64).contains(&cached), "{cached}");
        verifier.set_keys(KeySet::default());
        assert_eq!(verifier.check(&tokens[199]), Err(Rejection::Malformed));
    }
}
