//! Publishing: events are written in the transaction of the change, to the service's `event_log` or, where a relay
//! publishes them, to its `outbox`.

use db::{AtCommit, Tx};
use ids::Uuid;
use prost::Message as _;
use sha2::{Digest as _, Sha256};

use crate::envelope::Envelope;
use crate::log::Row;
use crate::{Event, Received, Topic};

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
    let event_id = tx.new_id();
    let row = Row {
        log_id: 0,
        event_id,
        type_name: event.type_name,
        aggregate_id: event.aggregate_id,
        aggregate_version: event.version,
        occurred_at: tx.now(),
        traceparent: rpc::traceparent(),
        data: event.data,
    };
    tx.at_commit::<Pending>().rows.push((event.topic, row));
    event_id
}

/// The lane of a key.
pub(crate) fn lane_of(topic: &str, key: Uuid) -> i64 {
    let digest = Sha256::new().chain_update(topic).chain_update(key.as_bytes()).finalize();
    i64::from(digest[0]) % LANES
}

/// The events of one transaction.
#[derive(Default)]
struct Pending {
    rows: Vec<(Topic, Row)>,
}

impl AtCommit for Pending {
    async fn write(self, tx: &mut Tx) -> db::Result<()> {
        for (topic, row) in &self.rows {
            check(topic, row, tx.db().service())?;
        }
        let rows = self.rows.iter().map(|(topic, row)| (topic.name, row));
        match tx.db().is_relayed() {
            true => insert(tx, Table::Outbox, rows).await?,
            false => {
                tx.advisory_lock("event_log").await?;
                insert(tx, Table::EventLog, rows).await?;
            }
        }
        let db = tx.db().clone();
        tx.after_commit(move || db.note_appended());
        Ok(())
    }
}

/// Publishes a copy of a dead letter, which keeps its id, to another topic when `tx` commits.
pub(crate) async fn copy(
    tx: &mut Tx,
    topic: &str,
    event: &Received,
    envelope: &Envelope,
) -> db::Result<()> {
    // The outbox holds an event once, even if it is a dead letter of two consumers.
    let insert = tx.query(
        "INSERT INTO outbox (event_id, topic, type, aggregate_id, aggregate_version, occurred_at,
                             traceparent, data, lane, envelope)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) ON CONFLICT DO NOTHING",
    );
    let insert = insert.bind_all((event.id, topic, event.type_name.as_str(), event.aggregate_id));
    let insert = insert.bind_all((event.version, event.time, event.traceparent.clone()));
    let lane = lane_of(topic, event.aggregate_id);
    insert.bind_all((&event.data[..], lane, envelope.encode_to_vec())).execute().await?;
    let db = tx.db().clone();
    tx.after_commit(move || db.note_appended());
    Ok(())
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Table {
    EventLog,
    Outbox,
}

/// Inserts rows with their topics. Their ids are in the order of `rows`; `log_id` is ignored.
pub(crate) async fn insert<'a>(
    tx: &mut Tx,
    table: Table,
    rows: impl Iterator<Item = (&'a str, &'a Row)> + Send,
) -> db::Result<()> {
    let rows: Vec<(&str, &Row)> = rows.collect();
    for rows in rows.chunks(INSERT_ROWS) {
        let mut insert = tx.query(match table {
            Table::EventLog => {
                "INSERT INTO event_log (event_id, topic, type, aggregate_id, aggregate_version,
                                        occurred_at, traceparent, data) VALUES "
            }
            Table::Outbox => {
                "INSERT INTO outbox (event_id, topic, type, aggregate_id, aggregate_version,
                                     occurred_at, traceparent, data, lane) VALUES "
            }
        });
        for (i, (topic, row)) in rows.iter().enumerate() {
            let values = (row.event_id, *topic, row.type_name.as_str(), row.aggregate_id);
            insert = insert.push(if i == 0 { "(" } else { ", (" }).push_bind_all(values);
            let (traceparent, data) = (row.traceparent.clone(), row.data.as_slice());
            let values = (row.aggregate_version, row.occurred_at, traceparent, data);
            insert = insert.push(", ").push_bind_all(values);
            if table != Table::EventLog {
                insert = insert.push(", ").push_bind(lane_of(topic, row.aggregate_id));
            }
            insert = insert.push(")");
        }
        insert.execute().await?;
    }
    Ok(())
}

fn check(topic: &Topic, row: &Row, service: &str) -> db::Result<()> {
    let name = topic.name;
    if topic.producer != service {
        let producer = topic.producer;
        return Err(db::Error::Invalid(format!(
            "topic {name} belongs to {producer}, not to {service}"
        )));
    }
    if !topic.types.contains(&row.type_name.as_str()) {
        let type_name = &row.type_name;
        return Err(db::Error::Invalid(format!("topic {name} does not declare {type_name}")));
    }
    if row.data.len() > MAX_EVENT_BYTES {
        let size = row.data.len();
        return Err(db::Error::Invalid(format!(
            "an event of topic {name} has {size} bytes, more than {MAX_EVENT_BYTES}"
        )));
    }
    if row.aggregate_id.is_nil() {
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
