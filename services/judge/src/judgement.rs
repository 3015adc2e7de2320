//! A judgement, as the queue and the store know it: what is to be judged, and what came of it.

use chrono::{DateTime, Utc};
use proto::judge as pb;
use uuid::Uuid;

/// What is judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Subject {
    /// A submission.
    Submission(Uuid),
    /// A check of an import.
    Verification(Uuid),
}

impl Subject {
    /// The id, which also is the key of the judgement's events.
    pub fn id(self) -> Uuid {
        match self {
            Subject::Submission(id) | Subject::Verification(id) => id,
        }
    }

    /// The id, if it is a submission's.
    pub fn submission(self) -> Option<Uuid> {
        match self {
            Subject::Submission(id) => Some(id),
            Subject::Verification(_) => None,
        }
    }

    /// The id, if it is a verification's.
    pub fn verification(self) -> Option<Uuid> {
        match self {
            Subject::Submission(_) => None,
            Subject::Verification(id) => Some(id),
        }
    }

    /// From the two columns, of which one is filled.
    pub fn of(submission: Option<Uuid>, verification: Option<Uuid>) -> Option<Subject> {
        submission.map(Subject::Submission).or(verification.map(Subject::Verification))
    }
}

/// Something to judge, as an event asked for it.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// What.
    pub subject: Subject,
    /// By which problem.
    pub problem_id: Uuid,
    /// By which version of it.
    pub version: i64,
    /// In which language; empty = by file extension.
    pub language: String,
    /// Whose it is.
    pub owner: Option<Uuid>,
    /// The trace to go on with.
    pub traceparent: Option<String>,
}

/// Where in the queue something stands; the lowest goes first.
///
/// What people wait for in a contest will come before [`Priority::practice`], rejudges after it. Whoever
/// has several programs waiting has them behind everybody's first ones.
pub struct Priority;

impl Priority {
    /// A submission, by how many others of its author are pending.
    pub fn practice(pending: i64) -> i64 {
        100 + pending.clamp(0, 50)
    }

    /// A check of an import: somebody waits for it, but it is long.
    pub const VERIFICATION: i64 = 200;
}

/// A lease on a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Lease {
    /// The judgement.
    pub id: Uuid,
    /// The fencing token.
    pub attempt: i64,
}

impl Lease {
    /// Reads a lease of the wire.
    pub fn read(lease: Option<&pb::JobLease>) -> Option<Lease> {
        let lease = lease?;
        Some(Lease { id: ids::parse(&lease.job_id)?, attempt: lease.attempt.into() })
    }

    /// For the wire.
    pub fn wire(self) -> pb::JobLease {
        let attempt = i32::try_from(self.attempt).unwrap_or(i32::MAX);
        pb::JobLease { job_id: self.id.to_string(), attempt }
    }
}

/// What came of a judgement, in the form of the wire: ids, attempt and times are the queue's.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// The judgement.
    pub judgement: pb::Judgement,
    /// Who judged.
    pub worker: String,
}

impl Outcome {
    /// The judge gives up.
    pub fn judge_error(message: impl Into<String>, worker: &str) -> Outcome {
        let judgement = pb::Judgement {
            verdict: pb::Verdict::JudgeError.into(),
            message: message.into(),
            ..pb::Judgement::default()
        };
        Outcome { judgement, worker: worker.to_owned() }
    }
}

/// A time for the wire.
pub fn timestamp(time: DateTime<Utc>) -> prost_types::Timestamp {
    let nanos = i32::try_from(time.timestamp_subsec_nanos()).unwrap_or_default();
    prost_types::Timestamp { seconds: time.timestamp(), nanos }
}

/// Text that every database can hold: without NUL, and of at most `limit` bytes.
pub fn bounded(text: &str, limit: usize) -> String {
    let mut text = text.replace('\0', "\u{fffd}");
    if text.len() > limit {
        let mut end = limit;
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        text.truncate(end);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_bounded() {
        assert_eq!(bounded("a\0b", 10), "a\u{fffd}b");
        assert_eq!(bounded("häh", 2), "h");
        assert_eq!(bounded("häh", 3), "hä");
    }

    #[test]
    fn leases_travel() {
        let lease = Lease { id: Uuid::from_u128(7), attempt: 3 };
        assert_eq!(Lease::read(Some(&lease.wire())), Some(lease));
        assert_eq!(Lease::read(None), None);
        let bad = pb::JobLease { job_id: "x".into(), attempt: 1 };
        assert_eq!(Lease::read(Some(&bad)), None);
    }

    #[test]
    fn the_first_program_of_one_comes_before_the_tenth_of_another() {
        assert!(Priority::practice(0) < Priority::practice(9));
        assert!(Priority::practice(1000) < Priority::VERIFICATION);
    }
}
