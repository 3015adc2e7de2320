//! Events that a consumer has applied lately, by their ids.

use std::collections::HashSet;

use chrono::TimeDelta;
use db::{Db, Tx};
use ids::Uuid;

use crate::Received;

/// Claims events for this transaction; gives the places of those that were not applied before. Of two with the same
/// id it is the first.
pub(crate) async fn claim(
    tx: &mut Tx,
    consumer: &str,
    events: &[Received],
) -> db::Result<HashSet<i64>> {
    let (mut ids, mut first) = (HashSet::new(), Vec::new());
    for event in events {
        if ids.insert(event.id) {
            first.push(event);
        }
    }
    // `WHERE true` tells SQLite that ON belongs to no join.
    let insert = tx
        .query("INSERT INTO inbox (consumer, event_id) SELECT $1, id FROM (")
        .bind(consumer)
        .push_rows("id", first.iter().map(|event| event.id))
        .push(") AS these WHERE true ON CONFLICT DO NOTHING RETURNING event_id");
    let new: Vec<(Uuid,)> = insert.fetch_all().await?;
    let new: HashSet<Uuid> = new.into_iter().map(|(id,)| id).collect();
    Ok(first.iter().filter(|event| new.contains(&event.id)).map(|event| event.log_id).collect())
}

/// How long after an event a relay may still publish it once more.
const KEPT: TimeDelta = TimeDelta::days(30);

/// Forgets what is older than any duplicate.
pub(crate) async fn prune(db: &Db, consumer: &str) -> db::Result<u64> {
    let before = (db.clock().now() - KEPT).timestamp_millis();
    // The first 48 bits of a UUIDv7 are its time.
    let oldest = Uuid::from_u128(u128::from(u64::try_from(before).unwrap_or(0)) << 80);
    db.transact(|mut tx| async move {
        let query = tx.query("DELETE FROM inbox WHERE consumer = $1 AND event_id < $2");
        query.bind(consumer).bind(oldest).execute().await
    })
    .await
}
