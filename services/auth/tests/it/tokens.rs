//! Validation of access tokens.

use std::time::Duration;

use access::testing::{Issuer, bearer};
use proto::auth as pb;
use service::Service as _;

use crate::world::{assert_invalid, each, open, read};

#[test]
fn each_rejection_reason() {
    each(|world| async move {
        let token = world.player("ada").await;
        let malformed = Err(pb::Rejection::Malformed);
        let foreign = Issuer::new(world.clock.clone());
        let forged = foreign.user(ids::Uuid::from_u128(1), "ada", &[]);
        let (head, _) = token.rsplit_once('.').unwrap();
        for bad in [
            "",
            "x",
            "a.b.c",
            &forged,
            &format!("{head}."),
            &format!("Bearer {token}"),
            &"a".repeat(5000),
        ] {
            assert_eq!(world.validate(bad).await, malformed, "{bad}");
        }
        let ask = pb::ValidateTokenRequest { token: token.clone(), ..Default::default() };
        let scoped = pb::ValidateTokenRequest { required_scopes: vec!["x".into()], ..ask.clone() };
        assert_eq!(world.validate_as(scoped).await, Err(pb::Rejection::InsufficientScope));
        let fresh = pb::ValidateTokenRequest { max_auth_age_seconds: 60, ..ask.clone() };
        assert!(world.validate_as(fresh.clone()).await.is_ok());
        world.clock.advance(Duration::from_secs(61));
        assert_eq!(world.validate_as(fresh).await, Err(pb::Rejection::StaleAuth));
        assert!(world.validate(&token).await.is_ok());
        world.clock.advance(Duration::from_secs(300));
        // The caller's own token, a service token, is still valid.
        assert_eq!(world.validate(&token).await, Err(pb::Rejection::Expired));
        assert_eq!(world.validate(&token).await, Err(pb::Rejection::Expired));
    });
}

#[test]
fn authoritative_validation_reads_the_database() {
    each(|world| async move {
        world.user("ada").await;
        let made = world.log_in("ada").await;
        let ask = pb::ValidateTokenRequest {
            token: made.access_token.clone(),
            consistency: pb::Consistency::Authoritative.into(),
            ..Default::default()
        };
        assert!(world.validate_as(ask.clone()).await.is_ok());
        let service = pb::ValidateTokenRequest { token: world.service.clone(), ..ask.clone() };
        assert!(world.validate_as(service).await.is_ok());
        // Changes by another process, of which this one has no revocation.
        world.db.script("UPDATE users SET auth_epoch = auth_epoch + 1").await;
        assert!(world.validate(&made.access_token).await.is_ok());
        assert_eq!(world.validate_as(ask.clone()).await, Err(pb::Rejection::Revoked));
        world.db.script("UPDATE users SET suspended_at = created_at").await;
        assert_eq!(world.validate_as(ask).await, Err(pb::Rejection::Suspended));
    });
}

#[test]
fn revocations_by_another_process_are_loaded() {
    each(|world| async move {
        world.user("ada").await;
        let made = world.log_in("ada").await;
        let again = world.db.reopen().await;
        let (auth, channel) = open(&again, &world.clock).await;
        let tasks = runtime::Tasks::default();
        auth.start(&tasks, &bus::Bus::embedded(Vec::new()).unwrap()).unwrap();
        let other = world.with(auth, channel);
        assert!(other.validate(&made.access_token).await.is_ok());
        let first = other.db.clone();
        let (_, here) = open(&first, &other.clock).await;
        let request = pb::DeleteSessionRequest { session_id: "current".into() };
        let mut sessions = proto::auth::session_service_client::SessionServiceClient::new(here);
        sessions.delete_session(bearer(&made.access_token, request)).await.unwrap();
        if first.engine() == db::Engine::Postgres {
            db::testing::eventually("the revocation is loaded", || async {
                other.validate(&made.access_token).await == Err(pb::Rejection::Revoked)
            })
            .await;
        }
        tasks.shutdown().begin();
        assert!(tasks.finish(Duration::from_secs(10)).await.is_empty());
    });
}

#[test]
fn batches_are_validated_in_order() {
    each(|world| async move {
        let token = world.player("ada").await;
        let one =
            |token: &str| pb::ValidateTokenRequest { token: token.into(), ..Default::default() };
        let batch = |requests| bearer(&world.service, pb::BatchValidateTokensRequest { requests });
        let request = batch(vec![one("x"), one(&token), one("y")]);
        let answer = world.tokens().batch_validate_tokens(request).await.unwrap().into_inner();
        let answers: Vec<_> = answer.responses.into_iter().map(read).collect();
        assert_eq!(answers.len(), 3);
        assert!(answers[0].is_err() && answers[1].is_ok() && answers[2].is_err());
        for wrong in [vec![], vec![one("x"); 101]] {
            assert_invalid(world.tokens().batch_validate_tokens(batch(wrong)).await, &["requests"]);
        }
        let negative = pb::ValidateTokenRequest { max_auth_age_seconds: -1, ..one("x") };
        let refusal =
            world.tokens().batch_validate_tokens(batch(vec![one("x"), negative.clone()])).await;
        assert_invalid(refusal, &["requests[1].max_auth_age_seconds"]);
        let refusal = world.tokens().validate_token(bearer(&world.service, negative)).await;
        assert_invalid(refusal, &["max_auth_age_seconds"]);
    });
}

#[test]
fn published_keys_verify_tokens() {
    each(|world| async move {
        let request = pb::GetJsonWebKeySetRequest {};
        let keys = world.tokens().get_json_web_key_set(request).await.unwrap().into_inner().keys;
        assert_eq!(keys.len(), 1);
        let key = access::PublicKey::try_from(&keys[0]).unwrap();
        assert_eq!(key.kid(), keys[0].kid);
        assert_eq!((keys[0].kty.as_str(), keys[0].alg.as_str()), ("OKP", "EdDSA"));
        let set = access::KeySet::new([key]);
        let token = world.player("ada").await;
        assert!(set.verify(&token, world.clock.now()).is_ok(), "verifiable with the published key");
    });
}
