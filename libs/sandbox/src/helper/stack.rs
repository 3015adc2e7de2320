//! The stack limit that programs are told.
//!
//! The main stack may grow up to the memory limit. The C library uses the same limit as the default size of the stack of
//! each thread, and reads it once, when a program starts. So the system-call filter forwards queries of this limit to
//! agon-box, which answers with an ordinary limit. The kernel enforces the real one. A program that sets its own limit is
//! told that.

use super::run::read_small;
use rustix::fs::{Mode, OFlags, openat};
use std::{
    io,
    os::fd::{AsRawFd, BorrowedFd},
};

/// The limit that programs are told, in bytes: the default of most systems.
const TOLD: u64 = 8 << 20;
/// Distinguishes the initial limit from one that a program sets itself, such as the memory limit.
const MARK: u64 = 4096;

/// The initial limit of a program, soft and hard. `maximum` is the hard limit of agon-box.
pub fn initial(memory: u64, maximum: u64) -> libc::rlimit {
    let hard = memory.min(maximum);
    libc::rlimit { rlim_cur: hard.saturating_sub(MARK), rlim_max: hard }
}

/// The hard limit of this process.
pub fn maximum() -> u64 {
    use rustix::process::{Resource, getrlimit};
    getrlimit(Resource::Stack).maximum.unwrap_or(u64::MAX)
}

/// Answers a query that waits at the listener of the filter. `proc_dir` is the host's `/proc`.
pub fn answer(listener: BorrowedFd<'_>, proc_dir: BorrowedFd<'_>, initial: libc::rlimit) {
    // SAFETY: the kernel requires a zeroed structure, for which all zeroes are valid, and fills it.
    let query = unsafe {
        let mut query: libc::seccomp_notif = std::mem::zeroed();
        if libc::ioctl(listener.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_RECV, &raw mut query) != 0 {
            // The process has been killed.
            return;
        }
        query
    };
    let told = tell(&query, listener, proc_dir, initial).unwrap_or(false);
    // Otherwise the kernel answers.
    let flags = if told { 0 } else { libc::SECCOMP_USER_NOTIF_FLAG_CONTINUE };
    let flags = u32::try_from(flags).unwrap_or(0);
    let mut reply = libc::seccomp_notif_resp { id: query.id, val: 0, error: 0, flags };
    // SAFETY: the kernel reads the structure. It fails if the process has been killed, which needs no reply.
    unsafe { libc::ioctl(listener.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_SEND, &raw mut reply) };
}

/// Writes the limit to the memory of the process. False if the process asked for another one's limit, or has changed its
/// own.
fn tell(
    query: &libc::seccomp_notif,
    listener: BorrowedFd<'_>,
    proc_dir: BorrowedFd<'_>,
    initial: libc::rlimit,
) -> io::Result<bool> {
    let [process, _, _, address, ..] = query.data.args;
    if process != 0 || address == 0 {
        return Ok(false);
    }
    if current_limit(proc_dir, query.pid) != Some(initial.rlim_cur) {
        return Ok(false);
    }
    let name = format!("{}/mem", query.pid);
    let memory = openat(proc_dir, name, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty())?;
    let fd = listener.as_raw_fd();
    // The process could have been killed, and its id reused, before its memory was opened.
    // SAFETY: the kernel reads the id.
    if unsafe { libc::ioctl(fd, libc::SECCOMP_IOCTL_NOTIF_ID_VALID, &raw const query.id) } != 0 {
        return Ok(false);
    }
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&TOLD.min(initial.rlim_cur).to_ne_bytes());
    bytes[8..].copy_from_slice(&initial.rlim_max.to_ne_bytes());
    Ok(rustix::io::pwrite(memory, &bytes, address)? == bytes.len())
}

/// The soft limit of a process, unless it is unlimited. `prlimit` would require a privilege that agon-box may lack.
fn current_limit(proc_dir: BorrowedFd<'_>, process: u32) -> Option<u64> {
    let text = read_small(proc_dir, &format!("{process}/limits"))?;
    let line = text.lines().find_map(|line| line.strip_prefix("Max stack size"))?;
    line.split_whitespace().next()?.parse().ok()
}
