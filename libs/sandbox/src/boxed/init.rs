//! The init of runs: PID 1 of its namespace. It is made ahead, restricts itself as far as a program is to be,
//! waits for the word, starts the program as PID 2 and reaps until that ends.
//!
//! It serves again only when its namespace is as new: no process is left in it, and the next one is PID 2
//! again. Otherwise it ends, and everything in the namespace with it.
//!
//! It stays root (without anything to use that for), so the program can neither signal nor look into it. It is
//! in no run's control group.

use super::{
    filter,
    process::{limit, spawn_borrowing},
};
use crate::wire::{self, End, Request};
use rustix::{
    mount::{MountFlags, mount},
    net::RecvFlags,
    process::{Pid, Resource, Signal, WaitOptions, set_parent_process_death_signal, wait},
    thread::set_no_new_privs,
};
use serde::{Deserialize, Serialize};
use std::{
    ffi::CString,
    io,
    os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd},
    ptr,
};

/// What an init is made with.
#[derive(Debug)]
pub struct Context<'a> {
    pub socket: OwnedFd,
    pub filters: Option<&'a Filters>,
    pub rules: Option<BorrowedFd<'a>>,
    /// The host's `/proc/sys/kernel/ns_last_pid`, where the kernel has that.
    pub last_pid: Option<BorrowedFd<'a>>,
    pub uid: u32,
}

/// The filters of system calls.
#[derive(Debug)]
pub struct Filters {
    init: Vec<libc::sock_filter>,
    program: Vec<libc::sock_filter>,
}

impl Filters {
    pub fn new() -> Filters {
        Filters { init: filter::of_init(), program: filter::of_program() }
    }
}

/// What is attached to a request after the three streams is where the program is to be born. Otherwise it is the
/// files by which it gets into its group.
pub const BORN: &[u8] = b"born";

/// From the init to its box.
#[derive(Debug, Serialize, Deserialize)]
pub enum Note {
    /// The program has started.
    Started,
    /// It has ended, and the init waits for the next: nothing is left of this one.
    Ended(End),
    /// It has ended, and the init is about to end.
    Last(End),
    /// The init could not do its part.
    Failed(String),
}

/// The init's whole life.
pub fn main(context: &Context<'_>) -> ! {
    if let Err(error) = prepare(context).and_then(|()| serve(context)) {
        let note = Note::Failed(error.to_string());
        wire::send(&context.socket, &note, &[], &[]).ok();
    }
    // SAFETY: ends the process at once. Exit handlers belong to the box, of which this is a copy.
    unsafe { libc::_exit(0) }
}

fn serve(context: &Context<'_>) -> io::Result<()> {
    while let Some(end) = run(context)? {
        let again = is_alone()? && context.last_pid.is_some_and(restart_numbers);
        let note = if again { Note::Ended(end) } else { Note::Last(end) };
        wire::send(&context.socket, &note, &[], &[])?;
        if !again {
            break;
        }
    }
    Ok(())
}

/// Everything that can be done before it is known what to run.
fn prepare(context: &Context<'_>) -> io::Result<()> {
    set_parent_process_death_signal(Some(Signal::KILL))?;
    // Not even a program with the same user may look into this process.
    // SAFETY: takes numbers only.
    unsafe { libc::prctl(libc::PR_SET_DUMPABLE, 0, 0, 0, 0) };
    mount_processes()?;
    close_others(&[
        Some(context.socket.as_raw_fd()),
        context.rules.as_ref().map(AsRawFd::as_raw_fd),
        context.last_pid.as_ref().map(AsRawFd::as_raw_fd),
    ]);
    set_no_new_privs(true)?;
    if let Some(filters) = context.filters {
        filter::install(&filters.init)?;
    }
    context.rules.map_or(Ok(()), super::rules::restrict_self)
}

/// `/proc` of this namespace, with nothing but the program's own processes.
fn mount_processes() -> io::Result<()> {
    let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    let options = [c"hidepid=2,subset=pid", c"hidepid=2"];
    let mut mounted = Ok(());
    for options in options {
        mounted = mount("proc", "/proc", "proc", flags, options);
        if mounted.is_ok() {
            break;
        }
    }
    Ok(mounted?)
}

