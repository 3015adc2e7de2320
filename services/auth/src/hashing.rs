//! Password hashes: argon2id, in a pool that is bounded in memory and in length of queue.

use std::sync::Arc;
use std::time::Duration;

use argon2::password_hash::phc::PasswordHash;
use argon2::{Algorithm, Argon2, Params, PasswordHasher, PasswordVerifier, Version};
use tokio::sync::Semaphore;

use crate::error::{Error, Result};

/// The floor of RFC 9106's and OWASP's recommendations: 19 MiB, two passes.
const MEMORY_KIB: u32 = 19_456;
const PASSES: u32 = 2;
const LANES: u32 = 1;

/// A hash of a password that nobody has, with the parameters of all others: who asks for an
/// unknown user waits as long as who errs about a known one.
const OF_NOBODY: &str = "$argon2id$v=19$m=19456,t=2,p=1$\
    bm9ib2R5IGhhcyBpdC4uLg$sSmLqPPKZwLyCdnbDXSZ2CYSPUMB0lhuk5dqAp6HxBo";

/// Hashes and verifies, a few at a time.
#[derive(Clone)]
pub struct Hasher {
    running: Arc<Semaphore>,
    waiting: Arc<Semaphore>,
}

impl Hasher {
    /// At most `threads` at once, and `queue` that wait for their turn.
    pub fn new(threads: usize, queue: usize) -> Self {
        let (threads, queue) = (threads.max(1), queue.max(1));
        Self {
            running: Arc::new(Semaphore::new(threads)),
            waiting: Arc::new(Semaphore::new(threads + queue)),
        }
    }

    /// The hash of a password in its normal form.
    pub async fn hash(&self, password: String) -> Result<String> {
        self.run(move || {
            let hash = argon2().hash_password(password.as_bytes());
            hash.map(|hash| hash.to_string()).map_err(|error| Error::internal(&error))
        })
        .await?
    }

    /// Whether the password has this hash.
    pub async fn verify(&self, password: String, hash: String) -> Result<bool> {
        self.run(move || match PasswordHash::new(&hash) {
            Ok(hash) => argon2().verify_password(password.as_bytes(), &hash).is_ok(),
            Err(error) => {
                tracing::error!(%error, "a stored password hash cannot be read");
                false
            }
        })
        .await
    }

    /// As much work as [`Hasher::verify`], for nothing.
    pub async fn verify_nobody(&self, password: String) -> Result<()> {
        self.verify(password, OF_NOBODY.to_owned()).await.map(drop)
    }

    async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
        let busy = |_| Error::Busy { after: Duration::from_secs(1) };
        let _place = self.waiting.clone().try_acquire_owned().map_err(busy)?;
        let turn = self.running.clone().acquire_owned().await;
        let turn = turn.map_err(|error| Error::internal(&error))?;
        let done = tokio::task::spawn_blocking(move || {
            // The turn ends with the work, also when nobody waits for it any more.
            let _turn = turn;
            work()
        });
        done.await.map_err(|error| Error::internal(&error))
    }
}

/// Whether a hash was made with weaker parameters than today's.
pub fn is_outdated(hash: &str) -> bool {
    let today = format!("$argon2id$v=19$m={MEMORY_KIB},t={PASSES},p={LANES}$");
    !hash.starts_with(&today)
}

fn argon2() -> Argon2<'static> {
    let params = Params::new(MEMORY_KIB, PASSES, LANES, None).expect("constants within the range");
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
    fn nobodys_hash_is_as_hard_as_any() {
        assert!(!is_outdated(OF_NOBODY));
        let parsed = PasswordHash::new(OF_NOBODY).unwrap();
        assert_eq!(parsed.hash.unwrap().as_bytes().len(), 32);
        assert!(parsed.salt.unwrap().len() >= 8);
    }

    #[tokio::test]
    async fn a_full_queue_is_said_at_once() {
        let hasher = Hasher::new(1, 1);
        let _both = hasher.waiting.clone().acquire_many_owned(2).await.unwrap();
        let refused = hasher.hash("x".into()).await;
        assert!(matches!(refused, Err(Error::Busy { .. })));
    }
}
