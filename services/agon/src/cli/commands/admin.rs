//! `agon admin`: administration with the operator key of the data directory.

use std::process::ExitCode;

use proto::auth::CreatePasswordResetRequest;
use proto::auth::credential_service_client::CredentialServiceClient;

use super::token::credentials;
use crate::cli::arguments::AdminCommand;
use crate::cli::client;
use crate::config;
use crate::failure::Failure;

pub async fn run(command: AdminCommand) -> Result<ExitCode, Failure> {
    let AdminCommand::ResetPassword(arguments) = command;
    let server = &arguments.remote.server;
    let credentials = credentials(&arguments.settings, server, "operator")?;
    let channel = credentials.channel(client::connect(server)?);
    let request = CreatePasswordResetRequest { user_id: arguments.user.clone() };
    let answer = CredentialServiceClient::new(channel).create_password_reset(request).await?;
    let answer = answer.into_inner();
    let rest = config::load(&arguments.settings)?.value.rest.listen;
    print_line!("{}", answer.code);
    eprintln!("One-time code for {}. Use it to set a new password:", arguments.user);
    eprintln!(
        "  curl http://{rest}/v1/passwords:reset \\\n    \
         --json '{{\"code\": \"{}\", \"newPassword\": \"…\"}}'",
        answer.code
    );
    if let Some(time) = answer.expire_time {
        let now = ids::Clock::system().now().timestamp();
        eprintln!("The code expires in {} minutes.", (time.seconds - now).max(0) / 60);
    }
    Ok(ExitCode::SUCCESS)
}
