//! Access tokens: issue, validation and revocation.

use std::sync::Arc;

use access::token::{self, Claims, LEEWAY};
use access::{Kind, Principal, Rejection, Revocation, Role};
use chrono::{DateTime, Duration, Utc};
use db::Tx;
use proto::auth as pb;
use proto::auth::validate_token_response::Result as Answer;
use uuid::Uuid;

use crate::error::{Error, Result};
use crate::session::Session;
use crate::user::{User, role_names, timestamp};
use crate::{State, secret, store};

const MAX_BATCH: usize = 100;
const SERVICE_TOKEN_SECONDS: i64 = 600;
/// Revocations by other processes are read from this long before the given time, because of clock
/// skew and transactions that commit late.
const OVERLAP: Duration = Duration::seconds(15);

/// The first invalid field and what is wrong with it.
fn invalid_field(request: &pb::ValidateTokenRequest) -> Option<(&'static str, &'static str)> {
    if request.max_auth_age_seconds < 0 {
        return Some(("max_auth_age_seconds", "must not be negative; 0 accepts any age"));
    }
    let known = pb::Consistency::try_from(request.consistency).is_ok();
    (!known).then_some(("consistency", "must be a value of the enum"))
}

impl State {
    /// Signs a user's token and returns it with its lifetime in seconds. Only `issue_session` may
    /// call it.
    pub fn user_token(
        &self,
        user: &User,
        roles: &[Role],
        session: &Session,
    ) -> Result<(String, i32)> {
        let claims = Claims {
            kind: "user".to_owned(),
            sid: Some(session.id),
            auth_time: session.created_at.timestamp(),
            roles: role_names(roles),
            epoch: user.auth_epoch,
            amr: session.methods.split(' ').map(str::to_owned).collect(),
            ..self.claims(user.id, &user.username, self.config.access_token_seconds)
        };
        self.sign(&claims)
    }

    /// Signs a service's token and returns it with its lifetime in seconds.
    pub fn service_token(&self, id: Uuid, name: &str) -> Result<(String, i32)> {
        self.sign(&self.claims(id, name, SERVICE_TOKEN_SECONDS))
    }

    fn sign(&self, claims: &Claims) -> Result<(String, i32)> {
        let token = token::sign(&*self.signer()?, token::ACCESS, claims);
        let expires_in = i32::try_from(claims.exp - claims.iat).unwrap_or(i32::MAX);
        Ok((token, expires_in))
    }

    fn claims(&self, id: Uuid, name: &str, seconds: i64) -> Claims {
        let now = self.clock.now().timestamp();
        // Up to a tenth shorter, so that tokens issued together do not expire together.
        let [jitter] = secret::random::<1>();
        let lifetime = seconds - seconds * i64::from(jitter) / 2560;
        Claims::new("service", id, name, self.clock.new_id(), now, lifetime)
    }

    /// Validates a token and the further conditions of the request.
    pub async fn validate(
        &self,
        request: pb::ValidateTokenRequest,
    ) -> Result<pb::ValidateTokenResponse> {
        if let Some((field, what)) = invalid_field(&request) {
            return Err(Error::field(field, what));
        }
        let found = match self.verifier.check(&request.token) {
            Ok(principal) => self.check_conditions(&principal, &request).await?.map(|()| principal),
            Err(rejection) => Err(to_proto(rejection)),
        };
        let result = match found {
            Ok(principal) => Answer::Principal(principal_to_proto(&principal)),
            Err(rejection) => Answer::Rejection(rejection.into()),
        };
        Ok(pb::ValidateTokenResponse { result: Some(result) })
    }

    /// Checks the consistency, scopes and age that the request requires.
    async fn check_conditions(
        &self,
        principal: &Arc<Principal>,
        request: &pb::ValidateTokenRequest,
    ) -> Result<Result<(), pb::Rejection>> {
        if request.consistency() == pb::Consistency::Authoritative
            && let Err(rejection) = self.check_database(principal).await?
        {
            return Ok(Err(rejection));
        }
        let has = |scope: &String| principal.scopes.binary_search(scope).is_ok();
        if !request.required_scopes.iter().all(has) {
            return Ok(Err(pb::Rejection::InsufficientScope));
        }
        let age = i64::from(request.max_auth_age_seconds);
        if age > 0 && self.clock.now() > principal.auth_time + Duration::seconds(age) {
            return Ok(Err(pb::Rejection::StaleAuth));
        }
        Ok(Ok(()))
    }

