//! How a process of Agon lives: configuration, logs, metrics, tasks, signals, shutdown, and the
//! admin listener that every process has.
//!
//! Knows nothing of domains. Nothing here is global but what the ecosystem makes global (the log
//! subscriber and the metrics recorder, each installed once by `main`): tasks and shutdown are
//! passed in.

pub mod admin;
pub mod config;
pub mod logs;
pub mod metrics;
mod readiness;
mod shutdown;
mod tasks;
pub mod telemetry;

pub use readiness::{Component, Readiness, State};
pub use shutdown::{Shutdown, on_signals};
pub use tasks::Tasks;

/// What `/version` and `--version` say.
#[derive(Clone, Copy, Debug, serde::Serialize)]
pub struct Version {
    /// The program's name.
    pub name: &'static str,
    /// Its semantic version.
    pub version: &'static str,
    /// The commit it was built from, or `unknown`.
    pub commit: &'static str,
}
