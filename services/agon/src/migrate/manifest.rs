//! The manifest of a backup, and which paths a backup may contain.

use std::collections::BTreeMap;
use std::path::{Component, Path};

use serde::{Deserialize, Serialize};

/// File name of the manifest. It is the last file of a backup: a backup without it is incomplete.
pub const NAME: &str = "manifest.json";
/// Version of the backup format.
pub const FORMAT: u32 = 1;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// [`FORMAT`] of the program that wrote it.
    pub format: u32,
    /// Version of the program that wrote it.
    pub version: String,
    /// Time of the snapshot, RFC 3339.
    pub time: String,
    /// Files by path.
    pub files: BTreeMap<String, Entry>,
}

/// Size and digest of a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// In bytes.
    pub size: u64,
    /// Hexadecimal.
    pub sha256: String,
}

impl Manifest {
    /// Fails if a program of version `own` cannot restore this backup.
    pub fn check(&self, own: &str) -> Result<(), String> {
        if self.format > FORMAT || parts(&self.version) > parts(own) {
            return Err(format!(
                "it was written by agon {}, which is newer than this program ({own}); restore it with version {} or newer",
                self.version, self.version
            ));
        }
        Ok(())
    }

    /// Describes how the files differ from the manifest; empty if they are equal.
    pub fn differences(&self, files: &BTreeMap<String, Entry>) -> Vec<String> {
        let mut found = Vec::new();
        for (name, entry) in &self.files {
            match files.get(name) {
                None => found.push(format!("{name} is missing")),
                Some(found_entry) if found_entry != entry => {
                    found.push(format!("{name} is damaged"));
                }
                Some(_) => {}
            }
        }
        let unknown = files.keys().filter(|name| !self.files.contains_key(*name));
        found.extend(unknown.map(|name| format!("{name} is not in the manifest")));
        found
    }
}

fn parts(version: &str) -> Vec<u64> {
    version.split(['.', '-', '+']).map_while(|part| part.parse().ok()).collect()
}

/// Whether a backup may contain this path: relative, without `..`, at most three components.
pub fn is_inside(path: &Path) -> bool {
    let plain = path.components().all(|part| matches!(part, Component::Normal(_)));
    plain && (1..=3).contains(&path.components().count()) && path.to_str().is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest(version: &str) -> Manifest {
        let entry = Entry { size: 1, sha256: "00".into() };
        let files = BTreeMap::from([("auth.db".to_owned(), entry)]);
        Manifest { format: FORMAT, version: version.into(), time: String::new(), files }
    }

    #[test]
    fn backups_of_newer_programs_are_refused() {
        for good in ["0.1.0", "0.0.9", "0.1.0-beta"] {
            manifest(good).check("0.1.0").unwrap();
        }
        for newer in ["0.1.1", "0.10.0", "1.0.0"] {
            assert!(manifest(newer).check("0.1.0").is_err(), "{newer}");
        }
        let error = manifest("2.0.0").check("0.1.0").unwrap_err();
        assert!(error.contains("2.0.0") && error.contains("0.1.0"), "{error}");
        assert!(Manifest { format: 2, ..manifest("0.1.0") }.check("0.1.0").is_err());
    }

    #[test]
    fn differences_name_the_file() {
        let one = manifest("0.1.0");
        assert!(one.differences(&one.files).is_empty());
        assert_eq!(one.differences(&BTreeMap::new()), ["auth.db is missing"]);
        let mut other = one.files.clone();
        other.insert("auth.db".into(), Entry { size: 2, sha256: "00".into() });
        other.insert("x".into(), Entry { size: 2, sha256: "00".into() });
        assert_eq!(one.differences(&other), ["auth.db is damaged", "x is not in the manifest"]);
    }

    #[test]
    fn paths_outside_the_directory_are_refused() {
        for good in ["auth.db", "keys/judge.pem", "objects/ab/cdef"] {
            assert!(is_inside(Path::new(good)), "{good}");
        }
        for bad in ["", "/etc/passwd", "../x", "keys/../../x", "a/b/c/d", "."] {
            assert!(!is_inside(Path::new(bad)), "{bad}");
        }
    }
}
