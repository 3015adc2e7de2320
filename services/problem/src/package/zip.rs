//! Reads zip archives, by the central directory: it alone says what the archive holds, so that two
//! readers cannot disagree about it. Stored and deflated entries, zip64; no encryption.

use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom, Take};

use flate2::Crc;
use flate2::read::DeflateDecoder;

use super::archive::{Entry, Kind, shown};
use super::error::Error;
use super::spool::Spool;

/// Largest central directory that is read into memory.
const MAX_DIRECTORY: u64 = 16 << 20;
const MAX_LINK: u64 = 4096;

/// What the central directory says about an entry.
struct Header {
    name: Vec<u8>,
    flags: u16,
    method: u16,
    crc: u32,
    packed: u64,
    size: u64,
    mode: u32,
    offset: u64,
}

fn broken(what: &str) -> Error {
    Error::invalid("", format!("the zip file is broken: {what}"))
}

/// Reads all entries.
pub fn read(mut file: File, spool: &mut Spool<'_>) -> Result<Vec<Entry>, Error> {
    let directory = directory(&mut file)?;
    let mut rest = directory.as_slice();
    let mut entries = Vec::new();
    while rest.starts_with(b"PK\x01\x02") {
        let header = header(&mut rest).ok_or_else(|| broken("its directory is cut off"))?;
        spool.entry()?;
        let kind = entry(&mut file, &header, spool)?;
        entries.push(Entry { name: header.name, kind });
    }
    Ok(entries)
}

fn entry(file: &mut File, header: &Header, spool: &mut Spool<'_>) -> Result<Kind, Error> {
    let name = shown(&header.name);
    if header.flags & 1 != 0 {
        return Err(Error::invalid(&name, "is encrypted"));
    }
    match header.mode & 0o170_000 {
        0o040_000 => return Ok(Kind::Directory),
        _ if header.name.ends_with(b"/") => return Ok(Kind::Directory),
        0o120_000 => {
            let mut target = Vec::new();
            let body = body(file, header, &name)?;
            let read = body.take(MAX_LINK + 1).read_to_end(&mut target);
            read.map_err(|e| Error::invalid(&name, format!("cannot be unpacked: {e}")))?;
            if target.len() as u64 > MAX_LINK {
                return Err(Error::invalid(&name, "has a link target that is too long"));
            }
            return Ok(Kind::Link(target));
        }
        0 | 0o100_000 => {}
        _ => return Err(Error::invalid(&name, "is a device or pipe; only files are taken")),
    }
    let mut body = Checked { inner: body(file, header, &name)?, crc: Crc::new() };
    let blob = spool.store(&name, &mut body)?;
    if blob.size != header.size || body.crc.sum() != header.crc {
        return Err(Error::invalid(&name, "is damaged: size or checksum differ"));
    }
    Ok(Kind::File(blob))
}

/// Counts the checksum of what passes.
struct Checked<R> {
    inner: R,
    crc: Crc,
}

impl<R: Read> Read for Checked<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let n = self.inner.read(buffer)?;
        self.crc.update(&buffer[..n]);
        Ok(n)
    }
}

enum Body<'f> {
    Stored(Take<BufReader<&'f mut File>>),
    Deflated(DeflateDecoder<Take<BufReader<&'f mut File>>>),
}

impl Read for Body<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        match self {
            Self::Stored(inner) => inner.read(buffer),
            Self::Deflated(inner) => inner.read(buffer),
        }
    }
}

fn body<'f>(file: &'f mut File, header: &Header, name: &str) -> Result<Body<'f>, Error> {
    let mut local = [0; 30];
    file.seek(SeekFrom::Start(header.offset))?;
    file.read_exact(&mut local).map_err(|_| broken("an entry lies outside"))?;
    if !local.starts_with(b"PK\x03\x04") {
        return Err(Error::invalid(name, "is not where the directory says"));
    }
    let skip = i64::from(u16_at(&local, 26)) + i64::from(u16_at(&local, 28));
    file.seek(SeekFrom::Current(skip))?;
    let packed = BufReader::new(file).take(header.packed);
    match header.method {
        0 => Ok(Body::Stored(packed)),
        8 => Ok(Body::Deflated(DeflateDecoder::new(packed))),
        n => Err(Error::invalid(name, format!("is compressed by method {n}; use deflate"))),
    }
}

