//! `agon.problem.v1.JudgeDataService`.

use std::pin::Pin;

use futures_util::{Stream, StreamExt as _};
use proto::problem as pb;
use proto::problem::judge_data_service_server::JudgeDataService;
use tonic::{Request, Response, Status};

use crate::Problems;
use crate::wire;

type Chunks = Pin<Box<dyn Stream<Item = Result<pb::DownloadObjectResponse, Status>> + Send>>;

#[tonic::async_trait]
impl JudgeDataService for Problems {
    async fn get_judge_data(
        &self,
        request: Request<pb::GetJudgeDataRequest>,
    ) -> Result<Response<pb::GetJudgeDataResponse>, Status> {
        let pb::GetJudgeDataRequest { problem_id, version } = request.get_ref();
        let (version, manifest) = self.judge_data(problem_id, *version).await?;
        let judge_data = Some(wire::judge_data(&version, &manifest));
        Ok(Response::new(pb::GetJudgeDataResponse { judge_data }))
    }

    type DownloadObjectStream = Chunks;

    async fn download_object(
        &self,
        request: Request<pb::DownloadObjectRequest>,
    ) -> Result<Response<Chunks>, Status> {
        let chunks = self.object(&request.get_ref().digest).await?;
        let chunks = chunks.map(|chunk| Ok(pb::DownloadObjectResponse { data: chunk? }));
        Ok(Response::new(Box::pin(chunks)))
    }

    async fn get_verification(
        &self,
        request: Request<pb::GetVerificationRequest>,
    ) -> Result<Response<pb::GetVerificationResponse>, Status> {
        let (check, import, manifest) =
            self.verification(&request.get_ref().verification_id).await?;
        let verification = Some(wire::verification(&check, &import, &manifest));
        Ok(Response::new(pb::GetVerificationResponse { verification }))
    }
}
