//! Password hashes: argon2id, in a pool with bounded memory and a bounded queue.
//!
//! Each running hash uses 19 MiB. This memory is allocated once per thread of the pool, at first use,
//! and reused: allocations of this size on many threads would stay in the heaps of these threads.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use argon2::password_hash::phc::{Output, ParamsString, PasswordHash, Salt};
use argon2::{Algorithm, Argon2, Block, Params, Version};
use tokio::sync::Semaphore;

use crate::error::{Error, Result};

/// The minimum that RFC 9106 and OWASP recommend: 19 MiB, two passes.
const MEMORY_KIB: u32 = 19_456;
const PASSES: u32 = 2;
const LANES: u32 = 1;

/// For generated passwords, which cannot be guessed, however fast the hash is. The hash is replaced when the user signs in.
const RANDOM_MEMORY_KIB: u32 = 64;

/// Length of a hash, in bytes.
const OUTPUT: usize = 32;

/// The hash of an unknown password with the usual parameters. Verifying it makes a sign-in as an
/// unknown user take as long as one with a wrong password.
const DUMMY_HASH: &str = "$argon2id$v=19$m=19456,t=2,p=1$\
    bm9ib2R5IGhhcyBpdC4uLg$sSmLqPPKZwLyCdnbDXSZ2CYSPUMB0lhuk5dqAp6HxBo";

/// Hashes and verifies passwords with bounded concurrency.
#[derive(Clone)]
pub struct Hasher {
    running: Arc<Semaphore>,
    waiting: Arc<Semaphore>,
    memory: Arc<Memory>,
}

impl Hasher {
    /// At most `threads` hashes at a time, each with 19 MiB, and `queue` waiting ones; further ones
    /// fail with [`Error::Busy`].
    pub fn new(threads: usize, queue: usize) -> Self {
        let (threads, queue) = (threads.max(1), queue.max(1));
        Self {
            running: Arc::new(Semaphore::new(threads)),
            waiting: Arc::new(Semaphore::new(threads + queue)),
            memory: Arc::default(),
        }
    }

    /// The PHC string for a normalised password.
    pub async fn hash(&self, password: String) -> Result<String> {
        let hash = move |memory: &Memory| memory.hash(&password);
        self.run(hash).await?.map_err(Error::internal)
    }

    /// The PHC strings for random passwords of at least 100 bits.
    pub async fn hash_random(&self, passwords: Vec<String>) -> Result<Vec<String>> {
        let params = Params::new(RANDOM_MEMORY_KIB, 1, LANES, None).map_err(Error::internal)?;
        let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        let hash = move |memory: &Memory| {
            passwords.iter().map(|password| memory.hash_with(&argon2, password)).collect()
        };
        let hashes: argon2::password_hash::Result<Vec<String>> = self.run(hash).await?;
        hashes.map_err(Error::internal)
    }

    /// Whether the normalised password matches the hash.
    pub async fn verify(&self, password: String, hash: String) -> Result<bool> {
        let verify = move |memory: &Memory| memory.matches(&password, &hash);
        Ok(self.run(verify).await?.unwrap_or_else(|error| {
            tracing::error!(%error, "invalid stored password hash");
            false
        }))
    }

    /// Takes as long as [`Hasher::verify`].
    pub async fn verify_dummy(&self, password: String) -> Result<()> {
        self.verify(password, DUMMY_HASH.to_owned()).await.map(drop)
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Memory) -> T + Send + 'static,
    ) -> Result<T> {
        let busy = |_| Error::Busy { after: Duration::from_secs(1) };
        let _queued = self.waiting.clone().try_acquire_owned().map_err(busy)?;
        let permit = self.running.clone().acquire_owned().await;
        let permit = permit.map_err(Error::internal)?;
        let memory = self.memory.clone();
        let done = tokio::task::spawn_blocking(move || {
            // Held until the work ends, even if the caller is cancelled.
            let _permit = permit;
            work(&memory)
        });
        done.await.map_err(Error::internal)
    }
}

/// The memory of the hashes that do not run at the moment.
#[derive(Default)]
struct Memory(Mutex<Vec<Box<[Block]>>>);

impl Memory {
    fn hash(&self, password: &str) -> argon2::password_hash::Result<String> {
        self.hash_with(&argon2(), password)
    }

    fn hash_with(
        &self,
        argon2: &Argon2<'_>,
        password: &str,
    ) -> argon2::password_hash::Result<String> {
        let salt = Salt::generate();
        let hash = PasswordHash {
            algorithm: Algorithm::Argon2id.ident(),
            version: Some(Version::V0x13.into()),
            params: ParamsString::try_from(argon2.params())?,
            salt: Some(salt),
            hash: Some(self.compute(argon2, password, &salt, OUTPUT)?),
        };
        Ok(hash.to_string())
    }

    fn matches(&self, password: &str, hash: &str) -> argon2::password_hash::Result<bool> {
        let stored = PasswordHash::new(hash)?;
        let (Some(salt), Some(expected)) = (&stored.salt, &stored.hash) else { return Ok(false) };
        let version = stored.version.map(Version::try_from).transpose()?.unwrap_or_default();
        let algorithm = Algorithm::try_from(stored.algorithm.as_str())?;
        let argon2 = Argon2::new(algorithm, version, Params::try_from(&stored)?);
        // The comparison takes constant time.
        Ok(self.compute(&argon2, password, salt, expected.len())? == *expected)
    }

    fn compute(
        &self,
        argon2: &Argon2<'_>,
        password: &str,
        salt: &[u8],
        length: usize,
    ) -> argon2::password_hash::Result<Output> {
        let pool = || self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let free = pool().pop();
        let mut blocks = free.unwrap_or_else(|| vec![Block::new(); MEMORY_KIB as usize].into());
        let (password, mut out) = (password.as_bytes(), vec![0; length]);
        let computed = if argon2.params().block_count() <= blocks.len() {
            argon2.hash_password_into_with_memory(password, salt, &mut out, &mut *blocks)
        } else {
            // A hash of another version of this program, which needs more memory.
            argon2.hash_password_into(password, salt, &mut out)
        };
        pool().push(blocks);
        computed?;
        Ok(Output::new(&out)?)
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
    use argon2::PasswordHasher as _;

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
        assert_eq!(hasher.memory.0.lock().unwrap().len(), 1, "one hash at a time");
    }

    #[tokio::test]
    async fn hashes_with_other_parameters_verify() {
        let hasher = Hasher::new(1, 4);
        for kib in [64, 2 * MEMORY_KIB] {
            let params = Params::new(kib, 1, 1, Some(16)).unwrap();
            let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
            let hash = argon2.hash_password(b"correct horse").unwrap().to_string();
            assert!(hasher.verify("correct horse".into(), hash.clone()).await.unwrap(), "{hash}");
            assert!(!hasher.verify("wrong horse".into(), hash).await.unwrap());
        }
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
