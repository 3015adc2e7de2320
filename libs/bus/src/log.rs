//! Queries of the `event_log` table.

use bytes::Bytes;
use chrono::{DateTime, Utc};
use db::{Db, Read};
use ids::Uuid;

use crate::{Received, Topic};

db::record! {
    /// An event as a row of `event_log`, `dead_letters` or `outbox`.
    #[derive(Clone)]
    pub(crate) struct Row {
        pub log_id: i64,
        pub event_id: Uuid,
        pub type_name: String,
        pub aggregate_id: Uuid,
        pub aggregate_version: i64,
        pub occurred_at: DateTime<Utc>,
        pub traceparent: Option<String>,
        pub data: Vec<u8>,
    }
}

db::record! {
    /// A [`Row`] with its topic and, in an outbox, its lane.
    pub(crate) struct TopicRow {
        pub lane: i64,
        pub topic: String,
        /// The encoded envelope of a dead letter's copy.
        pub envelope: Option<Vec<u8>>,
        ..pub row: Row,
    }
}

impl From<&Received> for Row {
    fn from(event: &Received) -> Self {
        Self {
            log_id: event.log_id,
            event_id: event.id,
            type_name: event.type_name.clone(),
            aggregate_id: event.aggregate_id,
            aggregate_version: event.version,
            occurred_at: event.time,
            traceparent: event.traceparent.clone(),
            data: event.data.to_vec(),
        }
    }
}

impl Row {
    pub(crate) fn received(self, topic: &'static str) -> Received {
        Received {
            log_id: self.log_id,
            id: self.event_id,
            topic,
            type_name: self.type_name,
            aggregate_id: self.aggregate_id,
            version: self.aggregate_version,
            time: self.occurred_at,
            traceparent: self.traceparent,
            data: Bytes::from(self.data),
            envelope: None,
        }
    }
}

/// Up to `limit` events of a topic with an id of at least `from`, by id.
pub(crate) async fn read(
    db: &Db,
    topic: &Topic,
    from: i64,
    limit: i64,
) -> db::Result<Vec<Received>> {
    let rows: Vec<Row> = db
        .query(
            "SELECT id AS log_id, event_id, type AS type_name, aggregate_id, aggregate_version,
                    occurred_at, traceparent, data
             FROM event_log WHERE topic = $1 AND id >= $2 ORDER BY id LIMIT $3",
        )
        .bind_all((topic.name, from, limit))
        .fetch_all()
        .await?;
    Ok(rows.into_iter().map(|row| row.received(topic.name)).collect())
}

/// The log id and event id of the last event of a topic.
pub(crate) async fn last(read: impl Read<'_>, topic: &str) -> db::Result<Option<(i64, Uuid)>> {
    read.query("SELECT id, event_id FROM event_log WHERE topic = $1 ORDER BY id DESC LIMIT 1")
        .bind(topic)
        .fetch_optional()
        .await
}

/// The number of events of a topic after `log_id`, at most 10,000.
pub(crate) async fn count_after(db: &Db, topic: &str, log_id: i64) -> db::Result<i64> {
    db.query(
        "SELECT count(*) FROM
         (SELECT 1 FROM event_log WHERE topic = $1 AND id > $2 LIMIT 10000) AS later",
    )
    .bind_all((topic, log_id))
    .fetch_scalar()
    .await
}
