//! A leased slot: copies files in, runs programs, and copies files out.

use crate::{
    Capture, Content, Cores, Error, Outcome, Output, RunSpec, Stdin,
    client::{Client, OnDrop, unexpected_reply},
    pool::Pool,
    wire::{self, Captured, Packet, Reply, Request, RunResult, Source, Target},
};
use futures_util::future::BoxFuture;
use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};
use std::{
    fs::File,
    io::{self, Seek, Write},
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::Path,
    sync::Arc,
};
use tokio::sync::OwnedSemaphorePermit;

/// A leased slot. Dropping it releases the slot; the next lease gets a new container.
#[derive(Debug)]
pub struct Slot {
    /// `None` only while dropping.
    client: Option<Client>,
    pool: Arc<Pool>,
    _permit: OwnedSemaphorePermit,
}

impl Slot {
    pub(crate) fn new(client: Client, pool: Arc<Pool>, permit: OwnedSemaphorePermit) -> Slot {
        Slot { client: Some(client), pool, _permit: permit }
    }

    /// The number of the slot, from 0.
    pub fn index(&self) -> usize {
        self.client.as_ref().map_or(0, |client| client.setup.slot)
    }

    /// The process id of the slot's agon-box, for tests that kill it.
    #[doc(hidden)]
    pub fn process(&self) -> Option<u32> {
        self.client.as_ref().and_then(Client::process)
    }

    /// Creates a file and its parent directories under `/box` or `/tmp` (kept for the next run) or `/app` (kept
    /// until [`Slot::reset`]). `mode` is the permission, such as `0o644`.
    pub fn put<'a>(
        &'a mut self,
        path: &'a str,
        content: Content,
        mode: u32,
    ) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(async move {
            let content = match content {
                Content::Bytes(bytes) => memory_file(&bytes)?,
                Content::Fd(fd) => fd,
                Content::Path(path) => open(&path)?,
            };
            let request = Request::Put { path: path.to_owned(), mode };
            match self.call(&request, &[content.as_fd()], OnDrop::Finish).await?.head {
                Reply::Done => Ok(()),
                other => Err(error_of(path, other)),
            }
        })
    }

    /// Runs a program until it ends. Dropping the future kills the run; the slot stays usable.
    pub fn run(&mut self, spec: RunSpec) -> BoxFuture<'_, Result<Outcome, Error>> {
        Box::pin(async move {
            let program = spec.argv.first().cloned().unwrap_or_default();
            let (run, fds) = into_request(spec)?;
            let borrowed: Vec<BorrowedFd<'_>> = fds.iter().map(AsFd::as_fd).collect();
            let Packet { head, tail, fds } =
                self.call(&Request::Run(Box::new(run)), &borrowed, OnDrop::Cancel).await?;
            match head {
                Reply::Finished(result) => outcome(*result, tail, fds),
                other => Err(error_of(&program, other)),
            }
        })
    }

    /// Copies a regular file of at most `limit` bytes from `/box`, `/tmp` or `/app` to an anonymous file, at
    /// offset 0. Symbolic links are not followed.
    pub fn get<'a>(&'a mut self, path: &'a str, limit: u64) -> BoxFuture<'a, Result<File, Error>> {
        Box::pin(async move {
            let request = Request::Get { path: path.to_owned(), limit };
            let packet = self.call(&request, &[], OnDrop::Finish).await?;
            match packet.head {
                Reply::File => {
                    packet.fds.into_iter().next().map(File::from).ok_or_else(unexpected_reply)
                }
                other => Err(error_of(path, other)),
            }
        })
    }

    /// The sorted paths of at most `limit` regular files in `directory` (`/box`, `/tmp`, `/app` or one below) and
    /// its subdirectories, relative to `/box`, `/tmp` or `/app`.
    pub fn list<'a>(
        &'a mut self,
        directory: &'a str,
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<String>, Error>> {
        Box::pin(async move {
            let request = Request::List { path: directory.to_owned(), limit };
            match self.call(&request, &[], OnDrop::Finish).await?.head {
                Reply::Names(names) => Ok(names),
                other => Err(error_of(directory, other)),
            }
        })
    }

    /// Replaces the container by an empty one; `/app` is emptied too.
    pub fn reset(&mut self) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(async move {
            match self.call(&Request::Reset, &[], OnDrop::Finish).await?.head {
                Reply::Done => Ok(()),
                other => Err(error_of("reset", other)),
            }
        })
    }

    /// Starts agon-box if needed and makes sure that the container is empty.
    pub(crate) async fn prepare(&mut self) -> Result<(), Error> {
        let Some(client) = &mut self.client else { return Err(unexpected_reply()) };
        client.start().await?;
        match client.discard_stale_replies().await {
            // It exited after the previous lease ended, so no request of this lease failed.
            Err(Error::Crashed(_)) => client.start().await,
            Ok(()) if !client.clean => self.reset().await,
            other => other,
        }
    }

    async fn call(
        &mut self,
        request: &Request,
        fds: &[BorrowedFd<'_>],
        on_drop: OnDrop,
    ) -> Result<Packet<Reply>, Error> {
        let Some(client) = &mut self.client else { return Err(unexpected_reply()) };
        // After a crash this starts a new agon-box with an empty container.
        client.start().await?;
        client.clean = false;
        client.call(request, fds, on_drop).await
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        if let Some(mut client) = self.client.take() {
            if !client.clean {
                // The next lease discards the reply.
                client.try_send(&Request::Reset, true);
                client.clean = true;
            }
            self.pool.release(client);
        }
    }
}

