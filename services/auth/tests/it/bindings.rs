//! Role bindings and permission checks.

use access::testing::bearer;
use proto::auth as pb;
use tonic::{Code, Status};

use crate::world::{World, assert_invalid, assert_refused, each};

const PROBLEM: &str = "problems/0192f0c1-2345-7abc-8def-0123456789ab";

async fn unbind(world: &World, token: &str, id: &str) -> Result<(), Status> {
    let request = pb::DeleteRoleBindingRequest { role_binding_id: id.into() };
    world.access().delete_role_binding(bearer(token, request)).await.map(drop)
}

async fn list(
    world: &World,
    token: &str,
    request: pb::ListRoleBindingsRequest,
) -> Result<pb::ListRoleBindingsResponse, Status> {
    Ok(world.access().list_role_bindings(bearer(token, request)).await?.into_inner())
}

async fn check(
    world: &World,
    user_id: &str,
    permission: &str,
    resource: &str,
) -> Result<bool, Status> {
    let request = pb::CheckPermissionRequest {
        user_id: user_id.into(),
        permission: permission.into(),
        resource: resource.into(),
    };
    let request = bearer(&world.service, request);
    Ok(world.access().check_permission(request).await?.into_inner().allowed)
}

async fn allowed(world: &World, user_id: &str, permission: &str, resource: &str) -> bool {
    check(world, user_id, permission, resource).await.unwrap()
}

#[test]
fn a_changed_role_revokes_tokens_and_shows_in_the_next_one() {
    each(|world| async move {
        let (admin, user) = (world.admin().await, world.user("ada").await);
        let before = world.log_in("ada").await;
        let binding = world.bind(&admin, "Ada", "setter").await.unwrap();
        assert_eq!((&binding.user_id, binding.role.as_str()), (&user.user_id, "setter"));
        assert_eq!(world.validate(&before.access_token).await, Err(pb::Rejection::Revoked));
        let after = world.refresh(&before.refresh_token).await.unwrap().access_token;
        assert_eq!(world.validate(&after).await.unwrap().roles, ["player", "setter"]);
        let again = world.bind(&admin, "ada", "setter").await;
        assert_refused(again, Code::AlreadyExists, "BINDING_EXISTS");
        unbind(&world, &admin, &binding.role_binding_id).await.unwrap();
        assert_eq!(world.validate(&after).await, Err(pb::Rejection::Revoked));
        let gone = unbind(&world, &admin, &binding.role_binding_id).await;
        assert_refused(gone, Code::NotFound, "BINDING_NOT_FOUND");
        let roles = world.validate(&world.log_in("ada").await.access_token).await.unwrap().roles;
        assert_eq!(roles, ["player"]);
    });
}

#[test]
fn resource_roles_apply_to_their_resource_only() {
    each(|world| async move {
        let (admin, user) = (world.admin().await, world.user("ada").await);
        let token = world.log_in("ada").await.access_token;
        let request = pb::CreateRoleBindingRequest {
            user_id: "ada".into(),
            role: "judge".into(),
            resource: PROBLEM.into(),
            request_id: "once".into(),
        };
        let bind = || async {
            let request = bearer(&admin, request.clone());
            world.access().create_role_binding(request).await.map(|made| made.into_inner())
        };
        let first = bind().await.unwrap();
        assert_eq!(bind().await.unwrap(), first, "idempotent retry");
        assert!(world.validate(&token).await.is_ok(), "tokens carry global roles only");
        let (id, permission) = (user.user_id.as_str(), "challenge.source.get");
        assert!(allowed(&world, id, permission, PROBLEM).await);
        assert!(!allowed(&world, id, permission, "").await);
        assert!(!allowed(&world, id, permission, &PROBLEM.replace("0192", "0193")).await);
        // Every user has this permission.
        assert!(allowed(&world, id, "challenge.submission.create", "").await);
        world.suspend(&admin, "ada").await.unwrap();
        assert!(!allowed(&world, id, permission, PROBLEM).await);
        assert!(!allowed(&world, &ids::Uuid::from_u128(9).to_string(), permission, "").await);
    });
}

#[test]
fn a_role_cannot_be_granted_without_its_permissions() {
    each(|world| async move {
        let admin = world.admin().await;
        world.user("eve").await;
        world.bind(&admin, "eve", "organiser").await.unwrap();
        let organiser = world.log_in("eve").await.access_token;
        let refusal = world.bind(&organiser, "eve", "admin").await;
        assert_refused(refusal, Code::PermissionDenied, "PERMISSION_MISSING");
    });
}

