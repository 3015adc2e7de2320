//! Failures of judging itself, which are never caused by the judged program.

use std::time::Duration;

use tonic::{Code, Status};

#[derive(Clone, Debug, thiserror::Error)]
pub enum Failure {
    /// An internal error. After three such attempts the verdict is JUDGE_ERROR.
    #[error("{0}")]
    Internal(String),
    /// A dependency is unavailable. Retried without limit.
    #[error("{0}")]
    Unavailable(String),
}

impl Failure {
    /// The delay before attempt `attempt + 1`.
    pub fn delay(&self, attempt: i32) -> Duration {
        let doublings = attempt.clamp(1, 7).unsigned_abs() - 1;
        match self {
            Failure::Internal(_) => Duration::from_secs(1 << doublings.min(3)),
            Failure::Unavailable(_) => Duration::from_secs(1 << doublings.min(6)),
        }
    }

    /// The failure of a call to another service.
    pub fn from_status(what: &str, status: &Status) -> Failure {
        let text = format!("{what}: {}: {}", status.code(), status.message());
        match status.code() {
            Code::Unavailable
            | Code::DeadlineExceeded
            | Code::Cancelled
            | Code::ResourceExhausted
            | Code::Unauthenticated
            | Code::Unknown
            | Code::Aborted => Failure::Unavailable(text),
            _ => Failure::Internal(text),
        }
    }

    pub fn from_io(what: &str, error: &std::io::Error) -> Failure {
        let text = format!("{what}: {error}");
        match error.kind() {
            std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => {
                Failure::Unavailable(text)
            }
            _ => Failure::Internal(text),
        }
    }
}

impl From<sandbox::Error> for Failure {
    fn from(error: sandbox::Error) -> Self {
        crate::measure::sandbox_failed();
        Failure::Internal(format!("sandbox: {error}"))
    }
}
