//! Rows of `invitations`, and removal of expired password resets.

use chrono::{DateTime, Utc};
use db::{Read, Result, Tx};
use uuid::Uuid;

use crate::invitation::Invitation;

pub async fn insert(tx: &mut Tx, invitation: &Invitation, code_hash: &[u8]) -> Result<()> {
    tx.query(
        "INSERT INTO invitations (id, code_hash, note, remaining_use_count, created_by, created_at,
                                  expires_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7)",
    )
    .bind(invitation.id)
    .bind(code_hash)
    .bind(invitation.note.as_str())
    .bind(invitation.remaining_use_count)
    .bind(invitation.created_by)
    .bind(invitation.created_at)
    .bind(invitation.expires_at)
    .execute()
    .await
    .map(drop)
}

/// Whether a code can be used.
pub async fn is_usable(read: impl Read<'_>, code_hash: &[u8], now: DateTime<Utc>) -> Result<bool> {
    let found: Option<Uuid> = read
        .query(
            "SELECT id FROM invitations
             WHERE code_hash = $1 AND remaining_use_count > 0 AND expires_at > $2",
        )
        .bind(code_hash)
        .bind(now)
        .fetch_scalar_optional()
        .await?;
    Ok(found.is_some())
}

/// Decrements the use count; false when the code cannot be used.
pub async fn take(tx: &mut Tx, code_hash: &[u8], now: DateTime<Utc>) -> Result<bool> {
    let taken = tx
        .query(
            "UPDATE invitations SET remaining_use_count = remaining_use_count - 1
             WHERE code_hash = $1 AND remaining_use_count > 0 AND expires_at > $2",
        )
        .bind(code_hash)
        .bind(now);
    Ok(taken.execute().await? == 1)
}

/// False when there is no such invitation.
pub async fn delete(tx: &mut Tx, id: Uuid) -> Result<bool> {
    let deleted = tx.query("DELETE FROM invitations WHERE id = $1").bind(id);
    Ok(deleted.execute().await? == 1)
}

/// The usable invitations before an id, newest first. Those that expired since the last [`purge`] are passed over.
pub async fn page(
    read: impl Read<'_>,
    before: Uuid,
    now: DateTime<Utc>,
    limit: i64,
) -> Result<Vec<Invitation>> {
    read.query(
        "SELECT * FROM invitations
         WHERE id < $1 AND remaining_use_count > 0 AND expires_at > $2
           /* scans: those that have expired lately */
         ORDER BY id DESC LIMIT $3",
    )
    .bind(before)
    .bind(now)
    .bind(limit)
    .fetch_all()
    .await
}

/// Deletes invitations and password resets that expired before a time, and makes those unusable that have expired.
pub async fn purge(tx: &mut Tx, before: DateTime<Utc>, now: DateTime<Utc>) -> Result<u64> {
    tx.query(
        "UPDATE invitations SET remaining_use_count = 0
         WHERE expires_at < $1 AND remaining_use_count > 0",
    )
    .bind(now)
    .execute()
    .await?;
    let resets = tx.query("DELETE FROM password_resets WHERE expires_at < $1").bind(before);
    let resets = resets.execute().await?;
    let invitations = tx.query("DELETE FROM invitations WHERE expires_at < $1").bind(before);
    Ok(resets + invitations.execute().await?)
}
