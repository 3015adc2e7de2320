//! `agon.challenge.v1.BalloonService`.

use std::pin::Pin;

use access::Caller;
use futures_util::stream::{Stream, StreamExt as _};
use proto::challenge as pb;
use proto::challenge::balloon_service_server::BalloonService;
use tonic::{Request, Response, Status};

use crate::Challenge;
use crate::contests::viewer::Viewer;

type Answer<T> = Result<Response<T>, Status>;

#[tonic::async_trait]
impl BalloonService for Challenge {
    async fn list_balloons(
        &self,
        request: Request<pb::ListBalloonsRequest>,
    ) -> Answer<pb::ListBalloonsResponse> {
        let viewer = Viewer::of(Caller::of(&request));
        Ok(Response::new(self.list_balloons(&viewer, request.get_ref()).await?))
    }

    type WatchBalloonsStream =
        Pin<Box<dyn Stream<Item = Result<pb::WatchBalloonsResponse, Status>> + Send>>;

    async fn watch_balloons(
        &self,
        request: Request<pb::WatchBalloonsRequest>,
    ) -> Answer<Self::WatchBalloonsStream> {
        let viewer = Viewer::of(Caller::of(&request));
        let updates = self.watch_balloons(&viewer, request.get_ref()).await?;
        Ok(Response::new(Box::pin(updates.map(|update| Ok(update?)))))
    }

    async fn mark_balloon_delivered(
        &self,
        request: Request<pb::MarkBalloonDeliveredRequest>,
    ) -> Answer<pb::MarkBalloonDeliveredResponse> {
        Ok(Response::new(self.mark_balloon(Caller::of(&request), request.get_ref()).await?))
    }
}
