//! Reads problem packages (ICPC `2025-09`, pass-fail) and says what is wrong with them.
//!
//! Knows nothing of databases, services or judging; everything here is synchronous and works on files
//! in a scratch directory.

mod archive;
mod attachments;
mod bounds;
mod checker;
mod constants;
mod data;
mod error;
mod finding;
pub mod glob;
mod language;
mod limits;
mod metadata;
mod program;
mod read;
mod settings;
mod spool;
mod statement;
mod submissions;
mod tape;
#[cfg(test)]
mod tests;
mod tree;
mod yaml;
mod zip;

pub use attachments::Attachment;
pub use bounds::Bounds;
pub use checker::Checker;
pub use data::{Data, InvalidInput, Output, Test};
pub use error::Error;
pub use finding::{Finding, Severity};
pub use limits::{Declared, Maxima};
pub use metadata::Metadata;
pub use program::{Program, Source, name as validator_name};
pub use read::{Package, read};
pub use settings::ValidatorArguments;
pub use spool::Blob;
pub use statement::Statement;
pub use submissions::Solution;
