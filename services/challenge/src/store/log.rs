//! The logs of contests.

use chrono::{DateTime, Utc};
use db::{Read, Tx};
use prost::Message as _;
use uuid::Uuid;

use crate::error::Error;
use crate::log::Entry;

/// Locks a contest until the end of the transaction and returns the number of its next log entry. `None` if there is
/// no such contest.
///
/// Every change of a contest takes this lock before it reads what it depends on.
pub async fn lock(tx: &mut Tx, contest: Uuid) -> db::Result<Option<i64>> {
    let query = "UPDATE challenge_logs SET last_seq = last_seq + 1 WHERE challenge_id = $1 RETURNING last_seq";
    tx.query(query).bind(contest).fetch_scalar_optional().await
}

/// Creates the log of a contest; its first entry has the number 1.
pub async fn create(tx: &mut Tx, contest: Uuid) -> db::Result<()> {
    let query = "INSERT INTO challenge_logs (challenge_id, last_seq) VALUES ($1, 1)";
    tx.query(query).bind(contest).execute().await.map(drop)
}

/// Writes the entry with a number that [`lock`] returned.
pub async fn write(
    tx: &mut Tx,
    contest: Uuid,
    seq: i64,
    time: DateTime<Utc>,
    entry: &Entry,
) -> db::Result<()> {
    let query =
        "INSERT INTO challenge_log (challenge_id, seq, time, entry) VALUES ($1, $2, $3, $4)";
    let query = tx.query(query).bind_all((contest, seq, time, entry.encode_to_vec()));
    query.execute().await.map(drop)
}

/// Up to `limit` entries after a number, in order.
pub async fn read(
    read: impl Read<'_>,
    contest: Uuid,
    after: i64,
    limit: i64,
) -> Result<Vec<(i64, Entry)>, Error> {
    let rows: Vec<(i64, Vec<u8>)> = read
        .query(
            "SELECT seq, entry FROM challenge_log WHERE challenge_id = $1 AND seq > $2
             ORDER BY seq LIMIT $3",
        )
        .bind_all((contest, after, limit))
        .fetch_all()
        .await?;
    let decode = |(seq, entry): (i64, Vec<u8>)| {
        let entry = Entry::decode(entry.as_slice()).map_err(service::Error::from)?;
        Ok((seq, entry))
    };
    rows.into_iter().map(decode).collect()
}
