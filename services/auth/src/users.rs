//! Accounts: registration, profiles, suspension.

use access::{Caller, Role};
use db::{Read, Tx};
use proto::auth as pb;
use proto::event::SessionEndReason;
use rpc::Violations;
use service::{Idempotent, Page, check_request_id};
use uuid::Uuid;

use crate::audit::{self, Entry};
use crate::config::Registration;
use crate::error::{Error, Result};
use crate::user::{ProfileMask, User, check_profile, global_roles};
use crate::{Auth, State, email, events, password, secret, store, username};

/// Maximum length of a user reference, in bytes.
const MAX_REFERENCE: usize = 64;
const MAX_REASON: usize = 1000;
const FIRST_ADMIN: &str = "admin";
/// The permission over other users' profiles.
const UPDATE: &str = "auth.user.update";

/// The administrator of a new installation.
#[derive(Clone)]
pub struct FirstAdmin {
    pub username: String,
    pub password: String,
}

impl State {
    /// Registers an account.
    ///
    /// An e-mail address that belongs to another account is stored in the profile but cannot be
    /// used to sign in. The response does not reveal this.
    pub async fn register(
        &self,
        caller: &Caller,
        request: pb::RegisterUserRequest,
    ) -> Result<pb::User> {
        if self.config.registration == Registration::Closed {
            return Err(Error::RegistrationClosed);
        }
        let password = self.check_registration(caller, &request)?;
        let code_hash = self.check_invitation(caller, &request).await?;
        self.limits.register(caller.address).await?;
        let key = username::key(&request.username);
        let once = registration(&request, &key);
        // Look up the name before the expensive hash; usernames are public. A retry takes this
        // branch.
        let taken = store::users::by_username(&self.db, &key).await?;
        if let Some(user) = taken {
            return self.replay_registration(&once, user, password).await;
        }
        let user = self.new_user(&request, self.hasher.hash(password.clone()).await?);
        let (user, once, code_hash) = (&user, &once, code_hash.as_deref());
        let done = self.db.transact(|mut tx| async move {
            self.register_in(&mut tx, user, once, code_hash).await
        });
        match done.await {
            // Lost against a concurrent registration, possibly a retry of this request.
            Err(Error::UsernameTaken) => {
                let winner = store::users::by_username(&self.db, &key).await?;
                let winner = winner.ok_or(Error::UsernameTaken)?;
                self.replay_registration(once, winner, password).await
            }
            Err(Error::InvitationInvalid) => {
                self.limits.wrong_code(caller.address);
                Err(Error::InvitationInvalid)
            }
            other => other,
        }
    }

    fn check_registration(
        &self,
        caller: &Caller,
        request: &pb::RegisterUserRequest,
    ) -> Result<String> {
        let mut violations = Violations::default();
        if let Err(what) = username::check(&request.username) {
            violations.add("username", what);
        }
        let (display_name, address) = (&request.display_name, &request.email);
        let is_admin = caller.has(UPDATE);
        check_profile(&mut violations, "", is_admin, display_name, &request.country, address);
        check_request_id(&mut violations, &request.request_id);
        violations.check(request.invitation_code.len() <= 64, "invitation_code", "is too long");
        let context = [request.username.as_str(), address, display_name];
        let min = self.config.password_min_length;
        let password = password::check_new(&request.password, min, &context);
        let password = password.map_err(|what| violations.add("password", what)).ok();
        violations.into_result()?;
        password.ok_or_else(|| Error::field("password", "is not usable"))
    }

    async fn check_invitation(
        &self,
        caller: &Caller,
        request: &pb::RegisterUserRequest,
    ) -> Result<Option<Vec<u8>>> {
        if self.config.registration != Registration::Invite {
            return Ok(None);
        }
        if request.invitation_code.is_empty() {
            return Err(Error::InvitationRequired);
        }
        let hash = secret::code_hash(&request.invitation_code).ok_or(Error::InvitationInvalid)?;
        self.limits.check_codes(caller.address)?;
        let known = store::invitations::is_usable(&self.db, &hash, self.clock.now()).await?;
        // A retry may have used up the code itself; the transaction decides.
        if !known && request.request_id.is_empty() {
            self.limits.wrong_code(caller.address);
            return Err(Error::InvitationInvalid);
        }
        Ok(Some(hash))
    }

