//! How a sandbox is set up, once for all its slots.

use crate::doctor::Feature;
use serde::{Deserialize, Serialize};
use std::{collections::BTreeSet, ffi::OsString, path::PathBuf};

/// Configuration of a [`crate::Sandbox`]; `Config::default()` suits a machine of its own.
#[derive(Clone, Debug)]
pub struct Config {
    /// The program which calls [`crate::boxed::main`] when run with `arguments`.
    pub program: PathBuf,
    /// Its arguments; the default is `box`.
    pub arguments: Vec<OsString>,
    /// How many programs may run at the same time; 0 means one per core.
    pub slots: usize,
    /// The cores to pin slots to, in turn; empty means all that this process may use.
    pub cores: Vec<usize>,
    /// An operator's own root file system; `None` means the system directories of this machine.
    pub root: Option<PathBuf>,
    /// Read-only directories that every container sees, besides the root.
    pub mounts: Vec<Mount>,
    /// Slot `n` runs programs as user and group `first_uid + n`.
    pub first_uid: u32,
    /// Bytes that `/box`, `/tmp` and `/app` may hold, each.
    pub disk_bytes: u64,
    /// Files and directories that `/box`, `/tmp` and `/app` may hold, each.
    pub disk_files: u64,
    /// Isolation features that may be missing on this machine.
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
            disk_bytes: 512 << 20,
            disk_files: 16_384,
            allow_degraded: BTreeSet::new(),
        }
    }
}

/// A directory or file of the host, shown read-only (and nosuid, nodev) inside the container.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mount {
    /// Where it is on the host.
    pub source: PathBuf,
    /// The absolute path inside the container.
    pub target: PathBuf,
}

impl Mount {
    /// Shows `source` at the same path inside.
    pub fn same(source: impl Into<PathBuf>) -> Mount {
        let source = source.into();
        Mount { target: source.clone(), source }
    }
}
