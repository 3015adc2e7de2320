//! Two caches on one server, as of two processes.

use std::time::Duration;

use cache::testing::{Backend, eventually, redis_url, unique};
use cache::{Cache, Rate};
use futures_util::future::try_join_all;

use crate::next;

const HOUR: Duration = Duration::from_secs(3600);

/// Two caches with the same prefix; None without a server.
async fn two() -> Option<(Cache, Cache)> {
    let backend = Backend::Redis { url: redis_url()?, prefix: unique() };
    Some((backend.cache().await, backend.cache().await))
}

/// The number of connections that subscribe to a channel on the server.
async fn subscribers(backend: &Backend, channel: &str) -> i64 {
    let Backend::Redis { url, prefix } = backend else { panic!("not on a server") };
    let client = redis::Client::open(url.as_str()).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    let name = format!("{prefix}/channel/{channel}");
    let counts: (String, i64) =
        redis::cmd("PUBSUB").arg("NUMSUB").arg(name).query_async(&mut connection).await.unwrap();
    counts.1
}

#[tokio::test]
async fn values_counters_and_rates_are_shared() {
    let Some((one, two)) = two().await else { return };
    one.set("v", "value", HOUR).await;
    assert_eq!(two.get("v").await.as_deref(), Some(&b"value"[..]));
    two.delete("v").await;
    assert_eq!(one.get("v").await, None);
    assert_eq!(one.increment("n", 2, HOUR).await, 2);
    assert_eq!(two.increment("n", 3, HOUR).await, 5);
    assert_eq!(one.count("n").await, 5);
    let rate = Rate::new(4, HOUR);
    for (cache, remaining) in [(&one, 3), (&two, 2), (&two, 1), (&one, 0)] {
        assert_eq!(cache.rate("r", rate).await.remaining, remaining);
    }
    assert!(!one.rate("r", rate).await.allowed);
    assert!(!two.rate("r", rate).await.allowed);
}

#[tokio::test]
async fn prefixes_are_separate() {
    let (Some((one, _)), Some((other, _))) = (two().await, two().await) else { return };
    one.set("v", "value", HOUR).await;
    one.increment("n", 1, HOUR).await;
    while one.rate("r", Rate::new(1, HOUR)).await.allowed {}
    assert_eq!(other.get("v").await, None);
    assert_eq!(other.count("n").await, 0);
    assert!(other.rate("r", Rate::new(1, HOUR)).await.allowed);
}

#[tokio::test]
async fn messages_reach_both_processes_once_and_in_order() {
    let Some((one, two)) = two().await else { return };
    let mut at_one = one.subscribe("c").await.unwrap();
    let mut at_two = two.subscribe("c").await.unwrap();
    for round in 0..40 {
        let (sender, message) = (if round % 2 == 0 { &one } else { &two }, round.to_string());
        sender.publish("c", message.clone());
        assert_eq!(next(&mut at_one).await, message);
        assert_eq!(next(&mut at_two).await, message);
    }
}

#[tokio::test]
async fn messages_published_after_subscribe_returned_are_delivered() {
    let Some((one, two)) = two().await else { return };
    for round in 0..200 {
        let channel = format!("c/{}", round % 3);
        let mut listener = one.subscribe(&channel).await.unwrap();
        two.publish(&channel, round.to_string());
        assert_eq!(next(&mut listener).await, round.to_string());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_subscribe_and_unsubscribe_lose_no_message() {
    let Some((one, two)) = two().await else { return };
    let tasks = (0..16).map(|task| {
        let (one, two) = (one.clone(), two.clone());
        tokio::spawn(async move {
            for round in 0..50 {
                // Other tasks use the same channels.
                let channel = format!("c/{}", (task + round) % 5);
                let expected = format!("{task} {round}");
                let mut listener = one.subscribe(&channel).await.unwrap();
                two.publish(&channel, expected.clone());
                while next(&mut listener).await != expected {}
            }
        })
    });
    try_join_all(tasks).await.unwrap();
}

#[tokio::test]
async fn process_subscribes_once_per_channel_while_it_has_subscribers() {
    let Some(url) = redis_url() else { return };
    let backend = Backend::Redis { url, prefix: unique() };
    let cache = backend.cache().await;
    assert_eq!(subscribers(&backend, "c").await, 0);
    let first = cache.subscribe("c").await.unwrap();
    let second = cache.subscribe("c").await.unwrap();
    assert_eq!(subscribers(&backend, "c").await, 1);
    drop(first);
    let third = cache.subscribe("d").await.unwrap();
    assert_eq!(subscribers(&backend, "c").await, 1);
    drop((second, third));
    eventually("it is unsubscribed", async || subscribers(&backend, "c").await == 0).await;
    let kept = cache.subscribe("c").await.unwrap();
    assert_eq!(subscribers(&backend, "c").await, 1);
    drop(cache);
    eventually("the connection ended", async || subscribers(&backend, "c").await == 0).await;
    drop(kept);
}

#[tokio::test]
async fn slow_subscriber_loses_only_messages_beyond_the_backlog() {
    let Some((one, two)) = two().await else { return };
    let mut slow = one.subscribe("c").await.unwrap();
    let mut fast = one.subscribe("c").await.unwrap();
    for number in 0..500 {
        two.publish("c", number.to_string());
        if number % 50 == 49 {
            while next(&mut fast).await != number.to_string() {}
        }
    }
    let backlog = 64;
    for number in 500 - backlog..500 {
        assert_eq!(next(&mut slow).await, number.to_string());
    }
}