    pub fn new_user(&self, request: &pb::RegisterUserRequest, password_hash: String) -> User {
        let now = self.clock.now();
        User {
            id: self.clock.new_id(),
            username: request.username.clone(),
            username_key: username::key(&request.username),
            display_name: request.display_name.clone(),
            country: request.country.clone(),
            email: request.email.clone(),
            password_hash,
            password_changed_at: now,
            suspended_at: None,
            suspend_reason: String::new(),
            auth_epoch: 1,
            version: 1,
            created_at: now,
            updated_at: now,
        }
    }

    async fn register_in(
        &self,
        tx: &mut Tx,
        user: &User,
        once: &Idempotent<'_>,
        code_hash: Option<&[u8]>,
    ) -> Result<pb::User> {
        // A replay means that the account exists: `replay_registration` handles it.
        if once.claim::<pb::User>(tx).await?.is_some() || !store::users::insert(tx, user).await? {
            return Err(Error::UsernameTaken);
        }
        if let Some(hash) = code_hash
            && !store::invitations::take(tx, hash, tx.now()).await?
        {
            return Err(Error::InvitationInvalid);
        }
        store::users::claim_email(tx, user.id, &email::key(&user.email)).await?;
        events::registered(tx, user);
        let response = user.to_proto(&[Role::Player], true);
        once.store(tx, &response).await?;
        Ok(response)
    }

    /// The response for a username that exists: the stored one for a retry with the same request id
    /// and password, otherwise [`Error::UsernameTaken`].
    async fn replay_registration(
        &self,
        once: &Idempotent<'_>,
        user: User,
        password: String,
    ) -> Result<pb::User> {
        let response = match once.replay(&self.db).await {
            Ok(response) => response.ok_or(Error::UsernameTaken)?,
            Err(service::Error::RequestIdReused) => return Err(Error::UsernameTaken),
            Err(error) => return Err(error.into()),
        };
        if !self.hasher.verify(password, user.password_hash).await? {
            return Err(Error::UsernameTaken);
        }
        Ok(response)
    }

    /// A user, with private fields only if the caller may see them.
    pub async fn get_user(&self, caller: &Caller, reference: &str) -> Result<pb::User> {
        let user = self.find_user(&self.db, caller, "user_id", reference).await?;
        let private = sees_private(caller, user.id);
        let roles = if private { self.roles_of(&self.db, user.id).await? } else { Vec::new() };
        Ok(user.to_proto(&roles, private))
    }

    pub async fn list_users(
        &self,
        caller: &Caller,
        request: pb::ListUsersRequest,
    ) -> Result<pb::ListUsersResponse> {
        let prefix = username::key(&request.username_prefix);
        let plain = prefix.len() <= username::MAX && !prefix.contains('\0');
        let mut violations = Violations::default();
        violations.check(plain, "username_prefix", "must have at most 32 characters, and no NUL");
        violations.into_result()?;
        let (size, token) = (request.page_size, &request.page_token);
        let page: Page<'_, String> =
            Page::open(&self.pages, "ListUsers", &[prefix.as_bytes()], size, token)?;
        let after = page.after.clone().unwrap_or_default();
        let users = store::users::page(&self.db, &prefix, &after, page.limit()).await?;
        let (users, next) = page.close(users, |last| last.username_key.clone());
        let ids = users.iter().map(|user| user.id);
        let ids: Vec<Uuid> = ids.filter(|id| sees_private(caller, *id)).collect();
        let bound = match ids.as_slice() {
            [] => Vec::new(),
            ids => store::bindings::global_roles(&self.db, ids).await?,
        };
        let users = users.iter().map(|user| {
            let of_user = bound.iter().filter(|(id, _)| *id == user.id);
            let roles = global_roles(of_user.map(|(_, role)| role.as_str()));
            user.to_proto(&roles, sees_private(caller, user.id))
        });
        Ok(pb::ListUsersResponse { users: users.collect(), next_page_token: next })
    }

