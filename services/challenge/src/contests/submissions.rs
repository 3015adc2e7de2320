//! Submissions to contests, and their verdicts.

use access::Caller;
use db::{Tx, TxGuard};
use proto::challenge::{CreateSubmissionRequest, CreateSubmissionResponse};
use rpc::Violations;
use service::Idempotent;
use uuid::Uuid;

use super::viewer::Viewer;
use crate::Challenge;
use crate::contest::{Contest, check_submission};
use crate::error::Error;
use crate::judging::Judging;
use crate::log::{self, Log};
use crate::submission::{Outcome, Place, Submission, View};
use crate::{events, request, store, wire};

impl Challenge {
    /// Accepts a submission to a contest durably.
    pub(crate) async fn submit_to_contest(
        &self,
        caller: &Caller,
        request: &CreateSubmissionRequest,
        once: &Idempotent<'_>,
    ) -> Result<CreateSubmissionResponse, Error> {
        let user = caller.user()?.id;
        let contest = self.contest(&Viewer::of(caller), &request.challenge_id).await?;
        // Refuses early: which problems a contest has is secret before its start.
        let participant = store::participants::by_user(&self.db, contest.id, user).await?;
        check_submission(&contest, participant.as_ref(), self.clock.now())?;
        check_limits(&contest, request)?;
        let problem_id = self.problem_in(&contest, &request.problem_id).await?;
        let problem_id = problem_id.to_string();
        let problem = self.peers.any_problem(&problem_id);
        let (problem_id, problem_version) = self.resolve(problem, request).await?;
        let draft = &Submission {
            id: Uuid::nil(),
            version: 1,
            user_id: user,
            problem_id,
            problem_version,
            language: request.language.clone(),
            source_size: i64::try_from(request.source.len()).unwrap_or(i64::MAX),
            created_at: self.clock.now(),
            place: None,
            outcome: None,
        };
        let accept = |mut tx: TxGuard| async move {
            let new = self.enter(&mut tx, contest.id, draft).await?;
            store::submissions::insert(&mut tx, &new, 0, &request.source).await?;
            events::submission_created(&mut tx, &new);
            let view = View::of_pending(new, &Judging::default());
            Ok(CreateSubmissionResponse { submission: Some(wire::submission(view)) })
        };
        once.run(&self.db, accept).await
    }

    /// The id of the contest's problem with this label, id or slug.
    async fn problem_in(&self, contest: &Contest, name: &str) -> Result<Uuid, Error> {
        if let Some(problem) = contest.problem(name) {
            return Ok(problem.problem_id);
        }
        if !request::is_problem(name) {
            return Err(Error::ProblemNotFound);
        }
        let id = self.peers.any_problem(name).await?.problem_id;
        contest.problem(&id).map(|problem| problem.problem_id).ok_or(Error::ProblemNotFound)
    }

    /// Gives a submission its place in the contest, by the state and the time under the contest's lock.
    async fn enter(
        &self,
        tx: &mut Tx,
        contest: Uuid,
        draft: &Submission,
    ) -> Result<Submission, Error> {
        let mut log = Log::lock(tx, contest).await?.ok_or(Error::ContestNotFound)?;
        let contest = store::contests::by_id(&mut *tx, contest).await?;
        let contest = contest.filter(|it| it.deleted_at.is_none()).ok_or(Error::ContestNotFound)?;
        let participant = store::participants::by_user(&mut *tx, contest.id, draft.user_id).await?;
        let now = tx.now();
        check_submission(&contest, participant.as_ref(), now)?;
        let participant = participant.ok_or(Error::NotParticipant)?;
        if contest.problems.iter().all(|it| it.problem_id != draft.problem_id) {
            return Err(Error::ProblemNotFound);
        }
        let last =
            store::submissions::last_attempt(&mut *tx, participant.id, draft.problem_id).await?;
        let limit = self.config.contest_attempts;
        if limit > 0 && last >= i64::from(limit) {
            return Err(Error::TooManyAttempts(limit));
        }
        let place = Place {
            challenge_id: contest.id,
            participant_id: participant.id,
            time_us: contest.time_us(now),
            attempt: last + 1,
            ignored: false,
        };
        let id = tx.new_id();
        let new = Submission { id, created_at: now, place: Some(place), ..draft.clone() };
        let entry = log::attempt(id, participant.id, new.problem_id, place.time_us);
        log.append(tx, now, &entry).await?;
        self.notify_contest(tx, contest.id);
        Ok(new)
    }

    /// Writes the verdict of a submission to the log of its contest or duel, which it may decide.
    pub(crate) async fn record_verdict(
        &self,
        tx: &mut Tx,
        submission: &Submission,
        outcome: &Outcome,
    ) -> Result<(), Error> {
        let Some(place) = submission.place else { return Ok(()) };
        let log = Log::lock(tx, place.challenge_id).await?;
        let mut log = log.ok_or(Error::ContestNotFound)?;
        let entry = log::judged(submission.id, outcome.verdict);
        log.append(tx, outcome.judged_at, &entry).await?;
        match store::duels::by_id(&mut *tx, place.challenge_id).await? {
            Some(mut duel) => {
                self.settle_duel(tx, &mut log, &mut duel).await?;
                self.notify_duel(tx, duel.id);
            }
            None => self.notify_contest(tx, place.challenge_id),
        }
        Ok(())
    }
}

/// The limits that the contest adds to those of the problem.
fn check_limits(contest: &Contest, request: &CreateSubmissionRequest) -> Result<(), Error> {
    let mut violations = Violations::default();
    if !contest.languages.is_empty() && !contest.languages.contains(&request.language) {
        let text = format!("must be one of {} in this contest", contest.languages.join(", "));
        violations.add("language", text);
    }
    if let Ok(limit @ 1..) = usize::try_from(contest.source_limit) {
        request::check_size(&mut violations, &request.source, limit);
    }
    Ok(violations.into_result()?)
}
