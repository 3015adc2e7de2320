//! What the service publishes and consumes.
//!
//! Publishes agon.submission.v1. Consumes agon.judgement.v1, which gives submissions their verdicts.

use access::Caller;
use bus::{Event, Fault, Received, Topic};
use db::Tx;
use prost::{Message, Name};
use proto::event::{JudgementCompleted, SubmissionCreated, SubmissionJudged};
use uuid::Uuid;

use crate::Challenge;
use crate::error::Error;
use crate::submission::{Outcome, Submission};
use crate::submissions::viewer;
use crate::wire;

/// Submissions: handed in, judged.
pub const SUBMISSION: Topic = Topic::new("agon.submission.v1", "challenge")
    .key("submission_id")
    .types(&["agon.event.v1.SubmissionCreated", "agon.event.v1.SubmissionJudged"])
    .projection(project);

/// The topics that this service produces.
pub const TOPICS: &[Topic] = &[SUBMISSION];

/// What this service consumes.
pub const CONSUMES: &[bus::Consumes] =
    &[bus::Consumes { consumer: "challenge", topics: &["agon.judgement.v1"] }];

/// Says that a submission wants to be judged.
pub fn submission_created(tx: &mut Tx, submission: &Submission) {
    let created = wire::created(submission);
    bus::outbox::append(tx, Event::new(&SUBMISSION, submission.id, submission.version, &created));
}

/// Says that a submission has its verdict.
pub fn submission_judged(tx: &mut Tx, submission: &Submission, outcome: &Outcome) {
    let judged = wire::judged(submission, outcome);
    bus::outbox::append(tx, Event::new(&SUBMISSION, submission.id, submission.version, &judged));
}

/// An event is for whoever may see its submission, and whole: it holds nothing that they may not.
fn project(event: &Received, caller: &Caller) -> Option<Received> {
    let author = author(event)?;
    viewer(caller).sight(author).submission.then(|| event.clone())
}

/// The author in an event of ours; nobody's when it is of a later version.
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

/// Applies judgements.
pub struct Judgements(pub Challenge);

impl bus::Handler for Judgements {
    async fn handle(&self, tx: &mut Tx, event: &Received) -> Result<(), Fault> {
        // The topic may grow messages that are not for us.
        if !event.is::<JudgementCompleted>() {
            return Ok(());
        }
        let judged: JudgementCompleted = event.decode()?;
        if judged.submission_id.is_empty() {
            return Ok(());
        }
        let Some((id, outcome)) = wire::outcome_of_event(&judged, tx.now()) else {
            return Err(Fault::permanent(
                "the judgement has an id or a verdict unknown to this version",
            ));
        };
        match self.0.judge(tx, id, &outcome).await {
            Ok(true) => Ok(()),
            Ok(false) => {
                tracing::info!(submission_id = %id, "a second judgement; the first one stands");
                Ok(())
            }
            Err(Error::Db(error)) => Err(error.into()),
            Err(error @ Error::NotFound) => Err(Fault::permanent(format!("{id}: {error}"))),
            Err(error) => Err(Fault::retry(error)),
        }
    }
}
