//! Reads tar archives. Long names (GNU and PAX) are assembled here with a size limit; the `tar` crate would load a name of any
//! length into memory.

use std::io::Read;

use ::tar::{Archive, EntryType};

use super::{Entry, Kind};
use crate::error::Error;
use crate::names;
use crate::spool::{Spool, printable};

/// Bytes of a long name or a PAX header.
const MAX_HEADER: u64 = 64 << 10;

/// Name and link target from extension headers, for the entry that follows them.
#[derive(Default)]
struct Extended {
    name: Option<Vec<u8>>,
    target: Option<Vec<u8>>,
}

pub fn read(source: impl Read, spool: &mut Spool<'_>) -> Result<Vec<Entry>, Error> {
    let mut archive = Archive::new(source);
    let mut entries: Vec<Entry> = Vec::new();
    let mut extended = Extended::default();
    for entry in archive.entries().map_err(|error| broken(&error, &[]))?.raw(true) {
        let mut entry = entry.map_err(|error| broken(&error, &entries))?;
        match entry.header().entry_type() {
            EntryType::GNULongName => extended.name = Some(read_long_name(&mut entry)?),
            EntryType::GNULongLink => extended.target = Some(read_long_name(&mut entry)?),
            EntryType::XHeader => read_pax(&read_header(&mut entry)?, &mut extended)?,
            EntryType::XGlobalHeader => {}
            entry_type => {
                let Extended { name, target } = std::mem::take(&mut extended);
                let name = name.unwrap_or_else(|| entry.path_bytes().into_owned());
                let target = target.or_else(|| entry.link_name_bytes().map(Into::into));
                spool.count_entry(&name)?;
                let kind = match names::is_ignored(&name) {
                    true => Kind::Ignored,
                    false => unpack(entry_type, &name, target, entry, spool)?,
                };
                entries.push(Entry { name, kind });
            }
        }
    }
    Ok(entries)
}

/// Names the last entry that was read, as the broken one has no name.
fn broken(error: &std::io::Error, before: &[Entry]) -> Error {
    let place = before.last().map_or_else(
        || "at its beginning".to_owned(),
        |entry| format!("after {}", printable(&entry.name)),
    );
    let message = format!("the tar file is damaged or cut off {place}: {error}");
    Error::invalid("", message)
}

fn unpack(
    entry_type: EntryType,
    name: &[u8],
    target: Option<Vec<u8>>,
    body: impl Read,
    spool: &mut Spool<'_>,
) -> Result<Kind, Error> {
    let target = target.unwrap_or_default();
    Ok(match entry_type {
        // Before POSIX, a directory was a file whose name ends in a slash.
        EntryType::Regular if name.ends_with(b"/") => Kind::Directory,
        EntryType::Regular | EntryType::Continuous => {
            Kind::File(spool.store(&printable(name), body)?)
        }
        EntryType::Directory => Kind::Directory,
        EntryType::Symlink => Kind::Symlink(target),
        EntryType::Link => Kind::HardLink(target),
        EntryType::Char | EntryType::Block | EntryType::Fifo => {
            Kind::Refused(super::SPECIAL.to_owned())
        }
        EntryType::GNUSparse => Kind::Refused(
            "is stored as a sparse file, not as a regular file; pack it without that option".into(),
        ),
        _ => Kind::Refused("is not a regular file, directory or link".to_owned()),
    })
}

fn read_header(entry: &mut ::tar::Entry<'_, impl Read>) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::new();
    let read = entry.take(MAX_HEADER + 1).read_to_end(&mut bytes);
    read.map_err(|error| broken(&error, &[]))?;
    if bytes.len() as u64 > MAX_HEADER {
        let message = format!("has a name or header of more than {MAX_HEADER} bytes");
        return Err(Error::invalid(&printable(&bytes[..200]), message));
    }
    Ok(bytes)
}

fn read_long_name(entry: &mut ::tar::Entry<'_, impl Read>) -> Result<Vec<u8>, Error> {
    let mut name = read_header(entry)?;
    while name.last() == Some(&0) {
        name.pop();
    }
    Ok(name)
}

/// Reads `<length> <key>=<value>\n` records.
fn read_pax(mut bytes: &[u8], extended: &mut Extended) -> Result<(), Error> {
    while !bytes.is_empty() {
        let (record, rest) = pax_record(bytes)
            .ok_or_else(|| Error::invalid("", "the tar file has a damaged PAX header"))?;
        bytes = rest;
        match record {
            (b"path", value) => extended.name = Some(value.to_vec()),
            (b"linkpath", value) => extended.target = Some(value.to_vec()),
            // These keys override sizes and contents, which the `tar` crate takes from the header.
            (key, _) if key == b"size" || key.starts_with(b"GNU.sparse") => {
                let name = printable(extended.name.as_deref().unwrap_or_default());
                let key = printable(key);
                let message = format!(
                    "has the PAX header `{key}`, for huge or sparse files; pack it without that header"
                );
                return Err(Error::invalid(&name, message));
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
