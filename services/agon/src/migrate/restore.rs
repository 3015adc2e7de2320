//! `agon restore`: a data directory made from a backup, whole or not at all.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use db::snapshot;
use ids::Clock;

use crate::cli::arguments::Restore;
use crate::config::Config;
use crate::data_dir::{make_private_dir, scratch_dir};
use crate::failure::Failure;
use crate::migrate::unpack;
use crate::server::databases::{ALL, Databases, failure};
use crate::server::topics;

/// Runs the command.
pub async fn run(arguments: &Restore) -> Result<ExitCode, Failure> {
    let data = &arguments.data;
    let folder = place(data)?;
    let io = |error: io::Error| Failure::storage(format!("--data: {}: {error}", data.display()));
    // Beside the directory, so that a name is all that changes in the end; removed when anything fails.
    let scratch = scratch_dir(&folder, ".agon-restore-").map_err(io)?;
    let (from, into) = (arguments.from.clone(), scratch.path().to_owned());
    let unpacking = tokio::task::spawn_blocking(move || unpack::unpack(&from, &into)).await;
    let manifest = unpacking.map_err(|error| Failure::new(error.to_string()))??;
    check(scratch.path()).await?;
    unpack::sync(scratch.path()).map_err(io)?;
    fs::rename(scratch.path(), data).and_then(|()| File::open(&folder)?.sync_all()).map_err(io)?;
    print_line!(
        "{}: {} files as of {}, from agon {}",
        data.display(),
        manifest.files.len(),
        manifest.time,
        manifest.version
    );
    Ok(ExitCode::SUCCESS)
}

/// The folder that the data directory will be in.
fn place(data: &Path) -> Result<PathBuf, Failure> {
    let fail = |what: String| Failure::usage(format!("--data: {}: {what}", data.display()));
    match fs::read_dir(data) {
        Ok(mut entries) => {
            if entries.next().is_some() {
                return Err(fail("is not empty; give a directory that is, or a new one".into()));
            }
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(fail(error.to_string())),
    }
    if data.file_name().is_none() {
        return Err(fail("give the name of a directory".into()));
    }
    let folder = data.parent().filter(|folder| *folder != Path::new("")).unwrap_or(Path::new("."));
    if !folder.exists() {
        make_private_dir(folder)?;
    }
    folder.canonicalize().map_err(|error| fail(error.to_string()))
}

/// Whether the databases are sound, known to this program, and of one moment.
async fn check(directory: &Path) -> Result<(), Failure> {
    for migrations in ALL {
        let service = migrations.service;
        let path = directory.join(format!("{service}.db"));
        if !path.is_file() {
            return Err(Failure::storage(format!("--from: the database of {service} is missing")));
        }
        let words = snapshot::check(&path).await.map_err(|error| failure(service, &error))?;
        if !words.is_empty() {
            let words = words.join("; ");
            let text = format!("--from: the database of {service} is damaged: {words}");
            return Err(Failure::storage(text));
        }
    }
    let databases = Databases::open(&Config::default(), directory, &Clock::system()).await?;
    let fit = fit(&databases).await;
    databases.close().await;
    fit
}

async fn fit(databases: &Databases) -> Result<(), Failure> {
    let log_of = |topic: &str| {
        let producers = topics::produced();
        let producer =
            producers.iter().find(|(_, topics)| topics.iter().any(|known| known.name == topic));
        producer.map(|(service, _)| databases.of(service))
    };
    for (db, migrations) in databases.each() {
        let known = db.migration_status(migrations).await;
        known.map_err(|error| failure(db.service(), &error))?;
        let ahead = bus::cursors_ahead(db, log_of).await;
        let ahead = ahead.map_err(|error| Failure::storage(format!("events: {error}")))?;
        if !ahead.is_empty() {
            return Err(Failure::storage(format!(
                "--from: the databases are of different moments: {}",
                ahead.join("; ")
            )));
        }
    }
    Ok(())
}
