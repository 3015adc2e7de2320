//! The life cycle of a process: configuration, logs, traces, metrics, tasks, signals, shutdown and the
//! admin listener.
//!
//! Must not know domains. The log subscriber and the metrics recorder are global and installed once;
//! tasks and shutdown are passed in.

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

/// The answer of `/version` and `--version`.
#[derive(Clone, Copy, Debug, serde::Serialize)]
pub struct Version {
    pub name: &'static str,
    pub version: &'static str,
    /// The commit that was built, or `unknown`.
    pub commit: &'static str,
}
