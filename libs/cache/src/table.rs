//! Counts by key, in bounded memory, that never forget a live count.
//!
//! When the table is full of live counts, further keys share a fixed set of counts by their hash: what they guard gets
//! stricter then, never laxer.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};

use chrono::{DateTime, Utc};

/// Counts that keys share when there is no room for their own.
const SHARED: usize = 1024;

pub(crate) struct Table<T> {
    most: usize,
    own: HashMap<Box<str>, Count<T>>,
    shared: Vec<Count<T>>,
    // Random, so that nobody can choose whom to share with.
    hasher: RandomState,
    // Looking for expired counts goes through all of them, so not before this many more keys have come.
    inserts_to_sweep: usize,
}

#[derive(Clone)]
struct Count<T> {
    value: T,
    expires_at: DateTime<Utc>,
}

impl<T: Default + Clone> Table<T> {
    pub fn new(most: usize) -> Self {
        let empty = Count { value: T::default(), expires_at: DateTime::<Utc>::MIN_UTC };
        Self {
            most,
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

    /// The count of a key; a new one starts from nothing and lives until `expires_at`.
    pub fn entry(&mut self, key: &str, now: DateTime<Utc>, expires_at: DateTime<Utc>) -> &mut T {
        if !self.own.contains_key(key) && self.has_room(now) {
            let fresh = Count { value: T::default(), expires_at };
            // A key that had to share before goes on with what was counted then.
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

    /// Lets a count live longer.
    pub fn extend(&mut self, key: &str, expires_at: DateTime<Utc>) {
        let slot = self.slot(key);
        let count = self.own.get_mut(key).unwrap_or(&mut self.shared[slot]);
        count.expires_at = count.expires_at.max(expires_at);
    }

    pub fn remove(&mut self, key: &str) {
        self.own.remove(key);
    }

    fn has_room(&mut self, now: DateTime<Utc>) -> bool {
        if self.own.len() < self.most {
            return true;
        }
        if self.inserts_to_sweep == 0 {
            self.own.retain(|_, count| count.expires_at > now);
            self.inserts_to_sweep = self.most / 4 + 1;
        }
        self.inserts_to_sweep -= 1;
        self.own.len() < self.most
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

    fn add(table: &mut Table<u64>, key: &str, now: i64, lives: i64) -> u64 {
        let count = table.entry(key, at(now), at(now + lives));
        *count += 1;
        *count
    }

    #[test]
    fn counts_expire() {
        let mut table = Table::new(10);
        assert_eq!(add(&mut table, "a", 0, 10), 1);
        assert_eq!(add(&mut table, "a", 9, 10), 2);
        assert_eq!(table.get("a", at(9)), Some(&2));
        assert_eq!(table.get("a", at(10)), None);
        assert_eq!(add(&mut table, "a", 10, 10), 1);
    }

    #[test]
    fn a_full_table_forgets_what_expired_and_nothing_else() {
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
        // After all have expired there is room again.
        for i in 0..200 {
            add(&mut table, &format!("later {i}"), 100, 10);
        }
        assert!(table.own.len() <= 100);
        assert!(table.own.keys().any(|key| key.starts_with("later")));
    }
}
