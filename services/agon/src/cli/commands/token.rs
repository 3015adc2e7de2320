//! `agon token`

use std::process::ExitCode;

use access::{Authorised, Credentials};
use ids::Clock;
use rpc::Channel;
use tonic::Code;

use crate::cli::arguments::{Remote, Settings, Token};
use crate::cli::client;
use crate::config;
use crate::failure::Failure;
use crate::server::keys;

/// What to do without the right key.
pub const REMEDY: &str =
    "set --data to the directory of the running server, or root_secret to the secret of the server";

/// Prints the token and nothing else, for command substitution.
pub async fn run(arguments: Token) -> Result<ExitCode, Failure> {
    let channel = client::connect(&arguments.remote).await?;
    let (_, token) =
        credentials(&arguments.settings, &arguments.remote, channel, &arguments.service).await?;
    print_line!("{token}");
    Ok(ExitCode::SUCCESS)
}

/// A channel with the credential of a service account.
pub async fn authorised(
    settings: &Settings,
    remote: &Remote,
    account: &str,
) -> Result<Authorised, Failure> {
    let channel = client::connect(remote).await?;
    let (credentials, _) = credentials(settings, remote, channel.clone(), account).await?;
    Ok(credentials.channel(channel))
}

/// The credential of a service account, and its first token. Its key is in the data directory or derived from the root
/// secret.
async fn credentials(
    settings: &Settings,
    remote: &Remote,
    channel: Channel,
    account: &str,
) -> Result<(Credentials, String), Failure> {
    keys::check(account)?;
    let config = config::load(settings)?.value;
    let directory = keys::directory(&config);
    let directory = directory.display();
    let Some(key) = keys::load(&config, account)? else {
        return Err(Failure::config(format!("no key of {account} in {directory}; {REMEDY}")));
    };
    let credentials = Credentials::new(account, key, channel, Clock::system());
    match credentials.token().await {
        Ok(token) => Ok((credentials, token)),
        Err(status) if status.code() == Code::Unauthenticated => Err(Failure::denied(format!(
            "{} refuses the key of {account} {}: {}; {REMEDY}",
            remote.server,
            keys::source(&config, account),
            status.message()
        ))),
        Err(status) => Err(status.into()),
    }
}
