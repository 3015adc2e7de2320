//! Tokens and an access layer for tests of other services, without the auth service.

use ids::Clock;
use tonic::Request;
use uuid::Uuid;

use crate::credentials::Credentials;
use crate::key::SigningKey;
use crate::layer::Layer;
use crate::policy::Policy;
use crate::roles::Role;
use crate::token::{self, Claims, KeySet};
use crate::verifier::Verifier;

/// Issues tokens that only its own layer accepts.
#[derive(Clone)]
pub struct Issuer {
    key: std::sync::Arc<SigningKey>,
    clock: Clock,
    verifier: Verifier,
}

impl Issuer {
    pub fn new(clock: Clock) -> Self {
        let key = SigningKey::generate();
        let verifier = Verifier::local(clock.clone());
        verifier.set_keys(KeySet::new([key.public()]));
        Self { key: key.into(), clock, verifier }
    }

    /// A token of a user with these global roles (`player` is implied), valid for five minutes.
    pub fn user(&self, id: Uuid, name: &str, roles: &[Role]) -> String {
        let mut names = vec![Role::Player.name().to_owned()];
        names.extend(roles.iter().map(|role| role.name().to_owned()));
        let session = Some(self.clock.new_id());
        self.sign(&Claims { sid: session, roles: names, ..self.claims("user", id, name) })
    }

    pub fn service(&self, name: &str) -> String {
        // The longest lifetime: a fixed credential must outlive its test.
        let exp = self.clock.now().timestamp() + token::MAX_LIFETIME;
        self.sign(&Claims { exp, ..self.claims("service", self.clock.new_id(), name) })
    }

    pub fn credentials(&self, name: &str) -> Credentials {
        Credentials::fixed(&self.service(name))
    }

    pub fn sign(&self, claims: &Claims) -> String {
        token::sign(&self.key, token::ACCESS, claims)
    }

    /// The verifier that accepts the tokens.
    pub fn verifier(&self) -> Verifier {
        self.verifier.clone()
    }

    /// A layer that accepts the tokens and applies Agon's policy.
    pub fn layer(&self) -> Layer {
        Layer::new(Policy::of_agon(), self.verifier())
    }

    /// Claims of a valid token.
    pub fn claims(&self, kind: &str, id: Uuid, name: &str) -> Claims {
        let (jti, now) = (self.clock.new_id(), self.clock.now().timestamp());
        Claims::new(kind, id, name, jti, now, 300)
    }
}

/// A request with a bearer token.
///
/// # Panics
/// When the token is not a valid metadata value.
pub fn bearer<T>(token: &str, message: T) -> Request<T> {
    let mut request = Request::new(message);
    let value = format!("Bearer {token}").parse().expect("a token is ASCII");
    request.metadata_mut().insert("authorization", value);
    request
}
