//! The cache of compiled programs, by a hash of the sources, the language and the toolchain.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sandbox::Content;
use serde::{Deserialize, Serialize};

use super::disk_cache::{DiskCache, Pin};
use super::objects::digest_of;

/// The cache. Cheap to clone.
#[derive(Clone)]
pub(super) struct Artefacts(DiskCache);

pub(super) struct Program {
    /// The files to copy to `/app`.
    pub files: Vec<Artefact>,
    /// The main class, if the language has classes.
    pub class: String,
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
struct Manifest {
    class: String,
    files: Vec<ManifestEntry>,
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

    pub fn read(&self) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.reader()?.read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    fn reader(&self) -> io::Result<Box<dyn Read + '_>> {
        Ok(match &self.blob {
            Blob::Bytes(bytes) => Box::new(&**bytes),
            Blob::Open(file) => {
                Box::new(File::open(format!("/proc/self/fd/{}", file.as_raw_fd()))?)
            }
            Blob::Path(path) => Box::new(File::open(path)?),
        })
    }
}

impl Program {
    /// A program that is not in the cache.
    pub fn new(files: Vec<Artefact>, class: String) -> Program {
        Program { files, class, _pin: None }
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
        let manifest = tokio::task::spawn_blocking(move || load(&path, verified)).await;
        match manifest {
            Ok(Ok(Manifest { class, files })) => {
                self.0.mark_verified(key);
                let files = files.into_iter().enumerate().map(|(number, entry)| Artefact {
                    path: entry.path,
                    mode: entry.mode,
                    blob: Blob::Path(pin.path().join(number.to_string())),
                });
                Some(Program { files: files.collect(), class, _pin: Some(pin) })
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
    let mut manifest = Manifest { class: program.class.clone(), files: Vec::new() };
    for (number, file) in program.files.iter().enumerate() {
        let path = directory.join(number.to_string());
        io::copy(&mut file.reader()?, &mut File::create(&path)?)?;
        let sha256 = digest_of(&path)?;
        manifest.files.push(ManifestEntry { path: file.path.clone(), mode: file.mode, sha256 });
    }
    fs::write(directory.join(MANIFEST), serde_json::to_vec(&manifest)?)
}

fn load(path: &Path, verified: bool) -> io::Result<Manifest> {
    let manifest: Manifest = serde_json::from_slice(&fs::read(path.join(MANIFEST))?)?;
    for (number, entry) in manifest.files.iter().enumerate().filter(|_| !verified) {
        if digest_of(&path.join(number.to_string()))? != entry.sha256 {
            return Err(io::Error::other(format!("{}: checksum mismatch", entry.path)));
        }
    }
    Ok(manifest)
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
        let program = Program::new(vec![file("made"), text], "a.B".into());
        cache.save("aa1".into(), program.into()).await;
        let found = open().await.unwrap().get("aa1").await.unwrap();
        assert_eq!(found.class, "a.B");
        let found: Vec<_> =
            found.files.iter().map(|f| (&*f.path, f.mode, f.read().unwrap())).collect();
        assert_eq!(found, [("main", 0o755, b"binary".to_vec()), ("a/b", 0o644, b"x".to_vec())]);
        fs::write(directory.path().join("aa/aa1/1"), "y").unwrap();
        assert!(open().await.unwrap().get("aa1").await.is_none());
        assert!(cache.get("bb2").await.is_none());
    }
}
