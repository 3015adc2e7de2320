//! The audit log.

use chrono::{DateTime, Utc};
use db::{Read, Result, Tx};
use uuid::Uuid;

db::record! {
    /// A link of the chain.
    #[derive(Clone, Debug)]
    pub struct Record {
        /// Its place, from 1, without gaps.
        pub sequence: i64,
        /// When it happened.
        pub occurred_at: DateTime<Utc>,
        /// What happened.
        pub kind: String,
        /// Who did it.
        pub actor_id: Option<Uuid>,
        /// Whom it concerns.
        pub subject_id: Option<Uuid>,
        /// JSON.
        pub detail: String,
        /// Over all of the above and the hash before.
        pub hash: Vec<u8>,
    }
}

/// The last link.
pub async fn last(read: impl Read<'_>) -> Result<Option<(i64, Vec<u8>)>> {
    read.query("SELECT sequence, hash FROM audit_log ORDER BY sequence DESC LIMIT 1")
        .fetch_optional()
        .await
}

/// Adds a link.
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

/// The links after a place.
pub async fn page(read: impl Read<'_>, after: i64, limit: i64) -> Result<Vec<Record>> {
    read.query("SELECT * FROM audit_log WHERE sequence > $1 ORDER BY sequence LIMIT $2")
        .bind(after)
        .bind(limit)
        .fetch_all()
        .await
}
