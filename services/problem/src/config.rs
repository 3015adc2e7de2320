//! Configuration of the problem service.

mod objects;

use package::{MaxLimits, SizeLimits};
use serde::{Deserialize, Serialize};

pub use objects::{Location, ObjectsConfig, invalid};

/// The settings of the problem service. Sizes are MiB, times seconds.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    pub objects: ObjectsConfig,
    /// Maximum size of an uploaded archive.
    pub upload_mib: u64,
    /// Maximum size of an unpacked package.
    pub unpacked_mib: u64,
    /// Maximum size of one file of a package.
    pub file_mib: u64,
    /// Maximum number of files and directories in a package.
    pub entries: usize,
    /// Maximum number of tests in a package.
    pub tests: usize,
    /// Maximum number of jury solutions in a package.
    pub solutions: usize,
    /// Maximum time limit of a package; solutions run under it while a time limit is inferred.
    pub max_time_limit: i64,
    /// Maximum memory limit of a package.
    pub max_memory_mib: i64,
    /// Maximum output limit of a package.
    pub max_output_mib: i64,
    /// Days until a deleted problem is purged.
    pub purge_days: i64,
    /// Interval of housekeeping.
    pub housekeeping_seconds: u64,
    /// Number of packages that are read at once.
    pub readers: usize,
    /// Interval in milliseconds at which watchers poll for changes whose live message was lost.
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
            housekeeping_seconds: 3600,
            readers: 2,
            watch_refresh_ms: 2000,
        }
    }
}

impl Config {
    pub fn size_limits(&self) -> SizeLimits {
        SizeLimits {
            upload: self.upload_mib << 20,
            unpacked: self.unpacked_mib << 20,
            file: self.file_mib << 20,
            entries: self.entries,
            tests: self.tests,
            solutions: self.solutions,
            ..SizeLimits::default()
        }
    }

    /// Maximum limits that packages may declare.
    pub fn max_limits(&self) -> MaxLimits {
        MaxLimits {
            time_us: self.max_time_limit * 1_000_000,
            memory: self.max_memory_mib << 20,
            output: self.max_output_mib << 20,
            ..MaxLimits::default()
        }
    }
}
