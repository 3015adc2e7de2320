//! Writes unpacked files into a scratch directory and enforces the size limits while it does.

use std::fs::File;
use std::io::{BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::error::Error;
use crate::size_limits::SizeLimits;

/// An unpacked file in the scratch directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blob {
    pub path: PathBuf,
    /// In bytes.
    pub size: u64,
    /// SHA-256, lower-case hexadecimal.
    pub digest: String,
}

impl Blob {
    /// Loads the whole file; callers check the size first.
    pub(crate) fn read(&self) -> std::io::Result<Vec<u8>> {
        std::fs::read(&self.path)
    }
}

/// Longest name of an entry, in bytes.
const MAX_NAME: usize = 4096;

pub struct Spool<'a> {
    dir: &'a Path,
    size_limits: &'a SizeLimits,
    written: u64,
    entries: usize,
    files: usize,
}

impl<'a> Spool<'a> {
    pub fn new(dir: &'a Path, size_limits: &'a SizeLimits) -> Self {
        Self { dir, size_limits, written: 0, entries: 0, files: 0 }
    }

    pub fn max_entries(&self) -> usize {
        self.size_limits.entries
    }

    /// Counts an entry of any kind, and bounds the memory that names take.
    pub fn count_entry(&mut self, name: &[u8]) -> Result<(), Error> {
        if name.len() > MAX_NAME {
            let message =
                format!("has a path that is too long; at most {MAX_NAME} bytes are allowed");
            return Err(Error::invalid(&printable(name), message));
        }
        self.entries += 1;
        if self.entries > self.size_limits.entries {
            let (name, max) = (printable(name), self.size_limits.entries);
            let text = format!("{name}: the package has more than {max} entries");
            return Err(Error::TooLarge(text));
        }
        Ok(())
    }

    /// Stores the bytes of `source`. A read error is a mistake of the package; a write error is [`Error::Io`].
    pub fn store(&mut self, name: &str, mut source: impl Read) -> Result<Blob, Error> {
        self.files += 1;
        let path = self.dir.join(self.files.to_string());
        let mut file = BufWriter::new(File::create_new(&path)?);
        let (mut hash, mut size) = (Sha256::new(), 0);
        let mut buffer = vec![0; 64 << 10];
        loop {
            let n = match source.read(&mut buffer) {
                Ok(0) => break,
                Ok(n) => n,
                Err(e) if e.kind() == std::io::ErrorKind::Interrupted => continue,
                Err(e) => return Err(Error::invalid(name, format!("cannot be unpacked: {e}"))),
            };
            size += n as u64;
            self.written += n as u64;
            self.check(name, size)?;
            hash.update(&buffer[..n]);
            file.write_all(&buffer[..n])?;
        }
        file.into_inner().map_err(std::io::IntoInnerError::into_error)?;
        Ok(Blob { path, size, digest: hex::encode(hash.finalize()) })
    }

    fn check(&self, name: &str, size: u64) -> Result<(), Error> {
        if size > self.size_limits.file {
            let max = self.size_limits.file;
            return Err(Error::TooLarge(format!("{name}: is larger than {max} bytes")));
        }
        if self.written > self.size_limits.unpacked {
            let max = self.size_limits.unpacked;
            return Err(Error::TooLarge(format!(
                "{name}: the package unpacks to more than {max} bytes in total"
            )));
        }
        Ok(())
    }
}

/// A name fit for messages: lossy UTF-8 without control characters, at most 200 characters.
pub fn printable(name: &[u8]) -> String {
    let text: String = String::from_utf8_lossy(name).chars().take(200).collect();
    text.replace(|c: char| c.is_control(), "\u{fffd}")
}
