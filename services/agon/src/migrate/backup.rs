//! `agon backup`: writes a data directory to one file, also while the server runs.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use db::snapshot::{self, Copy};
use ids::Clock;
use problem::transfer::Files;

use crate::cli::arguments::Backup;
use crate::config::{self, Config};
use crate::data_dir::temporary_dir;
use crate::failure::Failure;
use crate::migrate::archive::{self, ArchiveError, Source};
use crate::migrate::manifest::Manifest;
use crate::migrate::{objects, source_id};
use crate::server::databases::{self, ALL, Databases, database_failure};

/// Attempts per backup. An attempt fails if a problem is purged between the snapshot and the copy of its objects.
const ATTEMPTS: usize = 3;

/// Runs the command. Does not lock the data directory, because a server may be using it.
pub async fn run(arguments: &Backup) -> Result<ExitCode, Failure> {
    let config = config::load(&arguments.settings)?.value;
    config.check()?;
    if config.database.url != "sqlite:" {
        return Err(Failure::usage("database.url: must be `sqlite:`; use pg_dump for PostgreSQL"));
    }
    databases::require_files(&config.data)?;
    let (to, folder) = resolve_target(&config, &arguments.to)?;
    for number in 1.. {
        match attempt(&config, &to, &folder).await {
            Err(AttemptError::Object(_)) if number < ATTEMPTS => {}
            Err(AttemptError::Object(path)) => {
                return Err(Failure::storage(format!(
                    "{} is missing, but a problem version refers to it",
                    path.display()
                )));
            }
            Err(AttemptError::Other(failure)) => return Err(failure),
            Ok((manifest, lock_time)) => {
                let size: u64 = manifest.files.values().map(|entry| entry.size).sum();
                print_line!(
                    "{}: {} files, {:.1} MiB, as of {}; writes were blocked for {:.1} ms",
                    to.display(),
                    manifest.files.len(),
                    size as f64 / f64::from(1 << 20),
                    manifest.time,
                    lock_time.as_secs_f64() * 1000.0
                );
                print_line!(
                    "The backup contains all keys and secrets of the installation: protect it."
                );
                break;
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

enum AttemptError {
    Object(PathBuf),
    Other(Failure),
}

impl From<Failure> for AttemptError {
    fn from(failure: Failure) -> Self {
        Self::Other(failure)
    }
}

/// The absolute path of the file, and its folder.
fn resolve_target(config: &Config, to: &Path) -> Result<(PathBuf, PathBuf), Failure> {
    let fail = |what: String| Failure::usage(format!("--to: {}: {what}", to.display()));
    let name = to.file_name().ok_or_else(|| fail("must name a file".into()))?;
    let folder = to.parent().filter(|folder| *folder != Path::new("")).unwrap_or(Path::new("."));
    let folder = folder.canonicalize().map_err(|error| fail(error.to_string()))?;
    let to = folder.join(name);
    if to.exists() {
        return Err(fail("already exists".into()));
    }
    if config.data.canonicalize().is_ok_and(|data| folder.starts_with(data)) {
        return Err(fail("must be outside of the data directory".into()));
    }
    Ok((to, folder))
}

async fn attempt(
    config: &Config,
    to: &Path,
    folder: &Path,
) -> Result<(Manifest, Duration), AttemptError> {
    let io = |error: io::Error| Failure::storage(format!("--to: {}: {error}", folder.display()));
    let temporary = temporary_dir(folder, ".agon-backup-").map_err(io)?;
    let clock = Clock::system();
    let now = clock.now();
    let lock_time = snapshot(&config.data, temporary.path()).await?;
    let mut files: Vec<Source> = Vec::new();
    let databases = Databases::open(config, temporary.path(), &clock).await?;
    let objects_used = referenced_objects(&databases).await;
    databases.close().await;
    let objects_used = objects_used?;
    for migrations in ALL {
        let name = format!("{}.db", migrations.service);
        files.push(Source { path: temporary.path().join(&name), name, digest: None });
    }
    files.extend(other_files(&config.data)?);
    if let Some(stored) =
        Files::of(&config.problem.objects, &config.data).map_err(objects::failure)?
    {
        files.extend(objects_used.into_iter().map(|digest| {
            let (head, tail) = digest.split_at(2);
            let name = format!("objects/{head}/{tail}");
            Source { name, path: stored.path(&digest), digest: Some(digest) }
        }));
    }
    let archive = temporary.path().join("backup.tar");
    let (written, time) = (archive.clone(), now.to_rfc3339());
    let writing = move || archive::write(&written, &files, now.timestamp(), time);
    let writing = tokio::task::spawn_blocking(writing).await;
    let manifest =
        writing.map_err(|error| Failure::new(error.to_string()))?.map_err(attempt_error)?;
    fs::rename(&archive, to).and_then(|()| File::open(folder)?.sync_all()).map_err(io)?;
    Ok((manifest, lock_time))
}

/// Copies all databases as of one moment. Returns how long writes were blocked.
async fn snapshot(data: &Path, into: &Path) -> Result<Duration, Failure> {
    let files = ALL.map(|migrations| {
        let name = format!("{}.db", migrations.service);
        Copy { from: data.join(&name), to: into.join(name) }
    });
    snapshot::take(&files).await.map_err(|error| Failure::storage(error.to_string()))
}

/// The objects that the copied databases refer to. Fails if a database is newer than this program.
async fn referenced_objects(databases: &Databases) -> Result<Vec<String>, Failure> {
    for (db, migrations) in databases.each() {
        let known = db.migration_status(migrations).await;
        known.map_err(|error| database_failure(db.service(), &error))?;
    }
    problem::referenced_objects(&databases.of("problem")).await.map_err(objects::failure)
}

/// The other files of an installation, such as secrets and keys.
fn other_files(data: &Path) -> Result<Vec<Source>, Failure> {
    let mut found = Vec::new();
    for folder in ["", "keys"] {
        let path = data.join(folder);
        if !path.is_dir() {
            continue;
        }
        let fail =
            |error: io::Error| Failure::storage(format!("cannot read {}: {error}", path.display()));
        for entry in fs::read_dir(&path).map_err(fail)? {
            let entry = entry.map_err(fail)?;
            let Ok(name) = entry.file_name().into_string() else { continue };
            if entry.file_type().map_err(fail)?.is_file() && is_kept(&name) {
                let inside = Path::new(folder).join(&name).display().to_string();
                found.push(Source { name: inside, path: entry.path(), digest: None });
            }
        }
    }
    found.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(found)
}

/// Whether a file of the data directory is copied as it is. Databases are copied as snapshots; a restored directory gets
/// a new promotion source id.
fn is_kept(name: &str) -> bool {
    let database = [".db", ".db-wal", ".db-shm"].iter().any(|end| name.ends_with(end));
    !database && !name.starts_with('.') && !["lock", source_id::FILE].contains(&name)
}

fn attempt_error(stopped: ArchiveError) -> AttemptError {
    AttemptError::Other(match stopped {
        ArchiveError::Missing(path) => return AttemptError::Object(path),
        ArchiveError::Damaged(path) => Failure::storage(format!(
            "{} is damaged: its content does not match its digest",
            path.display()
        )),
        ArchiveError::Io(path, error) => Failure::storage(format!("{}: {error}", path.display())),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn backup_has_secrets_but_no_locks_and_live_databases() {
        for kept in ["root-secret", "admin-password", "judge.pem", "samples-imported"] {
            assert!(is_kept(kept), "{kept}");
        }
        for left in ["lock", "auth.db", "auth.db-wal", ".root-secret.12", "promotion"] {
            assert!(!is_kept(left), "{left}");
        }
    }
}
