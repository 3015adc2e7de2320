//! `agon restore`: creates a data directory from a backup, atomically.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use db::snapshot;
use ids::Clock;

use crate::cli::arguments::Restore;
use crate::config::Config;
use crate::data_dir::{make_private_dir, temporary_dir};
use crate::failure::Failure;
use crate::migrate::unpack;
use crate::server::databases::{ALL, Databases, database_failure};
use crate::server::topics;

pub async fn run(arguments: &Restore) -> Result<ExitCode, Failure> {
    let data = &arguments.data;
    let folder = parent_of(data)?;
    let io = |error: io::Error| Failure::storage(format!("--data: {}: {error}", data.display()));
    // In the same folder, so that a rename completes the restore. Removed on failure.
    let temporary = temporary_dir(&folder, ".agon-restore-").map_err(io)?;
    let (from, into) = (arguments.from.clone(), temporary.path().to_owned());
    let unpacking = tokio::task::spawn_blocking(move || unpack::unpack(&from, &into)).await;
    let manifest = unpacking.map_err(|error| Failure::new(error.to_string()))??;
    check(temporary.path()).await?;
    unpack::sync(temporary.path()).map_err(io)?;
    fs::rename(temporary.path(), data)
        .and_then(|()| File::open(&folder)?.sync_all())
        .map_err(io)?;
    print_line!(
        "{}: {} files as of {}, from agon {}",
        data.display(),
        manifest.files.len(),
        manifest.time,
        manifest.version
    );
    Ok(ExitCode::SUCCESS)
}

/// The folder of the data directory, created if missing.
fn parent_of(data: &Path) -> Result<PathBuf, Failure> {
    let fail = |what: String| Failure::usage(format!("--data: {}: {what}", data.display()));
    match fs::read_dir(data) {
        Ok(mut entries) => {
            if entries.next().is_some() {
                return Err(fail("is not empty; must be missing or empty".into()));
            }
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(fail(error.to_string())),
    }
    if data.file_name().is_none() {
        return Err(fail("must name a directory".into()));
    }
    let folder = data.parent().filter(|folder| *folder != Path::new("")).unwrap_or(Path::new("."));
    if !folder.exists() {
        make_private_dir(folder)?;
    }
    folder.canonicalize().map_err(|error| fail(error.to_string()))
}

/// Fails unless the databases are intact, known to this program, and as of one moment.
async fn check(directory: &Path) -> Result<(), Failure> {
    for migrations in ALL {
        let service = migrations.service;
        let path = directory.join(format!("{service}.db"));
        if !path.is_file() {
            return Err(Failure::storage(format!("--from: the database of {service} is missing")));
        }
        let errors =
            snapshot::check(&path).await.map_err(|error| database_failure(service, &error))?;
        if !errors.is_empty() {
            let errors = errors.join("; ");
            let text = format!("--from: the database of {service} is damaged: {errors}");
            return Err(Failure::storage(text));
        }
    }
    let databases = Databases::open(&Config::default(), directory, &Clock::system()).await?;
    let result = check_consistency(&databases).await;
    databases.close().await;
    result
}

async fn check_consistency(databases: &Databases) -> Result<(), Failure> {
    let log_of = |topic: &str| {
        let producers = topics::produced();
        let producer =
            producers.iter().find(|(_, topics)| topics.iter().any(|known| known.name == topic));
        producer.map(|(service, _)| databases.of(service))
    };
    for (db, migrations) in databases.each() {
        let known = db.migration_status(migrations).await;
        known.map_err(|error| database_failure(db.service(), &error))?;
        let ahead = bus::cursors_ahead(db, log_of).await;
        let ahead = ahead.map_err(|error| Failure::storage(format!("events: {error}")))?;
        if !ahead.is_empty() {
            return Err(Failure::storage(format!(
                "--from: the databases are not of the same moment: {}",
                ahead.join("; ")
            )));
        }
    }
    Ok(())
}
