//! What a view of the standings returns.

use uuid::Uuid;

use crate::format::{Cell, Score};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum View {
    /// Every participant and verdict; hidden participants take a rank.
    Jury,
    /// Without hidden participants; attempts from the freeze on stay pending until the thaw.
    Public,
}

/// How a view lists a participant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    Ranked,
    /// Listed by score, without a rank; the ranks of others ignore it.
    Unofficial,
    /// Listed last, without a rank.
    Disqualified,
}

/// One line of a view.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    pub participant: Uuid,
    pub standing: Standing,
    /// From 1, with gaps after shared ranks; `None` unless the standing is `Ranked`.
    pub rank: Option<u32>,
    pub score: Score,
    /// By problem, in the order of the rules, without problems that have no counted or pending attempt.
    pub cells: Vec<(Uuid, Cell)>,
}

/// A row without its cells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line {
    pub participant: Uuid,
    pub standing: Standing,
    /// As in [`Row`].
    pub rank: Option<u32>,
    pub score: Score,
}

/// A position between rows of one view. It stays valid when rows move or disappear. It contains a score, so a cursor of the
/// jury's view must not reach the public.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cursor {
    pub standing: Standing,
    pub score: Score,
    pub participant: Uuid,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FirstSolve {
    pub participant: Uuid,
    pub submission: Uuid,
    /// Contest time, without removed intervals.
    pub at_us: i64,
}

impl Row {
    /// The position after this row.
    pub fn cursor(&self) -> Cursor {
        Cursor { standing: self.standing, score: self.score, participant: self.participant }
    }
}
