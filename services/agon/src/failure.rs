//! How the program says that it failed.

use std::fmt;
use std::process::ExitCode;

use tonic::{Code, Status};

/// A message for a person, and the exit code (of sysexits.h, where one fits).
#[derive(Debug)]
pub struct Failure {
    message: String,
    code: u8,
}

impl Failure {
    /// Anything that has no better code: 1.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), code: 1 }
    }

    /// The command makes no sense as given: 2, as clap's.
    pub fn usage(message: impl Into<String>) -> Self {
        Self { message: message.into(), code: 2 }
    }

    /// The server cannot be reached or is busy: 69.
    pub fn unavailable(message: impl Into<String>) -> Self {
        Self { message: message.into(), code: 69 }
    }

    /// A file or directory cannot be used: 73.
    pub fn storage(message: impl Into<String>) -> Self {
        Self { message: message.into(), code: 73 }
    }

    /// Something else has it now (a lock, a port): 75.
    pub fn busy(message: impl Into<String>) -> Self {
        Self { message: message.into(), code: 75 }
    }

    /// Not allowed: 77.
    pub fn denied(message: impl Into<String>) -> Self {
        Self { message: message.into(), code: 77 }
    }

    /// The configuration cannot be used: 78.
    pub fn config(message: impl Into<String>) -> Self {
        Self { message: message.into(), code: 78 }
    }

    /// What to exit with.
    pub fn code(&self) -> ExitCode {
        ExitCode::from(self.code)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl From<runtime::config::Error> for Failure {
    fn from(error: runtime::config::Error) -> Self {
        Self::config(error.to_string())
    }
}

impl From<Status> for Failure {
    fn from(status: Status) -> Self {
        let text = status.message();
        let message = match status.code() {
            Code::Unavailable if rpc::status::reason(&status).is_none() => {
                "cannot reach the server; is `agon serve` running? (--server names another)".into()
            }
            Code::Unauthenticated => format!("{text} (log in with `agon login`)"),
            Code::Unknown if text.is_empty() => "the server gave no reason".into(),
            _ => match rpc::status::retry_after(&status) {
                Some(after) => format!("{text} (try again in {} s)", after.as_secs().max(1)),
                None => text.to_owned(),
            },
        };
        match status.code() {
            Code::Unavailable | Code::ResourceExhausted | Code::DeadlineExceeded => {
                Self::unavailable(message)
            }
            Code::Unauthenticated | Code::PermissionDenied => Self::denied(message),
            _ => Self::new(message),
        }
    }
}
