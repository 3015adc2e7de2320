//! The settings of the challenge service.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::request::MAX_SOURCE;

/// The section `challenge` of the configuration.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Practice submissions that one user may make per hour; 0 = unlimited.
    pub submissions_per_hour: u32,
    /// Attempts of one participant at one problem of a contest; 0 = unlimited.
    pub contest_attempts: u32,
    /// Questions of one participant of a contest that the jury has not answered; 0 = unlimited.
    pub contest_open_questions: u32,
    /// Members of a team, with its captain.
    pub team_members: u32,
    /// The largest source in bytes, at most 262144. A problem may set a lower limit.
    pub source_limit_bytes: u32,
    /// How often a watched submission is read again without a live message, in milliseconds.
    pub watch_refresh_ms: u64,
    /// Seconds without a verdict after which a submission is stale: the judge is asked for its judgement, and
    /// requested to judge it again if it has none.
    pub stale_after_seconds: u64,
    /// How often stale submissions are checked, in seconds.
    pub stale_check_seconds: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            submissions_per_hour: 60,
            contest_attempts: 200,
            contest_open_questions: 10,
            team_members: 3,
            source_limit_bytes: 256 * 1024,
            watch_refresh_ms: 2000,
            stale_after_seconds: 300,
            stale_check_seconds: 60,
        }
    }
}

impl Config {
    pub fn source_limit(&self) -> usize {
        MAX_SOURCE.min(self.source_limit_bytes as usize)
    }

    pub fn watch_refresh(&self) -> Duration {
        Duration::from_millis(self.watch_refresh_ms.max(10))
    }

    pub fn stale_after(&self) -> Duration {
        Duration::from_secs(self.stale_after_seconds)
    }

    pub fn stale_check(&self) -> Duration {
        Duration::from_secs(self.stale_check_seconds.max(1))
    }
}
