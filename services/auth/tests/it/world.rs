//! Test support: a running auth service, and assertions.

use std::ops::Deref;

use access::testing::bearer;
use access::{Credentials, EDGE_AUTHORIZATION, Layer, Policy, SigningKey};
use auth::{Auth, Config};
use db::testing::TestDb;
use ids::Clock;
use proto::auth as pb;
use proto::auth::access_service_client::AccessServiceClient;
use proto::auth::credential_service_client::CredentialServiceClient;
use proto::auth::invitation_service_client::InvitationServiceClient;
use proto::auth::session_service_client::SessionServiceClient;
use proto::auth::token_service_client::TokenServiceClient;
use proto::auth::user_service_client::UserServiceClient;
use rpc::Channel;
use service::testing::{self, Setup};
use tonic::{Request, Status};

pub use service::testing::{assert_invalid, assert_refused};

/// The password of all test users.
pub const PASSWORD: &str = "correct horse battery staple";

/// A running auth service with its own database and a manual clock.
pub struct World {
    base: testing::World<Auth>,
    pub auth: Auth,
    pub clock: Clock,
    pub channel: Channel,
    admin_password: String,
    edge: String,
    /// Access token of the service `problem`.
    pub service: String,
}

impl Deref for World {
    type Target = testing::World<Auth>;

    fn deref(&self) -> &Self::Target {
        &self.base
    }
}

/// The configuration of [`each`].
pub fn config() -> Config {
    Config { reply_floor_milliseconds: 0, ..Config::default() }
}

/// Runs a test on every kind of database.
pub fn each<Fut: Future<Output = ()>>(test: impl Fn(World) -> Fut) {
    each_with(&config(), test);
}

pub fn each_with<Fut: Future<Output = ()>>(config: &Config, test: impl Fn(World) -> Fut) {
    let clock = Clock::manual(Clock::system().now());
    let run = setup(config, &clock).each(async |base| test(World::new(base).await).await);
    tokio::runtime::Runtime::new().unwrap().block_on(run);
}

/// Auth verifies tokens itself.
fn setup(config: &Config, clock: &Clock) -> Setup<Auth> {
    let setup = Setup::new(config.clone()).clock(clock.clone());
    setup.idle().layer(|auth: &Auth, _| Layer::new(Policy::of_agon(), auth.verifier()))
}

/// Another instance of the service on a database.
pub async fn open(db: &TestDb, clock: &Clock) -> (Auth, Channel) {
    let running = setup(&Config::default(), clock).run(db).await;
    (running.service.clone(), running.channel.clone())
}

impl World {
    async fn new(base: testing::World<Auth>) -> Self {
        let auth = base.running.service.clone();
        let admin = auth.ensure_admin(|_| Ok(())).await.unwrap().expect("no administrator yet");
        let mut world = Self {
            auth,
            clock: base.clock().clone(),
            channel: base.running.channel.clone(),
            base,
            admin_password: admin.password,
            edge: String::new(),
            service: String::new(),
        };
        world.edge = world.service_token("gateway").await;
        world.service = world.service_token("problem").await;
        world
    }

    /// The same world with another instance of the service.
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

    pub async fn user(&self, name: &str) -> pb::User {
        self.register(registration(name)).await.unwrap()
    }

    pub async fn register(&self, request: pb::RegisterUserRequest) -> Result<pb::User, Status> {
        Ok(self.users().register_user(request).await?.into_inner().user.expect("a user"))
    }

    pub async fn log_in(&self, name: &str) -> pb::CreateSessionResponse {
        self.try_log_in(name, PASSWORD).await.unwrap()
    }

    pub async fn try_log_in(
        &self,
        identifier: &str,
        password: &str,
    ) -> Result<pb::CreateSessionResponse, Status> {
        let request = session_request(identifier, password);
        Ok(self.sessions().create_session(request).await?.into_inner())
    }

    /// Registers a user and returns an access token.
    pub async fn player(&self, name: &str) -> String {
        self.user(name).await;
        self.log_in(name).await.access_token
    }

    pub async fn admin(&self) -> String {
        self.try_log_in("admin", &self.admin_password).await.unwrap().access_token
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

    pub async fn reinstate(&self, token: &str, user_id: &str) {
        let request = pb::ReinstateUserRequest { user_id: user_id.into() };
        self.users().reinstate_user(bearer(token, request)).await.unwrap();
    }

    /// The result of ValidateToken.
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

    /// A request that the edge forwards for a client at this address.
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
        pb::validate_token_response::Result::Rejection(reason) => Err(reason.try_into().unwrap()),
    }
}

pub fn session_request(identifier: &str, password: &str) -> pb::CreateSessionRequest {
    pb::CreateSessionRequest {
        identifier: identifier.into(),
        password: password.into(),
        ..Default::default()
    }
}

pub fn registration(name: &str) -> pb::RegisterUserRequest {
    pb::RegisterUserRequest {
        username: name.into(),
        password: PASSWORD.into(),
        ..Default::default()
    }
}
