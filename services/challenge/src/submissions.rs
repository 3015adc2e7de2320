//! The use cases of submissions.

use access::Caller;
use db::requests::{self, Claim};
use prost::Message;
use proto::challenge::{CreateSubmissionResponse, GetSubmissionSourceResponse};
use rpc::page;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::Challenge;
use crate::draft::{self, Draft};
use crate::error::Error;
use crate::events;
use crate::judging::Judging;
use crate::limit::Limit;
use crate::store::{self, Filter};
use crate::submission::{Outcome, Submission, View, Viewer};
use crate::verdict::Verdict;
use crate::wire;

const CREATE: &str = "CreateSubmission";
const LIST: &str = "ListSubmissions";

/// The permission to see everybody's submissions.
const SEE_SUBMISSIONS: &str = "challenge.submission.get";
/// The permission to read everybody's programs.
const SEE_SOURCES: &str = "challenge.source.get";

/// Who looks, by the caller's credential.
pub fn viewer(caller: &Caller) -> Viewer {
    let acting = caller.acting();
    Viewer {
        user_id: acting.is_user().then_some(acting.id),
        service: caller.is_service_itself(),
        sees_submissions: caller.has(SEE_SUBMISSIONS),
        sees_sources: caller.has(SEE_SOURCES),
    }
}

impl Challenge {
    /// Accepts a submission, durably, once per request id.
    pub async fn create(
        &self,
        caller: &Caller,
        draft: &Draft,
    ) -> Result<CreateSubmissionResponse, Error> {
        let author = caller.user()?.id;
        let wrong = draft.check(self.config.source_limit());
        if !wrong.is_empty() {
            return Err(Error::Invalid(wrong));
        }
        // A retry is answered as before, also when the problem or the judge has gone since.
        if let Some(answer) = self.answered(author, draft).await? {
            return Ok(answer);
        }
        let (problem_id, problem_version) = self.resolve(caller, draft).await?;
        let new = Submission {
            id: self.clock.new_id(),
            version: 1,
            user_id: author,
            problem_id,
            problem_version,
            language: draft.language.clone(),
            source_size: i64::try_from(draft.source.len()).unwrap_or(i64::MAX),
            created_at: self.clock.now(),
            outcome: None,
        };
        let new = &new;
        let work = self
            .db
            .transact(|mut tx| async move { self.accept(&mut tx, draft, new.clone()).await });
        let answer = work.await?;
        metrics::counter!("agon_submissions_created_total").increment(1);
        Ok(answer)
    }

    async fn answered(
        &self,
        author: Uuid,
        draft: &Draft,
    ) -> Result<Option<CreateSubmissionResponse>, Error> {
        if draft.request_id.is_empty() {
            return Ok(None);
        }
        let (caller, id, digest) = (author.to_string(), &draft.request_id, digest(draft));
        let now = self.clock.now();
        match requests::find(&self.db, &caller, CREATE, id, &digest, now).await? {
            Claim::New => Ok(None),
            claim => replay(&claim),
        }
    }

    /// The problem and its version, if this draft may be handed in for it.
    async fn resolve(&self, caller: &Caller, draft: &Draft) -> Result<(Uuid, i64), Error> {
        let (problem, offered) = tokio::join!(
            self.peers.problem(caller, &draft.problem),
            self.peers.languages.offer(&draft.language),
        );
        let problem = problem?;
        if problem.published_version == 0 {
            return Err(Error::NotPublished);
        }
        let mut wrong = Vec::new();
        if !offered {
            let what = "is not on offer; give a language_id of ListLanguages";
            wrong.push(("language", what.to_owned()));
        }
        let limit = problem.limits.map_or(0, |limits| limits.source_limit_bytes);
        if let Ok(limit @ 1..) = usize::try_from(limit) {
            wrong.extend(draft.check_size(limit));
        }
        if !wrong.is_empty() {
            return Err(Error::Invalid(wrong));
        }
        let id = ids::parse(&problem.problem_id).ok_or(Error::ProblemNotFound)?;
        Ok((id, problem.published_version))
    }

