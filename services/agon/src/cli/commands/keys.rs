//! `agon keys`: exports service account keys for processes without the root secret.

use std::process::ExitCode;

use crate::cli::arguments::KeysCommand;
use crate::config;
use crate::failure::Failure;
use crate::server::keys;

pub fn run(command: &KeysCommand) -> Result<ExitCode, Failure> {
    let KeysCommand::Export(arguments) = command;
    keys::check(&arguments.account)?;
    let config = config::load(&arguments.settings)?.value;
    let key = keys::load(&config, &arguments.account)?.ok_or_else(|| {
        let directory = keys::directory(&config);
        let text =
            format!("no key in {}, and no root_secret to derive it from", directory.display());
        Failure::config(text)
    })?;
    crate::cli::output::print(key.to_pem());
    Ok(ExitCode::SUCCESS)
}
