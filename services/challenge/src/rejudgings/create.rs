//! Creation of rejudgings.

use std::collections::HashMap;

use access::Caller;
use db::{Tx, TxGuard};
use prost::Message as _;
use proto::Verdict;
use proto::challenge as pb;
use rpc::Violations;
use service::{Idempotent, check_request_id};
use uuid::Uuid;

use super::wire;
use crate::Challenge;
use crate::contest::{Contest, request as contest_request};
use crate::contests::jury::check_reason;
use crate::contests::viewer::Viewer;
use crate::error::Error;
use crate::rejudging::{Rejudged, Rejudging, State};
use crate::store::{self, submissions::Filter};
use crate::{events, request as submission_request};

const DEFAULT_COUNT: i32 = 1000;
const MAX_COUNT: i32 = 5000;
const MAX_IDS: usize = 1000;

/// A checked request.
struct New {
    user_id: Uuid,
    reason: String,
    filter: Filter,
    /// Empty = all.
    submissions: Vec<Uuid>,
    max_count: i64,
}

impl Challenge {
    /// Requests new judgements of the submissions that match, once per request id.
    pub async fn create_rejudging(
        &self,
        caller: &Caller,
        request: &pb::CreateRejudgingRequest,
    ) -> Result<pb::Rejudging, Error> {
        let user = caller.user()?.id;
        let submissions = check(request)?;
        let contest = self.judged_contest(&Viewer::of(caller), &request.contest_id).await?;
        let (contest_id, request_id) = (contest.id.to_string(), String::new());
        let content = pb::CreateRejudgingRequest { contest_id, request_id, ..request.clone() };
        let content = content.encode_to_vec();
        let once = Idempotent::new(user, "CreateRejudging", &request.request_id, &[&content]);
        if let Some(response) = once.replay(&self.db).await? {
            return Ok(response);
        }
        let text = |text: &String| Some(text.clone()).filter(|text| !text.is_empty());
        let problem_id = match request.label.as_str() {
            "" => None,
            label => Some(problem(&contest, label)?),
        };
        let filter = Filter {
            problem_id,
            verdict: Verdict::from_number(request.verdict),
            language: text(&request.language),
            challenge_id: Some(contest.id),
            ..Filter::default()
        };
        let max_count = if request.max_count == 0 { DEFAULT_COUNT } else { request.max_count };
        let new = &New {
            user_id: user,
            reason: request.reason.trim().to_owned(),
            filter,
            submissions,
            max_count: max_count.into(),
        };
        let versions = &self.versions(&contest, problem_id).await?;
        let create = |mut tx: TxGuard| async move {
            let (_log, contest) = self.locked(&mut tx, contest.id, "").await?;
            request_judgements(&mut tx, &contest, new, versions).await
        };
        once.run(&self.db, create).await
    }

    /// The published versions of the problems of a contest, or of one of them. A problem without one is omitted.
    async fn versions(
        &self,
        contest: &Contest,
        only: Option<Uuid>,
    ) -> Result<HashMap<Uuid, i64>, Error> {
        let mut versions = HashMap::new();
        let ids = contest.problems.iter().map(|problem| problem.problem_id);
        for id in ids.filter(|id| only.is_none_or(|only| only == *id)) {
            match self.peers.any_problem(&id.to_string()).await {
                Ok(problem) if problem.published_version > 0 => {
                    versions.insert(id, problem.published_version);
                }
                Ok(_) | Err(Error::ProblemNotFound) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(versions)
    }
}

/// Fails with all violations of the request, or returns its submission ids.
fn check(request: &pb::CreateRejudgingRequest) -> Result<Vec<Uuid>, Error> {
    let mut violations = Violations::default();
    let label = request.label.is_empty() || contest_request::is_label(&request.label);
    violations.check(label, "label", "must be empty, or have 1 to 8 letters and digits");
    let language =
        request.language.is_empty() || submission_request::is_language(&request.language);
    violations.check(language, "language", "must be a language_id from ListLanguages");
    let verdict = request.verdict == 0 || Verdict::from_number(request.verdict).is_some();
    violations.check(verdict, "verdict", "must be a value of the enum Verdict");
    let mut ids: Vec<Uuid> = Vec::new();
    if request.submission_ids.len() > MAX_IDS {
        let text = format!("must be at most {MAX_IDS}, got {}", request.submission_ids.len());
        violations.add("submission_ids", text);
    } else {
        for (index, text) in request.submission_ids.iter().enumerate() {
            match ids::parse(text) {
                Some(id) => ids.push(id),
                None => violations.add(format!("submission_ids[{index}]"), "must be a UUID"),
            }
        }
    }
    if !(0..=MAX_COUNT).contains(&request.max_count) {
        let text = format!("must be between 0 and {MAX_COUNT}, got {}", request.max_count);
        violations.add("max_count", text);
    }
    if let Err(what) = check_reason(&request.reason) {
        violations.add("reason", what);
    }
    check_request_id(&mut violations, &request.request_id);
    violations.into_result()?;
    ids.sort_unstable();
    ids.dedup();
    Ok(ids)
}

fn problem(contest: &Contest, label: &str) -> Result<Uuid, Error> {
    let found = contest.problems.iter().find(|it| it.label.eq_ignore_ascii_case(label));
    found.map(|it| it.problem_id).ok_or(Error::ProblemNotFound)
}

async fn request_judgements(
    tx: &mut Tx,
    contest: &Contest,
    new: &New,
    versions: &HashMap<Uuid, i64>,
) -> Result<pb::Rejudging, Error> {
    let now = tx.now();
    if contest.state(now).is_closed() {
        return Err(Error::closed());
    }
    let (filter, ids, max) = (&new.filter, &new.submissions, new.max_count);
    let submissions = store::submissions::judged(tx, filter, ids, max + 1).await?;
    if submissions.is_empty() {
        let text = "no submission with a verdict matches";
        return Err(Error::precondition("NO_SUBMISSIONS", text));
    }
    if i64::try_from(submissions.len()).unwrap_or(i64::MAX) > max {
        let text = format!("more than {max} submissions match");
        return Err(Error::precondition("REJUDGING_TOO_LARGE", text));
    }
    // No other transaction opens or closes a rejudging of the contest before this one ends.
    let ids: Vec<Uuid> = submissions.iter().map(|submission| submission.id).collect();
    if let Some(busy) = store::rejudgings::in_open_one(tx, &ids).await? {
        let text = format!("the submission {busy} belongs to another open rejudging");
        return Err(Error::precondition("REJUDGING_OPEN", text));
    }
    let rejudging = Rejudging {
        id: tx.new_id(),
        contest_id: contest.id,
        user_id: new.user_id,
        state: State::Open,
        reason: new.reason.clone(),
        created_at: now,
        closed_at: None,
    };
    store::rejudgings::insert(tx, &rejudging).await?;
    for submission in &submissions {
        let Some(outcome) = &submission.outcome else { continue };
        let (version, ordinal) = store::submissions::request_another(tx, submission.id).await?;
        let current = versions.get(&submission.problem_id).copied();
        let rejudged = Rejudged {
            submission_id: submission.id,
            ordinal,
            problem_version: current.unwrap_or(submission.problem_version),
            old_verdict: outcome.verdict,
            outcome: None,
        };
        store::rejudgings::add(tx, rejudging.id, &rejudged).await?;
        events::judgement_requested(tx, submission, version, rejudging.id, &rejudged);
    }
    let counts = store::rejudgings::counts(&mut *tx, &[rejudging.id]).await?;
    Ok(wire::rejudging(&rejudging, &counts))
}
