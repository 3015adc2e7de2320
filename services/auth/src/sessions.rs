//! Sign-in, refresh and sign-out.

use std::net::IpAddr;
use std::time::{Duration as StdDuration, Instant};

use access::Caller;
use chrono::{DateTime, Duration, Utc};
use db::Tx;
use proto::auth as pb;
use proto::event::SessionEndReason;
use rpc::Violations;
use service::Page;
use uuid::Uuid;

use crate::device::Device;
use crate::error::{Error, Result};
use crate::limits::Origin;
use crate::network::subscriber;
use crate::refresh::{Decision, RefreshToken, StoredTokens, decide};
use crate::session::{Session, client_name};
use crate::user::User;
use crate::users::{audit_event, parse_id};
use crate::{State, email, events, hashing, password, store, username};

/// Maximum length of an identifier, in bytes.
const MAX_IDENTIFIER: usize = email::MAX;

/// The result of a sign-in or refresh.
pub struct Issued {
    pub session: Session,
    pub access_token: String,
    /// Remaining lifetime of the access token, in seconds.
    pub expires_in: i32,
    pub refresh_token: String,
}

impl State {
    /// Returns the tokens of a new session, and the token of the device.
    pub async fn log_in(
        &self,
        caller: &Caller,
        client: &str,
        request: pb::CreateSessionRequest,
    ) -> Result<(Issued, String)> {
        let mut violations = Violations::default();
        let (identifier, secret) = (request.identifier.trim(), request.password);
        let length = 1..=MAX_IDENTIFIER;
        let valid = length.contains(&identifier.len()) && !identifier.contains('\0');
        violations.check(valid, "identifier", "must be a username or an e-mail address");
        violations.check(!secret.is_empty(), "password", "is missing");
        violations.into_result()?;
        let started = Instant::now();
        let user = if identifier.contains('@') {
            store::users::by_email(&self.db, &email::key(identifier)).await?
        } else {
            store::users::by_username(&self.db, &username::key(identifier)).await?
        };
        let device = user.as_ref().and_then(|user| self.device(user, &request.device_token));
        let origin = self.origin(user.as_ref(), device, caller.address).await?;
        let attempt =
            self.limits.attempt(&identifier.to_lowercase(), origin, caller.address).await?;
        // Before the check, so that the time of the answer does not reveal its result.
        tokio::time::sleep(attempt.delay()).await;
        let Some(user) = self.authenticate(user, &secret).await? else {
            attempt.failed();
            let minimum = StdDuration::from_millis(self.config.reply_floor_milliseconds);
            tokio::time::sleep(minimum.saturating_sub(started.elapsed())).await;
            return Err(Error::InvalidCredentials);
        };
        attempt.succeeded();
        let device = device.unwrap_or_else(|| Device::new(user.id));
        let issued = self.sign_in(caller, client, user, secret).await?;
        Ok((issued, device.token(&self.secrets.device)))
    }

    /// The device of this user that a token names. Other tokens are ignored: a device may be used for
    /// several accounts.
    fn device(&self, user: &User, token: &str) -> Option<Device> {
        let device = Device::parse(&self.secrets.device, token);
        device.filter(|device| device.user_id == user.id)
    }

    async fn origin(
        &self,
        user: Option<&User>,
        device: Option<Device>,
        address: Option<IpAddr>,
    ) -> Result<Origin> {
        if let Some(device) = device {
            return Ok(Origin::Device(device.id));
        }
        let Some(address) = address else { return Ok(Origin::Stranger(None)) };
        // Unknown users cost the same query.
        let id = user.map_or_else(Uuid::nil, |user| user.id);
        let known = store::sessions::used_from(&self.db, id, &subscriber(address)).await?;
        Ok(if known { Origin::Known(id, address) } else { Origin::Stranger(Some(address)) })
    }

    /// The user, if the password is right. Takes the same time for unknown users.
    async fn authenticate(&self, user: Option<User>, secret: &str) -> Result<Option<User>> {
        // An impossible password is hashed as the empty one, which no user has, to take the same
        // time.
        let normal = password::normalise(secret);
        let (possible, secret) = (normal.is_some(), normal.unwrap_or_default());
        let Some(user) = user else {
            self.hasher.verify_dummy(secret).await?;
            return Ok(None);
        };
        let right = self.hasher.verify(secret, user.password_hash.clone()).await?;
        Ok((right && possible).then_some(user))
    }

