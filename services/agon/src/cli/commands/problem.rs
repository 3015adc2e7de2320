//! `agon problem import` and `agon problem verify`

mod browse;
mod download;

use std::future::ready;
use std::io::Read;
use std::path::Path;
use std::process::ExitCode;

use futures_util::TryStreamExt as _;
use ids::Clock;
use package::{Finding, Server, SizeLimits};
use proto::google::api::HttpBody;
use proto::problem::import_service_client::ImportServiceClient;
use proto::problem::{
    CancelProblemImportRequest, ImportCheckState, ImportProblemRequest, ImportState, ProblemImport,
    Severity, WatchProblemImportRequest,
};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;

use crate::cli::arguments::{CancelImport, Import, ProblemCommand};
use crate::cli::client::{self, SignedIn};
use crate::cli::packing::{self, Archive};
use crate::cli::progress::{Progress, Step};
use crate::failure::Failure;

const CHUNK_BYTES: usize = 256 * 1024;
/// The exit code after Ctrl-C, as in a shell.
const INTERRUPTED: u8 = 130;

type Client = ImportServiceClient<SignedIn>;

pub async fn run(command: ProblemCommand) -> Result<ExitCode, Failure> {
    match command {
        ProblemCommand::Import(arguments) => import(arguments).await,
        ProblemCommand::Cancel(arguments) => cancel(arguments).await,
        ProblemCommand::List(arguments) => browse::list(arguments).await,
        ProblemCommand::Show(arguments) => browse::show(arguments).await,
        ProblemCommand::Publish(arguments) => browse::publish(arguments).await,
        ProblemCommand::Download(arguments) => download::run(arguments).await,
        ProblemCommand::Verify { path } => verify(&path),
    }
}

async fn import(arguments: Import) -> Result<ExitCode, Failure> {
    let package = packing::open(&arguments.path, &SizeLimits::default())?;
    let mut client = Client::new(client::signed_in(&arguments.remote).await?);
    let mut progress = Progress::new("uploading");
    let import = match upload(&mut client, &arguments, package).await? {
        Ok(import) => import,
        Err(status) => return refused(status, progress),
    };
    let problem_import_id = import.problem_import_id.clone();
    progress.print(&format!("import {problem_import_id}"));
    let followed = tokio::select! {
        followed = follow(&client, import, &mut progress) => Some(followed?),
        _ = tokio::signal::ctrl_c() => None,
    };
    let (import, interrupted) = match followed {
        Some(import) => (import, false),
        None => (request_cancel(&mut client, problem_import_id).await?, true),
    };
    progress.finish();
    crate::cli::output::print(report(&import));
    Ok(match import.state() {
        ImportState::Succeeded => ExitCode::SUCCESS,
        _ if interrupted => ExitCode::from(INTERRUPTED),
        _ => ExitCode::FAILURE,
    })
}

async fn cancel(arguments: CancelImport) -> Result<ExitCode, Failure> {
    let mut client = Client::new(client::signed_in(&arguments.remote).await?);
    let import = request_cancel(&mut client, arguments.import).await?;
    crate::cli::output::print(report(&import));
    Ok(ExitCode::SUCCESS)
}

async fn request_cancel(
    client: &mut Client,
    problem_import_id: String,
) -> Result<ProblemImport, Failure> {
    let request = CancelProblemImportRequest { problem_import_id };
    let answer = client.cancel_problem_import(request).await?;
    Ok(answer.into_inner().problem_import.unwrap_or_default())
}

