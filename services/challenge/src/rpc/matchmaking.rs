//! `agon.challenge.v1.MatchmakingService`.

use std::pin::Pin;

use access::Caller;
use futures_util::stream::{Stream, StreamExt as _};
use proto::challenge as pb;
use proto::challenge::matchmaking_service_server::MatchmakingService;
use tonic::{Request, Response, Status};

use crate::Challenge;
use crate::contests::viewer::Viewer;

type Answer<T> = Result<Response<T>, Status>;
type Watched<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

#[tonic::async_trait]
impl MatchmakingService for Challenge {
    async fn create_ticket(
        &self,
        request: Request<pb::CreateTicketRequest>,
    ) -> Answer<pb::CreateTicketResponse> {
        let ticket = Some(self.create_ticket(Caller::of(&request), request.get_ref()).await?);
        Ok(Response::new(pb::CreateTicketResponse { ticket }))
    }

    async fn get_ticket(
        &self,
        request: Request<pb::GetTicketRequest>,
    ) -> Answer<pb::GetTicketResponse> {
        let viewer = Viewer::of(Caller::of(&request));
        let ticket = Some(self.get_ticket(&viewer, &request.get_ref().ticket_id).await?);
        Ok(Response::new(pb::GetTicketResponse { ticket }))
    }

    async fn delete_ticket(
        &self,
        request: Request<pb::DeleteTicketRequest>,
    ) -> Answer<pb::DeleteTicketResponse> {
        let viewer = Viewer::of(Caller::of(&request));
        let ticket = Some(self.delete_ticket(&viewer, &request.get_ref().ticket_id).await?);
        Ok(Response::new(pb::DeleteTicketResponse { ticket }))
    }

    type WatchTicketStream = Watched<pb::WatchTicketResponse>;

    async fn watch_ticket(
        &self,
        request: Request<pb::WatchTicketRequest>,
    ) -> Answer<Self::WatchTicketStream> {
        let viewer = Viewer::of(Caller::of(&request));
        let tickets = self.watch_ticket(&viewer, &request.get_ref().ticket_id).await?;
        let response = |ticket| Ok(pb::WatchTicketResponse { ticket: Some(ticket?) });
        Ok(Response::new(Box::pin(tickets.map(response))))
    }
}
