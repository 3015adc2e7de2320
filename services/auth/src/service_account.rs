//! Service accounts: parts of Agon that authenticate with an Ed25519 key.

use access::{Assertion, PublicKey};
use chrono::{DateTime, Utc};
use uuid::Uuid;

db::record! {
    /// A row of `service_accounts`.
    #[derive(Clone)]
    pub struct ServiceAccount {
        pub id: Uuid,
        pub name: String,
        /// 32 bytes.
        pub public_key: Vec<u8>,
        pub created_at: DateTime<Utc>,
    }
}

/// The account that signed a valid assertion. The caller must refuse a `jti` that was used before.
pub fn verify<'a>(
    accounts: &'a [ServiceAccount],
    assertion: &str,
    now: DateTime<Utc>,
) -> Option<(&'a ServiceAccount, Assertion)> {
    accounts.iter().find_map(|account| {
        let key = PublicKey::from_bytes(&account.public_key).ok()?;
        let claims = Assertion::verify(assertion, &account.name, &key, now).ok()?;
        Some((account, claims))
    })
}

#[cfg(test)]
mod tests {
    use access::SigningKey;

    use super::*;

    fn key(n: u8) -> SigningKey {
        SigningKey::from_seed([n; 32])
    }

    fn account(n: u8, name: &str) -> ServiceAccount {
        ServiceAccount {
            id: Uuid::from_u128(n.into()),
            name: name.into(),
            public_key: key(n).public().bytes().to_vec(),
            created_at: DateTime::UNIX_EPOCH,
        }
    }

    #[test]
    fn the_account_is_found_by_its_key() {
        let accounts = [account(1, "judge"), account(2, "problem")];
        let now = DateTime::from_timestamp(1000, 0).unwrap();
        let signer = |name: &str, n: u8| {
            let text = Assertion::new(name, Uuid::from_u128(1), now).sign(&key(n));
            verify(&accounts, &text, now).map(|(account, _)| account.name.as_str())
        };
        assert_eq!(signer("judge", 1), Some("judge"));
        assert_eq!(signer("problem", 2), Some("problem"));
        assert_eq!(signer("judge", 2), None, "another service's key");
        assert_eq!(signer("judge", 3), None, "unknown key");
        assert!(verify(&accounts, "", now).is_none());
    }
}
