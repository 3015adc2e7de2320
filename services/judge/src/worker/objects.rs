//! Test data by content hash: fetched once, checked, kept on disk.

use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use proto::problem::ObjectRef;
use sha2::{Digest, Sha256};

use super::disk::{Disk, Pin};
use super::failure::Failure;
use super::peers::Peers;

/// The objects of this machine.
pub(super) struct Objects {
    disk: Disk,
    /// One fetch per object at a time.
    fetching: Mutex<HashMap<String, Arc<tokio::sync::Mutex<()>>>>,
}

impl Objects {
    pub async fn open(root: PathBuf, limit: u64) -> io::Result<Objects> {
        Ok(Objects { disk: Disk::open(root, limit).await?, fetching: Mutex::default() })
    }

    /// The object as a file on this machine, which stays while it is held.
    pub async fn get(&self, peers: &Peers, object: Option<&ObjectRef>) -> Result<Pin, Failure> {
        let object = object.ok_or_else(|| Failure::Broken("a test without a file".into()))?;
        let digest = object.digest.as_str();
        let hexadecimal = digest.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
        if digest.len() != 64 || !hexadecimal {
            return Err(Failure::Broken(format!("{digest:?} is no digest")));
        }
        if let Some((pin, true)) = self.disk.get(digest) {
            return Ok(pin);
        }
        let turn = {
            let mut fetching = self.fetching.lock().unwrap_or_else(PoisonError::into_inner);
            fetching.entry(digest.to_owned()).or_default().clone()
        };
        let guard = turn.lock().await;
        let result = self.check_or_fetch(peers, object).await;
        drop(guard);
        self.fetching.lock().unwrap_or_else(PoisonError::into_inner).remove(digest);
        result
    }

    async fn check_or_fetch(&self, peers: &Peers, object: &ObjectRef) -> Result<Pin, Failure> {
        let digest = object.digest.as_str();
        match self.disk.get(digest) {
            Some((pin, true)) => return Ok(pin),
            Some((pin, false)) => {
                // From an earlier process: whatever happened to this disk since must not decide verdicts.
                let path = pin.path();
                let found = tokio::task::spawn_blocking(move || digest_of(&path)).await;
                if matches!(found, Ok(Ok(found)) if found == digest) {
                    self.disk.trust(digest);
                    return Ok(pin);
                }
                tracing::warn!(digest, "a damaged object is fetched again");
                self.disk.discard(digest);
            }
            None => {}
        }
        self.fetch(peers, object).await
    }

    async fn fetch(&self, peers: &Peers, object: &ObjectRef) -> Result<Pin, Failure> {
        let digest = object.digest.as_str();
        let failed = |error: io::Error| Failure::of_disk("the object cache", &error);
        let draft = self.disk.draft();
        let mut file = std::fs::File::create(&draft).map_err(failed)?;
        let (mut hash, mut size) = (Sha256::new(), 0u64);
        let mut pieces = peers.object(digest).await?;
        loop {
            let piece = pieces.message().await;
            let piece = piece.map_err(|status| Failure::of_call("an object", &status))?;
            let Some(piece) = piece else { break };
            hash.update(&piece.data);
            size += piece.data.len() as u64;
            // A quarter of a megabyte into the page cache.
            file.write_all(&piece.data).map_err(failed)?;
        }
        let expected = u64::try_from(object.size_bytes).unwrap_or(0);
        if hex::encode(hash.finalize()) != digest || size != expected {
            std::fs::remove_file(&draft).ok();
            return Err(Failure::Away(format!("the object {digest} arrived damaged")));
        }
        self.disk.keep(digest, &draft).map_err(failed)
    }
}

fn digest_of(path: &std::path::Path) -> io::Result<String> {
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
