//! Which requests the access layer admits, and with which caller.

use std::convert::Infallible;
use std::time::Duration;

use access::testing::Issuer;
use access::token::Claims;
use access::{Caller, EDGE_AUTHORIZATION, Kind, Limits, Revocation, Role};
use cache::Cache;
use http::{Request, Response};
use ids::{Clock, Uuid};
use rpc::status;
use tonic::body::Body;
use tonic::transport::server::TcpConnectInfo;
use tonic::{Code, Status};
use tower::{Layer as _, Service, ServiceExt};

const GET_USER: &str = "/agon.auth.v1.UserService/GetUser";
const UPDATE_USER: &str = "/agon.auth.v1.UserService/UpdateUser";
const BIND: &str = "/agon.auth.v1.AccessService/CreateRoleBinding";
const VALIDATE: &str = "/agon.auth.v1.TokenService/ValidateToken";

struct World {
    issuer: Issuer,
    clock: Clock,
    layer: access::Layer,
}

impl World {
    fn new() -> Self {
        let clock = Clock::manual(Clock::system().now());
        let issuer = Issuer::new(clock.clone());
        let layer = issuer.layer();
        Self { issuer, clock, layer }
    }

    /// The `authorization` of a player.
    fn player(&self) -> String {
        bearer(&self.issuer.user(Uuid::from_u128(1), "ada", &[]))
    }

    fn service(&self, name: &str) -> String {
        bearer(&self.issuer.service(name))
    }

