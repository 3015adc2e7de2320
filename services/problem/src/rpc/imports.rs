//! `agon.problem.v1.ImportService`.

use std::pin::Pin;

use access::Caller;
use chrono::{DateTime, Utc};
use futures_util::{Stream, StreamExt as _, stream};
use proto::problem as pb;
use proto::problem::import_service_server::ImportService;
use rpc::Violations;
use service::{Page, check_request_id};
use tonic::{Request, Response, Status, Streaming};
use uuid::Uuid;

use super::user;
use crate::Problems;
use crate::error::{Error, Result as UseCaseResult};
use crate::import::Report;
use crate::imports::Options;
use crate::viewer::Viewer;
use crate::wire;

type ImportStream =
    Pin<Box<dyn Stream<Item = Result<pb::WatchProblemImportResponse, Status>> + Send>>;

#[tonic::async_trait]
impl ImportService for Problems {
    async fn import_problem(
        &self,
        request: Request<Streaming<pb::ImportProblemRequest>>,
    ) -> Result<Response<pb::ImportProblemResponse>, Status> {
        let (viewer, user) = (Viewer::of(Caller::of(&request)), user(&request)?);
        let mut messages = request.into_inner();
        let Some(first) = messages.message().await? else {
            return Err(Error::invalid("content", "is missing; must be a package").into());
        };
        let pb::ImportProblemRequest { problem_id, publish, request_id, content } = first;
        let mut violations = Violations::default();
        check_request_id(&mut violations, &request_id);
        violations.into_result()?;
        let target = self.target(&viewer, &problem_id).await?;
        let first = stream::iter(content.map(|content| Ok(content.data)));
        let rest = messages.map(|message| Ok(message?.content.unwrap_or_default().data));
        let upload = self.receive(first.chain(rest)).await?;
        let options = Options { problem: problem_id, publish, request_id, verified: None };
        Ok(Response::new(self.import(user, options, target, upload).await?))
    }

    async fn get_problem_import(
        &self,
        request: Request<pb::GetProblemImportRequest>,
    ) -> Result<Response<pb::GetProblemImportResponse>, Status> {
        let viewer = Viewer::of(Caller::of(&request));
        let report = self.report(&viewer, &request.get_ref().problem_import_id).await?;
        let problem_import = Some(wire::import(&report)?);
        Ok(Response::new(pb::GetProblemImportResponse { problem_import }))
    }

    async fn list_problem_imports(
        &self,
        request: Request<pb::ListProblemImportsRequest>,
    ) -> Result<Response<pb::ListProblemImportsResponse>, Status> {
        let user = user(&request)?;
        let message = request.get_ref();
        let page: Page<'_, (DateTime<Utc>, Uuid)> = Page::open(
            &self.page_key,
            "ListProblemImports",
            &[user.as_bytes()],
            message.page_size,
            &message.page_token,
        )?;
        let rows = self.reports(user, page.after, page.limit()).await?;
        let order = |last: &Report| (last.import.created_at, last.import.id);
        let (reports, next_page_token) = page.close(rows, order);
        let problem_imports = reports.iter().map(wire::import).collect::<UseCaseResult<_>>()?;
        Ok(Response::new(pb::ListProblemImportsResponse { problem_imports, next_page_token }))
    }

    async fn cancel_problem_import(
        &self,
        request: Request<pb::CancelProblemImportRequest>,
    ) -> Result<Response<pb::CancelProblemImportResponse>, Status> {
        let viewer = Viewer::of(Caller::of(&request));
        let report = self.cancel(&viewer, &request.get_ref().problem_import_id).await?;
        let problem_import = Some(wire::import(&report)?);
        Ok(Response::new(pb::CancelProblemImportResponse { problem_import }))
    }

    type WatchProblemImportStream = ImportStream;

    async fn watch_problem_import(
        &self,
        request: Request<pb::WatchProblemImportRequest>,
    ) -> Result<Response<ImportStream>, Status> {
        let viewer = Viewer::of(Caller::of(&request));
        let reports = self.watch(viewer, request.into_inner().problem_import_id).await?;
        let responses = reports.map(|report| {
            let problem_import = Some(wire::import(&report?)?);
            Ok(pb::WatchProblemImportResponse { problem_import })
        });
        Ok(Response::new(Box::pin(responses)))
    }
}
