//! `agon problem import` and `agon problem verify`

use std::fs::File;
use std::future::ready;
use std::io::{Read, Seek};
use std::path::Path;
use std::process::ExitCode;

use futures_util::TryStreamExt as _;
use ids::Clock;
use package::{Finding, MaxLimits, SizeLimits};
use proto::google::api::HttpBody;
use proto::problem::import_service_client::ImportServiceClient;
use proto::problem::{
    ImportProblemRequest, ImportState, ProblemImport, Severity, WatchProblemImportRequest,
};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;

use crate::cli::arguments::{Import, ProblemCommand};
use crate::cli::client::{self, SignedIn};
use crate::cli::progress::Progress;
use crate::failure::Failure;

const CHUNK_BYTES: usize = 256 * 1024;

type Client = ImportServiceClient<SignedIn>;

pub async fn run(command: ProblemCommand) -> Result<ExitCode, Failure> {
    match command {
        ProblemCommand::Import(arguments) => import(arguments).await,
        ProblemCommand::Verify { path } => verify(&path),
    }
}

async fn import(arguments: Import) -> Result<ExitCode, Failure> {
    let (package, content_type) = open(&arguments.path)?;
    let mut client = Client::new(client::signed_in(&arguments.remote.server).await?);
    let mut progress = Progress::new("uploading");
    let import = upload(&mut client, &arguments, package, content_type).await?;
    let import = follow(&client, import, &mut progress).await?;
    progress.finish();
    crate::cli::output::print(report(&import));
    let succeeded = import.state() == ImportState::Succeeded;
    Ok(if succeeded { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Checks a package against the format and the default limits of a server, without a server.
fn verify(path: &Path) -> Result<ExitCode, Failure> {
    let (archive, _) = open(path)?;
    let storage = |error| Failure::storage(format!("cannot unpack the package: {error}"));
    let scratch = tempfile::tempdir().map_err(storage)?;
    let size_limits = SizeLimits::default();
    let size = archive.metadata().map_err(storage)?.len();
    let read = if size > size_limits.upload {
        let text = format!("the package is larger than {} bytes", size_limits.upload);
        Err(package::Error::TooLarge(text))
    } else {
        package::read(archive, scratch.path(), &size_limits, &MaxLimits::default())
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

fn finding_line(severity: &str, file: &str, message: &str) -> String {
    let file = if file.is_empty() { "package" } else { file };
    format!("{severity}: {file}: {message}\n")
}

/// Opens the package as one file, with its content type. A directory is packed into a tar archive.
fn open(path: &Path) -> Result<(File, &'static str), Failure> {
    let fail = |error| Failure::usage(format!("cannot read {}: {error}", path.display()));
    if path.is_dir() {
        let mut archive = tar::Builder::new(tempfile::tempfile().map_err(fail)?);
        archive.follow_symlinks(false);
        archive.append_dir_all(".", path).map_err(fail)?;
        let mut file = archive.into_inner().map_err(fail)?;
        file.rewind().map_err(fail)?;
        return Ok((file, "application/x-tar"));
    }
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let types = [
        (".zip", "application/zip"),
        (".tar", "application/x-tar"),
        (".tar.gz", "application/gzip"),
        (".tgz", "application/gzip"),
    ];
    let found = types.into_iter().find(|(extension, _)| name.ends_with(extension));
    let Some((_, content_type)) = found else {
        let text = "must be a directory, .zip, .tar, .tar.gz or .tgz";
        return Err(Failure::usage(format!("{}: {text}", path.display())));
    };
    Ok((File::open(path).map_err(fail)?, content_type))
}

async fn upload(
    client: &mut Client,
    arguments: &Import,
    package: File,
    content_type: &str,
) -> Result<ProblemImport, Failure> {
    let first = ImportProblemRequest {
        problem_id: arguments.problem.clone(),
        publish: arguments.publish,
        request_id: Clock::system().new_id().to_string(),
        content: Some(HttpBody { content_type: content_type.to_owned(), ..HttpBody::default() }),
    };
    let (send, chunks) = mpsc::channel(4);
    let reader = tokio::task::spawn_blocking(move || send_chunks(package, first, &send));
    let answer = client.import_problem(ReceiverStream::new(chunks)).await;
    // A refused upload stops the reader: report the refusal before read errors.
    let read = reader.await.map_err(|error| Failure::new(error.to_string()))?;
    let answer = answer?.into_inner();
    read.map_err(|error| Failure::new(format!("cannot read the package: {error}")))?;
    Ok(answer.problem_import.unwrap_or_default())
}

fn send_chunks(
    mut package: File,
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
    let show = |now: &ProblemImport| {
        let count = |n: i32| u64::try_from(n).unwrap_or_default();
        progress.update("verifying", count(now.done_count), count(now.check_count));
    };
    let is_final = |now: &ProblemImport| now.state() != ImportState::Verifying;
    client::follow(import, is_final, watch, show).await
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
        _ => "the package was rejected\n".to_owned(),
    };
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directories_become_archives_and_other_files_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("problem.yaml"), "name: x").unwrap();
        let (file, kind) = open(dir.path()).unwrap();
        assert_eq!(kind, "application/x-tar");
        let mut archive = tar::Archive::new(file);
        let names: Vec<_> = archive
            .entries()
            .unwrap()
            .map(|entry| entry.unwrap().path().unwrap().display().to_string())
            .collect();
        assert!(names.iter().any(|name| name.ends_with("problem.yaml")), "{names:?}");
        let rar = dir.path().join("package.rar");
        std::fs::write(&rar, "").unwrap();
        assert!(open(&rar).unwrap_err().to_string().contains(".zip"));
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
