//! What can go wrong that is not the program's doing.

use crate::doctor::Feature;

/// A failure of the sandbox or of its caller, never of the program that ran.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// This machine cannot isolate programs at all; submissions should wait for one that can.
    #[error("no sandbox on this machine: {0}")]
    Unavailable(String),
    /// The machine misses features that were not named in `Config::allow_degraded`.
    #[error("the sandbox would run degraded, without {}: {advice}", names(.missing))]
    Degraded {
        /// What is missing and was not allowed to be.
        missing: Vec<Feature>,
        /// Sentences for the operator: what to change.
        advice: String,
    },
    /// The caller asked for something impossible, such as a path outside `/box`.
    #[error("invalid request: {0}")]
    Invalid(String),
    /// A file to take out does not exist, or is not a regular file.
    #[error("{path}: {reason}")]
    File {
        /// The path inside the sandbox.
        path: String,
        /// Why it cannot be taken or put.
        reason: String,
    },
    /// The helper process died; the slot is cleaned and works again on its next use.
    #[error("agon-box died: {0}")]
    Crashed(String),
    /// The helper process could not do what was asked.
    #[error("agon-box: {0}")]
    Internal(String),
    /// An operating system call failed on this side.
    #[error("{context}: {source}")]
    Io {
        /// What was attempted.
        context: &'static str,
        /// The cause.
        source: std::io::Error,
    },
}

impl Error {
    pub(crate) fn io(context: &'static str) -> impl FnOnce(std::io::Error) -> Error {
        move |source| Error::Io { context, source }
    }
}

fn names(features: &[Feature]) -> String {
    features.iter().map(Feature::name).collect::<Vec<_>>().join(", ")
}
