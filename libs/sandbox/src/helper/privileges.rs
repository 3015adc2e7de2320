//! The identity of agon-box (root, or root of a user namespace), and the privileges that it drops at start.

use crate::Feature;
use rustix::{
    process::{Resource, geteuid, getgid, getuid},
    thread::UnshareFlags,
};
use std::{
    fs,
    io::{self, PipeWriter, Read, Write},
    process::Command,
};

#[derive(Debug)]
pub struct Identity {
    pub rootless: bool,
    /// The user id of programs.
    pub uid: u32,
    pub missing: Vec<(Feature, String)>,
}

/// Creates a user namespace and becomes its root, unless the process is already root.
pub fn become_root(uid: u32) -> io::Result<Identity> {
    if geteuid().is_root() {
        return Ok(Identity { rootless: false, uid, missing: Vec::new() });
    }
    let (outer_uid, outer_gid) = (getuid().as_raw(), getgid().as_raw());
    let mapper = IdMapper::spawn(outer_uid, outer_gid)?;
    // SAFETY: agon-box has one thread.
    unsafe { rustix::thread::unshare_unsafe(UnshareFlags::NEWUSER) }?;
    if mapper.run() {
        return Ok(Identity { rootless: true, uid: 1, missing: Vec::new() });
    }
    fs::write("/proc/self/setgroups", "deny")?;
    fs::write("/proc/self/uid_map", format!("0 {outer_uid} 1"))?;
    fs::write("/proc/self/gid_map", format!("0 {outer_gid} 1"))?;
    let missing = "only one user id is mapped; add ranges for this user to /etc/subuid and \
                   /etc/subgid, and install newuidmap";
    Ok(Identity {
        rootless: true,
        uid: 0,
        missing: vec![(Feature::UserPerSlot, missing.to_owned())],
    })
}

/// A child process that runs `newuidmap` and `newgidmap`: root maps to this user, and user 1 (programs) to the
/// first subordinate id. It starts before the user namespace exists, because they must run outside of it.
struct IdMapper {
    child: libc::pid_t,
    start: PipeWriter,
}

impl IdMapper {
    fn spawn(uid: u32, gid: u32) -> io::Result<IdMapper> {
        let parent = std::process::id().to_string();
        let (mut started, start) = io::pipe()?;
        // SAFETY: agon-box has one thread, so the child may call any function.
        let child = unsafe { libc::fork() };
        if child == 0 {
            let is_started = started.read(&mut [0]).is_ok_and(|bytes| bytes == 1);
            let mapped = is_started
                && map("newuidmap", &parent, uid, "/etc/subuid")
                && map("newgidmap", &parent, gid, "/etc/subgid");
            // SAFETY: ends the child without running the exit handlers of agon-box.
            unsafe { libc::_exit(i32::from(!mapped)) }
        }
        if child < 0 { Err(io::Error::last_os_error()) } else { Ok(IdMapper { child, start }) }
    }

    /// Maps the ids. Returns false if that failed.
    fn run(mut self) -> bool {
        let mut status = -1;
        // SAFETY: waits for a child of this process.
        self.start.write_all(&[1]).is_ok()
            && unsafe { libc::waitpid(self.child, &raw mut status, 0) } == self.child
            && status == 0
    }
}

fn map(helper: &str, process: &str, own: u32, table: &str) -> bool {
    let Some(first) = first_subordinate_id(table) else { return false };
    let (own, first) = (own.to_string(), first.to_string());
    let command = Command::new(helper).args([process, "0", &own, "1", "1", &first, "1"]).output();
    command.is_ok_and(|output| output.status.success())
}

fn first_subordinate_id(table: &str) -> Option<u32> {
    let user = std::env::var("USER").ok()?;
    let text = fs::read_to_string(table).ok()?;
    text.lines().find_map(|line| {
        line.strip_prefix(&user)?.strip_prefix(':')?.split(':').next()?.parse().ok()
    })
}

/// Drops privileges that a program could gain by executing a file, resets inherited signal state, and sets the
/// resource limits that are the same for all runs.
pub fn drop_unneeded() {
    // SAFETY: these calls take numbers, an empty group list, and an initialised signal set.
    unsafe {
        for capability in 0..64 {
            if libc::prctl(libc::PR_CAPBSET_DROP, capability, 0, 0, 0) != 0 {
                break;
            }
        }
        libc::setgroups(0, std::ptr::null());
        libc::umask(0o022);
        // Programs inherit ignored and blocked signals.
        for signal in 1..=64 {
            libc::signal(signal, libc::SIG_DFL);
        }
        let mut none: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut none);
        libc::sigprocmask(libc::SIG_SETMASK, &raw const none, std::ptr::null_mut());
    }
    // No core dumps. A limit of one byte also works where cores are piped to a program, which ignores zero.
    super::process::set_limit(Resource::Core, 1);
    for resource in [Resource::Memlock, Resource::Nice, Resource::Rtprio] {
        super::process::set_limit(resource, 0);
    }
}
