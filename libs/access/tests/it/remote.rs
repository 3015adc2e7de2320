//! Verifiers in processes without the auth service.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use access::testing::{Issuer, bearer};
use access::{Credentials, EDGE_AUTHORIZATION, Layer, Policy, Rejection, SigningKey, Verifier};
use ids::{Clock, Uuid};
use proto::auth as pb;
use proto::auth::token_service_client::TokenServiceClient;
use proto::auth::token_service_server::{TokenService, TokenServiceServer};
use rpc::{Channel, Local, Services, Stack, status};
use tonic::{Code, Request, Response, Status};

use crate::streams::{self, WATCH};

/// A fake auth service that accepts unrevoked tokens of its issuer.
#[derive(Clone)]
struct Stub {
    issuer: Issuer,
    key_fetches: Arc<AtomicUsize>,
    confirmations: Arc<AtomicUsize>,
    exchanges: Arc<AtomicUsize>,
    /// Answers like a service that cannot be reached.
    down: Arc<AtomicBool>,
}

#[tonic::async_trait]
impl TokenService for Stub {
    async fn validate_token(
        &self,
        request: Request<pb::ValidateTokenRequest>,
    ) -> Result<Response<pb::ValidateTokenResponse>, Status> {
        self.confirmations.fetch_add(1, Ordering::Relaxed);
        self.answers()?;
        let result = match self.issuer.verifier().check(&request.into_inner().token) {
            Ok(_) => pb::validate_token_response::Result::Principal(pb::Principal::default()),
            Err(rejection) => {
                assert_eq!(rejection, Rejection::Revoked);
                pb::validate_token_response::Result::Rejection(pb::Rejection::Revoked.into())
            }
        };
        Ok(Response::new(pb::ValidateTokenResponse { result: Some(result) }))
    }

    async fn batch_validate_tokens(
        &self,
        _: Request<pb::BatchValidateTokensRequest>,
    ) -> Result<Response<pb::BatchValidateTokensResponse>, Status> {
        Err(Status::unimplemented("not needed"))
    }

    async fn exchange_service_assertion(
        &self,
        request: Request<pb::ExchangeServiceAssertionRequest>,
    ) -> Result<Response<pb::ExchangeServiceAssertionResponse>, Status> {
        self.exchanges.fetch_add(1, Ordering::Relaxed);
        self.answers()?;
        assert_eq!(request.into_inner().assertion.split('.').count(), 3);
        Ok(Response::new(pb::ExchangeServiceAssertionResponse {
            access_token: self.issuer.service("problem"),
            token_type: "Bearer".into(),
            expires_in: 300,
        }))
    }

    async fn get_json_web_key_set(
        &self,
        _: Request<pb::GetJsonWebKeySetRequest>,
    ) -> Result<Response<pb::GetJsonWebKeySetResponse>, Status> {
        self.key_fetches.fetch_add(1, Ordering::Relaxed);
        let keys = self.issuer.verifier().keys().keys().map(pb::JsonWebKey::from).collect();
        Ok(Response::new(pb::GetJsonWebKeySetResponse { keys }))
    }
}

impl Stub {
    fn new(issuer: Issuer) -> Self {
        let (key_fetches, confirmations, exchanges, down) = Default::default();
        Self { issuer, key_fetches, confirmations, exchanges, down }
    }

    fn answers(&self) -> Result<(), Status> {
        match self.down.load(Ordering::Relaxed) {
            true => Err(Status::unavailable("the auth service cannot be reached")),
            false => Ok(()),
        }
    }
}

struct World {
    clock: Clock,
    stub: Stub,
    /// The access layer of the other process.
    layer: Layer,
    /// The server of the other process, which serves the same stub.
    other: Channel,
    /// The credential of the other process.
    credentials: Credentials,
}

/// A process with the auth service and one without.
fn world() -> World {
    let clock = Clock::manual(Clock::system().now());
    let stub = Stub::new(Issuer::new(clock.clone()));
    let auth = serve(&stub, &stub.issuer.layer());
    let key = SigningKey::generate();
    let credentials = Credentials::new("problem", key, auth.clone(), clock.clone());
    let verifier = Verifier::remote(clock.clone(), auth, &credentials);
    let layer = Layer::new(Policy::of_agon(), verifier);
    let other = serve(&stub, &layer);
    World { clock, stub, layer, other, credentials }
}

