//! What a worker is called.

use std::fs;
use std::io;
use std::path::Path;

use ids::Clock;

/// The name of a new run of the worker that has this directory alone: `<host>/<directory's id>/<run>`.
///
/// What stands before the last `/` belongs to the directory, whoever runs in it, so that the queue knows at the
/// hello of a new run that earlier ones are gone. The id is made at the first run; a host's name would not do,
/// because many machines share theirs.
///
/// # Errors
/// When the directory cannot be written to.
pub fn name(host: &str, directory: &Path, clock: &Clock) -> io::Result<String> {
    let path = directory.join("machine");
    let id = match fs::read_to_string(&path) {
        Ok(id) => id.trim().to_owned(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(error),
    };
    // A crash in the very first moment leaves an empty file.
    let id = match ids::parse(&id) {
        Some(id) => id,
        None => {
            let id = clock.new_id();
            fs::create_dir_all(directory)?;
            fs::write(&path, format!("{id}\n"))?;
            id
        }
    };
    // A name is short and plain.
    let host = host.chars().filter(|c| c.is_ascii_alphanumeric() || "-._".contains(*c)).take(48);
    Ok(format!("{}/{id}/{}", host.collect::<String>(), clock.new_id().simple()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_differ_and_directories_stay() {
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
