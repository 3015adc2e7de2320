//! Why a package was refused.

use crate::finding::{Finding, Severity};

#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The package breaks rules of the format; every finding names its file.
    #[error("the package is invalid")]
    Invalid(Vec<Finding>),
    /// The package exceeds one of the size limits; the text says which.
    #[error("{0}")]
    TooLarge(String),
    /// The local disk failed; not the fault of the package.
    #[error("scratch space: {0}")]
    Io(#[from] std::io::Error),
}

impl Error {
    /// A single mistake after which reading cannot continue.
    pub(crate) fn invalid(file: &str, message: impl Into<String>) -> Self {
        Self::Invalid(vec![Finding::new(Severity::Error, file, message)])
    }
}
