//! Rows of `revocations`, which other processes poll and each process loads at start.

use access::Revocation;
use chrono::{DateTime, Utc};
use db::{Read, Result, Tx};
use uuid::Uuid;

/// Inserts revocations or replaces those of the same subject.
pub async fn put(tx: &mut Tx, revocations: &[Revocation], now: DateTime<Utc>) -> Result<()> {
    for revocation in revocations {
        tx.query(
            "INSERT INTO revocations (subject, below_epoch, suspended, revoked_at, expires_at)
             VALUES ($1, $2, $3, $4, $5)
             ON CONFLICT (subject) DO UPDATE SET below_epoch = excluded.below_epoch,
               suspended = excluded.suspended, revoked_at = excluded.revoked_at,
               expires_at = excluded.expires_at",
        )
        .bind(revocation.subject)
        .bind(revocation.below_epoch)
        .bind(revocation.suspended)
        .bind(now)
        .bind(revocation.until)
        .execute()
        .await?;
    }
    Ok(())
}

/// Unexpired revocations made after a time.
pub async fn since(
    read: impl Read<'_>,
    after: DateTime<Utc>,
    now: DateTime<Utc>,
) -> Result<Vec<Revocation>> {
    let rows: Vec<(Uuid, i64, bool, DateTime<Utc>)> = read
        .query(
            "SELECT subject, below_epoch, suspended, expires_at FROM revocations
             WHERE revoked_at > $1 AND expires_at > $2 /* scans: those until the purge */",
        )
        .bind(after)
        .bind(now)
        .fetch_all()
        .await?;
    let row = |(subject, below_epoch, suspended, until)| Revocation {
        subject,
        below_epoch,
        suspended,
        until,
    };
    Ok(rows.into_iter().map(row).collect())
}

/// Deletes revocations whose tokens have all expired.
pub async fn purge(tx: &mut Tx, now: DateTime<Utc>) -> Result<u64> {
    tx.query("DELETE FROM revocations WHERE expires_at < $1").bind(now).execute().await
}
