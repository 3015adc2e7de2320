//! The configuration of a sandbox.

use crate::Feature;
use serde::{Deserialize, Serialize};
use std::{collections::BTreeSet, ffi::OsString, path::PathBuf};

/// Configuration of a [`crate::Sandbox`]. The default is for a dedicated machine.
#[derive(Clone, Debug)]
pub struct Config {
    /// The program that calls [`crate::helper::main`] when run with `arguments`; the default is this executable.
    pub program: PathBuf,
    /// The arguments of `program`; the default is `box`.
    pub arguments: Vec<OsString>,
    /// The number of programs that can run at the same time; 0 means one per core.
    pub slots: usize,
    /// The cores to pin slots to, round-robin; empty means all cores of this process.
    pub cores: Vec<usize>,
    /// A directory to use as the root file system; `None` means the system directories of this machine.
    pub root: Option<PathBuf>,
    /// Read-only directories to mount in every container.
    pub mounts: Vec<Mount>,
    /// Slot `n` runs programs as user and group `first_uid + n`.
    pub first_uid: u32,
    /// The size of `/box`, of `/tmp` and of `/app`, each in bytes. Files in `/box` and `/tmp` count against the memory
    /// limit of a run too.
    pub disk_bytes: u64,
    /// The number of files and directories in `/box`, in `/tmp` and in `/app`, each.
    pub disk_files: u64,
    /// Isolation features that this machine is allowed to lack.
    pub allow_degraded: BTreeSet<Feature>,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            program: PathBuf::from("/proc/self/exe"),
            arguments: vec!["box".into()],
            slots: 0,
            cores: Vec::new(),
            root: None,
            mounts: Vec::new(),
            first_uid: 1_900_000,
            disk_bytes: 8 << 30,
            disk_files: 16_384,
            allow_degraded: BTreeSet::new(),
        }
    }
}

/// A directory or file of the host, mounted read-only, nosuid and nodev in the container.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mount {
    pub source: PathBuf,
    /// The absolute path inside the container.
    pub target: PathBuf,
}
