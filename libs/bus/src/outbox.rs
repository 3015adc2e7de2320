//! Publishing: events are written in the transaction of the change, to the service's `event_log` or, where a relay
//! publishes them, to its `outbox`.

use chrono::{DateTime, Utc};
use db::{AtCommit, Tx};
use ids::Uuid;
use sha2::{Digest as _, Sha256};

use crate::{Event, Received};

/// The number of lanes of an outbox. A lane holds all events of its keys and is published by one relay at a time.
pub(crate) const LANES: i64 = 4;
/// Rows of one INSERT: nine values each at most, and SQLite takes 32,766.
const INSERT_ROWS: usize = 100;
/// The largest event, in bytes; far below Kafka's limit.
const MAX_EVENT_BYTES: usize = 512 << 10;

/// Publishes `event` when `tx` commits. Returns its id.
///
/// The rows are written just before the commit, in the order of the calls. On PostgreSQL the lock of the log is also
/// taken there, so that it is held only briefly and never while a transaction waits for a row. The outbox needs no lock
/// except the one that the transaction holds on the aggregate's row.
///
/// The commit fails if the topic belongs to another service or does not declare the message type.
pub fn append(tx: &mut Tx, event: Event) -> Uuid {
    let (id, now) = (tx.new_id(), tx.now());
    let traceparent = rpc::traceparent();
    tx.at_commit::<Pending>().events.push(PendingEvent { id, now, traceparent, event });
    id
}

/// The lane of a key.
pub(crate) fn lane_of(topic: &str, key: Uuid) -> i64 {
    let digest = Sha256::new().chain_update(topic).chain_update(key.as_bytes()).finalize();
    i64::from(digest[0]) % LANES
}

/// The events of one transaction.
#[derive(Default)]
struct Pending {
    events: Vec<PendingEvent>,
}

struct PendingEvent {
    id: Uuid,
    now: DateTime<Utc>,
    traceparent: Option<String>,
    event: Event,
}

impl AtCommit for Pending {
    async fn write(self, tx: &mut Tx) -> db::Result<()> {
        for pending in &self.events {
            check(&pending.event, tx.db().service())?;
        }
        let rows: Vec<NewRow<'_>> = self.events.iter().map(PendingEvent::row).collect();
        match tx.db().is_relayed() {
            true => insert(tx, Table::OUTBOX, &rows).await?,
            false => {
                tx.advisory_lock("event_log").await?;
                insert(tx, Table::EventLog, &rows).await?;
            }
        }
        let db = tx.db().clone();
        tx.after_commit(move || db.note_appended());
        Ok(())
    }
}

impl PendingEvent {
    fn row(&self) -> NewRow<'_> {
        NewRow {
            event_id: self.id,
            topic: self.event.topic.name,
            type_name: &self.event.type_name,
            aggregate_id: self.event.aggregate_id,
            version: self.event.version,
            time: self.now,
            traceparent: self.traceparent.as_deref(),
            data: &self.event.data,
        }
    }
}

/// Publishes a copy of an event, with its own id, to another topic when `tx` commits.
pub(crate) async fn copy(tx: &mut Tx, topic: &str, event: &Received) -> db::Result<()> {
    let row = NewRow {
        event_id: event.id,
        topic,
        type_name: &event.type_name,
        aggregate_id: event.aggregate_id,
        version: event.version,
        time: event.time,
        traceparent: event.traceparent.as_deref(),
        data: &event.data,
    };
    // The outbox holds an event once, even if it is a dead letter of two consumers.
    insert(tx, Table::Outbox { skip_existing: true }, &[row]).await?;
    let db = tx.db().clone();
    tx.after_commit(move || db.note_appended());
    Ok(())
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Table {
    EventLog,
    Outbox { skip_existing: bool },
}

impl Table {
    pub const OUTBOX: Table = Table::Outbox { skip_existing: false };
}

/// A row to insert, without its lane.
pub(crate) struct NewRow<'a> {
    pub event_id: Uuid,
    pub topic: &'a str,
    pub type_name: &'a str,
    pub aggregate_id: Uuid,
    pub version: i64,
    pub time: DateTime<Utc>,
    pub traceparent: Option<&'a str>,
    pub data: &'a [u8],
}

/// Inserts rows so that the order of their ids is that of `rows`.
pub(crate) async fn insert(tx: &mut Tx, table: Table, rows: &[NewRow<'_>]) -> db::Result<()> {
    for rows in rows.chunks(INSERT_ROWS) {
        let mut insert = tx.query(match table {
            Table::EventLog => {
                "INSERT INTO event_log (event_id, topic, type, aggregate_id, aggregate_version,
                                        occurred_at, traceparent, data) VALUES "
            }
            Table::Outbox { .. } => {
                "INSERT INTO outbox (event_id, topic, type, aggregate_id, aggregate_version,
                                     occurred_at, traceparent, data, lane) VALUES "
            }
        });
        for (i, row) in rows.iter().enumerate() {
            insert = insert
                .push(if i == 0 { "(" } else { ", (" })
                .push_bind(row.event_id)
                .push(", ")
                .push_bind(row.topic)
                .push(", ")
                .push_bind(row.type_name)
                .push(", ")
                .push_bind(row.aggregate_id)
                .push(", ")
                .push_bind(row.version)
                .push(", ")
                .push_bind(row.time)
                .push(", ")
                .push_bind(row.traceparent.map(str::to_owned))
                .push(", ")
                .push_bind(row.data);
            if table != Table::EventLog {
                insert = insert.push(", ").push_bind(lane_of(row.topic, row.aggregate_id));
            }
            insert = insert.push(")");
        }
        if table == (Table::Outbox { skip_existing: true }) {
            insert = insert.push(" ON CONFLICT DO NOTHING");
        }
        insert.execute().await?;
    }
    Ok(())
}

fn check(event: &Event, service: &str) -> db::Result<()> {
    let topic = &event.topic;
    let name = topic.name;
    if topic.producer != service {
        let producer = topic.producer;
        return Err(db::Error::Invalid(format!(
            "topic {name} belongs to {producer}, not to {service}"
        )));
    }
    if !topic.types.contains(&event.type_name.as_str()) {
        let type_name = &event.type_name;
        return Err(db::Error::Invalid(format!("topic {name} does not declare {type_name}")));
    }
    if event.data.len() > MAX_EVENT_BYTES {
        let size = event.data.len();
        return Err(db::Error::Invalid(format!(
            "an event of topic {name} has {size} bytes, more than {MAX_EVENT_BYTES}"
        )));
    }
    if event.aggregate_id.is_nil() {
        return Err(db::Error::Invalid(format!("an event of topic {name} has no key")));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_spread_over_all_lanes() {
        let clock = ids::Clock::system();
        let lanes: std::collections::BTreeSet<i64> =
            (0..100).map(|_| lane_of("agon.user.v1", clock.new_id())).collect();
        assert_eq!(lanes.into_iter().collect::<Vec<_>>(), [0, 1, 2, 3]);
    }
}
