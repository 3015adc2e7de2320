//! The use cases of clarifications.

use std::collections::HashMap;

use access::Caller;
use bytes::Bytes;
use db::{Tx, TxGuard};
use proto::challenge as pb;
use rpc::Violations;
use service::{Idempotent, Page, check_request_id};
use uuid::Uuid;

use super::viewer::Viewer;
use super::wire;
use crate::Challenge;
use crate::clarification::{
    Clarification, MAX_ANSWER, MAX_QUESTION, Reader, Unanswerable, check_question, check_text,
};
use crate::contest::{Contest, request};
use crate::error::Error;
use crate::store::clarifications::{self as stored, Scope};
use crate::{events, store};

/// The channel that announces new clarifications and answers of a contest.
pub fn channel(id: Uuid) -> String {
    format!("contest/{id}/clarifications")
}

impl Challenge {
    /// Makes all watchers of the clarifications read them again once `tx` is committed.
    fn notify_clarifications(&self, tx: &mut Tx, id: Uuid) {
        let cache = self.cache.clone();
        tx.after_commit(move || cache.publish(&channel(id), Bytes::new()));
    }

    /// Stores a question of the caller, once per request id.
    pub async fn ask(
        &self,
        caller: &Caller,
        request: &pb::AskClarificationRequest,
    ) -> Result<pb::AskClarificationResponse, Error> {
        let user = caller.user()?.id;
        let pb::AskClarificationRequest { contest_id, label, question, request_id } = request;
        check(label, ("question", question, MAX_QUESTION), request_id).into_result()?;
        let found = self.contest(&Viewer::of(caller), contest_id).await?;
        let content = [found.id.as_bytes(), label.as_bytes(), question.as_bytes()];
        let once = Idempotent::new(user, "AskClarification", request_id, &content);
        let ask = |mut tx: TxGuard| async move {
            let (mut log, contest) = self.locked(&mut tx, found.id, "").await?;
            let now = tx.now();
            let participant = store::participants::by_user(&mut *tx, contest.id, user).await?;
            check_question(&contest, participant.as_ref(), !label.is_empty(), now)?;
            let participant = participant.ok_or(Error::NotParticipant)?;
            let limit = self.config.contest_open_questions;
            let open = stored::open_count(&mut *tx, participant.id).await?;
            if limit > 0 && open >= i64::from(limit) {
                return Err(Error::TooManyQuestions(limit));
            }
            let new = Clarification {
                id: tx.new_id(),
                contest_id: contest.id,
                version: 1,
                participant_id: Some(participant.id),
                problem_id: problem(&contest, label)?,
                question: question.trim().to_owned(),
                answer: String::new(),
                public: false,
                created_at: now,
                answered_at: None,
                answered_by: None,
            };
            stored::insert(&mut tx, &new).await?;
            let number = log.number(&mut tx).await?;
            events::clarification_asked(&mut tx, &new, &participant, number);
            self.notify_clarifications(&mut tx, contest.id);
            let reader = Reader { jury: false, participant: Some(participant.id) };
            let name = Some(participant.name.as_str());
            let clarification = Some(wire::clarification(&new, &contest, now, reader, name));
            Ok(pb::AskClarificationResponse { clarification })
        };
        once.run(&self.db, ask).await
    }

