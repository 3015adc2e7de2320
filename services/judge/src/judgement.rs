//! The domain types of a judgement: subject, request, priority, lease and outcome.

use chrono::{DateTime, Utc};
use proto::judge as pb;
use uuid::Uuid;

/// The submission or verification that is judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Subject {
    Submission(Uuid),
    /// A check of an import.
    Verification(Uuid),
}

impl Subject {
    /// The id, which is also the key of the events.
    pub fn id(self) -> Uuid {
        match self {
            Subject::Submission(id) | Subject::Verification(id) => id,
        }
    }

    pub fn submission(self) -> Option<Uuid> {
        match self {
            Subject::Submission(id) => Some(id),
            Subject::Verification(_) => None,
        }
    }

    pub fn verification(self) -> Option<Uuid> {
        match self {
            Subject::Submission(_) => None,
            Subject::Verification(id) => Some(id),
        }
    }

    /// Reads the two columns, of which exactly one is set.
    pub fn of(submission: Option<Uuid>, verification: Option<Uuid>) -> Option<Subject> {
        submission.map(Subject::Submission).or(verification.map(Subject::Verification))
    }
}

#[derive(Clone, Debug)]
pub struct JudgementRequest {
    pub subject: Subject,
    pub problem_id: Uuid,
    pub version: i64,
    /// The language; empty means by file extension.
    pub language: String,
    /// The author; `None` for a verification.
    pub owner: Option<Uuid>,
    /// The number of the attempt at a problem of a contest, from 1; 0 in practice and for a verification.
    pub attempt: i64,
    /// The number of the judgement among those of its subject, from 1. Later ones are of rejudgings.
    pub ordinal: i64,
    /// The trace to continue.
    pub traceparent: Option<String>,
}

/// The priority of a job; the lowest number is dispatched first.
///
/// Contests precede practice. Further pending submissions of a user come after the first ones of all users.
pub struct Priority;

impl Priority {
    /// A submission to a contest: first attempts at a problem precede later ones.
    pub fn contest(attempt: i64) -> i64 {
        attempt.clamp(1, 50)
    }

    /// A submission whose author has this many other pending submissions.
    pub fn practice(pending: i64) -> i64 {
        100 + pending.clamp(0, 50)
    }

    /// A submission that is judged again: after all others.
    pub const REJUDGING: i64 = 160;

    /// A check of an import for a problem that has this many other pending checks: the first check of a small import
    /// precedes later ones of a large import.
    pub fn verification(pending: i64) -> i64 {
        Self::VERIFICATION + pending.clamp(0, 50)
    }

    /// The lowest value of a verification. Workers run jobs with a lower value first.
    pub const VERIFICATION: i64 = 200;
}

/// Which jobs a worker can take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Capacity {
    /// A slot is free.
    Any,
    /// All slots are busy, but some with verifications, which submissions preempt.
    Submissions,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Lease {
    pub id: Uuid,
    /// The fencing token.
    pub attempt: i64,
}

impl Lease {
    /// Reads a lease from its message; `None` if it is invalid.
    pub fn read(lease: Option<&pb::JobLease>) -> Option<Lease> {
        let lease = lease?;
        Some(Lease { id: ids::parse(&lease.job_id)?, attempt: lease.attempt.into() })
    }

    pub fn wire(self) -> pb::JobLease {
        let attempt = i32::try_from(self.attempt).unwrap_or(i32::MAX);
        pb::JobLease { job_id: self.id.to_string(), attempt }
    }
}

/// The result of an attempt. The queue sets ids, attempt and times in `judgement`.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    pub judgement: pb::Judgement,
    pub worker: String,
}

impl Outcome {
    /// An outcome with the verdict JUDGE_ERROR.
    pub fn judge_error(message: impl Into<String>, worker: &str) -> Outcome {
        let judgement = pb::Judgement {
            verdict: proto::Verdict::JudgeError.into(),
            message: message.into(),
            ..pb::Judgement::default()
        };
        Outcome { judgement, worker: worker.to_owned() }
    }
}

pub fn timestamp(time: DateTime<Utc>) -> prost_types::Timestamp {
    let nanos = i32::try_from(time.timestamp_subsec_nanos()).unwrap_or_default();
    prost_types::Timestamp { seconds: time.timestamp(), nanos }
}

/// Makes a text valid for every database: replaces NUL and truncates to at most `limit` bytes.
pub fn bounded(text: &str, limit: usize) -> String {
    let mut text = text.replace('\0', "\u{fffd}");
    text.truncate(text.floor_char_boundary(limit));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_truncated_at_a_character_boundary() {
        assert_eq!(bounded("a\0b", 10), "a\u{fffd}b");
        assert_eq!(bounded("häh", 2), "h");
        assert_eq!(bounded("häh", 3), "hä");
    }

    #[test]
    fn lease_is_read_from_its_message() {
        let lease = Lease { id: Uuid::from_u128(7), attempt: 3 };
        assert_eq!(Lease::read(Some(&lease.wire())), Some(lease));
        assert_eq!(Lease::read(None), None);
        let bad = pb::JobLease { job_id: "x".into(), attempt: 1 };
        assert_eq!(Lease::read(Some(&bad)), None);
    }

    #[test]
    fn first_submission_precedes_the_tenth_of_another_user() {
        assert!(Priority::contest(1) < Priority::contest(10));
        assert!(Priority::contest(1000) < Priority::practice(0));
        assert!(Priority::practice(0) < Priority::practice(9));
        assert!(Priority::practice(1000) < Priority::VERIFICATION);
        assert!(Priority::verification(0) < Priority::verification(9));
    }
}
