//! The init of a run: PID 1 of its PID namespace. It is created ahead of time, applies the restrictions of a
//! program to itself, waits for a request, starts the program as PID 2 and reaps processes until it ends.
//!
//! An init is reused only if its namespace is in its initial state: no other process is left, and the next one
//! is PID 2 again. Otherwise it exits, and the kernel kills all processes of the namespace.
//!
//! The init stays root, without capabilities that would matter, so that the program can neither signal nor inspect
//! it. It is not in the cgroup of a run.

use super::{
    process::{set_limit, spawn_borrowing},
    seccomp, stack,
};
use crate::{
    Exit,
    wire::{self, Request},
};
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

#[derive(Debug)]
pub struct Context<'a> {
    pub socket: OwnedFd,
    pub filters: Option<&'a Filters>,
    pub rules: Option<BorrowedFd<'a>>,
    /// The host's `/proc/sys/kernel/ns_last_pid`, if the kernel has it.
    pub last_pid: Option<BorrowedFd<'a>>,
    pub uid: u32,
    /// The hard limit of the stack.
    pub max_stack: u64,
}

#[derive(Debug)]
pub struct Filters {
    init: Vec<libc::sock_filter>,
    init_without_listener: Vec<libc::sock_filter>,
    program: Vec<libc::sock_filter>,
}

impl Filters {
    pub fn new() -> Filters {
        Filters {
            init: seccomp::init_filter(true),
            init_without_listener: seccomp::init_filter(false),
            program: seccomp::program_filter(),
        }
    }
}

/// The tail of a request whose fourth descriptor is the cgroup directory to create the program in. Without it, the
/// descriptors after the three streams are files to write to for entering the cgroup.
pub const CLONE_INTO_CGROUP: &[u8] = b"cgroup";

/// From the init to agon-box.
#[derive(Debug, Serialize, Deserialize)]
pub enum Event {
    /// The init waits for its first request. Attached: the listener of the filter, if it has one.
    Ready,
    Started,
    /// The program has ended, and the init is ready for the next run.
    Ended(Exit),
    /// The program has ended, and the init is about to exit.
    EndedLast(Exit),
    Failed(String),
}

pub fn main(context: &Context<'_>) -> ! {
    if let Err(error) = prepare(context).and_then(|()| serve(context)) {
        let event = Event::Failed(error.to_string());
        wire::send(&context.socket, &event, &[], &[]).ok();
    }
    // SAFETY: ends the process without running the exit handlers, which belong to agon-box.
    unsafe { libc::_exit(0) }
}

fn serve(context: &Context<'_>) -> io::Result<()> {
    while let Some(exit) = run(context)? {
        let is_reusable = is_alone()? && context.last_pid.is_some_and(reset_pids);
        let event = if is_reusable { Event::Ended(exit) } else { Event::EndedLast(exit) };
        wire::send(&context.socket, &event, &[], &[])?;
        if !is_reusable {
            break;
        }
    }
    Ok(())
}

/// Everything that does not depend on the program.
fn prepare(context: &Context<'_>) -> io::Result<()> {
    set_parent_process_death_signal(Some(Signal::KILL))?;
    // Prevents even programs of the same user from inspecting this process.
    // SAFETY: takes numbers only.
    unsafe { libc::prctl(libc::PR_SET_DUMPABLE, 0, 0, 0, 0) };
    mount_proc()?;
    close_others(&[
        Some(context.socket.as_raw_fd()),
        context.rules.as_ref().map(AsRawFd::as_raw_fd),
        context.last_pid.as_ref().map(AsRawFd::as_raw_fd),
    ]);
    set_no_new_privs(true)?;
    let listener = context.filters.map(install).transpose()?.flatten();
    context.rules.map_or(Ok(()), super::landlock::restrict_self)?;
    let listener = listener.as_ref().map(AsFd::as_fd);
    wire::send(&context.socket, &Event::Ready, &[], listener.as_slice())
}

fn install(filters: &Filters) -> io::Result<Option<OwnedFd>> {
    match seccomp::install_with_listener(&filters.init) {
        Ok(listener) => Ok(Some(listener)),
        Err(_) => seccomp::install(&filters.init_without_listener).map(|()| None),
    }
}