    async fn sign_in(
        &self,
        caller: &Caller,
        client: &str,
        user: User,
        secret: String,
    ) -> Result<Issued> {
        if user.is_suspended() {
            return Err(Error::UserSuspended);
        }
        let rehashed = match password::normalise(&secret) {
            Some(normal) if hashing::is_outdated(&user.password_hash) => {
                Some(self.hasher.hash(normal).await?)
            }
            _ => None,
        };
        let (user, rehashed) = (&user, rehashed.as_deref());
        let signing_in = self.db.transact(|mut tx| async move {
            // A password change since the check has ended all sessions; do not start a new one with
            // the old password.
            let held = store::users::lock_unchanged(&mut tx, user.id).await?;
            if held.is_none_or(|held| held.password_hash != user.password_hash) {
                return Err(Error::InvalidCredentials);
            }
            if let Some(hash) = rehashed {
                store::users::rehash(&mut tx, user.id, hash).await?;
            }
            let (session, token) = self.new_session(&mut tx, user.id, client, caller.address);
            store::sessions::insert(&mut tx, &session).await?;
            self.issue_session(&mut tx, session, &token).await
        });
        signing_in.await
    }

    fn new_session(
        &self,
        tx: &mut Tx,
        user_id: Uuid,
        client: &str,
        address: Option<IpAddr>,
    ) -> (Session, RefreshToken) {
        let (id, now) = (tx.new_id(), tx.now());
        let token = RefreshToken::new(&self.secrets.refresh, id);
        let session = Session {
            id,
            user_id,
            client: client_name(client),
            address: address.map(|address| address.to_string()).unwrap_or_default(),
            subscriber: address.map(subscriber).unwrap_or_default(),
            methods: "pwd".to_owned(),
            token_hash: token.hash(),
            previous_hash: None,
            sealed_token: None,
            created_at: now,
            refreshed_at: now,
            expires_at: self.session_end(now),
            ended_at: None,
            version: 1,
        };
        (session, token)
    }

    fn session_end(&self, now: DateTime<Utc>) -> DateTime<Utc> {
        now + Duration::days(self.config.session_idle_days)
    }

    /// The only function that issues users' access tokens. Re-reads the user under a lock, so that
    /// no concurrent suspension or change of roles is missed.
    async fn issue_session(
        &self,
        tx: &mut Tx,
        session: Session,
        token: &RefreshToken,
    ) -> Result<Issued> {
        let user = store::users::lock_unchanged(tx, session.user_id).await?;
        let user = user.ok_or(Error::InvalidRefreshToken)?;
        if user.is_suspended() {
            return Err(Error::UserSuspended);
        }
        let roles = self.roles_of(&mut *tx, user.id).await?;
        let (access_token, expires_in) = self.user_token(&user, &roles, &session)?;
        Ok(Issued { session, access_token, expires_in, refresh_token: token.text() })
    }

    /// Exchanges a refresh token for new tokens.
    pub async fn refresh(&self, caller: &Caller, text: &str) -> Result<Issued> {
        if text.is_empty() {
            return Err(Error::field("refresh_token", "is missing"));
        }
        // Not counted: a token with a valid MAC cannot be guessed.
        let token = RefreshToken::parse(&self.secrets.refresh, text);
        let token = &token.ok_or(Error::InvalidRefreshToken)?;
        let refreshing =
            self.db.transact(|mut tx| async move { self.refresh_in(&mut tx, caller, token).await });
        refreshing.await?.ok_or(Error::RefreshTokenReused)
    }

    /// `None` when the token was reused: the end of the session must be committed.
    async fn refresh_in(
        &self,
        tx: &mut Tx,
        caller: &Caller,
        token: &RefreshToken,
    ) -> Result<Option<Issued>> {
        let session = store::sessions::get(&mut *tx, token.session_id()).await?;
        let session = session.ok_or(Error::InvalidRefreshToken)?;
        let user = store::users::lock_unchanged(tx, session.user_id).await?;
        let user = user.ok_or(Error::InvalidRefreshToken)?;
        let session = store::sessions::lock(tx, session.id).await?;
        let session = session.filter(|session| session.is_live(tx.now()));
        let mut session = session.ok_or(Error::InvalidRefreshToken)?;
        let stored = StoredTokens {
            current: &session.token_hash,
            previous: session.previous_hash.as_deref(),
            rotated_at: session.refreshed_at,
        };
        let grace = Duration::seconds(self.config.refresh_grace_seconds);
        let successor = match decide(&token.hash(), &stored, grace, tx.now()) {
            Decision::Rotate => self.rotate(tx, caller, token, &mut session).await?,
            Decision::Repeat => {
                let sealed = session.sealed_token.as_deref();
                let successor = sealed.and_then(|sealed| token.open_successor(sealed));
                successor.ok_or(Error::InvalidRefreshToken)?
            }
            Decision::Reused => {
                self.end_reused(tx, caller, &user, &session).await?;
                return Ok(None);
            }
        };
        self.issue_session(tx, session, &successor).await.map(Some)
    }

    async fn rotate(
        &self,
        tx: &mut Tx,
        caller: &Caller,
        token: &RefreshToken,
        session: &mut Session,
    ) -> Result<RefreshToken> {
        let now = tx.now();
        let successor = RefreshToken::new(&self.secrets.refresh, session.id);
        session.previous_hash = Some(token.hash());
        session.token_hash = successor.hash();
        session.sealed_token = Some(successor.seal_under(token));
        session.address = caller.address.map(|a| a.to_string()).unwrap_or_default();
        session.subscriber = caller.address.map(subscriber).unwrap_or_default();
        session.refreshed_at = now;
        session.expires_at = self.session_end(now);
        store::sessions::rotate(tx, session).await?;
        Ok(successor)
    }

