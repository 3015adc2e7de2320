//! Signing keys and service accounts.

use std::time::Duration;

use access::{Assertion, Credentials, SigningKey};
use auth::{Auth, Config};
use cache::Cache;
use proto::auth as pb;
use rpc::RootSecret;
use service::{Context, Service as _, testing};
use tonic::Code;

use crate::world::{World, assert_invalid, assert_refused, each, open};

const DAY: Duration = Duration::from_secs(24 * 3600);

async fn published(world: &World) -> Vec<String> {
    let request = pb::GetJsonWebKeySetRequest {};
    let keys = world.tokens().get_json_web_key_set(request).await.unwrap().into_inner().keys;
    keys.into_iter().map(|key| key.kid).collect()
}

/// Restarts the service on the same database.
async fn restart(world: World) -> World {
    let (auth, channel) = open(&world.db, &world.clock).await;
    world.with(auth, channel)
}

#[test]
fn key_rotation_keeps_sessions_valid() {
    each(|world| async move {
        world.user("ada").await;
        let first = published(&world).await;
        world.clock.advance(DAY * 29);
        let world = restart(world).await;
        let both = published(&world).await;
        // The next key is published before it signs.
        assert_eq!((both.len(), &both[0]), (2, &first[0]));
        let before = world.log_in("ada").await;
        world.clock.advance(DAY);
        let mut world = restart(world).await;
        world.service = world.service_token("problem").await;
        let after = world.log_in("ada").await.access_token;
        assert_ne!(header(&before.access_token), header(&after));
        assert!(world.validate(&after).await.is_ok());
        assert_eq!(world.validate(&before.access_token).await, Err(pb::Rejection::Expired));
        assert!(world.refresh(&before.refresh_token).await.is_ok());
        world.clock.advance(DAY);
        let world = restart(world).await;
        assert_eq!(published(&world).await, both[1..], "the old key is deleted");
    });
}

fn header(token: &str) -> &str {
    token.split_once('.').unwrap().0
}

#[test]
fn tokens_of_a_revoked_key_are_refused() {
    each(|world| async move {
        let token = world.player("ada").await;
        world.db.script("UPDATE signing_keys SET state = 'revoked'").await;
        let mut world = restart(world).await;
        world.service = world.service_token("problem").await;
        assert_eq!(world.validate(&token).await, Err(pb::Rejection::Malformed));
        let token = world.log_in("ada").await.access_token;
        assert!(world.validate(&token).await.is_ok());
    });
}

#[test]
fn signing_keys_require_the_root_secret() {
    each(|world| async move {
        let cache = Cache::memory(world.clock.clone());
        let root_secret = RootSecret::from_bytes([8; 32]);
        let context = Context { root_secret, ..testing::context(world.db.db(), cache) };
        let opened = Auth::open(Config::default(), context).await;
        let error = opened.err().expect("a refusal").to_string();
        assert!(error.contains("root secret"), "{error}");
    });
}

#[test]
fn an_assertion_is_accepted_once() {
    each(|world| async move {
        let key = SigningKey::generate();
        world.auth.ensure_service("judge", &key.public()).await.unwrap();
        let now = world.clock.now();
        let assertion =
            |name: &str, jti: u128| Assertion::new(name, ids::Uuid::from_u128(jti), now).sign(&key);
        let exchange = |assertion: String| async {
            let request = pb::ExchangeServiceAssertionRequest { assertion };
            world.tokens().exchange_service_assertion(request).await
        };
        let made = exchange(assertion("judge", 1)).await.unwrap().into_inner();
        assert!((540..=600).contains(&made.expires_in));
        let principal = world.validate(&made.access_token).await.unwrap();
        assert_eq!(principal.r#type(), pb::PrincipalType::Service);
        assert_eq!((principal.name.as_str(), principal.session_id.as_str()), ("judge", ""));
        let denied = |result| assert_refused(result, Code::Unauthenticated, "INVALID_ASSERTION");
        denied(exchange(assertion("judge", 1)).await);
        denied(exchange(assertion("problem", 2)).await);
        denied(exchange("a.b.c".into()).await);
        denied(exchange("x".repeat(100_000)).await);
        denied(exchange(made.access_token).await);
        assert_invalid(exchange(String::new()).await, &["assertion"]);
        assert!(exchange(assertion("judge", 3)).await.is_ok());
        world.clock.advance(Duration::from_secs(91));
        denied(exchange(assertion("judge", 4)).await);
    });
}

#[test]
fn a_new_service_key_replaces_the_old_one() {
    each(|world| async move {
        // Borrow the whole world, because dropping it drops its database.
        let world = &world;
        let (old, new) = (SigningKey::generate(), SigningKey::generate());
        let seed = *old.seed();
        let credentials =
            |key| Credentials::new("judge", key, world.channel.clone(), world.clock.clone());
        world.auth.ensure_service("judge", &old.public()).await.unwrap();
        assert!(credentials(old).token().await.is_ok());
        world.auth.ensure_service("judge", &new.public()).await.unwrap();
        assert!(credentials(new).token().await.is_ok());
        let refused_key = credentials(SigningKey::from_seed(seed)).token().await;
        assert_refused(refused_key, Code::Unauthenticated, "INVALID_ASSERTION");
    });
}
