//! The cache of test data by content hash. Downloads are verified.

use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use proto::problem::ObjectRef;
use sha2::{Digest, Sha256};

use super::disk_cache::{DiskCache, Pin};
use super::failure::Failure;
use super::peers::Peers;

pub(super) struct Objects {
    cache: DiskCache,
    /// Locks by digest, so that each object is downloaded once.
    downloads: Mutex<HashMap<String, Arc<tokio::sync::Mutex<()>>>>,
}

impl Objects {
    pub async fn open(root: PathBuf, limit: u64) -> io::Result<Objects> {
        Ok(Objects { cache: DiskCache::open(root, limit).await?, downloads: Mutex::default() })
    }

    /// The object as a file in the cache, downloaded if necessary. The pin protects it from eviction.
    pub async fn get(&self, peers: &Peers, object: Option<&ObjectRef>) -> Result<Pin, Failure> {
        let object = object.ok_or_else(|| Failure::Internal("a test has no file".into()))?;
        let digest = object.digest.as_str();
        let hexadecimal = digest.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
        if digest.len() != 64 || !hexadecimal {
            return Err(Failure::Internal(format!(
                "{digest:?} must be a SHA-256 digest in lower case"
            )));
        }
        if let Some((pin, true)) = self.cache.get(digest) {
            return Ok(pin);
        }
        let lock = {
            let mut downloads = self.downloads.lock().unwrap_or_else(PoisonError::into_inner);
            downloads.entry(digest.to_owned()).or_default().clone()
        };
        let guard = lock.lock().await;
        let result = self.verify_or_download(peers, object).await;
        drop(guard);
        self.downloads.lock().unwrap_or_else(PoisonError::into_inner).remove(digest);
        result
    }

    async fn verify_or_download(&self, peers: &Peers, object: &ObjectRef) -> Result<Pin, Failure> {
        let digest = object.digest.as_str();
        match self.cache.get(digest) {
            Some((pin, true)) => return Ok(pin),
            Some((pin, false)) => {
                // From an earlier process: damaged files must not affect verdicts.
                let path = pin.path();
                let found = tokio::task::spawn_blocking(move || digest_of(&path)).await;
                if matches!(found, Ok(Ok(found)) if found == digest) {
                    self.cache.mark_verified(digest);
                    return Ok(pin);
                }
                tracing::warn!(digest, "cached object damaged, downloading again");
                self.cache.remove(digest);
            }
            None => {}
        }
        self.download(peers, object).await
    }

    async fn download(&self, peers: &Peers, object: &ObjectRef) -> Result<Pin, Failure> {
        let digest = object.digest.as_str();
        let failed = |error: io::Error| Failure::from_io("object cache", &error);
        let staged = self.cache.staging_path();
        let mut file = std::fs::File::create(&staged).map_err(failed)?;
        let (mut hash, mut size) = (Sha256::new(), 0u64);
        let mut chunks = peers.object(digest).await?;
        loop {
            let chunk = chunks.message().await;
            let chunk =
                chunk.map_err(|status| Failure::from_status("downloading an object", &status))?;
            let Some(chunk) = chunk else { break };
            hash.update(&chunk.data);
            size += chunk.data.len() as u64;
            // Blocks only briefly: at most 256 KiB go to the page cache.
            file.write_all(&chunk.data).map_err(failed)?;
        }
        let expected = u64::try_from(object.size_bytes).unwrap_or(0);
        if hex::encode(hash.finalize()) != digest || size != expected {
            std::fs::remove_file(&staged).ok();
            return Err(Failure::Unavailable(format!(
                "object {digest}: checksum or size mismatch after download"
            )));
        }
        self.cache.insert(digest, &staged).map_err(failed)
    }
}

/// The SHA-256 digest of a file, in hexadecimal.
pub(super) fn digest_of(path: &std::path::Path) -> io::Result<String> {
    let mut file = std::fs::File::open(path)?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 64 << 10];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(hex::encode(hash.finalize())),
            count => hash.update(&buffer[..count]),
        }
    }
}
