//! What the judge publishes and consumes.
//!
//! Publishes agon.judgement.v1. Consumes agon.submission.v1 and agon.verification.v1, whose events
//! become jobs.

use bus::{Consumes, Event, Fault, Received, Topic};
use db::Tx;
use proto::event::{JudgedTest, JudgementCompleted, SubmissionCreated, VerificationRequested};
use uuid::Uuid;

use crate::judgement::{Outcome, Subject, Wanted};
use crate::queue::Queue;
use crate::store::Key;

/// Judgements that are done. Verdicts may be secret for a while: shown to services only.
pub const JUDGEMENT: Topic = Topic::new("agon.judgement.v1", "judge")
    .key("submission_id or verification_id")
    .types(&["agon.event.v1.JudgementCompleted"]);

/// The consumer of requests for judgements.
pub const REQUESTS: Consumes =
    Consumes { consumer: "judge", topics: &["agon.submission.v1", "agon.verification.v1"] };

/// Says that a judgement is done.
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
        // The values of the two enums are the same.
        verdict: judgement.verdict,
        cpu_time_us: judgement.cpu_time_us,
        memory_bytes: judgement.memory_bytes,
        test_count: judgement.test_count,
        tests: tests.collect(),
        isolation: judgement.isolation.clone(),
    };
    bus::outbox::append(tx, Event::new(&JUDGEMENT, subject.id(), key.ordinal, &message));
}

/// Puts what wants to be judged into the queue.
pub struct Requests(pub Queue);

impl bus::Handler for Requests {
    async fn handle(&self, tx: &mut Tx, event: &Received) -> Result<(), Fault> {
        // The topics have messages that are not for the judge, and may grow more.
        if event.is::<SubmissionCreated>() || event.is::<VerificationRequested>() {
            self.0.enqueue(tx, &wanted(event)?).await?;
        }
        Ok(())
    }
}

fn wanted(event: &Received) -> Result<Wanted, Fault> {
    // What the job causes was caused by this consumer's work, which the event caused.
    let traceparent = ::rpc::traceparent().or_else(|| event.traceparent.clone());
    if event.is::<SubmissionCreated>() {
        let created: SubmissionCreated = event.decode()?;
        return Ok(Wanted {
            subject: Subject::Submission(id("submission_id", &created.submission_id)?),
            problem_id: id("problem_id", &created.problem_id)?,
            version: created.problem_version,
            language: created.language,
            owner: Some(id("user_id", &created.user_id)?),
            traceparent,
        });
    }
    let requested: VerificationRequested = event.decode()?;
    Ok(Wanted {
        subject: Subject::Verification(id("verification_id", &requested.verification_id)?),
        problem_id: id("problem_id", &requested.problem_id)?,
        version: requested.version,
        language: requested.language,
        owner: None,
        traceparent,
    })
}

fn id(field: &str, text: &str) -> Result<Uuid, Fault> {
    ids::parse(text).ok_or_else(|| Fault::park(format!("{field} {text:?} is no id")))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SUBMISSION: Topic = Topic::new("agon.submission.v1", "challenge");

    #[test]
    fn events_become_jobs() {
        let user = Uuid::from_u128(3);
        let created = SubmissionCreated {
            submission_id: Uuid::from_u128(1).to_string(),
            problem_id: Uuid::from_u128(2).to_string(),
            problem_version: 7,
            user_id: user.to_string(),
            language: "cpp20".into(),
        };
        let event = Event::new(&SUBMISSION, Uuid::from_u128(1), 1, &created);
        let wanted = wanted(&Received::testing(&event)).unwrap();
        assert_eq!(wanted.subject, Subject::Submission(Uuid::from_u128(1)));
        assert_eq!((wanted.version, wanted.owner), (7, Some(user)));
        let bad = SubmissionCreated { user_id: "nobody".into(), ..created };
        let event = Event::new(&SUBMISSION, Uuid::from_u128(1), 1, &bad);
        assert!(matches!(super::wanted(&Received::testing(&event)), Err(Fault::Park(_))));
    }
}
