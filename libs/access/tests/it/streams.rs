//! Streams: shares of users and addresses, and the end of the credential.

use std::convert::Infallible;
use std::time::Duration;

use access::testing::Issuer;
use access::token::Claims;
use access::{Layer, Limits, Revocation};
use bytes::Bytes;
use cache::Cache;
use http::{Request, Response};
use http_body_util::{BodyExt as _, StreamBody};
use ids::{Clock, Uuid};
use rpc::{Trusted, status};
use tonic::body::Body;
use tonic::transport::server::TcpConnectInfo;
use tonic::{Code, Status};
use tower::{Layer as _, Service, ServiceExt};

pub const WATCH: &str = "/agon.challenge.v1.SubmissionService/WatchSubmission";
const DOWNLOAD: &str = "/agon.problem.v1.ProblemService/DownloadAttachment";
const REFLECTION: &str = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo";

struct World {
    issuer: Issuer,
    clock: Clock,
    layer: Layer,
}

impl World {
    fn new(limits: Limits) -> Self {
        let clock = Clock::system();
        let issuer = Issuer::new(clock.clone());
        let cache = Cache::memory(clock.clone());
        let trusted = Trusted::new(|address| address.is_loopback());
        let layer = issuer.layer().limited(limits, cache, trusted);
        Self { issuer, clock, layer }
    }

    fn player(&self, id: u128) -> String {
        self.issuer.user(Uuid::from_u128(id), "ada", &[])
    }

    async fn open(&self, path: &str, address: &str, token: &str) -> Result<Body, Status> {
        open(&self.layer, path, address, token).await
    }

    fn revoke(&self, subject: u128, suspended: bool) {
        let until = self.clock.now() + Duration::from_secs(600);
        let subject = Uuid::from_u128(subject);
        let revocation = Revocation { subject, below_epoch: i64::MAX, suspended, until };
        self.issuer.verifier().revocations().add([revocation]);
    }
}

/// Opens a stream that never ends by itself behind `layer`; the status if it is refused.
pub async fn open(layer: &Layer, path: &str, address: &str, token: &str) -> Result<Body, Status> {
    let server = tower::service_fn(|_: Request<Body>| async {
        let frames = futures_util::stream::pending::<Result<http_body::Frame<Bytes>, Status>>();
        Ok::<_, Infallible>(Response::new(Body::new(StreamBody::new(frames))))
    });
    let mut request = Request::new(Body::empty());
    *request.uri_mut() = path.parse().unwrap();
    if !token.is_empty() {
        let value = format!("Bearer {token}").parse().unwrap();
        request.headers_mut().insert("authorization", value);
    }
    let remote_addr = Some(format!("{address}:1234").parse().unwrap());
    request.extensions_mut().insert(TcpConnectInfo { local_addr: None, remote_addr });
    let mut guarded = layer.layer(server);
    let response = guarded.ready().await.unwrap().call(request).await.unwrap();
    match Status::from_header_map(response.headers()) {
        Some(status) => Err(status),
        None => Ok(response.into_body()),
    }
}

/// The reason in the trailers that end a stream within two seconds.
pub async fn end(stream: &mut Body) -> Option<String> {
    let frame = tokio::time::timeout(Duration::from_secs(2), stream.frame()).await.ok()?;
    let trailers = frame.unwrap().unwrap().into_trailers().unwrap();
    assert!(stream.frame().await.is_none());
    let status = Status::from_header_map(&trailers).unwrap();
    assert_eq!(status.code(), Code::Unauthenticated);
    status::reason(&status)
}

#[tokio::test]
async fn one_user_cannot_take_all_streams() {
    let world = World::new(Limits { streams: 3, ..Limits::default() });
    let (ada, eve) = (world.player(1), world.player(2));
    let mut open = Vec::new();
    for _ in 0..3 {
        open.push(world.open(WATCH, "127.0.0.1", &ada).await.unwrap());
    }
    // Another session and another method of the same user.
    for token in [&ada, &world.player(1)] {
        let status = world.open(WATCH, "192.0.2.1", token).await.unwrap_err();
        assert_eq!(status.code(), Code::ResourceExhausted);
        assert_eq!(status::reason(&status).as_deref(), Some("STREAM_LIMIT"));
        assert!(status::retry_after(&status).is_some());
    }
    open.push(world.open(WATCH, "127.0.0.1", &eve).await.unwrap());
    open.remove(0);
    world.open(WATCH, "127.0.0.1", &ada).await.unwrap();
    let service = world.issuer.service("judge");
    for _ in 0..10 {
        open.push(world.open(DOWNLOAD, "127.0.0.1", &service).await.unwrap());
    }
}

#[tokio::test]
async fn one_address_cannot_take_all_streams() {
    let world = World::new(Limits { address_streams: 2, ..Limits::default() });
    let first = world.open(DOWNLOAD, "192.0.2.1", "").await.unwrap();
    let _second = world.open(WATCH, "192.0.2.1", &world.player(1)).await.unwrap();
    for (path, token) in
        [(DOWNLOAD, String::new()), (WATCH, world.player(2)), (REFLECTION, String::new())]
    {
        let status = world.open(path, "192.0.2.1", &token).await.unwrap_err();
        assert_eq!(status::reason(&status).as_deref(), Some("STREAM_LIMIT"), "{path}");
    }
    let _other = world.open(DOWNLOAD, "192.0.2.2", "").await.unwrap();
    let _trusted = [
        world.open(DOWNLOAD, "127.0.0.1", "").await.unwrap(),
        world.open(DOWNLOAD, "127.0.0.1", "").await.unwrap(),
        world.open(DOWNLOAD, "127.0.0.1", "").await.unwrap(),
    ];
    drop(first);
    world.open(DOWNLOAD, "192.0.2.1", "").await.unwrap();
}

#[tokio::test]
async fn streams_end_with_the_credential() {
    let world = World::new(Limits::default());
    let claims = |user: u128, session: u128| Claims {
        sid: Some(Uuid::from_u128(session)),
        ..world.issuer.claims("user", Uuid::from_u128(user), "ada")
    };
    let open = async |path, claims| {
        world.open(path, "127.0.0.1", &world.issuer.sign(&claims)).await.unwrap()
    };
    let mut session = open(WATCH, claims(1, 11)).await;
    let mut other_session = open(WATCH, claims(1, 12)).await;
    let mut download = open(DOWNLOAD, claims(1, 13)).await;
    let mut bystander = open(WATCH, claims(2, 21)).await;
    world.revoke(11, false);
    assert_eq!(end(&mut session).await.as_deref(), Some("TOKEN_REVOKED"));
    world.revoke(1, true);
    assert_eq!(end(&mut other_session).await.as_deref(), Some("USER_SUSPENDED"));
    assert_eq!(end(&mut download).await.as_deref(), Some("USER_SUSPENDED"));

    // Expired, but for the last second of the leeway.
    let expiring = |session: u128| {
        let (id, now) = (Uuid::from_u128(3), world.clock.now().timestamp());
        let claims = Claims::new("user", id, "ada", world.clock.new_id(), now - 329, 300);
        Claims { sid: Some(Uuid::from_u128(session)), ..claims }
    };
    let mut expired = open(WATCH, expiring(31)).await;
    let mut transfer = open(DOWNLOAD, expiring(32)).await;
    assert_eq!(end(&mut expired).await.as_deref(), Some("TOKEN_EXPIRED"));
    assert_eq!(end(&mut transfer).await, None, "a transfer may outlast its token");
    assert_eq!(end(&mut bystander).await, None);
}
