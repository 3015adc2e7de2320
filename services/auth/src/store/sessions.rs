//! Rows of `sessions`.

use chrono::{DateTime, Utc};
use db::{Read, Result, Tx};
use uuid::Uuid;

use crate::session::Session;

pub async fn insert(tx: &mut Tx, session: &Session) -> Result<()> {
    tx.query(
        "INSERT INTO sessions (id, user_id, client, address, subscriber, methods, token_hash,
                               created_at, refreshed_at, expires_at, version)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
    )
    .bind(session.id)
    .bind(session.user_id)
    .bind(session.client.as_str())
    .bind(session.address.as_str())
    .bind(session.subscriber.as_str())
    .bind(session.methods.as_str())
    .bind(session.token_hash.as_slice())
    .bind(session.created_at)
    .bind(session.refreshed_at)
    .bind(session.expires_at)
    .bind(session.version)
    .execute()
    .await
    .map(drop)
}

/// The session, live or not.
pub async fn get(read: impl Read<'_>, id: Uuid) -> Result<Option<Session>> {
    read.query("SELECT * FROM sessions WHERE id = $1").bind(id).fetch_optional().await
}

/// Locks a session's row and increases its version.
pub async fn lock(tx: &mut Tx, id: Uuid) -> Result<Option<Session>> {
    tx.query("UPDATE sessions SET version = version + 1 WHERE id = $1 RETURNING *")
        .bind(id)
        .fetch_optional()
        .await
}

/// Writes the columns that a rotation changes.
pub async fn rotate(tx: &mut Tx, session: &Session) -> Result<()> {
    tx.query(
        "UPDATE sessions SET token_hash = $2, previous_hash = $3, sealed_token = $4, address = $5,
                refreshed_at = $6, expires_at = $7, subscriber = $8
         WHERE id = $1",
    )
    .bind(session.id)
    .bind(session.token_hash.as_slice())
    .bind(session.previous_hash.clone())
    .bind(session.sealed_token.clone())
    .bind(session.address.as_str())
    .bind(session.refreshed_at)
    .bind(session.expires_at)
    .bind(session.subscriber.as_str())
    .execute()
    .await
    .map(drop)
}

/// Whether a session of the user, live or not, was last used from a subscriber.
pub async fn used_from(read: impl Read<'_>, user_id: Uuid, subscriber: &str) -> Result<bool> {
    let found: Option<Uuid> = read
        .query("SELECT id FROM sessions WHERE user_id = $1 AND subscriber = $2 LIMIT 1")
        .bind(user_id)
        .bind(subscriber)
        .fetch_scalar_optional()
        .await?;
    Ok(found.is_some())
}

/// False when the session has ended already.
pub async fn end(tx: &mut Tx, id: Uuid, now: DateTime<Utc>) -> Result<bool> {
    let ended = tx
        .query("UPDATE sessions SET ended_at = $2, sealed_token = NULL WHERE id = $1 AND ended_at IS NULL")
        .bind(id)
        .bind(now);
    Ok(ended.execute().await? == 1)
}

/// Ends a user's live sessions but one; returns their ids.
pub async fn end_all(
    tx: &mut Tx,
    user_id: Uuid,
    except: Option<Uuid>,
    now: DateTime<Utc>,
) -> Result<Vec<Uuid>> {
    let ended: Vec<(Uuid,)> = tx
        .query(
            "UPDATE sessions SET ended_at = $2, sealed_token = NULL
             WHERE user_id = $1 AND ended_at IS NULL AND expires_at > $2 AND id <> $3
             RETURNING id",
        )
        .bind(user_id)
        .bind(now)
        .bind(except.unwrap_or_default())
        .fetch_all()
        .await?;
    Ok(ended.into_iter().map(|(id,)| id).collect())
}

/// A user's live sessions before an id, newest first.
pub async fn page(
    read: impl Read<'_>,
    user_id: Uuid,
    before: Uuid,
    now: DateTime<Utc>,
    limit: i64,
) -> Result<Vec<Session>> {
    read.query(
        "SELECT * FROM sessions
         WHERE user_id = $1 AND id < $2 AND ended_at IS NULL AND expires_at > $3
           /* scans: those of one user that have expired, until the purge */
         ORDER BY id DESC LIMIT $4",
    )
    .bind(user_id)
    .bind(before)
    .bind(now)
    .bind(limit)
    .fetch_all()
    .await
}

/// Deletes sessions that ended or expired before a time.
pub async fn purge(tx: &mut Tx, before: DateTime<Utc>) -> Result<u64> {
    let expired = tx.query("DELETE FROM sessions WHERE expires_at < $1").bind(before);
    let expired = expired.execute().await?;
    let ended = tx.query("DELETE FROM sessions WHERE ended_at < $1").bind(before);
    Ok(expired + ended.execute().await?)
}
