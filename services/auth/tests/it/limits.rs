//! Limits on sign-ins and registrations of clients behind the edge.

use std::time::{Duration, Instant};

use auth::Config;
use proto::auth as pb;
use rpc::status;
use tonic::{Code, Status};

use crate::world::{
    PASSWORD, World, assert_refused, config, each, each_with, registration, session_request,
};

const WRONG: &str = "wrong horse battery staple";

/// A code with the form of one-time codes.
const CODE: &str = "ABCDE-ABCDE-ABCDE-ABCDE";

async fn log_in(world: &World, address: &str, name: &str, password: &str) -> Result<(), Status> {
    log_in_on(world, "", address, name, password).await.map(drop)
}

/// Logs in on a device; returns its token.
async fn log_in_on(
    world: &World,
    device_token: &str,
    address: &str,
    name: &str,
    password: &str,
) -> Result<String, Status> {
    let device_token = device_token.to_owned();
    let request = pb::CreateSessionRequest { device_token, ..session_request(name, password) };
    let made = world.sessions().create_session(world.from(address, request)).await?;
    Ok(made.into_inner().device_token)
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
        assert!(log_in(&world, "192.0.2.2", "ada", PASSWORD).await.is_err(), "the same /24");
        assert!(log_in(&world, "198.51.100.1", "ada", PASSWORD).await.is_ok(), "another network");
        world.clock.advance(Duration::from_secs(30));
        assert!(log_in(&world, "192.0.2.1", "ada", PASSWORD).await.is_ok());
    });
}

#[test]
fn strangers_cannot_lock_the_owner_out() {
    let config = Config { suspicion_delay_milliseconds: 300, ..config() };
    each_with(&config, |world| async move {
        world.user("ada").await;
        let device = log_in_on(&world, "", "192.0.2.7", "ada", PASSWORD).await.unwrap();
        for network in ["192.0.2", "198.51.100", "203.0.113"] {
            for n in 100..106 {
                let _ = log_in(&world, &format!("{network}.{n}"), "ada", WRONG).await;
            }
            let refusal = log_in(&world, &format!("{network}.200"), "ada", PASSWORD).await;
            assert_refused(refusal, Code::ResourceExhausted, "TOO_MANY_ATTEMPTS");
        }
        // From a known address, and on a known device anywhere.
        let started = Instant::now();
        assert!(log_in(&world, "192.0.2.7", "ada", PASSWORD).await.is_ok());
        let again = log_in_on(&world, &device, "203.0.113.9", "ada", PASSWORD).await;
        assert_eq!(again.unwrap(), device);
        let known = started.elapsed();
        // Strangers in other networks are delayed by the suspicion, but not refused.
        let started = Instant::now();
        assert!(log_in(&world, "2001:db8::1", "ada", PASSWORD).await.is_ok());
        assert!(started.elapsed() >= Duration::from_millis(300));
        // Two log-ins without the delay; generous, because the machine may be busy.
        assert!(known < Duration::from_secs(5), "{known:?}");
        // The device of another account is a stranger.
        world.user("eve").await;
        let other = log_in_on(&world, &device, "10.0.0.1", "eve", PASSWORD).await.unwrap();
        assert_ne!(other, device);
        let refusal = log_in_on(&world, &other, "192.0.2.100", "ada", PASSWORD).await;
        assert_refused(refusal, Code::ResourceExhausted, "TOO_MANY_ATTEMPTS");
    });
}

#[test]
fn junk_credentials_do_not_count_against_an_address() {
    each_with(&Config { failures_per_minute: 3, ..config() }, |world| async move {
        world.user("ada").await;
        let request = world.from("192.0.2.1", session_request("ada", PASSWORD));
        let made = world.sessions().create_session(request).await.unwrap().into_inner();
        let refresh_token = made.refresh_token;
        for n in 0..10 {
            let refresh_token = format!("agnr_junk{n}");
            let request = world.from("192.0.2.1", pb::RefreshSessionRequest { refresh_token });
            let refusal = world.sessions().refresh_session(request).await;
            assert_refused(refusal, Code::Unauthenticated, "INVALID_REFRESH_TOKEN");
            let assertion = format!("a.b.{n}");
            let request =
                world.from("192.0.2.1", pb::ExchangeServiceAssertionRequest { assertion });
            let refusal = world.tokens().exchange_service_assertion(request).await;
            assert_refused(refusal, Code::Unauthenticated, "INVALID_ASSERTION");
            let refusal = reset(&world, "192.0.2.1", "no-code").await;
            assert_refused(refusal, Code::Unauthenticated, "INVALID_CODE");
        }
        assert!(log_in(&world, "192.0.2.1", "ada", PASSWORD).await.is_ok());
        let request = pb::RefreshSessionRequest { refresh_token };
        assert!(world.sessions().refresh_session(world.from("192.0.2.1", request)).await.is_ok());
    });
}

#[test]
fn wrong_codes_are_limited_by_address() {
    each_with(&Config { failures_per_minute: 3, ..config() }, |world| async move {
        world.user("ada").await;
        for _ in 0..3 {
            let refusal = reset(&world, "192.0.2.1", CODE).await;
            assert_refused(refusal, Code::Unauthenticated, "INVALID_CODE");
        }
        let refusal = reset(&world, "192.0.2.1", CODE).await;
        assert_refused(refusal, Code::ResourceExhausted, "TOO_MANY_ATTEMPTS");
        assert!(log_in(&world, "192.0.2.1", "ada", PASSWORD).await.is_ok());
    });
}

async fn reset(world: &World, address: &str, code: &str) -> Result<(), Status> {
    let request =
        pb::CompletePasswordResetRequest { code: code.into(), new_password: PASSWORD.into() };
    let request = world.from(address, request);
    world.credentials().complete_password_reset(request).await.map(drop)
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
        let mut request = world.from("192.0.2.7", session_request("ada", PASSWORD));
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
