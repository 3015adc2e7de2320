//! Reading and updating profiles.

use access::testing::bearer;
use proto::auth as pb;
use tonic::{Code, IntoRequest as _, Status};

use crate::world::{World, assert_invalid, assert_refused, each, registration};

async fn update(
    world: &World,
    token: &str,
    user: pb::User,
    paths: &[&str],
) -> Result<pb::User, Status> {
    let paths = paths.iter().map(|path| (*path).to_owned()).collect();
    let update_mask = Some(prost_types::FieldMask { paths });
    let request = pb::UpdateUserRequest { user: Some(user), update_mask };
    let done = world.users().update_user(bearer(token, request)).await?;
    Ok(done.into_inner().user.expect("a user"))
}

fn me() -> pb::User {
    pb::User { user_id: "me".into(), ..Default::default() }
}

#[test]
fn only_masked_fields_change() {
    each(|world| async move {
        let token = world.player("ada").await;
        let wanted = pb::User { display_name: "Ada".into(), country: "GB".into(), ..me() };
        let user = update(&world, &token, wanted.clone(), &["country"]).await.unwrap();
        assert_eq!((user.display_name.as_str(), user.country.as_str()), ("", "GB"));
        let named = pb::User { display_name: "Ada".into(), ..me() };
        let user = update(&world, &token, named, &[]).await.unwrap();
        assert_eq!((user.display_name.as_str(), user.country.as_str()), ("Ada", "GB"));
        let user = update(&world, &token, me(), &["*"]).await.unwrap();
        assert_eq!((user.display_name.as_str(), user.country.as_str()), ("", ""));
        let stale = pb::User { etag: "1".into(), ..wanted };
        let refusal = update(&world, &token, stale.clone(), &[]).await;
        assert_refused(refusal, Code::Aborted, "ETAG_MISMATCH");
        let fresh = pb::User { etag: user.etag, ..stale };
        let changed = update(&world, &token, fresh.clone(), &[]).await.unwrap();
        assert_ne!(changed.etag, fresh.etag);
        assert!(world.validate(&token).await.is_ok(), "a profile change keeps tokens valid");
    });
}

#[test]
fn an_email_change_revokes_tokens_and_changes_the_sign_in() {
    each(|world| async move {
        world.user("ada").await;
        let made = world.log_in("ada").await;
        let wanted = pb::User { email: "ada@example.org".into(), ..me() };
        update(&world, &made.access_token, wanted, &[]).await.unwrap();
        assert_eq!(world.validate(&made.access_token).await, Err(pb::Rejection::Revoked));
        let token = world.refresh(&made.refresh_token).await.unwrap().access_token;
        world.log_in("ada@example.org").await;
        update(&world, &token, me(), &["email"]).await.unwrap();
        let gone = world.try_log_in("ada@example.org", crate::world::PASSWORD).await;
        assert_refused(gone, Code::Unauthenticated, "INVALID_CREDENTIALS");
    });
}

#[test]
fn updating_other_users_requires_permission() {
    each(|world| async move {
        let (admin, eve) = (world.admin().await, world.player("eve").await);
        let ada = world.user("ada").await;
        for reference in ["ada", ada.user_id.as_str(), "nobody", "me@", "x"] {
            let wanted = pb::User { user_id: reference.into(), country: "NZ".into(), ..me() };
            let refusal = update(&world, &eve, wanted, &[]).await;
            assert_refused(refusal, Code::PermissionDenied, "PERMISSION_MISSING");
        }
        let wanted = pb::User { user_id: "ada".into(), country: "NZ".into(), ..me() };
        assert_eq!(update(&world, &admin, wanted, &[]).await.unwrap().country, "NZ");
        let wanted = pb::User { user_id: "nobody".into(), ..me() };
        let refusal = update(&world, &admin, wanted, &["*"]).await;
        assert_refused(refusal, Code::NotFound, "USER_NOT_FOUND");
    });
}

#[test]
fn invalid_fields_are_reported() {
    each(|world| async move {
        let token = world.player("ada").await;
        let wanted = pb::User {
            display_name: "x".repeat(65),
            country: "nz".into(),
            email: "x".into(),
            ..me()
        };
        let all = ["user.display_name", "user.country", "user.email"];
        assert_invalid(update(&world, &token, wanted.clone(), &["*"]).await, &all);
        let refusal = update(&world, &token, wanted.clone(), &["country"]).await;
        assert_invalid(refusal, &["user.country"]);
        for path in ["username", "roles", "user.country", "", &"x".repeat(10_000)] {
            assert_invalid(update(&world, &token, wanted.clone(), &[path]).await, &["update_mask"]);
        }
        let no_user = pb::User { user_id: String::new(), ..me() };
        assert_invalid(update(&world, &token, no_user, &[]).await, &["user.user_id"]);
        let nothing = pb::UpdateUserRequest::default();
        let refusal = world.users().update_user(bearer(&token, nothing)).await;
        assert_invalid(refusal, &["user.user_id"]);
    });
}