fn serve(stub: &Stub, layer: &Layer) -> Channel {
    let services = Services::new().add(TokenServiceServer::new(stub.clone()));
    let (served, _) = Stack::new(proto::DESCRIPTOR_SET).build(services, layer);
    let local = Local::new();
    local.set(served);
    local.into()
}

impl World {
    async fn call(&self, token: &str) -> Result<(), Status> {
        let mut client = TokenServiceClient::new(self.other.clone());
        let request = bearer(token, pb::GetJsonWebKeySetRequest {});
        client.get_json_web_key_set(request).await.map(drop)
    }

    /// A call with side effects.
    async fn write(&self, token: &str) -> Result<(), Status> {
        let mut client = TokenServiceClient::new(self.other.clone());
        let request = pb::ExchangeServiceAssertionRequest { assertion: "a.b.c".into() };
        client.exchange_service_assertion(bearer(token, request)).await.map(drop)
    }

    /// An anonymous call through the edge, whose credential is `proof`.
    async fn anonymous(&self, proof: &str) -> Result<(), Status> {
        let mut client = TokenServiceClient::new(self.other.clone());
        let mut request = Request::new(pb::GetJsonWebKeySetRequest {});
        let proof = format!("Bearer {proof}").parse().unwrap();
        request.metadata_mut().insert(EDGE_AUTHORIZATION, proof);
        client.get_json_web_key_set(request).await.map(drop)
    }

    fn revoke(&self, subject: Uuid) {
        let until = self.clock.now() + Duration::from_secs(600);
        let (below_epoch, suspended) = (1, false);
        let revocation = access::Revocation { subject, below_epoch, suspended, until };
        self.stub.issuer.verifier().revocations().add([revocation]);
    }

    fn set_down(&self, down: bool) {
        self.stub.down.store(down, Ordering::Relaxed);
    }
}

fn reason(result: Result<(), Status>) -> String {
    status::reason(&result.unwrap_err()).unwrap_or_default()
}

fn count(counter: &AtomicUsize) -> usize {
    counter.load(Ordering::Relaxed)
}

#[tokio::test]
async fn keys_and_confirmations_are_cached() {
    let world = world();
    let token = world.stub.issuer.user(Uuid::from_u128(1), "ada", &[]);
    for _ in 0..10 {
        world.call(&token).await.unwrap();
    }
    // One fetch by the verifier; the other ten are the calls themselves.
    assert_eq!(count(&world.stub.key_fetches), 11);
    assert_eq!(count(&world.stub.confirmations), 1);
    assert_eq!(count(&world.stub.exchanges), 1);
    world.clock.advance(Duration::from_secs(2));
    world.call(&token).await.unwrap();
    assert_eq!(count(&world.stub.confirmations), 2);
}

#[tokio::test]
async fn a_revocation_takes_effect_within_a_second() {
    let world = world();
    let id = Uuid::from_u128(1);
    let token = world.stub.issuer.user(id, "ada", &[]);
    world.call(&token).await.unwrap();
    world.revoke(id);
    world.clock.advance(Duration::from_secs(1));
    let status = world.call(&token).await.unwrap_err();
    assert_eq!(status::reason(&status).as_deref(), Some("TOKEN_REVOKED"));
}

#[tokio::test]
async fn streams_end_when_the_auth_service_rejects_their_token() {
    let world = world();
    let (ada, eve) = (Uuid::from_u128(1), Uuid::from_u128(2));
    let open = async |id, name| {
        let token = world.stub.issuer.user(id, name, &[]);
        streams::open(&world.layer, WATCH, "127.0.0.1", &token).await.unwrap()
    };
    let mut stream = open(ada, "ada").await;
    let mut bystander = open(eve, "eve").await;
    world.revoke(ada);
    // The last confirmation of both tokens becomes invalid. While the auth service does not answer, both are accepted.
    world.clock.advance(Duration::from_secs(1));
    world.set_down(true);
    assert_eq!(streams::end(&mut stream).await, None);
    assert!(
        count(&world.stub.confirmations) > 2,
        "the auth service was asked about an open stream"
    );
    world.set_down(false);
    let ends = tokio::join!(streams::end(&mut stream), streams::end(&mut bystander));
    assert_eq!(ends, (Some("TOKEN_REVOKED".to_owned()), None));
}