    async fn accept(
        &self,
        tx: &mut db::Tx,
        draft: &Draft,
        new: Submission,
    ) -> Result<CreateSubmissionResponse, Error> {
        let (caller, id, now) = (new.user_id.to_string(), &draft.request_id, new.created_at);
        if !id.is_empty() {
            let claim = requests::claim(tx, &caller, CREATE, id, &digest(draft), now).await?;
            if let Some(answer) = replay(&claim)? {
                return Ok(answer);
            }
        }
        store::lock_submitter(tx, new.user_id).await?;
        let limit = Limit::hourly(self.config.submissions_per_hour);
        let recent = store::recent_times(&mut *tx, new.user_id, limit.since(now), limit.count);
        limit
            .check(&recent.await?, now)
            .map_err(|retry_after| Error::TooMany { count: limit.count, retry_after })?;
        store::insert(tx, &new, &draft.source).await?;
        events::submission_created(tx, &new);
        let sight = own(new.user_id).sight(new.user_id);
        let view = View::new(new, &Judging::default(), sight).ok_or(Error::NotFound)?;
        let answer = CreateSubmissionResponse { submission: Some(wire::submission(view)) };
        if !id.is_empty() {
            requests::store(tx, &caller, CREATE, id, &answer.encode_to_vec()).await?;
        }
        Ok(answer)
    }

    /// One submission, with what the judge knows of it.
    pub async fn get(&self, viewer: &Viewer, id: &str) -> Result<View, Error> {
        let submission = self.find(parse_id(id)?).await?;
        let sight = viewer.sight(submission.user_id);
        if !sight.submission {
            return Err(Error::NotFound);
        }
        let judging = self.peers.judging(submission.id).await;
        View::new(submission, &judging, sight).ok_or(Error::NotFound)
    }

    /// A submission with its tests.
    pub(crate) async fn find(&self, id: Uuid) -> Result<Submission, Error> {
        let mut submission = store::find(&self.db, id).await?.ok_or(Error::NotFound)?;
        if let Some(outcome) = &mut submission.outcome {
            outcome.tests = store::tests(&self.db, id).await?;
        }
        Ok(submission)
    }

    /// A program.
    pub async fn source(
        &self,
        viewer: &Viewer,
        id: &str,
    ) -> Result<GetSubmissionSourceResponse, Error> {
        let id = parse_id(id)?;
        let submission = store::find(&self.db, id).await?.ok_or(Error::NotFound)?;
        if !viewer.sight(submission.user_id).source {
            return Err(Error::NotFound);
        }
        let source = store::source(&self.db, id).await?.ok_or(Error::NotFound)?;
        let language = submission.language;
        Ok(GetSubmissionSourceResponse { submission_id: id.to_string(), language, source })
    }

    /// A page of submissions, and the token of the next one.
    pub async fn list(&self, caller: &Caller, list: &List) -> Result<(Vec<View>, String), Error> {
        let viewer = viewer(caller);
        let size = rpc::page_size(list.page_size, 50, 200)?;
        let mut filter = self.filter(caller, &viewer, list).await?;
        let digest = digest_of(&viewer, &filter);
        let cursor: Option<Cursor> = self.page_key.parse(&digest, &list.page_token)?;
        filter.before = cursor.map(|cursor| cursor.before);
        let mut submissions = store::list(&self.db, &filter, size + 1).await?;
        let more = submissions.len() > usize::try_from(size).unwrap_or(usize::MAX);
        if more {
            submissions.pop();
        }
        let last = submissions.last().filter(|_| more);
        let cursor = last.map(|last| Cursor { before: last.id });
        let token = cursor.map(|cursor| self.page_key.token(&digest, &cursor)).unwrap_or_default();
        let view = |submission: Submission| {
            let sight = viewer.sight(submission.user_id);
            View::listed(submission, sight)
        };
        Ok((submissions.into_iter().filter_map(view).collect(), token))
    }

    async fn filter(&self, caller: &Caller, viewer: &Viewer, list: &List) -> Result<Filter, Error> {
        let everybody = viewer.service || viewer.sees_submissions;
        let user_id = match list.user.as_str() {
            "" if everybody => None,
            "" | "me" => Some(caller.user()?.id),
            name if draft::is_username(name) => Some(match ids::parse(name) {
                Some(id) => id,
                None => self.peers.user_id(name).await?,
            }),
            _ => {
                let what = "is not an id or a username; give one of these, or `me`";
                return Err(Error::invalid("user_id", what));
            }
        };
        if !everybody && user_id != viewer.user_id {
            return Err(Error::OfOthers);
        }
        if !list.language.is_empty() && !draft::is_language(&list.language) {
            let what = "is not the id of a language; give a language_id of ListLanguages";
            return Err(Error::invalid("language", what));
        }
        let verdict = match list.verdict {
            0 => None,
            number => Some(Verdict::from_number(number).ok_or_else(|| {
                Error::invalid("verdict", "is not a verdict; give one of the enum's values")
            })?),
        };
        let language = Some(list.language.clone()).filter(|language| !language.is_empty());
        let problem_id = self.problem_id(caller, &list.problem).await?;
        Ok(Filter { user_id, problem_id, verdict, language, before: None })
    }