/// Mounts `/proc` of this PID namespace, restricted to processes of the reader.
fn mount_proc() -> io::Result<()> {
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

/// Closes all descriptors except these and the standard ones: the socket of agon-box in particular, whose close
/// signals the death of agon-box.
fn close_others(keep: &[Option<RawFd>]) {
    let mut keep: Vec<u32> = keep.iter().flatten().map(|fd| fd.cast_unsigned()).collect();
    keep.sort_unstable();
    let mut first = 3;
    for fd in keep.into_iter().chain([u32::MAX]) {
        if fd > first {
            // SAFETY: the descriptors belong to objects of agon-box, which this copy never uses again.
            unsafe { libc::syscall(libc::SYS_close_range, first, fd - 1, 0) };
        }
        first = fd.saturating_add(1);
    }
}

/// Waits for a request, runs the program, and returns how it ended; `None` when the socket is closed.
fn run(context: &Context<'_>) -> io::Result<Option<Exit>> {
    // Exactly as large as the packet: page faults are expensive compared with a short run.
    let mut buffer = vec![0; wire::next_size(&context.socket)?];
    let request = wire::receive::<Request>(&context.socket, &mut buffer, RecvFlags::empty())?;
    let Some(packet) = request else { return Ok(None) };
    let Request::Run(run) = packet.head else { return Ok(None) };
    let (stdio, entry) = packet
        .fds
        .split_first_chunk()
        .ok_or_else(|| io::Error::other("fewer than three descriptors"))?;
    let clone_into = packet.tail == CLONE_INTO_CGROUP;
    let tasks_files = if clone_into { &[] } else { entry };
    let cgroup = entry.first().filter(|_| clone_into).map(AsFd::as_fd);
    let filter = context.filters.map(|filters| filters.program.as_slice());
    let mut program = Program::new(&run, stdio, tasks_files, filter, context)?;
    // SAFETY: `Program::start` only makes system calls, and writes only to the error of the program.
    let child = unsafe { spawn_borrowing(cgroup, start, &mut program) }?;
    drop(packet.fds);
    if let Some(error) = program.error {
        reap_until(child)?;
        let error = io::Error::from_raw_os_error(error);
        return Ok(Some(Exit::NotStarted(format!("{}: {error}", run.argv[0]))));
    }
    wire::send(&context.socket, &Event::Started, &[], &[])?;
    reap_until(child).map(Some)
}

/// Whether this is the only process of the namespace. Reaps orphans that have ended.
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

/// Makes the next process of this namespace PID 2. False if the kernel does not permit it.
fn reset_pids(last_pid: BorrowedFd<'_>) -> bool {
    rustix::io::pwrite(last_pid, b"1", 0).is_ok()
}

/// Reaps orphans until the program itself has ended.
fn reap_until(child: Pid) -> io::Result<Exit> {
    loop {
        match wait(WaitOptions::empty()) {
            Ok(Some((pid, status))) if pid == child => {
                return Ok(match (status.exit_status(), status.terminating_signal()) {
                    (Some(code), _) => Exit::Code(code),
                    (None, Some(signal)) => Exit::Signal(signal),
                    (None, None) => continue,
                });
            }
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// What the process of the program needs, prepared before it exists because it must not allocate.
struct Program<'a> {
    candidates: Vec<CString>,
    argv: Vec<*const libc::c_char>,
    envp: Vec<*const libc::c_char>,
    cwd: CString,
    stdio: [RawFd; 3],
    /// Files to write a zero to, in order to enter the cgroup of the run.
    tasks_files: Vec<RawFd>,
    filter: Option<&'a [libc::sock_filter]>,
    uid: u32,
    stack: libc::rlimit,
    file_size: u64,
    open_files: u64,
    /// The error number, if the program could not be started.
    error: Option<i32>,
    _strings: Vec<CString>,
}

impl<'a> Program<'a> {
    fn new(
        run: &wire::Run,
        stdio: &[OwnedFd; 3],
        tasks_files: &[OwnedFd],
        filter: Option<&'a [libc::sock_filter]>,
        context: &Context<'_>,
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
            tasks_files: tasks_files.iter().map(AsRawFd::as_raw_fd).collect(),
            filter,
            uid: context.uid,
            stack: stack::initial(run.limits.memory, context.max_stack),
            file_size: run.limits.file_size,
            open_files: run.limits.open_files,
            error: None,
            _strings: strings,
        })
    }

    /// Executes the program; returns only on failure. Makes system calls only.
    fn start(&self) -> io::Error {
        let last = io::Error::last_os_error;
        // SAFETY: all pointers refer to this object, which the suspended parent keeps. The raw system calls change
        // only this process, unlike the C library's wrappers, which act on all threads.
        unsafe {
            for file in &self.tasks_files {
                if libc::write(*file, c"0".as_ptr().cast(), 1) < 0 {
                    return last();
                }
            }
            // The current cgroup becomes the root that the program sees.
            if libc::unshare(libc::CLONE_NEWCGROUP) != 0 {
                return last();
            }
            if let Some(filter) = self.filter
                && let Err(error) = seccomp::install(filter)
            {
                return error;
            }
            libc::setsid();
            // Not by `set_limit`, whose query would wait for an answer of agon-box.
            libc::setrlimit(libc::RLIMIT_STACK, &raw const self.stack);
            set_limit(Resource::Fsize, self.file_size);
            set_limit(Resource::Nofile, self.open_files);
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
    // SAFETY: `run` passes a pointer to an object that no other code uses until this process has started.
    let program = unsafe { &mut *program.cast::<Program<'_>>() };
    program.error = program.start().raw_os_error();
    // SAFETY: ends this process without running the exit handlers of the parent, whose memory it shares.
    unsafe { libc::_exit(127) }
}

/// Empties all capability sets, also for a program that runs as root of a user namespace.
fn drop_capabilities() -> bool {
    const VERSION_3: u32 = 0x2008_0522;
    let header = [VERSION_3, 0];
    let sets = [0u32; 6];
    // SAFETY: the arrays have the layout of the kernel's header and two sets.
    unsafe { libc::syscall(libc::SYS_capset, header.as_ptr(), sets.as_ptr()) == 0 }
}

/// The paths to try: the given path, or the name in each directory of the program's `PATH`.
fn candidates(run: &wire::Run) -> io::Result<Vec<CString>> {
    let name = run.argv.first().ok_or_else(|| io::Error::other("argv is empty"))?;
    let path = run.env.iter().find(|(name, _)| name == "PATH").map_or("/usr/bin", |(_, path)| path);
    let paths = if name.contains('/') {
        vec![name.clone()]
    } else {
        path.split(':').map(|directory| format!("{directory}/{name}")).collect()
    };
    paths.into_iter().map(|path| CString::new(path).map_err(io::Error::from)).collect()
}
