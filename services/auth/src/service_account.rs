//! A service account: a part of Agon that proves itself by an Ed25519 key.

use access::token::{self, ISSUER};
use access::{Assertion, KeySet, PublicKey};
use chrono::{DateTime, Utc};
use uuid::Uuid;

/// Longest lifetime of an assertion, in seconds.
const MAX_LIFETIME: i64 = 300;

db::record! {
    /// A service account as stored.
    #[derive(Clone)]
    pub struct ServiceAccount {
        /// The id.
        pub id: Uuid,
        /// The service's name.
        pub name: String,
        /// 32 bytes.
        pub public_key: Vec<u8>,
        /// When it was made.
        pub created_at: DateTime<Utc>,
    }
}

/// Whose assertion this is; `None` for one that is not good. That it is used once is for the
/// caller to see to.
pub fn verify<'a>(
    accounts: &'a [ServiceAccount],
    assertion: &str,
    now: DateTime<Utc>,
) -> Option<(&'a ServiceAccount, Assertion)> {
    let keys =
        accounts.iter().filter_map(|account| PublicKey::from_bytes(&account.public_key).ok());
    let keys = KeySet::new(token::ASSERTION, keys);
    let (claims, key) = keys.open::<Assertion>(assertion).ok()?;
    let account = accounts.iter().find(|account| account.public_key == key.bytes())?;
    let names = claims.iss == account.name && claims.sub == account.name && claims.aud == ISSUER;
    let in_time = token::check_times(claims.iat, claims.exp, MAX_LIFETIME, now).is_ok();
    (names && in_time).then_some((account, claims))
}

#[cfg(test)]
mod tests {
    use access::SigningKey;

    use super::*;

    fn account(n: u8, name: &str) -> ServiceAccount {
        let key = SigningKey::from_seed([n; 32]).public();
        let now = DateTime::from_timestamp(0, 0).unwrap();
        let public_key = key.bytes().to_vec();
        ServiceAccount {
            id: Uuid::from_u128(n.into()),
            name: name.into(),
            public_key,
            created_at: now,
        }
    }

    #[test]
    fn assertions() {
        let accounts = [account(1, "judge"), account(2, "problem")];
        let now = DateTime::from_timestamp(1000, 0).unwrap();
        let check = |n: u8, typ: &str, change: fn(&mut Assertion)| {
            let mut claims = Assertion {
                iss: "judge".into(),
                sub: "judge".into(),
                aud: "agon".into(),
                iat: 1000,
                exp: 1060,
                jti: Uuid::from_u128(1),
            };
            change(&mut claims);
            let text = token::sign(&SigningKey::from_seed([n; 32]), typ, &claims);
            verify(&accounts, &text, now).map(|(account, _)| account.name.clone())
        };
        assert_eq!(check(1, "JWT", |_| {}).as_deref(), Some("judge"));
        assert_eq!(check(2, "JWT", |_| {}), None, "another service's key");
        assert_eq!(check(3, "JWT", |_| {}), None, "nobody's key");
        assert_eq!(check(1, "at+jwt", |_| {}), None, "another type of token");
        assert_eq!(check(1, "JWT", |c| c.sub = "problem".into()), None);
        assert_eq!(check(1, "JWT", |c| c.aud = "other".into()), None);
        assert_eq!(check(1, "JWT", |c| c.exp = 1301), None, "too long");
        assert_eq!(check(1, "JWT", |c| (c.iat, c.exp) = (900, 960)), None, "expired");
        assert_eq!(check(1, "JWT", |c| (c.iat, c.exp) = (1100, 1160)), None, "from the future");
        assert_eq!(verify(&accounts, "", now).map(|_| ()), None);
    }
}
