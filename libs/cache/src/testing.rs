//! Backends for tests: memory, and Redis when a server is configured.
//!
//! Used by tests only. It is always compiled, because a feature would compile every dependent crate twice.
//!
//! - `AGON_TEST_REDIS`: URL of a server that tests may write to.
//! - `AGON_TEST_REQUIRE_ENGINES=1`: fail instead of skip when that is not set.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use ids::Clock;

use crate::Cache;

/// Long enough for a busy machine, so that no test falls back to memory.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(20);

/// A backend to test on. Redis caches of the same `Backend` share data, as those of several processes do.
#[derive(Clone, Debug)]
pub enum Backend {
    /// Each cache has its own memory.
    Memory,
    /// A server, with a prefix that no other test uses.
    Redis { url: String, prefix: String },
}

/// The backends to test on, without data.
pub fn backends() -> Vec<Backend> {
    let redis = redis_url().map(|url| Backend::Redis { url, prefix: unique() });
    std::iter::once(Backend::Memory).chain(redis).collect()
}

/// The URL of the server to test on.
pub fn redis_url() -> Option<String> {
    let url = std::env::var("AGON_TEST_REDIS").ok().filter(|url| !url.is_empty());
    if url.is_none() {
        assert!(!required(), "AGON_TEST_REQUIRE_ENGINES=1, but AGON_TEST_REDIS is not set");
        eprintln!("skipped on Redis: AGON_TEST_REDIS is not set");
    }
    url
}

/// Whether tests fail, rather than skip, without a server.
pub fn required() -> bool {
    std::env::var("AGON_TEST_REQUIRE_ENGINES").is_ok_and(|value| value == "1")
}

impl Backend {
    /// A connected cache with the system clock.
    pub async fn cache(&self) -> Cache {
        let (url, prefix) = match self {
            Self::Memory => return Cache::memory(Clock::system()),
            Self::Redis { url, prefix } => (url, prefix),
        };
        let cache = Cache::redis_with(url, prefix, Clock::system(), REQUEST_TIMEOUT);
        let cache = cache.expect("AGON_TEST_REDIS is a Redis URL");
        eventually("Redis is available", async || is_available(&cache).await).await;
        cache
    }
}

/// Whether a cache stores values now.
pub async fn is_available(cache: &Cache) -> bool {
    let key = unique();
    cache.set(&key, "value", Duration::from_secs(60)).await;
    cache.get(&key).await.is_some()
}

/// A name that no other test uses, in any process.
pub fn unique() -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    format!("test-{}-{count}", Clock::system().new_id().simple())
}

/// Waits until `condition` holds; panics after 20 seconds.
#[track_caller]
pub fn eventually<F>(what: &str, condition: F) -> impl Future<Output = ()>
where
    F: AsyncFn() -> bool,
{
    let caller = std::panic::Location::caller();
    async move {
        let deadline = Instant::now() + Duration::from_secs(20);
        while !condition().await {
            assert!(Instant::now() < deadline, "{caller}: timed out waiting until {what}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}
