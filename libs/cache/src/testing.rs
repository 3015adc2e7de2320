//! Backends for tests: memory always, Redis when there is a server.
//!
//! Always compiled, because a feature would make every crate above this one compile twice; nothing but tests
//! calls it.
//!
//! - `AGON_TEST_REDIS` is the URL of a server in which tests may keep what they like.
//! - `AGON_TEST_REQUIRE_ENGINES=1` makes a missing URL a failure instead of a skip.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use ids::Clock;

use crate::Cache;

/// Longer than a busy machine needs, so that no test counts in memory what belongs on the server.
const PATIENCE: Duration = Duration::from_secs(20);

/// A backend that tests run on. Caches of the same `Place` share what they hold, as those of several processes would.
#[derive(Clone, Debug)]
pub enum Place {
    /// The memory of each cache.
    Memory,
    /// A server, and a prefix that no other test has.
    Redis {
        /// The server's URL.
        url: String,
        /// What keys start with.
        prefix: String,
    },
}

/// The places to test on, empty ones.
///
/// # Panics
/// When Redis is required but not there.
#[must_use]
pub fn places() -> Vec<Place> {
    let redis = redis_url().map(|url| Place::Redis { url, prefix: unique() });
    std::iter::once(Place::Memory).chain(redis).collect()
}

/// The URL of the server to test on.
///
/// # Panics
/// When Redis is required but not there.
#[must_use]
pub fn redis_url() -> Option<String> {
    let url = std::env::var("AGON_TEST_REDIS").ok().filter(|url| !url.is_empty());
    if url.is_none() {
        assert!(!required(), "AGON_TEST_REQUIRE_ENGINES=1, but AGON_TEST_REDIS is not set");
        eprintln!("skipped on Redis: AGON_TEST_REDIS is not set");
    }
    url
}

/// Whether a missing server is a failure.
#[must_use]
pub fn required() -> bool {
    std::env::var("AGON_TEST_REQUIRE_ENGINES").is_ok_and(|value| value == "1")
}

impl Place {
    /// A cache in this place with the system's clock, once it is connected.
    ///
    /// # Panics
    /// When it cannot be reached.
    pub async fn cache(&self) -> Cache {
        let (url, prefix) = match self {
            Self::Memory => return Cache::memory(Clock::system()),
            Self::Redis { url, prefix } => (url, prefix),
        };
        let cache = Cache::redis_with(url, prefix, Clock::system(), PATIENCE).expect("a good URL");
        eventually("the test's Redis server answers", async || answers(&cache).await).await;
        cache
    }
}

/// Whether a cache keeps values now.
pub async fn answers(cache: &Cache) -> bool {
    let key = unique();
    cache.set(&key, "there", Duration::from_secs(60)).await;
    cache.get(&key).await.is_some()
}

/// A name that no other test has, in this process or in another.
#[must_use]
pub fn unique() -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    format!("test-{}-{count}", Clock::system().new_id().simple())
}

/// Waits until `condition` holds.
///
/// # Panics
/// When it does not hold within 20 seconds.
#[track_caller]
pub fn eventually<F>(what: &str, condition: F) -> impl Future<Output = ()>
where
    F: AsyncFn() -> bool,
{
    let caller = std::panic::Location::caller();
    async move {
        let deadline = Instant::now() + Duration::from_secs(20);
        while !condition().await {
            assert!(Instant::now() < deadline, "{caller}: waited in vain until {what}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}
