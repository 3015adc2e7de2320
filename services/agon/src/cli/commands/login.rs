//! `agon login`

use std::io::{BufRead, IsTerminal, Write};
use std::path::Path;
use std::process::ExitCode;

use ids::Clock;
use proto::auth::session_service_client::SessionServiceClient;
use proto::auth::{CreateSessionRequest, CreateSessionResponse};
use rpc::Channel;
use rustix::termios::{self, LocalModes, OptionalActions};

use crate::cli::arguments::Login;
use crate::cli::client;
use crate::cli::credentials::{self, Credentials, Stored};
use crate::failure::Failure;

pub async fn run(arguments: Login) -> Result<ExitCode, Failure> {
    let channel = client::connect(&arguments.remote).await?;
    let (identifier, password) = ask(arguments.identifier, arguments.password_file.as_deref())?;
    log_in(channel, &arguments.remote.server, identifier, password).await
}

/// The identifier and the password, from the arguments or by prompts.
pub fn ask(
    identifier: Option<String>,
    password_file: Option<&Path>,
) -> Result<(String, String), Failure> {
    let identifier = match identifier {
        Some(identifier) => identifier,
        None => prompt("Username: ")?,
    };
    let password = match password_file {
        Some(path) => read_password(path)?,
        None => prompt_hidden(&format!("Password of {identifier}: "))?,
    };
    Ok((identifier, password))
}

/// Creates a session and stores it.
pub async fn log_in(
    channel: Channel,
    server: &str,
    identifier: String,
    password: String,
) -> Result<ExitCode, Failure> {
    let known = Credentials::load()?.get(server).map(|stored| stored.device_token.clone());
    let device_token = known.unwrap_or_default();
    let request = CreateSessionRequest { identifier: identifier.clone(), password, device_token };
    let answer = SessionServiceClient::new(channel).create_session(request).await?.into_inner();
    store(server, &identifier, answer)?;
    print_line!("Logged in at {server} as {identifier}.");
    print_line!("The session is stored in {}", credentials::path()?.display());
    Ok(ExitCode::SUCCESS)
}

fn store(server: &str, username: &str, answer: CreateSessionResponse) -> Result<(), Failure> {
    let now = Clock::system().now().timestamp();
    let stored = Stored {
        username: username.to_owned(),
        access_token: answer.access_token,
        expires_at: now + i64::from(answer.expires_in),
        refresh_token: answer.refresh_token,
        device_token: answer.device_token,
    };
    Credentials::load()?.put(server, stored)
}

/// The first line of the file, or of standard input for `-`.
fn read_password(path: &Path) -> Result<String, Failure> {
    if path == Path::new("-") {
        return read_line();
    }
    let text = std::fs::read_to_string(path)
        .map_err(|error| Failure::new(format!("cannot read {}: {error}", path.display())))?;
    Ok(text.lines().next().unwrap_or_default().to_owned())
}

fn prompt(text: &str) -> Result<String, Failure> {
    if std::io::stdin().is_terminal() {
        eprint!("{text}");
        let _ = std::io::stderr().flush();
    }
    read_line()
}

fn prompt_hidden(text: &str) -> Result<String, Failure> {
    let stdin = std::io::stdin();
    if !stdin.is_terminal() {
        return read_line();
    }
    let shown = termios::tcgetattr(&stdin)
        .map_err(|error| Failure::new(format!("cannot hide the password: {error}")))?;
    let mut hidden = shown.clone();
    hidden.local_modes.remove(LocalModes::ECHO);
    termios::tcsetattr(&stdin, OptionalActions::Flush, &hidden)
        .map_err(|error| Failure::new(format!("cannot hide the password: {error}")))?;
    let answer = prompt(text);
    // Fails only if the terminal is gone.
    let _ = termios::tcsetattr(&stdin, OptionalActions::Flush, &shown);
    eprintln!();
    answer
}

fn read_line() -> Result<String, Failure> {
    let mut line = String::new();
    let read = std::io::stdin().lock().read_line(&mut line);
    match read {
        Ok(0) => Err(Failure::usage("standard input is empty")),
        Ok(_) => Ok(line.trim_end_matches(['\r', '\n']).to_owned()),
        Err(error) => Err(Failure::new(format!("cannot read standard input: {error}"))),
    }
}