/// Splits a run into its request and the descriptors to attach, in the order in which agon-box reads them.
fn into_request(spec: RunSpec) -> Result<(wire::Run, Vec<OwnedFd>), Error> {
    let mut fds = Vec::new();
    let stdin = match spec.stdin {
        Stdin::Null => Source::Null,
        Stdin::File(path) => Source::File(path),
        Stdin::Bytes(bytes) => {
            fds.push(memory_file(&bytes)?);
            Source::Attached
        }
        Stdin::Path(path) => {
            fds.push(open(&path)?);
            Source::Copied
        }
    };
    let mut target = |output| match output {
        Output::Null => Target::Null,
        Output::Capture { limit } => Target::Capture(limit),
        Output::File(path) => Target::File(path),
        Output::Stdout => Target::Stdout,
        Output::Fd(fd) => {
            fds.push(fd);
            Target::Attached
        }
    };
    let (stdout, stderr) = (target(spec.stdout), target(spec.stderr));
    if spec.argv.is_empty() {
        return Err(Error::Invalid("argv is empty".into()));
    }
    let run = wire::Run {
        argv: spec.argv,
        env: spec.env,
        cwd: spec.cwd,
        stdin,
        stdout,
        stderr,
        limits: spec.limits,
        mounts: spec.mounts,
        all_cores: spec.cores == Cores::All,
        keep_files: spec.keep_files,
    };
    Ok((run, fds))
}

fn outcome(result: RunResult, mut inline: Vec<u8>, fds: Vec<OwnedFd>) -> Result<Outcome, Error> {
    let mut files = fds.into_iter().map(File::from);
    let mut capture = |captured: Captured| -> Result<Capture, Error> {
        let mut capture =
            Capture { kept: captured.kept, total: captured.total, ..Capture::default() };
        if captured.attached {
            capture.large = Some(files.next().ok_or_else(unexpected_reply)?);
        } else {
            let length = usize::try_from(captured.kept).unwrap_or(usize::MAX).min(inline.len());
            let rest = inline.split_off(length);
            capture.small = std::mem::replace(&mut inline, rest);
        }
        Ok(capture)
    };
    let (stdout, stderr) = (capture(result.stdout)?, capture(result.stderr)?);
    Ok(Outcome {
        exit: result.exit,
        limit: result.limit,
        violation: result.violation,
        cpu_time: result.cpu_time,
        wall_time: result.wall_time,
        memory_peak: result.memory_peak,
        output_bytes: result.stdout.total + result.stderr.total,
        processes_refused: result.processes_refused,
        stdout,
        stderr,
    })
}

/// An anonymous file, sealed against changes.
fn memory_file(bytes: &[u8]) -> Result<OwnedFd, Error> {
    let create = || -> io::Result<OwnedFd> {
        let fd = memfd_create("content", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?;
        let mut file = File::from(fd);
        file.write_all(bytes)?;
        file.rewind()?;
        let seals = SealFlags::WRITE | SealFlags::GROW | SealFlags::SHRINK | SealFlags::SEAL;
        fcntl_add_seals(&file, seals)?;
        Ok(file.into())
    };
    create().map_err(Error::io("creating a memory file"))
}

fn open(path: &Path) -> Result<OwnedFd, Error> {
    File::open(path).map(OwnedFd::from).map_err(|error| Error::File {
        path: path.display().to_string(),
        reason: error.to_string(),
    })
}

fn error_of(what: &str, reply: Reply) -> Error {
    match reply {
        Reply::Invalid(text) => Error::Invalid(text),
        Reply::NoFile(reason) => Error::File { path: what.to_owned(), reason },
        Reply::Failed(text) => Error::Internal(text),
        _ => unexpected_reply(),
    }
}
