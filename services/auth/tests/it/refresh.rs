//! Refresh tokens: rotation, lost responses, theft.

use std::time::Duration;

use futures_util::future::join_all;
use proto::auth as pb;
use tonic::Code;

use crate::world::{World, assert_invalid, assert_refused, each, each_with};

async fn start(world: &World) -> pb::CreateSessionResponse {
    world.user("ada").await;
    world.log_in("ada").await
}

#[tokio::test]
async fn each_refresh_rotates_the_token() {
    each(|world| async move {
        let first = start(&world).await;
        let mut token = first.refresh_token.clone();
        for _ in 0..5 {
            world.clock.advance(Duration::from_secs(100));
            let next = world.refresh(&token).await.unwrap();
            assert_ne!(next.refresh_token, token);
            assert_eq!(
                next.session.unwrap().session_id,
                first.session.as_ref().unwrap().session_id
            );
            assert!(world.validate(&next.access_token).await.is_ok());
            token = next.refresh_token;
        }
    })
    .await;
}

#[tokio::test]
async fn a_lost_response_can_be_requested_again() {
    each(|world| async move {
        let first = start(&world).await.refresh_token;
        let second = world.refresh(&first).await.unwrap();
        world.clock.advance(Duration::from_secs(60));
        let again = world.refresh(&first).await.unwrap();
        assert_eq!(again.refresh_token, second.refresh_token);
        assert!(world.validate(&again.access_token).await.is_ok());
        assert!(world.refresh(&second.refresh_token).await.is_ok());
    })
    .await;
}

#[tokio::test]
async fn reuse_after_the_grace_period_ends_the_session() {
    each(|world| async move {
        let first = start(&world).await.refresh_token;
        let second = world.refresh(&first).await.unwrap();
        world.clock.advance(Duration::from_secs(61));
        let reused = world.refresh(&first).await;
        assert_refused(reused, Code::Unauthenticated, "REFRESH_TOKEN_REUSED");
        // All tokens of the session are revoked immediately.
        assert_eq!(world.validate(&second.access_token).await, Err(pb::Rejection::Revoked));
        let next = world.refresh(&second.refresh_token).await;
        assert_refused(next, Code::Unauthenticated, "INVALID_REFRESH_TOKEN");
    })
    .await;
}

#[tokio::test]
async fn reuse_after_use_of_the_successor_ends_the_session() {
    each(|world| async move {
        let first = start(&world).await.refresh_token;
        let second = world.refresh(&first).await.unwrap().refresh_token;
        let third = world.refresh(&second).await.unwrap();
        assert_refused(world.refresh(&first).await, Code::Unauthenticated, "REFRESH_TOKEN_REUSED");
        assert_eq!(world.validate(&third.access_token).await, Err(pb::Rejection::Revoked));
    })
    .await;
}

#[tokio::test]
async fn any_reuse_ends_the_session_without_grace_period() {
    each_with(
        |config| config.refresh_grace_seconds = 0,
        |world| async move {
            let first = start(&world).await.refresh_token;
            world.refresh(&first).await.unwrap();
            assert_refused(
                world.refresh(&first).await,
                Code::Unauthenticated,
                "REFRESH_TOKEN_REUSED",
            );
        },
    )
    .await;
}

#[tokio::test]
async fn concurrent_refreshes_get_the_same_successor() {
    each(|world| async move {
        let first = start(&world).await.refresh_token;
        let calls = (0..8).map(|_| world.refresh(&first));
        let answers = join_all(calls).await;
        let successors: Vec<String> =
            answers.into_iter().map(|answer| answer.unwrap().refresh_token).collect();
        assert!(successors.windows(2).all(|pair| pair[0] == pair[1]), "{successors:?}");
        assert!(world.refresh(&successors[0]).await.is_ok());
    })
    .await;
}

#[tokio::test]
async fn an_idle_session_expires() {
    each(|world| async move {
        let first = start(&world).await;
        world.clock.advance(Duration::from_secs(29 * 24 * 3600));
        let second = world.refresh(&first.refresh_token).await.unwrap();
        world.clock.advance(Duration::from_secs(30 * 24 * 3600));
        let late = world.refresh(&second.refresh_token).await;
        assert_refused(late, Code::Unauthenticated, "INVALID_REFRESH_TOKEN");
    })
    .await;
}

#[tokio::test]
async fn invalid_refresh_tokens_are_refused() {
    each(|world| async move {
        let made = start(&world).await;
        let mut forged = made.refresh_token.clone();
        forged.replace_range(40..41, if &forged[40..41] == "A" { "B" } else { "A" });
        for text in ["x", "agnr_", &forged, &made.access_token, &"a".repeat(100_000)] {
            assert_refused(
                world.refresh(text).await,
                Code::Unauthenticated,
                "INVALID_REFRESH_TOKEN",
            );
        }
        assert_invalid(world.refresh("").await, &["refresh_token"]);
        assert!(
            world.refresh(&made.refresh_token).await.is_ok(),
            "forged tokens do not end sessions"
        );
    })
    .await;
}
