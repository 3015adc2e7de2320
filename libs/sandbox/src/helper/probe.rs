//! The programs that the self-test runs in a container. They are part of this executable, so that the self-test
//! does not depend on the installed programs.

use super::process::{fork, process_cpu_time};
use rustix::process::{WaitOptions, wait};
use serde::{Deserialize, Serialize};
use std::{
    fs,
    hint::black_box,
    io,
    time::{Duration, Instant},
};

#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Inspection {
    /// The lines of `/proc/self/status` about privileges.
    pub status: Vec<(String, String)>,
    /// Visible files that should be hidden.
    pub visible: Vec<String>,
    /// Directories that should be read-only but are writable.
    pub writable: Vec<String>,
    /// Socket families, other than local ones, that can be opened.
    pub sockets: Vec<String>,
    pub processes: usize,
    pub cores: u32,
    pub descriptors: usize,
}

/// Runs the named probe and returns the exit code.
pub fn main(name: &str, argument: &str) -> i32 {
    let number = argument.parse().unwrap_or(0);
    match name {
        "inspect" => inspect(),
        "memory" => allocate(number),
        "processes" => return start_children(number),
        "spin" => spin(Duration::from_millis(number)),
        "sleep" => std::thread::sleep(Duration::from_millis(number)),
        // SAFETY: the call does not access memory, even if it is not forbidden.
        "ptrace" => unsafe {
            libc::syscall(libc::SYS_ptrace, libc::PTRACE_TRACEME, 0, 0, 0);
        },
        _ => return 64,
    }
    0
}

fn inspect() {
    let hidden = [
        "/etc/shadow",
        "/root",
        "/home",
        "/var",
        "/sys",
        "/proc/1/mem",
        "/proc/cpuinfo",
        "/dev/kmsg",
    ];
    let read_only = ["/usr", "/etc", "/dev", "/app", ""];
    let is_writable = |dir: &&&str| fs::write(format!("{dir}/probe"), "").is_ok();
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let wanted = ["Uid", "NoNewPrivs", "Seccomp", "CapPrm", "CapBnd", "CapAmb"];
    let status = status.lines().filter_map(|line| line.split_once(":\t"));
    let numeric = |name: &str| name.bytes().all(|byte| byte.is_ascii_digit());
    let inspection = Inspection {
        status: status
            .filter(|(name, _)| wanted.contains(name))
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect(),
        visible: owned(hidden.iter().filter(|path| fs::symlink_metadata(path).is_ok())),
        writable: owned(read_only.iter().filter(is_writable)),
        sockets: open_sockets(),
        processes: names("/proc").filter(|name| numeric(name)).count().saturating_sub(1),
        cores: rustix::thread::sched_getaffinity(None).map_or(0, |cores| cores.count()),
        // Without the descriptor of the directory itself.
        descriptors: names("/proc/self/fd").count().saturating_sub(1),
    };
    println!("{}", serde_json::to_string(&inspection).unwrap_or_default());
}

fn owned<'a>(found: impl Iterator<Item = &'a &'a str>) -> Vec<String> {
    found.map(|path| (*path).to_owned()).collect()
}

fn names(directory: &str) -> impl Iterator<Item = String> + use<> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().into_string().ok())
}

fn open_sockets() -> Vec<String> {
    let families = [
        ("internet", libc::AF_INET),
        ("internet 6", libc::AF_INET6),
        ("netlink", libc::AF_NETLINK),
        ("packet", libc::AF_PACKET),
        ("vsock", libc::AF_VSOCK),
    ];
    let opens = |family| {
        [libc::SOCK_STREAM, libc::SOCK_DGRAM, libc::SOCK_RAW].iter().any(|kind| {
            // SAFETY: takes numbers only. The end of the process closes the socket.
            unsafe { libc::socket(family, *kind, 0) >= 0 }
        })
    };
    let open = families.iter().filter(|(_, family)| opens(*family));
    open.map(|(name, _)| (*name).to_owned()).collect()
}

fn allocate(bytes: u64) {
    let mut memory = vec![0_u8; usize::try_from(bytes).unwrap_or(usize::MAX)];
    for page in memory.chunks_mut(4096) {
        page[0] = 1;
    }
    black_box(&memory);
}

/// Starts up to `limit` children that sleep, until starting one fails. Returns their number.
fn start_children(limit: u64) -> i32 {
    let mut count = 0;
    while u64::from(count) < limit {
        match fork() {
            Ok(true) => {
                std::thread::sleep(Duration::from_secs(60));
                break;
            }
            Ok(false) => count += 1_u8,
            Err(_) => break,
        }
    }
    i32::from(count)
}

/// Uses CPU time, half of it in a child, and prints the nanoseconds that the clocks of both processes measured.
fn spin(time: Duration) {
    let child = fork().is_ok_and(|child| child);
    let began = process_cpu_time();
    while process_cpu_time() - began < time / 2 {
        black_box(Instant::now());
    }
    if child {
        return;
    }
    while !matches!(wait(WaitOptions::empty()), Err(rustix::io::Errno::CHILD)) {}
    println!("{}", (process_cpu_time() + children_cpu_time()).as_nanos());
}

fn children_cpu_time() -> Duration {
    // SAFETY: the kernel fills the structure, for which all zeroes are valid.
    let usage = unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        libc::getrusage(libc::RUSAGE_CHILDREN, &raw mut usage);
        usage
    };
    let time = |time: libc::timeval| {
        let micros = time.tv_sec * 1_000_000 + time.tv_usec;
        Duration::from_micros(u64::try_from(micros).unwrap_or(0))
    };
    time(usage.ru_utime) + time(usage.ru_stime)
}

/// Parses the output of the probe `inspect`.
pub fn parse(text: &[u8]) -> io::Result<Inspection> {
    Ok(serde_json::from_slice(text)?)
}
