//! Refresh tokens: rotation, lost responses, theft.

use std::fmt::Debug;
use std::time::Duration;

use auth::Config;
use futures_util::future::join_all;
use proto::auth as pb;
use tonic::{Code, Status};

use crate::world::{World, assert_invalid, assert_refused, config, each, each_with};

#[track_caller]
fn refused<T: Debug>(result: Result<T, Status>, reason: &str) {
    assert_refused(result, Code::Unauthenticated, reason);
}

async fn start(world: &World) -> pb::CreateSessionResponse {
    world.user("ada").await;
    world.log_in("ada").await
}

#[test]
fn each_refresh_rotates_the_token() {
    each(|world| async move {
        let first = start(&world).await;
        let (mut token, session_id) = (first.refresh_token, first.session.unwrap().session_id);
        for _ in 0..5 {
            world.clock.advance(Duration::from_secs(100));
            let next = world.refresh(&token).await.unwrap();
            assert_ne!(next.refresh_token, token);
            assert_eq!(next.session.unwrap().session_id, session_id);
            assert!(world.validate(&next.access_token).await.is_ok());
            token = next.refresh_token;
        }
    });
}

#[test]
fn a_lost_response_can_be_requested_again() {
    each(|world| async move {
        let first = start(&world).await.refresh_token;
        let second = world.refresh(&first).await.unwrap();
        world.clock.advance(Duration::from_secs(60));
        let again = world.refresh(&first).await.unwrap();
        assert_eq!(again.refresh_token, second.refresh_token);
        assert!(world.validate(&again.access_token).await.is_ok());
        assert!(world.refresh(&second.refresh_token).await.is_ok());
    });
}

#[test]
fn reuse_after_the_grace_period_ends_the_session() {
    each(|world| async move {
        let first = start(&world).await.refresh_token;
        let second = world.refresh(&first).await.unwrap();
        world.clock.advance(Duration::from_secs(61));
        refused(world.refresh(&first).await, "REFRESH_TOKEN_REUSED");
        // All tokens of the session are revoked immediately.
        assert_eq!(world.validate(&second.access_token).await, Err(pb::Rejection::Revoked));
        refused(world.refresh(&second.refresh_token).await, "INVALID_REFRESH_TOKEN");
    });
}

#[test]
fn reuse_after_use_of_the_successor_ends_the_session() {
    each(|world| async move {
        let first = start(&world).await.refresh_token;
        let second = world.refresh(&first).await.unwrap().refresh_token;
        let third = world.refresh(&second).await.unwrap();
        refused(world.refresh(&first).await, "REFRESH_TOKEN_REUSED");
        assert_eq!(world.validate(&third.access_token).await, Err(pb::Rejection::Revoked));
    });
}

#[test]
fn any_reuse_ends_the_session_without_grace_period() {
    each_with(&Config { refresh_grace_seconds: 0, ..config() }, |world| async move {
        let first = start(&world).await.refresh_token;
        world.refresh(&first).await.unwrap();
        refused(world.refresh(&first).await, "REFRESH_TOKEN_REUSED");
    });
}

#[test]
fn concurrent_refreshes_get_the_same_successor() {
    each(|world| async move {
        let first = start(&world).await.refresh_token;
        let calls = (0..8).map(|_| world.refresh(&first));
        let answers = join_all(calls).await;
        let successors: Vec<String> =
            answers.into_iter().map(|answer| answer.unwrap().refresh_token).collect();
        assert!(successors.windows(2).all(|pair| pair[0] == pair[1]), "{successors:?}");
        assert!(world.refresh(&successors[0]).await.is_ok());
    });
}

#[test]
fn an_idle_session_expires() {
    each(|world| async move {
        let first = start(&world).await;
        world.clock.advance(Duration::from_secs(29 * 24 * 3600));
        let second = world.refresh(&first.refresh_token).await.unwrap();
        world.clock.advance(Duration::from_secs(30 * 24 * 3600));
        refused(world.refresh(&second.refresh_token).await, "INVALID_REFRESH_TOKEN");
    });
}

#[test]
fn invalid_refresh_tokens_are_refused() {
    each(|world| async move {
        let made = start(&world).await;
        let mut forged = made.refresh_token.clone();
        forged.replace_range(40..41, if &forged[40..41] == "A" { "B" } else { "A" });
        for text in ["x", "agnr_", &forged, &made.access_token, &"a".repeat(100_000)] {
            refused(world.refresh(text).await, "INVALID_REFRESH_TOKEN");
        }
        assert_invalid(world.refresh("").await, &["refresh_token"]);
        // Forged tokens do not end sessions.
        assert!(world.refresh(&made.refresh_token).await.is_ok());
    });
}
