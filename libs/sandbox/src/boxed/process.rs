//! Making processes: the calls that Rust's library has no words for.

use rustix::process::Pid;
use std::{
    io,
    os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd},
    time::Duration,
};

/// The kernel's `struct clone_args`.
#[derive(Default)]
#[repr(C)]
struct CloneArgs {
    flags: u64,
    pidfd: u64,
    child_tid: u64,
    parent_tid: u64,
    exit_signal: u64,
    stack: u64,
    stack_size: u64,
    tls: u64,
    set_tid: u64,
    set_tid_size: u64,
    cgroup: u64,
}

const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;

/// A child, named by a descriptor that cannot come to mean another process.
#[derive(Debug)]
pub struct Child {
    pub pid: Pid,
    pub handle: OwnedFd,
}

/// Forks into a new PID and mount namespace, within a control group if one is given. `None` in the child.
///
/// The caller must have one thread, as after any fork the child has only this one.
pub fn fork_init(group: Option<BorrowedFd<'_>>) -> io::Result<Option<Child>> {
    let mut handle: RawFd = -1;
    let mut args = CloneArgs {
        flags: (libc::CLONE_NEWPID | libc::CLONE_NEWNS | libc::CLONE_PIDFD).cast_unsigned().into(),
        pidfd: (&raw mut handle) as u64,
        exit_signal: libc::SIGCHLD.cast_unsigned().into(),
        ..CloneArgs::default()
    };
    if let Some(group) = group {
        args.flags |= CLONE_INTO_CGROUP;
        args.cgroup = u64::from(group.as_raw_fd().cast_unsigned());
    }
    // SAFETY: without a stack and without sharing memory this is a fork: the child returns from the same call
    // in a copy of this process, which has one thread (and so no lock that another holds).
    let result = unsafe { libc::syscall(libc::SYS_clone3, &raw mut args, size_of::<CloneArgs>()) };
    match result {
        0 => Ok(None),
        pid if pid > 0 => {
            let pid = i32::try_from(pid)
                .ok()
                .and_then(Pid::from_raw)
                .ok_or_else(io::Error::last_os_error)?;
            // SAFETY: the kernel has just opened it for this process alone.
            Ok(Some(Child { pid, handle: unsafe { OwnedFd::from_raw_fd(handle) } }))
        }
        _ => Err(io::Error::last_os_error()),
    }
}

/// A plain fork, true in the child. The caller must have one thread.
pub fn fork() -> io::Result<bool> {
    // SAFETY: with one thread there is no lock that the child could find held.
    match unsafe { libc::fork() } {
        0 => Ok(true),
        pid if pid > 0 => Ok(false),
        _ => Err(io::Error::last_os_error()),
    }
}

/// The CPU time which this process has used.
pub fn own_cpu() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the kernel writes the given structure.
    unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &raw mut time) };
    let seconds = Duration::from_secs(u64::try_from(time.tv_sec).unwrap_or(0));
    seconds + Duration::from_nanos(u64::try_from(time.tv_nsec).unwrap_or(0))
}

impl Child {
    /// Kills it, and with an init its whole namespace.
    pub fn kill(&self) {
        rustix::process::pidfd_send_signal(&self.handle, rustix::process::Signal::KILL).ok();
    }

    /// Waits until it has ended; an init ends after everything in its namespace.
    pub fn wait(&self) -> io::Result<()> {
        use rustix::process::{WaitId, WaitIdOptions, waitid};
        use std::os::fd::AsFd;
        loop {
            match waitid(WaitId::PidFd(self.handle.as_fd()), WaitIdOptions::EXITED) {
                Err(rustix::io::Errno::INTR) => {}
                result => return Ok(result.map(drop)?),
            }
        }
    }
}

/// Runs `child` in a new process which borrows this one's memory until it executes another program or exits;
/// this process sleeps meanwhile. Returns the new process.
///
/// # Safety
/// `child` must only make system calls and write to memory that it was given: it must not allocate, unwind or
/// return to code outside it.
pub unsafe fn spawn_borrowing<T>(
    child: extern "C" fn(*mut libc::c_void) -> libc::c_int,
    data: &mut T,
) -> io::Result<Pid> {
    const STACK: usize = 64 << 10;
    let mut stack = Vec::<u128>::with_capacity(STACK / size_of::<u128>());
    let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::SIGCHLD;
    // SAFETY: the stack is large enough, aligned, and outlives the child's use of it, since CLONE_VFORK
    // suspends this process until then; the rest is the caller's promise.
    let pid = unsafe {
        let top = stack.as_mut_ptr().cast::<u8>().add(STACK);
        libc::clone(child, top.cast(), flags, (&raw mut *data).cast())
    };
    Pid::from_raw(pid).filter(|_| pid > 0).ok_or_else(io::Error::last_os_error)
}

/// Sets both values of a resource limit of this process, not above what it may have.
pub fn limit(resource: rustix::process::Resource, value: u64) {
    use rustix::process::{Rlimit, getrlimit, setrlimit};
    let most = getrlimit(resource).maximum.unwrap_or(u64::MAX);
    let value = Some(value.min(most)).filter(|value| *value != u64::MAX);
    setrlimit(resource, Rlimit { current: value, maximum: value }).ok();
}
