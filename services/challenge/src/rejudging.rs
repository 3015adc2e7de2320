//! A rejudging: submissions that are judged again, with their new verdicts apart from those that count. Pure.

use chrono::{DateTime, Utc};
use proto::Verdict;
use uuid::Uuid;

use crate::submission::Outcome;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    Open,
    Applied,
    Discarded,
}

impl State {
    pub fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Applied => "applied",
            Self::Discarded => "discarded",
        }
    }

    pub fn of(name: &str) -> Option<Self> {
        [Self::Open, Self::Applied, Self::Discarded].into_iter().find(|it| it.name() == name)
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejudging {
    pub id: Uuid,
    pub contest_id: Uuid,
    /// The member of the jury who created it.
    pub user_id: Uuid,
    pub state: State,
    pub reason: String,
    pub created_at: DateTime<Utc>,
    /// When it was applied or discarded.
    pub closed_at: Option<DateTime<Utc>>,
}

/// A submission of a rejudging.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejudged {
    pub submission_id: Uuid,
    /// The number of its judgement, from 2.
    pub ordinal: i64,
    pub problem_version: i64,
    pub old_verdict: Verdict,
    /// `None` until it is judged again.
    pub outcome: Option<Outcome>,
}

impl Rejudged {
    /// The new verdict, if it differs from the old one.
    pub fn change(&self) -> Option<Verdict> {
        let new = self.outcome.as_ref()?.verdict;
        (new != self.old_verdict).then_some(new)
    }
}

/// How many submissions of a rejudging have an old and a new verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Count {
    pub rejudging_id: Uuid,
    pub old_verdict: Verdict,
    /// `None` for submissions that are not judged again yet.
    pub new_verdict: Option<Verdict>,
    pub count: i64,
}
