//! A server of one test, and what tests say about it.

use std::fmt::Debug;

use access::testing::bearer;
use access::{Credentials, EDGE_AUTHORIZATION, Layer, Policy, SigningKey};
use auth::{Auth, Config, MIGRATIONS};
use cache::Cache;
use db::testing::{PrintOnPanic, TestDb, kinds};
use ids::Clock;
use proto::auth as pb;
use proto::auth::access_service_client::AccessServiceClient;
use proto::auth::credential_service_client::CredentialServiceClient;
use proto::auth::invitation_service_client::InvitationServiceClient;
use proto::auth::session_service_client::SessionServiceClient;
use proto::auth::token_service_client::TokenServiceClient;
use proto::auth::user_service_client::UserServiceClient;
use rpc::{Channel, Local, RootSecret, Stack, status};
use tonic::{Code, Request, Response, Status};

/// Everybody's password.
pub const PASSWORD: &str = "correct horse battery staple";

/// A running auth service on a database of its own, with a clock that stands still.
pub struct World {
    pub auth: Auth,
    pub clock: Clock,
    pub db: TestDb,
    pub channel: Channel,
    admin_password: String,
    edge: String,
    /// A token of the service `problem`.
    pub service: String,
}

/// Runs a test on every kind of database.
pub async fn each<F, Fut>(test: F)
where
    F: Fn(World) -> Fut,
    Fut: Future<Output = ()>,
{
    each_with(|_| {}, test).await;
}

/// The same with another configuration.
pub async fn each_with<F, Fut>(adjust: impl Fn(&mut Config), test: F)
where
    F: Fn(World) -> Fut,
    Fut: Future<Output = ()>,
{
    for kind in kinds() {
        let _guard = PrintOnPanic(&kind);
        let clock = Clock::manual(Clock::system().now());
        let db = kind.create_with(&MIGRATIONS, |options| options.clock = clock.clone()).await;
        let mut config = Config { reply_floor_milliseconds: 0, ..Config::default() };
        adjust(&mut config);
        test(World::open(config, db, clock).await).await;
    }
}

pub fn secret() -> RootSecret {
    RootSecret::from_bytes([7; 32])
}

pub async fn open(config: &Config, db: &TestDb, clock: &Clock) -> (Auth, Channel) {
    let cache = Cache::memory(clock.clone());
    let auth = auth::open(config.clone(), db.db(), cache, &secret()).await.unwrap();
    let layer = Layer::new(Policy::of_agon(), auth.verifier());
    let (served, _) = Stack::new(proto::DESCRIPTOR_SET).build(auth.services(), &layer);
    let local = Local::new();
    local.set(served);
    (auth, local.into())
}

impl World {
    async fn open(config: Config, db: TestDb, clock: Clock) -> Self {
        let (auth, channel) = open(&config, &db, &clock).await;
        let admin = auth.ensure_admin(|_| Ok(())).await.unwrap().expect("the first start");
        let mut world = Self {
            auth,
            clock,
            db,
            channel,
            admin_password: admin.password,
            edge: String::new(),
            service: String::new(),
        };
        world.edge = world.service_token("gateway").await;
        world.service = world.service_token("problem").await;
        world
    }

    /// The same world with another process of the service.
    pub fn with(self, auth: Auth, channel: Channel) -> Self {
        Self { auth, channel, ..self }
    }

    pub fn users(&self) -> UserServiceClient<Channel> {
        UserServiceClient::new(self.channel.clone())
    }

    pub fn sessions(&self) -> SessionServiceClient<Channel> {
        SessionServiceClient::new(self.channel.clone())
    }

    pub fn credentials(&self) -> CredentialServiceClient<Channel> {
        CredentialServiceClient::new(self.channel.clone())
    }

    pub fn invitations(&self) -> InvitationServiceClient<Channel> {
        InvitationServiceClient::new(self.channel.clone())
    }

    pub fn access(&self) -> AccessServiceClient<Channel> {
        AccessServiceClient::new(self.channel.clone())
    }

    pub fn tokens(&self) -> TokenServiceClient<Channel> {
        TokenServiceClient::new(self.channel.clone())
    }

    pub async fn service_token(&self, name: &str) -> String {
        let key = SigningKey::generate();
        self.auth.ensure_service(name, &key.public()).await.unwrap();
        let credentials = Credentials::new(name, key, self.channel.clone(), self.clock.clone());
        credentials.token().await.unwrap()
    }

