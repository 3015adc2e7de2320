//! What an operator can decide about judging.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use sandbox::Feature;
use serde::{Deserialize, Serialize};

/// The settings of the judge.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// How many programs run at the same time; 0 = one per core.
    pub slots: usize,
    /// The cores to run them on; empty = all that this process may use.
    pub cores: Vec<usize>,
    /// An operator's own root file system for programs; empty = the system directories of this machine.
    pub root: String,
    /// Isolation features that may be missing here (see `agon doctor`), such as `landlock`. Every
    /// verdict then says so.
    pub allow_degraded: BTreeSet<Feature>,
    /// A file that changes or adds languages; empty = those that come with Agon.
    pub languages: String,
    /// Test data kept on disk, in MiB.
    pub object_cache_mib: u64,
    /// Compiled programs kept on disk, in MiB.
    pub artefact_cache_mib: u64,
    /// CPU time to compile, in seconds.
    pub compile_seconds: u64,
    /// Time on the clock to compile, in seconds.
    pub compile_wall_seconds: u64,
    /// Memory to compile, in MiB.
    pub compile_memory_mib: u64,
    /// CPU time of an input validator on one input, in seconds, where the package does not say.
    pub validator_seconds: u64,
    /// Memory of an input validator, in MiB, where the package does not say.
    pub validator_memory_mib: u64,
    /// How long a worker holds a job without a sign of life, in seconds.
    pub lease_seconds: u64,
    /// How often workers give signs of life, in seconds.
    pub heartbeat_seconds: u64,
    /// How long a worker whose connection broke may take to come back, in seconds: more than between two
    /// signs of life, by which it finds out.
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
            compile_memory_mib: 1024,
            validator_seconds: 60,
            validator_memory_mib: 2048,
            lease_seconds: 30,
            heartbeat_seconds: 5,
            reconnect_seconds: 7,
        }
    }
}

impl Config {
    /// Checks what the types do not say. The error names the key.
    pub fn check(&self) -> Result<(), String> {
        if self.lease_seconds < 2 * self.heartbeat_seconds || self.heartbeat_seconds == 0 {
            return Err("judge.lease_seconds: give at least twice judge.heartbeat_seconds".into());
        }
        // Only by its next heartbeat does a worker find out that its connection is gone.
        if self.reconnect_seconds <= self.heartbeat_seconds {
            return Err("judge.reconnect_seconds: give more than judge.heartbeat_seconds".into());
        }
        if self.compile_seconds == 0 || self.compile_memory_mib < 64 {
            return Err("judge.compile_seconds, judge.compile_memory_mib: give more".into());
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
    fn checks_name_the_key() {
        assert_eq!(Config::default().check(), Ok(()));
        let lease = Config { lease_seconds: 1, ..Config::default() };
        assert!(lease.check().unwrap_err().starts_with("judge.lease_seconds"));
        let reconnect = Config { reconnect_seconds: 5, ..Config::default() };
        assert!(reconnect.check().unwrap_err().starts_with("judge.reconnect_seconds"));
        let languages = Config { languages: "/no/such/file".into(), ..Config::default() };
        assert!(languages.check().unwrap_err().starts_with("judge.languages: /no/such/file"));
    }
}
