//! What a run did.

use std::{
    fs::File,
    io::{self, Cursor, Read, Seek, SeekFrom},
    time::Duration,
};

/// How a run ended, and what it used.
#[derive(Debug)]
pub struct Outcome {
    /// How the program ended.
    pub exit: Exit,
    /// The limit which was exceeded first, if any. It decides over `exit`: a program that used more CPU than
    /// allowed is at its limit even if it ended well.
    pub limit: Option<Limit>,
    /// A forbidden action for which the program was killed.
    pub violation: Option<Violation>,
    /// CPU time of all processes of the run.
    pub cpu_time: Duration,
    /// Time on the clock from start to the end of the last process.
    pub wall_time: Duration,
    /// The highest memory use of all processes together, in bytes.
    pub memory_peak: u64,
    /// Bytes written to captured outputs, kept or not.
    pub output_bytes: u64,
    /// Whether starting a process or thread was refused for the limit of processes.
    pub processes_refused: bool,
    /// Captured standard output.
    pub stdout: Capture,
    /// Captured standard error.
    pub stderr: Capture,
}

impl Outcome {
    /// Ended by itself with code 0, within all limits.
    pub fn is_success(&self) -> bool {
        self.exit == Exit::Code(0) && self.limit.is_none() && self.violation.is_none()
    }
}

/// How the program (not its children) ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Exit {
    /// It returned this code.
    Code(i32),
    /// This signal ended it.
    Signal(i32),
    /// The sandbox ended it, for a limit.
    Killed,
    /// It could not be started: no such file, not executable, not for this machine.
    NotStarted(String),
}

/// A limit of [`crate::Limits`]. When several were exceeded, the one that was noticed first counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Limit {
    /// `Limits::cpu`.
    Cpu,
    /// `Limits::wall`.
    Wall,
    /// `Limits::memory`: the kernel found no memory within the limit and killed.
    Memory,
    /// `Limits::output`, or a file reached `Limits::file_size`.
    Output,
}

/// Something for which a program is killed at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Violation {
    /// A system call that no honest program makes (such as `ptrace` or `mount`), or one of another architecture.
    SystemCall,
}

/// Captured output: in memory when small, otherwise in an anonymous file.
#[derive(Debug, Default)]
pub struct Capture {
    pub(crate) small: Vec<u8>,
    pub(crate) large: Option<File>,
    pub(crate) kept: u64,
    pub(crate) total: u64,
}

impl Capture {
    /// Bytes kept.
    pub fn len(&self) -> u64 {
        self.kept
    }

    /// Nothing was kept.
    pub fn is_empty(&self) -> bool {
        self.kept == 0
    }

    /// Bytes written by the program, kept or not.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// Something was dropped.
    pub fn is_truncated(&self) -> bool {
        self.total > self.kept
    }

    /// Reads what was kept, from its start.
    pub fn reader(&mut self) -> io::Result<Box<dyn Read + Send + '_>> {
        match &mut self.large {
            Some(file) => {
                file.seek(SeekFrom::Start(0))?;
                Ok(Box::new(file))
            }
            None => Ok(Box::new(Cursor::new(self.small.as_slice()))),
        }
    }

    /// All that was kept.
    pub fn into_bytes(mut self) -> io::Result<Vec<u8>> {
        if self.large.is_none() {
            return Ok(self.small);
        }
        let mut bytes = Vec::with_capacity(usize::try_from(self.kept).unwrap_or(0));
        self.reader()?.read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    /// What was kept, as text, wrong UTF-8 replaced.
    pub fn into_text(self) -> io::Result<String> {
        Ok(String::from_utf8_lossy(&self.into_bytes()?).into_owned())
    }
}
