//! The development commands behind the Makefile: what the compiler does not check, and what is
//! generated into the tree.
//!
//! Nothing here is part of the program. It may look at every crate, and no crate may look at it.

mod dashboards;
mod direction;
mod files;
mod generated;
mod metrics;
mod tree;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(about = "Development commands of Agon")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Check everything: who depends on whom, the shape of files, generated files
    Tidy,
    /// Write the generated files
    Generate,
    /// Write proto/routes.txt, the list of HTTP routes
    Routes {
        /// Only say whether it is up to date
        #[arg(long)]
        check: bool,
    },
    /// Write docs/events.md, the catalogue of events
    Catalogue {
        /// Only say whether it is up to date
        #[arg(long)]
        check: bool,
    },
}

/// Something that is wrong with the tree: where, what, and what would be right.
type Finding = String;

fn main() -> ExitCode {
    let outcome = run(&Cli::parse().command);
    match outcome {
        Ok(findings) if findings.is_empty() => ExitCode::SUCCESS,
        Ok(findings) => {
            for finding in &findings {
                eprintln!("{finding}");
            }
            eprintln!("{} findings", findings.len());
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("xtask: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: &Command) -> Result<Vec<Finding>, tree::Error> {
    let tree = tree::Tree::load()?;
    match *command {
        Command::Tidy => tidy(&tree),
        Command::Generate => generated::all()?.iter().try_fold(Vec::new(), |all, file| {
            file.write(&tree)?;
            Ok(all)
        }),
        Command::Routes { check } => generated::routes()?.update(&tree, check),
        Command::Catalogue { check } => generated::catalogue().update(&tree, check),
    }
}

fn tidy(tree: &tree::Tree) -> Result<Vec<Finding>, tree::Error> {
    let mut findings = direction::check(&tree.metadata()?);
    findings.extend(files::check(tree)?);
    findings.extend(metrics::check(tree)?);
    for file in generated::all()? {
        findings.extend(file.update(tree, true)?);
    }
    findings.extend(generated::lost_routes(tree)?);
    Ok(findings)
}
