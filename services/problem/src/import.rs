//! An import with its checks. Pure.

use crate::check::Check;
use crate::progress::TimeLimit;
use crate::store::imports::Import;
use crate::version::Manifest;

#[derive(Clone, Debug)]
pub struct Report {
    pub import: Import,
    pub slug: String,
    /// In the order of their positions.
    pub checks: Vec<Check>,
}

/// Reports of the same revision have the same content.
impl PartialEq for Report {
    fn eq(&self, other: &Self) -> bool {
        (self.import.id, self.import.revision) == (other.import.id, other.import.revision)
    }
}

/// The state of the time limit of a version; `max_us` is the maximum of the server.
pub fn time_limit(limit_us: Option<i64>, manifest: &Manifest, max_us: i64) -> TimeLimit {
    let declared = manifest.limits.time_us.is_some();
    TimeLimit { limit_us, declared, max_us, margins: manifest.limits.margins() }
}