    /// Stores or replaces the answer of a question, once per request id.
    pub async fn answer(
        &self,
        caller: &Caller,
        request: &pb::AnswerClarificationRequest,
    ) -> Result<pb::AnswerClarificationResponse, Error> {
        let user = caller.user()?.id;
        let pb::AnswerClarificationRequest {
            contest_id,
            clarification_id,
            answer,
            public,
            etag,
            request_id,
        } = request;
        let mut violations = check("", ("answer", answer, MAX_ANSWER), request_id);
        let id = ids::parse(clarification_id);
        violations.check(id.is_some(), "clarification_id", "must be an id (a UUID)");
        violations.into_result()?;
        let id = id.unwrap_or_default();
        let found = self.jury_contest(&Viewer::of(caller), contest_id).await?;
        let content =
            [id.as_bytes().as_slice(), answer.as_bytes(), &[u8::from(*public)], etag.as_bytes()];
        let once = Idempotent::new(user, "AnswerClarification", request_id, &content);
        let answer_it = |mut tx: TxGuard| async move {
            let (mut log, contest) = self.locked(&mut tx, found.id, "").await?;
            let now = tx.now();
            if contest.state(now).is_closed() {
                return Err(Error::closed());
            }
            let known = stored::by_id(&mut *tx, id).await?;
            let known = known.filter(|it| it.contest_id == contest.id);
            let known = known.ok_or(Error::ClarificationNotFound)?;
            known.check_answer(etag)?;
            let ids = known.participant_id.into_iter().collect();
            let participant = store::participants::by_ids(&mut *tx, ids).await?.pop();
            let participant = participant.ok_or(Error::ParticipantNotFound)?;
            let answered = Clarification {
                version: known.version + 1,
                answer: answer.trim().to_owned(),
                public: *public,
                answered_at: Some(now),
                answered_by: Some(user),
                ..known
            };
            stored::save_answer(&mut tx, &answered).await?;
            let number = log.number(&mut tx).await?;
            events::clarification_answered(&mut tx, &contest, &answered, &participant, number);
            self.notify_clarifications(&mut tx, contest.id);
            let reader = Reader { jury: true, participant: None };
            let name = Some(participant.name.as_str());
            let clarification = Some(wire::clarification(&answered, &contest, now, reader, name));
            Ok(pb::AnswerClarificationResponse { clarification })
        };
        once.run(&self.db, answer_it).await
    }

    /// Stores an announcement, once per request id.
    pub async fn announce(
        &self,
        caller: &Caller,
        request: &pb::CreateAnnouncementRequest,
    ) -> Result<pb::CreateAnnouncementResponse, Error> {
        let user = caller.user()?.id;
        let pb::CreateAnnouncementRequest { contest_id, label, text, request_id } = request;
        check(label, ("text", text, MAX_ANSWER), request_id).into_result()?;
        let found = self.jury_contest(&Viewer::of(caller), contest_id).await?;
        let content = [found.id.as_bytes(), label.as_bytes(), text.as_bytes()];
        let once = Idempotent::new(user, "CreateAnnouncement", request_id, &content);
        let announce = |mut tx: TxGuard| async move {
            let (mut log, contest) = self.locked(&mut tx, found.id, "").await?;
            let now = tx.now();
            if contest.state(now).is_closed() {
                return Err(Error::closed());
            }
            if contest.published_at.is_none() {
                return Err(Error::not_published());
            }
            let new = Clarification {
                id: tx.new_id(),
                contest_id: contest.id,
                version: 1,
                participant_id: None,
                problem_id: problem(&contest, label)?,
                question: String::new(),
                answer: text.trim().to_owned(),
                public: true,
                created_at: now,
                answered_at: Some(now),
                answered_by: Some(user),
            };
            stored::insert(&mut tx, &new).await?;
            let number = log.number(&mut tx).await?;
            events::announcement_created(&mut tx, &contest, &new, number);
            self.notify_clarifications(&mut tx, contest.id);
            let reader = Reader { jury: true, participant: None };
            let clarification = Some(wire::clarification(&new, &contest, now, reader, None));
            Ok(pb::CreateAnnouncementResponse { clarification })
        };
        once.run(&self.db, announce).await
    }

    pub async fn list_clarifications(
        &self,
        viewer: &Viewer,
        request: &pb::ListClarificationsRequest,
    ) -> Result<pb::ListClarificationsResponse, Error> {
        let contest = self.contest(viewer, &request.contest_id).await?;
        let jury = self.reads_all(viewer, &contest).await;
        let reader = self.reader(viewer, &contest, jury).await?;
        let unanswered = request.unanswered;
        let flags = [u8::from(jury), u8::from(unanswered)];
        let participant = reader.participant.unwrap_or_default();
        let args = [contest.id.as_bytes().as_slice(), &flags, participant.as_bytes()];
        let (size, token) = (request.page_size, &request.page_token);
        let page: Page<'_, Uuid> =
            Page::open(&self.page_key, "ListClarifications", &args, size, token)?;
        let rows = self.readable(&contest, reader, unanswered, page.after, page.limit()).await?;
        let (rows, next_page_token) = page.close(rows, |last| last.id);
        let clarifications = self.shown(&contest, reader, &rows).await?;
        Ok(pb::ListClarificationsResponse { clarifications, next_page_token })
    }

