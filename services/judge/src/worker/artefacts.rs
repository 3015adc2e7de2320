//! Compiled programs: what a run needs in `/app`, kept by what it was made of.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sandbox::Content;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::disk::{Disk, Pin};

/// The compiled programs of this machine.
#[derive(Clone)]
pub(super) struct Artefacts(Disk);

/// A program, ready to run.
pub(super) struct Program {
    /// Its files, for `/app`.
    pub files: Vec<Artefact>,
    // Keeps files of the cache where they are.
    _pin: Option<Pin>,
}

/// A file for `/app`.
pub(super) struct Artefact {
    /// The path below `/app`.
    pub path: String,
    /// Its permissions.
    pub mode: u32,
    /// Its content.
    pub blob: Blob,
}

/// Where a content is.
pub(super) enum Blob {
    /// In memory.
    Bytes(Arc<[u8]>),
    /// In a file without a name.
    Open(File),
    /// In the cache.
    Path(PathBuf),
}

#[derive(Serialize, Deserialize)]
struct Line {
    path: String,
    mode: u32,
    sha256: String,
}

const MANIFEST: &str = "manifest.json";

impl Artefact {
    /// For a slot to put.
    pub fn content(&self) -> Content {
        match &self.blob {
            Blob::Bytes(bytes) => Content::Bytes(bytes.to_vec()),
            // Opened anew, as slots must not share an offset.
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
    /// A program that was just made.
    pub fn new(files: Vec<Artefact>) -> Program {
        Program { files, _pin: None }
    }
}

impl Artefacts {
    pub async fn open(root: PathBuf, limit: u64) -> io::Result<Artefacts> {
        Disk::open(root, limit).await.map(Artefacts)
    }

    /// The program that was made under this key; damaged ones are forgotten.
    pub async fn get(&self, key: &str) -> Option<Program> {
        let (pin, trusted) = self.0.get(key)?;
        let path = pin.path();
        let lines = tokio::task::spawn_blocking(move || load(&path, trusted)).await;
        match lines {
            Ok(Ok(lines)) => {
                self.0.trust(key);
                let files = lines.into_iter().enumerate().map(|(number, line)| Artefact {
                    path: line.path,
                    mode: line.mode,
                    blob: Blob::Path(pin.path().join(number.to_string())),
                });
                Some(Program { files: files.collect(), _pin: Some(pin) })
            }
            Ok(Err(error)) => {
                tracing::warn!(%error, key, "a damaged program is compiled again");
                self.0.discard(key);
                None
            }
            Err(_) => None,
        }
    }

    /// Keeps a program.
    pub async fn save(&self, key: String, program: Arc<Program>) {
        if program.files.iter().any(|file| matches!(file.blob, Blob::Path(_))) {
            return;
        }
        let disk = self.0.clone();
        let saving = tokio::task::spawn_blocking(move || {
            let draft = disk.draft();
            write(&draft, &program).and_then(|()| disk.keep(&key, &draft).map(drop))
        });
        if let Ok(Err(error)) = saving.await {
            tracing::warn!(%error, "a compiled program could not be kept");
        }
    }
}

fn write(draft: &Path, program: &Program) -> io::Result<()> {
    fs::create_dir(draft)?;
    let mut lines = Vec::new();
    for (number, file) in program.files.iter().enumerate() {
        let bytes = file.read()?;
        File::create(draft.join(number.to_string()))?.write_all(&bytes)?;
        let sha256 = hex::encode(Sha256::digest(&bytes));
        lines.push(Line { path: file.path.clone(), mode: file.mode, sha256 });
    }
    fs::write(draft.join(MANIFEST), serde_json::to_vec(&lines)?)
}

fn load(path: &Path, trusted: bool) -> io::Result<Vec<Line>> {
    let lines: Vec<Line> = serde_json::from_slice(&fs::read(path.join(MANIFEST))?)?;
    for (number, line) in lines.iter().enumerate().filter(|_| !trusted) {
        let mut bytes = Vec::new();
        File::open(path.join(number.to_string()))?.read_to_end(&mut bytes)?;
        if hex::encode(Sha256::digest(&bytes)) != line.sha256 {
            return Err(io::Error::other(format!("{} has changed", line.path)));
        }
    }
    Ok(lines)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn programs_are_kept_and_checked() {
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
