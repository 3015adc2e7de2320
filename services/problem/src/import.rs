//! An import with its checks. Pure.

use std::collections::BTreeMap;

use prost_types::Timestamp;
use uuid::Uuid;

use crate::check::{Check, State};
use crate::progress::TimeLimit;
use crate::store::imports::Import;
use crate::version::Manifest;

#[derive(Clone, Debug)]
pub struct Report {
    pub import: Import,
    pub slug: String,
    /// Of the version.
    pub test_count: usize,
    /// In the order of their positions.
    pub checks: Vec<Check>,
    /// The progress of requested checks, by id, as far as the judge reports it.
    pub progress: BTreeMap<Uuid, Progress>,
}

/// The progress of a check that the judge has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Whether it is compiled or run; otherwise it waits.
    pub running: bool,
    pub done_count: i32,
    pub queued_at: Option<Timestamp>,
    /// Why it waits, if no worker can take it.
    pub message: String,
}

/// Reports of the same revision and progress have the same content.
impl PartialEq for Report {
    fn eq(&self, other: &Self) -> bool {
        let key = |report: &Self| (report.import.id, report.import.revision);
        key(self) == key(other) && self.progress == other.progress
    }
}

impl Report {
    /// The ids of the checks that the judge has.
    pub fn requested(&self) -> impl Iterator<Item = Uuid> {
        let requested = self.checks.iter().filter(|check| check.state == State::Requested);
        requested.map(|check| check.id)
    }
}

/// The state of the time limit of a version; `max_us` is the maximum of the server.
pub fn time_limit(limit_us: Option<i64>, manifest: &Manifest, max_us: i64) -> TimeLimit {
    let declared = manifest.limits.time_us.is_some();
    TimeLimit { limit_us, declared, max_us, margins: manifest.limits.margins() }
}
