//! The events of the judge: it publishes agon.judgement.v1, and consumes agon.submission.v1 and
//! agon.verification.v1, whose events add jobs.

use bus::{Consumes, Event, Fault, Received, Topic};
use db::Tx;
use proto::event::{
    JudgedTest, JudgementCompleted, JudgementRequested, SubmissionCreated, VerificationCanceled,
    VerificationRequested,
};
use uuid::Uuid;

use crate::judgement::{JudgementRequest, Outcome, Subject};
use crate::queue::Queue;
use crate::store::Key;

/// Completed judgements. Verdicts can be secret for some time, so only services may read this topic.
pub const JUDGEMENT: Topic = Topic::new("agon.judgement.v1", "judge")
    .key("submission_id or verification_id")
    .types(&["agon.event.v1.JudgementCompleted"]);

pub const REQUESTS: Consumes =
    Consumes { consumer: "judge", topics: &["agon.submission.v1", "agon.verification.v1"] };

/// Appends the event of a completed judgement to the outbox.
pub fn completed(tx: &mut Tx, id: Uuid, key: &Key, outcome: &Outcome) {
    let Some(subject) = Subject::of(key.submission_id, key.verification_id) else { return };
    let judgement = &outcome.judgement;
    let text = |id: Option<Uuid>| id.map(|id| id.to_string()).unwrap_or_default();
    let tests = judgement.tests.iter().map(|test| JudgedTest {
        index: test.index,
        verdict: test.verdict,
        cpu_time_us: test.cpu_time_us,
        memory_bytes: test.memory_bytes,
        sample: test.sample,
    });
    let message = JudgementCompleted {
        judgement_id: id.to_string(),
        submission_id: text(key.submission_id),
        verification_id: text(key.verification_id),
        // Both enums have the same numbers; see the test below.
        verdict: judgement.verdict,
        cpu_time_us: judgement.cpu_time_us,
        memory_bytes: judgement.memory_bytes,
        test_count: judgement.test_count,
        tests: tests.collect(),
        isolation: judgement.isolation.clone(),
        ordinal: key.ordinal,
    };
    bus::outbox::append(tx, Event::new(&JUDGEMENT, subject.id(), key.ordinal, &message));
}

/// Adds a job to the queue for each event that requests a judgement, and aborts those that are not needed any more.
pub struct Requests(pub Queue);

impl bus::Handler for Requests {
    fn handles(&self, event: &Received) -> bool {
        event.is::<SubmissionCreated>()
            || event.is::<JudgementRequested>()
            || event.is::<VerificationRequested>()
            || event.is::<VerificationCanceled>()
    }

    /// Jobs are added again from the log of the requests, and the result of a lost job is refused.
    fn is_repeatable(&self) -> bool {
        true
    }

    async fn handle(&self, tx: &mut Tx, event: &Received) -> Result<(), Fault> {
        // The topics also carry events that the judge ignores.
        let requests = event.is::<SubmissionCreated>() || event.is::<JudgementRequested>();
        if requests || event.is::<VerificationRequested>() {
            self.0.enqueue(tx, &request_of(event)?).await?;
        } else if event.is::<VerificationCanceled>() {
            let canceled: VerificationCanceled = event.decode()?;
            let verification = id("verification_id", &canceled.verification_id)?;
            self.0.abort(tx, verification).await?;
        }
        Ok(())
    }
}

fn request_of(event: &Received) -> Result<JudgementRequest, Fault> {
    // The trace of the job continues the span of this consumer.
    let traceparent = ::rpc::traceparent().or_else(|| event.traceparent.clone());
    if event.is::<SubmissionCreated>() {
        let created: SubmissionCreated = event.decode()?;
        return Ok(JudgementRequest {
            subject: Subject::Submission(id("submission_id", &created.submission_id)?),
            problem_id: id("problem_id", &created.problem_id)?,
            version: created.problem_version,
            language: created.language,
            owner: Some(id("user_id", &created.user_id)?),
            attempt: created.attempt.into(),
            ordinal: 1,
            traceparent,
        });
    }
    if event.is::<JudgementRequested>() {
        let requested: JudgementRequested = event.decode()?;
        // The first judgement is requested by SubmissionCreated.
        if requested.ordinal < 2 {
            return Err(Fault::undecodable("the ordinal must be at least 2"));
        }
        return Ok(JudgementRequest {
            subject: Subject::Submission(id("submission_id", &requested.submission_id)?),
            problem_id: id("problem_id", &requested.problem_id)?,
            version: requested.problem_version,
            language: requested.language,
            owner: Some(id("user_id", &requested.user_id)?),
            attempt: 0,
            ordinal: requested.ordinal,
            traceparent,
        });
    }
    let requested: VerificationRequested = event.decode()?;
    Ok(JudgementRequest {
        subject: Subject::Verification(id("verification_id", &requested.verification_id)?),
        problem_id: id("problem_id", &requested.problem_id)?,
        version: requested.version,
        language: requested.language,
        owner: None,
        attempt: 0,
        ordinal: 1,
        traceparent,
    })
}

fn id(field: &str, text: &str) -> Result<Uuid, Fault> {
    ids::parse(text).ok_or_else(|| Fault::undecodable(format!("{field} {text:?} must be a UUID")))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SUBMISSION: Topic = Topic::new("agon.submission.v1", "challenge");

    #[test]
    fn submission_event_becomes_a_request() {
        let user = Uuid::from_u128(3);
        let created = SubmissionCreated {
            submission_id: Uuid::from_u128(1).to_string(),
            problem_id: Uuid::from_u128(2).to_string(),
            problem_version: 7,
            user_id: user.to_string(),
            language: "cpp20".into(),
            challenge_id: Uuid::from_u128(4).to_string(),
            attempt: 3,
        };
        let event = Event::new(&SUBMISSION, Uuid::from_u128(1), 1, &created);
        let request = request_of(&Received::testing(&event)).unwrap();
        assert_eq!(request.subject, Subject::Submission(Uuid::from_u128(1)));
        assert_eq!((request.version, request.owner, request.attempt), (7, Some(user), 3));
        let bad = SubmissionCreated { user_id: "invalid".into(), ..created };
        let event = Event::new(&SUBMISSION, Uuid::from_u128(1), 1, &bad);
        assert!(matches!(request_of(&Received::testing(&event)), Err(Fault::Undecodable(_))));
    }

    #[test]
    fn request_of_a_rejudging_has_a_later_number() {
        let requested = JudgementRequested {
            submission_id: Uuid::from_u128(1).to_string(),
            ordinal: 2,
            rejudging_id: Uuid::from_u128(5).to_string(),
            problem_id: Uuid::from_u128(2).to_string(),
            problem_version: 8,
            user_id: Uuid::from_u128(3).to_string(),
            language: "cpp20".into(),
        };
        let event = Event::new(&SUBMISSION, Uuid::from_u128(1), 3, &requested);
        let request = request_of(&Received::testing(&event)).unwrap();
        assert_eq!((request.ordinal, request.version, request.attempt), (2, 8, 0));
        let bad = JudgementRequested { ordinal: 1, ..requested };
        let event = Event::new(&SUBMISSION, Uuid::from_u128(1), 3, &bad);
        assert!(matches!(request_of(&Received::testing(&event)), Err(Fault::Undecodable(_))));
    }
}
