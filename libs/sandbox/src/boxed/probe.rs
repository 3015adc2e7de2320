//! What the self-test runs inside a container: this same executable, so that it needs nothing of the machine.

use super::process;
use rustix::process::{WaitOptions, wait};
use serde::{Deserialize, Serialize};
use std::{
    fs,
    hint::black_box,
    io,
    time::{Duration, Instant},
};

/// What a program sees of the machine and of itself.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Look {
    /// The lines of `/proc/self/status` that name what it may do.
    pub status: Vec<(String, String)>,
    /// Files that should not be there, and are.
    pub visible: Vec<String>,
    /// Files outside of its directories that it could make.
    pub writable: Vec<String>,
    /// Socket families that it could open.
    pub sockets: Vec<String>,
    /// Other processes in sight.
    pub processes: usize,
    pub cores: u32,
    pub descriptors: usize,
}

/// Runs the named probe; the result is its exit code.
pub fn main(name: &str, argument: &str) -> i32 {
    let number = argument.parse().unwrap_or(0);
    match name {
        "look" => look(),
        "memory" => touch(number),
        "processes" => return processes(number),
        "spin" => spin(Duration::from_millis(number)),
        "sleep" => std::thread::sleep(Duration::from_millis(number)),
        // SAFETY: asks for what is forbidden, and touches no memory if it were not.
        "trace" => unsafe {
            libc::syscall(libc::SYS_ptrace, libc::PTRACE_TRACEME, 0, 0, 0);
        },
        _ => return 64,
    }
    0
}

fn look() {
    let secrets = [
        "/etc/shadow",
        "/root",
        "/home",
        "/var",
        "/sys",
        "/proc/1/mem",
        "/proc/cpuinfo",
        "/dev/kmsg",
    ];
    let foreign = ["/usr", "/etc", "/dev", "/app", ""];
    let made = |place: &&&str| fs::write(format!("{place}/made"), "").is_ok();
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let wanted = ["Uid", "NoNewPrivs", "Seccomp", "CapPrm", "CapBnd", "CapAmb"];
    let status = status.lines().filter_map(|line| line.split_once(":\t"));
    let numeric = |name: &str| name.bytes().all(|byte| byte.is_ascii_digit());
    let look = Look {
        status: status
            .filter(|(name, _)| wanted.contains(name))
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect(),
        visible: owned(secrets.iter().filter(|path| fs::symlink_metadata(path).is_ok())),
        writable: owned(foreign.iter().filter(made)),
        sockets: sockets(),
        processes: names("/proc").filter(|name| numeric(name)).count().saturating_sub(1),
        cores: rustix::thread::sched_getaffinity(None).map_or(0, |cores| cores.count()),
        // The directory that is being read is one itself.
        descriptors: names("/proc/self/fd").count().saturating_sub(1),
    };
    println!("{}", serde_json::to_string(&look).unwrap_or_default());
}

fn owned<'a>(found: impl Iterator<Item = &'a &'a str>) -> Vec<String> {
    found.map(|path| (*path).to_owned()).collect()
}

fn names(directory: &str) -> impl Iterator<Item = String> + use<> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().into_string().ok())
}

fn sockets() -> Vec<String> {
    let families = [
        ("internet", libc::AF_INET),
        ("internet 6", libc::AF_INET6),
        ("netlink", libc::AF_NETLINK),
        ("packet", libc::AF_PACKET),
        ("vsock", libc::AF_VSOCK),
    ];
    let opens = |family| {
        [libc::SOCK_STREAM, libc::SOCK_DGRAM, libc::SOCK_RAW].iter().any(|kind| {
            // SAFETY: takes numbers only; what is opened is left to the end of the process.
            unsafe { libc::socket(family, *kind, 0) >= 0 }
        })
    };
    let open = families.iter().filter(|(_, family)| opens(*family));
    open.map(|(name, _)| (*name).to_owned()).collect()
}

fn touch(bytes: u64) {
    let mut memory = vec![0_u8; usize::try_from(bytes).unwrap_or(usize::MAX)];
    for page in memory.chunks_mut(4096) {
        page[0] = 1;
    }
    black_box(&memory);
}

/// Starts children that sleep, until that is refused or there are `most`; the result is their number.
fn processes(most: u64) -> i32 {
    let mut count = 0;
    while u64::from(count) < most {
        match process::fork() {
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

/// Uses a time of CPU, half of it in a child, and says how much it was by the process's own clocks.
fn spin(time: Duration) {
    let child = process::fork().is_ok_and(|child| child);
    let began = process::own_cpu();
    while process::own_cpu() - began < time / 2 {
        black_box(Instant::now());
    }
    if child {
        return;
    }
    while !matches!(wait(WaitOptions::empty()), Err(rustix::io::Errno::CHILD)) {}
    println!("{}", (process::own_cpu() + children_cpu()).as_nanos());
}

fn children_cpu() -> Duration {
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

/// Reads what [`look`] printed.
pub fn parse(text: &[u8]) -> io::Result<Look> {
    Ok(serde_json::from_slice(text)?)
}
