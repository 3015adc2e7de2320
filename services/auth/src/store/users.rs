//! Rows of `users`, `email_claims` and `password_resets`.

use chrono::{DateTime, Utc};
use db::{Read, Result, Tx};
use uuid::Uuid;

use crate::user::User;

/// False when the username is taken.
pub async fn insert(tx: &mut Tx, user: &User) -> Result<bool> {
    let inserted: Option<Uuid> = tx
        .query(
            "INSERT INTO users (id, username, username_key, display_name, country, email,
                                password_hash, password_changed_at, auth_epoch, version,
                                created_at, updated_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
             ON CONFLICT (username_key) DO NOTHING RETURNING id",
        )
        .bind(user.id)
        .bind(user.username.as_str())
        .bind(user.username_key.as_str())
        .bind(user.display_name.as_str())
        .bind(user.country.as_str())
        .bind(user.email.as_str())
        .bind(user.password_hash.as_str())
        .bind(user.password_changed_at)
        .bind(user.auth_epoch)
        .bind(user.version)
        .bind(user.created_at)
        .bind(user.updated_at)
        .fetch_scalar_optional()
        .await?;
    Ok(inserted.is_some())
}

pub async fn get(read: impl Read<'_>, id: Uuid) -> Result<Option<User>> {
    read.query("SELECT * FROM users WHERE id = $1").bind(id).fetch_optional().await
}

pub async fn by_username(read: impl Read<'_>, key: &str) -> Result<Option<User>> {
    read.query("SELECT * FROM users WHERE username_key = $1").bind(key).fetch_optional().await
}

/// The user who can sign in with this address.
pub async fn by_email(read: impl Read<'_>, key: &str) -> Result<Option<User>> {
    read.query(
        "SELECT users.* FROM users JOIN email_claims ON email_claims.user_id = users.id
         WHERE email_claims.email_key = $1",
    )
    .bind(key)
    .fetch_optional()
    .await
}

/// The users whose username key has a prefix, after a key with the prefix (empty: from the first), in order.
pub async fn page(read: impl Read<'_>, prefix: &str, after: &str, limit: i64) -> Result<Vec<User>> {
    let query = read.query("SELECT * FROM users WHERE username_key ");
    let query = match after {
        "" => query.push(">= ").push_bind(prefix),
        after => query.push("> ").push_bind(after),
    };
    // The column is in the order of bytes on both databases, in which this character comes last.
    let end = format!("{prefix}\u{10ffff}");
    let query = query.push(" AND username_key < ").push_bind(end);
    query.push(" ORDER BY username_key LIMIT ").push_bind(limit).fetch_all().await
}

/// Locks a user's row and increases its version.
pub async fn lock(tx: &mut Tx, id: Uuid) -> Result<Option<User>> {
    tx.query("UPDATE users SET version = version + 1 WHERE id = $1 RETURNING *")
        .bind(id)
        .fetch_optional()
        .await
}

/// Locks a user's row without changing it.
pub async fn lock_unchanged(tx: &mut Tx, id: Uuid) -> Result<Option<User>> {
    tx.query("UPDATE users SET version = version WHERE id = $1 RETURNING *")
        .bind(id)
        .fetch_optional()
        .await
}

/// Writes all mutable columns of a locked user.
pub async fn save(tx: &mut Tx, user: &User) -> Result<()> {
    tx.query(
        "UPDATE users SET display_name = $2, country = $3, email = $4, password_hash = $5,
                password_changed_at = $6, suspended_at = $7, suspend_reason = $8, auth_epoch = $9,
                updated_at = $10
         WHERE id = $1",
    )
    .bind(user.id)
    .bind(user.display_name.as_str())
    .bind(user.country.as_str())
    .bind(user.email.as_str())
    .bind(user.password_hash.as_str())
    .bind(user.password_changed_at)
    .bind(user.suspended_at)
    .bind(user.suspend_reason.as_str())
    .bind(user.auth_epoch)
    .bind(user.updated_at)
    .execute()
    .await
    .map(drop)
}

/// Replaces the hash by a stronger one of the same password. The user's row must be locked.
pub async fn rehash(tx: &mut Tx, id: Uuid, hash: &str) -> Result<()> {
    tx.query("UPDATE users SET password_hash = $2 WHERE id = $1")
        .bind(id)
        .bind(hash)
        .execute()
        .await
        .map(drop)
}

/// Replaces the user's claim to an e-mail address. If another user has claimed the new address, only
/// the old claim is deleted.
pub async fn claim_email(tx: &mut Tx, user_id: Uuid, key: &str) -> Result<()> {
    tx.query("DELETE FROM email_claims WHERE user_id = $1").bind(user_id).execute().await?;
    if key.is_empty() {
        return Ok(());
    }
    tx.query("INSERT INTO email_claims (email_key, user_id) VALUES ($1, $2) ON CONFLICT DO NOTHING")
        .bind(key)
        .bind(user_id)
        .execute()
        .await
        .map(drop)
}

/// Stores the hash of a reset code and replaces an earlier one of the user.
pub async fn put_reset(
    tx: &mut Tx,
    user_id: Uuid,
    code_hash: &[u8],
    now: DateTime<Utc>,
    expires_at: DateTime<Utc>,
) -> Result<()> {
    tx.query(
        "INSERT INTO password_resets (user_id, code_hash, created_at, expires_at)
         VALUES ($1, $2, $3, $4)
         ON CONFLICT (user_id) DO UPDATE SET code_hash = excluded.code_hash,
           created_at = excluded.created_at, expires_at = excluded.expires_at",
    )
    .bind(user_id)
    .bind(code_hash)
    .bind(now)
    .bind(expires_at)
    .execute()
    .await
    .map(drop)
}

/// The user of an unexpired reset code.
pub async fn reset_of(
    read: impl Read<'_>,
    code_hash: &[u8],
    now: DateTime<Utc>,
) -> Result<Option<Uuid>> {
    read.query("SELECT user_id FROM password_resets WHERE code_hash = $1 AND expires_at > $2")
        .bind(code_hash)
        .bind(now)
        .fetch_scalar_optional()
        .await
}

/// Deletes a reset code; false when it was used already.
pub async fn take_reset(tx: &mut Tx, code_hash: &[u8]) -> Result<bool> {
    let taken = tx.query("DELETE FROM password_resets WHERE code_hash = $1").bind(code_hash);
    Ok(taken.execute().await? == 1)
}
