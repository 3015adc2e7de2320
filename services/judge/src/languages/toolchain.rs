//! Where the programs of a language are, and a digest that changes when they do.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::Language;

/// What contestants may see of this machine; anything else cannot be mounted for them.
const SYSTEM: [&str; 6] = ["/usr", "/bin", "/sbin", "/lib", "/lib64", "/opt"];

/// The programs of a language on this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Toolchain {
    programs: Vec<(String, String)>,
    digest: String,
}

impl Toolchain {
    /// Finds the programs; the error names the one that is missing. With a `root` they are looked for
    /// there, as the programs will run there.
    pub fn find(language: &Language, root: Option<&Path>) -> Result<Toolchain, String> {
        let mut programs = Vec::new();
        let mut digest = Sha256::new();
        // A changed definition is tried again, too.
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

    /// Name and path of each program.
    pub fn programs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.programs.iter().map(|(name, path)| (name.as_str(), path.as_str()))
    }

    /// Changes whenever a program or the language's definition does.
    pub fn digest(&self) -> &str {
        &self.digest
    }

    #[cfg(test)]
    pub fn testing(programs: &[(&str, &str)]) -> Toolchain {
        let own = |(name, path): &(&str, &str)| ((*name).to_owned(), (*path).to_owned());
        Toolchain { programs: programs.iter().map(own).collect(), digest: String::new() }
    }
}

/// The path that the sandbox is given, and the file behind it.
fn locate(candidate: &str, root: Option<&Path>) -> Option<(String, PathBuf)> {
    let paths: Vec<PathBuf> = match candidate.starts_with('/') {
        true => vec![candidate.into()],
        false => {
            let own = std::env::var_os("PATH").unwrap_or_default();
            let system = ["/usr/local/bin", "/usr/bin", "/bin"].map(PathBuf::from);
            let all = system.into_iter().chain(std::env::split_paths(&own));
            all.map(|directory| directory.join(candidate)).collect()
        }
    };
    paths.into_iter().find_map(|path| {
        if let Some(root) = root {
            // Links inside an operator's root lead to places inside it: taken as they are.
            let inside = root.join(path.strip_prefix("/").ok()?);
            fs::symlink_metadata(&inside).ok()?;
            return Some((path.to_str()?.to_owned(), inside));
        }
        let real = fs::canonicalize(&path).ok()?;
        let file = fs::metadata(&real).ok()?;
        let runs = file.is_file() && file.permissions().mode() & 0o111 != 0;
        let shown = |path: &Path| SYSTEM.iter().any(|system| path.starts_with(system));
        (runs && shown(&path) && shown(&real)).then_some((path.to_str()?.to_owned(), real))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::languages::parse;

    #[test]
    fn the_first_real_program_is_taken() {
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
    fn an_operators_root() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("usr/bin")).unwrap();
        fs::write(root.path().join("usr/bin/gcc"), "").unwrap();
        let language = parse("").unwrap().remove("c17").unwrap();
        let found = Toolchain::find(&language, Some(root.path())).unwrap();
        assert_eq!(found.programs().next(), Some(("cc", "/usr/bin/gcc")));
    }
}
