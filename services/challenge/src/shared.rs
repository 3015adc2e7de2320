//! Reads that many watchers share.
//!
//! A change wakes all watchers of a contest at once. Each must see a state from after the change, but not compute it
//! alone: a call gets a value whose read began after the call, and calls that wait for it share one.

use std::hash::Hash;
use std::ops::Deref;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use quick_cache::sync::Cache;
use tokio::sync::Mutex;

/// The most keys with a value; further ones are shared by fewer calls.
const MAX_KEYS: usize = 1024;

/// A value that is compared by its address first.
#[derive(Debug)]
pub struct Shared<T>(Arc<T>);

impl<T> Shared<T> {
    pub fn new(value: T) -> Self {
        Self(Arc::new(value))
    }

    /// Whether both are the same value, and not only equal.
    pub fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl<T: Clone> Shared<T> {
    pub fn into_inner(self) -> T {
        Arc::unwrap_or_clone(self.0)
    }
}

impl<T> Clone for Shared<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T: PartialEq> PartialEq for Shared<T> {
    fn eq(&self, other: &Self) -> bool {
        self.is(other) || self.0 == other.0
    }
}

impl<T> Deref for Shared<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

/// Values by key. A value lives as long as a caller has it.
pub struct Reads<K, T>(Cache<K, Arc<Slot<T>>>);

struct Slot<T> {
    /// The number of reads that have begun.
    begun: AtomicU64,
    last: Mutex<Last<T>>,
}

struct Last<T> {
    /// The number of the read, from 1.
    number: u64,
    value: Weak<T>,
}

impl<K: Hash + Eq + Clone, T: PartialEq> Reads<K, T> {
    pub fn new() -> Self {
        Self(Cache::new(MAX_KEYS))
    }

    /// A value whose read began after this call. `read` gets the previous value, if it is still in use. A value that is
    /// equal to the previous one is replaced by it.
    pub async fn get<E, Fut>(
        &self,
        key: K,
        read: impl FnOnce(Option<Shared<T>>) -> Fut,
    ) -> Result<Shared<T>, E>
    where
        Fut: Future<Output = Result<T, E>>,
    {
        let slot = self.slot(&key);
        let fresh = slot.begun.load(Ordering::SeqCst) + 1;
        let mut last = slot.last.lock().await;
        let value = last.value.upgrade().map(Shared);
        if last.number >= fresh
            && let Some(value) = value
        {
            return Ok(value);
        }
        let number = slot.begun.fetch_add(1, Ordering::SeqCst) + 1;
        let previous = last.value.upgrade().map(Shared);
        let new = read(previous.clone()).await?;
        let new = match previous.filter(|previous| **previous == new) {
            Some(previous) => previous,
            None => Shared::new(new),
        };
        *last = Last { number, value: Arc::downgrade(&new.0) };
        Ok(new)
    }

    fn slot(&self, key: &K) -> Arc<Slot<T>> {
        let new = || {
            let last = Mutex::new(Last { number: 0, value: Weak::new() });
            Ok::<_, std::convert::Infallible>(Arc::new(Slot { begun: AtomicU64::new(0), last }))
        };
        match self.0.get_or_insert_with(key, new) {
            Ok(slot) => slot,
            Err(never) => match never {},
        }
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use futures_util::future::join_all;

    use super::*;

    #[tokio::test]
    async fn concurrent_calls_share_a_read_that_began_after_them() {
        let (reads, begun) = (Reads::new(), AtomicU64::new(0));
        let read = async |_: Option<Shared<u64>>| {
            let number = begun.fetch_add(1, Ordering::SeqCst) + 1;
            tokio::task::yield_now().await;
            Ok::<_, Infallible>(number)
        };
        let get = async || {
            let before = begun.load(Ordering::SeqCst);
            let value = reads.get("key", &read).await.unwrap();
            assert!(*value > before, "{} began before the call", *value);
            value
        };
        let values = join_all((0..1000).map(|_| get())).await;
        assert_eq!(begun.load(Ordering::SeqCst), 2);
        assert_eq!((*values[0], *values[999]), (1, 2));
        get().await;
        assert_eq!(begun.load(Ordering::SeqCst), 3);
    }

    #[tokio::test]
    async fn equal_values_are_one_and_errors_are_not_kept() {
        let reads = Reads::new();
        let read = async |value: Result<u64, ()>| reads.get(1, |_| async move { value }).await;
        let first = read(Ok(5)).await.unwrap();
        assert!(read(Ok(5)).await.unwrap().is(&first));
        assert!(read(Err(())).await.is_err());
        assert!(!read(Ok(6)).await.unwrap().is(&first));
    }
}
