//! What to run, with which files and limits.

use crate::config::Mount;
use std::{os::fd::OwnedFd, path::PathBuf, time::Duration};

/// One run. `RunSpec::new(["/app/main"])` has an empty input, captured output and the default limits.
#[derive(Debug)]
pub struct RunSpec {
    /// The program (an absolute path, or a name looked up in the `PATH` of `env`) and its arguments.
    pub argv: Vec<String>,
    /// The whole environment.
    pub env: Vec<(String, String)>,
    /// The working directory.
    pub cwd: String,
    /// Where standard input comes from.
    pub stdin: Stdin,
    /// Where standard output goes.
    pub stdout: Output,
    /// Where standard error goes.
    pub stderr: Output,
    /// What the run may use.
    pub limits: Limits,
    /// Read-only directories shown for this run besides the container's own: exactly these, so that a later
    /// run without them does not see them.
    pub mounts: Vec<Mount>,
    /// Which cores the run may use.
    pub cores: Cores,
    /// Start with the files which the run before left, for work in several steps.
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
    /// These bytes.
    Bytes(Vec<u8>),
    /// An open file; its offset must not be shared with another run.
    Fd(OwnedFd),
    /// A file of the host, opened for this run.
    Path(PathBuf),
    /// A regular file inside the sandbox, such as `/box/input.txt`.
    File(String),
}

/// Standard output or error.
#[derive(Debug)]
pub enum Output {
    /// `/dev/null`; not counted.
    Null,
    /// Kept up to `limit` bytes (what comes after is counted and dropped).
    Capture {
        /// How many bytes to keep.
        limit: u64,
    },
    /// A new file under `/box`; bounded by the file size limit and the disk's size.
    File(String),
    /// An open file or pipe of the caller; not counted.
    Fd(OwnedFd),
    /// Standard error only: the same place as standard output.
    Stdout,
}

/// What one run may use, all its processes together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// CPU time of all threads and children. A run which used more is [`crate::Limit::Cpu`], even if it ended well.
    pub cpu: Duration,
    /// Time on the clock, apart from what the program spent waiting for a core that others kept busy.
    pub wall: Duration,
    /// Memory, with what is written to `/box` and `/tmp`, and the kernel's part; no swap. Also the limit of the stack.
    pub memory: u64,
    /// Bytes on captured standard output and error together.
    pub output: u64,
    /// Processes and threads at a time.
    pub processes: u32,
    /// Size of any one file.
    pub file_size: u64,
    /// File descriptors of any one process.
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

impl Limits {
    /// Limits for a CPU limit, with the usual wall limit: `max(3 * cpu, cpu + 2 s)`.
    pub fn cpu(cpu: Duration) -> Limits {
        Limits { cpu, wall: (cpu * 3).max(cpu + Duration::from_secs(2)), ..Limits::default() }
    }
}

/// Which cores a run may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cores {
    /// The one core of the slot: for measured runs.
    Slot,
    /// All cores of the sandbox: for compilers.
    All,
}

/// The content of a file to put into the sandbox.
#[derive(Debug)]
pub enum Content {
    /// These bytes.
    Bytes(Vec<u8>),
    /// The rest of an open file.
    Fd(OwnedFd),
    /// A file of the host.
    Path(PathBuf),
}
