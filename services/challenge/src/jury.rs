//! Actions of the jury. Pure.

use chrono::{DateTime, Utc};
use uuid::Uuid;

/// An action that changes the standings, with its author and reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Action {
    pub id: Uuid,
    pub contest_id: Uuid,
    pub user_id: Uuid,
    pub reason: String,
    pub deed: Deed,
    pub created_at: DateTime<Utc>,
}

/// What the jury did. Times are in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deed {
    Ignored { submission: Uuid },
    Restored { submission: Uuid },
    PenaltyAdjusted { participant: Uuid, minutes: i64 },
    IntervalRemoved { from: i64, to: i64 },
    IntervalRestored { interval: Uuid },
    ExtraTimeGranted { participant: Uuid, seconds: i64 },
}

impl Deed {
    /// The name in the database.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Ignored { .. } => "submission_ignored",
            Self::Restored { .. } => "submission_restored",
            Self::PenaltyAdjusted { .. } => "penalty_adjusted",
            Self::IntervalRemoved { .. } => "interval_removed",
            Self::IntervalRestored { .. } => "interval_restored",
            Self::ExtraTimeGranted { .. } => "extra_time_granted",
        }
    }

    pub fn submission(&self) -> Option<Uuid> {
        match *self {
            Self::Ignored { submission } | Self::Restored { submission } => Some(submission),
            _ => None,
        }
    }

    pub fn participant(&self) -> Option<Uuid> {
        match *self {
            Self::PenaltyAdjusted { participant, .. }
            | Self::ExtraTimeGranted { participant, .. } => Some(participant),
            _ => None,
        }
    }

    pub fn minutes(&self) -> Option<i64> {
        match *self {
            Self::PenaltyAdjusted { minutes, .. } => Some(minutes),
            _ => None,
        }
    }

    pub fn interval(&self) -> Option<(i64, i64)> {
        match *self {
            Self::IntervalRemoved { from, to } => Some((from, to)),
            _ => None,
        }
    }

    pub fn restored_interval(&self) -> Option<Uuid> {
        match *self {
            Self::IntervalRestored { interval } => Some(interval),
            _ => None,
        }
    }

    pub fn extra_time(&self) -> Option<i64> {
        match *self {
            Self::ExtraTimeGranted { seconds, .. } => Some(seconds),
            _ => None,
        }
    }
}