    /// The caller that the server behind the layer sees, or the status of the layer.
    async fn call(&self, path: &str, headers: &[(&'static str, &str)]) -> Result<Caller, Status> {
        let server = tower::service_fn(|request: Request<Body>| async move {
            let caller = request.extensions().get::<Caller>().cloned().expect("a caller");
            let mut response = Response::new(Body::empty());
            response.extensions_mut().insert(caller);
            Ok::<_, Infallible>(response)
        });
        let mut request = Request::new(Body::empty());
        *request.uri_mut() = path.parse().unwrap();
        for (name, value) in headers {
            request.headers_mut().append(*name, value.parse().unwrap());
        }
        request.extensions_mut().insert(TcpConnectInfo {
            local_addr: None,
            remote_addr: Some("198.51.100.7:1234".parse().unwrap()),
        });
        let mut guarded = self.layer.layer(server);
        let response = guarded.ready().await.unwrap().call(request).await.unwrap();
        match response.extensions().get::<Caller>() {
            Some(caller) => Ok(caller.clone()),
            None => Err(Status::from_header_map(response.headers()).expect("a status")),
        }
    }

    async fn refused(&self, path: &str, headers: &[(&'static str, &str)], reason: &str) {
        let code = match reason {
            "PERMISSION_MISSING" | "SERVICE_ONLY" => Code::PermissionDenied,
            _ => Code::Unauthenticated,
        };
        let status = self.call(path, headers).await.expect_err("a refusal");
        assert_eq!(status.code(), code, "{headers:?}: {status:?}");
        assert_eq!(status::reason(&status).as_deref(), Some(reason), "{headers:?}");
    }
}

fn bearer(token: &str) -> String {
    format!("Bearer {token}")
}

#[tokio::test]
async fn access_levels_are_enforced() {
    let world = World::new();
    let (player, service) = (world.player(), world.service("judge"));
    let admin = bearer(&world.issuer.user(Uuid::from_u128(2), "root", &[Role::Admin]));
    let (player, admin) = ([("authorization", player.as_str())], [("authorization", &*admin)]);
    let service = [("authorization", service.as_str())];

    assert_eq!(world.call(GET_USER, &[]).await.unwrap().principal.kind, Kind::Anonymous);
    assert_eq!(world.call(GET_USER, &player).await.unwrap().principal.name, "ada");
    for path in [UPDATE_USER, BIND, VALIDATE] {
        world.refused(path, &[], "TOKEN_MISSING").await;
    }
    assert!(world.call(UPDATE_USER, &player).await.is_ok());
    assert!(world.call(UPDATE_USER, &service).await.unwrap().user().is_err());
    world.refused(BIND, &player, "PERMISSION_MISSING").await;
    world.refused(BIND, &service, "PERMISSION_MISSING").await;
    assert!(world.call(BIND, &admin).await.is_ok());
    world.refused(VALIDATE, &player, "SERVICE_ONLY").await;
    world.refused(VALIDATE, &admin, "SERVICE_ONLY").await;
    assert!(world.call(VALIDATE, &service).await.unwrap().is_service());
}

#[tokio::test]
async fn unknown_methods_are_unimplemented_and_health_is_public() {
    let world = World::new();
    let status = world.call("/agon.auth.v1.UserService/Nothing", &[]).await.unwrap_err();
    assert_eq!(status.code(), Code::Unimplemented);
    assert!(world.call("/grpc.health.v1.Health/Check", &[]).await.is_ok());
}

#[tokio::test]
async fn invalid_credentials_are_not_treated_as_anonymous() {
    let world = World::new();
    let good = world.player();
    let (token, long) = (good.replace("Bearer ", ""), bearer(&"a".repeat(5000)));
    let foreign = Issuer::new(world.clock.clone()).user(Uuid::from_u128(1), "ada", &[Role::Admin]);
    let foreign = bearer(&foreign);
    for value in ["", "Basic YTpi", "Bearer", "Bearer ", &token, "Bearer a.b.c", &long, &foreign] {
        world.refused(GET_USER, &[("authorization", value)], "TOKEN_MALFORMED").await;
    }
    let twice = [("authorization", &*good), ("authorization", &*good)];
    world.refused(GET_USER, &twice, "TOKEN_MALFORMED").await;
    let lower = [("authorization", &*format!("bearer {token}"))];
    assert!(world.call(GET_USER, &lower).await.is_ok(), "schemes are case-insensitive");
}

#[tokio::test]
async fn cached_tokens_expire_and_are_revoked() {
    let world = World::new();
    let id = Uuid::from_u128(1);
    let user = |session: u128| Claims {
        sid: Some(Uuid::from_u128(session)),
        epoch: 3,
        ..world.issuer.claims("user", id, "ada")
    };
    let (first, second) =
        (bearer(&world.issuer.sign(&user(11))), bearer(&world.issuer.sign(&user(12))));
    let (first, second) = ([("authorization", &*first)], [("authorization", &*second)]);
    assert!(world.call(UPDATE_USER, &first).await.is_ok());
    assert!(world.call(UPDATE_USER, &second).await.is_ok());
    let until = world.clock.now() + Duration::from_secs(600);
    let revoke = |subject: Uuid, below_epoch, suspended| {
        let revocation = Revocation { subject, below_epoch, suspended, until };
        world.issuer.verifier().revocations().add([revocation]);
    };
    revoke(Uuid::from_u128(11), i64::MAX, false);
    world.refused(UPDATE_USER, &first, "TOKEN_REVOKED").await;
    assert!(world.call(UPDATE_USER, &second).await.is_ok());
    revoke(id, 4, true);
    world.refused(UPDATE_USER, &second, "USER_SUSPENDED").await;

    let other = bearer(&world.issuer.user(Uuid::from_u128(9), "eve", &[]));
    let other = [("authorization", &*other)];
    assert!(world.call(UPDATE_USER, &other).await.is_ok());
    world.clock.advance(Duration::from_secs(329));
    assert!(world.call(UPDATE_USER, &other).await.is_ok(), "within the leeway");
    world.clock.advance(Duration::from_secs(1));
    world.refused(UPDATE_USER, &other, "TOKEN_EXPIRED").await;
    world.refused(UPDATE_USER, &other, "TOKEN_EXPIRED").await;
}

#[tokio::test]
async fn only_services_act_on_behalf_of_users() {
    let world = World::new();
    let (player, service) = (world.player(), world.service("challenge"));
    let acting = [("authorization", &*service), ("agon-on-behalf-of", &*player)];
    let caller = world.call(UPDATE_USER, &acting).await.unwrap();
    assert!(caller.is_service() && !caller.is_service_itself());
    assert_eq!(caller.user().unwrap().name, "ada");
    assert!(!caller.has("problem.problem.create"), "the user's permissions apply");
    world.refused(BIND, &acting, "PERMISSION_MISSING").await;
    assert!(world.call(VALIDATE, &acting).await.is_ok(), "the principal is a service");
    let forwarded = caller.forward(tonic::Request::new(()));
    assert_eq!(forwarded.metadata().get("agon-on-behalf-of").unwrap(), player.as_str());

    let by_user = [("authorization", &*player), ("agon-on-behalf-of", &*player)];
    world.refused(UPDATE_USER, &by_user, "SERVICE_ONLY").await;
    let anonymous = [("agon-on-behalf-of", &*player)];
    world.refused(UPDATE_USER, &anonymous, "SERVICE_ONLY").await;
    let for_service = [("authorization", &*service), ("agon-on-behalf-of", &*service)];
    world.refused(UPDATE_USER, &for_service, "SERVICE_ONLY").await;
    let bad = [("authorization", &*service), ("agon-on-behalf-of", "Bearer x.y.z")];
    world.refused(UPDATE_USER, &bad, "TOKEN_MALFORMED").await;
}

#[tokio::test]
async fn client_addresses_are_accepted_from_the_edge_only() {
    let world = World::new();
    let forwarded = ("x-agon-client-address", "203.0.113.9");
    let address = |caller: Caller| caller.address.map(|address| address.to_string());
    let plain = world.call(GET_USER, &[forwarded]).await.unwrap();
    assert_eq!(address(plain).as_deref(), Some("198.51.100.7"));
    let edge = world.service("gateway");
    let from_edge = world.call(GET_USER, &[forwarded, (EDGE_AUTHORIZATION, &edge)]).await.unwrap();
    assert_eq!(from_edge.principal.kind, Kind::Anonymous, "the token grants nothing else");
    assert_eq!(address(from_edge).as_deref(), Some("203.0.113.9"));
    world.refused(VALIDATE, &[(EDGE_AUTHORIZATION, &edge)], "TOKEN_MISSING").await;
    for (other, reason) in [
        (world.service("judge"), "SERVICE_ONLY"),
        (world.player(), "SERVICE_ONLY"),
        (bearer("x.y.z"), "TOKEN_MALFORMED"),
    ] {
        world.refused(GET_USER, &[forwarded, (EDGE_AUTHORIZATION, &other)], reason).await;
    }
}

#[tokio::test]
async fn rate_limits_apply_to_users_and_addresses() {
    let mut world = World::new();
    let limits = Limits { read: 3, write: 2, address_factor: 2, ..Limits::default() };
    world.layer =
        world.layer.limited(limits, Cache::memory(world.clock.clone()), rpc::Trusted::default());
    let (player, service) = (world.player(), world.service("judge"));
    let player = [("authorization", &*player)];
    for _ in 0..3 {
        assert!(world.call(GET_USER, &player).await.is_ok());
    }
    let status = world.call(GET_USER, &player).await.unwrap_err();
    assert_eq!(status.code(), Code::ResourceExhausted);
    assert_eq!(status::reason(&status).as_deref(), Some("RATE_LIMITED"));
    assert!(status::retry_after(&status).is_some_and(|after| !after.is_zero()));
    assert!(world.call(UPDATE_USER, &player).await.is_ok(), "another rate class");
    for _ in 0..6 {
        assert!(world.call(GET_USER, &[]).await.is_ok(), "an address has twice the limit");
    }
    assert!(world.call(GET_USER, &[]).await.is_err());
    for _ in 0..20 {
        assert!(world.call(GET_USER, &[("authorization", &service)]).await.is_ok());
    }
    world.clock.advance(Duration::from_secs(61));
    assert!(world.call(GET_USER, &player).await.is_ok());
}
