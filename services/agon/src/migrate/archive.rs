//! Writes a backup: a tar archive of files, with the manifest at the end.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use super::manifest::{Entry, FORMAT, Manifest, NAME};

/// A file to back up.
pub struct Source {
    /// Path in the archive.
    pub name: String,
    pub path: PathBuf,
    /// Expected SHA-256; the write fails if the content differs.
    pub digest: Option<String>,
}

#[derive(Debug)]
pub enum ArchiveError {
    /// The file does not exist.
    Missing(PathBuf),
    /// The content does not match the expected digest or size.
    Damaged(PathBuf),
    Io(PathBuf, io::Error),
}

/// Writes the files to the new file `to` and syncs it. Blocks.
pub fn write(
    to: &Path,
    files: &[Source],
    seconds: i64,
    time: String,
) -> Result<Manifest, ArchiveError> {
    let failed = |error| ArchiveError::Io(to.to_owned(), error);
    let file = create(to).map_err(failed)?;
    let mut archive = tar::Builder::new(BufWriter::with_capacity(1 << 20, file));
    let mtime = u64::try_from(seconds).unwrap_or_default();
    let mut entries = BTreeMap::new();
    for source in files {
        let entry = append(&mut archive, source, mtime)?;
        entries.insert(source.name.clone(), entry);
    }
    let version = crate::VERSION.version.to_owned();
    let manifest = Manifest { format: FORMAT, version, time, files: entries };
    let text = serde_json::to_vec_pretty(&manifest).map_err(|e| failed(e.into()))?;
    let mut header = header(text.len() as u64, mtime);
    archive.append_data(&mut header, NAME, text.as_slice()).map_err(failed)?;
    let written = archive.into_inner().and_then(|buffer| Ok(buffer.into_inner()?));
    written.and_then(|file| file.sync_all()).map_err(failed)?;
    Ok(manifest)
}

fn append(
    archive: &mut tar::Builder<impl Write>,
    source: &Source,
    mtime: u64,
) -> Result<Entry, ArchiveError> {
    let failed = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound => ArchiveError::Missing(source.path.clone()),
        _ => ArchiveError::Io(source.path.clone(), error),
    };
    let file = File::open(&source.path).map_err(failed)?;
    let size = file.metadata().map_err(failed)?.len();
    let mut reader = Hashing { inner: file.take(size), hash: Sha256::new(), read: 0 };
    let mut header = header(size, mtime);
    archive.append_data(&mut header, &source.name, &mut reader).map_err(failed)?;
    if reader.read != size {
        return Err(ArchiveError::Damaged(source.path.clone()));
    }
    let sha256 = hex::encode(reader.hash.finalize());
    match &source.digest {
        Some(digest) if *digest != sha256 => Err(ArchiveError::Damaged(source.path.clone())),
        _ => Ok(Entry { size, sha256 }),
    }
}

fn header(size: u64, mtime: u64) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_size(size);
    header.set_mode(0o600);
    header.set_mtime(mtime);
    header
}

/// Creates a file with mode 0600: backups contain secrets.
pub fn create(path: &Path) -> io::Result<File> {
    let mut options = fs::OpenOptions::new();
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.write(true).create_new(true).open(path)
}

/// Hashes and counts the bytes that are read.
pub struct Hashing<R> {
    pub inner: R,
    pub hash: Sha256,
    pub read: u64,
}

impl<R: Read> Read for Hashing<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.hash.update(&buffer[..read]);
        self.read += read as u64;
        Ok(read)
    }
}
