//! `agon admin`: administration with the operator key of the data directory.

use std::process::ExitCode;

use proto::auth::CreatePasswordResetRequest;
use proto::auth::credential_service_client::CredentialServiceClient;

use super::token;
use crate::cli::arguments::AdminCommand;
use crate::config;
use crate::failure::Failure;

pub async fn run(command: AdminCommand) -> Result<ExitCode, Failure> {
    let AdminCommand::ResetPassword(arguments) = command;
    let channel = token::authorised(&arguments.settings, &arguments.remote, "operator").await?;
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
        eprintln!("The code expires in {}.", span(time.seconds - now));
    }
    Ok(ExitCode::SUCCESS)
}

/// A time span in its largest suitable unit, rounded.
fn span(seconds: i64) -> String {
    let units = [(86_400, "days"), (3600, "hours"), (60, "minutes")];
    let suitable = |unit: &&(i64, &str)| seconds >= 2 * unit.0 - unit.0 / 2;
    match units.iter().find(suitable) {
        Some((unit, name)) => format!("{} {name}", (seconds + unit / 2) / unit),
        None => "a minute".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_have_a_suitable_unit() {
        let cases = [
            (86_399, "24 hours"),
            (86_400, "24 hours"),
            (2 * 86_400, "2 days"),
            (5400, "2 hours"),
            (3600, "60 minutes"),
            (59, "a minute"),
            (-5, "a minute"),
        ];
        for (seconds, expected) in cases {
            assert_eq!(span(seconds), expected, "{seconds}");
        }
    }
}
