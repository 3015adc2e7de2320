//! `agon.problem.v1.ProblemService`.

use std::pin::Pin;

use access::Caller;
use futures_util::{Stream, StreamExt as _};
use proto::google::api::HttpBody;
use proto::problem as pb;
use proto::problem::problem_service_server::ProblemService;
use rpc::Violations;
use service::Page;
use tonic::{Request, Response, Status};
use uuid::Uuid;

use super::user;
use crate::Problems;
use crate::error::Error;
use crate::problem::{Problem, check_tags};
use crate::store::problems::Filter;
use crate::viewer::{self, Viewer};
use crate::{store, wire};

type Bodies = Pin<Box<dyn Stream<Item = Result<HttpBody, Status>> + Send>>;

impl Problems {
    /// Reloads a changed problem with its published version.
    async fn reload(&self, problem: Problem) -> Result<Option<pb::Problem>, Status> {
        let current = store::problems::by_id(&self.db, problem.id).await?;
        Ok(Some(wire::problem(current.unwrap_or(problem))))
    }
}

#[tonic::async_trait]
impl ProblemService for Problems {
    async fn create_problem(
        &self,
        request: Request<pb::CreateProblemRequest>,
    ) -> Result<Response<pb::CreateProblemResponse>, Status> {
        let owner = user(&request)?;
        Ok(Response::new(self.create(owner, request.get_ref()).await?))
    }

    async fn get_problem(
        &self,
        request: Request<pb::GetProblemRequest>,
    ) -> Result<Response<pb::GetProblemResponse>, Status> {
        let viewer = Viewer::of(Caller::of(&request));
        let problem = self.find(&viewer, &request.get_ref().problem_id).await?;
        let problem = Some(wire::problem(problem));
        Ok(Response::new(pb::GetProblemResponse { problem }))
    }

