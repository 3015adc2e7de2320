//! What an operator can decide about problems.

mod objects;

use serde::{Deserialize, Serialize};

use crate::package::{Bounds, Maxima};

pub use objects::{ObjectsConfig, Place, refused};

/// The settings of the problem service. Sizes are MiB, times seconds.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Where test data is kept.
    pub objects: ObjectsConfig,
    /// The most that an uploaded package may have, packed.
    pub upload_mib: u64,
    /// The most that a package may have, unpacked.
    pub unpacked_mib: u64,
    /// The most that one file of a package may have.
    pub file_mib: u64,
    /// The most files and directories in a package.
    pub entries: usize,
    /// The most tests in a package.
    pub tests: usize,
    /// The most jury solutions in a package.
    pub solutions: usize,
    /// The highest time limit of a package, and the one under which a time limit is found.
    pub max_time_limit: i64,
    /// The highest memory limit of a package.
    pub max_memory_mib: i64,
    /// The highest output limit of a package.
    pub max_output_mib: i64,
    /// After how many days a deleted problem is gone for good.
    pub purge_days: i64,
    /// How often what is no longer needed is looked for.
    pub upkeep_seconds: u64,
    /// How many packages are read at once.
    pub readers: usize,
    /// How often a watcher looks for changes that no live message told it, in milliseconds.
    pub watch_refresh_ms: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            objects: ObjectsConfig::default(),
            upload_mib: 256,
            unpacked_mib: 1024,
            file_mib: 256,
            entries: 20_000,
            tests: 1000,
            solutions: 100,
            max_time_limit: 60,
            max_memory_mib: 8192,
            max_output_mib: 64,
            purge_days: 14,
            upkeep_seconds: 3600,
            readers: 2,
            watch_refresh_ms: 2000,
        }
    }
}

impl Config {
    /// How large a package may be.
    pub fn bounds(&self) -> Bounds {
        Bounds {
            upload: self.upload_mib << 20,
            unpacked: self.unpacked_mib << 20,
            file: self.file_mib << 20,
            entries: self.entries,
            tests: self.tests,
            solutions: self.solutions,
            ..Bounds::default()
        }
    }

    /// The most that packages get.
    pub fn maxima(&self) -> Maxima {
        Maxima {
            time_us: self.max_time_limit * 1_000_000,
            memory: self.max_memory_mib << 20,
            output: self.max_output_mib << 20,
            ..Maxima::default()
        }
    }
}
