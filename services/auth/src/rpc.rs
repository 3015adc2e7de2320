//! The gRPC handlers: each decodes a request, calls one use case and encodes the response.

use std::sync::Arc;

use access::Caller;
use proto::auth as pb;
use proto::auth::access_service_server::{AccessService, AccessServiceServer};
use proto::auth::account_service_server::{AccountService, AccountServiceServer};
use proto::auth::credential_service_server::{CredentialService, CredentialServiceServer};
use proto::auth::invitation_service_server::{InvitationService, InvitationServiceServer};
use proto::auth::session_service_server::{SessionService, SessionServiceServer};
use proto::auth::token_service_server::{TokenService, TokenServiceServer};
use proto::auth::user_service_server::{UserService, UserServiceServer};
use tonic::{Request, Response, Status};

use crate::State;
use crate::error::Error;
use crate::sessions::Issued;
use crate::user::timestamp;

/// Largest request, in bytes.
const MAX_REQUEST: usize = 512 * 1024;

type Answer<T> = Result<Response<T>, Status>;

pub fn services(state: &Arc<State>) -> rpc::Services {
    let server = || Server(state.clone());
    rpc::Services::new()
        .add(UserServiceServer::new(server()).max_decoding_message_size(MAX_REQUEST))
        .add(SessionServiceServer::new(server()).max_decoding_message_size(MAX_REQUEST))
        .add(CredentialServiceServer::new(server()).max_decoding_message_size(MAX_REQUEST))
        .add(InvitationServiceServer::new(server()).max_decoding_message_size(MAX_REQUEST))
        .add(AccessServiceServer::new(server()).max_decoding_message_size(MAX_REQUEST))
        .add(AccountServiceServer::new(server()).max_decoding_message_size(MAX_REQUEST))
        .add(TokenServiceServer::new(server()).max_decoding_message_size(MAX_REQUEST))
}

struct Server(Arc<State>);

fn split<T>(request: Request<T>) -> (Caller, T) {
    (Caller::of(&request).clone(), request.into_inner())
}

fn reply<T, U>(result: Result<T, Error>, wrap: impl FnOnce(T) -> U) -> Answer<U> {
    result.map(|value| Response::new(wrap(value))).map_err(Status::from)
}

/// The name of the client software, as forwarded by the edge or sent by the client.
fn client<T>(request: &Request<T>) -> String {
    let text = |name| request.metadata().get(name)?.to_str().ok();
    let agent = text(rpc::metadata::CLIENT_AGENT).or_else(|| text("user-agent"));
    agent.unwrap_or_default().to_owned()
}

#[tonic::async_trait]
impl UserService for Server {
    async fn register_user(
        &self,
        request: Request<pb::RegisterUserRequest>,
    ) -> Answer<pb::RegisterUserResponse> {
        let (caller, request) = split(request);
        reply(self.0.register(&caller, request).await, |user| pb::RegisterUserResponse {
            user: Some(user),
        })
    }

    async fn get_user(&self, request: Request<pb::GetUserRequest>) -> Answer<pb::GetUserResponse> {
        let (caller, request) = split(request);
        let found = self.0.get_user(&caller, &request.user_id).await;
        reply(found, |user| pb::GetUserResponse { user: Some(user) })
    }

    async fn list_users(
        &self,
        request: Request<pb::ListUsersRequest>,
    ) -> Answer<pb::ListUsersResponse> {
        let (caller, request) = split(request);
        reply(self.0.list_users(&caller, request).await, |page| page)
    }

    async fn update_user(
        &self,
        request: Request<pb::UpdateUserRequest>,
    ) -> Answer<pb::UpdateUserResponse> {
        let (caller, request) = split(request);
        let updated = self.0.update_user(&caller, request).await;
        reply(updated, |user| pb::UpdateUserResponse { user: Some(user) })
    }

    async fn suspend_user(
        &self,
        request: Request<pb::SuspendUserRequest>,
    ) -> Answer<pb::SuspendUserResponse> {
        let (caller, request) = split(request);
        let done = self.0.set_suspended(&caller, &request.user_id, Some(&request.reason)).await;
        reply(done, |user| pb::SuspendUserResponse { user: Some(user) })
    }

