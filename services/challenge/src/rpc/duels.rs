//! `agon.challenge.v1.DuelService`.

use std::pin::Pin;

use access::Caller;
use futures_util::stream::{Stream, StreamExt as _};
use proto::challenge as pb;
use proto::challenge::duel_service_server::DuelService;
use tonic::{Request, Response, Status};

use crate::Challenge;
use crate::contests::viewer::Viewer;
use crate::duel::Move;
use crate::duels::moves::Step;

type Answer<T> = Result<Response<T>, Status>;
type Watched<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

/// Makes a move; requests and responses of moves have the same fields.
macro_rules! make {
    ($challenge:ident, $request:ident, $response:ident, $step:expr) => {{
        let message = $request.get_ref();
        let (duel_id, request_id) = (&message.duel_id, &message.request_id);
        let caller = Caller::of(&$request);
        let duel = Some($challenge.move_duel(caller, duel_id, request_id, $step).await?);
        Ok(Response::new(pb::$response { duel }))
    }};
}

#[tonic::async_trait]
impl DuelService for Challenge {
    async fn invite_to_duel(
        &self,
        request: Request<pb::InviteToDuelRequest>,
    ) -> Answer<pb::InviteToDuelResponse> {
        let duel = Some(self.invite_to_duel(Caller::of(&request), request.get_ref()).await?);
        Ok(Response::new(pb::InviteToDuelResponse { duel }))
    }

    async fn accept_duel(
        &self,
        request: Request<pb::AcceptDuelRequest>,
    ) -> Answer<pb::AcceptDuelResponse> {
        make!(self, request, AcceptDuelResponse, Step::Accept)
    }

    async fn decline_duel(
        &self,
        request: Request<pb::DeclineDuelRequest>,
    ) -> Answer<pb::DeclineDuelResponse> {
        make!(self, request, DeclineDuelResponse, Step::Make(Move::Decline))
    }

    async fn cancel_duel(
        &self,
        request: Request<pb::CancelDuelRequest>,
    ) -> Answer<pb::CancelDuelResponse> {
        make!(self, request, CancelDuelResponse, Step::Make(Move::Cancel))
    }

    async fn forfeit_duel(
        &self,
        request: Request<pb::ForfeitDuelRequest>,
    ) -> Answer<pb::ForfeitDuelResponse> {
        make!(self, request, ForfeitDuelResponse, Step::Make(Move::Forfeit))
    }

    async fn offer_draw(
        &self,
        request: Request<pb::OfferDrawRequest>,
    ) -> Answer<pb::OfferDrawResponse> {
        make!(self, request, OfferDrawResponse, Step::Make(Move::OfferDraw))
    }

    async fn accept_draw(
        &self,
        request: Request<pb::AcceptDrawRequest>,
    ) -> Answer<pb::AcceptDrawResponse> {
        make!(self, request, AcceptDrawResponse, Step::Make(Move::AcceptDraw))
    }

    async fn request_rematch(
        &self,
        request: Request<pb::RequestRematchRequest>,
    ) -> Answer<pb::RequestRematchResponse> {
        let duel = Some(self.rematch(Caller::of(&request), request.get_ref()).await?);
        Ok(Response::new(pb::RequestRematchResponse { duel }))
    }

    async fn void_duel(
        &self,
        request: Request<pb::VoidDuelRequest>,
    ) -> Answer<pb::VoidDuelResponse> {
        let duel = Some(self.void_duel(Caller::of(&request), request.get_ref()).await?);
        Ok(Response::new(pb::VoidDuelResponse { duel }))
    }

    async fn get_duel(&self, request: Request<pb::GetDuelRequest>) -> Answer<pb::GetDuelResponse> {
        let viewer = Viewer::of(Caller::of(&request));
        let duel = Some(self.get_duel(&viewer, &request.get_ref().duel_id).await?);
        Ok(Response::new(pb::GetDuelResponse { duel }))
    }

    async fn list_duels(
        &self,
        request: Request<pb::ListDuelsRequest>,
    ) -> Answer<pb::ListDuelsResponse> {
        Ok(Response::new(self.list_duels(Caller::of(&request), request.get_ref()).await?))
    }

    type WatchDuelStream = Watched<pb::WatchDuelResponse>;

    async fn watch_duel(
        &self,
        request: Request<pb::WatchDuelRequest>,
    ) -> Answer<Self::WatchDuelStream> {
        let viewer = Viewer::of(Caller::of(&request));
        let duels = self.watch_duel(&viewer, &request.get_ref().duel_id).await?;
        let response = |duel| Ok(pb::WatchDuelResponse { duel: Some(duel?) });
        Ok(Response::new(Box::pin(duels.map(response))))
    }
}
