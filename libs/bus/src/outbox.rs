//! Publishing: events are written in the transaction of the change, to the service's own log or, where a relay
//! publishes them, to its outbox.

use chrono::{DateTime, Utc};
use db::{AtCommit, Query, Tx};
use ids::Uuid;

use crate::kafka::lane_of;
use crate::{Event, Received};

/// Publishes `event` if and when `tx` commits; gives its id.
///
/// The rows are written just before the commit, in the order of the calls. On PostgreSQL that is where the lock
/// of the log is taken, so that it is held for a moment only and never while a transaction waits for a row. The
/// outbox needs no lock but the one that the transaction has on the aggregate's row.
///
/// The transaction cannot be committed when the topic is another service's or does not know the message.
pub fn append(tx: &mut Tx, event: Event) -> Uuid {
    let (id, now) = (tx.new_id(), tx.now());
    let traceparent = rpc::traceparent();
    tx.at_commit::<Outbox>().rows.push(Row { id, now, traceparent, event });
    id
}

/// The events of one transaction.
#[derive(Default)]
struct Outbox {
    rows: Vec<Row>,
}

struct Row {
    id: Uuid,
    now: DateTime<Utc>,
    traceparent: Option<String>,
    event: Event,
}

/// Rows of one INSERT: nine values each at most, and SQLite takes 32,766.
const ROWS: usize = 100;
/// The largest event, in bytes: what a broker takes, by far.
const LARGEST: usize = 512 << 10;

impl AtCommit for Outbox {
    async fn write(self, tx: &mut Tx) -> db::Result<()> {
        for row in &self.rows {
            check(&row.event, tx.db().service())?;
        }
        let relayed = tx.db().is_relayed();
        if !relayed {
            tx.advisory_lock("event_log").await?;
        }
        for rows in self.rows.chunks(ROWS) {
            let mut insert = tx.query(match relayed {
                false => {
                    "INSERT INTO event_log (event_id, topic, type, aggregate_id, aggregate_version,
                                            occurred_at, traceparent, data) VALUES "
                }
                true => {
                    "INSERT INTO outbox (event_id, topic, type, aggregate_id, aggregate_version,
                                         occurred_at, traceparent, data, lane) VALUES "
                }
            });
            for (i, row) in rows.iter().enumerate() {
                insert = row.values(insert.push(if i == 0 { "(" } else { ", (" }));
                if relayed {
                    let lane = lane_of(row.event.topic.name, row.event.aggregate_id);
                    insert = insert.push(", ").push_bind(lane);
                }
                insert = insert.push(")");
            }
            insert.execute().await?;
        }
        let db = tx.db().clone();
        tx.after_commit(move || db.note_appended());
        Ok(())
    }
}

/// Publishes a copy of an event under the name of another topic, with its own id, if and when `tx` commits.
pub(crate) async fn copy(tx: &mut Tx, topic: &str, event: &Received) -> db::Result<()> {
    let lane = lane_of(topic, event.aggregate_id);
    tx.query(
        "INSERT INTO outbox (event_id, topic, type, aggregate_id, aggregate_version, occurred_at,
                             traceparent, data, lane)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT DO NOTHING",
    )
    .bind(event.id)
    .bind(topic)
    .bind(event.type_name.as_str())
    .bind(event.aggregate_id)
    .bind(event.version)
    .bind(event.time)
    .bind(event.traceparent.clone())
    .bind(&event.data[..])
    .bind(lane)
    .execute()
    .await?;
    let db = tx.db().clone();
    tx.after_commit(move || db.note_appended());
    Ok(())
}

impl Row {
    fn values<'q>(&'q self, insert: Query<'q>) -> Query<'q> {
        insert
            .push_bind(self.id)
            .push(", ")
            .push_bind(self.event.topic.name)
            .push(", ")
            .push_bind(self.event.type_name.as_str())
            .push(", ")
            .push_bind(self.event.aggregate_id)
            .push(", ")
            .push_bind(self.event.version)
            .push(", ")
            .push_bind(self.now)
            .push(", ")
            .push_bind(self.traceparent.clone())
            .push(", ")
            .push_bind(self.event.data.as_slice())
    }
}

fn check(event: &Event, service: &str) -> db::Result<()> {
    let topic = &event.topic;
    if topic.producer != service {
        return Err(db::Error::Invalid(format!(
            "topic {} belongs to {}, not to {service}",
            topic.name, topic.producer
        )));
    }
    if !topic.types.contains(&event.type_name.as_str()) {
        let (name, type_name) = (topic.name, &event.type_name);
        return Err(db::Error::Invalid(format!("topic {name} does not declare {type_name}")));
    }
    if event.data.len() > LARGEST {
        let (name, size) = (topic.name, event.data.len());
        return Err(db::Error::Invalid(format!("an event of topic {name} has {size} bytes")));
    }
    if event.aggregate_id.is_nil() {
        return Err(db::Error::Invalid(format!("an event of topic {} has no key", topic.name)));
    }
    Ok(())
}
