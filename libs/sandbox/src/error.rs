//! Errors of the sandbox and its caller. What the program does wrong is in [`crate::Outcome`].

use crate::Feature;

/// A failure of the sandbox or of its caller, never of the program that ran.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// This machine cannot isolate programs at all; another machine may.
    #[error("cannot isolate programs on this machine: {0}")]
    Unavailable(String),
    /// The machine lacks features that are not named in `Config::allow_degraded`.
    #[error("missing isolation features: {}: {advice}", names(.missing))]
    Degraded {
        missing: Vec<Feature>,
        /// What the failed checks measured.
        advice: String,
    },
    /// The caller's request is malformed, such as a path outside `/box`.
    #[error("invalid request: {0}")]
    Invalid(String),
    /// A file does not exist, is not a regular file, or is too large.
    #[error("{path}: {reason}")]
    File {
        /// The path inside the sandbox, or on the host for a file to copy in.
        path: String,
        /// Why it cannot be read or written.
        reason: String,
    },
    /// The slot's agon-box process exited. The next use of the slot starts a new one.
    #[error("agon-box exited: {0}")]
    Crashed(String),
    /// The agon-box process could not execute the request.
    #[error("agon-box: {0}")]
    Internal(String),
    /// A system call failed in the calling process.
    #[error("{context}: {source}")]
    Io {
        /// The operation, such as `starting agon-box`.
        context: &'static str,
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
