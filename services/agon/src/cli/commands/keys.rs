//! `agon keys`: exports service account keys for processes without the root secret.

use std::process::ExitCode;

use crate::cli::arguments::KeysCommand;
use crate::cli::commands::token::REMEDY;
use crate::config;
use crate::failure::Failure;
use crate::server::keys;

pub fn run(command: &KeysCommand) -> Result<ExitCode, Failure> {
    let KeysCommand::Export(arguments) = command;
    keys::check(&arguments.account)?;
    let config = config::load(&arguments.settings)?.value;
    let key = keys::load(&config, &arguments.account)?.ok_or_else(|| {
        let (account, directory) = (&arguments.account, keys::directory(&config));
        let directory = directory.display();
        Failure::config(format!("no key of {account} in {directory}; {REMEDY}"))
    })?;
    crate::cli::output::print(key.to_pem());
    Ok(ExitCode::SUCCESS)
}
