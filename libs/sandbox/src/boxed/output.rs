//! What a program writes: read from a pipe, counted, and kept up to a limit.

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

/// Read at a time: what a pipe holds at first.
const CHUNK: usize = 64 << 10;
/// What a busy pipe is widened to, so that the program seldom waits for the box.
const WIDE: usize = 1 << 20;

/// Where kept bytes are.
#[derive(Debug)]
pub enum Sink {
    Memory(Vec<u8>),
    File(File),
}

/// One output of a run.
#[derive(Debug)]
pub struct Collector {
    pipe: Option<OwnedFd>,
    sink: Sink,
    limit: u64,
    kept: u64,
    total: u64,
    widened: bool,
}

impl Collector {
    /// For an output that is not captured.
    pub fn none() -> Collector {
        Collector {
            pipe: None,
            sink: Sink::Memory(Vec::new()),
            limit: 0,
            kept: 0,
            total: 0,
            widened: false,
        }
    }

    /// A pipe for the program, and its collector.
    pub fn pipe(limit: u64) -> io::Result<(Collector, OwnedFd)> {
        let (read, write) = pipe_with(PipeFlags::CLOEXEC)?;
        // Only this end: the program's must block.
        fcntl_setfl(&read, OFlags::NONBLOCK)?;
        Ok((Collector { pipe: Some(read), limit, ..Collector::none() }, write))
    }

    /// The end to wait for, while there may come more.
    pub fn pipe_end(&self) -> Option<BorrowedFd<'_>> {
        self.pipe.as_ref().map(AsFd::as_fd)
    }

    /// Bytes so far, kept or not.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// Reads what there is now, at most a few chunks so that limits are still looked at.
    pub fn read(&mut self) -> io::Result<()> {
        let mut buffer = [0; CHUNK];
        for _ in 0..2 * WIDE / CHUNK {
            let Some(pipe) = &self.pipe else { break };
            match rustix::io::read(pipe, &mut buffer) {
                Ok(0) => self.pipe = None,
                Ok(length) => {
                    if length == CHUNK && !self.widened {
                        fcntl_setpipe_size(pipe, WIDE).ok();
                        self.widened = true;
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

    /// What the reply says about it.
    pub fn captured(&self) -> Captured {
        let attached = matches!(self.sink, Sink::File(_));
        Captured { kept: self.kept, total: self.total, attached }
    }

    /// What was kept.
    pub fn into_sink(self) -> Sink {
        self.sink
    }
}