/// Closes all descriptors but these and the standard ones. In particular the box's own socket, whose end must be seen when the box dies.
fn close_others(keep: &[Option<RawFd>]) {
    let mut keep: Vec<u32> = keep.iter().flatten().map(|fd| fd.cast_unsigned()).collect();
    keep.sort_unstable();
    let mut first = 3;
    for fd in keep.into_iter().chain([u32::MAX]) {
        if fd > first {
            // SAFETY: the descriptors of the box's objects, which this copy of the box never touches again.
            unsafe { libc::syscall(libc::SYS_close_range, first, fd - 1, 0) };
        }
        first = fd.saturating_add(1);
    }
}

/// Waits for the request, runs the program, and returns how it ended; `None` if there is nothing to run.
fn run(context: &Context<'_>) -> io::Result<Option<End>> {
    // As large as the packet and no larger: touching fresh memory is dear in a process that may live this short.
    let mut buffer = vec![0; wire::next_size(&context.socket)?];
    let request = wire::receive::<Request>(&context.socket, &mut buffer, RecvFlags::empty())?;
    let Some(packet) = request else { return Ok(None) };
    let Request::Run(run) = packet.head else { return Ok(None) };
    // Only the program has a stack as large as its memory: this process is small.
    let (stdio, entrance) = packet
        .fds
        .split_first_chunk()
        .ok_or_else(|| io::Error::other("a program needs three descriptors"))?;
    let born = packet.tail == BORN;
    let doors = if born { &[] } else { entrance };
    let birthplace = entrance.first().filter(|_| born).map(AsFd::as_fd);
    let filter = context.filters.map(|filters| filters.program.as_slice());
    let mut program = Program::new(&run, stdio, doors, filter, context.uid)?;
    // SAFETY: `Program::start` makes system calls only and writes only to the given program's error.
    let child = unsafe { spawn_borrowing(birthplace, start, &mut program) }?;
    drop(packet.fds);
    if let Some(error) = program.error {
        reap_until(child)?;
        let error = io::Error::from_raw_os_error(error);
        return Ok(Some(End::NotStarted(format!("{}: {error}", run.argv[0]))));
    }
    wire::send(&context.socket, &Note::Started, &[], &[])?;
    reap_until(child).map(Some)
}

/// Whether no process is left in the namespace but this one. Orphans that have ended are reaped.
fn is_alone() -> io::Result<bool> {
    loop {
        match wait(WaitOptions::NOHANG) {
            Ok(Some(_)) | Err(rustix::io::Errno::INTR) => {}
            Ok(None) => return Ok(false),
            Err(rustix::io::Errno::CHILD) => return Ok(true),
            Err(error) => return Err(error.into()),
        }
    }
}

/// Makes the next process of this namespace PID 2. False where the kernel does not let us.
fn restart_numbers(last_pid: BorrowedFd<'_>) -> bool {
    rustix::io::pwrite(last_pid, b"1", 0).is_ok()
}

