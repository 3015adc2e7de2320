//! Cache URLs.

use cache::testing::unique;
use cache::{Cache, Error};
use ids::Clock;

#[tokio::test]
async fn urls_are_checked_and_errors_hide_passwords() {
    let open = |url: &str| Cache::open(url, &unique(), Clock::system());
    for good in [
        "memory:",
        "redis://127.0.0.1:1",
        "redis://localhost/",
        "redis://user:secret@127.0.0.1:1/3",
        "redis://:secret@[::1]:1/3",
        "rediss://127.0.0.1:1/0",
    ] {
        assert!(open(good).is_ok(), "{good}");
    }
    for wrong in [
        "",
        "memory",
        "memory:x",
        "localhost:6379",
        "http://user:secret@localhost",
        "unix:///run/redis",
        "valkey://localhost",
        "redis:localhost",
        "redis://",
        "redis://:secret@localhost/first",
        "redis://:secret@localhost:port",
    ] {
        let Err(error) = open(wrong) else { panic!("{wrong} is accepted") };
        assert!(matches!(error, Error::Url(_)));
        let text = error.to_string();
        assert!(text.contains("`memory:`") && text.contains("`redis://"), "{wrong}: {text}");
        assert!(!text.contains("secret"), "{text}");
    }
}
