//! Role bindings and permission checks.

use access::{Caller, Role, roles};
use db::{Tx, TxGuard};
use proto::auth as pb;
use rpc::Violations;
use service::{Idempotent, Page, check_request_id};
use uuid::Uuid;

use crate::binding::{Binding, check_resource};
use crate::error::{Error, Result};
use crate::user::global_roles;
use crate::users::{audit_event, parse_id};
use crate::{State, events, store};

impl State {
    pub fn list_roles(&self) -> pb::ListRolesResponse {
        let role = |role: &Role| pb::Role {
            name: role.name().to_owned(),
            description: role.description().to_owned(),
            permissions: role.permissions().iter().map(|name| (*name).to_owned()).collect(),
        };
        pb::ListRolesResponse { roles: roles::ALL.iter().map(role).collect() }
    }

    /// Grants a role. Requires all of its permissions.
    pub async fn create_binding(
        &self,
        caller: &Caller,
        request: pb::CreateRoleBindingRequest,
    ) -> Result<pb::RoleBinding> {
        let mut violations = Violations::default();
        let role = match request.role.parse::<Role>() {
            Ok(Role::Player) => Err("must not be player, which every user has".to_owned()),
            other => other.map_err(|error| error.to_string()),
        };
        let role = role.map_err(|what| violations.add("role", what)).ok();
        if let Err(what) = check_resource(&request.resource) {
            violations.add("resource", what);
        }
        check_request_id(&mut violations, &request.request_id);
        violations.into_result()?;
        let role = role.ok_or_else(|| Error::field("role", "is missing"))?;
        check_grant(caller, role)?;
        let user_id = self.find_user(&self.db, caller, "user_id", &request.user_id).await?.id;
        let resource = request.resource.as_str();
        let content = [user_id.as_bytes(), role.name().as_bytes(), resource.as_bytes()];
        let (caller_id, request_id) = (caller.acting().id, &request.request_id);
        let once = Idempotent::new(caller_id, "CreateRoleBinding", request_id, &content);
        let create = |mut tx: TxGuard| async move {
            let binding = Binding {
                id: tx.new_id(),
                user_id,
                role: role.name().to_owned(),
                resource: resource.to_owned(),
                created_by: caller.acting().id,
                created_at: tx.now(),
            };
            if !store::bindings::insert(&mut tx, &binding).await? {
                return Err(Error::BindingExists);
            }
            self.roles_changed(&mut tx, caller, "role.given", &binding).await?;
            Ok(binding.to_proto())
        };
        once.run(&self.db, create).await
    }

    /// Revokes a role. Requires all of its permissions.
    pub async fn delete_binding(&self, caller: &Caller, reference: &str) -> Result<()> {
        let id = parse_id("role_binding_id", reference)?;
        let deleting = self.db.transact(|mut tx| async move {
            let binding = store::bindings::get(&mut tx, id).await?;
            let binding = binding.ok_or(Error::BindingNotFound)?;
            if let Ok(role) = binding.role.parse() {
                check_grant(caller, role)?;
            }
            if binding.is_global_admin() {
                self.lock_admins(&mut tx).await?;
                // A suspended administrator does not count as the last one.
                let user = store::users::lock_unchanged(&mut tx, binding.user_id).await?;
                if user.is_some_and(|user| !user.is_suspended()) {
                    self.refuse_last_admin(&mut tx, binding.user_id).await?;
                }
            }
            if !store::bindings::delete(&mut tx, id).await? {
                return Err(Error::BindingNotFound);
            }
            self.roles_changed(&mut tx, caller, "role.taken", &binding).await
        });
        deleting.await
    }

    /// Revokes the user's tokens when a global role changed, because tokens contain global roles.
    /// Roles on a resource are looked up when needed.
    async fn roles_changed(
        &self,
        tx: &mut Tx,
        caller: &Caller,
        kind: &'static str,
        binding: &Binding,
    ) -> Result<()> {
        if binding.resource.is_empty() {
            let user = store::users::lock(tx, binding.user_id).await?;
            let mut user = user.ok_or(Error::UserNotFound)?;
            user.auth_epoch += 1;
            store::users::save(tx, &user).await?;
            self.revoke_user(tx, &user).await?;
            let roles = self.roles_of(&mut *tx, user.id).await?;
            events::access_changed(tx, &user, &roles);
        }
        let detail = serde_json::json!({ "role": binding.role, "resource": binding.resource });
        audit_event(tx, kind, caller, binding.user_id, detail);
        Ok(())
    }

    pub async fn list_bindings(
        &self,
        caller: &Caller,
        request: pb::ListRoleBindingsRequest,
    ) -> Result<pb::ListRoleBindingsResponse> {
        if !request.role.is_empty()
            && let Err(error) = request.role.parse::<Role>()
        {
            return Err(Error::field("role", &error.to_string()));
        }
        let user_id = match request.user_id.as_str() {
            "" => None,
            reference => Some(self.find_user(&self.db, caller, "user_id", reference).await?.id),
        };
        let filter = user_id.unwrap_or_default();
        let parts: [&[u8]; 2] = [filter.as_bytes(), request.role.as_bytes()];
        let (size, token) = (request.page_size, &request.page_token);
        let page = Page::open(&self.pages, "ListRoleBindings", &parts, size, token)?;
        let before = page.after.unwrap_or(Uuid::max());
        let rows =
            store::bindings::page(&self.db, user_id, &request.role, before, page.limit()).await?;
        let (bindings, next) = page.close(rows, |last| last.id);
        let role_bindings = bindings.iter().map(Binding::to_proto).collect();
        Ok(pb::ListRoleBindingsResponse { role_bindings, next_page_token: next })
    }

    /// Whether an active user holds a permission, globally or on a resource.
    pub async fn check_permission(&self, request: pb::CheckPermissionRequest) -> Result<bool> {
        let user_id = parse_id("user_id", &request.user_id)?;
        let mut violations = Violations::default();
        if !is_permission(&request.permission) {
            violations.add("permission", "must be a permission such as problem.problem.update");
        }
        if let Err(what) = check_resource(&request.resource) {
            violations.add("resource", what);
        }
        violations.into_result()?;
        let user = store::users::get(&self.db, user_id).await?;
        if user.is_none_or(|user| user.is_suspended()) {
            return Ok(false);
        }
        let bound = store::bindings::roles_on(&self.db, user_id, &request.resource).await?;
        let roles = global_roles(bound.iter().map(|(role,)| role.as_str()));
        Ok(roles.iter().any(|role| role.grants(&request.permission)))
    }

    /// Serialises transactions that could remove administrators. Concurrent ones could otherwise
    /// each remove an administrator that the other one counts on.
    pub async fn lock_admins(&self, tx: &mut Tx) -> Result<()> {
        Ok(tx.advisory_lock("administrators").await?)
    }

    /// An error when there is no other active administrator.
    pub async fn refuse_last_admin(&self, tx: &mut Tx, user_id: Uuid) -> Result<()> {
        let others = store::bindings::others_with(tx, Role::Admin.name(), user_id).await?;
        if others == 0 { Err(Error::LastAdmin) } else { Ok(()) }
    }
}

/// Callers may grant and revoke only roles whose permissions they hold.
fn check_grant(caller: &Caller, role: Role) -> Result<()> {
    let holds = role.permissions().iter().all(|permission| caller.has(permission));
    if holds { Ok(()) } else { Err(Error::GrantExceedsOwn) }
}

fn is_permission(text: &str) -> bool {
    let plain =
        |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_lowercase() || b == b'-');
    text.len() <= 128 && text.split('.').count() == 3 && text.split('.').all(plain)
}