/// Checks a package against the format and the default limits of a server, without a server.
fn verify(path: &Path) -> Result<ExitCode, Failure> {
    let server = Server::default();
    let archive = packing::open(path, &server.size_limits)?;
    let storage = |error| Failure::storage(format!("cannot unpack the package: {error}"));
    let scratch = tempfile::tempdir().map_err(storage)?;
    let max = server.size_limits.upload;
    let read = if archive.size > max {
        Err(package::Error::TooLarge(format!(
            "the package is larger than {max} bytes, the default of a server"
        )))
    } else {
        package::read(archive.file, scratch.path(), &server)
    };
    let (findings, valid) = match read {
        Ok(package) => (package.findings, true),
        Err(package::Error::Invalid(findings)) => (findings, false),
        Err(package::Error::TooLarge(text)) => {
            (vec![Finding::new(package::Severity::Error, "", text)], false)
        }
        Err(package::Error::Io(error)) => return Err(storage(error)),
    };
    let mut text: String = findings.iter().map(offline_finding).collect();
    text += if valid { "the package is valid\n" } else { "the package is invalid\n" };
    crate::cli::output::print(text);
    Ok(if valid { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn offline_finding(finding: &Finding) -> String {
    let severity = match finding.severity {
        package::Severity::Error => "error",
        package::Severity::Warning => "warning",
        package::Severity::Info => "note",
    };
    finding_line(severity, &finding.file, &finding.text())
}

/// Without a file, the message is about the package as a whole and names it.
fn finding_line(severity: &str, file: &str, message: &str) -> String {
    match file {
        "" => format!("{severity}: {message}\n"),
        file => format!("{severity}: {file}: {message}\n"),
    }
}

async fn upload(
    client: &mut Client,
    arguments: &Import,
    package: Archive,
) -> Result<Result<ProblemImport, Status>, Failure> {
    let first = ImportProblemRequest {
        problem_id: arguments.problem.clone(),
        publish: arguments.publish,
        request_id: Clock::system().new_id().to_string(),
        content: Some(HttpBody {
            content_type: package.media_type.to_owned(),
            ..HttpBody::default()
        }),
    };
    let (send, chunks) = mpsc::channel(4);
    let content = package.file.take(package.size);
    let reader = tokio::task::spawn_blocking(move || send_chunks(content, first, &send));
    let answer = client.import_problem(ReceiverStream::new(chunks)).await;
    // A refused upload stops the reader: report the refusal before read errors.
    let read = reader.await.map_err(|error| Failure::new(error.to_string()))?;
    let answer = match answer {
        Ok(answer) => answer.into_inner(),
        Err(status) => return Ok(Err(status)),
    };
    read.map_err(|error| Failure::new(format!("cannot read the package: {error}")))?;
    Ok(Ok(answer.problem_import.unwrap_or_default()))
}

/// Prints all errors of a refused package.
fn refused(status: Status, progress: Progress) -> Result<ExitCode, Failure> {
    let fields = rpc::status::fields(&status);
    if rpc::status::reason(&status).as_deref() != Some("PACKAGE_INVALID") || fields.is_empty() {
        return Err(status.into());
    }
    progress.finish();
    crate::cli::output::print(refusal(&fields));
    Ok(ExitCode::FAILURE)
}

/// The lines of violations: file and message. The package as a whole is the field `content`.
fn refusal(fields: &[(String, String)]) -> String {
    let line = |(field, message): &(String, String)| {
        finding_line("error", if field == "content" { "" } else { field }, message)
    };
    fields.iter().map(line).collect::<String>() + "the package was refused\n"
}

fn send_chunks(
    mut package: impl Read,
    first: ImportProblemRequest,
    send: &mpsc::Sender<ImportProblemRequest>,
) -> std::io::Result<()> {
    let mut request = first;
    let mut buffer = vec![0; CHUNK_BYTES];
    loop {
        let read = package.read(&mut buffer)?;
        if read == 0 {
            return Ok(());
        }
        let content = request.content.get_or_insert_default();
        content.data = buffer[..read].to_vec().into();
        if send.blocking_send(std::mem::take(&mut request)).is_err() {
            return Ok(());
        }
    }
}

async fn follow(
    client: &Client,
    import: ProblemImport,
    progress: &mut Progress,
) -> Result<ProblemImport, Failure> {
    let problem_import_id = import.problem_import_id.clone();
    let watch = async || {
        let request = WatchProblemImportRequest { problem_import_id: problem_import_id.clone() };
        let stream = client.clone().watch_problem_import(request).await?.into_inner();
        Ok::<_, Status>(stream.try_filter_map(|message| ready(Ok(message.problem_import))))
    };
    let now = || Clock::system().now().timestamp();
    let show = |import: &ProblemImport| progress.show(step(import, now()));
    let is_final = |now: &ProblemImport| now.state() != ImportState::Verifying;
    client::follow(import, is_final, watch, show).await
}

/// The check to show: one that runs, or else the first that waits. `now` is in seconds.
fn step(import: &ProblemImport, now: i64) -> Step {
    let count = |n: i32| u64::try_from(n).unwrap_or_default();
    let find = |state| import.checks.iter().position(|check| check.state() == state);
    let running = find(ImportCheckState::Running);
    let Some(index) = running.or_else(|| find(ImportCheckState::Queued)) else {
        let (done, total) = (count(import.done_count), count(import.check_count));
        return Step { phase: "verifying".to_owned(), done, total, ..Step::default() };
    };
    let check = &import.checks[index];
    let (number, all) = (index + 1, import.checks.len());
    let what = format!("check {number} of {all}: {}", check.file);
    if running.is_some() {
        let (done, total) = (count(check.done_count), count(check.run_count));
        let note = format!("{} of {} checks done", import.done_count, import.check_count);
        return Step { phase: what, note, done, total };
    }
    let waited = check.queue_time.map(|time| (now - time.seconds).max(0));
    let waited = waited.map(|seconds| format!("{seconds} s so far"));
    // Why it waits, if no worker can take it.
    let reason = Some(check.message.clone()).filter(|reason| !reason.is_empty());
    let note = [waited, reason].into_iter().flatten().collect::<Vec<_>>().join(": ");
    Step { phase: format!("{what}, waiting for the judge"), note, ..Step::default() }
}

fn report(import: &ProblemImport) -> String {
    let mut text = String::new();
    for finding in &import.findings {
        let severity = match finding.severity() {
            Severity::Error => "error",
            Severity::Warning => "warning",
            _ => "note",
        };
        text += &finding_line(severity, &finding.file, &finding.message);
    }
    for check in &import.checks {
        if check.state() != ImportCheckState::Done {
            text += &format!("--   {}  not finished\n", check.file);
            continue;
        }
        let mark = if check.passed { "ok  " } else { "FAIL" };
        text += &format!("{mark} {}  {}", check.file, check.actual);
        if !check.passed && !check.expected.is_empty() {
            text += &format!(" (expected {})", check.expected.join(" or "));
        }
        if !check.passed && !check.message.is_empty() {
            text += &format!(": {}", check.message);
        }
        text.push('\n');
    }
    text += &match import.state() {
        ImportState::Succeeded if import.publish => {
            format!("{} version {} is published\n", import.slug, import.version)
        }
        ImportState::Succeeded => {
            format!("{} version {} is verified but not published\n", import.slug, import.version)
        }
        ImportState::Canceled => "the import was canceled\n".to_owned(),
        _ => "the package was rejected\n".to_owned(),
    };
    text
}

#[cfg(test)]
mod tests {
    use proto::problem::ImportCheck;

    use super::*;

    #[test]
    fn progress_names_the_check_its_runs_and_its_wait() {
        let check = |file: &str, state: ImportCheckState| ImportCheck {
            file: file.into(),
            state: state.into(),
            done_count: 2,
            run_count: 9,
            queue_time: Some((std::time::UNIX_EPOCH + std::time::Duration::from_secs(100)).into()),
            ..ImportCheck::default()
        };
        let import = |checks: Vec<ImportCheck>| ProblemImport {
            done_count: 1,
            check_count: 3,
            checks,
            ..ProblemImport::default()
        };
        let done = || check("check.py", ImportCheckState::Done);
        let queued = || check("slow.cpp", ImportCheckState::Queued);
        let running = check("fast.cpp", ImportCheckState::Running);
        let shown = step(&import(vec![done(), queued(), running]), 130);
        assert_eq!(
            (shown.phase.as_str(), shown.done, shown.total),
            ("check 3 of 3: fast.cpp", 2, 9)
        );
        let shown = step(&import(vec![done(), queued(), queued()]), 130);
        assert_eq!(shown.phase, "check 2 of 3: slow.cpp, waiting for the judge");
        assert_eq!((shown.note.as_str(), shown.total), ("30 s so far", 0));
        let shown = step(&import(vec![done()]), 130);
        assert_eq!((shown.phase.as_str(), shown.done, shown.total), ("verifying", 1, 3));
    }

    #[test]
    fn every_error_of_a_refused_package_is_printed() {
        let fields = [("data/secret/1.ans", "is missing"), ("content", "the zip file is damaged")];
        let fields = fields.map(|(file, text)| (file.to_owned(), text.to_owned()));
        assert_eq!(
            refusal(&fields),
            "error: data/secret/1.ans: is missing\nerror: the zip file is damaged\n\
             the package was refused\n"
        );
    }

    #[test]
    fn valid_packages_pass_verification() {
        let sample = concat!(env!("CARGO_MANIFEST_DIR"), "/../problem/samples/harbour-rope");
        assert_eq!(verify(Path::new(sample)).unwrap(), ExitCode::SUCCESS);
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("problem.yaml"), "name: x").unwrap();
        assert_eq!(verify(dir.path()).unwrap(), ExitCode::FAILURE);
    }
}
