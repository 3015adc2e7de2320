//! The error of the program: a message and an exit code.

use std::fmt;
use std::process::ExitCode;

use tonic::{Code, Status};

/// A message for the user, and an exit code as in sysexits.h.
#[derive(Debug)]
pub struct Failure {
    message: String,
    code: u8,
}

impl Failure {
    /// Any other failure: exit code 1.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), code: 1 }
    }

    /// Wrong usage: exit code 2, as clap's.
    pub fn usage(message: impl Into<String>) -> Self {
        Self { message: message.into(), code: 2 }
    }

    /// Exit code 65 instead of 1, for commands in which 1 has another meaning.
    pub fn refused(self) -> Self {
        Self { code: if self.code == 1 { 65 } else { self.code }, ..self }
    }

    /// The server is unreachable or overloaded: exit code 69.
    pub fn unavailable(message: impl Into<String>) -> Self {
        Self { message: message.into(), code: 69 }
    }

    /// A file or directory is unusable: exit code 73.
    pub fn storage(message: impl Into<String>) -> Self {
        Self { message: message.into(), code: 73 }
    }

    /// A lock or port is in use: exit code 75.
    pub fn busy(message: impl Into<String>) -> Self {
        Self { message: message.into(), code: 75 }
    }

    /// Permission denied: exit code 77.
    pub fn denied(message: impl Into<String>) -> Self {
        Self { message: message.into(), code: 77 }
    }

    /// Invalid configuration: exit code 78.
    pub fn config(message: impl Into<String>) -> Self {
        Self { message: message.into(), code: 78 }
    }

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

fn is_about_token(status: &Status) -> bool {
    let reason = rpc::status::reason(status).unwrap_or_default();
    reason.starts_with("TOKEN_") || reason.contains("REFRESH_TOKEN")
}

impl From<Status> for Failure {
    fn from(status: Status) -> Self {
        let text = status.message();
        let message = match status.code() {
            Code::Unavailable if rpc::status::reason(&status).is_none() => {
                "cannot reach the server; is `agon serve` running? (--server selects another address)".into()
            }
            // Of a stored token; the other reasons are about what `agon login` sent.
            Code::Unauthenticated if is_about_token(&status) => {
                format!("{text} (run `agon login`)")
            }
            Code::Unknown if text.is_empty() => "the server gave no reason".into(),
            _ => match rpc::status::retry_after(&status) {
                Some(after) => format!("{text} (retry in {} s)", after.as_secs().max(1)),
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
