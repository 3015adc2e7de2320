//! The isolation features that a machine may lack.

use serde::{Deserialize, Serialize};
use std::fmt;

/// An isolation feature that a machine may lack.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Feature {
    /// The memory limit is enforced, and exceeding it is detected.
    Memory,
    /// CPU time is counted exactly, including that of children.
    Cpu,
    /// The number of processes is limited.
    Processes,
    /// Mount, PID, IPC, UTS and network namespaces.
    Namespaces,
    /// System-call filtering.
    Seccomp,
    /// File access rules in addition to the mounts.
    Landlock,
    /// Each slot runs programs as a separate user.
    UserPerSlot,
    /// Programs cannot use swap.
    NoSwap,
    /// Programs are pinned to cores.
    Cores,
}

impl Feature {
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