/// Reaps orphans until the program itself has ended. What is still running then ends with this process.
fn reap_until(child: Pid) -> io::Result<End> {
    loop {
        match wait(WaitOptions::empty()) {
            Ok(Some((pid, status))) if pid == child => {
                return Ok(match (status.exit_status(), status.terminating_signal()) {
                    (Some(code), _) => End::Code(code),
                    (None, Some(signal)) => End::Signal(signal),
                    (None, None) => continue,
                });
            }
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// Everything the program's process needs, laid out before it exists.
struct Program<'a> {
    candidates: Vec<CString>,
    argv: Vec<*const libc::c_char>,
    envp: Vec<*const libc::c_char>,
    cwd: CString,
    stdio: [RawFd; 3],
    /// Files to write a zero to, to get into the run's control group.
    doors: Vec<RawFd>,
    filter: Option<&'a [libc::sock_filter]>,
    uid: u32,
    stack: u64,
    file_size: u64,
    open_files: u64,
    /// Why it could not be started.
    error: Option<i32>,
    _strings: Vec<CString>,
}

impl<'a> Program<'a> {
    fn new(
        run: &wire::Run,
        stdio: &[OwnedFd; 3],
        doors: &[OwnedFd],
        filter: Option<&'a [libc::sock_filter]>,
        uid: u32,
    ) -> io::Result<Program<'a>> {
        let text = |text: &str| CString::new(text).map_err(io::Error::from);
        let mut strings = run.argv.iter().map(|part| text(part)).collect::<io::Result<Vec<_>>>()?;
        let environment = run.env.iter().map(|(name, value)| text(&format!("{name}={value}")));
        strings.extend(environment.collect::<io::Result<Vec<_>>>()?);
        let pointers = |strings: &[CString]| {
            strings.iter().map(|text| text.as_ptr()).chain([ptr::null()]).collect()
        };
        Ok(Program {
            candidates: candidates(run)?,
            argv: pointers(&strings[..run.argv.len()]),
            envp: pointers(&strings[run.argv.len()..]),
            cwd: text(&run.cwd)?,
            stdio: stdio.each_ref().map(AsRawFd::as_raw_fd),
            doors: doors.iter().map(AsRawFd::as_raw_fd).collect(),
            filter,
            uid,
            stack: run.memory,
            file_size: run.file_size,
            open_files: run.open_files,
            error: None,
            _strings: strings,
        })
    }

    /// Becomes the program; returns only the error when that failed. System calls only.
    fn start(&self) -> io::Error {
        let last = io::Error::last_os_error;
        // SAFETY: every pointer is into this object, which the parent keeps while it sleeps; the raw
        // calls (not the library's wrappers, which know of threads) change this process alone.
        unsafe {
            for door in &self.doors {
                if libc::write(*door, c"0".as_ptr().cast(), 1) < 0 {
                    return last();
                }
            }
            // The group it is in now becomes the root of what the program sees.
            if libc::unshare(libc::CLONE_NEWCGROUP) != 0 {
                return last();
            }
            if let Some(filter) = self.filter
                && let Err(error) = filter::install(filter)
            {
                return error;
            }
            libc::setsid();
            limit(Resource::Stack, self.stack);
            limit(Resource::Fsize, self.file_size);
            limit(Resource::Nofile, self.open_files);
            for (target, fd) in (0..).zip(self.stdio) {
                if libc::dup2(fd, target) < 0 {
                    return last();
                }
            }
            libc::syscall(libc::SYS_close_range, 3, u32::MAX, 0);
            if libc::syscall(libc::SYS_setresgid, self.uid, self.uid, self.uid) != 0
                || libc::syscall(libc::SYS_setresuid, self.uid, self.uid, self.uid) != 0
                || !drop_capabilities()
                || libc::chdir(self.cwd.as_ptr()) != 0
            {
                return last();
            }
            let mut error = io::Error::from_raw_os_error(libc::ENOENT);
            for path in &self.candidates {
                libc::execve(path.as_ptr(), self.argv.as_ptr(), self.envp.as_ptr());
                error = last();
                if error.raw_os_error() != Some(libc::ENOENT) {
                    break;
                }
            }
            error
        }
    }
}

extern "C" fn start(program: *mut libc::c_void) -> ! {
    // SAFETY: this is the pointer which `run` passed, to an object that nobody else uses meanwhile.
    let program = unsafe { &mut *program.cast::<Program<'_>>() };
    program.error = program.start().raw_os_error();
    // SAFETY: ends this process without running anything of the parent, whose memory it shares.
    unsafe { libc::_exit(127) }
}

/// No capability is left in any set, also where the user is still root (in a user namespace).
fn drop_capabilities() -> bool {
    const VERSION_3: u32 = 0x2008_0522;
    let header = [VERSION_3, 0];
    let sets = [0u32; 6];
    // SAFETY: the arrays have the layouts of the kernel's header and of its two sets.
    unsafe { libc::syscall(libc::SYS_capset, header.as_ptr(), sets.as_ptr()) == 0 }
}

/// The paths to try: the given one, or the name in every directory of the program's `PATH`.
fn candidates(run: &wire::Run) -> io::Result<Vec<CString>> {
    let name = run.argv.first().ok_or_else(|| io::Error::other("no program"))?;
    let path = run.env.iter().find(|(name, _)| name == "PATH").map_or("/usr/bin", |(_, path)| path);
    let paths = if name.contains('/') {
        vec![name.clone()]
    } else {
        path.split(':').map(|directory| format!("{directory}/{name}")).collect()
    };
    paths.into_iter().map(|path| CString::new(path).map_err(io::Error::from)).collect()
}