    /// Whether a reader of clarifications is of the jury. While that cannot be found out, it is not.
    pub(super) async fn reads_all(&self, viewer: &Viewer, contest: &Contest) -> bool {
        let known = viewer.user.is_some() || viewer.lists_all();
        known && self.judges(viewer, contest).await.unwrap_or(false)
    }

    pub(super) async fn reader(
        &self,
        viewer: &Viewer,
        contest: &Contest,
        jury: bool,
    ) -> Result<Reader, Error> {
        let participant = match viewer.user.filter(|_| !jury) {
            Some(user) => store::participants::by_user(&self.db, contest.id, user).await?,
            None => None,
        };
        Ok(Reader { jury, participant: participant.map(|it| it.id) })
    }

    /// Up to `limit` clarifications after an id, in the order of [`stored::list`].
    pub(super) async fn readable(
        &self,
        contest: &Contest,
        reader: Reader,
        unanswered: bool,
        after: Option<Uuid>,
        limit: i64,
    ) -> Result<Vec<Clarification>, Error> {
        if reader.jury {
            let all = Scope::All(contest.id);
            return Ok(stored::list(&self.db, all, unanswered, after, limit).await?);
        }
        let mut rows = Vec::new();
        if let Some(participant) = reader.participant {
            let own = Scope::Participant(participant);
            rows = stored::list(&self.db, own, unanswered, after, limit).await?;
        }
        // What is public has an answer.
        if !unanswered {
            let public = Scope::Public(contest.id);
            let public = stored::list(&self.db, public, false, after, limit).await?;
            rows.extend(public);
            rows.sort_by_key(|row| std::cmp::Reverse(row.id));
            rows.dedup_by_key(|row| row.id);
            rows.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
        }
        Ok(rows)
    }

    pub(super) async fn shown(
        &self,
        contest: &Contest,
        reader: Reader,
        rows: &[Clarification],
    ) -> Result<Vec<pb::Clarification>, Error> {
        let authors = rows.iter().filter(|row| reader.sees_author(row));
        let mut authors: Vec<Uuid> = authors.filter_map(|row| row.participant_id).collect();
        authors.sort_unstable();
        authors.dedup();
        let authors = store::participants::by_ids(&self.db, authors).await?;
        let names: HashMap<Uuid, &str> =
            authors.iter().map(|it| (it.id, it.name.as_str())).collect();
        let now = self.clock.now();
        let shown = |row: &Clarification| {
            let name = row.participant_id.and_then(|id| names.get(&id).copied());
            wire::clarification(row, contest, now, reader, name)
        };
        Ok(rows.iter().map(shown).collect())
    }
}

/// The violations of a label, a text with its field and limit, and a request id.
fn check(label: &str, (field, text, max): (&str, &str, usize), request_id: &str) -> Violations {
    let mut violations = Violations::default();
    let is_label = label.is_empty() || request::is_label(label);
    violations.check(is_label, "label", "must be empty, or have 1 to 8 letters and digits");
    if let Err(what) = check_text(text, max) {
        violations.add(field, what);
    }
    check_request_id(&mut violations, request_id);
    violations
}

/// The problem with a label; `None` for a general subject.
fn problem(contest: &Contest, label: &str) -> Result<Option<Uuid>, Error> {
    if label.is_empty() {
        return Ok(None);
    }
    let problem = contest.problem(label).ok_or(Error::ProblemNotFound)?;
    Ok(Some(problem.problem_id))
}

impl From<Unanswerable> for Error {
    fn from(refusal: Unanswerable) -> Self {
        match refusal {
            Unanswerable::Announcement => {
                Self::precondition("NOT_A_QUESTION", "an announcement cannot be answered")
            }
            Unanswerable::Answered => {
                let text = "the question has an answer; send its etag to replace it";
                Self::precondition("CLARIFICATION_ANSWERED", text)
            }
            Unanswerable::Changed => service::Error::EtagMismatch.into(),
        }
    }
}
