//! The use cases of submissions.

use access::Caller;
use db::{Tx, TxGuard};
use proto::Verdict;
use proto::challenge::{
    CreateSubmissionRequest, CreateSubmissionResponse, GetSubmissionSourceResponse,
    ListSubmissionsRequest,
};
use proto::problem::Problem;
use rpc::Violations;
use service::{Idempotent, Page};
use uuid::Uuid;

use crate::Challenge;
use crate::contests;
use crate::duel;
use crate::error::Error;
use crate::events;
use crate::judging::Judging;
use crate::limit::Limit;
use crate::request;
use crate::store::{self, submissions::Filter};
use crate::submission::{Outcome, Sight, Submission, View, Viewer};
use crate::wire;

/// The permission to see the submissions of all users.
const SEE_SUBMISSIONS: &str = "challenge.submission.get";
/// The permission to read the sources of all users.
const SEE_SOURCES: &str = "challenge.source.get";

/// The viewer that the caller's credential stands for.
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
    /// Accepts a submission durably, once per request id.
    pub async fn create(
        &self,
        caller: &Caller,
        request: &CreateSubmissionRequest,
    ) -> Result<CreateSubmissionResponse, Error> {
        let author = caller.user()?.id;
        request::check(request, self.config.source_limit()).into_result()?;
        let content =
            [&request.problem_id, &request.language, &request.source, &request.challenge_id];
        // A practice submission has the digest that it had before there were contests.
        let count = if request.challenge_id.is_empty() { 3 } else { 4 };
        let content = &content.map(|text| text.as_bytes())[..count];
        let once = Idempotent::new(author, "CreateSubmission", &request.request_id, content);
        // A retry gets the first response even if the problem or the judge is unavailable now.
        if let Some(response) = once.replay(&self.db).await? {
            return Ok(response);
        }
        let (kind, response) = if request.challenge_id.is_empty() {
            ("practice", self.practise(caller, request, &once).await?)
        } else if let Some(duel) = self.duel_named(caller, &request.challenge_id).await? {
            ("duel", self.submit_to_duel(caller, request, &duel, &once).await?)
        } else {
            ("contest", self.submit_to_contest(caller, request, &once).await?)
        };
        metrics::counter!("agon_submissions_created_total", "kind" => kind).increment(1);
        Ok(response)
    }

    async fn practise(
        &self,
        caller: &Caller,
        request: &CreateSubmissionRequest,
        once: &Idempotent<'_>,
    ) -> Result<CreateSubmissionResponse, Error> {
        let problem = self.peers.problem(caller, &request.problem_id);
        let (problem_id, problem_version) = self.resolve(problem, request).await?;
        let new = &Submission {
            id: self.clock.new_id(),
            version: 1,
            user_id: caller.user()?.id,
            problem_id,
            problem_version,
            language: request.language.clone(),
            source_size: i64::try_from(request.source.len()).unwrap_or(i64::MAX),
            created_at: self.clock.now(),
            place: None,
            outcome: None,
        };
        let accept =
            |mut tx: TxGuard| async move { self.accept(&mut tx, &request.source, new).await };
        once.run(&self.db, accept).await
    }

    /// The problem's id and published version. Fails if the problem is not published, or does not accept the request.
    pub(crate) async fn resolve(
        &self,
        problem: impl Future<Output = Result<Problem, Error>>,
        request: &CreateSubmissionRequest,
    ) -> Result<(Uuid, i64), Error> {
        let (problem, language) =
            tokio::join!(problem, self.peers.languages.check(&request.language));
        let problem = problem?;
        if problem.published_version == 0 {
            return Err(Error::NotPublished);
        }
        let mut violations = Violations::default();
        if let Err(offered) = language {
            let text = format!("must be one of {}, got {:?}", offered.join(", "), request.language);
            violations.add("language", text);
        }
        let limit = problem.limits.map_or(0, |limits| limits.source_limit_bytes);
        if let Ok(limit @ 1..) = usize::try_from(limit) {
            request::check_size(&mut violations, &request.source, limit);
        }
        violations.into_result()?;
        let id = ids::parse(&problem.problem_id).ok_or(Error::ProblemNotFound)?;
        Ok((id, problem.published_version))
    }

    async fn accept(
        &self,
        tx: &mut Tx,
        source: &str,
        new: &Submission,
    ) -> Result<CreateSubmissionResponse, Error> {
        let now = new.created_at;
        let ordinal = store::submissions::lock_submitter(tx, new.user_id).await?;
        let limit = Limit::hourly(self.config.submissions_per_hour);
        if let Some(decisive) = limit.decisive(ordinal) {
            let time = store::submissions::time_of(&mut *tx, new.user_id, decisive).await?;
            limit
                .check(time, now)
                .map_err(|retry_after| Error::TooMany { count: limit.count, retry_after })?;
        }
        store::submissions::insert(tx, new, ordinal, source).await?;
        events::submission_created(tx, new);
        let view = View::of_pending(new.clone(), &Judging::default());
        Ok(CreateSubmissionResponse { submission: Some(wire::submission(view)) })
    }

    /// One submission, with the judge's progress on it.
    pub async fn get(&self, viewer: &Viewer, id: &str) -> Result<View, Error> {
        let submission = self.find(parse_id(id)?).await?;
        let sight = self.sight(viewer, &submission).await?;
        if !sight.submission {
            return Err(Error::NotFound);
        }
        let judging = self.peers.judging(&submission).await;
        View::new(submission, &judging, sight).ok_or(Error::NotFound)
    }

    /// What a viewer may see of a submission now.
    pub(crate) async fn sight(
        &self,
        viewer: &Viewer,
        submission: &Submission,
    ) -> Result<Sight, Error> {
        let mut sight = viewer.sight(submission.user_id);
        if let (Some(place), Some(user)) = (submission.place, viewer.user_id)
            && !(sight.submission && sight.source)
            && store::participants::has_member(&self.db, place.participant_id, user).await?
        {
            sight = sight.of_team_mate();
        }
        let Some(place) = submission.place.filter(|_| !sight.every_test) else { return Ok(sight) };
        let now = self.clock.now();
        let samples_only = match store::contests::by_id(&self.db, place.challenge_id).await? {
            Some(contest) => !contest.has_ended(now),
            None => {
                let duel = store::duels::by_id(&self.db, place.challenge_id).await?;
                duel.is_some_and(|duel| duel.state == duel::State::Running)
            }
        };
        Ok(Sight { samples_only, ..sight })
    }

    /// A submission with its tests.
    pub(crate) async fn find(&self, id: Uuid) -> Result<Submission, Error> {
        let mut submission =
            store::submissions::find(&self.db, id).await?.ok_or(Error::NotFound)?;
        if let Some(outcome) = &mut submission.outcome {
            outcome.tests = store::submissions::tests(&self.db, id).await?;
        }
        Ok(submission)
    }

    pub async fn source(
        &self,
        viewer: &Viewer,
        id: &str,
    ) -> Result<GetSubmissionSourceResponse, Error> {
        let id = parse_id(id)?;
        let submission = store::submissions::find(&self.db, id).await?.ok_or(Error::NotFound)?;
        if !self.sight(viewer, &submission).await?.source {
            return Err(Error::NotFound);
        }
        let source = store::submissions::source(&self.db, id).await?.ok_or(Error::NotFound)?;
        let language = submission.language;
        Ok(GetSubmissionSourceResponse { submission_id: id.to_string(), language, source })
    }

    /// A page of submissions, and the token of the next one.
    pub async fn list(
        &self,
        caller: &Caller,
        request: &ListSubmissionsRequest,
    ) -> Result<(Vec<View>, String), Error> {
        let viewer = viewer(caller);
        let filter = self.filter(caller, &viewer, request).await?;
        let args = page_args(&viewer, &filter);
        let args: Vec<&[u8]> = args.iter().map(Vec::as_slice).collect();
        let (size, token) = (request.page_size, &request.page_token);
        let page = Page::open(&self.page_key, "ListSubmissions", &args, size, token)?;
        let rows = store::submissions::list(&self.db, &filter, page.after, page.limit()).await?;
        let (submissions, token) = page.close(rows, |last| last.id);
        let views = submissions.into_iter().filter_map(|submission| {
            let mut sight = viewer.sight(submission.user_id);
            if filter.participant_id.is_some() {
                sight = sight.of_team_mate();
            }
            let samples_only = submission.place.is_some() && !sight.every_test;
            View::listed(submission, Sight { samples_only, ..sight })
        });
        Ok((views.collect(), token))
    }

    async fn filter(
        &self,
        caller: &Caller,
        viewer: &Viewer,
        request: &ListSubmissionsRequest,
    ) -> Result<Filter, Error> {
        let sees_all = viewer.service || viewer.sees_submissions;
        let user_id = match request.user_id.as_str() {
            "" if sees_all => None,
            "" | "me" => Some(caller.user()?.id),
            name if request::is_username(name) => Some(match ids::parse(name) {
                Some(id) => id,
                None => self.peers.user_id(name).await?,
            }),
            _ => {
                let text = "must be a user id, a username or `me`";
                return Err(Error::invalid("user_id", text));
            }
        };
        let challenge_id = match request.challenge_id.as_str() {
            "" => None,
            name => Some(match self.duel_named(caller, name).await? {
                Some(duel) => duel.id,
                None => self.contest(&contests::viewer::Viewer::of(caller), name).await?.id,
            }),
        };
        let mut participant_id = None;
        if let (false, Some(challenge)) = (sees_all, challenge_id) {
            participant_id = self.team_in(challenge, caller.user()?.id).await?;
        }
        let user_id = user_id.filter(|_| participant_id.is_none() || !request.user_id.is_empty());
        if !sees_all && user_id != viewer.user_id {
            // In a contest, the members of a team see its submissions.
            let mate = match (participant_id, user_id) {
                (Some(_), None) => true,
                (Some(team), Some(user)) => {
                    store::participants::has_member(&self.db, team, user).await?
                }
                _ => false,
            };
            if !mate {
                return Err(Error::OtherUsers);
            }
        }
        if !request.language.is_empty() && !request::is_language(&request.language) {
            let text = "must be a language_id from ListLanguages";
            return Err(Error::invalid("language", text));
        }
        let verdict =
            match request.verdict {
                0 => None,
                number => Some(Verdict::from_number(number).ok_or_else(|| {
                    Error::invalid("verdict", "must be a value of the enum Verdict")
                })?),
            };
        let language = Some(request.language.clone()).filter(|language| !language.is_empty());
        let problem_id = self.problem_id(caller, &request.problem_id).await?;
        Ok(Filter { user_id, problem_id, verdict, language, challenge_id, participant_id })
    }

    /// The team to which a user belongs in a contest, as a participant.
    async fn team_in(&self, contest: Uuid, user: Uuid) -> Result<Option<Uuid>, Error> {
        let participant = store::participants::by_user(&self.db, contest, user).await?;
        Ok(participant.filter(|it| it.team_id.is_some()).map(|it| it.id))
    }

    /// The id of the problem with this id or slug. An id is not looked up: the submissions of a deleted problem stay
    /// readable.
    async fn problem_id(&self, caller: &Caller, name: &str) -> Result<Option<Uuid>, Error> {
        if name.is_empty() {
            return Ok(None);
        }
        if let Some(id) = ids::parse(name) {
            return Ok(Some(id));
        }
        if !request::is_problem(name) {
            let text = "must be a problem id or a slug";
            return Err(Error::invalid("problem_id", text));
        }
        let problem = self.peers.problem(caller, name).await?;
        Ok(Some(ids::parse(&problem.problem_id).ok_or(Error::ProblemNotFound)?))
    }

    /// Sets the verdict of a submission. The first verdict is final: false when there is one already.
    pub(crate) async fn judge(
        &self,
        tx: &mut Tx,
        id: Uuid,
        outcome: &Outcome,
    ) -> Result<bool, Error> {
        let Some(submission) = store::submissions::judge(tx, id, outcome).await? else {
            return match store::submissions::find(&mut *tx, id).await? {
                Some(_) => Ok(false),
                None => Err(Error::NotFound),
            };
        };
        events::submission_judged(tx, &submission, outcome);
        self.record_verdict(tx, &submission, outcome).await?;
        let this = self.clone();
        let verdict = outcome.verdict.code();
        tx.after_commit(move || {
            metrics::counter!("agon_submissions_judged_total", "verdict" => verdict).increment(1);
            this.notify_watchers(id);
        });
        Ok(true)
    }
}

/// The arguments for which a page token is valid.
fn page_args(viewer: &Viewer, filter: &Filter) -> [Vec<u8>; 7] {
    let bytes = |id: Option<Uuid>| id.unwrap_or_default().as_bytes().to_vec();
    let verdict = filter.verdict.map_or(0, Verdict::number).to_be_bytes().to_vec();
    let language = filter.language.clone().unwrap_or_default().into_bytes();
    let ids = [viewer.user_id, filter.user_id, filter.problem_id, filter.challenge_id];
    let [viewer, user, problem, challenge] = ids.map(bytes);
    let participant = bytes(filter.participant_id);
    [viewer, user, problem, challenge, participant, verdict, language]
}

pub fn parse_id(id: &str) -> Result<Uuid, Error> {
    ids::parse(id)
        .ok_or_else(|| Error::invalid("submission_id", "must be a submission id (a UUID)"))
}
