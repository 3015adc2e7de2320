//! Why an uploaded package could not be read.

use super::finding::{Finding, Severity};

/// Why a package was not taken.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Its author can mend this: every finding names its file.
    #[error("the package is not valid")]
    Invalid(Vec<Finding>),
    /// It exceeds a bound.
    #[error("{0}")]
    TooLarge(String),
    /// Our own disk failed.
    #[error("scratch space: {0}")]
    Io(#[from] std::io::Error),
}

impl Error {
    /// One thing is wrong, which makes reading on pointless.
    pub fn invalid(file: &str, message: impl Into<String>) -> Self {
        Self::Invalid(vec![Finding::new(Severity::Error, file, message)])
    }
}
