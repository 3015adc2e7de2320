//! `agon.challenge.v1.ResultService`.

use access::Caller;
use proto::challenge as pb;
use proto::challenge::result_service_server::ResultService;
use tonic::{Request, Response, Status};

use crate::Challenge;
use crate::contests::viewer::Viewer;
use crate::peers::Bodies;

#[tonic::async_trait]
impl ResultService for Challenge {
    async fn list_awards(
        &self,
        request: Request<pb::ListAwardsRequest>,
    ) -> Result<Response<pb::ListAwardsResponse>, Status> {
        let viewer = Viewer::of(Caller::of(&request));
        Ok(Response::new(self.list_awards(&viewer, request.get_ref()).await?))
    }

    type ExportResultsStream = Bodies;

    async fn export_results(
        &self,
        request: Request<pb::ExportResultsRequest>,
    ) -> Result<Response<Bodies>, Status> {
        let viewer = Viewer::of(Caller::of(&request));
        Ok(Response::new(self.export_results(&viewer, request.get_ref()).await?))
    }
}
