//! One slot, leased: put files in, run, take files out.

use crate::{
    Capture, Content, Cores, Error, Exit, Outcome, Output, RunSpec, Stdin,
    machine::{Machine, Wish, unexpected},
    pool::Pool,
    wire::{self, Captured, End, Packet, Ran, Reply, Request, Source, Target},
};
use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};
use std::{
    fs::File,
    io::{self, Seek, Write},
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::Path,
    sync::Arc,
    time::Duration,
};
use tokio::sync::OwnedSemaphorePermit;

/// A leased slot. Dropping it gives the slot back; the next lease starts with a new container.
#[derive(Debug)]
pub struct Slot {
    /// Present until the slot is dropped.
    machine: Option<Machine>,
    pool: Arc<Pool>,
    _permit: OwnedSemaphorePermit,
}

impl Slot {
    pub(crate) fn new(machine: Machine, pool: Arc<Pool>, permit: OwnedSemaphorePermit) -> Slot {
        Slot { machine: Some(machine), pool, _permit: permit }
    }

    /// Which slot this is.
    pub fn index(&self) -> usize {
        self.machine.as_ref().map_or(0, |machine| machine.setup.slot)
    }

    /// The core the slot is pinned to, if it is.
    pub fn core(&self) -> Option<usize> {
        self.machine.as_ref().and_then(|machine| machine.setup.core)
    }

    /// The process id of the slot's box, for tests of its death.
    #[doc(hidden)]
    pub fn process(&self) -> Option<u32> {
        self.machine.as_ref().and_then(Machine::process)
    }

    /// Writes a file at `path`, under `/box` or `/tmp` (for the next run) or `/app` (until [`Slot::reset`]),
    /// making directories on the way. `mode` is the permission, such as `0o644` or `0o755`.
    pub async fn put(&mut self, path: &str, content: Content, mode: u32) -> Result<(), Error> {
        let content = match content {
            Content::Bytes(bytes) => memory_file(&bytes).map_err(Error::io("a file in memory"))?,
            Content::Fd(fd) => fd,
            Content::Path(path) => open(&path)?,
        };
        let request = Request::Put { path: path.to_owned(), mode };
        match self.ask(&request, &[content.as_fd()], Wish::Nothing).await?.head {
            Reply::Done => Ok(()),
            other => Err(refusal(path, other)),
        }
    }

    /// Runs a program to its end. Dropping the future kills the run at once; the slot stays usable.
    pub async fn run(&mut self, spec: RunSpec) -> Result<Outcome, Error> {
        let program = spec.argv.first().cloned().unwrap_or_default();
        let (run, fds) = message(spec)?;
        let borrowed: Vec<BorrowedFd<'_>> = fds.iter().map(AsFd::as_fd).collect();
        let packet = self.ask(&Request::Run(Box::new(run)), &borrowed, Wish::Cancel).await?;
        let Packet { head, tail, fds } = packet;
        match head {
            Reply::Ran(ran) => outcome(*ran, tail, fds),
            other => Err(refusal(&program, other)),
        }
    }

    /// Takes a regular file of at most `limit` bytes out of `/box`, `/tmp` or `/app`, as an anonymous file of its own
    /// at offset 0. Links are never followed.
    pub async fn take(&mut self, path: &str, limit: u64) -> Result<File, Error> {
        let request = Request::Take { path: path.to_owned(), limit };
        let packet = self.ask(&request, &[], Wish::Nothing).await?;
        match packet.head {
            Reply::File => packet.fds.into_iter().next().map(File::from).ok_or_else(unexpected),
            other => Err(refusal(path, other)),
        }
    }

    /// The regular files under `directory` (relative to it: `/box`, `/tmp` or `/app`, or one below), at
    /// most `limit`, sorted.
    pub async fn list(&mut self, directory: &str, limit: usize) -> Result<Vec<String>, Error> {
        let request = Request::List { path: directory.to_owned(), limit };
        match self.ask(&request, &[], Wish::Nothing).await?.head {
            Reply::Names(names) => Ok(names),
            other => Err(refusal(directory, other)),
        }
    }

    /// A new container: nothing of earlier runs is left, `/app` is empty.
    pub async fn reset(&mut self) -> Result<(), Error> {
        match self.ask(&Request::Reset, &[], Wish::Nothing).await?.head {
            Reply::Done => Ok(()),
            other => Err(refusal("reset", other)),
        }
    }

    /// Makes sure that the box runs, with a container as new.
    pub(crate) async fn freshen(&mut self) -> Result<(), Error> {
        let Some(machine) = &mut self.machine else { return Err(unexpected()) };
        machine.start().await?;
        match machine.settle().await {
            // It died since its last lease: that is nobody's failure but its own.
            Err(Error::Crashed(_)) => machine.start().await.map(drop),
            Ok(()) if !machine.fresh => self.reset().await,
            other => other,
        }
    }