#[test]
fn the_last_administrator_is_protected() {
    each(|world| async move {
        let admin = world.admin().await;
        let request = pb::ListRoleBindingsRequest { role: "admin".into(), ..Default::default() };
        let only = list(&world, &admin, request).await.unwrap().role_bindings.remove(0);
        let last = Code::FailedPrecondition;
        assert_refused(unbind(&world, &admin, &only.role_binding_id).await, last, "LAST_ADMIN");
        assert_refused(world.suspend(&admin, "admin").await, last, "LAST_ADMIN");
        world.user("ada").await;
        world.bind(&admin, "ada", "admin").await.unwrap();
        world.suspend(&admin, "ada").await.unwrap();
        assert_refused(unbind(&world, &admin, &only.role_binding_id).await, last, "LAST_ADMIN");
        world.reinstate(&admin, "ada").await;
        unbind(&world, &admin, &only.role_binding_id).await.unwrap();
        let ada = world.log_in("ada").await.access_token;
        assert_refused(world.suspend(&ada, "ada").await, last, "LAST_ADMIN");
        assert!(world.auth.ensure_admin(|_| Ok(())).await.unwrap().is_none());
    });
}

#[test]
fn bindings_are_filtered_and_paged() {
    each(|world| async move {
        let admin = world.admin().await;
        for name in ["ada", "eve", "grace"] {
            world.user(name).await;
            world.bind(&admin, name, "setter").await.unwrap();
        }
        world.bind(&admin, "ada", "judge").await.unwrap();
        let setters = |page_token: &str| pb::ListRoleBindingsRequest {
            role: "setter".into(),
            page_size: 2,
            page_token: page_token.into(),
            ..Default::default()
        };
        let first = list(&world, &admin, setters("")).await.unwrap();
        let second = list(&world, &admin, setters(&first.next_page_token)).await.unwrap();
        assert_eq!((first.role_bindings.len(), second.role_bindings.len()), (2, 1));
        assert_eq!(second.next_page_token, "");
        let of_ada = pb::ListRoleBindingsRequest { user_id: "ada".into(), ..Default::default() };
        assert_eq!(list(&world, &admin, of_ada.clone()).await.unwrap().role_bindings.len(), 2);
        let none = pb::ListRoleBindingsRequest { role: "organiser".into(), ..Default::default() };
        assert!(list(&world, &admin, none).await.unwrap().role_bindings.is_empty());
        let stolen = pb::ListRoleBindingsRequest { page_token: first.next_page_token, ..of_ada };
        assert_invalid(list(&world, &admin, stolen).await, &["page_token"]);
        let unknown = pb::ListRoleBindingsRequest { role: "god".into(), ..Default::default() };
        assert_invalid(list(&world, &admin, unknown).await, &["role"]);
        let nobody = pb::ListRoleBindingsRequest { user_id: "nobody".into(), ..Default::default() };
        assert_refused(list(&world, &admin, nobody).await, Code::NotFound, "USER_NOT_FOUND");
    });
}

#[test]
fn invalid_binding_requests_are_refused() {
    each(|world| async move {
        let admin = world.admin().await;
        world.user("ada").await;
        let bind = |user_id: &str, role: &str, resource: &str, request_id: &str| {
            let request = pb::CreateRoleBindingRequest {
                user_id: user_id.into(),
                role: role.into(),
                resource: resource.into(),
                request_id: request_id.into(),
            };
            let request = bearer(&admin, request);
            async { world.access().create_role_binding(request).await }
        };
        assert_invalid(bind("", "setter", "", "").await, &["user_id"]);
        assert_invalid(bind("ada", "god", "all", "").await, &["role", "resource"]);
        assert_invalid(bind("ada", "player", "", "").await, &["role"]);
        assert_invalid(bind("ada", "", "", &"x".repeat(129)).await, &["role", "request_id"]);
        assert_refused(bind("nobody", "setter", "", "").await, Code::NotFound, "USER_NOT_FOUND");
        assert!(bind("ada", "setter", "", "id").await.is_ok());
        assert_invalid(bind("ada", "judge", "", "id").await, &["request_id"]);
        assert_invalid(unbind(&world, &admin, "x").await, &["role_binding_id"]);
        let id = ids::Uuid::from_u128(1).to_string();
        assert_invalid(check(&world, "ada", "a.b.c", "").await, &["user_id"]);
        assert_invalid(check(&world, &id, "everything", "x").await, &["permission", "resource"]);
    });
}

#[test]
fn built_in_roles_are_listed() {
    each(|world| async move {
        let token = world.player("ada").await;
        let request = bearer(&token, pb::ListRolesRequest {});
        let roles = world.access().list_roles(request).await.unwrap().into_inner().roles;
        let names: Vec<String> = roles.into_iter().map(|role| role.name).collect();
        assert_eq!(names, ["player", "setter", "organiser", "director", "judge", "admin"]);
    });
}
