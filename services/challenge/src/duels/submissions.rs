//! Submissions to duels.

use access::Caller;
use db::{Tx, TxGuard};
use proto::challenge::{CreateSubmissionRequest, CreateSubmissionResponse};
use service::Idempotent;
use uuid::Uuid;

use crate::Challenge;
use crate::duel::{Duel, Refusal};
use crate::error::Error;
use crate::judging::Judging;
use crate::submission::{Place, Submission, View};
use crate::{events, log, request, store, wire};

impl Challenge {
    /// Accepts a submission to a duel durably.
    pub(crate) async fn submit_to_duel(
        &self,
        caller: &Caller,
        request: &CreateSubmissionRequest,
        duel: &Duel,
        once: &Idempotent<'_>,
    ) -> Result<CreateSubmissionResponse, Error> {
        let user = caller.user()?.id;
        duel.side(user).ok_or(Error::NotPlayer)?;
        if !duel.accepts_submissions(self.clock.now()) {
            return Err(Refusal::NotRunning.into());
        }
        let problem_id = self.problem_in_duel(duel, &request.problem_id).await?.to_string();
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
        let id = duel.id;
        let accept = |mut tx: TxGuard| async move {
            let new = self.enter_duel(&mut tx, id, draft).await?;
            store::submissions::insert(&mut tx, &new, 0, &request.source).await?;
            events::submission_created(&mut tx, &new);
            let view = View::of_pending(new, &Judging::default());
            Ok(CreateSubmissionResponse { submission: Some(wire::submission(view)) })
        };
        once.run(&self.db, accept).await
    }

    /// The id of the duel's problem with this label, id or slug.
    async fn problem_in_duel(&self, duel: &Duel, name: &str) -> Result<Uuid, Error> {
        let index = match duel.problem(name) {
            Some(index) => Some(index),
            None if request::is_problem(name) => {
                duel.problem(&self.peers.any_problem(name).await?.problem_id)
            }
            None => None,
        };
        let index = index.ok_or(Error::ProblemNotFound)?;
        Ok(duel.problems[index].problem_id)
    }

    /// Gives a submission its place in the duel, by the state and the time under the duel's lock.
    async fn enter_duel(
        &self,
        tx: &mut Tx,
        duel: Uuid,
        draft: &Submission,
    ) -> Result<Submission, Error> {
        let (mut log, duel) = self.locked_duel(tx, duel).await?;
        let now = tx.now();
        let start = duel.started_at.filter(|_| duel.accepts_submissions(now));
        let start = start.ok_or(Refusal::NotRunning)?;
        let (user, problem) = (draft.user_id, draft.problem_id);
        let last = store::submissions::last_attempt(&mut *tx, user, problem).await?;
        let limit = self.config.contest_attempts;
        if limit > 0 && last >= i64::from(limit) {
            return Err(Error::TooManyAttempts(limit));
        }
        let place = Place {
            challenge_id: duel.id,
            participant_id: user,
            time_us: (now - start).num_microseconds().unwrap_or(i64::MAX),
            attempt: last + 1,
            ignored: false,
        };
        let id = tx.new_id();
        let new = Submission { id, created_at: now, place: Some(place), ..draft.clone() };
        log.append(tx, now, &log::attempt(id, user, problem, place.time_us)).await?;
        self.notify_duel(tx, duel.id);
        Ok(new)
    }
}
