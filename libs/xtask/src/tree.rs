//! The source tree, through git and cargo.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde::Deserialize;

/// A check that failed to run.
pub type Error = Box<dyn std::error::Error>;

pub struct Tree {
    root: PathBuf,
}

/// The output of `cargo metadata`.
#[derive(Debug, Deserialize)]
pub struct Metadata {
    pub packages: Vec<Package>,
}

#[derive(Debug, Deserialize)]
pub struct Package {
    pub name: String,
    pub dependencies: Vec<Dependency>,
}

#[derive(Debug, Deserialize)]
pub struct Dependency {
    pub name: String,
    /// The folder, if it is a member.
    pub path: Option<String>,
    /// `dev`, `build`, or `None` for a normal dependency.
    pub kind: Option<String>,
}

impl Tree {
    /// The checkout of the current directory.
    pub fn load() -> Result<Self, Error> {
        let text = stdout(Command::new("git").args(["rev-parse", "--show-toplevel"]))?;
        Ok(Self { root: PathBuf::from(text.trim_end()) })
    }

    pub fn path(&self, file: &str) -> PathBuf {
        self.root.join(file)
    }

    /// The text of a file; `None` if it is missing or not UTF-8.
    pub fn read(&self, file: &str) -> Option<String> {
        std::fs::read_to_string(self.path(file)).ok()
    }

    /// Writes a file, and creates its folder.
    pub fn write(&self, file: &str, text: &str) -> Result<(), Error> {
        let path = self.path(file);
        std::fs::create_dir_all(path.parent().unwrap_or(Path::new(".")))?;
        Ok(std::fs::write(path, text)?)
    }

    /// Tracked and untracked files that are not ignored.
    pub fn files(&self) -> Result<Vec<String>, Error> {
        let list = ["ls-files", "--cached", "--others", "--exclude-standard"];
        let text = stdout(self.git().args(list))?;
        let exists = |file: &&str| self.path(file).is_file();
        Ok(text.lines().filter(exists).map(str::to_owned).collect())
    }

    /// A file of the last release; `None` before the first release.
    pub fn released(&self, file: &str) -> Option<String> {
        let tag = stdout(self.git().args(["describe", "--tags", "--abbrev=0"])).ok()?;
        stdout(self.git().args(["show", &format!("{}:{file}", tag.trim_end())])).ok()
    }

    pub fn metadata(&self) -> Result<Metadata, Error> {
        let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".into());
        let mut command = Command::new(cargo);
        command.current_dir(&self.root).args(["metadata", "--no-deps", "--format-version", "1"]);
        Ok(serde_json::from_str(&stdout(&mut command)?)?)
    }

    fn git(&self) -> Command {
        let mut command = Command::new("git");
        command.arg("-C").arg(&self.root);
        command
    }
}

fn stdout(command: &mut Command) -> Result<String, Error> {
    let output = command.output()?;
    if !output.status.success() {
        let error = String::from_utf8_lossy(&output.stderr);
        return Err(format!("{command:?}: {}", error.trim_end()).into());
    }
    Ok(String::from_utf8(output.stdout)?)
}
