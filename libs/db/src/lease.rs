//! Named leases: one owner at a time, for work that must not run twice at once (schedulers, single writers,
//! periodic work).
//!
//! A lease expires by the database's clock, so the clocks of the processes do not matter. Every new ownership
//! has a higher fencing number; work that must not be done by a former owner calls [`check`] in the
//! transaction of its effect.

use std::time::Duration;

use crate::{Db, Result, Sql, Tx};

/// A lease that was held when it was acquired or renewed last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    /// What is leased.
    pub name: String,
    /// Who holds it.
    pub owner: String,
    /// Rises with every change of ownership.
    pub fence: i64,
    /// How long it lasts from the last renewal.
    pub ttl: Duration,
}

/// Takes the lease when it is free, expired, or the owner's own (which keeps its fencing number). `owner` must
/// be unique to a process's life, such as a new id.
pub async fn acquire(db: &Db, name: &str, owner: &str, ttl: Duration) -> Result<Option<Lease>> {
    const TAKE: Sql = Sql::either(
        "INSERT INTO leases (name, owner, fence, expires_ms)
         VALUES ($1, $2, 1, CAST(extract(epoch FROM clock_timestamp()) * 1000 AS BIGINT) + $3)
         ON CONFLICT (name) DO UPDATE SET
           fence = leases.fence + CASE WHEN leases.owner = excluded.owner THEN 0 ELSE 1 END,
           owner = excluded.owner, expires_ms = excluded.expires_ms
         WHERE leases.owner = excluded.owner
            OR leases.expires_ms <= CAST(extract(epoch FROM clock_timestamp()) * 1000 AS BIGINT)
         RETURNING fence",
        "INSERT INTO leases (name, owner, fence, expires_ms)
         VALUES ($1, $2, 1, CAST(unixepoch('subsec') * 1000 AS INTEGER) + $3)
         ON CONFLICT (name) DO UPDATE SET
           fence = leases.fence + CASE WHEN leases.owner = excluded.owner THEN 0 ELSE 1 END,
           owner = excluded.owner, expires_ms = excluded.expires_ms
         WHERE leases.owner = excluded.owner
            OR leases.expires_ms <= CAST(unixepoch('subsec') * 1000 AS INTEGER)
         RETURNING fence",
    );
    let fence: Option<i64> = db
        .transact(|mut tx| async move {
            tx.query(TAKE).bind(name).bind(owner).bind(millis(ttl)).fetch_scalar_optional().await
        })
        .await?;
    Ok(fence.map(|fence| Lease { name: name.into(), owner: owner.into(), fence, ttl }))
}

/// Extends the lease by its time; false when somebody else has taken it, and then its work must stop.
///
/// An expired lease that nobody has taken is still the owner's.
pub async fn renew(db: &Db, lease: &Lease) -> Result<bool> {
    const RENEW: Sql = Sql::either(
        "UPDATE leases
         SET expires_ms = CAST(extract(epoch FROM clock_timestamp()) * 1000 AS BIGINT) + $4
         WHERE name = $1 AND owner = $2 AND fence = $3",
        "UPDATE leases SET expires_ms = CAST(unixepoch('subsec') * 1000 AS INTEGER) + $4
         WHERE name = $1 AND owner = $2 AND fence = $3",
    );
    let changed = db
        .transact(|mut tx| async move {
            let query = tx.query(RENEW).bind(&lease.name).bind(&lease.owner).bind(lease.fence);
            query.bind(millis(lease.ttl)).execute().await
        })
        .await?;
    Ok(changed == 1)
}

/// Whether the lease is still held, as of this transaction: until it ends, nobody can take the lease.
pub async fn check(tx: &mut Tx, lease: &Lease) -> Result<bool> {
    let changed = tx
        .query("UPDATE leases SET fence = fence WHERE name = $1 AND owner = $2 AND fence = $3")
        .bind(&lease.name)
        .bind(&lease.owner)
        .bind(lease.fence)
        .execute()
        .await?;
    Ok(changed == 1)
}

/// Gives the lease back, if it is still held, so that the next one need not wait.
pub async fn release(db: &Db, lease: &Lease) -> Result<()> {
    expire_where(db, &lease.name, lease.fence).await.map(drop)
}

/// Ends a lease whoever holds it: for operators who know that the owner is gone. Gives whether there was one.
pub async fn expire(db: &Db, name: &str) -> Result<bool> {
    let fence: Option<i64> = db
        .query("SELECT fence FROM leases WHERE name = $1")
        .bind(name)
        .fetch_scalar_optional()
        .await?;
    match fence {
        Some(fence) => expire_where(db, name, fence).await,
        None => Ok(false),
    }
}

/// The row stays, with no owner, so that the fencing number goes on rising.
async fn expire_where(db: &Db, name: &str, fence: i64) -> Result<bool> {
    let changed = db
        .transact(|mut tx| async move {
            tx.query("UPDATE leases SET expires_ms = 0, owner = '' WHERE name = $1 AND fence = $2")
                .bind(name)
                .bind(fence)
                .execute()
                .await
        })
        .await?;
    Ok(changed == 1)
}

fn millis(ttl: Duration) -> i64 {
    i64::try_from(ttl.as_millis()).unwrap_or(i64::MAX / 4)
}
