//! Values with a time to live, in bounded memory, with the eviction policy of `quick_cache` (S3-FIFO).
//!
//! Expired values are not removed until they are evicted or replaced. So that they cannot fill the whole cache, half of
//! it is reserved for new values.

use bytes::Bytes;
use chrono::{DateTime, Utc};
use quick_cache::unsync::{Cache, DefaultLifecycle};
use quick_cache::{DefaultHashBuilder, OptionsBuilder, Weighter};

pub(crate) struct Values(Cache<Box<str>, Entry, ByteWeight>);

struct Entry {
    value: Bytes,
    expires_at: DateTime<Utc>,
}

/// Estimated bytes that an entry takes beside its key and value.
const OVERHEAD: usize = 100;
/// Estimated bytes of an entry, for the size of the eviction history.
const AVERAGE: usize = 1024;

struct ByteWeight;

impl Weighter<Box<str>, Entry> for ByteWeight {
    fn weight(&self, key: &Box<str>, entry: &Entry) -> u64 {
        (key.len() + entry.value.len() + OVERHEAD) as u64
    }
}

impl Values {
    pub fn new(max_bytes: usize) -> Self {
        let mut options = OptionsBuilder::new();
        options.estimated_items_capacity(max_bytes / AVERAGE).weight_capacity(max_bytes as u64);
        let options = options.hot_allocation(0.5).build().expect("the capacities are set");
        let hasher = DefaultHashBuilder::default();
        Self(Cache::with_options(options, ByteWeight, hasher, DefaultLifecycle::default()))
    }

    pub fn get(&self, key: &str, now: DateTime<Utc>) -> Option<Bytes> {
        let entry = self.0.get(key).filter(|entry| entry.expires_at > now)?;
        Some(entry.value.clone())
    }

    pub fn set(&mut self, key: &str, value: &[u8], expires_at: DateTime<Utc>) {
        // Copied, because a slice of a large buffer would keep all of it alive.
        let value = Bytes::copy_from_slice(value);
        self.0.insert(key.into(), Entry { value, expires_at });
    }

    pub fn delete(&mut self, key: &str) {
        self.0.remove(key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000 + seconds, 0).expect("valid")
    }

    #[test]
    fn memory_is_bounded_and_used_values_stay() {
        let mut values = Values::new(20_000);
        values.set("used", b"x", at(10));
        for i in 0..1000 {
            values.set(&format!("{i}"), &[0; 100], at(10));
            assert!(values.get("used", at(0)).is_some());
            assert!(values.0.weight() <= 20_000);
        }
        assert!(values.get("960", at(0)).is_some(), "new values get half of the memory");
        assert_eq!(values.get("900", at(0)), None);
        // A value that takes more than half of the memory is not kept, nor is the value that it replaces.
        values.set("used", &[0; 10_000], at(10));
        assert_eq!(values.get("used", at(0)), None);
    }
}
