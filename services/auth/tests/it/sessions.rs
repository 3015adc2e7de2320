//! Sign-in and sign-out.

use access::testing::bearer;
use proto::auth as pb;
use rpc::status;
use tonic::{Code, Status};

use crate::world::{PASSWORD, World, assert_invalid, assert_refused, each, open};

async fn list(
    world: &World,
    token: &str,
    page_size: i32,
    page_token: &str,
) -> Result<pb::ListSessionsResponse, Status> {
    let request = pb::ListSessionsRequest { page_size, page_token: page_token.into() };
    Ok(world.sessions().list_sessions(bearer(token, request)).await?.into_inner())
}

async fn log_out(world: &World, token: &str, id: &str) -> Result<(), Status> {
    let request = pb::DeleteSessionRequest { session_id: id.into() };
    world.sessions().delete_session(bearer(token, request)).await.map(drop)
}

#[test]
fn a_new_session_and_its_token() {
    each(|world| async move {
        let user = world.user("ada").await;
        let made = world.log_in("ada").await;
        assert_eq!(made.token_type, "Bearer");
        assert!((270..=300).contains(&made.expires_in), "{}", made.expires_in);
        let session = made.session.unwrap();
        assert!(session.current && session.user_id == user.user_id);
        let principal = world.validate(&made.access_token).await.unwrap();
        assert_eq!(principal.r#type(), pb::PrincipalType::User);
        assert_eq!((&principal.name, &principal.principal_id), (&user.username, &user.user_id));
        assert_eq!(principal.session_id, session.session_id);
        assert_eq!(principal.roles, ["player"]);
        assert_eq!(principal.authentication_methods, ["pwd"]);
        assert_eq!(principal.auth_epoch, 1);
    });
}

#[test]
fn unknown_users_and_wrong_passwords_are_indistinguishable() {
    each(|world| async move {
        world.user("ada").await;
        let mut answers = Vec::new();
        for (identifier, password) in [
            ("ada", "wrong horse battery staple"),
            ("nobody", PASSWORD),
            ("nobody@example.org", PASSWORD),
            ("not a name at all", PASSWORD),
            ("ada", "too short"),
            ("ada", &"long ".repeat(1000)),
            ("ada", "control\u{1}character"),
        ] {
            let status = world.try_log_in(identifier, password).await.unwrap_err();
            assert_eq!(status.code(), Code::Unauthenticated);
            assert_eq!(status::reason(&status).as_deref(), Some("INVALID_CREDENTIALS"));
            answers.push((status.message().to_owned(), status.details().to_vec()));
            world.clock.advance(std::time::Duration::from_secs(901));
        }
        assert!(answers.windows(2).all(|pair| pair[0] == pair[1]));
        assert_invalid(world.try_log_in("", "").await, &["identifier", "password"]);
        assert_invalid(world.try_log_in(&"a".repeat(255), PASSWORD).await, &["identifier"]);
        assert_invalid(world.try_log_in("a\0b", PASSWORD).await, &["identifier"]);
    });
}

#[test]
fn log_out_takes_effect_immediately() {
    each(|world| async move {
        world.user("ada").await;
        let (one, two) = (world.log_in("ada").await, world.log_in("ada").await);
        assert!(world.validate(&one.access_token).await.is_ok());
        log_out(&world, &one.access_token, "current").await.unwrap();
        assert_eq!(world.validate(&one.access_token).await, Err(pb::Rejection::Revoked));
        assert!(world.validate(&two.access_token).await.is_ok());
        let again = log_out(&world, &one.access_token, "current").await;
        assert_refused(again, Code::Unauthenticated, "TOKEN_REVOKED");
        let refreshed = world.refresh(&one.refresh_token).await;
        assert_refused(refreshed, Code::Unauthenticated, "INVALID_REFRESH_TOKEN");
    });
}

#[test]
fn a_session_can_end_another_one() {
    each(|world| async move {
        world.user("ada").await;
        let (one, two) = (world.log_in("ada").await, world.log_in("ada").await);
        let id = two.session.unwrap().session_id;
        log_out(&world, &one.access_token, &id).await.unwrap();
        assert_eq!(world.validate(&two.access_token).await, Err(pb::Rejection::Revoked));
        let gone = log_out(&world, &one.access_token, &id).await;
        assert_refused(gone, Code::NotFound, "SESSION_NOT_FOUND");
        assert_invalid(log_out(&world, &one.access_token, "x").await, &["session_id"]);
    });
}

#[test]
fn sessions_of_other_users_are_not_found() {
    each(|world| async move {
        let eve = world.player("eve").await;
        world.user("ada").await;
        let ada = world.log_in("ada").await;
        let id = ada.session.unwrap().session_id;
        assert_refused(log_out(&world, &eve, &id).await, Code::NotFound, "SESSION_NOT_FOUND");
        let request = pb::GetSessionRequest { session_id: id };
        let seen = world.sessions().get_session(bearer(&eve, request)).await;
        assert_refused(seen, Code::NotFound, "SESSION_NOT_FOUND");
        assert!(world.validate(&ada.access_token).await.is_ok());
        assert_eq!(list(&world, &eve, 0, "").await.unwrap().sessions.len(), 1);
    });
}

#[test]
fn log_out_everywhere_can_keep_the_current_session() {
    each(|world| async move {
        world.user("ada").await;
        let here = world.log_in("ada").await;
        let there = world.log_in("ada").await;
        let request = |keep_current| {
            bearer(&here.access_token, pb::DeleteAllSessionsRequest { keep_current })
        };
        let ended = world.sessions().delete_all_sessions(request(true)).await.unwrap();
        assert_eq!(ended.into_inner().session_count, 1);
        assert!(world.validate(&here.access_token).await.is_ok());
        assert_eq!(world.validate(&there.access_token).await, Err(pb::Rejection::Revoked));
        let ended = world.sessions().delete_all_sessions(request(false)).await.unwrap();
        assert_eq!(ended.into_inner().session_count, 1);
        assert_eq!(world.validate(&here.access_token).await, Err(pb::Rejection::Revoked));
        assert!(world.refresh(&here.refresh_token).await.is_err());
        assert!(world.validate(&world.log_in("ada").await.access_token).await.is_ok());
    });
}

#[test]
fn sessions_are_paged() {
    each(|world| async move {
        let token = world.player("ada").await;
        for _ in 0..4 {
            world.log_in("ada").await;
        }
        let first = list(&world, &token, 3, "").await.unwrap();
        assert_eq!(first.sessions.len(), 3);
        let second = list(&world, &token, 3, &first.next_page_token).await.unwrap();
        assert_eq!((second.sessions.len(), second.next_page_token.as_str()), (2, ""));
        let all = first.sessions.iter().chain(&second.sessions);
        let ids: Vec<&str> = all.map(|session| session.session_id.as_str()).collect();
        assert!(ids.windows(2).all(|pair| pair[0] > pair[1]), "newest first");
        assert!(second.sessions[1].current);
        let eve = world.player("eve").await;
        let next = first.next_page_token.as_str();
        for (token, page) in [(&eve, next), (&token, &format!("{next}x")), (&token, "garbage")] {
            assert_invalid(list(&world, token, 3, page).await, &["page_token"]);
        }
        assert_invalid(list(&world, &token, -1, "").await, &["page_size"]);
    });
}

#[test]
fn suspension_is_revealed_only_with_the_right_password() {
    each(|world| async move {
        let (admin, token) = (world.admin().await, world.player("ada").await);
        let refresh = world.log_in("ada").await.refresh_token;
        let user = world.suspend(&admin, "ada").await.unwrap();
        assert_eq!(user.state(), pb::UserState::Suspended);
        assert_eq!(world.validate(&token).await, Err(pb::Rejection::Suspended));
        let wrong = world.try_log_in("ada", "wrong horse battery staple").await;
        assert_refused(wrong, Code::Unauthenticated, "INVALID_CREDENTIALS");
        let right = world.try_log_in("ada", PASSWORD).await;
        assert_refused(right, Code::PermissionDenied, "USER_SUSPENDED");
        let refreshed = world.refresh(&refresh).await;
        assert_refused(refreshed, Code::Unauthenticated, "INVALID_REFRESH_TOKEN");
        world.reinstate(&admin, "ada").await;
        // Reinstating does not restore tokens.
        assert_eq!(world.validate(&token).await, Err(pb::Rejection::Revoked));
        assert!(world.refresh(&refresh).await.is_err());
        assert!(world.validate(&world.log_in("ada").await.access_token).await.is_ok());
    });
}

#[test]
fn sessions_and_revocations_survive_a_restart() {
    each(|world| async move {
        world.user("ada").await;
        let (live, dead) = (world.log_in("ada").await, world.log_in("ada").await);
        log_out(&world, &dead.access_token, "current").await.unwrap();
        let again = world.db.reopen().await;
        let (auth, channel) = open(&again, &world.clock).await;
        let world = world.with(auth, channel);
        assert!(world.validate(&live.access_token).await.is_ok());
        assert_eq!(world.validate(&dead.access_token).await, Err(pb::Rejection::Revoked));
        assert!(world.refresh(&live.refresh_token).await.is_ok());
    });
}
