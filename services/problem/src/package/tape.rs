//! Reads tar archives. Long names (GNU and PAX) are assembled here, with bounds, rather than by the
//! `tar` crate, which would read a name of any length into memory.

use std::io::Read;

use tar::{Archive, EntryType};

use super::archive::{Entry, Kind, shown};
use super::error::Error;
use super::spool::Spool;

/// Longest name or PAX header that is read.
const MAX_NAME: u64 = 64 << 10;

/// What earlier headers said about the entry to come.
#[derive(Default)]
struct Pending {
    name: Option<Vec<u8>>,
    target: Option<Vec<u8>>,
}

/// Reads all entries.
pub fn read(source: impl Read, spool: &mut Spool<'_>) -> Result<Vec<Entry>, Error> {
    let broken = |e: std::io::Error| Error::invalid("", format!("the tar file is broken: {e}"));
    let mut archive = Archive::new(source);
    let mut entries = Vec::new();
    let mut pending = Pending::default();
    for entry in archive.entries().map_err(broken)?.raw(true) {
        let mut entry = entry.map_err(broken)?;
        match entry.header().entry_type() {
            EntryType::GNULongName => pending.name = Some(long_name(&mut entry)?),
            EntryType::GNULongLink => pending.target = Some(long_name(&mut entry)?),
            EntryType::XHeader => pax(&small(&mut entry)?, &mut pending)?,
            EntryType::XGlobalHeader => {}
            kind => {
                spool.entry()?;
                let Pending { name, target } = std::mem::take(&mut pending);
                let name = name.unwrap_or_else(|| entry.path_bytes().into_owned());
                let target = target.or_else(|| entry.link_name_bytes().map(Into::into));
                let kind = take(kind, &name, target, entry, spool)?;
                entries.push(Entry { name, kind });
            }
        }
    }
    Ok(entries)
}

fn take(
    kind: EntryType,
    name: &[u8],
    target: Option<Vec<u8>>,
    body: impl Read,
    spool: &mut Spool<'_>,
) -> Result<Kind, Error> {
    let target = target.unwrap_or_default();
    Ok(match kind {
        // Before POSIX, a directory was a file whose name ends in a slash.
        EntryType::Regular if name.ends_with(b"/") => Kind::Directory,
        EntryType::Regular | EntryType::Continuous => Kind::File(spool.store(&shown(name), body)?),
        EntryType::Directory => Kind::Directory,
        EntryType::Symlink => Kind::Link(target),
        EntryType::Link => Kind::Same(target),
        EntryType::Char | EntryType::Block | EntryType::Fifo => {
            return Err(Error::invalid(&shown(name), "is a device or pipe; only files are taken"));
        }
        _ => return Err(Error::invalid(&shown(name), "is not a plain file (sparse or unknown)")),
    })
}

fn small(entry: &mut tar::Entry<'_, impl Read>) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::new();
    let read = entry.take(MAX_NAME + 1).read_to_end(&mut bytes);
    read.map_err(|e| Error::invalid("", format!("the tar file is broken: {e}")))?;
    if bytes.len() as u64 > MAX_NAME {
        return Err(Error::invalid(&shown(&bytes[..200]), "has a name or header that is too long"));
    }
    Ok(bytes)
}

fn long_name(entry: &mut tar::Entry<'_, impl Read>) -> Result<Vec<u8>, Error> {
    let mut name = small(entry)?;
    while name.last() == Some(&0) {
        name.pop();
    }
    Ok(name)
}

/// Reads `<length> <key>=<value>\n` records.
fn pax(mut bytes: &[u8], pending: &mut Pending) -> Result<(), Error> {
    while !bytes.is_empty() {
        let (record, rest) = pax_record(bytes)
            .ok_or_else(|| Error::invalid("", "the tar file has a broken PAX header"))?;
        bytes = rest;
        match record {
            (b"path", value) => pending.name = Some(value.to_vec()),
            (b"linkpath", value) => pending.target = Some(value.to_vec()),
            // With these, sizes and contents would differ from what the headers say.
            (key, _) if key == b"size" || key.starts_with(b"GNU.sparse") => {
                let key = shown(key);
                return Err(Error::invalid("", format!("the tar file uses PAX `{key}`")));
            }
            _ => {}
        }
    }
    Ok(())
}

type Record<'a> = ((&'a [u8], &'a [u8]), &'a [u8]);

fn pax_record(bytes: &[u8]) -> Option<Record<'_>> {
    let space = bytes.iter().position(|b| *b == b' ')?;
    let length: usize = std::str::from_utf8(&bytes[..space]).ok()?.parse().ok()?;
    let (record, rest) = bytes.split_at_checked(length)?;
    let record = record.get(space + 1..)?.strip_suffix(b"\n")?;
    let equals = record.iter().position(|b| *b == b'=')?;
    Some(((&record[..equals], &record[equals + 1..]), rest))
}