    /// The id of a problem to list the submissions of. An id needs no problem behind it:
    /// submissions stay readable when their problem is gone.
    async fn problem_id(&self, caller: &Caller, name: &str) -> Result<Option<Uuid>, Error> {
        if name.is_empty() {
            return Ok(None);
        }
        if let Some(id) = ids::parse(name) {
            return Ok(Some(id));
        }
        if !draft::is_problem(name) {
            let what = "is not an id or a slug; give one of ListProblems";
            return Err(Error::invalid("problem_id", what));
        }
        let problem = self.peers.problem(caller, name).await?;
        Ok(Some(ids::parse(&problem.problem_id).ok_or(Error::ProblemNotFound)?))
    }

    /// Gives a submission its verdict, unless it has one: the first one stands. False when nothing
    /// was changed.
    pub(crate) async fn judge(
        &self,
        tx: &mut db::Tx,
        id: Uuid,
        outcome: &Outcome,
    ) -> Result<bool, Error> {
        let Some(submission) = store::judge(tx, id, outcome).await? else {
            return match store::find(&mut *tx, id).await? {
                Some(_) => Ok(false),
                None => Err(Error::NotFound),
            };
        };
        events::submission_judged(tx, &submission, outcome);
        let this = self.clone();
        let verdict = outcome.verdict.code();
        tx.after_commit(move || {
            metrics::counter!("agon_submissions_judged_total", "verdict" => verdict).increment(1);
            this.wake(id);
        });
        Ok(true)
    }
}

/// A list as the caller asks for it.
#[derive(Clone, Debug, Default)]
pub struct List {
    /// Submissions a page.
    pub page_size: i32,
    /// Where the page starts.
    pub page_token: String,
    /// Only of this user.
    pub user: String,
    /// Only for this problem.
    pub problem: String,
    /// Only with the verdict of this number.
    pub verdict: i32,
    /// Only in this language.
    pub language: String,
}

#[derive(Serialize, Deserialize)]
struct Cursor {
    before: Uuid,
}

/// What a page token is bound to.
fn digest_of(viewer: &Viewer, filter: &Filter) -> page::ArgsDigest {
    let bytes = |id: Option<Uuid>| id.unwrap_or_default().into_bytes();
    let verdict = filter.verdict.map_or(0, Verdict::number).to_be_bytes();
    let language = filter.language.as_deref().unwrap_or_default().as_bytes();
    let (viewer, user) = (bytes(viewer.user_id), bytes(filter.user_id));
    page::digest(LIST, &[&viewer, &user, &bytes(filter.problem_id), &verdict, language])
}

/// An author without any permission.
fn own(user_id: Uuid) -> Viewer {
    let (service, sees_submissions, sees_sources) = (false, false, false);
    Viewer { user_id: Some(user_id), service, sees_submissions, sees_sources }
}

/// Reads the id of a submission.
pub fn parse_id(id: &str) -> Result<Uuid, Error> {
    let what = "is not the id of a submission; give the submission_id as it was answered";
    ids::parse(id).ok_or_else(|| Error::invalid("submission_id", what))
}

/// What a request id stands for.
fn digest(draft: &Draft) -> [u8; 32] {
    let mut hash = Sha256::new();
    for part in [&draft.problem, &draft.language, &draft.source] {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    hash.finalize().into()
}

fn replay(claim: &Claim) -> Result<Option<CreateSubmissionResponse>, Error> {
    match claim {
        Claim::New => Ok(None),
        Claim::Replay(bytes) => Ok(Some(CreateSubmissionResponse::decode(bytes.as_slice())?)),
        Claim::Conflict => Err(rpc::status::request_id_reused().into()),
    }
}
