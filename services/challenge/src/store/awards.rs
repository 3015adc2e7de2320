//! How many awards a contest has.

use db::{Read, Tx};
use uuid::Uuid;

/// Sets the bronze medals beyond rank 12 of a contest.
pub async fn set_extra_bronze(tx: &mut Tx, contest: Uuid, count: i32) -> db::Result<()> {
    if count == 0 {
        return Ok(());
    }
    let query = "INSERT INTO contest_awards (contest_id, extra_bronze_count) VALUES ($1, $2)";
    tx.query(query).bind_all((contest, i64::from(count))).execute().await.map(drop)
}

/// The bronze medals beyond rank 12 of a contest.
pub async fn extra_bronze(read: impl Read<'_>, contest: Uuid) -> db::Result<i64> {
    let query = "SELECT extra_bronze_count FROM contest_awards WHERE contest_id = $1";
    let count: Option<i64> = read.query(query).bind(contest).fetch_scalar_optional().await?;
    Ok(count.unwrap_or_default())
}
