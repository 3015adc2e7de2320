//! `agon.challenge.v1.ContestService`.

use std::pin::Pin;

use access::Caller;
use futures_util::stream::{Stream, StreamExt as _};
use proto::challenge as pb;
use proto::challenge::contest_service_server::ContestService;
use tonic::{Request, Response, Status};

use crate::Challenge;
use crate::contests::life::{Move, Step};
use crate::contests::viewer::Viewer;
use crate::peers::Bodies;

type Answer<T> = Result<Response<T>, Status>;
type Watched<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

fn viewer<T>(request: &Request<T>) -> Viewer {
    Viewer::of(Caller::of(request))
}

#[tonic::async_trait]
impl ContestService for Challenge {
    async fn create_contest(
        &self,
        request: Request<pb::CreateContestRequest>,
    ) -> Answer<pb::CreateContestResponse> {
        let response = self.create_contest(Caller::of(&request), request.get_ref()).await?;
        Ok(Response::new(response))
    }

    async fn get_contest(
        &self,
        request: Request<pb::GetContestRequest>,
    ) -> Answer<pb::GetContestResponse> {
        let contest = self.get_contest(&viewer(&request), &request.get_ref().contest_id).await?;
        Ok(Response::new(pb::GetContestResponse { contest: Some(contest) }))
    }

    async fn list_contests(
        &self,
        request: Request<pb::ListContestsRequest>,
    ) -> Answer<pb::ListContestsResponse> {
        Ok(Response::new(self.list_contests(&viewer(&request), request.get_ref()).await?))
    }

    async fn update_contest(
        &self,
        request: Request<pb::UpdateContestRequest>,
    ) -> Answer<pb::UpdateContestResponse> {
        let contest = Some(self.update_contest(&viewer(&request), request.get_ref()).await?);
        Ok(Response::new(pb::UpdateContestResponse { contest }))
    }

    async fn delete_contest(
        &self,
        request: Request<pb::DeleteContestRequest>,
    ) -> Answer<pb::DeleteContestResponse> {
        let pb::DeleteContestRequest { contest_id, etag } = request.get_ref();
        self.delete_contest(&viewer(&request), contest_id, etag).await?;
        Ok(Response::new(pb::DeleteContestResponse {}))
    }

    async fn publish_contest(
        &self,
        request: Request<pb::PublishContestRequest>,
    ) -> Answer<pb::PublishContestResponse> {
        let pb::PublishContestRequest { contest_id, etag, request_id } = request.get_ref();
        let step = Move { contest_id, etag, request_id, step: Step::Publish };
        let contest = Some(self.move_contest(&viewer(&request), step).await?);
        Ok(Response::new(pb::PublishContestResponse { contest }))
    }

    async fn cancel_contest(
        &self,
        request: Request<pb::CancelContestRequest>,
    ) -> Answer<pb::CancelContestResponse> {
        let pb::CancelContestRequest { contest_id, etag, request_id } = request.get_ref();
        let step = Move { contest_id, etag, request_id, step: Step::Cancel };
        let contest = Some(self.move_contest(&viewer(&request), step).await?);
        Ok(Response::new(pb::CancelContestResponse { contest }))
    }

    async fn set_contest_problems(
        &self,
        request: Request<pb::SetContestProblemsRequest>,
    ) -> Answer<pb::SetContestProblemsResponse> {
        let response = self.set_problems(Caller::of(&request), request.get_ref()).await?;
        Ok(Response::new(response))
    }

    async fn list_contest_problems(
        &self,
        request: Request<pb::ListContestProblemsRequest>,
    ) -> Answer<pb::ListContestProblemsResponse> {
        let name = &request.get_ref().contest_id;
        let problems = self.list_problems(&viewer(&request), name).await?;
        Ok(Response::new(pb::ListContestProblemsResponse { problems }))
    }

    async fn get_contest_statement(
        &self,
        request: Request<pb::GetContestStatementRequest>,
    ) -> Answer<pb::GetContestStatementResponse> {
        Ok(Response::new(self.statement(&viewer(&request), request.get_ref()).await?))
    }

