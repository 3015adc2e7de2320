//! Changing passwords, and resetting them with a one-time code from an administrator.

use access::Caller;
use chrono::{DateTime, Duration, Utc};
use db::Tx;
use proto::auth as pb;
use proto::event::SessionEndReason;
use uuid::Uuid;

use crate::error::{Error, Result};
use crate::limits::Origin;
use crate::user::User;
use crate::users::audit_event;
use crate::{State, events, password, secret, store};

/// Lifetime of a reset code.
const CODE_HOURS: i64 = 24;

/// A one-time code with which a user can set a new password.
pub struct Reset {
    pub code: String,
    pub expires_at: DateTime<Utc>,
}

impl State {
    /// Changes the caller's password and ends all other sessions.
    pub async fn change_password(
        &self,
        caller: &Caller,
        request: pb::ChangePasswordRequest,
    ) -> Result<()> {
        let own = caller.user()?;
        if request.old_password.is_empty() {
            return Err(Error::field("old_password", "is missing"));
        }
        let user = store::users::get(&self.db, own.id).await?.ok_or(Error::UserNotFound)?;
        let new = self.check_password(&user, &request.new_password)?;
        // A stolen access token must not allow guessing the password, nor hinder other sessions.
        let origin = Origin::Device(own.session_id);
        let attempt = self.limits.attempt(&user.username_key, origin, caller.address).await?;
        let old = password::normalise(&request.old_password).unwrap_or_default();
        match self.hasher.verify(old, user.password_hash.clone()).await {
            Ok(true) => attempt.succeeded(),
            Ok(false) => {
                attempt.failed();
                return Err(Error::WrongPassword);
            }
            Err(error) => return Err(error),
        }
        let hash = self.hasher.hash(new).await?;
        let (hash, old_hash) = (hash.as_str(), user.password_hash.as_str());
        let changing = self.db.transact(|mut tx| async move {
            let user = store::users::lock(&mut tx, own.id).await?.ok_or(Error::UserNotFound)?;
            // A concurrent change invalidates the check of the old password.
            if user.password_hash != old_hash {
                return Err(Error::WrongPassword);
            }
            self.set_password(&mut tx, caller, user, hash, Some(own.session_id)).await
        });
        changing.await
    }

    fn check_password(&self, user: &User, new: &str) -> Result<String> {
        let min = self.config.password_min_length;
        password::check_new(new, min, &user.password_context())
            .map_err(|what| Error::field("new_password", &what))
    }

    pub async fn set_password(
        &self,
        tx: &mut Tx,
        caller: &Caller,
        mut user: User,
        hash: &str,
        keep: Option<Uuid>,
    ) -> Result<()> {
        user.password_hash = hash.to_owned();
        user.password_changed_at = tx.now();
        user.auth_epoch += 1;
        store::users::save(tx, &user).await?;
        self.revoke_user(tx, &user).await?;
        let reason = SessionEndReason::PasswordChanged;
        self.end_sessions(tx, &user, keep, reason).await?;
        let roles = self.roles_of(&mut *tx, user.id).await?;
        events::access_changed(tx, &user, &roles);
        audit_event(tx, "user.password-changed", caller, user.id, serde_json::json!({}));
        Ok(())
    }

    /// Creates a code for a user and invalidates an earlier one. `caller` is `None` for an operator
    /// on the machine itself.
    pub async fn create_reset(&self, caller: Option<&Caller>, reference: &str) -> Result<Reset> {
        let anonymous = Caller::anonymous();
        let caller = caller.unwrap_or(&anonymous);
        let id = self.find_user(&self.db, caller, "user_id", reference).await?.id;
        let code = secret::new_code();
        let hash = secret::code_hash(&code).expect("a new code is a code");
        let hash = hash.as_slice();
        let making = self.db.transact(|mut tx| async move {
            let now = tx.now();
            let expires_at = now + Duration::hours(CODE_HOURS);
            store::users::put_reset(&mut tx, id, hash, now, expires_at).await?;
            audit_event(&mut tx, "user.password-reset-made", caller, id, serde_json::json!({}));
            Ok::<_, Error>(expires_at)
        });
        Ok(Reset { expires_at: making.await?, code })
    }

    /// Sets a new password with a code and ends all sessions.
    pub async fn complete_reset(
        &self,
        caller: &Caller,
        request: pb::CompletePasswordResetRequest,
    ) -> Result<()> {
        if request.code.is_empty() || request.code.len() > 64 {
            return Err(Error::field("code", "must be a password reset code"));
        }
        let code_hash = secret::code_hash(&request.code).ok_or(Error::InvalidCode)?;
        self.limits.check_codes(caller.address)?;
        let owner = store::users::reset_of(&self.db, &code_hash, self.clock.now()).await?;
        let user = match owner {
            Some(id) => store::users::get(&self.db, id).await?,
            None => None,
        };
        let Some(user) = user else {
            self.limits.wrong_code(caller.address);
            return Err(Error::InvalidCode);
        };
        let new = self.check_password(&user, &request.new_password)?;
        let hash = self.hasher.hash(new).await?;
        let (id, hash, code_hash) = (user.id, hash.as_str(), code_hash.as_slice());
        let completing = self.db.transact(|mut tx| async move {
            let user = store::users::lock(&mut tx, id).await?.ok_or(Error::InvalidCode)?;
            if !store::users::take_reset(&mut tx, code_hash).await? {
                return Err(Error::InvalidCode);
            }
            self.set_password(&mut tx, caller, user, hash, None).await
        });
        completing.await
    }
}
