//! Access tokens (RFC 9068 JWS, EdDSA): claims, signing and verification. Pure: no clock, no state.
//!
//! The header segment of a token must equal, byte for byte, the one header that a known key's
//! tokens have. No header written by a client is parsed, which excludes `alg: none`, algorithm
//! confusion and injection through `kid`, `jku`, `jwk`, `crit` and `typ`. Signature and claims are
//! checked by `jsonwebtoken`.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Duration, Utc};
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, Validation};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::key::{PublicKey, SigningKey};
use crate::principal::{Kind, Principal};
use crate::roles::{self, Role};

/// Maximum length of a token, in bytes.
pub const MAX_LENGTH: usize = 4096;
/// Maximum lifetime of an access token, in seconds.
pub const MAX_LIFETIME: i64 = 3600;
/// Accepted clock skew, in seconds.
pub const LEEWAY: i64 = 30;
/// Issuer and audience of access tokens, and audience of service assertions.
pub const ISSUER: &str = "agon";
/// The `typ` of access tokens.
pub const ACCESS: &str = "at+jwt";
/// The `typ` of service assertions.
pub const ASSERTION: &str = "JWT";

/// Why a token is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rejection {
    Expired,
    /// Its session ended, or the user's epoch was increased.
    Revoked,
    /// Not a valid token of this installation; also one that is not valid yet.
    Malformed,
    WrongAudience,
    Suspended,
}

/// Claims of an access token. Times are in seconds since the Unix epoch.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Claims {
    /// Always [`ISSUER`].
    pub iss: String,
    /// Always [`ISSUER`].
    pub aud: String,
    /// The id of the user or of the service account.
    pub sub: Uuid,
    /// The username, or the name of the service.
    pub client_id: String,
    /// `user` or `service`.
    pub kind: String,
    /// The session; users only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sid: Option<Uuid>,
    pub iat: i64,
    pub exp: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nbf: Option<i64>,
    /// When the user signed in.
    pub auth_time: i64,
    pub jti: Uuid,
    /// Names of global roles.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub roles: Vec<String>,
    /// Scopes, separated by spaces.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub scope: String,
    /// The user's `auth_epoch` at signing.
    #[serde(default)]
    pub epoch: i64,
    /// How the user signed in (RFC 8176).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub amr: Vec<String>,
}

impl Claims {
    /// Claims without session, roles and scopes. `kind` is `user` or `service`; `now` and `lifetime`
    /// are in seconds.
    pub fn new(kind: &str, id: Uuid, name: &str, jti: Uuid, now: i64, lifetime: i64) -> Self {
        Self {
            iss: ISSUER.to_owned(),
            aud: ISSUER.to_owned(),
            sub: id,
            client_id: name.to_owned(),
            kind: kind.to_owned(),
            sid: None,
            iat: now,
            exp: now + lifetime,
            nbf: None,
            auth_time: now,
            jti,
            roles: Vec::new(),
            scope: String::new(),
            epoch: 0,
            amr: Vec::new(),
        }
    }

    /// The principal that the claims describe.
    pub fn principal(&self) -> Result<Principal, Rejection> {
        let kind = match (self.kind.as_str(), self.sid) {
            ("user", Some(_)) => Kind::User,
            ("service", None) => Kind::Service,
            _ => return Err(Rejection::Malformed),
        };
        let time = |seconds| DateTime::from_timestamp(seconds, 0).ok_or(Rejection::Malformed);
        // Roles that this version does not know are ignored and grant nothing.
        let mut roles: Vec<Role> = self.roles.iter().filter_map(|name| name.parse().ok()).collect();
        roles.sort_unstable();
        let mut scopes: Vec<String> = self.scope.split(' ').map(str::to_owned).collect();
        scopes.retain(|scope| !scope.is_empty());
        scopes.sort_unstable();
        Ok(Principal {
            kind,
            id: self.sub,
            name: self.client_id.clone(),
            session_id: self.sid.unwrap_or_default(),
            permissions: match kind {
                Kind::User => roles::permissions(&roles),
                _ => roles::service_permissions(&self.client_id),
            },
            roles,
            scopes,
            auth_time: time(self.auth_time)?,
            expire_time: time(self.exp)?,
            auth_epoch: self.epoch,
            methods: self.amr.clone(),
        })
    }
}

/// Signs claims into a token.
///
/// # Panics
/// When the claims cannot be serialised as JSON.
pub fn sign(key: &SigningKey, typ: &str, claims: &impl Serialize) -> String {
    let claims = serde_json::to_vec(claims).expect("claims are plain data");
    let mut token = header_segment(key.kid(), typ);
    token.push('.');
    URL_SAFE_NO_PAD.encode_string(claims, &mut token);
    let signature = key.sign(token.as_bytes());
    token + "." + &signature
}