#[tokio::test]
async fn unknown_keys_cause_one_key_fetch() {
    let world = world();
    let forger = Issuer::new(world.clock.clone());
    for n in 0..20 {
        let token = forger.user(Uuid::from_u128(n), "eve", &[]);
        let status = world.call(&token).await.unwrap_err();
        assert_eq!(status.code(), Code::Unauthenticated);
    }
    assert_eq!(count(&world.stub.key_fetches), 1);
    assert_eq!(count(&world.stub.confirmations), 0, "invalid tokens are not forwarded");
}

#[tokio::test]
async fn calls_are_refused_while_the_auth_service_is_unavailable() {
    let clock = Clock::system();
    let issuer = Issuer::new(clock.clone());
    let unavailable = Channel::from(Local::new());
    let credentials = issuer.credentials("problem");
    let verifier = Verifier::remote(clock.clone(), unavailable, &credentials);
    let stub = Stub::new(issuer.clone());
    let layer = Layer::new(Policy::of_agon(), verifier);
    let other = serve(&stub, &layer);
    let world = World { clock, stub, layer, other, credentials };
    let status = world.call(&issuer.user(Uuid::from_u128(1), "ada", &[])).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    assert_eq!(status::reason(&status).as_deref(), Some("AUTH_UNAVAILABLE"));
}

/// By the keys and revocations that the process knows, until the token expires.
#[tokio::test]
async fn reads_survive_an_outage_of_the_auth_service() {
    let world = world();
    let (ada, eve) = (Uuid::from_u128(1), Uuid::from_u128(2));
    let token = world.stub.issuer.user(ada, "ada", &[]);
    let revoked = world.stub.issuer.user(eve, "eve", &[]);
    world.call(&token).await.unwrap();
    world.revoke(eve);
    assert_eq!(reason(world.call(&revoked).await), "TOKEN_REVOKED");

    world.set_down(true);
    world.clock.advance(Duration::from_secs(60));
    world.call(&token).await.unwrap();
    assert_eq!(reason(world.write(&token).await), "AUTH_UNAVAILABLE");
    assert_eq!(reason(world.call(&revoked).await), "TOKEN_REVOKED");
    let asked = count(&world.stub.confirmations);
    for _ in 0..20 {
        world.call(&token).await.unwrap();
    }
    // A slow machine may have asked again.
    assert!(count(&world.stub.confirmations) < asked + 10);
    world.clock.advance(Duration::from_secs(300));
    assert_eq!(reason(world.call(&token).await), "TOKEN_EXPIRED");

    world.set_down(false);
    let token = world.stub.issuer.user(ada, "ada", &[]);
    world.write(&token).await.unwrap();
}

#[tokio::test]
async fn anonymous_calls_do_not_need_the_auth_service() {
    let world = world();
    let proof = world.stub.issuer.service("gateway");
    world.anonymous(&proof).await.unwrap();
    assert_eq!(count(&world.stub.confirmations), 0);
    world.set_down(true);
    // The proof has expired, and cannot be renewed.
    world.clock.advance(Duration::from_secs(3600 + 1800));
    world.anonymous(&proof).await.unwrap();
    world.clock.advance(Duration::from_secs(3600));
    assert_eq!(reason(world.anonymous(&proof).await), "TOKEN_EXPIRED");
}

#[tokio::test]
async fn service_credential_is_used_until_it_expires() {
    let world = world();
    let value = world.credentials.authorization().await.unwrap();
    world.set_down(true);
    // It should be renewed now.
    world.clock.advance(Duration::from_secs(250));
    for _ in 0..10 {
        assert_eq!(world.credentials.authorization().await.unwrap(), value);
    }
    assert_eq!(count(&world.stub.exchanges), 2, "failed renewals are not repeated at once");
    world.clock.advance(Duration::from_secs(60));
    world.credentials.authorization().await.unwrap_err();
    world.set_down(false);
    world.clock.advance(Duration::from_secs(1));
    assert_ne!(world.credentials.authorization().await.unwrap(), value);
}
