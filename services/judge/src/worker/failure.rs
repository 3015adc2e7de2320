//! Why a job could not be judged: never the program's fault.

use std::time::Duration;

use tonic::{Code, Status};

/// See the module's text.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Failure {
    /// Judging itself broke; after three such attempts the verdict is JUDGE_ERROR.
    #[error("{0}")]
    Broken(String),
    /// Something was away; tried again for as long as it takes.
    #[error("{0}")]
    Away(String),
}

impl Failure {
    /// How long to wait before attempt `attempt + 1`.
    pub fn delay(&self, attempt: i32) -> Duration {
        let doublings = attempt.clamp(1, 7).unsigned_abs() - 1;
        match self {
            Failure::Broken(_) => Duration::from_secs(1 << doublings.min(3)),
            Failure::Away(_) => Duration::from_secs(1 << doublings.min(6)),
        }
    }

    /// What a call to another service said.
    pub fn of_call(what: &str, status: &Status) -> Failure {
        let text = format!("{what}: {}: {}", status.code(), status.message());
        match status.code() {
            Code::Unavailable
            | Code::DeadlineExceeded
            | Code::Cancelled
            | Code::ResourceExhausted
            | Code::Unauthenticated
            | Code::Unknown
            | Code::Aborted => Failure::Away(text),
            _ => Failure::Broken(text),
        }
    }

    /// An error of the file system.
    pub fn of_disk(what: &str, error: &std::io::Error) -> Failure {
        let text = format!("{what}: {error}");
        match error.kind() {
            std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => {
                Failure::Away(text)
            }
            _ => Failure::Broken(text),
        }
    }
}

impl From<sandbox::Error> for Failure {
    fn from(error: sandbox::Error) -> Self {
        crate::measure::sandbox_failed();
        Failure::Broken(format!("sandbox: {error}"))
    }
}
