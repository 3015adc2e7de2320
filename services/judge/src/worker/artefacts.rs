//! The cache of compiled programs, by a hash of the sources, the language and the toolchain.

use std::fs::{self, File};
use std::io;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sandbox::Content;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::disk_cache::{DiskCache, Pin};

/// The cache. Cheap to clone.
#[derive(Clone)]
pub(super) struct Artefacts(DiskCache);

pub(super) struct Program {
    /// The files to copy to `/app`.
    pub files: Vec<Artefact>,
    // Protects the files from eviction.
    _pin: Option<Pin>,
}

pub(super) struct Artefact {
    pub path: String,
    pub mode: u32,
    pub blob: Blob,
}

pub(super) enum Blob {
    Bytes(Arc<[u8]>),
    /// An anonymous file.
    Open(File),
    /// A file in the cache.
    Path(PathBuf),
}

#[derive(Serialize, Deserialize)]
struct ManifestEntry {
    path: String,
    mode: u32,
    sha256: String,
}

const MANIFEST: &str = "manifest.json";

impl Artefact {
    /// The content to put into a slot.
    pub fn content(&self) -> Content {
        match &self.blob {
            Blob::Bytes(bytes) => Content::Bytes(bytes.to_vec()),
            // Opened again, because slots must not share an offset.
            Blob::Open(file) => Content::Path(format!("/proc/self/fd/{}", file.as_raw_fd()).into()),
            Blob::Path(path) => Content::Path(path.clone()),
        }
    }

    fn read(&self) -> io::Result<Vec<u8>> {
        match &self.blob {
            Blob::Bytes(bytes) => Ok(bytes.to_vec()),
            Blob::Open(file) => fs::read(format!("/proc/self/fd/{}", file.as_raw_fd())),
            Blob::Path(path) => fs::read(path),
        }
    }
}

impl Program {
    /// A program that is not in the cache.
    pub fn new(files: Vec<Artefact>) -> Program {
        Program { files, _pin: None }
    }
}

impl Artefacts {
    pub async fn open(root: PathBuf, limit: u64) -> io::Result<Artefacts> {
        DiskCache::open(root, limit).await.map(Artefacts)
    }

    /// The program for this key. Removes it if it is damaged.
    pub async fn get(&self, key: &str) -> Option<Program> {
        let (pin, verified) = self.0.get(key)?;
        let path = pin.path();
        let entries = tokio::task::spawn_blocking(move || load(&path, verified)).await;
        match entries {
            Ok(Ok(entries)) => {
                self.0.mark_verified(key);
                let files = entries.into_iter().enumerate().map(|(number, entry)| Artefact {
                    path: entry.path,
                    mode: entry.mode,
                    blob: Blob::Path(pin.path().join(number.to_string())),
                });
                Some(Program { files: files.collect(), _pin: Some(pin) })
            }
            Ok(Err(error)) => {
                tracing::warn!(%error, key, "cached program damaged, recompiling");
                self.0.remove(key);
                None
            }
            Err(_) => None,
        }
    }

    /// Adds a program, unless it comes from the cache. Failures are logged.
    pub async fn save(&self, key: String, program: Arc<Program>) {
        if program.files.iter().any(|file| matches!(file.blob, Blob::Path(_))) {
            return;
        }
        let cache = self.0.clone();
        let saving = tokio::task::spawn_blocking(move || {
            let staged = cache.staging_path();
            write(&staged, &program).and_then(|()| cache.insert(&key, &staged).map(drop))
        });
        if let Ok(Err(error)) = saving.await {
            tracing::warn!(%error, "cannot cache compiled program");
        }
    }
}

fn write(directory: &Path, program: &Program) -> io::Result<()> {
    fs::create_dir(directory)?;
    let mut entries = Vec::new();
    for (number, file) in program.files.iter().enumerate() {
        let bytes = file.read()?;
        fs::write(directory.join(number.to_string()), &bytes)?;
        let sha256 = hex::encode(Sha256::digest(&bytes));
        entries.push(ManifestEntry { path: file.path.clone(), mode: file.mode, sha256 });
    }
    fs::write(directory.join(MANIFEST), serde_json::to_vec(&entries)?)
}

fn load(path: &Path, verified: bool) -> io::Result<Vec<ManifestEntry>> {
    let entries: Vec<ManifestEntry> = serde_json::from_slice(&fs::read(path.join(MANIFEST))?)?;
    for (number, entry) in entries.iter().enumerate().filter(|_| !verified) {
        if hex::encode(Sha256::digest(fs::read(path.join(number.to_string()))?)) != entry.sha256 {
            return Err(io::Error::other(format!("{}: checksum mismatch", entry.path)));
        }
    }
    Ok(entries)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn programs_are_cached_and_verified() {
        let directory = tempfile::tempdir().unwrap();
        let open = || Artefacts::open(directory.path().into(), 1 << 20);
        let file = |name: &str| {
            let path = directory.path().join(name);
            fs::write(&path, "binary").unwrap();
            let blob = Blob::Open(File::open(&path).unwrap());
            Artefact { path: "main".into(), mode: 0o755, blob }
        };
        let text = Artefact { path: "a/b".into(), mode: 0o644, blob: Blob::Bytes((*b"x").into()) };
        let cache = open().await.unwrap();
        cache.save("aa1".into(), Program::new(vec![file("made"), text]).into()).await;
        let found = open().await.unwrap().get("aa1").await.unwrap();
        let found: Vec<_> =
            found.files.iter().map(|f| (&*f.path, f.mode, f.read().unwrap())).collect();
        assert_eq!(found, [("main", 0o755, b"binary".to_vec()), ("a/b", 0o644, b"x".to_vec())]);
        fs::write(directory.path().join("aa/aa1/1"), "y").unwrap();
        assert!(open().await.unwrap().get("aa1").await.is_none());
        assert!(cache.get("bb2").await.is_none());
    }
}
