//! Outages of the server lose at most one window of counts.

use std::time::{Duration, Instant};

use cache::testing::{eventually, is_available, unique};
use cache::{Cache, Rate};
use ids::Clock;

use crate::next;
use crate::server::{Server, free_port};

const HOUR: Duration = Duration::from_secs(3600);
const THREE: Rate = Rate::new(3, HOUR);

/// The number of calls allowed until the first refusal.
async fn allowed(cache: &Cache, key: &str) -> u32 {
    let mut count = 0;
    while cache.rate(key, THREE).await.allowed {
        count += 1;
    }
    count
}

/// Two caches with the same prefix and the normal timeout.
fn unconnected(server: &Server) -> [Cache; 2] {
    let prefix = unique();
    [0; 2].map(|_| Cache::redis(&server.url(), &prefix, Clock::system()).unwrap())
}

async fn check_works_without_server(cache: &Cache) {
    let key = unique();
    assert_eq!(allowed(cache, &key).await, 3);
    assert_eq!(cache.increment(&key, 2, HOUR).await, 2);
    assert_eq!(cache.increment(&key, 2, HOUR).await, 4);
    assert_eq!(cache.count(&key).await, 4);
    cache.delete(&key).await;
    assert_eq!(cache.count(&key).await, 0);
    cache.set(&key, "value", HOUR).await;
    assert_eq!(cache.get(&key).await, None);
    let mut listener = cache.subscribe(&key).await.unwrap();
    cache.publish(&key, "message");
    assert_eq!(next(&mut listener).await, "message");
}

async fn wait_until_delivered(from: &Cache, listener: &mut cache::Subscription, channel: &str) {
    let message = unique();
    let mut delivered = async || {
        from.publish(channel, message.clone());
        let wait = Duration::from_millis(100);
        matches!(tokio::time::timeout(wait, listener.next()).await, Ok(Some(next)) if next == message)
    };
    let deadline = Instant::now() + Duration::from_secs(20);
    while !delivered().await {
        assert!(Instant::now() < deadline, "no message was delivered");
    }
}

#[tokio::test]
async fn calls_do_not_wait_for_an_unreachable_server() {
    let url = format!("redis://127.0.0.1:{}", free_port());
    let cache = Cache::redis(&url, &unique(), Clock::system()).unwrap();
    let start = Instant::now();
    for _ in 0..100 {
        check_works_without_server(&cache).await;
    }
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
}

#[tokio::test]
async fn server_that_starts_late_is_connected() {
    let Some(mut server) = Server::start().await else { return };
    server.kill();
    let [one, two] = unconnected(&server);
    check_works_without_server(&one).await;
    let mut early = one.subscribe("c").await.unwrap();
    server.run().await;
    both_connected(&one, &two).await;
    wait_until_delivered(&two, &mut early, "c").await;
    assert_eq!(one.increment("n", 1, HOUR).await, 1);
    assert_eq!(two.increment("n", 1, HOUR).await, 2);
}

async fn both_connected(one: &Cache, two: &Cache) {
    let connected = async || is_available(one).await && is_available(two).await;
    eventually("both are connected", connected).await;
}

#[tokio::test]
async fn restarted_server_is_connected_again() {
    let Some(mut server) = Server::start().await else { return };
    let (one, two) = server.two_caches().await;
    let mut listener = one.subscribe("c").await.unwrap();
    for _ in 0..3 {
        assert_eq!(allowed(&one, "r").await, 3);
        assert_eq!(allowed(&two, "r").await, 0);
        server.kill();
        check_works_without_server(&one).await;
        check_works_without_server(&two).await;
        // Earlier counts are lost, later ones are kept.
        assert!(allowed(&one, "r").await <= 3);
        assert_eq!(allowed(&one, "r").await, 0);
        one.publish("c", "local");
        while next(&mut listener).await != "local" {}

        server.run().await;
        both_connected(&one, &two).await;
        wait_until_delivered(&two, &mut listener, "c").await;
        assert_eq!(one.get("v").await, None);
        one.set("v", "value", HOUR).await;
        assert_eq!(two.get("v").await.as_deref(), Some(&b"value"[..]));
    }
}

#[tokio::test]
async fn server_without_data_and_scripts_works() {
    let Some(server) = Server::start().await else { return };
    let (one, two) = server.two_caches().await;
    let mut listener = one.subscribe("c").await.unwrap();
    for _ in 0..3 {
        one.set("v", "value", HOUR).await;
        assert_eq!(one.increment("n", 1, HOUR).await, 1);
        assert_eq!(two.increment("n", 1, HOUR).await, 2);
        assert_eq!(allowed(&one, "r").await, 3);
        assert_eq!(allowed(&two, "r").await, 0);
        server.request(&["FLUSHALL"]).await.unwrap();
        server.request(&["SCRIPT", "FLUSH"]).await.unwrap();
        assert_eq!(one.get("v").await, None);
        two.publish("c", "message");
        assert_eq!(next(&mut listener).await, "message");
    }
}

#[tokio::test]
async fn hanging_server_delays_only_the_first_calls() {
    let Some(server) = Server::start().await else { return };
    let [cache, other] = unconnected(&server);
    both_connected(&cache, &other).await;
    let mut listener = cache.subscribe("c").await.unwrap();
    server.hang();
    let start = Instant::now();
    assert_eq!(allowed(&cache, "r").await, 3);
    let first = start.elapsed();
    for _ in 0..100 {
        check_works_without_server(&cache).await;
    }
    // Generous for a busy machine; a timeout of every call would take minutes.
    assert!(first < Duration::from_secs(2), "{first:?}");
    assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
    server.wake();
    eventually("the server is used again", async || is_available(&cache).await).await;
    wait_until_delivered(&other, &mut listener, "c").await;
}

#[tokio::test]
async fn server_that_refuses_writes_keeps_limits_and_messages() {
    let Some(server) = Server::start().await else { return };
    let (one, two) = server.two_caches().await;
    let mut listener = one.subscribe("c").await.unwrap();
    server.request(&["CONFIG", "SET", "maxmemory", "1"]).await.unwrap();
    assert_eq!(allowed(&one, "r").await, 3);
    check_works_without_server(&one).await;
    two.publish("c", "message");
    assert_eq!(next(&mut listener).await, "message");
}
