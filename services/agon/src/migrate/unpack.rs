//! Reading a backup into a directory.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufReader, Read};
use std::path::Path;

use sha2::{Digest as _, Sha256};

use super::archive::{Hashing, create};
use super::manifest::{Entry, Manifest, NAME, is_inside};
use crate::data_dir::make_private_dir;
use crate::failure::Failure;

/// The most that a manifest may have.
const LARGEST: u64 = 256 << 20;

/// Puts every file of the backup into `directory`, and compares them with the manifest. Blocks.
///
/// # Errors
/// Says what is wrong with the backup; the directory is then of no use.
pub fn unpack(from: &Path, directory: &Path) -> Result<Manifest, Failure> {
    let unreadable = |error: io::Error| {
        Failure::storage(format!("--from: {} cannot be read: {error}", from.display()))
    };
    let refused = |what: String| Failure::storage(format!("--from: {}: {what}", from.display()));
    let file = BufReader::with_capacity(1 << 20, File::open(from).map_err(unreadable)?);
    let mut archive = tar::Archive::new(file);
    let (mut files, mut manifest) = (BTreeMap::new(), None);
    // What the reader of archives says repeats the bytes that it does not understand.
    let garbled = |error: io::Error| match error.raw_os_error() {
        Some(_) => unreadable(error),
        None => refused("is no backup, or a damaged one".into()),
    };
    for entry in archive.entries().map_err(unreadable)? {
        let entry = entry.map_err(garbled)?;
        let path = entry.path().map_err(unreadable)?.into_owned();
        let name = path.display().to_string();
        if entry.header().entry_type() != tar::EntryType::Regular || !is_inside(&path) {
            return Err(refused(format!("{name:?} has no place in a backup")));
        }
        if name == NAME {
            manifest = Some(read_manifest(entry).map_err(refused)?);
            continue;
        }
        let to = directory.join(&path);
        make_private_dir(to.parent().unwrap_or(directory))?;
        let written = put(entry, &to)
            .map_err(|error| Failure::storage(format!("cannot write {}: {error}", to.display())))?;
        if files.insert(name.clone(), written).is_some() {
            return Err(refused(format!("{name} is there twice")));
        }
    }
    let missing = || refused("it is not whole: the manifest at its end is missing".into());
    let manifest = manifest.ok_or_else(missing)?;
    manifest.check(crate::VERSION.version).map_err(refused)?;
    let wrong = manifest.differences(&files);
    match wrong.is_empty() {
        true => Ok(manifest),
        false => Err(refused(wrong.join("; "))),
    }
}

fn read_manifest(entry: impl Read) -> Result<Manifest, String> {
    let mut text = Vec::new();
    let read = entry.take(LARGEST).read_to_end(&mut text);
    read.map_err(|error| error.to_string())?;
    serde_json::from_slice(&text).map_err(|error| format!("{NAME} cannot be read: {error}"))
}

fn put(entry: impl Read, to: &Path) -> io::Result<Entry> {
    let mut file = create(to)?;
    let mut reader = Hashing { inner: entry, hash: Sha256::new(), read: 0 };
    io::copy(&mut reader, &mut file)?;
    file.sync_all()?;
    Ok(Entry { size: reader.read, sha256: hex::encode(reader.hash.finalize()) })
}

/// Sees that the names in a directory, and in those below, are on the disk.
pub fn sync(directory: &Path) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            sync(&entry.path())?;
        }
    }
    File::open(directory)?.sync_all()
}
