//! Reads, checks and renders problem packages (ICPC `2025-09`, pass-fail).
//!
//! [`read`] unpacks an archive into a scratch directory within [`SizeLimits`], checks it against the format and renders its
//! statements to sanitised HTML. It returns a [`Package`], or an [`Error`] with one [`Finding`] for each mistake.
//! [`expectation`] compares the runs of jury solutions with what the package requires of them.
//!
//! Must not know: databases, RPC, how programs are run. Everything is synchronous; callers on an async runtime use a
//! blocking thread.

mod archive;
mod attachments;
mod checker;
mod constants;
mod data;
mod error;
pub mod expectation;
mod finding;
mod glob;
mod language;
mod limits;
mod metadata;
mod names;
mod program;
mod read;
mod reader;
mod render;
mod settings;
mod size_limits;
mod spool;
mod statement;
mod submissions;
#[cfg(test)]
mod tests;
mod tree;
mod yaml;

pub use archive::media_type;
pub use attachments::Attachment;
pub use checker::Checker;
pub use data::{Data, InvalidInput, Output, Test};
pub use error::Error;
pub use finding::{Finding, Severity};
pub use language::Languages;
pub use limits::{Limits, MaxLimits};
pub use metadata::Metadata;
pub use names::{is_allowed as is_allowed_name, is_hidden as is_hidden_name};
pub use program::{Program, Source};
pub use read::{Package, Server, read};
pub use render::Sample;
pub use settings::ValidatorArguments;
pub use size_limits::SizeLimits;
pub use spool::Blob;
pub use statement::Statement;
pub use submissions::{Solution, Unverified};
