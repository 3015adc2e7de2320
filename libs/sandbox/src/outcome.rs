//! The result of a run.

use std::{
    fmt,
    fs::File,
    io::{self, Cursor, Read, Seek, SeekFrom},
    time::Duration,
};

/// How a run ended, and which resources it used.
#[derive(Debug)]
pub struct Outcome {
    /// How the program ended.
    pub exit: Exit,
    /// The limit that was exceeded first, if any. It takes precedence over `exit`: a program that exits with
    /// code 0 after using too much CPU time has exceeded its limit.
    pub limit: Option<Limit>,
    /// A forbidden action for which the program was killed.
    pub violation: Option<Violation>,
    /// CPU time of all processes of the run.
    pub cpu_time: Duration,
    /// Elapsed time from the start of the program to the end of the last process.
    pub wall_time: Duration,
    /// Peak memory of all processes together, in bytes.
    pub memory_peak: u64,
    /// Bytes written to captured outputs, including discarded ones.
    pub output_bytes: u64,
    /// Whether the process limit prevented the start of a process or thread.
    pub processes_refused: bool,
    pub stdout: Capture,
    pub stderr: Capture,
}

impl Outcome {
    /// Whether the program exited with code 0, within all limits.
    pub fn is_success(&self) -> bool {
        self.exit == Exit::Code(0) && self.limit.is_none() && self.violation.is_none()
    }
}

/// How the program (not its children) ended.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Exit {
    Code(i32),
    Signal(i32),
    /// The sandbox killed it, because of a limit or a cancellation.
    Killed,
    /// It could not be started: missing, not executable, or for another architecture.
    NotStarted(String),
}

/// Completes "the program …".
impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Code(code) => write!(f, "exited with code {code}"),
            Self::Signal(signal) => {
                write!(f, "was terminated by signal {signal}{}", signal_name(*signal))
            }
            Self::Killed => f.write_str("was killed"),
            Self::NotStarted(why) => write!(f, "could not be started: {why}"),
        }
    }
}

fn signal_name(signal: i32) -> &'static str {
    match signal {
        4 => " (SIGILL)",
        6 => " (SIGABRT)",
        7 => " (SIGBUS)",
        8 => " (SIGFPE)",
        9 => " (SIGKILL)",
        11 => " (SIGSEGV)",
        13 => " (SIGPIPE)",
        15 => " (SIGTERM)",
        31 => " (SIGSYS)",
        _ => "",
    }
}

/// A limit of [`crate::Limits`]. When several are exceeded, the one detected first is reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Limit {
    /// `Limits::cpu`.
    Cpu,
    /// `Limits::wall`.
    Wall,
    /// `Limits::memory`: the OOM killer killed a process.
    Memory,
    /// `Limits::output` or `Limits::file_size`.
    Output,
}

/// A forbidden action for which a program is killed immediately.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Violation {
    /// A system call such as `ptrace` or `mount`, or one of another architecture.
    SystemCall,
}

/// Captured output, in memory or in an anonymous file depending on its size.
#[derive(Debug, Default)]
pub struct Capture {
    pub(crate) small: Vec<u8>,
    pub(crate) large: Option<File>,
    pub(crate) kept: u64,
    pub(crate) total: u64,
}

impl Capture {
    /// The number of bytes kept.
    pub fn len(&self) -> u64 {
        self.kept
    }

    /// Whether no byte was kept.
    pub fn is_empty(&self) -> bool {
        self.kept == 0
    }

    /// The number of bytes that the program wrote, including discarded ones.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// A reader over the kept bytes, from the start.
    pub fn reader(&mut self) -> io::Result<Box<dyn Read + Send + '_>> {
        match &mut self.large {
            Some(file) => {
                file.seek(SeekFrom::Start(0))?;
                Ok(Box::new(file))
            }
            None => Ok(Box::new(Cursor::new(self.small.as_slice()))),
        }
    }

    /// All kept bytes.
    pub fn into_bytes(mut self) -> io::Result<Vec<u8>> {
        if self.large.is_none() {
            return Ok(self.small);
        }
        let mut bytes = Vec::with_capacity(usize::try_from(self.kept).unwrap_or(0));
        self.reader()?.read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    /// The kept bytes as text; invalid UTF-8 is replaced.
    pub fn into_text(self) -> io::Result<String> {
        Ok(String::from_utf8_lossy(&self.into_bytes()?).into_owned())
    }
}
