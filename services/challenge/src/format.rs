//! Contest formats: the result of attempts at a problem, and the order of participants.
//!
//! Owns: the scoring rules, as pure functions of attempts. Must not know: participants, storage, and which verdicts a viewer
//! may see; the caller passes the attempts as the viewer sees them.

use std::cmp::Ordering;

use proto::Verdict;

pub mod icpc;

pub use icpc::Icpc;

/// One attempt, as the viewer sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// Contest time of the acknowledgement, without removed intervals.
    pub at_us: i64,
    /// `None` while the viewer may not know it.
    pub verdict: Option<Verdict>,
}

/// The result of one participant at one problem. The default is that of a problem without attempts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cell {
    /// In the unit of the format; 1 for a solved problem in ICPC.
    pub points: i64,
    pub solved: bool,
    /// In the unit of the format; minutes in ICPC.
    pub penalty: i64,
    /// Contest time of the attempt that decided the points; `None` without points.
    pub at_us: Option<i64>,
    /// Judged attempts that count, including the one that solved the problem.
    pub tries: u32,
    /// Attempts without a known verdict that may still change the cell.
    pub pending: u32,
}

/// The sum of a participant's cells. Two participants with equal scores share a rank.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Score {
    /// Solved problems in ICPC.
    pub points: i64,
    /// Includes the adjustments of the jury.
    pub penalty: i64,
    /// The last improvement, in the unit of the format; the contest minute of the last accepted attempt in ICPC.
    pub last: i64,
}

/// The rules of a contest format. Formats that need more than a verdict extend [`Attempt`] by what the log entry of the
/// verdict carries; cells and scores are never stored.
pub trait Format {
    /// The result of all attempts of one participant at one problem, which are in order of time.
    fn cell(&self, attempts: &[Attempt]) -> Cell;

    fn score(&self, cells: &mut dyn Iterator<Item = Cell>, adjustment_minutes: i64) -> Score;

    /// `Less` if `left` ranks before `right`. A total order, `Equal` only for a shared rank.
    fn order(&self, left: &Score, right: &Score) -> Ordering;
}

/// The format of a contest with its parameters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settings {
    Icpc(Icpc),
}

impl Settings {
    pub fn format(&self) -> &dyn Format {
        match self {
            Self::Icpc(icpc) => icpc,
        }
    }
}
