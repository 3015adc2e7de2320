//! The development commands behind the Makefile: checks of the source tree, and generated files.
//!
//! Not part of the program. It may depend on every crate; no crate depends on it.

mod additions;
mod dashboards;
mod direction;
mod files;
mod generated;
mod metrics;
mod text;
mod tree;
mod words;

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
    /// Check dependencies, files, metrics, words and generated files
    Tidy,
    /// Write all generated files
    Generate,
    /// Write proto/routes.txt, the list of HTTP routes
    Routes {
        /// Only check whether it is up to date
        #[arg(long)]
        check: bool,
    },
    /// Write docs/events.md, the catalogue of events
    Catalogue {
        /// Only check whether it is up to date
        #[arg(long)]
        check: bool,
    },
    /// Print the OpenAPI document
    Openapi,
    /// List the existing files that the addition of each service changed
    Services,
    /// Check the wording of comments, Markdown and messages
    Words,
}

/// A violation: the place, what is wrong, and what would be right.
type Finding = String;

fn main() -> ExitCode {
    match run(&Cli::parse().command) {
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
        Command::Generate => generated::update_all(&tree, false),
        Command::Routes { check } => generated::routes()?.update(&tree, check),
        Command::Catalogue { check } => generated::catalogue().update(&tree, check),
        Command::Openapi => openapi(),
        Command::Services => services(&tree),
        Command::Words => words::check(&tree),
    }
}

fn openapi() -> Result<Vec<Finding>, tree::Error> {
    let plan = transcode::Plan::new(proto::DESCRIPTOR_SET)?;
    println!("{:#}", transcode::openapi(&plan));
    Ok(Vec::new())
}

fn services(tree: &tree::Tree) -> Result<Vec<Finding>, tree::Error> {
    for service in agon::services::ALL {
        let files = additions::files(tree, service.name)?;
        println!("{} ({}): {}", service.name, files.len(), files.join(", "));
    }
    Ok(Vec::new())
}

fn tidy(tree: &tree::Tree) -> Result<Vec<Finding>, tree::Error> {
    let mut findings = direction::check(&tree.metadata()?);
    findings.extend(files::check(tree)?);
    findings.extend(metrics::check(tree)?);
    findings.extend(words::check(tree)?);
    findings.extend(additions::check(tree)?);
    findings.extend(generated::update_all(tree, true)?);
    findings.extend(generated::lost_routes(tree)?);
    Ok(findings)
}
