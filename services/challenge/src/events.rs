//! The events that the service publishes and consumes.
//!
//! Publishes agon.submission.v1 and agon.challenge.v1. Consumes agon.judgement.v1, which carries the verdicts of
//! submissions.

use access::Caller;
use bus::{Consumes, Event, Fault, Received, Topic};
use chrono::{DateTime, Utc};
use db::Tx;
use prost::{Message, Name};
use proto::event::{
    ContestFinalized, ContestPublished, ContestStateChanged, JudgementCompleted,
    JudgementRequested, ParticipantRegistered, RejudgingApplied, SubmissionCreated,
    SubmissionJudged,
};
use uuid::Uuid;

use crate::Challenge;
use crate::contest::{Contest, Participant, State};
use crate::contests;
use crate::error::Error;
use crate::rejudging::{Rejudged, Rejudging};
use crate::submission::{Outcome, Submission};
use crate::submissions::viewer;
use crate::wire;

/// Submissions: created, to be judged again, judged.
pub const SUBMISSION: Topic = Topic::new("agon.submission.v1", "challenge")
    .key("submission_id")
    .types(&[
        "agon.event.v1.SubmissionCreated",
        "agon.event.v1.JudgementRequested",
        "agon.event.v1.SubmissionJudged",
    ])
    .projection(project);

/// Contests: published, reached a state, got a participant, finalized, rejudged.
pub const CHALLENGE: Topic = Topic::new("agon.challenge.v1", "challenge")
    .key("challenge_id")
    .types(&[
        "agon.event.v1.ContestPublished",
        "agon.event.v1.ContestStateChanged",
        "agon.event.v1.ParticipantRegistered",
        "agon.event.v1.ContestFinalized",
        "agon.event.v1.RejudgingApplied",
    ])
    .projection(project_contest);

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

/// Appends `JudgementRequested`; `version` is the new one of the submission.
pub fn judgement_requested(
    tx: &mut Tx,
    submission: &Submission,
    version: i64,
    rejudging: Uuid,
    rejudged: &Rejudged,
) {
    let message = JudgementRequested {
        submission_id: submission.id.to_string(),
        ordinal: rejudged.ordinal,
        rejudging_id: rejudging.to_string(),
        problem_id: submission.problem_id.to_string(),
        problem_version: rejudged.problem_version,
        user_id: submission.user_id.to_string(),
        language: submission.language.clone(),
    };
    bus::outbox::append(tx, Event::new(&SUBMISSION, submission.id, version, &message));
}

fn append_contest<M: Message + Name>(tx: &mut Tx, contest: Uuid, number: i64, message: &M) {
    bus::outbox::append(tx, Event::new(&CHALLENGE, contest, number, message));
}

/// Events of a contest have the numbers of its log.
pub fn contest_published(tx: &mut Tx, contest: &Contest, number: i64) {
    let message = ContestPublished {
        challenge_id: contest.id.to_string(),
        public: contest.is_public(),
        start_time: Some(wire::timestamp(contest.starts_at)),
        end_time: Some(wire::timestamp(contest.ends_at)),
    };
    append_contest(tx, contest.id, number, &message);
}

pub fn contest_state_changed(
    tx: &mut Tx,
    contest: &Contest,
    number: i64,
    state: State,
    at: DateTime<Utc>,
) {
    let message = ContestStateChanged {
        challenge_id: contest.id.to_string(),
        public: contest.is_public(),
        state: contests::wire::state(state).into(),
        state_time: Some(wire::timestamp(at)),
    };
    append_contest(tx, contest.id, number, &message);
}

pub fn participant_registered(tx: &mut Tx, participant: &Participant, number: i64) {
    let message = ParticipantRegistered {
        challenge_id: participant.contest_id.to_string(),
        participant_id: participant.id.to_string(),
        user_id: participant.user_id.to_string(),
    };
    append_contest(tx, participant.contest_id, number, &message);
}

pub fn contest_finalized(tx: &mut Tx, contest: &Contest, number: i64) {
    let message = ContestFinalized {
        challenge_id: contest.id.to_string(),
        public: contest.is_public(),
        participant_count: i32::try_from(contest.participant_count).unwrap_or(i32::MAX),
    };
    append_contest(tx, contest.id, number, &message);
}

pub fn rejudging_applied(
    tx: &mut Tx,
    rejudging: &Rejudging,
    number: i64,
    submissions: usize,
    changed: usize,
) {
    let message = RejudgingApplied {
        challenge_id: rejudging.contest_id.to_string(),
        rejudging_id: rejudging.id.to_string(),
        submission_count: i32::try_from(submissions).unwrap_or(i32::MAX),
        changed_count: i32::try_from(changed).unwrap_or(i32::MAX),
    };
    append_contest(tx, rejudging.contest_id, number, &message);
}

/// Events of public contests are public, registrations are for the user who registered; everything is for those who
/// judge contests.
fn project_contest(event: &Received, caller: &Caller) -> Option<Received> {
    let data = event.data.clone();
    let shown = if event.type_name == ContestPublished::full_name() {
        ContestPublished::decode(data).ok()?.public
    } else if event.type_name == ContestStateChanged::full_name() {
        ContestStateChanged::decode(data).ok()?.public
    } else if event.type_name == ContestFinalized::full_name() {
        ContestFinalized::decode(data).ok()?.public
    } else if event.type_name == ParticipantRegistered::full_name() {
        let user_id = ids::parse(&ParticipantRegistered::decode(data).ok()?.user_id)?;
        caller.acting().is_user() && caller.acting().id == user_id
    } else {
        false
    };
    (shown || contests::viewer::Viewer::of(caller).lists_all()).then(|| event.clone())
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
        let judged = match judged.ordinal {
            // Events of earlier versions have no ordinal.
            0 | 1 => self.0.judge(tx, id, &outcome).await,
            ordinal => self.0.judge_again(tx, id, ordinal, &outcome).await,
        };
        match judged {
            Ok(true) => Ok(()),
            Ok(false) => {
                tracing::info!(submission_id = %id, "ignored a judgement");
                Ok(())
            }
            Err(Error::Common(error)) => Err(error.into()),
            Err(error) => Err(Fault::permanent(format!("{id}: {error}"))),
        }
    }
}
