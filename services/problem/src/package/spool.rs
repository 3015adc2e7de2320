//! Writes unpacked files into a scratch directory, counting: no archive, however clever, writes more
//! than the bounds allow.

use std::fs::File;
use std::io::{BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::bounds::Bounds;
use super::error::Error;

/// An unpacked file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blob {
    /// Where its bytes are.
    pub path: PathBuf,
    /// How many.
    pub size: u64,
    /// Their SHA-256, hexadecimal.
    pub digest: String,
}

impl Blob {
    /// The bytes; only for files whose size was checked.
    pub fn read(&self) -> std::io::Result<Vec<u8>> {
        std::fs::read(&self.path)
    }
}

/// A scratch directory with bounds.
pub struct Spool<'a> {
    dir: &'a Path,
    bounds: &'a Bounds,
    written: u64,
    entries: usize,
    files: usize,
}

impl<'a> Spool<'a> {
    pub fn new(dir: &'a Path, bounds: &'a Bounds) -> Self {
        Self { dir, bounds, written: 0, entries: 0, files: 0 }
    }

    /// Counts an entry of any kind.
    pub fn entry(&mut self) -> Result<(), Error> {
        self.entries += 1;
        if self.entries > self.bounds.entries {
            let max = self.bounds.entries;
            return Err(Error::TooLarge(format!("the package has more than {max} entries")));
        }
        Ok(())
    }

    /// Stores what `source` yields. A fault of the source is the package's, not ours.
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
        if size > self.bounds.file {
            let max = self.bounds.file;
            return Err(Error::TooLarge(format!("{name}: is larger than {max} bytes")));
        }
        if self.written > self.bounds.unpacked {
            let max = self.bounds.unpacked;
            return Err(Error::TooLarge(format!(
                "{name}: unpacks to more than {max} bytes in all"
            )));
        }
        Ok(())
    }
}
