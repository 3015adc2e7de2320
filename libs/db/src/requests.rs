//! Requests that may arrive twice.
//!
//! What creates or moves something takes a `request_id`. Its first arrival is recorded with the caller, the
//! RPC, a digest of the request and the response, in the transaction of the change itself, so that there is
//! either the change with its response or neither.

use chrono::{DateTime, TimeDelta, Utc};

use crate::{Db, Error, Read, Result, Tx};

/// How long a request id is remembered.
pub const KEPT: TimeDelta = TimeDelta::hours(24);

/// What is known of a request id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Claim {
    /// Not seen before: do the work, then [`store`] the response in the same transaction.
    New,
    /// The same request was answered already: this was the response.
    Replay(Vec<u8>),
    /// The id was used for another request.
    Conflict,
}

/// Claims a request id for `caller` and `rpc`. A concurrent request with the same id waits here until the first
/// one has committed or rolled back.
pub async fn claim(
    tx: &mut Tx,
    caller: &str,
    rpc: &str,
    request_id: &str,
    digest: &[u8],
    now: DateTime<Utc>,
) -> Result<Claim> {
    // An expired row is taken over as if it were not there.
    let claimed: Option<String> = tx
        .query(
            "INSERT INTO requests (caller, rpc, request_id, digest, response, expires_at)
             VALUES ($1, $2, $3, $4, NULL, $5)
             ON CONFLICT (caller, rpc, request_id) DO UPDATE
             SET digest = excluded.digest, response = NULL, expires_at = excluded.expires_at
             WHERE requests.expires_at <= $6
             RETURNING request_id",
        )
        .bind(caller)
        .bind(rpc)
        .bind(request_id)
        .bind(digest)
        .bind(now + KEPT)
        .bind(now)
        .fetch_scalar_optional()
        .await?;
    if claimed.is_some() {
        return Ok(Claim::New);
    }
    match recorded(&mut *tx, caller, rpc, request_id).await? {
        Some(row) => judge(row, digest, rpc, request_id),
        None => Err(Error::NotFound),
    }
}

/// What is known of a request id, without claiming it: for answering a retry before anything else is looked at.
/// Only [`claim`] makes sure that there is no other request at the same time.
pub async fn find(
    read: impl Read<'_>,
    caller: &str,
    rpc: &str,
    request_id: &str,
    digest: &[u8],
    now: DateTime<Utc>,
) -> Result<Claim> {
    match recorded(read, caller, rpc, request_id).await? {
        Some(row) if row.expires_at > now => judge(row, digest, rpc, request_id),
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
    .bind(caller)
    .bind(rpc)
    .bind(request_id)
    .fetch_optional()
    .await
}

fn judge(row: Recorded, digest: &[u8], rpc: &str, request_id: &str) -> Result<Claim> {
    if row.digest != digest {
        return Ok(Claim::Conflict);
    }
    // Claimed earlier in this very transaction, or committed without a response: a defect of the caller.
    row.response.map(Claim::Replay).ok_or_else(|| {
        Error::Invalid(format!("request {request_id:?} of {rpc} was claimed but never answered"))
    })
}

/// Stores the response of a request that was claimed in this transaction.
pub async fn store(
    tx: &mut Tx,
    caller: &str,
    rpc: &str,
    request_id: &str,
    response: &[u8],
) -> Result<()> {
    let changed = tx
        .query(
            "UPDATE requests SET response = $4
             WHERE caller = $1 AND rpc = $2 AND request_id = $3",
        )
        .bind(caller)
        .bind(rpc)
        .bind(request_id)
        .bind(response)
        .execute()
        .await?;
    if changed == 1 { Ok(()) } else { Err(Error::NotFound) }
}

/// Forgets what has expired, a batch at a time; gives the number of rows.
pub async fn purge(db: &Db, now: DateTime<Utc>) -> Result<u64> {
    db.transact(|mut tx| async move {
        tx.query(
            "DELETE FROM requests WHERE (caller, rpc, request_id) IN
             (SELECT caller, rpc, request_id FROM requests WHERE expires_at <= $1 LIMIT 1000)",
        )
        .bind(now)
        .execute()
        .await
    })
    .await
}
