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

/// Why devices and pipes are refused.
const SPECIAL: &str = "is a device or pipe; only regular files, directories and links are allowed";

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
    /// Its name is ignored, so its content was not read.
    Ignored,
    /// Cannot be used; the message says why.
    Refused(String),
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
    match media_type(&head).map_err(|message| Error::invalid("", message))? {
        ZIP => zip::read(file, &mut spool),
        GZIP => {
            // Also bound the bytes that are skipped: headers and padding can be a bomb of their own.
            let max = size_limits.unpacked.saturating_mul(2);
            let mut inner = MultiGzDecoder::new(BufReader::new(file)).take(max);
            let entries = tar::read(&mut inner, &mut spool);
            if entries.is_err() && inner.limit() == 0 {
                let text = format!("the package unpacks to more than {max} bytes with its headers");
                return Err(Error::TooLarge(text));
            }
            entries
        }
        _ => {
            // Not the bytes that are appended while it is read.
            let length = file.metadata()?.len();
            tar::read(BufReader::new(file).take(length), &mut spool)
        }
    }
}

const ZIP: &str = "application/zip";
const GZIP: &str = "application/gzip";
const TAR: &str = "application/x-tar";

/// The media type of an archive by its first 512 bytes. The error says what it is instead.
pub fn media_type(head: &[u8]) -> Result<&'static str, String> {
    match head {
        [b'P', b'K', 3, 4, ..] | [b'P', b'K', 5, 6, ..] => Ok(ZIP),
        [0x1f, 0x8b, ..] => Ok(GZIP),
        head if is_tar(head) => Ok(TAR),
        head => Err(not_an_archive(head)),
    }
}

/// Whether the first block is a header of a tar archive: by its magic number, or before POSIX by its checksum.
fn is_tar(head: &[u8]) -> bool {
    if head.len() != 512 || head[0] == 0 {
        return false;
    }
    let header = ::tar::Header::from_byte_slice(head);
    let outside = head[..148].iter().chain(&head[156..]);
    let sum = outside.map(|b| u32::from(*b)).sum::<u32>() + 8 * u32::from(b' ');
    &head[257..262] == b"ustar" || header.cksum().is_ok_and(|stored| stored == sum)
}

fn not_an_archive(head: &[u8]) -> String {
    let found = match head {
        [] => "is empty",
        [b'B', b'Z', b'h', ..] => "is compressed with bzip2",
        [0xfd, b'7', b'z', b'X', b'Z', ..] => "is compressed with xz",
        [0x28, 0xb5, 0x2f, 0xfd, ..] => "is compressed with zstd",
        [b'7', b'z', 0xbc, 0xaf, ..] => "is a 7z archive",
        [b'R', b'a', b'r', b'!', ..] => "is a rar archive",
        _ => "is not an archive",
    };
    format!("the package {found}; it must be a zip, tar or tar.gz file")
}
