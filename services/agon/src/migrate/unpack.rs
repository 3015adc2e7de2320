//! Unpacks a backup into a directory.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufReader, Read};
use std::path::Path;

use sha2::{Digest as _, Sha256};

use super::archive::{Hashing, create};
use super::manifest::{Entry, Manifest, NAME, is_inside};
use crate::data_dir::make_private_dir;
use crate::failure::Failure;

/// Maximum size of a manifest, in bytes.
const MAX_MANIFEST_BYTES: u64 = 256 << 20;

/// Unpacks all files into `directory` and verifies them against the manifest. Blocks.
///
/// # Errors
/// If the backup is incomplete, damaged or too new. The directory is then unusable.
pub fn unpack(from: &Path, directory: &Path) -> Result<Manifest, Failure> {
    let unreadable = |error: io::Error| {
        Failure::storage(format!("--from: {} cannot be read: {error}", from.display()))
    };
    let invalid = |what: String| Failure::storage(format!("--from: {}: {what}", from.display()));
    let file = BufReader::with_capacity(1 << 20, File::open(from).map_err(unreadable)?);
    let mut archive = tar::Archive::new(file);
    let (mut files, mut manifest) = (BTreeMap::new(), None);
    // The error message of the tar reader contains raw bytes: do not print it.
    let malformed = |error: io::Error| match error.raw_os_error() {
        Some(_) => unreadable(error),
        None => invalid("is not a backup, or is damaged".into()),
    };
    for entry in archive.entries().map_err(unreadable)? {
        let entry = entry.map_err(malformed)?;
        let path = entry.path().map_err(unreadable)?.into_owned();
        let name = path.display().to_string();
        if entry.header().entry_type() != tar::EntryType::Regular || !is_inside(&path) {
            return Err(invalid(format!("unexpected entry {name:?}")));
        }
        if name == NAME {
            manifest = Some(read_manifest(entry).map_err(invalid)?);
            continue;
        }
        let to = directory.join(&path);
        make_private_dir(to.parent().unwrap_or(directory))?;
        let written = write_file(entry, &to)
            .map_err(|error| Failure::storage(format!("cannot write {}: {error}", to.display())))?;
        if files.insert(name.clone(), written).is_some() {
            return Err(invalid(format!("duplicate entry {name}")));
        }
    }
    let missing = || invalid("is incomplete: the manifest at its end is missing".into());
    let manifest = manifest.ok_or_else(missing)?;
    manifest.check(crate::VERSION.version).map_err(invalid)?;
    let differences = manifest.differences(&files);
    match differences.is_empty() {
        true => Ok(manifest),
        false => Err(invalid(differences.join("; "))),
    }
}

fn read_manifest(entry: impl Read) -> Result<Manifest, String> {
    let mut text = Vec::new();
    let read = entry.take(MAX_MANIFEST_BYTES).read_to_end(&mut text);
    read.map_err(|error| error.to_string())?;
    serde_json::from_slice(&text).map_err(|error| format!("{NAME} cannot be read: {error}"))
}

fn write_file(entry: impl Read, to: &Path) -> io::Result<Entry> {
    let mut file = create(to)?;
    let mut reader = Hashing { inner: entry, hash: Sha256::new(), read: 0 };
    io::copy(&mut reader, &mut file)?;
    file.sync_all()?;
    Ok(Entry { size: reader.read, sha256: hex::encode(reader.hash.finalize()) })
}

/// Syncs a directory and all directories below it.
pub fn sync(directory: &Path) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            sync(&entry.path())?;
        }
    }
    File::open(directory)?.sync_all()
}
