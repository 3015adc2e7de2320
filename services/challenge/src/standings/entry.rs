//! What the standings read from a contest's log, and what an entry changed.

use uuid::Uuid;

use crate::format::Settings;
use proto::Verdict;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rules {
    pub format: Settings,
    /// Contest time from which verdicts stay pending in the public view; `None` for a contest without a freeze.
    pub freeze_us: Option<i64>,
    /// The problems that count, in the order of display. Attempts at a removed problem are kept, and count again once the
    /// problem returns.
    pub problems: Vec<Uuid>,
}

/// An entry of the contest's log that changes the standings. Entries about unknown participants, submissions or intervals
/// change nothing.
///
/// Extra time of a participant has no entry here: it moves their end, not their contest time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entry {
    /// Also readmits a participant who withdrew.
    ParticipantAdded {
        participant: Uuid,
        hidden: bool,
        unofficial: bool,
    },
    ParticipantUpdated {
        participant: Uuid,
        hidden: bool,
        unofficial: bool,
        disqualified: bool,
    },
    ParticipantWithdrawn {
        participant: Uuid,
    },
    /// By what pages can be filtered; empty for none.
    ParticipantTagged {
        participant: Uuid,
        group: String,
        country: String,
    },
    /// A second entry about the same submission changes nothing.
    Attempt {
        submission: Uuid,
        participant: Uuid,
        problem: Uuid,
        /// Contest time of the acknowledgement, with removed intervals.
        at_us: i64,
    },
    /// A later verdict replaces an earlier one.
    Judged {
        submission: Uuid,
        verdict: Verdict,
    },
    /// The submission is pending again, if it was judged.
    Unjudged {
        submission: Uuid,
    },
    Ignored {
        submission: Uuid,
        ignored: bool,
    },
    /// Adjustments add up.
    PenaltyAdjusted {
        participant: Uuid,
        minutes: i32,
    },
    /// Removes `[from_us, to_us)`, in the contest time of [`Entry::Attempt`]. A second entry with the same id replaces the
    /// interval.
    IntervalRemoved {
        id: Uuid,
        from_us: i64,
        to_us: i64,
    },
    IntervalRestored {
        id: Uuid,
    },
    /// Ends the freeze for good.
    Thawed,
    RulesChanged(Rules),
}

/// The rows that an entry changed in each view.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Change {
    pub jury: Rows,
    pub public: Rows,
}

/// Rows that appeared, disappeared, or changed in anything but their rank. A change of a row may shift the ranks of others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Rows {
    #[default]
    None,
    /// The row of this participant.
    One(Uuid),
    All,
}

impl Change {
    pub(super) const ALL: Self = Self { jury: Rows::All, public: Rows::All };
    pub(super) const PUBLIC: Self = Self { jury: Rows::None, public: Rows::All };
}
