//! `agon token`

use std::process::ExitCode;

use access::Credentials;
use ids::Clock;

use crate::cli::arguments::{Settings, Token};
use crate::cli::client;
use crate::config;
use crate::failure::Failure;
use crate::server::keys;

/// Prints the token and nothing else, for command substitution.
pub async fn run(arguments: Token) -> Result<ExitCode, Failure> {
    let server = &arguments.remote.server;
    let credentials = credentials(&arguments.settings, server, &arguments.service)?;
    print_line!("{}", credentials.token().await?);
    Ok(ExitCode::SUCCESS)
}

/// The credential of a service account. Its key is in the data directory or derived from the root secret.
pub fn credentials(
    settings: &Settings,
    server: &str,
    account: &str,
) -> Result<Credentials, Failure> {
    keys::check(account)?;
    let config = config::load(settings)?.value;
    let Some(key) = keys::load(&config, account)? else {
        let text = format!(
            "no key of {account} in {}; set --data to the directory of the running server, or set root_secret",
            keys::directory(&config).display()
        );
        return Err(Failure::config(text));
    };
    Ok(Credentials::new(account, key, client::connect(server)?, Clock::system()))
}
