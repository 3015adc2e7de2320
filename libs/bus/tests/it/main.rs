//! The promises of the bus, on both databases.
#![expect(clippy::disallowed_methods, reason = "tests spawn as they like")]

mod concurrency;
mod failures;
mod kafka;
mod promotion;
mod relays;
#[cfg(feature = "tls")]
mod secured;
mod subscribe;
mod world;