#[test]
fn user_references_are_resolved() {
    each(|world| async move {
        let get = |user_id: &str| {
            let request = pb::GetUserRequest { user_id: user_id.into() };
            async { world.users().get_user(request).await }
        };
        assert_invalid(get("").await, &["user_id"]);
        assert_invalid(get(&"x".repeat(1000)).await, &["user_id"]);
        for unknown in ["nobody", "no body", "1", "\0", &ids::Uuid::from_u128(1).to_string()] {
            assert_refused(get(unknown).await, Code::NotFound, "USER_NOT_FOUND");
        }
        assert_refused(get("me").await, Code::Unauthenticated, "TOKEN_MISSING");
        let request = bearer(&world.service, pb::GetUserRequest { user_id: "me".into() });
        assert_refused(world.users().get_user(request).await, Code::PermissionDenied, "USER_ONLY");
    });
}

#[test]
fn roles_are_shown_to_the_user_and_administrators_only() {
    each(|world| async move {
        let (admin, ada) = (world.admin().await, world.player("ada").await);
        let roles_of = async |token: &str, user_id: &str| {
            let request = pb::GetUserRequest { user_id: user_id.into() };
            let request =
                if token.is_empty() { request.into_request() } else { bearer(token, request) };
            let answer = world.users().get_user(request).await.unwrap();
            answer.into_inner().user.unwrap().roles
        };
        for token in ["", ada.as_str(), world.service.as_str()] {
            assert!(roles_of(token, "admin").await.is_empty());
        }
        assert_eq!(roles_of(&ada, "me").await, ["player"]);
        assert_eq!(roles_of(&admin, "admin").await, ["admin", "player"]);
        assert_eq!(roles_of(&admin, "ada").await, ["player"]);
        for (token, expected) in [(&ada, [0, 1]), (&admin, [2, 1])] {
            let request = bearer(token, pb::ListUsersRequest::default());
            let users = world.users().list_users(request).await.unwrap().into_inner().users;
            let mut counts: Vec<_> =
                users.iter().map(|user| (user.username.as_str(), user.roles.len())).collect();
            counts.sort_unstable();
            assert_eq!(counts, [("ada", expected[1]), ("admin", expected[0])]);
        }
    });
}

#[test]
fn names_that_deceive_are_refused() {
    each(|world| async move {
        for username in ["administrator", "Moderator", "supp0rt", "agon-staff", "sys_tem"] {
            assert_invalid(world.register(registration(username)).await, &["username"]);
        }
        for name in ["\u{3164}", "Ada\u{202e}", "Ada\u{2028}", "Ada\u{e0041}", "Agon Ѕupport"] {
            let request =
                pb::RegisterUserRequest { display_name: name.into(), ..registration("ada") };
            assert_invalid(world.register(request).await, &["display_name"]);
        }
        let (admin, token) = (world.admin().await, world.player("ada").await);
        let staff = pb::User { display_name: "Agon Support".into(), ..me() };
        let refusal = update(&world, &token, staff.clone(), &[]).await;
        assert_invalid(refusal, &["user.display_name"]);
        assert!(update(&world, &admin, staff, &[]).await.is_ok());
    });
}

#[test]
fn users_are_filtered_and_paged() {
    each(|world| async move {
        for name in ["grace", "Ada", "adele", "eve"] {
            world.user(name).await;
        }
        let list = |size: i32, token: &str, prefix: &str| {
            let request = pb::ListUsersRequest {
                page_size: size,
                page_token: token.into(),
                username_prefix: prefix.into(),
            };
            async { world.users().list_users(request).await.map(|page| page.into_inner()) }
        };
        let names = |page: &pb::ListUsersResponse| {
            page.users.iter().map(|user| user.username.clone()).collect::<Vec<_>>()
        };
        let first = list(3, "", "").await.unwrap();
        assert_eq!(names(&first), ["Ada", "adele", "admin"]);
        assert!(first.users.iter().all(|user| user.roles.is_empty()), "{first:?}");
        let second = list(3, &first.next_page_token, "").await.unwrap();
        assert_eq!(
            (names(&second).join(" ").as_str(), &*second.next_page_token),
            ("eve grace", "")
        );
        assert_eq!(names(&list(0, "", "AD").await.unwrap()), ["Ada", "adele", "admin"]);
        assert!(list(0, "", "zz").await.unwrap().users.is_empty());
        assert!(list(0, "", "%").await.unwrap().users.is_empty());
        assert_invalid(list(3, &first.next_page_token, "a").await, &["page_token"]);
        assert_invalid(list(-1, "", "").await, &["page_size"]);
        assert_invalid(list(0, "", &"a".repeat(33)).await, &["username_prefix"]);
        assert_invalid(list(0, "", "\0").await, &["username_prefix"]);
    });
}
