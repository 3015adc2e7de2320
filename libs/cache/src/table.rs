//! Counts by key, in bounded memory, without eviction of live counts.
//!
//! When the table is full, further keys share a fixed set of counts by their hash, which makes limits stricter, never
//! laxer. An evicting cache cannot be used here: a flood of keys would reset every limit.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};

use chrono::{DateTime, Utc};

const SHARED: usize = 1024;

pub(crate) struct Table<T> {
    max: usize,
    own: HashMap<Box<str>, Count<T>>,
    shared: Vec<Count<T>>,
    // Random, so that clients cannot choose which key they share a count with.
    hasher: RandomState,
    // A sweep visits every count, so it runs only after this many more inserts.
    inserts_to_sweep: usize,
}

#[derive(Clone)]
struct Count<T> {
    value: T,
    expires_at: DateTime<Utc>,
}

impl<T: Default + Clone> Table<T> {
    pub fn new(max: usize) -> Self {
        let empty = Count { value: T::default(), expires_at: DateTime::<Utc>::MIN_UTC };
        Self {
            max,
            own: HashMap::new(),
            shared: vec![empty; SHARED],
            hasher: RandomState::new(),
            inserts_to_sweep: 0,
        }
    }

    pub fn get(&self, key: &str, now: DateTime<Utc>) -> Option<&T> {
        let count = self.own.get(key).unwrap_or_else(|| &self.shared[self.slot(key)]);
        (count.expires_at > now).then_some(&count.value)
    }

    /// The count of a key; a new one starts at the default and expires at `expires_at`.
    pub fn entry(&mut self, key: &str, now: DateTime<Utc>, expires_at: DateTime<Utc>) -> &mut T {
        if !self.own.contains_key(key) && self.has_room(now) {
            let fresh = Count { value: T::default(), expires_at };
            // A key that shared a count before keeps it.
            let shared = &self.shared[self.slot(key)];
            let start = if shared.expires_at > now { shared.clone() } else { fresh };
            self.own.insert(key.into(), start);
        }
        let slot = self.slot(key);
        let count = self.own.get_mut(key).unwrap_or(&mut self.shared[slot]);
        if count.expires_at <= now {
            *count = Count { value: T::default(), expires_at };
        }
        &mut count.value
    }

    /// Never shortens the life of a count.
    pub fn extend(&mut self, key: &str, expires_at: DateTime<Utc>) {
        let slot = self.slot(key);
        let count = self.own.get_mut(key).unwrap_or(&mut self.shared[slot]);
        count.expires_at = count.expires_at.max(expires_at);
    }

    pub fn remove(&mut self, key: &str) {
        self.own.remove(key);
    }

    fn has_room(&mut self, now: DateTime<Utc>) -> bool {
        if self.own.len() < self.max {
            return true;
        }
        if self.inserts_to_sweep == 0 {
            self.own.retain(|_, count| count.expires_at > now);
            self.inserts_to_sweep = self.max / 4 + 1;
        }
        self.inserts_to_sweep -= 1;
        self.own.len() < self.max
    }

    fn slot(&self, key: &str) -> usize {
        usize::try_from(self.hasher.hash_one(key)).unwrap_or(0) % SHARED
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000 + seconds, 0).expect("valid")
    }

    fn add(table: &mut Table<u64>, key: &str, now: i64, ttl: i64) -> u64 {
        let count = table.entry(key, at(now), at(now + ttl));
        *count += 1;
        *count
    }

    #[test]
    fn full_table_drops_only_expired_counts() {
        let mut table = Table::new(100);
        for i in 0..100 {
            add(&mut table, &format!("old {i}"), 0, 10);
        }
        add(&mut table, "kept", 0, 10);
        for round in 1..=3 {
            for i in 0..5000 {
                add(&mut table, &format!("new {i}"), 1, 10);
            }
            assert_eq!(add(&mut table, "old 7", 1, 10), round + 1);
        }
        assert!(table.own.len() <= 100);
        assert!(*table.get("new 4999", at(1)).unwrap() >= 3, "shared, so at least its own");
        // All have expired.
        for i in 0..200 {
            add(&mut table, &format!("later {i}"), 100, 10);
        }
        assert!(table.own.len() <= 100);
        assert!(table.own.keys().any(|key| key.starts_with("later")));
    }
}
