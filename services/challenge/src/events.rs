//! The events that the service publishes and consumes.
//!
//! Publishes agon.submission.v1 and agon.challenge.v1. Consumes agon.judgement.v1, which carries the verdicts of
//! submissions, and agon.problem.v1 and agon.user.v1 for duels.

use access::Caller;
use bus::{Consumes, Event, Fault, Received, Topic};
use bytes::Bytes;
use chrono::{DateTime, Utc};
use db::Tx;
use prost::{Message, Name};
use proto::event::{
    AnnouncementCreated, ClarificationAnswered, ClarificationAsked, ContestFinalized,
    ContestPublished, ContestStateChanged, DuelFinished, DuelInvited, DuelStarted,
    JudgementCompleted, JudgementRequested, ParticipantRegistered, RejudgingApplied,
    SubmissionCreated, SubmissionJudged,
};
use uuid::Uuid;

use crate::Challenge;
use crate::clarification::Clarification;
use crate::contest::{Contest, Participant, State};
use crate::contests;
use crate::duel::{Duel, Ending};
use crate::duels;
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

/// Contests: published, reached a state, got a participant, finalized; their clarifications and rejudgings. Duels: invited, started,
/// finished.
pub const CHALLENGE: Topic = Topic::new("agon.challenge.v1", "challenge")
    .key("challenge_id")
    .types(&[
        "agon.event.v1.ContestPublished",
        "agon.event.v1.ContestStateChanged",
        "agon.event.v1.ParticipantRegistered",
        "agon.event.v1.ContestFinalized",
        "agon.event.v1.DuelInvited",
        "agon.event.v1.DuelStarted",
        "agon.event.v1.DuelFinished",
        "agon.event.v1.ClarificationAsked",
        "agon.event.v1.ClarificationAnswered",
        "agon.event.v1.AnnouncementCreated",
        "agon.event.v1.RejudgingApplied",
    ])
    .projection(project_challenge);

pub const JUDGEMENTS: Consumes = Consumes { consumer: "challenge", topics: &["agon.judgement.v1"] };

/// What duels must know of problems and players.
pub const PLAYERS: Consumes =
    Consumes { consumer: "challenge-duels", topics: &["agon.problem.v1", "agon.user.v1"] };

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

fn append_challenge<M: Message + Name>(tx: &mut Tx, challenge: Uuid, number: i64, message: &M) {
    bus::outbox::append(tx, Event::new(&CHALLENGE, challenge, number, message));
}

/// Events of a contest have the numbers of its log.
pub fn contest_published(tx: &mut Tx, contest: &Contest, number: i64) {
    let message = ContestPublished {
        challenge_id: contest.id.to_string(),
        public: contest.is_public(),
        start_time: Some(wire::timestamp(contest.starts_at)),
        end_time: Some(wire::timestamp(contest.ends_at)),
    };
    append_challenge(tx, contest.id, number, &message);
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
    append_challenge(tx, contest.id, number, &message);
}

pub fn participant_registered(tx: &mut Tx, participant: &Participant, number: i64) {
    let message = ParticipantRegistered {
        challenge_id: participant.contest_id.to_string(),
        participant_id: participant.id.to_string(),
        user_id: participant.user_id.to_string(),
    };
    append_challenge(tx, participant.contest_id, number, &message);
}

pub fn contest_finalized(tx: &mut Tx, contest: &Contest, number: i64) {
    let message = ContestFinalized {
        challenge_id: contest.id.to_string(),
        public: contest.is_public(),
        participant_count: i32::try_from(contest.participant_count).unwrap_or(i32::MAX),
    };
    append_challenge(tx, contest.id, number, &message);
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
    append_challenge(tx, rejudging.contest_id, number, &message);
}

pub fn duel_invited(tx: &mut Tx, duel: &Duel, number: i64) {
    let [challenger_id, opponent_id] = duel.user_ids().map(|id| id.to_string());
    let message = DuelInvited {
        challenge_id: duel.id.to_string(),
        challenger_id,
        opponent_id,
        expire_time: duel.expires_at.map(wire::timestamp),
    };
    append_challenge(tx, duel.id, number, &message);
}

pub fn duel_started(tx: &mut Tx, duel: &Duel, number: i64) {
    let message = DuelStarted {
        challenge_id: duel.id.to_string(),
        user_ids: duel.user_ids().map(|id| id.to_string()).to_vec(),
        problem_ids: problem_ids(duel),
        start_time: duel.started_at.map(wire::timestamp),
        end_time: duel.ends_at.map(wire::timestamp),
    };
    append_challenge(tx, duel.id, number, &message);
}