    pub async fn update_user(
        &self,
        caller: &Caller,
        request: pb::UpdateUserRequest,
    ) -> Result<pb::User> {
        let wanted = request.user.unwrap_or_default();
        let own = caller.user()?;
        let reference = wanted.user_id.as_str();
        let is_own = reference == "me"
            || ids::parse(reference) == Some(own.id)
            || username::key(reference) == username::key(&own.name);
        if !is_own && !reference.is_empty() {
            caller.require(UPDATE)?;
        }
        let mut violations = Violations::default();
        let paths = request.update_mask.unwrap_or_default().paths;
        let mask = ProfileMask::parse(&paths, &wanted);
        let mask = mask.map_err(|what| violations.add("update_mask", what)).unwrap_or_default();
        let text = |changes, text: &String| if changes { text.clone() } else { String::new() };
        let display_name = text(mask.display_name, &wanted.display_name);
        let country = text(mask.country, &wanted.country);
        let address = text(mask.email, &wanted.email);
        let is_admin = caller.has(UPDATE);
        check_profile(&mut violations, "user.", is_admin, &display_name, &country, &address);
        violations.into_result()?;
        let id = self.find_user(&self.db, caller, "user.user_id", reference).await?.id;
        let wanted = &wanted;
        let changing = self.db.transact(|mut tx| async move {
            self.update_in(&mut tx, caller, id, wanted, mask).await
        });
        changing.await
    }

    async fn update_in(
        &self,
        tx: &mut Tx,
        caller: &Caller,
        id: Uuid,
        wanted: &pb::User,
        mask: ProfileMask,
    ) -> Result<pb::User> {
        let mut user = store::users::lock(tx, id).await?.ok_or(Error::UserNotFound)?;
        // `lock` increased the version by one.
        if !wanted.etag.is_empty() && wanted.etag != (user.version - 1).to_string() {
            return Err(service::Error::EtagMismatch.into());
        }
        let now = tx.now();
        if mask.display_name {
            user.display_name = wanted.display_name.clone();
        }
        if mask.country {
            user.country = wanted.country.clone();
        }
        let email_changed = mask.email && email::key(&user.email) != email::key(&wanted.email);
        if mask.email {
            user.email = wanted.email.clone();
        }
        user.updated_at = now;
        let roles = self.roles_of(&mut *tx, id).await?;
        if email_changed {
            store::users::claim_email(tx, id, &email::key(&user.email)).await?;
            user.auth_epoch += 1;
            self.revoke_user(tx, &user).await?;
            events::access_changed(tx, &user, &roles);
            audit_event(tx, "user.email-changed", caller, id, serde_json::json!({}));
        }
        store::users::save(tx, &user).await?;
        events::updated(tx, &user);
        Ok(user.to_proto(&roles, true))
    }

    /// Suspends a user with a reason, or reinstates them (`None`). Idempotent.
    pub async fn set_suspended(
        &self,
        caller: &Caller,
        reference: &str,
        suspension: Option<&str>,
    ) -> Result<pb::User> {
        let reason = suspension.unwrap_or_default();
        let mut violations = Violations::default();
        if let Err(refusal) = text::check_lines(reason, MAX_REASON) {
            violations.add("reason", refusal.to_string());
        }
        violations.into_result()?;
        let id = self.find_user(&self.db, caller, "user_id", reference).await?.id;
        let changing = self.db.transact(|mut tx| async move {
            self.set_suspended_in(&mut tx, caller, id, suspension).await
        });
        changing.await
    }

    async fn set_suspended_in(
        &self,
        tx: &mut Tx,
        caller: &Caller,
        id: Uuid,
        suspension: Option<&str>,
    ) -> Result<pb::User> {
        if suspension.is_some() {
            self.lock_admins(tx).await?;
        }
        let held = store::users::lock_unchanged(tx, id).await?.ok_or(Error::UserNotFound)?;
        let roles = self.roles_of(&mut *tx, id).await?;
        if held.is_suspended() == suspension.is_some() {
            return Ok(held.to_proto(&roles, true));
        }
        if suspension.is_some() && roles.contains(&Role::Admin) {
            self.refuse_last_admin(tx, id).await?;
        }
        let mut user = store::users::lock(tx, id).await?.ok_or(Error::UserNotFound)?;
        user.suspended_at = suspension.map(|_| tx.now());
        user.suspend_reason = suspension.unwrap_or_default().to_owned();
        user.auth_epoch += 1;
        user.updated_at = tx.now();
        store::users::save(tx, &user).await?;
        self.revoke_user(tx, &user).await?;
        if suspension.is_some() {
            self.end_sessions(tx, &user, None, SessionEndReason::Suspended).await?;
        }
        events::access_changed(tx, &user, &roles);
        let kind = if user.is_suspended() { "user.suspended" } else { "user.reinstated" };
        audit_event(tx, kind, caller, id, serde_json::json!({ "reason": user.suspend_reason }));
        Ok(user.to_proto(&roles, true))
    }