    async fn end_reused(
        &self,
        tx: &mut Tx,
        caller: &Caller,
        user: &User,
        session: &Session,
    ) -> Result<()> {
        tracing::warn!(session_id = %session.id, "refresh token reused, session ended");
        let reason = SessionEndReason::RefreshTokenReused;
        self.end_one(tx, user, session.id, reason).await?;
        let detail = serde_json::json!({
            "session_id": session.id,
            "address": caller.address.map(|address| address.to_string()),
        });
        audit_event(tx, "session.refresh-token-reused", caller, user.id, detail);
        Ok(())
    }

    pub async fn get_session(&self, caller: &Caller, reference: &str) -> Result<pb::Session> {
        let user = caller.user()?;
        let id = session_id(caller, reference)?;
        let session = store::sessions::get(&self.db, id).await?;
        let session = session.filter(|s| s.user_id == user.id && s.is_live(self.clock.now()));
        Ok(session.ok_or(Error::SessionNotFound)?.to_proto(user.session_id))
    }

    /// A page of the caller's live sessions.
    pub async fn list_sessions(
        &self,
        caller: &Caller,
        request: pb::ListSessionsRequest,
    ) -> Result<pb::ListSessionsResponse> {
        let user = caller.user()?;
        let (size, token) = (request.page_size, &request.page_token);
        let page = Page::open(&self.pages, "ListSessions", &[user.id.as_bytes()], size, token)?;
        let (before, now) = (page.after.unwrap_or(Uuid::max()), self.clock.now());
        let rows = store::sessions::page(&self.db, user.id, before, now, page.limit()).await?;
        let (sessions, next) = page.close(rows, |last| last.id);
        let sessions = sessions.iter().map(|session| session.to_proto(user.session_id));
        Ok(pb::ListSessionsResponse { sessions: sessions.collect(), next_page_token: next })
    }

    pub async fn log_out(&self, caller: &Caller, reference: &str) -> Result<()> {
        let user_id = caller.user()?.id;
        let id = session_id(caller, reference)?;
        let ending = self.db.transact(|mut tx| async move {
            let user = store::users::lock(&mut tx, user_id).await?.ok_or(Error::SessionNotFound)?;
            let session = store::sessions::get(&mut tx, id).await?;
            let live = session.filter(|s| s.user_id == user_id && s.is_live(tx.now()));
            let session = live.ok_or(Error::SessionNotFound)?;
            self.end_one(&mut tx, &user, session.id, SessionEndReason::LoggedOut).await
        });
        ending.await
    }

    /// Ends all sessions of the caller, or all but the current one. Returns their number.
    pub async fn log_out_everywhere(&self, caller: &Caller, keep_current: bool) -> Result<i32> {
        let own = caller.user()?;
        let except = keep_current.then_some(own.session_id);
        let ending = self.db.transact(|mut tx| async move {
            let user = store::users::lock(&mut tx, own.id).await?;
            let mut user = user.ok_or(Error::SessionNotFound)?;
            if !keep_current {
                user.auth_epoch += 1;
                store::users::save(&mut tx, &user).await?;
                self.revoke_user(&mut tx, &user).await?;
            }
            let reason = SessionEndReason::LoggedOut;
            let ended = self.end_sessions(&mut tx, &user, except, reason).await?;
            audit_event(&mut tx, "session.all-ended", caller, own.id, serde_json::json!({}));
            Ok(i32::try_from(ended).unwrap_or(i32::MAX))
        });
        ending.await
    }

    async fn end_one(
        &self,
        tx: &mut Tx,
        user: &User,
        id: Uuid,
        reason: SessionEndReason,
    ) -> Result<()> {
        if !store::sessions::end(tx, id, tx.now()).await? {
            return Err(Error::SessionNotFound);
        }
        self.revoke_sessions(tx, &[id]).await?;
        events::session_ended(tx, user, id, reason);
        Ok(())
    }

    /// Ends all sessions of a user but one and returns their number. The user's row must be locked.
    pub async fn end_sessions(
        &self,
        tx: &mut Tx,
        user: &User,
        except: Option<Uuid>,
        reason: SessionEndReason,
    ) -> Result<usize> {
        let ended = store::sessions::end_all(tx, user.id, except, tx.now()).await?;
        self.revoke_sessions(tx, &ended).await?;
        for id in &ended {
            events::session_ended(tx, user, *id, reason);
        }
        Ok(ended.len())
    }
}

/// Resolves a session reference: an id or `current`.
fn session_id(caller: &Caller, reference: &str) -> Result<Uuid> {
    if reference == "current" {
        return Ok(caller.user()?.session_id);
    }
    parse_id("session_id", reference)
}
