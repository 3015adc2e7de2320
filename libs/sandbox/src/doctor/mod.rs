//! What this machine can isolate, by trying it.

mod checks;

use crate::{Config, Error, Sandbox};
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

pub(crate) use checks::all;

/// An isolation feature which a machine may miss.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Feature {
    /// The memory limit binds and exhaustion is seen.
    Memory,
    /// CPU time is counted exactly, children included.
    Cpu,
    /// The number of processes is bounded.
    Processes,
    /// Mount, PID, IPC, UTS and network namespaces.
    Namespaces,
    /// A system-call filter.
    Seccomp,
    /// File rules besides the mounts.
    Landlock,
    /// A user of its own for each slot.
    UserPerSlot,
    /// Swap is off for programs.
    NoSwap,
    /// Pinning to cores.
    Cores,
}

impl Feature {
    /// All features.
    pub const ALL: [Feature; 9] = [
        Feature::Memory,
        Feature::Cpu,
        Feature::Processes,
        Feature::Namespaces,
        Feature::Seccomp,
        Feature::Landlock,
        Feature::UserPerSlot,
        Feature::NoSwap,
        Feature::Cores,
    ];

    /// The name in configuration, such as `user-per-slot`.
    pub fn name(&self) -> &'static str {
        match self {
            Feature::Memory => "memory",
            Feature::Cpu => "cpu",
            Feature::Processes => "processes",
            Feature::Namespaces => "namespaces",
            Feature::Seccomp => "seccomp",
            Feature::Landlock => "landlock",
            Feature::UserPerSlot => "user-per-slot",
            Feature::NoSwap => "no-swap",
            Feature::Cores => "cores",
        }
    }
}

impl fmt::Display for Feature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Feature {
    type Err = String;
    fn from_str(text: &str) -> Result<Feature, String> {
        Feature::ALL.into_iter().find(|feature| feature.name() == text).ok_or_else(|| {
            format!(
                "unknown feature `{text}`; known: {}",
                Feature::ALL.map(|f| f.name()).join(", ")
            )
        })
    }
}

/// How well this machine isolates programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Level {
    /// Programs cannot be run safely here.
    None,
    /// Programs can be run, but features miss.
    Degraded,
    /// Everything holds.
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

/// One thing that was tried.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    /// What was tried, such as `memory limit binds`.
    pub name: String,
    /// The feature it stands for.
    pub feature: Feature,
    /// Whether it held.
    pub passed: bool,
    /// What was found.
    pub detail: String,
    /// What the operator can do, when it failed.
    pub remedy: Option<String>,
}

/// What was found about this machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// The level, from the checks.
    pub level: Level,
    /// The cgroup version in use: 1 or 2; 0 when there is none.
    pub cgroup: u8,
    /// Every check.
    pub checks: Vec<Check>,
}

impl Report {
    /// The features that some check found missing.
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
        let groups = match self.cgroup {
            0 => "no control groups".to_owned(),
            version => format!("control groups of version {version}"),
        };
        write!(f, "isolation level: {} ({groups})", self.level)
    }
}

/// Tries everything on this machine: about a second. For `agon doctor`.
///
/// Only a failure to try is an error; a machine that cannot isolate gets a report of level [`Level::None`].
pub async fn check(config: Config) -> Result<Report, Error> {
    let config = Config { slots: 1, ..config };
    match Sandbox::open(&config).await {
        Ok((sandbox, facts)) => {
            let report = checks::all(&sandbox, &config, &facts, Depth::Whole).await;
            sandbox.shutdown().await;
            report
        }
        Err(Error::Unavailable(why)) => Ok(impossible(&why)),
        Err(error) => Err(error),
    }
}

/// How much is tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Depth {
    /// What takes a moment, at each start.
    Quick,
    /// Everything.
    Whole,
}

fn impossible(why: &str) -> Report {
    let check = Check {
        name: "a container can be made".into(),
        feature: Feature::Namespaces,
        passed: false,
        detail: why.to_owned(),
        remedy: Some(
            "run as root, or as a user with a delegated version 2 control group and user \
             namespaces; in a container engine, that takes --privileged"
                .into(),
        ),
    };
    Report { level: Level::None, cgroup: 0, checks: vec![check] }
}
