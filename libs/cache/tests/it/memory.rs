//! The memory backend: expiry by a manual clock, and limits.

use std::time::Duration;

use cache::{Cache, Limits, Rate};
use ids::Clock;

fn clock() -> Clock {
    Clock::manual(Clock::system().now())
}

#[tokio::test]
async fn everything_expires_by_the_clock() {
    let clock = clock();
    let cache = Cache::memory(clock.clone());
    let minute = Duration::from_secs(60);
    cache.set("a", "value", minute).await;
    assert_eq!(cache.get("a").await.as_deref(), Some(&b"value"[..]));
    assert_eq!(cache.increment("n", 2, minute).await, 2);
    assert_eq!(cache.increment("n", 3, minute).await, 5);
    assert_eq!(cache.count("n").await, 5);
    let rate = Rate::new(2, minute);
    assert!(cache.rate("r", rate).await.allowed);
    assert!(cache.rate("r", rate).await.allowed);
    assert!(!cache.rate("r", rate).await.allowed);
    clock.advance(Duration::from_secs(30));
    assert!(cache.rate("r", rate).await.allowed);
    assert!(!cache.rate("r", rate).await.allowed);
    clock.advance(Duration::from_secs(30));
    assert_eq!(cache.get("a").await, None);
    assert_eq!(cache.count("n").await, 0);
    assert_eq!(cache.increment("n", 1, minute).await, 1);
    cache.set("a", "new value", minute).await;
    assert_eq!(cache.get("a").await.as_deref(), Some(&b"new value"[..]));
}

#[tokio::test]
async fn flood_of_keys_does_not_reset_a_limit() {
    let limits = Limits { counts: 50, ..Limits::default() };
    let cache = Cache::memory_with(clock(), limits);
    let rate = Rate::new(3, Duration::from_secs(60));
    let allowed = async |key: &str| cache.rate(key, rate).await.allowed;
    while allowed("victim").await {}
    for i in 0..10_000 {
        allowed(&format!("flood {i}")).await;
    }
    assert!(!allowed("victim").await);
    // A key that shares its count.
    for _ in 0..3 {
        allowed("late").await;
    }
    assert!(!allowed("late").await);
}
