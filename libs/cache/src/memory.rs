//! The backend in the memory of one process.

use std::sync::Mutex;
use std::time::Duration;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use ids::Clock;

use crate::channels::Channels;
use crate::lock;
use crate::rate::{Decision, Rate, Spent};
use crate::table::Table;
use crate::values::Values;

/// Memory limits of a cache.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes of values and their keys, 32 MiB by default.
    pub value_bytes: usize,
    /// Keys with their own rate limit, and as many with their own counter (default 200,000); further keys share.
    pub counts: usize,
    /// Channels with subscribers, 50,000 by default.
    pub channels: usize,
    /// Undelivered messages per subscriber, 64 by default.
    pub backlog: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { value_bytes: 32 << 20, counts: 200_000, channels: 50_000, backlog: 64 }
    }
}

pub(crate) struct Memory {
    clock: Clock,
    values: Mutex<Values>,
    counters: Mutex<Table<u64>>,
    rates: Mutex<Table<Spent>>,
    pub channels: Channels,
}

impl Memory {
    pub fn new(clock: Clock, limits: Limits) -> Self {
        Self {
            clock,
            values: Mutex::new(Values::new(limits.value_bytes)),
            counters: Mutex::new(Table::new(limits.counts)),
            rates: Mutex::new(Table::new(limits.counts)),
            channels: Channels::new(limits.channels, limits.backlog),
        }
    }

    pub fn get(&self, key: &str) -> Option<Bytes> {
        lock(&self.values).get(key, self.clock.now())
    }

    pub fn set(&self, key: &str, value: &[u8], ttl: Duration) {
        let now = self.clock.now();
        lock(&self.values).set(key, value, after(now, ttl));
    }

    pub fn delete(&self, key: &str) {
        lock(&self.values).delete(key);
        lock(&self.counters).remove(key);
    }

    pub fn increment(&self, key: &str, by: u32, ttl: Duration) -> u64 {
        let now = self.clock.now();
        let mut counters = lock(&self.counters);
        let sum = counters.entry(key, now, after(now, ttl));
        *sum = sum.saturating_add(u64::from(by));
        *sum
    }

    pub fn count(&self, key: &str) -> u64 {
        lock(&self.counters).get(key, self.clock.now()).copied().unwrap_or(0)
    }

    pub fn rate(&self, key: &str, rate: Rate) -> Decision {
        let now = self.clock.now();
        let mut rates = lock(&self.rates);
        let spent = rates.entry(key, now, after(now, rate.window));
        let decision = spent.take(rate, now);
        let full_at = spent.full_at;
        rates.extend(key, full_at);
        decision
    }
}

fn after(now: DateTime<Utc>, time: Duration) -> DateTime<Utc> {
    let time = chrono::TimeDelta::from_std(time).unwrap_or(chrono::TimeDelta::MAX);
    now.checked_add_signed(time).unwrap_or(DateTime::<Utc>::MAX_UTC)
}
