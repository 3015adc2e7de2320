//! The arguments of `agon contest`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use super::Remote;

#[derive(Debug, Subcommand)]
pub enum ContestCommand {
    /// Create a contest from a YAML file; `agon contest schema` prints the format.
    ///
    /// Exit code 0: created, or with --dry-run, valid; 1: the file has errors, or the server refused it.
    Create(CreateContest),
    /// Show the standings, and every change of them, until the results are final.
    ///
    /// On a terminal a table is drawn again after each change; otherwise each change is a line.
    Standings(ContestStandings),
    /// Print the whole standings once, as text, TSV or JSON.
    Results(ContestResults),
    /// Make the results of a contest final. Nothing changes them afterwards.
    Finalize(FinalizeContest),
    /// Print the format of the file of `agon contest create`: a commented example.
    Schema,
}

#[derive(Debug, Args)]
pub struct CreateContest {
    #[command(flatten)]
    pub remote: Remote,
    /// The YAML file, `-` for standard input
    pub file: PathBuf,
    /// Check the file without a server
    #[arg(long)]
    pub dry_run: bool,
    /// Also publish the contest
    #[arg(long, conflicts_with = "dry_run")]
    pub publish: bool,
}

#[derive(Debug, Args)]
pub struct ContestStandings {
    #[command(flatten)]
    pub remote: Remote,
    /// Slug or id of the contest
    pub contest: String,
    /// What the jury sees: not frozen, with hidden participants
    #[arg(long)]
    pub jury: bool,
    /// Number of rows, from the top: at most 200
    #[arg(long, default_value_t = 50, value_name = "N", value_parser = clap::value_parser!(i32).range(1..=200))]
    pub rows: i32,
}

#[derive(Debug, Args)]
pub struct ContestResults {
    #[command(flatten)]
    pub remote: Remote,
    /// Slug or id of the contest
    pub contest: String,
    /// What the jury sees: not frozen, with hidden participants
    #[arg(long)]
    pub jury: bool,
    /// Format of the table
    #[arg(long, value_enum, default_value_t = TableFormat::Text)]
    pub format: TableFormat,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum TableFormat {
    /// Aligned columns
    Text,
    /// A header and a line for each row, separated by tabs
    Tsv,
    /// One JSON object
    Json,
}

#[derive(Debug, Args)]
pub struct FinalizeContest {
    #[command(flatten)]
    pub remote: Remote,
    /// Slug or id of the contest
    pub contest: String,
}
