//! The server goes away, comes back, forgets everything: that costs speed and one window of counts.

use std::time::{Duration, Instant};

use cache::testing::{Place, answers, eventually, unique};
use cache::{Cache, Rate};
use ids::Clock;

use crate::next;
use crate::server::{Server, free_port};

const HOUR: Duration = Duration::from_secs(3600);
const THREE: Rate = Rate::new(3, HOUR);

/// How often `rate` allows before it does not.
async fn allowed(cache: &Cache, key: &str) -> u32 {
    let mut count = 0;
    while cache.rate(key, THREE).await.allowed {
        count += 1;
    }
    count
}

/// All that works in a process without its server.
async fn works_alone(cache: &Cache) {
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

/// That messages of one get to a listener of the other.
async fn heard(from: &Cache, listener: &mut cache::Subscription, channel: &str) {
    let message = unique();
    let mut said = async || {
        from.publish(channel, message.clone());
        let wait = Duration::from_millis(100);
        matches!(tokio::time::timeout(wait, listener.next()).await, Ok(Some(heard)) if heard == message)
    };
    let deadline = Instant::now() + Duration::from_secs(20);
    while !said().await {
        assert!(Instant::now() < deadline, "messages pass again");
    }
}

/// A server that was never there delays nobody and stops nothing.
#[tokio::test]
async fn nobody_waits_for_a_server_that_is_not_there() {
    let url = format!("redis://127.0.0.1:{}", free_port());
    let cache = Cache::redis(&url, &unique(), Clock::system()).unwrap();
    let start = Instant::now();
    for _ in 0..100 {
        works_alone(&cache).await;
    }
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
}

/// It connects when the server comes.
#[tokio::test]
async fn a_server_that_comes_late() {
    let Some(mut server) = Server::start().await else { return };
    server.kill();
    let prefix = unique();
    let [one, two] = [0; 2].map(|_| Cache::redis(&server.url(), &prefix, Clock::system()).unwrap());
    works_alone(&one).await;
    let mut early = one.subscribe("c").await.unwrap();
    server.run().await;
    eventually("both are connected", async || answers(&one).await && answers(&two).await).await;
    heard(&two, &mut early, "c").await;
    assert_eq!(one.increment("n", 1, HOUR).await, 1);
    assert_eq!(two.increment("n", 1, HOUR).await, 2);
}

/// Killed and started again, as often as one likes.
#[tokio::test]
async fn a_server_that_is_killed_and_started_again() {
    let Some(mut server) = Server::start().await else { return };
    let place = server.place();
    let (one, two) = (place.cache().await, place.cache().await);
    let mut listener = one.subscribe("c").await.unwrap();
    for _ in 0..3 {
        assert_eq!(allowed(&one, "r").await, 3);
        assert_eq!(allowed(&two, "r").await, 0);
        server.kill();
        works_alone(&one).await;
        works_alone(&two).await;
        // What was counted is lost, for a window; what is counted now is not.
        assert!(allowed(&one, "r").await <= 3);
        assert_eq!(allowed(&one, "r").await, 0);
        one.publish("c", "alone");
        while next(&mut listener).await != "alone" {}

        server.run().await;
        eventually("both are connected", async || answers(&one).await && answers(&two).await).await;
        heard(&two, &mut listener, "c").await;
        assert_eq!(one.get("v").await, None);
        one.set("v", "value", HOUR).await;
        assert_eq!(two.get("v").await.as_deref(), Some(&b"value"[..]));
    }
}

/// A flushed server has neither data nor scripts; nobody notices but by the counts.
#[tokio::test]
async fn a_server_that_is_flushed() {
    let Some(server) = Server::start().await else { return };
    let place = server.place();
    let (one, two) = (place.cache().await, place.cache().await);
    let mut listener = one.subscribe("c").await.unwrap();
    for _ in 0..3 {
        one.set("v", "value", HOUR).await;
        assert_eq!(one.increment("n", 1, HOUR).await, 1);
        assert_eq!(two.increment("n", 1, HOUR).await, 2);
        assert_eq!(allowed(&one, "r").await, 3);
        assert_eq!(allowed(&two, "r").await, 0);
        server.ask("FLUSHALL").await.unwrap();
        flush_scripts(&place).await;
        assert_eq!(one.get("v").await, None);
        two.publish("c", "still heard");
        assert_eq!(next(&mut listener).await, "still heard");
    }
}

async fn flush_scripts(place: &Place) {
    let Place::Redis { url, .. } = place else { panic!("on a server") };
    let client = redis::Client::open(url.as_str()).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    let mut command = redis::cmd("SCRIPT");
    let () = command.arg("FLUSH").query_async(&mut connection).await.unwrap();
}

/// A server that hangs costs each caller a short wait at most, and most none.
#[tokio::test]
async fn a_server_that_hangs() {
    let Some(server) = Server::start().await else { return };
    let prefix = unique();
    let [cache, other] =
        [0; 2].map(|_| Cache::redis(&server.url(), &prefix, Clock::system()).unwrap());
    eventually("both are connected", async || answers(&cache).await && answers(&other).await).await;
    let mut listener = cache.subscribe("c").await.unwrap();
    server.hang();
    let start = Instant::now();
    assert_eq!(allowed(&cache, "r").await, 3);
    let first = start.elapsed();
    for _ in 0..100 {
        works_alone(&cache).await;
    }
    // A busy machine is slow, but a wait for each call would take minutes.
    assert!(first < Duration::from_secs(2), "{first:?}");
    assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
    server.wake();
    eventually("it is used again", async || answers(&cache).await).await;
    heard(&other, &mut listener, "c").await;
}

/// A server that takes requests but refuses to write does not stop the messages, nor lift limits.
#[tokio::test]
async fn a_server_without_memory() {
    let Some(server) = Server::start().await else { return };
    let place = server.place();
    let (one, two) = (place.cache().await, place.cache().await);
    let mut listener = one.subscribe("c").await.unwrap();
    let client = redis::Client::open(server.url()).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    let mut command = redis::cmd("CONFIG");
    let () = command.arg(&["SET", "maxmemory", "1"]).query_async(&mut connection).await.unwrap();
    assert_eq!(allowed(&one, "r").await, 3);
    works_alone(&one).await;
    two.publish("c", "heard");
    assert_eq!(next(&mut listener).await, "heard");
}