    async fn reinstate_user(
        &self,
        request: Request<pb::ReinstateUserRequest>,
    ) -> Answer<pb::ReinstateUserResponse> {
        let (caller, request) = split(request);
        let done = self.0.set_suspended(&caller, &request.user_id, None).await;
        reply(done, |user| pb::ReinstateUserResponse { user: Some(user) })
    }
}

#[tonic::async_trait]
impl SessionService for Server {
    async fn create_session(
        &self,
        request: Request<pb::CreateSessionRequest>,
    ) -> Answer<pb::CreateSessionResponse> {
        let client = client(&request);
        let (caller, request) = split(request);
        let done = self.0.log_in(&caller, &client, request).await;
        let outcome = if done.is_ok() { "ok" } else { "refused" };
        metrics::counter!("agon_auth_logins_total", "outcome" => outcome).increment(1);
        reply(done, |issued| {
            let (Issued { session, access_token, expires_in, refresh_token }, device_token) =
                issued;
            pb::CreateSessionResponse {
                session: Some(session.to_proto(session.id)),
                access_token,
                token_type: "Bearer".to_owned(),
                expires_in,
                refresh_token,
                device_token,
            }
        })
    }

    async fn refresh_session(
        &self,
        request: Request<pb::RefreshSessionRequest>,
    ) -> Answer<pb::RefreshSessionResponse> {
        let (caller, request) = split(request);
        reply(self.0.refresh(&caller, &request.refresh_token).await, |issued| {
            let Issued { session, access_token, expires_in, refresh_token } = issued;
            pb::RefreshSessionResponse {
                session: Some(session.to_proto(session.id)),
                access_token,
                token_type: "Bearer".to_owned(),
                expires_in,
                refresh_token,
            }
        })
    }

    async fn get_session(
        &self,
        request: Request<pb::GetSessionRequest>,
    ) -> Answer<pb::GetSessionResponse> {
        let (caller, request) = split(request);
        let found = self.0.get_session(&caller, &request.session_id).await;
        reply(found, |session| pb::GetSessionResponse { session: Some(session) })
    }

    async fn list_sessions(
        &self,
        request: Request<pb::ListSessionsRequest>,
    ) -> Answer<pb::ListSessionsResponse> {
        let (caller, request) = split(request);
        reply(self.0.list_sessions(&caller, request).await, |page| page)
    }

    async fn delete_session(
        &self,
        request: Request<pb::DeleteSessionRequest>,
    ) -> Answer<pb::DeleteSessionResponse> {
        let (caller, request) = split(request);
        let done = self.0.log_out(&caller, &request.session_id).await;
        reply(done, |()| pb::DeleteSessionResponse {})
    }

    async fn delete_all_sessions(
        &self,
        request: Request<pb::DeleteAllSessionsRequest>,
    ) -> Answer<pb::DeleteAllSessionsResponse> {
        let (caller, request) = split(request);
        let done = self.0.log_out_everywhere(&caller, request.keep_current).await;
        reply(done, |session_count| pb::DeleteAllSessionsResponse { session_count })
    }
}

#[tonic::async_trait]
impl CredentialService for Server {
    async fn change_password(
        &self,
        request: Request<pb::ChangePasswordRequest>,
    ) -> Answer<pb::ChangePasswordResponse> {
        let (caller, request) = split(request);
        let done = self.0.change_password(&caller, request).await;
        reply(done, |()| pb::ChangePasswordResponse {})
    }

    async fn create_password_reset(
        &self,
        request: Request<pb::CreatePasswordResetRequest>,
    ) -> Answer<pb::CreatePasswordResetResponse> {
        let (caller, request) = split(request);
        let made = self.0.create_reset(Some(&caller), &request.user_id).await;
        reply(made, |reset| pb::CreatePasswordResetResponse {
            code: reset.code,
            expire_time: Some(timestamp(reset.expires_at)),
        })
    }

    async fn complete_password_reset(
        &self,
        request: Request<pb::CompletePasswordResetRequest>,
    ) -> Answer<pb::CompletePasswordResetResponse> {
        let (caller, request) = split(request);
        let done = self.0.complete_reset(&caller, request).await;
        reply(done, |()| pb::CompletePasswordResetResponse {})
    }
}

