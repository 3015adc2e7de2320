//! The form of access tokens (RFC 9068, EdDSA) and their verification, pure: no clock, no state.
//!
//! The header is never parsed. A token's header segment must equal, byte for byte, the one that a
//! known key's tokens have; so everything that an attacker could write into a header (`alg`,
//! `kid`, `jku`, `crit`, …) dies in one comparison.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Duration, Utc};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::key::{PublicKey, SigningKey};
use crate::principal::{Kind, Principal};
use crate::roles::Role;

/// Longest token, in bytes.
pub const MAX_LENGTH: usize = 4096;
/// Longest lifetime that is believed, in seconds, whoever signed it.
pub const MAX_LIFETIME: i64 = 3600;
/// Difference of clocks that is forgiven, in seconds.
pub const LEEWAY: i64 = 30;
/// Who signs access tokens, and whom they are for.
pub const ISSUER: &str = "agon";
/// The `typ` of access tokens.
pub const ACCESS: &str = "at+jwt";
/// The `typ` of services' assertions.
pub const ASSERTION: &str = "JWT";

/// Why a token is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rejection {
    /// Its time is over.
    Expired,
    /// Its session has ended, or its user's epoch has moved on.
    Revoked,
    /// Not a token of ours.
    Malformed,
    /// Meant for somebody else.
    WrongAudience,
    /// Its user is suspended.
    Suspended,
}

/// What an access token says.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Claims {
    /// Always [`ISSUER`].
    pub iss: String,
    /// Always [`ISSUER`]: everything that Agon serves.
    pub aud: String,
    /// The user's or the service account's id.
    pub sub: Uuid,
    /// The username or the service's name.
    pub client_id: String,
    /// `user` or `service`.
    pub kind: String,
    /// The session, of users.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sid: Option<Uuid>,
    /// When it was signed, in seconds.
    pub iat: i64,
    /// When it expires, in seconds.
    pub exp: i64,
    /// When the user signed in, in seconds.
    pub auth_time: i64,
    /// This token.
    pub jti: Uuid,
    /// Names of global roles.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub roles: Vec<String>,
    /// Scopes, separated by spaces.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub scope: String,
    /// The user's epoch when it was signed.
    #[serde(default)]
    pub epoch: i64,
    /// How the user signed in.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub amr: Vec<String>,
}

impl Claims {
    /// The principal they describe.
    pub fn principal(&self) -> Result<Principal, Rejection> {
        let kind = match (self.kind.as_str(), self.sid) {
            ("user", Some(_)) => Kind::User,
            ("service", None) => Kind::Service,
            _ => return Err(Rejection::Malformed),
        };
        let time = |seconds| DateTime::from_timestamp(seconds, 0).ok_or(Rejection::Malformed);
        // A role that this version does not know allows nothing.
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
            permissions: Principal::permissions_of(kind, &self.client_id, &roles),
            roles,
            scopes,
            auth_time: time(self.auth_time)?,
            expire_time: time(self.exp)?,
            auth_epoch: self.epoch,
            methods: self.amr.clone(),
        })
    }
}

/// The header segment of every token of a key.
#[must_use]
pub fn header_segment(kid: &str, typ: &str) -> String {
    URL_SAFE_NO_PAD.encode(format!(r#"{{"alg":"EdDSA","kid":"{kid}","typ":"{typ}"}}"#))
}

/// Signs claims into a token.
///
/// # Panics
/// When the claims are not plain data.
#[must_use]
pub fn sign(key: &SigningKey, typ: &str, claims: &impl Serialize) -> String {
    let claims = serde_json::to_vec(claims).expect("claims are plain data");
    let mut token = header_segment(&key.public().kid(), typ);
    token.push('.');
    URL_SAFE_NO_PAD.encode_string(claims, &mut token);
    let signature = key.sign(token.as_bytes());
    token.push('.');
    URL_SAFE_NO_PAD.encode_string(signature, &mut token);
    token
}

/// The keys whose tokens are accepted, each with the one header its tokens have.
#[derive(Clone, Debug, Default)]
pub struct KeySet(Vec<(String, PublicKey)>);

impl KeySet {
    /// Accepts tokens of a type, signed by these keys.
    pub fn new(typ: &str, keys: impl IntoIterator<Item = PublicKey>) -> Self {
        Self(keys.into_iter().map(|key| (header_segment(&key.kid(), typ), key)).collect())
    }

    /// The public keys.
    pub fn keys(&self) -> impl Iterator<Item = &PublicKey> {
        self.0.iter().map(|(_, key)| key)
    }

    /// Whether the token's header is one of ours; the cheapest of all checks.
    #[must_use]
    pub fn knows_header_of(&self, token: &str) -> bool {
        token.split_once('.').is_some_and(|(header, _)| self.by_header(header).is_some())
    }

    fn by_header(&self, header: &str) -> Option<&PublicKey> {
        self.0.iter().find(|(known, _)| known == header).map(|(_, key)| key)
    }

    /// The claims of a token whose length, form, header and signature are right, and the key that
    /// signed it. Nothing of what they say is checked yet.
    pub fn open<C: DeserializeOwned>(&self, token: &str) -> Result<(C, &PublicKey), Rejection> {
        if token.len() > MAX_LENGTH {
            return Err(Rejection::Malformed);
        }
        let (signed, signature) = token.rsplit_once('.').ok_or(Rejection::Malformed)?;
        let (header, claims) = signed.split_once('.').ok_or(Rejection::Malformed)?;
        if claims.contains('.') {
            return Err(Rejection::Malformed);
        }
        let key = self.by_header(header).ok_or(Rejection::Malformed)?;
        let signature = URL_SAFE_NO_PAD.decode(signature).map_err(|_| Rejection::Malformed)?;
        if !key.verifies(signed.as_bytes(), &signature) {
            return Err(Rejection::Malformed);
        }
        let claims = URL_SAFE_NO_PAD.decode(claims).map_err(|_| Rejection::Malformed)?;
        let claims = serde_json::from_slice(&claims).map_err(|_| Rejection::Malformed)?;
        Ok((claims, key))
    }

    /// Whom an access token speaks for; everything checked but revocation.
    pub fn verify(&self, token: &str, now: DateTime<Utc>) -> Result<Principal, Rejection> {
        let (claims, _) = self.open::<Claims>(token)?;
        if claims.iss != ISSUER {
            return Err(Rejection::Malformed);
        }
        if claims.aud != ISSUER {
            return Err(Rejection::WrongAudience);
        }
        check_times(claims.iat, claims.exp, MAX_LIFETIME, now)?;
        claims.principal()
    }
}

/// Whether a token signed at `iat` and good until `exp` (in seconds) is good at `now`.
pub fn check_times(
    iat: i64,
    exp: i64,
    max_lifetime: i64,
    now: DateTime<Utc>,
) -> Result<(), Rejection> {
    let now = now.timestamp();
    let lifetime = exp.checked_sub(iat).ok_or(Rejection::Malformed)?;
    if !(0..=max_lifetime).contains(&lifetime) || iat.saturating_sub(LEEWAY) > now {
        return Err(Rejection::Malformed);
    }
    if exp.saturating_add(LEEWAY) <= now { Err(Rejection::Expired) } else { Ok(()) }
}

/// Whether a principal's token is still within its time.
#[must_use]
pub(crate) fn is_live(principal: &Principal, now: DateTime<Utc>) -> bool {
    principal.expire_time + Duration::seconds(LEEWAY) > now
}

#[cfg(test)]
#[path = "token_tests.rs"]
mod tests;
