//! `agon.challenge.v1.RejudgingService`.

use std::pin::Pin;

use access::Caller;
use futures_util::stream::{Stream, StreamExt as _};
use proto::challenge as pb;
use proto::challenge::rejudging_service_server::RejudgingService;
use tonic::{Request, Response, Status};

use crate::Challenge;
use crate::contests::viewer::Viewer;
use crate::rejudging::State;
use crate::rejudgings::Close;

type Answer<T> = Result<Response<T>, Status>;

#[tonic::async_trait]
impl RejudgingService for Challenge {
    async fn create_rejudging(
        &self,
        request: Request<pb::CreateRejudgingRequest>,
    ) -> Answer<pb::CreateRejudgingResponse> {
        let caller = Caller::of(&request);
        let rejudging = Some(self.create_rejudging(caller, request.get_ref()).await?);
        Ok(Response::new(pb::CreateRejudgingResponse { rejudging }))
    }

    async fn get_rejudging(
        &self,
        request: Request<pb::GetRejudgingRequest>,
    ) -> Answer<pb::GetRejudgingResponse> {
        let viewer = Viewer::of(Caller::of(&request));
        Ok(Response::new(self.get_rejudging(&viewer, request.get_ref()).await?))
    }

    async fn list_rejudgings(
        &self,
        request: Request<pb::ListRejudgingsRequest>,
    ) -> Answer<pb::ListRejudgingsResponse> {
        let viewer = Viewer::of(Caller::of(&request));
        Ok(Response::new(self.list_rejudgings(&viewer, request.get_ref()).await?))
    }

    type WatchRejudgingStream =
        Pin<Box<dyn Stream<Item = Result<pb::WatchRejudgingResponse, Status>> + Send>>;

    async fn watch_rejudging(
        &self,
        request: Request<pb::WatchRejudgingRequest>,
    ) -> Answer<Self::WatchRejudgingStream> {
        let viewer = Viewer::of(Caller::of(&request));
        let states = self.watch_rejudging(&viewer, request.get_ref()).await?;
        let response = |state| Ok(pb::WatchRejudgingResponse { rejudging: Some(state?) });
        Ok(Response::new(Box::pin(states.map(response))))
    }

    async fn apply_rejudging(
        &self,
        request: Request<pb::ApplyRejudgingRequest>,
    ) -> Answer<pb::ApplyRejudgingResponse> {
        let pb::ApplyRejudgingRequest { contest_id, rejudging_id, request_id } = request.get_ref();
        let close = Close { contest_id, rejudging_id, request_id, state: State::Applied };
        let rejudging = Some(self.close_rejudging(Caller::of(&request), close).await?);
        Ok(Response::new(pb::ApplyRejudgingResponse { rejudging }))
    }

    async fn discard_rejudging(
        &self,
        request: Request<pb::DiscardRejudgingRequest>,
    ) -> Answer<pb::DiscardRejudgingResponse> {
        let pb::DiscardRejudgingRequest { contest_id, rejudging_id, request_id } =
            request.get_ref();
        let close = Close { contest_id, rejudging_id, request_id, state: State::Discarded };
        let rejudging = Some(self.close_rejudging(Caller::of(&request), close).await?);
        Ok(Response::new(pb::DiscardRejudgingResponse { rejudging }))
    }
}
