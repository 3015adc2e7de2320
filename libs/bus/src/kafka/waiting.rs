//! The rows of an outbox that wait to be published.

use std::collections::HashSet;

use db::Db;
use ids::Uuid;

use crate::Error;
use crate::log::Row;

/// Rows of one round.
const BATCH: i64 = 1000;

/// A row with its place in the outbox and its topic.
pub(super) type Waiting = (i64, Row, String);

db::record! {
    struct OutboxRow {
        log_id: i64,
        event_id: Uuid,
        type_name: String,
        aggregate_id: Uuid,
        aggregate_version: i64,
        occurred_at: chrono::DateTime<chrono::Utc>,
        traceparent: Option<String>,
        data: Vec<u8>,
        topic: String,
    }
}

impl OutboxRow {
    fn split(self) -> Waiting {
        let row = Row {
            log_id: self.log_id,
            event_id: self.event_id,
            type_name: self.type_name,
            aggregate_id: self.aggregate_id,
            aggregate_version: self.aggregate_version,
            occurred_at: self.occurred_at,
            traceparent: self.traceparent,
            data: self.data,
        };
        (self.log_id, row, self.topic)
    }
}

/// The next rows of some lanes, without those that are under way or wait behind a refused one.
pub(super) async fn read(
    db: &Db,
    lanes: &[i64],
    floor: i64,
    under_way: &[i64],
    refused: bool,
) -> Result<Vec<Waiting>, Error> {
    let mut query = db.query(
        "SELECT id AS log_id, event_id, type AS type_name, aggregate_id, aggregate_version,
                occurred_at, traceparent, data, topic
         FROM outbox WHERE refusal IS NULL AND id > ",
    );
    query = query.push_bind(floor).push(" AND lane").push_in(lanes.iter().copied());
    query = query.push(" AND NOT id").push_in(under_way.iter().copied());
    if refused {
        query = query.push(
            " AND NOT EXISTS (SELECT 1 FROM outbox AS r WHERE r.refusal IS NOT NULL
              AND r.topic = outbox.topic AND r.aggregate_id = outbox.aggregate_id)",
        );
    }
    let rows: Vec<OutboxRow> =
        query.push(" ORDER BY id LIMIT ").push_bind(BATCH).fetch_all().await?;
    Ok(rows.into_iter().map(OutboxRow::split).collect())
}

/// The keys with an event that can never be published: what is behind it waits.
pub(super) async fn refused(db: &Db) -> Result<HashSet<(String, Uuid)>, Error> {
    let rows: Vec<(String, Uuid)> = db
        .query("SELECT DISTINCT topic, aggregate_id FROM outbox WHERE refusal IS NOT NULL")
        .fetch_all()
        .await?;
    Ok(rows.into_iter().collect())
}
