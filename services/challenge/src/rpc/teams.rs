//! `agon.challenge.v1.TeamService`.

use access::Caller;
use proto::challenge as pb;
use proto::challenge::team_service_server::TeamService;
use tonic::{Request, Response, Status};

use crate::Challenge;

type Answer<T> = Result<Response<T>, Status>;

#[tonic::async_trait]
impl TeamService for Challenge {
    async fn create_team(
        &self,
        request: Request<pb::CreateTeamRequest>,
    ) -> Answer<pb::CreateTeamResponse> {
        let response = self.create_team(Caller::of(&request), request.get_ref()).await?;
        Ok(Response::new(response))
    }

    async fn get_team(&self, request: Request<pb::GetTeamRequest>) -> Answer<pb::GetTeamResponse> {
        let team = self.get_team(Caller::of(&request), &request.get_ref().team_id).await?;
        Ok(Response::new(pb::GetTeamResponse { team: Some(team) }))
    }

    async fn list_teams(
        &self,
        request: Request<pb::ListTeamsRequest>,
    ) -> Answer<pb::ListTeamsResponse> {
        Ok(Response::new(self.list_teams(Caller::of(&request), request.get_ref()).await?))
    }

    async fn update_team(
        &self,
        request: Request<pb::UpdateTeamRequest>,
    ) -> Answer<pb::UpdateTeamResponse> {
        let team = self.update_team(Caller::of(&request), request.get_ref()).await?;
        Ok(Response::new(pb::UpdateTeamResponse { team: Some(team) }))
    }

    async fn delete_team(
        &self,
        request: Request<pb::DeleteTeamRequest>,
    ) -> Answer<pb::DeleteTeamResponse> {
        let pb::DeleteTeamRequest { team_id, etag } = request.get_ref();
        self.delete_team(Caller::of(&request), team_id, etag).await?;
        Ok(Response::new(pb::DeleteTeamResponse {}))
    }

    async fn invite_to_team(
        &self,
        request: Request<pb::InviteToTeamRequest>,
    ) -> Answer<pb::InviteToTeamResponse> {
        Ok(Response::new(self.invite_to_team(Caller::of(&request), request.get_ref()).await?))
    }

    async fn accept_team_invitation(
        &self,
        request: Request<pb::AcceptTeamInvitationRequest>,
    ) -> Answer<pb::AcceptTeamInvitationResponse> {
        let response = self.accept_invitation(Caller::of(&request), request.get_ref()).await?;
        Ok(Response::new(response))
    }

    async fn decline_team_invitation(
        &self,
        request: Request<pb::DeclineTeamInvitationRequest>,
    ) -> Answer<pb::DeclineTeamInvitationResponse> {
        let response = self.decline_invitation(Caller::of(&request), request.get_ref()).await?;
        Ok(Response::new(response))
    }

    async fn leave_team(
        &self,
        request: Request<pb::LeaveTeamRequest>,
    ) -> Answer<pb::LeaveTeamResponse> {
        Ok(Response::new(self.leave_team(Caller::of(&request), request.get_ref()).await?))
    }

    async fn remove_team_member(
        &self,
        request: Request<pb::RemoveTeamMemberRequest>,
    ) -> Answer<pb::RemoveTeamMemberResponse> {
        let pb::RemoveTeamMemberRequest { team_id, user_id } = request.get_ref();
        self.remove_team_member(Caller::of(&request), team_id, user_id).await?;
        Ok(Response::new(pb::RemoveTeamMemberResponse {}))
    }
}
