//! The results of the self-test: which checks passed, and the isolation level that follows.

use crate::Feature;
use serde::{Deserialize, Serialize};
use std::fmt;

/// How well this machine isolates programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Level {
    /// Programs cannot be run safely.
    None,
    /// Programs can be run, but some features are missing.
    Degraded,
    /// All checks passed.
    Full,
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Level::None => "none",
            Level::Degraded => "degraded",
            Level::Full => "full",
        })
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    /// A short name, such as `memory limit`.
    pub name: String,
    /// The feature that is missing when the check fails.
    pub feature: Feature,
    pub passed: bool,
    /// What the check measured.
    pub detail: String,
    /// For a failed check: what the operator can do.
    pub remedy: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// The level that follows from the checks.
    pub level: Level,
    /// The cgroup version in use: 1 or 2, or 0 if the machine has no usable cgroups.
    pub cgroup: u8,
    /// The checks, in the order in which they ran.
    pub checks: Vec<Check>,
}

impl Report {
    /// The features for which at least one check failed, sorted.
    pub fn missing(&self) -> Vec<Feature> {
        let mut missing: Vec<_> =
            self.checks.iter().filter(|check| !check.passed).map(|check| check.feature).collect();
        missing.sort();
        missing.dedup();
        missing
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for check in &self.checks {
            let mark = if check.passed { "ok  " } else { "FAIL" };
            writeln!(f, "{mark}  {}: {}", check.name, check.detail)?;
            if let Some(remedy) = &check.remedy {
                writeln!(f, "      {remedy}")?;
            }
        }
        let cgroups = match self.cgroup {
            0 => "no cgroups".to_owned(),
            version => format!("cgroup v{version}"),
        };
        write!(f, "isolation level: {} ({cgroups})", self.level)
    }
}
