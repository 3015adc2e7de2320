//! What may be lost: values with a time to live, counters, rate limits, and messages to whoever listens.
//!
//! Nothing here is durable, and no decision about who owns what may rest on it. One thing is never traded for memory,
//! though: a rate limit and a counter never forget on their own what they have counted (when memory is short, keys
//! share a count).
//!
//! [`Cache`] hides its backend: the memory of this process, or a Redis server where several processes share what they
//! cache. Losing that server, at any moment and for any time, costs speed and at most one window of counts: until it
//! is back, values miss, and each process counts and passes on messages for itself. So nobody is locked out and
//! nobody is unlimited, and nobody waits: a call takes a quarter of a second at most. An empty server is as good.
//!
//! Keys are the callers' own; start them with the service's name (`auth/login/…`).
//!
//! Knows nothing of what is cached.

mod channels;
mod memory;
mod rate;
mod redis;
mod table;
pub mod testing;
mod values;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use ids::Clock;

pub use channels::Subscription;
pub use memory::Limits;
pub use rate::{Decision, Rate};

use self::redis::Redis;
use memory::Memory;

/// Why the cache could not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There are too many channels with listeners already.
    #[error("too many live subscriptions")]
    TooManyChannels,
    /// The URL names no backend. Does not repeat the URL, which may hold a password.
    #[error(
        "not the URL of a cache ({0}): `memory:`, `redis://[[user]:password@]host[:port][/database]`, \
         or the latter with `rediss:` for TLS"
    )]
    Url(String),
}

/// A handle to the cache. Cheap to clone.
#[derive(Clone)]
pub struct Cache {
    backend: Backend,
}

#[derive(Clone)]
enum Backend {
    Memory(Arc<Memory>),
    Redis(Arc<Redis>),
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

    /// The cache that a URL names: `memory:`, or a server as in [`Cache::redis`]. Memory needs no `prefix`.
    ///
    /// # Errors
    /// When the URL names no backend.
    ///
    /// # Panics
    /// With a server's URL outside a Tokio runtime.
    pub fn open(url: &str, prefix: &str, clock: Clock) -> Result<Self, Error> {
        match url {
            "memory:" => Ok(Self::memory(clock)),
            _ => Self::redis(url, prefix, clock),
        }
    }

    /// A cache on a Redis server, `redis://[[user]:password@]host[:port][/database]`, or `rediss://` with TLS, which
    /// trusts the certificates that the machine trusts (or those in the file that `SSL_CERT_FILE` names).
    ///
    /// `prefix` names the installation: what it keeps and says is apart from that of others on the same server. (A
    /// database of its own is not enough, because messages know no databases.) `clock` counts while the server is
    /// away; otherwise the server's own does.
    ///
    /// The server's `maxmemory-policy` is best `noeviction`, Redis' own default: a full server then refuses, and memory
    /// takes over, where any other policy would forget counts. It may be one server or a primary, not a Redis Cluster.
    ///
    /// Does not wait for the server, which may be away: a background task connects, and ends with the last handle.
    ///
    /// # Errors
    /// When the URL is not that of a Redis server.
    ///
    /// # Panics
    /// Outside a Tokio runtime.
    pub fn redis(url: &str, prefix: &str, clock: Clock) -> Result<Self, Error> {
        Self::redis_with(url, prefix, clock, redis::PATIENCE)
    }

    /// As [`Cache::redis`], with callers who wait up to `patience`.
    fn redis_with(
        url: &str,
        prefix: &str,
        clock: Clock,
        patience: Duration,
    ) -> Result<Self, Error> {
        let redis = Redis::new(url, prefix, clock, Limits::default(), patience)?;
        Ok(Self { backend: Backend::Redis(Arc::new(redis)) })
    }

    /// Whether the server is there; the error is for people.
    pub fn health(&self) -> Result<(), String> {
        match &self.backend {
            Backend::Redis(redis) if redis.is_down() => Err(
                "Redis is away: this process counts by itself, and live messages of others do not arrive".into(),
            ),
            _ => Ok(()),
        }
    }

    /// The value of `key`, while it lives and was not evicted. A server that is away has no values.
    pub async fn get(&self, key: &str) -> Option<Bytes> {
        match &self.backend {
            Backend::Memory(memory) => memory.get(key),
            Backend::Redis(redis) => redis.get(key).await,
        }
    }

    /// Keeps a value for at most `ttl`. A server that is away does not hear of it, and may still have an older value
    /// when it is back; the same goes for [`Cache::delete`].
    pub async fn set(&self, key: &str, value: impl AsRef<[u8]>, ttl: Duration) {
        match &self.backend {
            Backend::Memory(memory) => memory.set(key, value.as_ref(), ttl),
            Backend::Redis(redis) => redis.set(key, value.as_ref(), ttl).await,
        }
    }

    /// Forgets a value and a count.
    pub async fn delete(&self, key: &str) {
        match &self.backend {
            Backend::Memory(memory) => memory.delete(key),
            Backend::Redis(redis) => redis.delete(key).await,
        }
    }

    /// Adds `by` to a counter, which starts at zero and lives for `ttl` from its first increment; gives the sum.
    pub async fn increment(&self, key: &str, by: u32, ttl: Duration) -> u64 {
        match &self.backend {
            Backend::Memory(memory) => memory.increment(key, by, ttl),
            Backend::Redis(redis) => redis.increment(key, by, ttl).await,
        }
    }

    /// A counter's sum.
    pub async fn count(&self, key: &str) -> u64 {
        match &self.backend {
            Backend::Memory(memory) => memory.count(key),
            Backend::Redis(redis) => redis.count(key).await,
        }
    }

    /// Asks to do something once more under a rate limit, and counts it when it is allowed.
    pub async fn rate(&self, key: &str, rate: Rate) -> Decision {
        match &self.backend {
            Backend::Memory(memory) => memory.rate(key, rate),
            Backend::Redis(redis) => redis.rate(key, rate).await,
        }
    }

    /// Sends a message to those who listen to `channel` now, each at most once. Listeners that are slow lose the oldest
    /// messages; those of other processes lose what comes too fast for the server, or while it is away. Does not wait
    /// for anything.
    pub fn publish(&self, channel: &str, message: impl Into<Bytes>) {
        match &self.backend {
            Backend::Memory(memory) => memory.channels.publish(channel, message.into()),
            Backend::Redis(redis) => redis.publish(channel, message.into()),
        }
    }

    /// Listens to `channel`. What is published after this has returned is heard, so a caller who then reads the durable
    /// state misses nothing. While the server is away, only what this process publishes is heard, and once it is back
    /// the rest again.
    ///
    /// # Errors
    /// When there are too many channels.
    pub async fn subscribe(&self, channel: &str) -> Result<Subscription, Error> {
        match &self.backend {
            Backend::Memory(memory) => memory.channels.subscribe(channel),
            Backend::Redis(redis) => redis.subscribe(channel).await,
        }
    }
}
