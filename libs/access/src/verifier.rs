//! Verifies tokens: from memory where it can.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use aws_lc_rs::digest;
use chrono::{DateTime, Utc};
use ids::Clock;
use rpc::Channel;
use tonic::Status;

use crate::credentials::Credentials;
use crate::principal::Principal;
use crate::remote::Remote;
use crate::revocation::Revocations;
use crate::token::{self, KeySet, Rejection};
use crate::verified::{Cache, Digest, Verified};

/// How long an answer of the auth service about a token's revocation is believed elsewhere.
const CONFIRMED_FOR: i64 = 1_000_000;
const CACHED_TOKENS: usize = 65_536;

/// Verifies access tokens. Cheap to clone; clones share keys, revocations and the cache.
///
/// In the process of the auth service it is fed by that service, so that a log-out shows at the
/// next call of whatever service. Elsewhere it asks the auth service: for keys when it meets a
/// header it does not know, and about revocation at most once a second per token.
#[derive(Clone)]
pub struct Verifier(Arc<Inner>);

struct Inner {
    clock: Clock,
    keys: RwLock<Arc<KeySet>>,
    cache: Cache,
    revocations: Revocations,
    remote: Option<Remote>,
}

/// Why a token was not accepted.
pub(crate) enum Refusal {
    /// It is bad.
    Rejected(Rejection),
    /// Nobody can tell just now.
    Unknown(Status),
}

impl From<Rejection> for Refusal {
    fn from(rejection: Rejection) -> Self {
        Self::Rejected(rejection)
    }
}

impl Verifier {
    /// For the auth service's own process; accepts nothing until it is given keys.
    #[must_use]
    pub fn local(clock: Clock) -> Self {
        Self::with(clock, None)
    }

    /// For every other process: asks the auth service at `channel`.
    #[must_use]
    pub fn remote(clock: Clock, channel: Channel, credentials: &Credentials) -> Self {
        Self::with(clock, Some(Remote::new(channel, credentials)))
    }

    fn with(clock: Clock, remote: Option<Remote>) -> Self {
        Self(Arc::new(Inner {
            clock,
            keys: RwLock::default(),
            cache: Cache::new(CACHED_TOKENS),
            revocations: Revocations::default(),
            remote,
        }))
    }

    /// Replaces the accepted keys; what was verified with others is forgotten.
    pub fn set_keys(&self, keys: KeySet) {
        *self.0.keys.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(keys);
        self.0.cache.clear();
    }

    /// The accepted keys.
    #[must_use]
    pub fn keys(&self) -> Arc<KeySet> {
        self.0.keys.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The revocations that are applied.
    #[must_use]
    pub fn revocations(&self) -> &Revocations {
        &self.0.revocations
    }

    /// Whom a token speaks for, by what this process knows. The auth service answers
    /// `ValidateToken` with it.
    pub fn check(&self, token: &str) -> Result<Arc<Principal>, Rejection> {
        let (_, verified) = self.verified(token)?;
        Ok(verified.principal.clone())
    }

    /// Whom a token speaks for; asks the auth service when this process does not know enough.
    pub(crate) async fn verify(&self, token: &str) -> Result<Arc<Principal>, Refusal> {
        let Some(remote) = &self.0.remote else { return Ok(self.check(token)?) };
        if token.len() <= token::MAX_LENGTH
            && !self.keys().knows_header_of(token)
            && let Some(keys) = remote.fetch_keys().await.map_err(Refusal::Unknown)?
        {
            self.set_keys(keys);
        }
        let (digest, verified) = self.verified(token)?;
        let now = self.0.clock.now().timestamp_micros();
        if now - verified.confirmed.load(Ordering::Relaxed) >= CONFIRMED_FOR {
            match remote.confirm(token).await.map_err(Refusal::Unknown)? {
                Ok(()) => verified.confirmed.store(now, Ordering::Relaxed),
                Err(rejection) => {
                    self.0.cache.remove(&digest);
                    return Err(rejection.into());
                }
            }
        }
        Ok(verified.principal.clone())
    }

    fn verified(&self, token: &str) -> Result<(Digest, Arc<Verified>), Rejection> {
        if token.len() > token::MAX_LENGTH {
            return Err(Rejection::Malformed);
        }
        let mut digest: Digest = [0; 32];
        digest.copy_from_slice(digest::digest(&digest::SHA256, token.as_bytes()).as_ref());
        let now = self.0.clock.now();
        let verified = match self.0.cache.get(&digest) {
            Some(verified) if token::is_live(&verified.principal, now) => verified,
            Some(_) => {
                self.0.cache.remove(&digest);
                return Err(Rejection::Expired);
            }
            None => self.verify_anew(token, digest, now)?,
        };
        let generation = self.0.revocations.generation();
        if verified.generation.load(Ordering::Acquire) != generation {
            self.0.revocations.check(&verified.principal)?;
            verified.generation.store(generation, Ordering::Release);
        }
        Ok((digest, verified))
    }

    fn verify_anew(
        &self,
        token: &str,
        digest: Digest,
        now: DateTime<Utc>,
    ) -> Result<Arc<Verified>, Rejection> {
        let keys = self.keys();
        let principal = Arc::new(keys.verify(token, now)?);
        // No generation is this high: the first check always looks.
        let generation = AtomicU64::new(u64::MAX);
        let verified = Arc::new(Verified { principal, generation, confirmed: AtomicI64::new(0) });
        self.0.cache.insert(digest, verified.clone());
        // Keys that changed meanwhile cleared the cache too early for this one.
        if !Arc::ptr_eq(&keys, &self.keys()) {
            self.0.cache.remove(&digest);
        }
        Ok(verified)
    }
}
