//! Idempotency of requests with a `request_id`.
//!
//! The caller, the RPC, a digest of the request and the response are stored in the transaction of the change, so that
//! the change and its response are both stored or neither is.

use chrono::{DateTime, TimeDelta, Utc};
use futures_util::future::BoxFuture;

use crate::{Db, Error, Read, Result, Tx};

/// How long a request id and its response are stored.
pub const RETENTION: TimeDelta = TimeDelta::hours(24);

/// The state of a request id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Claim {
    /// Not used before: do the work, then [`store`] the response in the same transaction.
    New,
    /// The stored response of the same request.
    Replay(Vec<u8>),
    /// The id was used for a different request.
    Conflict,
}

/// Claims a request id for `caller` and `rpc`. A concurrent claim of the same id waits until the first one has
/// committed or rolled back.
pub fn claim<'a>(
    tx: &'a mut Tx,
    caller: &'a str,
    rpc: &'a str,
    request_id: &'a str,
    digest: &'a [u8],
    now: DateTime<Utc>,
) -> BoxFuture<'a, Result<Claim>> {
    Box::pin(async move {
        // Overwrites an expired row.
        let claimed: Option<String> = tx
            .query(
                "INSERT INTO requests (caller, rpc, request_id, digest, response, expires_at)
             VALUES ($1, $2, $3, $4, NULL, $5)
             ON CONFLICT (caller, rpc, request_id) DO UPDATE
             SET digest = excluded.digest, response = NULL, expires_at = excluded.expires_at
             WHERE requests.expires_at <= $6
             RETURNING request_id",
            )
            .bind_all((caller, rpc, request_id, digest, now + RETENTION, now))
            .fetch_scalar_optional()
            .await?;
        if claimed.is_some() {
            return Ok(Claim::New);
        }
        match recorded(&mut *tx, caller, rpc, request_id).await? {
            Some(row) => compare(row, digest, rpc, request_id),
            None => Err(Error::NotFound),
        }
    })
}

/// The state of a request id, without claiming it, to answer a retry before other checks. Only [`claim`] excludes
/// concurrent requests.
pub async fn find(
    read: impl Read<'_>,
    caller: &str,
    rpc: &str,
    request_id: &str,
    digest: &[u8],
    now: DateTime<Utc>,
) -> Result<Claim> {
    match recorded(read, caller, rpc, request_id).await? {
        Some(row) if row.expires_at > now => compare(row, digest, rpc, request_id),
        _ => Ok(Claim::New),
    }
}

crate::record! {
    struct Recorded {
        digest: Vec<u8>,
        response: Option<Vec<u8>>,
        expires_at: DateTime<Utc>,
    }
}

async fn recorded(
    read: impl Read<'_>,
    caller: &str,
    rpc: &str,
    request_id: &str,
) -> Result<Option<Recorded>> {
    read.query(
        "SELECT digest, response, expires_at FROM requests
         WHERE caller = $1 AND rpc = $2 AND request_id = $3",
    )
    .bind_all((caller, rpc, request_id))
    .fetch_optional()
    .await
}

fn compare(row: Recorded, digest: &[u8], rpc: &str, request_id: &str) -> Result<Claim> {
    if row.digest != digest {
        return Ok(Claim::Conflict);
    }
    // A defect of the caller: a second claim in the same transaction, or a commit without a response.
    row.response.map(Claim::Replay).ok_or_else(|| {
        Error::Invalid(format!("request {request_id:?} of {rpc} was claimed but has no response"))
    })
}

/// Stores the response of a request id that was claimed in this transaction.
pub fn store<'a>(
    tx: &'a mut Tx,
    caller: &'a str,
    rpc: &'a str,
    request_id: &'a str,
    response: &'a [u8],
) -> BoxFuture<'a, Result<()>> {
    Box::pin(async move {
        let changed = tx
            .query(
                "UPDATE requests SET response = $4
             WHERE caller = $1 AND rpc = $2 AND request_id = $3",
            )
            .bind_all((caller, rpc, request_id, response))
            .execute()
            .await?;
        if changed == 1 { Ok(()) } else { Err(Error::NotFound) }
    })
}

/// Deletes at most 1000 expired rows and returns their number.
pub fn purge(db: &Db, now: DateTime<Utc>) -> BoxFuture<'_, Result<u64>> {
    Box::pin(async move {
        db.execute(|tx| {
            tx.query(
                "DELETE FROM requests WHERE (caller, rpc, request_id) IN
             (SELECT caller, rpc, request_id FROM requests WHERE expires_at <= $1 LIMIT 1000)",
            )
            .bind(now)
        })
        .await
    })
}