pub fn duel_finished(tx: &mut Tx, duel: &Duel, number: i64) {
    let winner = duel.ending.and_then(Ending::winner);
    let message = DuelFinished {
        challenge_id: duel.id.to_string(),
        user_ids: duel.user_ids().map(|id| id.to_string()).to_vec(),
        result: duel.ending.map_or(0, |ending| duels::wire::result(ending).into()),
        winner_id: winner
            .map(|side| duel.players[side.index()].user_id.to_string())
            .unwrap_or_default(),
        problem_ids: problem_ids(duel),
        start_time: duel.started_at.map(wire::timestamp),
        finish_time: duel.finished_at.map(wire::timestamp),
    };
    append_challenge(tx, duel.id, number, &message);
}

fn problem_ids(duel: &Duel) -> Vec<String> {
    duel.problems.iter().map(|problem| problem.problem_id.to_string()).collect()
}

pub fn clarification_asked(
    tx: &mut Tx,
    asked: &Clarification,
    participant: &Participant,
    number: i64,
) {
    let message = ClarificationAsked {
        challenge_id: asked.contest_id.to_string(),
        clarification_id: asked.id.to_string(),
        participant_id: participant.id.to_string(),
        user_id: participant.user_id.to_string(),
    };
    append_challenge(tx, asked.contest_id, number, &message);
}

pub fn clarification_answered(
    tx: &mut Tx,
    contest: &Contest,
    answered: &Clarification,
    participant: &Participant,
    number: i64,
) {
    let message = ClarificationAnswered {
        challenge_id: contest.id.to_string(),
        clarification_id: answered.id.to_string(),
        to_all: answered.public,
        public: answered.public && contest.is_public(),
        participant_id: participant.id.to_string(),
        user_id: participant.user_id.to_string(),
    };
    append_challenge(tx, contest.id, number, &message);
}

pub fn announcement_created(
    tx: &mut Tx,
    contest: &Contest,
    announcement: &Clarification,
    number: i64,
) {
    let message = AnnouncementCreated {
        challenge_id: contest.id.to_string(),
        clarification_id: announcement.id.to_string(),
        public: contest.is_public(),
    };
    append_challenge(tx, contest.id, number, &message);
}

/// Events of public contests, and starts and results of duels, are public; registrations, invitations, questions and
/// private answers are for the users whom they are about; everything is for those who judge contests. Others get no number of the log, which counts hidden verdicts.
fn project_challenge(event: &Received, caller: &Caller) -> Option<Received> {
    if contests::viewer::Viewer::of(caller).lists_all() {
        return Some(event.clone());
    }
    let data = visible_to(event, caller)?;
    let mut shown = event.clone();
    (shown.data, shown.version) = (data, 0);
    Some(shown)
}

/// The message of an event as a user may see it.
fn visible_to(event: &Received, caller: &Caller) -> Option<Bytes> {
    let acting = caller.acting();
    let is_caller = |user_id: &str| acting.is_user() && ids::parse(user_id) == Some(acting.id);
    let data = event.data.clone();
    let shown = if event.type_name == ContestPublished::full_name() {
        ContestPublished::decode(data).ok()?.public
    } else if event.type_name == ContestStateChanged::full_name() {
        ContestStateChanged::decode(data).ok()?.public
    } else if event.type_name == ContestFinalized::full_name() {
        ContestFinalized::decode(data).ok()?.public
    } else if event.type_name == AnnouncementCreated::full_name() {
        AnnouncementCreated::decode(data).ok()?.public
    } else if event.type_name == ParticipantRegistered::full_name() {
        is_caller(&ParticipantRegistered::decode(data).ok()?.user_id)
    } else if event.type_name == ClarificationAsked::full_name() {
        is_caller(&ClarificationAsked::decode(data).ok()?.user_id)
    } else if event.type_name == ClarificationAnswered::full_name() {
        let answered = ClarificationAnswered::decode(data).ok()?;
        if answered.public && !is_caller(&answered.user_id) {
            let (participant_id, user_id) = Default::default();
            let reduced = ClarificationAnswered { participant_id, user_id, ..answered };
            return Some(reduced.encode_to_vec().into());
        }
        is_caller(&answered.user_id)
    } else if event.is::<DuelInvited>() {
        let invited = DuelInvited::decode(data).ok()?;
        is_caller(&invited.challenger_id) || is_caller(&invited.opponent_id)
    } else {
        event.is::<DuelStarted>() || event.is::<DuelFinished>()
    };
    shown.then(|| event.data.clone())
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
