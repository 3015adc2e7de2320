//! The data directory and its lock, and private files.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use crate::failure::Failure;

/// A data directory, locked by this process.
#[derive(Debug)]
pub struct DataDir {
    path: PathBuf,
    _lock: File,
}

impl DataDir {
    /// Creates the directory if it is missing, and locks it.
    pub fn open(path: &Path) -> Result<Self, Failure> {
        make_private_dir(path)?;
        let path = path
            .canonicalize()
            .map_err(|error| io_failure("cannot use the data directory", path, &error))?;
        let lock = lock(&path)?;
        Ok(Self { path, _lock: lock })
    }

    /// Locks an existing directory.
    pub fn open_existing(path: &Path) -> Result<Self, Failure> {
        require(path)?;
        Self::open(path)
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn join(&self, name: impl AsRef<Path>) -> PathBuf {
        self.path.join(name)
    }
}

/// Fails if the data directory does not exist.
pub fn require(path: &Path) -> Result<(), Failure> {
    if path.is_dir() {
        return Ok(());
    }
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    Err(Failure::usage(format!(
        "--data: there is no directory {}; run the command where the server runs, or set --data to its data directory",
        path.display()
    )))
}

/// The kernel releases the lock when the process ends. The file names the process for the error message.
fn lock(dir: &Path) -> Result<File, Failure> {
    let path = dir.join("lock");
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(&path)
        .map_err(|error| io_failure("the data directory is not writable", dir, &error))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut owner = String::new();
            // Optional: only the error message uses it.
            let _ = file.read_to_string(&mut owner);
            let owner = owner.trim();
            let process = if owner.is_empty() { String::new() } else { format!(" ({owner})") };
            return Err(Failure::busy(format!(
                "another agon{process} is using the data directory {}; stop it, or select another directory with --data",
                dir.display()
            )));
        }
        Err(TryLockError::Error(error)) => {
            return Err(io_failure("cannot lock the data directory", dir, &error));
        }
    }
    let mut note = || -> io::Result<()> {
        file.set_len(0)?;
        file.rewind()?;
        writeln!(file, "process {}", std::process::id())
    };
    note().map_err(|error| io_failure("the data directory is not writable", dir, &error))?;
    Ok(file)
}

/// Creates a directory with mode 0700, and its parents.
pub fn make_private_dir(path: &Path) -> Result<(), Failure> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(|error| io_failure("cannot create the directory", path, &error))
}

/// Creates a directory in `folder` with mode 0700. Dropping it removes it with its content.
pub fn temporary_dir(folder: &Path, prefix: &str) -> io::Result<tempfile::TempDir> {
    let private = fs::Permissions::from_mode(0o700);
    tempfile::Builder::new().prefix(prefix).permissions(private).tempdir_in(folder)
}

/// Writes a file with mode 0600 atomically, and syncs it.
pub fn write_private(path: &Path, content: &[u8]) -> Result<(), Failure> {
    let fail = |error: io::Error| io_failure("cannot write", path, &error);
    let dir = path.parent().unwrap_or(Path::new("."));
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let temporary = dir.join(format!(".{name}.{}", std::process::id()));
    let written = || -> io::Result<()> {
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&temporary)?;
        file.write_all(content)?;
        file.sync_all()?;
        fs::rename(&temporary, path)?;
        // Sync the directory, so that the new name survives a power failure.
        File::open(dir)?.sync_all()
    };
    written().map_err(|error| {
        // Ignore this error: the first one is the cause.
        let _ = fs::remove_file(&temporary);
        fail(error)
    })
}

/// Reads a text file; `None` if it does not exist.
pub fn read_if_exists(path: &Path) -> Result<Option<String>, Failure> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(io_failure("cannot read", path, &error)),
    }
}

fn io_failure(what: &str, path: &Path, error: &io::Error) -> Failure {
    let full = error.kind() == io::ErrorKind::StorageFull;
    let hint = if full { " (free some space and try again)" } else { "" };
    Failure::storage(format!("{what} {}: {error}{hint}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn second_open_fails_while_the_first_is_held() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a/b");
        let data = DataDir::open(&path).unwrap();
        let error = DataDir::open(&path).unwrap_err().to_string();
        assert!(error.contains(&format!("process {}", std::process::id())), "{error}");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o700);
        drop(data);
        DataDir::open(&path).unwrap();
    }

    #[test]
    fn private_files_are_replaced_atomically() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("secret");
        assert_eq!(read_if_exists(&path).unwrap(), None);
        write_private(&path, b"one").unwrap();
        write_private(&path, b"two").unwrap();
        assert_eq!(read_if_exists(&path).unwrap().as_deref(), Some("two"));
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn error_names_the_path() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("data");
        fs::write(&path, "").unwrap();
        let error = DataDir::open(&path).unwrap_err().to_string();
        assert!(error.contains(&path.display().to_string()), "{error}");
    }
}
