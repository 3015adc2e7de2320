//! From an uploaded file to a [`Tree`]: recognises zip, tar and tar.gz by their content.

use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::Path;

use flate2::read::MultiGzDecoder;

use super::bounds::Bounds;
use super::error::Error;
use super::finding::Report;
use super::spool::{Blob, Spool};
use super::tree::Tree;
use super::{tape, zip};

/// An entry as the archive has it: nothing about it is trusted yet.
#[derive(Debug)]
pub struct Entry {
    /// The name's bytes.
    pub name: Vec<u8>,
    /// What it is.
    pub kind: Kind,
}

/// What an entry is.
#[derive(Debug)]
pub enum Kind {
    /// A file, unpacked.
    File(Blob),
    /// A directory.
    Directory,
    /// A symbolic link and its target's bytes.
    Link(Vec<u8>),
    /// Another name of an earlier file.
    Same(Vec<u8>),
}

/// The name as it can be shown, whatever its bytes are.
pub fn shown(name: &[u8]) -> String {
    let text: String = String::from_utf8_lossy(name).chars().take(200).collect();
    text.replace(|c: char| c.is_control(), "\u{fffd}")
}

/// Unpacks an uploaded file into `scratch`.
pub fn unpack(
    upload: &Path,
    scratch: &Path,
    bounds: &Bounds,
    report: &Report,
) -> Result<Tree, Error> {
    let mut file = File::open(upload)?;
    let mut head = [0; 512];
    let got = read_up_to(&mut file, &mut head)?;
    file.seek(SeekFrom::Start(0))?;
    let mut spool = Spool::new(scratch, bounds);
    let entries = match &head[..got] {
        [b'P', b'K', 3, 4, ..] | [b'P', b'K', 5, 6, ..] => zip::read(file, &mut spool)?,
        [0x1f, 0x8b, ..] => {
            let inner = MultiGzDecoder::new(BufReader::new(file));
            // What is skipped counts too: headers and padding can be a bomb of their own.
            tape::read(inner.take(bounds.unpacked.saturating_mul(2)), &mut spool)?
        }
        head if head.len() == 512 && &head[257..262] == b"ustar" => {
            tape::read(BufReader::new(file), &mut spool)?
        }
        _ => {
            let message = "is not a zip, tar or tar.gz file";
            return Err(Error::invalid("", format!("the package {message}")));
        }
    };
    Tree::build(entries, bounds, report)
}

fn read_up_to(file: &mut File, buffer: &mut [u8]) -> std::io::Result<usize> {
    let mut got = 0;
    while got < buffer.len() {
        match file.read(&mut buffer[got..])? {
            0 => break,
            n => got += n,
        }
    }
    Ok(got)
}
