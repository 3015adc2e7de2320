//! Values with a time to live, in bounded memory.
//!
//! Two generations: what is set or used is young; when the young fill half of the memory, they become the old, and the
//! old that were not used meanwhile go. That is nearly the least recently used, without a list to keep in order.

use std::collections::HashMap;

use bytes::Bytes;
use chrono::{DateTime, Utc};

pub(crate) struct Values {
    // Of one generation.
    most_bytes: usize,
    young_bytes: usize,
    young: HashMap<Box<str>, Entry>,
    old: HashMap<Box<str>, Entry>,
}

struct Entry {
    value: Bytes,
    expires_at: DateTime<Utc>,
}

/// What an entry costs beside its key and value, roughly.
const OVERHEAD: usize = 100;

impl Values {
    pub fn new(most_bytes: usize) -> Self {
        let (young, old) = (HashMap::new(), HashMap::new());
        Self { most_bytes: most_bytes / 2, young_bytes: 0, young, old }
    }

    pub fn get(&mut self, key: &str, now: DateTime<Utc>) -> Option<Bytes> {
        if let Some((key, entry)) = self.old.remove_entry(key)
            && entry.expires_at > now
        {
            self.insert(key, entry);
        }
        let entry = self.young.get(key).filter(|entry| entry.expires_at > now)?;
        Some(entry.value.clone())
    }

    pub fn set(&mut self, key: &str, value: &[u8], expires_at: DateTime<Utc>) {
        self.delete(key);
        // Copied, because a slice of something large would keep all of it alive.
        let value = Bytes::copy_from_slice(value);
        self.insert(key.into(), Entry { value, expires_at });
    }

    pub fn delete(&mut self, key: &str) {
        if let Some(entry) = self.young.remove(key) {
            self.young_bytes -= cost(key, &entry);
        }
        self.old.remove(key);
    }

    fn insert(&mut self, key: Box<str>, entry: Entry) {
        let cost = cost(&key, &entry);
        if cost > self.most_bytes {
            return;
        }
        if self.young_bytes + cost > self.most_bytes {
            self.old = std::mem::take(&mut self.young);
            self.young_bytes = 0;
        }
        self.young_bytes += cost;
        self.young.insert(key, entry);
    }
}

fn cost(key: &str, entry: &Entry) -> usize {
    key.len() + entry.value.len() + OVERHEAD
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000 + seconds, 0).expect("valid")
    }

    #[test]
    fn values_live_and_die() {
        let mut values = Values::new(10_000);
        values.set("a", b"1", at(10));
        assert_eq!(values.get("a", at(9)).as_deref(), Some(&b"1"[..]));
        assert_eq!(values.get("a", at(10)), None);
        values.set("a", b"2", at(20));
        assert_eq!(values.get("a", at(10)).as_deref(), Some(&b"2"[..]));
        values.delete("a");
        assert_eq!(values.get("a", at(10)), None);
    }

    #[test]
    fn what_is_used_stays_and_memory_is_bounded() {
        let mut values = Values::new(20_000);
        values.set("used", b"x", at(10));
        values.set("unused", b"x", at(10));
        for i in 0..1000 {
            values.set(&format!("{i}"), &[0; 100], at(10));
            assert!(values.get("used", at(0)).is_some());
            assert!(values.young.len() + values.old.len() < 100);
        }
        assert_eq!(values.get("unused", at(0)), None);
        values.set("huge", &[0; 50_000], at(10));
        assert_eq!(values.get("huge", at(0)), None);
        assert!(values.get("used", at(0)).is_some());
    }
}
