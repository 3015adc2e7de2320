//! What an operator can decide about submissions.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::draft::MAX_SOURCE;

/// The settings of the challenge service.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Submissions that one user may hand in per hour in practice; 0 = any number.
    pub submissions_per_hour: u32,
    /// The most bytes of a program, at most 262144; a problem may allow less.
    pub source_limit_bytes: u32,
    /// How often a watcher looks for changes that no live message told it, in milliseconds.
    pub watch_refresh_ms: u64,
    /// After how many seconds without a verdict the judge is asked whether it knows of a
    /// submission, and asked again to judge it when it does not.
    pub overdue_seconds: u64,
    /// How often overdue submissions are looked for, in seconds.
    pub overdue_check_seconds: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            submissions_per_hour: 60,
            source_limit_bytes: 256 * 1024,
            watch_refresh_ms: 2000,
            overdue_seconds: 300,
            overdue_check_seconds: 60,
        }
    }
}

impl Config {
    /// The most bytes of a program.
    pub fn source_limit(&self) -> usize {
        MAX_SOURCE.min(self.source_limit_bytes as usize)
    }

    /// How often a watcher looks for itself.
    pub fn watch_refresh(&self) -> Duration {
        Duration::from_millis(self.watch_refresh_ms.max(10))
    }

    /// After how long a submission without a verdict is overdue.
    pub fn overdue_after(&self) -> Duration {
        Duration::from_secs(self.overdue_seconds)
    }

    /// How often overdue submissions are looked for.
    pub fn overdue_check(&self) -> Duration {
        Duration::from_secs(self.overdue_check_seconds.max(1))
    }
}
