//! Rows of the audit log.

use chrono::{DateTime, Utc};
use db::{Read, Result, Tx};
use uuid::Uuid;

db::record! {
    /// A row of `audit_log`.
    #[derive(Clone, Debug)]
    pub struct Record {
        /// From 1, without gaps.
        pub sequence: i64,
        pub occurred_at: DateTime<Utc>,
        /// For example `user.suspended`.
        pub kind: String,
        pub actor_id: Option<Uuid>,
        pub subject_id: Option<Uuid>,
        /// JSON.
        pub detail: String,
        /// Over all other columns and the previous hash.
        pub hash: Vec<u8>,
    }
}

/// Sequence number and hash of the last record.
pub async fn last(read: impl Read<'_>) -> Result<Option<(i64, Vec<u8>)>> {
    read.query("SELECT sequence, hash FROM audit_log ORDER BY sequence DESC LIMIT 1")
        .fetch_optional()
        .await
}

pub async fn append(tx: &mut Tx, record: &Record) -> Result<()> {
    tx.query(
        "INSERT INTO audit_log (sequence, occurred_at, kind, actor_id, subject_id, detail, hash)
         VALUES ($1, $2, $3, $4, $5, $6, $7)",
    )
    .bind(record.sequence)
    .bind(record.occurred_at)
    .bind(record.kind.as_str())
    .bind(record.actor_id)
    .bind(record.subject_id)
    .bind(record.detail.as_str())
    .bind(record.hash.as_slice())
    .execute()
    .await
    .map(drop)
}

/// The records after a sequence number, in order.
pub async fn page(read: impl Read<'_>, after: i64, limit: i64) -> Result<Vec<Record>> {
    read.query("SELECT * FROM audit_log WHERE sequence > $1 ORDER BY sequence LIMIT $2")
        .bind(after)
        .bind(limit)
        .fetch_all()
        .await
}
