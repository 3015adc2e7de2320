//! The arguments of `agon problem`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::Remote;

#[derive(Debug, Subcommand)]
pub enum ProblemCommand {
    /// Import an ICPC 2025-09 package and wait for its verification.
    ///
    /// Ctrl-C stops the verification. Exit code 0: verified; 130: canceled with Ctrl-C; other codes:
    /// it was not imported, or not verified.
    Import(Import),
    /// Stop the verification of an import.
    Cancel(CancelImport),
    /// List the problems that you can see.
    List(ListProblems),
    /// Show a problem with its statement, and to those who may edit it, its versions.
    Show(ShowProblem),
    /// Publish a verified version: contestants get it from now on.
    Publish(PublishProblem),
    /// Write the statements, samples and attachments of a problem to a new directory.
    Download(DownloadProblem),
    /// Check an ICPC 2025-09 package without a server; programs are not run.
    ///
    /// Exit code 0: it can be imported; 1: it has errors.
    Verify {
        /// A directory, .zip, .tar, .tar.gz or .tgz
        path: PathBuf,
    },
}

#[derive(Debug, Args)]
pub struct ListProblems {
    #[command(flatten)]
    pub remote: Remote,
    /// Only problems with this tag; repeatable
    #[arg(long = "tag", value_name = "TAG")]
    pub tags: Vec<String>,
    /// Only problems with this text in their title or slug
    #[arg(long, default_value = "", hide_default_value = true, value_name = "TEXT")]
    pub query: String,
    /// Maximum number of problems
    #[arg(long, default_value_t = 1000, value_name = "N")]
    pub limit: usize,
}

#[derive(Debug, Args)]
pub struct ShowProblem {
    #[command(flatten)]
    pub remote: Remote,
    /// Slug or id of the problem
    pub problem: String,
    /// Language of the statement, such as en [default: the problem's first]
    #[arg(long, short, default_value = "", hide_default_value = true)]
    pub language: String,
}

#[derive(Debug, Args)]
pub struct PublishProblem {
    #[command(flatten)]
    pub remote: Remote,
    /// Slug or id of the problem
    pub problem: String,
    /// Number of the version [default: the newest verified one]
    #[arg(long, default_value_t = 0, hide_default_value = true, value_name = "N")]
    pub version: i64,
    /// Also make the problem public
    #[arg(long)]
    pub public: bool,
}

#[derive(Debug, Args)]
pub struct DownloadProblem {
    #[command(flatten)]
    pub remote: Remote,
    /// Slug or id of the problem
    pub problem: String,
    /// Directory to create [default: the problem's slug]
    #[arg(long, value_name = "DIR")]
    pub to: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct Import {
    #[command(flatten)]
    pub remote: Remote,
    /// A directory, .zip, .tar, .tar.gz or .tgz
    pub path: PathBuf,
    /// Slug or id of the problem that gets the new version [default: the package's name]
    #[arg(long, default_value = "", hide_default_value = true)]
    pub problem: String,
    /// Publish the version after verification
    #[arg(long)]
    pub publish: bool,
}

#[derive(Debug, Args)]
pub struct CancelImport {
    #[command(flatten)]
    pub remote: Remote,
    /// Id of the import, which `agon problem import` prints
    pub import: String,
}
