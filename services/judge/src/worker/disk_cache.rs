//! A disk cache of limited size with least-recently-used eviction.
//!
//! Entries are files or directories named by a hexadecimal key. They are created in a staging directory and renamed.
//! Entries in use are not evicted.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::UNIX_EPOCH;

/// The cache. Cheap to clone.
#[derive(Clone)]
pub(super) struct DiskCache(Arc<Inner>);

/// The directory for staged entries, which does not start with two hexadecimal digits.
const STAGING: &str = "drafts";

struct Inner {
    root: PathBuf,
    limit: u64,
    index: Mutex<Index>,
    /// The number of staging paths handed out.
    staged: AtomicU64,
}

#[derive(Default)]
struct Index {
    entries: HashMap<String, Entry>,
    total: u64,
    clock: u64,
}

struct Entry {
    size: u64,
    used: u64,
    pins: usize,
    /// Whether its content was verified since this process started.
    verified: bool,
}

/// An entry in use, which is not evicted.
pub(super) struct Pin {
    cache: DiskCache,
    key: String,
}

impl DiskCache {
    /// Opens or creates the directory, and removes staged files that a crash left.
    pub async fn open(root: PathBuf, limit: u64) -> io::Result<DiskCache> {
        let scan = move || {
            fs::create_dir_all(&root)?;
            let staging = root.join(STAGING);
            if staging.exists() {
                fs::remove_dir_all(&staging)?;
            }
            fs::create_dir(&staging)?;
            let index = Mutex::new(scan(&root)?);
            let cache =
                DiskCache(Arc::new(Inner { root, limit, index, staged: AtomicU64::new(0) }));
            cache.evict();
            Ok(cache)
        };
        tokio::task::spawn_blocking(scan).await.map_err(io::Error::other)?
    }

    /// The entry, and whether it was marked as verified.
    pub fn get(&self, key: &str) -> Option<(Pin, bool)> {
        let mut index = self.index();
        index.clock += 1;
        let now = index.clock;
        let entry = index.entries.get_mut(key)?;
        entry.used = now;
        entry.pins += 1;
        let verified = entry.verified;
        Some((Pin { cache: self.clone(), key: key.to_owned() }, verified))
    }

    pub fn staging_path(&self) -> PathBuf {
        let number = self.0.staged.fetch_add(1, Ordering::Relaxed);
        self.0.root.join(STAGING).join(number.to_string())
    }

    /// Moves a staged file or directory into the cache, as a verified entry, and evicts others if necessary.
    pub fn insert(&self, key: &str, staged: &Path) -> io::Result<Pin> {
        let path = self.path(key);
        let size = size(staged)?;
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        remove(&path)?;
        fs::rename(staged, &path)?;
        {
            let mut index = self.index();
            index.clock += 1;
            let pins = index.entries.get(key).map_or(0, |old| old.pins) + 1;
            let entry = Entry { size, used: index.clock, pins, verified: true };
            let old = index.entries.insert(key.to_owned(), entry);
            index.total = index.total + size - old.map_or(0, |old| old.size);
        }
        self.evict();
        Ok(Pin { cache: self.clone(), key: key.to_owned() })
    }

    pub fn mark_verified(&self, key: &str) {
        if let Some(entry) = self.index().entries.get_mut(key) {
            entry.verified = true;
        }
    }

    /// Removes a damaged entry.
    pub fn remove(&self, key: &str) {
        let mut index = self.index();
        if let Some(old) = index.entries.remove(key) {
            index.total -= old.size;
        }
        remove(&self.path(key)).ok();
    }

    fn evict(&self) {
        let mut evicted = Vec::new();
        {
            let mut index = self.index();
            while index.total > self.0.limit {
                let free = index.entries.iter().filter(|(_, entry)| entry.pins == 0);
                let Some(oldest) = free.min_by_key(|(_, entry)| entry.used) else { break };
                let key = oldest.0.clone();
                if let Some(old) = index.entries.remove(&key) {
                    index.total -= old.size;
                }
                evicted.push(key);
            }
        }
        for key in evicted {
            if let Err(error) = remove(&self.path(&key)) {
                tracing::warn!(%error, key, "cannot remove cache entry");
            }
        }
    }

