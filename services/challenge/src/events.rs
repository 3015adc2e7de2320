//! The events that the service publishes and consumes.
//!
//! Publishes agon.submission.v1. Consumes agon.judgement.v1, which carries the verdicts of submissions.

use access::Caller;
use bus::{Consumes, Event, Fault, Received, Topic};
use db::Tx;
use prost::{Message, Name};
use proto::event::{JudgementCompleted, SubmissionCreated, SubmissionJudged};
use uuid::Uuid;

use crate::Challenge;
use crate::error::Error;
use crate::submission::{Outcome, Submission};
use crate::submissions::viewer;
use crate::wire;

/// Submissions: created, judged.
pub const SUBMISSION: Topic = Topic::new("agon.submission.v1", "challenge")
    .key("submission_id")
    .types(&["agon.event.v1.SubmissionCreated", "agon.event.v1.SubmissionJudged"])
    .projection(project);

pub const JUDGEMENTS: Consumes = Consumes { consumer: "challenge", topics: &["agon.judgement.v1"] };

/// Appends `SubmissionCreated`, which requests a judgement.
pub fn submission_created(tx: &mut Tx, submission: &Submission) {
    let created = wire::created(submission);
    bus::outbox::append(tx, Event::new(&SUBMISSION, submission.id, submission.version, &created));
}

pub fn submission_judged(tx: &mut Tx, submission: &Submission, outcome: &Outcome) {
    let judged = wire::judged(submission, outcome);
    bus::outbox::append(tx, Event::new(&SUBMISSION, submission.id, submission.version, &judged));
}

/// Callers who may see the submission see the whole event: it contains nothing more.
fn project(event: &Received, caller: &Caller) -> Option<Received> {
    let author = author(event)?;
    viewer(caller).sight(author).submission.then(|| event.clone())
}

/// `None` for event types of a later version.
fn author(event: &Received) -> Option<Uuid> {
    let data = event.data.clone();
    let text = if event.type_name == SubmissionCreated::full_name() {
        SubmissionCreated::decode(data).ok()?.user_id
    } else if event.type_name == SubmissionJudged::full_name() {
        SubmissionJudged::decode(data).ok()?.user_id
    } else {
        return None;
    };
    ids::parse(&text)
}

pub struct Judgements(pub Challenge);

impl bus::Handler for Judgements {
    fn handles(&self, event: &Received) -> bool {
        // One that cannot be decoded becomes a dead letter.
        let is_submission = |judged: JudgementCompleted| !judged.submission_id.is_empty();
        event.is::<JudgementCompleted>() && event.decode().map_or(true, is_submission)
    }

    async fn handle(&self, tx: &mut Tx, event: &Received) -> Result<(), Fault> {
        // A later version of the judge may publish more types on the topic.
        if !event.is::<JudgementCompleted>() {
            return Ok(());
        }
        let judged: JudgementCompleted = event.decode()?;
        // Judgements of package verifications have no submission.
        if judged.submission_id.is_empty() {
            return Ok(());
        }
        let Some((id, outcome)) = wire::outcome_of_event(&judged, tx.now()) else {
            return Err(Fault::undecodable("the judgement has an unknown id or verdict"));
        };
        match self.0.judge(tx, id, &outcome).await {
            Ok(true) => Ok(()),
            Ok(false) => {
                tracing::info!(submission_id = %id, "ignored a second judgement");
                Ok(())
            }
            Err(Error::Common(error)) => Err(error.into()),
            Err(error) => Err(Fault::permanent(format!("{id}: {error}"))),
        }
    }
}
