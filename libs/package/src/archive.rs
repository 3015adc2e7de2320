//! Unpacks an archive. Its content decides whether it is zip, tar or tar.gz.

mod tar;
mod zip;

use std::fs::File;
use std::io::{BufReader, Read, Seek};
use std::path::Path;

use flate2::read::MultiGzDecoder;

use crate::error::Error;
use crate::size_limits::SizeLimits;
use crate::spool::{Blob, Spool};

/// An entry as the archive states it; nothing in it is validated yet.
#[derive(Debug)]
pub struct Entry {
    pub name: Vec<u8>,
    pub kind: Kind,
}

#[derive(Debug)]
pub enum Kind {
    File(Blob),
    Directory,
    /// A symbolic link and its target.
    Symlink(Vec<u8>),
    /// A hard link and the name of an earlier file.
    HardLink(Vec<u8>),
}

/// Unpacks an archive into `scratch`.
pub fn unpack(
    mut file: File,
    scratch: &Path,
    size_limits: &SizeLimits,
) -> Result<Vec<Entry>, Error> {
    let mut head = Vec::new();
    file.by_ref().take(512).read_to_end(&mut head)?;
    file.rewind()?;
    let mut spool = Spool::new(scratch, size_limits);
    match head.as_slice() {
        [b'P', b'K', 3, 4, ..] | [b'P', b'K', 5, 6, ..] => zip::read(file, &mut spool),
        [0x1f, 0x8b, ..] => {
            let inner = MultiGzDecoder::new(BufReader::new(file));
            // Also bound the bytes that are skipped: headers and padding can be a bomb of their own.
            tar::read(inner.take(size_limits.unpacked.saturating_mul(2)), &mut spool)
        }
        head if head.len() == 512 && &head[257..262] == b"ustar" => {
            tar::read(BufReader::new(file), &mut spool)
        }
        _ => Err(Error::invalid("", "the package is not a zip, tar or tar.gz file")),
    }
}
