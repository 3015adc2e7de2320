//! Who the box is: root, or root of a user namespace of its own; and what it gives up at once.

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

/// What came of becoming root.
#[derive(Debug)]
pub struct Identity {
    pub rootless: bool,
    /// The user that programs run as.
    pub uid: u32,
    pub missing: Vec<(Feature, String)>,
}

/// Becomes root of a user namespace where the process is not root yet.
pub fn become_root(uid: u32) -> io::Result<Identity> {
    if geteuid().is_root() {
        return Ok(Identity { rootless: false, uid, missing: Vec::new() });
    }
    let (outer_uid, outer_gid) = (getuid().as_raw(), getgid().as_raw());
    let helper = Helper::start(outer_uid, outer_gid)?;
    // SAFETY: the box has one thread.
    unsafe { rustix::thread::unshare_unsafe(UnshareFlags::NEWUSER) }?;
    if helper.finish() {
        return Ok(Identity { rootless: true, uid: 1, missing: Vec::new() });
    }
    fs::write("/proc/self/setgroups", "deny")?;
    fs::write("/proc/self/uid_map", format!("0 {outer_uid} 1"))?;
    fs::write("/proc/self/gid_map", format!("0 {outer_gid} 1"))?;
    let missing = "only one user id is mapped; give this user ranges in /etc/subuid and \
                   /etc/subgid and install newuidmap";
    Ok(Identity {
        rootless: true,
        uid: 0,
        missing: vec![(Feature::UserPerSlot, missing.to_owned())],
    })
}

/// Asks the system's helpers for a second user id: root is this user, programs are the first subordinate one.
/// They must be run from outside the user namespace, so this is a process from before.
struct Helper {
    child: libc::pid_t,
    go: PipeWriter,
}

impl Helper {
    fn start(uid: u32, gid: u32) -> io::Result<Helper> {
        let parent = std::process::id().to_string();
        let (mut wait, go) = io::pipe()?;
        // SAFETY: the box has one thread, so the child may do anything.
        let child = unsafe { libc::fork() };
        if child == 0 {
            let went = wait.read(&mut [0]).is_ok_and(|bytes| bytes == 1);
            let mapped = went
                && map("newuidmap", &parent, uid, "/etc/subuid")
                && map("newgidmap", &parent, gid, "/etc/subgid");
            // SAFETY: ends the child without running the box's exit handlers.
            unsafe { libc::_exit(i32::from(!mapped)) }
        }
        if child < 0 { Err(io::Error::last_os_error()) } else { Ok(Helper { child, go }) }
    }

    /// True when the ids are mapped.
    fn finish(mut self) -> bool {
        let mut status = -1;
        // SAFETY: waits for this process's own child.
        self.go.write_all(&[1]).is_ok()
            && unsafe { libc::waitpid(self.child, &raw mut status, 0) } == self.child
            && status == 0
    }
}

fn map(helper: &str, process: &str, own: u32, table: &str) -> bool {
    let Some(first) = subordinate(table) else { return false };
    let (own, first) = (own.to_string(), first.to_string());
    let command = Command::new(helper).args([process, "0", &own, "1", "1", &first, "1"]).output();
    command.is_ok_and(|output| output.status.success())
}

fn subordinate(table: &str) -> Option<u32> {
    let user = std::env::var("USER").ok()?;
    let text = fs::read_to_string(table).ok()?;
    text.lines().find_map(|line| {
        line.strip_prefix(&user)?.strip_prefix(':')?.split(':').next()?.parse().ok()
    })
}

/// Gives up what neither the box nor a program needs: all that a program could gain by executing a file, and limits that
/// are the same for all runs.
pub fn settle() {
    // SAFETY: these calls take numbers only, but for the empty group list.
    unsafe {
        for capability in 0..64 {
            if libc::prctl(libc::PR_CAPBSET_DROP, capability, 0, 0, 0) != 0 {
                break;
            }
        }
        libc::setgroups(0, std::ptr::null());
        libc::umask(0o022);
        // An ignored or blocked signal would stay so in programs.
        for signal in 1..=64 {
            libc::signal(signal, libc::SIG_DFL);
        }
        let mut none: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut none);
        libc::sigprocmask(libc::SIG_SETMASK, &raw const none, std::ptr::null_mut());
    }
    // A core of one byte is none, also where the system pipes cores to a program, which ignores a limit of zero.
    super::process::limit(Resource::Core, 1);
    for resource in [Resource::Memlock, Resource::Nice, Resource::Rtprio] {
        super::process::limit(resource, 0);
    }
}
