//! The rows of an outbox that wait to be published.

use std::collections::HashSet;

use db::Db;
use ids::Uuid;
use metrics::counter;

use crate::Error;
use crate::log::Row;

/// Rows of one lane in one round.
const MOST: usize = 2000;
/// Bytes behind which no further row of a lane is read.
const MOST_BYTES: usize = 2 << 20;

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

/// What not to read.
pub(super) struct Except<'a> {
    /// Nothing up to this place.
    pub floor: i64,
    /// No rows that are under way.
    pub under_way: &'a [i64],
    /// None of these topics.
    pub absent: Vec<String>,
    /// None behind a refused one; there are some.
    pub held: bool,
}

/// The next rows of some lanes, in order.
pub(super) async fn read(
    db: &Db,
    lanes: &[i64],
    except: Except<'_>,
) -> Result<Vec<Waiting>, Error> {
    let query = db.query(
        "SELECT lane, id AS log_id, event_id, type AS type_name, aggregate_id, aggregate_version,
                occurred_at, traceparent, data, topic
         FROM outbox_next(",
    );
    let query = query.push_array(lanes.to_vec()).push(", ").push_bind(except.floor).push(", ");
    let query = query.push_array(except.under_way.to_vec()).push(", ");
    let query = query.push_array(except.absent).push(", ").push_bind(except.held);
    let [most, bytes] = [MOST, MOST_BYTES].map(|most| i64::try_from(most).unwrap_or(i64::MAX));
    let query = query.push(", ").push_bind(most).push(", ").push_bind(bytes).push(")");
    let mut rows: Vec<OutboxRow> = query.fetch_all().await?;
    rows.sort_by_key(|row| row.log_id);
    // A lane that gave as much as it may has more, which comes before what the others have behind it.
    let last = |lane: i64| {
        let its = || rows.iter().filter(|row| row.lane == lane);
        let bytes: usize = its().map(|row| row.data.len()).sum();
        let cut = bytes >= MOST_BYTES || its().count() >= MOST;
        its().next_back().filter(|_| cut).map(|row| row.log_id)
    };
    if let Some(cut) = lanes.iter().filter_map(|lane| last(*lane)).min() {
        rows.retain(|row| row.log_id <= cut);
    }
    Ok(rows.into_iter().map(OutboxRow::split).collect())
}

/// What the broker has and the outbox still holds.
#[derive(Clone, Default)]
pub(super) struct Published {
    pub ids: Vec<i64>,
    /// The place up to which nothing is left behind, as the relay's reading of some number had it.
    pub whole_to: Option<(i64, u64)>,
}

/// Deletes what the broker has; gives the number of the transaction.
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

/// The keys with an event that can never be published: what is behind it waits.
pub(super) async fn refused(db: &Db) -> Result<HashSet<(String, Uuid)>, Error> {
    let rows: Vec<(String, Uuid)> = db
        .query("SELECT DISTINCT topic, aggregate_id FROM outbox WHERE refusal IS NOT NULL")
        .fetch_all()
        .await?;
    Ok(rows.into_iter().collect())
}
