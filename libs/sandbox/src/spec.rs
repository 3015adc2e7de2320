//! The description of a run: program, files and limits.

use crate::config::Mount;
use std::{os::fd::OwnedFd, path::PathBuf, time::Duration};

/// One run. `RunSpec::new(["/app/main"])` has empty input, captured output and the default limits.
#[derive(Debug)]
pub struct RunSpec {
    /// The program (an absolute path, or a name looked up in the `PATH` of `env`) and its arguments.
    pub argv: Vec<String>,
    /// The complete environment.
    pub env: Vec<(String, String)>,
    pub cwd: String,
    /// Where standard input comes from.
    pub stdin: Stdin,
    /// Where standard output goes.
    pub stdout: Output,
    /// Where standard error goes.
    pub stderr: Output,
    /// What the run may use.
    pub limits: Limits,
    /// Read-only directories to mount for this run only, in addition to those of the container.
    pub mounts: Vec<Mount>,
    /// Which cores the run may use.
    pub cores: Cores,
    /// Keep the files of the previous run in `/box` and `/tmp`.
    pub keep_files: bool,
}

impl RunSpec {
    /// A run of `argv` in `/box` with a minimal environment.
    pub fn new<S: Into<String>>(argv: impl IntoIterator<Item = S>) -> RunSpec {
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        RunSpec {
            argv: argv.into_iter().map(Into::into).collect(),
            env: vec![
                pair("PATH", "/usr/local/bin:/usr/bin:/bin"),
                pair("HOME", "/box"),
                pair("LANG", "C.UTF-8"),
            ],
            cwd: "/box".to_owned(),
            stdin: Stdin::Null,
            stdout: Output::Capture { limit: 64 << 20 },
            stderr: Output::Capture { limit: 64 << 10 },
            limits: Limits::default(),
            mounts: Vec::new(),
            cores: Cores::Slot,
            keep_files: false,
        }
    }
}

/// Standard input.
#[derive(Debug)]
pub enum Stdin {
    /// `/dev/null`.
    Null,
    Bytes(Vec<u8>),
    /// A copy of a regular file of the host, so that the program learns nothing about the original.
    Path(PathBuf),
    /// A regular file inside the sandbox, such as `/box/input.txt`.
    File(String),
}

/// Standard output or error.
#[derive(Debug)]
pub enum Output {
    /// `/dev/null`; not counted against `Limits::output`.
    Null,
    /// Kept up to `limit` bytes; the rest is counted and discarded.
    Capture {
        /// The number of bytes to keep.
        limit: u64,
    },
    /// A new file under `/box`, subject to `Limits::file_size` and `Config::disk_bytes`.
    File(String),
    /// An open file or pipe of the caller; not counted against `Limits::output`.
    Fd(OwnedFd),
    /// The target of standard output; for standard error only.
    Stdout,
}

/// Resource limits of one run, for all its processes together.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Limits {
    /// CPU time of all threads and children. Applies even to a program that then exits with code 0.
    pub cpu: Duration,
    /// Elapsed time, without the time for which the program waited for a busy core.
    pub wall: Duration,
    /// Bytes of memory, including files in `/box` and `/tmp` and kernel memory; also the limit of the main stack. Other
    /// threads have stacks of 8 MiB unless the program sets another size.
    pub memory: u64,
    /// Bytes of captured standard output and error together.
    pub output: u64,
    /// The number of processes and threads at the same time.
    pub processes: u32,
    /// The size of each file in bytes.
    pub file_size: u64,
    /// The number of file descriptors of each process.
    pub open_files: u64,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            cpu: Duration::from_secs(2),
            wall: Duration::from_secs(6),
            memory: 256 << 20,
            output: 64 << 20,
            processes: 64,
            file_size: 256 << 20,
            open_files: 256,
        }
    }
}

/// Which cores a run may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cores {
    /// The core of the slot, for measured runs.
    Slot,
    /// All cores of the sandbox, for compilers.
    All,
}

/// The content of a file to create in the sandbox.
#[derive(Debug)]
pub enum Content {
    Bytes(Vec<u8>),
    /// An open file, from its current offset.
    Fd(OwnedFd),
    Path(PathBuf),
}
