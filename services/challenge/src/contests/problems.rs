//! The use cases of the problems of a contest.

use access::Caller;
use db::TxGuard;
use prost::Message as _;
use proto::challenge as pb;
use rpc::Violations;
use service::{Idempotent, check_request_id};

use super::viewer::Viewer;
use super::wire;
use crate::Challenge;
use crate::contest::{Contest, Problem, request};
use crate::error::Error;
use crate::log;
use crate::peers::Bodies;
use crate::store;

impl Challenge {
    /// The problems of a request, as the caller may use them.
    pub(crate) async fn resolve_problems(
        &self,
        caller: &Caller,
        problems: &[pb::ContestProblem],
    ) -> Result<Vec<Problem>, Error> {
        let (mut resolved, mut violations) = (Vec::<Problem>::new(), Violations::default());
        for (index, problem) in problems.iter().enumerate() {
            let field = format!("problems[{index}].problem_id");
            let found = match self.peers.problem(caller, &problem.problem_id).await {
                Ok(found) => found,
                Err(Error::ProblemNotFound) => {
                    violations.add(field, "there is no such problem");
                    continue;
                }
                Err(error) => return Err(error),
            };
            if found.published_version == 0 {
                return Err(Error::NotPublished);
            }
            let problem_id = ids::parse(&found.problem_id).ok_or(Error::ProblemNotFound)?;
            if resolved.iter().any(|it| it.problem_id == problem_id) {
                violations.add(field, "is in the contest twice");
                continue;
            }
            let (label, color) = (problem.label.clone(), problem.color.to_ascii_lowercase());
            resolved.push(Problem { label, problem_id, title: found.title, color });
        }
        violations.into_result()?;
        Ok(resolved)
    }

    /// Replaces the problems, once per request id.
    pub async fn set_problems(
        &self,
        caller: &Caller,
        request: &pb::SetContestProblemsRequest,
    ) -> Result<pb::SetContestProblemsResponse, Error> {
        let mut violations = Violations::default();
        request::check_problems(&request.problems, &mut violations);
        check_request_id(&mut violations, &request.request_id);
        violations.into_result()?;
        let viewer = Viewer::of(caller);
        let found = self.own_contest(&viewer, &request.contest_id).await?;
        let (content, user) = (request.encode_to_vec(), viewer.user.unwrap_or_default());
        let once = Idempotent::new(user, "SetContestProblems", &request.request_id, &[&content]);
        if let Some(response) = once.replay(&self.db).await? {
            return Ok(response);
        }
        let problems = &self.resolve_problems(caller, &request.problems).await?;
        let set = |mut tx: TxGuard| async move {
            let (mut log, mut contest) = self.locked(&mut tx, found.id, &request.etag).await?;
            let now = tx.now();
            if contest.state(now).is_closed() {
                return Err(Error::closed());
            }
            if contest.published_at.is_some() && problems.is_empty() {
                let text = "a published contest needs problems";
                return Err(Error::precondition("NO_PROBLEMS", text));
            }
            let kept = |it: &Problem| problems.iter().any(|new| new.problem_id == it.problem_id);
            for removed in contest.problems.iter().filter(|it| !kept(it)) {
                let id = removed.problem_id;
                if store::submissions::is_attempted(&mut *tx, contest.id, id).await? {
                    let text = format!("problem {} has submissions", removed.label);
                    return Err(Error::precondition("PROBLEM_ATTEMPTED", text));
                }
            }
            contest.problems.clone_from(problems);
            log.append(&mut tx, now, &log::settings(&contest)).await?;
            self.save(&mut tx, &mut contest, now).await?;
            Ok(pb::SetContestProblemsResponse { problems: shown(&contest, true) })
        };
        once.run(&self.db, set).await
    }

    pub async fn list_problems(
        &self,
        viewer: &Viewer,
        name: &str,
    ) -> Result<Vec<pb::ContestProblem>, Error> {
        let contest = self.contest(viewer, name).await?;
        self.check_problems_visible(viewer, &contest).await?;
        let ended = contest.has_ended(self.clock.now());
        let with_ids = ended || self.judges(viewer, &contest).await.unwrap_or(false);
        Ok(shown(&contest, with_ids))
    }

    /// The contest's problem with this label, if the viewer may read it now.
    async fn visible_problem(
        &self,
        viewer: &Viewer,
        contest: &str,
        label: &str,
    ) -> Result<Problem, Error> {
        if !request::is_label(label) {
            return Err(Error::invalid("label", "must have 1 to 8 letters and digits"));
        }
        let contest = self.contest(viewer, contest).await?;
        self.check_problems_visible(viewer, &contest).await?;
        contest.problem(label).cloned().ok_or(Error::ProblemNotFound)
    }

    pub async fn statement(
        &self,
        viewer: &Viewer,
        request: &pb::GetContestStatementRequest,
    ) -> Result<pb::GetContestStatementResponse, Error> {
        let problem = self.visible_problem(viewer, &request.contest_id, &request.label).await?;
        let statement = self.peers.statement(problem.problem_id, &request.language).await?;
        let sample = |sample: proto::problem::Sample| pb::ContestSample {
            name: sample.name,
            input: sample.input,
            answer: sample.answer,
            description: sample.description,
            truncated: sample.truncated,
        };
        Ok(pb::GetContestStatementResponse {
            label: problem.label,
            title: statement.title,
            language: statement.language,
            html: statement.html,
            markdown: statement.markdown,
            samples: statement.samples.into_iter().map(sample).collect(),
        })
    }

    pub async fn attachment(
        &self,
        viewer: &Viewer,
        request: &pb::DownloadContestAttachmentRequest,
    ) -> Result<Bodies, Error> {
        let problem = self.visible_problem(viewer, &request.contest_id, &request.label).await?;
        self.peers.attachment(problem.problem_id, &request.name).await
    }
}

fn shown(contest: &Contest, with_ids: bool) -> Vec<pb::ContestProblem> {
    contest.problems.iter().map(|problem| wire::problem(problem, with_ids)).collect()
}