    async fn insert_admin(
        &self,
        tx: &mut Tx,
        password: String,
        hash: String,
    ) -> Result<FirstAdmin> {
        let mut name = FIRST_ADMIN.to_owned();
        for suffix in 2.. {
            if store::users::by_username(&mut *tx, &name).await?.is_none() {
                break;
            }
            name = format!("{FIRST_ADMIN}-{suffix}");
        }
        let request = pb::RegisterUserRequest { username: name.clone(), ..Default::default() };
        let user = self.new_user(&request, hash);
        store::users::insert(tx, &user).await?;
        let binding = crate::binding::Binding {
            id: self.clock.new_id(),
            user_id: user.id,
            role: Role::Admin.name().to_owned(),
            resource: String::new(),
            created_by: Uuid::nil(),
            created_at: user.created_at,
        };
        store::bindings::insert(tx, &binding).await?;
        events::registered(tx, &user);
        audit_event(tx, "user.first-admin", &Caller::anonymous(), user.id, serde_json::json!({}));
        Ok(FirstAdmin { username: name, password })
    }

    /// Resolves a user reference: an id, a username or `me`.
    pub async fn find_user(
        &self,
        read: impl Read<'_>,
        caller: &Caller,
        field: &str,
        reference: &str,
    ) -> Result<User> {
        if reference.is_empty() || reference.len() > MAX_REFERENCE {
            return Err(Error::field(field, "must be an id, a username or me"));
        }
        let found = if reference == "me" {
            store::users::get(read, caller.user()?.id).await?
        } else if let Some(id) = ids::parse(reference) {
            store::users::get(read, id).await?
        } else if username::check_form(reference).is_ok() {
            store::users::by_username(read, &username::key(reference)).await?
        } else {
            None
        };
        found.ok_or(Error::UserNotFound)
    }

    pub async fn roles_of(&self, read: impl Read<'_>, id: Uuid) -> Result<Vec<Role>> {
        let bound = store::bindings::global_roles(read, &[id]).await?;
        Ok(global_roles(bound.iter().map(|(_, role)| role.as_str())))
    }
}

impl Auth {
    /// Creates an administrator with a random password if there is no active one. Calls `keep` with
    /// it before the commit: if `keep` fails, no administrator is created.
    pub async fn ensure_admin(
        &self,
        mut keep: impl FnMut(&FirstAdmin) -> std::io::Result<()>,
    ) -> Result<Option<FirstAdmin>> {
        if store::bindings::others_with(&self.0.db, Role::Admin.name(), Uuid::nil()).await? > 0 {
            return Ok(None);
        }
        let password = secret::new_code();
        let hash = self.0.hasher.hash(password.clone()).await?;
        let mut tx = self.0.db.begin().await?;
        self.0.lock_admins(&mut tx).await?;
        if store::bindings::others_with(&mut tx, Role::Admin.name(), Uuid::nil()).await? > 0 {
            return Ok(None);
        }
        let admin = self.0.insert_admin(&mut tx, password, hash).await?;
        keep(&admin).map_err(Error::internal)?;
        tx.commit().await?;
        Ok(Some(admin))
    }
}

/// Idempotency of a registration. The caller is the username, because no user is signed in. The
/// digest is stored and therefore excludes the password.
fn registration<'a>(request: &'a pb::RegisterUserRequest, key: &str) -> Idempotent<'a> {
    let caller = format!("registration/{key}");
    let profile = [
        request.username.as_bytes(),
        request.email.as_bytes(),
        request.display_name.as_bytes(),
        request.country.as_bytes(),
    ];
    Idempotent::new(caller, "RegisterUser", &request.request_id, &profile)
}

fn sees_private(caller: &Caller, id: Uuid) -> bool {
    let acting = caller.acting();
    (acting.is_user() && acting.id == id) || caller.has(UPDATE)
}

/// Adds a security event to the audit log at the commit.
pub fn audit_event(
    tx: &mut Tx,
    kind: &'static str,
    caller: &Caller,
    subject: Uuid,
    detail: serde_json::Value,
) {
    let actor = caller.acting().id;
    let actor_id = (!actor.is_nil()).then_some(actor);
    audit::append(tx, Entry { kind, actor_id, subject_id: Some(subject), detail });
}

/// Parses an id; INVALID_ARGUMENT for the field if it is not a UUID.
pub fn parse_id(field: &str, text: &str) -> Result<Uuid> {
    ids::parse(text).ok_or_else(|| Error::field(field, "must be an id (UUID)"))
}
