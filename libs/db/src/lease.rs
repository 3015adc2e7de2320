//! Named leases with one owner at a time, for work that must not run concurrently (schedulers, single writers,
//! periodic work).
//!
//! A lease expires by the database's clock, so the clocks of the processes do not matter. The fencing token increases
//! with every change of owner; work that a former owner must not do calls [`check`] in the transaction of its effect.

use std::time::Duration;

use futures_util::future::BoxFuture;

use crate::{Db, Result, Sql, Tx};

/// A lease as of its last acquisition or renewal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    pub name: String,
    pub owner: String,
    /// The fencing token.
    pub fence: i64,
    /// The time from a renewal to expiry.
    pub ttl: Duration,
}

/// Acquires the lease if it is free, expired, or held by `owner` already, which keeps its fencing token. `owner` must
/// be unique per process run, such as a new id.
pub fn acquire<'a>(
    db: &'a Db,
    name: &'a str,
    owner: &'a str,
    ttl: Duration,
) -> BoxFuture<'a, Result<Option<Lease>>> {
    Box::pin(async move {
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
                tx.query(TAKE)
                    .bind(name)
                    .bind(owner)
                    .bind(millis(ttl))
                    .fetch_scalar_optional()
                    .await
            })
            .await?;
        Ok(fence.map(|fence| Lease { name: name.into(), owner: owner.into(), fence, ttl }))
    })
}

/// Extends the lease by its `ttl`. Returns false when another owner has acquired it; the caller must then stop its work.
///
/// An expired lease can be renewed until another owner acquires it.
pub fn renew<'a>(db: &'a Db, lease: &'a Lease) -> BoxFuture<'a, Result<bool>> {
    Box::pin(async move {
        const RENEW: Sql = Sql::either(
            "UPDATE leases
         SET expires_ms = CAST(extract(epoch FROM clock_timestamp()) * 1000 AS BIGINT) + $4
         WHERE name = $1 AND owner = $2 AND fence = $3",
            "UPDATE leases SET expires_ms = CAST(unixepoch('subsec') * 1000 AS INTEGER) + $4
         WHERE name = $1 AND owner = $2 AND fence = $3",
        );
        let values = (&lease.name, &lease.owner, lease.fence, millis(lease.ttl));
        Ok(db.execute(|tx| tx.query(RENEW).bind_all(values)).await? == 1)
    })
}

/// Whether the lease is still held. If so, no other owner can acquire it before this transaction ends.
pub fn check<'a>(tx: &'a mut Tx, lease: &'a Lease) -> BoxFuture<'a, Result<bool>> {
    Box::pin(async move {
        let held = tx
            .query("UPDATE leases SET fence = fence WHERE name = $1 AND owner = $2 AND fence = $3")
            .bind_all((&lease.name, &lease.owner, lease.fence));
        Ok(held.execute().await? == 1)
    })
}

/// Releases the lease if it is still held, so that the next owner need not wait for its expiry.
pub fn release<'a>(db: &'a Db, lease: &'a Lease) -> BoxFuture<'a, Result<()>> {
    Box::pin(async move { expire_where(db, &lease.name, Some(lease.fence)).await.map(drop) })
}

/// Expires a lease of any owner, for operators who know that the owner has ended. Returns false if there is no such lease.
pub fn expire<'a>(db: &'a Db, name: &'a str) -> BoxFuture<'a, Result<bool>> {
    Box::pin(async move { expire_where(db, name, None).await })
}

/// Expires a lease with this fencing token, or with any. Keeps the row, so that the token continues to increase.
async fn expire_where(db: &Db, name: &str, fence: Option<i64>) -> Result<bool> {
    const EXPIRE: &str = "UPDATE leases SET expires_ms = 0, owner = ''
                          WHERE name = $1 AND fence = coalesce($2, fence)";
    Ok(db.execute(|tx| tx.query(EXPIRE).bind_all((name, fence))).await? == 1)
}

fn millis(ttl: Duration) -> i64 {
    i64::try_from(ttl.as_millis()).unwrap_or(i64::MAX / 4)
}
