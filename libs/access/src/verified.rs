//! Tokens whose signature was verified, by their SHA-256: what makes a call cheap.
//!
//! Bounded: two maps, of which the older is dropped when the newer is full, so that a flood of
//! good tokens costs time and never memory. Only verified tokens enter.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::atomic::{AtomicI64, AtomicU64};
use std::sync::{Arc, Mutex, PoisonError};

use crate::principal::Principal;

/// SHA-256 of a token.
pub(crate) type Digest = [u8; 32];

/// A verified token.
#[derive(Debug)]
pub(crate) struct Verified {
    pub principal: Arc<Principal>,
    /// The generation of revocations at which it was last found good.
    pub generation: AtomicU64,
    /// When the auth service last said that it is good, in microseconds.
    pub confirmed: AtomicI64,
}

const SHARDS: usize = 16;

/// See the module's text.
pub(crate) struct Cache {
    shards: [Mutex<Shard>; SHARDS],
    shard_capacity: usize,
}

#[derive(Default)]
struct Shard {
    young: Map,
    old: Map,
}

type Map = HashMap<Digest, Arc<Verified>, BuildHasherDefault<Prefix>>;

impl Cache {
    /// A cache of at most `capacity` tokens.
    pub fn new(capacity: usize) -> Self {
        let shard_capacity = (capacity / SHARDS / 2).max(1);
        Self { shards: std::array::from_fn(|_| Mutex::default()), shard_capacity }
    }

    pub fn get(&self, digest: &Digest) -> Option<Arc<Verified>> {
        let mut shard = self.shard(digest);
        if let Some(found) = shard.young.get(digest) {
            return Some(found.clone());
        }
        // Still in use: it moves over, or it would be lost at the next turn.
        let found = shard.old.remove(digest)?;
        shard.insert(*digest, found.clone(), self.shard_capacity);
        Some(found)
    }

    pub fn insert(&self, digest: Digest, verified: Arc<Verified>) {
        self.shard(&digest).insert(digest, verified, self.shard_capacity);
    }

    pub fn remove(&self, digest: &Digest) {
        let mut shard = self.shard(digest);
        shard.young.remove(digest);
        shard.old.remove(digest);
    }

    pub fn clear(&self) {
        for shard in &self.shards {
            *shard.lock().unwrap_or_else(PoisonError::into_inner) = Shard::default();
        }
    }

    fn shard(&self, digest: &Digest) -> std::sync::MutexGuard<'_, Shard> {
        let shard = &self.shards[usize::from(digest[31]) % SHARDS];
        shard.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shard {
    fn insert(&mut self, digest: Digest, verified: Arc<Verified>, capacity: usize) {
        if self.young.len() >= capacity {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(digest, verified);
    }
}

/// A digest is as random as any hash of it: its first bytes serve.
#[derive(Default)]
struct Prefix(u64);

impl Hasher for Prefix {
    fn write(&mut self, bytes: &[u8]) {
        if let Some(prefix) = bytes.first_chunk::<8>() {
            self.0 = u64::from_le_bytes(*prefix);
        }
    }

    // The length of the array, which is always the same.
    fn write_usize(&mut self, _: usize) {}

    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verified() -> Arc<Verified> {
        Arc::new(Verified {
            principal: Arc::new(Principal::anonymous()),
            generation: AtomicU64::new(0),
            confirmed: AtomicI64::new(0),
        })
    }

    fn digest(n: u32) -> Digest {
        let mut digest = [0; 32];
        digest[..4].copy_from_slice(&n.to_le_bytes());
        digest
    }

    #[test]
    fn bounded_and_keeps_what_is_used() {
        let cache = Cache::new(SHARDS * 2 * 10);
        cache.insert(digest(0), verified());
        for n in 1..1000 {
            cache.insert(digest(n), verified());
            assert!(cache.get(&digest(0)).is_some(), "{n}");
        }
        let shard = cache.shard(&digest(0));
        assert!(shard.young.len() + shard.old.len() <= 20);
        drop(shard);
        assert!(cache.get(&digest(1)).is_none());
        cache.remove(&digest(0));
        assert!(cache.get(&digest(0)).is_none());
        cache.insert(digest(5), verified());
        cache.clear();
        assert!(cache.get(&digest(5)).is_none());
    }
}
