//! Values with a time to live, counters, rate limits, and lossy publish/subscribe.
//!
//! Nothing here is durable, so never use it for locks, ownership or facts. Values may be evicted at any time. Counters
//! and rate limits are never evicted before they expire: when the table is full, further keys share counts.
//!
//! The backend of [`Cache`] is the memory of this process, or a Redis server that several processes share. When the
//! server is unavailable or was flushed, at most one window of counts is lost: until it is back, values miss, and each
//! process counts and delivers messages on its own. No call takes longer than 250 ms.
//!
//! Callers choose the keys and start them with the service's name (`auth/login/…`). This crate does not know what is
//! cached.

mod channels;
mod memory;
mod rate;
mod redis;
mod table;
pub mod testing;
mod values;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use ids::Clock;

pub use channels::Subscription;
pub use memory::Limits;
pub use rate::{Decision, Rate};

use self::redis::Redis;
use memory::Memory;

/// Why a cache operation failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// [`Limits::channels`] channels have subscribers already.
    #[error("too many live subscriptions")]
    TooManyChannels,
    /// The URL is not a cache URL. The text does not repeat the URL, which may contain a password.
    #[error(
        "invalid cache URL ({0}): must be `memory:` or \
         `redis://[[user]:password@]host[:port][/database]` (`rediss:` for TLS)"
    )]
    Url(String),
}

/// A handle to a cache. Cheap to clone.
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
    /// A cache in the memory of this process, with the default [`Limits`].
    pub fn memory(clock: Clock) -> Self {
        Self::memory_with(clock, Limits::default())
    }

    /// A cache in the memory of this process.
    pub fn memory_with(clock: Clock, limits: Limits) -> Self {
        Self { backend: Backend::Memory(Arc::new(Memory::new(clock, limits))) }
    }

    /// Opens `memory:`, which ignores `prefix`, or a Redis server as [`Cache::redis`] does.
    ///
    /// # Panics
    /// With a Redis URL outside a Tokio runtime.
    pub fn open(url: &str, prefix: &str, clock: Clock) -> Result<Self, Error> {
        match url {
            "memory:" => Ok(Self::memory(clock)),
            _ => Self::redis(url, prefix, clock),
        }
    }

    /// A cache on a Redis server, `redis://[[user]:password@]host[:port][/database]`, or `rediss://` for TLS with the
    /// system's root certificates (or those in the file `SSL_CERT_FILE`).
    ///
    /// `prefix` separates the keys and channels of installations that share a server. (Separate databases do not
    /// separate channels.) `clock` is used while the server is unavailable; otherwise the server's clock is.
    ///
    /// Set the server's `maxmemory-policy` to `noeviction`, which is Redis' default: a full server then refuses writes
    /// and this process's memory takes over, whereas every other policy loses counts. Redis Cluster is not supported.
    ///
    /// Returns at once: a background task connects, reconnects, and ends with the last handle.
    ///
    /// # Panics
    /// Outside a Tokio runtime.
    pub fn redis(url: &str, prefix: &str, clock: Clock) -> Result<Self, Error> {
        Self::redis_with(url, prefix, clock, redis::REQUEST_TIMEOUT)
    }

    fn redis_with(url: &str, prefix: &str, clock: Clock, timeout: Duration) -> Result<Self, Error> {
        let redis = Redis::new(url, prefix, clock, Limits::default(), timeout)?;
        Ok(Self { backend: Backend::Redis(Arc::new(redis)) })
    }

    /// Whether Redis is available; the error is for operators.
    pub fn health(&self) -> Result<(), String> {
        match &self.backend {
            Backend::Redis(redis) if redis.is_down() => {
                let text = "Redis is unavailable: counts and rate limits are per process, and live \
                            messages of other processes are not received";
                Err(text.into())
            }
            _ => Ok(()),
        }
    }

    /// The value of `key`; None when it expired, was evicted, or Redis is unavailable.
    pub async fn get(&self, key: &str) -> Option<Bytes> {
        match &self.backend {
            Backend::Memory(memory) => memory.get(key),
            Backend::Redis(redis) => redis.get(key).await,
        }
    }

    /// Stores a value for at most `ttl`. While Redis is unavailable, this and [`Cache::delete`] have no effect on it, so
    /// an older value may be returned once it is back.
    pub async fn set(&self, key: &str, value: impl AsRef<[u8]>, ttl: Duration) {
        match &self.backend {
            Backend::Memory(memory) => memory.set(key, value.as_ref(), ttl),
            Backend::Redis(redis) => redis.set(key, value.as_ref(), ttl).await,
        }
    }

    /// Deletes the value and the counter of `key`.
    pub async fn delete(&self, key: &str) {
        match &self.backend {
            Backend::Memory(memory) => memory.delete(key),
            Backend::Redis(redis) => redis.delete(key).await,
        }
    }

    /// Adds `by` to a counter and returns the sum. A counter starts at 0 and expires `ttl` after its first increment.
    pub async fn increment(&self, key: &str, by: u32, ttl: Duration) -> u64 {
        match &self.backend {
            Backend::Memory(memory) => memory.increment(key, by, ttl),
            Backend::Redis(redis) => redis.increment(key, by, ttl).await,
        }
    }

    /// The sum of a counter; 0 for an unknown key.
    pub async fn count(&self, key: &str) -> u64 {
        match &self.backend {
            Backend::Memory(memory) => memory.count(key),
            Backend::Redis(redis) => redis.count(key).await,
        }
    }

    /// Takes one token from the bucket of `key`, if one is left.
    pub async fn rate(&self, key: &str, rate: Rate) -> Decision {
        match &self.backend {
            Backend::Memory(memory) => memory.rate(key, rate),
            Backend::Redis(redis) => redis.rate(key, rate).await,
        }
    }

    /// Sends a message to the present subscribers of `channel`, to each at most once, without waiting. Slow subscribers
    /// lose the oldest messages. Subscribers in other processes also lose messages while Redis is unavailable or the
    /// send queue is full.
    pub fn publish(&self, channel: &str, message: impl Into<Bytes>) {
        match &self.backend {
            Backend::Memory(memory) => memory.channels.publish(channel, message.into()),
            Backend::Redis(redis) => redis.publish(channel, message.into()),
        }
    }

    /// Subscribes to `channel`. Messages published after this returns are delivered, so a caller that then reads the
    /// durable state misses nothing. While Redis is unavailable, only messages of this process are delivered.
    pub async fn subscribe(&self, channel: &str) -> Result<Subscription, Error> {
        match &self.backend {
            Backend::Memory(memory) => memory.channels.subscribe(channel),
            Backend::Redis(redis) => redis.subscribe(channel).await,
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
