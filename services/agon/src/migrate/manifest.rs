//! What is in a backup, and what may be.

use std::collections::BTreeMap;
use std::path::{Component, Path};

use serde::{Deserialize, Serialize};

/// The name of the manifest, which is the last file of a backup: one without it is not whole.
pub const NAME: &str = "manifest.json";
/// How a backup looks like.
pub const FORMAT: u32 = 1;

/// What a backup says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// [`FORMAT`] of the program that wrote it.
    pub format: u32,
    /// Its version.
    pub version: String,
    /// When, RFC 3339.
    pub time: String,
    /// Every file by its path.
    pub files: BTreeMap<String, Entry>,
}

/// A file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Its bytes.
    pub size: u64,
    /// Their SHA-256, hexadecimal.
    pub sha256: String,
}

impl Manifest {
    /// Whether a program of version `own` can restore this; the error is for people.
    pub fn check(&self, own: &str) -> Result<(), String> {
        if self.format > FORMAT || parts(&self.version) > parts(own) {
            return Err(format!(
                "it was written by agon {}, which is newer than this program ({own}); restore it with that version \
                 or a later one",
                self.version
            ));
        }
        Ok(())
    }

    /// How these files differ from the manifest, in words; nothing when they do not.
    pub fn differences(&self, files: &BTreeMap<String, Entry>) -> Vec<String> {
        let mut found = Vec::new();
        for (name, entry) in &self.files {
            match files.get(name) {
                None => found.push(format!("{name} is missing")),
                Some(there) if there != entry => found.push(format!("{name} is damaged")),
                Some(_) => {}
            }
        }
        let strange = files.keys().filter(|name| !self.files.contains_key(*name));
        found.extend(strange.map(|name| format!("{name} is not in the manifest")));
        found
    }
}

fn parts(version: &str) -> Vec<u64> {
    version.split(['.', '-', '+']).map_while(|part| part.parse().ok()).collect()
}

/// Whether a file may be put at this path: inside the directory, and where an installation has files.
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
    fn newer_programs_are_named() {
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
    fn paths_stay_inside() {
        for good in ["auth.db", "keys/judge.pem", "objects/ab/cdef"] {
            assert!(is_inside(Path::new(good)), "{good}");
        }
        for bad in ["", "/etc/passwd", "../x", "keys/../../x", "a/b/c/d", "."] {
            assert!(!is_inside(Path::new(bad)), "{bad}");
        }
    }
}
