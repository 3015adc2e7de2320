//! Finds the compilers and interpreters of a language, and computes a digest of them.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::Language;

/// The host directories that programs in the sandbox can see.
const VISIBLE: [&str; 6] = ["/usr", "/bin", "/sbin", "/lib", "/lib64", "/opt"];

/// The programs of a language on this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Toolchain {
    programs: Vec<(String, String)>,
    digest: String,
}

impl Toolchain {
    /// Finds the programs, in `root` if there is one. The error names a missing program.
    pub fn find(language: &Language, root: Option<&Path>) -> Result<Toolchain, String> {
        let mut programs = Vec::new();
        let mut digest = Sha256::new();
        // Includes the definition, so that a changed language is tested again.
        digest.update(format!("{} {language:?}", env!("CARGO_PKG_VERSION")));
        for (name, candidates) in &language.programs {
            let mut found = candidates.iter().filter_map(|candidate| locate(candidate, root));
            let (path, real) = found
                .next()
                .ok_or_else(|| format!("{} is not installed", candidates.join(" or ")))?;
            if let Ok(file) = fs::metadata(&real) {
                let real = real.display();
                digest.update(format!(" {name} {real} {} {}", file.len(), file.mtime()));
            }
            programs.push((name.clone(), path));
        }
        Ok(Toolchain { programs, digest: hex::encode(digest.finalize()) })
    }

    pub fn programs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.programs.iter().map(|(name, path)| (name.as_str(), path.as_str()))
    }

    /// Changes when a program or the definition of the language changes.
    pub fn digest(&self) -> &str {
        &self.digest
    }

    #[cfg(test)]
    pub fn testing(programs: &[(&str, &str)]) -> Toolchain {
        let program = |(name, path): &(&str, &str)| ((*name).to_owned(), (*path).to_owned());
        Toolchain { programs: programs.iter().map(program).collect(), digest: String::new() }
    }
}

/// The path of a program in the sandbox, and the real file on the host.
fn locate(candidate: &str, root: Option<&Path>) -> Option<(String, PathBuf)> {
    let paths: Vec<PathBuf> = match candidate.starts_with('/') {
        true => vec![candidate.into()],
        false => {
            let path = std::env::var_os("PATH").unwrap_or_default();
            let system = ["/usr/local/bin", "/usr/bin", "/bin"].map(PathBuf::from);
            let all = system.into_iter().chain(std::env::split_paths(&path));
            all.map(|directory| directory.join(candidate)).collect()
        }
    };
    paths.into_iter().find_map(|path| {
        if let Some(root) = root {
            // Symbolic links in a custom root are relative to it, so they are not resolved.
            let host_path = root.join(path.strip_prefix("/").ok()?);
            fs::symlink_metadata(&host_path).ok()?;
            return Some((path.to_str()?.to_owned(), host_path));
        }
        let real = fs::canonicalize(&path).ok()?;
        let file = fs::metadata(&real).ok()?;
        let is_executable = file.is_file() && file.permissions().mode() & 0o111 != 0;
        let is_visible = |path: &Path| VISIBLE.iter().any(|directory| path.starts_with(directory));
        (is_executable && is_visible(&path) && is_visible(&real))
            .then_some((path.to_str()?.to_owned(), real))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::languages::parse;

    #[test]
    fn first_existing_candidate_is_used() {
        let mut language = parse("").unwrap().remove("c17").unwrap();
        let candidates = ["/no/such/program", "no-such-program", "sh", "/bin/true"];
        language.programs.insert("cc".into(), candidates.map(String::from).to_vec());
        let found = Toolchain::find(&language, None).unwrap();
        let (_, path) = found.programs().next().unwrap();
        assert!(path.ends_with("/sh"), "{path}");
        language.name.push('!');
        assert_ne!(Toolchain::find(&language, None).unwrap().digest(), found.digest());
        language.programs.insert("cc".into(), vec!["/no/such".into(), "no-such".into()]);
        let error = Toolchain::find(&language, None).unwrap_err();
        assert_eq!(error, "/no/such or no-such is not installed");
    }

    #[test]
    fn programs_are_found_in_a_custom_root() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("usr/bin")).unwrap();
        fs::write(root.path().join("usr/bin/gcc"), "").unwrap();
        let language = parse("").unwrap().remove("c17").unwrap();
        let found = Toolchain::find(&language, Some(root.path())).unwrap();
        assert_eq!(found.programs().next(), Some(("cc", "/usr/bin/gcc")));
    }
}