#[tonic::async_trait]
impl AccountService for Server {
    async fn create_accounts(
        &self,
        request: Request<pb::CreateAccountsRequest>,
    ) -> Answer<pb::CreateAccountsResponse> {
        let (caller, request) = split(request);
        reply(self.0.create_accounts(&caller, request).await, |made| made)
    }
}

#[tonic::async_trait]
impl InvitationService for Server {
    async fn create_invitation(
        &self,
        request: Request<pb::CreateInvitationRequest>,
    ) -> Answer<pb::CreateInvitationResponse> {
        let (caller, request) = split(request);
        reply(self.0.create_invitation(&caller, request).await, |made| made)
    }

    async fn list_invitations(
        &self,
        request: Request<pb::ListInvitationsRequest>,
    ) -> Answer<pb::ListInvitationsResponse> {
        let (_, request) = split(request);
        reply(self.0.list_invitations(&request).await, |page| page)
    }

    async fn delete_invitation(
        &self,
        request: Request<pb::DeleteInvitationRequest>,
    ) -> Answer<pb::DeleteInvitationResponse> {
        let (caller, request) = split(request);
        let done = self.0.delete_invitation(&caller, &request.invitation_id).await;
        reply(done, |()| pb::DeleteInvitationResponse {})
    }
}

#[tonic::async_trait]
impl AccessService for Server {
    async fn list_roles(
        &self,
        _request: Request<pb::ListRolesRequest>,
    ) -> Answer<pb::ListRolesResponse> {
        Ok(Response::new(self.0.list_roles()))
    }

    async fn create_role_binding(
        &self,
        request: Request<pb::CreateRoleBindingRequest>,
    ) -> Answer<pb::CreateRoleBindingResponse> {
        let (caller, request) = split(request);
        let made = self.0.create_binding(&caller, request).await;
        reply(made, |binding| pb::CreateRoleBindingResponse { role_binding: Some(binding) })
    }

    async fn list_role_bindings(
        &self,
        request: Request<pb::ListRoleBindingsRequest>,
    ) -> Answer<pb::ListRoleBindingsResponse> {
        let (caller, request) = split(request);
        reply(self.0.list_bindings(&caller, request).await, |page| page)
    }

    async fn delete_role_binding(
        &self,
        request: Request<pb::DeleteRoleBindingRequest>,
    ) -> Answer<pb::DeleteRoleBindingResponse> {
        let (caller, request) = split(request);
        let done = self.0.delete_binding(&caller, &request.role_binding_id).await;
        reply(done, |()| pb::DeleteRoleBindingResponse {})
    }

    async fn check_permission(
        &self,
        request: Request<pb::CheckPermissionRequest>,
    ) -> Answer<pb::CheckPermissionResponse> {
        let (_, request) = split(request);
        let allowed = self.0.check_permission(request).await;
        reply(allowed, |allowed| pb::CheckPermissionResponse { allowed })
    }
}

#[tonic::async_trait]
impl TokenService for Server {
    async fn validate_token(
        &self,
        request: Request<pb::ValidateTokenRequest>,
    ) -> Answer<pb::ValidateTokenResponse> {
        reply(self.0.validate(request.into_inner()).await, |answer| answer)
    }

    async fn batch_validate_tokens(
        &self,
        request: Request<pb::BatchValidateTokensRequest>,
    ) -> Answer<pb::BatchValidateTokensResponse> {
        reply(self.0.validate_all(request.into_inner()).await, |answer| answer)
    }

    async fn exchange_service_assertion(
        &self,
        request: Request<pb::ExchangeServiceAssertionRequest>,
    ) -> Answer<pb::ExchangeServiceAssertionResponse> {
        reply(self.0.exchange(&request.into_inner().assertion).await, |answer| answer)
    }

    async fn get_json_web_key_set(
        &self,
        _request: Request<pb::GetJsonWebKeySetRequest>,
    ) -> Answer<pb::GetJsonWebKeySetResponse> {
        Ok(Response::new(self.0.key_set()))
    }
}
