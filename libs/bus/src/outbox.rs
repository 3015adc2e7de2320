//! Publishing: events are appended to the service's own log in the transaction of the change.

use chrono::{DateTime, Utc};
use db::{AtCommit, Tx};
use ids::Uuid;

use crate::Event;

/// Publishes `event` if and when `tx` commits; gives its id.
///
/// The rows are written just before the commit, in the order of the calls. On PostgreSQL that is where the lock
/// of the log is taken, so that it is held for a moment only and never while a transaction waits for a row.
///
/// The transaction cannot be committed when the topic is another service's or does not know the message.
pub fn append(tx: &mut Tx, event: Event) -> Uuid {
    let (id, now) = (tx.new_id(), tx.now());
    let traceparent = rpc::current().map(|context| context.trace.to_string());
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

/// Rows of one INSERT: eight values each, and SQLite takes 32,766.
const ROWS: usize = 100;

impl AtCommit for Outbox {
    async fn write(self, tx: &mut Tx) -> db::Result<()> {
        for row in &self.rows {
            check(&row.event, tx.db().service())?;
        }
        tx.advisory_lock("event_log").await?;
        for rows in self.rows.chunks(ROWS) {
            let mut insert = tx.query(
                "INSERT INTO event_log (event_id, topic, type, aggregate_id, aggregate_version,
                                        occurred_at, traceparent, data) VALUES ",
            );
            for (i, row) in rows.iter().enumerate() {
                insert = insert
                    .push(if i == 0 { "(" } else { ", (" })
                    .push_bind(row.id)
                    .push(", ")
                    .push_bind(row.event.topic.name)
                    .push(", ")
                    .push_bind(row.event.type_name.as_str())
                    .push(", ")
                    .push_bind(row.event.aggregate_id)
                    .push(", ")
                    .push_bind(row.event.version)
                    .push(", ")
                    .push_bind(row.now)
                    .push(", ")
                    .push_bind(row.traceparent.clone())
                    .push(", ")
                    .push_bind(row.event.data.as_slice())
                    .push(")");
            }
            insert.execute().await?;
        }
        let db = tx.db().clone();
        tx.after_commit(move || db.note_appended());
        Ok(())
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
    if event.aggregate_id.is_nil() {
        return Err(db::Error::Invalid(format!("an event of topic {} has no key", topic.name)));
    }
    Ok(())
}
