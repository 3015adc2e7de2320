//! `agon backup`: the installation of a data directory in one file, also while it runs.

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
use crate::data_dir::scratch_dir;
use crate::failure::Failure;
use crate::migrate::archive::{self, Source, Stopped};
use crate::migrate::manifest::Manifest;
use crate::migrate::{objects, source_id};
use crate::server::databases::{self, ALL, Databases, failure};

/// An object that a version named may be gone by the time it is copied, when its problem was removed for good in
/// between. Then all is begun again, which does not happen twice.
const ATTEMPTS: usize = 3;

/// Runs the command. The data directory is not locked: the server that has it goes on.
pub async fn run(arguments: &Backup) -> Result<ExitCode, Failure> {
    let config = config::load(&arguments.settings)?.value;
    config.check()?;
    if config.database.url != "sqlite:" {
        return Err(Failure::usage(
            "database.url: a backup is of the SQLite files in a data directory; for PostgreSQL there is pg_dump",
        ));
    }
    databases::require_files(&config.data)?;
    let (to, folder) = place(&config, &arguments.to)?;
    for attempt in 1.. {
        match attempt_in(&config, &to, &folder).await {
            Err(Missed::Object(_)) if attempt < ATTEMPTS => {}
            Err(Missed::Object(path)) => {
                return Err(Failure::storage(format!(
                    "{} is missing: a version of a problem needs it",
                    path.display()
                )));
            }
            Err(Missed::Other(failure)) => return Err(failure),
            Ok((manifest, held)) => {
                let size: u64 = manifest.files.values().map(|entry| entry.size).sum();
                print_line!(
                    "{}: {} files, {:.1} MiB, as of {}; writing waited for {:.1} ms",
                    to.display(),
                    manifest.files.len(),
                    size as f64 / f64::from(1 << 20),
                    manifest.time,
                    held.as_secs_f64() * 1000.0
                );
                print_line!(
                    "It holds the keys and secrets of the installation: keep it as safe as those."
                );
                break;
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

enum Missed {
    Object(PathBuf),
    Other(Failure),
}

impl From<Failure> for Missed {
    fn from(failure: Failure) -> Self {
        Self::Other(failure)
    }
}

/// Where the file goes, and the folder that it will be in.
fn place(config: &Config, to: &Path) -> Result<(PathBuf, PathBuf), Failure> {
    let fail = |what: String| Failure::usage(format!("--to: {}: {what}", to.display()));
    let name = to.file_name().ok_or_else(|| fail("give the name of a file".into()))?;
    let folder = to.parent().filter(|folder| *folder != Path::new("")).unwrap_or(Path::new("."));
    let folder = folder.canonicalize().map_err(|error| fail(error.to_string()))?;
    let to = folder.join(name);
    if to.exists() {
        return Err(fail("is there already; give another name".into()));
    }
    if config.data.canonicalize().is_ok_and(|data| folder.starts_with(data)) {
        return Err(fail("lies in the data directory; give a place outside".into()));
    }
    Ok((to, folder))
}

async fn attempt_in(
    config: &Config,
    to: &Path,
    folder: &Path,
) -> Result<(Manifest, Duration), Missed> {
    let io = |error: io::Error| Failure::storage(format!("--to: {}: {error}", folder.display()));
    // Removed with all that is in it, whatever happens.
    let scratch = scratch_dir(folder, ".agon-backup-").map_err(io)?;
    let clock = Clock::system();
    let now = clock.now();
    let held = snapshot(&config.data, scratch.path()).await?;
    let mut files: Vec<Source> = Vec::new();
    let databases = Databases::open(config, scratch.path(), &clock).await?;
    let named = named(&databases).await;
    databases.close().await;
    let named = named?;
    for migrations in ALL {
        let name = format!("{}.db", migrations.service);
        files.push(Source { path: scratch.path().join(&name), name, digest: None });
    }
    files.extend(others(&config.data)?);
    if let Some(stored) =
        Files::of(&config.problem.objects, &config.data).map_err(objects::worded)?
    {
        files.extend(named.into_iter().map(|digest| {
            let (head, tail) = digest.split_at(2);
            let name = format!("objects/{head}/{tail}");
            Source { name, path: stored.path(&digest), digest: Some(digest) }
        }));
    }
    let archive = scratch.path().join("backup.tar");
    let (written, time) = (archive.clone(), now.to_rfc3339());
    let writing = move || archive::write(&written, &files, now.timestamp(), time);
    let writing = tokio::task::spawn_blocking(writing).await;
    let manifest = writing.map_err(|error| Failure::new(error.to_string()))?.map_err(missed)?;
    fs::rename(&archive, to).and_then(|()| File::open(folder)?.sync_all()).map_err(io)?;
    Ok((manifest, held))
}

/// Copies of the databases, all as of one moment.
async fn snapshot(data: &Path, into: &Path) -> Result<Duration, Failure> {
    let files = ALL.map(|migrations| {
        let name = format!("{}.db", migrations.service);
        Copy { from: data.join(&name), to: into.join(name) }
    });
    snapshot::take(&files).await.map_err(|error| Failure::storage(error.to_string()))
}

/// The objects that the copied databases need. Databases that are newer than this program are refused: who knows what
/// else they need.
async fn named(databases: &Databases) -> Result<Vec<String>, Failure> {
    for (db, migrations) in databases.each() {
        let known = db.migration_status(migrations).await;
        known.map_err(|error| failure(db.service(), &error))?;
    }
    problem::referenced_objects(&databases.of("problem")).await.map_err(objects::worded)
}

/// The other files of an installation: secrets, keys, and what was done once. Directories that hold what can be made
/// again stay behind.
fn others(data: &Path) -> Result<Vec<Source>, Failure> {
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

/// Whether a file of the data directory belongs into a backup as it is. Databases are copied another way, and which
/// directory this is, the restored one is not.
fn is_kept(name: &str) -> bool {
    let database = [".db", ".db-wal", ".db-shm"].iter().any(|end| name.ends_with(end));
    !database && !name.starts_with('.') && !["lock", source_id::FILE].contains(&name)
}

fn missed(stopped: Stopped) -> Missed {
    Missed::Other(match stopped {
        Stopped::Missing(path) => return Missed::Object(path),
        Stopped::Damaged(path) => {
            Failure::storage(format!("{} is damaged: it is not what its name says", path.display()))
        }
        Stopped::Io(path, error) => Failure::storage(format!("{}: {error}", path.display())),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_belongs_into_a_backup() {
        for kept in ["root-secret", "admin-password", "judge.pem", "samples-imported"] {
            assert!(is_kept(kept), "{kept}");
        }
        for left in ["lock", "auth.db", "auth.db-wal", ".root-secret.12", "promotion"] {
            assert!(!is_kept(left), "{left}");
        }
    }
}
