//! The source tree, as git and cargo see it.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde::Deserialize;

/// Why a check could not be made at all.
pub type Error = Box<dyn std::error::Error>;

/// The tree that this program was built from.
pub struct Tree {
    root: PathBuf,
}

/// What `cargo metadata` says of the workspace's members.
#[derive(Debug, Deserialize)]
pub struct Metadata {
    /// The members.
    pub packages: Vec<Package>,
}

/// One member.
#[derive(Debug, Deserialize)]
pub struct Package {
    /// Its name.
    pub name: String,
    /// What it depends on.
    pub dependencies: Vec<Dependency>,
}

/// One dependency of a member.
#[derive(Debug, Deserialize)]
pub struct Dependency {
    /// The name of the crate.
    pub name: String,
    /// Where it lies, if it is a member.
    pub path: Option<String>,
    /// `dev`, `build`, or nothing.
    pub kind: Option<String>,
}

impl Tree {
    /// The tree around the current directory.
    pub fn load() -> Result<Self, Error> {
        let text = stdout(Command::new("git").args(["rev-parse", "--show-toplevel"]))?;
        Ok(Self { root: PathBuf::from(text.trim_end()) })
    }

    /// The path of a file of the tree.
    pub fn path(&self, file: &str) -> PathBuf {
        self.root.join(file)
    }

    /// The text of a file; `None` where there is none.
    pub fn read(&self, file: &str) -> Option<String> {
        std::fs::read_to_string(self.path(file)).ok()
    }

    /// Writes a file of the tree.
    pub fn write(&self, file: &str, text: &str) -> Result<(), Error> {
        let path = self.path(file);
        std::fs::create_dir_all(path.parent().unwrap_or(Path::new(".")))?;
        Ok(std::fs::write(path, text)?)
    }

    /// The files that are, or would be, in the repository.
    pub fn files(&self) -> Result<Vec<String>, Error> {
        let list = ["ls-files", "--cached", "--others", "--exclude-standard"];
        let text = stdout(self.git().args(list))?;
        let there = |file: &&str| self.path(file).is_file();
        Ok(text.lines().filter(there).map(str::to_owned).collect())
    }

    /// A file as the last release had it; `None` before the first one.
    pub fn released(&self, file: &str) -> Option<String> {
        let tag = stdout(self.git().args(["describe", "--tags", "--abbrev=0"])).ok()?;
        stdout(self.git().args(["show", &format!("{}:{file}", tag.trim_end())])).ok()
    }

    /// The members of the workspace.
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
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(format!("{command:?}: {}", said.trim_end()).into());
    }
    Ok(String::from_utf8(output.stdout)?)
}
