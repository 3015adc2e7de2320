//! What may be lost: values with a time to live, counters, rate limits, and messages to whoever listens.
//!
//! Nothing here is durable, and no decision about who owns what may rest on it. Two things are never traded for
//! memory or availability, though: a rate limit and a counter never forget on their own what they have counted
//! (when memory is short, keys share a count; when the backend is away, the answer is no).
//!
//! [`Cache`] hides its backend: memory of this process now, a server shared by several processes where there are
//! several. Keys are the callers' own; start them with the service's name (`auth/login/…`).
//!
//! Knows nothing of what is cached.

mod channels;
mod memory;
mod rate;
mod table;
mod values;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use ids::Clock;

pub use channels::Subscription;
pub use memory::Limits;
pub use rate::{Decision, Rate};

use memory::Memory;

/// Why the cache could not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There are too many channels with listeners already.
    #[error("too many live subscriptions")]
    TooManyChannels,
    /// The backend cannot be reached.
    #[error("the cache is unavailable: {0}")]
    Unavailable(String),
}

/// A handle to the cache. Cheap to clone.
#[derive(Clone)]
pub struct Cache {
    backend: Backend,
}

#[derive(Clone)]
enum Backend {
    Memory(Arc<Memory>),
}

impl Cache {
    /// A cache in the memory of this process.
    #[must_use]
    pub fn memory(clock: Clock) -> Self {
        Self::memory_with(clock, Limits::default())
    }

    /// A cache in the memory of this process that takes no more than it is given.
    #[must_use]
    pub fn memory_with(clock: Clock, limits: Limits) -> Self {
        Self { backend: Backend::Memory(Arc::new(Memory::new(clock, limits))) }
    }

    /// The value of `key`, while it lives and was not evicted. An unreachable backend has no values.
    pub async fn get(&self, key: &str) -> Option<Bytes> {
        match &self.backend {
            Backend::Memory(memory) => memory.get(key),
        }
    }

    /// Keeps a value for at most `ttl`.
    pub async fn set(&self, key: &str, value: impl AsRef<[u8]>, ttl: Duration) {
        match &self.backend {
            Backend::Memory(memory) => memory.set(key, value.as_ref(), ttl),
        }
    }

    /// Forgets a value and a count.
    pub async fn delete(&self, key: &str) {
        match &self.backend {
            Backend::Memory(memory) => memory.delete(key),
        }
    }

    /// Adds `by` to a counter, which starts at zero and lives for `ttl` from its first increment; gives the sum.
    ///
    /// # Errors
    /// When the backend is away: what the counter guards must then be refused.
    pub async fn increment(&self, key: &str, by: u32, ttl: Duration) -> Result<u64, Error> {
        match &self.backend {
            Backend::Memory(memory) => Ok(memory.increment(key, by, ttl)),
        }
    }

    /// A counter's sum.
    ///
    /// # Errors
    /// When the backend is away: what the counter guards must then be refused.
    pub async fn count(&self, key: &str) -> Result<u64, Error> {
        match &self.backend {
            Backend::Memory(memory) => Ok(memory.count(key)),
        }
    }

    /// Asks to do something once more under a rate limit, and counts it when it is allowed. When the backend is away,
    /// it is not.
    pub async fn rate(&self, key: &str, rate: Rate) -> Decision {
        match &self.backend {
            Backend::Memory(memory) => memory.rate(key, rate),
        }
    }

    /// Sends a message to those who listen to `channel` now. Listeners that are slow lose the oldest messages. Does not
    /// wait for anything.
    pub fn publish(&self, channel: &str, message: impl Into<Bytes>) {
        match &self.backend {
            Backend::Memory(memory) => memory.channels.publish(channel, message.into()),
        }
    }

    /// Listens to `channel` from now on.
    ///
    /// # Errors
    /// When there are too many channels, or the backend is away.
    pub async fn subscribe(&self, channel: &str) -> Result<Subscription, Error> {
        match &self.backend {
            Backend::Memory(memory) => memory.channels.subscribe(channel),
        }
    }
}