    async fn list_problems(
        &self,
        request: Request<pb::ListProblemsRequest>,
    ) -> Result<Response<pb::ListProblemsResponse>, Status> {
        let viewer = Viewer::of(Caller::of(&request));
        let message = request.get_ref();
        let filter = filter(&viewer, message)?;
        // The filter contains the viewer: page tokens are valid for one viewer only.
        let args = format!("{filter:?}");
        let page: Page<'_, (String, Uuid)> = Page::open(
            &self.page_key,
            "ListProblems",
            &[args.as_bytes()],
            message.page_size,
            &message.page_token,
        )?;
        let filter = Filter { after: page.after.clone(), limit: page.limit(), ..filter };
        let rows = self.read_cache.list(&self.db, filter).await?.to_vec();
        let (problems, next_page_token) = page.close(rows, |last| (last.slug.clone(), last.id));
        let problems = problems.iter().map(|problem| wire::problem(Problem::clone(problem)));
        let problems = problems.collect();
        Ok(Response::new(pb::ListProblemsResponse { problems, next_page_token }))
    }

    async fn update_problem(
        &self,
        request: Request<pb::UpdateProblemRequest>,
    ) -> Result<Response<pb::UpdateProblemResponse>, Status> {
        let viewer = Viewer::of(Caller::of(&request));
        let problem = self.update(&viewer, request.get_ref()).await?;
        let problem = self.reload(problem).await?;
        Ok(Response::new(pb::UpdateProblemResponse { problem }))
    }

    async fn delete_problem(
        &self,
        request: Request<pb::DeleteProblemRequest>,
    ) -> Result<Response<pb::DeleteProblemResponse>, Status> {
        let viewer = Viewer::of(Caller::of(&request));
        let pb::DeleteProblemRequest { problem_id, etag } = request.get_ref();
        self.delete(&viewer, problem_id, etag).await?;
        Ok(Response::new(pb::DeleteProblemResponse {}))
    }

    async fn undelete_problem(
        &self,
        request: Request<pb::UndeleteProblemRequest>,
    ) -> Result<Response<pb::UndeleteProblemResponse>, Status> {
        let viewer = Viewer::of(Caller::of(&request));
        let problem = self.undelete(&viewer, &request.get_ref().problem_id).await?;
        let problem = self.reload(problem).await?;
        Ok(Response::new(pb::UndeleteProblemResponse { problem }))
    }

    async fn publish_problem(
        &self,
        request: Request<pb::PublishProblemRequest>,
    ) -> Result<Response<pb::PublishProblemResponse>, Status> {
        let viewer = Viewer::of(Caller::of(&request));
        let problem = self.publish(&viewer, request.get_ref()).await?;
        let problem = self.reload(problem).await?;
        Ok(Response::new(pb::PublishProblemResponse { problem }))
    }

    async fn list_problem_versions(
        &self,
        request: Request<pb::ListProblemVersionsRequest>,
    ) -> Result<Response<pb::ListProblemVersionsResponse>, Status> {
        let viewer = Viewer::of(Caller::of(&request));
        let message = request.get_ref();
        let problem = self.find_for(&viewer, &message.problem_id, viewer::UPDATE).await?;
        let page: Page<'_, i64> = Page::open(
            &self.page_key,
            "ListProblemVersions",
            &[problem.id.as_bytes()],
            message.page_size,
            &message.page_token,
        )?;
        let before = page.after.unwrap_or(i64::MAX);
        let rows = store::versions::list(&self.db, problem.id, before, page.limit()).await?;
        let (versions, next_page_token) = page.close(rows, |last| last.version);
        let problem_versions = versions.iter().map(|v| wire::version(v, problem.published_version));
        let problem_versions = problem_versions.collect::<Result<_, _>>()?;
        Ok(Response::new(pb::ListProblemVersionsResponse { problem_versions, next_page_token }))
    }

    async fn get_problem_version(
        &self,
        request: Request<pb::GetProblemVersionRequest>,
    ) -> Result<Response<pb::GetProblemVersionResponse>, Status> {
        let viewer = Viewer::of(Caller::of(&request));
        let message = request.get_ref();
        let problem = self.find_for(&viewer, &message.problem_id, viewer::UPDATE).await?;
        let found = store::versions::get(&self.db, problem.id, message.version).await?;
        let version = found.ok_or(Error::NotFound("version"))?;
        let problem_version = Some(wire::version(&version, problem.published_version)?);
        Ok(Response::new(pb::GetProblemVersionResponse { problem_version }))
    }

    async fn get_statement(
        &self,
        request: Request<pb::GetStatementRequest>,
    ) -> Result<Response<pb::GetStatementResponse>, Status> {
        let viewer = Viewer::of(Caller::of(&request));
        let accepted = request.metadata().get("accept-language").and_then(|v| v.to_str().ok());
        let pb::GetStatementRequest { problem_id, language } = request.get_ref();
        let found = self.statement(&viewer, problem_id, language, accepted.unwrap_or("")).await?;
        let statement = Some(wire::statement(found.0, found.1));
        Ok(Response::new(pb::GetStatementResponse { statement }))
    }

    type DownloadAttachmentStream = Bodies;

    async fn download_attachment(
        &self,
        request: Request<pb::DownloadAttachmentRequest>,
    ) -> Result<Response<Bodies>, Status> {
        let viewer = Viewer::of(Caller::of(&request));
        let pb::DownloadAttachmentRequest { problem_id, name } = request.get_ref();
        let (attachment, chunks) = self.attachment(&viewer, problem_id, name).await?;
        // The first message has the content type, also for an empty file.
        let first = HttpBody { content_type: attachment.content_type, ..HttpBody::default() };
        let first = futures_util::stream::iter([Ok(first)]);
        let rest = chunks.map(|chunk| Ok(HttpBody { data: chunk?, ..HttpBody::default() }));
        Ok(Response::new(Box::pin(first.chain(rest))))
    }
}

fn filter(viewer: &Viewer, message: &pb::ListProblemsRequest) -> Result<Filter, Status> {
    let mut violations = Violations::default();
    let tags = check_tags(&message.tags).unwrap_or_else(|what| {
        violations.add("tags", what);
        Vec::new()
    });
    let text = "must be at least 0 (0 = any)";
    violations.check(message.min_difficulty >= 0, "min_difficulty", text);
    violations.check(message.max_difficulty >= 0, "max_difficulty", text);
    let query = message.query.chars().count() <= 100 && !message.query.contains('\0');
    violations.check(query, "query", "must have at most 100 characters and no zero byte");
    let (owner, text) = match message.owner_id.as_str() {
        "me" => (viewer.user, "`me` requires a signed-in user"),
        id => (ids::parse(id), "must be an id or `me`"),
    };
    violations.check(owner.is_some() || message.owner_id.is_empty(), "owner_id", text);
    violations.into_result()?;
    Ok(Filter {
        viewer: viewer.user,
        all: viewer.lists_all(),
        edits_all: viewer.edits_all(),
        deleted: message.show_deleted,
        tags,
        min_difficulty: i64::from(message.min_difficulty),
        max_difficulty: i64::from(message.max_difficulty),
        text: message.query.clone(),
        owner,
        after: None,
        limit: 0,
    })
}
