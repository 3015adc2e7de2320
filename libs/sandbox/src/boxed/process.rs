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

/// Forks into a new PID and mount namespace. `None` in the child.
///
/// The caller must have one thread, as after any fork the child has only this one.
pub fn fork_init() -> io::Result<Option<Child>> {
    let mut handle: RawFd = -1;
    let mut args = CloneArgs {
        flags: (libc::CLONE_NEWPID | libc::CLONE_NEWNS | libc::CLONE_PIDFD).cast_unsigned().into(),
        pidfd: (&raw mut handle) as u64,
        exit_signal: libc::SIGCHLD.cast_unsigned().into(),
        ..CloneArgs::default()
    };
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
/// this process sleeps meanwhile. It is born in a control group, if one is given. Returns the new process.
///
/// # Safety
/// `child` must only make system calls and write to memory that it was given: it must not allocate or unwind.
pub unsafe fn spawn_borrowing<T>(
    group: Option<BorrowedFd<'_>>,
    child: extern "C" fn(*mut libc::c_void) -> !,
    data: &mut T,
) -> io::Result<Pid> {
    const STACK: usize = 64 << 10;
    let mut stack = Vec::<u128>::with_capacity(STACK / size_of::<u128>());
    let mut args = CloneArgs {
        flags: (libc::CLONE_VM | libc::CLONE_VFORK).cast_unsigned().into(),
        exit_signal: libc::SIGCHLD.cast_unsigned().into(),
        stack: stack.as_mut_ptr() as u64,
        stack_size: STACK as u64,
        ..CloneArgs::default()
    };
    if let Some(group) = group {
        args.flags |= CLONE_INTO_CGROUP;
        args.cgroup = u64::from(group.as_raw_fd().cast_unsigned());
    }
    // SAFETY: the stack is large enough, aligned, and outlives the child's use of it, since CLONE_VFORK
    // suspends this process until then; the rest is the caller's promise.
    let result = unsafe { clone3_calling(&args, child, (&raw mut *data).cast()) };
    match i32::try_from(result).ok().and_then(Pid::from_raw) {
        Some(pid) if result > 0 => Ok(pid),
        _ => Err(io::Error::from_raw_os_error(i32::try_from(-result).unwrap_or(libc::EINVAL))),
    }
}

/// `clone3` whose child, on its own stack, calls a function; no library offers that. Gives the child's number
/// or the negated error.
///
/// # Safety
/// The arguments must name a stack, and the function must be fit for the process that they describe.
#[cfg(target_arch = "x86_64")]
unsafe fn clone3_calling(
    args: &CloneArgs,
    child: extern "C" fn(*mut libc::c_void) -> !,
    data: *mut libc::c_void,
) -> i64 {
    let result: i64;
    // SAFETY: the parent sees a system call. The child begins behind it on an empty, aligned stack and never
    // leaves the function it calls.
    unsafe {
        std::arch::asm!(
            "syscall",
            "test rax, rax",
            "jnz 2f",
            "xor ebp, ebp",
            "mov rdi, r8",
            "call r9",
            "ud2",
            "2:",
            inlateout("rax") libc::SYS_clone3 => result,
            in("rdi") args,
            in("rsi") size_of::<CloneArgs>(),
            in("r8") data,
            in("r9") child,
            lateout("rcx") _,
            lateout("r11") _,
        );
    }
    result
}

/// As on the other architecture.
#[cfg(target_arch = "aarch64")]
unsafe fn clone3_calling(
    args: &CloneArgs,
    child: extern "C" fn(*mut libc::c_void) -> !,
    data: *mut libc::c_void,
) -> i64 {
    let result: i64;
    // SAFETY: as on the other architecture.
    unsafe {
        std::arch::asm!(
            "svc 0",
            "cbnz x0, 2f",
            "mov x29, xzr",
            "mov x0, x9",
            "blr x10",
            "brk 1",
            "2:",
            inlateout("x0") args => result,
            in("x1") size_of::<CloneArgs>(),
            in("x8") libc::SYS_clone3,
            in("x9") data,
            in("x10") child,
        );
    }
    result
}

/// Sets both values of a resource limit of this process, not above what it may have.
pub fn limit(resource: rustix::process::Resource, value: u64) {
    use rustix::process::{Rlimit, getrlimit, setrlimit};
    let most = getrlimit(resource).maximum.unwrap_or(u64::MAX);
    let value = Some(value.min(most)).filter(|value| *value != u64::MAX);
    setrlimit(resource, Rlimit { current: value, maximum: value }).ok();
}