    type DownloadContestAttachmentStream = Bodies;

    async fn download_contest_attachment(
        &self,
        request: Request<pb::DownloadContestAttachmentRequest>,
    ) -> Answer<Bodies> {
        Ok(Response::new(self.attachment(&viewer(&request), request.get_ref()).await?))
    }

    async fn extend_contest(
        &self,
        request: Request<pb::ExtendContestRequest>,
    ) -> Answer<pb::ExtendContestResponse> {
        let pb::ExtendContestRequest { contest_id, duration, etag, request_id } = request.get_ref();
        let step = Move { contest_id, etag, request_id, step: Step::Extend(*duration) };
        let contest = Some(self.move_contest(&viewer(&request), step).await?);
        Ok(Response::new(pb::ExtendContestResponse { contest }))
    }

    async fn thaw_contest(
        &self,
        request: Request<pb::ThawContestRequest>,
    ) -> Answer<pb::ThawContestResponse> {
        let pb::ThawContestRequest { contest_id, etag, request_id } = request.get_ref();
        let step = Move { contest_id, etag, request_id, step: Step::Thaw };
        let contest = Some(self.move_contest(&viewer(&request), step).await?);
        Ok(Response::new(pb::ThawContestResponse { contest }))
    }

    async fn finalize_contest(
        &self,
        request: Request<pb::FinalizeContestRequest>,
    ) -> Answer<pb::FinalizeContestResponse> {
        let pb::FinalizeContestRequest { contest_id, etag, request_id, extra_bronze_count } =
            request.get_ref();
        let step = Step::Finalize { extra_bronze: *extra_bronze_count };
        let step = Move { contest_id, etag, request_id, step };
        let contest = Some(self.move_contest(&viewer(&request), step).await?);
        Ok(Response::new(pb::FinalizeContestResponse { contest }))
    }

    async fn list_participants(
        &self,
        request: Request<pb::ListParticipantsRequest>,
    ) -> Answer<pb::ListParticipantsResponse> {
        Ok(Response::new(self.list_participants(&viewer(&request), request.get_ref()).await?))
    }

    async fn register_for_contest(
        &self,
        request: Request<pb::RegisterForContestRequest>,
    ) -> Answer<pb::RegisterForContestResponse> {
        Ok(Response::new(self.register(Caller::of(&request), request.get_ref()).await?))
    }

    async fn withdraw_from_contest(
        &self,
        request: Request<pb::WithdrawFromContestRequest>,
    ) -> Answer<pb::WithdrawFromContestResponse> {
        Ok(Response::new(self.withdraw(Caller::of(&request), request.get_ref()).await?))
    }

    async fn update_participant(
        &self,
        request: Request<pb::UpdateParticipantRequest>,
    ) -> Answer<pb::UpdateParticipantResponse> {
        let participant = self.update_participant(&viewer(&request), request.get_ref()).await?;
        Ok(Response::new(pb::UpdateParticipantResponse { participant: Some(participant) }))
    }

    async fn get_standings(
        &self,
        request: Request<pb::GetStandingsRequest>,
    ) -> Answer<pb::GetStandingsResponse> {
        Ok(Response::new(self.standings(&viewer(&request), request.get_ref()).await?))
    }

    type WatchStandingsStream = Watched<pb::WatchStandingsResponse>;

    async fn watch_standings(
        &self,
        request: Request<pb::WatchStandingsRequest>,
    ) -> Answer<Self::WatchStandingsStream> {
        let updates = self.watch_standings(&viewer(&request), request.get_ref()).await?;
        Ok(Response::new(Box::pin(updates.map(|update| Ok(update?)))))
    }

    type WatchContestStream = Watched<pb::WatchContestResponse>;

    async fn watch_contest(
        &self,
        request: Request<pb::WatchContestRequest>,
    ) -> Answer<Self::WatchContestStream> {
        let name = &request.get_ref().contest_id;
        let contests = self.watch_contest(&viewer(&request), name).await?;
        let response = |contest| Ok(pb::WatchContestResponse { contest: Some(contest?) });
        Ok(Response::new(Box::pin(contests.map(response))))
    }
}