/// The header segment of every token of a key. Verifiers compare it as bytes, so its members have a
/// fixed order, which `jsonwebtoken::Header` does not promise.
pub(crate) fn header_segment(kid: &str, typ: &str) -> String {
    URL_SAFE_NO_PAD.encode(format!(r#"{{"alg":"EdDSA","kid":"{kid}","typ":"{typ}"}}"#))
}

/// The header segment of a text that has the length and the three segments of a token.
pub(crate) fn header_of(token: &str) -> Result<&str, Rejection> {
    if token.len() > MAX_LENGTH || token.bytes().filter(|byte| *byte == b'.').count() != 2 {
        return Err(Rejection::Malformed);
    }
    token.split_once('.').map(|(header, _)| header).ok_or(Rejection::Malformed)
}

/// The claims that every token must have, checked after the signature.
///
/// `jsonwebtoken` compares `exp` and `nbf` with the system clock and cannot be given another one.
/// [`Times::check`] checks them, and `iat` and the lifetime, at the time of the injected clock.
pub(crate) fn validation(issuer: &str) -> Validation {
    let mut validation = Validation::new(Algorithm::EdDSA);
    validation.set_required_spec_claims(&["iss", "aud", "sub", "exp"]);
    validation.set_issuer(&[issuer]);
    validation.set_audience(&[ISSUER]);
    validation.validate_exp = false;
    validation.validate_nbf = false;
    validation
}

/// The claims of a token whose header was found to be the one of `key`.
pub(crate) fn open<C: DeserializeOwned>(
    token: &str,
    key: &PublicKey,
    validation: &Validation,
) -> Result<C, Rejection> {
    match jsonwebtoken::decode(token, key.decoding(), validation) {
        Ok(data) => Ok(data.claims),
        Err(error) => Err(match error.kind() {
            ErrorKind::InvalidAudience => Rejection::WrongAudience,
            _ => Rejection::Malformed,
        }),
    }
}

/// The times of a token, in seconds since the Unix epoch.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Times {
    pub iat: i64,
    pub nbf: Option<i64>,
    pub exp: i64,
}

impl Times {
    /// Whether a token with these times and at most this lifetime (in seconds) is valid at `now`.
    pub fn check(self, max_lifetime: i64, now: DateTime<Utc>) -> Result<(), Rejection> {
        let now = now.timestamp();
        let lifetime = self.exp.checked_sub(self.iat).ok_or(Rejection::Malformed)?;
        let valid_from = self.iat.max(self.nbf.unwrap_or(self.iat));
        if !(0..=max_lifetime).contains(&lifetime) || valid_from.saturating_sub(LEEWAY) > now {
            return Err(Rejection::Malformed);
        }
        if self.exp.saturating_add(LEEWAY) <= now { Err(Rejection::Expired) } else { Ok(()) }
    }
}

/// Accepted keys, each with the one header that its tokens have.
#[derive(Clone, Debug)]
pub struct KeySet {
    keys: Vec<(String, PublicKey)>,
    validation: Validation,
}

impl Default for KeySet {
    fn default() -> Self {
        Self::new([])
    }
}

impl KeySet {
    /// Accepts access tokens signed by these keys.
    pub fn new(keys: impl IntoIterator<Item = PublicKey>) -> Self {
        let with_header = |key: PublicKey| (header_segment(key.kid(), ACCESS), key);
        Self { keys: keys.into_iter().map(with_header).collect(), validation: validation(ISSUER) }
    }

    pub fn keys(&self) -> impl Iterator<Item = &PublicKey> {
        self.keys.iter().map(|(_, key)| key)
    }

    /// Whether the token's header belongs to one of the keys.
    pub fn knows_header_of(&self, token: &str) -> bool {
        token.split_once('.').is_some_and(|(header, _)| self.by_header(header).is_some())
    }

    fn by_header(&self, header: &str) -> Option<&PublicKey> {
        self.keys.iter().find(|(known, _)| known == header).map(|(_, key)| key)
    }

    /// The principal of an access token. Everything is checked except revocation.
    pub fn verify(&self, token: &str, now: DateTime<Utc>) -> Result<Principal, Rejection> {
        let key = self.by_header(header_of(token)?).ok_or(Rejection::Malformed)?;
        let claims: Claims = open(token, key, &self.validation)?;
        Times { iat: claims.iat, nbf: claims.nbf, exp: claims.exp }.check(MAX_LIFETIME, now)?;
        claims.principal()
    }

    /// [`KeySet::verify`] of a token that may have expired less than `grace` ago.
    pub(crate) fn verify_late(
        &self,
        token: &str,
        now: DateTime<Utc>,
        grace: Duration,
    ) -> Result<Principal, Rejection> {
        let key = self.by_header(header_of(token)?).ok_or(Rejection::Malformed)?;
        let claims: Claims = open(token, key, &self.validation)?;
        let then = now.min(claims.principal()?.expire_time);
        if now - then > grace {
            return Err(Rejection::Expired);
        }
        Times { iat: claims.iat, nbf: claims.nbf, exp: claims.exp }.check(MAX_LIFETIME, then)?;
        claims.principal()
    }
}

/// Whether a verified principal's token has not expired.
pub(crate) fn is_live(principal: &Principal, now: DateTime<Utc>) -> bool {
    principal.expire_time + Duration::seconds(LEEWAY) > now
}

#[cfg(test)]
mod tests;