    async fn ask(
        &mut self,
        request: &Request,
        fds: &[BorrowedFd<'_>],
        wish: Wish,
    ) -> Result<Packet<Reply>, Error> {
        let Some(machine) = &mut self.machine else { return Err(unexpected()) };
        // After a crash the slot goes on with a new box, whose container is as empty as after a reset.
        machine.start().await?;
        machine.fresh = false;
        machine.ask(request, fds, wish).await
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        if let Some(mut machine) = self.machine.take() {
            if !machine.fresh {
                // The answer is skipped by whoever leases the slot next.
                machine.mention(&Request::Reset, true);
                machine.fresh = true;
            }
            self.pool.give_back(machine);
        }
    }
}

/// Lays out the request, and gathers the descriptors that go with it.
fn message(spec: RunSpec) -> Result<(wire::Run, Vec<OwnedFd>), Error> {
    let mut fds = Vec::new();
    let stdin = match spec.stdin {
        Stdin::Null => Source::Null,
        Stdin::File(path) => Source::File(path),
        Stdin::Bytes(bytes) => {
            fds.push(memory_file(&bytes).map_err(Error::io("a file in memory"))?);
            Source::Attached
        }
        Stdin::Fd(fd) => {
            fds.push(fd);
            Source::Attached
        }
        Stdin::Path(path) => {
            fds.push(open(&path)?);
            Source::Attached
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
    let nanoseconds = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
    if spec.argv.is_empty() {
        return Err(Error::Invalid("argv: names no program".into()));
    }
    let limits = spec.limits;
    let run = wire::Run {
        argv: spec.argv,
        env: spec.env,
        cwd: spec.cwd,
        stdin,
        stdout,
        stderr,
        cpu_ns: nanoseconds(limits.cpu),
        wall_ns: nanoseconds(limits.wall),
        memory: limits.memory,
        output: limits.output,
        processes: limits.processes,
        file_size: limits.file_size,
        open_files: limits.open_files,
        mounts: spec.mounts,
        all_cores: spec.cores == Cores::All,
        keep_files: spec.keep_files,
    };
    Ok((run, fds))
}

fn outcome(ran: Ran, mut inline: Vec<u8>, fds: Vec<OwnedFd>) -> Result<Outcome, Error> {
    let mut files = fds.into_iter().map(File::from);
    let mut capture = |captured: Captured| -> Result<Capture, Error> {
        let mut capture =
            Capture { kept: captured.kept, total: captured.total, ..Capture::default() };
        if captured.attached {
            capture.large = Some(files.next().ok_or_else(unexpected)?);
        } else {
            let length = usize::try_from(captured.kept).unwrap_or(usize::MAX).min(inline.len());
            let rest = inline.split_off(length);
            capture.small = std::mem::replace(&mut inline, rest);
        }
        Ok(capture)
    };
    let (stdout, stderr) = (capture(ran.stdout)?, capture(ran.stderr)?);
    Ok(Outcome {
        exit: match ran.end {
            End::Code(code) => Exit::Code(code),
            End::Signal(signal) => Exit::Signal(signal),
            End::Killed => Exit::Killed,
            End::NotStarted(why) => Exit::NotStarted(why),
        },
        limit: ran.limit,
        violation: ran.violation,
        cpu_time: Duration::from_nanos(ran.cpu_ns),
        wall_time: Duration::from_nanos(ran.wall_ns),
        memory_peak: ran.memory_peak,
        output_bytes: ran.stdout.total + ran.stderr.total,
        processes_refused: ran.processes_refused,
        stdout,
        stderr,
    })
}

/// A file without a name, which nobody can change any more.
fn memory_file(bytes: &[u8]) -> io::Result<OwnedFd> {
    let fd = memfd_create("content", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?;
    let mut file = File::from(fd);
    file.write_all(bytes)?;
    file.rewind()?;
    let seals = SealFlags::WRITE | SealFlags::GROW | SealFlags::SHRINK | SealFlags::SEAL;
    fcntl_add_seals(&file, seals)?;
    Ok(file.into())
}

fn open(path: &Path) -> Result<OwnedFd, Error> {
    File::open(path).map(OwnedFd::from).map_err(|error| Error::File {
        path: path.display().to_string(),
        reason: error.to_string(),
    })
}

fn refusal(what: &str, reply: Reply) -> Error {
    match reply {
        Reply::Invalid(text) => Error::Invalid(text),
        Reply::NoFile(reason) => Error::File { path: what.to_owned(), reason },
        Reply::Failed(text) => Error::Internal(text),
        _ => unexpected(),
    }
}