/// Finds and reads the central directory.
fn directory(file: &mut File) -> Result<Vec<u8>, Error> {
    let length = file.seek(SeekFrom::End(0))?;
    let tail_len = length.min(66_000);
    file.seek(SeekFrom::Start(length - tail_len))?;
    let mut tail = Vec::new();
    file.take(tail_len).read_to_end(&mut tail)?;
    let end = tail.windows(22).rposition(|w| w.starts_with(b"PK\x05\x06"));
    let end = end.ok_or_else(|| broken("it has no directory"))?;
    let mut size = u64::from(u32_at(&tail, end + 12));
    let mut offset = u64::from(u32_at(&tail, end + 16));
    if size == u64::from(u32::MAX) || offset == u64::from(u32::MAX) {
        (size, offset) = zip64_end(file, &tail[..end])?;
    }
    if size > MAX_DIRECTORY {
        return Err(Error::TooLarge("the zip file's directory is too large".into()));
    }
    file.seek(SeekFrom::Start(offset))?;
    let mut directory = Vec::new();
    file.take(size).read_to_end(&mut directory)?;
    if directory.len() as u64 != size {
        return Err(broken("its directory is cut off"));
    }
    Ok(directory)
}

fn zip64_end(file: &mut File, before: &[u8]) -> Result<(u64, u64), Error> {
    let locator = before.len().checked_sub(20).map(|at| &before[at..]);
    let locator = locator.filter(|l| l.starts_with(b"PK\x06\x07"));
    let locator = locator.ok_or_else(|| broken("its zip64 directory is missing"))?;
    let mut record = [0; 56];
    file.seek(SeekFrom::Start(u64_at(locator, 8)))?;
    file.read_exact(&mut record).map_err(|_| broken("its zip64 directory is cut off"))?;
    if !record.starts_with(b"PK\x06\x06") {
        return Err(broken("its zip64 directory is missing"));
    }
    Ok((u64_at(&record, 40), u64_at(&record, 48)))
}

fn header(rest: &mut &[u8]) -> Option<Header> {
    let (fixed, after) = rest.split_at_checked(46)?;
    let lengths = [28, 30, 32].map(|at| usize::from(u16_at(fixed, at)));
    let (name, after) = after.split_at_checked(lengths[0])?;
    let (extra, after) = after.split_at_checked(lengths[1])?;
    *rest = after.split_at_checked(lengths[2])?.1;
    // The upper half of the attributes is a Unix mode only when a Unix program wrote the entry.
    let unix = matches!(fixed[5], 3 | 19);
    let mut header = Header {
        name: name.to_vec(),
        flags: u16_at(fixed, 8),
        method: u16_at(fixed, 10),
        crc: u32_at(fixed, 16),
        packed: u64::from(u32_at(fixed, 20)),
        size: u64::from(u32_at(fixed, 24)),
        mode: if unix { u32_at(fixed, 38) >> 16 } else { 0 },
        offset: u64::from(u32_at(fixed, 42)),
    };
    zip64_extra(extra, &mut header)?;
    Some(header)
}

/// Puts the 64-bit values in the place of those that did not fit.
fn zip64_extra(mut extra: &[u8], header: &mut Header) -> Option<()> {
    while extra.len() >= 4 {
        let (id, length) = (u16_at(extra, 0), usize::from(u16_at(extra, 2)));
        let (mut field, rest) = extra[4..].split_at_checked(length)?;
        extra = rest;
        if id != 1 {
            continue;
        }
        for value in [&mut header.size, &mut header.packed, &mut header.offset] {
            if *value == u64::from(u32::MAX) {
                let (bytes, rest) = field.split_at_checked(8)?;
                *value = u64_at(bytes, 0);
                field = rest;
            }
        }
    }
    Some(())
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from(u16_at(bytes, at)) | u32::from(u16_at(bytes, at + 2)) << 16
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from(u32_at(bytes, at)) | u64::from(u32_at(bytes, at + 4)) << 32
}
