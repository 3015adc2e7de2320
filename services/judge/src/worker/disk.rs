//! A directory of a bounded size: what was not used for longest goes first.
//!
//! Entries are files or directories named by a hexadecimal key, and appear whole, by a rename. What
//! is in use stays.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::UNIX_EPOCH;

/// The directory. Cheap to clone.
#[derive(Clone)]
pub(super) struct Disk(Arc<Inner>);

struct Inner {
    root: PathBuf,
    limit: u64,
    index: Mutex<Index>,
    drafts: AtomicU64,
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
    /// Checked by whoever uses it, since this process started.
    trusted: bool,
}

/// An entry in use, which stays.
pub(super) struct Pin {
    disk: Disk,
    key: String,
}

impl Disk {
    /// Opens or makes the directory, sweeping what a crash left half-written.
    pub async fn open(root: PathBuf, limit: u64) -> io::Result<Disk> {
        let scan = move || {
            fs::create_dir_all(&root)?;
            let drafts = root.join("drafts");
            if drafts.exists() {
                fs::remove_dir_all(&drafts)?;
            }
            fs::create_dir(&drafts)?;
            let index = Mutex::new(scan(&root)?);
            let disk = Disk(Arc::new(Inner { root, limit, index, drafts: AtomicU64::new(0) }));
            disk.evict();
            Ok(disk)
        };
        tokio::task::spawn_blocking(scan).await.map_err(io::Error::other)?
    }

    /// The entry, if it is there, and whether it was marked as trusted.
    pub fn get(&self, key: &str) -> Option<(Pin, bool)> {
        let mut index = self.index();
        index.clock += 1;
        let now = index.clock;
        let entry = index.entries.get_mut(key)?;
        entry.used = now;
        entry.pins += 1;
        let trusted = entry.trusted;
        Some((Pin { disk: self.clone(), key: key.to_owned() }, trusted))
    }

    /// A path for something that is being made.
    pub fn draft(&self) -> PathBuf {
        let number = self.0.drafts.fetch_add(1, Ordering::Relaxed);
        self.0.root.join("drafts").join(number.to_string())
    }

    /// Makes a draft an entry, trusted, and removes others to make room.
    pub fn keep(&self, key: &str, draft: &Path) -> io::Result<Pin> {
        let path = self.path(key);
        let size = size(draft)?;
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        remove(&path)?;
        fs::rename(draft, &path)?;
        {
            let mut index = self.index();
            index.clock += 1;
            let entry = Entry { size, used: index.clock, pins: 1, trusted: true };
            let pins = index.entries.get(key).map_or(0, |old| old.pins);
            let entry = Entry { pins: pins + 1, ..entry };
            let old = index.entries.insert(key.to_owned(), entry);
            index.total = index.total + size - old.map_or(0, |old| old.size);
        }
        self.evict();
        Ok(Pin { disk: self.clone(), key: key.to_owned() })
    }

    /// Says that an entry was checked and is good.
    pub fn trust(&self, key: &str) {
        if let Some(entry) = self.index().entries.get_mut(key) {
            entry.trusted = true;
        }
    }

    /// Removes an entry that was found damaged.
    pub fn discard(&self, key: &str) {
        let mut index = self.index();
        if let Some(old) = index.entries.remove(key) {
            index.total -= old.size;
        }
        remove(&self.path(key)).ok();
    }

    fn evict(&self) {
        let mut gone = Vec::new();
        {
            let mut index = self.index();
            while index.total > self.0.limit {
                let free = index.entries.iter().filter(|(_, entry)| entry.pins == 0);
                let Some(oldest) = free.min_by_key(|(_, entry)| entry.used) else { break };
                let key = oldest.0.clone();
                if let Some(old) = index.entries.remove(&key) {
                    index.total -= old.size;
                }
                gone.push(key);
            }
        }
        for key in gone {
            if let Err(error) = remove(&self.path(&key)) {
                tracing::warn!(%error, key, "an old cache entry cannot be removed");
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
    /// Where the entry is.
    pub fn path(&self) -> PathBuf {
        self.disk.path(&self.key)
    }
}

impl Drop for Pin {
    fn drop(&mut self) {
        if let Some(entry) = self.disk.index().entries.get_mut(&self.key) {
            entry.pins = entry.pins.saturating_sub(1);
        }
    }
}

fn scan(root: &Path) -> io::Result<Index> {
    let mut found = Vec::new();
    for shelf in fs::read_dir(root)?.flatten() {
        if shelf.file_name() == "drafts" || !shelf.file_type()?.is_dir() {
            continue;
        }
        for entry in fs::read_dir(shelf.path())?.flatten() {
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
        let entry = Entry { size, used: index.clock, pins: 0, trusted: false };
        index.entries.insert(key, entry);
    }
    Ok(index)
}

/// What a file, or all files of a directory, take; at least a block each.
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

    fn add(disk: &Disk, key: &str, size: usize) -> Pin {
        let draft = disk.draft();
        fs::write(&draft, vec![0; size]).unwrap();
        disk.keep(key, &draft).unwrap()
    }

    #[tokio::test]
    async fn the_oldest_go_and_what_is_used_stays() {
        let directory = tempfile::tempdir().unwrap();
        let disk = Disk::open(directory.path().join("cache"), 30_000).await.unwrap();
        let used = add(&disk, "aa1", 10_000);
        drop(add(&disk, "bb2", 10_000));
        drop(add(&disk, "cc3", 10_000));
        drop(disk.get("bb2"));
        drop(add(&disk, "dd4", 10_000));
        assert!(disk.get("cc3").is_none());
        for key in ["aa1", "bb2", "dd4"] {
            assert!(disk.get(key).is_some(), "{key}");
        }
        assert!(used.path().exists());
    }

    #[tokio::test]
    async fn what_is_there_is_found_again_but_not_trusted() {
        let directory = tempfile::tempdir().unwrap();
        let open = || Disk::open(directory.path().into(), 1 << 20);
        let disk = open().await.unwrap();
        drop(add(&disk, "aa1", 10));
        assert!(disk.get("aa1").unwrap().1);
        fs::write(disk.draft(), "half").unwrap();
        drop(disk);
        let disk = open().await.unwrap();
        let (pin, trusted) = disk.get("aa1").unwrap();
        assert!(!trusted && pin.path().exists());
        assert!(!disk.draft().exists());
        disk.discard("aa1");
        assert!(disk.get("aa1").is_none() && !pin.path().exists());
    }
}
