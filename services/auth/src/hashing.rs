//! Password hashes: argon2id, in a pool with bounded memory and a bounded queue.

use std::sync::Arc;
use std::time::Duration;

use argon2::password_hash::phc::PasswordHash;
use argon2::{Algorithm, Argon2, Params, PasswordHasher, PasswordVerifier, Version};
use tokio::sync::Semaphore;

use crate::error::{Error, Result};

/// The minimum that RFC 9106 and OWASP recommend: 19 MiB, two passes.
const MEMORY_KIB: u32 = 19_456;
const PASSES: u32 = 2;
const LANES: u32 = 1;

/// The hash of an unknown password with the usual parameters. Verifying it makes a sign-in as an
/// unknown user take as long as one with a wrong password.
const DUMMY_HASH: &str = "$argon2id$v=19$m=19456,t=2,p=1$\
    bm9ib2R5IGhhcyBpdC4uLg$sSmLqPPKZwLyCdnbDXSZ2CYSPUMB0lhuk5dqAp6HxBo";

/// Hashes and verifies passwords with bounded concurrency.
#[derive(Clone)]
pub struct Hasher {
    running: Arc<Semaphore>,
    waiting: Arc<Semaphore>,
}

impl Hasher {
    /// At most `threads` hashes at a time and `queue` waiting ones; further ones fail with
    /// [`Error::Busy`].
    pub fn new(threads: usize, queue: usize) -> Self {
        let (threads, queue) = (threads.max(1), queue.max(1));
        Self {
            running: Arc::new(Semaphore::new(threads)),
            waiting: Arc::new(Semaphore::new(threads + queue)),
        }
    }

    /// The PHC string for a normalised password.
    pub async fn hash(&self, password: String) -> Result<String> {
        self.run(move || {
            let hash = argon2().hash_password(password.as_bytes());
            hash.map(|hash| hash.to_string()).map_err(Error::internal)
        })
        .await?
    }

    /// Whether the normalised password matches the hash.
    pub async fn verify(&self, password: String, hash: String) -> Result<bool> {
        self.run(move || match PasswordHash::new(&hash) {
            Ok(hash) => argon2().verify_password(password.as_bytes(), &hash).is_ok(),
            Err(error) => {
                tracing::error!(%error, "invalid stored password hash");
                false
            }
        })
        .await
    }

    /// Takes as long as [`Hasher::verify`].
    pub async fn verify_dummy(&self, password: String) -> Result<()> {
        self.verify(password, DUMMY_HASH.to_owned()).await.map(drop)
    }

    async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
        let busy = |_| Error::Busy { after: Duration::from_secs(1) };
        let _queued = self.waiting.clone().try_acquire_owned().map_err(busy)?;
        let permit = self.running.clone().acquire_owned().await;
        let permit = permit.map_err(Error::internal)?;
        let done = tokio::task::spawn_blocking(move || {
            // Held until the work ends, even if the caller is cancelled.
            let _permit = permit;
            work()
        });
        done.await.map_err(Error::internal)
    }
}

/// Whether a hash has other parameters than the current ones.
pub fn is_outdated(hash: &str) -> bool {
    let current = format!("$argon2id$v=19$m={MEMORY_KIB},t={PASSES},p={LANES}$");
    !hash.starts_with(&current)
}

fn argon2() -> Argon2<'static> {
    let params =
        Params::new(MEMORY_KIB, PASSES, LANES, None).expect("constants are within the range");
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn hashes_verify() {
        let hasher = Hasher::new(2, 4);
        let hash = hasher.hash("correct horse".into()).await.unwrap();
        assert!(!is_outdated(&hash), "{hash}");
        assert!(is_outdated("$argon2id$v=19$m=4096,t=2,p=1$x$y"));
        assert!(hasher.verify("correct horse".into(), hash.clone()).await.unwrap());
        assert!(!hasher.verify("wrong horse".into(), hash).await.unwrap());
        assert!(!hasher.verify("x".into(), "garbage".into()).await.unwrap());
    }

    #[test]
    fn dummy_hash_has_the_usual_parameters() {
        assert!(!is_outdated(DUMMY_HASH));
        let parsed = PasswordHash::new(DUMMY_HASH).unwrap();
        assert_eq!(parsed.hash.unwrap().as_bytes().len(), 32);
        assert!(parsed.salt.unwrap().len() >= 8);
    }

    #[tokio::test]
    async fn a_full_queue_fails_immediately() {
        let hasher = Hasher::new(1, 1);
        let _both = hasher.waiting.clone().acquire_many_owned(2).await.unwrap();
        let refused = hasher.hash("x".into()).await;
        assert!(matches!(refused, Err(Error::Busy { .. })));
    }
}
