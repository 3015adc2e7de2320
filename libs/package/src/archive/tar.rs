//! Reads tar archives. Long names (GNU and PAX) are assembled here with a size limit; the `tar` crate would load a name of any
//! length into memory.

use std::io::Read;

use ::tar::{Archive, EntryType};

use super::{Entry, Kind};
use crate::error::Error;
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
    let broken = |e: std::io::Error| Error::invalid("", format!("the tar file is broken: {e}"));
    let mut archive = Archive::new(source);
    let mut entries = Vec::new();
    let mut extended = Extended::default();
    for entry in archive.entries().map_err(broken)?.raw(true) {
        let mut entry = entry.map_err(broken)?;
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
                let kind = unpack(entry_type, &name, target, entry, spool)?;
                entries.push(Entry { name, kind });
            }
        }
    }
    Ok(entries)
}

fn unpack(
    entry_type: EntryType,
    name: &[u8],
    target: Option<Vec<u8>>,
    body: impl Read,
    spool: &mut Spool<'_>,
) -> Result<Kind, Error> {
    let target = target.unwrap_or_default();
    let refuse = |message| Err(Error::invalid(&printable(name), message));
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
            return refuse("is a device or pipe; only regular files are supported");
        }
        _ => return refuse("is not a regular file (sparse or unknown type)"),
    })
}

fn read_header(entry: &mut ::tar::Entry<'_, impl Read>) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::new();
    let read = entry.take(MAX_HEADER + 1).read_to_end(&mut bytes);
    read.map_err(|e| Error::invalid("", format!("the tar file is broken: {e}")))?;
    if bytes.len() as u64 > MAX_HEADER {
        let message = "has a name or header that is too long";
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
            .ok_or_else(|| Error::invalid("", "the tar file has a broken PAX header"))?;
        bytes = rest;
        match record {
            (b"path", value) => extended.name = Some(value.to_vec()),
            (b"linkpath", value) => extended.target = Some(value.to_vec()),
            // These keys override sizes and contents, which the `tar` crate takes from the header.
            (key, _) if key == b"size" || key.starts_with(b"GNU.sparse") => {
                let key = printable(key);
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
