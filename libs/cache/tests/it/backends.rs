//! Behaviour that every backend shares.

use std::time::Duration;

use cache::testing::{backends, eventually};
use cache::{Cache, Rate};
use futures_util::future::try_join_all;

use crate::next;

const HOUR: Duration = Duration::from_secs(3600);
const SHORT: Duration = Duration::from_millis(20);

async fn each(test: impl AsyncFn(Cache)) {
    for backend in backends() {
        eprintln!("on {backend:?}");
        test(backend.cache().await).await;
    }
}

#[tokio::test]
async fn values_expire_and_are_deleted() {
    each(async |cache| {
        assert_eq!(cache.get("a").await, None);
        cache.set("a", "value", HOUR).await;
        assert_eq!(cache.get("a").await.as_deref(), Some(&b"value"[..]));
        assert_eq!(cache.get("b").await, None);
        cache.set("a", [0, 255], HOUR).await;
        assert_eq!(cache.get("a").await.as_deref(), Some(&[0, 255][..]));
        cache.delete("a").await;
        assert_eq!(cache.get("a").await, None);

        cache.set("empty", "", HOUR).await;
        assert_eq!(cache.get("empty").await.as_deref(), Some(&[][..]));
        cache.set("long", "value", Duration::MAX).await;
        assert!(cache.get("long").await.is_some());
        cache.set("long", "value", Duration::ZERO).await;
        assert_eq!(cache.get("long").await, None);
        cache.set("short", "value", SHORT).await;
        eventually("it has expired", async || cache.get("short").await.is_none()).await;
    })
    .await;
}

#[tokio::test]
async fn counters_expire_after_their_first_increment() {
    each(async |cache| {
        assert_eq!(cache.count("n").await, 0);
        assert_eq!(cache.increment("n", 2, HOUR).await, 2);
        assert_eq!(cache.increment("n", 3, HOUR).await, 5);
        assert_eq!(cache.increment("n", 0, HOUR).await, 5);
        assert_eq!(cache.count("n").await, 5);
        assert_eq!(cache.increment("n", u32::MAX, HOUR).await, 5 + u64::from(u32::MAX));
        // A value of the same key is independent, but both are deleted.
        assert_eq!(cache.get("n").await, None);
        cache.set("n", "value", HOUR).await;
        cache.delete("n").await;
        assert_eq!(cache.count("n").await, 0);
        assert_eq!(cache.get("n").await, None);

        // A later increment does not extend its life.
        let restarted = async || cache.increment("short", 1, SHORT).await == 1;
        restarted().await;
        eventually("it starts again", restarted).await;
        assert_eq!(cache.increment("none", 1, Duration::ZERO).await, 1);
        assert_eq!(cache.count("none").await, 0);
    })
    .await;
}

#[tokio::test]
async fn rate_allows_a_burst_up_to_the_limit() {
    each(async |cache| {
        let rate = Rate::new(3, HOUR);
        for remaining in [2, 1, 0] {
            let decision = cache.rate("r", rate).await;
            assert!(decision.allowed);
            assert_eq!((decision.remaining, decision.retry_after), (remaining, Duration::ZERO));
        }
        let refused = cache.rate("r", rate).await;
        assert!(!refused.allowed);
        assert_eq!(refused.remaining, 0);
        assert!(refused.retry_after <= HOUR / 3);
        assert!(refused.retry_after > HOUR / 3 - Duration::from_secs(60));
        assert!(cache.rate("other", rate).await.allowed);

        let never = cache.rate("never", Rate::new(0, HOUR)).await;
        assert!(!never.allowed);
        assert_eq!(never.retry_after, HOUR);
        assert!(cache.rate("at once", Rate::new(1, Duration::ZERO)).await.allowed);
        assert!(cache.rate("for ever", Rate::new(u32::MAX, Duration::MAX)).await.allowed);
    })
    .await;
}

#[tokio::test]
async fn call_after_retry_after_is_allowed() {
    each(async |cache| {
        let rate = Rate::new(2, Duration::from_millis(500));
        let refused = loop {
            let decision = cache.rate("r", rate).await;
            if !decision.allowed {
                break decision;
            }
        };
        assert!(refused.retry_after <= rate.window / 2);
        // A millisecond more, because the server's clock differs from the one of this sleep.
        tokio::time::sleep(refused.retry_after + Duration::from_millis(1)).await;
        assert!(cache.rate("r", rate).await.allowed);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn limit_is_exact_under_concurrency() {
    each(async |cache| {
        let rate = Rate::new(100, HOUR);
        let tasks = (0..8).map(|_| {
            let cache = cache.clone();
            tokio::spawn(async move {
                let mut allowed = 0;
                for _ in 0..100 {
                    allowed += u32::from(cache.rate("r", rate).await.allowed);
                }
                allowed
            })
        });
        assert_eq!(try_join_all(tasks).await.unwrap().iter().sum::<u32>(), 100);
    })
    .await;
}

#[tokio::test]
async fn messages_are_delivered_once_and_in_order() {
    each(async |cache| {
        cache.publish("submission/1", "before");
        let mut listener = cache.subscribe("submission/1").await.unwrap();
        let mut second = cache.subscribe("submission/1").await.unwrap();
        cache.publish("submission/2", "another channel");
        for message in ["one", "", "three"] {
            cache.publish("submission/1", message);
        }
        for expected in ["one", "", "three"] {
            assert_eq!(next(&mut listener).await, expected);
            assert_eq!(next(&mut second).await, expected);
        }
    })
    .await;
}
