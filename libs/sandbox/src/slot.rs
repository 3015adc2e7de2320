//! One slot, leased: put files in, run, take files out.

use crate::{Content, Error, Outcome, RunSpec};
use std::fs::File;

/// A leased slot. Dropping it gives the slot back; the next lease starts with a new container.
#[derive(Debug)]
pub struct Slot {
    index: usize,
    core: usize,
}

impl Slot {
    /// Which slot this is.
    pub fn index(&self) -> usize {
        self.index
    }

    /// The core the slot is pinned to.
    pub fn core(&self) -> usize {
        self.core
    }

    /// Writes a file at `path`, under `/box` (for the next run) or `/app` (until [`Slot::reset`]), making
    /// directories on the way. `mode` is the permission, such as `0o644` or `0o755`.
    pub async fn put(&mut self, path: &str, content: Content, mode: u32) -> Result<(), Error> {
        let _ = (path, content, mode);
        Err(Error::Unavailable("not built in".into()))
    }

    /// Runs a program to its end. Dropping the future kills the run at once; the slot stays usable.
    pub async fn run(&mut self, spec: RunSpec) -> Result<Outcome, Error> {
        let _ = spec;
        Err(Error::Unavailable("not built in".into()))
    }

    /// Takes a regular file of at most `limit` bytes out of `/box` or `/tmp`, as an anonymous file of its own at offset 0.
    /// Links are never followed.
    pub async fn take(&mut self, path: &str, limit: u64) -> Result<File, Error> {
        let _ = (path, limit);
        Err(Error::Unavailable("not built in".into()))
    }

    /// The paths of the regular files under `directory`, at most `limit`, sorted.
    pub async fn list(&mut self, directory: &str, limit: usize) -> Result<Vec<String>, Error> {
        let _ = (directory, limit);
        Err(Error::Unavailable("not built in".into()))
    }

    /// A new container: nothing of earlier runs is left, `/app` is empty.
    pub async fn reset(&mut self) -> Result<(), Error> {
        Err(Error::Unavailable("not built in".into()))
    }
}
