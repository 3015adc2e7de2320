//! `agon.challenge.v1.SubmissionService`.

use std::pin::Pin;

use access::Caller;
use futures_util::stream::{Stream, StreamExt};
use proto::challenge::submission_service_server::SubmissionService;
use proto::challenge::{
    CreateSubmissionRequest, CreateSubmissionResponse, GetSubmissionRequest, GetSubmissionResponse,
    GetSubmissionSourceRequest, GetSubmissionSourceResponse, ListSubmissionsRequest,
    ListSubmissionsResponse, WatchSubmissionRequest, WatchSubmissionResponse,
};
use tonic::{Request, Response, Status};

use crate::Challenge;
use crate::submissions::viewer;
use crate::wire;

type Watched = Pin<Box<dyn Stream<Item = Result<WatchSubmissionResponse, Status>> + Send>>;

#[tonic::async_trait]
impl SubmissionService for Challenge {
    async fn create_submission(
        &self,
        request: Request<CreateSubmissionRequest>,
    ) -> Result<Response<CreateSubmissionResponse>, Status> {
        let caller = Caller::of(&request);
        Ok(Response::new(self.create(caller, request.get_ref()).await?))
    }

    async fn get_submission(
        &self,
        request: Request<GetSubmissionRequest>,
    ) -> Result<Response<GetSubmissionResponse>, Status> {
        let viewer = viewer(Caller::of(&request));
        let view = self.get(&viewer, &request.get_ref().submission_id).await?;
        Ok(Response::new(GetSubmissionResponse { submission: Some(wire::submission(view)) }))
    }

    async fn list_submissions(
        &self,
        request: Request<ListSubmissionsRequest>,
    ) -> Result<Response<ListSubmissionsResponse>, Status> {
        let caller = Caller::of(&request);
        let (views, next_page_token) = self.list(caller, request.get_ref()).await?;
        let submissions = views.into_iter().map(wire::submission).collect();
        Ok(Response::new(ListSubmissionsResponse { submissions, next_page_token }))
    }

    type WatchSubmissionStream = Watched;

    async fn watch_submission(
        &self,
        request: Request<WatchSubmissionRequest>,
    ) -> Result<Response<Watched>, Status> {
        let viewer = viewer(Caller::of(&request));
        let views = self.watch(&viewer, &request.get_ref().submission_id).await?;
        let responses = views
            .map(|view| Ok(WatchSubmissionResponse { submission: Some(wire::submission(view?)) }));
        Ok(Response::new(Box::pin(responses)))
    }

    async fn get_submission_source(
        &self,
        request: Request<GetSubmissionSourceRequest>,
    ) -> Result<Response<GetSubmissionSourceResponse>, Status> {
        let viewer = viewer(Caller::of(&request));
        Ok(Response::new(self.source(&viewer, &request.get_ref().submission_id).await?))
    }
}
