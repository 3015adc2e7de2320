//! Authentication and authorisation of calls: the access layer of every server.
//!
//! Owns access tokens and service assertions and their verification ([`Verifier`], [`Assertion`]),
//! the built-in roles ([`Role`]), the access rules in the protos ([`Policy`]), the layer that
//! applies them and adds a [`Caller`] to each request ([`Layer`]), and the credentials with which
//! services call each other ([`Credentials`]).
//!
//! Must not know storage, passwords and sessions. The auth service owns them and sets the keys and
//! revocations of the verifier in its process.
//!
//! Metadata: `authorization` always holds the caller's own credential. A service that acts for a
//! user adds the user's token as `agon-on-behalf-of`. The edge forwards the user's token as
//! `authorization` and authenticates itself by `agon-edge-authorization`; without it,
//! `x-agon-client-address` is ignored.

mod assertion;
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
mod streams;
pub mod testing;
pub mod token;
mod verifier;

pub use assertion::Assertion;
pub use caller::Caller;
pub use credentials::{Authorised, Credentials};
pub use key::{KeyError, PublicKey, SigningKey};
pub use layer::{EDGE_AUTHORIZATION, Guarded, Layer};
pub use limits::Limits;
pub use policy::{Policy, PolicyError, Rule};
pub use principal::{Kind, Principal};
pub use revocation::{Revocation, Revocations};
pub use roles::Role;
pub use token::{Claims, KeySet, Rejection};
pub use verifier::Verifier;
