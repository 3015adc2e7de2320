//! Captured output: read from a pipe, counted, and kept up to a limit.

use crate::wire::{Captured, INLINE};
use rustix::{
    fs::{MemfdFlags, OFlags, fcntl_setfl, memfd_create},
    pipe::{PipeFlags, fcntl_setpipe_size, pipe_with},
};
use std::{
    fs::File,
    io::{self, Write},
    os::fd::{AsFd, BorrowedFd, OwnedFd},
};

/// The read size, which is the initial capacity of a pipe.
const CHUNK: usize = 64 << 10;
/// The capacity of a busy pipe, so that the program seldom blocks on agon-box.
const LARGE_PIPE: usize = 1 << 20;

#[derive(Debug)]
pub enum Sink {
    Memory(Vec<u8>),
    File(File),
}

impl Default for Sink {
    fn default() -> Sink {
        Sink::Memory(Vec::new())
    }
}

/// The default is for an output that is not captured.
#[derive(Debug, Default)]
pub struct Collector {
    pipe: Option<OwnedFd>,
    sink: Sink,
    limit: u64,
    kept: u64,
    total: u64,
    enlarged: bool,
}

impl Collector {
    /// A collector, and the write end of its pipe for the program.
    pub fn pipe(limit: u64) -> io::Result<(Collector, OwnedFd)> {
        let (read, write) = pipe_with(PipeFlags::CLOEXEC)?;
        // Only this end: writes of the program must block.
        fcntl_setfl(&read, OFlags::NONBLOCK)?;
        Ok((Collector { pipe: Some(read), limit, ..Collector::default() }, write))
    }

    /// The read end of the pipe, until the end of the output.
    pub fn read_end(&self) -> Option<BorrowedFd<'_>> {
        self.pipe.as_ref().map(AsFd::as_fd)
    }

    /// The number of bytes read so far, including discarded ones.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// Reads the available bytes, but only a limited amount so that the caller can check limits in between.
    pub fn read(&mut self) -> io::Result<()> {
        let mut buffer = [0; CHUNK];
        for _ in 0..2 * LARGE_PIPE / CHUNK {
            let Some(pipe) = &self.pipe else { break };
            match rustix::io::read(pipe, &mut buffer) {
                Ok(0) => self.pipe = None,
                Ok(length) => {
                    if length == CHUNK && !self.enlarged {
                        fcntl_setpipe_size(pipe, LARGE_PIPE).ok();
                        self.enlarged = true;
                    }
                    self.keep(&buffer[..length])?;
                }
                Err(rustix::io::Errno::INTR) => {}
                Err(rustix::io::Errno::AGAIN) => break,
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    fn keep(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.total += bytes.len() as u64;
        let room = usize::try_from(self.limit - self.kept).unwrap_or(usize::MAX);
        let bytes = &bytes[..bytes.len().min(room)];
        self.kept += bytes.len() as u64;
        match &mut self.sink {
            Sink::Memory(kept) if kept.len() + bytes.len() <= INLINE => kept.extend(bytes),
            Sink::Memory(kept) => {
                let mut file = File::from(memfd_create("output", MemfdFlags::CLOEXEC)?);
                file.write_all(kept)?;
                file.write_all(bytes)?;
                self.sink = Sink::File(file);
            }
            Sink::File(file) => file.write_all(bytes)?,
        }
        Ok(())
    }

    pub fn captured(&self) -> Captured {
        let attached = matches!(self.sink, Sink::File(_));
        Captured { kept: self.kept, total: self.total, attached }
    }

    pub fn into_sink(self) -> Sink {
        self.sink
    }
}
