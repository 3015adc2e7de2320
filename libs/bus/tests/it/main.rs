//! Integration tests of the bus, on both databases and on Kafka.
#![expect(clippy::disallowed_methods, reason = "tests need no task tracking")]

mod concurrency;
mod failures;
mod kafka;
mod promotion;
mod relays;
#[cfg(feature = "tls")]
mod secured;
mod skipped;
mod subscribe;
mod world;
