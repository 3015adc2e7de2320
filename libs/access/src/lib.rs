//! Who calls, and what they may do: the one authorising layer that every server mounts.
//!
//! Owns the form of access tokens and their verification ([`Verifier`]), the built-in roles
//! ([`Role`]), the access rules read from the protos ([`Policy`]), the layer that applies them
//! ([`Layer`]) and leaves a [`Caller`] with each request, and the credential with which services
//! call each other ([`Credentials`]).
//!
//! Must not know: storage, passwords, sessions. Those are the auth service's, which feeds the
//! verifier of its process with keys and revocations.
//!
//! Metadata: `authorization` holds the caller's own credential, always. A service that acts for a
//! user adds the user's token as `agon-on-behalf-of`. The edge passes the user's token on as
//! `authorization` and proves itself by `agon-edge-authorization`; only then is its
//! `x-agon-client-address` believed.

mod caller;
mod credentials;
mod key;
mod layer;
mod limits;
mod policy;
mod principal;
mod remote;
mod revocation;
pub mod roles;
pub mod testing;
pub mod token;
mod verified;
mod verifier;

pub use caller::Caller;
pub use credentials::{Assertion, Authorised, Credentials, EdgeChannel};
pub use key::{KeyError, PublicKey, SigningKey};
pub use layer::{EDGE_AUTHORIZATION, Guarded, Layer};
pub use limits::Limits;
pub use policy::{Policy, PolicyError, Rule};
pub use principal::{Kind, Principal};
pub use revocation::{Revocation, Revocations};
pub use roles::Role;
pub use token::{Claims, KeySet, Rejection};
pub use verifier::Verifier;