    fn path(&self, key: &str) -> PathBuf {
        self.0.root.join(key.get(..2).unwrap_or("xx")).join(key)
    }

    fn index(&self) -> MutexGuard<'_, Index> {
        self.0.index.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pin {
    pub fn path(&self) -> PathBuf {
        self.cache.path(&self.key)
    }
}

impl Drop for Pin {
    fn drop(&mut self) {
        if let Some(entry) = self.cache.index().entries.get_mut(&self.key) {
            entry.pins = entry.pins.saturating_sub(1);
        }
    }
}

fn scan(root: &Path) -> io::Result<Index> {
    let mut found = Vec::new();
    for prefix in fs::read_dir(root)?.flatten() {
        if prefix.file_name() == STAGING || !prefix.file_type()?.is_dir() {
            continue;
        }
        for entry in fs::read_dir(prefix.path())?.flatten() {
            let Ok(key) = entry.file_name().into_string() else { continue };
            let metadata = entry.metadata()?;
            let times = [metadata.accessed(), metadata.modified()];
            let times =
                times.into_iter().flatten().filter_map(|t| t.duration_since(UNIX_EPOCH).ok());
            found.push((times.max(), key, size(&entry.path())?));
        }
    }
    found.sort();
    let mut index = Index::default();
    for (_, key, size) in found {
        index.clock += 1;
        index.total += size;
        let entry = Entry { size, used: index.clock, pins: 0, verified: false };
        index.entries.insert(key, entry);
    }
    Ok(index)
}

/// The disk usage of a file or directory, with at least one block per file.
fn size(path: &Path) -> io::Result<u64> {
    let metadata = fs::symlink_metadata(path)?;
    if !metadata.is_dir() {
        return Ok(metadata.len().max(4096));
    }
    let mut total = 4096;
    for entry in fs::read_dir(path)? {
        total += size(&entry?.path())?;
    }
    Ok(total)
}

fn remove(path: &Path) -> io::Result<()> {
    let removed = match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(error) => Err(error),
    };
    match removed {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn add(cache: &DiskCache, key: &str, size: usize) -> Pin {
        let staged = cache.staging_path();
        fs::write(&staged, vec![0; size]).unwrap();
        cache.insert(key, &staged).unwrap()
    }

    #[tokio::test]
    async fn least_recently_used_unpinned_entry_is_evicted() {
        let directory = tempfile::tempdir().unwrap();
        let cache = DiskCache::open(directory.path().join("cache"), 30_000).await.unwrap();
        let used = add(&cache, "aa1", 10_000);
        drop(add(&cache, "bb2", 10_000));
        drop(add(&cache, "cc3", 10_000));
        drop(cache.get("bb2"));
        drop(add(&cache, "dd4", 10_000));
        assert!(cache.get("cc3").is_none());
        for key in ["aa1", "bb2", "dd4"] {
            assert!(cache.get(key).is_some(), "{key}");
        }
        assert!(used.path().exists());
    }

    #[tokio::test]
    async fn entries_survive_a_restart_unverified() {
        let directory = tempfile::tempdir().unwrap();
        let open = || DiskCache::open(directory.path().into(), 1 << 20);
        let cache = open().await.unwrap();
        drop(add(&cache, "aa1", 10));
        assert!(cache.get("aa1").unwrap().1);
        fs::write(cache.staging_path(), "half").unwrap();
        drop(cache);
        let cache = open().await.unwrap();
        let (pin, verified) = cache.get("aa1").unwrap();
        assert!(!verified && pin.path().exists());
        assert!(!cache.staging_path().exists());
        cache.remove("aa1");
        assert!(cache.get("aa1").is_none() && !pin.path().exists());
    }
}
