//! The program `agon`: the server with all roles, and the command line.
//!
//! Owns the wiring of roles, the data directory and the command line. Business rules are in the services.

#[macro_use]
mod cli;

mod config;
mod data_dir;
mod failure;
mod migrate;
mod server;
pub mod services;

use std::process::ExitCode;

use clap::Parser;

use cli::arguments::{Cli, Command};
use cli::commands;
use failure::Failure;

/// Shown by `--version` and `/version`.
pub const VERSION: runtime::Version = runtime::Version {
    name: "agon",
    version: env!("CARGO_PKG_VERSION"),
    commit: match option_env!("AGON_COMMIT") {
        Some(commit) => commit,
        None => "unknown",
    },
};

pub fn main() -> ExitCode {
    // The sandbox runs this program as its single-threaded helper: do not start a thread before this line.
    if std::env::args_os().nth(1).is_some_and(|argument| argument == "box") {
        std::process::exit(sandbox::helper::main());
    }
    match run(Cli::parse()) {
        Ok(code) => code,
        Err(failure) => {
            eprintln!("agon: {failure}");
            failure.code()
        }
    }
}

fn run(cli: Cli) -> Result<ExitCode, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new(format!("cannot start the runtime: {error}")))?;
    let result = match cli.command.unwrap_or_default() {
        Command::Serve(arguments) => runtime.block_on(server::serve::run(&arguments)),
        Command::Config(arguments) => commands::config::run(&arguments),
        Command::Doctor(arguments) => runtime.block_on(commands::doctor::run(&arguments)),
        Command::Login(arguments) => runtime.block_on(commands::login::run(arguments)),
        Command::Register(arguments) => runtime.block_on(commands::user::register(arguments)),
        Command::Submit(arguments) => runtime.block_on(commands::submit::run(arguments)),
        Command::Problem(arguments) => runtime.block_on(commands::problem::run(arguments)),
        Command::Contest(command) => runtime.block_on(commands::contest::run(command)),
        Command::User(command) => runtime.block_on(commands::user::run(command)),
        Command::Role(command) => runtime.block_on(commands::user::role(command)),
        Command::Migrate(arguments) => runtime.block_on(commands::migrate::run(arguments)),
        Command::Events(arguments) => runtime.block_on(commands::events::run(arguments)),
        Command::Promote(arguments) => runtime.block_on(migrate::promote::run(&arguments)),
        Command::Backup(arguments) => runtime.block_on(migrate::backup::run(&arguments)),
        Command::Restore(arguments) => runtime.block_on(migrate::restore::run(&arguments)),
        Command::Token(arguments) => runtime.block_on(commands::token::run(arguments)),
        Command::Keys(arguments) => commands::keys::run(&arguments),
        Command::Admin(arguments) => runtime.block_on(commands::admin::run(arguments)),
    };
    // Do not wait for blocked threads, such as a read from the terminal.
    runtime.shutdown_background();
    result
}
