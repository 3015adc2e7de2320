//! Reads zip archives by their central directory. Stored and deflated entries; no encryption.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};

use ::zip::read::{ArchiveOffset, Config, ZipFileEntry};
use ::zip::{CompressionMethod, ZipArchive, ZipReadOptions};

use super::{Entry, Kind};
use crate::error::Error;
use crate::names;
use crate::spool::{Spool, printable};

/// Bytes of the central directory for each entry that the size limits allow. The `zip` crate loads the
/// whole directory before it can be asked how many entries there are.
const DIRECTORY_BYTES_PER_ENTRY: u64 = 512;
/// For the end records, the archive comment and the search for them.
const DIRECTORY_EXTRA_BYTES: u64 = 1 << 20;
const MAX_LINK_TARGET: u64 = 4096;

// File types in a Unix mode.
const TYPE_MASK: u32 = 0o170_000;
const DIRECTORY: u32 = 0o040_000;
const REGULAR: u32 = 0o100_000;
const SYMLINK: u32 = 0o120_000;

pub fn read(file: File, spool: &mut Spool<'_>) -> Result<Vec<Entry>, Error> {
    let max_entries = spool.max_entries() as u64;
    let budget = max_entries.saturating_mul(DIRECTORY_BYTES_PER_ENTRY) + DIRECTORY_EXTRA_BYTES;
    let file = BudgetedFile { file, remaining: Cell::new(budget) };
    // Offsets count from the first byte, so that no two readers can disagree about them.
    let config = Config { archive_offset: ArchiveOffset::Known(0) };
    let archive = ZipArchive::with_config(config, &file).map_err(|error| {
        if file.remaining.get() == 0 {
            return Error::TooLarge(format!(
                "the zip file has more than {max_entries} entries, or its directory is too large"
            ));
        }
        broken(&error)
    })?;
    file.remaining.set(u64::MAX);
    let mut entries = Vec::new();
    for index in 0..archive.len() {
        let entry = archive.by_index_data(index).map_err(|error| broken(&error))?;
        let name = entry.name_raw().to_vec();
        spool.count_entry(&name)?;
        let kind = match names::is_ignored(&name) {
            true => Kind::Ignored,
            false => refusable(unpack(entry, &file, spool))?,
        };
        entries.push(Entry { name, kind });
    }
    if archive.has_duplicate_names() {
        let names = duplicates(&file.file, archive.central_directory_start(), max_entries)?;
        let again = |name| Entry { name, kind: Kind::Refused(String::new()) };
        entries.extend(names.into_iter().map(again));
    }
    Ok(entries)
}

fn broken(error: &dyn std::fmt::Display) -> Error {
    Error::invalid("", format!("the zip file is damaged or cut off: {error}"))
}

/// Entries are independent: a bad one does not prevent others from being read.
fn refusable(unpacked: Result<Kind, Error>) -> Result<Kind, Error> {
    match unpacked {
        Err(Error::Invalid(findings)) => {
            let messages: Vec<String> = findings.into_iter().map(|f| f.message).collect();
            Ok(Kind::Refused(messages.join("; ")))
        }
        other => other,
    }
}

/// The names that occur again in the central directory: the `zip` crate keeps one entry for each name.
fn duplicates(mut file: &File, start: u64, max_entries: u64) -> Result<Vec<Vec<u8>>, Error> {
    file.seek(SeekFrom::Start(start))?;
    let mut directory = BufReader::new(file);
    let (mut seen, mut again) = (BTreeSet::new(), Vec::new());
    for _ in 0..max_entries.saturating_mul(2) {
        let mut header = [0; 46];
        if directory.read_exact(&mut header).is_err() || !header.starts_with(b"PK\x01\x02") {
            break;
        }
        let length = |at: usize| u16::from_le_bytes([header[at], header[at + 1]]);
        let mut name = vec![0; length(28).into()];
        directory.read_exact(&mut name).map_err(|error| broken(&error))?;
        let skipped = i64::from(length(30)) + i64::from(length(32));
        directory.seek_relative(skipped).map_err(|error| broken(&error))?;
        if !seen.insert(name.clone()) {
            again.push(name);
        }
    }
    Ok(again)
}

fn unpack(
    entry: ZipFileEntry<'_>,
    mut file: &BudgetedFile,
    spool: &mut Spool<'_>,
) -> Result<Kind, Error> {
    let name = printable(entry.name_raw());
    let invalid = |message: String| Error::invalid(&name, message);
    if entry.encrypted() {
        return Err(invalid("is encrypted; pack it without a password".into()));
    }
    let file_type = entry.unix_mode().unwrap_or(0) & TYPE_MASK;
    if file_type == DIRECTORY || entry.name_raw().ends_with(b"/") {
        return Ok(Kind::Directory);
    }
    if !matches!(file_type, 0 | REGULAR | SYMLINK) {
        return Err(invalid(super::SPECIAL.to_owned()));
    }
    let method = entry.compression();
    if !matches!(method, CompressionMethod::Stored | CompressionMethod::Deflated) {
        return Err(invalid(format!("is compressed with {method}; use deflate")));
    }
    let size = entry.size();
    let unreadable =
        |error: &dyn std::fmt::Display| invalid(format!("cannot be unpacked: {error}"));
    let body = entry.with_reader(&mut file, ZipReadOptions::new()).map_err(|e| unreadable(&e))?;
    if file_type == SYMLINK {
        let mut target = Vec::new();
        body.take(MAX_LINK_TARGET + 1).read_to_end(&mut target).map_err(|e| unreadable(&e))?;
        if target.len() as u64 > MAX_LINK_TARGET {
            let message = format!("has a link target of more than {MAX_LINK_TARGET} bytes");
            return Err(invalid(message));
        }
        return Ok(Kind::Symlink(target));
    }
    // The reader verifies the checksum, and that there are not more bytes than declared.
    let blob = spool.store(&name, body)?;
    if blob.size != size {
        return Err(invalid(format!("has {} bytes instead of {size}", blob.size)));
    }
    Ok(Kind::File(blob))
}

/// A file from which only `remaining` bytes can be read.
struct BudgetedFile {
    file: File,
    remaining: Cell<u64>,
}

impl Read for &BudgetedFile {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = (&self.file).read(buffer)?;
        let remaining = self.remaining.get().saturating_sub(length as u64);
        self.remaining.set(remaining);
        if remaining == 0 {
            return Err(io::Error::other("read budget exhausted"));
        }
        Ok(length)
    }
}

impl Seek for &BudgetedFile {
    fn seek(&mut self, position: SeekFrom) -> io::Result<u64> {
        (&self.file).seek(position)
    }
}
