//! Signing keys and service accounts.

use chrono::{DateTime, Utc};
use db::{Read, Result, Tx};
use uuid::Uuid;

use crate::service_account::ServiceAccount;
use crate::signing_key::StoredKey;

pub async fn insert(tx: &mut Tx, key: &StoredKey) -> Result<()> {
    tx.query(
        "INSERT INTO signing_keys (kid, public_key, wrapped_key, state, created_at, state_at)
         VALUES ($1, $2, $3, $4, $5, $6)",
    )
    .bind(key.kid.as_str())
    .bind(key.public_key.as_slice())
    .bind(key.wrapped_key.as_slice())
    .bind(key.state.as_str())
    .bind(key.created_at)
    .bind(key.state_at)
    .execute()
    .await
    .map(drop)
}

/// All signing keys, oldest first.
pub async fn all(read: impl Read<'_>) -> Result<Vec<StoredKey>> {
    read.query("SELECT * FROM signing_keys /* scans: a few keys */ ORDER BY created_at, kid")
        .fetch_all()
        .await
}

pub async fn set_state(tx: &mut Tx, kid: &str, state: &str, now: DateTime<Utc>) -> Result<()> {
    tx.query("UPDATE signing_keys SET state = $2, state_at = $3 WHERE kid = $1")
        .bind(kid)
        .bind(state)
        .bind(now)
        .execute()
        .await
        .map(drop)
}

pub async fn delete(tx: &mut Tx, kid: &str) -> Result<()> {
    tx.query("DELETE FROM signing_keys WHERE kid = $1").bind(kid).execute().await.map(drop)
}

pub async fn put_service(tx: &mut Tx, account: &ServiceAccount) -> Result<()> {
    tx.query(
        "INSERT INTO service_accounts (id, name, public_key, created_at) VALUES ($1, $2, $3, $4)
         ON CONFLICT (name) DO UPDATE SET public_key = excluded.public_key",
    )
    .bind(account.id)
    .bind(account.name.as_str())
    .bind(account.public_key.as_slice())
    .bind(account.created_at)
    .execute()
    .await
    .map(drop)
}

/// All service accounts, by name.
pub async fn services(read: impl Read<'_>) -> Result<Vec<ServiceAccount>> {
    read.query("SELECT * FROM service_accounts /* scans: one per service */ ORDER BY name")
        .fetch_all()
        .await
}

/// Records the use of an assertion; false when it was used before.
pub async fn use_assertion(
    tx: &mut Tx,
    service_id: Uuid,
    jti: Uuid,
    expires_at: DateTime<Utc>,
) -> Result<bool> {
    let used: Option<Uuid> = tx
        .query(
            "INSERT INTO used_assertions (service_id, jti, expires_at) VALUES ($1, $2, $3)
             ON CONFLICT DO NOTHING RETURNING jti",
        )
        .bind(service_id)
        .bind(jti)
        .bind(expires_at)
        .fetch_scalar_optional()
        .await?;
    Ok(used.is_some())
}

/// Deletes used assertions that are refused as expired.
pub async fn purge_assertions(tx: &mut Tx, before: DateTime<Utc>) -> Result<u64> {
    tx.query("DELETE FROM used_assertions WHERE expires_at < $1").bind(before).execute().await
}
