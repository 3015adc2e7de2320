//! The events that the service publishes and consumes.
//!
//! Publishes agon.problem.v1 and agon.verification.v1, which requests runs of jury solutions and validators
//! from the judge. Consumes agon.judgement.v1 with the results.

use access::Caller;
use bus::{Consumes, Event, Fault, Received, Topic};
use db::Tx;
use prost::{Message, Name};
use proto::event as pb;
use uuid::Uuid;

use crate::Problems;
use crate::check::Check;
use crate::error::Error;
use crate::problem::Problem;

pub const PROBLEM: Topic = Topic::new("agon.problem.v1", "problem")
    .key("problem_id")
    .types(&[
        "agon.event.v1.ProblemCreated",
        "agon.event.v1.ProblemUpdated",
        "agon.event.v1.ProblemPublished",
        "agon.event.v1.ProblemDeleted",
        "agon.event.v1.ProblemUndeleted",
    ])
    .projection(project);

/// Requested and canceled checks of packages, for the judge.
pub const VERIFICATION: Topic = Topic::new("agon.verification.v1", "problem")
    .key("verification_id")
    .types(&["agon.event.v1.VerificationRequested", "agon.event.v1.VerificationCanceled"]);

pub const JUDGEMENTS: Consumes = Consumes { consumer: "problem", topics: &["agon.judgement.v1"] };

fn append<M: Message + Name>(tx: &mut Tx, problem: &Problem, message: &M) {
    bus::outbox::append(tx, Event::new(&PROBLEM, problem.id, problem.version, message));
}

pub fn created(tx: &mut Tx, problem: &Problem) {
    let (problem_id, owner_id) = (problem.id.to_string(), problem.owner_id.to_string());
    append(tx, problem, &pb::ProblemCreated { problem_id, owner_id });
}

pub fn updated(tx: &mut Tx, problem: &Problem) {
    let message = pb::ProblemUpdated {
        problem_id: problem.id.to_string(),
        public: problem.is_public(),
        difficulty: i32::try_from(problem.difficulty).unwrap_or(0),
        tags: problem.tags.clone(),
    };
    append(tx, problem, &message);
}

pub fn published(tx: &mut Tx, problem: &Problem) {
    let message = pb::ProblemPublished {
        problem_id: problem.id.to_string(),
        version: problem.published_version,
        public: problem.is_public(),
        difficulty: i32::try_from(problem.difficulty).unwrap_or(0),
        tags: problem.tags.clone(),
    };
    append(tx, problem, &message);
}

pub fn deleted(tx: &mut Tx, problem: &Problem) {
    append(tx, problem, &pb::ProblemDeleted { problem_id: problem.id.to_string() });
}

pub fn undeleted(tx: &mut Tx, problem: &Problem) {
    let (problem_id, public) = (problem.id.to_string(), problem.is_public());
    append(tx, problem, &pb::ProblemUndeleted { problem_id, public });
}

pub fn verification_requested(tx: &mut Tx, problem: Uuid, version: i64, check: &Check) {
    let message = pb::VerificationRequested {
        verification_id: check.id.to_string(),
        problem_id: problem.to_string(),
        version,
        language: check.spec.language.clone(),
    };
    bus::outbox::append(tx, Event::new(&VERIFICATION, check.id, 1, &message));
}

/// After [`verification_requested`].
pub fn verification_canceled(tx: &mut Tx, check: &Check) {
    let message = pb::VerificationCanceled { verification_id: check.id.to_string() };
    bus::outbox::append(tx, Event::new(&VERIFICATION, check.id, 2, &message));
}

/// Events of public problems are public; others require the permission to read all problems.
fn project(event: &Received, caller: &Caller) -> Option<Received> {
    let public = if event.is::<pb::ProblemPublished>() {
        pb::ProblemPublished::decode(event.data.clone()).is_ok_and(|message| message.public)
    } else if event.is::<pb::ProblemUpdated>() {
        pb::ProblemUpdated::decode(event.data.clone()).is_ok_and(|message| message.public)
    } else if event.is::<pb::ProblemUndeleted>() {
        pb::ProblemUndeleted::decode(event.data.clone()).is_ok_and(|message| message.public)
    } else if event.is::<pb::ProblemCreated>() {
        let owner = pb::ProblemCreated::decode(event.data.clone()).ok()?.owner_id;
        caller.acting().is_user() && caller.acting().id.to_string() == owner
    } else {
        false
    };
    (public || caller.has("problem.problem.get")).then(|| event.clone())
}

pub struct Judgements(pub Problems);

impl bus::Handler for Judgements {
    fn handles(&self, event: &Received) -> bool {
        // One that cannot be decoded becomes a dead letter.
        let is_verification = |judged: pb::JudgementCompleted| !judged.verification_id.is_empty();
        event.is::<pb::JudgementCompleted>() && event.decode().map_or(true, is_verification)
    }

    async fn handle(&self, tx: &mut Tx, event: &Received) -> Result<(), Fault> {
        // Ignore other message types of the topic.
        if !event.is::<pb::JudgementCompleted>() {
            return Ok(());
        }
        let judged: pb::JudgementCompleted = event.decode()?;
        if judged.verification_id.is_empty() {
            return Ok(());
        }
        match self.0.apply_judgement(tx, &judged).await {
            Ok(()) => Ok(()),
            Err(Error::Common(error)) => Err(error.into()),
            Err(error) => Err(Fault::retry(error)),
        }
    }
}
