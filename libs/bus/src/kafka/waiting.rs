//! The rows of an outbox that wait to be published.

use std::collections::HashSet;

use db::Db;
use ids::Uuid;
use metrics::counter;

use crate::Error;
use crate::log::Row;

/// How many rows of a lane are read at once: few at first, and more while they are small.
#[derive(Clone, Copy)]
pub(super) struct Most(usize);

impl Most {
    const LEAST: usize = 50;
    const MOST: usize = 2000;
    /// What the rows of one round may hold, in bytes.
    const BYTES: usize = 8 << 20;

    /// After a round that was cut.
    fn adapt(&mut self, rows: &[OutboxRow]) {
        let bytes: usize = rows.iter().map(|row| row.data.len()).sum();
        let next = if bytes > Self::BYTES { self.0 / 4 } else { self.0 * 4 };
        self.0 = next.clamp(Self::LEAST, Self::MOST);
    }
}

impl Default for Most {
    fn default() -> Self {
        Self(Self::LEAST)
    }
}

/// A row with its place in the outbox and its topic.
pub(super) type Waiting = (i64, Row, String);

db::record! {
    struct OutboxRow {
        lane: i64,
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

/// The next rows of some lanes above a place, in order, without those that are under way and, where some are held, without
/// those that wait behind a refused one.
pub(super) async fn read(
    db: &Db,
    lanes: &[i64],
    floor: i64,
    under_way: &[i64],
    held: bool,
    most: &mut Most,
) -> Result<Vec<Waiting>, Error> {
    let query = db.query(
        "SELECT lane, id AS log_id, event_id, type AS type_name, aggregate_id, aggregate_version,
                occurred_at, traceparent, data, topic
         FROM outbox_next(",
    );
    let query = query.push_array(lanes.to_vec()).push(", ").push_bind(floor).push(", ");
    let query = query.push_array(under_way.to_vec()).push(", ").push_bind(held).push(", ");
    let limit = i64::try_from(most.0).unwrap_or(i64::MAX);
    let mut rows: Vec<OutboxRow> = query.push_bind(limit).push(")").fetch_all().await?;
    rows.sort_by_key(|row| row.log_id);
    // A lane that gave as much as it may has more, which comes before what the others have behind it.
    let last = |lane: i64| {
        let mut its = rows.iter().filter(|row| row.lane == lane);
        its.nth(most.0 - 1).map(|row| row.log_id)
    };
    if let Some(cut) = lanes.iter().filter_map(|lane| last(*lane)).min() {
        most.adapt(&rows);
        rows.retain(|row| row.log_id <= cut);
    }
    Ok(rows.into_iter().map(OutboxRow::split).collect())
}

/// Deletes what the broker has.
pub(super) async fn delete(db: &Db, ids: &[i64]) -> Result<(), Error> {
    if ids.is_empty() {
        return Ok(());
    }
    let delete = db.transact(|mut tx| async move {
        let query = tx.query("SELECT outbox_delete(").push_array(ids.to_vec());
        query.push(")").fetch_scalar::<i64>().await
    });
    let deleted = delete.await?;
    counter!("agon_outbox_published_total", "service" => db.service().to_owned())
        .increment(deleted.unsigned_abs());
    Ok(())
}

/// The keys with an event that can never be published: what is behind it waits.
pub(super) async fn refused(db: &Db) -> Result<HashSet<(String, Uuid)>, Error> {
    let rows: Vec<(String, Uuid)> = db
        .query("SELECT DISTINCT topic, aggregate_id FROM outbox WHERE refusal IS NOT NULL")
        .fetch_all()
        .await?;
    Ok(rows.into_iter().collect())
}
