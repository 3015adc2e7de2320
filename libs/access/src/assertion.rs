//! Service assertions (RFC 7523): a service proves its identity to the auth service with its key.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::key::{PublicKey, SigningKey};
use crate::token::{self, ASSERTION, ISSUER, Rejection, Times};

/// Lifetime of a new assertion in seconds; covers the network and clock skew.
const LIFETIME: i64 = 60;
/// Maximum lifetime of an assertion, in seconds.
const MAX_LIFETIME: i64 = 300;

/// Claims of an assertion (RFC 7523, section 3). Times are in seconds since the Unix epoch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Assertion {
    /// The service's name.
    pub iss: String,
    /// The service's name.
    pub sub: String,
    /// [`ISSUER`].
    pub aud: String,
    pub iat: i64,
    pub exp: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nbf: Option<i64>,
    /// The auth service accepts each id once per service.
    pub jti: Uuid,
}

impl Assertion {
    /// Claims of a new assertion of the service `name`.
    pub fn new(name: &str, jti: Uuid, now: DateTime<Utc>) -> Self {
        let iat = now.timestamp();
        Self {
            iss: name.to_owned(),
            sub: name.to_owned(),
            aud: ISSUER.to_owned(),
            iat,
            exp: iat + LIFETIME,
            nbf: None,
            jti,
        }
    }

    pub fn sign(&self, key: &SigningKey) -> String {
        token::sign(key, ASSERTION, self)
    }

    /// The claims of an assertion that the service `name` signed with `key`. The caller must refuse
    /// a `jti` that was used before.
    pub fn verify(
        text: &str,
        name: &str,
        key: &PublicKey,
        now: DateTime<Utc>,
    ) -> Result<Self, Rejection> {
        if token::header_of(text)? != token::header_segment(key.kid(), ASSERTION) {
            return Err(Rejection::Malformed);
        }
        let mut validation = token::validation(name);
        validation.sub = Some(name.to_owned());
        let claims: Self = token::open(text, key, &validation)?;
        Times { iat: claims.iat, nbf: claims.nbf, exp: claims.exp }.check(MAX_LIFETIME, now)?;
        Ok(claims)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn assertions_are_bound_to_name_key_type_and_time() {
        let now = DateTime::from_timestamp(1000, 0).unwrap();
        let key = |n| SigningKey::from_seed([n; 32]);
        let good = Assertion::new("judge", Uuid::from_u128(1), now);
        let verify = |text: &str| Assertion::verify(text, "judge", &key(1).public(), now);
        assert_eq!(verify(&good.sign(&key(1))), Ok(good.clone()));
        assert_eq!(verify(&good.sign(&key(2))), Err(Rejection::Malformed), "another key");
        let access = token::sign(&key(1), token::ACCESS, &good);
        assert_eq!(verify(&access), Err(Rejection::Malformed), "another type");
        assert_eq!(verify(""), Err(Rejection::Malformed));
        let other = Assertion::verify(&good.sign(&key(1)), "problem", &key(1).public(), now);
        assert_eq!(other, Err(Rejection::Malformed), "another service");

        let check = |change: fn(&mut Assertion), why| {
            let mut claims = good.clone();
            change(&mut claims);
            assert_eq!(verify(&claims.sign(&key(1))), Err(why), "{claims:?}");
        };
        check(|c| c.iss = "problem".into(), Rejection::Malformed);
        check(|c| c.sub = "problem".into(), Rejection::Malformed);
        check(|c| c.aud = "other".into(), Rejection::WrongAudience);
        check(|c| c.exp = c.iat + MAX_LIFETIME + 1, Rejection::Malformed);
        check(|c| (c.iat, c.exp) = (c.iat - 100, c.exp - 100), Rejection::Expired);
        check(|c| (c.iat, c.exp) = (c.iat + 100, c.exp + 100), Rejection::Malformed);
        check(|c| c.nbf = Some(c.iat + 31), Rejection::Malformed);
    }
}