    /// A registered user.
    pub async fn user(&self, name: &str) -> pb::User {
        let request = registration(name);
        let user = self.users().register_user(request).await.unwrap().into_inner().user;
        user.expect("a user")
    }

    pub async fn log_in(&self, name: &str) -> pb::CreateSessionResponse {
        self.try_log_in(name, PASSWORD).await.unwrap().into_inner()
    }

    pub async fn try_log_in(
        &self,
        identifier: &str,
        password: &str,
    ) -> Result<Response<pb::CreateSessionResponse>, Status> {
        let request =
            pb::CreateSessionRequest { identifier: identifier.into(), password: password.into() };
        self.sessions().create_session(request).await
    }

    /// A token of a new user.
    pub async fn player(&self, name: &str) -> String {
        self.user(name).await;
        self.log_in(name).await.access_token
    }

    /// A token of the administrator.
    pub async fn admin(&self) -> String {
        let session = self.try_log_in("admin", &self.admin_password).await.unwrap();
        session.into_inner().access_token
    }

    pub async fn bind(
        &self,
        token: &str,
        user_id: &str,
        role: &str,
    ) -> Result<pb::RoleBinding, Status> {
        let request = pb::CreateRoleBindingRequest {
            user_id: user_id.into(),
            role: role.into(),
            ..Default::default()
        };
        let made = self.access().create_role_binding(bearer(token, request)).await?;
        Ok(made.into_inner().role_binding.expect("a binding"))
    }

    pub async fn refresh(&self, token: &str) -> Result<pb::RefreshSessionResponse, Status> {
        let request = pb::RefreshSessionRequest { refresh_token: token.into() };
        Ok(self.sessions().refresh_session(request).await?.into_inner())
    }

    pub async fn suspend(&self, token: &str, user_id: &str) -> Result<pb::User, Status> {
        let request = pb::SuspendUserRequest { user_id: user_id.into(), reason: "spam".into() };
        let done = self.users().suspend_user(bearer(token, request)).await?;
        Ok(done.into_inner().user.expect("a user"))
    }

    /// What ValidateToken says: the principal, or why not.
    pub async fn validate(&self, token: &str) -> Result<pb::Principal, pb::Rejection> {
        self.validate_as(pb::ValidateTokenRequest { token: token.into(), ..Default::default() })
            .await
    }

    pub async fn validate_as(
        &self,
        request: pb::ValidateTokenRequest,
    ) -> Result<pb::Principal, pb::Rejection> {
        let answer = self.tokens().validate_token(bearer(&self.service, request)).await;
        read(answer.unwrap().into_inner())
    }

    /// A request that comes through the edge, from an address.
    pub fn from<T>(&self, address: &str, message: T) -> Request<T> {
        let mut request = Request::new(message);
        let edge = format!("Bearer {}", self.edge).parse().unwrap();
        request.metadata_mut().insert(EDGE_AUTHORIZATION, edge);
        request.metadata_mut().insert("x-agon-client-address", address.parse().unwrap());
        request
    }
}

pub fn read(answer: pb::ValidateTokenResponse) -> Result<pb::Principal, pb::Rejection> {
    match answer.result.expect("a principal or a rejection") {
        pb::validate_token_response::Result::Principal(principal) => Ok(principal),
        pb::validate_token_response::Result::Rejection(why) => Err(why.try_into().unwrap()),
    }
}

pub fn registration(name: &str) -> pb::RegisterUserRequest {
    pb::RegisterUserRequest {
        username: name.into(),
        password: PASSWORD.into(),
        ..Default::default()
    }
}

#[track_caller]
pub fn refused<T: Debug>(result: Result<T, Status>, code: Code, reason: &str) {
    let status = result.expect_err("a refusal");
    assert_eq!(status.code(), code, "{status:?}");
    assert_eq!(status::reason(&status).as_deref(), Some(reason), "{status:?}");
}

/// The refusal names exactly these fields.
#[track_caller]
pub fn invalid<T: Debug>(result: Result<T, Status>, fields: &[&str]) {
    let status = result.expect_err("a refusal");
    assert_eq!(status.code(), Code::InvalidArgument, "{status:?}");
    let named: Vec<String> = status::fields(&status).into_iter().map(|(field, _)| field).collect();
    assert_eq!(named, fields, "{status:?}");
}