    async fn check_database(&self, principal: &Principal) -> Result<Result<(), pb::Rejection>> {
        if principal.kind != Kind::User {
            let services = store::keys::services(&self.db).await?;
            let known = services.iter().any(|service| service.id == principal.id);
            return Ok(if known { Ok(()) } else { Err(pb::Rejection::Revoked) });
        }
        let user = store::users::get(&self.db, principal.id).await?;
        let session = store::sessions::get(&self.db, principal.session_id).await?;
        let live = session.is_some_and(|session| session.is_live(self.clock.now()));
        Ok(match user {
            Some(user) if user.is_suspended() => Err(pb::Rejection::Suspended),
            Some(user) if live && user.auth_epoch == principal.auth_epoch => Ok(()),
            _ => Err(pb::Rejection::Revoked),
        })
    }

    /// Validates up to [`MAX_BATCH`] tokens.
    pub async fn validate_all(
        &self,
        request: pb::BatchValidateTokensRequest,
    ) -> Result<pb::BatchValidateTokensResponse> {
        if request.requests.is_empty() || request.requests.len() > MAX_BATCH {
            return Err(Error::field("requests", "must contain 1 to 100 requests"));
        }
        for (index, one) in request.requests.iter().enumerate() {
            if let Some((field, what)) = invalid_field(one) {
                return Err(Error::field(&format!("requests[{index}].{field}"), what));
            }
        }
        let mut responses = Vec::with_capacity(request.requests.len());
        for one in request.requests {
            responses.push(self.validate(one).await?);
        }
        Ok(pb::BatchValidateTokensResponse { responses })
    }

    pub fn key_set(&self) -> pb::GetJsonWebKeySetResponse {
        let keys = self.verifier.keys().keys().map(pb::JsonWebKey::from).collect();
        pb::GetJsonWebKeySetResponse { keys }
    }

    /// Revokes the user's tokens of earlier epochs at the commit.
    pub async fn revoke_user(&self, tx: &mut Tx, user: &User) -> Result<()> {
        let until = self.tokens_expired_at(tx.now());
        let (below_epoch, suspended) = (user.auth_epoch, user.is_suspended());
        self.revoke(tx, vec![Revocation { subject: user.id, below_epoch, suspended, until }]).await
    }

    pub async fn revoke_sessions(&self, tx: &mut Tx, sessions: &[Uuid]) -> Result<()> {
        let until = self.tokens_expired_at(tx.now());
        let (below_epoch, suspended) = (i64::MAX, false);
        let revocation = |id: &Uuid| Revocation { subject: *id, below_epoch, suspended, until };
        self.revoke(tx, sessions.iter().map(revocation).collect()).await
    }

    async fn revoke(&self, tx: &mut Tx, revocations: Vec<Revocation>) -> Result<()> {
        let now = tx.now();
        store::revocations::put(tx, &revocations, now).await?;
        let verifier = self.verifier.clone();
        tx.after_commit(move || verifier.revocations().add(revocations));
        Ok(())
    }

    /// When every token issued before `now` has expired, with a margin of a minute.
    fn tokens_expired_at(&self, now: DateTime<Utc>) -> DateTime<Utc> {
        now + Duration::seconds(self.config.access_token_seconds + LEEWAY + 60)
    }

    /// Loads revocations into the verifier: all, or those since a time.
    pub async fn load_revocations(&self, since: Option<DateTime<Utc>>) -> Result<()> {
        let after = since.map_or(DateTime::UNIX_EPOCH, |since| since - OVERLAP);
        let now = self.clock.now();
        let revocations = store::revocations::since(&self.db, after, now).await?;
        self.verifier.revocations().add(revocations);
        Ok(())
    }
}

fn to_proto(rejection: Rejection) -> pb::Rejection {
    match rejection {
        Rejection::Expired => pb::Rejection::Expired,
        Rejection::Revoked => pb::Rejection::Revoked,
        Rejection::Malformed => pb::Rejection::Malformed,
        Rejection::WrongAudience => pb::Rejection::WrongAudience,
        Rejection::Suspended => pb::Rejection::Suspended,
    }
}

fn principal_to_proto(principal: &Principal) -> pb::Principal {
    let (kind, session_id) = match principal.kind {
        Kind::User => (pb::PrincipalType::User, principal.session_id.to_string()),
        _ => (pb::PrincipalType::Service, String::new()),
    };
    pb::Principal {
        r#type: kind.into(),
        principal_id: principal.id.to_string(),
        name: principal.name.clone(),
        session_id,
        roles: role_names(&principal.roles),
        scopes: principal.scopes.clone(),
        auth_time: Some(timestamp(principal.auth_time)),
        expire_time: Some(timestamp(principal.expire_time)),
        auth_epoch: principal.auth_epoch,
        authentication_methods: principal.methods.clone(),
    }
}
