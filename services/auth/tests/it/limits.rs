//! Limits on sign-ins and registrations of clients behind the edge.

use std::time::Duration;

use auth::Config;
use proto::auth as pb;
use rpc::status;
use tonic::{Code, Status};

use crate::world::{PASSWORD, World, assert_refused, config, each, each_with, registration};

const WRONG: &str = "wrong horse battery staple";

async fn log_in(world: &World, address: &str, name: &str, password: &str) -> Result<(), Status> {
    let request = pb::CreateSessionRequest { identifier: name.into(), password: password.into() };
    world.sessions().create_session(world.from(address, request)).await.map(drop)
}

#[test]
fn repeated_failures_have_to_wait() {
    each(|world| async move {
        world.user("ada").await;
        for name in ["ada", "nobody"] {
            for _ in 0..5 {
                let wrong = log_in(&world, "192.0.2.1", name, WRONG).await;
                assert_refused(wrong, Code::Unauthenticated, "INVALID_CREDENTIALS");
            }
            let status = log_in(&world, "192.0.2.1", name, PASSWORD).await.unwrap_err();
            assert_eq!(status.code(), Code::ResourceExhausted);
            assert_eq!(status::reason(&status).as_deref(), Some("TOO_MANY_ATTEMPTS"));
            assert_eq!(status::retry_after(&status), Some(Duration::from_secs(30)));
        }
        assert!(log_in(&world, "192.0.2.2", "ada", PASSWORD).await.is_ok(), "another network");
        world.clock.advance(Duration::from_secs(30));
        assert!(log_in(&world, "192.0.2.1", "ada", PASSWORD).await.is_ok());
    });
}

#[test]
fn failures_are_limited_by_address() {
    each_with(&Config { failures_per_minute: 3, ..config() }, |world| async move {
        world.user("ada").await;
        for n in 0..3 {
            assert!(log_in(&world, "192.0.2.1", &format!("guess{n}"), WRONG).await.is_err());
        }
        let refusal = log_in(&world, "192.0.2.1", "ada", PASSWORD).await;
        assert_refused(refusal, Code::ResourceExhausted, "TOO_MANY_ATTEMPTS");
        let request = pb::RefreshSessionRequest { refresh_token: "agnr_x".into() };
        let refusal = world.sessions().refresh_session(world.from("192.0.2.1", request)).await;
        assert_refused(refusal, Code::ResourceExhausted, "TOO_MANY_ATTEMPTS");
        let request =
            pb::CompletePasswordResetRequest { code: "x".into(), new_password: PASSWORD.into() };
        let request = world.from("192.0.2.1", request);
        let refusal = world.credentials().complete_password_reset(request).await;
        assert_refused(refusal, Code::ResourceExhausted, "TOO_MANY_ATTEMPTS");
        assert!(log_in(&world, "192.0.2.2", "ada", PASSWORD).await.is_ok());
        world.clock.advance(Duration::from_secs(60));
        assert!(log_in(&world, "192.0.2.1", "ada", PASSWORD).await.is_ok());
    });
}

#[test]
fn registrations_are_limited_by_address() {
    let trusted_networks = vec!["198.51.100.0/24".into()];
    let config = Config { registrations_per_hour: 2, trusted_networks, ..config() };
    each_with(&config, |world| async move {
        let register = |address: &str, n: usize| {
            let request = world.from(address, registration(&format!("user{n}")));
            async { world.users().register_user(request).await }
        };
        assert!(register("192.0.2.1", 1).await.is_ok());
        assert!(register("192.0.2.1", 2).await.is_ok());
        assert_refused(
            register("192.0.2.1", 3).await,
            Code::ResourceExhausted,
            "TOO_MANY_ATTEMPTS",
        );
        assert!(register("192.0.2.2", 3).await.is_ok());
        for n in 4..8 {
            assert!(register("198.51.100.9", n).await.is_ok(), "a trusted network");
            assert!(register("127.0.0.1", n + 10).await.is_ok(), "loopback");
        }
    });
}

#[test]
fn sessions_store_client_and_address() {
    each(|world| async move {
        world.user("ada").await;
        let request =
            pb::CreateSessionRequest { identifier: "ada".into(), password: PASSWORD.into() };
        let mut request = world.from("192.0.2.7", request);
        request.metadata_mut().insert("user-agent", "curl/8".parse().unwrap());
        let made = world.sessions().create_session(request).await.unwrap().into_inner();
        let session = made.session.unwrap();
        assert_eq!((session.address.as_str(), session.client.as_str()), ("192.0.2.7", "curl/8"));
        let request = pb::RefreshSessionRequest { refresh_token: made.refresh_token };
        let request = world.from("192.0.2.8", request);
        let next = world.sessions().refresh_session(request).await.unwrap().into_inner();
        assert_eq!(next.session.unwrap().address, "192.0.2.8");
    });
}
