//! The names of workers.

use std::fs;
use std::io;
use std::path::Path;

use ids::Clock;

/// Creates the name of a new run of the worker that owns a directory: `<host>/<directory id>/<run id>`.
///
/// All runs in a directory share the id in it, so that the queue detects on connection that earlier runs have ended.
/// The first run creates the id. Host names are not sufficient, because many machines can share one.
///
/// # Errors
/// Fails if the directory is not writable.
pub fn name(host: &str, directory: &Path, clock: &Clock) -> io::Result<String> {
    let path = directory.join("machine");
    let id = match fs::read_to_string(&path) {
        Ok(id) => id.trim().to_owned(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(error),
    };
    // A crash while the file is written leaves it empty.
    let id = match ids::parse(&id) {
        Some(id) => id,
        None => {
            let id = clock.new_id();
            fs::create_dir_all(directory)?;
            fs::write(&path, format!("{id}\n"))?;
            id
        }
    };
    // Names are limited to 128 bytes without control characters.
    let host = host.chars().filter(|c| c.is_ascii_alphanumeric() || "-._".contains(*c)).take(48);
    Ok(format!("{}/{id}/{}", host.collect::<String>(), clock.new_id().simple()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_share_the_directory_id() {
        let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let clock = Clock::system();
        let name = |dir: &Path| name("ho/st\n.example", dir, &clock).unwrap();
        let machine = |name: String| name.rsplit_once('/').unwrap().0.to_owned();
        let (first, second) = (name(one.path()), name(one.path()));
        assert_ne!(first, second);
        assert!(first.starts_with("host.example/") && first.len() <= 128, "{first}");
        assert_eq!(machine(first.clone()), machine(second));
        assert_ne!(machine(first), machine(name(two.path())));
    }
}
