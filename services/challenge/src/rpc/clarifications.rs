//! `agon.challenge.v1.ClarificationService`.

use std::pin::Pin;

use access::Caller;
use futures_util::stream::{Stream, StreamExt as _};
use proto::challenge as pb;
use proto::challenge::clarification_service_server::ClarificationService;
use tonic::{Request, Response, Status};

use crate::Challenge;
use crate::contests::viewer::Viewer;

type Answer<T> = Result<Response<T>, Status>;

#[tonic::async_trait]
impl ClarificationService for Challenge {
    async fn ask_clarification(
        &self,
        request: Request<pb::AskClarificationRequest>,
    ) -> Answer<pb::AskClarificationResponse> {
        Ok(Response::new(self.ask(Caller::of(&request), request.get_ref()).await?))
    }

    async fn answer_clarification(
        &self,
        request: Request<pb::AnswerClarificationRequest>,
    ) -> Answer<pb::AnswerClarificationResponse> {
        Ok(Response::new(self.answer(Caller::of(&request), request.get_ref()).await?))
    }

    async fn create_announcement(
        &self,
        request: Request<pb::CreateAnnouncementRequest>,
    ) -> Answer<pb::CreateAnnouncementResponse> {
        Ok(Response::new(self.announce(Caller::of(&request), request.get_ref()).await?))
    }

    async fn list_clarifications(
        &self,
        request: Request<pb::ListClarificationsRequest>,
    ) -> Answer<pb::ListClarificationsResponse> {
        let viewer = Viewer::of(Caller::of(&request));
        Ok(Response::new(self.list_clarifications(&viewer, request.get_ref()).await?))
    }

    type WatchClarificationsStream =
        Pin<Box<dyn Stream<Item = Result<pb::WatchClarificationsResponse, Status>> + Send>>;

    async fn watch_clarifications(
        &self,
        request: Request<pb::WatchClarificationsRequest>,
    ) -> Answer<Self::WatchClarificationsStream> {
        let viewer = Viewer::of(Caller::of(&request));
        let updates = self.watch_clarifications(&viewer, request.get_ref()).await?;
        Ok(Response::new(Box::pin(updates.map(|update| Ok(update?)))))
    }
}
