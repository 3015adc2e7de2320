//! `agon contest`

mod file;
mod results;
mod standings;
mod table;

use std::io::Read as _;
use std::path::Path;
use std::process::ExitCode;

use chrono::DateTime;
use ids::Clock;
use proto::challenge::contest_service_client::ContestServiceClient;
use proto::challenge::{
    Contest, CreateContestRequest, FinalizeContestRequest, GetContestRequest, PublishContestRequest,
};
use tonic::Status;

use crate::cli::arguments::{ContestCommand, CreateContest, FinalizeContest};
use crate::cli::client::{self, SignedIn};
use crate::cli::output;
use crate::failure::Failure;

type Client = ContestServiceClient<SignedIn>;

/// The longest file that is read, in bytes.
const MAX_FILE: u64 = 1 << 20;
/// A valid file that explains the format.
const SCHEMA: &str = include_str!("contest/schema.yaml");

pub async fn run(command: ContestCommand) -> Result<ExitCode, Failure> {
    match command {
        ContestCommand::Create(arguments) => create(arguments).await,
        ContestCommand::Standings(arguments) => standings::run(arguments).await,
        ContestCommand::Results(arguments) => results::run(arguments).await,
        ContestCommand::Finalize(arguments) => finalize(arguments).await,
        ContestCommand::Schema => {
            output::print(SCHEMA);
            Ok(ExitCode::SUCCESS)
        }
    }
}

async fn create(arguments: CreateContest) -> Result<ExitCode, Failure> {
    let name = arguments.file.display().to_string();
    let text = read(&arguments.file)?;
    let parsed = match file::parse(&text) {
        Ok(parsed) => parsed,
        Err(errors) => return Ok(refused(&name, &errors)),
    };
    if arguments.dry_run {
        let (contest, count) = (&parsed.contest, parsed.problems.len());
        print_line!("{name} is valid: {}", summary(contest, count));
        return Ok(ExitCode::SUCCESS);
    }
    let mut client = Client::new(client::signed_in(&arguments.remote).await?);
    let request = CreateContestRequest {
        contest: Some(parsed.contest.clone()),
        problems: parsed.problems.clone(),
        request_id: Clock::system().new_id().to_string(),
    };
    let contest = match client.create_contest(request).await {
        Ok(answer) => answer.into_inner().contest.unwrap_or_default(),
        Err(status) => {
            let errors = violations(&parsed, &status);
            return if errors.is_empty() {
                Err(status.into())
            } else {
                Ok(refused(&name, &errors))
            };
        }
    };
    print_line!("Created {}.", summary(&contest, parsed.problems.len()));
    if arguments.publish {
        let request = PublishContestRequest {
            contest_id: contest.contest_id,
            request_id: Clock::system().new_id().to_string(),
            ..PublishContestRequest::default()
        };
        client.publish_contest(request).await?;
        print_line!("Published {}.", contest.slug);
    }
    Ok(ExitCode::SUCCESS)
}

fn read(path: &Path) -> Result<String, Failure> {
    let cannot =
        |error: std::io::Error| Failure::usage(format!("cannot read {}: {error}", path.display()));
    let mut bytes = Vec::new();
    let read = match path.as_os_str() == "-" {
        true => std::io::stdin().lock().take(MAX_FILE + 1).read_to_end(&mut bytes),
        false => std::fs::File::open(path)
            .and_then(|file| file.take(MAX_FILE + 1).read_to_end(&mut bytes)),
    };
    if read.map_err(cannot)? as u64 > MAX_FILE {
        let text = format!("{} is larger than {MAX_FILE} bytes", path.display());
        return Err(Failure::usage(text));
    }
    String::from_utf8(bytes)
        .map_err(|_| Failure::usage(format!("{} is not valid UTF-8", path.display())))
}

/// The violations that the server reports, at the lines of the values that it refuses.
fn violations(parsed: &file::Parsed, status: &Status) -> Vec<file::Error> {
    let fields = rpc::status::fields(status).into_iter();
    fields.map(|(field, message)| parsed.error(&field, &message)).collect()
}

/// Prints the errors of a file.
fn refused(name: &str, errors: &[file::Error]) -> ExitCode {
    let text: String = errors.iter().map(|error| error.text(name)).collect();
    output::print(text);
    ExitCode::FAILURE
}

/// Slug, start, duration and number of problems.
fn summary(contest: &Contest, problems: usize) -> String {
    let start = contest.start_time.and_then(|time| DateTime::from_timestamp(time.seconds, 0));
    let start = start.map(|time| time.format("%Y-%m-%d %H:%M:%S UTC").to_string());
    let minutes = contest.duration.unwrap_or_default().seconds / 60;
    let (hours, minutes) = (minutes / 60, minutes % 60);
    let problems = output::counted(problems, "problem");
    let start = start.unwrap_or_default();
    format!("{}, {start}, {hours}:{minutes:02} hours, {problems}", contest.slug)
}

async fn finalize(arguments: FinalizeContest) -> Result<ExitCode, Failure> {
    let mut client = Client::new(client::signed_in(&arguments.remote).await?);
    let request = FinalizeContestRequest {
        contest_id: arguments.contest.clone(),
        request_id: Clock::system().new_id().to_string(),
        ..FinalizeContestRequest::default()
    };
    client.finalize_contest(request).await?;
    print_line!("The results of {} are final.", arguments.contest);
    Ok(ExitCode::SUCCESS)
}

async fn get(client: &mut Client, contest: &str) -> Result<Contest, Failure> {
    let request = GetContestRequest { contest_id: contest.to_owned() };
    Ok(client.get_contest(request).await?.into_inner().contest.unwrap_or_default())
}
