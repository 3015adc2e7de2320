//! The configuration of the judge.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use sandbox::Feature;
use serde::{Deserialize, Serialize};

/// The configuration section `judge`, shared by the queue and the workers.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The number of programs that run at the same time; 0 means one per core.
    pub slots: usize,
    /// The cores to run programs on; empty means all cores of this process.
    pub cores: Vec<usize>,
    /// A directory to use as the root file system of programs; empty means the system directories of this machine.
    pub root: String,
    /// Isolation features that this machine is allowed to lack (see `agon doctor`), such as `landlock`. Judgements
    /// record the isolation level.
    pub allow_degraded: BTreeSet<Feature>,
    /// A file that changes or adds languages; empty means the built-in languages only.
    pub languages: String,
    /// The size of the cache for test data on disk, in MiB.
    pub object_cache_mib: u64,
    /// The size of the cache for compiled programs on disk, in MiB.
    pub artefact_cache_mib: u64,
    /// The CPU time limit for compiling, in seconds, unless a problem declares one.
    pub compile_seconds: u64,
    /// The wall time limit for compiling, in seconds; at least twice the CPU time limit.
    pub compile_wall_seconds: u64,
    /// The memory limit for compiling, in MiB, unless a problem declares one. 2048 is the default of the package
    /// format, with which packages are tested elsewhere; it is a limit only, no memory is reserved.
    pub compile_memory_mib: u64,
    /// The default CPU time limit of an input validator for one input, in seconds.
    pub validator_seconds: u64,
    /// The default memory limit of an input validator, in MiB.
    pub validator_memory_mib: u64,
    /// A worker that sends no heartbeat for this time, in seconds, has vanished: the leases of its jobs expire, and it
    /// is not listed or counted.
    pub lease_seconds: u64,
    /// The interval of worker heartbeats, in seconds.
    pub heartbeat_seconds: u64,
    /// How long a disconnected worker keeps its leases, in seconds. Must exceed `heartbeat_seconds`, because a worker
    /// may detect the disconnection only by its next heartbeat.
    pub reconnect_seconds: u64,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            slots: 0,
            cores: Vec::new(),
            root: String::new(),
            allow_degraded: BTreeSet::new(),
            languages: String::new(),
            object_cache_mib: 4096,
            artefact_cache_mib: 512,
            compile_seconds: 30,
            compile_wall_seconds: 60,
            compile_memory_mib: 2048,
            validator_seconds: 60,
            validator_memory_mib: 2048,
            lease_seconds: 30,
            heartbeat_seconds: 5,
            reconnect_seconds: 7,
        }
    }
}

impl Config {
    /// Checks the values. The error names the key.
    pub fn check(&self) -> Result<(), String> {
        if self.lease_seconds < 2 * self.heartbeat_seconds || self.heartbeat_seconds == 0 {
            return Err("judge.lease_seconds: must be at least twice judge.heartbeat_seconds, which must not be 0".into());
        }
        if self.reconnect_seconds <= self.heartbeat_seconds {
            return Err(
                "judge.reconnect_seconds: must be greater than judge.heartbeat_seconds".into()
            );
        }
        if self.compile_seconds == 0 {
            return Err("judge.compile_seconds: must be greater than 0".into());
        }
        if self.compile_memory_mib < 64 {
            return Err("judge.compile_memory_mib: must be at least 64".into());
        }
        crate::languages::load(self.languages_file().as_deref())
            .map(drop)
            .map_err(|error| format!("judge.languages: {error}"))
    }

    pub(crate) fn languages_file(&self) -> Option<PathBuf> {
        (!self.languages.is_empty()).then(|| self.languages.clone().into())
    }

    pub(crate) fn root(&self) -> Option<PathBuf> {
        (!self.root.is_empty()).then(|| self.root.clone().into())
    }

    pub(crate) fn lease(&self) -> chrono::Duration {
        seconds(self.lease_seconds)
    }

    pub(crate) fn reconnect(&self) -> chrono::Duration {
        seconds(self.reconnect_seconds)
    }

    pub(crate) fn heartbeat(&self) -> Duration {
        Duration::from_secs(self.heartbeat_seconds)
    }
}

fn seconds(count: u64) -> chrono::Duration {
    chrono::Duration::seconds(i64::try_from(count).unwrap_or(3600).min(86_400))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn check_errors_name_the_key() {
        assert_eq!(Config::default().check(), Ok(()));
        let lease = Config { lease_seconds: 1, ..Config::default() };
        assert!(lease.check().unwrap_err().starts_with("judge.lease_seconds"));
        let reconnect = Config { reconnect_seconds: 5, ..Config::default() };
        assert!(reconnect.check().unwrap_err().starts_with("judge.reconnect_seconds"));
        let languages = Config { languages: "/no/such/file".into(), ..Config::default() };
        assert!(languages.check().unwrap_err().starts_with("judge.languages: /no/such/file"));
    }
}
