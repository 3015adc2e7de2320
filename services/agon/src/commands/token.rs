//! `agon token`: a service's access token, for scripts and grpcurl.

use std::process::ExitCode;

use access::Credentials;
use ids::Clock;

use crate::cli::{Settings, Token};
use crate::client;
use crate::config;
use crate::failure::Failure;
use crate::keys::{self, ACCOUNTS};

/// Prints the token alone, so that it can stand in a command substitution.
pub async fn run(arguments: Token) -> Result<ExitCode, Failure> {
    let server = &arguments.remote.server;
    let credentials = credentials(&arguments.settings, server, &arguments.service)?;
    say!("{}", credentials.token().await?);
    Ok(ExitCode::SUCCESS)
}

/// The credential of a service account, by the key in the data directory.
pub fn credentials(
    settings: &Settings,
    server: &str,
    account: &str,
) -> Result<Credentials, Failure> {
    if !ACCOUNTS.contains(&account) {
        let known = ACCOUNTS.join(", ");
        return Err(Failure::usage(format!("no service is called {account}; there are {known}")));
    }
    let data = config::load(settings)?.value.data;
    let Some(key) = keys::load(&data, account)? else {
        let text = format!(
            "there is no key of {account} in {}; give --data the directory of the running server",
            data.display()
        );
        return Err(Failure::config(text));
    };
    Ok(Credentials::new(account, key, client::connect(server)?, Clock::system()))
}
