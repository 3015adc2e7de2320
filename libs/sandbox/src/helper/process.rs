//! Creates processes by system calls that the standard library does not offer.

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

/// A child process with its pidfd, which is never reused for another process.
#[derive(Debug)]
pub struct Child {
    pub pid: Pid,
    pub pidfd: OwnedFd,
}

/// Forks into a new PID and mount namespace. `None` in the child.
///
/// The caller must have only one thread.
pub fn fork_init() -> io::Result<Option<Child>> {
    let mut pidfd: RawFd = -1;
    let mut args = CloneArgs {
        flags: (libc::CLONE_NEWPID | libc::CLONE_NEWNS | libc::CLONE_PIDFD).cast_unsigned().into(),
        pidfd: (&raw mut pidfd) as u64,
        exit_signal: libc::SIGCHLD.cast_unsigned().into(),
        ..CloneArgs::default()
    };
    // SAFETY: without a stack and without sharing memory this is a fork: the child returns from the same call
    // in a copy of this process, which has one thread and therefore no lock that another thread holds.
    let result = unsafe { libc::syscall(libc::SYS_clone3, &raw mut args, size_of::<CloneArgs>()) };
    match result {
        0 => Ok(None),
        pid if pid > 0 => {
            let pid = i32::try_from(pid)
                .ok()
                .and_then(Pid::from_raw)
                .ok_or_else(io::Error::last_os_error)?;
            // SAFETY: the kernel has just opened the descriptor for this call.
            Ok(Some(Child { pid, pidfd: unsafe { OwnedFd::from_raw_fd(pidfd) } }))
        }
        _ => Err(io::Error::last_os_error()),
    }
}

/// Forks; returns true in the child. The caller must have only one thread.
pub fn fork() -> io::Result<bool> {
    // SAFETY: with one thread the child cannot find a lock that another thread holds.
    match unsafe { libc::fork() } {
        0 => Ok(true),
        pid if pid > 0 => Ok(false),
        _ => Err(io::Error::last_os_error()),
    }
}

pub fn process_cpu_time() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the kernel writes to the given structure.
    unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &raw mut time) };
    let seconds = Duration::from_secs(u64::try_from(time.tv_sec).unwrap_or(0));
    seconds + Duration::from_nanos(u64::try_from(time.tv_nsec).unwrap_or(0))
}

impl Child {
    /// Kills the process; for an init, the kernel kills its whole PID namespace.
    pub fn kill(&self) {
        rustix::process::pidfd_send_signal(&self.pidfd, rustix::process::Signal::KILL).ok();
    }

    /// Waits for the end of the process. An init ends after all processes in its namespace.
    pub fn wait(&self) -> io::Result<()> {
        use rustix::process::{WaitId, WaitIdOptions, waitid};
        use std::os::fd::AsFd;
        let id = || WaitId::PidFd(self.pidfd.as_fd());
        rustix::io::retry_on_intr(|| waitid(id(), WaitIdOptions::EXITED))?;
        Ok(())
    }
}

/// Runs `child` in a new process that shares the memory of this one until it executes a program or exits; this
/// process is suspended until then. The new process is created in `cgroup`, if given. Returns its id.
///
/// # Safety
/// `child` must only make system calls and write to memory that it was given: it must not allocate or unwind.
pub unsafe fn spawn_borrowing<T>(
    cgroup: Option<BorrowedFd<'_>>,
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
    if let Some(cgroup) = cgroup {
        args.flags |= CLONE_INTO_CGROUP;
        args.cgroup = u64::from(cgroup.as_raw_fd().cast_unsigned());
    }
    // SAFETY: the stack is large enough, aligned, and outlives the child's use of it, since CLONE_VFORK suspends
    // this process until then. The caller guarantees the rest.
    let result = unsafe { clone3_calling(&args, child, (&raw mut *data).cast()) };
    match i32::try_from(result).ok().and_then(Pid::from_raw) {
        Some(pid) if result > 0 => Ok(pid),
        _ => Err(io::Error::from_raw_os_error(i32::try_from(-result).unwrap_or(libc::EINVAL))),
    }
}

/// Calls `clone3`; the child calls a function on its own stack. Returns the child's id or the negated error number.
///
/// # Safety
/// The arguments must contain a stack, and the function must be safe to call in the process that they describe.
unsafe fn clone3_calling(
    args: &CloneArgs,
    child: extern "C" fn(*mut libc::c_void) -> !,
    data: *mut libc::c_void,
) -> i64 {
    let result: i64;
    // SAFETY: for the parent this is a system call. The child continues after it on an empty, aligned stack and
    // never returns from the function.
    unsafe {
        #[cfg(target_arch = "x86_64")]
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
        #[cfg(target_arch = "aarch64")]
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

/// Sets the soft and hard limit of a resource for this process, at most to the current hard limit.
pub fn set_limit(resource: rustix::process::Resource, value: u64) {
    use rustix::process::{Rlimit, getrlimit, setrlimit};
    let hard_limit = getrlimit(resource).maximum.unwrap_or(u64::MAX);
    let value = Some(value.min(hard_limit)).filter(|value| *value != u64::MAX);
    setrlimit(resource, Rlimit { current: value, maximum: value }).ok();
}
