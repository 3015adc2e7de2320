//! Queries of the `outbox` table.

use std::collections::HashSet;

use db::Db;
use ids::Uuid;
use metrics::counter;

use crate::Error;
use crate::log::TopicRow;

/// The most rows and bytes of one lane that one read returns. The last row may exceed the bytes.
const MAX_ROWS: usize = 2000;
const MAX_BYTES: usize = 2 << 20;

/// Rows that [`read`] must not return.
pub(super) struct Exclude<'a> {
    /// Rows with ids up to this one.
    pub up_to: i64,
    /// Rows that were sent.
    pub in_flight: &'a [i64],
    /// Rows of topics that do not exist.
    pub topics: Vec<String>,
    /// Rows of keys with a refused event; false if there are none.
    pub refused_keys: bool,
}

/// The next rows of these lanes, by id, which is their `log_id`.
pub(super) async fn read(
    db: &Db,
    lanes: &[i64],
    exclude: Exclude<'_>,
) -> Result<Vec<TopicRow>, Error> {
    let query = db.query(
        "SELECT lane, id AS log_id, event_id, type AS type_name, aggregate_id, aggregate_version,
                occurred_at, traceparent, data, topic, envelope
         FROM outbox_next(",
    );
    let query = query.push_array(lanes.to_vec()).push(", ").push_bind(exclude.up_to).push(", ");
    let query = query.push_array(exclude.in_flight.to_vec()).push(", ");
    let query = query.push_array(exclude.topics).push(", ").push_bind(exclude.refused_keys);
    let [rows, bytes] = [MAX_ROWS, MAX_BYTES].map(|max| i64::try_from(max).unwrap_or(i64::MAX));
    let query = query.push(", ").push_bind(rows).push(", ").push_bind(bytes).push(")");
    let mut rows: Vec<TopicRow> = query.fetch_all().await?;
    rows.sort_by_key(|row| row.row.log_id);
    // A lane that reached a limit has more rows; they come before rows of other lanes with higher ids.
    let last = |lane: i64| {
        let of_lane = || rows.iter().filter(|row| row.lane == lane);
        let bytes: usize = of_lane().map(|row| row.row.data.len()).sum();
        let limited = bytes >= MAX_BYTES || of_lane().count() >= MAX_ROWS;
        of_lane().next_back().filter(|_| limited).map(|row| row.row.log_id)
    };
    if let Some(last) = lanes.iter().filter_map(|lane| last(*lane)).min() {
        rows.retain(|row| row.row.log_id <= last);
    }
    Ok(rows)
}

/// Rows that the broker has acknowledged and the outbox still contains.
#[derive(Clone, Default)]
pub(super) struct Published {
    pub ids: Vec<i64>,
    /// All rows up to this id that were visible in the scan of this number are published.
    pub complete_to: Option<(i64, u64)>,
}

/// Deletes published rows. Returns the number of the transaction, or `None` if there were no rows.
pub(super) async fn delete(db: &Db, ids: &[i64]) -> Result<Option<i64>, Error> {
    if ids.is_empty() {
        return Ok(None);
    }
    let delete = db.transact(|mut tx| async move {
        let query = tx.query("SELECT deleted, transaction FROM outbox_delete(");
        query.push_array(ids.to_vec()).push(")").fetch_one::<(i64, i64)>().await
    });
    let (deleted, transaction) = delete.await?;
    counter!("agon_outbox_published_total", "service" => db.service().to_owned())
        .increment(deleted.unsigned_abs());
    Ok(Some(transaction))
}

/// Records that an event can never be published. Later events of its key are not published either.
pub(super) async fn refuse(db: &Db, id: i64, reason: &str) -> Result<(), Error> {
    const REFUSE: &str = "UPDATE outbox SET refusal = $1 WHERE id = $2";
    Ok(db.execute(|tx| tx.query(REFUSE).bind_all((reason, id))).await.map(drop)?)
}

/// The topics and keys that have a refused event.
pub(super) async fn refused_keys(db: &Db) -> Result<HashSet<(String, Uuid)>, Error> {
    let rows: Vec<(String, Uuid)> = db
        .query("SELECT DISTINCT topic, aggregate_id FROM outbox WHERE refusal IS NOT NULL")
        .fetch_all()
        .await?;
    Ok(rows.into_iter().collect())
}
