//! Changing and resetting passwords.

use std::time::Duration;

use access::testing::bearer;
use proto::auth as pb;
use tonic::{Code, Status};

use crate::world::{PASSWORD, World, assert_invalid, assert_refused, each};

const NEW: &str = "a new sentence for the gate";

async fn change(world: &World, token: &str, old: &str, new: &str) -> Result<(), Status> {
    let request = pb::ChangePasswordRequest { old_password: old.into(), new_password: new.into() };
    world.credentials().change_password(bearer(token, request)).await.map(drop)
}

async fn reset(world: &World, code: &str, new: &str) -> Result<(), Status> {
    let request = pb::CompletePasswordResetRequest { code: code.into(), new_password: new.into() };
    world.credentials().complete_password_reset(request).await.map(drop)
}

async fn code_for(world: &World, user_id: &str) -> Result<String, Status> {
    let request = pb::CreatePasswordResetRequest { user_id: user_id.into() };
    let request = bearer(&world.admin().await, request);
    Ok(world.credentials().create_password_reset(request).await?.into_inner().code)
}

#[test]
fn a_password_change_ends_other_sessions() {
    each(|world| async move {
        world.user("ada").await;
        let (here, there) = (world.log_in("ada").await, world.log_in("ada").await);
        change(&world, &here.access_token, PASSWORD, NEW).await.unwrap();
        assert_eq!(world.validate(&there.access_token).await, Err(pb::Rejection::Revoked));
        assert!(world.refresh(&there.refresh_token).await.is_err());
        // The current session continues with new tokens.
        assert_eq!(world.validate(&here.access_token).await, Err(pb::Rejection::Revoked));
        let next = world.refresh(&here.refresh_token).await.unwrap();
        assert!(world.validate(&next.access_token).await.is_ok());
        let old = world.try_log_in("ada", PASSWORD).await;
        assert_refused(old, Code::Unauthenticated, "INVALID_CREDENTIALS");
        assert!(world.try_log_in("ada", NEW).await.is_ok());
    });
}

#[test]
fn invalid_password_changes_are_refused_and_limited() {
    each(|world| async move {
        let token = world.player("ada").await;
        let wrong = change(&world, &token, "wrong horse battery staple", NEW).await;
        assert_refused(wrong, Code::Unauthenticated, "INVALID_CREDENTIALS");
        assert_invalid(change(&world, &token, "", NEW).await, &["old_password"]);
        for new in ["", "short", "ada ada ada ada ada", "passwordpassword1"] {
            assert_invalid(change(&world, &token, PASSWORD, new).await, &["new_password"]);
        }
        for _ in 0..4 {
            let _ = change(&world, &token, "wrong horse battery staple", NEW).await;
        }
        let refusal = change(&world, &token, PASSWORD, NEW).await;
        assert_refused(refusal, Code::ResourceExhausted, "TOO_MANY_ATTEMPTS");
    });
}

#[test]
fn a_reset_code_works_once_and_ends_all_sessions() {
    each(|world| async move {
        let token = world.player("ada").await;
        let first = code_for(&world, "ada").await.unwrap();
        let code = code_for(&world, "ada").await.unwrap();
        assert_refused(reset(&world, &first, NEW).await, Code::Unauthenticated, "INVALID_CODE");
        assert_invalid(reset(&world, &code, "short").await, &["new_password"]);
        reset(&world, &code.to_lowercase(), NEW).await.unwrap();
        assert_eq!(world.validate(&token).await, Err(pb::Rejection::Revoked));
        assert_refused(reset(&world, &code, NEW).await, Code::Unauthenticated, "INVALID_CODE");
        assert!(world.try_log_in("ada", NEW).await.is_ok());
        let code = world.auth.reset_password("ADA").await.unwrap();
        world.clock.advance(Duration::from_secs(24 * 3600 + 1));
        assert_refused(reset(&world, &code, NEW).await, Code::Unauthenticated, "INVALID_CODE");
    });
}

#[test]
fn invalid_reset_codes_are_refused() {
    each(|world| async move {
        for code in ["x", "ABCDE-ABCDE-ABCDE-ABCDE", "\0"] {
            assert_refused(reset(&world, code, NEW).await, Code::Unauthenticated, "INVALID_CODE");
        }
        assert_invalid(reset(&world, "", NEW).await, &["code"]);
        assert_invalid(reset(&world, &"x".repeat(65), NEW).await, &["code"]);
        assert_refused(code_for(&world, "nobody").await, Code::NotFound, "USER_NOT_FOUND");
        assert_invalid(code_for(&world, "").await, &["user_id"]);
    });
}
